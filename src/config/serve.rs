//! `[serve]`: how serve-lite listens and answers.

use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How serve-lite answers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServeSettings {
    /// Address and port to listen on. Others than this machine's own need a proxy with TLS in front.
    pub listen: String,
    /// Connections at the same time; more wait to be accepted.
    pub max_connections: u32,
    /// Seconds in which the head of a request has to be there.
    pub header_timeout_s: u32,
    /// Seconds that a request may take, its body included.
    pub request_timeout_s: u32,
    /// Seconds for which an answer counts as fresh, unless a mart is built.
    pub fresh_s: u32,
    /// Further seconds for which it is given while a newer one is computed.
    pub stale_s: u32,
    /// Memory for answers that are kept, in MiB.
    pub cache_mb: u32,
    /// Origins whose pages may ask, as `https://dashboard.example`; none may where this is empty.
    pub cors_origins: Vec<String>,
    /// Addresses of proxies whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<String>,
    /// Show the documentation of the interface to whoever asks, without a key.
    pub public_docs: bool,
    /// Seconds after which whoever is logged in to the dashboard is logged out, when they ask for nothing.
    pub session_idle_s: u32,
    /// The same, whatever they do.
    pub session_s: u32,
    /// Send the dashboard's cookies by TLS only. So they are in any case where a trusted proxy says that TLS is in front.
    pub secure_cookies: bool,
}

impl Default for ServeSettings {
    fn default() -> Self {
        ServeSettings {
            listen: "127.0.0.1:8787".into(),
            max_connections: 1024,
            header_timeout_s: 10,
            request_timeout_s: 30,
            fresh_s: 30,
            stale_s: 300,
            cache_mb: 64,
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            public_docs: false,
            session_idle_s: 3_600,
            session_s: 43_200,
            secure_cookies: false,
        }
    }
}

impl ServeSettings {
    /// (key, is valid, what is expected of it)
    pub(super) fn ranges(&self) -> [(&'static str, bool, &'static str); 11] {
        let is_second = |seconds: u32| (1..=3_600).contains(&seconds);
        let is_origin = |origin: &String| {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            host.is_some_and(|host| !host.is_empty() && !host.contains('/'))
        };
        [
            ("listen", self.listen.parse::<SocketAddr>().is_ok(), "must be as 127.0.0.1:8787"),
            ("max_connections", (1..=100_000).contains(&self.max_connections), "must be 1 to 100000"),
            ("header_timeout_s", is_second(self.header_timeout_s), "must be 1 to 3600"),
            ("request_timeout_s", is_second(self.request_timeout_s), "must be 1 to 3600"),
            ("fresh_s", self.fresh_s <= 86_400, "must be 0 to 86400"),
            ("stale_s", self.stale_s <= 86_400, "must be 0 to 86400"),
            ("session_idle_s", (1..=2_592_000).contains(&self.session_idle_s), "must be 1 to 2592000"),
            ("session_s", (1..=2_592_000).contains(&self.session_s), "must be 1 to 2592000"),
            ("cache_mb", self.cache_mb <= 16_384, "must be 0 to 16384"),
            (
                "cors_origins",
                self.cors_origins.iter().all(is_origin),
                "must name origins, as https://a.example",
            ),
            (
                "trusted_proxies",
                self.trusted_proxies.iter().all(|proxy| proxy.parse::<IpAddr>().is_ok()),
                "must name IP addresses",
            ),
        ]
    }
}
