use serde_json::Value;
use stoa_model::model::Model;

use super::{About, document};
use crate::sample;

fn json(view: &Model) -> Value {
    let about = About {
        title: "Shop",
        description: Some("Sells things."),
        version: Some("1.2"),
        server: "https://shop.example/odata/",
    };
    serde_json::from_slice(&document(view, &about).bytes).unwrap()
}

/// Every reference leads somewhere, and every parameter of a path is declared.
fn check(document: &Value) {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    references(document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for (path, item) in document["paths"].as_object().unwrap() {
        let mut declared: Vec<&str> = item["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let mut named: Vec<&str> = path
            .split('{')
            .skip(1)
            .map(|rest| rest.split('}').next().unwrap())
            .collect();
        declared.sort_unstable();
        named.sort_unstable();
        assert_eq!(declared, named, "{path}");
        named.dedup();
        assert_eq!(named.len(), declared.len(), "{path}");
    }
}

/// One line for each path: `/Orders get post`.
fn outline(document: &Value) -> String {
    document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(path, item)| {
            let methods: Vec<&str> = item
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .filter(|method| *method != "parameters")
                .collect();
            format!("{path} {}\n", methods.join(" "))
        })
        .collect()
}

#[test]
fn documents_hold_together() {
    for model in [sample::model(), sample::details()] {
        check(&json(&model));
    }
    check(&json(&sample::view()));
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    for name in ["wholesale", "northwind"] {
        let loaded = stoa_model::application::load(&folder.join(name)).unwrap();
        check(&json(&loaded.application.model));
    }
}

#[test]
fn whoever_may_do_everything_sees_every_path() {
    insta::assert_snapshot!(outline(&json(&sample::model())), @r#"
        /Parties get post
        /Parties({id}) get patch delete
        /Parties({id})/Orders get
        /Companies get post
        /Companies({id}) get patch delete
        /Companies({id})/Orders get
        /Companies({id})/Home get
        /Regions get post
        /Regions('{Code}') get patch delete
        /Regions('{Code}')/Companies get
        /Orders get post
        /Orders({id}) get patch delete
        /Orders({id})/Party get
        /Orders({id})/Lines get post
        /Orders({id})/Lines({Lineid}) get patch delete
        /Orders({id})/Lines({Lineid})/Order get
        /Orders({id})/Tags get
        /Orders({id})/Paper/$value get put
        /Tags get post
        /Tags('{Word}') get patch delete
        /Tags('{Word}')/Orders get
        /SystemUsers get post
        /SystemUsers({id}) get patch delete
        "#);
}

#[test]
fn a_reader_sees_what_the_reader_may_use() {
    let document = json(&sample::view());
    insta::assert_snapshot!(outline(&document), @r#"
        /Parties get
        /Parties({id}) get
        /Companies get
        /Companies({id}) get
        /Orders get post
        /Orders({id}) get patch
        /Orders({id})/Party get
        /Orders({id})/Lines get
        /Orders({id})/Lines({Lineid}) get
        /Orders({id})/Lines({Lineid})/Order get
        /Tags post
        /SystemUsers get
        /SystemUsers({id}) get
        "#);
    let schemas = &document["components"]["schemas"];
    insta::assert_snapshot!(format!("{:#}", schemas["shop.Order"]), @r##"
        {
          "type": "object",
          "title": "Order",
          "description": "What somebody orders.",
          "properties": {
            "@odata.etag": {
              "type": "string"
            },
            "id": {
              "type": "string",
              "format": "uuid",
              "title": "Id"
            },
            "Number": {
              "type": "integer",
              "format": "int64",
              "readOnly": true
            },
            "Status": {
              "allOf": [
                {
                  "$ref": "#/components/schemas/shop.Status"
                }
              ]
            },
            "DueOn": {
              "type": [
                "string",
                "null"
              ],
              "format": "date",
              "readOnly": true
            },
            "Total": {
              "type": [
                "number",
                "null"
              ],
              "format": "decimal",
              "minimum": 0,
              "readOnly": true
            },
            "Party": {
              "anyOf": [
                {
                  "$ref": "#/components/schemas/shop.Party"
                },
                {
                  "type": "null"
                }
              ]
            },
            "Lines": {
              "type": "array",
              "items": {
                "$ref": "#/components/schemas/shop.Line"
              }
            }
          }
        }
        "##);
    insta::assert_snapshot!(format!("{:#}", schemas["shop.Order-create"]), @r##"
        {
          "type": "object",
          "properties": {
            "id": {
              "type": "string",
              "format": "uuid",
              "title": "Id"
            },
            "Status": {
              "allOf": [
                {
                  "$ref": "#/components/schemas/shop.Status"
                }
              ]
            },
            "Weight": {
              "type": [
                "integer",
                "null"
              ],
              "format": "int64",
              "maximum": 9007199254740993
            },
            "Tags@odata.bind": {
              "type": "array",
              "items": {
                "type": "string",
                "format": "uri-reference"
              },
              "description": "URL of a row: Tags(key)."
            }
          }
        }
        "##);
    let text = document.to_string();
    for hidden in ["Region", "Paper", "SystemSession", "PlacedAt", "Home"] {
        assert!(!text.contains(hidden), "{hidden}");
    }
}
