//! The provider simulator as a program, for benchmarks and for trying amzctl without an account:
//!
//! ```text
//! cargo run --example simulator -- --port 8089 --seed 7 --faults mild
//! ```
#![expect(clippy::print_stdout, reason = "a program that says where it listens")]

#[path = "../tests/simulator/mod.rs"]
mod simulator;

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Parser;

use simulator::{Config, Faults, Latency, Quota, Simulator};

/// Simulate Apify, Keepa, SP-API, Firecrawl and Rainforest on a loopback port
#[derive(Parser)]
struct Args {
    /// Port to listen on; 0 takes any free one
    #[arg(long, default_value_t = 8089)]
    port: u16,
    /// Seed of the market, the faults and the latency
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Schedule of faults: none, mild or rough
    #[arg(long, default_value = "none", value_parser = schedule)]
    faults: Faults,
    /// Latency of every reply in milliseconds
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// Up to this much more latency in milliseconds
    #[arg(long, default_value_t = 0)]
    jitter_ms: u64,
    /// Requests a second that each source admits, with a burst of as many; unlimited if absent
    #[arg(long)]
    rate: Option<f64>,
    /// The instant the providers live in, as RFC 3339; the present, moving on, if absent
    #[arg(long)]
    now: Option<DateTime<Utc>>,
    /// How many times faster than documented SP-API operations may be called
    #[arg(long, default_value_t = 1_000_000.0)]
    sp_speed: f64,
    /// Real milliseconds that an Apify run lasts
    #[arg(long, default_value_t = 0)]
    run_ms: u64,
    /// Stop after this many seconds
    #[arg(long, default_value_t = 3_600)]
    stop_after: u64,
}

fn schedule(name: &str) -> Result<Faults, String> {
    Faults::schedule(name).ok_or_else(|| "none, mild or rough".to_owned())
}

#[expect(clippy::disallowed_methods, reason = "a program of its own, without the clock of amzctl")]
fn present() -> DateTime<Utc> {
    Utc::now()
}

fn main() -> std::io::Result<()> {
    let args = Args::parse();
    let simulator = Simulator::start(Config {
        port: args.port,
        seed: args.seed,
        now: args.now.unwrap_or_else(present),
        clock_runs: args.now.is_none(),
        faults: args.faults,
        latency: Latency { base_ms: args.latency_ms, jitter_ms: args.jitter_ms },
        quota: args.rate.map(|rate| Quota { per_second: rate, burst: rate.max(1.0) }),
        sp_speed: args.sp_speed,
        run_ms: args.run_ms,
        ..Config::default()
    })?;
    println!("listening on http://{} (ledger at /_sim/ledger)", simulator.addr);
    std::thread::sleep(Duration::from_secs(args.stop_after));
    Ok(())
}
