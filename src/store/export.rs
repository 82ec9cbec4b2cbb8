//! Tables as `export` hands them out: one statement per table, rows streamed one by one.

use futures_util::TryStreamExt;

use super::db::{Row, query_of};
use super::{Result, Store};
use crate::model::{DayRange, Marketplace, ProductKey, Workspace};

/// What can be exported from the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExportView {
    Products,
    Observations,
    Reviews,
    Daily,
    Ranks,
    Latest,
    /// Of the served days.
    Deltas,
    /// Each product's newest.
    Rollups,
    Comparisons,
    Alerts,
}

/// How a column's values are read and shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldKind {
    Text,
    Int,
    Real,
    Bool,
    /// Microseconds in the database, RFC 3339 outside.
    Instant,
    /// JSON text.
    Json,
}

/// One value of an exported row.
#[derive(Clone, PartialEq, Debug)]
pub enum Field {
    Null,
    Text(String),
    Int(i64),
    Real(f64),
}

/// A column: its name outside, its kind, its expression inside.
pub type ViewColumn = (&'static str, FieldKind, &'static str);

/// Which rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExportFilter {
    pub marketplace: Option<Marketplace>,
    pub range: Option<DayRange>,
    /// Of this product alone.
    pub product: Option<ProductKey>,
}

use FieldKind::{Bool, Instant, Int, Json, Real, Text};

const PRODUCTS: &[ViewColumn] = &[
    ("marketplace", Text, "t.marketplace"),
    ("asin", Text, "t.asin"),
    ("title", Text, "t.title"),
    ("brand", Text, "t.brand"),
    ("category", Text, "t.category"),
    ("image_url", Text, "t.image_url"),
    ("parent_asin", Text, "t.parent_asin"),
    ("status", Text, "t.status"),
    ("first_day", Text, "t.first_day"),
    ("last_day", Text, "t.last_day"),
];

const OBSERVATIONS: &[ViewColumn] = &[
    ("marketplace", Text, "t.marketplace"),
    ("asin", Text, "t.asin"),
    ("day", Text, "t.day"),
    ("observed_at", Instant, "t.observed_at"),
    ("fetched_at", Instant, "t.fetched_at"),
    ("source", Text, "t.source"),
    ("found", Bool, "t.found"),
    ("title", Text, "json_extract(c.content, '$.title')"),
    ("brand", Text, "json_extract(c.content, '$.brand')"),
    ("price_minor", Int, "json_extract(t.facts, '$.offer.price_minor')"),
    ("price_basis", Text, "json_extract(t.facts, '$.offer.price_basis')"),
    ("list_price_minor", Int, "json_extract(t.facts, '$.offer.list_price_minor')"),
    ("buy_box_price_minor", Int, "json_extract(t.facts, '$.offer.buy_box_price_minor')"),
    ("shipping_minor", Int, "json_extract(t.facts, '$.offer.shipping_minor')"),
    ("coupon_minor", Int, "json_extract(t.facts, '$.offer.coupon_minor')"),
    ("coupon_pct", Int, "json_extract(t.facts, '$.offer.coupon_pct')"),
    ("is_deal", Bool, "json_extract(t.facts, '$.offer.is_deal')"),
    ("is_prime", Bool, "json_extract(t.facts, '$.offer.is_prime')"),
    ("seller_id", Text, "json_extract(t.facts, '$.offer.seller_id')"),
    ("seller_name", Text, "json_extract(t.facts, '$.offer.seller_name')"),
    ("fulfilment", Text, "json_extract(t.facts, '$.offer.fulfilment')"),
    ("condition", Text, "json_extract(t.facts, '$.offer.condition')"),
    ("offer_count", Int, "json_extract(t.facts, '$.offer.offer_count')"),
    ("availability", Text, "json_extract(t.facts, '$.offer.availability')"),
    ("stock_quantity", Int, "json_extract(t.facts, '$.offer.stock_quantity')"),
    ("ranks", Json, "json_extract(t.facts, '$.rank.ranks')"),
    ("rating_centi", Int, "json_extract(t.facts, '$.rating.rating_centi')"),
    ("ratings_count", Int, "json_extract(t.facts, '$.rating.ratings_count')"),
    ("monthly_sold_min", Int, "json_extract(t.facts, '$.monthly_sold_min')"),
    ("body_sha256", Text, "t.body_sha256"),
    ("normalizer_version", Int, "t.normalizer_version"),
];

