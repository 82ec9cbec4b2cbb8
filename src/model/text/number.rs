//! Numbers as pages write them: which mark is the decimal one is read from the text, never from the marketplace.

use crate::model::{Currency, Marketplace};

/// A number found in a text: its digits in groups, and what stands around it.
#[derive(Debug)]
pub(super) struct Number<'a> {
    /// The digits between the marks, as ASCII.
    groups: Vec<String>,
    /// The mark before each group but the first: `.`, `,`, or `_` for every mark that can only group.
    marks: Vec<char>,
    pub(super) before: &'a str,
    pub(super) after: &'a str,
}

/// The value of a decimal digit, whatever script it is written in.
fn digit(c: char) -> Option<char> {
    let zero = match c {
        '0'..='9' => return Some(c),
        '０'..='９' => '０',
        '٠'..='٩' => '٠',
        '۰'..='۹' => '۰',
        '०'..='९' => '०',
        _ => return None,
    };
    char::from_digit(u32::from(c) - u32::from(zero), 10)
}

/// `.` and `,` may be decimal marks; an Arabic decimal mark always is (`.`), the other marks only group (`_`).
fn mark(c: char) -> Option<char> {
    match c {
        '.' | '．' | '٫' => Some('.'),
        ',' | '，' => Some(','),
        '\'' | '’' | '٬' | ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}' => Some('_'),
        _ => None,
    }
}

/// True when exactly three digits follow: what a grouping space or apostrophe needs to be one.
fn three_digits_follow(text: &str) -> bool {
    let mut chars = text.chars();
    (0..3).all(|_| chars.next().and_then(digit).is_some()) && chars.next().and_then(digit).is_none()
}

