//! A PostgreSQL server of a test's own, which it may restart, starve and kill; and how programs run that refuse root.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The account of Debian's packages; programs run as it where a test runs as root.
const ACCOUNT: &str = "postgres";

fn is_root() -> bool {
    id(&["-u"]) == 0
}

fn id(arguments: &[&str]) -> u32 {
    let output = Command::new("id").args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// A server refuses to run as root.
pub(super) fn as_server(command: &mut Command) -> &mut Command {
    if is_root() {
        command.uid(id(&["-u", ACCOUNT])).gid(id(&["-g", ACCOUNT]));
    }
    command
}

/// Lets the account of servers write into a folder.
pub(super) fn given_to_server(folder: &Path) {
    if is_root() {
        assert!(Command::new("chown").arg("-R").arg(ACCOUNT).arg(folder).status().unwrap().success());
    }
}

/// A cluster in a folder of its own; it goes with the test.
pub(super) struct OwnServer {
    folder: TempDir,
    bin: PathBuf,
    settings: Vec<String>,
}

impl OwnServer {
    /// A server that listens on its socket, with these settings (`name=value`). Null where the tests of servers are
    /// skipped.
    pub(super) fn start(settings: &[&str]) -> Option<OwnServer> {
        let bin = glob::glob("/usr/lib/postgresql/*/bin").unwrap().flatten().max();
        let (Some(bin), Ok(_)) = (bin, std::env::var("AMZCTL_TEST_DATABASE_URL")) else {
            println!("no server is named by AMZCTL_TEST_DATABASE_URL, or none is installed: skipped");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        given_to_server(folder.path());
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let server = OwnServer { folder, bin, settings };
        server.run(
            "initdb",
            &[
                "--auth=trust",
                "--username=postgres",
                "--locale=C.UTF-8",
                "--encoding=UTF8",
                "--no-sync",
                "--wal-segsize=1",
            ],
        );
        Some(server)
    }

    /// What lies in its folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn up(&self) {
        self.up_within(None);
    }

    /// Starts it; no file of it grows beyond so many bytes.
    pub(super) fn up_within(&self, file_bytes: Option<u64>) {
        let socket = self.folder.path().display();
        let mut options = format!("-k {socket} -c listen_addresses='' -c fsync=off -c full_page_writes=off");
        for setting in &self.settings {
            options.push_str(&format!(" -c {setting}"));
        }
        let log = self.path("log").display().to_string();
        let arguments = ["start", "--silent", "--wait", "--log", &log, "--options", &options];
        match file_bytes {
            None => self.run("pg_ctl", &arguments),
            Some(bytes) => {
                let mut command = Command::new("prlimit");
                command.arg(format!("--fsize={bytes}")).arg(self.bin.join("pg_ctl"));
                self.finish(&mut command, &arguments);
            }
        }
    }

    /// As a crash: what was committed is there when it comes up again.
    pub(super) fn down(&self) {
        self.run("pg_ctl", &["stop", "--silent", "--mode=immediate"]);
    }

    /// Runs one of the server's programs to its end.
    fn run(&self, program: &str, arguments: &[&str]) {
        self.finish(&mut Command::new(self.bin.join(program)), arguments);
    }

    fn finish(&self, command: &mut Command, arguments: &[&str]) {
        as_server(command).args(arguments).env("PGDATA", self.path("data")).current_dir(self.folder.path());
        // Whoever starts a server and waits for the end of its output waits for the server.
        let status =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        assert!(status.success(), "{arguments:?}: {status}; {log}");
    }

    /// A database of it, reached through its socket.
    pub(super) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@localhost/{database}?host={}", self.folder.path().display())
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        let mut command = Command::new(self.bin.join("pg_ctl"));
        let stop = as_server(&mut command).args(["stop", "--silent", "--mode=immediate", "--pgdata"]);
        // One that a test has stopped is gone.
        let _ = stop.arg(self.path("data")).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}