const REVIEWS: &[ViewColumn] = &[
    ("marketplace", Text, "t.marketplace"),
    ("asin", Text, "t.asin"),
    ("review_id", Text, "t.review_id"),
    ("rating_centi", Int, "t.rating_centi"),
    ("title", Text, "t.title"),
    ("body", Text, "t.body"),
    ("reviewed_on", Text, "t.reviewed_on"),
    ("verified", Bool, "t.verified"),
    ("helpful_count", Int, "t.helpful_count"),
    ("list_filter", Text, "t.list_filter"),
    ("source", Text, "t.source"),
    ("observed_at", Instant, "t.observed_at"),
];

const DAILY: &[ViewColumn] = &[
    ("marketplace", Text, "t.marketplace"),
    ("asin", Text, "t.asin"),
    ("day", Text, "t.day"),
    ("observed_at", Instant, "t.observed_at"),
    ("currency", Text, "t.currency"),
    ("price_minor", Int, "t.price_minor"),
    ("list_price_minor", Int, "t.list_price_minor"),
    ("buy_box_price_minor", Int, "t.buy_box_price_minor"),
    ("shipping_minor", Int, "t.shipping_minor"),
    ("landed_price_minor", Int, "t.landed_price_minor"),
    ("price_basis", Text, "t.price_basis"),
    ("coupon_minor", Int, "t.coupon_minor"),
    ("coupon_pct", Int, "t.coupon_pct"),
    ("is_deal", Bool, "t.is_deal"),
    ("is_prime", Bool, "t.is_prime"),
    ("seller_id", Text, "t.seller_id"),
    ("seller_name", Text, "t.seller_name"),
    ("fulfilment", Text, "t.fulfilment"),
    ("condition", Text, "t.condition"),
    ("offer_count", Int, "t.offer_count"),
    ("availability", Text, "t.availability"),
    ("stock_quantity", Int, "t.stock_quantity"),
    ("bsr", Int, "t.bsr"),
    ("bsr_category", Text, "t.bsr_category"),
    ("bsr_category_id", Text, "t.bsr_category_id"),
    ("bsr_leaf", Int, "t.bsr_leaf"),
    ("bsr_leaf_category", Text, "t.bsr_leaf_category"),
    ("bsr_leaf_category_id", Text, "t.bsr_leaf_category_id"),
    ("rating_centi", Int, "t.rating_centi"),
    ("ratings_count", Int, "t.ratings_count"),
    ("monthly_sold_min", Int, "t.monthly_sold_min"),
    ("source", Text, "t.source"),
];

/// What `latest` has behind the columns of `daily`. The quality is that of the row's own day, so that it is there
/// before a mart is.
const LATEST: &[ViewColumn] = &[
    ("title", Text, "p.title"),
    ("brand", Text, "p.brand"),
    (
        "quality",
        Real,
        "(SELECT CASE WHEN COUNT(*) > 30 THEN 1.0 ELSE COUNT(*) / 30.0 END FROM product_metrics_daily q WHERE q.marketplace = t.marketplace
            AND q.asin = t.asin AND q.day BETWEEN date(t.day, '-29 days') AND t.day)",
    ),
];

const RANKS: &[ViewColumn] = &[
    ("marketplace", Text, "t.marketplace"),
    ("asin", Text, "t.asin"),
    ("day", Text, "t.day"),
    ("ordinal", Int, "t.ordinal"),
    ("category_id", Text, "t.category_id"),
    ("category", Text, "t.category"),
    ("rank", Int, "t.rank"),
    ("is_main", Bool, "t.is_main"),
    ("is_leaf", Bool, "t.is_leaf"),
];

