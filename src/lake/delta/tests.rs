//! Logs in a folder, told lists that no database holds.

use std::fs;
use std::path::Path;

use super::log::CHECKPOINT_EVERY;
use super::*;
use crate::model::{Day, Marketplace};

const TABLE: Table = Table::Deltas;

struct Fixture {
    folder: tempfile::TempDir,
    identity: Identity,
    state: LakeState,
    now: Timestamp,
}

fn file(day: i32, content: &str) -> LakeFile {
    let month = Day::from_no(day).month();
    LakeFile {
        table: TABLE.name().to_owned(),
        marketplace: Marketplace::Us,
        path: format!("{}/marketplace=US/month={month}/g{day:08}-{content}.parquet", TABLE.name()),
        month,
        generation: 1,
        first_day_no: day,
        last_day_no: day,
        compacted: false,
        rows: 7,
        size_bytes: 900,
        sha256: content.to_owned(),
    }
}

impl Fixture {
    fn new() -> Fixture {
        let identity = Identity {
            database_uuid: "d1".into(),
            lake_epoch: "e1".into(),
            zone: "UTC".into(),
            created_at: Timestamp::UNIX_EPOCH,
        };
        // Later than anything the file system can say.
        let now = "2126-03-01T12:00:00Z".parse().unwrap();
        Fixture { folder: tempfile::tempdir().unwrap(), identity, state: LakeState::default(), now }
    }

    /// A list of files as a later generation.
    fn list(&mut self, files: Vec<LakeFile>) {
        self.state.files = files;
        self.state.generation += 1;
    }

    fn publish(&self) -> Option<DeltaCommit> {
        let asked = Publishing { now: self.now, grace: Duration::ZERO, dry_run: false };
        let lake = Lake::new(self.folder.path());
        let mut commits = publish(&lake, &self.identity, &self.state, asked).unwrap();
        assert!(commits.len() <= 1, "only one table has files");
        commits.pop()
    }

    /// `version 3 +1 -2`, with the reason where the log was written anew.
    fn published(&self) -> String {
        let Some(commit) = self.publish() else { return "nothing".to_owned() };
        let reason = commit.distrusted.map(|reason| format!(", {reason}")).unwrap_or_default();
        format!("version {} +{} -{}{reason}", commit.version.unwrap(), commit.added, commit.removed)
    }

    fn log(&self) -> std::path::PathBuf {
        self.folder.path().join(TABLE.name()).join("_delta_log")
    }

    fn commit(&self, version: u64) -> std::path::PathBuf {
        self.log().join(format!("{version:020}.json"))
    }

    fn snapshot(&self) -> Snapshot {
        match Log::new(self.folder.path().join(TABLE.name())).read().unwrap() {
            Found::Sound(snapshot) => *snapshot,
            other => panic!("{other:?}"),
        }
    }

    fn assert_told(&self) {
        let told: Vec<String> = self.snapshot().files.into_keys().collect();
        let mut listed: Vec<String> = self
            .state
            .files
            .iter()
            .map(|file| file.path.strip_prefix(&format!("{}/", TABLE.name())).unwrap().to_owned())
            .collect();
        listed.sort();
        assert_eq!(told, listed);
        assert_eq!(self.published(), "nothing");
    }

    fn names(&self) -> Vec<String> {
        names_of(&self.log())
    }
}

