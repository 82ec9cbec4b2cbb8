//! The adapters that the configuration asks for, built once for the command line.

mod channels;

use std::path::Path;
use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Failure, Outcome};
use crate::model::{Rate, SpendingLimits, check_live_source, micros_of_dollars};
use crate::sources::secret::{Secret, SecretPlace};
use crate::sources::sp_api::Region;
use crate::sources::{Source, apify, firecrawl, html, keepa, rainforest, sp_api};
use crate::stages::fetch::Configured;

pub use channels::notifiers_of;

/// What a source is built for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    Asking,
    /// Planning touches no network and needs no key.
    Planning,
}

/// Builds the source of this name.
///
/// Errors: a name that no provider has (usage), a key that is not to be found (credentials, exit 12), a section that
/// cannot work (usage).
pub fn source(name: &str, config: &Config, clock: Clock, purpose: Purpose) -> Result<Configured, Failure> {
    match name {
        apify::NAME => apify(config, clock, purpose),
        keepa::NAME => keepa(config, clock, purpose),
        sp_api::NAME => sp_api(config, clock, purpose),
        firecrawl::NAME => firecrawl(config, clock, purpose),
        rainforest::NAME => rainforest(config, clock, purpose),
        html::NAME => html(config, clock),
        other => {
            let (message, hint) = check_live_source(other).err().unwrap_or_default();
            let failure = Failure::usage(message);
            Err(hint.into_iter().fold(failure, Failure::hint))
        }
    }
}

/// Where a key is, in the words of the section.
struct KeyPlace<'a> {
    source: &'static str,
    env: &'a str,
    file: Option<&'a Path>,
    command: &'a str,
    /// `key`, `token`.
    what: &'static str,
}

fn secret(place: &KeyPlace<'_>, config: &Config, purpose: Purpose) -> Result<Secret, Failure> {
    if purpose == Purpose::Planning {
        return Ok(Secret::new("no-key-is-needed-for-a-plan"));
    }
    let folder = config.file.as_deref().and_then(Path::parent);
    let file = place.file.map(|file| folder.map_or_else(|| file.to_owned(), |folder| folder.join(file)));
    let found = Secret::read(
        &SecretPlace { env: place.env, file: file.as_deref(), command: place.command },
        &|name| variable(config, name),
    );
    found.map_err(|error| {
        let KeyPlace { source, what, .. } = place;
        let section = source.replace('-', "_");
        Failure::new(Outcome::Credentials, format!("{source}: {error}")).hint(format!(
            "set the variable, or name another place with {what}_env, {what}_file or {what}_command under [{section}]"
        ))
    })
}

/// A variable of the environment, else of the `.env` file.
pub(crate) fn variable(config: &Config, name: &str) -> Option<String> {
    std::env::var(name).ok().or_else(|| config.dot_env.get(name).cloned())
}

/// Dollars that are not known are written as 0.
fn price(dollars: f64) -> Option<i64> {
    micros_of_dollars(dollars).filter(|micros| *micros > 0)
}

fn unusable(error: anyhow::Error) -> Failure {
    Failure::usage(format!("{error:#}"))
}

/// Where neither the operator nor the provider names a rate.
const CAREFUL: Rate = Rate { per_second: 1.0, burst: 1 };

fn apify(config: &Config, clock: Clock, purpose: Purpose) -> Result<Configured, Failure> {
    let section = &config.settings.apify;
    let place = KeyPlace {
        source: apify::NAME,
        env: &section.token_env,
        file: section.token_file.as_deref(),
        command: &section.token_command,
        what: "token",
    };
    let options = apify::Options {
        base_url: section.base_url.clone(),
        timeout: section.timeout(),
        rate: section.rate().unwrap_or(CAREFUL),
        batch: section.batch as usize,
        actor: section.actor.replace('/', "~"),
        input: section.input.clone(),
        wait_s: section.wait_s,
        result_micros: price(section.usd_per_result),
    };
    let source = apify::Apify::new(options, secret(&place, config, purpose)?, clock).map_err(unusable)?;
    Ok(configured(source, section.limits(), section.concurrency))
}

fn keepa(config: &Config, clock: Clock, purpose: Purpose) -> Result<Configured, Failure> {
    let section = &config.settings.keepa;
    let place = KeyPlace {
        source: keepa::NAME,
        env: &section.key_env,
        file: section.key_file.as_deref(),
        command: &section.key_command,
        what: "key",
    };
    let options = keepa::Options {
        base_url: section.base_url.clone(),
        timeout: section.timeout(),
        rate: section.rate().unwrap_or(CAREFUL),
        buy_box: section.buy_box,
        offers: section.offers,
        token_micros: price(section.usd_per_token),
    };
    let source = keepa::Keepa::new(options, secret(&place, config, purpose)?, clock).map_err(unusable)?;
    Ok(configured(source, section.limits(), section.concurrency))
}

fn firecrawl(config: &Config, clock: Clock, purpose: Purpose) -> Result<Configured, Failure> {
    let section = &config.settings.firecrawl;
    let place = KeyPlace {
        source: firecrawl::NAME,
        env: &section.key_env,
        file: section.key_file.as_deref(),
        command: &section.key_command,
        what: "key",
    };
    let options = firecrawl::Options {
        base_url: section.base_url.clone(),
        version: if section.version == "v1" { firecrawl::Version::V1 } else { firecrawl::Version::V2 },
        timeout: section.timeout(),
        rate: section.rate().unwrap_or(CAREFUL),
        batch: section.batch as usize,
        proxy: section.proxy.clone(),
        credit_micros: price(section.usd_per_credit),
    };
    let key = secret(&place, config, purpose)?;
    let source = firecrawl::Firecrawl::new(options, key, clock).map_err(unusable)?;
    Ok(configured(source, section.limits(), section.concurrency))
}

