//! The channel `file`: events appended to an NDJSON file, each exactly once, also across kills.
//!
//! Lines are appended and made durable before an event counts as sent. When an earlier attempt may have
//! written a message, its events are looked for in the file first; a torn last line, left by a process that
//! died while writing, is taken away before anything is appended. Needs to be the only writer of the file:
//! delivering holds a lock.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{EVENT_SCHEMA, Event, Message, Notifier, NotifyError, Sending};

/// Events per write, fsync and record in the database.
const BATCH: usize = 200;

/// How every line begins that this channel writes: what tells a torn line of its own from somebody else's.
fn line_start() -> String {
    format!("{{\"schema\":\"{EVENT_SCHEMA}\"")
}

/// Appends events to one file.
#[derive(Debug)]
pub struct FileNotifier {
    /// As configured: the same wherever the program is started from.
    recipient: String,
    path: PathBuf,
}

impl FileNotifier {
    /// Its name in deliveries.
    pub const CHANNEL: &'static str = "file";

    /// `recipient` is the path as the configuration has it, `path` where it leads.
    pub fn new(recipient: impl Into<String>, path: impl Into<PathBuf>) -> FileNotifier {
        FileNotifier { recipient: recipient.into(), path: path.into() }
    }
}

impl Notifier for FileNotifier {
    fn channel(&self) -> &str {
        FileNotifier::CHANNEL
    }

    fn recipient(&self) -> &str {
        &self.recipient
    }

    fn most_events(&self) -> usize {
        BATCH
    }

    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        let path = self.path.clone();
        let (events, maybe_sent) = (message.events.clone(), message.maybe_sent);
        Box::pin(async move {
            let what = path.display().to_string();
            let appended = tokio::task::spawn_blocking(move || append(&path, &events, maybe_sent)).await;
            appended
                .unwrap_or_else(|panic| Err(io::Error::other(panic)))
                .map_err(|error| NotifyError::io(&what, &error))
        })
    }
}

/// Appends the events that are not in the file yet, durably.
fn append(path: &Path, events: &[Event], maybe_sent: bool) -> io::Result<()> {
    let is_new = !path.exists();
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    // Until it is closed: hosts that deliver at the same time may share the file.
    file.lock()?;
    repair_last_line(&mut file)?;
    let ids: HashSet<&str> = events.iter().map(|event| event.event_id.as_str()).collect();
    let present = if maybe_sent { find_ids(&mut file, &ids)? } else { HashSet::new() };
    let mut lines = Vec::new();
    for event in events.iter().filter(|event| !present.contains(&event.event_id)) {
        lines.extend_from_slice(event.payload.as_bytes());
        lines.push(b'\n');
    }
    file.write_all(&lines)?;
    // A failed fsync is not repeated: the pages may be gone. The attempt has failed, the next one looks
    // again.
    file.sync_all()?;
    if is_new {
        crate::files::sync_folder(path)?;
    }
    Ok(())
}

/// Takes away an unfinished last line of this channel's own; ends one of somebody else's.
fn repair_last_line(file: &mut File) -> io::Result<()> {
    let length = file.seek(SeekFrom::End(0))?;
    let start = last_line_start(file, length)?;
    if start == length {
        return Ok(());
    }
    let own = line_start();
    let mut line = vec![0; usize::try_from(length - start).map_err(io::Error::other)?.min(own.len())];
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut line)?;
    if own.as_bytes().starts_with(&line) { file.set_len(start) } else { file.write_all(b"\n") }
}

/// Where the text after the last line feed begins.
fn last_line_start(file: &mut File, length: u64) -> io::Result<u64> {
    const BLOCK: u64 = 8192;
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let mut block = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block)?;
        if let Some(at) = memchr::memrchr(b'\n', &block) {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[derive(Deserialize)]
struct Line {
    event_id: String,
}

/// Which of the ids the file holds.
fn find_ids(file: &mut File, wanted: &HashSet<&str>) -> io::Result<HashSet<String>> {
    file.seek(SeekFrom::Start(0))?;
    let mut found = HashSet::new();
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        // Lines of other origin are none of this channel's business.
        if let Ok(Line { event_id }) = serde_json::from_slice(&line)
            && wanted.contains(event_id.as_str())
        {
            found.insert(event_id);
        }
        line.clear();
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Language;

    fn event(id: &str) -> Event {
        let payload = format!("{},\"event_id\":\"{id}\",\"message\":\"line \\n two\"}}", line_start());
        Event { event_id: id.to_owned(), payload }
    }

    fn ids(path: &Path) -> String {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        let id = |line: &str| serde_json::from_str::<Line>(line).map_or("?".to_owned(), |line| line.event_id);
        text.lines().map(id).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn events_are_appended_in_order_each_on_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.ndjson");
        append(&path, &[event("a"), event("b")], false).unwrap();
        append(&path, &[event("c")], false).unwrap();
        assert_eq!(ids(&path), "a b c");
    }

    #[test]
    fn an_event_that_may_have_been_written_is_looked_for_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.ndjson");
        append(&path, &[event("a")], false).unwrap();
        append(&path, &[event("a"), event("b")], true).unwrap();
        assert_eq!(ids(&path), "a b");
    }

    #[test]
    fn a_torn_last_line_is_taken_away_wherever_it_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.ndjson");
        let whole = event("b").payload;
        for cut in 1..=whole.len() {
            std::fs::remove_file(&path).ok();
            append(&path, &[event("a")], false).unwrap();
            let mut file = OpenOptions::new().append(true).open(&path).unwrap();
            file.write_all(&whole.as_bytes()[..cut]).unwrap();
            append(&path, &[event("b"), event("c")], true).unwrap();
            assert_eq!(ids(&path), "a b c", "cut after {cut} bytes");
        }
    }

    #[test]
    fn somebody_elses_unfinished_line_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.ndjson");
        std::fs::write(&path, "a note").unwrap();
        append(&path, &[event("a")], false).unwrap();
        assert_eq!(ids(&path), "? a");
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("a note\n{"));
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_is_a_failed_attempt_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent/alerts.ndjson");
        let notifier = FileNotifier::new("absent/alerts.ndjson", &path);
        let message = Message::of_one(event("a"), false, Language::English);
        let error = notifier.send(&message).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot write {}: ", path.display())), "{error}");
        assert!(!error.kind.is_final());
    }
}
