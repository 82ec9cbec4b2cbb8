//! Times every stage of the pipeline on generated data and prints a markdown table: `cargo bench --bench pipeline`.
//!
//! Runs the built binary as a user would, one process a stage, in a temporary folder. Sizes come from the
//! environment: `AMZCTL_BENCH_PRODUCTS` (5000), `AMZCTL_BENCH_DAYS` (365), `AMZCTL_BENCH_PAYLOADS` (10000, the
//! 20-kB items for the normalize rate). `cargo bench --profile dev --bench pipeline` with small sizes is a quick check.
#![expect(clippy::print_stdout, reason = "the table is what a bench is for")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// The axesso items of the normalize mark are padded to this size.
const PAYLOAD_BYTES: u64 = 20_000;
/// How often a running stage is asked for its peak memory. The kernel keeps the peak, so only the last few
/// milliseconds of a stage can hide something.
const MEMORY_INTERVAL: Duration = Duration::from_millis(2);

fn main() -> anyhow::Result<()> {
    let sizes = Sizes::from_environment()?;
    let folder = tempfile::tempdir().context("failed to create a folder for the bench")?;
    let mut table = Table::default();
    backfill_and_daily(&sizes, &folder.path().join("market"), &mut table)?;
    normalize_rate(&sizes, &folder.path().join("payloads"), &mut table)?;
    println!("{}", table.render(&sizes));
    Ok(())
}

struct Sizes {
    products: u64,
    days: u64,
    payloads: u64,
}

impl Sizes {
    fn from_environment() -> anyhow::Result<Sizes> {
        let number = |name: &str, default: u64| match std::env::var(name) {
            Ok(text) => text.parse().with_context(|| format!("{name}={text} is not a number")),
            Err(_) => Ok(default),
        };
        let sizes = Sizes {
            products: number("AMZCTL_BENCH_PRODUCTS", 5_000)?,
            days: number("AMZCTL_BENCH_DAYS", 365)?,
            payloads: number("AMZCTL_BENCH_PAYLOADS", 10_000)?,
        };
        ensure!(
            sizes.products >= 12 && sizes.days >= 40 && sizes.payloads >= 10,
            "sizes too small to mean anything"
        );
        Ok(sizes)
    }
}

/// All days but the last at once, then the last as a nightly run would see it, then the readers.
fn backfill_and_daily(sizes: &Sizes, home: &Path, table: &mut Table) -> anyhow::Result<()> {
    let (data, newest) = (home.join("data"), home.join("newest"));
    fs::create_dir_all(home)?;
    let (products, days) = (sizes.products.to_string(), sizes.days.to_string());
    let generate =
        ["gen", "--out", "data", "--products", &products, "--days", &days, "--shape", "flat", "--cohorts"];
    amzctl(home, &generate)?;
    let last_day = day_folders(&data)?.pop().context("gen wrote no days")?;
    fs::create_dir_all(&newest)?;
    fs::rename(data.join(&last_day), newest.join(&last_day))?;
    amzctl(home, &["init"])?;
    amzctl(home, &["watch", "import", "data/lists/watchlist.csv"])?;
    amzctl(home, &["cohort", "import", "data/lists/roles-US.csv", "--marketplace", "US"])?;
    let cohort = first_cohort(&data.join("lists/roles-US.csv"))?;

    let (in_history, in_a_day) = (count_records(&data)?, count_records(&newest)?);
    let (history_rows, daily_rows) = (Some(in_history), Some(in_a_day));
    let mut stage = |name: &'static str,
                     arguments: &[&str],
                     rows: Option<u64>,
                     mark: Option<Mark>|
     -> anyhow::Result<()> {
        let run = amzctl(home, arguments)?;
        table.lines.push(Line { name, rows, run, mark });
        Ok(())
    };
    stage("ingest, history", &["ingest", "data/20*"], history_rows, None)?;
    stage("normalize, history", &["normalize"], history_rows, None)?;
    stage("build-mart, history to lake and mart", &["build-mart"], history_rows, None)?;
    let backfill = Some(Mark::AtMost(Duration::from_secs(10)));
    stage("build-mart --full", &["build-mart", "--full"], history_rows, backfill)?;
    stage("ingest, one day", &["ingest", "newest"], daily_rows, None)?;
    stage("normalize, one day", &["normalize"], daily_rows, None)?;
    stage("build-mart, one day", &["build-mart"], daily_rows, Some(Mark::AtMost(Duration::from_secs(1))))?;
    let cold = Some(Mark::AtMost(Duration::from_millis(100)));
    stage("compare, cold", &["compare", "--cohort", &cohort], None, cold)?;
    stage("alert run, the whole year", &["alert", "run"], Some(in_history + in_a_day), None)?;
    stage("report, one cohort", &["report", "--cohort", &cohort], None, None)?;
    table.input_bytes = size_of(&data)? + size_of(&newest)?;
    table.database_bytes = size_of_files(home, "amzctl.db")?;
    table.lake_bytes = size_of(&home.join("lake"))?;
    Ok(())
}

/// The rate at which real-sized provider items are normalized.
fn normalize_rate(sizes: &Sizes, home: &Path, table: &mut Table) -> anyhow::Result<()> {
    const DAYS: u64 = 10;
    fs::create_dir_all(home)?;
    let (products, days, bytes) =
        ((sizes.payloads / DAYS).max(1).to_string(), DAYS.to_string(), PAYLOAD_BYTES.to_string());
    let shape = ["--shape", "axesso", "--payload-bytes", &bytes];
    amzctl(
        home,
        &[&["gen", "--out", "data", "--products", &products, "--days", &days][..], &shape].concat(),
    )?;
    amzctl(home, &["init"])?;
    let rows = Some(count_records(&home.join("data"))?);
    let ingest = amzctl(home, &["ingest", "data/20*"])?;
    table.lines.push(Line { name: "ingest, 20-kB items", rows, run: ingest, mark: None });
    let normalize = amzctl(home, &["normalize"])?;
    let mark = Some(Mark::AtLeastPerSecond(2_000));
    table.lines.push(Line { name: "normalize, 20-kB items", rows, run: normalize, mark });
    Ok(())
}

