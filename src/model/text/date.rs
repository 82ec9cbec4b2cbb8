//! The date inside a sentence, such as the one over a review.

use crate::model::Day;

/// Names of the months in the languages of the marketplaces, lower case; a name counts by its beginning.
const MONTHS: [(u32, &[&str]); 12] = [
    (1, &["januar", "jan.", "janv", "enero", "gennaio", "janeiro", "styczni", "ocak", "يناير"]),
    (2, &["februar", "févr", "febrero", "febbraio", "fevereiro", "lutego", "luty", "şubat", "فبراير"]),
    (3, &["march", "märz", "mars", "marzo", "março", "maart", "marca", "marzec", "mart", "مارس"]),
    (4, &["april", "avril", "abril", "aprile", "kwietni", "nisan", "أبريل", "ابريل"]),
    (5, &["may", "mai", "mayo", "maggio", "maio", "mei", "maj", "mayıs", "مايو"]),
    (6, &["june", "juni", "juin", "junio", "giugno", "junho", "czerwca", "czerwiec", "haziran", "يونيو"]),
    (7, &["july", "juli", "juil", "julio", "luglio", "julho", "lipca", "lipiec", "temmuz", "يوليو"]),
    (8, &["august", "août", "agosto", "augustus", "augusti", "sierpnia", "sierpień", "ağustos", "أغسطس"]),
    (9, &["sept", "set", "wrze", "eylül", "سبتمبر"]),
    (10, &["octo", "okto", "octubre", "ottobre", "outubro", "październik", "ekim", "أكتوبر"]),
    (11, &["novem", "noviembre", "listopad", "kasım", "نوفمبر"]),
    (12, &["decem", "dezem", "déce", "dicie", "dicembre", "dezembro", "grud", "aralık", "ديسمبر"]),
];

fn month_of(word: &str) -> Option<u32> {
    let word = word.to_lowercase();
    if word.chars().count() < 3 {
        return None;
    }
    let named =
        |name: &&str| word.starts_with(*name) || (word.len() >= 3 && word == name.get(..3).unwrap_or(name));
    // The longest name wins: `mars` is not `mart`, `marca` (Polish) not `marzo`.
    MONTHS
        .iter()
        .flat_map(|(month, names)| names.iter().filter(|name| named(name)).map(|name| (name.len(), *month)))
        .max_by_key(|&(length, _)| length)
        .map(|(_, month)| month)
}

/// The date of `Reviewed in the United States on September 3, 2025`, `… am 3. September 2025`, `2025年9月3日`,
/// `2025-09-03`. Null when the text has no full date; the month must be a name or the order unmistakable.
pub fn parse_date(text: &str) -> Option<Day> {
    let words: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let parts: Vec<&str> = words.iter().flat_map(|word| split_at_script_change(word)).collect();
    let year_at = parts.iter().position(|part| part.len() == 4 && year(part).is_some())?;
    let year = year(parts.get(year_at)?)?;
    let number = |index: Option<usize>| parts.get(index?).and_then(|part| part.parse::<u32>().ok());
    let word = |index: Option<usize>| index.and_then(|at| parts.get(at)).copied().unwrap_or_default();

    // 2025年9月3日 and 2025-09-03.
    let is_cjk = word(Some(year_at + 1)) == "年";
    let (month_at, day_at) = if is_cjk { (year_at + 2, year_at + 4) } else { (year_at + 1, year_at + 2) };
    if let (Some(month), Some(day)) = (number(Some(month_at)), number(Some(day_at))) {
        return date(year, month, day);
    }
    // September 3, 2025 · 3 September 2025 · 3 de septiembre de 2025 (particles are skipped).
    let mut before =
        (0..year_at).rev().filter(|&at| !matches!(parts[at].to_lowercase().as_str(), "de" | "del"));
    let (near, far) = (before.next(), before.next());
    let (month, day) = match (month_of(word(near)), number(near)) {
        (Some(month), _) => (month, number(far)?),
        (None, Some(day)) => (month_of(word(far))?, day),
        (None, None) => return None,
    };
    date(year, month, day)
}

/// `9月3日` has no spaces: digits and letters part where they touch.
fn split_at_script_change(word: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut previous = None;
    for (at, c) in word.char_indices() {
        let is_digit = c.is_ascii_digit();
        if previous.is_some_and(|was_digit| was_digit != is_digit) {
            parts.push(&word[start..at]);
            start = at;
        }
        previous = Some(is_digit);
    }
    parts.push(&word[start..]);
    parts
}

fn year(text: &str) -> Option<i32> {
    text.parse().ok().filter(|year| (1995..=2200).contains(year))
}

fn date(year: i32, month: u32, day: u32) -> Option<Day> {
    chrono::NaiveDate::from_ymd_opt(year, month, day).map(Day::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_found_in_the_sentences_of_every_language() {
        for (text, expected) in [
            ("Reviewed in the United States on September 3, 2025", "2025-09-03"),
            ("Reviewed in the United States on May 8, 2024", "2024-05-08"),
            ("Reviewed in the United Kingdom on 29 June 2023", "2023-06-29"),
            ("Rezension aus Deutschland vom 3. März 2025", "2025-03-03"),
            ("Commenté en France le 12 août 2024", "2024-08-12"),
            ("Commenté en France le 1 février 2024", "2024-02-01"),
            ("Revisado en España el 3 de septiembre de 2025", "2025-09-03"),
            ("Recensito in Italia il 9 luglio 2023", "2023-07-09"),
            ("Avaliado no Brasil em 14 de março de 2025", "2025-03-14"),
            ("Beoordeeld in Nederland op 2 mei 2024", "2024-05-02"),
            ("Recenserad i Sverige den 5 oktober 2024", "2024-10-05"),
            ("Opinia z Polski z dnia 7 marca 2025", "2025-03-07"),
            ("Türkiye'de 3 Eylül 2025 tarihinde incelendi", "2025-09-03"),
            ("2025年9月3日に日本でレビュー済み", "2025-09-03"),
            ("於 2024年12月31日 在美國評論", "2024-12-31"),
            ("2025-02-28", "2025-02-28"),
        ] {
            assert_eq!(parse_date(text).map(|day| day.to_string()).as_deref(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn half_a_date_is_no_date() {
        for text in ["", "yesterday", "September 2025", "February 30, 2025", "03/04/2025 or so", "item 12345"]
        {
            assert_eq!(parse_date(text), None, "{text:?}");
        }
    }
}
