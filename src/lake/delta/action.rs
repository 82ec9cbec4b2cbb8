//! What a Delta log says: its actions as the protocol spells them, and ours of a table and a file. Pure.
//!
//! Only what amzctl writes is understood: a field or an action beside these makes a log one that is not ours.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ids::stable_id;
use crate::lake::schema::{Kind, PARTITION, Table};
use crate::lake::vacuum::GRACE;
use crate::model::Timestamp;
use crate::store::lake::LakeFile;
use crate::store::ops::Identity;

/// One line of a commit, one row of a checkpoint.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Action {
    CommitInfo(Value),
    Protocol(Protocol),
    MetaData(MetaData),
    Txn(Txn),
    Add(Add),
    Remove(Remove),
}

/// The versions a reader and a writer must know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Protocol {
    min_reader_version: i32,
    min_writer_version: i32,
}

/// What any engine since 2020 reads, and no feature beyond.
pub(super) const PROTOCOL: Protocol = Protocol { min_reader_version: 1, min_writer_version: 2 };

/// The table: its columns, and which of them are directories.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MetaData {
    pub(super) id: String,
    name: String,
    format: Format,
    schema_string: String,
    partition_columns: Vec<String>,
    configuration: BTreeMap<String, String>,
    created_time: i64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Format {
    provider: String,
    options: BTreeMap<String, String>,
}

/// How far a writer has come: written once per commit, so that a repeated one is recognised.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Txn {
    pub(super) app_id: String,
    /// The generation of the database's list.
    pub(super) version: i64,
    last_updated: i64,
}

/// A file that is part of the table from here on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Add {
    /// Relative to the table's folder, percent-encoded.
    pub(super) path: String,
    partition_values: BTreeMap<String, String>,
    size: i64,
    modification_time: i64,
    data_change: bool,
    /// JSON: rows, and the first and the last day.
    stats: String,
    /// The content's SHA-256: a file of the same name and size is not the same file.
    tags: BTreeMap<String, String>,
}

/// A file that is no part of the table any more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Remove {
    pub(super) path: String,
    pub(super) deletion_timestamp: i64,
    data_change: bool,
    extended_file_metadata: bool,
    partition_values: BTreeMap<String, String>,
    size: i64,
}

/// Whose log it is, seen from one table of one database.
#[derive(Clone, Debug)]
pub(super) struct Ours {
    pub(super) app_id: String,
    pub(super) meta: MetaData,
}

impl Ours {
    pub(super) fn new(table: Table, identity: &Identity, now: Timestamp) -> Ours {
        let Identity { database_uuid, lake_epoch, .. } = identity;
        let name = table.name();
        let id = stable_id(&["delta", name, database_uuid, lake_epoch]);
        let configuration = [
            ("delta.appendOnly", "false".to_owned()),
            // The truth for whoever travels in time or tidies up: unlisted files are deleted after this.
            ("delta.deletedFileRetentionDuration", format!("interval {} seconds", GRACE.as_secs())),
        ];
        Ours {
            app_id: format!("amzctl:{name}:{database_uuid}:{lake_epoch}"),
            meta: MetaData {
                // The protocol asks for a GUID.
                id: [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-"),
                name: name.to_owned(),
                format: Format { provider: "parquet".to_owned(), options: BTreeMap::new() },
                schema_string: schema_string(table),
                partition_columns: PARTITION.map(str::to_owned).to_vec(),
                configuration: configuration.map(|(key, value)| (key.to_owned(), value)).into(),
                created_time: now.timestamp_millis(),
            },
        }
    }

    /// True when the log's table is this one of this database and epoch, with the same columns.
    pub(super) fn owns(&self, meta: &MetaData) -> bool {
        MetaData { created_time: 0, ..meta.clone() } == MetaData { created_time: 0, ..self.meta.clone() }
    }

    pub(super) fn txn(&self, generation: i64, now: Timestamp) -> Txn {
        Txn { app_id: self.app_id.clone(), version: generation, last_updated: now.timestamp_millis() }
    }
}

impl Add {
    /// A file of the list, as a commit at `now` adds it.
    pub(super) fn of(table: Table, file: &LakeFile, now: Timestamp) -> Add {
        let below = file.path.strip_prefix(table.name()).unwrap_or(&file.path);
        let (first, last) = (file.first_day_no, file.last_day_no);
        let stats = json!({
            "numRecords": file.rows,
            "minValues": { "day_no": first },
            "maxValues": { "day_no": last },
            "nullCount": { "day_no": 0 },
        });
        let values = [file.marketplace.code().to_owned(), file.month.clone()];
        Add {
            path: percent_encoded(below.trim_start_matches('/')),
            partition_values: PARTITION.map(str::to_owned).into_iter().zip(values).collect(),
            size: file.size_bytes,
            modification_time: now.timestamp_millis(),
            data_change: true,
            stats: stats.to_string(),
            tags: BTreeMap::from([("sha256".to_owned(), file.sha256.clone())]),
        }
    }

