//! Checkpoints of a Delta log: the state at one version as one Parquet file, a column per action.
//!
//! Maps have no place in the frames of polars, so rows are taken apart as JSON and every leaf is encoded on its own,
//! under a path of its own; only the file's schema knows that two leaves are the key and the value of one map.

use std::fs::File;
use std::path::Path;

use polars::prelude::*;
use polars_arrow::array::{Array, BooleanArray, ListArray, PrimitiveArray, StructArray, Utf8ViewArray};
use polars_arrow::bitmap::Bitmap;
use polars_arrow::datatypes::{ArrowDataType, ArrowSchema, Field as ArrowField};
use polars_arrow::offset::OffsetsBuffer;
use polars_parquet::parquet::metadata::SchemaDescriptor;
use polars_parquet::parquet::schema::Repetition;
use polars_parquet::parquet::schema::types::{
    FieldInfo, GroupConvertedType, GroupLogicalType, ParquetType, PhysicalType, PrimitiveConvertedType,
    PrimitiveLogicalType, PrimitiveType,
};
use polars_parquet::write::{
    CompressedPage, CompressionOptions, DynIter, DynStreamingIterator, Encoding, FileWriter,
    StatisticsOptions, Version, WriteOptions, ZstdLevel, array_to_columns, compress,
    fallible_streaming_iterator,
};
use serde_json::{Map, Value};

use super::action::Action;

/// A column, or a part of one.
#[derive(Clone, Copy, Debug)]
enum Node {
    Text,
    Int,
    Long,
    Bool,
    /// Texts by texts.
    Map,
    /// A list of texts.
    Texts,
    Group(Fields),
}

type Fields = &'static [(&'static str, Node)];

/// The schema that the protocol gives a checkpoint, as far as amzctl's actions fill it.
const SCHEMA: Fields = &[
    ("txn", Node::Group(&[("appId", Node::Text), ("version", Node::Long), ("lastUpdated", Node::Long)])),
    (
        "add",
        Node::Group(&[
            ("path", Node::Text),
            ("partitionValues", Node::Map),
            ("size", Node::Long),
            ("modificationTime", Node::Long),
            ("dataChange", Node::Bool),
            ("stats", Node::Text),
            ("tags", Node::Map),
        ]),
    ),
    (
        "remove",
        Node::Group(&[
            ("path", Node::Text),
            ("deletionTimestamp", Node::Long),
            ("dataChange", Node::Bool),
            ("extendedFileMetadata", Node::Bool),
            ("partitionValues", Node::Map),
            ("size", Node::Long),
        ]),
    ),
    (
        "metaData",
        Node::Group(&[
            ("id", Node::Text),
            ("name", Node::Text),
            ("format", Node::Group(&[("provider", Node::Text), ("options", Node::Map)])),
            ("schemaString", Node::Text),
            ("partitionColumns", Node::Texts),
            ("configuration", Node::Map),
            ("createdTime", Node::Long),
        ]),
    ),
    ("protocol", Node::Group(&[("minReaderVersion", Node::Int), ("minWriterVersion", Node::Int)])),
];

/// The actions as a Parquet file.
///
/// Errors: polars's, of encoding.
pub(super) fn encode(actions: &[Action]) -> PolarsResult<Vec<u8>> {
    let rows: Vec<Value> = actions
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<_, _>>()
        .map_err(|error| PolarsError::ComputeError(error.to_string().into()))?;
    let rows: Vec<Option<&Value>> = rows.iter().map(Some).collect();
    let mut pages = Vec::new();
    for (name, node) in SCHEMA {
        let below: Vec<Option<&Value>> = rows.iter().map(|row| row.and_then(|row| row.get(name))).collect();
        for leaf in leaves(name, *node, &below) {
            pages.push(leaf.pages()?);
        }
    }
    let fields: Vec<ParquetType> = SCHEMA.iter().map(|(name, node)| parquet_type(name, *node)).collect();
    let schema = SchemaDescriptor::new("checkpoint".into(), fields);
    let mut bytes = Vec::new();
    let mut writer =
        FileWriter::new_with_parquet_schema(&mut bytes, ArrowSchema::default(), schema, options());
    let columns = DynIter::new(pages.iter().map(|pages: &Vec<CompressedPage>| {
        let pages = fallible_streaming_iterator::convert(pages.iter().map(PolarsResult::Ok));
        Ok(DynStreamingIterator::new(pages))
    }));
    writer.write(rows.len() as u64, columns)?;
    // No schema of arrow's: it has no maps that polars could write.
    writer.end(Some(Vec::new()))?;
    drop(writer);
    Ok(bytes)
}

