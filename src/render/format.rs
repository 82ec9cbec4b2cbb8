//! Numbers and names as people read them, the same in every format. Rounding is half away from zero; what is not
//! known is the word [`UNKNOWN`], never a zero and never an empty cell.

use unicode_width::UnicodeWidthStr as _;

use crate::model::{Currency, Day, Money};

/// What stands where a value is not known.
pub const UNKNOWN: &str = "unknown";
/// The typographic minus, as wide as a digit's plus.
const MINUS: char = '\u{2212}';

/// `value` or [`UNKNOWN`].
pub fn or_unknown(value: Option<impl Into<String>>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), Into::into)
}

/// An integer with thousands separators: `35,077`, `−1,200`.
pub fn integer(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if value < 0 {
        text.push(MINUS);
    }
    text.push_str(&grouped(&digits));
    text
}

fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rank: `#35,077`.
pub fn rank(value: i64) -> String {
    format!("#{}", integer(value))
}

/// An amount without its currency: `1,299.00`, `2,980` (yen).
pub fn amount(minor: i64, currency: Currency) -> String {
    let plain = Money { minor: minor.checked_abs().unwrap_or(i64::MAX), currency }.amount();
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let sign = if minor < 0 { MINUS.to_string() } else { String::new() };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}", grouped(whole))
}

/// An amount with its currency: `1,299.00 USD`.
pub fn money(minor: i64, currency: Currency) -> String {
    format!("{} {currency}", amount(minor, currency))
}

/// A mean of minor units, rounded to the currency's smallest unit.
pub fn mean_amount(minor: f64, currency: Currency) -> String {
    amount(round_half_away(minor), currency)
}

/// Stars out of hundredths: `4.5`, `4.37`.
pub fn stars(centi: i64) -> String {
    let text = format!("{}.{:02}", centi / 100, (centi % 100).abs());
    text.strip_suffix('0').map_or_else(|| text.clone(), str::to_owned)
}

/// The text of a number with its sign in front: `+3`, `−3`, `0`.
fn signed(value: i64, magnitude: String) -> String {
    match value {
        0 => magnitude,
        1.. => format!("+{magnitude}"),
        _ => format!("{MINUS}{magnitude}"),
    }
}

/// A difference of counts or ranks: `+1,200`, `−17`, `0`.
pub fn signed_integer(value: i64) -> String {
    signed(value, grouped(&value.unsigned_abs().to_string()))
}

/// A difference of amounts: `+1.50`, `−0.05`.
pub fn signed_amount(minor: i64, currency: Currency) -> String {
    signed(minor, amount(minor.saturating_abs(), currency))
}

/// A difference of hundredths of a star: `+0.1`.
pub fn signed_stars(centi: i64) -> String {
    signed(centi, stars(centi.saturating_abs()))
}

/// One decimal, half away from zero: `61.3`, `−0.1`; never `−0.0`.
pub fn one_decimal(value: f64) -> String {
    let tenths = round_half_away(value * 10.0);
    let sign = if tenths < 0 { MINUS.to_string() } else { String::new() };
    let magnitude = tenths.unsigned_abs();
    format!("{sign}{}.{}", grouped(&(magnitude / 10).to_string()), magnitude % 10)
}

/// A percentage with its sign: `+12.5 %`, `−3.0 %`, `0.0 %`.
pub fn signed_percent(value: f64) -> String {
    let text = one_decimal(value);
    let plus = if round_half_away(value * 10.0) > 0 { "+" } else { "" };
    format!("{plus}{text} %")
}

/// A share between 0 and 1 as a percentage: `93.3 %`.
pub fn share(value: f64) -> String {
    format!("{} %", one_decimal(value * 100.0))
}

/// The nearest integer, halves away from zero; saturates.
pub fn round_half_away(value: f64) -> i64 {
    value.round() as i64
}

/// `1 day`, `3 days`.
pub fn count_of(count: i64, singular: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {singular}{plural}", integer(count))
}

/// A day in sentences and headings: `3 May 2026`. Tables and what a chart says of a day have `2026-05-03`.
pub fn long_day(day: Day) -> String {
    day.date().format("%-d %b %Y").to_string()
}

/// The first and the last day of a period, in sentences: `1 May 2026 to 3 May 2026`; one day alone.
pub fn long_period(first: Day, last: Day) -> String {
    if first == last { long_day(first) } else { format!("{} to {}", long_day(first), long_day(last)) }
}

/// A day without its year, for the axis of a chart: `3 May`.
pub fn short_day(day: Day) -> String {
    day.date().format("%-d %b").to_string()
}

/// A word of the tables as people read it: `out_of_stock` is `out of stock`.
pub fn spoken(word: &str) -> String {
    word.replace('_', " ")
}

/// True for what acts on a terminal or turns the direction of reading: control and bidi characters.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text of any number of lines without what could drive a terminal or a page.
pub fn plain_text(text: &str) -> String {
    text.chars().filter(|c| matches!(c, '\n' | '\r' | '\t') || !steers(*c)).collect()
}

/// One line of text without what could drive a terminal or a page.
pub fn plain_line(text: &str) -> String {
    let spaced: String =
        text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !steers(*c)).collect();
    spaced.split(' ').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// What a product is called in a sentence: its label, else its title cut short, else its ASIN.