/// How one process went.
struct Run {
    wall: Duration,
    peak_kib: u64,
}

/// Runs the binary in `home` and waits for it; anything but success ends the bench with what it said.
fn amzctl(home: &Path, arguments: &[&str]) -> anyhow::Result<Run> {
    let errors = home.join("stderr.txt");
    let started = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_amzctl"))
        .args(arguments)
        .args(["--no-progress", "--quiet"])
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(fs::File::create(home.join("stdout.txt"))?)
        .stderr(fs::File::create(&errors)?)
        .spawn()
        .context("failed to start amzctl")?;
    let mut peak_kib = 0;
    let status = loop {
        peak_kib = peak_kib.max(peak_memory_kib(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(MEMORY_INTERVAL);
    };
    let wall = started.elapsed();
    if !status.success() {
        bail!("amzctl {} ended with {status}:\n{}", arguments.join(" "), fs::read_to_string(&errors)?);
    }
    Ok(Run { wall, peak_kib })
}

/// `VmHWM` of a running process: the most memory it ever had resident.
fn peak_memory_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Names of the day folders in order.
fn day_folders(data: &Path) -> anyhow::Result<Vec<String>> {
    let names = fs::read_dir(data)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut days: Vec<String> = names.collect::<std::io::Result<_>>()?;
    days.retain(|name| name.starts_with("20"));
    days.sort();
    Ok(days)
}

/// Records in the generated files below a folder: lines without a CSV's header and a JSON array's brackets.
fn count_records(folder: &Path) -> anyhow::Result<u64> {
    let mut records = 0;
    for day in day_folders(folder)? {
        for entry in fs::read_dir(folder.join(day))? {
            let path = entry?.path();
            let lines = memchr::memchr_iter(b'\n', &fs::read(&path)?).count() as u64;
            let frame = match path.extension().and_then(|extension| extension.to_str()) {
                Some("csv") => 1,
                Some("json") => 2,
                _ => 0,
            };
            records += lines.saturating_sub(frame);
        }
    }
    Ok(records)
}

/// The cohort of the first main product in a roles file.
fn first_cohort(roles: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(roles)?;
    let main = text
        .lines()
        .find_map(|line| line.strip_suffix(",main"))
        .context("no main product in the roles file")?;
    Ok(format!("US-{main}"))
}

fn size_of(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("failed to list {}", folder.display()))? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                bytes += metadata.len();
            }
        }
    }
    Ok(bytes)
}

/// Bytes of the files of `folder` whose name starts with `prefix`: a database and its journal.
fn size_of_files(folder: &Path, prefix: &str) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

/// What a stage should reach.
enum Mark {
    AtMost(Duration),
    AtLeastPerSecond(u64),
}

struct Line {
    name: &'static str,
    /// Records that went in; null where that says nothing.
    rows: Option<u64>,
    run: Run,
    mark: Option<Mark>,
}

impl Line {
    fn per_second(&self) -> Option<f64> {
        self.rows.map(|rows| rows as f64 / self.run.wall.as_secs_f64().max(1e-6))
    }

    fn verdict(&self) -> String {
        let (text, met) = match self.mark {
            None => return String::new(),
            Some(Mark::AtMost(limit)) => (format!("≤ {} s", limit.as_secs_f64()), self.run.wall <= limit),
            Some(Mark::AtLeastPerSecond(rate)) => {
                (format!("≥ {rate} /s"), self.per_second() >= Some(rate as f64))
            }
        };
        format!("{text}: {}", if met { "met" } else { "missed" })
    }
}

#[derive(Default)]
struct Table {
    lines: Vec<Line>,
    input_bytes: u64,
    database_bytes: u64,
    lake_bytes: u64,
}

impl Table {
    fn render(&self, sizes: &Sizes) -> String {
        let mut text = format!(
            "{} products × {} days, {} items of 20 kB; {}\n\n\
             | stage | rows | seconds | rows/s | peak MiB | mark |\n| --- | ---: | ---: | ---: | ---: | --- |\n",
            sizes.products,
            sizes.days,
            sizes.payloads,
            machine()
        );
        for line in &self.lines {
            let _ = writeln!(
                text,
                "| {} | {} | {:.3} | {} | {} | {} |",
                line.name,
                line.rows.map(|rows| rows.to_string()).unwrap_or_default(),
                line.run.wall.as_secs_f64(),
                line.per_second().map(|rate| format!("{rate:.0}")).unwrap_or_default(),
                line.run.peak_kib / 1024,
                line.verdict()
            );
        }
        let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / 1_048_576.0);
        let _ = write!(
            text,
            "\nOn disk: input {}, database {}, lake {}.",
            mib(self.input_bytes),
            mib(self.database_bytes),
            mib(self.lake_bytes)
        );
        text
    }
}

/// Processor, cores, memory, kernel and build profile.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(PathBuf::from(path)).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
        line.map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = read("/proc/meminfo");
    let memory_kib: u64 =
        field(&memory, "MemTotal").split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
    let profile = if cfg!(debug_assertions) { "debug build" } else { "release build" };
    format!(
        "{}, {cores} cores, {} GiB, Linux {}, {profile}",
        field(&read("/proc/cpuinfo"), "model name"),
        memory_kib.div_ceil(1_048_576),
        read("/proc/sys/kernel/osrelease").trim()
    )
}
