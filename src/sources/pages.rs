//! What a fetched page is worth: a product, the news that there is none, or no answer at all.

use crate::model::FaultKind;
use crate::normalize::{PageKind, page_kind};

pub(super) enum PageVerdict {
    Product,
    /// The shop says that there is no such page.
    Absent,
    Fault(FaultKind, String),
}

/// Judges the target's status first, then the page: captchas come with status 200. A page takes milliseconds to look at,
/// so that is done off the runtime's threads.
pub(super) async fn judge(status: i64, html: String) -> PageVerdict {
    let kind = tokio::task::spawn_blocking(move || page_kind(&html)).await.unwrap_or(PageKind::Other);
    verdict(status, kind)
}

fn verdict(status: i64, kind: PageKind) -> PageVerdict {
    match (status, kind) {
        (_, PageKind::Captcha | PageKind::Error) => {
            PageVerdict::Fault(FaultKind::Blocked, format!("not the product but: {kind}, status {status}"))
        }
        (404, PageKind::NotFound) | (200, PageKind::NotFound) => PageVerdict::Absent,
        (200, PageKind::Product) => PageVerdict::Product,
        (200, _) => PageVerdict::Fault(FaultKind::Missing, "the page is not a product's".to_owned()),
        (429, _) => PageVerdict::Fault(FaultKind::Blocked, "the shop answered 429".to_owned()),
        (status, _) => PageVerdict::Fault(FaultKind::Blocked, format!("the shop answered {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: i64, kind: PageKind) -> String {
        match verdict(status, kind) {
            PageVerdict::Product => "product".to_owned(),
            PageVerdict::Absent => "absent".to_owned(),
            PageVerdict::Fault(kind, detail) => format!("{kind}: {detail}"),
        }
    }

    #[test]
    fn a_page_is_a_product_only_with_a_good_status_and_gone_only_when_the_shop_says_so() {
        for (status, kind, expected) in [
            (200, PageKind::Product, "product"),
            (200, PageKind::Captcha, "blocked: not the product but: captcha, status 200"),
            (404, PageKind::Error, "blocked: not the product but: error, status 404"),
            (404, PageKind::NotFound, "absent"),
            (404, PageKind::Other, "blocked: the shop answered 404"),
            (503, PageKind::Product, "blocked: the shop answered 503"),
            (200, PageKind::Other, "missing: the page is not a product's"),
        ] {
            assert_eq!(said(status, kind), expected);
        }
    }
}