pub fn product_name(label: &str, title: Option<&str>, asin: &str) -> String {
    const COLUMNS: usize = 48;
    let cleaned = [label, title.unwrap_or_default()].map(plain_line);
    let name = cleaned.into_iter().find(|name| !name.is_empty()).unwrap_or_else(|| asin.to_owned());
    shortened(&name, COLUMNS)
}

/// At most `columns` columns of `text` for a sentence or a heading: [`truncated`] between two words, unless half of
/// it would go.
pub fn shortened(text: &str, columns: usize) -> String {
    let cut = truncated(text, columns);
    let Some(kept) = cut.strip_suffix('…').filter(|kept| text.starts_with(kept) && cut != text) else {
        return cut;
    };
    let ends_in_word = !text[kept.len()..].starts_with(' ');
    let whole = kept.rsplit_once(' ').filter(|(words, _)| ends_in_word && words.width() > columns / 2);
    let kept = whole.map_or(kept, |(words, _)| words);
    format!("{}…", kept.trim_end_matches([',', ';', ':', '-', '–', '|', ' ']))
}

/// At most `columns` terminal columns of `text`, ending in `…` where something was cut. Wide characters count two.
pub fn truncated(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        kept.push(c);
        // Measured as a whole: joined emoji are narrower than the sum of their parts.
        if kept.width() >= columns {
            kept.pop();
            break;
        }
    }
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd() -> Currency {
        "USD".parse().unwrap()
    }

    #[test]
    fn amounts_carry_separators_and_the_digits_of_their_currency() {
        assert_eq!(money(129_900, usd()), "1,299.00 USD");
        assert_eq!(money(5, usd()), "0.05 USD");
        assert_eq!(amount(-129_900, usd()), "−1,299.00");
        assert_eq!(money(2980, "JPY".parse().unwrap()), "2,980 JPY");
        assert_eq!(signed_amount(-5, usd()), "−0.05");
        assert_eq!(signed_amount(150, usd()), "+1.50");
        assert_eq!(signed_amount(0, usd()), "0.00");
        assert_eq!(mean_amount(2549.5, usd()), "25.50");
    }

    #[test]
    fn a_cut_text_ends_in_an_ellipsis_and_wide_characters_count_two_columns() {
        assert_eq!(truncated("電子書籍", 8), "電子書籍");
        assert_eq!(truncated("電子書籍", 7), "電子書…");
        assert_eq!(truncated("電子書籍", 6), "電子…");
        assert_eq!(truncated("abc", 2), "a…");
        assert_eq!(truncated("ab cd", 4), "ab…");
    }

    #[test]
    fn a_name_in_a_sentence_is_cut_between_words() {
        assert_eq!(shortened("Wireless Earbuds, 48 Hours Playtime", 30), "Wireless Earbuds, 48 Hours…");
        assert_eq!(shortened("Wireless Earbuds, 48 Hours Playtime", 27), "Wireless Earbuds, 48 Hours…");
        assert_eq!(shortened("Wireless Earbuds, 48 Hours", 19), "Wireless Earbuds…");
        assert_eq!(shortened("Wireless Earbuds…", 30), "Wireless Earbuds…");
        assert_eq!(shortened("Unterwasserbeleuchtung", 10), "Unterwass…");
        assert_eq!(shortened("電子書籍リーダー", 9), "電子書籍…");
    }

    #[test]
    fn ranks_and_counts_carry_thousands_separators() {
        assert_eq!(rank(7), "#7");
        assert_eq!(rank(35_077), "#35,077");
        assert_eq!(integer(1_234_567), "1,234,567");
        assert_eq!(signed_integer(-1200), "−1,200");
        assert_eq!(integer(i64::MIN), "−9,223,372,036,854,775,808");
    }

    #[test]
    fn one_decimal_rounds_halves_away_from_zero_and_has_no_negative_zero() {
        assert_eq!(one_decimal(61.25), "61.3");
        assert_eq!(one_decimal(-61.25), "−61.3");
        assert_eq!(one_decimal(-0.04), "0.0");
        assert_eq!(signed_percent(12.5), "+12.5 %");
        assert_eq!(signed_percent(0.04), "0.0 %");
        assert_eq!(signed_percent(-3.0), "−3.0 %");
        assert_eq!(share(0.9333), "93.3 %");
    }

    #[test]
    fn stars_keep_hundredths_only_where_there_are_some() {
        assert_eq!(stars(450), "4.5");
        assert_eq!(stars(437), "4.37");
        assert_eq!(stars(500), "5.0");
        assert_eq!(signed_stars(-10), "−0.1");
    }

    #[test]
    fn a_line_of_text_carries_no_controls_and_is_cut_by_display_width() {
        assert_eq!(plain_line("a\u{1b}[31m\n\tb\u{202e}c"), "a[31m bc");
        assert_eq!(truncated("Bluetooth", 9), "Bluetooth");
        assert_eq!(truncated("Bluetooth", 5), "Blue…");
        assert_eq!(truncated("電子商品", 5), "電子…");
        assert_eq!(or_unknown(None::<String>), "unknown");
    }
}
