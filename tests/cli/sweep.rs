//! Kill -9 at named points and at random moments, start again, and end in the same state as a run that was never
//! killed: equal `verify --hash`, no alert and no delivery twice.
//!
//! Sizes: `AMZCTL_SWEEP=full` (`just soak`) or the small one. Every case prints its seed.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempDir;

use crate::server::fresh_database;

/// One market in a folder, ready to be run.
pub(crate) struct Market {
    folder: TempDir,
    /// Of a server's database; null: the embedded one.
    url: Option<String>,
}

/// What must not depend on how often a run was killed.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct EndState {
    hash: String,
    tables: String,
    /// Event ids in the file channel, in order of delivery.
    events: BTreeSet<String>,
    deliveries: usize,
}

impl Market {
    /// A seeded market of 10 products × 8 days with corrections, late data, a watchlist and cohorts.
    fn new(seed: u64) -> Market {
        Market::on(fresh_database(), seed)
    }

    /// The same, in a server's database.
    pub(crate) fn on(url: Option<String>, seed: u64) -> Market {
        let market = Market { folder: tempfile::tempdir().unwrap(), url };
        market.ok(&["init"]);
        let seed = seed.to_string();
        market.ok(&[
            "gen",
            "--out",
            "data",
            "--products",
            "10",
            "--days",
            "8",
            "--start",
            "2026-02-26",
            "--seed",
            &seed,
            "--marketplaces",
            "US,JP",
            "--cohorts",
            "--late",
        ]);
        market.ok(&["watch", "import", "data/lists/watchlist.csv"]);
        market.ok(&["cohort", "import", "data/lists/roles-US.csv", "--marketplace", "US"]);
        market.ok(&["cohort", "import", "data/lists/roles-JP.csv", "--marketplace", "JP"]);
        market
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_amzctl"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("AMZCTL_NOW", "2026-03-05T20:00:00Z")
            // So that there is something to tell.
            .env("AMZCTL_ALERTS__RULES", "plain")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(url) = &self.url {
            command.env("AMZCTL_STORE__URL", url);
        }
        command
    }

    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let code = output.status.code();
        assert!(
            // 3: some generated records are meant for quarantine.
            matches!(code, Some(0 | 3)),
            "amzctl {arguments:?} ended with {code:?}:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Six days, then all of them with what came late, so that alerts are judged on top of a mart; then a report.
    fn stages(&self) -> [Vec<&'static str>; 3] {
        let days = [
            "data/2026-02-26",
            "data/2026-02-27",
            "data/2026-02-28",
            "data/2026-03-01",
            "data/2026-03-02",
            "data/2026-03-03",
        ];
        [
            [&["run"], &days[..]].concat(),
            vec!["run", "data/2026*", "data/late"],
            vec!["report", "--watchlist", "--format", "html", "-o", "report.html"],
        ]
    }

    fn run_to_the_end(&self) {
        for stage in self.stages() {
            self.ok(&stage);
        }
    }

    pub(crate) fn end_state(&self) -> EndState {
        let lake = self.command(&["verify", "--lake"]).output().unwrap();
        let said = String::from_utf8_lossy(&lake.stderr);
        assert!(lake.status.success() && !said.contains("Delta log of"), "the lake is not whole: {said}");
        let tables = self.ok(&["verify", "--hash", "--tables"]);
        let file = std::fs::read_to_string(self.path("alerts.ndjson")).unwrap_or_default();
        let events: Vec<String> = file
            .lines()
            .map(|line| {
                let event: serde_json::Value = serde_json::from_str(line).expect("a delivered line is whole");
                event["event_id"].as_str().expect("an event has an id").to_owned()
            })
            .collect();
        EndState {
            hash: tables.lines().last().unwrap_or_default().to_owned(),
            deliveries: events.len(),
            events: events.into_iter().collect(),
            tables,
        }
    }

    /// Every row of every table with all its columns, sorted; without the ledger of runs and of reports, which a second
    /// run adds to.
    fn all_rows(&self) -> Vec<String> {
        if self.url.is_some() {
            return Vec::new();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.path("amzctl.db"));
            let mut connection = options.connect().await.unwrap();
            let tables: Vec<(String, String)> = sqlx::query_as(
                "SELECT t.name, group_concat('quote(' || c.name || ')', ' || '','' || ')
                 FROM sqlite_schema t JOIN pragma_table_info(t.name) c
                 WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name NOT IN ('runs', 'reports')
                 GROUP BY t.name ORDER BY t.name",
            )
            .fetch_all(&mut connection)
            .await
            .unwrap();
            let mut rows = Vec::new();
            for (table, columns) in tables {
                let statement = format!("SELECT '{table}: ' || {columns} FROM {table} ORDER BY 1");
                let found: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
                    .fetch_all(&mut connection)
                    .await
                    .unwrap();
                rows.push(format!("{table}: {} rows", found.len()));
                rows.extend(found);
            }
            connection.close().await.unwrap();
            rows
        })
    }
}

