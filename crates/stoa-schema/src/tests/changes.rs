//! Each kind of change, with rows before and after.

use super::build::{Database, NAME, enumeration, key, named, on_both, structure, table};
use crate::structure::{DeleteRule, Fill, Structure};
use crate::{Class, Dialect, Kind, Options};

const INTEGER: Kind = Kind::Integer;

fn decimal(precision: u8, scale: u8) -> Kind {
    Kind::Decimal { precision, scale }
}

fn status() -> Kind {
    Kind::Enumeration {
        name: "Status".to_owned(),
    }
}

/// Applies `before`, inserts `(id, …)` rows into `customer`, applies `after`, and gives `query`'s rows. The
/// result must be what a fresh database would have.
async fn check(
    database: &Database,
    before: &Structure,
    columns: &str,
    rows: &[&str],
    after: &Structure,
    class: Class,
    query: &str,
) -> String {
    assert!(database.apply(before).await.unwrap().created);
    for (number, row) in rows.iter().enumerate() {
        let id = key(database.dialect(), u32::try_from(number).unwrap() + 1);
        database
            .execute(&format!(
                "INSERT INTO customer (id, {columns}) VALUES ({id}, {row})"
            ))
            .await;
    }
    let plan = database.plan(after).await.unwrap();
    assert_eq!(plan.class(), class, "{plan}");
    let applied = database
        .apply_with(
            after,
            Options {
                allow_data_loss: class == Class::LosesData,
                ..Options::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(applied.steps, plan.steps);
    assert!(database.apply(after).await.unwrap().steps.is_empty());
    let fresh = match database.dialect() {
        Dialect::Postgres => super::build::postgres().await,
        Dialect::Sqlite => super::build::sqlite(),
    };
    fresh.apply(after).await.unwrap();
    assert_eq!(database.introspect().await, fresh.introspect().await);
    database.text(query).await
}

fn customers() -> crate::structure::Table {
    table("Customer").with("Name", NAME)
}

fn either<T>(database: &Database, sqlite: T, postgres: T) -> T {
    match database.dialect() {
        Dialect::Sqlite => sqlite,
        Dialect::Postgres => postgres,
    }
}

#[tokio::test]
async fn attributes_are_added() {
    on_both(|database| async move {
        let after = customers()
            .with("Email", NAME)
            .with("Credit", decimal(12, 2))
            .required()
            .default("7.5")
            .with("Rank", INTEGER)
            .default("3")
            .with("Since", Kind::DateTime)
            .required()
            .fill(Fill::Now);
        let text = check(
            &database,
            &structure(vec![customers()]),
            "name",
            &["'a'", "NULL"],
            &structure(vec![after]),
            either(&database, Class::Rewrites, Class::Safe),
            "SELECT name, email, credit, rank, CASE WHEN since IS NULL THEN 'no' ELSE 'yes' END FROM customer ORDER BY id",
        )
        .await;
        let credit = either(&database, "750", "7.50");
        assert_eq!(text, format!("a,-,{credit},3,yes | -,-,{credit},3,yes"));
    })
    .await;
}

#[tokio::test]
async fn entities_attributes_and_references_are_renamed() {
    on_both(|database| async move {
        let before = structure(vec![
            customers().index(true, &["name"]),
            table("Order")
                .with("No", Kind::AutoNumber)
                .required()
                .refers("Customer", "customer", DeleteRule::Cascade),
        ]);
        let after = structure(vec![
            table("Client<Customer")
                .with("Title<Name", NAME)
                .index(true, &["title"]),
            table("Purchase<Order")
                .with("Number<No", Kind::AutoNumber)
                .required()
                .refers("Buyer<Customer", "client", DeleteRule::Cascade),
        ]);
        let text = check(
            &database,
            &before,
            "name",
            &["'a'"],
            &after,
            either(&database, Class::Locks, Class::Safe),
            "SELECT title FROM client",
        )
        .await;
        assert_eq!(text, "a");
    })
    .await;
}

#[tokio::test]
async fn a_deleted_row_takes_its_dependents_after_a_rename_too() {
    on_both(|database| async move {
        let before = structure(vec![
            customers(),
            table("Order").refers("Customer", "customer", DeleteRule::Cascade),
        ]);
        let after = structure(vec![
            table("Client<Customer").with("Name", NAME),
            table("Order").refers("Customer", "client", DeleteRule::Cascade),
        ]);
        database.apply(&before).await.unwrap();
        let id = key(database.dialect(), 1);
        database
            .execute(&format!(
                "INSERT INTO customer (id) VALUES ({id}); INSERT INTO \"order\" VALUES ({id}, {id})"
            ))
            .await;
        database.apply(&after).await.unwrap();
        let pragma = either(&database, "PRAGMA foreign_keys = ON; ", "");
        database
            .execute(&format!("{pragma}DELETE FROM client"))
            .await;
        assert_eq!(database.text("SELECT count(*) FROM \"order\"").await, "0");
    })
    .await;
}

#[tokio::test]
async fn types_are_widened() {
    on_both(|database| async move {
        let before = table("Customer")
            .with("Name", Kind::Text { length: Some(5) })
            .with("Count", INTEGER)
            .required()
            .with("Credit", decimal(6, 2))
            .with("Born", Kind::Date)
            .index(false, &["count"]);
        let after = table("Customer")
            .with("Name", Kind::Text { length: None })
            .with("Count", Kind::Long)
            .with("Credit", decimal(12, 4))
            .with("Born", Kind::DateTime)
            .index(false, &["count"]);
        let born = either(&database, "1", "date '1970-01-02'");
        let credit = either(&database, "-125", "-1.25");
        let text = check(
            &database,
            &structure(vec![before]),
            "name, count, credit, born",
            &[&format!("'a', 7, {credit}, {born}")],
            &structure(vec![after]),
            Class::Rewrites,
            either(
                &database,
                "SELECT name, count, credit, born FROM customer",
                "SELECT name, count, credit, extract(epoch FROM born)::bigint * 1000000 FROM customer",
            ),
        )
        .await;
        assert_eq!(text, either(&database, "a,7,-12500,86400000000", "a,7,-1.2500,86400000000"));
    })
    .await;
}

#[tokio::test]
async fn lengths_grow_without_touching_rows() {
    on_both(|database| async move {
        let text = check(
            &database,
            &structure(vec![customers().with("Credit", decimal(6, 2))]),
            "name",
            &["'a'"],
            &structure(vec![
                table("Customer")
                    .with("Name", Kind::Text { length: Some(80) })
                    .with("Credit", decimal(9, 2)),
            ]),
            Class::Safe,
            "SELECT name FROM customer",
        )
        .await;
        assert_eq!(text, "a");
    })
    .await;
}

#[tokio::test]
async fn constraints_are_added_and_taken_away() {
    on_both(|database| async move {
        let before = structure(vec![
            customers().with("Boss", Kind::Uuid),
            table("Thing")
                .with("Name", NAME)
                .required()
                .index(true, &["name"]),
        ]);
        let mut after = structure(vec![
            table("Customer")
                .with("Name", NAME)
                .required()
                .default("none")
                .refers("Boss", "customer", DeleteRule::SetNull)
                .index(true, &["name"]),
            table("Thing").with("Name", NAME),
        ]);
        after.tables[0].columns[2].name = "boss".to_owned();
        after.tables[0].foreign_keys[0].columns = vec!["boss".to_owned()];
        after.tables[0].foreign_keys[0].name = "fk_customer_boss".to_owned();
        after.tables[0].indexes[0].columns[0].name = "boss".to_owned();
        after.tables[0].indexes[0].name = "ix_customer_boss".to_owned();
        let id = key(database.dialect(), 1);
        let text = check(
            &database,
            &before,
            "name, boss",
            &[&format!("'a', {id}"), "NULL, NULL"],
            &after,
            Class::Rewrites,
            "SELECT name FROM customer ORDER BY id",
        )
        .await;
        assert_eq!(text, "a | none");
    })
    .await;
}

#[tokio::test]
async fn members_of_enumerations_and_types_are_renamed() {
    on_both(|database| async move {
        let mut before = structure(vec![
            customers()
                .with("Status", status())
                .hierarchy(&["Company", "Person"]),
        ]);
        before.enumerations = vec![enumeration("Status", &["Draft", "Open"])];
        let mut after = structure(vec![
            customers()
                .with("Status", status())
                .hierarchy(&["Firm<Company", "Person"]),
        ]);
        after.enumerations = vec![enumeration("Status", &["New<Draft", "Open", "Closed"])];
        let text = check(
            &database,
            &before,
            "status, _type",
            &["'Draft', 'Company'", "'Open', 'Person'"],
            &after,
            Class::Rewrites,
            "SELECT status, _type FROM customer ORDER BY id",
        )
        .await;
        assert_eq!(text, "New,Firm | Open,Person");
    })
    .await;
}

#[tokio::test]
async fn specialisations_come_and_go() {
    on_both(|database| async move {
        let mut specialised = customers().hierarchy(&["Company"]).with("VatNumber", NAME);
        specialised.columns.last_mut().unwrap().entity = "Company".to_owned();
        let text = check(
            &database,
            &structure(vec![customers()]),
            "name",
            &["'a'"],
            &structure(vec![specialised.clone()]),
            either(&database, Class::Rewrites, Class::Safe),
            "SELECT name, _type, vatnumber FROM customer",
        )
        .await;
        assert_eq!(text, "a,Customer,-");
        let id = key(database.dialect(), 9);
        database
            .execute(&format!("INSERT INTO customer (id, name, _type) VALUES ({id}, 'c', 'Company')"))
            .await;
        let back = structure(vec![customers()]);
        let error = database.apply(&back).await.unwrap_err();
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @"data would be lost: Company is no longer in the model: its rows are deleted (1 row); allow it with --allow-data-loss, or keep the model as it was");
        }
        let allowed = Options { allow_data_loss: true, ..Options::default() };
        database.apply_with(&back, allowed).await.unwrap();
        assert_eq!(database.text("SELECT * FROM customer").await.matches(',').count(), 1);
    })
    .await;
}

