//! What is not broken across the lines of a page: a number and its unit, a date.

use html_escape::encode_text_to_string;

const NO_BREAK_SPACE: char = '\u{a0}';
/// What numbers count, and the words that say how a difference is to be taken.
const UNITS: [&str; 19] = [
    "stars", "ratings", "rating", "days", "day", "hours", "hour", "ahead", "behind", "dearer", "cheaper",
    "worse", "better", "more", "fewer", "critical", "high", "medium", "low",
];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// Longer words are not dates, and may have to be broken on a phone.
const LONGEST_DATE: usize = 14;

/// The text as HTML, with spaces that do not break inside `98.0 %`, `25.99 USD`, `4.5 stars` and `3 May 2026`, and
/// `2026-05-03` in an element of its own: a browser breaks it behind its hyphens.
pub(crate) fn kept_whole(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + 16);
    let mut before: Option<&str> = None;
    for word in text.split(' ') {
        if let Some(before) = before {
            html.push(if belong_together(before, word) { NO_BREAK_SPACE } else { ' ' });
        }
        if has_date(word) {
            html.push_str("<span class=\"whole\">");
            encode_text_to_string(word, &mut html);
            html.push_str("</span>");
        } else {
            encode_text_to_string(word, &mut html);
        }
        before = Some(word);
    }
    html
}

fn belong_together(before: &str, word: &str) -> bool {
    let letters = &word[..word.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(word.len())];
    let is_currency = letters.len() == 3 && letters.bytes().all(|letter| letter.is_ascii_uppercase());
    if before.ends_with(|c: char| c.is_ascii_digit()) {
        return word.starts_with('%') || is_currency || UNITS.contains(&letters) || MONTHS.contains(&letters);
    }
    MONTHS.contains(&before) && word.starts_with(|c: char| c.is_ascii_digit())
}

/// True for `2026-05-03`, also between brackets and marks.
fn has_date(word: &str) -> bool {
    let is_date = |part: &[u8]| {
        part.iter().enumerate().all(|(place, sign)| match place {
            4 | 7 => *sign == b'-',
            _ => sign.is_ascii_digit(),
        })
    };
    word.len() <= LONGEST_DATE && word.as_bytes().windows(10).any(is_date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_its_unit_and_a_date_its_parts() {
        for (text, html) in [
            ("completeness 98.0 %, high", "completeness 98.0~%, high"),
            ("42.99 USD (+6.3 %) worse", "42.99~USD (+6.3~%) worse"),
            ("from 1 Jan 2026 to 3 May 2026.", "from 1~Jan~2026 to 3~May~2026."),
            ("4.5 stars of 5,201 ratings", "4.5~stars of 5,201~ratings"),
            (
                "fell (2026-02-27 → 2026-02-28)",
                "fell <span class=\"whole\">(2026-02-27</span> → <span class=\"whole\">2026-02-28)</span>",
            ),
            ("it May be <b>", "it May be &lt;b&gt;"),
            ("  two  spaces", "  two  spaces"),
            ("", ""),
        ] {
            assert_eq!(kept_whole(text).replace(NO_BREAK_SPACE, "~"), html);
        }
    }
}