pub(crate) fn assert_same(case: &str, killed: &EndState, whole: &EndState) {
    assert_eq!(killed.deliveries, killed.events.len(), "{case}: an event was delivered twice");
    assert_eq!(killed.events, whole.events, "{case}: other events were delivered");
    assert_eq!(killed.tables, whole.tables, "{case}: another state");
}

fn was_killed(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt as _;
    status.signal() == Some(9)
}

pub(crate) fn is_full() -> bool {
    std::env::var("AMZCTL_SWEEP").is_ok_and(|size| size == "full")
}

/// SplitMix64: the seed printed with a case repeats it.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

#[test]
#[cfg(feature = "failpoints")]
fn a_kill_at_any_named_point_ends_in_the_same_state() {
    let whole = {
        let market = Market::new(7);
        market.run_to_the_end();
        market.end_state()
    };
    let hits: &[u32] = if is_full() { &[1, 2, 3, 5, 8] } else { &[1] };
    let mut never_reached = Vec::new();
    // Points of asking providers are passed by `live::sweep`, those of looking after the database by `db` and `db_copy`.
    let elsewhere = ["fetch.", "backup.", "restore.", "retention.", "copy."];
    let names =
        amzctl::failpoint::ALL.iter().filter(|name| !elsewhere.iter().any(|prefix| name.starts_with(prefix)));
    for name in names {
        let mut kills = 0;
        for hit in hits {
            let market = Market::new(7);
            for arguments in market.stages() {
                let status = market
                    .command(&arguments)
                    .env("AMZCTL_FAILPOINT", format!("{name}:{hit}"))
                    .output()
                    .unwrap()
                    .status;
                if was_killed(status) {
                    kills += 1;
                    // A second kill, while what the first left behind is taken up again.
                    market.command(&arguments).env("AMZCTL_FAILPOINT", format!("{name}:1")).output().unwrap();
                }
                market.ok(&arguments);
            }
            assert_same(&format!("{name}:{hit}"), &market.end_state(), &whole);
        }
        if kills == 0 {
            never_reached.push(*name);
        }
    }
    assert!(never_reached.is_empty(), "named points that no run passes: {never_reached:?}");
}

#[test]
fn a_kill_at_any_moment_ends_in_the_same_state() {
    let (market_seed, kill_seed) = (7, 20_260_305);
    let mut usual = Vec::new();
    let whole = {
        let market = Market::new(market_seed);
        for stage in market.stages() {
            let started = Instant::now();
            market.ok(&stage);
            usual.push(started.elapsed());
        }
        market.end_state()
    };
    assert!(!whole.events.is_empty(), "the market gives nothing to deliver");
    let kills = if is_full() { 200 } else { 20 };
    let mut random = Random(kill_seed);
    let mut landed = 0;
    for case in 0..kills {
        let market = Market::new(market_seed);
        for (arguments, usual) in market.stages().iter().zip(&usual) {
            let mut child =
                market.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let wait = Duration::from_micros(random.below(usual.as_micros() as u64));
            std::thread::sleep(wait);
            // The process may have ended by itself.
            let _ = child.kill();
            landed += usize::from(was_killed(child.wait().unwrap()));
            market.ok(arguments);
        }
        assert_same(&format!("kill {case} of seed {kill_seed}"), &market.end_state(), &whole);
    }
    println!("{landed} of {} kills landed while the program ran (seed {kill_seed})", 3 * kills);
    // Three a market, each within its stage's usual time: a third is far below what lands.
    assert!(landed >= kills, "only {landed} kills came while the program ran");
}

#[test]
fn a_second_run_changes_nothing() {
    let market = Market::new(11);
    market.run_to_the_end();
    let (before, rows) = (market.end_state(), market.all_rows());
    market.run_to_the_end();
    assert_same("second run", &market.end_state(), &before);
    for (before, after) in rows.iter().zip(&market.all_rows()) {
        assert_eq!(after, before, "second run");
    }
}
