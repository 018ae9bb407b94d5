//! Whether an answer is what was expected.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use crate::court::Answer;
use crate::expect::{Content, Expected};
use crate::model::{Model, NAMESPACE};
use crate::reading::SOME_INSTANT;
use crate::value::plain;

/// The difference in words; none if there is none. The first word says what differs.
pub(crate) fn difference(
    model: &Model,
    expected: &Expected,
    answer: &Answer,
    is_write: bool,
) -> Option<String> {
    if !(200..300).contains(&answer.status) {
        let code = answer.code();
        let is_told = expected
            .refusals
            .iter()
            .any(|(status, told)| *status == answer.status && *told == code);
        // Several faults at once have a code of their own.
        let is_several = answer.status == 400
            && code == "InvalidBody"
            && expected
                .refusals
                .iter()
                .any(|(status, _)| matches!(status, 400 | 409));
        if is_told || is_several {
            return None;
        }
        return Some(format!("status: it is {} {code}", answer.status));
    }
    let Some(success) = &expected.success else {
        return Some(format!("status: it is {}", answer.status));
    };
    if !success.statuses.contains(&answer.status) {
        return Some(format!("status: it is {}", answer.status));
    }
    let mut faults = Vec::new();
    let actual = answer.json();
    match &success.content {
        Content::Nothing if answer.text.is_empty() => {}
        Content::Nothing => faults.push("there is a body".to_owned()),
        Content::Row(row) => {
            let mut actual = stripped(&actual, &mut faults);
            let mut row = plain(row);
            if is_write {
                only_expected_navigations(model, &row, &mut actual);
                without_types(&mut actual);
                without_types(&mut row);
            }
            if !fits(&row, &actual) {
                faults.push("the row differs".to_owned());
            }
        }
        Content::Rows(rows, count) => {
            let given = actual["value"].as_array().cloned().unwrap_or_default();
            let given: Vec<Json> = given.iter().map(|row| stripped(row, &mut faults)).collect();
            if !actual["value"].is_array() || !fits(&plain(&json!(rows)), &json!(given)) {
                faults.push("the rows differ".to_owned());
            }
            let counted = actual.get("@odata.count").cloned();
            if counted != count.map(|count| json!(count)) {
                faults.push("the count differs".to_owned());
            }
            if actual.get("@odata.nextLink").is_some() {
                faults.push("there is another page".to_owned());
            }
        }
        Content::Property(value) => {
            let mut given = actual["value"].clone();
            if *value == SOME_INSTANT && given.is_string() {
                given = json!(SOME_INSTANT);
            }
            if plain(value) != plain(&given) {
                faults.push("the value differs".to_owned());
            }
        }
        Content::Text(text) => {
            let is_instant = text == SOME_INSTANT && answer.text.ends_with('Z');
            let is_number = || {
                let numbers = (text.parse::<f64>(), answer.text.parse::<f64>());
                matches!(numbers, (Ok(one), Ok(other)) if one == other)
            };
            if !is_instant && *text != answer.text && !is_number() {
                faults.push("the text differs".to_owned());
            }
        }
        Content::References(ends, is_many) => {
            let ids: Vec<&Json> = if *is_many {
                actual["value"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|row| &row["@odata.id"])
                    .collect()
            } else {
                vec![&actual["@odata.id"]]
            };
            let is_told = |(id, end): (&Json, &String)| {
                id.as_str().is_some_and(|id| id.ends_with(end.as_str()))
            };
            if ids.len() != ends.len() || !ids.into_iter().zip(ends).all(is_told) {
                faults.push("the references differ".to_owned());
            }
        }
        Content::Metadata { hidden, shown } => {
            let words = words(&answer.text);
            for name in hidden {
                if words.contains(name.as_str()) {
                    faults.push(format!("'{name}' is shown"));
                }
            }
            for name in shown {
                if !words.contains(name.as_str()) {
                    faults.push(format!("'{name}' is missing"));
                }
            }
        }
    }
    (!faults.is_empty()).then(|| format!("body: {}", faults.join("; ")))
}

