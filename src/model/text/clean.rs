//! Text as a person should see it: no tags, no entities, nothing that moves a cursor or turns a line around.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The longest entity that is looked for (`&CounterClockwiseContourIntegral;`).
const ENTITY_MAX_BYTES: usize = 34;

/// Tags that end a word or line; all others vanish without a trace.
const BREAKING_TAGS: [&str; 12] = ["br", "p", "div", "li", "ul", "ol", "td", "tr", "h1", "h2", "h3", "hr"];

/// Strips HTML tags, terminal escapes, control and bidi characters, decodes entities, trims, and folds every run
/// of whitespace to one space. Doing it twice changes nothing.
pub fn clean_text(text: &str) -> Cow<'_, str> {
    if is_clean(text.as_bytes()) {
        return Cow::Borrowed(text);
    }
    let mut cleaner = Cleaner { out: String::with_capacity(text.len()), open_tags: Vec::new() };
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\u{9b}' => skip_control_sequence(&mut chars),
            _ => cleaner.push(c),
        }
    }
    let kept = cleaner.out.trim_matches(|c: char| c.is_whitespace() || c == '\u{200c}' || c == '\u{200d}');
    Cow::Owned(kept.to_owned())
}

/// The text without differences of notation, for comparing content: cleaned and composed (NFC).
pub fn fold_notation(text: &str) -> String {
    let clean = clean_text(text);
    match clean.is_ascii() || is_nfc_quick(clean.chars()) == IsNormalized::Yes {
        true => clean.into_owned(),
        false => clean.nfc().collect(),
    }
}

/// True for plain ASCII without anything to strip: most titles, and the only case that need not be copied.
fn is_clean(bytes: &[u8]) -> bool {
    let mut after_space = true;
    for &byte in bytes {
        match byte {
            b' ' if after_space => return false,
            b' ' => after_space = true,
            b'<' | b'&' => return false,
            0x21..=0x7e => after_space = false,
            _ => return false,
        }
    }
    !after_space || bytes.is_empty()
}

/// Output so far, with the places where a tag may have begun: a tag or entity is recognised in the *output*, so
/// that one which only appears once another was removed is removed too.
struct Cleaner {
    out: String,
    open_tags: Vec<usize>,
}

impl Cleaner {
    fn push(&mut self, c: char) {
        if c.is_whitespace() {
            if !self.out.is_empty() && !self.out.ends_with(' ') {
                self.out.push(' ');
            }
            return;
        }
        if is_invisible(c) {
            return;
        }
        if c == '<' {
            self.open_tags.push(self.out.len());
        }
        self.out.push(c);
        match c {
            ';' => self.fold_entity(),
            '>' => self.fold_tag(),
            _ => {}
        }
    }

    /// Replaces an entity that the semicolon just written completes.
    fn fold_entity(&mut self) {
        let mut start = self.out.len().saturating_sub(ENTITY_MAX_BYTES);
        while !self.out.is_char_boundary(start) {
            start += 1;
        }
        let Some(ampersand) = self.out[start..].rfind('&').map(|found| start + found) else { return };
        let decoded = html_escape::decode_html_entities(&self.out[ampersand..]).into_owned();
        if decoded == self.out[ampersand..] {
            return;
        }
        self.truncate(ampersand);
        for c in decoded.chars() {
            self.push(c);
        }
    }

    /// Removes the tag that the `>` just written closes, if it is one.
    fn fold_tag(&mut self) {
        let Some(start) = self.open_tags.pop() else { return };
        let inside = self.out[start + 1..].trim_end_matches('>');
        if !inside.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')) {
            return;
        }
        let name = inside.trim_start_matches('/');
        let name = name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        let breaks = BREAKING_TAGS.iter().any(|tag| tag.eq_ignore_ascii_case(name));
        self.truncate(start);
        if breaks {
            self.push(' ');
        }
    }

    fn truncate(&mut self, length: usize) {
        self.out.truncate(length);
        while self.open_tags.last().is_some_and(|&start| start >= length) {
            self.open_tags.pop();
        }
    }
}

/// Control characters, direction marks, and characters of no width. Joiners stay: emoji and scripts need them.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        )
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}')
}

/// Skips what follows an escape character: a control sequence, an operating-system command, or one character.
fn skip_escape(chars: &mut std::str::Chars<'_>) {
    let mut ahead = chars.clone();
    match ahead.next() {
        Some('[') => {
            *chars = ahead;
            skip_control_sequence(chars);
        }
        Some(']' | 'P' | '^' | '_' | 'X') => {
            // Ends with BEL or ESC \; without an end only the introducer goes, so that no text is lost.
            let end = ahead.as_str().find(['\u{7}', '\u{1b}', '\u{9c}']);
            *chars = match end {
                Some(end) => {
                    let rest = &ahead.as_str()[end..];
                    let rest = rest.strip_prefix("\u{1b}\\").unwrap_or(rest);
                    rest.strip_prefix(['\u{7}', '\u{9c}']).unwrap_or(rest).chars()
                }
                None => ahead,
            };
        }
        Some(c) if c.is_ascii_graphic() => *chars = ahead,
        _ => {}
    }
}

/// Skips parameters and the final letter of a control sequence whose introducer was read.
fn skip_control_sequence(chars: &mut std::str::Chars<'_>) {
    let rest = chars.as_str();
    let end = rest.find(|c: char| !matches!(c, '\u{20}'..='\u{3f}')).unwrap_or(rest.len());
    let after = &rest[end..];
    *chars = after.strip_prefix(|c: char| matches!(c, '\u{40}'..='\u{7e}')).unwrap_or(after).chars();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markup_and_terminal_codes_vanish_and_words_stay() {
        for (text, expected) in [
            ("Plain title", "Plain title"),
            ("", ""),
            ("  two   spaces\u{a0}here ", "two spaces here"),
            ("<b>Bold</b> &amp; <i>brave</i>", "Bold & brave"),
            ("one<br/>two<BR>three", "one two three"),
            ("AT&amp;amp;T", "AT&T"),
            ("&lt;script&gt;x()&lt;/script&gt;", "x()"),
            ("a < b > c", "a < b > c"),
            ("size <5 cm", "size <5 cm"),
            ("caf&eacute; &#39;n&#x27;", "café 'n'"),
            ("red \u{1b}[31;1mEVIL\u{1b}[0m end", "red EVIL end"),
            ("link \u{1b}]8;;http://x\u{7}text\u{1b}]8;;\u{1b}\\ end", "link text end"),
            ("\u{9b}2Jgone", "gone"),
            ("bell\u{7} back\u{8}space\u{0}", "bell backspace"),
            ("\u{202e}desrever\u{202c} \u{200e}mark\u{feff}", "desrever mark"),
            ("\u{200c}٤٫٤\u{200c}", "٤٫٤"),
            ("👨\u{200d}👩\u{200d}👧 family", "👨\u{200d}👩\u{200d}👧 family"),
            ("5\u{202f}000\u{2009}mAh\n\tnext", "5 000 mAh next"),
            ("<<b>i>nested", "nested"),
        ] {
            assert_eq!(clean_text(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn cleaning_twice_equals_cleaning_once(text in "(.|[<>&;/ ]|&amp;|&lt;|&gt;|&#38;|<b>|\u{1b}\\[1m){0,40}") {
            let once = clean_text(&text).into_owned();
            prop_assert_eq!(clean_text(&once), once.as_str());
            prop_assert!(!once.chars().any(is_invisible));
        }
    }
}
