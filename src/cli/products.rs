//! Products as a person names them: one by one, as lists, as tables with roles or attributes.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;

use super::context::Context;
use super::output::within;
use crate::error::Failure;
use crate::model::{Day, DayRange, Marketplace, ProductKey, ProductRef};
use crate::store::Store;

/// So many bad lines are named; more would only hide the first.
const NAMED_LINES: usize = 10;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The failure of a question about days on which none of the products was seen: names the nearest day that has data.
pub(super) async fn not_seen(keys: &[ProductKey], range: DayRange, store: &Store) -> anyhow::Result<Failure> {
    let mut known: Option<DayRange> = None;
    for key in keys {
        let Some(product) = store.load_product(*key).await? else { continue };
        let (first, last) = (product.first_day, product.last_day);
        known = Some(known.map_or(DayRange { first, last }, |known| DayRange {
            first: known.first.min(first),
            last: known.last.max(last),
        }));
    }
    let days = match known {
        Some(known) => store.load_daily(keys, known).await?,
        None => Vec::new(),
    };
    let distance = |day: Day| (day.no() - range.last.no()).abs();
    let DayRange { first, last } = range;
    let what =
        if let [key] = keys { key.to_string() } else { format!("none of the {} products", keys.len()) };
    let not = if keys.len() == 1 { " not" } else { "" };
    Ok(match days.iter().map(|row| row.day).min_by_key(|day| (distance(*day), *day)) {
        Some(nearest) => Failure::usage(format!("{what} was{not} seen {}", within(first, last)))
            .hint(format!("the nearest day with data is {nearest}: --as-of {nearest}")),
        None => Failure::usage(format!("{what} was{not} ever seen"))
            .hint("`amzctl ingest FILE`, then `amzctl normalize`"),
    })
}

/// One product of a list, and where it was named: `asins.txt:3`; null for an argument.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    pub product: ProductRef,
    pub place: Option<String>,
}

/// Reads `-` (stdin) or a file whole. A byte order mark is dropped.
///
/// Errors: usage when it cannot be read or is not UTF-8.
pub fn read_list(path: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).context("failed to read stdin")?;
    } else {
        bytes =
            std::fs::read(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    }
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        Failure::usage(format!("{}: not UTF-8 text", place(path, line + 1))).into()
    })
}

/// The lines of a list that say something, with their numbers: no empty ones, no comments.
pub fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// The products that arguments name: each an ASIN, `UK:ASIN` or URL, a file of such lines, or `-` for stdin.
///
/// Errors: usage, naming every argument or line that is none of these.
pub fn named_products(arguments: &[String]) -> anyhow::Result<Vec<Named>> {
    let mut named = Vec::new();
    let mut bad = BadLines::default();
    for argument in arguments {
        let path = Path::new(argument);
        match argument.parse::<ProductRef>() {
            _ if argument == "-" => {}
            Ok(product) => {
                named.push(Named { product, place: None });
                continue;
            }
            Err(error) if !path.is_file() => {
                bad.push(error.to_string());
                continue;
            }
            Err(_) => {}
        }
        for (number, line) in lines(&read_list(path)?) {
            let place = place(path, number);
            match line.parse::<ProductRef>() {
                Ok(product) => named.push(Named { product, place: Some(place) }),
                Err(error) => bad.push(format!("{place}: {error}")),
            }
        }
    }
    bad.finish()?;
    Ok(named)
}

/// `asins.txt:3`; stdin is called `stdin`.
pub fn place(path: &Path, line: usize) -> String {
    let name = if path == Path::new("-") { "stdin".into() } else { path.display().to_string() };
    format!("{name}:{line}")
}

/// Bad lines, collected so that a person can mend all of them at once.
#[derive(Debug, Default)]
pub struct BadLines {
    messages: Vec<String>,
}

impl BadLines {
    pub fn push(&mut self, message: String) {
        self.messages.push(message);
    }

    /// Errors: usage, when there was a bad line. Nothing has been written then.
    pub fn finish(self) -> Result<(), Failure> {
        let Some(first) = self.messages.first() else { return Ok(()) };
        let failure = match self.messages.len() {
            1 => Failure::usage(first.clone()),
            count => self
                .messages
                .iter()
                .take(NAMED_LINES)
                .skip(1)
                .cloned()
                .fold(Failure::usage(format!("{first} (and {} more)", count - 1)), Failure::hint),
        };
        Err(failure.hint("nothing was written: mend this and run the command again"))
    }
}

/// The keys of a list, first mention first, and how many were named more than once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Keys {
    pub keys: Vec<ProductKey>,
    pub duplicates: usize,
}

impl Keys {
    pub fn of(named: impl IntoIterator<Item = ProductKey>) -> Keys {
        let mut seen = BTreeSet::new();
        let mut found = Keys::default();
        for key in named {
            if seen.insert(key) {
                found.keys.push(key);
            } else {
                found.duplicates += 1;
            }
        }
        found
    }

