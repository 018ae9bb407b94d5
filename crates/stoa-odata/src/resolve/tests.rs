use proptest::prelude::*;
use stoa_model::application::Limits;
use stoa_model::model::Model;
use stoa_model::query::{Selection, Source};
use stoa_model::value::Value;

use super::{Part, Read, Target};
use crate::url::{ErrorKind, Url};

const MODEL: &str = r#"
[enumeration.OrderStatus]
values = ["Draft", "Placed"]

[entity.Customer.attributes]
Name  = { type = "String", length = 120 }
Since = { type = "Date" }

[entity.Product]
key = ["Code"]
[entity.Product.attributes]
Code = { type = "String", length = 8, required = true }

[entity.Order]
key = ["Number"]
[entity.Order.attributes]
Number = { type = "Integer", required = true }
Total  = { type = "Decimal", precision = 12, scale = 2 }
Status = { type = "OrderStatus" }
[entity.Order.associations]
Customer = { to = "Customer", inverse = "Orders" }
Lines    = { to = "OrderLine", many = true, contained = true, inverse = "Order" }

[entity.OrderLine.attributes]
Quantity = { type = "Integer" }
[entity.OrderLine.associations]
Product = { to = "Product", inverse = "Lines" }

[entity.Price]
key = ["Zone", "Level"]
[entity.Price.attributes]
Zone  = { type = "Integer", required = true }
Level = { type = "String", length = 3, required = true }

[entity.Employee]
key = ["Badge"]
[entity.Employee.attributes]
Badge = { type = "Integer", required = true }
[entity.Employee.associations]
Boss = { to = "Employee", inverse = "Reports" }

[entity.Manager]
extends = "Employee"
[entity.Manager.attributes]
Budget = { type = "Decimal", precision = 12, scale = 2 }
"#;

fn model() -> Model {
    Model::from_text("Sales", MODEL).unwrap()
}

fn limits() -> Limits {
    Limits {
        page_rows: 10,
        expand_depth: 3,
        ..Limits::default()
    }
}

fn read(model: &Model, url: &str) -> Result<Read, crate::url::Error> {
    let (path, query) = match url.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (url, None),
    };
    let url = Url::parse(path, query, &limits())?;
    let target = Target::new(model, &url)?;
    Read::new(model, &url, &target, &limits(), None)
}

fn source(model: &Model, source: &Source) -> String {
    match source {
        Source::All => "all".to_owned(),
        Source::Key(key) => format!("{key:?}"),
        Source::Where { from, .. } => self::source(model, from),
        Source::Related {
            entity,
            from,
            navigation,
            key,
        } => {
            let name = model[*entity][*navigation].name.as_deref().unwrap_or("?");
            let key = key
                .as_ref()
                .map_or_else(String::new, |key| format!("{key:?}"));
            format!(
                "{}.{name}{key} of {}",
                model[*entity].name,
                self::source(model, from)
            )
        }
    }
}

fn selection(model: &Model, it: &Selection) -> String {
    let entity = &model[it.entity];
    let mut parts: Vec<String> = it
        .attributes
        .iter()
        .map(|id| entity[*id].name.clone())
        .collect();
    parts.extend(
        it.specialised
            .iter()
            .map(|(special, id)| format!("{}/{}", model[*special].name, model[*special][*id].name)),
    );
    for expand in &it.expands {
        let name = entity[expand.navigation].name.as_deref().unwrap_or("?");
        let kind = if expand.count_only { "#" } else { "" };
        let paged = if expand.paged { " paged" } else { "" };
        parts.push(format!(
            "{name}{kind}[{}{paged}, {} order]{}",
            expand.limit,
            expand.order.len(),
            selection(model, &expand.selection)
        ));
    }
    format!("{}({})", it.node, parts.join(","))
}

/// Shows what a URL asks for, or the fault.
fn check(url: &str) -> String {
    let model = model();
    match read(&model, url) {
        Err(error) => format!("{:?}: {error}", error.kind),
        Ok(read) => {
            let query = &read.query;
            format!(
                "{:?} {}{} from {}, {} order, skip {}, limit {}{}{}{}, {}",
                read.part,
                model[query.entity].name,
                if query.single { " single" } else { "" },
                source(&model, &query.source),
                query.order.len(),
                query.skip,
                query.limit,
                if query.paged { " paged" } else { "" },
                if query.count { " count" } else { "" },
                if query.filter.is_some() {
                    " filter"
                } else {
                    ""
                },
                selection(&model, &query.selection),
            )
        }
    }
}

