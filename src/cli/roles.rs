//! Tables that name products: `ASIN,role` files, CSV with a header, plain lists. Text to rows; writes nothing.

use std::path::Path;

use super::products::{BadLines, lines, new_key, place};
use crate::error::Failure;
use crate::model::{Marketplace, ProductKey, ProductRef, Relation, Tier};
use crate::store::watch::WatchChange;

/// What a product of a roles file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Main,
    Competitor,
}

impl Role {
    fn from_word(word: &str) -> Option<Role> {
        match word.trim().to_ascii_lowercase().as_str() {
            "main" | "own" => Some(Role::Main),
            "comp" | "competitor" | "rival" => Some(Role::Competitor),
            _ => None,
        }
    }

    fn relation(self) -> Relation {
        match self {
            Role::Main => Relation::Own,
            Role::Competitor => Relation::Rival,
        }
    }
}

/// The columns of a watchlist table; `asin` or `url` must be there.
const COLUMNS: &[&str] =
    &["asin", "url", "marketplace", "tier", "relation", "role", "tags", "label", "source_chain"];

/// Reads `ASIN,main|comp` lines.
///
/// Errors: usage, naming the bad lines.
pub(super) fn parse_roles(
    path: &Path,
    text: &str,
    default: Option<Marketplace>,
) -> anyhow::Result<Vec<(ProductKey, Role)>> {
    let mut rows = Vec::new();
    let mut bad = BadLines::default();
    for (number, line) in lines(text) {
        let place = place(path, number);
        let read = match line.split_once([',', ';', '\t']) {
            // The names of the columns.
            Some((product, _)) if rows.is_empty() && is_header_word(product) => continue,
            Some((product, role)) => Role::from_word(role)
                .ok_or_else(|| format!("{place}: `{}` is not a role (main or comp)", role.trim()))
                .and_then(|role| Ok((product_key(product, &place, default)?, role))),
            None => Err(format!("{place}: expected ASIN,main or ASIN,comp")),
        };
        match read {
            Ok(row) => rows.push(row),
            Err(message) => bad.push(message),
        }
    }
    bad.finish()?;
    Ok(rows)
}

/// Reads a watchlist: CSV with a header, `ASIN,role` lines, or one product a line.
///
/// Errors: usage, naming an unknown column or the bad lines.
pub(super) fn parse_watchlist(
    path: &Path,
    text: &str,
    default: Option<Marketplace>,
) -> anyhow::Result<Vec<WatchChange>> {
    let Some((number, first)) = lines(text).next() else { return Ok(Vec::new()) };
    let delimiter = [',', ';', '\t'].into_iter().find(|delimiter| first.contains(*delimiter));
    let is_header = first.split([',', ';', '\t']).any(|word| is_header_word(word.trim_matches('"')));
    match delimiter {
        _ if is_header => parse_csv(path, text, number, delimiter.unwrap_or(','), default),
        Some(_) => {
            let rows = parse_roles(path, text, default)?;
            Ok(rows
                .into_iter()
                .map(|(key, role)| WatchChange { relation: Some(role.relation()), ..WatchChange::of(key) })
                .collect())
        }
        None => {
            let mut changes = Vec::new();
            let mut bad = BadLines::default();
            for (number, line) in lines(text) {
                match product_key(line, &place(path, number), default) {
                    Ok(key) => changes.push(WatchChange::of(key)),
                    Err(message) => bad.push(message),
                }
            }
            bad.finish()?;
            Ok(changes)
        }
    }
}

fn is_header_word(word: &str) -> bool {
    matches!(word.trim().to_ascii_lowercase().as_str(), "asin" | "url")
}

fn product_key(text: &str, place: &str, default: Option<Marketplace>) -> Result<ProductKey, String> {
    let product: ProductRef = text.parse().map_err(|error| format!("{place}: {error}"))?;
    new_key(product, Some(place), default).map_err(|failure| {
        let hint = failure.hints.first().map(|hint| format!(" ({hint})")).unwrap_or_default();
        failure.message + &hint
    })
}

fn parse_csv(
    path: &Path,
    text: &str,
    header_line: usize,
    delimiter: char,
    default: Option<Marketplace>,
) -> anyhow::Result<Vec<WatchChange>> {
    let body: String = text.split_inclusive('\n').skip(header_line - 1).collect();
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter as u8)
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .flexible(true)
        .from_reader(body.as_bytes());
    let header = columns(path, header_line, reader.headers()?)?;
    let mut changes = Vec::new();
    let mut bad = BadLines::default();
    for record in reader.records() {
        let record = record.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        let line = record.position().map_or(0, |position| position.line() as usize) + header_line - 1;
        let cell = |name: &str| {
            let index = header.iter().position(|column| *column == name)?;
            record.get(index).filter(|text| !text.is_empty())
        };
        match change(&cell, default, &place(path, line)) {
            Ok(change) => changes.push(change),
            Err(message) => bad.push(message),
        }
    }
    bad.finish()?;
    Ok(changes)
}