    /// True when both name the same content, whenever they were added.
    pub(super) fn is_same(&self, other: &Add) -> bool {
        let timeless = |add: &Add| Add { modification_time: 0, data_change: true, ..add.clone() };
        timeless(self) == timeless(other)
    }

    pub(super) fn removed(&self, now: Timestamp) -> Remove {
        Remove {
            path: self.path.clone(),
            deletion_timestamp: now.timestamp_millis(),
            data_change: true,
            extended_file_metadata: true,
            partition_values: self.partition_values.clone(),
            size: self.size,
        }
    }

    /// As a checkpoint holds it: it says what is, not what changed.
    pub(super) fn at_rest(&self) -> Add {
        Add { data_change: false, ..self.clone() }
    }
}

impl Remove {
    pub(super) fn at_rest(&self) -> Remove {
        Remove { data_change: false, ..self.clone() }
    }
}

/// Who committed, and when; no reader needs it.
pub(super) fn commit_info(now: Timestamp) -> Action {
    Action::CommitInfo(json!({
        "timestamp": now.timestamp_millis(),
        "operation": "WRITE",
        "operationParameters": {},
        "engineInfo": concat!("amzctl/", env!("CARGO_PKG_VERSION")),
    }))
}

fn schema_string(table: Table) -> String {
    let field =
        |name: &str, kind: &str| json!({ "name": name, "type": kind, "nullable": true, "metadata": {} });
    let mut fields: Vec<Value> = PARTITION.iter().map(|name| field(name, "string")).collect();
    fields.extend(table.columns().iter().map(|column| {
        let kind = match column.kind {
            Kind::I32 => "integer",
            Kind::I64 => "long",
            Kind::F64 => "double",
            Kind::Text => "string",
        };
        field(column.name, kind)
    }));
    json!({ "type": "struct", "fields": fields }).to_string()
}

/// A relative path as a URI spells it: every byte that could mean something else there as `%` and two digits.
pub(super) fn percent_encoded(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' | b'=' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_spelled_as_a_uri() {
        let plain = "marketplace=US/month=2026-02/g00000002-00000.parquet";
        assert_eq!(percent_encoded(plain), plain);
        assert_eq!(percent_encoded("a b/50%/c#d?e:f+é"), "a%20b/50%25/c%23d%3Fe%3Af%2B%C3%A9");
    }

    #[test]
    fn an_action_is_read_as_it_was_written_and_a_strange_one_not_at_all() {
        let line = r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}"#;
        assert_eq!(serde_json::from_str::<Action>(line).unwrap(), Action::Protocol(PROTOCOL));
        assert_eq!(serde_json::to_string(&Action::Protocol(PROTOCOL)).unwrap(), line);
        for strange in [
            r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"]}}"#,
            r#"{"domainMetadata":{"domain":"d","configuration":"","removed":false}}"#,
            r#"{"txn":{"appId":"a","version":1}}"#,
            r#"{"add":{"path":"a"#,
        ] {
            assert!(serde_json::from_str::<Action>(strange).is_err(), "{strange}");
        }
    }

    #[test]
    fn the_schema_has_the_columns_of_the_files_in_their_order() {
        for table in Table::PUBLISHED {
            let schema: Value = serde_json::from_str(&schema_string(table)).unwrap();
            let names: Vec<&str> = schema["fields"]
                .as_array()
                .unwrap()
                .iter()
                .map(|field| field["name"].as_str().unwrap())
                .collect();
            let in_files: Vec<String> = table.schema().iter_names().map(ToString::to_string).collect();
            assert_eq!(names, in_files);
        }
    }
}
