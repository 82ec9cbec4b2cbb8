//! Everything that goes wrong with what comes in, with the database and with the disk: one clear message or a
//! quarantine row, the right exit code, nothing lost, and the next run works.

mod database;
mod disk;
mod files;
mod records;
mod texts;

use crate::sandbox::Sandbox;
use serde_json::{Value, json};

/// A sound record of the flat table.
fn sound(asin: &str) -> String {
    json!({"marketplace": "US", "asin": asin, "day": "2026-02-28", "price_minor": 2599}).to_string()
}

/// A sound record as a provider writes it, with some keys replaced; null takes a key away.
fn page(asin: &str, changes: Value) -> Value {
    let mut record = json!({
        "statusCode": 200, "url": format!("https://www.amazon.com/dp/{asin}"), "asin": asin, "title": "Earbuds",
        "price": 25.99, "productRating": "4.5 out of 5 stars", "countReview": 75,
    });
    let (Value::Object(keys), Value::Object(changes)) = (&mut record, changes) else { return record };
    for (key, value) in changes {
        if value.is_null() {
            keys.remove(&key);
        } else {
            keys.insert(key, value);
        }
    }
    record
}

/// The day's facts, a line per product: what has landed in the end.
fn prices(sandbox: &Sandbox) -> String {
    sandbox.succeed("export daily --format csv --fields asin,day,price_minor")
}
