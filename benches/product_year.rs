//! Times how long one product's history takes to read out of a lake: `cargo bench --bench product_year`.
//!
//! `AMZCTL_BENCH_MARKET` is a folder with `amzctl.db` and `lake`, as `benches/peers/run` leaves it with `KEEP=1`; without it
//! nothing is timed. Products are spread over the catalogue; the median is over all of them, in one process.
#![expect(clippy::print_stdout, reason = "the figures are what a bench is for")]

use std::path::PathBuf;
use std::time::Instant;

use amzctl::lake::{Lake, Table, read_product};
use amzctl::model::{Day, DayRange, Marketplace, ProductKey};
use amzctl::store::{Migrate, Store};
use anyhow::{Context, ensure};

const PRODUCTS: usize = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Some(folder) = std::env::var_os("AMZCTL_BENCH_MARKET").map(PathBuf::from) else {
        println!("AMZCTL_BENCH_MARKET is not set: no market to read");
        return Ok(());
    };
    let store =
        Store::open(folder.join("amzctl.db"), Migrate::Refuse).await.context("failed to open the market")?;
    let lake = Lake::new(folder.join("lake"));
    let newest = store.newest_day(Some(Marketplace::Us)).await?.context("an empty market")?;
    let year = DayRange { first: newest.plus(-364), last: newest };
    let served = store.served_rollups(Marketplace::Us).await?;
    ensure!(!served.is_empty(), "no product has rollups");
    let step = (served.len() / PRODUCTS).max(1);
    let asins: Vec<&(String, Day)> = served.iter().step_by(step).collect();
    println!(
        "| table | products | rows of one | median ms | slowest ms |\n| --- | ---: | ---: | ---: | ---: |"
    );
    for table in [Table::Daily, Table::Deltas, Table::Rollups] {
        let (mut times, mut rows) = (Vec::new(), 0);
        for (asin, _) in &asins {
            let key = ProductKey { marketplace: Marketplace::Us, asin: asin.parse()? };
            let started = Instant::now();
            rows += read_product(&store, &lake, table, key, year, &[]).await?.height();
            times.push(started.elapsed().as_secs_f64() * 1000.0);
        }
        times.sort_by(f64::total_cmp);
        let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
        println!(
            "| {} | {} | {} | {median:.1} | {slowest:.1} |",
            table.name(),
            times.len(),
            rows / times.len()
        );
    }
    Ok(())
}
