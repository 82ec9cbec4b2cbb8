//! The ways out that the configuration asks for: its words and secrets made into notifiers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::variable;
use crate::clock::Clock;
use crate::config::{
    Channel, ChannelSettings, Config, ExecSettings, HttpSettings, NtfySettings, SmtpSettings, SmtpTls,
    SnsSettings, SqsSettings, TelegramSettings, Transport, WebhookSettings, region_of_queue,
};
use crate::notify::{
    Address, AwsKeys, AwsNotifier, Chat, ChatNotifier, ExecNotifier, FileNotifier, Guard, MailNotifier,
    MailServer, MailTemplates, MailTls, NotSent, Notifier, NotifyError, NtfyNotifier, OwnTemplate, Poster,
    RequestNotifier, RequestShape, Sender, SigningKeys, StdoutNotifier, Target, TelegramNotifier,
    WebhookNotifier, mailbox, token_header,
};
use crate::sources::secret::{Secret, SecretPlace};

/// Variables that a program of the channel type `exec` gets besides those it names.
const PASSED: [&str; 3] = ["PATH", "HOME", "LANG"];

type Notifiers = Vec<Box<dyn Notifier>>;

/// A notifier for every recipient of a channel.
///
/// Errors: a secret that is not to be found, a template or an address that is none.
pub fn notifiers_of(
    channel: &Channel,
    config: &Config,
    clock: Clock,
    stdout: &dyn Fn() -> StdoutNotifier,
) -> Result<Notifiers, NotifyError> {
    let settings = match &channel.transport {
        Transport::Stdout => return Ok(vec![Box::new(stdout())]),
        Transport::File { recipient, path } => return Ok(vec![Box::new(FileNotifier::new(recipient, path))]),
        Transport::Section(settings) => settings.as_ref(),
    };
    let making = Making { channel, config, clock };
    Ok(match settings {
        ChannelSettings::Smtp(smtp) => making.mail(smtp)?,
        ChannelSettings::Webhook(hook) => vec![Box::new(making.webhook(hook)?)],
        ChannelSettings::Slack(chat) => {
            let url = making.secret(&chat.url_env, chat.url_file.as_deref(), &chat.url_command, "url")?;
            let template = chat.template.as_deref();
            vec![Box::new(making.chat(Chat::Slack, url, template, chat.allow_private, chat.timeout())?)]
        }
        ChannelSettings::Discord(chat) => {
            let url = making.secret(&chat.url_env, chat.url_file.as_deref(), &chat.url_command, "url")?;
            let template = chat.template.as_deref();
            vec![Box::new(making.chat(Chat::Discord, url, template, chat.allow_private, chat.timeout())?)]
        }
        ChannelSettings::Teams(chat) => {
            let url = making.secret(&chat.url_env, chat.url_file.as_deref(), &chat.url_command, "url")?;
            let template = chat.template.as_deref();
            vec![Box::new(making.chat(Chat::Teams, url, template, chat.allow_private, chat.timeout())?)]
        }
        ChannelSettings::Telegram(bot) => making.telegram(bot)?,
        ChannelSettings::Ntfy(ntfy) => vec![Box::new(making.ntfy(ntfy)?)],
        ChannelSettings::Http(http) => vec![Box::new(making.request(http)?)],
        ChannelSettings::Sns(sns) => vec![Box::new(making.sns(sns)?)],
        ChannelSettings::Sqs(sqs) => vec![Box::new(making.sqs(sqs)?)],
        ChannelSettings::Exec(exec) => vec![Box::new(making.exec(exec))],
    })
}

/// One channel on its way from words to notifiers.
struct Making<'a> {
    channel: &'a Channel,
    config: &'a Config,
    clock: Clock,
}

