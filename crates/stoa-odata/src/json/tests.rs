use std::sync::Arc;

use proptest::prelude::*;
use stoa_model::model::{AttributeId, EntityId, Model, NavigationId, Purpose};
use stoa_model::query::{Expand, Row, RowWriter, Selection, Source};
use stoa_model::value::{ScalarType, Value, ValueRef};

use super::*;
use crate::address::{ContextPath, context_path};
use crate::negotiate::{Format, MetadataLevel, Version};
use crate::sample;

const ROOT: &str = "https://shop.example/odata/";
const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn entity(model: &Model, name: &str) -> EntityId {
    model.entities_by_name[name]
}

fn attribute(model: &Model, of: &str, name: &str) -> AttributeId {
    model[entity(model, of)].attributes_by_name[name]
}

fn navigation(model: &Model, of: &str, name: &str) -> NavigationId {
    model[entity(model, of)].navigations_by_name[name]
}

fn select(model: &Model, of: &str, names: &[&str]) -> Selection {
    Selection {
        node: 0,
        entity: entity(model, of),
        attributes: names
            .iter()
            .map(|name| attribute(model, of, name))
            .collect(),
        specialised: Vec::new(),
        expands: Vec::new(),
        masks: Vec::new(),
    }
}

fn everything(model: &Model, of: &str) -> Selection {
    let attributes = model[entity(model, of)]
        .attributes
        .iter()
        .enumerate()
        .filter(|(_, attribute)| {
            attribute.purpose != Purpose::Version && attribute.scalar_type != ScalarType::File
        })
        .map(|(position, _)| AttributeId(position as u32))
        .collect();
    Selection {
        attributes,
        ..select(model, of, &[])
    }
}

fn expand(navigation: NavigationId, mut selection: Selection, node: usize) -> Expand {
    selection.node = node;
    Expand {
        navigation,
        condition: None,
        given: None,
        filter: None,
        order: Vec::new(),
        skip: 0,
        limit: 10,
        paged: true,
        count: false,
        count_only: false,
        selection,
    }
}

fn set(name: &str) -> ContextPath {
    ContextPath {
        cast: String::new(),
        collection: name.to_owned(),
        keyless: false,
    }
}

fn finish(writer: Writer) -> String {
    let text = String::from_utf8(writer.into_bytes()).unwrap();
    let _: serde_json::Value =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    text
}

/// Orders with party and lines, as the store would give them.
fn write_orders(format: Format) -> String {
    let model = sample::model();
    let mut selection = select(&model, "Order", &["id", "Status", "Total"]);
    selection.expands = vec![
        expand(
            navigation(&model, "Order", "Party"),
            select(&model, "Party", &["id", "Name"]),
            1,
        ),
        expand(
            navigation(&model, "Order", "Lines"),
            select(&model, "Line", &["Position"]),
            2,
        ),
        Expand {
            count_only: true,
            ..expand(
                navigation(&model, "Order", "Tags"),
                select(&model, "Tag", &[]),
                3,
            )
        },
    ];
    let plan = Arc::new(Plan::new(&model, &selection, format, Content::Entities));
    let mut writer = Writer::new(plan, ROOT, set("Orders"), false).with_next_link(Box::new(
        |node, path, values| format!("{ROOT}{path}|{node}|{}", values.len()),
    ));
    let uuid = ValueRef::Uuid(ID.parse().unwrap());
    let key = [uuid];
    let order = Row {
        entity: entity(&model, "Order"),
        key: &key,
        version: Some(3),
    };
    let line = Row {
        entity: entity(&model, "Line"),
        key: &key,
        version: Some(1),
    };
    writer.begin_collection(0, Some(7));
    writer.begin_row(0, order);
    writer.value(0, 0, uuid);
    writer.value(0, 1, ValueRef::Text("Draft"));
    writer.value(0, 2, ValueRef::Decimal("1.50".parse().unwrap()));
    writer.begin_row(
        1,
        Row {
            entity: entity(&model, "Company"),
            key: &key,
            version: Some(2),
        },
    );
    writer.value(1, 0, uuid);
    writer.value(1, 1, ValueRef::Text("A\"\n"));
    writer.end_row(1);
    writer.begin_collection(2, Some(2));
    writer.begin_row(2, line);
    writer.value(2, 0, ValueRef::Integer(1));
    writer.end_row(2);
    writer.begin_row(2, line);
    writer.value(2, 0, ValueRef::Integer(2));
    writer.end_row(2);
    writer.end_collection(2, Some(&[Value::Integer(2)]));
    writer.count_only(3, 4);
    writer.end_row(0);
    writer.begin_row(0, order);
    writer.value(0, 0, uuid);
    writer.value(0, 1, ValueRef::Null);
    writer.value(0, 2, ValueRef::Null);
    writer.null_target(1);
    writer.begin_collection(2, None);
    writer.end_collection(2, None);
    writer.count_only(3, 0);
    writer.end_row(0);
    writer.end_collection(0, Some(&[Value::Null]));
    assert_eq!(writer.rows(), 2);
    finish(writer)
}

