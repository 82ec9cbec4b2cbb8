//! What a fetched page is worth: a product, the news that there is none, or no answer at all.

use crate::model::FaultKind;
use crate::normalize::{PageKind, page_kind};

pub(super) enum PageVerdict {
    Product,
    /// The shop says that there is no such page.
    Absent,
    Fault(FaultKind, String),
}

/// Judges the target's status first, then the page: captchas come with status 200.
pub(super) fn judge(status: i64, html: &str) -> PageVerdict {
    let kind = page_kind(html);
    match (status, kind) {
        (_, PageKind::Captcha | PageKind::Error) => {
            PageVerdict::Fault(FaultKind::Blocked, format!("a {kind:?} page, status {status}").to_lowercase())
        }
        (404, PageKind::NotFound) | (200, PageKind::NotFound) => PageVerdict::Absent,
        (200, PageKind::Product) => PageVerdict::Product,
        (200, _) => PageVerdict::Fault(FaultKind::Missing, "the page is not a product's".to_owned()),
        (429, _) => PageVerdict::Fault(FaultKind::Blocked, "the shop answered 429".to_owned()),
        (status, _) => PageVerdict::Fault(FaultKind::Blocked, format!("the shop answered {status}")),
    }
}
