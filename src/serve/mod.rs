//! serve-lite: the mart for programs and people, by HTTP. Reads the store and the lake; of what is there it changes the states of
//! alerts only.
//!
//! ```text
//! accept ─▶ pipeline: who asks (auth), how much (limit), what (call) ─▶ v1: one function per route ─▶ answer
//!                                                  └─ cache: what is the same for everybody ─┘
//! ```
//!
//! | file | what it is |
//! | --- | --- |
//! | `routes` | the table of everything that can be asked: router, documentation and the tests of access come from it |
//! | `accept` | connections, their limits and their end |
//! | `pipeline`, `headers` | what every request goes through; what it brings with it, and what every answer has |
//! | `auth`, `keymaking`, `known`, `limit` | keys and permissions; how one is made; those found lately; how much a key may ask, and who guesses |
//! | `call`, `cursor` | a request's parameters; where a page ended |
//! | `answer`, `encode` | forms of an answer, the envelope, tags; content codings |
//! | `cache` | answers that are kept, and ended when a mart is built |
//! | `live` | what alerts tell, while it happens |
//! | `problem` | what goes wrong |
//! | `health`, `metrics` | how the server is, and what it counted |
//! | `session` | people who are logged in |
//! | `dash` | the pages for them: each asks what programs ask, by the same functions |
//! | `openapi`, `docs.html` | the documentation, for programs and for people |
//! | `v1` | one file per resource, thin over what `show`, `compare`, `alert` and the like use too |
//!
//! A route that is not in the table is not there, and one that says nothing of who may ask does not compile. What another
//! workspace owns is not there either: 404, never 403.

mod accept;
mod answer;
mod auth;
mod cache;
mod call;
mod cursor;
mod dash;
mod encode;
mod headers;
mod health;
mod keymaking;
mod known;
mod limit;
mod live;
mod metrics;
mod openapi;
mod pipeline;
mod problem;
mod routes;
mod session;
mod v1;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::net::TcpListener;

pub use auth::{NewKey, new_key};
pub use dash::{PageFacts, page_facts};
pub use keymaking::{KeyRefusal, KeyRequest, MadeKey, key_name, make_key};
pub use openapi::document as openapi_document;
pub use routes::{RouteFacts, route_facts};

use crate::clock::Clock;
use crate::ids::hex;
use crate::lake::Lake;
use crate::model::{ReportingZone, Workspace};
use crate::store::export::{ExportView, FieldKind};
use crate::store::keys::ApiKey;
use crate::store::outbox::Subscriber;
use crate::store::sessions::Session;
use crate::store::{Store, StoreError};

/// How often it is asked whether a mart was built.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The secret that signs cursors.
const CURSOR_SECRET: &str = "cursor";

/// How to answer, resolved.
#[derive(Clone, Debug)]
pub struct Options {
    pub clock: Clock,
    pub zone: ReportingZone,
    pub lake: Lake,
    /// Whose the data is that is shown without a key.
    pub workspace: Workspace,
    /// Whoever asks from this machine needs no key to read.
    pub is_open: bool,
    /// Who hears of changes.
    pub subscribers: Vec<Subscriber>,
    pub max_connections: usize,
    pub header_timeout: Duration,
    pub request_timeout: Duration,
    pub fresh: Duration,
    pub stale: Duration,
    pub cache_bytes: usize,
    pub cors_origins: Vec<String>,
    pub trusted_proxies: Vec<IpAddr>,
    pub public_docs: bool,
    /// How long a session of the dashboard goes on when nothing is asked, and when something is.
    pub session_idle: Duration,
    pub session: Duration,
    /// TLS is in front: cookies are for nothing else.
    pub secure_cookies: bool,
}

/// What every request shares.
pub struct App {
    store: Store,
    options: Options,
    keys: known::Known<ApiKey>,
    sessions: known::Known<Session>,
    throttle: limit::Throttle,
    limiter: limit::Limiter,
    cache: Arc<cache::Cache>,
    metrics: metrics::Metrics,
    cursors: cursor::Cursors,
    live: live::Live,
    look: dash::Look,
    health: health::Lately,
    tables: Tables,
    generation: Mutex<Generation>,
    /// One looks, the others go on with what they know.
    looking: tokio::sync::Mutex<()>,
}

/// Columns that only the database knows.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    deltas: Vec<(String, FieldKind)>,
    rollups: Vec<(String, FieldKind)>,
}

impl Tables {
    pub async fn load(store: &Store) -> anyhow::Result<Tables> {
        Ok(Tables {
            deltas: store.export_columns(ExportView::Deltas).await?,
            rollups: store.export_columns(ExportView::Rollups).await?,
        })
    }
}

struct Generation {
    text: Arc<str>,
    seen: Option<Instant>,
}

impl App {
    pub async fn new(store: Store, options: Options) -> anyhow::Result<Arc<App>> {
        let fresh = hex(&auth::random_bytes()?);
        let secret = match store.server_secret(CURSOR_SECRET, &fresh, options.clock.now()).await {
            // Whoever may only read has cursors that end with the process.
            Err(StoreError::NotPermitted(_)) => fresh,
            secret => secret.context("failed to read the secret that signs cursors")?,
        };
        Ok(Arc::new(App {
            keys: known::Known::default(),
            sessions: known::Known::default(),
            throttle: limit::Throttle::default(),
            limiter: limit::Limiter::new(Instant::now()),
            cache: Arc::new(cache::Cache::new(options.fresh, options.stale, options.cache_bytes)),
            metrics: metrics::Metrics::default(),
            cursors: cursor::Cursors::new(secret.as_bytes()),
            live: live::Live::default(),
            look: dash::Look::new()?,
            health: health::Lately::default(),
            tables: Tables::load(&store).await.context("failed to read the columns of the mart")?,
            generation: Mutex::new(Generation { text: "".into(), seen: None }),
            looking: tokio::sync::Mutex::default(),
            store,
            options,
        }))
    }

    /// What answers of now are computed from. While the database does not answer, the mart is taken to be the one it was.
    async fn moment(&self) -> cache::Moment {
        let (now, at) = (Instant::now(), self.options.clock.now());
        let known = || {
            let generation = self.generation.lock().unwrap_or_else(PoisonError::into_inner);
            let is_new = generation.seen.is_some_and(|seen| now.saturating_duration_since(seen) < LOOK_EVERY);
            (generation.text.clone(), is_new, generation.seen.is_some())
        };
        let (text, is_new, is_known) = known();
        if is_new {
            return cache::Moment { generation: text, now, at };
        }
        let looking = match is_known {
            true => self.looking.try_lock().ok(),
            false => Some(self.looking.lock().await),
        };
        if looking.is_some() && !known().1 {
            let found = self.store.served_generation().await;
            let mut generation = self.generation.lock().unwrap_or_else(PoisonError::into_inner);
            match found {
                Ok(text) => *generation = Generation { text: text.into(), seen: Some(Instant::now()) },
                // The others need not wait for the same.
                Err(_) => generation.seen = generation.seen.map(|_| Instant::now()),
            }
        }
        cache::Moment { generation: known().0, now, at }
    }
}

/// Answers what comes in by `listener` until `stop` comes; what was begun by then is answered.
pub async fn serve(listener: TcpListener, app: Arc<App>, stop: impl Future<Output = ()>) {
    let router = pipeline::router(&app);
    accept::run(listener, app, router, stop).await;
}
