//! What messages say, in each language: names of rules, severities and events, and the sentences around them.

use serde::Serialize;

use super::DigestPeriod;
use crate::model::Language;

/// The fixed words of a message; templates have them as `words`.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Words {
    pub severity: &'static str,
    pub product: &'static str,
    pub marketplace: &'static str,
    pub rule: &'static str,
    pub day: &'static str,
    pub alert: &'static str,
    pub seen: &'static str,
    pub open: &'static str,
    pub more: &'static str,
    pub before: &'static str,
    pub now: &'static str,
    pub maybe_sent: &'static str,
    pub why: &'static str,
    pub unsubscribe: &'static str,
    /// Between a name and its value.
    pub colon: &'static str,
}

const ENGLISH: Words = Words {
    severity: "Severity",
    product: "Product",
    marketplace: "Marketplace",
    rule: "Rule",
    day: "Day",
    alert: "Alert",
    seen: "What was seen",
    open: "Open the product page",
    more: "more",
    before: "before",
    now: "now",
    maybe_sent: "You may have had this message before: an earlier attempt was not answered.",
    why: "Sent by amzctl, because this address is named in its configuration.",
    unsubscribe: "Unsubscribe",
    colon: ": ",
};

const CHINESE: Words = Words {
    severity: "嚴重程度",
    product: "商品",
    marketplace: "站點",
    rule: "規則",
    day: "日期",
    alert: "警報",
    seen: "觀察內容",
    open: "開啟商品頁面",
    more: "更多",
    before: "之前",
    now: "目前",
    maybe_sent: "您可能已收到過這則訊息：先前的傳送沒有得到回應。",
    why: "由 amzctl 傳送，因為其設定中列有此地址。",
    unsubscribe: "取消訂閱",
    colon: "：",
};

impl Words {
    pub(super) fn of(language: Language) -> &'static Words {
        match language {
            Language::English => &ENGLISH,
            Language::TraditionalChinese => &CHINESE,
        }
    }
}

/// `critical` as it is said.
pub(super) fn severity(word: &str, language: Language) -> String {
    let chinese = match word {
        "critical" => "緊急",
        "high" => "高",
        "medium" => "中",
        "low" => "低",
        _ => "",
    };
    match language {
        Language::TraditionalChinese if !chinese.is_empty() => chinese.to_owned(),
        _ => word.to_owned(),
    }
}

/// The name of a rule: `price drop`; one of the user's own as it is written.
pub(super) fn rule(name: &str, language: Language) -> String {
    let chinese = match name {
        "price_drop" => "價格下跌",
        "price_rise" => "價格上漲",
        "bsr_worsened" => "排名下滑",
        "bsr_improved" => "排名上升",
        "rating_fell" => "評分下降",
        "rating_rose" => "評分上升",
        "ratings_spike" => "評分數暴增",
        "price_outlier" => "價格異常",
        "out_of_stock" => "缺貨",
        "back_in_stock" => "恢復供貨",
        "buy_box_lost" => "失去購買按鈕",
        "buy_box_seller_changed" => "購買按鈕賣家變更",
        "new_seller" => "新賣家",
        "all_time_low" => "歷史新低價",
        "listing_changed" => "商品頁面變更",
        "undercut" => "遭競品低價搶攻",
        "product_stale" => "商品資料過舊",
        "product_gone" => "商品消失",
        "source_incident" => "資料來源異常",
        _ => "",
    };
    match language {
        Language::TraditionalChinese if !chinese.is_empty() => chinese.to_owned(),
        _ => name.replace('_', " "),
    }
}

/// What a type of event says of what it is about: ` (escalated)`; nothing for the ordinary one.
pub(super) fn event(event_type: &str, language: Language) -> String {
    let (english, chinese) = match event_type {
        "alert.opened" => ("", ""),
        "alert.escalated" => ("escalated", "已升級"),
        "alert.resolved" => ("resolved", "已解決"),
        "incident.opened" => ("incident", "異常事件"),
        "report.published" => ("report published", "報告已發布"),
        "run.finished" => ("run finished", "執行完成"),
        "run.failed" => ("run failed", "執行失敗"),
        "channel.test" => ("test", "測試"),
        other => (other, other),
    };
    match language {
        Language::English => english.to_owned(),
        Language::TraditionalChinese => chinese.to_owned(),
    }
}

/// `3 alerts`, `1 event`.
pub(super) fn count(number: usize, is_alerts: bool, language: Language) -> String {
    match (language, is_alerts) {
        (Language::English, true) => format!("{number} alert{}", if number == 1 { "" } else { "s" }),
        (Language::English, false) => format!("{number} event{}", if number == 1 { "" } else { "s" }),
        (Language::TraditionalChinese, true) => format!("{number} 則警報"),
        (Language::TraditionalChinese, false) => format!("{number} 則事件"),
    }
}

/// `2 critical, 1 high`.
pub(super) fn counts(by_severity: &[(&str, usize)], language: Language) -> String {
    let parts: Vec<String> = by_severity
        .iter()
        .filter(|(_, number)| *number > 0)
        .map(|(word, number)| match language {
            Language::English => format!("{number} {word}"),
            Language::TraditionalChinese => format!("{} {number}", severity(word, language)),
        })
        .collect();
    parts.join(match language {
        Language::English => ", ",
        Language::TraditionalChinese => "、",
    })
}

/// A sentence with what people should know before they rely on it.
pub(super) fn with_caveat(sentence: &str, caveat: &str, language: Language) -> String {
    match language {
        Language::English => format!("{sentence}; {caveat}"),
        Language::TraditionalChinese => format!("{sentence}（注意：{caveat}）"),
    }
}

/// `Daily digest`.
pub(super) fn digest(period: DigestPeriod, language: Language) -> &'static str {
    match (period, language) {
        (DigestPeriod::Daily, Language::English) => "Daily digest",
        (DigestPeriod::Weekly, Language::English) => "Weekly digest",
        (DigestPeriod::Daily, Language::TraditionalChinese) => "每日摘要",
        (DigestPeriod::Weekly, Language::TraditionalChinese) => "每週摘要",
    }
}

/// Names of what a rule looked at, as far as they are shown.
pub(super) fn evidence(name: &str, language: Language) -> String {
    let chinese = match name {
        "price" => "價格",
        "price_prev" => "先前價格",
        "price_delta" => "價格變動",
        "price_low_all_prev" => "先前最低價",
        "price_basis" => "價格依據",
        "rank" => "排名",
        "rank_prev" => "先前排名",
        "category" => "類別",
        "ratings_count" => "評分數",
        "ratings_count_prev" => "先前評分數",
        "availability" => "供貨狀況",
        "availability_prev" => "先前供貨狀況",
        "seller_id" => "賣家",
        "seller_prev" => "先前賣家",
        "main_price" => "本商品價格",
        "competitor" => "競品",
        "competitor_price" => "競品價格",
        "source" => "來源",
        _ => "",
    };
    match language {
        Language::TraditionalChinese if !chinese.is_empty() => chinese.to_owned(),
        _ => name
            .strip_suffix("_prev")
            .map_or(name.to_owned(), |name| format!("{name} before"))
            .replace('_', " "),
    }
}
