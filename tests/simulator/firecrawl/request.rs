//! The body of a scrape or a batch, checked as the service does: unknown keys are refused.

use serde_json::{Value, json};

use super::super::call::{Call, Reply};
use super::Version;

/// What a request asks for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) urls: Vec<String>,
    /// Addresses a batch leaves out.
    pub(super) invalid: Vec<String>,
    pub(super) formats: Vec<String>,
    /// The schema to extract by.
    pub(super) json: Option<Value>,
    pub(super) max_age_ms: u64,
    pub(super) stealth: bool,
}

const OPTIONS: [&str; 22] = [
    "formats",
    "onlyMainContent",
    "includeTags",
    "excludeTags",
    "maxAge",
    "headers",
    "waitFor",
    "mobile",
    "skipTlsVerification",
    "timeout",
    "parsePDF",
    "jsonOptions",
    "actions",
    "location",
    "removeBase64Images",
    "blockAds",
    "proxy",
    "changeTrackingOptions",
    "storeInCache",
    "origin",
    "integration",
    "zeroDataRetention",
];

/// Options of v1 that v2 renamed or moved into the formats.
const V1_ONLY: [&str; 3] = ["parsePDF", "jsonOptions", "changeTrackingOptions"];

const FORMATS: [&str; 8] =
    ["markdown", "html", "rawHtml", "links", "screenshot", "screenshot@fullPage", "json", "changeTracking"];

/// A copy of up to two days is good enough in v2 unless the request says otherwise.
const V2_MAX_AGE_MS: u64 = 172_800_000;

fn refused(code: &str, path: &[&str], message: &str) -> Reply {
    Reply::json(
        400,
        &json!({
            "success": false, "code": "BAD_REQUEST", "error": "Bad Request",
            "details": [{"code": code, "path": path, "message": message}],
        }),
    )
}

impl Wanted {
    pub(super) fn read(version: Version, call: &Call, batch: bool) -> Result<Wanted, Reply> {
        let body = call.json();
        let Some(fields) = body.as_ref().and_then(Value::as_object) else {
            return Err(refused("invalid_type", &[], "Expected object"));
        };
        for name in fields.keys() {
            let of_v2 = ["parsers", "maxConcurrency"].contains(&name.as_str()) && version == Version::V2;
            let of_batch =
                batch && ["urls", "webhook", "ignoreInvalidURLs", "maxConcurrency"].contains(&name.as_str());
            let of_one = !batch && name == "url";
            let option = OPTIONS.contains(&name.as_str())
                && !(version == Version::V2 && V1_ONLY.contains(&name.as_str()));
            if !(of_v2 || of_batch || of_one || option) {
                let message = "Unrecognized key in body -- please review the API documentation for request body changes";
                return Err(refused("unrecognized_keys", &[name], message));
            }
        }
        check_types(fields)?;
        let number = |name: &str| fields.get(name).and_then(Value::as_u64);
        let timeout = number("timeout").unwrap_or(30_000);
        if number("waitFor").is_some_and(|wait| wait > timeout / 2 || wait > 60_000) {
            return Err(refused("custom", &["waitFor"], "waitFor must not exceed half of timeout"));
        }
        let proxy = fields.get("proxy").and_then(Value::as_str).unwrap_or("basic");
        if !["basic", "stealth", "auto"].contains(&proxy) {
            return Err(refused("invalid_enum_value", &["proxy"], "Invalid proxy"));
        }
        let (formats, json) = read_formats(version, fields)?;
        let (urls, invalid) = read_urls(fields, batch, version)?;
        let default_age = if version == Version::V2 { V2_MAX_AGE_MS } else { 0 };
        Ok(Wanted {
            urls,
            invalid,
            formats,
            json,
            max_age_ms: number("maxAge").unwrap_or(default_age),
            stealth: proxy == "stealth",
        })
    }
}

type Fields = serde_json::Map<String, Value>;

fn check_types(fields: &Fields) -> Result<(), Reply> {
    type Check = fn(&Value) -> bool;
    let checks: [(&str, Check); 12] = [
        ("onlyMainContent", Value::is_boolean),
        ("mobile", Value::is_boolean),
        ("skipTlsVerification", Value::is_boolean),
        ("blockAds", Value::is_boolean),
        ("storeInCache", Value::is_boolean),
        ("removeBase64Images", Value::is_boolean),
        ("maxAge", Value::is_u64),
        ("waitFor", Value::is_u64),
        ("timeout", Value::is_u64),
        ("headers", Value::is_object),
        ("includeTags", Value::is_array),
        ("location", |value| {
            let country = value.get("country").is_none_or(|country| {
                country
                    .as_str()
                    .is_some_and(|code| code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase()))
            });
            value.is_object() && country && value.get("languages").is_none_or(Value::is_array)
        }),
    ];
    for (name, check) in checks {
        if fields.get(name).is_some_and(|value| !check(value)) {
            return Err(refused("invalid_type", &[name], "Invalid value"));
        }
    }
    Ok(())
}

/// Names of the formats, and the schema of a `json` one.
fn read_formats(version: Version, fields: &Fields) -> Result<(Vec<String>, Option<Value>), Reply> {
    let bad = || refused("invalid_enum_value", &["formats"], "Invalid format");
    let given = match fields.get("formats") {
        None => return Ok((vec!["markdown".to_owned()], None)),
        Some(given) => given.as_array().ok_or_else(bad)?,
    };
    let mut names = Vec::new();
    let mut schema = None;
    for format in given {
        let name = match (format, version) {
            (Value::String(name), _) => name.as_str(),
            (Value::Object(format), Version::V2) => {
                schema = schema.or_else(|| format.get("schema").cloned());
                format.get("type").and_then(Value::as_str).ok_or_else(bad)?
            }
            _ => return Err(bad()),
        };
        let known = FORMATS.contains(&name) || (version == Version::V2 && name == "summary");
        if !known {
            return Err(bad());
        }
        names.push(name.to_owned());
    }
    if version == Version::V1 {
        schema = fields.get("jsonOptions").and_then(|options| options.get("schema")).cloned();
    }
    let json = names.iter().any(|name| name == "json").then(|| schema.unwrap_or_else(|| json!({})));
    Ok((names, json))
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| rest.split('/').next().is_some_and(|host| host.contains('.')))
}

fn read_urls(fields: &Fields, batch: bool, version: Version) -> Result<(Vec<String>, Vec<String>), Reply> {
    if !batch {
        let url = fields.get("url").and_then(Value::as_str).filter(|url| is_url(url));
        let url = url.ok_or_else(|| refused("invalid_string", &["url"], "Invalid URL"))?;
        return Ok((vec![url.to_owned()], Vec::new()));
    }
    let bad = || refused("invalid_type", &["urls"], "Expected an array of URLs");
    let given =
        fields.get("urls").and_then(Value::as_array).filter(|urls| !urls.is_empty()).ok_or_else(bad)?;
    let given = given
        .iter()
        .map(|url| url.as_str().map(str::to_owned))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(bad)?;
    let (urls, invalid): (Vec<String>, Vec<String>) = given.into_iter().partition(|url| is_url(url));
    let lenient = fields.get("ignoreInvalidURLs").and_then(Value::as_bool).unwrap_or(version == Version::V2);
    if !invalid.is_empty() && !lenient {
        return Err(refused("invalid_string", &["urls"], "Invalid URL"));
    }
    Ok((urls, invalid))
}
