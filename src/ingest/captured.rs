//! The day a file's path names: `2025-09-11`, `20250911`, or folders `2025/09/11`.

use std::path::{Component, Path};

use crate::model::Day;

/// What a path says about the day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathDay {
    One(Day),
    /// Two different days in the same part of the path: guessing would be wrong half of the time.
    Ambiguous(Day, Day),
    None,
}

/// The day in the part of the path that is nearest to the file's name.
pub fn day_in_path(path: &Path) -> PathDay {
    let parts: Vec<String> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    for (index, part) in parts.iter().enumerate().rev() {
        let mut days = days_in(part);
        if let [.., year, month] = parts.get(..index).unwrap_or_default() {
            days.extend(folder_day(year, month, part));
        }
        days.sort();
        days.dedup();
        match days.as_slice() {
            [] => {}
            [day] => return PathDay::One(*day),
            [first, .., last] => return PathDay::Ambiguous(*first, *last),
        }
    }
    PathDay::None
}

fn folder_day(year: &str, month: &str, day: &str) -> Option<Day> {
    format!("{year}-{month}-{day}").parse().ok()
}

/// Days written as `YYYY-MM-DD` or `YYYYMMDD` that no further digit touches.
fn days_in(part: &str) -> Vec<Day> {
    let bytes = part.as_bytes();
    let is_digit = |index: usize| bytes.get(index).is_some_and(u8::is_ascii_digit);
    let alone = |start: usize, size: usize| (start == 0 || !is_digit(start - 1)) && !is_digit(start + size);
    let mut days = Vec::new();
    for start in (0..bytes.len()).filter(|&start| is_digit(start)) {
        let dashed = part.get(start..start + 10).filter(|_| alone(start, 10));
        let compact = part
            .get(start..start + 8)
            .filter(|text| alone(start, 8) && text.bytes().all(|byte| byte.is_ascii_digit()))
            .map(|text| format!("{}-{}-{}", &text[..4], &text[4..6], &text[6..]));
        days.extend(dashed.and_then(|text| text.parse::<Day>().ok()));
        days.extend(compact.and_then(|text| text.parse::<Day>().ok()));
    }
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(path: &str) -> String {
        match day_in_path(Path::new(path)) {
            PathDay::One(day) => day.to_string(),
            PathDay::Ambiguous(first, last) => format!("{first} or {last}"),
            PathDay::None => "none".to_owned(),
        }
    }

    #[test]
    fn the_day_nearest_to_the_name_is_taken() {
        for (path, expected) in [
            ("dataset_Amazon-crawler-task_2025-11-26_00-44-46-736.json", "2025-11-26"),
            ("exports/20250911.csv.gz", "2025-09-11"),
            ("exports/2025/09/11/items.json", "2025-09-11"),
            ("day=2025-09-11/items.json", "2025-09-11"),
            ("2025-09-11/items-20250912T0300.json", "2025-09-12"),
            ("2025-09-11/items.json", "2025-09-11"),
            ("2025-09-11_2025-09-11.json", "2025-09-11"),
            ("report-2025-09-01-2025-09-30.csv", "2025-09-01 or 2025-09-30"),
            ("items.json", "none"),
            ("BusinessReport-8-04-26.csv", "none"),
            ("2025-02-30.json", "none"),
            ("order-1202509110.json", "none"),
            ("émoji-ü2025-09-11é.json", "2025-09-11"),
        ] {
            assert_eq!(day(path), expected, "{path}");
        }
    }
}
