//! Memory of an ingest does not grow with the file. Too slow for every `cargo test`: run it with
//! `cargo test --test ingest_memory -- --ignored`; `AMZCTL_SOAK_MIB=2048` adds a file of that size.

#![expect(clippy::print_stderr, reason = "a measurement says what it measured")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const MIB: u64 = 1 << 20;
/// How much the peaks of a 256 MiB and a 512 MiB file may differ: both fill SQLite's page cache, which is bounded.
const GROWTH_KIB: u64 = 15 * 1024;
/// The peak for a file of any size.
const PEAK_KIB: u64 = 200 * 1024;

/// NDJSON of at least `size` bytes: records of 2 to 22 kB, no two alike, that compress about as product pages do.
fn write_lines(path: &Path, size: u64) {
    const WORDS: [&str; 8] = ["earbuds", "wireless", "noise", "battery", "case", "bass", "USB-C", "black"];
    let mut out = BufWriter::new(File::create(path).expect("the file can be made"));
    let (mut written, mut state, mut record) = (0, 1_u64, 0);
    while written < size {
        let mut text = String::new();
        for _ in 0..300 + record % 2500 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text += WORDS[(state >> 61) as usize];
            text.push(' ');
        }
        let line = format!("{{\"asin\":\"B{record:09}\",\"n\":{state},\"text\":\"{text}\"}}\n");
        out.write_all(line.as_bytes()).expect("the disk has room");
        written += line.len() as u64;
        record += 1;
    }
    out.flush().expect("the disk has room");
}

/// Ingests a fresh file of `size` bytes into a fresh database; the process's peak memory in KiB.
fn peak_kib(size: u64) -> u64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let amzctl = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amzctl"));
        command.args(arguments).current_dir(folder.path()).stderr(Stdio::null());
        command
    };
    assert!(amzctl(&["init", "-q"]).status().expect("init runs").success());
    let path = folder.path().join("2025-09-11.ndjson");
    write_lines(&path, size);

    let mut child = amzctl(&["ingest", "2025-09-11.ndjson", "-q"]).spawn().expect("ingest starts");
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let status = loop {
        let status = std::fs::read_to_string(&status_file).unwrap_or_default();
        let high_water = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = high_water.and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok());
        peak = kib.unwrap_or(peak).max(peak);
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            break status;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success(), "ingest of {} MiB ended with {status}", size / MIB);
    peak
}

#[test]
#[ignore = "reads 768 MiB; tests/run and tests/soak call it"]
fn peak_memory_does_not_depend_on_the_size_of_the_file() {
    let small = peak_kib(256 * MIB);
    let large = peak_kib(512 * MIB);
    eprintln!("peak: {small} KiB for 256 MiB, {large} KiB for 512 MiB");
    assert!(large < small + GROWTH_KIB, "{large} KiB against {small} KiB");
    assert!(large < PEAK_KIB);
}

#[test]
#[ignore = "reads as many MiB as AMZCTL_SOAK_MIB says"]
fn a_file_of_any_size_is_read_in_bounded_memory() {
    let Some(mib) = std::env::var("AMZCTL_SOAK_MIB").ok().and_then(|text| text.parse::<u64>().ok()) else {
        eprintln!("skipped: AMZCTL_SOAK_MIB is not set");
        return;
    };
    let peak = peak_kib(mib * MIB);
    eprintln!("peak: {peak} KiB for {mib} MiB");
    assert!(peak < PEAK_KIB, "{peak} KiB");
}