/// Reads the actions back.
///
/// Errors: polars's; a row that is no action of ours.
pub(super) fn read(path: &Path) -> PolarsResult<Vec<Action>> {
    let frame = ParquetReader::new(File::open(path)?).finish()?;
    let mut actions = Vec::with_capacity(frame.height());
    for row in 0..frame.height() {
        let mut action = Map::new();
        for column in frame.columns() {
            if let Some(value) = json_of(&column.get(row)?)? {
                action.insert(column.name().to_string(), value);
            }
        }
        let action = serde_json::from_value(Value::Object(action));
        actions.push(action.map_err(|error| PolarsError::ComputeError(error.to_string().into()))?);
    }
    Ok(actions)
}

/// A value of a frame as JSON; null where it is unknown.
fn json_of(value: &AnyValue<'_>) -> PolarsResult<Option<Value>> {
    Ok(Some(match value {
        AnyValue::Null => return Ok(None),
        AnyValue::Boolean(value) => Value::from(*value),
        AnyValue::Int32(value) => Value::from(*value),
        AnyValue::Int64(value) => Value::from(*value),
        AnyValue::String(value) => Value::from(*value),
        AnyValue::StringOwned(value) => Value::from(value.as_str()),
        AnyValue::Struct(..) | AnyValue::StructOwned(_) => Value::Object(object_of(value)?),
        AnyValue::List(items) => list_of(items)?,
        other => polars_bail!(ComputeError: "a {} in a checkpoint", other.dtype()),
    }))
}

fn object_of(value: &AnyValue<'_>) -> PolarsResult<Map<String, Value>> {
    let (names, values): (Vec<String>, Vec<AnyValue<'_>>) = match value {
        AnyValue::Struct(_, _, fields) => {
            let names = fields.iter().map(|field| field.name().to_string()).collect();
            (names, value._iter_struct_av().collect())
        }
        AnyValue::StructOwned(owned) => {
            let names = owned.1.iter().map(|field| field.name().to_string()).collect();
            (names, owned.0.clone())
        }
        _ => (Vec::new(), Vec::new()),
    };
    let mut object = Map::new();
    for (name, value) in names.into_iter().zip(values) {
        if let Some(value) = json_of(&value)? {
            object.insert(name, value);
        }
    }
    Ok(object)
}

/// A list, or a map where its items have a key.
fn list_of(items: &Series) -> PolarsResult<Value> {
    let mut values = Vec::with_capacity(items.len());
    for item in 0..items.len() {
        values.push(json_of(&items.get(item)?)?.unwrap_or_default());
    }
    if !matches!(items.dtype(), DataType::Struct(_)) {
        return Ok(Value::Array(values));
    }
    let entries = values.into_iter().filter_map(|mut entry| {
        let key = entry.get("key").and_then(Value::as_str).map(str::to_owned)?;
        Some((key, entry.get_mut("value").map(Value::take).unwrap_or_default()))
    });
    Ok(Value::Object(entries.collect()))
}

/// One leaf with the groups around it, which hold nothing else.
struct Leaf {
    array: Box<dyn Array>,
    parquet_type: ParquetType,
}

impl Leaf {
    fn pages(self) -> PolarsResult<Vec<CompressedPage>> {
        let columns = array_to_columns(self.array, self.parquet_type, options(), &[Encoding::Plain])?;
        let pages = columns.into_iter().flatten();
        pages.map(|page| Ok(compress(page?, Vec::new(), options().compression)?)).collect()
    }

    /// The same inside a group that is there where `values` are.
    fn inside(self, name: &str, values: &[Option<&Value>]) -> Leaf {
        let field = ArrowField::new(self.parquet_type.name().into(), self.array.dtype().clone(), true);
        let known = Bitmap::from_iter(values.iter().map(Option::is_some));
        let array =
            StructArray::new(ArrowDataType::Struct(vec![field]), values.len(), vec![self.array], Some(known));
        Leaf { array: array.boxed(), parquet_type: group(name, vec![self.parquet_type]) }
    }
}

