//! How sources are named: what says where a record came from.

/// The sources that records are recognised as, or will be, most trusted first. An operator may name others.
/// What was seen live is always believed before what is told of the past.
pub const KNOWN_SOURCES: [&str; 8] =
    ["sp-api", "keepa", "rainforest", "apify", "firecrawl", "html", "file", HISTORY_SOURCE];

/// The source of days that Keepa tells of in hindsight: their findings are history, and nobody is told of them.
pub const HISTORY_SOURCE: &str = "keepa-history";

const MAX_LENGTH: usize = 40;
/// A known name that is less like what was written (0 to 1, Damerau-Levenshtein) was not meant.
const LIKE_ENOUGH: f64 = 0.7;

/// Refuses what no record can come from: a source is a word of lower-case letters, digits and dashes.
pub fn check_source_name(name: &str) -> Result<(), &'static str> {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.is_empty() && name.len() <= MAX_LENGTH && name.chars().all(is_word) {
        Ok(())
    } else {
        Err("a source is named with lower-case letters, digits and dashes, at most 40 of them")
    }
}

/// The sources that can be asked, as chains name them.
pub const LIVE_SOURCES: [&str; 6] = ["sp-api", "keepa", "rainforest", "apify", "firecrawl", "html"];

/// What can be asked of the selling-partner API, as its section names it.
pub const SP_API_OPERATIONS: [&str; 4] = ["catalog", "offers", "competitive_summary", "inventory"];

/// Refuses a name that no provider has: what is wrong, and a hint.
pub fn check_live_source(name: &str) -> Result<(), (String, Option<String>)> {
    if LIVE_SOURCES.contains(&name) {
        return Ok(());
    }
    if name == "file" {
        let hint = "files are read with `amzctl ingest PATH`, or by `amzctl run` from the inbox";
        return Err(("`file` is not asked".to_owned(), Some(hint.to_owned())));
    }
    let hint = match similar_source(name).filter(|similar| LIVE_SOURCES.contains(similar)) {
        Some(similar) => format!("did you mean `{similar}`?"),
        None => format!("it is one of {}", LIVE_SOURCES.join(", ")),
    };
    Err((format!("there is no provider `{name}`"), Some(hint)))
}

/// The known source that `name` looks like without being it; null when it looks like none.
pub fn similar_source(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(&name, known);
    let similar = KNOWN_SOURCES.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(similar) >= LIKE_ENOUGH).then_some(similar)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_looks_like_the_source_that_was_meant_and_a_name_of_its_own_like_none() {
        for (name, expected) in [
            ("kepa", Some("keepa")),
            ("sp_api", Some("sp-api")),
            ("Keepa", Some("keepa")),
            ("fiel", Some("file")),
            ("warehouse", None),
            ("our-crawler", None),
            ("", None),
        ] {
            assert_eq!(similar_source(name), expected, "{name}");
        }
    }

    #[test]
    fn every_known_source_has_a_name_that_sources_have() {
        assert!(KNOWN_SOURCES.iter().all(|name| check_source_name(name).is_ok()));
        for name in ["", "sp_api", "Keepa", "a b", &"x".repeat(41)] {
            assert!(check_source_name(name).is_err(), "{name}");
        }
    }
}
