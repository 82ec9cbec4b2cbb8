//! Products: the list, one of them, and some at once.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::{ProductKey, ProductRef, Relation, Tier};
use crate::serve::Tables;
use crate::serve::answer::{Columns, Data, Output, Table};
use crate::serve::call::Call;
use crate::serve::problem::{Kind, Problem};
use crate::stages::tables::RowObject;
use crate::store::export::Field;
use crate::store::served::{ProductFilter, ProductOrder, ProductPage, SERVED_PRODUCT};

/// Products of one batch.
const MOST: usize = 50;

pub(in crate::serve) fn columns(_: &Tables) -> Columns {
    SERVED_PRODUCT.iter().map(|(name, kind, _)| ((*name).to_owned(), *kind)).collect()
}

/// The words of `sort`.
pub(in crate::serve) fn sorts() -> Vec<&'static str> {
    const TURNED: [&str; 5] = ["-key", "-title", "-brand", "-first_day", "-last_day"];
    ProductOrder::ALL.iter().map(|order| order.as_str()).chain(TURNED).collect()
}

pub(in crate::serve) async fn list(call: Call) -> Result<Output, Problem> {
    let sort = call.text("sort").unwrap_or("key");
    let order = ProductOrder::from_word(sort.trim_start_matches('-'))
        .filter(|_| sorts().contains(&sort))
        .ok_or_else(|| Problem::parameter("sort", format!("has to be one of {}", sorts().join(", "))))?;
    let limit = call.limit()?;
    let filter = ProductFilter {
        keys: None,
        marketplace: call.marketplace()?,
        brand: call.text("brand").map(str::to_owned),
        category: call.text("category").map(str::to_owned),
        status: call
            .word("status", |word| ["active", "gone"].into_iter().find(|one| *one == word))?
            .map(str::to_owned),
        tag: call.text("tag").map(str::to_owned),
        relation: call.word("relation", Relation::from_word)?,
        tier: call.word("tier", Tier::from_word)?,
        title: call.text("title").map(str::to_owned),
        seen_since: call.day("seen_since")?,
    };
    // One more than is shown tells whether there is a next page.
    let page =
        ProductPage { order, descending: sort.starts_with('-'), after: call.place()?, limit: limit + 1 };
    let mut rows = call.app.store.load_served_products(&call.caller.workspace, &filter, &page).await?;
    let has_more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| has_more).map(|(_, place)| call.cursor(place));
    let fields = rows.into_iter().map(|(fields, _)| fields).collect();
    Ok(Output::from(Table::of_fields(columns(&call.app.tables), fields)).next(next))
}

pub(in crate::serve) async fn one(call: Call) -> Result<Output, Problem> {
    let key = call.product().await?;
    let rows = load(&call, vec![key]).await?;
    let rows = rows.into_values().collect();
    Ok(Data::Record(Table::of_fields(columns(&call.app.tables), rows)).into())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    products: Vec<String>,
}

pub(in crate::serve) fn batch_schema() -> Value {
    json!({
        "type": "object",
        "required": ["products"],
        "additionalProperties": false,
        "properties": {
            "products": {
                "description": "As US:B000000001, or an ASIN that is in one marketplace only",
                "type": "array", "minItems": 1, "maxItems": MOST, "items": { "type": "string" },
            },
        },
    })
}

pub(in crate::serve) fn batch_answer() -> Value {
    json!({
        "type": "array",
        "items": {
            "type": "object",
            "required": ["product", "found"],
            "properties": {
                "product": { "type": "string", "description": "As it was asked for" },
                "found": { "type": "boolean" },
                "data": { "$ref": "#/components/schemas/get_product" },
                "code": { "type": "string" },
                "detail": { "type": "string" },
            },
        },
    })
}

/// Each product by itself: one that there is not does not keep the others back.
pub(in crate::serve) async fn batch(call: Call) -> Result<Output, Problem> {
    let Batch { products } = call.json()?;
    if products.is_empty() || products.len() > MOST {
        return Err(Problem::new(Kind::InvalidBody, format!("`products` names 1 to {MOST}")));
    }
    let mut known: HashMap<ProductRef, Vec<ProductKey>> = HashMap::new();
    for product in products.iter().filter_map(|name| name.parse::<ProductRef>().ok()) {
        if let Entry::Vacant(place) = known.entry(product) {
            let found = call.app.store.find_served_products(&call.caller.workspace, product.asin).await?;
            let of = |key: &ProductKey| product.marketplace.is_none_or(|of| of == key.marketplace);
            place.insert(found.into_iter().filter(of).collect());
        }
    }
    let keys = known.values().flatten().copied().collect();
    let rows = load(&call, keys).await?;
    let columns = columns(&call.app.tables);
    let mut items = Vec::with_capacity(products.len());
    for name in &products {
        let found = name.parse::<ProductRef>().ok().and_then(|product| known.get(&product));
        let item = match found.map(Vec::as_slice) {
            Some([key]) if rows.contains_key(&key.to_string()) => {
                let table = Table::of_fields(columns.clone(), vec![rows[&key.to_string()].clone()]);
                let row = RowObject { columns: &columns, cells: &table.rows[0] };
                json!({ "product": name, "found": true, "data": row })
            }
            Some([_, _, ..]) => {
                refused(name, Kind::Ambiguous, "it is in several marketplaces: name one, as UK:B0…")
            }
            Some(_) => refused(name, Kind::NotFound, "there is no such product"),
            None => refused(name, Kind::InvalidParameter, "it is no ASIN, nor a marketplace and an ASIN"),
        };
        items.push(item);
    }
    Ok(Data::Document(items.into()).into())
}

fn refused(name: &str, kind: Kind, detail: &str) -> Value {
    json!({ "product": name, "found": false, "code": kind.code(), "detail": detail })
}

/// The rows of products that are the caller's, by their names.
async fn load(call: &Call, keys: Vec<ProductKey>) -> Result<BTreeMap<String, Vec<Field>>, Problem> {
    let limit = u32::try_from(keys.len()).unwrap_or(u32::MAX);
    let filter = ProductFilter { keys: Some(keys), ..ProductFilter::default() };
    let page = ProductPage { limit, ..ProductPage::default() };
    let rows = call.app.store.load_served_products(&call.caller.workspace, &filter, &page).await?;
    Ok(rows
        .into_iter()
        .map(|(fields, [_, marketplace, asin])| (format!("{marketplace}:{asin}"), fields))
        .collect())
}
