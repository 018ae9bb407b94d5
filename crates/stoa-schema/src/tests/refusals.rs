//! What is refused, with what words; and that nothing changed then.

use super::build::{Database, NAME, enumeration, key, on_both, structure, table};
use crate::structure::{DeleteRule, Structure, Table};
use crate::{Dialect, Kind, SchemaError};

async fn refused(
    database: &Database,
    before: &Structure,
    inserts: &[String],
    after: &Structure,
) -> String {
    database.apply(before).await.unwrap();
    for insert in inserts {
        database.execute(insert).await;
    }
    let seen = database.introspect().await;
    let plan = database.plan(after).await.unwrap();
    let error = database.apply(after).await.unwrap_err();
    let SchemaError::RowsBreakRules { reports } = &error else {
        panic!("{error}");
    };
    assert_eq!(*reports, plan.obstacles);
    assert_eq!(database.introspect().await, seen);
    assert_eq!(
        database.text("SELECT count(*) FROM _stoa_ledger").await,
        "1"
    );
    error.to_string()
}

fn customers(kind: Kind) -> Table {
    table("Customer").with("Name", kind)
}

fn rows(dialect: Dialect, values: &[&str]) -> Vec<String> {
    values
        .iter()
        .zip(1..)
        .map(|(value, number)| {
            format!(
                "INSERT INTO customer (id, name) VALUES ({}, {value})",
                key(dialect, number)
            )
        })
        .collect()
}

