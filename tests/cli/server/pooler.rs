//! Behind PgBouncer in transaction mode: few connections to the server for many clients, another one for each transaction.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;

use super::own::{as_server, given_to_server};
use super::{attempt, fresh_database, holder, on_server, take_in};
use crate::sandbox::Sandbox;

const PROGRAM: &str = "/usr/sbin/pgbouncer";
/// How long the pooler may take until it answers.
const START: Duration = Duration::from_secs(30);

/// A pooler of the test's own before the server that is named for tests.
struct Pooler {
    program: Child,
    /// Of its database behind the pooler.
    url: String,
    _folder: tempfile::TempDir,
}

impl Pooler {
    /// Before the database of `url`, with `size` connections for all clients; `settings` are lines of its configuration.
    ///
    /// Transactions take these connections in turn: one that needs what an earlier one left behind fails soon.
    fn before(url: &str, size: u32, settings: &str) -> Option<Pooler> {
        if !PathBuf::from(PROGRAM).exists() {
            println!("{PROGRAM} is not here (Debian's package pgbouncer): skipped");
            return None;
        }
        let server: PgConnectOptions = url.parse().unwrap();
        let (host, database) = (server.get_host(), server.get_database().unwrap());
        let host = server.get_socket().map_or(host.to_owned(), |socket| socket.display().to_string());
        let (user, port) = (server.get_username(), server.get_port());
        let password = url.split_once('@').and_then(|(user, _)| user.split("//").nth(1)?.split_once(':'));
        let password = password.map_or("", |(_, password)| password);

        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let within = |name: &str| folder.path().join(name);
        std::fs::write(within("users"), format!("\"{user}\" \"{password}\"\n")).unwrap();
        std::fs::write(
            within("ini"),
            format!(
                "[databases]\n{database} = host={host} port={port} dbname={database}\n\
                 [pgbouncer]\nlisten_addr =\nunix_socket_dir = {folder}\nlisten_port = 6432\n\
                 auth_type = trust\nauth_file = {folder}/users\nlogfile = {folder}/log\n\
                 pool_mode = transaction\ndefault_pool_size = {size}\nserver_round_robin = 1\n\
                 max_client_conn = 500\n{settings}\n",
                folder = folder.path().display()
            ),
        )
        .unwrap();
        given_to_server(folder.path());
        let program = as_server(Command::new(PROGRAM).arg("-q").arg(within("ini")))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("postgres://{user}@localhost:6432/{database}?host={}", folder.path().display());
        let pooler = Pooler { program, url, _folder: folder };
        let began = Instant::now();
        while let Err(error) = attempt(pooler.options(), "SELECT 1") {
            assert!(began.elapsed() < START, "the pooler does not answer: {error}");
            std::thread::yield_now();
        }
        Some(pooler)
    }

    fn options(&self) -> PgConnectOptions {
        self.url.parse::<PgConnectOptions>().unwrap().extra_float_digits(None)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // One that has ended by itself is gone.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// What several clients ask for at once.
const QUESTIONS: [&str; 8] = [
    "export daily --format csv",
    "export rollups --format ndjson",
    "verify --hash --tables",
    "export deltas --format csv",
    "quarantine list --format csv --fields reason,field,marketplace,asin",
    "export observations --format ndjson",
    "report --watchlist --format markdown --dry-run",
    "export comparisons --format csv",
];

/// Asks everything several times at once, while another process writes, and compares with what is answered directly.
fn many_at_once(pooled: &Sandbox, direct: &Sandbox) {
    let expected = QUESTIONS.map(|line| direct.command(line).output().unwrap());
    // Into files: whoever stops reading an answer keeps its connection.
    let spawn = |name: &str, line: &str| {
        let file = |end: &str| std::fs::File::create(pooled.path(&format!("{name}.{end}"))).unwrap();
        let mut command = pooled.command(line);
        command.stdin(Stdio::null()).stdout(file("out")).stderr(file("err")).spawn().unwrap()
    };
    let mut writer = spawn("writer", "normalize --replay");
    let asked: Vec<(String, usize, Child)> = (0..3 * QUESTIONS.len())
        .map(|number| (format!("reader{number}"), number % QUESTIONS.len()))
        .map(|(name, place)| (name.clone(), place, spawn(&name, QUESTIONS[place])))
        .collect();
    for (name, place, mut child) in asked {
        let status = child.wait().unwrap();
        let (line, expected) = (QUESTIONS[place], &expected[place]);
        assert_eq!(status, expected.status, "{line}: {}", pooled.read(&format!("{name}.err")));
        assert!(pooled.read(&format!("{name}.out")).as_bytes() == expected.stdout, "{line}: another answer");
    }
    assert!(writer.wait().unwrap().success(), "{}", pooled.read("writer.err"));
}

#[test]
fn the_whole_chain_behind_a_pooler_ends_in_the_same_state() {
    let Some(url) = fresh_database() else {
        println!("no server is named by AMZCTL_TEST_DATABASE_URL: skipped");
        return;
    };
    let Some(pooler) = Pooler::before(&url, 4, "") else { return };
    let pooled = Sandbox::empty_on(&pooler.url).with("AMZCTL_STORE__POOL_MODE", "transaction");
    pooled.succeed("init -q");
    take_in(&pooled);
    let embedded = Sandbox::at_first_sight();
    take_in(&embedded);
    for line in
        ["verify --hash --tables", "export alerts --format csv", "report --watchlist --format markdown"]
    {
        assert_eq!(pooled.run(line), embedded.run(line), "{line}");
    }
    for line in ["verify", "build-mart -q --full", "alert run -q"] {
        pooled.succeed(line);
    }
    let direct = Sandbox::empty_on(&url).with("AMZCTL_LAKE__ROOT", &pooled.path("lake").to_string_lossy());
    many_at_once(&pooled, &direct);
    assert_eq!(pooled.run("verify --hash"), embedded.run("verify --hash"));
}

#[test]
fn a_pooler_that_nobody_spoke_of_is_noticed() {
    // One that refuses what it does not know at the start, and one that was told to overlook it.
    for settings in ["", "ignore_startup_parameters = extra_float_digits"] {
        let Some((direct, url)) = on_server() else { return };
        take_in(&direct);
        let Some(pooler) = Pooler::before(&url, 2, settings) else { return };
        let pooled =
            Sandbox::empty_on(&pooler.url).with("AMZCTL_LAKE__ROOT", &direct.path("lake").to_string_lossy());
        many_at_once(&pooled, &direct);
    }
}

#[test]
fn a_lease_holds_behind_a_pooler() {
    let Some((_, url)) = on_server() else { return };
    let Some(pooler) = Pooler::before(&url, 1, "") else { return };
    let sandbox = Sandbox::empty_on(&pooler.url).with("AMZCTL_STORE__POOL_MODE", "transaction");
    // In no transaction meanwhile: one connection serves both.
    let mut holder = holder(&sandbox);
    drop(holder.stdin.take());
    holder.wait().unwrap();
    sandbox.succeed("normalize -q");
}