fn names_of(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn rewrite(path: &Path, change: impl Fn(String) -> String) {
    fs::write(path, change(fs::read_to_string(path).unwrap())).unwrap();
}

/// What is done to a log, by name.
type Case = (&'static str, fn(&mut Fixture));

/// Three commits: two files, one more, one of them replaced.
fn three_commits() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.list(vec![file(20_000, "a"), file(20_001, "a")]);
    assert_eq!(fixture.published(), "version 0 +2 -0");
    fixture.list(vec![file(20_000, "a"), file(20_001, "a"), file(20_002, "a")]);
    assert_eq!(fixture.published(), "version 1 +1 -0");
    fixture.list(vec![file(20_000, "a"), file(20_001, "b"), file(20_002, "a")]);
    assert_eq!(fixture.published(), "version 2 +1 -1");
    fixture
}

#[test]
fn a_changed_list_is_one_commit_and_the_same_list_is_none() {
    let mut fixture = three_commits();
    fixture.assert_told();
    assert_eq!(fixture.names().len(), 3, "{:?}", fixture.names());
    // The list moved on for another table.
    fixture.state.generation += 1;
    let table = fixture.folder.path().join(TABLE.name());
    fs::create_dir(table.join("_delta_log.old")).unwrap();
    assert_eq!(fixture.published(), "nothing");
    assert_eq!(names_of(&table), ["_delta_log"], "what a kill left is cleared away");
    fixture.list(Vec::new());
    assert_eq!(fixture.published(), "version 3 +0 -3");
    fixture.assert_told();
    assert!(!fixture.folder.path().join(Table::Rollups.name()).exists(), "a table without files has no log");
}

#[test]
fn a_dry_run_says_the_same_and_writes_nothing() {
    let mut fixture = three_commits();
    fixture.list(vec![file(20_001, "b")]);
    let asked = Publishing { now: fixture.now, grace: Duration::ZERO, dry_run: true };
    let lake = Lake::new(fixture.folder.path());
    let said = publish(&lake, &fixture.identity, &fixture.state, asked).unwrap();
    assert_eq!(fixture.names().len(), 3);
    assert_eq!(Some(&said[0]), fixture.publish().as_ref());
}

#[test]
fn a_commit_says_whose_and_what_it_is() {
    let fixture = three_commits();
    let first = fs::read_to_string(fixture.commit(0)).unwrap();
    let lines: Vec<serde_json::Value> =
        first.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[2]["metaData"]["partitionColumns"], serde_json::json!(["marketplace", "month"]));
    assert_eq!(lines[3]["txn"]["appId"], "amzctl:mart/deltas:d1:e1");
    assert_eq!(lines[3]["txn"]["version"], 1);
    let add = &lines[4]["add"];
    assert_eq!(add["path"], "marketplace=US/month=2024-10/g00020000-a.parquet");
    assert_eq!(add["partitionValues"], serde_json::json!({ "marketplace": "US", "month": "2024-10" }));
    let stats: serde_json::Value = serde_json::from_str(add["stats"].as_str().unwrap()).unwrap();
    assert_eq!((&stats["numRecords"], &stats["maxValues"]["day_no"]), (&7.into(), &20_000.into()));
}

#[test]
fn a_torn_log_is_written_anew_behind_the_versions_that_were_there() {
    let tears: [Case; 6] = [
        ("cut off in a line", |fixture| {
            rewrite(&fixture.commit(2), |text| text[..text.len() / 2].to_owned())
        }),
        ("cut off behind a line", |fixture| {
            rewrite(&fixture.commit(2), |text| text.lines().next().unwrap().to_owned());
        }),
        ("empty", |fixture| fs::write(fixture.commit(2), "").unwrap()),
        ("a version is missing", |fixture| fs::remove_file(fixture.commit(1)).unwrap()),
        ("the first is missing", |fixture| fs::remove_file(fixture.commit(0)).unwrap()),
        ("bytes", |fixture| fs::write(fixture.commit(0), [0xff, 0xfe, b'\n']).unwrap()),
    ];
    for (name, tear) in tears {
        let mut fixture = three_commits();
        tear(&mut fixture);
        let published = fixture.published();
        assert!(published.starts_with("version 3 +3 -0, "), "{name}: {published}");
        let expected =
            ["00000000000000000003.checkpoint.parquet", "00000000000000000003.json", "_last_checkpoint"];
        assert_eq!(fixture.names(), expected, "{name}: nothing of the old log is left");
        assert_eq!(names_of(&fixture.folder.path().join(TABLE.name())), ["_delta_log"], "{name}");
        fixture.assert_told();
    }
}

