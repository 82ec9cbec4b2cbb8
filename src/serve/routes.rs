//! The table of everything that can be asked. The router is built from it, the documentation says what it says, and the
//! tests try each line with every kind of caller.

use std::pin::Pin;

use serde_json::Value;

use super::answer::{Columns, Form, Output};
use super::call::{Call, LONGEST_PAGE};
use super::problem::{Kind, Problem};
use super::v1::{alerts, cohorts, products, reports, series, system};
use super::{Tables, health, live, openapi};
use crate::model::{Marketplace, Permission, Relation, Tier};
use crate::rollup::rules::{Rule, Severity};
use crate::store::alerts::AlertState;
use crate::store::outbox::LiveNews;
use crate::store::spending::SpendingBy;

type Answering = Pin<Box<dyn Future<Output = Result<Output, Problem>> + Send>>;

/// One thing that can be asked.
pub(super) struct Route {
    /// What documentation, log and metrics call it.
    pub(super) id: &'static str,
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// What it is about, where the documentation sorts it.
    pub(super) topic: &'static str,
    pub(super) summary: &'static str,
    pub(super) access: Access,
    /// What it counts for against a key's limits.
    pub(super) weight: u32,
    pub(super) query: &'static [&'static [Parameter]],
    /// The schema of the body; null where there is none.
    pub(super) body: Option<fn() -> Value>,
    pub(super) shape: Shape,
    /// The answer is the same until a mart is built, or time has passed.
    pub(super) is_kept: bool,
    /// What may go wrong besides what may everywhere.
    pub(super) problems: &'static [Kind],
    pub(super) run: fn(Call) -> Answering,
}

/// Who may ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Access {
    /// Whoever reaches the server: it tells no data.
    Anyone,
    /// Whoever may read, or everybody where the configuration says so.
    Docs,
    Needs(Permission),
}

impl Access {
    pub(super) fn permission(self) -> Option<Permission> {
        match self {
            Access::Anyone => None,
            Access::Docs => Some(Permission::Read),
            Access::Needs(permission) => Some(permission),
        }
    }
}

/// What an answer looks like.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// Rows of these columns.
    Table(fn(&Tables) -> Columns),
    /// One row of these columns.
    Record(fn(&Tables) -> Columns),
    /// A document of this schema.
    Document(fn() -> Value),
    /// Text of these media types, by itself.
    Text(&'static [&'static str]),
}

impl Shape {
    pub(super) fn forms(self) -> &'static [Form] {
        match self {
            Shape::Table(_) | Shape::Record(_) => &Form::ALL,
            Shape::Document(_) => &[Form::Json],
            Shape::Text(_) => &[],
        }
    }

    fn is_flat(self) -> bool {
        matches!(self, Shape::Table(_) | Shape::Record(_))
    }
}

/// One parameter of a query.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) takes: Takes,
    pub(super) doc: &'static str,
}