impl Making<'_> {
    fn only(&self) -> Address {
        Address::only(&self.channel.name, self.channel.policy.group)
    }

    fn to(&self, recipient: &str) -> Address {
        Address::to(&self.channel.name, recipient, self.channel.policy.group)
    }

    /// A secret from where the section says; `what` names the keys that may say it.
    fn secret(
        &self,
        env: &str,
        file: Option<&Path>,
        command: &str,
        what: &str,
    ) -> Result<Secret, NotifyError> {
        let file = file.map(|file| self.path(file));
        let place = SecretPlace { env, file: file.as_deref(), command };
        Secret::read(&place, &|name| variable(self.config, name)).map_err(|error| {
            let name = &self.channel.name;
            let keys = format!("{what}_env, {what}_file or {what}_command under [channels.{name}]");
            NotifyError::new(NotSent::KeyMissing, format!("{error} ({keys} says where it is)"))
        })
    }

    /// The same, where a section need not have one.
    fn own_secret(
        &self,
        env: &str,
        file: Option<&Path>,
        command: &str,
        what: &str,
    ) -> Result<Option<Secret>, NotifyError> {
        let is_named = !env.is_empty() || file.is_some() || !command.is_empty();
        is_named.then(|| self.secret(env, file, command, what)).transpose()
    }

    /// Relative to the configuration's folder.
    fn path(&self, path: &Path) -> std::path::PathBuf {
        let folder = self.config.file.as_deref().and_then(Path::parent);
        folder.map_or_else(|| path.to_owned(), |folder| folder.join(path))
    }

    fn template(&self, path: Option<&Path>) -> Result<Option<OwnTemplate>, NotifyError> {
        let Some(path) = path else { return Ok(None) };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(self.path(path))
            .map_err(|error| NotifyError::misconfigured(format!("template {name}: {error}")))?;
        Ok(Some(OwnTemplate { name, text }))
    }

    fn poster(
        &self,
        allow_private: bool,
        timeout: Duration,
        secrets: &[Secret],
    ) -> Result<Poster, NotifyError> {
        let guard = Guard::new(allow_private, &self.config.settings.alerts.allow_hosts);
        Poster::new(guard, timeout, secrets, self.clock)
    }

    fn mail(&self, smtp: &SmtpSettings) -> Result<Notifiers, NotifyError> {
        let templates = MailTemplates::new(
            self.template(smtp.subject_template.as_deref())?.as_ref(),
            self.template(smtp.text_template.as_deref())?.as_ref(),
            self.template(smtp.html_template.as_deref())?.as_ref(),
        )?;
        let templates = Arc::new(templates);
        let file = smtp.password_file.as_deref();
        let password = self.own_secret(&smtp.password_env, file, &smtp.password_command, "password")?;
        let (tls, usual_port) = match smtp.tls {
            SmtpTls::StartTls => (MailTls::StartTls, 587),
            SmtpTls::Tls => (MailTls::FromTheStart, 465),
            SmtpTls::None => (MailTls::None, 25),
        };
        let trusted = smtp.ca_file.as_deref().map(|file| {
            std::fs::read(self.path(file)).map_err(|error| {
                NotifyError::misconfigured(format!("cannot read {}: {error}", file.display()))
            })
        });
        let server = MailServer {
            host: smtp.host.clone(),
            port: if smtp.port == 0 { usual_port } else { smtp.port },
            tls,
            trusted: trusted.transpose()?,
            sign_in: password.map(|password| (smtp.user.clone(), password)),
            timeout: smtp.timeout(),
        };
        let reply_to = Some(smtp.reply_to.as_str()).filter(|text| !text.is_empty());
        let sender = Sender {
            from: mailbox(&smtp.from)?,
            reply_to: reply_to.map(mailbox).transpose()?,
            unsubscribe: smtp.unsubscribe.clone(),
        };
        let to = |to: &String| {
            let (sender, server) = (sender.clone(), server.clone());
            let notifier =
                MailNotifier::new(self.to(to), sender, server, Arc::clone(&templates), self.clock)?;
            Ok(Box::new(notifier) as Box<dyn Notifier>)
        };
        smtp.to.iter().map(to).collect()
    }

    fn webhook(&self, hook: &WebhookSettings) -> Result<WebhookNotifier, NotifyError> {
        let secret =
            self.secret(&hook.secret_env, hook.secret_file.as_deref(), &hook.secret_command, "secret")?;
        let place = (hook.url_env.as_str(), hook.url_file.as_deref(), hook.url_command.as_str());
        let (url, url_secret) = self.address(&hook.url, place)?;
        let secrets: Vec<Secret> = url_secret.into_iter().chain([secret.clone()]).collect();
        let poster = self.poster(hook.allow_private, hook.timeout(), &secrets)?;
        Ok(WebhookNotifier::new(self.only(), poster, url, SigningKeys::parse(&secret)?))
    }

    /// An address that the file has, or one that is a secret.
    fn address(
        &self,
        plain: &str,
        (env, file, command): (&str, Option<&Path>, &str),
    ) -> Result<(Url, Option<Secret>), NotifyError> {
        if !plain.is_empty() {
            let url = plain.parse().map_err(|error| NotifyError::misconfigured(format!("`url`: {error}")))?;
            return Ok((url, None));
        }
        let secret = self.secret(env, file, command, "url")?;
        Ok((secret_url(&secret)?, Some(secret)))
    }

    fn chat(
        &self,
        chat: Chat,
        url: Secret,
        template: Option<&Path>,
        allow_private: bool,
        timeout: Duration,
    ) -> Result<ChatNotifier, NotifyError> {
        let own = self.template(template)?;
        let address = secret_url(&url)?;
        let poster = self.poster(allow_private, timeout, &with_path(&url, &address))?;
        ChatNotifier::new(self.only(), chat, poster, address, own.as_ref())
    }

    fn telegram(&self, bot: &TelegramSettings) -> Result<Notifiers, NotifyError> {
        let token = self.secret(&bot.token_env, bot.token_file.as_deref(), &bot.token_command, "token")?;
        let own = self.template(bot.template.as_deref())?;
        let base = bot.base_url.trim_end_matches('/');
        let url: Url = format!("{base}/bot{}/sendMessage", token.reveal())
            .parse()
            .map_err(|_| NotifyError::new(NotSent::KeyMissing, "the token is none of a bot"))?;
        let poster = self.poster(bot.allow_private, bot.timeout(), &[token])?;
        let to = |to: &String| {
            let notifier = TelegramNotifier::new(self.to(to), poster.clone(), url.clone(), own.as_ref())?;
            Ok(Box::new(notifier) as Box<dyn Notifier>)
        };
        bot.to.iter().map(to).collect()
    }

    fn ntfy(&self, ntfy: &NtfySettings) -> Result<NtfyNotifier, NotifyError> {
        let file = ntfy.token_file.as_deref();
        let token = self.own_secret(&ntfy.token_env, file, &ntfy.token_command, "token")?;
        let own = self.template(ntfy.template.as_deref())?;
        let secrets: Vec<Secret> = token.iter().cloned().collect();
        let poster = self.poster(ntfy.allow_private, ntfy.timeout(), &secrets)?;
        let url = plain_url("base_url", &ntfy.base_url)?;
        NtfyNotifier::new(self.only(), poster, url, ntfy.topic.clone(), token, own.as_ref())
    }

    fn request(&self, http: &HttpSettings) -> Result<RequestNotifier, NotifyError> {
        let place = (http.url_env.as_str(), http.url_file.as_deref(), http.url_command.as_str());
        let (url, url_secret) = self.address(&http.url, place)?;
        let file = http.token_file.as_deref();
        let token = self.own_secret(&http.token_env, file, &http.token_command, "token")?;
        let mut headers = HeaderMap::new();
        let no_header = |_| NotifyError::misconfigured("`headers` has what is no header");
        for (name, value) in &http.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| no_header(()))?;
            headers.insert(name, HeaderValue::from_str(value).map_err(|_| no_header(()))?);
        }
        if let Some(token) = &token {
            let name = HeaderName::from_bytes(http.token_header.as_bytes()).map_err(|_| no_header(()))?;
            headers.insert(name, token_header(&http.token_prefix, token.reveal())?);
        }
        let template = self.template(http.body_template.as_deref())?;
        let template = template.ok_or_else(|| NotifyError::misconfigured("`body_template` is missing"))?;
        let secrets: Vec<Secret> = url_secret.into_iter().chain(token).collect();
        let poster = self.poster(http.allow_private, http.timeout(), &secrets)?;
        let method = http.method.parse().map_err(|_| NotifyError::misconfigured("`method` is none"))?;
        let shape = RequestShape { method, url, headers, content_type: http.content_type.clone() };
        RequestNotifier::new(self.only(), poster, shape, &template)
    }

    fn sns(&self, sns: &SnsSettings) -> Result<AwsNotifier, NotifyError> {
        let keys = self.aws_keys([&sns.access_key_env, &sns.secret_key_env, &sns.session_token_env])?;
        let poster = self.poster(sns.allow_private, sns.timeout(), &secrets_of(&keys))?;
        let region = sns.topic_arn.split(':').nth(3).unwrap_or_default().to_owned();
        // China has a domain of its own.
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let own = format!("https://sns.{region}.{domain}/");
        let endpoint = plain_url("base_url", if sns.base_url.is_empty() { &own } else { &sns.base_url })?;
        let target = Target::Topic { arn: sns.topic_arn.clone() };
        Ok(AwsNotifier::new(self.only(), poster, endpoint, region, target, keys))
    }

    fn sqs(&self, sqs: &SqsSettings) -> Result<AwsNotifier, NotifyError> {
        let keys = self.aws_keys([&sqs.access_key_env, &sqs.secret_key_env, &sqs.session_token_env])?;
        let poster = self.poster(sqs.allow_private, sqs.timeout(), &secrets_of(&keys))?;
        let told = region_of_queue(&sqs.queue_url).unwrap_or_default();
        let region = if sqs.region.is_empty() { told } else { sqs.region.clone() };
        let mut endpoint = plain_url("queue_url", &sqs.queue_url)?;
        endpoint.set_path("/");
        let target = Target::Queue { url: sqs.queue_url.clone() };
        Ok(AwsNotifier::new(self.only(), poster, endpoint, region, target, keys))
    }

    /// The key's id, its secret, and the session's token where there is one.
    fn aws_keys(&self, [access, secret, session]: [&str; 3]) -> Result<AwsKeys, NotifyError> {
        let session = Some(session).filter(|name| {
            !name.is_empty() && variable(self.config, name).is_some_and(|token| !token.trim().is_empty())
        });
        Ok(AwsKeys {
            access_key: self.aws_key(access, "access_key_env")?,
            secret_key: self.aws_key(secret, "secret_key_env")?,
            session_token: session.map(|name| self.aws_key(name, "session_token_env")).transpose()?,
        })
    }

    fn aws_key(&self, env: &str, key: &str) -> Result<Secret, NotifyError> {
        let place = SecretPlace { env, ..SecretPlace::default() };
        Secret::read(&place, &|name| variable(self.config, name)).map_err(|error| {
            let said = format!("{error} ({key} under [channels.{}] names it)", self.channel.name);
            NotifyError::new(NotSent::KeyMissing, said)
        })
    }

    fn exec(&self, exec: &ExecSettings) -> ExecNotifier {
        let named = PASSED.iter().copied().chain(exec.env.iter().map(String::as_str));
        let passed = named.filter_map(|name| Some((name.to_owned(), variable(self.config, name)?))).collect();
        ExecNotifier::new(self.only(), exec.command.clone(), passed, exec.timeout())
    }
}

/// The address that a secret holds; an error does not show it.
fn secret_url(secret: &Secret) -> Result<Url, NotifyError> {
    let no_address = || NotifyError::new(NotSent::KeyMissing, "the secret is no http address");
    let url: Url = secret.reveal().parse().map_err(|_| no_address())?;
    if matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(no_address()) }
}

fn plain_url(key: &str, text: &str) -> Result<Url, NotifyError> {
    text.parse().map_err(|error| NotifyError::misconfigured(format!("`{key}`: {error}")))
}

/// The secret address, and its path alone, which answers may quote.
fn with_path(secret: &Secret, url: &Url) -> Vec<Secret> {
    let path = url.path().trim_matches('/');
    let path = (path.len() > 8).then(|| Secret::new(path));
    [secret.clone()].into_iter().chain(path).collect()
}

fn secrets_of(keys: &AwsKeys) -> Vec<Secret> {
    let AwsKeys { access_key: _, secret_key, session_token } = keys;
    session_token.iter().chain([secret_key]).cloned().collect()
}
