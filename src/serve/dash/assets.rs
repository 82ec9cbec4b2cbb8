//! The stylesheet, which is the reports' with what only pages have, and the script: both are asked for by their hash. And the
//! sign in the browser's tab.

use std::sync::LazyLock;

use super::visit::{Answer, Visit};
use crate::ids::sha256_hex;
use crate::render::REPORT_STYLE;
use crate::serve::problem::Problem;

const SCRIPT: &str = include_str!("templates/dash.js");
/// Digits of the hash in an address.
const HASH: usize = 12;

static STYLE: LazyLock<String> =
    LazyLock::new(|| format!("{REPORT_STYLE}\n{}", include_str!("templates/dash.css")));
static STYLE_HASH: LazyLock<String> = LazyLock::new(|| sha256_hex(STYLE.as_bytes())[..HASH].to_owned());
static SCRIPT_HASH: LazyLock<String> = LazyLock::new(|| sha256_hex(SCRIPT.as_bytes())[..HASH].to_owned());

pub(super) fn style_hash() -> &'static str {
    &STYLE_HASH
}

pub(super) fn script_hash() -> &'static str {
    &SCRIPT_HASH
}

pub(super) async fn style(visit: Visit) -> Result<Answer, Problem> {
    let is_forever = visit.text("v") == Some(style_hash());
    Ok(Answer::Asset { content_type: "text/css; charset=utf-8", text: &STYLE, is_forever })
}

pub(super) async fn script(visit: Visit) -> Result<Answer, Problem> {
    let is_forever = visit.text("v") == Some(script_hash());
    Ok(Answer::Asset { content_type: "text/javascript; charset=utf-8", text: SCRIPT, is_forever })
}

pub(super) async fn icon(_: Visit) -> Result<Answer, Problem> {
    let text = include_str!("templates/icon.svg");
    Ok(Answer::Asset { content_type: "image/svg+xml", text, is_forever: false })
}
