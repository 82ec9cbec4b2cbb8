//! The channel type `exec`: a program that is started for every message, with its JSON on the standard input.
//! No shell reads the arguments, and the environment is clean: what the program gets is listed in
//! [`ExecNotifier::variables`].

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::address::{Address, addressed};
use super::body::body_of;
use super::told::Told;
use super::{Message, Notifier, NotifyError, Sending};
use crate::model::text::clean_text;

/// The exit status by which a program refuses a message for good: `EX_DATAERR`.
pub(super) const REFUSED_STATUS: i32 = 65;
/// How much of what the program says is kept.
const QUOTED_CHARS: usize = 200;
const READ_BYTES: u64 = 8 << 10;

/// Starts one program a message.
#[derive(Debug)]
pub struct ExecNotifier {
    address: Address,
    command: Vec<String>,
    /// Variables of amzctl's own environment that are passed on.
    passed: Vec<(String, String)>,
    timeout: Duration,
}

impl ExecNotifier {
    pub fn new(
        address: Address,
        command: Vec<String>,
        passed: Vec<(String, String)>,
        timeout: Duration,
    ) -> ExecNotifier {
        ExecNotifier { address, command, passed, timeout }
    }

    /// What the program's environment is besides what is passed on.
    fn variables(&self, message: &Message) -> Vec<(&'static str, String)> {
        let told = Told::of(message);
        let event_type = told.events.first().map_or("", |event| event.event_type.as_str());
        vec![
            ("AMZCTL_CHANNEL", self.address.channel.clone()),
            ("AMZCTL_MESSAGE_ID", message.message_id.clone()),
            ("AMZCTL_EVENTS", message.events.len().to_string()),
            ("AMZCTL_EVENT_TYPE", event_type.to_owned()),
            ("AMZCTL_SEVERITY", told.worst),
            ("AMZCTL_SUBJECT", told.subject),
            ("AMZCTL_LANGUAGE", message.language.as_str().to_owned()),
            ("AMZCTL_MAYBE_SENT", if message.maybe_sent { "1" } else { "0" }.to_owned()),
        ]
    }

    async fn run(&self, message: &Message) -> Result<(), NotifyError> {
        let body = body_of(message)?;
        let [program, arguments @ ..] = self.command.as_slice() else {
            return Err(NotifyError::misconfigured("`command` is empty"));
        };
        let spawned = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(self.passed.iter().map(|(name, value)| (name, value)))
            .envs(self.variables(message))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let child =
            spawned.map_err(|error| NotifyError::later(format!("cannot start {program}: {error}")))?;
        match tokio::time::timeout(self.timeout, finish(child, &body)).await {
            Ok(Ok((status, said))) => judge(program, status, &said),
            Ok(Err(error)) => Err(NotifyError::unknown(format!("cannot wait for {program}: {error}"))),
            // Dropping it ended it.
            Err(_) => {
                let seconds = self.timeout.as_secs();
                Err(NotifyError::unknown(format!("{program} was ended: not done within {seconds} s")))
            }
        }
    }
}

/// Gives the program its input, and waits; what it said goes with its status.
async fn finish(mut child: Child, body: &str) -> std::io::Result<(ExitStatus, String)> {
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A program that does not want to read it all has its reasons.
            let _ = stdin.write_all(body.as_bytes()).await;
            let _ = stdin.write_all(b"\n").await;
        }
    };
    let mut said = Vec::new();
    let read = async {
        if let Some(stderr) = stderr {
            let _ = stderr.take(READ_BYTES).read_to_end(&mut said).await;
        }
    };
    let status = {
        // What the program leaves running may keep its pipes open; its own end is what counts.
        let io = async { tokio::join!(write, read) };
        tokio::pin!(io);
        tokio::select! {
            status = child.wait() => {
                let _ = tokio::time::timeout(LINGER, &mut io).await;
                status
            }
            _ = &mut io => child.wait().await,
        }
    };
    Ok((status?, String::from_utf8_lossy(&said).into_owned()))
}

/// A program that has ended may have said something that is still on its way here.
const LINGER: Duration = Duration::from_millis(200);

fn judge(program: &str, status: ExitStatus, said: &str) -> Result<(), NotifyError> {
    if status.success() {
        return Ok(());
    }
    let said: String = clean_text(said).chars().take(QUOTED_CHARS).collect();
    let joint = if said.is_empty() { "" } else { ": " };
    let detail = format!("{program} ended with {status}{joint}{said}");
    Err(match status.code() {
        Some(REFUSED_STATUS) => NotifyError::refused(detail),
        _ => NotifyError::later(detail),
    })
}

impl Notifier for ExecNotifier {
    addressed!();

    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        Box::pin(self.run(message))
    }
}
