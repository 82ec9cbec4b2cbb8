//! The dashboard: pages for people, drawn by the server. They work without JavaScript; a small script of ours makes them
//! live.
//!
//! | file | what it is |
//! | --- | --- |
//! | `respond` | what every request of a page goes through: who asks, the form's token, the answer |
//! | `visit` | a request as a page sees it, and how it asks the routes of `/v1` |
//! | `look` | templates, texts in each language, how values are written |
//! | `door` | logging in and out, the language |
//! | `overview`, `products`, `cohorts`, `alerts`, `reports`, `operation`, `keys` | the pages |
//! | `assets` | the stylesheet, which is the reports', the script and the icon |
//!
//! A page decides nothing: what it shows and changes it asks of the routes that programs ask, in the name of whoever is
//! logged in, so what they may is decided there too. Only keys have no route; who manages them is said here.

mod alerts;
mod assets;
mod cohorts;
mod door;
mod keys;
mod look;
mod operation;
mod overview;
mod products;
mod reports;
mod respond;
mod visit;

use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::MethodFilter;

use super::App;
use super::problem::Problem;
use crate::model::Permission;
pub(super) use look::Look;
pub(super) use respond::{is_persons, respond};
use visit::{Answer, Visit};

type Answering = Pin<Box<dyn Future<Output = Result<Answer, Problem>> + Send>>;

/// One page, or one thing that its forms do.
pub(super) struct Page {
    /// What log and metrics call it.
    pub(super) id: &'static str,
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    needs: Needs,
    /// What it counts for against a key's limits.
    weight: u32,
    run: fn(Visit) -> Answering,
}

/// Who may see a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Needs {
    /// Whoever comes: it tells no data.
    Nothing,
    /// Whoever is logged in, and may all of these.
    All(&'static [Permission]),
}

macro_rules! page {
    ($method:literal $path:literal $id:ident, $needs:expr, weight $weight:literal, $run:path) => {
        Page {
            id: stringify!($id),
            method: $method,
            path: $path,
            needs: $needs,
            weight: $weight,
            run: |visit| Box::pin($run(visit)),
        }
    };
}

const READ: Needs = Needs::All(&[Permission::Read]);
const WRITE: Needs = Needs::All(&[Permission::Read, Permission::Write]);
const OPERATE: Needs = Needs::All(&[Permission::Operate]);
/// Only an admin's key may both.
const ADMIN: Needs = Needs::All(&[Permission::Write, Permission::Operate]);

/// Everything that can be seen and done.
static PAGES: &[Page] = &[
    page!("GET" "/" page_overview, READ, weight 2, overview::show),
    page!("GET" "/products" page_products, READ, weight 2, products::list),
    page!("GET" "/products/{product}" page_product, READ, weight 3, products::show),
    page!("GET" "/cohorts" page_cohorts, READ, weight 1, cohorts::list),
    page!("GET" "/cohorts/{cohort}" page_cohort, READ, weight 5, cohorts::show),
    page!("GET" "/alerts" page_alerts, READ, weight 2, alerts::list),
    page!("GET" "/alerts/{alert}" page_alert, READ, weight 1, alerts::show),
    page!("POST" "/alerts/{alert}/acknowledge" form_acknowledge, WRITE, weight 2, alerts::acknowledge),
    page!("POST" "/alerts/{alert}/resolve" form_resolve, WRITE, weight 2, alerts::resolve),
    page!("POST" "/alerts/{alert}/dismiss" form_dismiss, WRITE, weight 2, alerts::dismiss),
    page!("POST" "/alerts/{alert}/snooze" form_snooze, WRITE, weight 2, alerts::snooze),
    page!("GET" "/reports" page_reports, READ, weight 1, reports::list),
    page!("GET" "/reports/{report}" page_report, READ, weight 10, reports::show),
    page!("GET" "/operation" page_operation, OPERATE, weight 3, operation::show),
    page!("GET" "/keys" page_keys, ADMIN, weight 1, keys::list),
    page!("POST" "/keys" form_create_key, ADMIN, weight 5, keys::create),
    page!("POST" "/keys/{key}/revoke" form_revoke_key, ADMIN, weight 5, keys::revoke),
    page!("GET" "/live" live_events, READ, weight 1, alerts::listen),
    page!("POST" "/logout" form_logout, Needs::All(&[]), weight 0, door::log_out),
    page!("GET" "/login" page_login, Needs::Nothing, weight 0, door::show),
    page!("POST" "/login" form_login, Needs::Nothing, weight 0, door::log_in),
    page!("GET" "/language" set_language, Needs::Nothing, weight 0, door::set_language),
    page!("GET" "/assets/dash.css" get_style, Needs::Nothing, weight 0, assets::style),
    page!("GET" "/assets/dash.js" get_script, Needs::Nothing, weight 0, assets::script),
    page!("GET" "/assets/icon.svg" get_icon, Needs::Nothing, weight 0, assets::icon),
];

/// What is at a path where nothing is.
pub(super) static NOTHING: Page = page!("GET" "" none, Needs::Nothing, weight 0, respond::nothing_here);

/// Adds the pages to the routes.
pub(super) fn add_pages(mut router: Router, app: &Arc<App>) -> Router {
    for page in PAGES {
        let app = app.clone();
        let filter = if page.method == "POST" { MethodFilter::POST } else { MethodFilter::GET };
        let handler = move |request: Request<Body>| respond(app.clone(), page, request);
        router = router.route(page.path, axum::routing::on(filter, handler));
    }
    router
}

/// What tests of access know of a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageFacts {
    pub id: &'static str,
    pub method: &'static str,
    pub path: &'static str,
    /// Null: whoever comes. Whoever is logged in needs all of these.
    pub permissions: Option<&'static [Permission]>,
}

pub fn page_facts() -> Vec<PageFacts> {
    let facts = |page: &Page| PageFacts {
        id: page.id,
        method: page.method,
        path: page.path,
        permissions: match page.needs {
            Needs::Nothing => None,
            Needs::All(permissions) => Some(permissions),
        },
    };
    PAGES.iter().map(facts).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_page_is_named_once_and_what_changes_something_is_a_form() {
        let ids: BTreeSet<&str> = PAGES.iter().map(|page| page.id).collect();
        let places: BTreeSet<_> = PAGES.iter().map(|page| (page.method, page.path)).collect();
        assert_eq!((ids.len(), places.len()), (PAGES.len(), PAGES.len()));
        for page in PAGES {
            assert_eq!(page.method == "POST", page.id.starts_with("form_"), "{}", page.id);
        }
    }
}