#[tokio::test]
async fn rows_are_numbered_when_numbers_come() {
    on_both(|database| async move {
        let after = structure(vec![
            customers()
                .with("Number", Kind::AutoNumber)
                .required()
                .fill(Fill::Number),
        ]);
        let text = check(
            &database,
            &structure(vec![customers()]),
            "name",
            &["'a'", "'b'"],
            &after,
            Class::Rewrites,
            "SELECT name, number FROM customer ORDER BY id",
        )
        .await;
        assert_eq!(text, "a,1 | b,2");
        match database.dialect() {
            Dialect::Sqlite => {
                assert_eq!(
                    database
                        .text("SELECT name, value FROM _stoa_sequence")
                        .await,
                    "customer.number,2"
                );
            }
            Dialect::Postgres => {
                let id = key(Dialect::Postgres, 3);
                let sql = format!("INSERT INTO customer (id) VALUES ({id}) RETURNING number");
                assert_eq!(database.text(&sql).await, "3");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_empty_is_dropped_without_asking() {
    on_both(|database| async move {
        let before = structure(vec![
            customers().with("Fax", NAME),
            table("Old").refers("Customer", "customer", DeleteRule::Cascade),
        ]);
        let text = check(
            &database,
            &before,
            "name",
            &["'a'"],
            &structure(vec![customers()]),
            either(&database, Class::Rewrites, Class::Safe),
            "SELECT name FROM customer",
        )
        .await;
        assert_eq!(text, "a");
    })
    .await;
}

#[tokio::test]
async fn what_is_not_empty_is_dropped_by_consent() {
    on_both(|database| async move {
        let before = structure(vec![customers().with("Fax", NAME), table("Old").refers("Customer", "customer", DeleteRule::Cascade)]);
        database.apply(&before).await.unwrap();
        let id = key(database.dialect(), 1);
        database
            .execute(&format!(
                "INSERT INTO customer (id, fax) VALUES ({id}, '1'); INSERT INTO old VALUES ({id}, {id})"
            ))
            .await;
        let seen = database.introspect().await;
        let after = structure(vec![customers()]);
        let error = database.apply(&after).await.unwrap_err();
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @"data would be lost: Old is no longer in the model: its table old is dropped (1 row); Fax of Customer is no longer in the model (1 value); allow it with --allow-data-loss, or keep the model as it was");
        }
        assert_eq!(database.introspect().await, seen);
        let allowed = Options { allow_data_loss: true, ..Options::default() };
        database.apply_with(&after, allowed).await.unwrap();
        assert_eq!(database.text("SELECT name FROM customer").await, "-");
    })
    .await;
}

#[tokio::test]
async fn a_kind_that_cannot_be_kept_is_replaced() {
    on_both(|database| async move {
        let text = check(
            &database,
            &structure(vec![customers()]),
            "name",
            &["'a'"],
            &structure(vec![
                table("Customer")
                    .with("Name", Kind::Boolean)
                    .required()
                    .default("true"),
            ]),
            Class::LosesData,
            "SELECT name FROM customer",
        )
        .await;
        assert_eq!(text, either(&database, "1", "t"));
    })
    .await;
}

#[tokio::test]
async fn the_key_changes() {
    on_both(|database| async move {
        let before = structure(vec![table("Customer").with("Code", NAME).required()]);
        let mut after = structure(vec![table("Customer").with("Code", NAME).required()]);
        after.tables[0].primary_key = vec!["code".to_owned()];
        after.tables[0].columns.remove(0);
        let text = check(
            &database,
            &before,
            "code",
            &["'b'", "'a'"],
            &after,
            Class::LosesData,
            "SELECT * FROM customer ORDER BY 1",
        )
        .await;
        assert_eq!(text, "a | b");
    })
    .await;
}

#[tokio::test]
async fn names_change_places() {
    on_both(|database| async move {
        let before = structure(vec![
            table("Customer").with("First", NAME).with("Second", NAME),
        ]);
        let mut after = structure(vec![
            table("Customer").with("First", NAME).with("Second", NAME),
        ]);
        // The columns are exchanged in the model by `column`.
        after.tables[0].columns[1].name = "second".to_owned();
        after.tables[0].columns[2].name = "first".to_owned();
        let text = check(
            &database,
            &before,
            "first, second",
            &["'1', '2'"],
            &after,
            Class::Safe,
            "SELECT first, second FROM customer",
        )
        .await;
        assert_eq!(text, "2,1");
        assert_eq!(named("a<b").renamed_from.as_deref(), Some("b"));
    })
    .await;
}

#[tokio::test]
async fn a_number_becomes_automatic_and_plain_again() {
    on_both(|database| async move {
        let plain = structure(vec![customers().with("Number", Kind::Long).required()]);
        let numbered = structure(vec![
            customers()
                .with("Number", Kind::AutoNumber)
                .required()
                .fill(Fill::Number),
        ]);
        let text = check(
            &database,
            &plain,
            "name, number",
            &["'a', 41"],
            &numbered,
            Class::Locks,
            "SELECT name, number FROM customer",
        )
        .await;
        assert_eq!(text, "a,41");
        if database.dialect() == Dialect::Sqlite {
            assert_eq!(
                database
                    .text("SELECT name, value FROM _stoa_sequence")
                    .await,
                "customer.number,41"
            );
        }
        database.apply(&plain).await.unwrap();
    })
    .await;
}
