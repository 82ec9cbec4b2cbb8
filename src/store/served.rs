//! Store methods of serve-lite: whose a product is, products page by page, and what tells that a mart was built.

use super::db::{Statement, query};
use super::export::{Field, FieldKind, ViewColumn, fields, typed};
use super::{Result, Store};
use crate::model::{Asin, Day, DayRange, Marketplace, ProductKey, Relation, Tier, Workspace, words};
use FieldKind::{Instant, Int, Json, Text};

/// Which products.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProductFilter {
    pub keys: Option<Vec<ProductKey>>,
    pub marketplace: Option<Marketplace>,
    pub brand: Option<String>,
    /// The category, or one above it.
    pub category: Option<String>,
    pub status: Option<String>,
    pub tag: Option<String>,
    pub relation: Option<Relation>,
    pub tier: Option<Tier>,
    /// Words of the title, in whatever letters.
    pub title: Option<String>,
    /// Seen on this day or later.
    pub seen_since: Option<Day>,
}

/// In which order products come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ProductOrder {
    #[default]
    Key,
    Title,
    Brand,
    FirstDay,
    LastDay,
}

words!(ProductOrder {
    Key = "key",
    Title = "title",
    Brand = "brand",
    FirstDay = "first_day",
    LastDay = "last_day",
});

impl ProductOrder {
    /// What is compared before the key, which decides between equals.
    fn expression(self) -> &'static str {
        match self {
            ProductOrder::Key => "''",
            ProductOrder::Title => "COALESCE(p.title, '')",
            ProductOrder::Brand => "COALESCE(p.brand, '')",
            ProductOrder::FirstDay => "p.first_day",
            ProductOrder::LastDay => "p.last_day",
        }
    }
}

/// The products behind a place in an order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProductPage {
    pub order: ProductOrder,
    pub descending: bool,
    /// The place of the last product of the page before: what it is ordered by, marketplace, ASIN.
    pub after: Option<[String; 3]>,
    pub limit: u32,
}

/// A product as it is now known, how the workspace watches it, and its newest daily row.
pub const SERVED_PRODUCT: &[ViewColumn] = &[
    ("marketplace", Text, "p.marketplace"),
    ("asin", Text, "p.asin"),
    ("title", Text, "p.title"),
    ("brand", Text, "p.brand"),
    ("category", Text, "p.category"),
    ("image_url", Text, "p.image_url"),
    ("parent_asin", Text, "p.parent_asin"),
    ("status", Text, "p.status"),
    ("first_day", Text, "p.first_day"),
    ("last_day", Text, "p.last_day"),
    ("tier", Text, "w.tier"),
    ("relation", Text, "w.relation"),
    ("tags", Text, "w.tags"),
    ("label", Text, "w.label"),
    ("day", Text, "t.day"),
    ("currency", Text, "t.currency"),
    ("price_minor", Int, "t.price_minor"),
    ("list_price_minor", Int, "t.list_price_minor"),
    ("landed_price_minor", Int, "t.landed_price_minor"),
    ("availability", Text, "t.availability"),
    ("bsr", Int, "t.bsr"),
    ("bsr_category", Text, "t.bsr_category"),
    ("bsr_leaf", Int, "t.bsr_leaf"),
    ("bsr_leaf_category", Text, "t.bsr_leaf_category"),
    ("rating_centi", Int, "t.rating_centi"),
    ("ratings_count", Int, "t.ratings_count"),
    ("monthly_sold_min", Int, "t.monthly_sold_min"),
    ("seller_id", Text, "t.seller_id"),
    ("seller_name", Text, "t.seller_name"),
];

/// What a listing said, and from when until when; content of two sources is never compared.
pub const LISTING_VERSION: &[ViewColumn] = &[
    ("marketplace", Text, "marketplace"),
    ("asin", Text, "asin"),
    ("source", Text, "source"),
    ("valid_from", Instant, "valid_from"),
    ("valid_until", Instant, "valid_until"),
    ("title", Text, "title"),
    ("brand", Text, "brand"),
    ("category", Text, "category"),
    ("image_url", Text, "image_url"),
    ("parent_asin", Text, "parent_asin"),
    ("bullets", Json, "bullets"),
    ("images", Json, "images"),
    ("variants", Json, "variants"),
    ("content_hash", Text, "content_hash"),
];

/// What a line beside a product is drawn from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServedDay {
    pub asin: String,
    pub day: Day,
    pub price_minor: Option<i64>,
    pub bsr: Option<i64>,
}

