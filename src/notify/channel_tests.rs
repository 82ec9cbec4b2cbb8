//! Channels against receivers in this process: what exactly is sent, and what each answer means.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap as Headers, Method as Verb, StatusCode as Status, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::*;
use crate::clock::Clock;
use crate::model::Language;
use crate::sources::secret::Secret;

/// One request as it arrived.
#[derive(Clone, Debug)]
struct Seen {
    verb: Verb,
    target: String,
    headers: Headers,
    body: String,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

/// Status, headers and body.
type Scripted = (u16, Vec<(&'static str, String)>, String);

#[derive(Clone)]
struct Receiver {
    base: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    answer: Arc<Scripted>,
}

impl Receiver {
    async fn answering(status: u16, headers: &[(&'static str, &str)], body: &str) -> Receiver {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let receiver = Receiver {
            base: format!("http://{}", listener.local_addr().unwrap()),
            seen: Arc::default(),
            answer: Arc::new((status, headers, body.to_owned())),
        };
        let app = axum::Router::new().fallback(take).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        receiver
    }

    fn url(&self, path: &str) -> reqwest::Url {
        format!("{}{path}", self.base).parse().unwrap()
    }

    fn only(&self) -> Seen {
        let seen = self.seen.lock().unwrap();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }
}

async fn take(
    State(receiver): State<Receiver>,
    verb: Verb,
    uri: Uri,
    headers: Headers,
    body: Bytes,
) -> Response {
    let body = String::from_utf8(body.to_vec()).unwrap();
    receiver.seen.lock().unwrap().push(Seen { verb, target: uri.to_string(), headers, body });
    let (status, headers, body) = receiver.answer.as_ref();
    let mut response = (Status::from_u16(*status).unwrap(), body.clone()).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

fn clock() -> Clock {
    Clock::Fixed("2026-03-01T06:00:00Z".parse().unwrap())
}

fn poster(secrets: &[&str]) -> Poster {
    let secrets: Vec<Secret> = secrets.iter().map(|text| Secret::new(*text)).collect();
    Poster::new(Guard::new(true, &[]), Duration::from_secs(5), &secrets, clock()).unwrap()
}

fn address() -> Address {
    Address::only("ops", 20)
}

/// An alert about a product whose texts try to be markup, and one about a source.
fn events() -> Vec<Event> {
    let event = |id: &str, severity: &str, asin: Value, message: &str| {
        Event {
        event_id: id.to_owned(),
        payload: json!({
            "schema": EVENT_SCHEMA, "event_id": id, "event_type": "alert.opened", "alert_id": "0123456789abcdef",
            "workspace": "main", "rule": if asin.is_null() { "source_incident" } else { "price_drop" },
            "severity": severity, "previous_severity": null,
            "marketplace": if asin.is_null() { Value::Null } else { json!("US") }, "asin": asin,
            "day": "2026-02-28", "object": null, "message": message, "evidence": {},
        })
        .to_string(),
    }
    };
    vec![
        event("e1", "critical", json!("B0FDKB341G"), "price fell <40 %> & *more* [x](y)"),
        event("e2", "medium", Value::Null, "source keepa: no price"),
    ]
}

fn one() -> Message {
    Message::of_one(events().remove(0), false, Language::English)
}

fn two() -> Message {
    Message {
        message_id: "m1".into(),
        events: events(),
        digest: None,
        maybe_sent: false,
        language: Language::English,
    }
}

fn chat(chat: Chat, receiver: &Receiver) -> ChatNotifier {
    ChatNotifier::new(address(), chat, poster(&[]), receiver.url("/services/T0/B0/sesame"), None).unwrap()
}

/// Form: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>.
#[tokio::test]
async fn slack_gets_a_text_and_sections() {
    let receiver = Receiver::answering(200, &[], "ok").await;
    chat(Chat::Slack, &receiver).send(&one()).await.unwrap();
    let seen = receiver.only();
    assert_eq!((seen.verb.as_str(), seen.target.as_str()), ("POST", "/services/T0/B0/sesame"));
    assert_eq!(seen.header("content-type"), "application/json");
    assert_eq!(
        seen.json(),
        json!({
            "text": "CRITICAL price drop US:B0FDKB341G",
            "blocks": [{ "type": "section", "text": {
                "type": "mrkdwn",
                "text": ":red_circle: *price drop US:B0FDKB341G* <https://www.amazon.com/dp/B0FDKB341G|B0FDKB341G>\n\
                    price fell &lt;40 %&gt; &amp; *more* [x](y) `0123456789`",
                "verbatim": true,
            } }],
        })
    );
}

/// Form: <https://discord.com/developers/docs/resources/webhook#execute-webhook>.
#[tokio::test]
async fn discord_gets_an_embed_that_calls_nobody() {
    let receiver = Receiver::answering(200, &[], "{}").await;
    chat(Chat::Discord, &receiver).send(&two()).await.unwrap();
    let seen = receiver.only();
    assert_eq!(seen.target, "/services/T0/B0/sesame?wait=true");
    assert_eq!(
        seen.json(),
        json!({
            "embeds": [{
                "title": "2 alerts \\(1 critical, 1 medium\\): price drop, source incident",
                "description": "**critical · price drop US:B0FDKB341G** [B0FDKB341G](https://www.amazon.com/dp/B0FDKB341G)\n\
                    price fell \\<40 %\\> & \\*more\\* \\[x\\]\\(y\\) `0123456789`\n\
                    **medium · source incident**\n\
                    source keepa: no price `0123456789`",
                "color": 14_232_864,
            }],
            "allowed_mentions": { "parse": [] },
        })
    );
}

/// Form: an adaptive card as the workflow "Post to a channel when a webhook request is received" takes it.
#[tokio::test]
async fn teams_gets_an_adaptive_card() {
    let receiver = Receiver::answering(202, &[], "").await;
    chat(Chat::Teams, &receiver).send(&one()).await.unwrap();
    let body = receiver.only().json();
    assert_eq!(body["type"], "message");
    assert_eq!(body["attachments"][0]["contentType"], "application/vnd.microsoft.card.adaptive");
    let card = &body["attachments"][0]["content"];
    assert_eq!((&card["type"], &card["version"]), (&json!("AdaptiveCard"), &json!("1.4")));
    assert_eq!(
        card["body"][0],
        json!({ "type": "TextBlock", "text": "CRITICAL price drop US:B0FDKB341G", "weight": "Bolder",
            "size": "Medium", "color": "Attention", "wrap": true })
    );
    assert_eq!(
        card["body"][1]["text"],
        "**critical · price drop US:B0FDKB341G** [B0FDKB341G](https://www.amazon.com/dp/B0FDKB341G)\n\n\
         price fell \\<40 %\\> & \\*more\\* \\[x\\]\\(y\\) (Alert 0123456789)"
    );
}

/// Form: <https://core.telegram.org/bots/api#sendmessage>.
#[tokio::test]
async fn telegram_gets_html_for_its_chat() {
    let receiver = Receiver::answering(200, &[], r#"{"ok":true}"#).await;
    let url = receiver.url("/bot123:sesame/sendMessage");
    let to = Address::to("ops", "-100200", 20);
    let bot = TelegramNotifier::new(to, poster(&["123:sesame"]), url, None).unwrap();
    bot.send(&one()).await.unwrap();
    let seen = receiver.only();
    assert_eq!(seen.target, "/bot123:sesame/sendMessage");
    assert_eq!(
        seen.json(),
        json!({
            "chat_id": "-100200",
            "text": "<b>critical · price drop US:B0FDKB341G</b> <a href=\"https://www.amazon.com/dp/B0FDKB341G\">B0FDKB341G</a>\n\
                price fell &lt;40 %&gt; &amp; *more* [x](y) <code>0123456789</code>",
            "parse_mode": "HTML",
            "link_preview_options": { "is_disabled": true },
        })
    );
}

#[tokio::test]
async fn telegram_says_in_its_answer_how_long_to_wait() {
    let body =
        r#"{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":35}}"#;
    let receiver = Receiver::answering(429, &[], body).await;
    let url = receiver.url("/bot123:sesame/sendMessage");
    let bot = TelegramNotifier::new(address(), poster(&[]), url, None).unwrap();
    let error = bot.send(&one()).await.unwrap_err();
    assert_eq!((error.kind, error.retry_after), (NotSent::Later, Some(Duration::from_secs(35))));
}

/// Form: <https://docs.ntfy.sh/publish/#publish-as-json>.
#[tokio::test]
async fn ntfy_gets_a_title_a_priority_and_where_to_go() {
    let receiver = Receiver::answering(200, &[], "{}").await;
    let token = Some(Secret::new("tk_sesame"));
    let ntfy =
        NtfyNotifier::new(address(), poster(&[]), receiver.url("/"), "prices".into(), token, None).unwrap();
    ntfy.send(&one()).await.unwrap();
    let seen = receiver.only();
    assert_eq!((seen.target.as_str(), seen.header("authorization")), ("/", "Bearer tk_sesame"));
    assert_eq!(
        seen.json(),
        json!({
            "topic": "prices", "title": "CRITICAL price drop US:B0FDKB341G",
            "message": "price fell <40 %> & *more* [x](y)", "priority": 5, "tags": ["rotating_light"],
            "click": "https://www.amazon.com/dp/B0FDKB341G",
        })
    );
}

#[tokio::test]
async fn a_request_of_ones_own_has_its_method_headers_and_body() {
    let receiver = Receiver::answering(204, &[], "").await;
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("x-team", "pricing".parse().unwrap());
    headers.insert("authorization", token_header("GenieKey ", "sesame").unwrap());
    let shape = RequestShape {
        method: reqwest::Method::PUT,
        url: receiver.url("/v2/alerts"),
        headers,
        content_type: String::new(),
    };
    let template = OwnTemplate {
        name: "templates/opsgenie.json".into(),
        text: r#"{"message": {{ subject }}, "alias": {{ message_id }}, "details": {{ events[0].sentence }}}"#
            .into(),
    };
    let notifier = RequestNotifier::new(address(), poster(&["sesame"]), shape, &template).unwrap();
    notifier.send(&one()).await.unwrap();
    let seen = receiver.only();
    assert_eq!((seen.verb.as_str(), seen.target.as_str()), ("PUT", "/v2/alerts"));
    for (name, value) in [
        ("content-type", "application/json"),
        ("x-team", "pricing"),
        ("authorization", "GenieKey sesame"),
        ("idempotency-key", "e1"),
    ] {
        assert_eq!(seen.header(name), value);
    }
    assert_eq!(
        seen.json(),
        json!({ "message": "CRITICAL price drop US:B0FDKB341G", "alias": "e1", "details": "price fell <40 %> & *more* [x](y)" })
    );
}

#[tokio::test]
async fn a_body_that_is_no_json_is_found_before_anything_happens() {
    let shape = RequestShape {
        method: reqwest::Method::POST,
        url: "https://example.com/".parse().unwrap(),
        headers: reqwest::header::HeaderMap::new(),
        content_type: String::new(),
    };
    let template = OwnTemplate { name: "body.json".into(), text: "{\"a\": \"{{ subject }}\"}".into() };
    let error = RequestNotifier::new(address(), poster(&[]), shape, &template).unwrap_err();
    assert!(error.detail.contains("gives no JSON") && error.kind == NotSent::Misconfigured, "{error}");
}

fn webhook(url: reqwest::Url, poster: Poster) -> WebhookNotifier {
    let keys = SigningKeys::parse(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).unwrap();
    WebhookNotifier::new(address(), poster, url, keys)
}

#[tokio::test]
async fn a_webhook_gets_the_event_as_it_is_stored_and_several_in_an_envelope() {
    let receiver = Receiver::answering(200, &[], "").await;
    let hook = webhook(receiver.url("/hook"), poster(&[]));
    hook.send(&one()).await.unwrap();
    hook.send(&two()).await.unwrap();
    // A retry has the same id and the same bytes.
    hook.send(&Message { maybe_sent: true, ..two() }).await.unwrap();
    let seen = receiver.seen.lock().unwrap().clone();
    assert_eq!((seen[0].header("webhook-id"), &seen[0].body), ("e1", &one().events[0].payload));
    assert_eq!(seen[0].header("webhook-timestamp"), "1772344800");
    assert!(seen[0].header("webhook-signature").starts_with("v1,"));
    let envelope = seen[1].json();
    assert_eq!((&envelope["schema"], &envelope["message_id"]), (&json!(GROUP_SCHEMA), &json!("m1")));
    assert_eq!(envelope["events"][1]["event_id"], "e2");
    assert_eq!((seen[2].header("webhook-id"), &seen[2].body), ("m1", &seen[1].body));
}

#[tokio::test]
async fn what_an_answer_means_is_told_by_its_status() {
    let secret = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    for (status, kind) in [
        (200, None),
        (204, None),
        (302, Some(NotSent::Misconfigured)),
        (400, Some(NotSent::Refused)),
        (401, Some(NotSent::KeyRefused)),
        (403, Some(NotSent::KeyRefused)),
        (404, Some(NotSent::Misconfigured)),
        (408, Some(NotSent::Later)),
        (410, Some(NotSent::Refused)),
        (413, Some(NotSent::Refused)),
        (425, Some(NotSent::Later)),
        (429, Some(NotSent::Later)),
        (500, Some(NotSent::Later)),
        (503, Some(NotSent::Later)),
    ] {
        let headers = [("retry-after", "7"), ("location", "http://169.254.169.254/")];
        let receiver = Receiver::answering(status, &headers, &format!("no: {secret}")).await;
        let found = webhook(receiver.url("/hook"), poster(&[secret])).send(&one()).await;
        assert_eq!(found.as_ref().err().map(|error| error.kind), kind, "{status}");
        if let Err(error) = found {
            assert!(!error.detail.contains(secret), "{error}");
            assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
        }
        assert_eq!(receiver.seen.lock().unwrap().len(), 1, "{status}: no redirect is followed");
    }
}

#[tokio::test]
async fn what_was_not_answered_may_have_arrived_and_what_was_not_sent_has_not() {
    // Accepts the connection, reads, and closes it without an answer.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: reqwest::Url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let server = tokio::spawn(async move {
        use tokio::io::AsyncReadExt as _;
        let (mut connection, _) = listener.accept().await.unwrap();
        let _ = connection.read(&mut [0; 4096]).await;
        drop(connection);
        // And one that never answers.
        let (connection, _) = listener.accept().await.unwrap();
        std::future::pending::<()>().await;
        drop(connection);
    });
    let lost = webhook(url.clone(), poster(&[])).send(&one()).await.unwrap_err();
    assert_eq!(lost.kind, NotSent::Unknown, "{lost}");
    let brief = Poster::new(Guard::new(true, &[]), Duration::from_millis(200), &[], clock()).unwrap();
    let silent = webhook(url.clone(), brief).send(&one()).await.unwrap_err();
    assert_eq!(silent.kind, NotSent::Unknown, "{silent}");
    server.abort();
    let _ = server.await;
    let closed = webhook(url, poster(&[])).send(&one()).await.unwrap_err();
    assert_eq!(closed.kind, NotSent::Later, "{closed}");
}

#[tokio::test]
async fn a_private_address_is_refused_before_a_byte_is_sent() {
    let receiver = Receiver::answering(200, &[], "").await;
    let guarded = Poster::new(Guard::new(false, &[]), Duration::from_secs(5), &[], clock()).unwrap();
    let port = receiver.base.rsplit(':').next().unwrap();
    for url in [receiver.url("/"), format!("https://localhost:{port}/").parse().unwrap()] {
        let error = webhook(url.clone(), guarded.clone()).send(&one()).await.unwrap_err();
        assert_eq!(error.kind, NotSent::Misconfigured, "{url}: {error}");
        assert!(error.detail.contains("allow_private"), "{error}");
    }
    assert!(receiver.seen.lock().unwrap().is_empty());
}

fn exec(command: &[&str], timeout: Duration) -> ExecNotifier {
    let command = command.iter().map(|&part| part.to_owned()).collect();
    let passed = vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
    ExecNotifier::new(address(), command, passed, timeout)
}

#[tokio::test]
async fn a_program_gets_the_event_on_its_input_and_a_clean_environment() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let script = "cat > \"$1\"; env | sort >> \"$1\"";
    let command = ["/bin/sh", "-c", script, "sh", out.to_str().unwrap()];
    exec(&command, Duration::from_secs(10)).send(&one()).await.unwrap();
    let text = std::fs::read_to_string(&out).unwrap();
    let (body, environment) = text.split_once('\n').unwrap();
    assert_eq!(body, one().events[0].payload);
    let names: Vec<&str> = environment.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert_eq!(
        names.iter().filter(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(name)).collect::<Vec<_>>(),
        [
            &"AMZCTL_CHANNEL",
            &"AMZCTL_EVENTS",
            &"AMZCTL_EVENT_TYPE",
            &"AMZCTL_LANGUAGE",
            &"AMZCTL_MAYBE_SENT",
            &"AMZCTL_MESSAGE_ID",
            &"AMZCTL_SEVERITY",
            &"AMZCTL_SUBJECT",
            &"PATH"
        ]
    );
    assert!(
        environment.contains("AMZCTL_MESSAGE_ID=e1\n") && environment.contains("AMZCTL_SEVERITY=critical\n")
    );
}

#[tokio::test]
async fn the_end_of_a_program_says_what_became_of_the_message() {
    for (script, kind, said) in [
        ("echo no such team >&2; exit 65", NotSent::Refused, "no such team"),
        ("echo busy >&2; exit 75", NotSent::Later, "busy"),
        ("exit 1", NotSent::Later, "exit status: 1"),
        // It reads nothing of its input.
        ("exec 0<&-; exit 3", NotSent::Later, "exit status: 3"),
    ] {
        let error = exec(&["/bin/sh", "-c", script], Duration::from_secs(10)).send(&one()).await.unwrap_err();
        assert_eq!(error.kind, kind, "{script}");
        assert!(error.detail.contains(said), "{script}: {error}");
    }
    let missing = exec(&["/no/such/program"], Duration::from_secs(10)).send(&one()).await.unwrap_err();
    assert!(missing.kind == NotSent::Later && missing.detail.starts_with("cannot start /no/such/program"));
    // No shell reads the arguments.
    exec(&["/bin/test", "$HOME;exit 1", "=", "$HOME;exit 1"], Duration::from_secs(10))
        .send(&one())
        .await
        .unwrap();
    let hanging = exec(&["/bin/sleep", "3600"], Duration::from_millis(200)).send(&one()).await.unwrap_err();
    assert_eq!(hanging.kind, NotSent::Unknown);
}
