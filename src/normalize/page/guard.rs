//! How deep a page nests, found without building it: a parser of HTML takes time and memory in the square of it.

use std::collections::HashMap;

/// Browsers stop nesting here; product pages stay below a tenth of it.
const MAX_DEPTH: usize = 512;

/// Elements that have no content.
const VOID: [&[u8]; 14] = [
    b"area", b"base", b"br", b"col", b"embed", b"hr", b"img", b"input", b"link", b"meta", b"param",
    b"source", b"track", b"wbr",
];

/// Elements that a sibling ends, so that pages leave them open: one cannot lie right inside another.
const ENDED_BY_SIBLINGS: [&[u8]; 12] =
    [b"p", b"li", b"dt", b"dd", b"option", b"optgroup", b"tr", b"td", b"th", b"thead", b"tbody", b"tfoot"];

/// Elements that are opened again in everything that follows, until they are closed themselves.
const FORMATTING: [&[u8]; 14] = [
    b"a", b"b", b"big", b"code", b"em", b"font", b"i", b"nobr", b"s", b"small", b"strike", b"strong", b"tt",
    b"u",
];

/// Elements whose content is text up to their end.
const RAW: [&[u8]; 6] = [b"script", b"style", b"textarea", b"title", b"xmp", b"noscript"];

/// True when more than [`MAX_DEPTH`] elements are open at once. Looks at every byte once or twice.
pub(super) fn is_too_deep(html: &str) -> bool {
    let mut open = Open::default();
    let mut rest = html.as_bytes();
    while let Some(at) = memchr::memchr(b'<', rest) {
        rest = rest.get(at + 1..).unwrap_or_default();
        if let Some(comment) = rest.strip_prefix(b"!--") {
            rest = after(comment, b"-->");
            continue;
        }
        let (is_end, body) = match rest.strip_prefix(b"/") {
            Some(body) => (true, body),
            None => (false, rest),
        };
        let size = body.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(body.len());
        let name = body.get(..size).unwrap_or_default().to_ascii_lowercase();
        if !name.first().is_some_and(u8::is_ascii_alphabetic) {
            continue;
        }
        rest = behind_tag(body.get(size..).unwrap_or_default());
        if is_end {
            open.end(&name);
            continue;
        }
        if RAW.contains(&name.as_slice()) {
            rest = behind_raw(rest, &name);
            continue;
        }
        if open.begin(name) > MAX_DEPTH {
            return true;
        }
    }
    false
}

/// The elements that are open at a place.
#[derive(Default)]
struct Open {
    nested: Vec<Vec<u8>>,
    formatting: HashMap<Vec<u8>, usize>,
    formatting_total: usize,
}

impl Open {
    /// Opens an element; how many are open then.
    fn begin(&mut self, name: Vec<u8>) -> usize {
        if FORMATTING.contains(&name.as_slice()) {
            *self.formatting.entry(name).or_default() += 1;
            self.formatting_total += 1;
        } else if !VOID.contains(&name.as_slice()) && !ENDED_BY_SIBLINGS.contains(&name.as_slice()) {
            self.nested.push(name);
        }
        self.nested.len() + self.formatting_total
    }

    /// Closes the innermost element of this name and all inside it; a formatting element closes no other.
    fn end(&mut self, name: &[u8]) {
        if let Some(count) = self.formatting.get_mut(name) {
            let closed = usize::from(*count > 0);
            *count -= closed;
            self.formatting_total -= closed;
        } else if let Some(place) = self.nested.iter().rposition(|open| open == name) {
            self.nested.truncate(place);
        }
    }
}

/// What follows the `>` that ends a tag; one inside a quoted value does not.
fn behind_tag(mut rest: &[u8]) -> &[u8] {
    while let Some(at) = memchr::memchr3(b'>', b'"', b'\'', rest) {
        let mark = rest.get(at).copied().unwrap_or_default();
        rest = rest.get(at + 1..).unwrap_or_default();
        if mark == b'>' {
            return rest;
        }
        rest = match memchr::memchr(mark, rest) {
            Some(end) => rest.get(end + 1..).unwrap_or_default(),
            None => return &[],
        };
    }
    &[]
}

fn behind_raw<'h>(mut rest: &'h [u8], name: &[u8]) -> &'h [u8] {
    while let Some(at) = memchr::memmem::find(rest, b"</") {
        rest = rest.get(at + 2..).unwrap_or_default();
        if rest.get(..name.len()).is_some_and(|end| end.eq_ignore_ascii_case(name)) {
            return behind_tag(rest);
        }
    }
    &[]
}

fn after<'h>(text: &'h [u8], end: &[u8]) -> &'h [u8] {
    memchr::memmem::find(text, end).and_then(|at| text.get(at + end.len()..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_open_counts_and_what_is_closed_does_not() {
        let many = |part: &str| part.repeat(2 * MAX_DEPTH);
        for page in ["<div></div>", "<li>x", "<p>", "<br>", "<img src='>'>", "<b></b>", "<!-- <div> -->"] {
            assert!(!is_too_deep(&many(page)), "{page}");
        }
        for page in ["<div>", "<div><b></div>", "<ul><li>", "<DIV title='</div>'>", "<b></i>", "<span></p>"] {
            assert!(is_too_deep(&many(page)), "{page}");
        }
        let script = format!("<script>if (a <b) {{}}</script>{}", "<script>'<div>'</script>".repeat(2000));
        assert!(!is_too_deep(&script));
    }

    #[test]
    fn a_tag_without_an_end_ends_the_page() {
        for page in ["<", "</", "<div", "<div class=\"", "<!--", "<script>", "<script></scr", "<a href='x'"] {
            assert!(!is_too_deep(page), "{page}");
        }
    }
}
