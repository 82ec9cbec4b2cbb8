//! A folder of its own, an empty environment and a clock that stands still for every test.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use amzctl::cancel::CancelToken;
use amzctl::lock::{Holder, RunLock};
use assert_cmd::cargo::CommandCargoExt as _;
use tempfile::TempDir;

/// What every command sees as now.
pub(crate) const NOW: &str = "2026-03-01T12:00:00Z";

pub(crate) struct Sandbox {
    folder: TempDir,
    /// What the environment says besides.
    variables: Vec<(&'static str, String)>,
}

impl Sandbox {
    /// An empty folder.
    pub(crate) fn empty() -> Sandbox {
        Sandbox { folder: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    /// An empty folder, and a server's database.
    pub(crate) fn empty_on(url: &str) -> Sandbox {
        Sandbox::empty().with("AMZCTL_STORE__URL", url)
    }

    /// The same, with a variable set for every command.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Sandbox {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// A folder in which `init` was run.
    pub(crate) fn initialised() -> Sandbox {
        Sandbox::initialised_in(&std::env::temp_dir())
    }

    /// The same, below `parent`.
    pub(crate) fn initialised_in(parent: &Path) -> Sandbox {
        let sandbox = Sandbox { folder: tempfile::tempdir_in(parent).unwrap(), variables: Vec::new() };
        sandbox.succeed("init -q");
        sandbox
    }

    /// An initialised folder that is judged by the rule set `plain`.
    pub(crate) fn at_first_sight() -> Sandbox {
        Sandbox::initialised().with("AMZCTL_ALERTS__RULES", "plain")
    }

    /// Five days of a cohort: a main product whose price falls on the last day, a rival that was not seen on one, and
    /// one that is sold out. The main product's ASIN is also sold in the UK. It is judged at first sight, and
    /// nothing is delivered yet.
    pub(crate) fn with_market() -> Sandbox {
        let sandbox = Sandbox::at_first_sight();
        sandbox.write("market.csv", market());
        sandbox.succeed("watch add -q US:B0FDKB341G US:B0FM2YDLHP US:B0FCL55CFF");
        sandbox.succeed("cohort set -q earbuds US:B0FDKB341G US:B0FM2YDLHP US:B0FCL55CFF");
        sandbox.succeed("run -q --no-deliver market.csv");
        sandbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The command with its arguments, separated by spaces, ready to be changed.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::cargo_bin("amzctl").unwrap();
        command
            .args(line.split_whitespace())
            .env_clear()
            .env("AMZCTL_NOW", NOW)
            .env("HOME", self.folder.path())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path());
        command
    }

    /// The same, run by another program: `setpriv …`, `sh -c …`.
    pub(crate) fn command_behind(&self, program: &[&str], line: &str) -> Command {
        let inner = self.command(line);
        let mut command = Command::new(program[0]);
        command
            .args(&program[1..])
            .arg(inner.get_program())
            .args(inner.get_args())
            .env_clear()
            .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(self.folder.path());
        command
    }

    /// Runs a command line; its answer as one text.
    pub(crate) fn run(&self, line: &str) -> String {
        self.answer(&mut self.command(line))
    }

    /// Runs a command line with a variable set.
    pub(crate) fn run_with(&self, name: &str, value: &str, line: &str) -> String {
        self.answer(self.command(line).env(name, value))
    }

    /// Runs a command line with text on stdin.
    pub(crate) fn run_stdin(&self, stdin: &str, line: &str) -> String {
        let mut command = assert_cmd::Command::from_std(self.command(line));
        shown(&command.write_stdin(stdin).output().unwrap(), self.folder.path())
    }

    pub(crate) fn answer(&self, command: &mut Command) -> String {
        shown(&command.output().unwrap(), self.folder.path())
    }

    /// Runs a command line that has to end with 0; its stdout.
    pub(crate) fn succeed(&self, line: &str) -> String {
        let output = self.command(line).output().unwrap();
        assert!(output.status.success(), "{line}: {}", shown(&output, self.folder.path()));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The exit code of a command line.
    pub(crate) fn exit_code(&self, line: &str) -> i32 {
        self.command(line).output().unwrap().status.code().unwrap()
    }

    /// The names of the files in the folder, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Holds the lock of a pipeline, as a run of this process would.
    pub(crate) fn hold(&self, pipeline: &str) -> RunLock {
        let holder = Holder::current(NOW.parse().unwrap(), "run");
        let cancel = CancelToken::default();
        RunLock::acquire(&self.path("amzctl.db"), pipeline, &holder, Duration::ZERO, &cancel).unwrap()
    }

    /// Runs statements on the database of `init`: a state that no command can bring about.
    pub(crate) fn sql(&self, statements: &str) {
        self.sql_in("amzctl.db", statements);
    }

    /// Runs statements on an embedded database of the folder.
    pub(crate) fn sql_in(&self, file: &str, statements: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            use sqlx::{ConnectOptions as _, Connection as _};
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.path(file));
            let mut connection = options.connect().await.unwrap();
            sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned())).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        });
    }
}

