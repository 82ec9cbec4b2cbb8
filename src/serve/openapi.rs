//! The documentation of the interface: OpenAPI 3.1 for programs, and the same as a page without scripts or network for
//! people. Both come from the table of routes.

use std::collections::BTreeMap;

use minijinja::{Environment, context};
use serde_json::{Map, Value, json};

use super::Tables;
use super::answer::{Columns, Data, Form, Output};
use super::auth::KEY_HEADER;
use super::call::Call;
use super::problem::{Kind, Problem};
use super::routes::{Access, Parameter, ROUTES, Route, Shape, Takes};
use crate::store::export::FieldKind;

/// What may go wrong wherever a key is needed.
const EVERYWHERE: [Kind; 12] = [
    Kind::HeadTooLarge,
    Kind::InvalidRequest,
    Kind::UnknownParameter,
    Kind::InvalidParameter,
    Kind::Unauthenticated,
    Kind::InvalidKey,
    Kind::Forbidden,
    Kind::RateLimited,
    Kind::TooManyFailures,
    Kind::Internal,
    Kind::Unavailable,
    Kind::InvalidBody,
];

/// The methods that there are at a path, sorted; none where nothing is there.
pub(super) fn methods_at(path: &str) -> Vec<&'static str> {
    let is_at = |route: &Route| {
        let (ours, theirs): (Vec<&str>, Vec<&str>) =
            (route.path.split('/').collect(), path.split('/').collect());
        let fits =
            |(ours, theirs): (&&str, &&str)| ours == theirs || (ours.starts_with('{') && !theirs.is_empty());
        ours.len() == theirs.len() && ours.iter().zip(&theirs).all(fits)
    };
    let mut methods: Vec<&str> =
        ROUTES.iter().filter(|route| is_at(route)).map(|route| route.method).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.sort_unstable();
    methods.dedup();
    methods
}

pub(super) async fn document_text(call: Call) -> Result<Output, Problem> {
    let text = document(&call.app.tables).to_string();
    Ok(Data::Text { content_type: "application/json", text }.into())
}

/// The interface as OpenAPI 3.1 describes it.
pub fn document(tables: &Tables) -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut schemas = Map::new();
    for route in ROUTES {
        let operation = operation(route, tables, &mut schemas);
        paths.entry(route.path).or_default().insert(route.method.to_lowercase(), operation);
    }
    schemas.insert("problem".to_owned(), problem_schema());
    let topics: Vec<Value> = topics().into_iter().map(|topic| json!({ "name": topic })).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "amzctl serve-lite",
            "version": "1",
            "summary": "The daily record of Amazon products, for programs",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": topics,
        "security": [{ "bearer": [] }, { "header": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "A key of `amzctl keys create`" },
                "header": { "type": "apiKey", "in": "header", "name": KEY_HEADER },
            },
            "schemas": schemas,
        },
    })
}

fn topics() -> Vec<&'static str> {
    let mut topics: Vec<&str> = Vec::new();
    for route in ROUTES {
        if !topics.contains(&route.topic) {
            topics.push(route.topic);
        }
    }
    topics
}

