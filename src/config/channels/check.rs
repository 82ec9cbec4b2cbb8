//! What can be wrong with a section `[channels.NAME]`, and the keys it may have.

use chrono_tz::Tz;
use figment::Figment;
use figment::value::Value as FigmentValue;
use serde_json::{Value, json};

use super::settings::SmtpTls;
use super::{Channel, ChannelSections, ChannelSettings, Policy, RESERVED, Transport};

/// The longest name of a channel.
const MAX_NAME: usize = 40;

/// One thing wrong with a section.
pub(in crate::config) struct ChannelFault {
    /// `channels.ops.url`: says the place.
    pub key: String,
    pub message: String,
    pub hint: Option<String>,
}

/// Checks names, types, keys and kinds of values as they are layered; the error of a value is figment's own.
pub(in crate::config) fn check_channels(figment: &Figment) -> (Vec<ChannelFault>, Vec<Box<figment::Error>>) {
    let (mut faults, mut errors) = (Vec::new(), Vec::new());
    let Ok(FigmentValue::Dict(_, sections)) = figment.find_value("channels") else {
        return (faults, errors);
    };
    for (name, section) in &sections {
        let key = format!("channels.{name}");
        let mut fault = |key: &str, message: String, hint: Option<String>| {
            faults.push(ChannelFault { key: key.to_owned(), message, hint });
        };
        if let Some(message) = name_fault(name) {
            fault(&key, message, None);
            continue;
        }
        let FigmentValue::Dict(_, section) = section else {
            fault(&key, format!("`{key}` must be a section with keys"), None);
            continue;
        };
        let types = ChannelSettings::TYPES.join(", ");
        let Some(kind) = section.get("type").and_then(FigmentValue::as_str) else {
            fault(&key, format!("channel `{name}` has no `type`"), Some(format!("it is one of {types}")));
            continue;
        };
        let Some(plain) = ChannelSettings::plain(kind) else {
            let near = most_like(kind, ChannelSettings::TYPES.iter().copied());
            let hint = near.map_or(format!("it is one of {types}"), |near| format!("did you mean `{near}`?"));
            fault(&format!("{key}.type"), format!("there is no channel type `{kind}`"), Some(hint));
            continue;
        };
        let plain = json!(plain);
        let known = || plain.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
        let unknown: Vec<&String> =
            section.keys().filter(|inner| !known().any(|known| known == inner.as_str())).collect();
        for inner in &unknown {
            let near = most_like(inner, known());
            let hint = near.map(|near| format!("did you mean `{key}.{near}`?"));
            let message = format!("unknown key `{key}.{inner}` of a channel of type {kind}");
            fault(&format!("{key}.{inner}"), message, hint);
        }
        if unknown.is_empty() {
            errors.extend(ChannelSettings::try_section(kind, figment, &key).err());
        }
    }
    (faults, errors)
}

fn name_fault(name: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let is_name = name.chars().all(is_plain)
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.len() <= MAX_NAME;
    if !is_name {
        let rule = "lower-case letters, digits, `-` and `_`, beginning with a letter or digit, at most 40";
        return Some(format!("`{name}` is no name of a channel: {rule}"));
    }
    RESERVED.contains(&name).then(|| format!("`{name}` is the channel of `{name}` under [alerts]"))
}

/// The most like of these, if any is.
fn most_like<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (strsim::normalized_damerau_levenshtein(wrong, known), known))
        .map(|(likeness, known)| {
            // Who writes a secret down means to say where it is.
            let is_its_place = known.strip_suffix("_env") == Some(wrong);
            (if is_its_place { 1.0 } else { likeness }, known)
        })
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// A value of the kind that a key of a channel takes: null for a key that no type has.
pub(in crate::config) fn example_of(inner: &str) -> Option<Value> {
    ChannelSettings::TYPES.iter().find_map(|kind| json!(ChannelSettings::plain(kind)?).get(inner).cloned())
}

/// The key of any type that is most like this.
pub(in crate::config) fn nearest_key(inner: &str) -> Option<String> {
    let keys = ChannelSettings::TYPES.iter().filter_map(|kind| match json!(ChannelSettings::plain(kind)?) {
        Value::Object(keys) => Some(keys.into_iter().map(|(key, _)| key)),
        _ => None,
    });
    let keys: Vec<String> = keys.flatten().collect();
    most_like(inner, keys.iter().map(String::as_str)).map(str::to_owned)
}

/// The channels that the sections describe; every fault of theirs.
pub(in crate::config) fn parse_channels(
    sections: &ChannelSections,
    zone: Tz,
) -> (Vec<Channel>, Vec<ChannelFault>) {
    let (mut channels, mut faults) = (Vec::new(), Vec::new());
    for (name, settings) in sections {
        let mut fault = |key: &str, message: &str| {
            let key = format!("channels.{name}.{key}");
            let message = format!("`{key}` {message}");
            faults.push(ChannelFault { key, message, hint: None });
        };
        for (key, message) in own_faults(settings) {
            fault(key, &message);
        }
        match Policy::parse(&settings.policy_words(), zone) {
            Ok(policy) => {
                let transport = Transport::Section(Box::new(settings.clone()));
                channels.push(Channel { name: name.clone(), policy, transport });
            }
            Err(faulty) => {
                for (key, message) in faulty {
                    let joint = if message.starts_with("must") { "" } else { "is not valid: " };
                    fault(key, &format!("{joint}{message}"));
                }
            }
        }
    }
    (channels, faults)
}