/// Characters of direction and no width that may stand inside or around a number in tables.
pub(super) fn is_ignorable(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

impl<'a> Number<'a> {
    /// The first number of the text; null when it has no digit.
    pub(super) fn first(text: &'a str) -> Option<Number<'a>> {
        let (start, _) = text.char_indices().find(|&(_, c)| digit(c).is_some())?;
        let mut number =
            Number { groups: vec![String::new()], marks: Vec::new(), before: &text[..start], after: "" };
        let mut rest = &text[start..];
        while let Some(c) = rest.chars().next() {
            let tail = &rest[c.len_utf8()..];
            if let Some(digit) = digit(c) {
                if let Some(group) = number.groups.last_mut() {
                    group.push(digit);
                }
            } else if let Some(mark) = mark(c) {
                let digit_follows = tail.chars().next().is_some_and(|c| digit(c).is_some());
                if !digit_follows || (mark == '_' && !three_digits_follow(tail)) {
                    break;
                }
                number.marks.push(mark);
                number.groups.push(String::new());
            } else {
                break;
            }
            rest = tail;
        }
        number.after = rest;
        Some(number)
    }

    /// All numbers of the text, in order.
    fn all(text: &'a str) -> Vec<Number<'a>> {
        let mut numbers: Vec<Number<'a>> = Vec::new();
        let mut rest = text;
        // Eight are more than any sentence about one value has.
        while let Some(number) = Number::first(rest).filter(|_| numbers.len() < 8) {
            rest = number.after;
            numbers.push(number);
        }
        numbers
    }

    /// True when the groups from `first` to `last` are as long as groups of thousands (or lakhs) are.
    fn is_grouped(&self, last: usize) -> bool {
        let length = |index: usize| self.groups.get(index).map_or(0, String::len);
        last == 0
            || ((1..=3).contains(&length(0))
                && (1..last).all(|index| (2..=3).contains(&length(index)))
                && length(last) == 3)
    }

    /// Integer digits and decimal digits. The last `.` or `,` is the decimal mark when one or two digits follow
    /// it, a group mark when three do.
    fn decimal(&self) -> Option<(String, String)> {
        let last = self.groups.len() - 1;
        let Some(&last_mark) = self.marks.last() else { return Some((self.groups.concat(), String::new())) };
        let earlier = &self.marks[..last - 1];
        let length = self.groups[last].len();
        let is_group = length == 3 && self.is_grouped(last) && !(last == 1 && self.groups[0] == "0");
        if is_group || last_mark == '_' {
            return is_group.then(|| (self.groups.concat(), String::new()));
        }
        let decimal_follows_groups = self.is_grouped(last - 1) && !earlier.contains(&last_mark);
        decimal_follows_groups.then(|| (self.groups[..last].concat(), self.groups[last].clone()))
    }

    /// The number times 10^`exponent`; null when that is not a whole number of 18 digits at most.
    fn scaled(&self, exponent: u32) -> Option<i64> {
        let (integer, decimals) = self.decimal()?;
        scale(&integer, &decimals, exponent)
    }

    /// The number as a count: every mark only groups.
    pub(super) fn whole(&self) -> Option<i64> {
        if !self.is_grouped(self.groups.len() - 1) {
            return None;
        }
        scale(&self.groups.concat(), "", 0)
    }
}

fn scale(integer: &str, decimals: &str, exponent: u32) -> Option<i64> {
    let decimals = decimals.trim_end_matches('0');
    let missing = (exponent as usize).checked_sub(decimals.len())?;
    let digits = format!("{integer}{decimals}{}", "0".repeat(missing));
    let digits = digits.trim_start_matches('0');
    if digits.len() > 18 {
        return None;
    }
    if digits.is_empty() { Some(0) } else { digits.parse().ok() }
}

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

/// Words that multiply the number before them, in lower case.
const MULTIPLIERS: [(&str, u32); 22] = [
    ("k", 3),
    ("m", 6),
    ("mil", 3),
    ("mila", 3),
    ("tsd", 3),
    ("tausend", 3),
    ("mio", 6),
    ("mill", 6),
    ("mln", 6),
    ("tys", 3),
    ("bin", 3),
    ("tn", 3),
    ("tusen", 3),
    ("dzd", 3),
    ("lakh", 5),
    ("ألف", 3),
    ("آلاف", 3),
    ("千", 3),
    ("万", 4),
    ("萬", 4),
    ("億", 8),
    ("亿", 8),
];

/// The exponent of the multiplier right after a number, and what follows it.
fn multiplier(after: &str) -> Option<(u32, &str)> {
    let rest = after.trim_start();
    let first = rest.chars().next()?;
    if matches!(first, '千' | '万' | '萬' | '億' | '亿') {
        let exponent = MULTIPLIERS.iter().find(|(word, _)| word.starts_with(first))?.1;
        return Some((exponent, &rest[first.len_utf8()..]));
    }
    let end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let word = rest[..end].to_lowercase();
    let exponent = MULTIPLIERS.iter().find(|(known, _)| *known == word)?.1;
    Some((exponent, rest[end..].trim_start_matches('.')))
}

/// A count such as `1,234 ratings`, `(1.234)`, `1.2K`, `1万` or `5K+ bought in past month` (the floor, 5000).
///
/// Of several numbers the one that is called a floor counts (`過去1か月で2000点以上` is 2000), else the first.
pub fn parse_count(text: &str) -> Option<i64> {
    let text: String = text.chars().filter(|&c| !is_ignorable(c)).collect();
    let numbers = Number::all(&text);
    let is_floor = |number: &&Number<'_>| {
        let rest = multiplier(number.after).map_or(number.after, |(_, rest)| rest).trim_start();
        rest.starts_with(['+', '＋']) || rest.chars().take(4).any(|c| c == '以')
    };
    let number = numbers.iter().find(is_floor).or(numbers.first())?;
    if number.before.trim_end().ends_with(['-', '−']) {
        return None;
    }
    match multiplier(number.after) {
        // `1.234K` is 1,234: a multiplied number has at most one mark, and it is the decimal one.
        Some((exponent, _)) => match number.groups.as_slice() {
            [integer] => scale(integer, "", exponent),
            [integer, decimals] => scale(integer, decimals, exponent),
            _ => None,
        },
        None => number.whole(),
    }
}

/// Words between two numbers that make the *second* one the rating: "5つ星のうち4.4", "5 yıldız üzerinden 4,4".
const OUT_OF_FIRST: [&str; 5] = ["のうち", "うち", "üzerinden", "में से", "分之"];

/// Stars in hundredths: `4.4 out of 5 stars` is 440. The range is not judged: `7 stars` is 700.
pub fn parse_rating_centi(text: &str) -> Option<i64> {
    let text: String = text.chars().filter(|&c| !is_ignorable(c)).collect();
    let numbers = Number::all(&text);
    let first = numbers.first()?;
    let rating = match numbers.get(1) {
        Some(second) if OUT_OF_FIRST.iter().any(|words| second.before.contains(words)) => second,
        _ => first,
    };
    let centi = match rating.groups.as_slice() {
        [whole] => scale(whole, "", 2),
        // A third decimal is rounded, half away from zero.
        [whole, decimals] if !rating.marks.contains(&'_') => {
            let thousandths: String = decimals.chars().take(3).collect();
            scale(whole, &thousandths, 3).map(|thousandths| (thousandths + 5) / 10)
        }
        _ => None,
    }?;
    let is_negative = rating.before.trim_end().ends_with(['-', '−']);
    Some(if is_negative { -centi } else { centi })
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
    fn counts_lose_every_group_mark_and_keep_their_floor() {
        for (text, expected) in [
            ("1,234", Some(1234)),
            ("1.234", Some(1234)),
            ("1 234 567", Some(1_234_567)),
            ("(22)", Some(22)),
            ("1,130 ratings", Some(1130)),
            ("972 valoraciones", Some(972)),
            ("1.820 avaliações de clientes", Some(1820)),
            ("1.2K", Some(1200)),
            ("4.25K", Some(4250)),
            ("5K+ bought in past month", Some(5000)),
            ("500+ bought in past month", Some(500)),
            ("100+ gekauft im letzten Monat", Some(100)),
            ("2 mil+ comprados el mes pasado", Some(2000)),
            ("過去1か月で2000点以上購入されました", Some(2000)),
            ("過去1か月で1万点以上購入されました", Some(10_000)),
            ("３，４５６", Some(3456)),
            ("٣٬٤٥٦ تقييم", Some(3456)),
            ("1,23,456", Some(123_456)),
            ("5 months", Some(5)),
            ("1M", Some(1_000_000)),
            ("4.5", None),
            ("-5", None),
            ("none", None),
            ("", None),
        ] {
            assert_eq!(parse_count(text), expected, "{text:?}");
        }
    }

    #[test]
    fn ratings_are_read_in_every_order_of_words() {
        for (text, expected) in [
            ("4.4 out of 5 stars", Some(440)),
            ("4,4 von 5", Some(440)),
            ("4,5 von 5 Sternen", Some(450)),
            ("4,3 de 5 estrellas", Some(430)),
            ("4,8 de 5 estrelas", Some(480)),
            ("4,8 sur 5 étoiles", Some(480)),
            ("4,4 su 5 stelle", Some(440)),
            ("4,4 van 5 sterren", Some(440)),
            ("4,4 av 5 stjärnor", Some(440)),
            ("4,4 z 5 gwiazdek", Some(440)),
            ("5 yıldız üzerinden 4,4", Some(440)),
            ("4.9 顆星，最高 5 顆星", Some(490)),
            ("4.4 颗星，最多 5 颗星", Some(440)),
            ("5つ星のうち4.4", Some(440)),
            ("٤٫٤ من 5 نجوم", Some(440)),
            ("5.0 5.0 out of 5 stars 75 ratings", Some(500)),
            ("3.7", Some(370)),
            ("5", Some(500)),
            ("4.456", Some(446)),
            ("7.0 out of 5 stars", Some(700)),
            ("-1 out of 5", Some(-100)),
            ("no ratings yet", None),
        ] {
            assert_eq!(parse_rating_centi(text), expected, "{text:?}");
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
        fn a_count_that_was_rendered_is_read_back(count in 0_i64..300_000_000) {
            for group in [",", ".", " ", "\u{202f}", "’"] {
                prop_assert_eq!(parse_count(&grouped(&count.to_string(), group)), Some(count));
            }
        }

        #[test]
        fn no_text_makes_a_number_reader_panic(text in ".{0,60}") {
            let _ = (parse_count(&text), parse_rating_centi(&text));
            let _ = parse_amount(&text, Marketplace::Us.currency());
        }
    }

    fn grouped(digits: &str, mark: &str) -> String {
        let mut text = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push_str(mark);
            }
            text.push(digit);
        }
        text
    }
}