/// The flat table of [`Sandbox::with_market`].
pub(crate) fn market() -> String {
    let mut lines = String::from(
        "marketplace,asin,observed_at,price_minor,availability,seller_id,bsr,bsr_category,rating_centi,ratings_count,title\n",
    );
    for day in 24..=28 {
        let price = if day == 28 { 1999 } else { 2600 - day };
        let _ = writeln!(
            lines,
            "US,B0FDKB341G,2026-02-{day}T08:00:00Z,{price},in_stock,A1SHOP,{},Electronics,450,{},{TITLE}",
            100 + day,
            200 + day,
        );
        let _ =
            writeln!(lines, "UK,B0FDKB341G,2026-02-{day}T08:00:00Z,2399,in_stock,A1SHOP,,,440,90,Earbuds");
        let _ = writeln!(
            lines,
            "US,B0FCL55CFF,2026-02-{day}T08:00:00Z,,out_of_stock,,1900,Electronics,410,1200,Headphones"
        );
        if day != 26 {
            let _ = writeln!(
                lines,
                "US,B0FM2YDLHP,2026-02-{day}T08:00:00Z,2200,in_stock,A2SHOP,900,Electronics,430,80,Speaker"
            );
        }
    }
    lines
}

/// Half of its characters are two columns wide, and two of its words look like a verdict.
const TITLE: &str = "完全ワイヤレスイヤホン 電子雑音消去 cheaper ahead 最大三十六時間再生 防水 両耳 左右分離型 急速充電対応 Earbuds";

/// Exit code, stdout and stderr as one text; the sandbox's folder is `[FOLDER]`.
fn shown(output: &Output, folder: &Path) -> String {
    let mut text = match output.status.code() {
        Some(code) => format!("exit {code}\n"),
        None => format!("{}\n", output.status),
    };
    for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        if !bytes.is_empty() {
            let _ = write!(text, "--- {name}\n{}", String::from_utf8_lossy(bytes));
        }
    }
    let resolved = folder.canonicalize().unwrap();
    text.replace(&*resolved.to_string_lossy(), "[FOLDER]").replace(&*folder.to_string_lossy(), "[FOLDER]")
}

/// What differs from run to run, and what stands for it.
pub(crate) const FILTERS: &[(&str, &str)] = &[
    (r"\b[0-9a-f]{32}\b", "[ID]"),
    (r"pid \d+ on \S+,", "pid [PID] on [HOST],"),
    (r"(records|receipts) up to \d+", "$1 up to [COUNT]"),
    (r#"(size_bytes"?[:,] ?)\d+"#, "${1}[SIZE]"),
    (r"[\d.]+ [KMG]iB, schema", "[SIZE], schema"),
    // That of this amzctl; a test's own is 99.
    (r#"(schema[ _]version"?:? |than this amzctl knows \()\d\b"#, "${1}[SCHEMA]"),
    (r"[\d.]+ [KMG]iB at most", "[SIZE] at most"),
    (r#"("duration_ms":)\d+"#, "${1}[MS]"),
];

/// Compares an answer with the snapshot written in the test.
macro_rules! answers {
    ($answer:expr, @$snapshot:literal) => {
        insta::with_settings!({ filters => $crate::sandbox::FILTERS.to_vec() }, {
            insta::assert_snapshot!($answer, @$snapshot);
        })
    };
}
pub(crate) use answers;
