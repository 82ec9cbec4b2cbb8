//! `alert dead`: letters that were given up. Nothing of them is lost until somebody drops them, and not even then.

use serde_json::{Value, json};

use super::super::OutputArgs;
use super::super::context::Context;
use super::super::dates::DayArg;
use super::super::output::{counted, write_text};
use super::is_for_people;
use super::states::whoever_types;
use super::view::{addressed, short_id};
use crate::error::{Failure, Outcome};
use crate::render::rows::{Format, Rows, instant, instant_to_second, printable};
use crate::store::Store;
use crate::store::outbox::{ClaimedEvent, DeadLetter, LetterChange, LetterFate, LetterFilter, LetterKey};

/// More letters than anybody names one by one.
const ALL: u32 = 10_000_000;

/// Look at letters that were given up, have them tried again, or let them go
#[derive(Clone, Debug, clap::Args)]
pub(super) struct DeadArgs {
    #[command(subcommand)]
    command: DeadCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum DeadCommand {
    /// List letters that were given up, the last one first
    List(ListArgs),
    /// Show one letter: why it was given up, what it tells, what people did with it
    Show(ShowArgs),
    /// Have letters tried again, the same message under the same id
    Retry(SelectArgs),
    /// Let letters go: they are kept, but nobody is asked about them any more
    Drop(DropArgs),
}

#[derive(Clone, Debug, Default, clap::Args)]
struct FilterArgs {
    /// Only letters of this channel
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,

    /// Only letters to this recipient
    #[arg(long, value_name = "NAME")]
    recipient: Option<String>,

    /// Only letters of this type of event: alert.opened, run.failed
    #[arg(long, value_name = "TYPE")]
    event: Option<String>,

    /// Only letters given up on this day or later: YYYY-MM-DD, today, yesterday or -30d
    #[arg(long, value_name = "DAY", allow_hyphen_values = true)]
    since: Option<DayArg>,
}

impl FilterArgs {
    fn filter(&self, states: &[&'static str], context: &Context) -> LetterFilter {
        let zone = context.config.zone;
        LetterFilter {
            states: states.to_vec(),
            channel: self.channel.clone(),
            recipient: self.recipient.clone(),
            event_type: self.event.clone(),
            since: self.since.map(|since| zone.end_of(since.resolve(context.today()).plus(-1))),
            id_prefix: None,
        }
    }

    fn is_given(&self) -> bool {
        self.channel.is_some() || self.recipient.is_some() || self.event.is_some() || self.since.is_some()
    }
}

#[derive(Clone, Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,

    /// Which letters: dead, dropped or all
    #[arg(long, default_value = "dead", value_parser = ["dead", "dropped", "all"], hide_possible_values = true)]
    state: String,

    /// At most this many
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    limit: u32,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Debug, clap::Args)]
struct ShowArgs {
    /// The message's id, or as much of its beginning as makes it unique
    id: String,

    /// The channel, where several gave the message up
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,

    /// The recipient, where several of a channel did not get it
    #[arg(long, value_name = "NAME")]
    recipient: Option<String>,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Debug, clap::Args)]
struct SelectArgs {
    /// Ids of messages, or their beginnings; of every channel that gave them up
    #[arg(value_name = "ID", required_unless_present_any = ["all", "channel", "recipient", "event", "since"])]
    ids: Vec<String>,

    #[command(flatten)]
    filter: FilterArgs,

    /// Every letter that was given up
    #[arg(long, conflicts_with = "ids")]
    all: bool,