#[test]
fn paths() {
    insta::assert_snapshot!(check("Orders"), @"Rows Order from all, 1 order, skip 0, limit 10 paged, 0(Number,Total,Status,createdAt,changedAt)");
    insta::assert_snapshot!(check("/Orders(5)/"), @"Rows Order single from [Integer(5)], 0 order, skip 0, limit 1, 0(Number,Total,Status,createdAt,changedAt)");
    insta::assert_snapshot!(check("Orders(Number=5)/Customer/Name"), @"Property(AttributeId(1)) Customer single from Order.Customer of [Integer(5)], 0 order, skip 0, limit 1, 0(Name)");
    insta::assert_snapshot!(check("Orders(5)/Customer/Name/$value"), @"Value(AttributeId(1)) Customer single from Order.Customer of [Integer(5)], 0 order, skip 0, limit 1, 0(Name)");
    insta::assert_snapshot!(check("Orders(5)/Lines"), @"Rows OrderLine from Order.Lines of [Integer(5)], 1 order, skip 0, limit 10 paged, 0(id,Quantity,createdAt,changedAt)");
    insta::assert_snapshot!(check("Orders(5)/Lines(01234567-89ab-cdef-0123-456789abcdef)/Product"), @"Rows Product single from OrderLine.Product of Order.Lines[Uuid(01234567-89ab-cdef-0123-456789abcdef)] of [Integer(5)], 0 order, skip 0, limit 1, 0(Code,createdAt,changedAt)");
    insta::assert_snapshot!(check("Orders/$count?$filter=Total%20gt%205&$top=1"), @"Count Order from all, 0 order, skip 0, limit 0 count filter, 0()");
    insta::assert_snapshot!(check("Orders(5)/Lines/$count"), @"Count OrderLine from Order.Lines of [Integer(5)], 0 order, skip 0, limit 0 count, 0()");
    insta::assert_snapshot!(check("Orders(5)/Customer/$ref"), @"References Customer single from Order.Customer of [Integer(5)], 0 order, skip 0, limit 1, 0(id)");
    insta::assert_snapshot!(check("Prices(Zone%3D1%2CLevel%3D'a%2Fb')"), @r#"Rows Price single from [Integer(1), Text("a/b")], 0 order, skip 0, limit 1, 0(Zone,Level,createdAt,changedAt)"#);
    insta::assert_snapshot!(check("Prices(Level='x',Zone=@z)?@z=7"), @r#"Rows Price single from [Integer(7), Text("x")], 0 order, skip 0, limit 1, 0(Zone,Level,createdAt,changedAt)"#);
    insta::assert_snapshot!(check("Employees/Sales.Manager"), @"Rows Manager from all, 1 order, skip 0, limit 10 paged, 0(Badge,createdAt,changedAt,Budget)");
    insta::assert_snapshot!(check("Employees(1)/Sales.Manager/Budget"), @"Property(AttributeId(4)) Manager single from [Integer(1)], 0 order, skip 0, limit 1 filter, 0(Budget)");
    insta::assert_snapshot!(check("Managers(1)/Reports/Sales.Manager?$filter=Budget gt 5"), @"Rows Manager from Manager.Reports of [Integer(1)], 1 order, skip 0, limit 10 paged filter, 0(Badge,createdAt,changedAt,Budget)");
    insta::assert_snapshot!(check("Orders/$filter(Total gt 5)/$filter(@f)?@f=Status eq 'Draft'&$filter=Number lt 9"), @"Rows Order from all, 1 order, skip 0, limit 10 paged filter, 0(Number,Total,Status,createdAt,changedAt)");
}

#[test]
fn paths_that_name_nothing() {
    insta::assert_snapshot!(check("Order"), @"NotFound: path: there is no collection 'Order' at position 0; did you mean 'Orders'?");
    insta::assert_snapshot!(check("OrderLines"), @"NotFound: path: there is no collection 'OrderLines' at position 0; did you mean 'Orders'?");
    insta::assert_snapshot!(check("Orders(5)/Custmer"), @"NotFound: path: Order has no property 'Custmer' at position 10; did you mean 'Customer'?");
    insta::assert_snapshot!(check("Orders/Customer"), @"NotFound: path: 'Customer' belongs to one row: a key has to come before it at position 7; expected a key in parentheses, a type, $count or $ref");
    insta::assert_snapshot!(check("Orders('5')"), @"Type: path: '5' is no Integer at position 7; expected a number without quotes");
    insta::assert_snapshot!(check("Orders(3000000000)"), @"Range: path: 3000000000 is out of the range of Integer at position 7");
    insta::assert_snapshot!(check("Orders(Nummer=5)"), @"Malformed: path: the key of Order needs 'Number' at position 0; did you mean 'Number'?");
    insta::assert_snapshot!(check("Prices(1)"), @"Malformed: path: the key of Price has several parts: name them at position 0; did you mean '(Zone=…,Level=…)'?");
    insta::assert_snapshot!(check("Prices(Zone=1)"), @"Malformed: path: the key of Price needs 'Level' at position 0");
    insta::assert_snapshot!(check("Prices(Zone=1,Level='x',Extra=1)"), @"Malformed: path: 'Extra' is no part of the key of Price at position 0");
    insta::assert_snapshot!(check("Orders(null)"), @"Type: path: a key is never null at position 7");
    insta::assert_snapshot!(check("Orders(@k)"), @"Malformed: path: the alias @k has no literal as value at position 0");
    insta::assert_snapshot!(check("Orders(5)(6)"), @"NotFound: path: a key needs a collection before it at position 0");
    insta::assert_snapshot!(check("Orders/5"), @"Unsupported: path: keys as segments are not supported at position 7; expected the key in parentheses, such as Customers(1)");
    insta::assert_snapshot!(check("Orders(5)/Total/Number"), @"NotFound: path: only $value can follow a property at position 16");
    insta::assert_snapshot!(check("Orders(5)/Sales.Ship"), @"NotFound: path: 'Sales.Ship' is no type of Order at position 10");
    insta::assert_snapshot!(check("Orders(5)/Total/Sales.Ship"), @"NotFound: path: only $value can follow a property at position 16");
    insta::assert_snapshot!(check("Orders/Sales.Customer"), @"NotFound: path: 'Sales.Customer' is no type of Order at position 7");
    insta::assert_snapshot!(check("Employees/Sales.Manger"), @"NotFound: path: 'Sales.Manger' is no type of Employee at position 10; did you mean 'Sales.Manager'?");
    insta::assert_snapshot!(check("Orders?$select=Sales.Ship"), @"UnknownName: $select: Order has no property 'Sales.Ship' at position 0");
    insta::assert_snapshot!(check("$all"), @"Unsupported: path: $all is not supported");
    insta::assert_snapshot!(check("Orders(5)/$count"), @"NotFound: path: $count needs a collection before it at position 10");
}

#[test]
fn options() {
    insta::assert_snapshot!(check("Orders?$orderby=Total desc,Number&$top=3&$skip=2&$count=true"), @"Rows Order from all, 2 order, skip 2, limit 3 count, 0(Number,Total,Status,createdAt,changedAt)");
    insta::assert_snapshot!(check("Orders?%24orderby=Total,Customer/Name&top=30"), @"Rows Order from all, 3 order, skip 0, limit 10 paged, 0(Number,Total,Status,createdAt,changedAt)");
    insta::assert_snapshot!(check("Orders?$filter=Number eq 1 or Number eq 2&$top=2"), @"Rows Order from all, 1 order, skip 0, limit 2 filter, 0(Number,Total,Status,createdAt,changedAt)");
    insta::assert_snapshot!(check("Orders?$select=Total,Number, Total&custom=x"), @"Rows Order from all, 1 order, skip 0, limit 10 paged, 0(Number,Total)");
    insta::assert_snapshot!(check("Orders?$select=*&$expand=Lines($select=Quantity;$expand=Product;$top=2),Customer"), @"Rows Order from all, 1 order, skip 0, limit 10 paged, 0(Number,Total,Status,createdAt,changedAt,Customer[1, 0 order]1(id,Name,Since,createdAt,changedAt),Lines[2, 1 order]2(Quantity,Product[1, 0 order]3(Code,createdAt,changedAt)))");
    insta::assert_snapshot!(check("Orders?$expand=*"), @"Rows Order from all, 1 order, skip 0, limit 10 paged, 0(Number,Total,Status,createdAt,changedAt,Customer[1, 0 order]1(id,Name,Since,createdAt,changedAt),Lines[10 paged, 1 order]2(id,Quantity,createdAt,changedAt))");
    insta::assert_snapshot!(check("Orders?$expand=Lines/$count,Customer/$ref"), @"Rows Order from all, 1 order, skip 0, limit 10 paged, 0(Number,Total,Status,createdAt,changedAt,Customer[1, 0 order]1(),Lines#[10, 1 order]2())");
    insta::assert_snapshot!(check("Employees?$expand=Reports($levels=2;$select=Badge)"), @"Rows Employee from all, 1 order, skip 0, limit 10 paged, 0(Badge,createdAt,changedAt,Manager/Budget,Reports[10 paged, 1 order]1(Badge,Reports[10 paged, 1 order]2(Badge)))");
    insta::assert_snapshot!(check("Employees?$expand=Boss($levels=max)&$select=Badge,Sales.Manager/Budget"), @"Rows Employee from all, 1 order, skip 0, limit 10 paged, 0(Badge,Manager/Budget,Boss[1, 0 order]1(Badge,createdAt,changedAt,Manager/Budget,Boss[1, 0 order]2(Badge,createdAt,changedAt,Manager/Budget,Boss[1, 0 order]3(Badge,createdAt,changedAt,Manager/Budget))))");
    insta::assert_snapshot!(check("Orders(5)?$select=Total"), @"Rows Order single from [Integer(5)], 0 order, skip 0, limit 1, 0(Total)");
    insta::assert_snapshot!(check("Orders?$top=0&$count=true"), @"Rows Order from all, 1 order, skip 0, limit 0 count, 0(Number,Total,Status,createdAt,changedAt)");
}

#[test]
fn faults_of_options() {
    insta::assert_snapshot!(check("Orders?$top=x"), @"Malformed: $top: 'x' cannot stand here at position 0; expected a number, zero or greater");
    insta::assert_snapshot!(check("Orders?$top=99999999999999999999"), @"Range: $top: this number is too large at position 0");
    insta::assert_snapshot!(check("Orders?$top=1&top=2"), @"Malformed: $top: the option $top is given twice at position 0");
    insta::assert_snapshot!(check("Orders?$fliter=true"), @"Malformed: query: there is no query option '$fliter'; did you mean '$filter'?");
    insta::assert_snapshot!(check("Orders?$filter= true"), @"Malformed: $filter: a blank cannot stand here at position 0; expected a property, a literal or a function");
    insta::assert_snapshot!(check("Orders?$filter=Totl gt 5"), @"UnknownName: $filter: Order has no property 'Totl' at position 0; did you mean 'Total'?");
    insta::assert_snapshot!(check("Orders?$filter=Total gt 5 andd true"), @"Malformed: $filter: 'andd' cannot stand here at position 11; expected an operator or the end; did you mean 'and'?");
    insta::assert_snapshot!(check("Orders?$orderby=Totl"), @"UnknownName: $orderby: Order has no property 'Totl' at position 0; did you mean 'Total'?");
    insta::assert_snapshot!(check("Orders?$orderby=Total up"), @"Malformed: $orderby: 'up' cannot stand here at position 6; expected an operator, 'asc', 'desc' or ','");
    insta::assert_snapshot!(check("Orders?$select=Totl"), @"UnknownName: $select: Order has no property 'Totl' at position 0; did you mean 'Total'?");
    insta::assert_snapshot!(check("Orders?$expand=Customr"), @"UnknownName: $expand: Order has no property 'Customr' at position 0; did you mean 'Customer'?");
    insta::assert_snapshot!(check("Orders?$expand=Total"), @"Malformed: $expand: 'Total' is no navigation: it comes with the row at position 0");
    insta::assert_snapshot!(check("Orders?$expand=Customer($filtr=true)"), @"Malformed: $expand: the option '$filtr' cannot stand here at position 9; did you mean '$filter'?");
    insta::assert_snapshot!(check("Orders?$expand=Lines($filter=Quantty gt 5)"), @"UnknownName: $expand: OrderLine has no property 'Quantty' at position 14; did you mean 'Quantity'?");
    insta::assert_snapshot!(check("Orders?$expand=Lines,Lines"), @"Malformed: $expand: 'Lines' is expanded twice at position 6");
    insta::assert_snapshot!(check("Orders?$expand=Customer($levels=2)"), @"Malformed: $expand: 'Customer' does not lead back to rows that have it: $levels has no meaning");
    insta::assert_snapshot!(check("Employees?$expand=Boss($levels=9)"), @"Limit: $expand: $expand is nested deeper than 3 levels");
    insta::assert_snapshot!(check("Orders(5)?$filter=true"), @"Malformed: $filter: the option $filter has a meaning for collections only");
    insta::assert_snapshot!(check("Orders?$search=x"), @"Unsupported: $search: the option $search is not supported");
    insta::assert_snapshot!(check("Orders?$apply=aggregate(Total with sum as T)"), @"Unsupported: $apply: the option $apply is not supported");
    insta::assert_snapshot!(check("Orders?$skiptoken=abc"), @"Token: $skiptoken: the token is of another version of this service: start again without it");
    insta::assert_snapshot!(check("Orders?$filter=Total%ZZgt"), @"Malformed: $filter: '%' has to be followed by two hexadecimal digits at position 5; expected %25 for a percent sign");
}

/// The nextLink of a node of what a URL asks for.
fn next(url: &str, node: usize, parent: &str, after: &[Value]) -> String {
    let model = model();
    read(&model, url)
        .unwrap()
        .paging
        .next_link("https://host/odata/", node, parent, after)
}

#[test]
fn next_links_continue_the_same_request() {
    let after = [Value::Decimal("12.50".parse().unwrap()), Value::Integer(7)];
    let link = next(
        "Orders?$orderby=Total desc&$skip=5&top=25&$filter=Total%20gt%201",
        0,
        "",
        &after,
    );
    insta::assert_snapshot!(link, @"https://host/odata/Orders?$orderby=Total desc&$filter=Total%20gt%201&$top=15&$skiptoken=AZg1R26k_0q9AwAAAgDiBAAAAAAAAAAAAAACAAAAAAAAAAc");
    let model = model();
    let continued = read(&model, link.strip_prefix("https://host/odata/").unwrap()).unwrap();
    assert_eq!(continued.query.after.as_deref(), Some(&after[..]));
    assert_eq!(
        (
            continued.query.skip,
            continued.query.limit,
            continued.query.paged
        ),
        (0, 10, true)
    );

    // The same token with another filter or order is refused.
    for (from, to) in [
        ("gt%201", "gt%202"),
        ("desc", "asc"),
        ("/Orders?", "/Employees?"),
    ] {
        let other = link.replace(from, to);
        let error = read(&model, other.strip_prefix("https://host/odata/").unwrap()).unwrap_err();
        assert!(
            matches!(error.kind, ErrorKind::Token | ErrorKind::UnknownName),
            "{error}"
        );
    }
}

#[test]
fn next_links_of_expanded_collections() {
    let key = Value::Uuid("01234567-89ab-cdef-0123-456789abcdef".parse().unwrap());
    let url = "Orders?$expand=Lines($filter=Quantity gt @least;$orderby=Quantity desc;$top=25;$select=Quantity)&@least=1";
    let link = next(url, 1, "Orders(5)", &[Value::Integer(3), key.clone()]);
    insta::assert_snapshot!(link, @"https://host/odata/Orders(5)/Lines?$filter=Quantity%20gt%20@least&$orderby=Quantity%20desc&$select=Quantity&@least=1&$top=15&$skiptoken=AXsSmJhCrRsJAgAAAAAAAAADCQEjRWeJq83vASNFZ4mrze8");
    let model = model();
    let continued = read(&model, link.strip_prefix("https://host/odata/").unwrap()).unwrap();
    assert_eq!(continued.query.after, Some(vec![Value::Integer(3), key]));
    assert!(continued.query.filter.is_some());

    let link = next(
        "Employees?$expand=Reports($levels=3;$select=Badge)",
        1,
        "Employees(5)",
        &[Value::Integer(3)],
    );
    insta::assert_snapshot!(link, @"https://host/odata/Employees(5)/Reports?$select=Badge&$expand=Reports($select=Badge;$levels=2)&$skiptoken=AZNyaUDBdEJgAgAAAAAAAAAD");
    assert!(read(&model, link.strip_prefix("https://host/odata/").unwrap()).is_ok());
}

#[test]
fn references_in_bodies() {
    let model = model();
    let root = "https://host/odata/";
    let key = |text: &str| {
        Target::of_reference(&model, root, text, &limits())
            .map(|target| (target.source, target.part))
    };
    let expected = (Source::Key(vec![Value::Integer(5)]), Part::Rows);
    for text in [
        "Orders(5)",
        "https://host/odata/Orders(5)",
        "/odata/Orders(5)",
        "Orders(Number%3D5)",
    ] {
        assert_eq!(key(text), Ok(expected.clone()), "{text}");
    }
    for text in [
        "Orders",
        "https://other/odata/Orders(5)",
        "Orders(5)/Total",
        "",
        "Orders(5)/$ref",
    ] {
        assert!(key(text).is_err(), "{text}");
    }
}

#[test]
fn expansion_is_bounded() {
    let nested = (0..30).fold(String::from("Reports"), |inner, _| {
        format!("Reports($expand={inner})")
    });
    assert!(check(&format!("Employees?$expand={nested}")).starts_with("Limit: "));
    let parentheses = format!(
        "Orders?$filter={}true{}",
        "(".repeat(5000),
        ")".repeat(5000)
    );
    assert!(check(&parentheses).starts_with("Limit: "));
    let long = format!("Orders?$filter={}", "a".repeat(20_000));
    assert!(check(&long).starts_with("TooLong: "));
    for costly in [
        format!("Employees?$filter={}Badge eq 1", "Boss/".repeat(11)),
        format!(
            "Employees?$filter={}true{}",
            (0..9)
                .map(|n| format!("Reports/any(x{n}:"))
                .collect::<String>(),
            ")".repeat(9)
        ),
        format!(
            "Employees?$filter={}",
            vec!["Boss/Boss/Boss/Boss/Boss/Badge eq 1"; 70].join(" or ")
        ),
        format!("Employees?$orderby={}", vec!["Badge"; 17].join(",")),
        format!("Employees(1){}", "/Boss".repeat(20)),
    ] {
        let shown = check(&costly);
        assert!(shown.starts_with("Limit: "), "{shown}");
    }
    let many = format!("Orders?$filter={}", vec!["Number eq 1"; 300].join(" or "));
    assert!(check(&many).starts_with("Limit: "));
}

/// Pieces of which URLs are made, so that chance finds deep paths.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "Orders",
        "(5)",
        "(",
        ")",
        "/",
        "Lines",
        "Customer",
        "?",
        "&",
        "$filter=",
        "$orderby=",
        "$expand=",
        "$select=",
        "$top=1",
        "$skip=",
        "$skiptoken=",
        "$levels=2",
        "$count=true",
        ";",
        ",",
        "Total",
        " gt ",
        " eq ",
        "5",
        "'x'",
        "''",
        "not ",
        " and ",
        " or ",
        "-",
        "1e5",
        "any(",
        "x:",
        "x/Quantity",
        "$count",
        "$it",
        "@a",
        "@a=",
        "[",
        "]",
        "{",
        "}",
        "\"a\"",
        ":",
        " in ",
        "Sales.Manager",
        "*",
        "%27",
        "%2F",
        "%",
        "é",
        "\0",
        "contains(",
        "isof(",
        "2024-01-01",
        "T12:00Z",
        "null",
        " desc",
        "duration'PT1S'",
        "$search=",
        "$compute=",
        " as ",
        "$value",
        "$ref",
        "Status",
        "Employees",
        "Reports",
        "AQAAAAAAAAAA",
    ])
}

