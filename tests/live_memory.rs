//! Memory of asking providers grows little with the number of products that are due. Too slow for every `cargo test`:
//! run it with `cargo test --test live_memory -- --ignored`.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]
#![expect(clippy::print_stderr, reason = "a measurement says what it measured")]

#[path = "simulator/mod.rs"]
mod simulator;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use simulator::{Config, Simulator, Source};

/// Of the dev build, whose program alone is 57 MiB: 150 MB.
const PEAK_KIB: u64 = 146 * 1024;
/// How much the peak may grow from 25,000 to 100,000 products: the plan itself is in memory.
const GROWTH_KIB: u64 = 95 * 1024;

/// Watches so many products and asks Keepa for all of them; the process's peak memory in KiB.
fn peak_kib(products: usize) -> u64 {
    let config = Config { existing: 0.1, keepa_tokens: 10_000_000, ..Config::default() };
    let now = config.now.to_rfc3339();
    let simulator = Simulator::start(config).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let amzctl = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amzctl"));
        command
            .args(arguments)
            .current_dir(folder.path())
            .env("AMZCTL_NOW", &now)
            .env("KEEPA_API_KEY", &simulator.keys().keepa)
            .stderr(Stdio::null());
        command
    };
    assert!(amzctl(&["init", "-q"]).status().unwrap().success());
    let base = simulator.base_url(Source::Keepa);
    let settings = format!(
        "[store]\npath = \"amzctl.db\"\n[sources]\nchain = [\"keepa\"]\n[keepa]\nbase_url = \"{base}\"\n\
         requests_per_second = 10000.0\nburst = 10000\nconcurrency = 8\n"
    );
    std::fs::write(folder.path().join("amzctl.toml"), settings).unwrap();
    // Nine of ten are unknown: their answers are tiny.
    let mut asins = simulator.existing_asins("US", products / 10);
    asins.extend(simulator.missing_asins("US", products - asins.len()));
    std::fs::write(folder.path().join("watch.txt"), asins.join("\n")).unwrap();
    assert!(amzctl(&["watch", "add", "-q", "--marketplace", "US", "watch.txt"]).status().unwrap().success());

    let began = Instant::now();
    let mut child = amzctl(&["ingest", "-q"]).spawn().unwrap();
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let status = loop {
        let status = std::fs::read_to_string(&status_file).unwrap_or_default();
        let high_water = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = high_water.and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok());
        peak = kib.unwrap_or(peak).max(peak);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success(), "fetching {products} products ended with {status}");
    let requests = simulator.outcomes(Source::Keepa, "product");
    assert_eq!(requests, [("ok", products as u64 / 100)]);
    eprintln!("peak: {peak} KiB for {products} products, in {:?}", began.elapsed());
    peak
}

#[test]
#[ignore = "asks for 125,000 products; tests/run calls it"]
fn peak_memory_of_a_hundred_thousand_due_products_is_bounded() {
    let small = peak_kib(25_000);
    let large = peak_kib(100_000);
    assert!(large < small + GROWTH_KIB, "{large} KiB against {small} KiB");
    assert!(large < PEAK_KIB, "{large} KiB");
}
