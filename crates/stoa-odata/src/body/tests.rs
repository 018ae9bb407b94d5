use std::fmt::Write as _;

use proptest::prelude::*;
use stoa_model::change::{Action, Change, Expected, Reference, Target};
use stoa_model::model::{AttributeId, Default, EntityId, Model, Purpose};
use stoa_model::query::Source;
use stoa_model::value::Value;

use super::*;
use crate::json::text::write_value;
use crate::sample;

const ROOT: &str = "https://shop.example/odata/";

fn entity(model: &Model, name: &str) -> EntityId {
    model.entities_by_name[name]
}

fn options(limits: &Limits) -> Options<'_> {
    Options {
        limits,
        ieee754_compatible: false,
        root: ROOT,
        now: 1_700_000_000_000_000,
    }
}

fn show_target(model: &Model, of: EntityId, target: &Target) -> String {
    match target {
        Target::Key(key) => crate::address::canonical(model, of, key),
        Target::Inserted(position) => format!("#{position}"),
        Target::Source(source) => format!("<{}>", crate::address::row_path(model, of, source)),
    }
}

fn show_values(model: &Model, entity: EntityId, values: &[(AttributeId, Value)]) -> String {
    let mut shown = Vec::new();
    for (id, value) in values {
        let attribute = &model[entity][*id];
        let mut text = Vec::new();
        write_value(&mut text, value.as_ref(), false);
        let mut text = String::from_utf8(text).unwrap();
        if attribute.purpose == Purpose::GeneratedKey {
            text = "new".into();
        }
        shown.push(format!("{}={text}", attribute.name));
    }
    shown.join(" ")
}

fn show_references(model: &Model, entity: EntityId, references: &[Reference]) -> String {
    references
        .iter()
        .map(|reference| {
            let navigation = &model[entity][reference.navigation];
            let to = reference.to.as_ref().map_or("nothing".to_owned(), |to| {
                show_target(model, navigation.target, to)
            });
            format!(" {}->{to}", navigation.name.as_deref().unwrap_or("?"))
        })
        .collect()
}

/// Operations, one on a line.
fn show(model: &Model, change: &Change) -> String {
    let mut out = String::new();
    for (position, operation) in change.operations.iter().enumerate() {
        let what = match &operation.action {
            Action::Insert {
                entity,
                values,
                references,
            } => format!(
                "insert {} {}{}",
                model[*entity].name,
                show_values(model, *entity, values),
                show_references(model, *entity, references)
            ),
            Action::Update {
                entity,
                target,
                values,
                references,
                ..
            } => format!(
                "update {} {}{}",
                show_target(model, *entity, target),
                show_values(model, *entity, values),
                show_references(model, *entity, references)
            ),
            Action::Upsert {
                entity,
                target,
                insert,
                update,
                references,
            } => format!(
                "upsert {} insert [{}] update [{}]{}",
                show_target(model, *entity, target),
                show_values(model, *entity, insert),
                show_values(model, *entity, update),
                show_references(model, *entity, references)
            ),
            Action::Retain {
                entity,
                from,
                navigation,
                keep,
            } => format!(
                "retain {}/{} {}",
                show_target(model, *entity, from),
                model[*entity][*navigation].name.as_deref().unwrap(),
                keep.len()
            ),
            Action::Link {
                entity,
                from,
                navigation,
                to,
            } => format!(
                "link {}/{} {}",
                show_target(model, *entity, from),
                model[*entity][*navigation].name.as_deref().unwrap(),
                show_target(model, model[*entity][*navigation].target, to)
            ),
            Action::Unlink {
                entity,
                from,
                navigation,
                to,
            } => format!(
                "unlink {}/{} {}",
                show_target(model, *entity, from),
                model[*entity][*navigation].name.as_deref().unwrap(),
                to.as_ref().map_or("all".to_owned(), |to| show_target(
                    model,
                    model[*entity][*navigation].target,
                    to
                ))
            ),
            Action::Delete { .. } => "delete".to_owned(),
        };
        writeln!(
            out,
            "{position} [{}] {}",
            operation.location,
            what.trim_end()
        )
        .unwrap();
    }
    out
}

