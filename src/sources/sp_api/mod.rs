//! Amazon's Selling Partner API: catalogue, offers, competitive summary and one's own FBA stock; free of charge, strictly
//! rate-limited, one host and one refresh token per region. Inner statuses of a batch are judged one by one.

mod answers;
mod token;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::http::{Http, Reply};
use super::secret::Secret;
use super::{Answer, Conduct, Fault, Operation, Probe, Request, Source};
use crate::clock::Clock;
use crate::model::{Asin, Cost, FaultKind, Marketplace, Rate, SP_API_OPERATIONS};
use answers::{Element, Taken};
use token::{Credentials, Token};

pub const NAME: &str = "sp-api";

const CATALOG: &str = SP_API_OPERATIONS[0];
const OFFERS: &str = SP_API_OPERATIONS[1];
const SUMMARY: &str = SP_API_OPERATIONS[2];
const INVENTORY: &str = SP_API_OPERATIONS[3];

const CATALOG_PATH: &str = "/catalog/2022-04-01/items";
const CATALOG_DATA: &str =
    "attributes,classifications,identifiers,images,productTypes,relationships,salesRanks,summaries";
const OFFERS_PATH: &str = "/batches/products/pricing/v0/itemOffers";
const SUMMARY_PATH: &str = "/batches/products/pricing/2022-05-01/items/competitiveSummary";
const INVENTORY_PATH: &str = "/fba/inventory/v1/summaries";
/// ASINs of one call.
const BATCH: usize = 20;
/// How often a page of a list may be refused for its rate.
const PAGE_REFUSALS: u32 = 20;
/// Of one look at the whole stock of a marketplace.
const INVENTORY_BATCH: usize = 100_000;

/// A group of marketplaces behind one host.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Region {
    NorthAmerica,
    Europe,
    FarEast,
}

impl Region {
    pub const ALL: [Region; 3] = [Region::NorthAmerica, Region::Europe, Region::FarEast];

    pub fn of(marketplace: Marketplace) -> Region {
        use Marketplace::{Au, Br, Ca, Jp, Mx, Sg, Us};
        match marketplace {
            Us | Ca | Mx | Br => Region::NorthAmerica,
            Jp | Au | Sg => Region::FarEast,
            _ => Region::Europe,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Region::NorthAmerica => "North America",
            Region::Europe => "Europe",
            Region::FarEast => "the Far East",
        }
    }

    /// One of its marketplaces.
    fn example(self) -> Marketplace {
        match self {
            Region::NorthAmerica => Marketplace::Us,
            Region::Europe => Marketplace::De,
            Region::FarEast => Marketplace::Jp,
        }
    }