fn columns(path: &Path, line: usize, header: &csv::StringRecord) -> Result<Vec<&'static str>, Failure> {
    header
        .iter()
        .map(|name| {
            let name = name.to_ascii_lowercase();
            COLUMNS.iter().copied().find(|column| *column == name).ok_or_else(|| {
                Failure::usage(format!("{}: unknown column `{name}`", place(path, line)))
                    .hint(format!("columns: {}", COLUMNS.join(",")))
            })
        })
        .collect()
}

/// One row of a watchlist table.
fn change<'a>(
    cell: &impl Fn(&str) -> Option<&'a str>,
    default: Option<Marketplace>,
    place: &str,
) -> Result<WatchChange, String> {
    let marketplace = match cell("marketplace") {
        Some(code) => Some(code.parse::<Marketplace>().map_err(|error| format!("{place}: {error}"))?),
        None => default,
    };
    let product = cell("asin").or(cell("url")).ok_or_else(|| format!("{place}: names no product"))?;
    let tier = match cell("tier") {
        Some(word) => Some(
            Tier::from_word(&word.to_ascii_lowercase())
                .ok_or_else(|| format!("{place}: `{word}` is not a tier (critical, routine or weekly)"))?,
        ),
        None => None,
    };
    let relation = match cell("relation").or(cell("role")) {
        Some(word) => Some(
            Role::from_word(word)
                .map(Role::relation)
                .ok_or_else(|| format!("{place}: `{word}` is not a relation (own or rival)"))?,
        ),
        None => None,
    };
    Ok(WatchChange {
        key: product_key(product, place, marketplace)?,
        tier,
        relation,
        tags: cell("tags").map(words).unwrap_or_default(),
        source_chain: cell("source_chain").map(words),
        label: cell("label").map(str::to_owned),
    })
}

/// Words of one cell: separated by commas, semicolons, bars or spaces.
pub(super) fn words(text: &str) -> Vec<String> {
    text.split([',', ';', '|', ' '])
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watchlist(text: &str) -> Result<Vec<String>, String> {
        let changes = parse_watchlist(Path::new("list.csv"), text, Some(Marketplace::Us));
        let line = |change: WatchChange| {
            let tier = change.tier.map_or("-", Tier::as_str);
            let relation = change.relation.map_or("-", Relation::as_str);
            let label = change.label.unwrap_or_default();
            format!("{} {tier} {relation} [{}] {label}", change.key, change.tags.join(" "))
                .trim_end()
                .to_owned()
        };
        changes.map(|changes| changes.into_iter().map(line).collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_of_a_watchlist_is_read() {
        assert_eq!(
            watchlist(
                "asin,marketplace,tier,tags,relation,label\nB000000001,UK,critical,a|b,own,\"Mine, the first\"\n\nB000000002,,,,,"
            ),
            Ok(vec![
                "UK:B000000001 critical own [a b] Mine, the first".into(),
                "US:B000000002 - - []".into()
            ])
        );
        assert_eq!(
            watchlist("# rivals\r\nURL;Tier\r\nhttps://www.amazon.de/dp/B000000003;weekly"),
            Ok(vec!["DE:B000000003 weekly - []".into()])
        );
        assert_eq!(
            watchlist("B000000001,main\r\nDE:B000000002,comp\r\nB000000003,comp"),
            Ok(vec![
                "US:B000000001 - own []".into(),
                "DE:B000000002 - rival []".into(),
                "US:B000000003 - rival []".into()
            ])
        );
        assert_eq!(
            watchlist("B000000001\nUK:B000000002"),
            Ok(vec!["US:B000000001 - - []".into(), "UK:B000000002 - - []".into()])
        );
        assert_eq!(watchlist("\n# nothing\n"), Ok(vec![]));
    }

    #[test]
    fn a_bad_line_is_named_with_its_number() {
        for (text, expected) in [
            ("B000000001\n\nB00", "list.csv:3: `B00` is not an ASIN"),
            ("B000000001,main\nB000000002,boss", "list.csv:2: `boss` is not a role"),
            ("B000000001,main\nB000000002", "list.csv:2: expected ASIN,main or ASIN,comp"),
            ("asin,tier\nB000000001,daily", "list.csv:2: `daily` is not a tier"),
            ("#\nasin,marketplace\nB000000001,US\nB000000001,XX", "list.csv:4: unknown marketplace `XX`"),
            ("asin,colour\nB000000001,red", "list.csv:1: unknown column `colour`"),
            ("asin,tier\n,weekly", "list.csv:2: names no product"),
        ] {
            let message = watchlist(text).unwrap_err();
            assert!(message.starts_with(expected), "{text:?}: {message}");
        }
    }

    #[test]
    fn without_any_marketplace_the_line_says_so() {
        let error = parse_roles(Path::new("roles.csv"), "B000000001,main", None).unwrap_err().to_string();
        assert!(
            error.starts_with("roles.csv:1: B000000001 names no marketplace (write UK:B000000001"),
            "{error}"
        );
    }
}
