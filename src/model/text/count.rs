//! Counts and stars as pages write them.

use super::number::{Number, is_ignorable, scale};

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::text::number::grouped;

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

    proptest! {
        #[test]
        fn a_count_that_was_rendered_is_read_back(count in 0_i64..300_000_000) {
            for group in [",", ".", " ", "\u{202f}", "’"] {
                prop_assert_eq!(parse_count(&grouped(&count.to_string(), group)), Some(count));
            }
        }

        #[test]
        fn no_text_makes_a_count_reader_panic(text in ".{0,60}") {
            let _ = (parse_count(&text), parse_rating_centi(&text));
        }
    }
}
