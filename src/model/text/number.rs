//! Finding a number in a text: which mark is the decimal one is read from the text, never from the marketplace.

/// A number found in a text: its digits in groups, and what stands around it.
#[derive(Debug)]
pub(super) struct Number<'a> {
    /// The digits between the marks, as ASCII.
    pub(super) groups: Vec<String>,
    /// The mark before each group but the first: `.`, `,`, or `_` for every mark that can only group.
    pub(super) marks: Vec<char>,
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
    pub(super) fn all(text: &'a str) -> Vec<Number<'a>> {
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
    pub(super) fn scaled(&self, exponent: u32) -> Option<i64> {
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

pub(super) fn scale(integer: &str, decimals: &str, exponent: u32) -> Option<i64> {
    let decimals = decimals.trim_end_matches('0');
    let missing = (exponent as usize).checked_sub(decimals.len())?;
    let digits = format!("{integer}{decimals}{}", "0".repeat(missing));
    let digits = digits.trim_start_matches('0');
    if digits.len() > 18 {
        return None;
    }
    if digits.is_empty() { Some(0) } else { digits.parse().ok() }
}

/// The digits in groups of three, to see whether what was rendered is read back.
#[cfg(test)]
pub(super) fn grouped(digits: &str, mark: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push_str(mark);
        }
        text.push(digit);
    }
    text
}