/// The leaves below a column, of which `values` are the rows.
fn leaves(name: &str, node: Node, values: &[Option<&Value>]) -> Vec<Leaf> {
    match node {
        Node::Group(fields) => {
            let mut found = Vec::new();
            for (field, node) in fields {
                let below: Vec<Option<&Value>> =
                    values.iter().map(|value| value.and_then(|value| value.get(field))).collect();
                found.extend(leaves(field, *node, &below).into_iter().map(|leaf| leaf.inside(name, values)));
            }
            found
        }
        Node::Map => {
            let maps = || values.iter().map(|value| value.and_then(Value::as_object));
            let keys = maps().map(|map| Some(map?.keys().map(|key| Some(key.as_str())).collect()));
            let texts = maps().map(|map| Some(map?.values().map(Value::as_str).collect()));
            let [key, value] = entry_types();
            vec![
                list(name, GroupLogicalType::Map, keys.collect(), key),
                list(name, GroupLogicalType::Map, texts.collect(), value),
            ]
        }
        Node::Texts => {
            let lists = values.iter().map(|value| value.and_then(Value::as_array));
            let lists = lists.map(|list| Some(list?.iter().map(Value::as_str).collect()));
            let element = primitive("element", Node::Text, Repetition::Optional);
            vec![list(name, GroupLogicalType::List, lists.collect(), element)]
        }
        _ => {
            let array: Box<dyn Array> = match node {
                Node::Text => Utf8ViewArray::from_slice(
                    values.iter().map(|value| value.and_then(Value::as_str)).collect::<Vec<_>>(),
                )
                .boxed(),
                Node::Int => {
                    PrimitiveArray::from_iter(values.iter().map(|value| {
                        value.and_then(Value::as_i64).and_then(|value| i32::try_from(value).ok())
                    }))
                    .boxed()
                }
                Node::Bool => {
                    BooleanArray::from_iter(values.iter().map(|value| value.and_then(Value::as_bool))).boxed()
                }
                _ => PrimitiveArray::from_iter(values.iter().map(|value| value.and_then(Value::as_i64)))
                    .boxed(),
            };
            vec![Leaf { array, parquet_type: primitive(name, node, Repetition::Optional) }]
        }
    }
}

/// Lists of texts, or one side of maps.
fn list(
    name: &str,
    logical: GroupLogicalType,
    rows: Vec<Option<Vec<Option<&str>>>>,
    item: ParquetType,
) -> Leaf {
    let mut ends = vec![0_i64];
    let mut texts: Vec<Option<&str>> = Vec::new();
    for row in &rows {
        texts.extend(row.iter().flatten());
        ends.push(texts.len() as i64);
    }
    let known = Bitmap::from_iter(rows.iter().map(Option::is_some));
    let array = ListArray::<i64>::new(
        ListArray::<i64>::default_datatype(ArrowDataType::Utf8View),
        OffsetsBuffer::try_from(ends).expect("ends only grow"),
        Utf8ViewArray::from_slice(texts).boxed(),
        Some(known),
    );
    Leaf { array: array.boxed(), parquet_type: repeated(name, logical, vec![item]) }
}

fn options() -> WriteOptions {
    WriteOptions {
        statistics: StatisticsOptions::empty(),
        compression: CompressionOptions::Zstd(ZstdLevel::try_new(1).ok()),
        version: Version::V1,
        data_page_size: None,
    }
}

fn parquet_type(name: &str, node: Node) -> ParquetType {
    match node {
        Node::Group(fields) => {
            group(name, fields.iter().map(|(name, node)| parquet_type(name, *node)).collect())
        }
        Node::Map => repeated(name, GroupLogicalType::Map, entry_types().to_vec()),
        Node::Texts => {
            let element = primitive("element", Node::Text, Repetition::Optional);
            repeated(name, GroupLogicalType::List, vec![element])
        }
        _ => primitive(name, node, Repetition::Optional),
    }
}

fn entry_types() -> [ParquetType; 2] {
    [primitive("key", Node::Text, Repetition::Required), primitive("value", Node::Text, Repetition::Optional)]
}

fn field_info(name: &str, repetition: Repetition) -> FieldInfo {
    FieldInfo { name: name.into(), repetition, id: None }
}

fn group(name: &str, fields: Vec<ParquetType>) -> ParquetType {
    ParquetType::GroupType {
        field_info: field_info(name, Repetition::Optional),
        logical_type: None,
        converted_type: None,
        fields,
    }
}

/// A list or a map: an optional group around a repeated one.
fn repeated(name: &str, logical: GroupLogicalType, fields: Vec<ParquetType>) -> ParquetType {
    let (inner, converted) = match logical {
        GroupLogicalType::Map => ("key_value", GroupConvertedType::Map),
        GroupLogicalType::List => ("list", GroupConvertedType::List),
    };
    ParquetType::GroupType {
        field_info: field_info(name, Repetition::Optional),
        logical_type: Some(logical),
        converted_type: Some(converted),
        fields: vec![ParquetType::GroupType {
            field_info: field_info(inner, Repetition::Repeated),
            logical_type: None,
            converted_type: None,
            fields,
        }],
    }
}

fn primitive(name: &str, node: Node, repetition: Repetition) -> ParquetType {
    let is_text = matches!(node, Node::Text);
    ParquetType::PrimitiveType(PrimitiveType {
        field_info: field_info(name, repetition),
        logical_type: is_text.then_some(PrimitiveLogicalType::String),
        converted_type: is_text.then_some(PrimitiveConvertedType::Utf8),
        physical_type: match node {
            Node::Bool => PhysicalType::Boolean,
            Node::Int => PhysicalType::Int32,
            Node::Long => PhysicalType::Int64,
            _ => PhysicalType::ByteArray,
        },
    })
}