fn operation(route: &Route, tables: &Tables, schemas: &mut Map<String, Value>) -> Value {
    let mut operation = json!({
        "operationId": route.id,
        "tags": [route.topic],
        "summary": route.summary,
        "parameters": parameters(route, tables),
        "responses": responses(route, tables, schemas),
        "x-weight": route.weight,
    });
    match route.access.permission() {
        Some(permission) => {
            operation["description"] = json!(format!("Needs permission `{permission}`."));
        }
        None => operation["security"] = json!([]),
    }
    if let Some(body) = route.body {
        let content = json!({ "application/json": { "schema": body() } });
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    operation
}

fn parameters(route: &Route, tables: &Tables) -> Vec<Value> {
    let mut parameters: Vec<Value> = route.parts().map(part).collect();
    parameters.extend(route.parameters().map(|parameter| {
        json!({
            "name": parameter.name,
            "in": "query",
            "required": false,
            "description": parameter.doc,
            "schema": taken(parameter, &columns_of(route, tables)),
            "explode": false,
        })
    }));
    if route.method == "POST" && route.access == Access::Needs(crate::model::Permission::Write) {
        parameters.push(json!({
            "name": "Idempotency-Key",
            "in": "header",
            "required": false,
            "description": "The same key with the same request is done once, and answered as it was then for seven days",
            "schema": { "type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$" },
        }));
    }
    if route.id == "watch_events" {
        parameters.push(json!({
            "name": "Last-Event-ID",
            "in": "header",
            "required": false,
            "description": "The id of the event that was heard last: what came after it is told first. Of one that is not \
                there any more an event `reset` is told: read /v1/alerts",
            "schema": { "type": "string", "pattern": "^[0-9a-f]{32}$" },
        }));
    }
    parameters
}

/// A part of a path.
fn part(name: &str) -> Value {
    let (said, schema) = match name {
        "product" => (
            "As US:B000000001, or an ASIN that is in one marketplace only",
            json!({ "type": "string", "pattern": "^([A-Za-z]{2}:)?[A-Za-z0-9]{10}$" }),
        ),
        "cohort" => {
            ("The cohort's name", json!({ "type": "string", "minLength": 1, "pattern": "^[^/]*[^/.][^/]*$" }))
        }
        _ => ("The id, whole", json!({ "type": "string", "pattern": "^[0-9a-f]{32}$" })),
    };
    json!({ "name": name, "in": "path", "required": true, "description": said, "schema": schema })
}

/// The names of the columns of a route's rows.
fn columns_of(route: &Route, tables: &Tables) -> Vec<String> {
    match route.shape {
        Shape::Table(columns) | Shape::Record(columns) => {
            columns(tables).into_iter().map(|(name, _)| name).collect()
        }
        _ => Vec::new(),
    }
}

fn taken(parameter: &Parameter, columns: &[String]) -> Value {
    match parameter.takes {
        Takes::Columns => {
            json!({ "type": "array", "minItems": 1, "uniqueItems": true, "items": { "type": "string", "enum": columns } })
        }
        Takes::Text => json!({ "type": "string" }),
        Takes::Day => json!({ "type": "string", "format": "date" }),
        Takes::Number { from, to } => json!({ "type": "integer", "minimum": from, "maximum": to }),
        Takes::Word(words) => json!({ "type": "string", "enum": words() }),
        Takes::Words(words) => {
            json!({ "type": "array", "minItems": 1, "items": { "type": "string", "enum": words() } })
        }
    }
}

fn responses(route: &Route, tables: &Tables, schemas: &mut Map<String, Value>) -> Value {
    let mut responses = Map::new();
    let content = content(route, tables, schemas);
    responses.insert(
        "200".to_owned(),
        json!({ "description": route.summary, "headers": { "X-Request-Id": { "schema": { "type": "string" } } }, "content": content }),
    );
    if route.method == "GET" {
        responses.insert("304".to_owned(), json!({ "description": "What the client has is still so" }));
    }
    let kinds = EVERYWHERE.iter().chain(route.problems).chain(of_shape(route));
    let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for kind in kinds {
        let codes = by_status.entry(kind.status()).or_default();
        if !codes.contains(&kind.code()) {
            codes.push(kind.code());
        }
    }
    for (status, codes) in by_status {
        let mut content =
            json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/problem" } } });
        if route.id == "get_health" && status == 503 {
            // That the server is not well is an answer too.
            content["application/json"] = responses["200"]["content"]["application/json"].clone();
        }
        responses.insert(status.to_string(), json!({ "description": codes.join(", "), "content": content }));
    }
    responses.into()
}

/// What may go wrong because of what is asked for and sent.
fn of_shape(route: &Route) -> &'static [Kind] {
    match (route.body, route.shape) {
        (Some(_), _) => &[Kind::BodyTooLarge, Kind::UnsupportedMediaType, Kind::Timeout, Kind::NotAcceptable],
        (None, Shape::Text(_)) => &[Kind::Timeout, Kind::BodyTooLarge],
        (None, Shape::Document(_)) => &[Kind::NotAcceptable, Kind::Timeout, Kind::BodyTooLarge],
        (None, _) => {
            &[Kind::UnknownField, Kind::InvalidCursor, Kind::NotAcceptable, Kind::Timeout, Kind::BodyTooLarge]
        }
    }
}

fn content(route: &Route, tables: &Tables, schemas: &mut Map<String, Value>) -> Value {
    let data = match route.shape {
        Shape::Text(media_types) => {
            let of = |media_type: &&str| ((*media_type).to_owned(), json!({ "schema": {} }));
            return media_types.iter().map(of).collect::<Map<_, _>>().into();
        }
        Shape::Document(schema) => schema(),
        Shape::Record(columns) => {
            schemas.insert(route.id.to_owned(), row(&columns(tables)));
            json!({ "$ref": format!("#/components/schemas/{}", route.id) })
        }
        Shape::Table(columns) => {
            schemas.insert(route.id.to_owned(), row(&columns(tables)));
            json!({ "type": "array", "items": { "$ref": format!("#/components/schemas/{}", route.id) } })
        }
    };
    let forms = route.shape.forms().iter().map(|form| {
        let schema = match form {
            Form::Json => envelope(&data),
            Form::Csv | Form::Ndjson => json!({ "type": "string" }),
            Form::Parquet => json!({}),
        };
        (form.media_type().to_owned(), json!({ "schema": schema }))
    });
    forms.collect::<Map<_, _>>().into()
}