impl Store {
    /// Products of a workspace page by page, as [`SERVED_PRODUCT`], each with its place in the order.
    pub async fn load_served_products(
        &self,
        workspace: &Workspace,
        filter: &ProductFilter,
        page: &ProductPage,
    ) -> Result<Vec<(Vec<Field>, [String; 3])>> {
        let expressions: Vec<String> =
            SERVED_PRODUCT.iter().map(|(_, kind, sql)| typed(*kind, sql)).collect();
        let order = page.order.expression();
        let mut statement = Statement::new(format!("SELECT {}, {order}", expressions.join(", ")));
        statement.push(
            " FROM products p LEFT JOIN product_metrics_daily t ON t.marketplace = p.marketplace AND t.asin = p.asin
                AND t.day = (SELECT MAX(n.day) FROM product_metrics_daily n
                             WHERE n.marketplace = p.marketplace AND n.asin = p.asin)
              LEFT JOIN watch_items w ON w.marketplace = p.marketplace AND w.asin = p.asin AND w.workspace = ",
        );
        statement.push_bind(workspace.as_str());
        statement.push(" WHERE ");
        push_visible(&mut statement, workspace);
        let brands = match &filter.brand {
            Some(brand) => Some(self.spellings_of(brand).await?),
            None => None,
        };
        push_filter(&mut statement, filter, brands.as_deref());
        push_page(&mut statement, page);
        statement.push_bind(i64::from(page.limit));
        let rows = statement.build().fetch_all(self.reader()).await?;
        let kinds: Vec<FieldKind> = SERVED_PRODUCT.iter().map(|(_, kind, _)| *kind).collect();
        rows.iter()
            .map(|row| {
                let place = [row.try_get(kinds.len())?, row.try_get(0)?, row.try_get(1)?];
                Ok((fields(row, &kinds)?, place))
            })
            .collect()
    }

    /// Every marketplace in which the workspace has a product of this ASIN that was seen, sorted.
    pub async fn find_served_products(&self, workspace: &Workspace, asin: Asin) -> Result<Vec<ProductKey>> {
        let mut statement = Statement::new("SELECT p.marketplace FROM products p WHERE p.asin = ");
        statement.push_bind(asin.as_str());
        statement.push(" AND ");
        push_visible(&mut statement, workspace);
        statement.push(" ORDER BY p.marketplace");
        let rows = statement.build().fetch_all(self.reader()).await?;
        rows.iter()
            .map(|row| {
                Ok(ProductKey { marketplace: super::columns::word(row, "products", "marketplace")?, asin })
            })
            .collect()
    }

    /// Prices and main ranks of some products of one marketplace, by ASIN and day.
    pub async fn load_served_days(
        &self,
        marketplace: Marketplace,
        asins: &[&str],
        range: DayRange,
    ) -> Result<Vec<ServedDay>> {
        let rows = query(
            "SELECT asin, day, price_minor, bsr FROM product_metrics_daily
             WHERE marketplace = $1 AND asin IN (SELECT value FROM json_each($2)) AND day >= $3 AND day <= $4
             ORDER BY asin, day",
        )
        .bind(marketplace.code())
        .bind(super::columns::to_json(asins))
        .bind(range.first.to_string())
        .bind(range.last.to_string())
        .fetch_all(self.reader())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(ServedDay {
                    asin: row.try_get("asin")?,
                    day: super::columns::word(row, "product_metrics_daily", "day")?,
                    price_minor: row.try_get("price_minor")?,
                    bsr: row.try_get("bsr")?,
                })
            })
            .collect()
    }

    /// The versions of a product's listing as [`LISTING_VERSION`], oldest first of each source.
    pub async fn load_listing_versions(&self, key: ProductKey) -> Result<Vec<Vec<Field>>> {
        let rows = query(
            "SELECT marketplace, asin, source, valid_from, valid_until, title, brand, category, image_url, parent_asin,
                    bullets, images, variants, content_hash
             FROM listing_versions WHERE marketplace = $1 AND asin = $2 ORDER BY source, valid_from",
        )
        .bind(key.marketplace.code())
        .bind(key.asin.as_str())
        .fetch_all(self.reader())
        .await?;
        let kinds: Vec<FieldKind> = LISTING_VERSION.iter().map(|(_, kind, _)| *kind).collect();
        rows.iter().map(|row| fields(row, &kinds)).collect()
    }

    /// Changes whenever a mart is built, by whatever process: another text than before.
    pub async fn served_generation(&self) -> Result<String> {
        let rows = query(
            "SELECT name, value FROM marks WHERE name IN ('lake_generation', 'mart_built_seq')
             UNION ALL SELECT lake_epoch, 0 FROM database_identity ORDER BY 1",
        )
        .fetch_all(self.reader())
        .await?;
        let mut generation = String::new();
        for row in &rows {
            let (name, value): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            generation.push_str(&format!("{name}={value};"));
        }
        Ok(generation)
    }
}

