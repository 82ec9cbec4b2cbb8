use super::*;
use crate::notify::{DigestPeriod, sample_messages};

fn event(fields: Value) -> Event {
    let mut payload = serde_json::json!({
        "event_id": "e1", "event_type": "alert.opened", "alert_id": "0123456789abcdef", "severity": "high",
        "rule": "price_drop", "marketplace": "UK", "asin": "B0FDKB341G", "day": "2026-02-28",
        "message": "price fell", "evidence": {},
    });
    for (name, value) in fields.as_object().into_iter().flatten() {
        payload[name] = value.clone();
    }
    Event { event_id: "e1".into(), payload: payload.to_string() }
}

fn told_of(events: Vec<Event>, language: Language) -> Told {
    let message = Message { message_id: "m1".into(), events, digest: None, maybe_sent: false, language };
    Told::of(&message)
}

#[test]
fn a_subject_says_how_grave_what_and_which() {
    let one = |fields, language| told_of(vec![event(fields)], language).subject;
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(one(json("{}"), Language::English), "HIGH price drop UK:B0FDKB341G");
    assert_eq!(one(json("{}"), Language::TraditionalChinese), "【高】 價格下跌 UK:B0FDKB341G");
    let escalated = json(r#"{"event_type": "alert.escalated", "severity": "critical"}"#);
    assert_eq!(one(escalated, Language::English), "CRITICAL price drop (escalated) UK:B0FDKB341G");
    let run = json(
        r#"{"event_type": "run.failed", "severity": null, "rule": null, "asin": null, "marketplace": null}"#,
    );
    assert_eq!(one(run.clone(), Language::English), "run failed");
    assert_eq!(one(run, Language::TraditionalChinese), "執行失敗");
}

#[test]
fn what_was_not_confirmed_says_so_behind_its_sentence() {
    let unsure = serde_json::json!({ "caveat": "not confirmed within 7 days" });
    let told = |language| told_of(vec![event(unsure.clone())], language).events.remove(0).sentence;
    assert_eq!(told(Language::English), "price fell; not confirmed within 7 days");
    assert_eq!(told(Language::TraditionalChinese), "price fell（注意：not confirmed within 7 days）");
}

#[test]
fn several_events_are_counted_by_severity() {
    let events: Vec<Event> = ["critical", "high", "high"]
        .map(|severity| event(serde_json::json!({ "severity": severity })))
        .to_vec();
    let told = told_of(events.clone(), Language::English);
    assert_eq!(told.subject, "3 alerts (1 critical, 2 high): price drop");
    assert_eq!((told.kind, told.worst.as_str()), ("group", "critical"));
    let day = |text: &str| text.parse::<Day>().unwrap();
    let message = Message {
        message_id: "m1".into(),
        events,
        digest: Some(Digest {
            period: DigestPeriod::Weekly,
            first: day("2026-02-22"),
            last: day("2026-02-28"),
        }),
        maybe_sent: false,
        language: Language::TraditionalChinese,
    };
    assert_eq!(Told::of(&message).subject, "每週摘要 2026-02-22 至 2026-02-28：3 則警報（緊急 1、高 2）");
}

#[test]
fn a_digest_begins_with_what_is_gravest() {
    let events: Vec<Event> = ["low", "critical", "medium", "critical"]
        .iter()
        .enumerate()
        .map(|(at, severity)| event(serde_json::json!({ "severity": severity, "message": at.to_string() })))
        .collect();
    let day: Day = "2026-02-28".parse().unwrap();
    let told = |digest| {
        let message = Message {
            message_id: "m1".into(),
            events: events.clone(),
            digest,
            maybe_sent: false,
            language: Language::English,
        };
        Told::of(&message).events.iter().map(|event| event.sentence.clone()).collect::<String>()
    };
    assert_eq!(told(None), "0123", "as they come");
    assert_eq!(told(Some(Digest { period: DigestPeriod::Daily, first: day, last: day })), "1320");
}

#[test]
fn a_product_has_the_page_of_its_shop() {
    let told = told_of(vec![event(Value::Null)], Language::English);
    assert_eq!(told.events[0].url, "https://www.amazon.co.uk/dp/B0FDKB341G");
    let strange = event(serde_json::json!({ "asin": "\"><script>" }));
    assert_eq!(told_of(vec![strange], Language::English).events[0].url, "");
}

#[test]
fn a_title_is_cut_between_words_and_absent_where_it_is_not_known() {
    let title =
        "Wireless Earbuds, Bluetooth 5.4 Headphones\u{1b}[1m with 4 Microphones, 48 Hours of Playtime, Black";
    let titled = |fields| told_of(vec![event(fields)], Language::English).events.remove(0).title;
    assert_eq!(
        titled(serde_json::json!({ "title": title })),
        "Wireless Earbuds, Bluetooth 5.4 Headphones[1m with 4 Microphones, 48 Hours of…"
    );
    assert_eq!(titled(Value::Null), "");
}

#[test]
fn a_text_is_one_line_without_what_steers_a_terminal_or_a_reader() {
    let nasty = event(serde_json::json!({ "message": "a\u{1b}[31m\r\nBcc: x\u{202e}y" }));
    let told = told_of(vec![nasty], Language::English);
    assert_eq!(told.events[0].sentence, "a[31m Bcc: xy");
}

#[test]
fn amounts_are_shown_as_everywhere_and_what_rules_only_compute_with_is_not() {
    let told = Told::of(&sample_messages(Language::English)[0]);
    let details: Vec<String> =
        told.events[0].details.iter().map(|detail| format!("{}={}", detail.label, detail.value)).collect();
    assert_eq!(details, ["price=14.99 USD", "price basis=buy box", "price before=24.99 USD"]);
    assert_eq!(money("1299.00", "USD"), "1,299.00 USD");
    assert_eq!(money("2980", "JPY"), "2,980 JPY");
}

/// The sentence of every rule that looks at values is told in Chinese from these values.
#[test]
fn findings_are_told_in_chinese_from_what_was_looked_at() {
    let money = |amount: &str| serde_json::json!({ "amount": amount, "currency": "USD" });
    for (rule, evidence, expected) in [
        (
            "price_drop",
            serde_json::json!({ "price": money("14.99"), "price_prev": money("24.99"), "price_pct": -40.016,
                "price_prev_day": "2026-02-27" }),
            "價格下跌 40.0 %：從 24.99 USD 變為 14.99 USD（2026-02-27 → 2026-02-28）",
        ),
        (
            "bsr_worsened",
            serde_json::json!({ "category": "Electronics", "rank": 12000, "rank_prev": 4000, "rank_pct": 200.0,
                "rank_prev_day": "2026-02-27" }),
            "在 Electronics 排名下滑 200.0 %：從 4,000 變為 12,000（2026-02-27 → 2026-02-28）",
        ),
        (
            "rating_fell",
            serde_json::json!({ "rating_centi": 400, "rating_centi_prev": 460, "rating_centi_delta": -60,
                "rating_prev_day": "2026-02-27" }),
            "評分下降 0.6 顆星：從 4.6 變為 4.0（2026-02-27 → 2026-02-28）",
        ),
        (
            "out_of_stock",
            serde_json::json!({ "availability": "unavailable", "availability_prev": "in_stock",
                "availability_prev_day": "2026-02-27" }),
            "缺貨：有貨 → 無法購買（2026-02-27 → 2026-02-28）",
        ),
        (
            "undercut",
            serde_json::json!({ "competitor": "UK:B0FM2YDLHP", "competitor_price": money("9.00"),
                "main_price": money("10.00"), "prev_day": "2026-02-27" }),
            "UK:B0FM2YDLHP 現售 9.00 USD，低於本商品的 10.00 USD（2026-02-27 → 2026-02-28）",
        ),
        // Of a rule of the user's own, and of evidence that lacks something, the finding's own words are
        // told.
        ("our_rule", serde_json::json!({}), "price fell"),
        ("price_drop", serde_json::json!({ "price": money("1.00") }), "price fell"),
    ] {
        let event = event(serde_json::json!({ "rule": rule, "evidence": evidence }));
        let told = told_of(vec![event], Language::TraditionalChinese);
        assert_eq!(told.events[0].sentence, expected, "{rule}");
    }
}

#[test]
fn a_payload_of_another_form_is_told_as_far_as_it_goes() {
    let event = Event { event_id: "e1".into(), payload: "{\"event_type\":\"report.published\"}".into() };
    let told = told_of(vec![event], Language::English);
    assert_eq!((told.subject.as_str(), told.kind), ("report published", "alert"));
}
