//! The channel type `smtp`: a mail in text and HTML to one address. Every connection is made for one message:
//! what is kept open breaks unseen. A time limit is around everything, for a server may stop answering at any
//! step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;

use super::address::{Address, addressed};
use super::escape::Escape;
use super::templates::{self, OwnTemplate, Template};
use super::told::Told;
use super::{Message, NotSent, Notifier, NotifyError, Sending};
use crate::clock::Clock;
use crate::model::text::clean_text;
use crate::sources::secret::Secret;

/// How long a server may take to say goodbye after it has accepted the mail.
const GOODBYE: Duration = Duration::from_secs(2);
/// How much of what a server says is kept.
const QUOTED_CHARS: usize = 200;
/// A subject is cut at so many characters; programs show fewer.
const SUBJECT_CHARS: usize = 200;
/// Events that the templates show; of more they say how many there are.
const MOST_SHOWN: usize = 100;

/// How a connection is secured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MailTls {
    /// Opened plainly, and encrypted before anything is said; never sent without.
    StartTls,
    FromTheStart,
    None,
}

/// The mail server, and who signs in.
#[derive(Clone, Debug)]
pub struct MailServer {
    pub host: String,
    pub port: u16,
    pub tls: MailTls,
    /// Certificates that are trusted besides the machine's, as PEM.
    pub trusted: Option<Vec<u8>>,
    pub sign_in: Option<(String, Secret)>,
    pub timeout: Duration,
}

/// The parts of a mail.
#[derive(Debug)]
pub struct MailTemplates {
    subject: Template,
    text: Template,
    html: Template,
}

impl MailTemplates {
    /// Errors: an own template that is none.
    pub fn new(
        subject: Option<&OwnTemplate>,
        text: Option<&OwnTemplate>,
        html: Option<&OwnTemplate>,
    ) -> Result<MailTemplates, NotifyError> {
        Ok(MailTemplates {
            subject: Template::new(subject, templates::MAIL_SUBJECT, Escape::Plain)?,
            text: Template::new(text, templates::MAIL_TEXT, Escape::Plain)?,
            html: Template::new(html, templates::MAIL_HTML, Escape::Html)?,
        })
    }

    /// The subject, the text and the HTML of a message.
    pub fn render(&self, message: &Message) -> Result<[String; 3], NotifyError> {
        let told = Told::of(message);
        let subject = crate::render::format::plain_line(&self.subject.render(&told)?);
        let subject = subject.chars().take(SUBJECT_CHARS).collect();
        Ok([subject, self.text.render(&told)?, self.html.render(&told)?])
    }
}

/// Who writes.
#[derive(Clone, Debug)]
pub struct Sender {
    pub from: Mailbox,
    pub reply_to: Option<Mailbox>,
    /// `https://…` or `mailto:…`; empty for a mail to the sender.
    pub unsubscribe: String,
}

/// Reads an address, or `Name <address>`.
pub fn mailbox(text: &str) -> Result<Mailbox, NotifyError> {
    text.parse().map_err(|error| NotifyError::misconfigured(format!("`{text}` is no mail address: {error}")))
}

/// Sends to one address, which is the recipient.
#[derive(Debug)]
pub struct MailNotifier {
    address: Address,
    to: Mailbox,
    sender: Sender,
    server: MailServer,
    templates: Arc<MailTemplates>,
    clock: Clock,
}

impl MailNotifier {
    /// Errors: a recipient that is no address.
    pub fn new(
        address: Address,
        sender: Sender,
        server: MailServer,
        templates: Arc<MailTemplates>,
        clock: Clock,
    ) -> Result<MailNotifier, NotifyError> {
        let to = mailbox(&address.recipient)?;
        Ok(MailNotifier { address, to, sender, server, templates, clock })
    }

    /// The mail as it is sent. Its id is the message's: a program that has it already can tell.
    pub fn compose(&self, message: &Message) -> Result<lettre::Message, NotifyError> {
        let [subject, text, html] = self.templates.render(message)?;
        let from = &self.sender.from;
        let (id, domain) = (&message.message_id, from.email.domain());
        let now = std::time::SystemTime::from(self.clock.now());
        let mut builder = lettre::Message::builder()
            .from(from.clone())
            .to(self.to.clone())
            .subject(subject)
            .date(now)
            .message_id(Some(format!("<{id}@{domain}>")));
        if let Some(reply_to) = &self.sender.reply_to {
            builder = builder.reply_to(reply_to.clone());
        }
        let parts = MultiPart::alternative()
            .boundary(format!("amzctl-{id}"))
            .singlepart(SinglePart::plain(text))
            .singlepart(SinglePart::html(html));
        let mut mail = builder
            .multipart(parts)
            .map_err(|error| NotifyError::refused(format!("the mail cannot be made: {error}")))?;
        let unsubscribe = match self.sender.unsubscribe.as_str() {
            "" => format!("<mailto:{}?subject=unsubscribe>", from.email),
            address => format!("<{address}>"),
        };
        for (name, value) in [
            ("List-Unsubscribe", unsubscribe),
            // Answering machines leave it alone.
            ("Auto-Submitted", "auto-generated".to_owned()),
        ] {
            let name = HeaderName::new_from_ascii_str(name);
            mail.headers_mut().insert_raw(HeaderValue::new(name, value));
        }
        Ok(mail)
    }

