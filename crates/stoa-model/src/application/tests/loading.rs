//! What valid text becomes.

use std::fmt::Write as _;

use super::{check, load_files, model};
use crate::model::{Default, Entity, Member, Model, OnDelete, Purpose, Storage, Unique};
use crate::value::{ScalarType, Value};

const SALES: &str = r#"
[enumeration.OrderStatus]
values = ["Draft", { name = "Placed", label = "Placed by customer", renamed_from = "Sent" }, "Shipped"]

[role.Sales]
label = "Sales people"

[entity.Customer]
label = "Customer"
unique = [["Name", "Email"]]
index = [["Credit desc", "Name"]]
[entity.Customer.attributes]
Number  = "AutoNumber"
Name    = { type = "String", length = 120, required = true }
Email   = { type = "String", length = 200, unique = true, pattern = '^\S+@\S+$' }
Credit  = { type = "Decimal", precision = 12, scale = 2, default = "0", minimum = 0 }
Since   = { type = "Date", default = "now" }

[entity.Order.attributes]
PlacedAt = { type = "DateTime", default = 2026-01-31T12:00:00Z }
Status   = { type = "OrderStatus", default = "Draft" }
[entity.Order.associations]
Customer = { to = "Customer", required = true, inverse = "Orders" }
Lines    = { to = "OrderLine", many = true, contained = true, inverse = "Order" }
Tags     = { to = "Tag", many_to_many = true, inverse = "Orders" }

[[entity.Order.access]]
role   = "Sales"
create = true
delete = "Status eq 'Draft'"
read   = "*"
write  = ["Status", "Lines"]
where  = "Customer/Name eq 'x'"

[entity.OrderLine]
key = ["Order_", "Position"]
[entity.OrderLine.attributes]
Order_ = "Integer"
Position = "Integer"
[entity.Tag.attributes]
Name = "String"

[entity.Party.attributes]
Name = "String"
[entity.Person]
extends = "Party"
[entity.Person.attributes]
Born = "Date"
[entity.Person.associations]
Boss = { to = "Person", inverse = "Reports", on_delete = "clear" }
[entity.Firm]
extends = "Party"
collection = "Companies"
[entity.Firm.associations]
Head = { to = "Person", unique = true, inverse = "Leads" }
"#;

/// One line for each member, in order.
fn outline(model: &Model, entity: &Entity) -> String {
    let mut text = format!(
        "{} in {} ({})\n",
        entity.name, entity.table.name, entity.collection
    );
    for attribute in &entity.attributes {
        let required = if attribute.required { " required" } else { "" };
        let (name, column) = (&attribute.name, &attribute.column);
        let _ = writeln!(
            text,
            "  {name}: {:?} {:?} in {column}{required}",
            attribute.scalar_type, attribute.purpose
        );
    }
    for navigation in &entity.navigations {
        let name = navigation.name.as_deref().unwrap_or("(unnamed)");
        let storage = match &navigation.storage {
            Storage::Own(columns) => format!(
                "own {:?}",
                columns.iter().map(|it| &it.column).collect::<Vec<_>>()
            ),
            Storage::Target(columns) => {
                format!(
                    "target {:?}",
                    columns.iter().map(|it| &it.column).collect::<Vec<_>>()
                )
            }
            Storage::Join { table, own, target } => format!("{table} {own:?} {target:?}"),
        };
        let flags: Vec<&str> = [
            (navigation.many, "many"),
            (navigation.contained, "contained"),
            (navigation.required, "required"),
        ]
        .into_iter()
        .filter_map(|(flag, name)| flag.then_some(name))
        .collect();
        let target = &model[navigation.target].name;
        let _ = writeln!(
            text,
            "  {name} -> {target} {flags:?} {:?} {storage}",
            navigation.on_delete
        );
    }
    text
}

fn outlines(model: &Model) -> String {
    model
        .entities
        .iter()
        .filter(|entity| !entity.is_of_system())
        .map(|entity| outline(model, entity))
        .collect()
}