/// (key, what is wrong with it) of what is a type's own.
fn own_faults(settings: &ChannelSettings) -> Vec<(&'static str, String)> {
    let mut faults = Vec::new();
    let mut needs = |is_there: bool, key: &'static str, what: &str| {
        if !is_there {
            faults.push((key, what.to_owned()));
        }
    };
    let is_set = |env: &str, file: &Option<std::path::PathBuf>, command: &str| {
        !env.is_empty() || file.is_some() || !command.is_empty()
    };
    let place = "names no place of the secret: set it, or its like that ends in _file or _command";
    match settings {
        ChannelSettings::Smtp(smtp) => {
            needs(!smtp.host.is_empty(), "host", "is missing: the mail server");
            needs(!smtp.from.is_empty(), "from", "is missing: the sender's address");
            needs(!smtp.to.is_empty(), "to", "is empty: nobody is told");
            let has_password = is_set(&smtp.password_env, &smtp.password_file, &smtp.password_command);
            needs(smtp.user.is_empty() || has_password, "password_env", place);
            needs(
                !has_password || !smtp.user.is_empty(),
                "user",
                "is missing: a password alone signs nobody in",
            );
            let is_open = smtp.tls == SmtpTls::None && !smtp.user.is_empty();
            needs(!is_open, "tls", "is \"none\": a password is not sent over an open connection");
            let unsubscribe = smtp.unsubscribe.as_str();
            let is_address = unsubscribe.is_empty()
                || ((unsubscribe.starts_with("https://") || unsubscribe.starts_with("mailto:"))
                    && !unsubscribe.contains(|c: char| c.is_whitespace() || "<>".contains(c)));
            needs(is_address, "unsubscribe", "must be an https or a mailto address");
        }
        ChannelSettings::Webhook(hook) => {
            let has_url = !hook.url.is_empty() || is_set(&hook.url_env, &hook.url_file, &hook.url_command);
            needs(has_url, "url", "is missing: the address that events are posted to");
            needs(is_address(&hook.url), "url", ADDRESS);
            let is_signed = is_set(&hook.secret_env, &hook.secret_file, &hook.secret_command);
            needs(is_signed, "secret_env", place);
        }
        ChannelSettings::Slack(chat) => {
            needs(is_set(&chat.url_env, &chat.url_file, &chat.url_command), "url_env", place);
        }
        ChannelSettings::Discord(chat) => {
            needs(is_set(&chat.url_env, &chat.url_file, &chat.url_command), "url_env", place);
        }
        ChannelSettings::Teams(chat) => {
            needs(is_set(&chat.url_env, &chat.url_file, &chat.url_command), "url_env", place);
        }
        ChannelSettings::Telegram(bot) => {
            needs(is_set(&bot.token_env, &bot.token_file, &bot.token_command), "token_env", place);
            needs(!bot.to.is_empty(), "to", "is empty: nobody is told");
            needs(is_address(&bot.base_url), "base_url", ADDRESS);
        }
        ChannelSettings::Ntfy(ntfy) => {
            let is_topic = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            let topic = &ntfy.topic;
            needs(
                !topic.is_empty() && topic.chars().all(is_topic),
                "topic",
                "must be letters, digits, `-` and `_`",
            );
            needs(is_address(&ntfy.base_url), "base_url", ADDRESS);
        }
        ChannelSettings::Http(http) => {
            let has_url = !http.url.is_empty() || is_set(&http.url_env, &http.url_file, &http.url_command);
            needs(has_url, "url", "is missing: the address that requests go to");
            needs(is_address(&http.url), "url", ADDRESS);
            needs(http.body_template.is_some(), "body_template", "is missing: the template of the body");
            let methods = ["POST", "PUT", "PATCH"];
            needs(methods.contains(&http.method.as_str()), "method", "must be POST, PUT or PATCH");
            let is_header = |(name, value): (&String, &String)| {
                reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_ok()
                    && reqwest::header::HeaderValue::from_str(value).is_ok()
            };
            needs(http.headers.iter().all(is_header), "headers", "must be names and values of HTTP headers");
            let token_header = reqwest::header::HeaderName::from_bytes(http.token_header.as_bytes());
            needs(token_header.is_ok(), "token_header", "must be the name of an HTTP header");
        }
        ChannelSettings::Sns(sns) => {
            let parts = sns.topic_arn.split(':').count();
            needs(sns.topic_arn.starts_with("arn:") && parts == 6, "topic_arn", "must be the ARN of a topic");
            needs(is_address(&sns.base_url), "base_url", ADDRESS);
        }
        ChannelSettings::Sqs(sqs) => {
            needs(!sqs.queue_url.is_empty() && is_address(&sqs.queue_url), "queue_url", ADDRESS);
            let has_region = !sqs.region.is_empty() || region_of_queue(&sqs.queue_url).is_some();
            needs(has_region, "region", "is missing, and the queue's address does not tell it");
        }
        ChannelSettings::Exec(exec) => {
            let is_command = exec.command.first().is_some_and(|program| !program.is_empty());
            needs(is_command, "command", "is empty: it names the program and its arguments");
        }
    }
    faults
}

/// The region in the address of a queue: `https://sqs.eu-central-1.amazonaws.com/…`.
pub(crate) fn region_of_queue(url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok()?;
    let mut labels = url.host_str()?.split('.');
    let region = match (labels.next()?, labels.next()?) {
        ("sqs", region) => region,
        // The older form: `eu-central-1.queue.amazonaws.com`.
        (region, "queue") => region,
        _ => return None,
    };
    Some(region.to_owned())
}

const ADDRESS: &str = "must be an http address without a user or a password";

/// True for no address at all too: whether one is needed is another question.
fn is_address(text: &str) -> bool {
    text.is_empty()
        || reqwest::Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
        })
}
