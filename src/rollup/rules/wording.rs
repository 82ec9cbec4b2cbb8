//! How findings speak: numbers as people read them, computed from integers and rounded half away from zero.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde_json::{Map, Value, json};

use crate::model::{Currency, Day, Money};

/// `part` of `whole` in percent with one decimal, without its sign: `12.4 %`.
pub(super) fn percent(part: i64, whole: i64) -> String {
    format!("{} %", tenths(i128::from(part).abs() * 100, i128::from(whole).abs()))
}

/// The quotient with one decimal: `10.2`. The denominator is positive.
pub(super) fn tenths(numerator: i128, denominator: i128) -> String {
    let tenths = (numerator * 20 + denominator) / (2 * denominator);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Hundredths of a star: 450 is `4.5`, 445 is `4.45`, 100 is `1.0`.
pub(super) fn stars(centi: i64) -> String {
    let text = Decimal::new(centi, 2).to_string();
    text.strip_suffix('0').map_or_else(|| text.clone(), str::to_owned)
}

/// `(2026-02-03 → 2026-02-04)`.
pub(super) fn span(from: Day, to: Day) -> String {
    format!("({from} → {to})")
}

/// An amount without its currency: `25.99`.
pub(super) fn amount(minor: i64, currency: Currency) -> String {
    Money { minor, currency }.amount()
}

/// Half of a doubled amount, exactly: `20.005`.
pub(super) fn half_amount(doubled: i64, currency: Currency) -> String {
    match doubled % 2 {
        0 => amount(doubled / 2, currency),
        _ => Decimal::new(doubled.saturating_mul(5), currency.exponent() + 1).to_string(),
    }
}

/// The part in percent of the whole as the mart has it: one division of exact integers.
pub(super) fn ratio_pct(part: i64, whole: i64) -> Value {
    if whole == 0 { Value::Null } else { json!((part as f64 * 100.0) / whole as f64) }
}

/// A number as JSON has it: 10 without a point, 2.5 with one.
pub(super) fn number(number: Decimal) -> Value {
    match number.to_i64().filter(|_| number.is_integer()) {
        Some(whole) => json!(whole),
        None => json!(number.to_f64()),
    }
}

/// An evidence object in the making.
#[derive(Default)]
pub(super) struct Evidence(Map<String, Value>);

impl Evidence {
    pub(super) fn put(mut self, name: &str, value: impl Into<Value>) -> Evidence {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    pub(super) fn day(self, name: &str, day: Day) -> Evidence {
        self.put(name, day.to_string())
    }

    /// `name_minor` and `name` with amount and currency, as documents carry money.
    pub(super) fn money(self, name: &str, minor: i64, currency: Currency) -> Evidence {
        let money = json!({ "amount": amount(minor, currency), "currency": currency.code() });
        self.put(&format!("{name}_minor"), minor).put(name, money)
    }

    pub(super) fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_half_away_from_zero() {
        assert_eq!(percent(-322, 2599), "12.4 %");
        assert_eq!(percent(1, 2000), "0.1 %");
        assert_eq!(percent(49, 100_000), "0.0 %");
        assert_eq!(percent(200, 100), "200.0 %");
        assert_eq!(stars(450), "4.5");
        assert_eq!(stars(445), "4.45");
        assert_eq!(stars(100), "1.0");
    }

    #[test]
    fn half_a_cent_and_half_a_yen_are_shown() {
        let usd: Currency = "USD".parse().unwrap();
        let jpy: Currency = "JPY".parse().unwrap();
        assert_eq!(half_amount(4000, usd), "20.00");
        assert_eq!(half_amount(4001, usd), "20.005");
        assert_eq!(half_amount(5961, jpy), "2980.5");
    }
}