/// The words of a text.
pub(crate) fn words(text: &str) -> BTreeSet<&str> {
    text.split(|character: char| !character.is_alphanumeric() && character != '_')
        .collect()
}

/// A row without control information; the type that is told stays, as `@type`.
fn stripped(row: &Json, faults: &mut Vec<String>) -> Json {
    let Json::Object(members) = row else {
        return plain(row);
    };
    let mut object = Map::new();
    for (name, value) in members {
        if name == "@odata.type" {
            let text = value.as_str().unwrap_or_default();
            let text = text.trim_start_matches('#');
            let text = text.strip_prefix(&format!("{NAMESPACE}.")).unwrap_or(text);
            object.insert("@type".to_owned(), json!(text));
        } else if let Some(navigation) = name.strip_suffix("@odata.count") {
            if !navigation.is_empty() {
                object.insert(format!("{navigation}@count"), plain(value));
            }
        } else if name.ends_with("nextLink") {
            faults.push(format!("there is {name}"));
        } else if name.contains('@') {
            continue;
        } else if matches!(name.as_str(), "createdAt" | "changedAt") && !value.is_null() {
            object.insert(name.clone(), json!(SOME_INSTANT));
        } else {
            let value = match value {
                Json::Array(rows) => {
                    Json::Array(rows.iter().map(|row| stripped(row, faults)).collect())
                }
                Json::Object(_) => stripped(value, faults),
                value => plain(value),
            };
            object.insert(name.clone(), value);
        }
    }
    if !members.contains_key("@odata.etag") {
        faults.push("a row has no version".to_owned());
    }
    Json::Object(object)
}

fn without_types(value: &mut Json) {
    match value {
        Json::Object(members) => {
            members.remove("@type");
            members.values_mut().for_each(without_types);
        }
        Json::Array(items) => items.iter_mut().for_each(without_types),
        _ => {}
    }
}

/// A new row may come with what was nested in it.
fn only_expected_navigations(model: &Model, expected: &Json, actual: &mut Json) {
    let names: BTreeSet<String> = model
        .ids()
        .flat_map(|entity| model.navigations(entity))
        .map(|(name, _)| name)
        .collect();
    if let (Json::Object(actual), Json::Object(expected)) = (actual, expected) {
        actual.retain(|name, _| !names.contains(name) || expected.contains_key(name));
    }
}

/// Whether JSON is as expected; `<key>` stands for any key, and arrays with it have no order.
fn fits(expected: &Json, actual: &Json) -> bool {
    match (expected, actual) {
        (Json::String(text), actual) if text == "<key>" => actual.is_string(),
        (Json::Object(expected), Json::Object(actual)) => {
            expected.len() == actual.len()
                && actual.iter().all(|(name, value)| {
                    expected
                        .get(name)
                        .is_some_and(|expected| fits(expected, value))
                })
        }
        (Json::Array(expected), Json::Array(actual)) => {
            if expected.len() != actual.len() {
                return false;
            }
            if !expected.iter().any(has_wildcard) {
                return expected
                    .iter()
                    .zip(actual)
                    .all(|(expected, actual)| fits(expected, actual));
            }
            let mut left: Vec<&Json> = actual.iter().collect();
            expected.iter().all(|expected| {
                let found = left.iter().position(|actual| fits(expected, actual));
                found.map(|position| left.remove(position)).is_some()
            })
        }
        (expected, actual) => expected == actual,
    }
}

fn has_wildcard(value: &Json) -> bool {
    match value {
        Json::String(text) => text == "<key>",
        Json::Object(members) => members.values().any(has_wildcard),
        Json::Array(items) => items.iter().any(has_wildcard),
        _ => false,
    }
}

#[test]
fn words_are_whole() {
    assert!(words("a 'Text1', Shade2").contains("Text1"));
    assert!(!words("a 'Text12'").contains("Text1"));
}
