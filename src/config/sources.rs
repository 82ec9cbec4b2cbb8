//! The sections of the providers: how each is reached, and what may be spent on it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Rate, SpendingLimit, SpendingLimits, micros_of_dollars};

/// Which providers are asked for the products of the watchlist.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SourcesSettings {
    /// Providers of products that have no chain of their own, in the order they are tried.
    pub chain: Vec<String>,
}

/// A provider's section: its own keys, and those that every provider has.
macro_rules! source_settings {
    (
        $(#[$meta:meta])*
        $name:ident {
            requests_per_second: $rate:expr,
            burst: $burst:expr,
            concurrency: $concurrency:expr,
            timeout_s: $timeout:expr,
            $($(#[$field_meta:meta])* $field:ident: $type:ty = $default:expr,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
            /// Requests a second, at most; the server's own hints go before it. 0: the limits that Amazon documents of each
            /// operation for sp_api, one a second for others.
            pub requests_per_second: f64,
            /// Requests that may go at once after a pause.
            pub burst: u32,
            /// Requests on their way at the same time.
            pub concurrency: u32,
            /// Seconds to wait for an answer.
            pub timeout_s: u32,
            /// Provider units that one run may spend; without it there is no limit.
            pub max_units_run: Option<u32>,
            /// The same for a day of the reporting zone.
            pub max_units_day: Option<u32>,
            /// The same for a calendar month.
            pub max_units_month: Option<u32>,
            /// Dollars that one run may spend; counted where prices are known.
            pub max_usd_run: Option<f64>,
            /// The same for a day of the reporting zone.
            pub max_usd_day: Option<f64>,
            /// The same for a calendar month.
            pub max_usd_month: Option<f64>,
        }

        impl Default for $name {
            fn default() -> Self {
                $name {
                    $($field: $default,)*
                    requests_per_second: $rate,
                    burst: $burst,
                    concurrency: $concurrency,
                    timeout_s: $timeout,
                    max_units_run: None,
                    max_units_day: None,
                    max_units_month: None,
                    max_usd_run: None,
                    max_usd_day: None,
                    max_usd_month: None,
                }
            }
        }

        impl $name {
            pub fn limits(&self) -> SpendingLimits {
                let limit = |units: Option<u32>, dollars: Option<f64>| SpendingLimit {
                    units: units.map(i64::from),
                    micros: dollars.and_then(micros_of_dollars),
                };
                SpendingLimits {
                    run: limit(self.max_units_run, self.max_usd_run),
                    day: limit(self.max_units_day, self.max_usd_day),
                    month: limit(self.max_units_month, self.max_usd_month),
                }
            }

            /// Null: as the provider documents it.
            pub fn rate(&self) -> Option<Rate> {
                let per_second = self.requests_per_second;
                (per_second > 0.0).then_some(Rate { per_second, burst: self.burst })
            }

            pub fn timeout(&self) -> std::time::Duration {
                std::time::Duration::from_secs(self.timeout_s.into())
            }

            /// (key, is valid, what is expected of it) of the keys that every provider has.
            pub(super) fn ranges(&self) -> [(&'static str, bool, &'static str); 5] {
                let is_rate = |rate: f64| rate.is_finite() && (0.0..=10_000.0).contains(&rate);
                let dollars = [self.max_usd_run, self.max_usd_day, self.max_usd_month];
                let is_money = |dollars: f64| micros_of_dollars(dollars).is_some();
                [
                    ("requests_per_second", is_rate(self.requests_per_second), "must be 0 to 10000"),
                    ("burst", (1..=10_000).contains(&self.burst), "must be 1 to 10000"),
                    ("concurrency", (1..=1_000).contains(&self.concurrency), "must be 1 to 1000"),
                    ("timeout_s", (1..=3_600).contains(&self.timeout_s), "must be 1 to 3600"),
                    (
                        "max_usd_run",
                        dollars.into_iter().flatten().all(is_money),
                        "and its like must be amounts of dollars",
                    ),
                ]
            }
        }
    };
}

source_settings! {
    /// Apify: actors that fetch product pages, paid by result.
    ApifySettings {
        requests_per_second: 5.0, burst: 5, concurrency: 2, timeout_s: 90,
        /// Environment variable that holds the token.
        token_env: String = "APIFY_TOKEN".into(),
        /// File that holds it instead.
        token_file: Option<PathBuf> = None,
        /// Command that prints it instead.
        token_command: String = String::new(),
        /// Address of the service.
        base_url: String = "https://api.apify.com".into(),
        /// Actor to run: `user~name`, or its id.
        actor: String = "axesso_data~amazon-product-details-scraper".into(),
        /// Input of another actor than the known ones: JSON with "{{urls}}" or "{{url_objects}}" where the pages go.
        input: String = String::new(),
        /// Products of one run of the actor.
        batch: u32 = 100,
        /// Seconds that one call waits for the end of a run, 0 to 60.
        wait_s: u32 = 60,
        /// Dollars of one result, for estimates and budgets; the finished run says the real cost. 0: not known.
        usd_per_result: f64 = 0.0,
    }
}

source_settings! {
    /// Keepa: up to 100 products a call, paid in tokens.
    KeepaSettings {
        requests_per_second: 2.0, burst: 2, concurrency: 2, timeout_s: 120,
        /// Environment variable that holds the key.
        key_env: String = "KEEPA_API_KEY".into(),
        /// File that holds it instead.
        key_file: Option<PathBuf> = None,
        /// Command that prints it instead.
        key_command: String = String::new(),
        /// Address of the service.
        base_url: String = "https://api.keepa.com".into(),
        /// Ask for the buy box too: two tokens more a product.
        buy_box: bool = true,
        /// Offers to ask for, 20 to 100: six tokens more for every ten. 0: none.
        offers: u32 = 0,
        /// Dollars of one token. 0: not known, as with a subscription.
        usd_per_token: f64 = 0.0,
    }
}

source_settings! {
    /// Amazon's Selling Partner API: free, strictly rate-limited, one refresh token for each region.
    SpApiSettings {
        requests_per_second: 0.0, burst: 1, concurrency: 2, timeout_s: 60,
        /// Environment variable that holds the application's client id.
        client_id_env: String = "SP_API_CLIENT_ID".into(),
        /// Environment variable that holds the application's client secret.
        client_secret_env: String = "SP_API_CLIENT_SECRET".into(),
        /// Environment variable with the refresh token for US, CA, MX and BR.
        refresh_token_na_env: String = "SP_API_REFRESH_TOKEN_NA".into(),
        /// Environment variable with the refresh token for Europe, the Middle East, India and South Africa.
        refresh_token_eu_env: String = "SP_API_REFRESH_TOKEN_EU".into(),
        /// Environment variable with the refresh token for JP, AU and SG.
        refresh_token_fe_env: String = "SP_API_REFRESH_TOKEN_FE".into(),
        /// File with the client id, the client secret and the refresh tokens of NA, EU and FE, a line each; an empty line
        /// for a region without one.
        secrets_file: Option<PathBuf> = None,
        /// Address instead of the regions' own.
        base_url: Option<String> = None,
        /// Address that gives out access tokens.
        token_url: String = "https://api.amazon.com".into(),
        /// What is asked: catalog, offers, competitive_summary, inventory.
        operations: Vec<String> = vec!["catalog".into(), "offers".into()],
    }
}

source_settings! {
    /// Firecrawl: product pages as HTML, a credit each.
    FirecrawlSettings {
        requests_per_second: 1.5, burst: 5, concurrency: 4, timeout_s: 90,
        /// Environment variable that holds the key.
        key_env: String = "FIRECRAWL_API_KEY".into(),
        /// File that holds it instead.
        key_file: Option<PathBuf> = None,
        /// Command that prints it instead.
        key_command: String = String::new(),
        /// Address of the service, without its version.
        base_url: String = "https://api.firecrawl.dev".into(),
        /// Version of the service: v1 or v2.
        version: String = "v2".into(),
        /// Pages of one batch job; 1 asks page by page.
        batch: u32 = 1,
        /// Proxy to use: basic, stealth (four credits more) or auto; empty leaves it to the service.
        proxy: String = "basic".into(),
        /// Dollars of one credit. 0: not known.
        usd_per_credit: f64 = 0.0,
    }
}

source_settings! {
    /// Rainforest: one product a call, a credit each.
    RainforestSettings {
        requests_per_second: 5.0, burst: 5, concurrency: 8, timeout_s: 90,
        /// Environment variable that holds the key.
        key_env: String = "RAINFOREST_API_KEY".into(),
        /// File that holds it instead.
        key_file: Option<PathBuf> = None,
        /// Command that prints it instead.
        key_command: String = String::new(),
        /// Address of the service.
        base_url: String = "https://api.rainforestapi.com".into(),
        /// Dollars of one credit. 0: not known.
        usd_per_credit: f64 = 0.0,
    }
}

source_settings! {
    /// Saved product pages; on request, and slowly, the shop's own.
    HtmlSettings {
        requests_per_second: 0.2, burst: 1, concurrency: 1, timeout_s: 60,
        /// Folder with saved pages: files whose name holds the ASIN, here or in a folder named like the marketplace.
        folder: PathBuf = "pages".into(),
        /// Ask the shop itself for pages that are not there. Off unless you may.
        fetch: bool = false,
        /// Address instead of the shops' own.
        base_url: Option<String> = None,
    }
}
