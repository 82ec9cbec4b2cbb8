//! Amounts of money as pages write them, what a coupon takes off, and the signs of currencies.

use super::number::{Number, is_ignorable};
use crate::model::{Currency, Marketplace};

/// An amount such as `1.499,99 €`, `$719.99` or `￥12,300` in minor units of `currency`; the first number counts.
///
/// Null without a number, for a range (`$10 - $20`), and where the decimals do not fit the currency.
pub fn parse_amount(text: &str, currency: Currency) -> Option<i64> {
    let text: String = text.chars().filter(|&c| !is_ignorable(c)).collect();
    let number = Number::first(&text)?;
    if is_range(&number) {
        return None;
    }
    let minor = number.scaled(currency.exponent())?;
    let before = number.before.trim();
    let is_minus = |c: char| matches!(c, '-' | '−');
    Some(if before.starts_with(is_minus) || before.ends_with(is_minus) { -minor } else { minor })
}

/// True for `$10 - $20`: a dash, at most a symbol, and another number.
fn is_range(number: &Number<'_>) -> bool {
    let after = number.after.trim_start_matches(|c: char| !c.is_alphanumeric() && !"-–—~".contains(c));
    let Some(upper) = after.strip_prefix(['-', '–', '—', '~']) else { return false };
    Number::first(upper).is_some_and(|upper| upper.before.chars().count() <= 4)
}

/// What a coupon takes off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coupon {
    Minor(i64),
    Percent(i64),
}

/// `Save 15% with coupon`, `Save $20.00 with coupon`; null for any other sale text.
pub fn parse_coupon(text: &str, currency: Currency) -> Option<Coupon> {
    let folded = text.to_lowercase();
    let names_coupon =
        ["coupon", "gutschein", "cupón", "cupom", "クーポン", "voucher", "優惠券", "优惠券", "kupon"];
    if !names_coupon.iter().any(|word| folded.contains(word)) {
        return None;
    }
    let number = Number::first(text)?;
    if number.after.trim_start().starts_with(['%', '％']) {
        return number.scaled(0).filter(|pct| (1..=100).contains(pct)).map(Coupon::Percent);
    }
    parse_amount(text, currency).filter(|&minor| minor > 0).map(Coupon::Minor)
}

/// The symbol or code beside an amount that can only mean another currency: `€` of `€25.99` where dollars are due.
///
/// Null where there is none, or one that no marketplace uses.
pub fn foreign_currency(text: &str, currency: Currency) -> Option<String> {
    let text: String = text.chars().filter(|&c| !is_ignorable(c)).collect();
    let number = Number::first(&text)?;
    let is_mark = |c: char| c.is_whitespace() || c.is_numeric() || "-−–~()[]:;,/+*".contains(c);
    let before = number.before.trim_end().trim_end_matches(['-', '−']).rsplit(is_mark).next();
    let after = number.after.trim_start().split(is_mark).next();
    let can_mean = |symbol: &str| {
        Marketplace::ALL
            .iter()
            .map(|marketplace| marketplace.currency())
            .any(|known| currency_fits(symbol, known))
    };
    let mut symbols = [before, after].into_iter().flatten();
    symbols.find(|symbol| can_mean(symbol) && !currency_fits(symbol, currency)).map(str::to_owned)
}

