//! `keys`: who may ask serve-lite, for what, and until when.

use std::time::Duration;

use anyhow::Context as _;
use clap::builder::PossibleValuesParser;

use super::OutputArgs;
use super::alert::whoever_types;
use super::context::Context;
use super::dates::parse_duration;
use super::output::counted;
use crate::error::{Failure, Outcome};
use crate::model::{KeyKind, KeyTier, Permissions, Timestamp};
use crate::render::rows::{Cell, Rows, instant_to_second, known};
use crate::serve::{KeyRefusal, KeyRequest, MadeKey, NewKey, key_name, make_key, new_key};
use crate::store::Store;
use crate::store::keys::ApiKey;

/// Make, list, replace and revoke the keys that serve-lite asks for
#[derive(Clone, Debug, clap::Args)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum KeysCommand {
    /// Make a key of the workspace; it is shown once, and only its hash is kept
    Create(CreateArgs),
    /// List the workspace's keys
    List(ListArgs),
    /// Revoke keys: they end at once
    Revoke(RevokeArgs),
    /// Make a key in the place of another, which ends a while later
    Rotate(RotateArgs),
}

#[derive(Clone, Debug, clap::Args)]
struct CreateArgs {
    /// What the key is for: how logs and alerts call whoever uses it
    #[arg(long, value_name = "NAME", value_parser = key_name)]
    name: String,

    /// public (pk_, reads), secret (sk_, reads and changes alerts) or admin (ak_, also operates)
    #[arg(
        long,
        value_name = "KIND",
        default_value = "secret",
        value_parser = PossibleValuesParser::new(KeyKind::ALL.iter().map(|kind| kind.as_str())),
        hide_possible_values = true
    )]
    kind: String,

    /// Only these of the kind's permissions: read, write, operate
    #[arg(long, value_name = "A,B")]
    permissions: Option<Permissions>,

    /// How much it may ask: basic (60 a minute, 1000 an hour), standard (300, 10000) or premium (1000, 50000)
    #[arg(
        long,
        value_name = "TIER",
        default_value = "basic",
        value_parser = PossibleValuesParser::new(KeyTier::ALL.iter().map(|tier| tier.as_str())),
        hide_possible_values = true
    )]
    tier: String,

    /// End it after so long: 12h, 90d [default: it does not end]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    expires: Option<Duration>,

    /// Say what would be made, and make nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Debug, clap::Args)]
struct RevokeArgs {
    /// Ids of keys, or their first digits
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,

    /// Say which would end, and end none
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct RotateArgs {
    /// The id of the key, or its first digits
    #[arg(value_name = "ID")]
    id: String,

    /// How long the old key goes on: 0s, 24h
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = parse_duration)]
    grace: Duration,

    /// Say what would be made, and make nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: KeysArgs, context: &Context) -> anyhow::Result<Outcome> {
    let store = context.open_store().await?;
    match args.command {
        KeysCommand::Create(args) => create(&args, &store, context).await?,
        KeysCommand::List(args) => list(&args, &store, context).await?,
        KeysCommand::Revoke(args) => revoke(&args, &store, context).await?,
        KeysCommand::Rotate(args) => rotate(&args, &store, context).await?,
    }
    Ok(Outcome::Done)
}

async fn create(args: &CreateArgs, store: &Store, context: &Context) -> anyhow::Result<()> {
    let now = context.clock.now();
    let kind = KeyKind::from_word(&args.kind).unwrap_or(KeyKind::Public);
    let tier = KeyTier::from_word(&args.tier).unwrap_or_default();
    let expires_at = args.expires.map(|after| later(now, after, "--expires")).transpose()?;
    let request = KeyRequest {
        workspace: context.workspace().clone(),
        name: args.name.clone(),
        kind,
        permissions: args.permissions.clone(),
        tier,
        expires_at,
        by: whoever_types(),
        now,
    };
    let MadeKey { key, text } = make_key(request)?.map_err(|refusal| {
        let failure = Failure::usage(refusal.to_string());
        match refusal {
            KeyRefusal::Beyond { kind, .. } => {
                failure.hint(format!("it may have {}; --kind names another", kind.permissions()))
            }
            KeyRefusal::Nothing => failure,
        }
    })?;
    if args.dry_run {
        let ApiKey { workspace, permissions, .. } = &key;
        context
            .ui
            .note(&format!("dry run, nothing made: a key of {workspace}, {kind}, that may {permissions}"));
        return Ok(());
    }
    store.save_key(&key).await.context("failed to save the key")?;
    show(&key, &text, &args.output, context)
}

/// Errors: usage, where time is not counted as far.
fn later(now: Timestamp, after: Duration, flag: &str) -> Result<Timestamp, Failure> {
    let after = chrono::Duration::from_std(after).ok();
    after
        .and_then(|after| now.checked_add_signed(after))
        .ok_or_else(|| Failure::usage(format!("{flag} is longer than time is counted")))
}

