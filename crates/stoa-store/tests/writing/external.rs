//! Tables that belong to somebody else.

use std::sync::Arc;

use stoa_model::change::{Action, Expected, Reference, Rule, Target};
use stoa_model::model::Model;
use stoa_model::value::Value;
use stoa_store::{Config, Store, StoreError};

use crate::database::{Text, by_system, text};

const MODEL: &str = r#"
[entity.Order]
table = "orders"
external = true
key = ["OrderID"]
[entity.Order.attributes]
OrderID = { type = "Integer", column = "order_id", column_type = "smallint", required = true }
CustomerID = { type = "String", column = "customer_id", length = 5 }
Freight = { type = "Decimal", precision = 9, scale = 2, column = "freight", column_type = "real" }
[entity.Order.associations]
Customer = { to = "Customer", inverse = "Orders", foreign_key = ["CustomerID"] }
Details = { to = "Detail", many = true, contained = true, inverse = "Order", foreign_key = ["OrderID"] }

[entity.Customer]
table = "customers"
external = true
key = ["CustomerID"]
[entity.Customer.attributes]
CustomerID = { type = "String", column = "customer_id", length = 5, required = true }

[entity.Detail]
table = "details"
external = true
key = ["OrderID", "Product"]
[entity.Detail.attributes]
OrderID = { type = "Integer", column = "order_id", column_type = "smallint", required = true }
Product = { type = "Integer", column = "product", required = true }
Quantity = { type = "Integer", column = "quantity", column_type = "smallint" }
"#;

const TABLES: &str = "
CREATE TABLE customers (customer_id bpchar(5) PRIMARY KEY);
CREATE TABLE orders (order_id smallint PRIMARY KEY, customer_id bpchar(5) REFERENCES customers, freight real);
CREATE TABLE details (order_id smallint NOT NULL REFERENCES orders, product integer NOT NULL, quantity smallint,
    PRIMARY KEY (order_id, product));
INSERT INTO customers VALUES ('ALFKI'), ('BERGS');
INSERT INTO orders VALUES (1, 'ALFKI', 1.5);
INSERT INTO details VALUES (1, 1, 10), (1, 2, 20);
";

#[tokio::test]
async fn rows_are_written_with_the_owners_types_and_constraints() {
    let database = stoa_testing::postgres::database().await.unwrap();
    let direct = database.connect().await.unwrap();
    direct.batch_execute(TABLES).await.unwrap();
    let model = match Model::from_text("external", MODEL) {
        Ok(model) => Arc::new(model),
        Err(faults) => panic!("{faults:?}"),
    };
    let url = database.url.parse().unwrap();
    // Only the runtime's own tables are made.
    stoa_schema::apply(&url, &model, stoa_schema::Options::default())
        .await
        .unwrap();
    let store = Store::open(&url, Config::default()).await.unwrap();
    let write = async |actions| {
        let outcome = store.write::<Text>(&model, by_system(actions), None).await;
        outcome.map(|(applied, _)| applied)
    };
    let shown = async |sql: &str| {
        let rows = direct.simple_query(sql).await.unwrap();
        let mut text = String::new();
        for row in rows {
            if let stoa_store::tokio_postgres::SimpleQueryMessage::Row(row) = row {
                for column in 0..row.len() {
                    text.push_str(row.get(column).unwrap_or("-"));
                    text.push(' ');
                }
            }
        }
        text
    };
    let order = model.entities_by_name["Order"];
    let customer = model.entities_by_name["Customer"];
    let detail = model.entities_by_name["Detail"];
    let attribute =
        |entity: stoa_model::model::EntityId, name: &str| model[entity].attributes_by_name[name];

    let insert = |number: i64, customer: &str| Action::Insert {
        entity: order,
        values: vec![
            (attribute(order, "OrderID"), Value::Integer(number)),
            (
                attribute(order, "Freight"),
                Value::Decimal("32.38".parse().unwrap()),
            ),
        ],
        references: vec![Reference {
            navigation: model[order].navigations_by_name["Customer"],
            to: Some(Target::Key(vec![text(customer)])),
        }],
    };
    let applied = write(vec![insert(2, "BERGS")]).await.unwrap();
    assert_eq!(
        (applied[0].version, applied[0].key.as_slice()),
        (None, [Value::Integer(2)].as_slice())
    );
    assert_eq!(
        shown("SELECT * FROM orders WHERE order_id = 2").await,
        "2 BERGS 32.38 "
    );
    let outcome = write(vec![insert(3, "NOONE"), insert(2, "ALFKI")]).await;
    let Err(StoreError::Violations(found)) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(
        found
            .iter()
            .map(|violation| &violation.rule)
            .collect::<Vec<_>>(),
        [
            &Rule::ReferenceMissing {
                navigation: "Customer".to_owned()
            },
            &Rule::Unique {
                members: vec!["OrderID".to_owned()]
            },
        ]
    );

    let update = Action::Update {
        entity: detail,
        target: Target::Key(vec![Value::Integer(1), Value::Integer(2)]),
        expected: Expected::Any,
        values: vec![(attribute(detail, "Quantity"), Value::Integer(21))],
        references: Vec::new(),
    };
    write(vec![update]).await.unwrap();
    assert_eq!(
        shown("SELECT quantity FROM details ORDER BY product").await,
        "10 21 "
    );

    let delete = |entity, key: Value| Action::Delete {
        entity,
        target: Target::Key(vec![key]),
        expected: Expected::Any,
    };
    let outcome = write(vec![delete(customer, text("ALFKI"))]).await;
    assert!(
        matches!(&outcome, Err(StoreError::Violations(found))
            if matches!(&found[0].rule, Rule::ReferencedBy { entity, .. } if entity == "Order")),
        "{outcome:?}"
    );
    // The owner's foreign key does not cascade: contained rows go first.
    write(vec![
        delete(order, Value::Integer(1)),
        delete(customer, text("ALFKI")),
    ])
    .await
    .unwrap();
    assert_eq!(shown("SELECT count(*) FROM details").await, "0 ");
}
