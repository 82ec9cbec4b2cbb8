//! The marketplaces: one table, everything else reads it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Currency;

/// How amounts are written on a marketplace's own pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecimalStyle {
    Point,
    Comma,
}

/// Not a marketplace code, a marketplace id or an Amazon domain.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "unknown marketplace `{0}` (known: US UK DE FR IT ES JP CA MX IN AU BR NL SE PL BE TR AE SA SG EG ZA IE)"
)]
pub struct UnknownMarketplace(pub String);

macro_rules! marketplaces {
    ($($variant:ident $code:literal $domain:literal $amazon_id:literal $currency:literal $area:ident::$city:ident $style:ident $keepa:expr;)+) => {
        /// An Amazon marketplace.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Marketplace { $($variant),+ }

        impl Marketplace {
            pub const ALL: &'static [Marketplace] = &[$(Marketplace::$variant),+];

            /// Two letters, as in `UK:B0…` (the United Kingdom is `UK`).
            pub fn code(self) -> &'static str {
                match self { $(Marketplace::$variant => $code),+ }
            }

            /// `amazon.co.uk`, without `www.`.
            pub fn domain(self) -> &'static str {
                match self { $(Marketplace::$variant => $domain),+ }
            }

            /// Amazon's own id of the marketplace (selling-partner API, `ue_mid` in pages).
            pub fn amazon_id(self) -> &'static str {
                match self { $(Marketplace::$variant => $amazon_id),+ }
            }

            pub fn currency(self) -> Currency {
                match self { $(Marketplace::$variant => Currency::of($currency)),+ }
            }

            pub fn time_zone(self) -> chrono_tz::Tz {
                match self { $(Marketplace::$variant => chrono_tz::$area::$city),+ }
            }

            pub fn decimal_style(self) -> DecimalStyle {
                match self { $(Marketplace::$variant => DecimalStyle::$style),+ }
            }

            /// Keepa's domain number, where Keepa covers the marketplace.
            pub fn keepa_domain(self) -> Option<u8> {
                match self { $(Marketplace::$variant => $keepa),+ }
            }
        }
    };
}

marketplaces! {
    Us "US" "amazon.com" "ATVPDKIKX0DER" "USD" America::Los_Angeles Point Some(1);
    Uk "UK" "amazon.co.uk" "A1F83G8C2ARO7P" "GBP" Europe::London Point Some(2);
    De "DE" "amazon.de" "A1PA6795UKMFR9" "EUR" Europe::Berlin Comma Some(3);
    Fr "FR" "amazon.fr" "A13V1IB3VIYZZH" "EUR" Europe::Paris Comma Some(4);
    It "IT" "amazon.it" "APJ6JRA9NG5V4" "EUR" Europe::Rome Comma Some(8);
    Es "ES" "amazon.es" "A1RKKUPIHCS9HS" "EUR" Europe::Madrid Comma Some(9);
    Jp "JP" "amazon.co.jp" "A1VC38T7YXB528" "JPY" Asia::Tokyo Point Some(5);
    Ca "CA" "amazon.ca" "A2EUQ1WTGCTBG2" "CAD" America::Toronto Point Some(6);
    Mx "MX" "amazon.com.mx" "A1AM78C64UM0Y8" "MXN" America::Mexico_City Point Some(11);
    In "IN" "amazon.in" "A21TJRUUN4KGV" "INR" Asia::Kolkata Point Some(10);
    Au "AU" "amazon.com.au" "A39IBJ37TRP1C6" "AUD" Australia::Sydney Point None;
    Br "BR" "amazon.com.br" "A2Q3Y263D00KWC" "BRL" America::Sao_Paulo Comma Some(12);
    Nl "NL" "amazon.nl" "A1805IZSGTT6HS" "EUR" Europe::Amsterdam Comma None;
    Se "SE" "amazon.se" "A2NODRKZP88ZB9" "SEK" Europe::Stockholm Comma None;
    Pl "PL" "amazon.pl" "A1C3SOZRARQ6R3" "PLN" Europe::Warsaw Comma None;
    Be "BE" "amazon.com.be" "AMEN7PMS3EDWL" "EUR" Europe::Brussels Comma None;
    Tr "TR" "amazon.com.tr" "A33AVAJ2PDY3EV" "TRY" Europe::Istanbul Comma None;
    Ae "AE" "amazon.ae" "A2VIGQ35RCS4UG" "AED" Asia::Dubai Point None;
    Sa "SA" "amazon.sa" "A17E79C6D8DWNP" "SAR" Asia::Riyadh Point None;
    Sg "SG" "amazon.sg" "A19VAU5U5O7RUS" "SGD" Asia::Singapore Point None;
    Eg "EG" "amazon.eg" "ARBP9OOSHTCHU" "EGP" Africa::Cairo Point None;
    Za "ZA" "amazon.co.za" "AE08WJ6YKNBMC" "ZAR" Africa::Johannesburg Point None;
    Ie "IE" "amazon.ie" "A28R8C7NBKEWEA" "EUR" Europe::Dublin Point None;
}

impl Marketplace {
    /// The marketplace of a host name such as `www.amazon.co.uk`; null for any other site.
    pub fn from_domain(host: &str) -> Option<Marketplace> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let bare =
            ["www.", "m.", "smile."].iter().find_map(|prefix| host.strip_prefix(prefix)).unwrap_or(&host);
        Marketplace::ALL.iter().copied().find(|marketplace| marketplace.domain() == bare)
    }

    /// The marketplace of an Amazon marketplace id such as `ATVPDKIKX0DER`.
    pub fn from_amazon_id(id: &str) -> Option<Marketplace> {
        Marketplace::ALL.iter().copied().find(|marketplace| marketplace.amazon_id() == id)
    }

    /// The marketplace of a Keepa domain number.
    pub fn from_keepa_domain(number: i64) -> Option<Marketplace> {
        Marketplace::ALL
            .iter()
            .copied()
            .find(|m| m.keepa_domain().is_some_and(|domain| i64::from(domain) == number))
    }
}

impl FromStr for Marketplace {
    type Err = UnknownMarketplace;

    /// A code in any case (`GB` is accepted for `UK`), or a domain.
    fn from_str(text: &str) -> Result<Marketplace, UnknownMarketplace> {
        let text = text.trim();
        let code = text.to_ascii_uppercase();
        let code = if code == "GB" { "UK" } else { &code };
        Marketplace::ALL
            .iter()
            .copied()
            .find(|marketplace| marketplace.code() == code)
            .or_else(|| Marketplace::from_domain(text))
            .ok_or_else(|| UnknownMarketplace(text.to_owned()))
    }
}

impl fmt::Display for Marketplace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl Serialize for Marketplace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Marketplace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Marketplace, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_domain_and_id_leads_back_to_its_marketplace() {
        for &marketplace in Marketplace::ALL {
            assert_eq!(marketplace.code().parse(), Ok(marketplace));
            assert_eq!(Marketplace::from_domain(&format!("www.{}", marketplace.domain())), Some(marketplace));
            assert_eq!(Marketplace::from_amazon_id(marketplace.amazon_id()), Some(marketplace));
        }
        assert_eq!(Marketplace::ALL.len(), 23);
    }

    #[test]
    fn an_unknown_domain_is_never_the_united_states() {
        for host in ["amazon.co", "amazon.cn", "example.com", "notamazon.com", "amazon.com.evil.org"] {
            assert_eq!(Marketplace::from_domain(host), None, "{host}");
        }
    }
}