    /// Why; kept with the change
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,

    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct DropArgs {
    #[command(flatten)]
    select: SelectArgs,

    /// Drop more than named ids without asking
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(args: DeadArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    match args.command {
        DeadCommand::List(args) => list(&args, &store, context).await?,
        DeadCommand::Show(args) => show(&args, &store, context).await?,
        DeadCommand::Retry(args) => change(&args, LetterFate::Retry, true, &store, context).await?,
        DeadCommand::Drop(args) => change(&args.select, LetterFate::Drop, args.yes, &store, context).await?,
    }
    Ok(Outcome::Done)
}

fn states(word: &str) -> &'static [&'static str] {
    match word {
        "dead" => &["dead"],
        "dropped" => &["dropped"],
        _ => &["dead", "dropped"],
    }
}

async fn list(args: &ListArgs, store: &Store, context: &Context) -> anyhow::Result<()> {
    let filter = args.filter.filter(states(&args.state), context);
    let letters = store.load_letters(context.workspace(), &filter, args.limit).await?;
    let total = store.count_letters(context.workspace(), &filter).await?;
    if letters.is_empty() {
        let is_filtered = args.filter.is_given() || args.state != "dead";
        context.ui.note(if is_filtered { "no letter matches" } else { "no letter was given up" });
    } else if total > letters.len() as u64 {
        context.ui.note(&format!("{} of {total}; --limit shows more", letters.len()));
    }
    let rows = if is_for_people(&args.output) { short_rows(&letters) } else { letter_rows(&letters) };
    args.output.emit(&rows, context)
}

/// Every column of a letter.
fn letter_rows(letters: &[DeadLetter]) -> Rows {
    let mut rows = Rows::new(
        "amzctl.alert-dead-list/1",
        &[
            "message_id",
            "channel",
            "recipient",
            "state",
            "events",
            "event_type",
            "message",
            "attempts",
            "maybe_sent",
            "failed_at",
            "last_error",
        ],
    );
    for letter in letters {
        rows.push(vec![
            letter.key.message_id.as_str().into(),
            letter.key.to.channel.as_str().into(),
            letter.key.to.recipient.as_str().into(),
            letter.state.as_str().into(),
            letter.events.into(),
            letter.event_type.as_str().into(),
            said(&letter.payload).into(),
            letter.attempts.into(),
            letter.maybe_sent.into(),
            letter.failed_at.into(),
            letter.last_error.as_str().into(),
        ]);
    }
    rows
}

/// What fits a terminal.
fn short_rows(letters: &[DeadLetter]) -> Rows {
    let columns = ["id", "channel", "failed", "attempts", "events", "message", "error"];
    let mut rows = Rows::new("amzctl.alert-dead-list/1", &columns).wrapping();
    for letter in letters {
        rows.push(vec![
            short_id(&letter.key.message_id).into(),
            addressed(&letter.key.to.channel, &letter.key.to.recipient).into(),
            letter.failed_at.map(instant_to_second).into(),
            letter.attempts.into(),
            letter.events.into(),
            said(&letter.payload).into(),
            letter.last_error.as_str().into(),
        ]);
    }
    rows
}

/// What an event says to people.
fn said(payload: &str) -> String {
    let payload: Value = serde_json::from_str(payload).unwrap_or_default();
    payload["message"].as_str().unwrap_or_default().to_owned()
}

async fn show(args: &ShowArgs, store: &Store, context: &Context) -> anyhow::Result<()> {
    let filter = LetterFilter {
        states: states("all").to_vec(),
        channel: args.channel.clone(),
        recipient: args.recipient.clone(),
        id_prefix: Some(prefix(&args.id)),
        ..LetterFilter::default()
    };
    let mut letters = store.load_letters(context.workspace(), &filter, 10).await?;
    if letters.len() > 1 {
        let named: Vec<String> = letters
            .iter()
            .map(|one| {
                format!("{} to {}", one.key.message_id, addressed(&one.key.to.channel, &one.key.to.recipient))
            })
            .collect();
        return Err(Failure::usage(format!("several letters begin with `{}`", args.id))
            .hint(format!("say --channel and --recipient, or more of the id: {}", named.join(", ")))
            .into());
    }
    let letter = letters.pop().ok_or_else(|| unknown(&args.id))?;
    let (events, changes) = store.load_letter(context.workspace(), &letter.key).await?;
    match args.output.format() {
        Format::Table if args.output.fields.is_none() => {
            write_text(&letter_text(&letter, &events, &changes), args.output.output.as_deref(), context)?;
        }
        Format::Json if args.output.fields.is_none() => {
            let document = letter_document(&letter, &events, &changes);
            write_text(&format!("{document:#}\n"), args.output.output.as_deref(), context)?;
        }
        _ => args.output.emit(&letter_rows(std::slice::from_ref(&letter)), context)?,
    }
    if letter.state == "dead" {
        let id = short_id(&letter.key.message_id);
        context.ui.note(&format!(
            "next: `amzctl alert dead retry {id}` when what refused it is mended, `amzctl alert dead drop {id}` to let it go"
        ));
    }
    Ok(())
}

fn letter_document(letter: &DeadLetter, events: &[ClaimedEvent], changes: &[LetterChange]) -> Value {
    let payload = |event: &ClaimedEvent| {
        serde_json::from_str::<Value>(&event.payload).unwrap_or_else(|_| json!(event.payload))
    };
    json!({
        "schema": "amzctl.alert-dead/1",
        "message_id": letter.key.message_id,
        "channel": letter.key.to.channel,
        "recipient": letter.key.to.recipient,
        "state": letter.state,
        "attempts": letter.attempts,
        "maybe_sent": letter.maybe_sent,
        "failed_at": letter.failed_at.map(instant),
        "last_error": letter.last_error,
        "events": events.iter().map(payload).collect::<Vec<_>>(),
        "changes": changes.iter().map(|change| json!({
            "from_state": change.from_state,
            "to_state": change.to_state,
            "actor": change.actor,
            "note": change.note,
            "changed_at": instant(change.changed_at),
        })).collect::<Vec<_>>(),
    })
}

fn letter_text(letter: &DeadLetter, events: &[ClaimedEvent], changes: &[LetterChange]) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            out += &format!("{name:<12}{}\n", printable(value));
        }
    };
    line("message", &letter.key.message_id);
    line("to", &addressed(&letter.key.to.channel, &letter.key.to.recipient));
    line("state", &letter.state);
    let when =
        letter.failed_at.map_or_else(String::new, |at| format!(", the last {}", instant_to_second(at)));
    line("attempts", &format!("{}{when}", letter.attempts));
    line("arrived", if letter.maybe_sent { "perhaps: of an attempt nobody knows what came" } else { "no" });
    line("error", &letter.last_error);
    for event in events {
        line("event", &format!("{} [{}]", said(&event.payload), short_id(&event.event_id)));
    }
    for change in changes {
        let LetterChange { from_state, to_state, actor, .. } = change;
        let note = if change.note.is_empty() { String::new() } else { format!(": {}", change.note) };
        let when = instant_to_second(change.changed_at);
        line("change", &format!("{when} {from_state} → {to_state} by {actor}{note}"));
    }
    out
}