fn shown(model: &Model, result: Result<Write, Error>) -> String {
    match result {
        Ok(write) => format!("{}root {}", show(model, &write.change), write.root),
        Err(error) => {
            let mut out = format!("{} {}", error.status().as_u16(), error.code);
            if error.details.is_empty() {
                write!(out, " {:?}: {}", error.target, error.message).unwrap();
            }
            for detail in &error.details {
                let target = detail.target.as_deref().unwrap_or("-");
                write!(out, "\n{target}: {} {}", detail.code, detail.message).unwrap();
            }
            out
        }
    }
}

fn created(name: &str, json: &str) -> String {
    let model = sample::model();
    let limits = Limits::default();
    let result = create(
        &model,
        entity(&model, name),
        json.as_bytes(),
        &options(&limits),
        &Place::default(),
    );
    shown(&model, result)
}

const ORDER: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const LINE: &str = "01890a5d-ac96-774b-bcce-b302099a8058";

fn key(text: &str) -> Vec<Value> {
    vec![Value::Uuid(text.parse().unwrap())]
}

fn updated(method: Method, json: &str) -> String {
    let model = sample::model();
    let limits = Limits::default();
    let result = update(
        &model,
        entity(&model, "Order"),
        Target::Key(key(ORDER)),
        Expected::OneOf(vec![3]),
        method,
        json.as_bytes(),
        &options(&limits),
    );
    shown(&model, result)
}