fn envelope(data: &Value) -> Value {
    json!({
        "type": "object",
        "required": ["data", "cached", "stale_at", "next_cursor", "request_id"],
        "properties": {
            "data": data,
            "cached": { "type": "boolean", "description": "It was computed for an earlier request" },
            "stale_at": { "type": ["string", "null"], "format": "date-time", "description": "Until when it counts as fresh" },
            "next_cursor": { "type": ["string", "null"], "description": "For the next page; null behind the last" },
            "request_id": { "type": "string" },
        },
    })
}

/// A row: every value may be unknown, and with `fields` any may be left out.
fn row(columns: &Columns) -> Value {
    let property = |(name, kind): &(String, FieldKind)| {
        let schema = match kind {
            FieldKind::Text => json!({ "type": ["string", "null"] }),
            FieldKind::Int => json!({ "type": ["integer", "null"], "format": "int64" }),
            FieldKind::Real => json!({ "type": ["number", "null"] }),
            FieldKind::Bool => json!({ "type": ["boolean", "null"] }),
            FieldKind::Instant => json!({ "type": ["string", "null"], "format": "date-time" }),
            FieldKind::Json => json!({}),
        };
        (name.clone(), schema)
    };
    json!({ "type": "object", "properties": columns.iter().map(property).collect::<Map<_, _>>() })
}

fn problem_schema() -> Value {
    let codes: Vec<&str> = Kind::ALL.iter().map(|kind| kind.code()).collect();
    json!({
        "type": "object",
        "required": ["type", "title", "status", "code", "detail", "instance", "request_id"],
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "code": { "type": "string", "enum": codes },
            "detail": { "type": "string" },
            "instance": { "type": "string" },
            "request_id": { "type": "string" },
        },
    })
}

pub(super) async fn page(call: Call) -> Result<Output, Problem> {
    let mut environment = Environment::new();
    let failed = |error: minijinja::Error| Problem::from(anyhow::Error::from(error));
    environment.add_template("docs.html", include_str!("docs.html")).map_err(failed)?;
    let tables = &call.app.tables;
    let routes: Vec<Value> = ROUTES.iter().map(|route| told(route, tables)).collect();
    let problems: Vec<Value> = Kind::ALL
        .iter()
        .map(|kind| json!({ "code": kind.code(), "status": kind.status(), "title": kind.title() }))
        .collect();
    let template = environment.get_template("docs.html").map_err(failed)?;
    let text = template.render(context! { topics => topics(), routes, problems }).map_err(failed)?;
    Ok(Data::Text { content_type: "text/html; charset=utf-8", text }.into())
}

/// A route as the page tells it.
fn told(route: &Route, tables: &Tables) -> Value {
    let parameters: Vec<Value> = route
        .parameters()
        .map(|parameter| {
            let takes = match parameter.takes {
                Takes::Text => "text".to_owned(),
                Takes::Columns => "some of the columns below".to_owned(),
                Takes::Day => "day".to_owned(),
                Takes::Number { from, to } => format!("{from} to {to}"),
                Takes::Word(words) => words().join(" | "),
                Takes::Words(words) => format!("some of {}", words().join(", ")),
            };
            json!({ "name": parameter.name, "takes": takes, "doc": parameter.doc })
        })
        .collect();
    let columns = columns_of(route, tables);
    json!({
        "id": route.id,
        "topic": route.topic,
        "method": route.method,
        "path": route.path,
        "summary": route.summary,
        "permission": route.access.permission().map(|permission| permission.as_str()),
        "weight": route.weight,
        "parameters": parameters,
        "columns": columns.join(", "),
        "body": route.body.map(|schema| format!("{:#}", schema())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described_and_every_reference_leads_somewhere() {
        let document = document(&Tables::default());
        let operations: usize =
            document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();
        assert_eq!(operations, ROUTES.len());
        let text = document.to_string();
        for reference in text.split("\"#/").skip(1) {
            let pointer = format!("/{}", reference.split('"').next().unwrap());
            assert!(document.pointer(&pointer).is_some(), "{pointer}");
        }
        for route in ROUTES {
            for part in route.parts() {
                assert!(!part.is_empty(), "{}", route.path);
            }
        }
    }

    #[test]
    fn the_methods_of_a_path_are_known() {
        assert_eq!(methods_at("/v1/products"), ["GET", "HEAD"]);
        assert_eq!(methods_at("/v1/products/batch"), ["GET", "HEAD", "POST"]);
        assert_eq!(methods_at("/v1/alerts/x/snooze"), ["POST"]);
        assert_eq!(methods_at("/v1/alerts//snooze"), [] as [&str; 0]);
        assert_eq!(methods_at("/nothing"), [] as [&str; 0]);
    }
}
