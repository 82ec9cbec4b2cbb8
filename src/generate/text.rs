//! How product pages write numbers, ranks, stars and stock in the languages of the synthetic market.

use serde_json::value::RawValue;

use super::catalog::{Language, Words, said};
use super::fact::{Fact, FactRank, Profile};
use crate::model::{Availability, Currency, Money};

pub(super) const RANK_LABEL: Words =
    ["Best Sellers Rank", "Amazon Bestseller-Rang", "Amazon 売れ筋ランキング", "暢銷商品排名"];
pub(super) const BRAND_LABEL: Words = ["Brand", "Marke", "ブランド", "品牌"];

/// An amount in major units as a JSON number, written as JavaScript would: no trailing zeros.
pub(super) fn decimal(minor: i64, currency: Currency) -> serde_json::Result<Box<RawValue>> {
    let amount = Money { minor, currency }.amount();
    let plain = match amount.split_once('.') {
        Some((whole, fraction)) => match fraction.trim_end_matches('0') {
            "" => whole.to_owned(),
            fraction => format!("{whole}.{fraction}"),
        },
        None => amount,
    };
    RawValue::from_string(plain)
}

/// Tenths as a JSON number: `4.4`, `5`.
pub(super) fn tenths(tenths: i64) -> serde_json::Result<Box<RawValue>> {
    let (whole, rest) = (tenths / 10, tenths % 10);
    RawValue::from_string(if rest == 0 { whole.to_string() } else { format!("{whole}.{rest}") })
}

/// A count with the language's thousands mark.
pub(super) fn grouped(number: i64, language: Language) -> String {
    let mark = if language == Language::German { '.' } else { ',' };
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(mark);
        }
        text.push(digit);
    }
    text
}

pub(super) fn stars(tenths: i64, language: Language) -> String {
    let (whole, rest) = (tenths / 10, tenths % 10);
    match language {
        Language::English => format!("{whole}.{rest} out of 5 stars"),
        Language::German => format!("{whole},{rest} von 5 Sternen"),
        Language::Japanese => format!("5つ星のうち{whole}.{rest}"),
        Language::Chinese => format!("{whole}.{rest} 顆星，最高 5 顆星"),
    }
}

pub(super) fn byline(brand: &str, language: Language) -> String {
    match language {
        Language::English => format!("Visit the {brand} Store"),
        Language::German => format!("Marke: {brand}"),
        Language::Japanese => format!("ブランド: {brand}"),
        Language::Chinese => format!("品牌：{brand}"),
    }
}

pub(super) fn availability(fact: &Fact, language: Language) -> String {
    let left = fact.stock_quantity.unwrap_or(1);
    let words: Words = match fact.availability {
        Availability::LowStock => {
            return match language {
                Language::English => format!("Only {left} left in stock - order soon."),
                Language::German => format!("Nur noch {left} auf Lager"),
                Language::Japanese => format!("残り{left}点 ご注文はお早めに"),
                Language::Chinese => format!("庫存僅剩 {left} 件，請儘快下單。"),
            };
        }
        Availability::ShipsLater => [
            "Usually ships within 5 to 6 days",
            "Gewöhnlich versandfertig in 5 bis 6 Tagen",
            "通常5～6日以内に発送します。",
            "通常在 5 至 6 天內出貨",
        ],
        Availability::NoFeaturedOffer => {
            ["See All Buying Options", "Alle Kaufoptionen anzeigen", "すべての出品を見る", "查看所有購買選項"]
        }
        Availability::Unavailable => [
            "Currently unavailable. We don't know when or if this item will be back in stock.",
            "Derzeit nicht verfügbar. Ob und wann dieser Artikel wieder vorrätig sein wird, ist unbekannt.",
            "現在在庫切れです。 この商品の再入荷予定は立っておりません。",
            "目前無法購買。",
        ],
        _ => ["In Stock", "Auf Lager", "在庫あり。", "現貨。"],
    };
    said(&words, language).to_owned()
}

/// All ranks in one text: `#35,077 in Electronics (See Top 100 in Electronics) #2,607 in Earbud Headphones`.
pub(super) fn ranks(main: &FactRank, others: &[FactRank], language: Language) -> String {
    let root = main.node.name(language);
    let top = match language {
        Language::English => format!(" (See Top 100 in {root})"),
        Language::German => format!(" (Siehe Top 100 in {root})"),
        Language::Japanese => format!(" ({root}の売れ筋ランキングを見る)"),
        Language::Chinese => format!(" (請參閱 {root} 前 100 名)"),
    };
    let mut text = rank(main, language) + &top;
    for other in others {
        text.push(' ');
        text.push_str(&rank(other, language));
    }
    text
}

fn rank(rank: &FactRank, language: Language) -> String {
    let (number, name) = (grouped(rank.rank, language), rank.node.name(language));
    match language {
        Language::English => format!("#{number} in {name}"),
        Language::German => format!("Nr. {number} in {name}"),
        Language::Japanese => format!("- {number}位{name}"),
        Language::Chinese => format!("#{number} 在 {name}"),
    }
}

/// `-17%`: how much the price lies below the list price.
pub(super) fn saving(price: Option<i64>, list: Option<i64>) -> Option<String> {
    let (price, list) = (price?, list?);
    (list > price).then(|| format!("-{}%", (list - price) * 100 / list))
}

/// `4K+ bought in past month`.
pub(super) fn bought_past_month(floor: i64) -> String {
    let count = if floor >= 1_000 { format!("{}K", floor / 1_000) } else { floor.to_string() };
    format!("{count}+ bought in past month")
}

/// The product page's address; `tail` follows the ASIN.
pub(super) fn product_url(profile: &Profile, language: Language, tail: &str) -> String {
    let (domain, asin) = (profile.key.marketplace.domain(), profile.key.asin);
    let place = if language == Language::Chinese { "-/zh_TW/" } else { "" };
    format!("https://www.{domain}/{place}dp/{asin}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_language_writes_them() {
        for (number, english, german) in [
            (7, "7", "7"),
            (975, "975", "975"),
            (35_077, "35,077", "35.077"),
            (1_000_000, "1,000,000", "1.000.000"),
        ] {
            assert_eq!(grouped(number, Language::English), english);
            assert_eq!(grouped(number, Language::German), german);
        }
        let amount = |minor, code: &str| decimal(minor, code.parse().unwrap()).unwrap().get().to_owned();
        assert_eq!(amount(2599, "USD"), "25.99");
        assert_eq!(amount(2590, "USD"), "25.9");
        assert_eq!(amount(2500, "EUR"), "25");
        assert_eq!(amount(0, "USD"), "0");
        assert_eq!(amount(2980, "JPY"), "2980");
        assert_eq!(amount(3000, "JPY"), "3000");
    }
}
