use std::collections::BTreeSet;
use std::fmt::Write as _;

use axum::Router;
use http::{Method, StatusCode};
use serde_json::Value;

use super::DOCUMENT;
use crate::testing::{Reply, ask, checkout, get, site};

fn document() -> Value {
    serde_json::from_str(DOCUMENT).expect("JSON")
}

/// A value, or what it refers to.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        None => value,
        Some(reference) => document
            .pointer(reference.trim_start_matches('#'))
            .unwrap_or_else(|| panic!("{reference} is not in the document")),
    }
}

/// What can be asked: a path, a method, and what the document says of it.
fn operations(document: &Value) -> Vec<(&str, Method, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods");
            methods.iter().map(move |(method, operation)| {
                let method = method.to_uppercase().parse().expect("a method");
                (path.as_str(), method, operation)
            })
        })
        .collect()
}

fn parameters<'a>(document: &'a Value, operation: &'a Value) -> Vec<&'a Value> {
    let parameters = operation["parameters"].as_array().expect("parameters");
    parameters
        .iter()
        .map(|parameter| resolved(document, parameter))
        .collect()
}

/// The path with its examples in it, and the query that must be there.
fn uri(document: &Value, path: &str, operation: &Value) -> String {
    let mut uri = path.to_owned();
    let mut mark = '?';
    for parameter in parameters(document, operation) {
        let name = parameter["name"].as_str().expect("a name");
        if parameter["required"] != true {
            continue;
        }
        let example = parameter["example"].as_str().expect("an example");
        if parameter["in"] == "path" {
            uri = uri.replace(&format!("{{{name}}}"), example);
        } else {
            uri.push(mark);
            write!(uri, "{name}={example}").expect("a string takes all");
            mark = '&';
        }
    }
    uri
}

async fn asked(site: &Router, method: &Method, uri: &str) -> Reply {
    ask(site, method.as_str(), uri, &[]).await
}

/// What an error says, in whatever shape.
fn said(reply: &Reply) -> String {
    let json = reply.json();
    let places = ["/error/message", "/errors/0/msg"];
    let said = places
        .iter()
        .find_map(|place| json.pointer(place)?.as_str());
    said.unwrap_or_else(|| panic!("no error in {json}"))
        .to_owned()
}

/// Every place where a value is not as a schema has it.
fn violations(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let schema = resolved(document, schema);
    let known = [
        "type",
        "required",
        "properties",
        "additionalProperties",
        "items",
        "enum",
        "description",
    ];
    for keyword in schema.as_object().expect("a schema").keys() {
        assert!(
            known.contains(&keyword.as_str()),
            "{at}: {keyword} is not checked here"
        );
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() || number.is_i64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_kind = match &schema["type"] {
        Value::Null => true,
        Value::Array(kinds) => kinds.contains(&kind.into()),
        one => *one == kind,
    };
    let is_listed = schema["enum"]
        .as_array()
        .is_none_or(|values| values.contains(value));
    if !(is_kind && is_listed) {
        found.push(format!("{at} is {value}"));
    }
    if let Some(object) = value.as_object() {
        let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
        for name in required.iter().filter_map(Value::as_str) {
            if !object.contains_key(name) {
                found.push(format!("{at} has no {name}"));
            }
        }
        for (name, inner) in object {
            let at = format!("{at}.{name}");
            match (&schema["properties"][name], &schema["additionalProperties"]) {
                (Value::Null, Value::Bool(false)) => {
                    found.push(format!("{at} is not in the document"));
                }
                (Value::Null, Value::Null) => {}
                (Value::Null, schema) | (schema, _) => {
                    violations(document, schema, inner, &at, found);
                }
            }
        }
    }
    if let Some(list) = value.as_array()
        && !schema["items"].is_null()
    {
        for (n, inner) in list.iter().enumerate() {
            violations(
                document,
                &schema["items"],
                inner,
                &format!("{at}[{n}]"),
                found,
            );
        }
    }
}

/// Checks an answer against what the document says of it.
pub(crate) fn check(path: &str, method: &Method, reply: &Reply) {
    let document = document();
    let operation = &document["paths"][path][method.as_str().to_lowercase()];
    let responses = &operation["responses"];
    let status = reply.status.as_u16().to_string();
    let response = if responses[&status].is_null() {
        &responses["default"]
    } else {
        &responses[&status]
    };
    let schema = &resolved(&document, response)["content"]["application/json"]["schema"];
    assert!(
        !schema.is_null(),
        "{method} {path} says nothing of {status}"
    );
    let mut found = Vec::new();
    violations(&document, schema, &reply.json(), "", &mut found);
    assert!(found.is_empty(), "{method} {path} {status}: {found:#?}");
}

#[tokio::test]
async fn every_path_is_answered_as_the_document_says() {
    let site = site([checkout()]);
    let document = document();
    for (path, method, operation) in operations(&document) {
        let uri = uri(&document, path, operation);
        let reply = asked(&site, &method, &uri).await;
        let is_routed = !matches!(
            reply.status,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
        );
        // A search that finds nothing is not found in Jaeger's newer API.
        let is_no_match =
            reply.status == StatusCode::NOT_FOUND && said(&reply) == "No traces found";
        assert!(is_routed || is_no_match, "{method} {uri}: {}", reply.status);
        if reply.header("content-type") == "application/json" {
            check(path, &method, &reply);
        }
    }
}

#[tokio::test]
async fn the_parameters_are_those_of_the_document() {
    let site = site([checkout()]);
    let document = document();
    for (path, method, operation) in operations(&document) {
        let uri = uri(&document, path, operation);
        let mark = if uri.contains('?') { '&' } else { '?' };
        let reply = asked(&site, &method, &format!("{uri}{mark}unheard-of=1")).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{method} {path}");
        let said = said(&reply);
        let (_, expected) = said
            .split_once("unheard-of is not a parameter here: expected ")
            .unwrap_or_else(|| panic!("{method} {path}: {said}"));
        let taken: BTreeSet<&str> = match expected.strip_prefix("one of the parameters ") {
            Some(names) => names.split(", ").collect(),
            None => BTreeSet::new(),
        };
        let documented: BTreeSet<&str> = parameters(&document, operation)
            .into_iter()
            .filter(|parameter| parameter["in"] == "query")
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        assert_eq!(taken, documented, "{method} {path}");
        check(path, &method, &reply);
    }
}

#[test]
fn every_route_of_an_api_is_in_the_document() {
    let document = document();
    let urls = include_str!("../../urls.rs");
    let routes: Vec<&str> = urls
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub(crate) const "))
        .filter_map(|line| line.split_once("&str = \"")?.1.strip_suffix("\";"))
        .filter(|route| route.starts_with("/api"))
        .collect();
    assert!(routes.contains(&"/api/v1/search"), "{routes:?}");
    for route in &routes {
        assert!(
            !document["paths"][*route].is_null(),
            "{route} is in ui/src/urls.rs and not in docs/api/openapi.json"
        );
    }
    assert_eq!(
        routes.len(),
        document["paths"]
            .as_object()
            .map_or(0, serde_json::Map::len),
        "docs/api/openapi.json has paths that ui/src/urls.rs has not"
    );
}

#[tokio::test]
async fn the_document_is_served() {
    let reply = get(&site([]), "/api/openapi.json").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.json()["openapi"], "3.1.0");
}