#[tokio::test]
async fn required_without_value() {
    on_both(|database| async move {
        let inserts = rows(database.dialect(), &["'a'", "NULL"]);
        let before = structure(vec![customers(NAME)]);
        let after = structure(vec![customers(NAME).required().with("Email", NAME).required()]);
        let text = refused(&database, &before, &inserts, &after).await;
        insta::allow_duplicates! {
            insta::assert_snapshot!(text, @r#"
            existing rows do not fulfil what the model demands now
            Name of Customer is required: 1 row of table customer break this.
                id = "00000000-0000-0000-0000-000000000002": name is null
                Correct these rows first.
            Email of Customer is required, is new, and has no default: 2 rows of table customer break this.
                id = "00000000-0000-0000-0000-000000000001"
                id = "00000000-0000-0000-0000-000000000002"
                Give it a default in the model, or make it optional, fill it in, and require it then.
            "#);
        }
    })
    .await;
}

#[tokio::test]
async fn too_long_or_not_unique() {
    on_both(|database| async move {
        let inserts = rows(
            database.dialect(),
            &["'double'", "'b'", "'double'", "NULL", "NULL"],
        );
        let before = structure(vec![customers(NAME)]);
        let after = structure(vec![
            customers(Kind::Text { length: Some(3) }).index(true, &["name"]),
        ]);
        let text = refused(&database, &before, &inserts, &after).await;
        insta::allow_duplicates! {
            insta::assert_snapshot!(text, @r#"
            existing rows do not fulfil what the model demands now
            Name of Customer is a text of at most 3 characters: 2 rows of table customer break this.
                id = "00000000-0000-0000-0000-000000000001": name = "double"
                id = "00000000-0000-0000-0000-000000000003": name = "double"
                Correct these rows first.
            Name of Customer is unique: 2 rows of table customer break this.
                id = "00000000-0000-0000-0000-000000000001": name = "double"
                id = "00000000-0000-0000-0000-000000000003": name = "double"
                Make the values differ first.
            "#);
        }
    })
    .await;
}

#[tokio::test]
async fn out_of_range() {
    on_both(|database| async move {
        let kind = |precision, scale| Kind::Decimal { precision, scale };
        let values = match database.dialect() {
            Dialect::Sqlite => ["-50", "1250", "99999"],
            Dialect::Postgres => ["-0.5", "12.5", "999.99"],
        };
        let inserts = rows(database.dialect(), &values);
        let before = structure(vec![customers(kind(5, 2)).range(Some("-1"), None)]);
        let after = structure(vec![customers(kind(4, 2)).range(Some("0"), Some("12.49"))]);
        let text = refused(&database, &before, &inserts, &after).await;
        insta::allow_duplicates! {
            insta::assert_snapshot!(text, @r#"
            existing rows do not fulfil what the model demands now
            Name of Customer is a decimal of 4 digits, 2 of them after the point: 1 row of table customer break this.
                id = "00000000-0000-0000-0000-000000000003": name = "999.99"
                Correct these rows first.
            Name of Customer is at least 0.00: 1 row of table customer break this.
                id = "00000000-0000-0000-0000-000000000001": name = "-0.50"
                Correct these rows first.
            Name of Customer is at most 12.49: 2 rows of table customer break this.
                id = "00000000-0000-0000-0000-000000000002": name = "12.50"
                id = "00000000-0000-0000-0000-000000000003": name = "999.99"
                Correct these rows first.
            "#);
        }
    })
    .await;
}

#[tokio::test]
async fn members_that_are_gone() {
    on_both(|database| async move {
        let kind = Kind::Enumeration {
            name: "Status".to_owned(),
        };
        let inserts = rows(database.dialect(), &["'Draft'", "'Open'", "'Gone'"]);
        let mut before = structure(vec![customers(kind.clone())]);
        before.enumerations = vec![enumeration("Status", &["Draft", "Open", "Gone"])];
        let mut after = structure(vec![customers(kind)]);
        after.enumerations = vec![enumeration("Status", &["New<Draft", "Open"])];
        let text = refused(&database, &before, &inserts, &after).await;
        insta::allow_duplicates! {
            insta::assert_snapshot!(text, @r#"
            existing rows do not fulfil what the model demands now
            Name of Customer is a member of Status: 1 row of table customer break this.
                id = "00000000-0000-0000-0000-000000000003": name = "Gone"
                Correct these rows first.
            "#);
        }
    })
    .await;
}

#[tokio::test]
async fn references_to_nothing() {
    on_both(|database| async move {
        let id = key(database.dialect(), 1);
        let before = structure(vec![table("Target"), table("Customer").with("Boss", Kind::Uuid)]);
        let mut after = structure(vec![
            table("Target"),
            table("Customer").refers("Boss", "target", DeleteRule::NoAction),
        ]);
        let column = &mut after.tables[1];
        column.columns[1].name = "boss".to_owned();
        column.foreign_keys[0].columns = vec!["boss".to_owned()];
        column.indexes[0].columns[0].name = "boss".to_owned();
        let inserts = [format!("INSERT INTO customer (id, boss) VALUES ({id}, {id})")];
        let text = refused(&database, &before, &inserts, &after).await;
        insta::allow_duplicates! {
            insta::assert_snapshot!(text, @r#"
            existing rows do not fulfil what the model demands now
            Boss of Customer refers to a row of target: 1 row of table customer break this.
                id = "00000000-0000-0000-0000-000000000001": boss = "00000000-0000-0000-0000-000000000001"
                Correct or clear these references first.
            "#);
        }
    })
    .await;
}

#[tokio::test]
async fn only_the_first_rows_are_named() {
    on_both(|database| async move {
        let values = vec!["NULL"; 25];
        let inserts = [rows(database.dialect(), &values).join("; ")];
        let before = structure(vec![customers(NAME)]);
        let after = structure(vec![customers(NAME).required()]);
        let text = refused(&database, &before, &inserts, &after).await;
        assert!(
            text.contains("25 rows") && text.contains("… and 5 more"),
            "{text}"
        );
        assert_eq!(text.matches("is null").count(), 20);
    })
    .await;
}

#[tokio::test]
async fn tables_of_others_are_left_alone() {
    on_both(|database| async move {
        database.execute("CREATE TABLE customer (a integer); CREATE TABLE other (a integer)").await;
        let error = database.apply(&structure(vec![customers(NAME)])).await.unwrap_err();
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @"the database has tables that Stoa did not make: customer; use another database, give these entities another `table`, or mark them `external = true`");
        }
        assert_eq!(database.text("SELECT count(*) FROM other").await, "0");
        assert!(database.rows("SELECT * FROM customer").await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn external_tables_are_checked_and_not_touched() {
    on_both(|database| async move {
        database.execute("CREATE TABLE customer (id integer NOT NULL, name varchar(5))").await;
        let seen = database.text("SELECT * FROM customer").await;
        let mut external = customers(NAME).with("Fax", NAME);
        external.external = true;
        external.columns[0].kind = Kind::Integer;
        let mut wrong = external.clone();
        wrong.columns[1].kind = Kind::Integer;
        wrong.columns[2].name = "name".to_owned();
        let mut missing = table("Elsewhere");
        missing.external = true;
        let error = database.apply(&structure(vec![external.clone(), missing])).await.unwrap_err();
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @"external tables are not as the model says: table customer has no column fax (for Fax of Customer); there is no table elsewhere (for Elsewhere)");
        }
        let error = database.apply(&structure(vec![wrong])).await.unwrap_err();
        assert!(error.to_string().contains("which cannot hold Name of Customer (a 32-bit integer)"), "{error}");
        external.columns.pop();
        let applied = database.apply(&structure(vec![external])).await.unwrap();
        assert!(applied.steps.is_empty());
        assert_eq!(database.text("SELECT * FROM customer").await, seen);
        assert!(!database.session(|session| async move { session.has_ledger().await }).await);
    })
    .await;
}

#[tokio::test]
async fn another_application_is_refused() {
    on_both(|database| async move {
        database.apply(&structure(vec![customers(NAME)])).await.unwrap();
        database.execute("UPDATE _stoa_ledger SET application = 'shop'").await;
        let error = database.apply(&structure(vec![table("Thing")])).await.unwrap_err();
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @"the database belongs to the application shop, not to test; use another database");
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_not_there() {
    let database = stoa_store::DatabaseUrl::Sqlite("/nowhere/at/all.db".into());
    let error = crate::apply::with_session(&database, true, |_| async { Ok(()) })
        .await
        .unwrap_err();
    assert!(matches!(error, SchemaError::Unreachable { .. }), "{error}");
    let url = "postgres://me@127.0.0.1:1/none".parse().unwrap();
    let error = crate::apply::with_session(&url, true, |_| async { Ok(()) })
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("postgres://me@127.0.0.1:1/none cannot be reached"),
        "{error}"
    );
}

#[tokio::test]
async fn a_database_user_who_may_not() {
    let database = super::build::postgres().await;
    database.execute("CREATE ROLE stoa_nobody NOLOGIN").await;
    let structure = structure(vec![customers(NAME)]);
    let error = crate::apply::with_session(&database.url, true, move |session| async move {
        session.execute("SET ROLE stoa_nobody", "test").await?;
        crate::apply::apply_structure(&session, "test", &structure, &crate::Options::default())
            .await
    })
    .await
    .unwrap_err();
    database.execute("DROP ROLE stoa_nobody").await;
    assert!(
        matches!(error, SchemaError::PermissionDenied { .. }),
        "{error}"
    );
}