#[test]
fn a_log_of_another_database_epoch_or_writer_is_written_anew() {
    let strangers: [Case; 9] = [
        ("another database", |fixture| fixture.identity.database_uuid = "d2".into()),
        ("another epoch", |fixture| fixture.identity.lake_epoch = "e2".into()),
        ("other partition columns", |fixture| {
            rewrite(&fixture.commit(0), |text| text.replace(r#"["marketplace","month"]"#, "[]"));
        }),
        ("another protocol", |fixture| {
            rewrite(&fixture.commit(0), |text| {
                text.replace(r#""minReaderVersion":1"#, r#""minReaderVersion":2"#)
            });
        }),
        ("an action of a feature", |fixture| {
            rewrite(&fixture.commit(2), |text| text + "{\"domainMetadata\":{\"domain\":\"d\"}}\n");
        }),
        ("an appended file", |fixture| {
            rewrite(&fixture.commit(2), |text| text + &foreign_add());
        }),
        ("a second writer's mark", |fixture| {
            let mark = "{\"txn\":{\"appId\":\"spark\",\"version\":1,\"lastUpdated\":1}}\n";
            rewrite(&fixture.commit(2), |text| text + mark);
        }),
        ("a file of ours with other content", |fixture| {
            rewrite(&fixture.commit(2), |text| text.replace(r#""sha256":"b""#, r#""sha256":"c""#));
        }),
        ("a checkpoint in several parts", |fixture| {
            let name = "00000000000000000002.checkpoint.0000000001.0000000001.parquet";
            fs::write(fixture.log().join(name), "").unwrap();
        }),
    ];
    for (name, change) in strangers {
        let mut fixture = three_commits();
        change(&mut fixture);
        let published = fixture.published();
        assert!(published.starts_with("version 3 +3 -0, "), "{name}: {published}");
        fixture.assert_told();
    }
}

fn foreign_add() -> String {
    let mut add =
        serde_json::to_value(Action::Add(Add::of(TABLE, &file(20_009, "x"), Timestamp::UNIX_EPOCH)));
    let add = add.as_mut().unwrap();
    add["add"]["path"] = "part-00000.snappy.parquet".into();
    format!("{add}\n")
}

#[test]
fn a_log_that_removes_what_it_does_not_hold_is_not_ours() {
    let mut fixture = three_commits();
    rewrite(&fixture.commit(2), |text| text.replace("g00020001-a.parquet", "g00020007-a.parquet"));
    fixture.list(vec![file(20_000, "a")]);
    let published = fixture.published();
    assert!(
        published.contains(
            "version 3 +1 -0, version 2: it removes marketplace=US/month=2024-10/g00020007-a.parquet"
        ),
        "{published}"
    );
    fixture.assert_told();
}

#[test]
fn a_log_that_is_ahead_of_the_list_is_not_trusted() {
    let mut fixture = three_commits();
    fixture.state.generation = 1;
    fixture.state.files = vec![file(20_000, "a")];
    assert_eq!(
        fixture.published(),
        "version 3 +1 -0, it says to hold generation 3 of the list, and does not"
    );
    fixture.assert_told();
}

#[test]
fn the_version_of_another_committer_is_not_overwritten() {
    let mut fixture = three_commits();
    fixture.list(vec![file(20_000, "a")]);
    let log = Log::new(fixture.folder.path().join(TABLE.name()));
    fs::write(fixture.commit(3), "theirs").unwrap();
    assert!(!log.commit(3, &[commit_info(fixture.now)]).unwrap());
    assert_eq!(fs::read_to_string(fixture.commit(3)).unwrap(), "theirs");
    assert!(fixture.published().starts_with("version 4 +1 -0, version 3: "));
    fixture.assert_told();
}

#[test]
fn a_kill_between_putting_the_old_log_aside_and_the_new_one_in_loses_nothing() {
    let fixture = three_commits();
    let table = fixture.folder.path().join(TABLE.name());
    fs::rename(fixture.log(), table.join("_delta_log.old")).unwrap();
    fs::create_dir(table.join("_delta_log.new")).unwrap();
    fs::write(table.join("_delta_log.new/00000000000000000003.json"), "half").unwrap();
    // Whoever holds version 2 of the old log does not find another version 2 or a version 3 that continues it.
    assert_eq!(fixture.published(), "version 3 +3 -0");
    assert_eq!(names_of(&table), ["_delta_log"]);
    assert!(fixture.names().contains(&"00000000000000000003.checkpoint.parquet".to_owned()));
    fixture.assert_told();
}

#[test]
fn a_checkpoint_says_what_its_commits_said_and_what_is_older_than_the_one_before_it_is_deleted() {
    let mut fixture = Fixture::new();
    let days = |last: i32| (20_000..=last).map(move |day| file(day, if day < last { "b" } else { "a" }));
    let last = 2 * CHECKPOINT_EVERY as i32 + 3;
    for last in 0..=last {
        // Each day one new file, and the one of the day before again.
        fixture.list(days(20_000 + last).collect());
        let published = fixture.published();
        assert_eq!(published, format!("version {last} +{} -{}", 1 + last.min(1), last.min(1)));
        if last == CHECKPOINT_EVERY as i32 {
            let by_checkpoint = fixture.snapshot();
            assert_eq!((by_checkpoint.version, by_checkpoint.checkpoint), (50, Some(50)));
            let pointer = fs::read_to_string(fixture.log().join("_last_checkpoint")).unwrap();
            assert_eq!(pointer, r#"{"version":50,"size":104}"#, "a state of 3, 50 removed, 51 files");
            // The same as without it, but for what only says how it came about.
            fs::rename(
                fixture.log().join("00000000000000000050.checkpoint.parquet"),
                fixture.folder.path().join("c"),
            )
            .unwrap();
            let by_commits = fixture.snapshot();
            fs::rename(
                fixture.folder.path().join("c"),
                fixture.log().join("00000000000000000050.checkpoint.parquet"),
            )
            .unwrap();
            assert_eq!(by_checkpoint.at_rest(fixture.now), by_commits.at_rest(fixture.now));
        }
    }
    fixture.assert_told();
    let names = fixture.names();
    assert_eq!(names[0], "00000000000000000050.checkpoint.parquet", "{names:?}");
    assert_eq!(names.len(), 54 + 2 + 1);

    // Removed files are forgotten when nobody can be reading them any more.
    let snapshot = fixture.snapshot();
    let later = fixture.now + super::super::GRACE + Duration::from_secs(1);
    assert_eq!(snapshot.at_rest(fixture.now).len(), 3 + 103 + 104);
    assert_eq!(snapshot.at_rest(later).len(), 3 + 104);

    // A pointer that a kill left behind is mended; a damaged checkpoint makes the log one that is not trusted.
    fs::write(fixture.log().join("_last_checkpoint"), r#"{"version":50,"size":104}"#).unwrap();
    assert_eq!(fixture.published(), "nothing");
    let pointer = fs::read_to_string(fixture.log().join("_last_checkpoint")).unwrap();
    assert!(pointer.starts_with(r#"{"version":100,"#), "{pointer}");
    let checkpoint = fixture.log().join("00000000000000000100.checkpoint.parquet");
    let size = fs::metadata(&checkpoint).unwrap().len();
    fs::write(&checkpoint, vec![0xa5; size as usize]).unwrap();
    assert!(fixture.published().starts_with("version 104 +104 -0, its checkpoint cannot be read"));
    fixture.assert_told();
}

#[test]
fn commits_of_the_last_hour_stay_for_readers_at_work() {
    let mut fixture = Fixture::new();
    let lake = Lake::new(fixture.folder.path());
    for generation in 0..=2 * CHECKPOINT_EVERY as i32 {
        fixture.list(vec![file(20_000 + generation, "a")]);
        let now = crate::clock::Clock::System.now();
        let asked = Publishing { now, grace: super::super::GRACE, dry_run: false };
        publish(&lake, &fixture.identity, &fixture.state, asked).unwrap();
    }
    assert!(fixture.commit(0).exists() && fixture.commit(99).exists());
}

#[test]
fn a_checkpoint_holds_every_kind_of_action() {
    let fixture = three_commits();
    let mut snapshot = fixture.snapshot();
    for path in ["ü b", ""] {
        let strange = LakeFile { path: format!("{}/{path}", TABLE.name()), ..file(20_009, path) };
        let add = Action::Add(Add::of(TABLE, &strange, fixture.now));
        snapshot.apply(add).unwrap();
    }
    let actions = snapshot.at_rest(fixture.now);
    assert!(actions.iter().any(|action| matches!(action, Action::Remove(_))));
    for actions in [actions.as_slice(), &actions[..1], &actions[2..], &[]] {
        let path = fixture.folder.path().join("checkpoint.parquet");
        fs::write(&path, checkpoint::encode(actions).unwrap()).unwrap();
        assert_eq!(checkpoint::read(&path).unwrap(), actions);
    }
}