#[test]
fn a_collection_with_everything() {
    insta::assert_snapshot!(write_orders(Format::default()), @r##"{"@odata.context":"https://shop.example/odata/$metadata#Orders(id,Status,Total,Party(id,Name),Lines(Position))","@odata.count":7,"value":[{"@odata.etag":"W/\"3\"","id":"01890a5d-ac96-774b-bcce-b302099a8057","Status":"Draft","Total":1.50,"Party":{"@odata.type":"#shop.Company","@odata.etag":"W/\"2\"","id":"01890a5d-ac96-774b-bcce-b302099a8057","Name":"A\"\n"},"Lines@odata.count":2,"Lines":[{"@odata.id":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Lines(01890a5d-ac96-774b-bcce-b302099a8057)","@odata.etag":"W/\"1\"","Position":1},{"@odata.id":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Lines(01890a5d-ac96-774b-bcce-b302099a8057)","@odata.etag":"W/\"1\"","Position":2}],"Lines@odata.nextLink":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)|2|1","Tags@odata.count":4},{"@odata.etag":"W/\"3\"","id":"01890a5d-ac96-774b-bcce-b302099a8057","Status":null,"Total":null,"Party":null,"Lines":[],"Tags@odata.count":0}],"@odata.nextLink":"https://shop.example/odata/|0|1"}"##);
}

#[test]
fn names_are_short_in_4_01_and_numbers_strings_when_agreed() {
    let format = Format {
        version: Version::V4_01,
        ieee754_compatible: true,
        ..Format::default()
    };
    insta::assert_snapshot!(write_orders(format), @r##"{"@context":"https://shop.example/odata/$metadata#Orders(id,Status,Total,Party(id,Name),Lines(Position))","@count":"7","value":[{"@etag":"W/\"3\"","id":"01890a5d-ac96-774b-bcce-b302099a8057","Status":"Draft","Total":"1.50","Party":{"@type":"#shop.Company","@etag":"W/\"2\"","id":"01890a5d-ac96-774b-bcce-b302099a8057","Name":"A\"\n"},"Lines@count":"2","Lines":[{"@id":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Lines(01890a5d-ac96-774b-bcce-b302099a8057)","@etag":"W/\"1\"","Position":1},{"@id":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Lines(01890a5d-ac96-774b-bcce-b302099a8057)","@etag":"W/\"1\"","Position":2}],"Lines@nextLink":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)|2|1","Tags@count":"4"},{"@etag":"W/\"3\"","id":"01890a5d-ac96-774b-bcce-b302099a8057","Status":null,"Total":null,"Party":null,"Lines":[],"Tags@count":"0"}],"@nextLink":"https://shop.example/odata/|0|1"}"##);
}

#[test]
fn no_metadata_leaves_counts_and_links() {
    let format = Format {
        metadata: MetadataLevel::None,
        ..Format::default()
    };
    insta::assert_snapshot!(write_orders(format), @r#"{"@odata.count":7,"value":[{"id":"01890a5d-ac96-774b-bcce-b302099a8057","Status":"Draft","Total":1.50,"Party":{"id":"01890a5d-ac96-774b-bcce-b302099a8057","Name":"A\"\n"},"Lines@odata.count":2,"Lines":[{"Position":1},{"Position":2}],"Lines@odata.nextLink":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)|2|1","Tags@odata.count":4},{"id":"01890a5d-ac96-774b-bcce-b302099a8057","Status":null,"Total":null,"Party":null,"Lines":[],"Tags@odata.count":0}],"@odata.nextLink":"https://shop.example/odata/|0|1"}"#);
}

#[test]
fn full_metadata_has_types_and_links() {
    let format = Format {
        metadata: MetadataLevel::Full,
        ..Format::default()
    };
    insta::assert_snapshot!(write_orders(format), @r##"{"@odata.context":"https://shop.example/odata/$metadata#Orders(id,Status,Total,Party(id,Name),Lines(Position))","@odata.count":7,"value":[{"@odata.type":"#shop.Order","@odata.id":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)","@odata.etag":"W/\"3\"","@odata.editLink":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)","Party@odata.associationLink":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Party/$ref","Party@odata.navigationLink":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Party","Lines@odata.associationLink":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Lines/$ref","Lines@odata.navigationLink":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Lines","Tags@odata.associationLink":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Tags/$ref","Tags@odata.navigationLink":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Tags","id@odata.type":"#Guid","id":"01890a5d-ac96-774b-bcce-b302099a8057","Status@odata.type":"#shop.Status","Status":"Draft","Total@odata.type":"#Decimal","Total":1.50,"Party":{"@odata.type":"#shop.Company","@odata.id":"https://shop.example/odata/Parties(01890a5d-ac96-774b-bcce-b302099a8057)","@odata.etag":"W/\"2\"","@odata.editLink":"https://shop.example/odata/Parties(01890a5d-ac96-774b-bcce-b302099a8057)","Orders@odata.associationLink":"https://shop.example/odata/Parties(01890a5d-ac96-774b-bcce-b302099a8057)/Orders/$ref","Orders@odata.navigationLink":"https://shop.example/odata/Parties(01890a5d-ac96-774b-bcce-b302099a8057)/Orders","id@odata.type":"#Guid","id":"01890a5d-ac96-774b-bcce-b302099a8057","Name":"A\"\n"},"Lines@odata.count":2,"Lines":[{"@odata.type":"#shop.Line","@odata.id":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Lines(01890a5d-ac96-774b-bcce-b302099a8057)","@odata.etag":"W/\"1\"","@odata.editLink":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Lines(01890a5d-ac96-774b-bcce-b302099a8057)","Order@odata.associationLink":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Lines(01890a5d-ac96-774b-bcce-b302099a8057)/Order/$ref","Order@odata.navigationLink":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Lines(01890a5d-ac96-774b-bcce-b302099a8057)/Order","Position@odata.type":"#Int32","Position":1},{"@odata.type":"#shop.Line","@odata.id":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Lines(01890a5d-ac96-774b-bcce-b302099a8057)","@odata.etag":"W/\"1\"","@odata.editLink":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Lines(01890a5d-ac96-774b-bcce-b302099a8057)","Order@odata.associationLink":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Lines(01890a5d-ac96-774b-bcce-b302099a8057)/Order/$ref","Order@odata.navigationLink":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Lines(01890a5d-ac96-774b-bcce-b302099a8057)/Order","Position@odata.type":"#Int32","Position":2}],"Lines@odata.nextLink":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)|2|1","Tags@odata.count":4},{"@odata.type":"#shop.Order","@odata.id":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)","@odata.etag":"W/\"3\"","@odata.editLink":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)","Party@odata.associationLink":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Party/$ref","Party@odata.navigationLink":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Party","Lines@odata.associationLink":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Lines/$ref","Lines@odata.navigationLink":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Lines","Tags@odata.associationLink":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Tags/$ref","Tags@odata.navigationLink":"https://shop.example/odata/Orders(01890a5d-ac96-774b-bcce-b302099a8057)/Tags","id@odata.type":"#Guid","id":"01890a5d-ac96-774b-bcce-b302099a8057","Status@odata.type":"#shop.Status","Status":null,"Total@odata.type":"#Decimal","Total":null,"Party":null,"Lines":[],"Tags@odata.count":0}],"@odata.nextLink":"https://shop.example/odata/|0|1"}"##);
}

#[test]
fn one_row_has_its_context_and_version() {
    let model = sample::model();
    let plan = |selection: &Selection, content| {
        Arc::new(Plan::new(&model, selection, Format::default(), content))
    };
    let key = [ValueRef::Text("a/b'c")];
    let row = Row {
        entity: entity(&model, "Tag"),
        key: &key,
        version: Some(1),
    };
    let mut writer = Writer::new(
        plan(&everything(&model, "Tag"), Content::Entities),
        ROOT,
        set("Tags"),
        true,
    );
    writer.begin_row(0, row);
    for position in 0..3 {
        writer.value(0, position, ValueRef::Null);
    }
    writer.end_row(0);
    assert_eq!(writer.version(), Some(1));
    insta::assert_snapshot!(finish(writer), @r#"{"@odata.context":"https://shop.example/odata/$metadata#Tags/$entity","@odata.etag":"W/\"1\"","Word":null,"createdAt":null,"changedAt":null}"#);
    let mut writer = Writer::new(
        plan(&select(&model, "Tag", &["createdAt"]), Content::Entities),
        ROOT,
        set("Tags"),
        true,
    );
    writer.begin_row(0, row);
    writer.value(0, 0, ValueRef::DateTime(0));
    writer.end_row(0);
    insta::assert_snapshot!(finish(writer), @r#"{"@odata.context":"https://shop.example/odata/$metadata#Tags(createdAt)/$entity","@odata.id":"https://shop.example/odata/Tags('a%2Fb%27%27c')","@odata.etag":"W/\"1\"","createdAt":"1970-01-01T00:00:00Z"}"#);
    for single in [true, false] {
        let mut writer = Writer::new(
            plan(&select(&model, "Tag", &["Word"]), Content::References),
            ROOT,
            set("Tags"),
            single,
        );
        if !single {
            writer.begin_collection(0, None);
        }
        writer.begin_row(0, row);
        writer.value(0, 0, ValueRef::Text("a/b'c"));
        writer.end_row(0);
        if !single {
            writer.begin_row(0, row);
            writer.end_row(0);
            writer.end_collection(0, None);
        }
        let text = finish(writer);
        if single {
            insta::assert_snapshot!(text, @r#"{"@odata.context":"https://shop.example/odata/$metadata#$ref","@odata.id":"https://shop.example/odata/Tags('a%2Fb%27%27c')"}"#);
        } else {
            insta::assert_snapshot!(text, @r#"{"@odata.context":"https://shop.example/odata/$metadata#Collection($ref)","value":[{"@odata.id":"https://shop.example/odata/Tags('a%2Fb%27%27c')"},{"@odata.id":"https://shop.example/odata/Tags('a%2Fb%27%27c')"}]}"#);
        }
    }
}

#[test]
fn rows_of_specialisations_name_their_type() {
    let model = sample::model();
    let mut selection = select(&model, "Party", &["id"]);
    selection.specialised = vec![(
        entity(&model, "Company"),
        attribute(&model, "Company", "VatNumber"),
    )];
    let plan = Arc::new(Plan::new(
        &model,
        &selection,
        Format::default(),
        Content::Entities,
    ));
    let mut writer = Writer::new(plan, ROOT, set("Parties"), true);
    let key = [ValueRef::Uuid(ID.parse().unwrap())];
    writer.begin_row(
        0,
        Row {
            entity: entity(&model, "Company"),
            key: &key,
            version: None,
        },
    );
    writer.value(0, 0, key[0]);
    writer.value(0, 1, ValueRef::Text("DE1"));
    writer.end_row(0);
    insta::assert_snapshot!(finish(writer), @r##"{"@odata.context":"https://shop.example/odata/$metadata#Parties(id,shop.Company/VatNumber)/$entity","@odata.type":"#shop.Company","id":"01890a5d-ac96-774b-bcce-b302099a8057","VatNumber":"DE1"}"##);
}

#[test]
fn contexts_follow_the_source() {
    let model = sample::model();
    let order = entity(&model, "Order");
    let key = || Source::Key(vec![Value::Uuid(ID.parse().unwrap())]);
    let related = |name: &str, key: Option<Vec<Value>>| Source::Related {
        entity: order,
        from: Box::new(self::key_source()),
        navigation: navigation(&model, "Order", name),
        key,
    };
    assert_eq!(context_path(&model, order, &key()).collection, "Orders");
    let tags = context_path(&model, entity(&model, "Tag"), &related("Tags", None));
    assert_eq!(tags.collection, "Tags");
    let lines = context_path(&model, entity(&model, "Line"), &related("Lines", None));
    assert_eq!(lines.collection, format!("Orders({ID})/Lines"));
    let tag = related("Tags", Some(vec![Value::Text("a".into())]));
    assert_eq!(
        crate::address::row_path(&model, entity(&model, "Tag"), &tag),
        "Tags('a')"
    );
}

fn key_source() -> Source {
    Source::Key(vec![Value::Uuid(ID.parse().unwrap())])
}

#[test]
fn keys_in_urls_are_encoded() {
    let model = sample::details();
    let path = crate::address::canonical(
        &model,
        entity(&model, "Detail"),
        &[Value::Integer(-1), Value::Integer(2)],
    );
    assert_eq!(path, "Details(OrderID=-1,Number=2)");
    let path = crate::address::canonical(
        &model,
        entity(&model, "Customer"),
        &[Value::Text("O'é /".into())],
    );
    assert_eq!(path, "Customers('O%27%27%C3%A9%20%2F')");
}

#[test]
fn single_values_have_a_context_or_stand_alone() {
    let model = sample::model();
    let key = [ValueRef::Null];
    let row = Row {
        entity: entity(&model, "Order"),
        key: &key,
        version: Some(9),
    };
    let mut writer = PropertyWriter::new(
        ROOT,
        "Orders(1)",
        "Weight",
        ScalarType::Long,
        Format {
            ieee754_compatible: true,
            ..Format::default()
        },
    );
    assert!(!writer.found());
    writer.begin_row(0, row);
    assert!(writer.found() && writer.is_null());
    writer.value(0, 0, ValueRef::Integer(5));
    writer.end_row(0);
    assert_eq!(writer.version(), Some(9));
    assert!(!writer.is_null());
    let text = String::from_utf8(writer.into_bytes()).unwrap();
    assert_eq!(
        text,
        r#"{"@odata.context":"https://shop.example/odata/$metadata#Orders(1)/Weight","value":"5"}"#
    );
    let raw = |value| {
        let mut writer = RawWriter::new();
        writer.begin_row(0, row);
        writer.value(0, 0, value);
        writer.end_row(0);
        (writer.is_null(), writer.into_bytes())
    };
    assert_eq!(raw(ValueRef::Text("a\"b")), (false, b"a\"b".to_vec()));
    assert_eq!(raw(ValueRef::Binary(&[0, 255])), (false, vec![0, 255]));
    assert_eq!(raw(ValueRef::Null), (true, Vec::new()));
    assert_eq!(count_text(5), "5");
}

proptest! {
    #[test]
    fn every_value_is_valid_json_and_comes_back(
        text in any::<String>(),
        number in any::<i64>(),
        mantissa in any::<i64>(),
        scale in 0_u32..18,
        bytes in prop::collection::vec(any::<u8>(), 0..20),
        instant in -62_000_000_000_000_000_i64..250_000_000_000_000_000,
    ) {
        let model = sample::model();
        let selection = select(&model, "Order", &["Status", "Weight", "Total", "Seal", "PlacedAt"]);
        let plan = Arc::new(Plan::new(&model, &selection, Format { ieee754_compatible: true, ..Format::default() }, Content::Entities));
        let mut writer = Writer::new(plan, ROOT, set("Orders"), true);
        let key = [ValueRef::Uuid(ID.parse().unwrap())];
        writer.begin_row(0, Row { entity: entity(&model, "Order"), key: &key, version: None });
        let decimal = rust_decimal::Decimal::new(mantissa, scale);
        writer.value(0, 0, ValueRef::Text(&text));
        writer.value(0, 1, ValueRef::Integer(number));
        writer.value(0, 2, ValueRef::Decimal(decimal));
        writer.value(0, 3, ValueRef::Binary(&bytes));
        writer.value(0, 4, ValueRef::DateTime(instant));
        writer.end_row(0);
        let json: serde_json::Value = serde_json::from_slice(&writer.into_bytes()).unwrap();
        prop_assert_eq!(json["Status"].as_str().unwrap(), &text);
        prop_assert_eq!(json["Weight"].as_str().unwrap().parse::<i64>().unwrap(), number);
        prop_assert_eq!(json["Total"].as_str().unwrap().parse::<rust_decimal::Decimal>().unwrap(), decimal);
        let seal = stoa_model::expression::literal::binary(json["Seal"].as_str().unwrap());
        prop_assert_eq!(seal.unwrap(), bytes);
        let placed = stoa_model::value::text::parse_date_time(json["PlacedAt"].as_str().unwrap());
        prop_assert_eq!(placed, Some(instant));
    }
}

/// Context of the answer to a URL.
fn context_of(model: &Model, url: &str) -> String {
    use crate::resolve::{Read, Target};
    use crate::url::Url;
    let limits = stoa_model::application::Limits::default();
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let url = Url::parse(path, Some(query), &limits).unwrap();
    let target = Target::new(model, &url).unwrap();
    let read = Read::new(model, &url, &target, &limits, None).unwrap();
    let selection = &read.query.selection;
    let plan = Arc::new(Plan::new(
        model,
        selection,
        Format::default(),
        Content::Entities,
    ));
    let context = context_path(model, read.query.entity, &read.query.source);
    let paging = read.paging.clone();
    let mut writer = Writer::new(plan, "/", context, read.query.single).with_next_link(Box::new(
        move |node, parent, after| paging.next_link("/", node, parent, after),
    ));
    if read.query.single {
        let key = vec![ValueRef::Null; model[read.query.entity].key.len()];
        writer.begin_row(
            0,
            Row {
                entity: read.query.entity,
                key: &key,
                version: None,
            },
        );
        writer.end_row(0);
    } else {
        writer.begin_collection(0, None);
        writer.end_collection(0, None);
    }
    let json: serde_json::Value = serde_json::from_str(&finish(writer)).unwrap();
    json["@odata.context"].as_str().unwrap().to_owned()
}

#[test]
fn context_urls_follow_the_request() {
    let model = sample::model();
    let check = |url: &str, expected: &str| {
        assert_eq!(
            context_of(&model, url),
            format!("/$metadata#{expected}"),
            "{url}"
        );
    };
    check("Orders", "Orders");
    check("Parties", "Parties");
    check("Companies", "Companies");
    check(&format!("Orders({ID})"), "Orders/$entity");
    check(&format!("Orders({ID})/Party"), "Parties/$entity");
    check(
        &format!("Orders({ID})/Lines"),
        &format!("Orders({ID})/Lines"),
    );
    check(
        &format!("Orders({ID})/Lines({ID})"),
        &format!("Orders({ID})/Lines/$entity"),
    );
    check("Orders?$select=Status", "Orders(Status)");
    check("Orders?$select=*", "Orders");
    check("Orders?$expand=Lines", "Orders(Lines())");
    check(
        "Orders?$select=Status&$expand=Party($select=Name)",
        "Orders(Status,Party(Name))",
    );
    check("Orders?$expand=Tags/$count", "Orders");
    check("Parties/shop.Company", "Companies");
}