/// The rows of `compare` in its flat formats: one per competitor, the scores of the whole beside each.
const COMPARISONS: &[ViewColumn] = &[
    ("cohort", Text, "t.cohort"),
    ("as_of", Text, "t.as_of"),
    ("main_marketplace", Text, "json_extract(t.record, '$.main.marketplace')"),
    ("main_asin", Text, "json_extract(t.record, '$.main.asin')"),
    ("marketplace", Text, "json_extract(p.value, '$.value.marketplace')"),
    ("asin", Text, "json_extract(p.value, '$.value.asin')"),
    ("label", Text, "json_extract(p.value, '$.value.label')"),
    ("title", Text, "json_extract(p.value, '$.value.title')"),
    ("day", Text, "json_extract(p.value, '$.value.day')"),
    ("currency", Text, "json_extract(p.value, '$.value.currency')"),
    ("main_price_minor", Int, "json_extract(t.record, '$.main.price_minor')"),
    ("price_minor", Int, "json_extract(p.value, '$.value.price_minor')"),
    ("price_gap_minor", Int, "json_extract(p.value, '$.price.gap')"),
    ("price_gap_pct", Real, "json_extract(p.value, '$.price.pct')"),
    ("price_better", Text, "json_extract(p.value, '$.price.better')"),
    ("price_reason", Text, "json_extract(p.value, '$.price.reason')"),
    ("main_bsr", Int, "json_extract(t.record, '$.main.bsr')"),
    ("bsr_gap", Int, "json_extract(p.value, '$.bsr.gap')"),
    ("bsr_better", Text, "json_extract(p.value, '$.bsr.better')"),
    ("bsr_reason", Text, "json_extract(p.value, '$.bsr.reason')"),
    ("main_bsr_leaf", Int, "json_extract(t.record, '$.main.bsr_leaf')"),
    ("bsr_leaf_gap", Int, "json_extract(p.value, '$.bsr_leaf.gap')"),
    ("bsr_leaf_better", Text, "json_extract(p.value, '$.bsr_leaf.better')"),
    ("bsr_leaf_reason", Text, "json_extract(p.value, '$.bsr_leaf.reason')"),
    ("rating_centi", Int, "json_extract(p.value, '$.value.rating_centi')"),
    ("rating_gap_centi", Int, "json_extract(p.value, '$.rating.gap')"),
    ("rating_better", Text, "json_extract(p.value, '$.rating.better')"),
    ("rating_reason", Text, "json_extract(p.value, '$.rating.reason')"),
    ("ratings_count", Int, "json_extract(p.value, '$.value.ratings_count')"),
    ("ratings_count_gap", Int, "json_extract(p.value, '$.ratings_count.gap')"),
    ("ratings_count_better", Text, "json_extract(p.value, '$.ratings_count.better')"),
    ("ratings_count_reason", Text, "json_extract(p.value, '$.ratings_count.reason')"),
    ("availability", Text, "json_extract(p.value, '$.value.availability')"),
    ("price_score", Real, "json_extract(t.record, '$.scores.price')"),
    ("quality_score", Real, "json_extract(t.record, '$.scores.quality')"),
    ("popularity_score", Real, "json_extract(t.record, '$.scores.popularity')"),
    ("overall_score", Real, "json_extract(t.record, '$.scores.overall')"),
    ("price_index", Real, "json_extract(t.record, '$.market.price_index')"),
    ("confidence", Text, "json_extract(t.record, '$.confidence')"),
    ("completeness", Real, "json_extract(t.record, '$.completeness')"),
];

const ALERTS: &[ViewColumn] = &[
    ("alert_id", Text, "t.alert_id"),
    ("rule", Text, "t.rule"),
    ("severity", Text, "t.severity"),
    ("marketplace", Text, "t.marketplace"),
    ("asin", Text, "t.asin"),
    ("day", Text, "t.day"),
    ("object", Text, "t.object"),
    ("message", Text, "t.message"),
    ("evidence", Json, "t.evidence"),
    ("state", Text, "t.state"),
    ("historical", Bool, "t.historical"),
    ("superseded", Text, "t.superseded"),
];

/// The columns of [`ExportView::Daily`].
pub(crate) fn daily_columns() -> Vec<(String, FieldKind)> {
    DAILY.iter().map(|(name, kind, _)| ((*name).to_owned(), *kind)).collect()
}

/// The columns of [`ExportView::Ranks`].
pub(crate) fn ranks_columns() -> Vec<(String, FieldKind)> {
    RANKS.iter().map(|(name, kind, _)| ((*name).to_owned(), *kind)).collect()
}

/// Where a view's rows come from, which expressions its filters look at, and their order.
struct Shape {
    from: &'static str,
    marketplace: &'static str,
    day: &'static str,
    order: &'static str,
}

impl ExportView {
    /// The columns of a table of the database; those of `deltas` and `rollups` are read from the schema.
    fn declared(self) -> Option<Vec<ViewColumn>> {
        let columns = match self {
            ExportView::Products => PRODUCTS,
            ExportView::Observations => OBSERVATIONS,
            ExportView::Reviews => REVIEWS,
            ExportView::Daily => DAILY,
            ExportView::Latest => return Some([DAILY, LATEST].concat()),
            ExportView::Ranks => RANKS,
            ExportView::Comparisons => COMPARISONS,
            ExportView::Alerts => ALERTS,
            ExportView::Deltas | ExportView::Rollups => return None,
        };
        Some(columns.to_vec())
    }

    /// The rows belong to workspaces.
    fn is_owned(self) -> bool {
        matches!(self, ExportView::Comparisons | ExportView::Alerts)
    }

