//! ASINs, product keys, and the forms in which a person names a product.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Marketplace, UnknownMarketplace};

/// Amazon's ten-character product id, upper case. Not unique across marketplaces: see [`ProductKey`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asin([u8; 10]);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AsinError {
    #[error("`{0}` is not an ASIN (ten letters or digits) nor a product URL")]
    NotAnAsin(String),
    #[error(transparent)]
    UnknownMarketplace(#[from] UnknownMarketplace),
}

impl Asin {
    pub fn as_str(&self) -> &str {
        // Constructed from ASCII only.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Asin {
    type Err = AsinError;

    fn from_str(text: &str) -> Result<Asin, AsinError> {
        let trimmed = text.trim();
        let bytes: [u8; 10] =
            trimmed.as_bytes().try_into().map_err(|_| AsinError::NotAnAsin(text.to_owned()))?;
        if bytes.iter().all(u8::is_ascii_alphanumeric) {
            Ok(Asin(bytes.map(|byte| byte.to_ascii_uppercase())))
        } else {
            Err(AsinError::NotAnAsin(text.to_owned()))
        }
    }
}

impl fmt::Display for Asin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Asin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Asin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Asin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Asin, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A product: its marketplace and ASIN. Shown as `US:B0FDKB341G`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProductKey {
    pub marketplace: Marketplace,
    pub asin: Asin,
}

impl fmt::Display for ProductKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}:{}", self.marketplace, self.asin))
    }
}

/// A product as a person names it: `B0…`, `UK:B0…`, or a product URL.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ProductRef {
    /// Null when only an ASIN was given.
    pub marketplace: Option<Marketplace>,
    pub asin: Asin,
}

impl ProductRef {
    /// The key, with `default` standing in where no marketplace was named.
    pub fn key_or(self, default: Marketplace) -> ProductKey {
        ProductKey { marketplace: self.marketplace.unwrap_or(default), asin: self.asin }
    }
}

impl FromStr for ProductRef {
    type Err = AsinError;

    fn from_str(text: &str) -> Result<ProductRef, AsinError> {
        let text = text.trim();
        if text.contains('/') || text.contains('?') {
            return from_url(text);
        }
        match text.split_once(':') {
            Some((marketplace, asin)) => {
                Ok(ProductRef { marketplace: Some(marketplace.parse()?), asin: asin.parse()? })
            }
            None => Ok(ProductRef { marketplace: None, asin: text.parse()? }),
        }
    }
}

/// Reads `/dp/`, `/gp/product/`, `/gp/aw/d/`, `/product/` and `?asin=`; the host must be an Amazon domain.
fn from_url(text: &str) -> Result<ProductRef, AsinError> {
    let not_found = || AsinError::NotAnAsin(text.to_owned());
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host_end = rest.find(['/', '?', '#']).ok_or_else(not_found)?;
    let authority = rest.get(..host_end).unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default().split(':').next().unwrap_or_default();
    let marketplace = Marketplace::from_domain(host).ok_or_else(|| UnknownMarketplace(host.to_owned()))?;
    let (path, query) =
        rest.get(host_end..).unwrap_or_default().split_once('?').unwrap_or((&rest[host_end..], ""));
    let path = path.split('#').next().unwrap_or_default();

    let segments: Vec<&str> = path.split('/').collect();
    let after_marker = segments.windows(2).find_map(|pair| match pair {
        ["dp" | "product" | "d", asin] => asin.parse::<Asin>().ok(),
        _ => None,
    });
    let in_query = || {
        query
            .split(['&', '#'])
            .filter_map(|pair| pair.split_once('='))
            .find(|(name, _)| name.eq_ignore_ascii_case("asin"))
            .and_then(|(_, value)| value.parse::<Asin>().ok())
    };
    let asin = after_marker.or_else(in_query).ok_or_else(not_found)?;
    Ok(ProductRef { marketplace: Some(marketplace), asin })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> String {
        match text.parse::<ProductRef>() {
            Ok(ProductRef { marketplace: Some(marketplace), asin }) => format!("{marketplace}:{asin}"),
            Ok(ProductRef { marketplace: None, asin }) => asin.to_string(),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn a_product_is_named_by_asin_key_or_url() {
        for (text, expected) in [
            ("b0fdkb341g", "B0FDKB341G"),
            (" UK:B0FDKB341G ", "UK:B0FDKB341G"),
            ("https://www.amazon.com/I63/dp/B0FDKB341G/?th=1&psc=1", "US:B0FDKB341G"),
            (
                "https://www.amazon.com/-/zh_TW/HAOYUYAN-%E9%81%8B/dp/B0FM2FRF4X?x=/dp/B000000000",
                "US:B0FM2FRF4X",
            ),
            ("amazon.co.uk/gp/product/b0fdkb341g/ref=x", "UK:B0FDKB341G"),
            ("https://www.amazon.de/gp/aw/d/B0FDKB341G", "DE:B0FDKB341G"),
            ("https://www.amazon.co.jp/o/product/B0FDKB341G#top", "JP:B0FDKB341G"),
            ("https://www.amazon.it/some/page?tag=1&asin=B0FDKB341G", "IT:B0FDKB341G"),
        ] {
            assert_eq!(named(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_product_is_refused_with_the_reason() {
        for (text, expected) in [
            ("", "error: `` is not an ASIN (ten letters or digits) nor a product URL"),
            ("B0FDKB341", "error: `B0FDKB341` is not an ASIN (ten letters or digits) nor a product URL"),
            (
                "https://www.amazon.com/s?k=earbuds",
                "error: `https://www.amazon.com/s?k=earbuds` is not an ASIN (ten letters or digits) nor a product URL",
            ),
        ] {
            assert_eq!(named(text), expected);
        }
        assert!(named("XX:B0FDKB341G").starts_with("error: unknown marketplace `XX`"));
        assert!(
            named("https://amazon.example/dp/B0FDKB341G")
                .starts_with("error: unknown marketplace `amazon.example`")
        );
    }
}
