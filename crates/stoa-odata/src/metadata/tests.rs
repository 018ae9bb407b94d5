use std::collections::BTreeSet;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::*;
use crate::sample;

fn text(document: &Document) -> String {
    String::from_utf8(document.bytes.to_vec()).unwrap()
}

/// One attribute of an element, unescaped.
fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    element
        .try_get_attribute(name)
        .unwrap()
        .map(|attribute| attribute.unescape_value().unwrap().into_owned())
}

/// Elements of a document with their attributes; fails unless it is well-formed.
fn elements(xml: &str) -> Vec<(Vec<String>, BytesStart<'static>)> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let mut path: Vec<String> = Vec::new();
    let mut found = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(element) => {
                path.push(String::from_utf8(element.name().as_ref().to_vec()).unwrap());
                found.push((path.clone(), element.into_owned()));
            }
            Event::Empty(element) => {
                let mut path = path.clone();
                path.push(String::from_utf8(element.name().as_ref().to_vec()).unwrap());
                found.push((path, element.into_owned()));
            }
            Event::End(_) => {
                path.pop();
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(path.is_empty(), "every element is closed");
    found
}

/// Every type that is named exists, so does every target of a binding, every key, every partner.
fn check_consistency(model: &Model) {
    let metadata = Metadata::new(model);
    for document in [&metadata.xml_4_0, &metadata.xml_4_01] {
        let elements = elements(&text(document));
        let last = |path: &[String]| path.last().cloned().unwrap_or_default();
        let names = |kind: &str| -> BTreeSet<String> {
            elements
                .iter()
                .filter(|(path, _)| last(path) == kind)
                .map(|(_, element)| attribute(element, "Name").unwrap())
                .collect()
        };
        let types: BTreeSet<String> = names("EntityType")
            .union(&names("EnumType"))
            .map(|name| format!("{}.{name}", model.name))
            .collect();
        let sets = names("EntitySet");
        let mut aliases = BTreeSet::new();
        for (path, element) in &elements {
            for reference in ["Type", "BaseType", "EntityType"] {
                let Some(name) = attribute(element, reference) else {
                    continue;
                };
                let name = name
                    .strip_prefix("Collection(")
                    .and_then(|name| name.strip_suffix(')'))
                    .unwrap_or(&name);
                assert!(
                    name.starts_with("Edm.") || types.contains(name),
                    "{name} in {path:?}"
                );
            }
            match last(path).as_str() {
                "NavigationPropertyBinding" => {
                    let target = attribute(element, "Target").unwrap();
                    assert!(sets.contains(&target), "{target}");
                }
                "edmx:Include" => {
                    aliases.insert(attribute(element, "Alias").unwrap());
                }
                "Annotation" => {
                    let term = attribute(element, "Term").unwrap();
                    let alias = term.split('.').next().unwrap();
                    assert!(aliases.contains(alias), "{term} has no reference");
                }
                "Member" => assert!(attribute(element, "Value").is_some()),
                _ => {}
            }
        }
    }
    for document in [&metadata.json_4_0, &metadata.json_4_01] {
        let json: serde_json::Value = serde_json::from_slice(&document.bytes).unwrap();
        let schema = json[&model.name].as_object().unwrap();
        let container = json["$EntityContainer"].as_str().unwrap();
        assert_eq!(container, format!("{}.Container", model.name));
        for definition in schema.values() {
            for member in definition.as_object().unwrap().values() {
                let Some(name) = member.get("$Type").and_then(|name| name.as_str()) else {
                    continue;
                };
                let known = name
                    .strip_prefix(&format!("{}.", model.name))
                    .is_some_and(|name| schema.contains_key(name));
                assert!(name.starts_with("Edm.") || known, "{name}");
            }
        }
        for set in schema["Container"].as_object().unwrap().values() {
            let Some(bindings) = set.get("$NavigationPropertyBinding") else {
                continue;
            };
            for target in bindings.as_object().unwrap().values() {
                assert!(schema["Container"].get(target.as_str().unwrap()).is_some());
            }
        }
    }
}

#[test]
fn the_documents_are_consistent() {
    check_consistency(&sample::model());
    check_consistency(&sample::details());
}

#[test]
fn the_examples_have_consistent_documents() {
    for name in ["examples/wholesale", "examples/northwind"] {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(name);
        if !folder.exists() {
            continue;
        }
        let loaded =
            stoa_model::application::load(&folder).unwrap_or_else(|faults| panic!("{faults}"));
        check_consistency(&loaded.application.model);
    }
}

#[test]
fn versions_differ_in_the_root_and_tags_in_everything() {
    let metadata = Metadata::new(&sample::model());
    assert!(text(&metadata.xml_4_0).contains(
        r#"<edmx:Edmx xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx" Version="4.0">"#
    ));
    assert!(text(&metadata.xml_4_01).contains(r#"Version="4.01">"#));
    assert!(
        text(&metadata.json_4_01)
            .starts_with(r#"{"$Version":"4.01","$EntityContainer":"shop.Container","#)
    );
    assert_ne!(metadata.xml_4_0.etag, metadata.xml_4_01.etag);
    let again = Metadata::new(&sample::model());
    assert_eq!(metadata.xml_4_0.etag, again.xml_4_0.etag);
}

#[test]
fn xml_says_what_the_model_says() {
    let xml = text(&Metadata::new(&sample::model()).xml_4_0);
    let (_, schema) = xml.split_once("<edmx:DataServices>").unwrap();
    insta::assert_snapshot!(schema);
}

#[test]
fn json_says_what_the_model_says() {
    let model = sample::details();
    let document = Metadata::new(&model).json_4_01;
    let json: serde_json::Value = serde_json::from_slice(&document.bytes).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&json["shop"]).unwrap());
}

#[test]
fn the_service_document_lists_the_entity_sets() {
    let metadata = Metadata::new(&sample::model());
    let json = metadata.service_document("http://x/odata/", Format::default());
    insta::assert_snapshot!(String::from_utf8(json).unwrap(), @r#"{"@odata.context":"http://x/odata/$metadata","value":[{"name":"Parties","kind":"EntitySet","url":"Parties"},{"name":"Companies","kind":"EntitySet","url":"Companies"},{"name":"Regions","kind":"EntitySet","url":"Regions"},{"name":"Orders","kind":"EntitySet","url":"Orders"},{"name":"Tags","kind":"EntitySet","url":"Tags"}]}"#);
}