    fn shape(self) -> Shape {
        let (from, day, order) = match self {
            ExportView::Products => ("products t", "t.last_day", "t.marketplace, t.asin"),
            ExportView::Observations => (
                "observations t LEFT JOIN listing_contents c ON c.listing_hash = t.listing_hash",
                "t.day",
                "t.marketplace, t.asin, t.observed_at, t.body_sha256, t.receipt_id, t.item",
            ),
            ExportView::Reviews => ("reviews t", "t.reviewed_on", "t.marketplace, t.asin, t.review_id"),
            ExportView::Daily => ("product_metrics_daily t", "t.day", "t.marketplace, t.asin, t.day"),
            ExportView::Latest => (
                "products p JOIN product_metrics_daily t ON t.marketplace = p.marketplace AND t.asin = p.asin
                   AND t.day = (SELECT MAX(n.day) FROM product_metrics_daily n
                                WHERE n.marketplace = p.marketplace AND n.asin = p.asin)",
                "t.day",
                "p.marketplace, p.asin",
            ),
            ExportView::Ranks => ("ranks t", "t.day", "t.marketplace, t.asin, t.day, t.ordinal"),
            ExportView::Deltas => ("deltas t", "t.day", "t.marketplace, t.asin, t.day"),
            ExportView::Rollups => ("rollups t", "t.as_of", "t.marketplace, t.asin, t.window_days"),
            ExportView::Comparisons => (
                "comparisons t JOIN cohorts c ON c.workspace = t.workspace AND c.name = t.cohort,
                   json_each(t.record, '$.competitors') p",
                "t.as_of",
                "t.cohort, p.key",
            ),
            ExportView::Alerts => ("alerts t", "t.day", "t.day, t.marketplace, t.asin, t.rule, t.object"),
        };
        let marketplace = if self == ExportView::Comparisons { "c.marketplace" } else { "t.marketplace" };
        Shape { from, marketplace, day, order }
    }
}

impl Store {
    /// The columns of a view, in order.
    pub async fn export_columns(&self, view: ExportView) -> Result<Vec<(String, FieldKind)>> {
        if let Some(columns) = view.declared() {
            return Ok(columns.into_iter().map(|(name, kind, _)| (name.to_owned(), kind)).collect());
        }
        let table = if view == ExportView::Deltas { "deltas" } else { "rollups" };
        let kind = |sql: &str| match sql {
            "INTEGER" | "bigint" => Int,
            "REAL" | "double precision" => Real,
            _ => Text,
        };
        let columns = self.columns_of(table).await?;
        Ok(columns.into_iter().map(|(name, of)| (name, kind(&of))).collect())
    }

    /// Hands every row of a view, of what is owned the workspace's, to `take`, in key order, until it answers false; answers how many were taken.
    ///
    /// Observations are the current readings.
    pub async fn export_rows(
        &self,
        workspace: &Workspace,
        view: ExportView,
        filter: ExportFilter,
        take: &mut (dyn FnMut(Vec<Field>) -> bool + Send),
    ) -> Result<u64> {
        let columns = self.export_columns(view).await?;
        let expressions: Vec<String> = match view.declared() {
            Some(declared) => declared.iter().map(|(_, kind, sql)| typed(*kind, sql)).collect(),
            None => columns.iter().map(|(name, _)| format!("t.{name}")).collect(),
        };
        let shape = view.shape();
        let newest = match view {
            ExportView::Observations => " AND t.is_current = 1",
            _ => "",
        };
        let owned = if view.is_owned() { " AND t.workspace = $4" } else { "" };
        // By itself: a condition that may be none would keep the index by product out of use.
        let place = if view.is_owned() { 5 } else { 4 };
        let product = match filter.product {
            Some(_) => format!(" AND t.marketplace = ${place} AND t.asin = ${}", place + 1),
            None => String::new(),
        };
        let sql = format!(
            "SELECT {} FROM {} WHERE ($1 IS NULL OR {} = $1) AND ($2 IS NULL OR {day} BETWEEN $2 AND $3){newest}{owned}{product}
             ORDER BY {}",
            expressions.join(", "),
            shape.from,
            shape.marketplace,
            shape.order,
            day = shape.day,
        );
        let mut statement = query_of(sql)
            .bind(filter.marketplace.map(Marketplace::code))
            .bind(filter.range.map(|range| range.first.to_string()))
            .bind(filter.range.map(|range| range.last.to_string()));
        if view.is_owned() {
            statement = statement.bind(workspace.as_str());
        }
        if let Some(key) = filter.product {
            statement = statement.bind(key.marketplace.code()).bind(key.asin.to_string());
        }
        let kinds: Vec<FieldKind> = columns.iter().map(|(_, kind)| *kind).collect();
        let mut rows = statement.fetch(self.reader());
        let mut taken = 0;
        while let Some(row) = rows.try_next().await? {
            if !take(fields(&row, &kinds)?) {
                break;
            }
            taken += 1;
        }
        Ok(taken)
    }
}

