//! The published cases of the OData ABNF against the parsers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;

use stoa_model::application::Limits;
use stoa_model::expression::Quantifier;
use stoa_model::expression::syntax::{self, Kind, Literal, Parser, Search};
use stoa_model::value::text;
use stoa_odata::url::{OptionName, Resource, Url, decode_segment};

#[derive(serde::Deserialize)]
struct Cases {
    #[serde(rename = "TestCases")]
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Case {
    name: String,
    rule: String,
    input: String,
    fail_at: Option<usize>,
}

/// Rules that Stoa has no parser for.
const NO_PARSER: &[(&str, &str)] = &[
    ("context", "context URLs are written and never read"),
    (
        "header",
        "headers are not part of the URL; the wire reads those it knows",
    ),
    ("request-id", "part of $batch"),
    ("prefer", "headers are not part of the URL"),
    ("preference", "headers are not part of the URL"),
    (
        "includeAnnotationsPreference",
        "headers are not part of the URL",
    ),
    ("maxpagesizePreference", "headers are not part of the URL"),
    (
        "booleanValue",
        "defaults of CSDL are written and never read",
    ),
    (
        "enumValue",
        "defaults of CSDL are written and never read; there are no flags",
    ),
];

/// Cases that differ on purpose.
const DIFFERENT: &[(&str, &str, &str)] = &[
    (
        "date",
        "-10000-04-01",
        "dates are of the years 0000 to 9999, as in the databases' common range",
    ),
    (
        "dateTimeOffsetValue",
        "-10000-04-01T00:00Z",
        "dates are of the years 0000 to 9999",
    ),
    (
        "primitiveValue",
        "SRID=0;Point(142.1 64.1)",
        "no geographic types",
    ),
    (
        "odataRelativeUri",
        "Categories/TheBestProduct()",
        "only a model knows that the function cannot be bound; refused when resolved",
    ),
    (
        "odataRelativeUri",
        "Categories(1)/Address/$value",
        "only a model knows that the property is complex; refused when resolved",
    ),
    (
        "odataRelativeUri",
        "Categories(1)/Thumbnail/$value",
        "only a model knows that the property is a stream; refused when resolved",
    ),
    (
        "queryOptions",
        "$format=JSON&$format=Atom&$format=XML&$format=text/html",
        "an option given twice is refused",
    ),
    (
        "queryOptions",
        "$search=more&more",
        "options of others are ignored, whatever their names",
    ),
    (
        "odataUri",
        "http://host/service/$metadata#Customers",
        "fragments are never sent to a server",
    ),
    (
        "odataRelativeUri",
        "$metadata#Customers(Address,Orders)",
        "fragments are never sent to a server",
    ),
];

/// Service roots of the absolute URLs.
const ROOTS: &[&str] = &[
    "http://127.0.0.1:8080/MyService/",
    "https://[2001:db8:85a3:8d3:1319:8a2e:370:7348]:8080/MyService/",
    "https://[v7.0]/MyService/",
    "http://services.odata.org/OData/OData.svc/",
    "http://serviceRoot/Model.Container/",
    "http://serviceRoot/",
    "http://host/service/",
    "http://My.Org:80/",
];

fn relative(input: &str) -> bool {
    let (path, query) = match input.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (input, None),
    };
    Url::parse(path, query, &Limits::default()).is_ok()
}

fn options(input: &str) -> Option<stoa_odata::url::Options> {
    Url::parse("", Some(input), &Limits::default())
        .ok()
        .map(|url| url.options)
}

fn one_option(input: &str, name: OptionName) -> bool {
    !input.contains('&')
        && options(input)
            .is_some_and(|options| options.texts.len() == 1 && options.text(name).is_some())
}

fn expression(input: &str, fits: impl Fn(&Kind) -> bool) -> bool {
    let Ok(text) = decode_segment(input) else {
        return false;
    };
    let Ok(node) = syntax::parse(&text, syntax::Limits::default()) else {
        return false;
    };
    // What is accepted can be printed and read again.
    let printed = node.to_string();
    let again = syntax::parse(&printed, syntax::Limits::default());
    assert_eq!(
        again.map(|node| node.to_string()),
        Ok(printed),
        "printed from {input}"
    );
    fits(&node.kind)
}

fn literal(input: &str, fits: impl Fn(&Literal) -> bool) -> bool {
    let Ok(mut parser) = Parser::new(input, syntax::Limits::default()) else {
        return false;
    };
    parser.literal().is_ok_and(|literal| fits(&literal)) && parser.finish().is_ok()
}

fn url_literal(input: &str, fits: impl Fn(&Literal) -> bool) -> bool {
    decode_segment(input).is_ok_and(|text| literal(&text, fits))
}

fn is_number(literal: &Literal) -> bool {
    matches!(
        literal,
        Literal::Integer(_) | Literal::Decimal(_) | Literal::Unrepresentable(_)
    )
}

