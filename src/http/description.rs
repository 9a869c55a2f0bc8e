//! The OpenAPI 3.1 description, made from the code: each route describes itself beside its handler, each command comes out of
//! the catalogue of commands, schemas come from the types that are read and written. Served at `/openapi.json`, kept in
//! `docs/openapi.json`, browsed at `/docs`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::openapi::{self, OpenApiDocument};
use super::routes;
use crate::live::event_view::EventView;

/// The shapes of events and of all that they are made of: `Event`, what callers see of any, and for each kind what it has of
/// its own, under its `openapi::event_shape_name`.
pub fn event_shapes() -> BTreeMap<String, Value> {
    let mut document = OpenApiDocument::default();
    openapi::describe_event_shapes(&mut document);
    document.answer::<EventView<'static>>();
    document.into_schemas()
}

/// The whole description.
pub fn document() -> Value {
    let mut document = OpenApiDocument::default();
    describe(&mut document);
    document.finish()
}

fn describe(document: &mut OpenApiDocument) {
    openapi::describe_event_shapes(document);
    routes::describe(document);
}

/// As it is served and as it is kept in `docs/openapi.json`.
pub fn text() -> String {
    format!("{:#}\n", document())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::commands::room::RoomCommand;

    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                    found.insert(reference);
                }
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for reference in found {
            assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
        }
    }

    #[test]
    fn one_name_stands_for_one_shape() {
        let mut document = OpenApiDocument::default();
        describe(&mut document);
        assert_eq!(document.clashes, [""; 0]);
    }

    #[test]
    fn every_command_is_an_operation_with_schema_examples_and_refusals() {
        let document = document();
        for kind in RoomCommand::catalogue() {
            let operation = &document["paths"][format!("/v1/rooms/{{room}}/commands/{}", kind.name)]["post"];
            let body = &operation["requestBody"]["content"]["application/json"];
            assert!(body["schema"]["$ref"].is_string(), "{}: {operation:#}", kind.name);
            assert!(body["examples"].as_object().is_some_and(|examples| !examples.is_empty()), "{}", kind.name);
            for code in kind.refusals {
                let answer = &operation["responses"][code.status().to_string()]["content"]["application/problem+json"];
                assert!(answer["examples"][code.as_str()]["$ref"].is_string(), "{} {code}", kind.name);
            }
        }
    }

    #[test]
    fn a_command_is_answered_with_the_events_that_it_can_lead_to_and_their_shapes() {
        let document = document();
        for kind in RoomCommand::catalogue() {
            let operation = &document["paths"][format!("/v1/rooms/{{room}}/commands/{}", kind.name)]["post"];
            let answer = &operation["responses"]["200"]["content"]["application/json"]["schema"];
            let answer = document.pointer(&answer["$ref"].as_str().unwrap()[1..]).unwrap();
            let written = answer["properties"]["events"]["items"]["oneOf"].as_array().unwrap();
            let mut named: Vec<_> = written
                .iter()
                .map(|event| &document.pointer(&event["$ref"].as_str().unwrap()[1..]).unwrap()["properties"])
                .map(|fields| {
                    assert!(fields["type_version"]["const"].is_u64() && fields["data"]["$ref"].is_string(), "{fields}");
                    fields["type"]["const"].as_str().unwrap()
                })
                .collect();
            let mut told = kind.events.to_vec();
            named.sort_unstable();
            told.sort_unstable();
            assert_eq!(named, told, "{}", kind.name);
        }
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let document = document();
        let mut seen = BTreeSet::new();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                let name = operation["operationId"].as_str().unwrap();
                assert!(seen.insert(name.to_owned()), "{name} stands twice");
            }
        }
    }
}
