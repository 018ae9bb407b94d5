//! The rows that tests read.

use anyhow::Result;
use rust_decimal::Decimal;
use stoa_model::access::Permitted;
use stoa_model::query::Query;
use stoa_model::value::{ScalarType, Value};
use uuid::Uuid;

use crate::database::{Cell, Database};
use crate::recorder::Recorder;

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn decimal(text: &str) -> Value {
    Value::Decimal(text.parse::<Decimal>().unwrap())
}

/// 2024-03-10T23:30:15.25Z
pub(crate) const SEEN: i64 = 1_710_113_415_250_000;

struct Customer {
    number: i64,
    name: &'static str,
    email: Option<&'static str>,
    credit: Option<&'static str>,
    rate: &'static str,
    active: Option<bool>,
    region: Option<&'static str>,
    more: Vec<(&'static str, Value)>,
}

pub(crate) async fn seed(database: &Database) -> Result<()> {
    for (code, name) in [("N", "North"), ("S", "South")] {
        database
            .insert(
                "Region",
                &[
                    Cell::Attribute("Code", text(code)),
                    Cell::Attribute("Name", text(name)),
                ],
            )
            .await?;
    }
    let customers = [
        Customer {
            number: 1,
            name: "Anna",
            email: Some("a@x.org"),
            credit: Some("10.50"),
            rate: "1.2345",
            active: Some(true),
            region: Some("N"),
            more: vec![
                ("Born", Value::Date(11_016)),
                ("Seen", Value::DateTime(SEEN)),
                ("Opens", Value::Time(30_600_000_000)),
                ("Patience", Value::Duration(90_500_000)),
                ("Badge", Value::Uuid(Uuid::from_u128(7))),
                ("Raw", Value::Binary(vec![1, 0, 255])),
                ("Notes", Value::Json("{\"b\":1,\"a\":[null]}".to_owned())),
                ("Visits", Value::Integer(5_000_000_000)),
            ],
        },
        Customer {
            number: 2,
            name: "anna",
            email: None,
            credit: None,
            rate: "0.5",
            active: Some(false),
            region: None,
            more: vec![],
        },
        Customer {
            number: 3,
            name: "Ärger",
            email: Some("Z@X.org"),
            credit: Some("-3.25"),
            rate: "-2",
            active: None,
            region: Some("S"),
            more: vec![
                ("Born", Value::Date(-1)),
                ("Seen", Value::DateTime(-1)),
                ("Patience", Value::Duration(-1)),
                ("Visits", Value::Integer(0)),
            ],
        },
        Customer {
            number: 4,
            name: "Zoë",
            email: Some(""),
            credit: Some("99999.99"),
            rate: "3",
            active: Some(true),
            region: Some("N"),
            more: vec![("Visits", Value::Integer(i64::MAX))],
        },
        Customer {
            number: 5,
            name: " Bob\u{a0}",
            email: None,
            credit: Some("10.50"),
            rate: "0",
            active: Some(false),
            region: None,
            more: vec![],
        },
    ];
    for customer in customers {
        let mut cells = vec![
            Cell::Attribute("Number", Value::Integer(customer.number)),
            Cell::Attribute("Name", text(customer.name)),
            Cell::Attribute("Email", customer.email.map_or(Value::Null, text)),
            Cell::Attribute("Credit", customer.credit.map_or(Value::Null, decimal)),
            Cell::Attribute("Rate", decimal(customer.rate)),
            Cell::Attribute(
                "Active",
                customer.active.map_or(Value::Null, Value::Boolean),
            ),
            Cell::Column(
                "region_code",
                customer.region.map_or(Value::Null, text),
                ScalarType::String,
            ),
        ];
        cells.extend(
            customer
                .more
                .into_iter()
                .map(|(name, value)| Cell::Attribute(name, value)),
        );
        database.insert("Customer", &cells).await?;
    }
    for (number, customer, status, total) in [
        (10, 1, "Placed", "100.00"),
        (11, 1, "Draft", "50.50"),
        (12, 3, "Archived", "7.00"),
        (13, 4, "Cancelled", "0.00"),
    ] {
        database
            .insert(
                "Order",
                &[
                    Cell::Attribute("Number", Value::Integer(number)),
                    Cell::Attribute("Status", text(status)),
                    Cell::Attribute("Total", decimal(total)),
                    Cell::Column(
                        "customer_number",
                        Value::Integer(customer),
                        ScalarType::Integer,
                    ),
                ],
            )
            .await?;
    }
    for (order, position, product, quantity) in [
        (10, 1, Some("Apple"), 3),
        (10, 2, Some("Pear"), 1),
        (11, 1, None, 5),
    ] {
        database
            .insert(
                "Line",
                &[
                    Cell::Attribute("Order", Value::Integer(order)),
                    Cell::Attribute("Position", Value::Integer(position)),
                    Cell::Attribute("Product", product.map_or(Value::Null, text)),
                    Cell::Attribute("Quantity", Value::Integer(quantity)),
                    Cell::Column("order_number", Value::Integer(order), ScalarType::Integer),
                ],
            )
            .await?;
    }
    for (one, other) in [(1, 3), (1, 4), (3, 1)] {
        database
            .execute(&format!(
                "INSERT INTO customer_friends (customer_number, friends_number) VALUES ({one}, {other})"
            ))
            .await?;
    }
    for (kind, number, name, boss) in [
        ("Director", 1, "Eva", None),
        ("Manager", 2, "Max", Some(1)),
        ("Person", 3, "Pia", Some(2)),
        ("Person", 4, "Tom", Some(2)),
    ] {
        let mut cells = vec![
            Cell::Attribute("Number", Value::Integer(number)),
            Cell::Attribute("Name", text(name)),
            Cell::Column(
                "boss_number",
                boss.map_or(Value::Null, Value::Integer),
                ScalarType::Integer,
            ),
        ];
        if kind != "Person" {
            cells.push(Cell::Attribute("Budget", decimal("500.25")));
        }
        database.insert(kind, &cells).await?;
    }
    Ok(())
}

/// A query that nobody's rules apply to.
pub(crate) fn permitted(query: &Query) -> Permitted<Query> {
    Permitted::by_system(query.clone())
}

/// Runs a query; gives what was written.
pub(crate) async fn run(database: &Database, query: &Query) -> Result<Recorder> {
    let recorder = Recorder::new(&database.model, query);
    Ok(database
        .store
        .read(&database.model, &permitted(query), recorder)
        .await?
        .writer)
}

/// Numbers of the rows of an entity that fulfil a filter, in key order.
pub(crate) async fn numbers(database: &Database, entity: &str, filter: &str) -> Result<Vec<i64>> {
    let mut query = database.query(entity);
    query.filter = Some(database.filter(entity, filter)?);
    let recorder = run(database, &query).await?;
    Ok(crate::recorder::column(&recorder.root, "Number")
        .iter()
        .filter_map(serde_json::Value::as_i64)
        .collect())
}
