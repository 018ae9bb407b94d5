use http::header::{ACCEPT, HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH};
use stoa_model::change::Expected;

use super::*;
use crate::error::Code;

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            value.parse().unwrap(),
        );
    }
    map
}

#[test]
fn the_version_is_4_0_unless_4_01_is_asked_for() {
    let check = |pairs: &[(&str, &str)]| {
        version(&headers(pairs)).map_or_else(|error| error.code.as_str(), Version::as_str)
    };
    assert_eq!(check(&[]), "4.0");
    assert_eq!(check(&[("OData-Version", "4.0")]), "4.0");
    assert_eq!(check(&[("OData-Version", "4.01")]), "4.01");
    assert_eq!(
        check(&[("OData-MaxVersion", "4.0"), ("OData-Version", "4.01")]),
        "4.0"
    );
    assert_eq!(
        check(&[("OData-MaxVersion", "4.01"), ("OData-Version", "4.0")]),
        "4.01"
    );
    assert_eq!(check(&[("OData-MaxVersion", "4.01")]), "4.01");
    assert_eq!(check(&[("OData-MaxVersion", "5.0")]), "4.01");
    assert_eq!(check(&[("OData-MaxVersion", "4.0;NetFx")]), "4.0");
    assert_eq!(check(&[("OData-MaxVersion", "3.0")]), "UnsupportedVersion");
    assert_eq!(check(&[("OData-Version", "5.0")]), "UnsupportedVersion");
    assert_eq!(check(&[("OData-Version", "four")]), "InvalidHeader");
    assert_eq!(check(&[("OData-MaxVersion", "")]), "InvalidHeader");
}

fn chosen(accept: &[&str], format: Option<&str>, resource: Resource) -> String {
    let pairs: Vec<_> = accept.iter().map(|accept| ("accept", *accept)).collect();
    match representation(&headers(&pairs), format, resource, Version::V4_0) {
        Ok(Representation::Json(format)) => format.content_type().to_owned(),
        Ok(Representation::Xml(_)) => "application/xml".to_owned(),
        Ok(Representation::Text(_)) => "text/plain".to_owned(),
        Err(error) => error.code.to_string(),
    }
}

#[test]
fn data_is_json_whatever_parameters_a_client_sends() {
    let minimal = "application/json;odata.metadata=minimal";
    for accept in [
        "*/*",
        "application/json",
        "APPLICATION/JSON",
        "application/json;odata=verbose",
        "application/json;odata.metadata=minimal;odata.streaming=true;charset=utf-8",
        "application/json;odata.metadata=fancy",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "application/atom+xml, application/*;q=0.1",
        "multipart/mixed, application/json;q=0.2",
    ] {
        assert_eq!(chosen(&[accept], None, Resource::Data), minimal, "{accept}");
    }
    assert_eq!(chosen(&[], None, Resource::Data), minimal);
    assert_eq!(
        chosen(
            &["application/json;odata.metadata=none"],
            None,
            Resource::Data
        ),
        "application/json;odata.metadata=none"
    );
    assert_eq!(
        chosen(
            &[
                "application/xml",
                "application/json;metadata=full;IEEE754Compatible=true"
            ],
            None,
            Resource::Data
        ),
        "application/json;odata.metadata=full;IEEE754Compatible=true"
    );
    for accept in ["application/xml", "application/json;q=0", "text/plain"] {
        assert_eq!(
            chosen(&[accept], None, Resource::Data),
            "NotAcceptable",
            "{accept}"
        );
    }
}

#[test]
fn the_format_option_goes_before_accept() {
    let accept = &["application/xml"];
    assert_eq!(
        chosen(accept, Some("json"), Resource::Data),
        "application/json;odata.metadata=minimal"
    );
    assert_eq!(
        chosen(
            accept,
            Some("application/json;odata.metadata=full"),
            Resource::Data
        ),
        "application/json;odata.metadata=full"
    );
    assert_eq!(
        chosen(&["application/json"], Some("xml"), Resource::Metadata),
        "application/xml"
    );
    assert_eq!(
        chosen(&["application/json"], Some("atom"), Resource::Data),
        "NotAcceptable"
    );
    assert_eq!(
        chosen(&["application/json"], Some("json"), Resource::Text),
        "text/plain"
    );
}

