//! The sections `[channels.NAME]`: a way out for alerts each. One table for the user, who hears what and how
//! it is sent; in code the two are apart: [`Policy`] and the settings of the transport.
//!
//! Secrets are never in the file: `*_env`, `*_file` or `*_command` say where one is.

mod check;
mod policy;
mod settings;

use std::collections::BTreeMap;
use std::path::PathBuf;

use figment::Figment;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use policy::BUILT_IN_EVENTS;
pub use policy::{Digesting, EVENT_TYPES, Policy, QuietHours};
pub use settings::{
    DiscordSettings, ExecSettings, HttpSettings, NtfySettings, SeverityWord, SlackSettings, SmtpSettings,
    SmtpTls, SnsSettings, SqsSettings, TeamsSettings, TelegramSettings, WebhookSettings,
};

pub(crate) use check::region_of_queue;
pub(super) use check::{ChannelFault, check_channels, example_of, nearest_key, parse_channels};

/// Names that no section may have: they are the channels of `[alerts]`.
pub(super) const RESERVED: [&str; 2] = ["stdout", "file"];

/// One configured way out, checked.
#[derive(Clone, Debug)]
pub struct Channel {
    /// As the section is named; deliveries carry it.
    pub name: String,
    pub policy: Policy,
    pub transport: Transport,
}

/// How a channel's messages leave.
#[derive(Clone, Debug)]
pub enum Transport {
    /// `[alerts] stdout`.
    Stdout,
    /// `[alerts] file`: the path as the configuration has it, and where it leads.
    File { recipient: String, path: PathBuf },
    /// A section `[channels.NAME]`.
    Section(Box<ChannelSettings>),
}

impl Channel {
    /// Who is told through it, as deliveries name them. Needs no secret.
    pub fn recipients(&self) -> Vec<String> {
        let only = || vec![crate::notify::ONLY_RECIPIENT.to_owned()];
        match &self.transport {
            Transport::Stdout => only(),
            Transport::File { recipient, .. } => vec![recipient.clone()],
            Transport::Section(settings) => match settings.as_ref() {
                ChannelSettings::Smtp(smtp) => smtp.to.clone(),
                ChannelSettings::Telegram(telegram) => telegram.to.clone(),
                _ => only(),
            },
        }
    }

    /// `stdout`, `file`, `smtp`, …
    pub fn kind(&self) -> &'static str {
        match &self.transport {
            Transport::Stdout => "stdout",
            Transport::File { .. } => "file",
            Transport::Section(settings) => settings.kind(),
        }
    }
}

/// The types of channels: a section's settings by its `type`.
macro_rules! channel_types {
    ($($variant:ident $settings:ident $word:literal),+ $(,)?) => {
        /// What a section `[channels.NAME]` says.
        #[derive(Clone, Debug, Serialize)]
        #[serde(untagged)]
        pub enum ChannelSettings { $($variant($settings)),+ }

        impl ChannelSettings {
            /// What `type` may be.
            pub const TYPES: &'static [&'static str] = &[$($word),+];

            pub fn kind(&self) -> &'static str {
                match self { $(ChannelSettings::$variant(_) => $word),+ }
            }

            /// A section that only says its type.
            pub fn plain(kind: &str) -> Option<ChannelSettings> {
                match kind { $($word => Some(ChannelSettings::$variant($settings::default())),)+ _ => None }
            }

            pub(super) fn policy_words(&self) -> settings::PolicyWords<'_> {
                match self { $(ChannelSettings::$variant(settings) => settings.policy_words()),+ }
            }

            /// Tries a section of this type, for the sake of the error.
            fn try_section(kind: &str, figment: &Figment, key: &str) -> Result<(), Box<figment::Error>> {
                match kind {
                    $($word => figment.extract_inner::<$settings>(key).map(drop),)+
                    _ => Ok(()),
                }
                .map_err(|mut error| {
                    // Figment puts the place behind what is in it.
                    let outer = key.split('.').count().min(error.path.len());
                    error.path.rotate_right(outer);
                    Box::new(error)
                })
            }
        }

        impl<'de> Deserialize<'de> for ChannelSettings {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let section = Value::deserialize(deserializer)?;
                match section["type"].as_str() {
                    $(Some($word) => serde_json::from_value(section).map(ChannelSettings::$variant),)+
                    _ => return Err(D::Error::custom("no such type of channel")),
                }
                .map_err(D::Error::custom)
            }
        }

        impl JsonSchema for ChannelSettings {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                "ChannelSettings".into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let types = vec![$(generator.subschema_for::<$settings>()),+];
                schemars::json_schema!({
                    "description": "A way out for alerts: its type, who hears what, and how it is reached.",
                    "oneOf": types,
                })
            }
        }
    };
}

channel_types! {
    Smtp SmtpSettings "smtp",
    Webhook WebhookSettings "webhook",
    Slack SlackSettings "slack",
    Discord DiscordSettings "discord",
    Teams TeamsSettings "teams",
    Telegram TelegramSettings "telegram",
    Ntfy NtfySettings "ntfy",
    Http HttpSettings "http",
    Sns SnsSettings "sns",
    Sqs SqsSettings "sqs",
    Exec ExecSettings "exec",
}

/// The sections by name.
pub type ChannelSections = BTreeMap<String, ChannelSettings>;