#[test]
fn every_type_is_read() {
    insta::assert_snapshot!(created("Order", r##"{
        "@odata.type": "#shop.Order", "@odata.etag": "W/\"1\"", "Number": 7, "createdAt": "x",
        "Status": "Placed", "PlacedAt": "2024-02-29T12:00:00.123456+01:00", "DueOn": "2024-02-29",
        "Total": 1.5e2, "Weight": 9007199254740993, "Express": true, "At": "12:30", "Lasts": "PT90M",
        "Badge": "01890A5D-AC96-774B-BCCE-B302099A8057", "Seal": "-_8=", "Extra": {"a": [1.10, null]},
        "Party@odata.bind": "Parties(01890a5d-ac96-774b-bcce-b302099a8057)"
    }"##), @r#"
    0 [] insert Order Status="Placed" PlacedAt="2024-02-29T11:00:00.123456Z" DueOn="2024-02-29" Total=150.00 Weight=9007199254740993 Express=true At="12:30:00" Lasts="PT1H30M" Badge="01890a5d-ac96-774b-bcce-b302099a8057" Seal="-_8=" Extra={"a":[1.10,null]} id=new Party->Parties(01890a5d-ac96-774b-bcce-b302099a8057)
    root 0
    "#);
}

#[test]
fn a_deep_insert_orders_rows_and_links() {
    insta::assert_snapshot!(created("Order", r##"{
        "Party": {"@odata.type": "#shop.Company", "Name": "Acme", "VatNumber": "DE1", "Home": {"@id": "Regions('N')"}},
        "Lines": [{"Position": 1}, {"Position": 2, "Text": "two"}],
        "Tags": [{"Word": "new"}, {"@odata.id": "https://shop.example/odata/Tags('old')"}],
        "Extra": null
    }"##), @r#"
    0 [Party] insert Company Name="Acme" VatNumber="DE1" id=new Home->Regions('N')
    1 [] insert Order Extra=null id=new Status="Draft" PlacedAt="2023-11-14T22:13:20Z" Total=0 Party->#0
    2 [Tags] link #1/Tags Tags('old')
    3 [Lines/0] insert Line Position=1 id=new Order->#1
    4 [Lines/1] insert Line Position=2 Text="two" id=new Order->#1
    5 [Tags/0] insert Tag Word="new"
    6 [Tags/0] link #1/Tags #5
    root 1
    "#);
}

#[test]
fn all_faults_are_told_at_once() {
    insta::assert_snapshot!(created("Order", r##"{
        "Statuss": "Placed", "Status": "Paid", "PlacedAt": "2024-02-30T00:00:00Z", "DueOn": "1999-12-31",
        "Total": 0.001, "Weight": 1e17, "Express": "yes", "At": "25:00", "Lasts": "1h", "Badge": "x",
        "Seal": "AAAAAAAA", "Extra": "\u0000", "Total": 5,
        "Party@odata.bind": "Partys(1)",
        "Lines": [{"Position": 0}, {"Text": "123456789012345678901", "Position": 1.5}, 7],
        "Tags": {}
    }"##), @"
    400 InvalidBody
    Total: DuplicateProperty Total stands twice in the object
    Statuss: UnknownProperty Order has no property Statuss: did you mean Status?
    Status: UnknownMember Status 'Paid' is not a member of Status; did you mean 'Placed'?
    PlacedAt: InvalidFormat PlacedAt must be an instant like 2026-02-28T13:45:00Z, not '2024-02-30T00:00:00Z'
    DueOn: OutOfRange DueOn must be at least 2000-01-01, not 1999-12-31
    Total: TooPrecise Total 0.001 has 3 digits after the point; 2 are kept
    Weight: OutOfRange Weight must be at most 9007199254740993, not 100000000000000000
    Express: WrongType Express must be true or false, not a string
    At: InvalidFormat At must be a time like 13:45:00, not '25:00'
    Lasts: InvalidFormat Lasts must be a duration like P1DT2H30M, not '1h'
    Badge: InvalidFormat Badge must be a uuid like 01890a5d-ac96-774b-bcce-b302099a8057, not 'x'
    Seal: TooLong Seal has 6 bytes; at most 4 are allowed
    Extra: InvalidFormat Extra has the character U+0000
    Party: InvalidReference 'Partys(1)' is not the URL of a row like Parties(key): path: there is no collection 'Partys' at position 0; did you mean 'Parties'?
    Tags: WrongType Tags must be an array, not an object
    Lines/0/Position: OutOfRange Position must be at least 1, not 0
    Lines/1/Text: TooLong Text has 21 characters; at most 20 are allowed
    Lines/1/Position: WrongType Position must be a whole number, not 1.5
    Lines/2: WrongType must be a JSON object, not a number
    ");
}

#[test]
fn what_is_missing_is_named() {
    insta::assert_snapshot!(created("Order", r#"{"Status": null, "Lines": [{}]}"#), @r#"
    400 Required
    Status: Required Status must have a value
    Party: Required Party must lead to a row: "Party@odata.bind": "Parties(key)"
    Lines/0/Position: Required Position of Line must have a value
    "#);
}

#[test]
fn bodies_that_are_no_objects_are_refused() {
    for (body, code) in [
        ("", "InvalidJson"),
        ("  ", "InvalidJson"),
        ("{", "InvalidJson"),
        ("{}x", "InvalidJson"),
        ("{\"a\":01}", "InvalidJson"),
        ("[]", "WrongType"),
        ("null", "WrongType"),
        ("\"\\ud800\"", "WrongType"),
        ("{\"\\ud800\":1}", "WrongType"),
    ] {
        let found = created("Order", body);
        assert!(found.starts_with(&format!("400 {code}")), "{body}: {found}");
    }
    let bytes = b"{\"Name\":\"\xff\"}";
    let model = sample::model();
    let limits = Limits::default();
    let result = create(
        &model,
        entity(&model, "Party"),
        bytes,
        &options(&limits),
        &Place::default(),
    );
    assert_eq!(result.unwrap_err().code, Code::InvalidJson);
}

#[test]
fn text_is_measured_in_characters_and_strings_must_be_unicode() {
    assert!(created("Party", r#"{"Name": "éééééééééé"}"#).contains("insert Party"));
    assert!(
        created("Party", r#"{"Name": "ééééééééééé"}"#).contains("TooLong Name has 11 characters")
    );
    assert!(created("Party", r#"{"Name": "\ud83d\ude00"}"#).contains("insert Party"));
    assert!(created("Party", r#"{"Name": "\ud83d"}"#).contains("InvalidFormat"));
    assert!(created("Party", r#"{"Name": "a\u0000"}"#).contains("InvalidFormat"));
}

#[test]
fn types_may_be_named_in_several_ways() {
    for name in [
        "#shop.Company",
        "shop.Company",
        "https://shop.example/odata/$metadata#shop.Company",
    ] {
        let body = format!(r#"{{"@odata.type": "{name}", "Name": "A"}}"#);
        assert!(created("Party", &body).contains("insert Company"), "{name}");
    }
    for name in ["#shop.Order", "Company", "#Company", "#other.Company"] {
        let body = format!(r#"{{"@type": "{name}", "Name": "A"}}"#);
        assert!(created("Party", &body).contains("UnknownType"), "{name}");
    }
}

#[test]
fn numbers_may_be_strings_only_when_agreed() {
    let model = sample::model();
    let limits = Limits::default();
    let body = format!(
        r#"{{"Weight": "9007199254740993", "Total": "1.50", "Party@odata.bind": "Parties({ORDER})"}}"#
    );
    let read = |ieee754_compatible| {
        let options = Options {
            ieee754_compatible,
            ..options(&limits)
        };
        create(
            &model,
            entity(&model, "Order"),
            body.as_bytes(),
            &options,
            &Place::default(),
        )
    };
    assert!(read(true).is_ok());
    assert_eq!(read(false).unwrap_err().details.len(), 2);
}

#[test]
fn a_patch_changes_what_it_names() {
    insta::assert_snapshot!(updated(Method::Patch, r#"{"id": "x", "Number": 1, "DueOn": null, "Total": 3,
        "Party": {"@id": "/odata/Companies(01890a5d-ac96-774b-bcce-b302099a8058)"}}"#), @"
    400 InvalidFormat
    id: InvalidFormat id must be a uuid like 01890a5d-ac96-774b-bcce-b302099a8057, not 'x'
    ");
    insta::assert_snapshot!(updated(Method::Patch, r#"{"id": "01890a5d-ac96-774b-bcce-b302099a8000", "Number": 1,
        "DueOn": null, "Total": 3,
        "Party": {"@id": "/odata/Companies(01890a5d-ac96-774b-bcce-b302099a8058)"}}"#), @"
    0 [] update Orders(01890a5d-ac96-774b-bcce-b302099a8057) DueOn=null Total=3.00 Party->Parties(01890a5d-ac96-774b-bcce-b302099a8058)
    root 0
    ");
    insta::assert_snapshot!(updated(Method::Patch, r#"{"Party": null, "Status": null}"#), @"
    400 Required
    Party: Required Party must lead to a row
    Status: Required Status must have a value
    ");
}

#[test]
fn a_put_resets_what_it_does_not_name() {
    insta::assert_snapshot!(updated(Method::Put, r#"{"DueOn": "2024-01-01"}"#), @r#"
    0 [] update Orders(01890a5d-ac96-774b-bcce-b302099a8057) DueOn="2024-01-01" Status="Draft" PlacedAt="2023-11-14T22:13:20Z" Total=0 Weight=null Express=null At=null Lasts=null Badge=null Seal=null Extra=null
    root 0
    "#);
}

#[test]
fn contained_rows_are_replaced_by_key() {
    let body = format!(
        r#"{{"Lines": [{{"id": "{LINE}", "Text": "kept"}}, {{"Position": 9}}], "Tags": [{{"@id": "Tags('a')"}}]}}"#
    );
    insta::assert_snapshot!(updated(Method::Patch, &body), @r#"
    0 [] update Orders(01890a5d-ac96-774b-bcce-b302099a8057)
    1 [Tags] unlink Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Tags all
    2 [Tags] link Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Tags Tags('a')
    3 [Lines] retain Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Lines 1
    4 [Lines/0] upsert <Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Lines(01890a5d-ac96-774b-bcce-b302099a8058)> insert [id=new Text="kept"] update [Text="kept"] Order->Orders(01890a5d-ac96-774b-bcce-b302099a8057)
    5 [Lines/1] insert Line Position=9 id=new Order->Orders(01890a5d-ac96-774b-bcce-b302099a8057)
    root 0
    "#);
    insta::assert_snapshot!(updated(Method::Patch, r#"{"Lines": [{"Position": 100}, {}]}"#), @"
    400 InvalidBody
    Lines/0/Position: OutOfRange Position must be at most 99, not 100
    Lines/1/Position: Required Position of Line must have a value
    ");
    for body in [
        r#"{"Lines@delta": []}"#,
        r#"{"Party": {"Name": "x"}}"#,
        r#"{"Tags": [{"Word": "x"}]}"#,
        r#"{"Paper": "x"}"#,
    ] {
        assert!(updated(Method::Patch, body).starts_with("501 "), "{body}");
    }
}

#[test]
fn a_row_made_through_a_navigation_belongs_to_it() {
    let model = sample::model();
    let limits = Limits::default();
    let made = |from: &str, source: Source, navigation: &str, body: &str| {
        let from = entity(&model, from);
        let id = model[from].navigations_by_name[navigation];
        let place = Place {
            key: None,
            through: Some(Through {
                entity: from,
                source,
                navigation: id,
            }),
        };
        let target = model[from][id].target;
        shown(
            &model,
            create(&model, target, body.as_bytes(), &options(&limits), &place),
        )
    };
    let order = || Source::Key(key(ORDER));
    insta::assert_snapshot!(made("Order", order(), "Lines", r#"{"Position": 1}"#), @"
    0 [] insert Line Position=1 id=new Order->Orders(01890a5d-ac96-774b-bcce-b302099a8057)
    root 0
    ");
    insta::assert_snapshot!(made("Order", order(), "Tags", r#"{"Word": "a"}"#), @r#"
    0 [] insert Tag Word="a"
    1 [] link Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Tags #0
    root 0
    "#);
    insta::assert_snapshot!(made("Party", order(), "Orders", &format!(r#"{{"Party@odata.bind": "Parties({LINE})"}}"#)), @"
    400 InvalidReference
    Party: InvalidReference Party is given by where the row is created: leave it out
    ");
    assert!(
        made(
            "Party",
            order(),
            "Orders",
            &format!(r#"{{"Party@odata.bind": "Parties({ORDER})"}}"#)
        )
        .contains("root 0")
    );
    assert!(made("Order", order(), "Party", r#"{"Name": "x"}"#).starts_with("405 "));
}

#[test]
fn foreign_keys_that_are_properties_are_written_once() {
    let model = sample::details();
    let limits = Limits::default();
    let detail = entity(&model, "Detail");
    let order = entity(&model, "Order");
    let made = |entity, body: &str, place: &Place| {
        shown(
            &model,
            create(&model, entity, body.as_bytes(), &options(&limits), place),
        )
    };
    let plain = Place::default();
    insta::assert_snapshot!(made(detail, r#"{"OrderID": 1, "Number": 2, "Quantity": 3}"#, &plain), @"
    0 [] insert Detail OrderID=1 Number=2 Quantity=3
    root 0
    ");
    insta::assert_snapshot!(made(detail, r#"{"Order@odata.bind": "Orders(OrderID=1)", "Number": 2, "Quantity": 3}"#, &plain), @"
    0 [] insert Detail Number=2 Quantity=3 OrderID=1
    root 0
    ");
    insta::assert_snapshot!(made(detail, r#"{"Order@odata.bind": "Orders(1)", "OrderID": 2, "Number": 2, "Quantity": 3}"#, &plain), @"
    400 InvalidReference
    OrderID: InvalidReference OrderID and Order refer to different rows: give one of them
    ");
    insta::assert_snapshot!(made(detail, r#"{"Number": 2}"#, &plain), @"
    400 Required
    OrderID: Required OrderID of Detail must have a value
    Quantity: Required Quantity of Detail must have a value
    ");
    let place = Place {
        key: None,
        through: Some(Through {
            entity: order,
            source: Source::Key(vec![Value::Integer(5)]),
            navigation: model[order].navigations_by_name["Details"],
        }),
    };
    insta::assert_snapshot!(made(detail, r#"{"Number": 2, "Quantity": 1}"#, &place), @"
    0 [] insert Detail Number=2 Quantity=1 OrderID=5
    root 0
    ");
    let place = Place {
        key: None,
        through: Some(Through {
            entity: order,
            source: Source::Related {
                entity: entity(&model, "Customer"),
                from: Box::new(Source::Key(vec![Value::Text("ALFKI".into())])),
                navigation: model[entity(&model, "Customer")].navigations_by_name["Orders"],
                key: Some(vec![Value::Integer(5)]),
            },
            navigation: model[order].navigations_by_name["Details"],
        }),
    };
    insta::assert_snapshot!(made(detail, r#"{"Number": 2, "Quantity": 1}"#, &place), @"
    0 [] insert Detail Number=2 Quantity=1 Order-><Orders(5)>
    root 0
    ");
    insta::assert_snapshot!(made(order, r#"{"OrderID": 7, "Customer": {"CustomerID": "ALFKI"}, "Details": [{"Number": 1, "Quantity": 2}]}"#, &plain), @r#"
    0 [Customer] insert Customer CustomerID="ALFKI"
    1 [] insert Order OrderID=7 CustomerID="ALFKI"
    2 [Details/0] insert Detail Number=1 Quantity=2 OrderID=7
    root 1
    "#);
    let patched = update(
        &model,
        order,
        Target::Key(vec![Value::Integer(1)]),
        Expected::Any,
        Method::Patch,
        br#"{"Customer": null}"#,
        &options(&limits),
    );
    insta::assert_snapshot!(shown(&model, patched), @"
    0 [] update Orders(1) CustomerID=null
    root 0
    ");
}

#[test]
fn the_key_of_a_row_never_changes() {
    let model = sample::details();
    let limits = Limits::default();
    let patched = update(
        &model,
        entity(&model, "Detail"),
        Target::Key(vec![Value::Integer(1), Value::Integer(2)]),
        Expected::Any,
        Method::Patch,
        br#"{"Order@odata.bind": "Orders(9)", "Number": 7, "Quantity": 3}"#,
        &options(&limits),
    );
    insta::assert_snapshot!(shown(&model, patched), @"
    0 [] update Details(OrderID=1,Number=2) Quantity=3
    root 0
    ");
}

#[test]
fn created_rows_have_a_location() {
    let model = sample::model();
    let order = entity(&model, "Order");
    let lines = model[order].navigations_by_name["Lines"];
    let place = Place {
        key: None,
        through: Some(Through {
            entity: order,
            source: Source::Key(key(ORDER)),
            navigation: lines,
        }),
    };
    let line = location(&model, entity(&model, "Line"), &place, &key(LINE));
    assert_eq!(line, format!("Orders({ORDER})/Lines({LINE})"));
    let tag = location(
        &model,
        entity(&model, "Tag"),
        &place,
        &[Value::Text("a".into())],
    );
    assert_eq!(tag, "Tags('a')");
}

#[test]
fn references_are_set_and_removed() {
    let model = sample::model();
    let limits = Limits::default();
    let order = entity(&model, "Order");
    let from = || Target::Key(key(ORDER));
    let id = |name: &str| model[order].navigations_by_name[name];
    let set = |name: &str, body: &str| {
        let result = reference(
            &model,
            order,
            from(),
            Expected::Any,
            id(name),
            body.as_bytes(),
            &options(&limits),
        );
        shown(&model, result)
    };
    let unset = |name: &str, url: Option<&str>| {
        let result = unreference(
            &model,
            order,
            from(),
            Expected::Any,
            id(name),
            url,
            &options(&limits),
        );
        shown(&model, result)
    };
    insta::assert_snapshot!(set("Tags", r#"{"@odata.id": "Tags('a%2Fb')"}"#), @"
    0 [] link Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Tags Tags('a%2Fb')
    root 0
    ");
    assert!(set("Party", &format!(r#"{{"@id": "Parties({LINE})"}}"#)).contains("Party->Parties"));
    assert!(
        set("Party", r#"{"@id": "Tags('a')"}"#).contains("is of type Tag, but Party is wanted")
    );
    assert!(set("Party", r#"{"id": "Tags('a')"}"#).starts_with("400 Required"));
    assert!(set("Lines", r#"{"@id": "Tags('a')"}"#).starts_with("400 InvalidReference"));
    assert!(unset("Tags", Some("https://shop.example/odata/Tags('a')")).contains("unlink"));
    assert!(
        unset("Tags", Some("https://other.example/other/Tags('a')"))
            .starts_with("400 InvalidReference")
    );
    assert!(unset("Tags", None).starts_with("400 Required"));
    assert!(unset("Party", None).starts_with("400 Required"));
}

#[test]
fn one_property_can_be_set() {
    let model = sample::model();
    let limits = Limits::default();
    let order = entity(&model, "Order");
    let set = |name: &str, body: &str| {
        let id = model[order].attributes_by_name[name];
        let result = update_property(
            &model,
            order,
            Target::Key(key(ORDER)),
            Expected::Any,
            id,
            body.as_bytes(),
            &options(&limits),
        );
        shown(&model, result)
    };
    assert!(set("Total", r#"{"value": 2.5}"#).contains("Total=2.50"));
    assert!(set("Total", r#"{"value": -1}"#).starts_with("400 OutOfRange"));
    assert!(set("Total", r#"{"values": 1}"#).starts_with("400 "));
    assert!(set("Number", r#"{"value": 1}"#).starts_with("400 ReadOnly"));
    assert!(set("id", r#"{"value": 1}"#).starts_with("400 ReadOnly"));
    let status = model[order].attributes_by_name["Status"];
    let cleared = clear_property(
        &model,
        order,
        Target::Key(key(ORDER)),
        Expected::Any,
        status,
    );
    assert_eq!(cleared.unwrap_err().code, Code::Required);
}

#[test]
fn limits_hold() {
    let model = sample::model();
    let order = entity(&model, "Order");
    let limits = Limits {
        write_operations: 5,
        body_bytes: 400,
        ..Limits::default()
    };
    let refused = |body: &str| {
        create(
            &model,
            order,
            body.as_bytes(),
            &options(&limits),
            &Place::default(),
        )
        .unwrap_err()
        .code
    };
    assert_eq!(
        refused(&format!(r#"{{"Lines": [{}]}}"#, ["{}"; 20].join(","))),
        Code::LimitExceeded
    );
    assert_eq!(refused(&" ".repeat(401)), Code::BodyTooLarge);
    let deep = format!(
        "{}{}",
        r#"{"Party":{"Orders":[{"Lines":[],"X":"#.repeat(40),
        "1".to_owned() + &"}]}}".repeat(40)
    );
    let limits = Limits::default();
    let result = create(
        &model,
        order,
        deep.as_bytes(),
        &options(&limits),
        &Place::default(),
    );
    assert!(result.is_err());
    let deep = format!(
        "{}{}",
        r#"{"Party":{"Name":"x","Orders":["#.repeat(40),
        "]}}".repeat(40)
    );
    let result = create(
        &model,
        order,
        deep.as_bytes(),
        &options(&limits),
        &Place::default(),
    );
    assert_eq!(result.unwrap_err().code, Code::LimitExceeded);
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let result = create(
        &model,
        order,
        deep.as_bytes(),
        &options(&limits),
        &Place::default(),
    );
    assert_eq!(result.unwrap_err().status(), 400);
}

#[test]
fn the_sample_has_defaults_of_both_kinds() {
    let model = sample::model();
    let order = &model[entity(&model, "Order")];
    let defaults: Vec<_> = order
        .attributes
        .iter()
        .filter_map(|a| a.default.as_ref())
        .collect();
    assert!(defaults.contains(&&Default::Now) && defaults.len() == 3);
}

/// JSON values whose names are often those of the model.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let name = prop::sample::select(vec![
        "Status",
        "Total",
        "Lines",
        "Party",
        "Tags",
        "Extra",
        "Seal",
        "Weight",
        "DueOn",
        "At",
        "id",
        "@odata.type",
        "@id",
        "Party@odata.bind",
        "Tags@odata.bind",
        "Position",
        "Lines@delta",
        "Word",
    ]);
    let name = prop_oneof![3 => name.prop_map(str::to_owned), 1 => any::<String>()];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        prop::sample::select(vec![
            "Draft",
            "Parties(1)",
            "Tags('a')",
            "2024-01-01",
            "AAAA",
            "(",
            "Orders(1)/Lines(2)"
        ])
        .prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec((name.clone(), inner), 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_makes_a_panic(value in json()) {
        let model = sample::model();
        let limits = Limits::default();
        let body = value.to_string();
        let order = entity(&model, "Order");
        let _ = create(&model, order, body.as_bytes(), &options(&limits), &Place::default());
        let target = Target::Key(key(ORDER));
        let _ = update(&model, order, target, Expected::Any, Method::Put, body.as_bytes(), &options(&limits));
    }

    #[test]
    fn no_bytes_make_a_panic(body in prop::collection::vec(any::<u8>(), 0..200), text in any::<String>()) {
        let model = sample::model();
        let limits = Limits::default();
        let order = entity(&model, "Order");
        let _ = create(&model, order, &body, &options(&limits), &Place::default());
        let body = serde_json::json!({"Party@odata.bind": text, "Status": text, "Total": 1}).to_string();
        let _ = create(&model, order, body.as_bytes(), &options(&limits), &Place::default());
    }
}

/// What becomes of a clerk's body.
fn created_by_clerk(name: &str, json: &str) -> String {
    let model = sample::view();
    let limits = Limits::default();
    let result = create(
        &model,
        entity(&model, name),
        json.as_bytes(),
        &options(&limits),
        &Place::default(),
    );
    shown(&model, result)
}

fn put_by_clerk(json: &str) -> String {
    let model = sample::view();
    let limits = Limits::default();
    let result = update(
        &model,
        entity(&model, "Order"),
        Target::Key(key(ORDER)),
        Expected::Any,
        Method::Put,
        json.as_bytes(),
        &options(&limits),
    );
    shown(&model, result)
}

#[test]
fn a_reader_is_not_asked_for_what_may_not_be_given() {
    insta::assert_snapshot!(created_by_clerk("Order", r#"{"Express": true}"#), @r#"
        400 UnknownProperty
        Express: UnknownProperty Order has no property Express
        "#);
    insta::assert_snapshot!(created_by_clerk("Order", r#"{"Weight": 5, "Number": 7, "Total": 1, "Party@odata.bind": "Parties(01890a5d-ac96-774b-bcce-b302099a8057)"}"#), @r#"
        0 [] insert Order Weight=5 Total=1.00 id=new Status="Draft" PlacedAt="2023-11-14T22:13:20Z" Party->Parties(01890a5d-ac96-774b-bcce-b302099a8057)
        root 0
        "#);
    insta::assert_snapshot!(created_by_clerk("Order", r#"{"PlacedAd": null, "Papr": null, "Weigth": 1, "Totl": 1}"#), @r#"
        400 UnknownProperty
        PlacedAd: UnknownProperty Order has no property PlacedAd
        Papr: UnknownProperty Order has no property Papr: did you mean Party?
        Weigth: UnknownProperty Order has no property Weigth: did you mean Weight?
        Totl: UnknownProperty Order has no property Totl: did you mean Total?
        "#);
    insta::assert_snapshot!(created_by_clerk("Company", r#"{"Home@odata.bind": "Regions('x')"}"#), @r#"
        400 UnknownProperty
        Home: UnknownProperty Company has no property Home
        "#);
    insta::assert_snapshot!(created_by_clerk("Company", r##"{"@odata.type": "#shop.Region"}"##), @r#"
        400 UnknownType
        @odata.type: UnknownType '#shop.Region' is not a type that can stand here: #shop.Company
        "#);
    insta::assert_snapshot!(created_by_clerk("SystemUser", r##"{"@odata.type": "#shop.SystemSession"}"##), @r#"
        400 UnknownType
        @odata.type: UnknownType '#shop.SystemSession' is not a type that can stand here: #shop.SystemUser
        "#);
    insta::assert_snapshot!(created_by_clerk("Line", r#"{"Order@odata.bind": "SystemSessions(01890a5d-ac96-774b-bcce-b302099a8057)"}"#), @r#"
        400 InvalidReference
        Order: InvalidReference 'SystemSessions(01890a5d-ac96-774b-bcce-b302099a8057)' is not the URL of a row like Orders(key): path: there is no collection 'SystemSessions' at position 0; did you mean 'SystemUsers'?
        "#);
}

#[test]
fn a_replacement_leaves_what_the_reader_may_not_see_or_set() {
    insta::assert_snapshot!(put_by_clerk(r#"{"Status": "Placed"}"#), @r#"
        0 [] update Orders(01890a5d-ac96-774b-bcce-b302099a8057) Status="Placed"
        root 0
        "#);
    insta::assert_snapshot!(put_by_clerk(r#"{"DueOn": "2024-01-01", "Weight": 3}"#), @r#"
        0 [] update Orders(01890a5d-ac96-774b-bcce-b302099a8057) DueOn="2024-01-01" Weight=3 Status="Draft"
        root 0
        "#);
}