/// Whether the parser for the rule takes the input; nothing if there is none.
fn accepts(rule: &str, input: &str) -> Option<bool> {
    Some(match rule {
        "odataRelativeUri" => relative(input),
        "odataUri" => ROOTS
            .iter()
            .find_map(|root| input.strip_prefix(root))
            .is_some_and(relative),
        "resourcePath" => Url::parse(input, None, &Limits::default())
            .is_ok_and(|url| matches!(url.resource, Resource::Path(_))),
        "queryOptions" => options(input).is_some(),
        "systemQueryOption" => options(input).is_some_and(|options| options.texts.len() == 1),
        "customQueryOption" => options(input).is_some_and(|options| options.texts.is_empty()),
        "filter" => one_option(input, OptionName::Filter),
        "orderby" | "orderBy" => one_option(input, OptionName::OrderBy),
        "expand" => one_option(input, OptionName::Expand),
        "select" => one_option(input, OptionName::Select),
        "compute" => one_option(input, OptionName::Compute),
        "search" => one_option(input, OptionName::Search),
        "skiptoken" => one_option(input, OptionName::SkipToken),
        "searchExpr" => decode_segment(input)
            .is_ok_and(|text| Search::parse(&text, syntax::Limits::default()).is_ok()),
        "commonExpr" | "boolCommonExpr" | "boolcommonExpr" => expression(input, |_| true),
        "notExpr" => expression(input, |kind| matches!(kind, Kind::Not(_))),
        "isofExpr" => expression(input, |kind| matches!(kind, Kind::IsOf { .. })),
        "firstMemberExpr" | "propertyPathExpr" => {
            expression(input, |kind| matches!(kind, Kind::Path(_)))
        }
        "anyExpr" => {
            let mut parser = Parser::new(input, syntax::Limits::default()).unwrap();
            parser.eat("any") && parser.lambda(Quantifier::Any).is_ok() && parser.finish().is_ok()
        }
        "odataIdentifier" | "entitySetName" => {
            let mut parser = Parser::new(input, syntax::Limits::default()).unwrap();
            parser.identifier().is_ok() && parser.finish().is_ok()
        }
        "primitiveLiteral" => url_literal(input, |_| true),
        "primitiveValue" => literal(input, |_| true),
        "null" => url_literal(input, |literal| *literal == Literal::Null),
        "boolean" => url_literal(input, |literal| matches!(literal, Literal::Boolean(_))),
        "binaryLiteral" => url_literal(input, |literal| matches!(literal, Literal::Binary(_))),
        "stringLiteral" => url_literal(input, |literal| matches!(literal, Literal::Text(_))),
        "enumLiteral" => url_literal(input, |literal| {
            matches!(literal, Literal::Enumeration { .. } | Literal::Text(_))
        }),
        "guid" => url_literal(input, |literal| matches!(literal, Literal::Uuid(_))),
        "date" | "dateValue" => literal(input, |literal| matches!(literal, Literal::Date(_))),
        "dateTimeOffsetLiteral" => {
            url_literal(input, |literal| matches!(literal, Literal::DateTime(_)))
        }
        "timeOfDayLiteral" => url_literal(input, |literal| matches!(literal, Literal::Time(_))),
        "durationLiteral" => url_literal(input, |literal| matches!(literal, Literal::Duration(_))),
        "dateTimeOffsetValue" => text::parse_date_time(input).is_some(),
        "timeOfDayValue" => text::parse_time(input).is_some(),
        "durationValue" => text::parse_duration(input).is_some(),
        "decimalLiteral" | "doubleLiteral" | "singleLiteral" | "sbyteLiteral" | "int16Literal"
        | "int32Literal" | "int64Literal" => url_literal(input, is_number),
        "decimalValue" | "doubleValue" | "singleValue" | "sbyteValue" | "int32Value" => {
            literal(input, is_number)
        }
        rule if rule.starts_with("geography") || rule.starts_with("geometry") => {
            url_literal(input, |literal| matches!(literal, Literal::Geo(_)))
        }
        _ => return None,
    })
}

fn shared() -> PathBuf {
    std::env::var_os("STOA_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    )
}

#[test]
fn published_cases() {
    let path = shared().join("data/odata-abnf/testcases.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!(
            "SKIPPED: {} is not there; set STOA_SHARED to the folder that has it",
            path.display()
        );
        return;
    };
    let cases: Cases = serde_json::from_str(&text).unwrap();
    let (mut passed, mut different, mut without_parser) = (0, 0, 0);
    let mut faults = Vec::new();
    for case in &cases.cases {
        let is_listed = DIFFERENT
            .iter()
            .any(|(rule, input, _)| *rule == case.rule && *input == case.input);
        let has_no_parser = NO_PARSER.iter().any(|(rule, _)| *rule == case.rule);
        let Some(accepted) = accepts(&case.rule, &case.input) else {
            if has_no_parser {
                without_parser += 1;
            } else {
                faults.push(format!("no parser for {}: {}", case.rule, case.input));
            }
            continue;
        };
        let is_right = accepted != case.fail_at.is_some();
        match (is_right, is_listed) {
            (true, false) => passed += 1,
            (false, true) => different += 1,
            (true, true) => faults.push(format!(
                "listed, but it passes: {} {:?}",
                case.rule, case.input
            )),
            (false, false) => {
                let wanted = if case.fail_at.is_some() {
                    "must be refused"
                } else {
                    "must be accepted"
                };
                faults.push(format!(
                    "{wanted}: {} {:?} ({})",
                    case.rule, case.input, case.name
                ));
            }
        }
    }
    println!(
        "{passed} pass, {different} differ on purpose, {without_parser} have no parser, of {}",
        cases.cases.len()
    );
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert_eq!(different, DIFFERENT.len());
    assert_eq!(passed + different + without_parser, cases.cases.len());
}
