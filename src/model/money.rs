//! Money: integer minor units and an ISO currency. Never a float.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The largest price, rank or ratings count that is accepted: with 90 such values sums of squares still fit an i64.
pub const MAX_MINOR: i64 = 300_000_000;

/// A currency of one of the marketplaces, as its ISO 4217 code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Currency(&'static str);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown currency `{0}`")]
pub struct UnknownCurrency(pub String);

const CURRENCIES: [&str; 17] = [
    "AED", "AUD", "BRL", "CAD", "EGP", "EUR", "GBP", "INR", "JPY", "MXN", "PLN", "SAR", "SEK", "SGD", "TRY",
    "USD", "ZAR",
];

impl Currency {
    pub(super) const fn of(code: &'static str) -> Currency {
        Currency(code)
    }

    pub fn code(self) -> &'static str {
        self.0
    }

    /// Digits after the decimal mark: 0 for the yen, else 2.
    pub fn exponent(self) -> u32 {
        if self.0 == "JPY" { 0 } else { 2 }
    }

    /// A plain decimal (`25.99`, `1e3`) in minor units, exactly; null when it does not fit the exponent or an i64.
    pub fn minor_from_decimal(self, text: &str) -> Option<i64> {
        let text = text.trim();
        let amount = text.parse::<Decimal>().or_else(|_| Decimal::from_scientific(text)).ok()?;
        let minor = amount.checked_mul(Decimal::from(10_i64.pow(self.exponent())))?;
        if minor.fract().is_zero() { minor.to_i64() } else { None }
    }
}

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(text: &str) -> Result<Currency, UnknownCurrency> {
        let code = text.trim().to_ascii_uppercase();
        let known = CURRENCIES.iter().find(|known| **known == code);
        known.map(|code| Currency(code)).ok_or_else(|| UnknownCurrency(text.to_owned()))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Currency, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An amount in minor units of its currency. In JSON documents `{"amount": "25.99", "currency": "USD"}`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Money {
    pub minor: i64,
    pub currency: Currency,
}

impl Money {
    /// The amount in major units as a plain decimal: `25.99`, `-0.05`, `2980` (yen).
    pub fn amount(self) -> String {
        Decimal::new(self.minor, self.currency.exponent()).to_string()
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} {}", self.amount(), self.currency))
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut object = serializer.serialize_struct("Money", 2)?;
        object.serialize_field("amount", &self.amount())?;
        object.serialize_field("currency", &self.currency)?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minor(currency: &str, text: &str) -> Option<i64> {
        currency.parse::<Currency>().unwrap().minor_from_decimal(text)
    }

    #[test]
    fn decimals_become_minor_units_exactly() {
        assert_eq!(minor("USD", "25.99"), Some(2599));
        assert_eq!(minor("USD", "17.1"), Some(1710));
        assert_eq!(minor("USD", "1e3"), Some(100_000));
        assert_eq!(minor("JPY", "2980"), Some(2980));
        assert_eq!(minor("USD", "0.005"), None);
        assert_eq!(minor("JPY", "29.8"), None);
        assert_eq!(minor("EUR", "99999999999999999999999"), None);
        assert_eq!(minor("EUR", "NaN"), None);
    }

    #[test]
    fn an_amount_is_shown_with_its_currency_exponent() {
        let money = |minor, code: &str| Money { minor, currency: code.parse().unwrap() }.to_string();
        assert_eq!(money(2599, "USD"), "25.99 USD");
        assert_eq!(money(-5, "EUR"), "-0.05 EUR");
        assert_eq!(money(2980, "JPY"), "2980 JPY");
    }
}