/// What a parameter can be.
#[derive(Clone, Copy)]
pub(super) enum Takes {
    Text,
    /// Some of the columns of the answer's rows.
    Columns,
    Day,
    Number {
        from: u32,
        to: u32,
    },
    Word(fn() -> Vec<&'static str>),
    /// Some, with commas between them.
    Words(fn() -> Vec<&'static str>),
}

macro_rules! parameters {
    ($(#[$doc:meta])* $list:ident: $($name:literal $takes:expr, $said:literal;)+) => {
        $(#[$doc])*
        const $list: &[Parameter] = &[$(Parameter { name: $name, takes: $takes, doc: $said }),+];
    };
}

macro_rules! words_of {
    ($type:ty) => {
        || <$type>::ALL.iter().map(|one| one.as_str()).collect()
    };
}

fn marketplaces() -> Vec<&'static str> {
    Marketplace::ALL.iter().map(|one| one.code()).collect()
}

parameters! {
    /// Of every table.
    FIELDS:
    "fields" Takes::Columns, "Only these columns, in this order, with commas between them";
    "format" Takes::Word(|| Form::ALL.iter().map(|form| form.word()).collect()), "Instead of `Accept`";
}

parameters! {
    PAGE:
    "limit" Takes::Number { from: 1, to: LONGEST_PAGE }, "Rows of a page; 50 where it is not said";
    "cursor" Takes::Text, "`next_cursor` of the page before";
}

parameters! {
    RANGE:
    "from" Takes::Day, "First day; 30 days up to the last where it is not said";
    "to" Takes::Day, "Last day, inclusive; the newest that was seen where it is not said";
}

parameters! {
    PRODUCTS:
    "marketplace" Takes::Word(marketplaces), "Of this marketplace";
    "brand" Takes::Text, "Of this brand, in whatever letters";
    "category" Takes::Text, "Of this category, or of one below it";
    "status" Takes::Word(|| vec!["active", "gone"]), "Still there, or gone";
    "tag" Takes::Text, "Watched with this tag";
    "relation" Takes::Word(words_of!(Relation)), "Whose it is";
    "tier" Takes::Word(words_of!(Tier)), "How often it is looked at";
    "title" Takes::Text, "With this in the title, in whatever letters";
    "seen_since" Takes::Day, "Seen on this day or later";
    "sort" Takes::Word(products::sorts), "The order; `-` before it turns it round";
}

parameters! {
    WINDOW:
    "window" Takes::Number { from: 7, to: 90 }, "Only windows of so many days: 7, 30 or 90";
}

parameters! {
    COMPARED:
    "as_of" Takes::Day, "The day to compare as of; the newest of the marketplace where it is not said";
    "days" Takes::Number { from: 1, to: 366 }, "Days of the series; 30 where it is not said";
}

parameters! {
    ALERTS:
    "state" Takes::Words(words_of!(AlertState)), "In these states";
    "severity" Takes::Words(words_of!(Severity)), "Of these severities";
    "rule" Takes::Words(words_of!(Rule)), "Of these rules";
    "marketplace" Takes::Word(marketplaces), "About products of this marketplace";
    "asin" Takes::Text, "About products of this ASIN";
    "brand" Takes::Text, "About products of this brand";
    "tag" Takes::Text, "About products that are watched with this tag";
    "since" Takes::Day, "Of this day or later";
}

parameters! {
    EVENTS:
    "type" Takes::Words(words_of!(LiveNews)), "Of these kinds";
    "severity" Takes::Words(words_of!(Severity)), "Of these severities";
    "rule" Takes::Words(words_of!(Rule)), "Of these rules";
    "marketplace" Takes::Word(marketplaces), "About products of this marketplace";
    "asin" Takes::Text, "About products of this ASIN";
}

parameters! {
    REPORTS:
    "subject" Takes::Text, "About this: US:B000000001, cohort:NAME or watchlist";
}

parameters! {
    RENDERED:
    "format" Takes::Word(|| vec!["html", "markdown", "json", "text"]), "Instead of `Accept`";
    "days" Takes::Number { from: 1, to: 730 }, "Days of the charts; 90, for the watchlist 30, where it is not said";
}

parameters! {
    COSTS:
    "by" Takes::Word(words_of!(SpendingBy)), "What to add up by; source where it is not said";
}

macro_rules! route {
    ($method:literal $path:literal $id:ident, $topic:literal, $summary:literal,
     $access:expr, weight $weight:literal, query $query:expr, body $body:expr, $shape:expr, kept $kept:literal,
     problems $problems:expr, $run:path) => {
        Route {
            id: stringify!($id),
            method: $method,
            path: $path,
            topic: $topic,
            summary: $summary,
            access: $access,
            weight: $weight,
            query: $query,
            body: $body,
            shape: $shape,
            is_kept: $kept,
            problems: $problems,
            run: |call| Box::pin($run(call)),
        }
    };
}

const READ: Access = Access::Needs(Permission::Read);
const WRITE: Access = Access::Needs(Permission::Write);
const OPERATE: Access = Access::Needs(Permission::Operate);

/// Of what has a product or another object in its path.
const OF_ONE: &[Kind] = &[Kind::NotFound];
const OF_PRODUCT: &[Kind] = &[Kind::NotFound, Kind::Ambiguous];
const OF_WRITE: &[Kind] = &[Kind::NotFound, Kind::Conflict, Kind::IdempotencyConflict];

/// Everything that can be asked.
pub(super) static ROUTES: &[Route] = &[
    route!("GET" "/health" get_health, "server", "How the server's parts are",
        Access::Anyone, weight 0, query &[], body None, Shape::Document(health::schema), kept false,
        problems &[], health::health),
    route!("GET" "/ready" get_ready, "server", "Whether the server can answer",
        Access::Anyone, weight 0, query &[], body None, Shape::Document(health::ready_schema), kept false,
        problems &[], health::ready),
    route!("GET" "/metrics" get_metrics, "server", "Counters and gauges, as Prometheus reads them",
        OPERATE, weight 1, query &[], body None, Shape::Text(&["text/plain; version=0.0.4"]), kept false,
        problems &[], health::metrics),
    route!("GET" "/openapi.json" get_openapi, "server", "This document",
        Access::Docs, weight 1, query &[], body None, Shape::Text(&["application/json"]), kept false,
        problems &[], openapi::document_text),
    route!("GET" "/docs" get_docs, "server", "This document as a page",
        Access::Docs, weight 1, query &[], body None, Shape::Text(&["text/html; charset=utf-8"]), kept false,
        problems &[], openapi::page),
    route!("GET" "/v1/products" list_products, "products",
        "Products that were seen, each with its newest day",
        READ, weight 1, query &[PRODUCTS, PAGE], body None, Shape::Table(products::columns), kept true,
        problems &[], products::list),
    route!("POST" "/v1/products/batch" get_products, "products",
        "1 to 50 products, each by itself found or not",
        READ, weight 5, query &[], body Some(products::batch_schema), Shape::Document(products::batch_answer),
        kept false, problems &[], products::batch),
    route!("GET" "/v1/products/{product}" get_product, "products", "One product with its newest day",
        READ, weight 1, query &[], body None, Shape::Record(products::columns), kept true,
        problems OF_PRODUCT, products::one),
    route!("GET" "/v1/products/{product}/metrics" list_metrics, "products",
        "A product's days; `fields` names the figures",
        READ, weight 2, query &[RANGE], body None, Shape::Table(series::metric_columns), kept true,
        problems OF_PRODUCT, series::metrics),
    route!("GET" "/v1/products/{product}/offers" list_offers, "products",
        "Who sold a product, and how, day by day",
        READ, weight 2, query &[RANGE], body None, Shape::Table(series::offer_columns), kept true,
        problems OF_PRODUCT, series::offers),
    route!("GET" "/v1/products/{product}/ranks" list_ranks, "products",
        "Every rank of a product, day by day",
        READ, weight 2, query &[RANGE], body None, Shape::Table(series::rank_columns), kept true,
        problems OF_PRODUCT, series::ranks),
    route!("GET" "/v1/products/{product}/deltas" list_deltas, "products",
        "Changes against the previous known day of each figure",
        READ, weight 3, query &[RANGE], body None, Shape::Table(series::delta_columns), kept true,
        problems OF_PRODUCT, series::deltas),
    route!("GET" "/v1/products/{product}/rollups" list_rollups, "products",
        "Windows of 7, 30 and 90 days: the newest, or with `from` or `to` those of every day",
        READ, weight 3, query &[RANGE, WINDOW], body None, Shape::Table(series::rollup_columns), kept true,
        problems OF_PRODUCT, series::rollups),
    route!("GET" "/v1/products/{product}/trends" list_trends, "products",
        "Where price, rank and rating are going, window by window",
        READ, weight 2, query &[WINDOW], body None, Shape::Table(series::trend_columns), kept true,
        problems OF_PRODUCT, series::trends),
    route!("GET" "/v1/products/{product}/listings" list_listings, "products",
        "What a product's listing said, version by version",
        READ, weight 2, query &[], body None, Shape::Table(series::listing_columns), kept true,
        problems OF_PRODUCT, series::listings),
    route!("GET" "/v1/cohorts" list_cohorts, "cohorts", "The workspace's cohorts",
        READ, weight 1, query &[], body None, Shape::Table(cohorts::columns), kept false,
        problems &[], cohorts::list),
    route!("GET" "/v1/cohorts/{cohort}" get_cohort, "cohorts", "One cohort with its members",
        READ, weight 1, query &[], body None, Shape::Document(cohorts::schema), kept false,
        problems OF_ONE, cohorts::one),
    route!("GET" "/v1/cohorts/{cohort}/competition" get_competition, "cohorts",
        "Gaps, scores and positions of a cohort's main product",
        READ, weight 5, query &[COMPARED], body None, Shape::Document(cohorts::competition_schema), kept true,
        problems OF_ONE, cohorts::competition),
    route!("GET" "/v1/cohorts/{cohort}/history" list_competition, "cohorts",
        "The same day by day: scores, price index, position",
        READ, weight 10, query &[RANGE], body None, Shape::Table(cohorts::history_columns), kept true,
        problems OF_ONE, cohorts::history),
    route!("GET" "/v1/alerts" list_alerts, "alerts", "Alerts, newest day first, gravest first",
        READ, weight 2, query &[ALERTS, PAGE], body None, Shape::Table(alerts::columns), kept false,
        problems &[], alerts::list),
    route!("GET" "/v1/alerts/{alert}" get_alert, "alerts",
        "One alert with its evidence, changes and deliveries",
        READ, weight 1, query &[], body None, Shape::Document(alerts::schema), kept false,
        problems OF_ONE, alerts::one),
    route!("POST" "/v1/alerts/{alert}/acknowledge" acknowledge_alert, "alerts", "Seen, being worked on",
        WRITE, weight 2, query &[], body Some(alerts::note_schema), Shape::Document(alerts::changed_schema),
        kept false, problems OF_WRITE, alerts::acknowledge),
    route!("POST" "/v1/alerts/{alert}/resolve" resolve_alert, "alerts", "Dealt with",
        WRITE, weight 2, query &[], body Some(alerts::note_schema), Shape::Document(alerts::changed_schema),
        kept false, problems OF_WRITE, alerts::resolve),
    route!("POST" "/v1/alerts/{alert}/dismiss" dismiss_alert, "alerts", "Of no interest",
        WRITE, weight 2, query &[], body Some(alerts::note_schema), Shape::Document(alerts::changed_schema),
        kept false, problems OF_WRITE, alerts::dismiss),
    route!("POST" "/v1/alerts/{alert}/snooze" snooze_alert, "alerts",
        "Of no interest until then, unless it becomes worse",
        WRITE, weight 2, query &[], body Some(alerts::snooze_schema), Shape::Document(alerts::changed_schema),
        kept false, problems OF_WRITE, alerts::snooze),
    route!("GET" "/v1/events" watch_events, "alerts",
        "What alerts tell, while it happens: server-sent events without end",
        READ, weight 1, query &[EVENTS], body None, Shape::Text(&[live::CONTENT_TYPE]), kept false,
        problems &[], live::watch),
    route!("GET" "/v1/reports" list_reports, "reports", "Reports that were rendered, newest first",
        READ, weight 1, query &[REPORTS, PAGE], body None, Shape::Table(reports::columns), kept false,
        problems &[], reports::list),
    route!("GET" "/v1/reports/{report}" get_report, "reports", "One report that was rendered",
        READ, weight 1, query &[], body None, Shape::Record(reports::columns), kept false,
        problems OF_ONE, reports::one),
    route!("GET" "/v1/reports/{report}/content" render_report, "reports",
        "A report drawn anew from what is known now, as of its day",
        READ, weight 10, query &[RENDERED], body None,
        Shape::Text(&["text/html; charset=utf-8", "text/markdown; charset=utf-8", "application/json", "text/plain; charset=utf-8"]),
        kept false, problems &[Kind::NotFound, Kind::NotAcceptable], reports::content),
    route!("GET" "/v1/runs" list_runs, "operation", "What was run, newest first",
        OPERATE, weight 1, query &[PAGE], body None, Shape::Table(system::run_columns), kept false,
        problems &[], system::runs),
    route!("GET" "/v1/costs" list_costs, "operation",
        "What providers cost; this month where no days are said",
        OPERATE, weight 2, query &[RANGE, COSTS], body None, Shape::Table(system::cost_columns), kept false,
        problems &[], system::costs),
    route!("GET" "/v1/sources" list_sources, "operation", "How providers fared lately, and until when one is left alone",
        OPERATE, weight 1, query &[], body None, Shape::Table(system::source_columns), kept false,
        problems &[], system::sources),
    route!("GET" "/v1/quarantine" list_quarantine, "operation", "Open records in quarantine, by reason",
        OPERATE, weight 1, query &[], body None, Shape::Table(system::quarantine_columns), kept false,
        problems &[], system::quarantine),
    route!("GET" "/v1/audit" list_audit, "operation", "Who changed what in the workspace, newest first",
        OPERATE, weight 1, query &[PAGE], body None, Shape::Table(system::audit_columns), kept false,
        problems &[], system::audit),
    route!("GET" "/v1/fields" list_fields, "server", "Every column of every table: its name, its type, its unit",
        READ, weight 1, query &[], body None, Shape::Table(system::field_columns), kept false,
        problems &[], system::fields),
];

impl Route {
    /// Its own parameters, and those of its shape.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &'static Parameter> {
        let of_shape: &[Parameter] = if self.shape.is_flat() { FIELDS } else { &[] };
        self.query.iter().copied().flatten().chain(of_shape)
    }

    /// The names between braces in its path.
    pub(super) fn parts(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('{').skip(1).filter_map(|rest| rest.split('}').next())
    }
}

/// What tests of access know of a route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteFacts {
    pub id: &'static str,
    pub method: &'static str,
    pub path: &'static str,
    /// Null: whoever asks.
    pub permission: Option<Permission>,
}

pub fn route_facts() -> Vec<RouteFacts> {
    let facts = |route: &Route| RouteFacts {
        id: route.id,
        method: route.method,
        path: route.path,
        permission: route.access.permission(),
    };
    ROUTES.iter().map(facts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_named_once_and_every_parameter_too() {
        let ids: std::collections::BTreeSet<&str> = ROUTES.iter().map(|route| route.id).collect();
        assert_eq!(ids.len(), ROUTES.len());
        let places: std::collections::BTreeSet<_> =
            ROUTES.iter().map(|route| (route.method, route.path)).collect();
        assert_eq!(places.len(), ROUTES.len());
        for route in ROUTES {
            let names: Vec<&str> = route.parameters().map(|parameter| parameter.name).collect();
            let distinct: std::collections::BTreeSet<&&str> = names.iter().collect();
            assert_eq!(distinct.len(), names.len(), "{}: {names:?}", route.id);
        }
    }

    #[test]
    fn data_is_behind_a_permission_and_only_writes_change_something() {
        for route in ROUTES {
            if route.path.starts_with("/v1/") {
                assert!(matches!(route.access, Access::Needs(_)), "{}", route.id);
            }
            let is_write = route.access == WRITE;
            assert!(!is_write || (route.method == "POST" && !route.is_kept), "{}", route.id);
        }
        let public: Vec<&str> =
            ROUTES.iter().filter(|route| route.access == Access::Anyone).map(|route| route.id).collect();
        assert_eq!(public, ["get_health", "get_ready"]);
    }
}