async fn change(
    args: &SelectArgs,
    fate: LetterFate,
    is_confirmed: bool,
    store: &Store,
    context: &Context,
) -> anyhow::Result<()> {
    let letters = selected(args, fate, store, context).await?;
    let done = match fate {
        LetterFate::Retry => "tried again",
        LetterFate::Drop => "dropped",
    };
    let letters_said = counted(letters.len(), "letter");
    if args.dry_run {
        context.ui.note(&format!("dry run, nothing written: {letters_said} would be {done}"));
        return Ok(());
    }
    let by_filter = args.ids.is_empty();
    if by_filter
        && !is_confirmed
        && !letters.is_empty()
        && !context.ui.confirm(&format!("drop {letters_said}?"))?
    {
        return Err(Failure::usage("nothing was dropped").hint("confirm with --yes").into());
    }
    let now = context.clock.now();
    let changed =
        store.change_letters(context.workspace(), &letters, fate, &whoever_types(), &args.note, now).await?;
    let rest = match letters.len() as u64 - changed {
        0 => String::new(),
        rest => format!(", {rest} changed meanwhile"),
    };
    match fate {
        LetterFate::Retry => context.ui.note(&format!("{changed} due again{rest}")),
        LetterFate::Drop => context.ui.note(&format!("{changed} dropped{rest}")),
    }
    if changed > 0 && fate == LetterFate::Retry {
        context.ui.note("next: `amzctl alert deliver`");
    }
    Ok(())
}

/// The letters that were named, or that match. A letter that was dropped can be named to be tried again.
async fn selected(
    args: &SelectArgs,
    fate: LetterFate,
    store: &Store,
    context: &Context,
) -> anyhow::Result<Vec<LetterKey>> {
    if args.ids.is_empty() {
        let filter = args.filter.filter(&["dead"], context);
        let letters = store.load_letters(context.workspace(), &filter, ALL).await?;
        return Ok(letters.into_iter().map(|letter| letter.key).collect());
    }
    let named = if fate == LetterFate::Retry { states("all") } else { states("dead") };
    let mut keys: Vec<LetterKey> = Vec::new();
    for id in &args.ids {
        let filter = LetterFilter { id_prefix: Some(prefix(id)), ..args.filter.filter(named, context) };
        let found = store.load_letters(context.workspace(), &filter, 1_000).await?;
        let first = found.first().map(|letter| letter.key.message_id.clone()).ok_or_else(|| unknown(id))?;
        if found.iter().any(|letter| letter.key.message_id != first) {
            return Err(Failure::usage(format!("several letters begin with `{id}`"))
                .hint("give more of it")
                .into());
        }
        keys.extend(found.into_iter().map(|letter| letter.key));
    }
    keys.sort();
    keys.dedup();
    Ok(keys)
}

fn prefix(id: &str) -> String {
    id.trim().trim_end_matches('…').to_ascii_lowercase()
}

fn unknown(id: &str) -> Failure {
    Failure::usage(format!("there is no letter `{id}` that was given up"))
        .hint("`amzctl alert dead list --state all` shows their ids")
}
