//! The JSON Schema and the reader know the same keys.

use serde_json::Value;

use super::super::schema;
use super::load_files;

/// The least TOML value that a schema allows.
fn sample(schema: &Value) -> String {
    if let Some(word) = schema
        .get("const")
        .or_else(|| schema.get("enum").and_then(|words| words.get(0)))
    {
        return word.to_string();
    }
    if let Some(any) = schema.get("anyOf") {
        return sample(&any[0]);
    }
    let kind = schema["type"]
        .as_str()
        .unwrap_or_else(|| schema["type"][0].as_str().unwrap());
    match kind {
        "string" => "\"x\"".to_owned(),
        "boolean" => "true".to_owned(),
        "integer" => schema["minimum"].to_string(),
        "array" => format!("[{}]", sample(&schema["items"])),
        "object" => match schema.get("properties") {
            None => format!("{{ name = {} }}", sample(&schema["additionalProperties"])),
            Some(_) => table(schema, None),
        },
        other => panic!("unexpected type {other}"),
    }
}

/// An inline table with the required keys and one more.
fn table(schema: &Value, more: Option<&str>) -> String {
    let required = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let mut keys: Vec<&str> = required.collect();
    keys.extend(more.filter(|more| !keys.contains(more)));
    let members: Vec<String> = keys
        .iter()
        .map(|key| format!("{key:?} = {}", sample(&schema["properties"][key])))
        .collect();
    format!("{{ {} }}", members.join(", "))
}

/// Every table with keys, with TOML text around it.
fn tables<'a>(
    schema: &'a Value,
    before: &str,
    after: &str,
    found: &mut Vec<(&'a Value, String, String)>,
) {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        found.push((schema, before.to_owned(), after.to_owned()));
        for (key, property) in properties {
            tables(
                property,
                &format!("{before}{{ {key:?} = "),
                &format!(" }}{after}"),
                found,
            );
        }
    }
    if let Some(items) = schema.get("items") {
        tables(items, &format!("{before}["), &format!("]{after}"), found);
    }
    if let Some(of) = schema
        .get("additionalProperties")
        .filter(|of| of.is_object())
    {
        tables(
            of,
            &format!("{before}{{ name = "),
            &format!(" }}{after}"),
            found,
        );
    }
    for any in schema
        .get("anyOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        tables(any, before, after, found);
    }
}

/// What is wrong with the shape of a value at the top of a file.
fn shape_faults(path: &str, inline: &str) -> Vec<String> {
    // An inline table as a whole file: its members, each on a line of its own, are `key = value`.
    let text: String = {
        let document: toml::Table = format!("root = {inline}").parse::<toml::Table>().unwrap();
        toml::to_string(&document["root"]).unwrap()
    };
    let files = [("app.toml", "name = \"shop\"\n"), (path, text.as_str())];
    let files = if path == "app.toml" {
        &files[1..]
    } else {
        &files[..]
    };
    let faults = match load_files(files) {
        Ok(loaded) => loaded.warnings,
        Err(faults) => faults,
    };
    let shape = [
        "unknown-key",
        "wrong-type",
        "out-of-range",
        "unknown-choice",
        "syntax",
    ];
    faults
        .iter()
        .filter(|fault| shape.contains(&fault.code.as_str()))
        .map(|fault| format!("{}: {}: {text}", fault.code, fault.message))
        .collect()
}

#[test]
fn every_key_of_the_schema_is_accepted() {
    let mut keys = 0;
    for (path, schema) in [
        ("app.toml", schema::application()),
        ("model/a.toml", schema::model()),
    ] {
        let mut found = Vec::new();
        tables(&schema, "", "", &mut found);
        for (table_schema, before, after) in found {
            for (key, property) in table_schema["properties"].as_object().unwrap() {
                assert!(
                    property["description"]
                        .as_str()
                        .is_some_and(|about| about.len() > 10),
                    "{key}"
                );
                let text = format!("{before}{}{after}", table(table_schema, Some(key)));
                assert_eq!(shape_faults(path, &text), Vec::<String>::new(), "{key}");
                keys += 1;
            }
        }
    }
    assert!(keys > 70, "{keys}");
}

#[test]
fn the_check_of_the_check_finds_unknown_keys() {
    assert_eq!(
        shape_faults("model/a.toml", "{ entity = { A = { nonsense = 1 } } }").len(),
        1
    );
}

#[test]
fn the_schemas_of_the_documentation_are_these() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema");
    for (name, schema) in [
        ("app.schema.json", schema::application()),
        ("model.schema.json", schema::model()),
    ] {
        let path = folder.join(name);
        let wanted = format!("{schema:#}\n");
        if std::env::var_os("STOA_WRITE_SCHEMAS").is_some() {
            std::fs::write(&path, &wanted).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap();
        assert!(
            found == wanted,
            "docs/schema/{name} is not up to date: run this test with STOA_WRITE_SCHEMAS=1"
        );
    }
}

#[test]
fn schemas_are_closed_and_say_their_draft() {
    for schema in [schema::application(), schema::model()] {
        assert_eq!(
            schema["$schema"],
            "https://json-schema.org/draft/2020-12/schema"
        );
        assert_eq!(schema["additionalProperties"], false);
        assert!(schema["title"].is_string());
    }
}

#[test]
fn the_guide_names_every_key_and_code_and_its_examples_are_valid() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/model.md");
    let guide = std::fs::read_to_string(path).unwrap();
    let mut found = Vec::new();
    let (application, model) = (schema::application(), schema::model());
    tables(&application, "", "", &mut found);
    tables(&model, "", "", &mut found);
    for (schema, _, _) in found {
        for key in schema["properties"].as_object().unwrap().keys() {
            let headed = guide.contains(&format!("[{key}.")) || guide.contains(&format!(".{key}]"));
            assert!(
                headed || guide.contains(&format!("`{key}`")),
                "the guide lacks `{key}`"
            );
        }
    }
    let codes = crate::diagnostic::Code::ALL.iter();
    for code in codes.filter(|code| !code.is_of_site()) {
        assert!(
            guide.contains(&format!("`{code}`")),
            "the guide lacks `{code}`"
        );
    }
    let mut examples = guide
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap());
    let manifest = examples.next().unwrap();
    // The examples belong together, but for what the text around them takes for granted.
    let more = "[entity.Product]\nkey = [\"ProductID\"]\n[entity.Product.attributes]\nProductID = \"Integer\"\n\
                [entity.Territory]\nexternal = true\nkey = [\"TerritoryID\"]\n\
                [entity.Territory.attributes]\nTerritoryID = { type = \"String\", column = \"territory_id\" }\n";
    let region = [
        "Name   = { type = \"String\", length = 120",
        "Region = \"String\"\nName   = { type = \"String\", length = 120",
    ];
    let model = more.to_owned()
        + &examples
            .collect::<Vec<_>>()
            .join("\n")
            .replacen(region[0], region[1], 1);
    let files = [("app.toml", manifest), ("model/guide.toml", model.as_str())];
    if let Err(faults) = load_files(&files) {
        panic!("{faults}");
    }
}
