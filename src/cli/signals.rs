//! SIGINT and SIGTERM ask for a clean stop, a second one ends at once; SIGHUP reopens the log file.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::context::Context;
use crate::error::Outcome;
use crate::logging::LogFile;

/// Starts to listen. Where nobody looks at the cancel token, the first signal ends the program: every commit is
/// whole, so nothing is lost.
pub(super) fn watch(context: &Context, log: Option<LogFile>) -> anyhow::Result<()> {
    let listen = |kind| signal(kind).context("failed to listen for signals");
    let mut interrupt: Signal = listen(SignalKind::interrupt())?;
    let mut terminate: Signal = listen(SignalKind::terminate())?;
    // Without a log file SIGHUP keeps its meaning: the end, or nothing under nohup.
    let mut hang_up = log.as_ref().map(|_| listen(SignalKind::hangup())).transpose()?;
    let context = context.clone();
    tokio::spawn(async move {
        loop {
            let reason = tokio::select! {
                _ = interrupt.recv() => Outcome::Interrupted,
                _ = terminate.recv() => Outcome::Terminated,
                () = next(&mut hang_up) => {
                    if let Some(log) = &log {
                        log.reopen();
                    }
                    continue;
                }
            };
            if !context.request_stop(reason) {
                end_at_once(reason.exit_code().into());
            }
            context.ui.note("stopping after the current step; once more ends at once");
        }
    });
    Ok(())
}

/// The next signal; never, where none is listened for.
async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

#[expect(clippy::exit, reason = "a signal must end the program wherever it is")]
fn end_at_once(code: i32) -> ! {
    std::process::exit(code)
}