/// A row's values by the kinds of its columns.
pub(super) fn fields(row: &Row, kinds: &[FieldKind]) -> Result<Vec<Field>> {
    let field = |(index, kind): (usize, &FieldKind)| {
        Ok(match kind {
            Int | Bool | Instant => row.try_get::<Option<i64>, _>(index)?.map_or(Field::Null, Field::Int),
            Real => row.try_get::<Option<f64>, _>(index)?.map_or(Field::Null, Field::Real),
            Text | Json => row.try_get::<Option<String>, _>(index)?.map_or(Field::Null, Field::Text),
        })
    };
    kinds.iter().enumerate().map(field).collect()
}

/// What is computed, and read out of JSON, has not everywhere the type that it is to have.
pub(super) fn typed(kind: FieldKind, expression: &str) -> String {
    match kind {
        Int | Bool if expression.contains('(') => format!("CAST({expression} AS BIGINT)"),
        Real => format!("CAST({expression} AS DOUBLE PRECISION)"),
        _ => expression.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daily_has_exactly_the_columns_of_the_contract() {
        let names: Vec<&str> = DAILY.iter().map(|(name, ..)| *name).collect();
        let contract = "marketplace asin day observed_at currency price_minor list_price_minor buy_box_price_minor \
             shipping_minor landed_price_minor price_basis coupon_minor coupon_pct is_deal is_prime seller_id \
             seller_name fulfilment condition offer_count availability stock_quantity bsr bsr_category \
             bsr_category_id bsr_leaf bsr_leaf_category bsr_leaf_category_id rating_centi ratings_count \
             monthly_sold_min source";
        assert_eq!(names, contract.split_whitespace().collect::<Vec<_>>());
    }

    #[test]
    fn comparisons_have_the_columns_of_compare() {
        let names: Vec<&str> = COMPARISONS.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names, crate::render::compare::COLUMNS);
    }

    #[tokio::test]
    async fn every_view_answers_and_latest_is_the_newest_row_of_each_product() {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::store::testing::fresh_store(folder.path()).await;
        let mut tx = store.begin().await.unwrap();
        for statement in [
            "INSERT INTO products VALUES ('US', 'B000000001', '=SUM(1)', 'Acme', NULL, NULL, NULL, 'active',
                '2026-01-01', '2026-02-01')",
            "INSERT INTO product_metrics_daily (marketplace, asin, day, observed_at, currency, price_minor, is_prime,
                availability, observations, source, sources)
             VALUES ('US', 'B000000001', '2026-01-01', 5000000, 'USD', 100, NULL, 'in_stock', 1, 'file', 'file'),
                    ('US', 'B000000001', '2026-01-30', 6000000, 'USD', 300, 1, 'in_stock', 1, 'file', 'file'),
                    ('US', 'B000000001', '2026-02-01', 7000000, 'USD', NULL, 0, 'in_stock', 1, 'file', 'file')",
        ] {
            tx.run_script(statement.to_owned()).await.unwrap();
        }
        tx.commit().await.unwrap();
        use ExportView::*;
        for (view, rows) in [
            (Products, 1),
            (Observations, 0),
            (Reviews, 0),
            (Daily, 3),
            (Ranks, 0),
            (Latest, 1),
            (Deltas, 0),
            (Rollups, 0),
            (Comparisons, 0),
            (Alerts, 0),
        ] {
            let mut taken = Vec::new();
            let mut take = |row| {
                taken.push(row);
                true
            };
            let filter = ExportFilter { marketplace: Some(Marketplace::Us), ..ExportFilter::default() };
            assert_eq!(
                store.export_rows(&Workspace::default(), view, filter, &mut take).await.unwrap(),
                rows,
                "{view:?}"
            );
            if view == Latest {
                let row: &Vec<Field> = &taken[0];
                assert_eq!((&row[2], &row[5]), (&Field::Text("2026-02-01".into()), &Field::Null));
                let tail =
                    [Field::Text("=SUM(1)".into()), Field::Text("Acme".into()), Field::Real(2.0 / 30.0)];
                assert_eq!(row[32..], tail);
            }
        }
    }
}
