//! Our own statement that a provider's answer had no entry for a product:
//! `{"absent": {"source": "keepa", "marketplace": "DE", "asin": "B0…", "reason": "not in the answer"}}`.

use serde::Deserialize;

use super::record::{Claim, Record};
use super::shape::{Recognised, Shape};
use super::value::{Object, Scalar};
use super::{Parsed, RecordContext, RejectReason};
use crate::model::KNOWN_SOURCES;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Statement<'a> {
    #[serde(borrow)]
    absent: Object<'a, Absent<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Absent<'a> {
    #[serde(borrow)]
    source: Scalar<'a>,
    #[serde(borrow)]
    marketplace: Scalar<'a>,
    #[serde(borrow)]
    asin: Scalar<'a>,
}

pub(super) fn recognise(text: &str) -> Option<Recognised> {
    let head = text.trim_start().strip_prefix('{')?.trim_start();
    if !head.starts_with("\"absent\"") {
        return None;
    }
    let statement: Statement<'_> = serde_json::from_str(text).ok()?;
    let absent = statement.absent.object?;
    let source = KNOWN_SOURCES.into_iter().find(|known| absent.source.text() == Some(known));
    let bare = Recognised::bare(Shape::Absence, "product");
    Some(Recognised {
        source: source.unwrap_or(bare.source),
        marketplace: absent.marketplace.text().and_then(|text| text.parse().ok()),
        asin_requested: absent.asin.text().and_then(|text| text.parse().ok()),
        ..bare
    })
}

/// A product that was asked for and is not there.
pub(super) fn parse(context: &RecordContext, statement: &Statement<'_>) -> Parsed {
    let mut record = Record::new(context, 0);
    let Some(absent) = &statement.absent.object else {
        record.reject(RejectReason::NotAProduct, "absent", "the statement names no product");
        return record.rejected();
    };
    let claim = Claim {
        marketplace: absent.marketplace.text().map(|marketplace| ("marketplace", marketplace)),
        asin: absent.asin.text(),
        ..Claim::default()
    };
    let Some(identity) = record.identify(&claim) else { return record.rejected() };
    record.observed(identity.observation(false))
}