proptest! {
    #[test]
    fn nothing_panics(pieces in prop::collection::vec(piece(), 0..40)) {
        let _ = check(&pieces.concat());
    }

    #[test]
    fn no_text_panics(path in "\\PC{0,40}", query in "\\PC{0,80}") {
        let _ = check(&format!("{path}?{query}"));
        let _ = check(&format!("Orders?$filter={query}"));
        let _ = check(&format!("Orders?$expand={query}"));
    }
}

/// What a clerk is answered; `ok` when there is nothing to say against it.
fn asked_by_clerk(url: &str) -> String {
    match read(&crate::sample::view(), url) {
        Ok(read) => {
            let entity = &crate::sample::view()[read.query.entity];
            let names: Vec<&str> = read
                .query
                .selection
                .attributes
                .iter()
                .map(|id| entity[*id].name.as_str())
                .collect();
            format!("ok: {}", names.join(","))
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_the_reader_may_not_see_is_unknown() {
    insta::assert_snapshot!(asked_by_clerk("Orders"), @"ok: id,Number,Status,DueOn,Total");
    insta::assert_snapshot!(asked_by_clerk("Orders?$select=*&$expand=*"), @"ok: id,Number,Status,DueOn,Total");
    insta::assert_snapshot!(asked_by_clerk("Orders?$select=Weight"), @"$select: Order has no property 'Weight' at position 0");
    insta::assert_snapshot!(asked_by_clerk("Orders?$filter=Weight gt 5"), @"$filter: Order has no property 'Weight' at position 0");
    insta::assert_snapshot!(asked_by_clerk("Orders?$orderby=PlacedAt"), @"$orderby: Order has no property 'PlacedAt' at position 0");
    insta::assert_snapshot!(asked_by_clerk("Orders?$expand=Tags"), @"$expand: Order has no property 'Tags' at position 0; did you mean 'Status'?");
    insta::assert_snapshot!(asked_by_clerk("Orders?$filter=Tags/any()"), @"$filter: Order has no property 'Tags' at position 0; did you mean 'Status'?");
    insta::assert_snapshot!(asked_by_clerk("Orders?$expand=Lines($select=Text;$filter=Order/Weight eq 1)"), @"$expand: Order has no property 'Weight' at position 33");
    insta::assert_snapshot!(asked_by_clerk("Orders?$filter=Totl gt 5"), @"$filter: Order has no property 'Totl' at position 0; did you mean 'Total'?");
    insta::assert_snapshot!(asked_by_clerk("Orders(00000000-0000-0000-0000-000000000001)/Weight"), @"path: Order has no property 'Weight' at position 45");
    insta::assert_snapshot!(asked_by_clerk("Orders(00000000-0000-0000-0000-000000000001)/Tags"), @"path: Order has no property 'Tags' at position 45; did you mean 'Status'?");
    insta::assert_snapshot!(asked_by_clerk("Orders(00000000-0000-0000-0000-000000000001)/Tags/$ref"), @"path: Order has no property 'Tags' at position 45; did you mean 'Status'?");
    insta::assert_snapshot!(asked_by_clerk("Regions"), @"path: there is no collection 'Regions' at position 0");
    insta::assert_snapshot!(asked_by_clerk("Parties/shop.Region"), @"path: 'shop.Region' is no type of Party at position 8");
    insta::assert_snapshot!(asked_by_clerk("Parties/shop.Company?$expand=Home"), @"$expand: Company has no property 'Home' at position 0");
    insta::assert_snapshot!(asked_by_clerk("Companies?$filter=Home/Code eq 'x'"), @"$filter: Company has no property 'Home' at position 0");
    insta::assert_snapshot!(asked_by_clerk("Parties?$filter=isof(shop.Region)"), @"$filter: there is no type 'shop.Region' at position 0");
    insta::assert_snapshot!(asked_by_clerk("SystemUsers"), @"ok: id,Name");
    insta::assert_snapshot!(asked_by_clerk("SystemUsers?$filter=Email eq 'x'"), @"$filter: SystemUser has no property 'Email' at position 0");
    insta::assert_snapshot!(asked_by_clerk("SystemSessions"), @"path: there is no collection 'SystemSessions' at position 0; did you mean 'SystemUsers'?");
    insta::assert_snapshot!(asked_by_clerk("SystemUsers?$filter=isof(shop.SystemSession)"), @"$filter: there is no type 'shop.SystemSession' at position 0; did you mean 'SystemUser'?");
    insta::assert_snapshot!(asked_by_clerk("SystemUsers/shop.SystemSession"), @"path: 'shop.SystemSession' is no type of SystemUser at position 12; did you mean 'shop.SystemUser'?");
}