    /// Says that duplicates were dropped.
    pub fn note_duplicates(&self, context: &Context) {
        note_duplicates(self.duplicates, context);
    }
}

pub fn note_duplicates(duplicates: usize, context: &Context) {
    match duplicates {
        0 => {}
        1 => context.ui.note("dropped 1 duplicate"),
        many => context.ui.note(&format!("dropped {many} duplicates")),
    }
}

/// The keys of new products: where none is named the marketplace is the flag's, else the configured one.
///
/// Errors: usage, naming the first product without a marketplace.
pub fn new_keys(named: &[Named], default: Option<Marketplace>) -> anyhow::Result<Keys> {
    let mut keys = Vec::with_capacity(named.len());
    for Named { product, place } in named {
        keys.push(new_key(*product, place.as_deref(), default)?);
    }
    Ok(Keys::of(keys))
}

/// The key of one new product. Errors: usage without a marketplace.
pub fn new_key(
    product: ProductRef,
    place: Option<&str>,
    default: Option<Marketplace>,
) -> Result<ProductKey, Failure> {
    let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
    match product.marketplace.or(default) {
        Some(marketplace) => Ok(ProductKey { marketplace, asin: product.asin }),
        None => Err(Failure::usage(format!("{place}{} names no marketplace", product.asin)).hint(format!(
            "write UK:{}, give --marketplace UK, or set `marketplace` under [defaults]",
            product.asin
        ))),
    }
}

/// The key of a product that is known: seen before, or watched.
///
/// The marketplace is the one named with it, else the flag's, else the only one in which the ASIN is known, else
/// the configured one. Errors: usage when it is known in several, or in none and none is configured.
pub async fn known_key(
    product: ProductRef,
    flag: Option<Marketplace>,
    store: &Store,
    context: &Context,
) -> anyhow::Result<ProductKey> {
    let asin = product.asin;
    if let Some(marketplace) = product.marketplace.or(flag) {
        return Ok(ProductKey { marketplace, asin });
    }
    let known = store.find_products(context.workspace(), asin).await;
    let known = known.with_context(|| format!("failed to look up {asin}"))?;
    match (known.as_slice(), context.config.marketplace) {
        ([only], _) => Ok(*only),
        ([], Some(marketplace)) => Ok(ProductKey { marketplace, asin }),
        ([], None) => Err(Failure::usage(format!("{asin} is not known in any marketplace"))
            .hint(format!("name one: UK:{asin}; `amzctl watch list` shows what is watched"))
            .into()),
        (several, _) => {
            let names: Vec<String> = several.iter().map(ToString::to_string).collect();
            Err(Failure::usage(format!("{asin} is known in several marketplaces: {}", names.join(", ")))
                .hint("name one of them, or give --marketplace")
                .into())
        }
    }
}

/// [`known_key`] of every product of a list.
pub async fn known_keys(
    named: &[Named],
    flag: Option<Marketplace>,
    store: &Store,
    context: &Context,
) -> anyhow::Result<Keys> {
    let mut keys = Vec::with_capacity(named.len());
    for Named { product, .. } in named {
        keys.push(known_key(*product, flag, store, context).await?);
    }
    Ok(Keys::of(keys))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_whatever_its_line_ends() {
        let found: Vec<(usize, &str)> =
            lines("# mine\r\nB000000001\r\n\r\n UK:B000000002 \r\nB000000003").collect();
        assert_eq!(found, [(2, "B000000001"), (4, "UK:B000000002"), (5, "B000000003")]);
    }

    #[test]
    fn bad_lines_are_named_with_their_numbers_and_nothing_else_happens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("asins.txt");
        std::fs::write(&path, "B000000001\nnonsense\nXX:B000000002\n").unwrap();
        let path = path.display().to_string();
        let error = named_products(std::slice::from_ref(&path)).unwrap_err();
        let failure = error.downcast_ref::<Failure>().unwrap();
        assert_eq!(
            failure.message,
            format!(
                "{path}:2: `nonsense` is not an ASIN (ten letters or digits) nor a product URL (and 1 more)"
            )
        );
        assert!(failure.hints[0].starts_with(&format!("{path}:3: unknown marketplace `XX`")));
    }

    #[test]
    fn duplicates_are_dropped_and_counted() {
        let key = |text: &str| text.parse::<ProductRef>().unwrap().key_or(Marketplace::Us);
        let keys =
            Keys::of([key("B000000001"), key("US:B000000001"), key("UK:B000000001"), key("b000000001")]);
        assert_eq!(keys.keys, [key("B000000001"), key("UK:B000000001")]);
        assert_eq!(keys.duplicates, 2);
    }
}
