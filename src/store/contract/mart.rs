//! Publishing a mart: all of it or nothing, and no row besides those that are replaced.

use std::collections::VecDeque;

use async_trait::async_trait;

use super::*;
use crate::store::lake::FileSwap;
use crate::store::mart::{DaysPart, MartUpdate, ServedDays, ServingRows, ServingValue};

/// (asin, day) of deltas that know nothing else.
#[derive(Clone)]
struct Rows(Vec<(&'static str, &'static str)>);

impl ServingRows for Rows {
    fn columns(&self) -> Vec<&'static str> {
        vec!["asin", "day"]
    }

    fn rows(&self) -> usize {
        self.0.len()
    }

    fn value(&self, row: usize, column: usize) -> ServingValue {
        let (asin, day) = self.0[row];
        ServingValue::Text([asin, day][column].into())
    }
}

struct Parts(VecDeque<anyhow::Result<Rows>>);

#[async_trait]
impl ServedDays for Parts {
    async fn next(&mut self) -> anyhow::Result<Option<DaysPart>> {
        let part = self.0.pop_front().transpose()?;
        Ok(part.map(|deltas| DaysPart {
            deltas: Box::new(deltas),
            daily_aggregates: Vec::new(),
            category_metrics: Vec::new(),
        }))
    }
}

/// First and last days.
type Ranges<'a> = &'a [(&'a str, &'a str)];

/// Replaces the days of some ranges by what the parts have.
async fn publish(
    store: &Store,
    marketplace: Marketplace,
    replaced: Ranges<'_>,
    parts: Vec<anyhow::Result<Rows>>,
) -> anyhow::Result<()> {
    let day = |text: &str| text.parse::<Day>().unwrap();
    let none = Rows(Vec::new());
    let seq = store.lake_state().await.unwrap().built_seq + 1;
    let mut served = Parts(parts.into());
    let update = MartUpdate {
        marketplace,
        served_from: day("2026-01-01"),
        replaced: replaced
            .iter()
            .map(|(first, last)| DayRange { first: day(first), last: day(last) })
            .collect(),
        days: vec![day(replaced[0].0)],
        served: &mut served,
        products: &[],
        rollups: &none,
        sellers: &none,
    };
    let swap = FileSwap { generation: seq, ..FileSwap::default() };
    store.publish_mart(&swap, seq, &mut [update]).await
}

async fn deltas(store: &Store) -> Vec<String> {
    store.lines("SELECT marketplace, day, asin FROM deltas ORDER BY 1, 2, 3").await
}

#[tokio::test]
async fn days_that_cannot_be_read_leave_the_mart_as_it_was() {
    let (_folder, store) = fresh().await;
    let days = [("2026-01-01", "2026-01-02")];
    let old = Rows(vec![("B000000001", "2026-01-01")]);
    publish(&store, Marketplace::Us, &days, vec![Ok(old)]).await.unwrap();
    let before = (deltas(&store).await, store.lake_state().await.unwrap());

    let new = Rows(vec![("B000000002", "2026-01-01"), ("B000000002", "2026-01-02")]);
    let parts = vec![Ok(new.clone()), Err(anyhow::anyhow!("a page is damaged"))];
    let error = publish(&store, Marketplace::Us, &days, parts).await.unwrap_err();
    assert_eq!(error.to_string(), "a page is damaged");
    let after = store.lake_state().await.unwrap();
    assert_eq!((deltas(&store).await, after.built_seq), (before.0, before.1.built_seq));

    publish(&store, Marketplace::Us, &days, vec![Ok(new)]).await.unwrap();
    assert_eq!(deltas(&store).await, ["US 2026-01-01 B000000002", "US 2026-01-02 B000000002"]);
}

#[tokio::test]
async fn only_what_is_replaced_goes() {
    let whole = [("2026-01-01", "2026-01-03")];
    let days = || Rows(["2026-01-01", "2026-01-02", "2026-01-03"].map(|day| ("B000000001", day)).to_vec());
    let none = || vec![Ok(Rows(Vec::new()))];
    let all = ["2026-01-01", "2026-01-02", "2026-01-03"];
    let cases: [(Ranges<'_>, &[&str]); 5] = [
        (&whole, &[]),
        (&[("2026-01-01", "2026-01-02")], &all[2..]),
        (&[("2026-01-02", "2026-01-03")], &all[..1]),
        (&[("2026-01-01", "2026-01-01"), ("2026-01-02", "2026-01-03")], &[]),
        (&[("2025-01-01", "2025-01-03")], &all),
    ];
    // Alone, and with a marketplace before and one behind it.
    for others in [&[][..], &[Marketplace::De], &[Marketplace::Us], &[Marketplace::De, Marketplace::Us]] {
        for (replaced, kept) in cases {
            let (_folder, store) = fresh().await;
            for marketplace in others.iter().chain(&[Marketplace::Uk]) {
                publish(&store, *marketplace, &whole, vec![Ok(days())]).await.unwrap();
            }
            publish(&store, Marketplace::Uk, replaced, none()).await.unwrap();
            let of = |marketplace: &Marketplace, days: &[&str]| -> Vec<String> {
                days.iter().map(|day| format!("{} {day} B000000001", marketplace.code())).collect()
            };
            let mut expected: Vec<String> = others.iter().flat_map(|other| of(other, &all)).collect();
            expected.extend(of(&Marketplace::Uk, kept));
            expected.sort();
            assert_eq!(deltas(&store).await, expected, "{others:?} {replaced:?}");
        }
    }
}