#[test]
fn metadata_is_xml_unless_json_is_preferred() {
    let json = "application/json;odata.metadata=minimal";
    for (accept, expected) in [
        ("*/*", "application/xml"),
        ("application/*", "application/xml"),
        ("application/xml", "application/xml"),
        ("application/json", json),
        ("application/json, text/plain, */*", json),
        ("application/json;q=0.5, application/xml", "application/xml"),
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/xml",
        ),
        ("text/html", "NotAcceptable"),
    ] {
        assert_eq!(
            chosen(&[accept], None, Resource::Metadata),
            expected,
            "{accept}"
        );
    }
    assert_eq!(chosen(&[], None, Resource::Metadata), "application/xml");
}

#[test]
fn bodies_are_json() {
    let check = |kind| body_format(&headers(&[("content-type", kind)])).map_err(|e| e.code);
    assert!(check("application/json").is_ok());
    assert!(check("application/json;odata.metadata=minimal;charset=utf-8").is_ok());
    assert!(
        check("application/json;IEEE754Compatible=true")
            .unwrap()
            .ieee754_compatible
    );
    assert_eq!(check("application/xml"), Err(Code::UnsupportedMediaType));
    assert_eq!(check("é"), Err(Code::UnsupportedMediaType));
}

#[test]
fn preferences_are_read_and_echoed() {
    let read = |values: &[&str]| {
        let pairs: Vec<_> = values.iter().map(|value| ("prefer", *value)).collect();
        Preferences::from_headers(&headers(&pairs))
    };
    let preferences = read(&["return=minimal, odata.maxpagesize=5", "handling=strict"]);
    assert_eq!(preferences.answer, Some(Return::Minimal));
    assert_eq!(preferences.page_size, Some(5));
    assert_eq!(
        preferences.applied_to_read(Some(5)).as_deref(),
        Some("handling=strict, odata.maxpagesize=5")
    );
    assert_eq!(
        preferences.applied_to_write(),
        Some("return=minimal, handling=strict")
    );
    let preferences = read(&["return=\"representation\"; foo, respond-async, maxpagesize=x"]);
    assert_eq!(preferences.answer, Some(Return::Representation));
    assert_eq!(preferences.page_size, None);
    assert_eq!(preferences.applied_to_read(Some(5)), None);
}

#[test]
fn documents_are_known_by_their_tag() {
    let known = |value| is_known(&headers(&[("if-none-match", value)]), "\"ab\"");
    assert!(known("\"ab\""));
    assert!(known("\"x,y\", W/\"ab\""));
    assert!(known("*"));
    assert!(!known("\"a\""));
    assert!(!is_known(&HeaderMap::new(), "\"ab\""));
}

proptest::proptest! {
    #[test]
    fn no_header_makes_a_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60)) {
        let Ok(value) = http::HeaderValue::from_bytes(&bytes) else { return Ok(()) };
        let mut map = HeaderMap::new();
        for name in [ODATA_VERSION, ODATA_MAX_VERSION, PREFER, ACCEPT, IF_MATCH, IF_NONE_MATCH, http::header::CONTENT_TYPE] {
            map.insert(name, value.clone());
        }
        let _ = version(&map);
        let _ = representation(&map, None, Resource::Metadata, Version::V4_01);
        let _ = body_format(&map);
        let _ = Preferences::from_headers(&map);
        let _ = Preconditions::from_headers(&map);
        let _ = is_known(&map, "\"x\"");
    }
}

#[test]
fn preconditions_take_lists_of_tags() {
    let read = |value| Preconditions::from_headers(&headers(&[("if-match", value)]));
    let versions = |value| read(value).unwrap().if_match.unwrap();
    assert_eq!(versions("*"), Condition::Any);
    assert_eq!(versions("W/\"1\", \"2\""), Condition::Versions(vec![1, 2]));
    assert_eq!(versions("\"a,b\""), Condition::Versions(vec![]));
    assert_eq!(read("1").unwrap_err().code, Code::InvalidHeader);
    assert_eq!(read("\"1\"x").unwrap_err().code, Code::InvalidHeader);
    let none = Preconditions::default();
    assert_eq!(
        none.expected(true).unwrap_err().code,
        Code::PreconditionRequired
    );
    assert_eq!(none.expected(false).unwrap(), Expected::Any);
    assert_eq!(
        read(&etag(7)).unwrap().expected(true).unwrap(),
        Expected::OneOf(vec![7])
    );
}
