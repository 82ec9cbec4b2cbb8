//! Whose page is it, read from its bytes without building it: an ingest asks this of every page.

use crate::model::{Asin, Marketplace};

/// No tag that is asked for is longer; where a quote stays open, the search for the end stops here.
const LONGEST_TAG: usize = 16 << 10;

/// What a page says of its own identity.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct PageIdentity {
    /// Of the buy box: what was asked for.
    pub(crate) asin: Option<Asin>,
    /// Of the canonical link: possibly a sibling variant.
    pub(crate) canonical: Option<Asin>,
    pub(crate) marketplace: Option<Marketplace>,
}

pub(crate) fn identity(html: &str) -> PageIdentity {
    let asin = tags(html, "<input").find_map(|tag| {
        let is_asin = ["id", "name"].iter().any(|name| attribute(tag, name) == Some("ASIN"));
        attribute(tag, "value").filter(|_| is_asin)?.parse().ok()
    });
    let canonical = tags(html, "<link")
        .find(|tag| attribute(tag, "rel") == Some("canonical"))
        .and_then(|tag| attribute(tag, "href"));
    let of_link = || canonical.and_then(super::super::record::url_marketplace)?.ok();
    PageIdentity {
        asin,
        canonical: canonical.and_then(super::super::record::url_asin),
        marketplace: marketplace_id(html).and_then(Marketplace::from_amazon_id).or_else(of_link),
    }
}

/// The value of the script variable `ue_mid`: Amazon's id of the marketplace.
pub(super) fn marketplace_id(html: &str) -> Option<&str> {
    html.match_indices("ue_mid").find_map(|(at, name)| {
        let rest = html.get(at + name.len()..)?.trim_start().strip_prefix('=')?.trim_start();
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let id = rest.get(1..)?.split(quote).next()?;
        (!id.is_empty() && id.len() <= 20 && id.bytes().all(|b| b.is_ascii_alphanumeric())).then_some(id)
    })
}

/// The encoding that the page's first declaration names; null without one.
pub(crate) fn declared_charset(html: &str) -> Option<&str> {
    tags(html, "<meta").find_map(|tag| {
        let of_content = || {
            attribute(tag, "http-equiv").filter(|name| name.eq_ignore_ascii_case("content-type"))?;
            let content = attribute(tag, "content")?;
            let at = content.to_ascii_lowercase().find("charset=")?;
            content.get(at + "charset=".len()..)?.split(';').next()
        };
        attribute(tag, "charset").or_else(of_content).map(str::trim).filter(|name| !name.is_empty())
    })
}

/// The tags that begin so (`<input`), from there to their `>`.
fn tags<'h>(html: &'h str, begin: &'static str) -> impl Iterator<Item = &'h str> {
    memchr::memmem::find_iter(html.as_bytes(), begin).filter_map(move |at| {
        let rest = html.get(at + begin.len()..)?;
        let is_whole_name = rest.starts_with(|c: char| c.is_ascii_whitespace() || c == '/');
        let mut quote = None;
        let end = rest.char_indices().take(LONGEST_TAG).find(|&(_, c)| {
            match quote {
                Some(open) if open == c => quote = None,
                None if matches!(c, '"' | '\'') => quote = Some(c),
                _ => {}
            }
            quote.is_none() && c == '>'
        });
        rest.get(..end.filter(|_| is_whole_name)?.0)
    })
}

/// The value of an attribute inside a tag's text.
fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    let mut rest = tag;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        let end =
            rest.find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '/')).unwrap_or(rest.len());
        let found = rest.get(..end).filter(|found| !found.is_empty())?;
        rest = rest.get(end..)?.trim_start();
        let Some(value) = rest.strip_prefix('=') else {
            if found.eq_ignore_ascii_case(name) {
                return Some("");
            }
            continue;
        };
        let value = value.trim_start();
        let (text, behind) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => value.get(1..)?.split_once(quote)?,
            _ => value.split_at(value.find(|c: char| c.is_ascii_whitespace()).unwrap_or(value.len())),
        };
        if found.eq_ignore_ascii_case(name) {
            return Some(text.trim());
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_is_found_however_it_is_written() {
        let page = "<script>var ue_mid='A1PA6795UKMFR9';</script><link href=https://www.amazon.de/x/dp/B000000002 rel=canonical>
            <input type=\"hidden\" data-x='>' id = \"ASIN\" name=\"ASIN\" value=\"B000000001\"/>";
        let found = identity(page);
        assert_eq!(found.asin.unwrap().as_str(), "B000000001");
        assert_eq!(found.canonical.unwrap().as_str(), "B000000002");
        assert_eq!(found.marketplace, Some(Marketplace::De));
        // Without the script's variable the link tells.
        let found = identity("<link rel='canonical' href='https://www.amazon.fr/dp/B000000002'>");
        assert_eq!((found.asin, found.marketplace), (None, Some(Marketplace::Fr)));
        assert_eq!(
            identity("<input id=ASIN value=''><input <link ue_mid = \"x y\""),
            PageIdentity::default()
        );
    }

    #[test]
    fn the_first_declaration_of_an_encoding_counts() {
        let charset = |html: &'static str| declared_charset(html).unwrap_or("-");
        assert_eq!(charset("<meta charset=\"utf-8\"/><meta charset=Shift_JIS>"), "utf-8");
        assert_eq!(
            charset("<meta content='text/html; charset=Shift_JIS' http-equiv=Content-Type>"),
            "Shift_JIS"
        );
        assert_eq!(charset("<meta name=x content='charset=latin1'>"), "-");
    }
}
