//! The examples of the guide are what the service understands: each `curl` of the page is parsed, resolved
//! against the wholesale model, and its body read.

use std::path::{Path, PathBuf};

use stoa_model::application::{Limits, load};
use stoa_model::change::Expected;
use stoa_odata::body::{self, Method, Options, Place};
use stoa_odata::resolve::{Part, Read, Target};
use stoa_odata::url::{Resource, Url};

const ROOT: &str = "http://localhost:8080/odata/";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Words of a shell command: single and double quotes, and backslashes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = None::<String>;
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => {
                word.get_or_insert_default()
                    .push(characters.next().unwrap_or_default());
            }
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

#[test]
fn the_examples_of_the_guide_are_understood() {
    let page = std::fs::read_to_string(repository().join("docs/guide/data-service.md")).unwrap();
    let loaded = load(&repository().join("examples/wholesale")).unwrap_or_else(|f| panic!("{f}"));
    let model = &loaded.application.model;
    let limits = Limits::default();
    let options = Options {
        limits: &limits,
        ieee754_compatible: false,
        root: ROOT,
        now: 0,
    };
    let mut reads = 0;
    let mut writes = 0;
    for line in page.lines().filter(|line| line.starts_with("curl ")) {
        let words = words(line);
        let after = |flag: &str| {
            let place = words.iter().position(|word| word == flag)?;
            words.get(place + 1).map(String::as_str)
        };
        let url = words
            .iter()
            .find_map(|word| word.strip_prefix(ROOT))
            .unwrap();
        let (path, query) = match url.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (url, None),
        };
        let url = Url::parse(path, query, &limits).unwrap_or_else(|e| panic!("{line}: {e}"));
        if matches!(url.resource, Resource::ServiceDocument | Resource::Metadata) {
            reads += 1;
            continue;
        }
        let target = Target::new(model, &url).unwrap_or_else(|e| panic!("{line}: {e}"));
        let json = after("-d").unwrap_or_default().as_bytes();
        let result = match after("-X") {
            None => {
                Read::new(model, &url, &target, &limits, None)
                    .unwrap_or_else(|error| panic!("{line}: {error}"));
                reads += 1;
                continue;
            }
            Some("POST") => body::create(model, target.entity, json, &options, &Place::default()),
            Some("PATCH") => body::update(
                model,
                target.entity,
                body::target_of(&target.source),
                Expected::Any,
                Method::Patch,
                json,
                &options,
            ),
            // The content of a file is not JSON; that the path leads to a property is what counts here.
            Some("PUT") => {
                assert!(matches!(target.part, Part::Property(_)), "{line}");
                continue;
            }
            Some("DELETE") => continue,
            Some(other) => panic!("{line}: {other}"),
        };
        let write = result.unwrap_or_else(|error| panic!("{line}: {error:?}"));
        assert!(!write.change.operations.is_empty());
        writes += 1;
    }
    assert_eq!((reads, writes), (12, 3));
}
