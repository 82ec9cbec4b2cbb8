//! Named crash points. With the feature `failpoints`, `AMZCTL_FAILPOINT=name:k` kills the process with SIGKILL at
//! the k-th time `name` is passed, or, where `AMZCTL_FAILPOINT_PAUSE` names a folder, lets it wait there; without the
//! feature the macro is nothing.

/// Dies here when the environment asks for it: `failpoint!("ingest.before_commit")`.
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        $crate::failpoint::pass($name);
    };
}

/// Every name in the code, for the kill sweep.
pub const ALL: &[&str] = &[
    "alert.after_commit",
    "alert.before_commit",
    "backup.before_rename",
    "compare.after_publish",
    "compare.before_publish",
    "copy.after_begin",
    "copy.after_chunk",
    "copy.after_end",
    "copy.before_chunk",
    "copy.before_end",
    "copy.before_verify",
    "copy.inside_chunk",
    "deliver.after_claim",
    "deliver.after_mark",
    "deliver.after_send",
    "fetch.after_commit",
    "fetch.after_job",
    "fetch.after_send",
    "fetch.before_commit",
    "fetch.before_job",
    "fetch.before_send",
    "fetch.inside_commit",
    "ingest.after_commit",
    "ingest.after_file",
    "ingest.before_commit",
    "ingest.before_file",
    "ingest.inside_commit",
    "lake.after_delta",
    "lake.after_publish",
    "lake.after_rename",
    "lake.after_write",
    "lake.before_delta",
    "lake.before_publish",
    "lake.before_rename",
    "lake.inside_delta",
    "mart.after_publish",
    "mart.after_write",
    "mart.before_publish",
    "normalize.after_commit",
    "normalize.before_commit",
    "normalize.before_incidents",
    "report.after_record",
    "report.before_record",
    "report.before_write",
    "restore.before_rename",
    "retention.after_commit",
    "retention.before_commit",
    "store.inside_write",
];

#[cfg(feature = "failpoints")]
pub fn pass(name: &str) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static PASSED: AtomicU64 = AtomicU64::new(0);

    debug_assert!(ALL.contains(&name), "failpoint `{name}` is missing from failpoint::ALL");
    let Ok(wanted) = std::env::var("AMZCTL_FAILPOINT") else { return };
    let (wanted_name, hit) = wanted.split_once(':').unwrap_or((&wanted, "1"));
    if wanted_name == name && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == hit.parse().unwrap_or(1) {
        match std::env::var_os("AMZCTL_FAILPOINT_PAUSE") {
            Some(folder) => pause(std::path::Path::new(&folder)),
            None => kill_self(),
        }
    }
}

/// Makes the file `reached` in the folder, and goes on when somebody has made `go`; nobody is waited for without end.
#[cfg(feature = "failpoints")]
fn pause(folder: &std::path::Path) {
    use std::time::{Duration, Instant};

    let _ = std::fs::write(folder.join("reached"), "");
    let began = Instant::now();
    while !folder.join("go").exists() {
        if began.elapsed() > Duration::from_secs(120) {
            kill_self();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(feature = "failpoints")]
fn kill_self() -> ! {
    // A signal from the shell's `kill` rather than libc: no unsafe code for a test aid.
    let _ = std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
    std::process::abort();
}