/// Shows a key, this once.
fn show(key: &ApiKey, text: &str, output: &OutputArgs, context: &Context) -> anyhow::Result<()> {
    let fields: [(&'static str, Cell); 9] = [
        ("key", text.into()),
        ("key_id", key.key_id.as_str().into()),
        ("workspace", key.workspace.as_str().into()),
        ("name", key.name.as_str().into()),
        ("kind", key.kind.as_str().into()),
        ("permissions", key.permissions.to_string().into()),
        ("tier", key.tier.as_str().into()),
        ("expires_at", key.expires_at.into()),
        ("replaces", known(&key.replaces)),
    ];
    output.emit_record("amzctl.keys.create/1", &fields, context)?;
    context.ui.note("keep the key now: it is not shown again");
    Ok(())
}

async fn list(args: &ListArgs, store: &Store, context: &Context) -> anyhow::Result<()> {
    let keys = store.load_keys(context.workspace()).await.context("failed to load keys")?;
    let now = context.clock.now();
    let mut rows = Rows::new(
        "amzctl.keys/1",
        &[
            "key_id",
            "name",
            "kind",
            "permissions",
            "tier",
            "state",
            "created_at",
            "created_by",
            "expires_at",
            "revoked_at",
            "revoked_by",
            "replaces",
        ],
    );
    for key in &keys {
        rows.push(vec![
            key.key_id.as_str().into(),
            key.name.as_str().into(),
            key.kind.as_str().into(),
            key.permissions.to_string().into(),
            key.tier.as_str().into(),
            key.state(now).into(),
            key.created_at.into(),
            key.created_by.as_str().into(),
            key.expires_at.into(),
            key.revoked_at.into(),
            known(&key.revoked_by),
            known(&key.replaces),
        ]);
    }
    if rows.is_empty() {
        context.ui.note("no keys: `amzctl keys create --name NAME` makes one");
    }
    let table = ["key_id", "name", "kind", "permissions", "tier", "state", "expires_at"];
    args.output.emit_columns(&rows, &table, context)
}

async fn revoke(args: &RevokeArgs, store: &Store, context: &Context) -> anyhow::Result<()> {
    let mut ids = Vec::with_capacity(args.ids.len());
    for id in &args.ids {
        ids.push(named(id, store, context).await?.key_id);
    }
    if args.dry_run {
        context.ui.note(&format!("dry run, nothing revoked: {}", ids.join(", ")));
        return Ok(());
    }
    let (by, now) = (whoever_types(), context.clock.now());
    let revoked =
        store.revoke_keys(context.workspace(), &ids, &by, now).await.context("failed to revoke keys")?;
    let rest = ids.len() as u64 - revoked.min(ids.len() as u64);
    let rest = if rest > 0 { format!(", {rest} had ended before") } else { String::new() };
    context.ui.note(&format!("{} revoked{rest}", counted(revoked, "key")));
    Ok(())
}

async fn rotate(args: &RotateArgs, store: &Store, context: &Context) -> anyhow::Result<()> {
    let old = named(&args.id, store, context).await?;
    let now = context.clock.now();
    let until = later(now, args.grace, "--grace")?;
    let ended = || {
        Failure::usage(format!("key {} has ended", old.key_id))
            .hint("make a new one with `amzctl keys create`")
    };
    if !old.is_active(now) {
        return Err(ended().into());
    }
    if args.dry_run {
        context.ui.note(&format!("dry run, nothing made: a key in the place of {}", old.key_id));
        return Ok(());
    }
    let NewKey { key_id, text, key_sha256 } = new_key(old.kind)?;
    let new = ApiKey {
        key_id,
        key_sha256,
        created_at: now,
        created_by: whoever_types(),
        revoked_at: None,
        revoked_by: String::new(),
        replaces: old.key_id.clone(),
        ..old.clone()
    };
    if !store.rotate_key(&new, until).await.context("failed to replace the key")? {
        return Err(ended().into());
    }
    show(&new, &text, &args.output, context)?;
    context.ui.note(&format!("{} ends at {}", old.key_id, instant_to_second(until)));
    Ok(())
}

/// Errors: usage, where no key or several of the workspace have this id.
async fn named(id: &str, store: &Store, context: &Context) -> anyhow::Result<ApiKey> {
    let keys = store.load_keys(context.workspace()).await.context("failed to load keys")?;
    let mut found = keys.into_iter().filter(|key| !id.is_empty() && key.key_id.starts_with(id));
    match (found.next(), found.next()) {
        (Some(key), None) => Ok(key),
        (None, _) => Err(Failure::usage(format!("there is no key `{id}`"))
            .hint("`amzctl keys list` shows their ids")
            .into()),
        (Some(_), Some(_)) => Err(Failure::usage(format!("more than one key's id begins with `{id}`"))
            .hint("give more of it")
            .into()),
    }
}
