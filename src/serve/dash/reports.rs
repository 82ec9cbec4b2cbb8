//! Reports that were rendered: the list, and each drawn anew.

use minijinja::context;

use super::visit::{Answer, Visit};
use crate::serve::problem::Problem;

/// Reports of a page.
const PAGE: &str = "30";

pub(super) async fn list(visit: Visit) -> Result<Answer, Problem> {
    let mut query = vec![("limit", PAGE)];
    query.extend(["subject", "cursor"].into_iter().filter_map(|name| Some((name, visit.text(name)?))));
    let found = visit.ask("list_reports", &query).await?;
    let context = context! {
        reports => found.data,
        subject => visit.text("subject").unwrap_or_default(),
        is_later => visit.text("cursor").is_some(),
        without_cursor => visit.url_with(&[("cursor", None)]),
        next_url => visit.url_with(&[("cursor", found.next_cursor.as_deref())]),
        next_cursor => found.next_cursor,
    };
    Ok(Answer::page("reports.html", context))
}

pub(super) async fn show(visit: Visit) -> Result<Answer, Problem> {
    visit.ask_text("render_report", &[("format", "html")]).await.map(Answer::Report)
}
