//! The statements themselves.

use super::build::{NAME, structure, table};
use crate::structure::{DeleteRule, Structure};
use crate::{Dialect, Kind, Plan, apply};

fn all_kinds() -> Structure {
    structure(vec![
        table("Customer")
            .with("Name", NAME)
            .required()
            .with("Note", Kind::Text { length: None })
            .with("Count", Kind::Integer)
            .with("Total", Kind::Long)
            .with("Number", Kind::AutoNumber)
            .required()
            .with(
                "Credit",
                Kind::Decimal {
                    precision: 12,
                    scale: 2,
                },
            )
            .with("Active", Kind::Boolean)
            .with("At", Kind::DateTime)
            .with("Day", Kind::Date)
            .with("Hour", Kind::Time)
            .with("Span", Kind::Duration)
            .with("Picture", Kind::Binary { length: Some(100) })
            .with("Paper", Kind::File)
            .with("Extra", Kind::Json)
            .with(
                "Status",
                Kind::Enumeration {
                    name: "Status".to_owned(),
                },
            )
            .index(true, &["name"])
            .index(false, &["status", "day"]),
        table("Order").refers("Customer", "customer", DeleteRule::Cascade),
    ])
}

fn plan(dialect: Dialect, old: &Structure, new: &Structure) -> Plan {
    Plan {
        from: None,
        to: new.digest(),
        steps: apply::draft(dialect, old, new).steps,
        obstacles: Vec::new(),
    }
}

#[test]
fn a_new_database_on_postgres() {
    insta::assert_snapshot!(plan(Dialect::Postgres, &Structure::empty(), &all_kinds()));
}

#[test]
fn a_new_database_on_sqlite() {
    insta::assert_snapshot!(plan(Dialect::Sqlite, &Structure::empty(), &all_kinds()));
}

fn changed() -> Structure {
    structure(vec![
        table("Client<Customer")
            .with("Title<Name", Kind::Text { length: Some(80) })
            .required()
            .with("Total", Kind::Long)
            .required()
            .default("0")
            .with("Extra", Kind::Json)
            .with("Rank", Kind::Integer)
            .default("1")
            .index(true, &["title"]),
        table("Order").refers("Customer", "client", DeleteRule::NoAction),
    ])
}

fn before() -> Structure {
    structure(vec![
        table("Customer")
            .with("Name", NAME)
            .required()
            .with("Total", Kind::Integer)
            .with("Extra", Kind::Boolean)
            .index(true, &["name"]),
        table("Order").refers("Customer", "customer", DeleteRule::Cascade),
        table("Old"),
    ])
}

#[test]
fn many_changes_on_postgres() {
    insta::assert_snapshot!(plan(Dialect::Postgres, &before(), &changed()));
}

#[test]
fn many_changes_on_sqlite() {
    insta::assert_snapshot!(plan(Dialect::Sqlite, &before(), &changed()));
}

#[test]
fn a_structure_survives_the_ledger() {
    let structure = all_kinds();
    let read: Structure = serde_json::from_str(&structure.to_json()).unwrap();
    assert_eq!(read.to_json(), structure.to_json());
    assert_eq!(read.digest(), structure.digest());
}
