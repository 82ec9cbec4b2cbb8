//! The channel types `sns` and `sqs`: the event's JSON to a topic or a queue of Amazon's. A topic or queue
//! whose name ends in `.fifo` drops a message that it has already, by the message's id.

use reqwest::Url;
use serde_json::{Value, json};

use super::address::{Address, addressed};
use super::body::body_of;
use super::http::{Answer, Poster};
use super::sigv4::{AwsKeys, Scope, encoded, sign_post};
use super::told::Told;
use super::{Message, NotSent, Notifier, NotifyError, Sending};

/// Characters of an SNS subject, which must be ASCII.
const SUBJECT_CHARS: usize = 100;
/// Group of messages in a FIFO topic or queue: one, so that their order is kept.
const FIFO_GROUP: &str = "amzctl";

/// Where messages are put.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    Topic { arn: String },
    Queue { url: String },
}

/// Sends to one topic or queue.
#[derive(Debug)]
pub struct AwsNotifier {
    address: Address,
    poster: Poster,
    /// Of the service in its region, or what stands in for it.
    endpoint: Url,
    region: String,
    target: Target,
    keys: AwsKeys,
}

impl AwsNotifier {
    pub fn new(
        address: Address,
        poster: Poster,
        endpoint: Url,
        region: String,
        target: Target,
        keys: AwsKeys,
    ) -> AwsNotifier {
        AwsNotifier { address, poster, endpoint, region, target, keys }
    }

    async fn put(&self, message: &Message) -> Result<(), NotifyError> {
        let (service, headers, body) = match &self.target {
            Target::Topic { arn } => ("sns", form_headers(), publish_form(arn, message)?),
            Target::Queue { url } => ("sqs", json_headers(), send_message(url, message)?.to_string()),
        };
        let scope = Scope { region: self.region.clone(), service };
        let now = self.poster.now();
        let signed = sign_post(&self.keys, &scope, &self.endpoint, &headers, body.as_bytes(), now);
        let mut request = self.poster.post(self.endpoint.clone());
        for (name, value) in signed.iter().filter(|(name, _)| *name != "host") {
            request = request.header(*name, value);
        }
        let answer = self.poster.ask(request.body(body)).await?;
        if answer.status.is_success() { Ok(()) } else { Err(refusal(&self.poster, &answer)) }
    }
}

fn form_headers() -> Vec<(&'static str, String)> {
    vec![("content-type", "application/x-www-form-urlencoded; charset=utf-8".to_owned())]
}

fn json_headers() -> Vec<(&'static str, String)> {
    vec![
        ("content-type", "application/x-amz-json-1.0".to_owned()),
        ("x-amz-target", "AmazonSQS.SendMessage".to_owned()),
    ]
}

fn is_fifo(name: &str) -> bool {
    name.ends_with(".fifo")
}

/// The attributes by which subscribers filter.
fn attributes(message: &Message) -> Vec<(&'static str, String)> {
    let told = Told::of(message);
    let event_type = told.events.first().map_or("", |event| event.event_type.as_str());
    [
        ("message_id", message.message_id.as_str()),
        ("event_type", event_type),
        ("severity", told.worst.as_str()),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| (name, value.to_owned()))
    .collect()
}

/// `Publish` of SNS, as a form.
fn publish_form(arn: &str, message: &Message) -> Result<String, NotifyError> {
    let subject = Told::of(message).subject;
    let subject: String = subject.chars().filter(|c| matches!(c, ' '..='~')).take(SUBJECT_CHARS).collect();
    let mut fields = vec![
        ("Action".to_owned(), "Publish".to_owned()),
        ("Version".to_owned(), "2010-03-31".to_owned()),
        ("TopicArn".to_owned(), arn.to_owned()),
        ("Message".to_owned(), body_of(message)?),
    ];
    if subject.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        fields.push(("Subject".to_owned(), subject));
    }
    for (index, (name, value)) in attributes(message).into_iter().enumerate() {
        let entry = format!("MessageAttributes.entry.{}", index + 1);
        fields.push((format!("{entry}.Name"), name.to_owned()));
        fields.push((format!("{entry}.Value.DataType"), "String".to_owned()));
        fields.push((format!("{entry}.Value.StringValue"), value));
    }
    if is_fifo(arn) {
        fields.push(("MessageGroupId".to_owned(), FIFO_GROUP.to_owned()));
        fields.push(("MessageDeduplicationId".to_owned(), message.message_id.clone()));
    }
    let in_form = |text: &str| encoded(text).replace("%20", "+");
    let pairs = fields.iter().map(|(name, value)| format!("{}={}", in_form(name), in_form(value)));
    Ok(pairs.collect::<Vec<_>>().join("&"))
}

/// `SendMessage` of SQS, as JSON.
fn send_message(url: &str, message: &Message) -> Result<Value, NotifyError> {
    let attributes: serde_json::Map<String, Value> = attributes(message)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), json!({ "DataType": "String", "StringValue": value })))
        .collect();
    let mut body =
        json!({ "QueueUrl": url, "MessageBody": body_of(message)?, "MessageAttributes": attributes });
    if is_fifo(url) {
        body["MessageGroupId"] = json!(FIFO_GROUP);
        body["MessageDeduplicationId"] = json!(message.message_id);
    }
    Ok(body)
}

/// Amazon says by a code what its status leaves open: a 400 may be a wrong key, or too many at once.
fn refusal(poster: &Poster, answer: &Answer) -> NotifyError {
    const KEYS: [&str; 6] = [
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClient",
        "ExpiredToken",
        "AccessDenied",
        "AuthorizationError",
    ];
    const PASSING: [&str; 4] = ["Throttl", "RequestLimitExceeded", "ServiceUnavailable", "InternalError"];
    let said = String::from_utf8_lossy(&answer.body);
    let mut error = poster.refusal(answer);
    if KEYS.iter().any(|code| said.contains(code)) {
        error.kind = NotSent::KeyRefused;
    } else if PASSING.iter().any(|code| said.contains(code)) {
        error.kind = NotSent::Later;
    }
    error
}

impl Notifier for AwsNotifier {
    addressed!();

    /// A message of theirs has at most 256 KiB.
    fn most_digested(&self) -> usize {
        100
    }

    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        Box::pin(self.put(message))
    }
}