#[test]
fn a_model_is_resolved() {
    insta::assert_snapshot!(outlines(&model(SALES)), @r#"
        Customer in customer (Customers)
          id: Uuid GeneratedKey in id required
          Number: Long AutoNumber in number required
          Name: String Data in name required
          Email: String Data in email
          Credit: Decimal { precision: 12, scale: 2 } Data in credit
          Since: Date Data in since
          _version: Long Version in _version required
          createdAt: DateTime CreatedAt in _created_at required
          changedAt: DateTime ChangedAt in _changed_at required
          Orders -> Order ["many"] Prevent target ["customer_id"]
        Order in order (Orders)
          id: Uuid GeneratedKey in id required
          PlacedAt: DateTime Data in placed_at
          Status: Enumeration(EnumerationId(0)) Data in status
          _version: Long Version in _version required
          createdAt: DateTime CreatedAt in _created_at required
          changedAt: DateTime ChangedAt in _changed_at required
          Customer -> Customer ["required"] Prevent own ["customer_id"]
          Lines -> OrderLine ["many", "contained"] Cascade target ["order_id"]
          Tags -> Tag ["many"] Cascade order_tags ["order_id"] ["tag_id"]
        OrderLine in order_line (OrderLines)
          Order_: Integer Data in order required
          Position: Integer Data in position required
          _version: Long Version in _version required
          createdAt: DateTime CreatedAt in _created_at required
          changedAt: DateTime ChangedAt in _changed_at required
          Order -> Order ["required"] Cascade own ["order_id"]
        Tag in tag (Tags)
          id: Uuid GeneratedKey in id required
          Name: String Data in name
          _version: Long Version in _version required
          createdAt: DateTime CreatedAt in _created_at required
          changedAt: DateTime ChangedAt in _changed_at required
          Orders -> Order ["many"] Cascade order_tags ["tag_id"] ["order_id"]
        Party in party (Parties)
          id: Uuid GeneratedKey in id required
          Name: String Data in name
          _version: Long Version in _version required
          createdAt: DateTime CreatedAt in _created_at required
          changedAt: DateTime ChangedAt in _changed_at required
        Person in party (People)
          id: Uuid GeneratedKey in id required
          Name: String Data in name
          _version: Long Version in _version required
          createdAt: DateTime CreatedAt in _created_at required
          changedAt: DateTime ChangedAt in _changed_at required
          Born: Date Data in born
          Boss -> Person [] Clear own ["boss_id"]
          Reports -> Person ["many"] Clear target ["boss_id"]
          Leads -> Firm [] Prevent target ["head_id"]
        Firm in party (Companies)
          id: Uuid GeneratedKey in id required
          Name: String Data in name
          _version: Long Version in _version required
          createdAt: DateTime CreatedAt in _created_at required
          changedAt: DateTime ChangedAt in _changed_at required
          Head -> Person [] Prevent own ["head_id"]
        "#);
}

#[test]
fn partners_lead_back() {
    let model = model(SALES);
    for entity in &model.entities {
        for (index, navigation) in entity.navigations.iter().enumerate() {
            let partner = &model[navigation.target][navigation.partner];
            assert_eq!(partner.target, navigation.declared_by);
            assert_eq!(partner.partner.index(), index);
            assert!(model[partner.target].navigations.len() > index);
        }
    }
}

#[test]
fn rules_and_values_are_typed() {
    let model = model(SALES);
    let customer = &model[model.entities_by_name["Customer"]];
    let attribute =
        |entity: &'_ Entity, name: &str| entity[entity.attributes_by_name[name]].clone();
    let credit = attribute(customer, "Credit");
    assert_eq!(
        credit.scalar_type,
        ScalarType::Decimal {
            precision: 12,
            scale: 2
        }
    );
    assert_eq!(credit.minimum, Some(Value::Decimal(0.into())));
    assert_eq!(attribute(customer, "Since").default, Some(Default::Now));
    assert_eq!(attribute(customer, "Number").purpose, Purpose::AutoNumber);
    let order = &model[model.entities_by_name["Order"]];
    assert_eq!(
        attribute(order, "Status").default,
        Some(Default::Value(Value::Text("Draft".into())))
    );
    assert_eq!(
        attribute(order, "PlacedAt").default,
        Some(Default::Value(Value::DateTime(1_769_860_800_000_000)))
    );
    let member = |name: &str| Member::Attribute(customer.attributes_by_name[name]);
    assert_eq!(
        customer.uniques,
        [
            Unique {
                members: vec![member("Email")]
            },
            Unique {
                members: vec![member("Name"), member("Email")]
            }
        ]
    );
    assert_eq!(
        customer.indexes[0].members,
        [(member("Credit"), true), (member("Name"), false)]
    );
    let firm = &model[model.entities_by_name["Firm"]];
    assert_eq!(
        firm.uniques,
        [Unique {
            members: vec![Member::Navigation(firm.navigations_by_name["Head"])]
        }]
    );
    assert_eq!(
        model.enumerations[0].members[1].renamed_from.as_deref(),
        Some("Sent")
    );
}

#[test]
fn contained_entities_have_a_container_and_no_collection() {
    let model = model(SALES);
    let line = &model[model.entities_by_name["OrderLine"]];
    let container = &line[line.container.expect("a container")];
    assert_eq!(container.name.as_deref(), Some("Order"));
    assert_eq!(container.on_delete, OnDelete::Cascade);
    assert!(container.required && !container.contained);
    assert!(!model.entities_by_collection.contains_key("OrderLines"));
    assert_eq!(
        model[model.entities_by_collection["Companies"]].name,
        "Firm"
    );
}

#[test]
fn limits_are_read() {
    let app =
        "name = \"shop\"\nlabel = \"Shop\"\n[limits]\npage_rows = 50\nstatement_seconds = 5\n";
    let loaded = load_files(&[("app.toml", app), ("model/a.toml", "[entity.A]\n")]).unwrap();
    let manifest = loaded.application.manifest;
    assert_eq!(manifest.label, "Shop");
    assert_eq!(manifest.limits.page_rows, 50);
    assert_eq!(manifest.limits.statement_timeout.as_secs(), 5);
    assert_eq!(
        manifest.limits.body_bytes,
        super::super::Limits::default().body_bytes
    );
}

#[test]
fn an_empty_model_is_a_warning() {
    insta::assert_snapshot!(check(""), @r#"
        warning[empty-model]: the model has no entities
         |
         = help: put `[entity.Name.attributes]` into a file of the folder `model`

        1 warning
        "#);
}

#[test]
fn a_thousand_entities_load_quickly() {
    let mut text = String::new();
    for index in 0..1000 {
        let _ = write!(
            text,
            "[entity.Entity{index}]\n[entity.Entity{index}.attributes]\n\
             Number = \"AutoNumber\"\n\
             Name = {{ type = \"String\", length = 120, required = true, pattern = '^\\S.*$' }}\n\
             Credit = {{ type = \"Decimal\", precision = 12, scale = 2, default = \"0\", minimum = \"0\" }}\n\
             Since = {{ type = \"Date\", default = \"now\" }}\n\
             Note = \"String\"\nUrgent = \"Boolean\"\nWeight = \"Integer\"\nTotal = \"Long\"\n\
             [entity.Entity{index}.associations]\n\
             Previous = {{ to = \"Entity{}\", inverse = \"Next\" }}\n",
            index / 2,
        );
    }
    let text = text.replace(", inverse = \"Next\"", "");
    let start = std::time::Instant::now();
    let model = model(&text);
    let elapsed = start.elapsed();
    println!("1000 entities, {} bytes: {elapsed:?}", text.len());
    let own = model
        .entities
        .iter()
        .filter(|entity| !entity.is_of_system());
    assert_eq!(own.count(), 1000);
    assert!(elapsed.as_secs() < 5, "{elapsed:?}");
}

#[test]
fn collections_are_plurals() {
    let plural = |name: &str| {
        let model = model(&format!("[entity.{name}]\n"));
        model.entities[0].collection.clone()
    };
    let names = [
        "OrderLine",
        "Category",
        "SalesPerson",
        "Address",
        "A",
        "Status",
        "Box",
        "News",
        "Staff",
        "URL",
        "Data",
    ];
    let plurals: Vec<String> = names
        .iter()
        .map(|name| format!("{name}: {}", plural(name)))
        .collect();
    insta::assert_snapshot!(plurals.join("\n"), @r#"
        OrderLine: OrderLines
        Category: Categories
        SalesPerson: SalesPeople
        Address: Addresses
        A: As
        Status: Statuses
        Box: Boxes
        News: News
        Staff: Staff
        URL: URLs
        Data: Data
        "#);
}

#[test]
fn external_tables_are_mapped_as_they_stand() {
    let model = model(
        r#"
[entity.Order]
table = "orders"
external = true
key = ["OrderID"]
[entity.Order.attributes]
OrderID = { type = "Integer", column = "order_id", column_type = "smallint" }
CustomerID = { type = "String", length = 5, column = "customer_id" }
[entity.Order.associations]
Customer = { to = "Customer", foreign_key = ["CustomerID"], inverse = "Orders" }
Details = { to = "Detail", many = true, contained = true, inverse = "Order", foreign_key = ["OrderID"] }
[entity.Detail]
table = "order_details"
external = true
key = ["OrderID", "ProductID"]
[entity.Detail.attributes]
OrderID = { type = "Integer", column = "order_id" }
ProductID = { type = "Integer", column = "product_id" }
[entity.Customer]
table = "customers"
external = true
key = ["CustomerID"]
[entity.Customer.attributes]
CustomerID = { type = "String", length = 5, column = "customer_id" }
[entity.Customer.associations]
Types = { to = "Order", many_to_many = true, table = "customer_types", columns = ["customer_id", "order_id"] }
"#,
    );
    insta::assert_snapshot!(outlines(&model), @r#"
        Order in orders (Orders)
          OrderID: Integer Data in order_id required
          CustomerID: String Data in customer_id
          Customer -> Customer [] Prevent own ["customer_id"]
          Details -> Detail ["many", "contained"] Cascade target ["order_id"]
          (unnamed) -> Customer ["many"] Cascade customer_types ["order_id"] ["customer_id"]
        Detail in order_details (Details)
          OrderID: Integer Data in order_id required
          ProductID: Integer Data in product_id required
          Order -> Order ["required"] Cascade own ["order_id"]
        Customer in customers (Customers)
          CustomerID: String Data in customer_id required
          Types -> Order ["many"] Cascade customer_types ["customer_id"] ["order_id"]
          Orders -> Order ["many"] Prevent target ["customer_id"]
        "#);
}
