//! Tolerant JSON values: providers change types without notice, so a field takes whatever comes and the reader
//! decides. Borrowed from the body wherever the text has no escapes.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// One value that should be a scalar. A missing key, a JSON null and an empty text are all null.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) enum Scalar<'a> {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    /// An array or object where a scalar was expected.
    Nested,
}

impl<'a> Scalar<'a> {
    pub(super) fn of_cell(text: &'a str) -> Scalar<'a> {
        if text.trim().is_empty() { Scalar::Null } else { Scalar::Text(Cow::Borrowed(text)) }
    }

    pub(super) fn is_null(&self) -> bool {
        match self {
            Scalar::Null => true,
            Scalar::Text(text) => text.trim().is_empty(),
            _ => false,
        }
    }

    /// The text of a text; null for every other value and for blank text.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Scalar::Text(text) if !text.trim().is_empty() => Some(text),
            _ => None,
        }
    }

    /// What a person would write for it: texts and numbers; null for the rest.
    pub(super) fn shown(&self) -> Option<Cow<'_, str>> {
        match self {
            Scalar::Text(_) => self.text().map(Cow::Borrowed),
            Scalar::Int(number) => Some(Cow::Owned(number.to_string())),
            Scalar::Float(number) => Some(Cow::Owned(number.to_string())),
            Scalar::Bool(_) | Scalar::Null | Scalar::Nested => None,
        }
    }

    pub(super) fn bool(&self) -> Option<bool> {
        match self {
            Scalar::Bool(value) => Some(*value),
            Scalar::Int(1) => Some(true),
            Scalar::Int(0) => Some(false),
            Scalar::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" => Some(true),
                "false" | "0" | "no" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// A whole number, also when it is written `12.0` or as text; null for every other value.
    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Scalar::Int(number) => Some(*number),
            // Exactly representable, so the cast loses nothing.
            Scalar::Float(number) if number.fract() == 0.0 && number.abs() < 9.0e15 => Some(*number as i64),
            Scalar::Text(text) => {
                let text = text.trim();
                let whole = text.split_once('.').filter(|(_, zeros)| zeros.bytes().all(|b| b == b'0'));
                whole.map_or(text, |(whole, _)| whole).parse().ok()
            }
            _ => None,
        }
    }
}

struct ScalarVisitor<'a>(PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for ScalarVisitor<'a> {
    type Value = Scalar<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar<'a>, E> {
        Ok(i64::try_from(value).map_or(Scalar::Float(value as f64), Scalar::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Text(Cow::Owned(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Scalar<'a>, A::Error> {
        drain_seq(seq)?;
        Ok(Scalar::Nested)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Scalar<'a>, A::Error> {
        drain_map(map)?;
        Ok(Scalar::Nested)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor(PhantomData))
    }
}

fn drain_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

fn drain_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

/// A value that should be an array: anything else counts as an empty one.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct List<T>(pub(super) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> List<T> {
        List(Vec::new())
    }
}

/// A value that should be an object: anything else counts as none. `scalar` keeps what came instead of it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Object<'a, T> {
    pub(super) object: Option<T>,
    pub(super) scalar: Scalar<'a>,
}

impl<T> Default for Object<'_, T> {
    fn default() -> Self {
        Object { object: None, scalar: Scalar::Null }
    }
}

/// Implements the scalar visits of a visitor that is only interested in arrays or objects.
macro_rules! visit_scalars {
    ($de:lifetime, $make:expr) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any value")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($make(Scalar::Null))
        }

        fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
            Ok($make(Scalar::Bool(value)))
        }

        fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
            ScalarVisitor(PhantomData).visit_i64(value).map($make)
        }

        fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
            ScalarVisitor(PhantomData).visit_u64(value).map($make)
        }

        fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
            ScalarVisitor(PhantomData).visit_f64(value).map($make)
        }

        fn visit_borrowed_str<E: serde::de::Error>(self, value: &$de str) -> Result<Self::Value, E> {
            Ok($make(Scalar::Text(Cow::Borrowed(value))))
        }

        fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Self::Value, E> {
            Ok($make(Scalar::Text(Cow::Owned(value.to_owned()))))
        }
    };
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    visit_scalars!('de, |_: Scalar<'de>| List(Vec::new()));

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<List<T>, A::Error> {
        drain_map(map)?;
        Ok(List(Vec::new()))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

struct ObjectVisitor<'a, T>(PhantomData<(&'a (), T)>);

impl<'de: 'a, 'a, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<'a, T> {
    type Value = Object<'a, T>;

    visit_scalars!('de, |scalar: Scalar<'a>| Object { object: None, scalar });

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        drain_seq(seq)?;
        Ok(Object { object: None, scalar: Scalar::Nested })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let object = T::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Object { object: Some(object), scalar: Scalar::Null })
    }
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Object<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, Default, Debug, PartialEq)]
    #[serde(default)]
    struct Pair<'a> {
        #[serde(borrow)]
        name: Scalar<'a>,
    }

    #[derive(Deserialize, Default, Debug, PartialEq)]
    #[serde(default)]
    struct Probe<'a> {
        #[serde(borrow)]
        price: Scalar<'a>,
        #[serde(borrow)]
        pairs: List<Object<'a, Pair<'a>>>,
    }

    fn price(json: &str) -> String {
        format!("{:?}", serde_json::from_str::<Probe<'_>>(json).unwrap().price)
    }

    #[test]
    fn a_field_takes_whatever_comes() {
        assert_eq!(price(r#"{"price": 25.99}"#), "Float(25.99)");
        assert_eq!(price(r#"{"price": 25}"#), "Int(25)");
        assert_eq!(price(r#"{"price": 18446744073709551615}"#), "Float(1.8446744073709552e19)");
        assert_eq!(price(r#"{"price": "25"}"#), r#"Text("25")"#);
        assert_eq!(price(r#"{"price": "\u0032"}"#), r#"Text("2")"#);
        assert_eq!(price(r#"{"price": {"value": [1, {"a": 2}]}}"#), "Nested");
        assert_eq!(price(r#"{"price": null, "other": [[[]]]}"#), "Null");
        assert_eq!(price("{}"), "Null");
    }

    #[test]
    fn a_list_of_the_wrong_type_is_empty() {
        let probe: Probe<'_> = serde_json::from_str(r#"{"pairs": [{"name": "a"}, 3, null, [1]]}"#).unwrap();
        let names: Vec<_> = probe.pairs.0.iter().map(|pair| pair.object.is_some()).collect();
        assert_eq!(names, [true, false, false, false]);
        for json in
            [r#"{"pairs": "none"}"#, r#"{"pairs": {"a": 1}}"#, r#"{"pairs": null}"#, r#"{"pairs": 1.5}"#]
        {
            assert!(serde_json::from_str::<Probe<'_>>(json).unwrap().pairs.0.is_empty());
        }
    }

    #[test]
    fn whole_numbers_are_read_in_every_notation() {
        assert_eq!(Scalar::Float(12.0).integer(), Some(12));
        assert_eq!(Scalar::Float(12.5).integer(), None);
        assert_eq!(Scalar::of_cell(" 2599.00 ").integer(), Some(2599));
        assert_eq!(Scalar::of_cell("2599.5").integer(), None);
        assert_eq!(Scalar::of_cell("1,000").integer(), None);
    }
}