/// Whether a symbol or code (`$`, `MX$`, `€`, `USD`) can mean this currency. `$` is every dollar and the peso.
pub fn currency_fits(symbol: &str, currency: Currency) -> bool {
    let symbol: String = symbol.chars().filter(|c| !c.is_whitespace() && !is_ignorable(*c)).collect();
    let symbol = symbol.trim_end_matches('.').to_uppercase();
    let codes: &[&str] = match symbol.as_str() {
        "$" | "＄" => &["USD", "CAD", "AUD", "MXN", "SGD"],
        "US$" => &["USD"],
        "CA$" | "C$" | "CDN$" | "CAD$" => &["CAD"],
        "A$" | "AU$" => &["AUD"],
        "MX$" | "MEX$" => &["MXN"],
        "S$" | "SG$" => &["SGD"],
        "R$" => &["BRL"],
        "€" => &["EUR"],
        "£" => &["GBP"],
        "¥" | "￥" | "円" => &["JPY"],
        "₹" | "RS" => &["INR"],
        "ZŁ" => &["PLN"],
        "KR" => &["SEK"],
        "TL" | "₺" => &["TRY"],
        "د.إ" | "درهم" | "DH" | "DHS" => &["AED"],
        "ر.س" | "ريال" | "SR" => &["SAR"],
        "ج.م" | "جنيه" | "E£" => &["EGP"],
        "R" => &["ZAR"],
        code => return code == currency.code(),
    };
    codes.contains(&currency.code())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Money;
    use crate::model::text::number::grouped;

    fn amount(currency: &str, text: &str) -> Option<i64> {
        parse_amount(text, currency.parse().unwrap())
    }

    #[test]
    fn amounts_are_read_by_their_own_marks() {
        for (currency, text, expected) in [
            ("USD", "$25.99", Some(2599)),
            ("USD", "$1,250.00", Some(125_000)),
            ("EUR", "1.499,99", Some(149_999)),
            ("EUR", "52,41 €", Some(5241)),
            ("SEK", "1\u{a0}299,00 kr", Some(129_900)),
            ("SEK", "12\u{202f}999 kr", Some(1_299_900)),
            ("JPY", "￥12,300", Some(12_300)),
            ("JPY", "２，９８０円", Some(2980)),
            ("JPY", "¥2980.00", Some(2980)),
            ("JPY", "¥29.80", None),
            ("BRL", "R$ 1.234,5", Some(123_450)),
            ("INR", "₹1,23,456.00", Some(12_345_600)),
            ("INR", "₹1,23,456", Some(12_345_600)),
            ("EUR", "1'299.00", Some(129_900)),
            ("EUR", "1.499", Some(149_900)),
            ("USD", "1,499", Some(149_900)),
            ("AED", "AED\u{200e}١٬٢٣٤٫٥٠", Some(123_450)),
            ("USD", "0.99", Some(99)),
            ("USD", "0.990", Some(99)),
            ("USD", "0.999", None),
            ("USD", "$-5.00", Some(-500)),
            ("USD", "-$5", Some(-500)),
            ("USD", "$719.99 with 10 percent savings", Some(71_999)),
            ("USD", "$10.00 - $20.00", None),
            ("USD", "10–20", None),
            ("USD", "1.2345", None),
            ("USD", "12,34,56.7.8", None),
            ("USD", "99999999999999999999", None),
            ("USD", "free", None),
            ("USD", "", None),
        ] {
            assert_eq!(amount(currency, text), expected, "{currency} {text:?}");
        }
    }

    #[test]
    fn a_foreign_currency_beside_an_amount_is_seen() {
        for (currency, text, expected) in [
            ("USD", "€25.99", Some("€")),
            ("USD", "25,99 €", Some("€")),
            ("USD", "25,99€/kg", Some("€")),
            ("USD", "Price: EUR 25.99", Some("EUR")),
            ("USD", "-£5", Some("£")),
            ("USD", "CA$ 5.00", Some("CA$")),
            ("SEK", "129 zł", Some("zł")),
            ("USD", "$25.99", None),
            ("USD", "US$25.99", None),
            ("CAD", "$25.99", None),
            ("USD", "25.99", None),
            ("USD", "$719.99 with 10 percent savings", None),
            ("USD", "25.99 each", None),
            ("AED", "AED\u{200e}١٬٢٣٤٫٥٠", None),
            ("AED", "١٬٢٣٤٫٥٠ د.إ", None),
            ("EUR", "52,41 € (52,41 € / unidad)", None),
            ("JPY", "２，９８０円", None),
            ("USD", "free", None),
        ] {
            let found = foreign_currency(text, currency.parse().unwrap());
            assert_eq!(found.as_deref(), expected, "{currency} {text:?}");
        }
    }

    #[test]
    fn a_coupon_takes_off_a_share_or_an_amount() {
        let usd = Marketplace::Us.currency();
        assert_eq!(parse_coupon("Save 15% with coupon", usd), Some(Coupon::Percent(15)));
        assert_eq!(parse_coupon("Save $20.00 with coupon", usd), Some(Coupon::Minor(2000)));
        assert_eq!(parse_coupon("Join Prime to buy this item at $24.99", usd), None);
    }

    #[test]
    fn a_symbol_may_stand_for_several_currencies_but_not_for_all() {
        let fits = |symbol, market: Marketplace| currency_fits(symbol, market.currency());
        assert!(fits("$", Marketplace::Us) && fits("$", Marketplace::Ca) && fits("MX$", Marketplace::Mx));
        assert!(fits("￥", Marketplace::Jp) && fits("eur", Marketplace::De) && fits("zł", Marketplace::Pl));
        assert!(!fits("€", Marketplace::Us) && !fits("$", Marketplace::De) && !fits("£", Marketplace::Us));
        assert!(!fits("CA$", Marketplace::Us) && !fits("", Marketplace::Us));
    }

    proptest! {
        #[test]
        fn an_amount_that_was_rendered_is_read_back(minor in 0_i64..300_000_000, market in 0_usize..23) {
            let currency = Marketplace::ALL[market].currency();
            let plain = Money { minor, currency }.amount();
            prop_assert_eq!(parse_amount(&plain, currency), Some(minor));
            let (whole, decimals) = plain.split_once('.').unwrap_or((&plain, ""));
            for (group, point) in [(",", "."), (".", ","), ("\u{a0}", ","), ("'", ".")] {
                let mut text = grouped(whole, group);
                if !decimals.is_empty() {
                    text = format!("{text}{point}{decimals}");
                }
                prop_assert_eq!(parse_amount(&format!("€ {text} x"), currency), Some(minor), "{}", text);
            }
        }


        #[test]
        fn no_text_makes_the_amount_reader_panic(text in ".{0,60}") {
            let _ = parse_amount(&text, Marketplace::Us.currency());
        }
    }
}