fn rainforest(config: &Config, clock: Clock, purpose: Purpose) -> Result<Configured, Failure> {
    let section = &config.settings.rainforest;
    let place = KeyPlace {
        source: rainforest::NAME,
        env: &section.key_env,
        file: section.key_file.as_deref(),
        command: &section.key_command,
        what: "key",
    };
    let options = rainforest::Options {
        base_url: section.base_url.clone(),
        timeout: section.timeout(),
        rate: section.rate().unwrap_or(CAREFUL),
        credit_micros: price(section.usd_per_credit),
    };
    let key = secret(&place, config, purpose)?;
    let source = rainforest::Rainforest::new(options, key, clock).map_err(unusable)?;
    Ok(configured(source, section.limits(), section.concurrency))
}

fn html(config: &Config, clock: Clock) -> Result<Configured, Failure> {
    let section = &config.settings.html;
    // Reading files needs no politeness.
    let files = Rate { per_second: 10_000.0, burst: 10_000 };
    let rate = if section.fetch { section.rate().unwrap_or(CAREFUL) } else { files };
    let options = html::Options {
        folder: config.pages.clone(),
        fetch: section.fetch,
        base_url: section.base_url.clone(),
        timeout: section.timeout(),
        rate,
    };
    let source = html::SavedPages::new(options, clock).map_err(unusable)?;
    Ok(configured(source, section.limits(), section.concurrency))
}

fn sp_api(config: &Config, clock: Clock, purpose: Purpose) -> Result<Configured, Failure> {
    let section = &config.settings.sp_api;
    let options = sp_api::Options {
        base_url: section.base_url.clone(),
        token_url: section.token_url.clone(),
        timeout: section.timeout(),
        operations: section.operations.clone(),
        rate: section.rate(),
    };
    let keys = match purpose {
        Purpose::Asking => sp_api_keys(config)?,
        Purpose::Planning => sp_api_keys(config).unwrap_or_else(|_| planned_keys()),
    };
    let source = sp_api::SpApi::new(options, &keys, clock).map_err(unusable)?;
    Ok(configured(source, section.limits(), section.concurrency))
}

/// Keys for every region, of which a plan uses none.
fn planned_keys() -> sp_api::Keys {
    let none = || Secret::new("no-key-is-needed-for-a-plan");
    sp_api::Keys {
        client_id: none(),
        client_secret: none(),
        refresh_tokens: Region::ALL.map(|region| (region, none())).to_vec(),
    }
}

/// Five secrets, from variables or from the lines of one file.
fn sp_api_keys(config: &Config) -> Result<sp_api::Keys, Failure> {
    let section = &config.settings.sp_api;
    let refused = |message: String| {
        Failure::new(Outcome::Credentials, format!("{}: {message}", sp_api::NAME))
            .hint("set the variables named under [sp_api], or keep the secrets in its `secrets_file`")
    };
    let names = [
        &section.client_id_env,
        &section.client_secret_env,
        &section.refresh_token_na_env,
        &section.refresh_token_eu_env,
        &section.refresh_token_fe_env,
    ];
    let found: Vec<Option<String>> = match &section.secrets_file {
        Some(file) => {
            let folder = config.file.as_deref().and_then(Path::parent);
            let path = folder.map_or_else(|| file.clone(), |folder| folder.join(file));
            let text = std::fs::read_to_string(&path)
                .map_err(|error| refused(format!("cannot read {}: {error}", path.display())))?;
            let mut lines = text.lines().map(|line| line.trim().to_owned());
            names.iter().map(|_| lines.next().filter(|line| !line.is_empty())).collect()
        }
        None => {
            names.iter().map(|name| variable(config, name).filter(|text| !text.trim().is_empty())).collect()
        }
    };
    let mut found = found
        .into_iter()
        .zip(names)
        .map(|(text, name)| text.map(|text| Secret::checked(text.trim(), name).map_err(refused)).transpose());
    let mut needed = |name: &str| {
        let missing = || match &section.secrets_file {
            Some(file) => refused(format!("{} has no line for {name}", file.display())),
            None => refused(format!("the environment variable {name} is not set")),
        };
        found.next().transpose().map(Option::flatten)?.ok_or_else(missing)
    };
    let client_id = needed(&section.client_id_env)?;
    let client_secret = needed(&section.client_secret_env)?;
    let mut refresh_tokens = Vec::new();
    for (region, token) in Region::ALL.into_iter().zip(found) {
        refresh_tokens.extend(token?.map(|token| (region, token)));
    }
    if refresh_tokens.is_empty() {
        let [_, _, regions @ ..] = names;
        return Err(refused(format!("none of {} is set", regions.map(String::as_str).join(", "))));
    }
    Ok(sp_api::Keys { client_id, client_secret, refresh_tokens })
}

fn configured(source: impl Source + 'static, limits: SpendingLimits, concurrency: u32) -> Configured {
    Configured { source: Arc::new(source), limits, concurrency: concurrency as usize }
}
