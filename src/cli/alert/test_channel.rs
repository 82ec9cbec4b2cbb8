//! `alert test-channel`: a message that says it is a test, through one channel, and what came of it.

use crate::cli::OutputArgs;
use crate::cli::context::Context;
use crate::config::Channel;
use crate::deps;
use crate::error::{Failure, Outcome};
use crate::ids::new_run_id;
use crate::model::Language;
use crate::notify::{NotSent, Notifier, NotifyError, ONLY_RECIPIENT, test_message};
use crate::render::rows::{Rows, printable};

#[derive(Clone, Debug, clap::Args)]
pub(super) struct TestChannelArgs {
    /// Name of the channel: stdout, file, or NAME of a section [channels.NAME]
    #[arg(value_name = "NAME")]
    name: String,

    /// Check keys, addresses and templates, and send nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: TestChannelArgs, context: &Context) -> anyhow::Result<Outcome> {
    let channel = find(&args.name, context)?;
    let notifiers = match deps::notifiers_of(channel, &context.config, context.clock, &|| {
        super::stdout_notifier(context, false)
    }) {
        Ok(notifiers) => notifiers,
        Err(error) => return Err(failure(&args.name, &error).into()),
    };
    if args.dry_run {
        let recipients = channel.recipients().len();
        let kind = channel.kind();
        context
            .ui
            .note(&format!("dry run, nothing sent: {} is ready ({kind}, {recipients} to tell)", args.name));
        return Ok(Outcome::Done);
    }
    let mut rows = Rows::new("amzctl.alert-test-channel/1", &["channel", "recipient", "sent", "detail"]);
    let mut first_failure = None;
    let mut outcome = Outcome::Done;
    for notifier in &notifiers {
        let sent = send(notifier.as_ref(), channel.policy.language, context).await;
        let detail = sent.as_ref().err().map(|error| printable(&error.detail));
        rows.push(vec![
            args.name.as_str().into(),
            Some(notifier.recipient()).filter(|recipient| *recipient != ONLY_RECIPIENT).into(),
            sent.is_ok().into(),
            detail.into(),
        ]);
        if let Err(error) = sent {
            outcome = outcome.and(error.kind.outcome());
            first_failure.get_or_insert(error);
        }
    }
    args.output.emit(&rows, context)?;
    match first_failure {
        None => {
            context.ui.note(&format!("{}: sent, see whether it arrived", args.name));
            Ok(Outcome::Done)
        }
        Some(error) => Err(Failure { outcome, ..failure(&args.name, &error) }.into()),
    }
}

/// The channel of this name.
fn find<'a>(name: &str, context: &'a Context) -> Result<&'a Channel, Failure> {
    let channels = &context.config.channels;
    channels.iter().find(|channel| channel.name == name).ok_or_else(|| {
        let known: Vec<&str> = channels.iter().map(|channel| channel.name.as_str()).collect();
        let hint = if known.is_empty() { "none is configured".to_owned() } else { known.join(", ") };
        Failure::usage(format!("there is no channel `{name}`")).hint(format!("channels: {hint}"))
    })
}

async fn send(notifier: &dyn Notifier, language: Language, context: &Context) -> Result<(), NotifyError> {
    // Every test is a message of its own: a receiver that drops repetitions shows this one too.
    let id = format!("test-{}", new_run_id());
    let day = context.config.zone.day_of(context.clock.now());
    let message = test_message(&id, context.workspace().as_str(), day, language);
    notifier.send(&message).await
}

fn failure(name: &str, error: &NotifyError) -> Failure {
    let hint = match error.kind {
        NotSent::KeyRefused => "check the key, and what it may be used for",
        NotSent::KeyMissing => "set the variable, or name another place with _env, _file or _command",
        NotSent::Misconfigured => "check what its section in amzctl.toml says, and its templates",
        NotSent::Refused => "the receiver does not take this message: check its settings and the address",
        NotSent::Later | NotSent::Unknown => "check the network and the address, and try again",
    };
    Failure::new(error.kind.outcome(), format!("{name}: {}", printable(&error.detail))).hint(hint)
}
