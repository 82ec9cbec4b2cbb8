//! Which keys exist, and where each value came from.

use serde_json::Value;

use super::Settings;

/// One key's value and its origin.
#[derive(Clone, PartialEq, Debug)]
pub struct KeyOrigin {
    /// `store.path`
    pub key: String,
    pub value: Value,
    /// `default`, `amzctl.toml:3`, `environment variable AMZCTL_STORE__PATH`.
    pub origin: String,
}

/// Every key with its default, sorted.
pub fn known_keys() -> Vec<(String, Value)> {
    leaves(&settings_json(&Settings::default()))
}

pub(super) fn settings_json(settings: &Settings) -> Value {
    serde_json::to_value(settings).unwrap_or_default()
}

/// A value of the kind that a key takes: its default, or 0 where a number has none.
pub(super) fn example(key: &str, default: &Value) -> Value {
    let takes = |value: &Value| {
        let (section, key) = key.split_once('.').unwrap_or(("", key));
        let settings = serde_json::json!({ section: { key: value } });
        serde_json::from_value::<Settings>(settings).is_ok()
    };
    let numbers = [Value::from(0.5), Value::from(0)];
    numbers.into_iter().find(|number| default.is_null() && takes(number)).unwrap_or_else(|| default.clone())
}

/// The keys of `[section] key = value`, dotted; those of `[channels.NAME]` a step deeper.
pub(super) fn leaves(settings: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (section, keys) in settings.as_object().into_iter().flatten() {
        for (key, value) in keys.as_object().into_iter().flatten() {
            let dotted = format!("{section}.{key}");
            match value.as_object().filter(|_| section == "channels") {
                Some(inner) => {
                    found.extend(inner.iter().map(|(key, value)| (format!("{dotted}.{key}"), value.clone())));
                }
                None => found.push((dotted, value.clone())),
            }
        }
    }
    found
}

/// The known key or section that is most like `wrong`; null when none is like it.
pub(super) fn nearest(wrong: &str) -> Option<String> {
    let keys = known_keys().into_iter().map(|(key, _)| key);
    let sections = settings_json(&Settings::default());
    let sections: Vec<String> =
        sections.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let likeness = |candidate: &str| {
        let whole = strsim::normalized_damerau_levenshtein(wrong, candidate);
        // The right key in the wrong section is the commonest slip after a misspelling.
        let ends = strsim::normalized_damerau_levenshtein(&last(wrong), &last(candidate)) * 0.9;
        whole.max(ends)
    };
    keys.chain(sections)
        .map(|candidate| (likeness(&candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_found_across_misspellings_and_sections() {
        for (wrong, expected) in [
            ("store.pth", Some("store.path")),
            ("stor", Some("store")),
            ("time.path", Some("store.path")),
            ("marketplace", Some("defaults.marketplace")),
            ("completely.different", None),
        ] {
            assert_eq!(nearest(wrong).as_deref(), expected, "{wrong}");
        }
    }
}
