use super::*;
use crate::notify::{Event, Message};

fn message(texts: &str) -> Message {
    let payload = serde_json::json!({
        "event_id": "e1", "event_type": "alert.opened", "alert_id": "0123456789abcdef", "severity": "high",
        "rule": "price_drop", "marketplace": "US", "asin": "B0FDKB341G", "day": "2026-02-28", "message": texts,
        "evidence": { "seller_id": texts },
    });
    let event = Event { event_id: "e1".into(), payload: payload.to_string() };
    Message::of_one(event, false, Language::English)
}

fn own(text: &str) -> OwnTemplate {
    OwnTemplate { name: "ops.txt".into(), text: text.into() }
}

fn rendered(text: &str, escape: Escape) -> Result<String, NotifyError> {
    Template::new(Some(&own(text)), "", escape)?.render(&Told::of(&message("<b> & \"x\" *y* @all")))
}

#[test]
fn a_value_is_escaped_for_where_it_goes_and_the_template_is_not() {
    let text = "<i>{{ events[0].sentence }}</i>";
    for (escape, expected) in [
        (Escape::Html, "<i>&lt;b&gt; &amp; &quot;x&quot; *y* @all</i>"),
        (Escape::Telegram, "<i>&lt;b&gt; &amp; &quot;x&quot; *y* @all</i>"),
        (Escape::Slack, "<i>&lt;b&gt; &amp; \"x\" *y* @all</i>"),
        (Escape::Discord, "<i>\\<b\\> & \"x\" \\*y\\* @\u{200b}all</i>"),
        (Escape::Teams, "<i>\\<b\\> & \"x\" \\*y\\* @all</i>"),
        (Escape::Plain, "<i><b> & \"x\" *y* @all</i>"),
    ] {
        assert_eq!(rendered(text, escape).unwrap(), expected, "{escape:?}");
    }
    let json =
        rendered("{\"t\": {{ events[0].sentence }}, \"n\": {{ events | length }}}", Escape::Json).unwrap();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((value["t"].as_str(), value["n"].as_i64()), (Some("<b> & \"x\" *y* @all"), Some(1)));
}

/// Found when the channel is made: not when something has happened.
#[test]
fn a_template_that_fails_is_said_with_its_line() {
    for (text, said) in [
        ("ok\n{{ no_such }}", "template ops.txt:2: undefined value"),
        ("{{ events[0].no_such }}", "template ops.txt:1: undefined value"),
        ("{% if %}", "template ops.txt:1: syntax error"),
        (
            "{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}",
            "engine ran out of fuel",
        ),
        // It holds for an alert, and not for a group.
        ("{% if events | length == 2 %}{{ events[2].day }}{% endif %}", "undefined value"),
    ] {
        let error = rendered(text, Escape::Plain).unwrap_err();
        assert!(error.detail.contains(said), "{text}: {error}");
        assert_eq!(error.kind, crate::notify::NotSent::Misconfigured);
    }
}

#[test]
fn the_built_in_templates_render_every_kind_of_message_in_both_languages() {
    let built_in = [
        (MAIL_TEXT, Escape::Plain),
        (MAIL_HTML, Escape::Html),
        (SLACK, Escape::Slack),
        (DISCORD, Escape::Discord),
        (TEAMS, Escape::Teams),
        (TELEGRAM, Escape::Telegram),
        (PLAIN, Escape::Plain),
    ];
    for language in Language::ALL {
        for message in sample_messages(*language) {
            let told = Told::of(&message);
            for (text, escape) in built_in {
                let rendered = Template::new(None, text, escape).unwrap().render(&told).unwrap();
                let rendered = rendered
                    .replace('\u{a0}', " ")
                    .replace("<span class=\"whole\">", "")
                    .replace("</span>", "");
                for event in &told.events {
                    assert!(rendered.contains(&escape.text(&event.sentence)), "{escape:?}: {rendered}");
                }
            }
        }
    }
}

#[test]
fn what_is_too_long_is_cut_at_a_line() {
    assert_eq!(cut("one\ntwo\nthree", 20), "one\ntwo\nthree");
    assert_eq!(cut("one\ntwo\nthree", 10), "one\ntwo\n…");
    assert_eq!(cut("電子書籍リーダー", 4), "電子書…");
}
