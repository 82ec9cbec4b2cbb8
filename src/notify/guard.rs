//! Where messages may not go: addresses that are not public. Users choose where a channel leads, and a name
//! may lead somewhere else tomorrow, so the address itself is judged, at the moment it is connected to: names
//! are resolved once, by [`Guard::resolve`], and only what that lets through is connected to.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Asks for the addresses of a name.
pub(super) type Lookup =
    Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> + Send + Sync>;

/// What the configuration opens.
#[derive(Clone)]
pub struct Guard {
    allow_private: bool,
    /// Names in lower case without a dot at the end, and addresses as they are written.
    allow_hosts: Vec<String>,
    lookup: Lookup,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Guard { allow_private, allow_hosts, lookup: _ } = self;
        let mut shown = f.debug_struct("Guard");
        shown.field("allow_private", allow_private).field("allow_hosts", allow_hosts).finish_non_exhaustive()
    }
}

/// Why an address is not connected to.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{host} is {what}, where no message goes unless `allow_private` or [alerts] `allow_hosts` says so")]
pub struct Blocked {
    pub host: String,
    /// `127.0.0.1, this machine`
    pub what: String,
}

impl Guard {
    pub fn new(allow_private: bool, allow_hosts: &[String]) -> Guard {
        let lookup: Lookup = Arc::new(|name| {
            Box::pin(async move {
                Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
            })
        });
        Guard::with_lookup(allow_private, allow_hosts, lookup)
    }

    /// The same, which asks somebody else for the addresses of names.
    pub(super) fn with_lookup(allow_private: bool, allow_hosts: &[String], lookup: Lookup) -> Guard {
        Guard {
            allow_private,
            allow_hosts: allow_hosts.iter().map(|host| plain_name(host)).collect(),
            lookup,
        }
    }

    /// Judges an address as it is written: a literal one at once, the scheme of all. Names are judged by
    /// where they lead, when they are connected to.
    pub fn check(&self, url: &Url) -> Result<(), Blocked> {
        let Some(host) = url.host_str() else {
            return Err(Blocked { host: "the address".into(), what: "without a host".into() });
        };
        // Only the host: the rest of an address may be a secret.
        let blocked = |what: &str| Blocked { host: host.to_owned(), what: what.to_owned() };
        if url.scheme() != "https"
            && !(url.scheme() == "http" && (self.allow_private || self.allows_name(host)))
        {
            return Err(blocked("reached by plain http"));
        }
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        match literal.parse::<IpAddr>() {
            Ok(address) => self.check_address(host, address),
            Err(_) => Ok(()),
        }
    }

    fn check_address(&self, host: &str, address: IpAddr) -> Result<(), Blocked> {
        if self.allow_private || self.allows_name(host) || self.allows_name(&address.to_string()) {
            return Ok(());
        }
        match not_public(address) {
            Some(what) => Err(Blocked { host: host.to_owned(), what: format!("{address}, {what}") }),
            None => Ok(()),
        }
    }

    fn allows_name(&self, host: &str) -> bool {
        let host = plain_name(host);
        self.allow_hosts.contains(&host)
    }

    /// The addresses of a name that may be connected to.
    async fn addresses(
        self,
        name: String,
    ) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let found = (self.lookup)(name.clone()).await?;
        let mut allowed = Vec::new();
        let mut refusal = None;
        for address in found {
            match self.check_address(&name, address) {
                // The port is the address's own.
                Ok(()) => allowed.push(SocketAddr::new(address, 0)),
                Err(blocked) => refusal = Some(blocked),
            }
        }
        match refusal {
            Some(blocked) if allowed.is_empty() => Err(blocked.into()),
            _ => Ok(allowed),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let addresses = guard.addresses(name.as_str().to_owned()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Lower case, without the dot of the root and the brackets of an IPv6 address.
fn plain_name(host: &str) -> String {
    let host = host.trim().trim_end_matches('.').to_ascii_lowercase();
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).map_or(host.clone(), str::to_owned)
}

/// What an address is that is not public; null for one that is.
fn not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => not_public_v4(address),
        IpAddr::V6(address) => not_public_v6(address),
    }
}

/// (network, prefix length, what it is): IANA's registry of special-purpose addresses, and multicast.
const SPECIAL_V4: [([u8; 4], u32, &str); 15] = [
    ([0, 0, 0, 0], 8, "no address of a host"),
    ([10, 0, 0, 0], 8, "a private network"),
    ([100, 64, 0, 0], 10, "a carrier's own network"),
    ([127, 0, 0, 0], 8, "this machine"),
    ([169, 254, 0, 0], 16, "this link"),
    ([172, 16, 0, 0], 12, "a private network"),
    ([192, 0, 0, 0], 24, "a special-purpose network"),
    ([192, 0, 2, 0], 24, "a network for documentation"),
    ([192, 88, 99, 0], 24, "a relay to another network"),
    ([192, 168, 0, 0], 16, "a private network"),
    ([198, 18, 0, 0], 15, "a network for benchmarks"),
    ([198, 51, 100, 0], 24, "a network for documentation"),
    ([203, 0, 113, 0], 24, "a network for documentation"),
    ([224, 0, 0, 0], 4, "a group of hosts"),
    ([240, 0, 0, 0], 4, "a reserved network"),
];

fn not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    let bits = address.to_bits();
    let is_in =
        |network: [u8; 4], length: u32| bits >> (32 - length) == u32::from_be_bytes(network) >> (32 - length);
    SPECIAL_V4.iter().find(|(network, length, _)| is_in(*network, *length)).map(|(_, _, what)| *what)
}

/// Outside of 2000::/3 nothing is public, except what stands for an IPv4 address that is.
fn not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let inner = Ipv4Addr::from_bits(u32::from(g) << 16 | u32::from(h));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => return not_public_v4(inner),
        [0, 0, 0, 0, 0, 0] if g == 0 && h == 0 => return Some("no address of a host"),
        [0, 0, 0, 0, 0, 0] if g == 0 && h == 1 => return Some("this machine"),
        _ => {}
    }
    let what = match a {
        0xfc00..=0xfdff => "a private network",
        0xfe80..=0xfebf => "this link",
        0xfec0..=0xfeff => "a private network",
        0xff00.. => "a group of hosts",
        0x2001 if b < 0x200 => "a special-purpose network",
        0x2001 if b == 0xdb8 => "a network for documentation",
        0x2002 => "a relay to another network",
        0x3fff if b < 0x1000 => "a network for documentation",
        0x2000..=0x3fff => return None,
        _ => "a reserved network",
    };
    Some(what)
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
