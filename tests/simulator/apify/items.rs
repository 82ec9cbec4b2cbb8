//! Dataset items in the shape of the two families of actors.

use serde_json::{Value, json};

use super::super::catalogue::{Fact, Stock};
use super::super::marketplaces::grouped;
use super::Shape;

/// One item for one address.
pub(crate) fn row(shape: Shape, url: &str, fact: Option<&Fact>) -> Value {
    match (shape, fact) {
        (Shape::Axesso, Some(fact)) => axesso(url, fact),
        (Shape::Axesso, None) => json!({"statusCode": 404, "statusMessage": "NOT_FOUND", "url": url}),
        (Shape::Junglee, Some(fact)) => junglee(url, fact),
        (Shape::Junglee, None) => json!({"url": url, "error": "Product not found", "statusCode": 404}),
    }
}

fn axesso(url: &str, fact: &Fact) -> Value {
    let money = |minor: Option<i64>| minor.map_or_else(|| json!(0.0), |minor| fact.marketplace.number(minor));
    let (root, leaf) = (fact.root(), fact.leaf());
    let rank = format!(
        "#{} in {} (See Top 100 in {}) #{} in {}",
        grouped(fact.rank, ","),
        root.0,
        root.0,
        grouped(fact.leaf_rank, ","),
        leaf.0
    );
    let saving = match (fact.price, fact.list_price) {
        (Some(price), Some(list)) => Some(format!("-{}%", (list - price) * 100 / list)),
        _ => None,
    };
    let categories: Vec<Value> = fact
        .categories
        .iter()
        .map(|(name, node)| {
            json!({"name": name, "url": format!("/b/ref=dp_bc?ie=UTF8&node={node}"), "node": node.to_string()})
        })
        .collect();
    let images: Vec<String> = (0..fact.images.len()).map(|index| fact.image_url(index, "SL1500")).collect();
    json!({
        "statusCode": 200,
        "statusMessage": "FOUND",
        "url": url,
        "title": fact.title,
        "manufacturer": format!("Visit the {} Store", fact.brand),
        "countReview": fact.ratings,
        "productRating": fact.rating.map(|tenths| format!("{}.{} out of 5 stars", tenths / 10, tenths % 10)),
        "asin": fact.asin,
        "soldBy": fact.seller.as_ref().map(|seller| &seller.name),
        "fulfilledBy": fact.seller.as_ref().map(|seller| if seller.fba { "Amazon" } else { &seller.name }),
        // Amazon's own offers come without an id.
        "sellerId": fact.seller.as_ref().filter(|seller| !seller.amazon).map(|seller| &seller.id),
        "warehouseAvailability": fact.stock_text(),
        "retailPrice": money(fact.list_price),
        "price": money(fact.price),
        "priceRange": null,
        "shippingPrice": 0,
        "priceShippingInformation": null,
        "priceSaving": saving,
        "features": fact.bullets,
        "imageUrlList": images,
        "videoeUrlList": [],
        "productDescription": null,
        "productDetails": [
            {"name": "Package Dimensions", "value": "3.58 x 3.19 x 1.34 inches"},
            {"name": "ASIN", "value": fact.asin},
            {"name": "Best Sellers Rank", "value": rank},
        ],
        "minimalQuantity": "1",
        "reviews": [],
        "productSpecification": [],
        "mainImage": {"imageUrl": fact.image_url(0, "SX679"), "imageResolution": "679 x 679"},
        "variations": [],
        "bookVariations": [],
        "categoriesExtended": categories,
        "deliveryMessage": null,
        "importantInformation": [],
        "buyBoxUsed": null,
        "aboutProduct": [{"name": "Brand", "value": fact.brand}],
        "globalReviews": [],
        "deal": false,
        "prime": fact.seller.as_ref().is_some_and(|seller| seller.fba),
        "used": false,
        "pastSales": bought(fact),
        "reviewInsights": null,
    })
}

fn junglee(url: &str, fact: &Fact) -> Value {
    let market = fact.marketplace;
    let money = |minor: Option<i64>| {
        minor.map(|minor| json!({"value": market.number(minor), "currency": market.symbol}))
    };
    let names: Vec<&str> = fact.categories.iter().map(|(name, _)| *name).collect();
    let ranks = [(fact.rank, fact.root()), (fact.leaf_rank, fact.leaf())];
    let ranks: Vec<Value> = ranks
        .iter()
        .map(|(rank, (name, node))| {
            json!({"rank": rank, "category": name, "url": format!("https://www.{}/gp/bestsellers/{node}", market.domain)})
        })
        .collect();
    let seller = fact.seller.as_ref().map(|seller| {
        json!({
            "name": seller.name, "id": seller.id,
            "url": format!("/gp/help/seller/at-a-glance.html?seller={}&asin={}", seller.id, fact.asin),
        })
    });
    json!({
        "title": fact.title,
        "url": url,
        "asin": fact.asin,
        "originalAsin": fact.asin,
        "unNormalizedProductUrl": url,
        "inStock": fact.stock != Stock::Unavailable,
        "inStockText": fact.stock_text(),
        "brand": fact.brand,
        "price": money(fact.price),
        "listPrice": money(fact.list_price),
        "shippingPrice": null,
        "stars": fact.rating.map(|tenths| if tenths % 10 == 0 { json!(tenths / 10) } else { json!(tenths as f64 / 10.0) }),
        "reviewsCount": fact.rating.map(|_| fact.ratings),
        "breadCrumbs": names.join(" › "),
        "thumbnailImage": fact.image_url(0, "SX300"),
        "galleryThumbnails": [fact.image_url(0, "US")],
        "highResolutionImages": [fact.image_url(0, "SL1500")],
        "description": null,
        "features": fact.bullets,
        "seller": seller,
        "bestsellerRanks": ranks,
        "attributes": [{"key": "Brand", "value": fact.brand}],
        "productOverview": [{"key": "Brand", "value": fact.brand}],
        "monthlyPurchaseVolume": bought(fact),
        "locationText": "Delivering to New York 10001",
        "loadedCountryCode": market.code,
    })
}

/// `4K+ bought in past month`
fn bought(fact: &Fact) -> Option<String> {
    match fact.monthly_sold {
        0 => None,
        sold if sold >= 1_000 => Some(format!("{}K+ bought in past month", sold / 1_000)),
        sold => Some(format!("{sold}+ bought in past month")),
    }
}