    fn host(self) -> &'static str {
        match self {
            Region::NorthAmerica => "https://sellingpartnerapi-na.amazon.com",
            Region::Europe => "https://sellingpartnerapi-eu.amazon.com",
            Region::FarEast => "https://sellingpartnerapi-fe.amazon.com",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Options {
    /// Instead of the regions' own hosts; null: those.
    pub base_url: Option<String>,
    /// Where tokens are given out, without its path.
    pub token_url: String,
    pub timeout: Duration,
    /// What is asked, of [`SP_API_OPERATIONS`].
    pub operations: Vec<String>,
    /// A rate for every operation instead of Amazon's documented ones.
    pub rate: Option<Rate>,
}

/// The refresh tokens of the regions that one may ask in.
#[derive(Clone, Debug)]
pub struct Keys {
    pub client_id: Secret,
    pub client_secret: Secret,
    pub refresh_tokens: Vec<(Region, Secret)>,
}

#[derive(Debug)]
pub struct SpApi {
    regions: Vec<Access>,
    operations: Vec<Operation>,
}

/// One region's host and token.
#[derive(Debug)]
struct Access {
    region: Region,
    http: Http,
    token: Token,
}

impl SpApi {
    pub fn new(options: Options, keys: &Keys, clock: Clock) -> anyhow::Result<SpApi> {
        let mut regions = Vec::new();
        for (region, refresh_token) in &keys.refresh_tokens {
            let secrets = vec![keys.client_id.clone(), keys.client_secret.clone(), refresh_token.clone()];
            let base = options.base_url.as_deref().unwrap_or(region.host());
            let http = Http::new(base, options.timeout, secrets.clone(), clock)?;
            let token_http = Http::new(&options.token_url, options.timeout, secrets, clock)?;
            let credentials = Credentials {
                client_id: keys.client_id.clone(),
                client_secret: keys.client_secret.clone(),
                refresh_token: refresh_token.clone(),
            };
            regions.push(Access { region: *region, http, token: Token::new(token_http, credentials) });
        }
        let operations = options.operations.iter().map(|name| operation(name, options.rate));
        let operations = operations.collect::<Option<Vec<_>>>();
        let operations = operations.ok_or_else(|| {
            anyhow::anyhow!("`operations` under [sp_api] are of {}", SP_API_OPERATIONS.join(", "))
        })?;
        anyhow::ensure!(!operations.is_empty(), "`operations` under [sp_api] is empty");
        Ok(SpApi { regions, operations })
    }

    fn access(&self, marketplace: Marketplace) -> Option<&Access> {
        self.regions.iter().find(|access| access.region == Region::of(marketplace))
    }
}

/// An operation with Amazon's documented limits.
fn operation(name: &str, rate: Option<Rate>) -> Option<Operation> {
    let (name, batch, per_second, burst) = match name {
        CATALOG => (CATALOG, BATCH, 2.0, 2),
        OFFERS => (OFFERS, BATCH, 0.1, 1),
        SUMMARY => (SUMMARY, BATCH, 0.033, 1),
        INVENTORY => (INVENTORY, INVENTORY_BATCH, 2.0, 2),
        _ => return None,
    };
    let is_rate_own = rate.is_some();
    let rate = rate.unwrap_or(Rate { per_second, burst });
    Some(Operation { name, batch, rate, is_paid: false, is_rate_own })
}

impl Access {
    /// Sends with a token; one that was refused is renewed once.
    async fn send(&self, build: impl Fn() -> reqwest::RequestBuilder + Send + Sync) -> Result<Reply, Fault> {
        let mut refused: Option<Secret> = None;
        loop {
            let token = self.token.get(refused.as_ref()).await?;
            let request = build()
                .header("x-amz-access-token", token.reveal())
                .header("x-amz-date", self.http.now().format("%Y%m%dT%H%M%SZ").to_string());
            let reply = self.http.send(request).await?;
            if reply.is_success() {
                return Ok(reply);
            }
            if matches!(reply.status.as_u16(), 401 | 403) && refused.is_none() {
                refused = Some(token);
                continue;
            }
            let http = self.http.hiding(&token);
            let mut fault = http.refusal(&reply);
            if let Some(text) = answers::error_text(&reply.body) {
                fault.detail = format!("status {}, {}", reply.status.as_u16(), http.quoted(&text));
            }
            return Err(fault);
        }
    }

    /// A page of a list: each further one takes its turn, and one that came too early is asked for again, not the whole
    /// list.
    async fn send_page(
        &self,
        build: impl Fn() -> reqwest::RequestBuilder + Send + Sync,
        is_further: bool,
        conduct: &dyn Conduct,
    ) -> Result<Reply, Fault> {
        let mut refusals = 0;
        loop {
            if is_further || refusals > 0 {
                conduct.next_turn().await;
            }
            match self.send(&build).await {
                Err(fault)
                    if is_further && fault.kind == FaultKind::RateLimited && refusals < PAGE_REFUSALS =>
                {
                    refusals += 1;
                }
                other => return other,
            }
        }
    }

    async fn catalog(
        &self,
        marketplace: Marketplace,
        asins: &[Asin],
        conduct: &dyn Conduct,
    ) -> Result<Answer, Fault> {
        let identifiers = joined(asins);
        let size = asins.len().clamp(1, BATCH).to_string();
        let mut taken = Taken::new(marketplace, "catalog");
        let mut page: Option<String> = None;
        loop {
            let mut query = vec![
                ("identifiers", identifiers.as_str()),
                ("identifiersType", "ASIN"),
                ("marketplaceIds", marketplace.amazon_id()),
                ("includedData", CATALOG_DATA),
                ("pageSize", size.as_str()),
            ];
            query.extend(page.as_deref().map(|token| ("pageToken", token)));
            let request = || self.http.get(CATALOG_PATH).query(&query);
            let reply = self.send_page(request, page.is_some(), conduct).await?;
            taken.note_rate(&reply);
            page = taken.catalog_page(&self.http, &reply, asins)?;
            if page.is_none() {
                return Ok(taken.whole(asins, self.http.now()));
            }
        }
    }

    async fn offers(&self, marketplace: Marketplace, asins: &[Asin]) -> Result<Answer, Fault> {
        let requests: Vec<Value> = asins
            .iter()
            .map(|asin| {
                json!({
                    "uri": format!("/products/pricing/v0/items/{asin}/offers"),
                    "method": "GET",
                    "MarketplaceId": marketplace.amazon_id(),
                    "ItemCondition": "New",
                })
            })
            .collect();
        let body = json!({ "requests": requests });
        self.batch(marketplace, asins, OFFERS_PATH, &body, "offers").await
    }

    async fn summary(&self, marketplace: Marketplace, asins: &[Asin]) -> Result<Answer, Fault> {
        let requests: Vec<Value> = asins
            .iter()
            .map(|asin| {
                json!({
                    "asin": asin.as_str(),
                    "marketplaceId": marketplace.amazon_id(),
                    "includedData": ["featuredBuyingOptions", "referencePrices", "lowestPricedOffers"],
                    "lowestPricedOffersInputs": [{ "itemCondition": "New", "offerType": "Consumer" }],
                    "method": "GET",
                    "uri": "/products/pricing/2022-05-01/items/competitiveSummary",
                })
            })
            .collect();
        let body = json!({ "requests": requests });
        self.batch(marketplace, asins, SUMMARY_PATH, &body, "competitive_summary").await
    }

    async fn batch(
        &self,
        marketplace: Marketplace,
        asins: &[Asin],
        path: &str,
        body: &Value,
        kind: &'static str,
    ) -> Result<Answer, Fault> {
        let reply = self.send(|| self.http.post(path).json(body)).await?;
        let mut taken = Taken::new(marketplace, kind);
        taken.note_rate(&reply);
        for element in Element::read_all(&self.http, &reply)? {
            taken.element(&self.http, element, asins);
        }
        Ok(taken.answered(asins, FaultKind::Missing, "the batch's answer has no element for it"))
    }

    /// The whole stock of a marketplace, page by page; a page's token lives for half a minute.
    async fn inventory(
        &self,
        marketplace: Marketplace,
        asins: &[Asin],
        conduct: &dyn Conduct,
    ) -> Result<Answer, Fault> {
        let mut taken = Taken::new(marketplace, "inventory");
        let mut next: Option<String> = None;
        loop {
            let mut query = vec![
                ("details", "true"),
                ("granularityType", "Marketplace"),
                ("granularityId", marketplace.amazon_id()),
                ("marketplaceIds", marketplace.amazon_id()),
            ];
            query.extend(next.as_deref().map(|token| ("nextToken", token)));
            let request = || self.http.get(INVENTORY_PATH).query(&query);
            let reply = self.send_page(request, next.is_some(), conduct).await?;
            taken.note_rate(&reply);
            next = taken.inventory_page(&self.http, &reply, asins)?;
            if next.is_none() {
                return Ok(taken.with_silent(asins));
            }
        }
    }
}

fn joined(asins: &[Asin]) -> String {
    asins.iter().map(Asin::as_str).collect::<Vec<_>>().join(",")
}

#[async_trait]
impl Source for SpApi {
    fn name(&self) -> &'static str {
        NAME
    }

    fn operations(&self) -> &[Operation] {
        &self.operations
    }

    fn serves(&self, marketplace: Marketplace) -> bool {
        self.access(marketplace).is_some()
    }

    fn unit(&self) -> &'static str {
        "requests"
    }