    async fn deliver(&self, message: &Message) -> Result<(), NotifyError> {
        let mail = self.compose(message)?;
        let is_sending = AtomicBool::new(false);
        let exchange = self.exchange(mail.envelope(), mail.formatted(), &is_sending);
        match tokio::time::timeout(self.server.timeout, exchange).await {
            Ok(Ok(mut connection)) => {
                // It has the mail; how it says goodbye changes nothing.
                let _ = tokio::time::timeout(GOODBYE, connection.quit()).await;
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(_) if is_sending.load(Ordering::Relaxed) => Err(NotifyError::no_answer(self.server.timeout)),
            Err(_) => {
                let seconds = self.server.timeout.as_secs();
                Err(NotifyError::later(format!("{} did not answer within {seconds} s", self.server.host)))
            }
        }
    }

    /// Up to the acceptance of the mail; from `is_sending` on it may have been accepted.
    async fn exchange(
        &self,
        envelope: &Envelope,
        mail: Vec<u8>,
        is_sending: &AtomicBool,
    ) -> Result<AsyncSmtpConnection, NotifyError> {
        let MailServer { host, port, tls, sign_in, timeout, .. } = &self.server;
        let hello = ClientId::default();
        let from_the_start = if *tls == MailTls::FromTheStart { Some(self.tls_parameters()?) } else { None };
        let server = (host.as_str(), *port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(*timeout), &hello, from_the_start, None)
                .await
                .map_err(|error| self.fault_of_server("cannot connect", &error))?;
        if *tls == MailTls::StartTls {
            if !connection.can_starttls() {
                return Err(NotifyError::later(format!(
                    "{host} offers no STARTTLS, and nothing is sent without"
                )));
            }
            let parameters = self.tls_parameters()?;
            let encrypted = connection.starttls(parameters, &hello).await;
            encrypted.map_err(|error| self.fault_of_server("no encryption", &error))?;
        }
        if let Some((user, password)) = sign_in {
            let credentials = Credentials::new(user.clone(), password.reveal().to_owned());
            connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await.map_err(|error| {
                let fault = self.fault("not signed in", &error);
                // A server that has no way to sign in says so here too; that is not the password's fault.
                let kind = if error.is_permanent() { NotSent::KeyRefused } else { fault.kind };
                NotifyError { kind, ..fault }
            })?;
        }
        is_sending.store(true, Ordering::Relaxed);
        let accepted = connection.send(envelope, &mail).await;
        accepted.map_err(|error| match error.status().map(u16::from) {
            // It wants to know who sends first, whatever the mail.
            Some(530 | 535) => {
                NotifyError { kind: NotSent::KeyRefused, ..self.fault("not accepted", &error) }
            }
            Some(_) => self.fault("not accepted", &error),
            None => NotifyError { kind: NotSent::Unknown, ..self.fault("no answer to the mail", &error) },
        })?;
        Ok(connection)
    }

    fn tls_parameters(&self) -> Result<TlsParameters, NotifyError> {
        let no_tls = |error: SmtpError| NotifyError::misconfigured(format!("no TLS: {}", causes(&error)));
        let mut builder = TlsParameters::builder(self.server.host.clone());
        if let Some(pem) = &self.server.trusted {
            builder = builder.add_root_certificate(Certificate::from_pem(pem).map_err(no_tls)?);
        }
        builder.build_rustls().map_err(no_tls)
    }

    /// Before there is a mail nothing is refused for good.
    fn fault_of_server(&self, what: &str, error: &SmtpError) -> NotifyError {
        NotifyError { kind: NotSent::Later, ..self.fault(what, error) }
    }

    /// A 5xx is for good, everything else passes.
    fn fault(&self, what: &str, error: &SmtpError) -> NotifyError {
        let kind = if error.is_permanent() { NotSent::Refused } else { NotSent::Later };
        let mut said = causes(error);
        if let Some((_, password)) = &self.server.sign_in {
            for spelling in crate::sources::http::spellings(password) {
                said = said.replace(&spelling, "***");
            }
        }
        let said: String = clean_text(&said).chars().take(QUOTED_CHARS).collect();
        NotifyError::new(kind, format!("{}: {what}: {said}", self.server.host))
    }
}

/// What happened: the innermost cause, which the outer ones repeat.
fn causes(error: &SmtpError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    match error.status() {
        Some(code) => format!("{code} {cause}"),
        None => cause.to_string(),
    }
}

impl Notifier for MailNotifier {
    addressed!();

    fn most_digested(&self) -> usize {
        MOST_SHOWN
    }

    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        Box::pin(self.deliver(message))
    }
}