/// What is behind the page's place, in its order. By the key SQLite reads the table as it lies, and no further than the page.
fn push_page(statement: &mut Statement, page: &ProductPage) {
    let (beyond, direction) = if page.descending { ("<", "DESC") } else { (">", "ASC") };
    let order = page.order.expression();
    let is_by_key = page.order == ProductOrder::Key;
    // Between equals the key decides, always upwards.
    let beyond_key = if is_by_key { beyond } else { ">" };
    if let Some([value, marketplace, asin]) = &page.after {
        statement.push(" AND (");
        if !is_by_key {
            statement.push(format!("{order} {beyond} "));
            statement.push_bind(value);
            statement.push(format!(" OR {order} = "));
            statement.push_bind(value);
            statement.push(" AND ");
        }
        statement.push(format!("(p.marketplace, p.asin) {beyond_key} ("));
        statement.push_bind(marketplace);
        statement.push(", ");
        statement.push_bind(asin);
        statement.push("))");
    }
    statement.push(match is_by_key {
        true => format!(" ORDER BY p.marketplace {direction}, p.asin {direction} LIMIT "),
        false => format!(" ORDER BY {order} {direction}, p.marketplace, p.asin LIMIT "),
    });
}

/// The condition that a product `p` is the workspace's: watched or compared there, or, in `main`, nowhere.
fn push_visible(statement: &mut Statement, workspace: &Workspace) {
    statement.push("(");
    push_owned(statement, "=", workspace);
    if workspace.is_main() {
        statement.push(" OR NOT ");
        push_owned(statement, "<>", workspace);
    }
    statement.push(")");
}

fn push_owned(statement: &mut Statement, compared: &str, workspace: &Workspace) {
    const OWNERS: [(&str, &str); 3] =
        [("watch_items", "asin"), ("cohort_members", "asin"), ("cohorts", "main_asin")];
    statement.push("(");
    for (place, (table, asin)) in OWNERS.iter().enumerate() {
        let or = if place == 0 { "" } else { " OR " };
        statement.push(format!(
            "{or}EXISTS (SELECT 1 FROM {table} o WHERE o.marketplace = p.marketplace AND o.{asin} = p.asin
               AND o.workspace {compared} "
        ));
        statement.push_bind(workspace.as_str());
        statement.push(")");
    }
    statement.push(")");
}

/// `brands` are those that the filter's brand stands for, as products write them.
fn push_filter(statement: &mut Statement, filter: &ProductFilter, brands: Option<&[String]>) {
    let mut equal = |sql: &str, value: Option<&str>| {
        if let Some(value) = value {
            statement.push(format!(" AND {sql} = "));
            statement.push_bind(value);
        }
    };
    equal("p.marketplace", filter.marketplace.map(Marketplace::code));
    equal("p.status", filter.status.as_deref());
    equal("w.relation", filter.relation.map(Relation::as_str));
    equal("w.tier", filter.tier.map(Tier::as_str));
    if let Some(keys) = &filter.keys {
        let names: Vec<String> = keys.iter().map(ToString::to_string).collect();
        // The ASIN by itself finds them by its index.
        let asins: Vec<&str> = keys.iter().map(|key| key.asin.as_str()).collect();
        statement.push(" AND p.asin IN (SELECT value FROM json_each(");
        statement.push_bind(super::columns::to_json(&asins));
        statement.push(")) AND p.marketplace || ':' || p.asin IN (SELECT value FROM json_each(");
        statement.push_bind(super::columns::to_json(&names));
        statement.push("))");
    }
    if let Some(brands) = brands {
        statement.push(" AND p.brand IN (SELECT value FROM json_each(");
        statement.push_bind(super::columns::to_json(brands));
        statement.push("))");
    }
    // LIKE is blind to the case of letters in one engine and not in the other.
    if let Some(category) = &filter.category {
        let inside = format!("{category} > ");
        statement.push(" AND (p.category = ");
        statement.push_bind(category);
        statement.push(format!(" OR SUBSTR(p.category, 1, {}) = ", inside.chars().count()));
        statement.push_bind(inside);
        statement.push(")");
    }
    if let Some(tag) = &filter.tag {
        statement.push(" AND REPLACE(',' || w.tags || ',', ");
        statement.push_bind(format!(",{tag},"));
        statement.push(", '') <> ',' || w.tags || ','");
    }
    // Both engines fold the letters of ASCII alone.
    if let Some(title) = &filter.title {
        statement.push(" AND LOWER(p.title) LIKE ");
        statement.push_bind(format!("%{}%", escaped(&title.to_ascii_lowercase())));
        statement.push(" ESCAPE '\\'");
    }
    if let Some(day) = filter.seen_since {
        statement.push(" AND p.last_day >= ");
        statement.push_bind(day.to_string());
    }
}

/// A text in which LIKE sees no wildcards.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '%' | '_') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