    fn estimate(&self, _operation: &str, _products: usize, _has_history: bool) -> Cost {
        Cost { units: 1, micros: Some(0) }
    }

    async fn fetch(&self, request: &Request, conduct: &dyn Conduct) -> Result<Answer, Fault> {
        let marketplace = request.marketplace;
        let Some(access) = self.access(marketplace) else {
            let said = format!("no refresh token for the region of {marketplace}");
            return Err(Fault::new(FaultKind::NotServed, said));
        };
        let asins = &request.asins;
        let mut answer = match request.operation {
            OFFERS => access.offers(marketplace, asins).await?,
            SUMMARY => access.summary(marketplace, asins).await?,
            INVENTORY => access.inventory(marketplace, asins, conduct).await?,
            _ => access.catalog(marketplace, asins, conduct).await?,
        };
        answer.cost = Cost { units: answer.cost.units.max(1), micros: Some(0) };
        Ok(answer)
    }

    async fn probe(&self) -> Result<Probe, Fault> {
        for access in &self.regions {
            access.token.get(None).await?;
        }
        let asks_catalog = self.operations.iter().any(|operation| operation.name == CATALOG);
        let mut skew = None;
        for access in &self.regions {
            // A question that is allowed shows that the token is good for more than signing in.
            let reply = if asks_catalog {
                let query = [
                    ("identifiers", "B000000000"),
                    ("identifiersType", "ASIN"),
                    ("marketplaceIds", access.region.example().amazon_id()),
                ];
                access.send(|| access.http.get(CATALOG_PATH).query(&query)).await?
            } else {
                access.http.send(access.http.get("/")).await?
            };
            skew = skew.or(reply.date().map(|date| date - access.http.now()));
        }
        let regions = self.regions.iter().map(|access| access.region.name()).collect::<Vec<_>>();
        let checked = format!("reachable, signed in for {}", regions.join(", "));
        Ok(Probe { checked, balance: None, skew })
    }
}
