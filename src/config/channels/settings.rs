//! The keys of every type of channel. Those of the policy are the same in all, with the type's own defaults.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A set of words that a key may have.
macro_rules! key_words {
    ($(#[$meta:meta])* $name:ident { $(#[$default:meta])? $first:ident = $first_word:literal $(, $variant:ident = $word:literal)* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
        pub enum $name {
            #[default]
            #[serde(rename = $first_word)]
            $first,
            $(#[serde(rename = $word)] $variant,)*
        }
    };
}

key_words! {
    /// The least severe alert that is told.
    SeverityWord { Low = "low", Medium = "medium", High = "high", Critical = "critical" }
}
key_words! {
    /// What is told in quiet hours all the same.
    QuietBypass { Critical = "critical", None = "none" }
}
key_words! {
    /// Whether events wait to be told together.
    DigestWord { None = "none", Daily = "daily", Weekly = "weekly" }
}
key_words! {
    /// The day of a weekly digest.
    DigestDay {
        Monday = "monday", Tuesday = "tuesday", Wednesday = "wednesday", Thursday = "thursday",
        Friday = "friday", Saturday = "saturday", Sunday = "sunday",
    }
}
key_words! {
    /// The language of messages for people.
    LanguageWord { English = "en", TraditionalChinese = "zh-TW" }
}
key_words! {
    /// How the connection to a mail server is secured.
    SmtpTls { StartTls = "starttls", Tls = "tls", None = "none" }
}

/// The keys of a channel's policy, as they are written.
pub(in crate::config) struct PolicyWords<'a> {
    pub events: &'a [String],
    pub min_severity: SeverityWord,
    pub rules: &'a [String],
    pub marketplaces: &'a [String],
    pub workspaces: &'a [String],
    pub quiet_hours: &'a str,
    pub time_zone: &'a str,
    pub quiet_bypass: QuietBypass,
    pub digest: DigestWord,
    pub digest_at: &'a str,
    pub digest_day: DigestDay,
    pub group: u32,
    pub per_minute: u32,
    pub concurrency: u32,
    pub language: LanguageWord,
    pub timeout_s: u32,
}

/// A type of channel: its own keys, and those that every channel has.
macro_rules! channel_settings {
    (
        $(#[$meta:meta])*
        $name:ident($kind:ident = $word:literal) {
            group: $group:expr,
            per_minute: $per_minute:expr,
            $($(#[$field_meta:meta])* $field:ident: $type:ty = $default:expr,)*
        }
    ) => {
        key_words! {
            #[doc = concat!("`", $word, "`.")]
            $kind { Word = $word }
        }

        $(#[$meta])*
        #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        #[schemars(extend("required" = ["type"]))]
        pub struct $name {
            /// How messages leave.
            pub r#type: $kind,
            $($(#[$field_meta])* pub $field: $type,)*
            /// Types of events that are told: alert.opened, alert.escalated, alert.resolved, incident.opened,
            /// report.published, run.finished, run.failed.
            pub events: Vec<String>,
            /// The least severe alerts that are told: low, medium, high or critical.
            pub min_severity: SeverityWord,
            /// Only alerts of these rules; empty for all.
            pub rules: Vec<String>,
            /// Only what is about these marketplaces; empty for all.
            pub marketplaces: Vec<String>,
            /// Only what belongs to these workspaces; empty for all.
            pub workspaces: Vec<String>,
            /// Hours in which nothing is sent, as "22:00-07:00"; what comes up waits for their end. Empty for
            /// none.
            pub quiet_hours: String,
            /// IANA time zone of quiet hours and digests; empty for the reporting zone.
            pub time_zone: String,
            /// What is sent in quiet hours all the same: "critical" alerts, or "none".
            pub quiet_bypass: QuietBypass,
            /// "daily" or "weekly": everything waits for one message; "none" tells at once.
            pub digest: DigestWord,
            /// The time of day of a digest.
            pub digest_at: String,
            /// The day of a weekly digest.
            pub digest_day: DigestDay,
            /// How many events one message may tell of.
            pub group: u32,
            /// Messages a minute, at most; 0 for no limit.
            pub per_minute: u32,
            /// Messages on their way at the same time; with 1 they arrive in order.
            pub concurrency: u32,
            /// Language of messages for people: "en" or "zh-TW".
            pub language: LanguageWord,
            /// Seconds after which a message counts as not answered.
            pub timeout_s: u32,
        }

        impl Default for $name {
            fn default() -> Self {
                $name {
                    r#type: $kind::Word,
                    $($field: $default,)*
                    events: super::BUILT_IN_EVENTS.map(str::to_owned).to_vec(),
                    min_severity: SeverityWord::Low,
                    rules: Vec::new(),
                    marketplaces: Vec::new(),
                    workspaces: Vec::new(),
                    quiet_hours: String::new(),
                    time_zone: String::new(),
                    quiet_bypass: QuietBypass::Critical,
                    digest: DigestWord::None,
                    digest_at: "08:00".into(),
                    digest_day: DigestDay::Monday,
                    group: $group,
                    per_minute: $per_minute,
                    concurrency: 1,
                    language: LanguageWord::English,
                    timeout_s: 20,
                }
            }
        }

        impl $name {
            pub(in crate::config) fn policy_words(&self) -> PolicyWords<'_> {
                PolicyWords {
                    events: &self.events,
                    min_severity: self.min_severity,
                    rules: &self.rules,
                    marketplaces: &self.marketplaces,
                    workspaces: &self.workspaces,
                    quiet_hours: &self.quiet_hours,
                    time_zone: &self.time_zone,
                    quiet_bypass: self.quiet_bypass,
                    digest: self.digest,
                    digest_at: &self.digest_at,
                    digest_day: self.digest_day,
                    group: self.group,
                    per_minute: self.per_minute,
                    concurrency: self.concurrency,
                    language: self.language,
                    timeout_s: self.timeout_s,
                }
            }

            pub fn timeout(&self) -> Duration {
                Duration::from_secs(self.timeout_s.into())
            }
        }
    };
}

channel_settings! {
    /// Mail, as text and HTML, a message to each address.
    SmtpSettings(SmtpKind = "smtp") {
        group: 20, per_minute: 60,
        /// The mail server.
        host: String = String::new(),
        /// Its port; 0 for 587 with "starttls", 465 with "tls" and 25 with "none".
        port: u16 = 0,
        /// "starttls", "tls" from the first byte on, or "none".
        tls: SmtpTls = SmtpTls::StartTls,
        /// PEM file with certificates that are trusted besides the machine's.
        ca_file: Option<PathBuf> = None,
        /// Who signs in; empty for a server that asks nobody to.
        user: String = String::new(),
        /// Environment variable that holds the password.
        password_env: String = String::new(),
        /// File that holds it instead.
        password_file: Option<PathBuf> = None,
        /// Command that prints it instead.
        password_command: String = String::new(),
        /// Sender: an address, or `Name <address>`.
        from: String = String::new(),
        /// Who is told; each gets a message.
        to: Vec<String> = Vec::new(),
        /// Address for answers; empty for the sender's.
        reply_to: String = String::new(),
        /// Where a recipient can unsubscribe: an https or a mailto address; empty for a mail to the sender.
        unsubscribe: String = String::new(),
        /// Template file of the subject, instead of the built-in one.
        subject_template: Option<PathBuf> = None,
        /// Template file of the text part.
        text_template: Option<PathBuf> = None,
        /// Template file of the HTML part.
        html_template: Option<PathBuf> = None,
    }
}

channel_settings! {
    /// A webhook as Standard Webhooks has it: the event as JSON, signed.
    WebhookSettings(WebhookKind = "webhook") {
        group: 1, per_minute: 0,
        /// Address that events are posted to.
        url: String = String::new(),
        /// Environment variable that holds the address, where it is a secret.
        url_env: String = String::new(),
        /// File that holds it instead.
        url_file: Option<PathBuf> = None,
        /// Command that prints it instead.
        url_command: String = String::new(),
        /// Environment variable that holds the signing key: `whsec_…`, or two of them with a space between
        /// while the key is changed.
        secret_env: String = String::new(),
        /// File that holds it instead.
        secret_file: Option<PathBuf> = None,
        /// Command that prints it instead.
        secret_command: String = String::new(),
        /// The address may be private: in this network, or on this machine.
        allow_private: bool = false,
    }
}

/// A chat whose address is the secret.
macro_rules! chat_settings {
    ($(#[$meta:meta])* $name:ident($kind:ident = $word:literal) { group: $group:expr, per_minute: $per_minute:expr, }) => {
        channel_settings! {
            $(#[$meta])*
            $name($kind = $word) {
                group: $group, per_minute: $per_minute,
                /// Environment variable that holds the address, which is a secret.
                url_env: String = String::new(),
                /// File that holds it instead.
                url_file: Option<PathBuf> = None,
                /// Command that prints it instead.
                url_command: String = String::new(),
                /// Template file of the text, instead of the built-in one.
                template: Option<PathBuf> = None,
                /// The address may be private: in this network, or on this machine.
                allow_private: bool = false,
            }
        }
    };
}

chat_settings! {
    /// Slack, by an incoming webhook.
    SlackSettings(SlackKind = "slack") { group: 20, per_minute: 60, }
}
chat_settings! {
    /// Discord, by a webhook.
    DiscordSettings(DiscordKind = "discord") { group: 20, per_minute: 30, }
}
chat_settings! {
    /// Microsoft Teams, by a webhook of Workflows.
    TeamsSettings(TeamsKind = "teams") { group: 20, per_minute: 60, }
}

channel_settings! {
    /// Telegram, by a bot.
    TelegramSettings(TelegramKind = "telegram") {
        group: 20, per_minute: 20,
        /// Environment variable that holds the bot's token.
        token_env: String = String::new(),
        /// File that holds it instead.
        token_file: Option<PathBuf> = None,
        /// Command that prints it instead.
        token_command: String = String::new(),
        /// Chats that are told: ids, or names of channels as `@name`.
        to: Vec<String> = Vec::new(),
        /// Address of the service.
        base_url: String = "https://api.telegram.org".into(),
        /// Template file of the text, as HTML that Telegram knows.
        template: Option<PathBuf> = None,
        /// The address may be private: in this network, or on this machine.
        allow_private: bool = false,
    }
}

channel_settings! {
    /// Push messages by ntfy.
    NtfySettings(NtfyKind = "ntfy") {
        group: 10, per_minute: 60,
        /// Address of the server.
        base_url: String = "https://ntfy.sh".into(),
        /// Topic that is published to.
        topic: String = String::new(),
        /// Environment variable that holds an access token; without one the topic is public.
        token_env: String = String::new(),
        /// File that holds it instead.
        token_file: Option<PathBuf> = None,
        /// Command that prints it instead.
        token_command: String = String::new(),
        /// Template file of the text, instead of the built-in one.
        template: Option<PathBuf> = None,
        /// The address may be private: in this network, or on this machine.
        allow_private: bool = false,
    }
}

channel_settings! {
    /// Any HTTP interface: a request whose body is a template of yours.
    HttpSettings(HttpKind = "http") {
        group: 1, per_minute: 60,
        /// POST, PUT or PATCH.
        method: String = "POST".into(),
        /// Address that requests go to.
        url: String = String::new(),
        /// Environment variable that holds the address, where it is a secret.
        url_env: String = String::new(),
        /// File that holds it instead.
        url_file: Option<PathBuf> = None,
        /// Command that prints it instead.
        url_command: String = String::new(),
        /// Template file of the body: .json, .html, .xml or .txt, which says how values are escaped.
        body_template: Option<PathBuf> = None,
        /// Content type; empty for that of the template's ending.
        content_type: String = String::new(),
        /// Further headers: { "X-Team" = "pricing" }. No secrets.
        headers: BTreeMap<String, String> = BTreeMap::new(),
        /// Environment variable that holds a token to send.
        token_env: String = String::new(),
        /// File that holds it instead.
        token_file: Option<PathBuf> = None,
        /// Command that prints it instead.
        token_command: String = String::new(),
        /// Header that carries the token.
        token_header: String = "Authorization".into(),
        /// What stands before the token.
        token_prefix: String = "Bearer ".into(),
        /// The address may be private: in this network, or on this machine.
        allow_private: bool = false,
    }
}

channel_settings! {
    /// A topic of Amazon SNS.
    SnsSettings(SnsKind = "sns") {
        group: 1, per_minute: 0,
        /// ARN of the topic, which also says the region.
        topic_arn: String = String::new(),
        /// Address instead of the region's own.
        base_url: String = String::new(),
        /// Environment variable that holds the access key's id.
        access_key_env: String = "AWS_ACCESS_KEY_ID".into(),
        /// Environment variable that holds the access key's secret.
        secret_key_env: String = "AWS_SECRET_ACCESS_KEY".into(),
        /// Environment variable that may hold a session token.
        session_token_env: String = "AWS_SESSION_TOKEN".into(),
        /// The address may be private: in this network, or on this machine.
        allow_private: bool = false,
    }
}

channel_settings! {
    /// A queue of Amazon SQS.
    SqsSettings(SqsKind = "sqs") {
        group: 1, per_minute: 0,
        /// Address of the queue.
        queue_url: String = String::new(),
        /// Region; empty for that of the queue's address.
        region: String = String::new(),
        /// Environment variable that holds the access key's id.
        access_key_env: String = "AWS_ACCESS_KEY_ID".into(),
        /// Environment variable that holds the access key's secret.
        secret_key_env: String = "AWS_SECRET_ACCESS_KEY".into(),
        /// Environment variable that may hold a session token.
        session_token_env: String = "AWS_SESSION_TOKEN".into(),
        /// The address may be private: in this network, or on this machine.
        allow_private: bool = false,
    }
}

channel_settings! {
    /// A program that is started for every message, with the message on its standard input.
    ExecSettings(ExecKind = "exec") {
        group: 1, per_minute: 0,
        /// The program and its arguments; no shell reads them.
        command: Vec<String> = Vec::new(),
        /// Names of environment variables that it gets besides PATH, HOME, LANG and amzctl's own.
        env: Vec<String> = Vec::new(),
    }
}
