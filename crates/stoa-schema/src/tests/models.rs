//! From a model's text to a database, and on to the model's next state.

use stoa_model::model::Model;
use stoa_model::physical;

use super::build::{Database, on_both};
use crate::structure::Structure;
use crate::{Options, SchemaError};

const FIRST: &str = r#"
[enumeration.Status]
values = ["Draft", "Placed"]

[entity.Customer]
unique = [["City", "Name"]]
index = [["Name"]]
[entity.Customer.attributes]
Number = { type = "AutoNumber" }
Name = { type = "String", length = 40, required = true }
Email = { type = "String", length = 40, unique = true }
City = { type = "String", length = 40 }
Credit = { type = "Decimal", precision = 12, scale = 2, minimum = "0" }

[entity.Order]
index = [["Customer", "PlacedAt desc"]]
[entity.Order.attributes]
PlacedAt = { type = "DateTime" }
Status = { type = "Status", required = true, default = "Draft" }
[entity.Order.associations]
Customer = { to = "Customer", required = true, inverse = "Orders", on_delete = "prevent" }
Lines = { to = "Line", many = true, contained = true, inverse = "Order" }
Tags = { to = "Tag", many_to_many = true }

[entity.Line]
[entity.Line.attributes]
Position = { type = "Integer", required = true }

[entity.Tag]
key = ["Name"]
[entity.Tag.attributes]
Name = { type = "String", length = 20, required = true }

[entity.Employee]
[entity.Employee.attributes]
Name = { type = "String", length = 20, required = true }
[entity.Employee.associations]
Boss = { to = "Manager", inverse = "Reports", on_delete = "clear" }

[entity.Manager]
extends = "Employee"
[entity.Manager.attributes]
Budget = { type = "Decimal", precision = 10, scale = 2 }
"#;

fn model(text: &str) -> Model {
    match Model::from_text("test", text) {
        Ok(model) => model,
        Err(faults) => panic!("{faults:?}"),
    }
}

/// Without the tables of the system module.
fn own(mut structure: Structure) -> Structure {
    structure
        .tables
        .retain(|table| !table.name.starts_with("_stoa_"));
    structure
}

async fn same_as_fresh(database: &Database, structure: &Structure) {
    let fresh = match database.dialect() {
        crate::Dialect::Postgres => super::build::postgres().await,
        crate::Dialect::Sqlite => super::build::sqlite(),
    };
    fresh.apply(structure).await.unwrap();
    assert_eq!(database.introspect().await, fresh.introspect().await);
}

#[test]
fn a_model_on_postgres() {
    let new = own(Structure::of(&model(FIRST)));
    let draft = crate::apply::draft(crate::Dialect::Postgres, &Structure::empty(), &new);
    let statements: Vec<String> = draft
        .steps
        .into_iter()
        .flat_map(|step| step.statements)
        .collect();
    insta::assert_snapshot!(statements.join(";\n"));
}

#[test]
fn a_model_on_sqlite() {
    let new = own(Structure::of(&model(FIRST)));
    let draft = crate::apply::draft(crate::Dialect::Sqlite, &Structure::empty(), &new);
    let statements: Vec<String> = draft
        .steps
        .into_iter()
        .flat_map(|step| step.statements)
        .collect();
    insta::assert_snapshot!(statements.join(";\n"));
}

#[tokio::test]
async fn a_model_grows_and_is_renamed() {
    on_both(|database| async move {
        let first = Structure::of(&model(FIRST));
        assert!(database.apply(&first).await.unwrap().created);
        let second = FIRST
            .replace("[entity.Customer]", "[entity.Client]\nrenamed_from = \"Customer\"")
            .replace("entity.Customer.", "entity.Client.")
            .replace(
                "Customer = { to = \"Customer\",",
                "Client = { to = \"Client\", renamed_from = \"Customer\",",
            )
            .replace("[\"Customer\", ", "[\"Client\", ")
            .replace("City = { type = \"String\", length = 40 }", "City = { type = \"String\", length = 60 }\nPhone = { type = \"String\", length = 20 }")
            .replace("values = [\"Draft\", \"Placed\"]", "values = [{ name = \"New\", renamed_from = \"Draft\" }, \"Placed\", \"Gone\"]")
            .replace("default = \"Draft\"", "default = \"New\"")
            .replace("Tags = { to", "Labels = { renamed_from = \"Tags\", to")
            .replace("Budget = ", "Bonus = { type = \"Integer\" }\nBudget = ");
        let second = Structure::of(&model(&second));
        let plan = database.plan(&second).await.unwrap();
        assert!(plan.losses().is_empty(), "{plan}");
        assert!(
            !plan.steps.iter().any(|step| step.statements.iter().any(|sql| sql.contains("DROP COLUMN"))),
            "{plan}"
        );
        database.apply(&second).await.unwrap();
        same_as_fresh(&database, &second).await;
        // And back again, without the names of before.
        let back = database
            .apply_with(&first, Options { allow_data_loss: true, ..Options::default() })
            .await;
        assert!(back.is_ok(), "{back:?}");
        same_as_fresh(&database, &first).await;
    })
    .await;
}

fn example(name: &str) -> Model {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples")
        .join(name);
    stoa_model::application::load(&folder)
        .unwrap()
        .application
        .model
}

#[tokio::test]
async fn the_wholesale_example() {
    on_both(|database| async move {
        let model = example("wholesale");
        let applied = crate::apply(&database.url, &model, Options::default())
            .await
            .unwrap();
        assert!(applied.created);
        let again = crate::apply(&database.url, &model, Options::default())
            .await
            .unwrap();
        assert!(again.steps.is_empty());
        let plan = crate::plan(&database.url, &model).await.unwrap();
        assert!(
            plan.is_empty() && plan.from.as_ref() == Some(&plan.to),
            "{plan}"
        );
        let names = database.introspect().await;
        assert!(names.contains(physical::VERSION_COLUMN), "{names}");
    })
    .await;
}

#[tokio::test]
async fn northwind_is_served_as_it_stands() {
    let shared = std::env::var_os("STOA_SHARED").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        std::path::PathBuf::from,
    );
    let Ok(sql) = std::fs::read_to_string(shared.join("northwind/northwind.sql"))
        .or_else(|_| std::fs::read_to_string(shared.join("data/northwind/northwind.sql")))
    else {
        eprintln!(
            "SKIPPED: Northwind is not at {}; set STOA_SHARED",
            shared.display()
        );
        return;
    };
    let database = super::build::postgres().await;
    let model = example("northwind");
    let error = crate::apply(&database.url, &model, Options::default())
        .await
        .unwrap_err();
    assert!(matches!(error, SchemaError::External { .. }), "{error}");
    database.execute(&sql).await;
    let seen = database.introspect().await;
    crate::apply(&database.url, &model, Options::default())
        .await
        .unwrap();
    // The server's own tables stand beside it.
    let now = database.introspect().await;
    let of_others = now.lines().filter(|line| !line.contains("_stoa_"));
    assert!(of_others.eq(seen.lines()));
    assert!(now.contains("_stoa_user"));
    let again = crate::apply(&database.url, &model, Options::default())
        .await
        .unwrap();
    assert!(again.steps.is_empty());
}

#[tokio::test]
async fn a_database_of_a_release_without_users_gets_their_tables() {
    on_both(|database| async move {
        let now = Structure::of(&model(FIRST));
        database.apply(&own(now.clone())).await.unwrap();
        let plan = database.plan(&now).await.unwrap();
        assert_eq!(plan.class(), crate::Class::Safe, "{plan}");
        assert!(!database.apply(&now).await.unwrap().created);
        same_as_fresh(&database, &now).await;
    })
    .await;
}

const STAFF: &str = r#"
[entity.Clerk]
extends = "System.User"
[entity.Clerk.attributes]
Region = { type = "String", length = 20 }
"#;

fn insert_user(database: &Database, number: u32) -> String {
    let (columns, more) = match database.dialect() {
        crate::Dialect::Postgres => ("true", "now(), now()"),
        crate::Dialect::Sqlite => ("1", "0, 0"),
    };
    format!(
        "INSERT INTO _stoa_user (id, name, active, _version, _created_at, _changed_at) VALUES ({}, 'u{number}', {columns}, 1, {more})",
        super::build::key(database.dialect(), number)
    )
}

#[tokio::test]
async fn users_become_specialised_with_all_that_they_are() {
    on_both(|database| async move {
        let before = Structure::of(&model(FIRST));
        database.apply(&before).await.unwrap();
        database.execute(&insert_user(&database, 1)).await;
        let after = Structure::of(&model(&format!("{FIRST}{STAFF}")));
        database.apply(&after).await.unwrap();
        same_as_fresh(&database, &after).await;
        assert_eq!(
            database.text("SELECT name || _type FROM _stoa_user").await,
            "u1SystemUser"
        );
        // And back again: nobody is a Clerk.
        database.apply(&before).await.unwrap();
        assert_eq!(database.text("SELECT name FROM _stoa_user").await, "u1");
    })
    .await;
}

#[tokio::test]
async fn rows_of_an_entity_that_becomes_a_user_are_not_lost() {
    on_both(|database| async move {
        let text = format!("{FIRST}{STAFF}");
        let before = text.replace("extends = \"System.User\"\n", "");
        let (before, after) = (Structure::of(&model(&before)), Structure::of(&model(&text)));
        database.apply(&before).await.unwrap();
        let insert = insert_user(&database, 1)
            .replace("_stoa_user (id, name, active,", "clerk (id, region,")
            .replace("'u1', true,", "'u1',")
            .replace("'u1', 1, 1,", "'u1', 1,");
        database.execute(&insert).await;
        let error = database.plan(&after).await.unwrap_err();
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @"Clerk has rows in the table clerk, and the model keeps them in _stoa_user now (see `extends`): rows are not moved; leave `extends` as it was, or make an entity of another name, and delete the rows of Clerk before it goes");
        }
        let options = Options {
            allow_data_loss: true,
            ..Options::default()
        };
        let refused = database.apply_with(&after, options).await;
        assert!(matches!(refused, Err(SchemaError::EntityMoves { .. })));
        assert_eq!(database.text("SELECT region FROM clerk").await, "u1");
        database.execute("DELETE FROM clerk").await;
        database.apply(&after).await.unwrap();
        same_as_fresh(&database, &after).await;
    })
    .await;
}

#[tokio::test]
async fn the_audit_trail_only_grows_on_sqlite() {
    let database = super::build::sqlite();
    let structure = Structure::of(&model(FIRST));
    database.apply(&structure).await.unwrap();
    let insert = "INSERT INTO _stoa_audit (id, at, kind, _version, _created_at, _changed_at) VALUES (x'01', 0, 'k', 1, 0, 0)";
    database.execute(insert).await;
    for statement in [
        "UPDATE _stoa_audit SET kind = 'x'",
        "DELETE FROM _stoa_audit",
    ] {
        let error = database.try_execute(statement).await.unwrap_err();
        assert!(error.to_string().contains("only added"), "{error}");
    }
    // A table that is made anew keeps what guards it.
    let mut changed = structure.clone();
    let audit = changed
        .tables
        .iter_mut()
        .find(|table| table.name == physical::AUDIT_TABLE)
        .unwrap();
    for column in &mut audit.columns {
        if column.name == "kind" {
            column.nullable = true;
        }
    }
    database.apply(&changed).await.unwrap();
    assert!(
        database
            .try_execute("DELETE FROM _stoa_audit")
            .await
            .is_err()
    );
    assert_eq!(database.text("SELECT count(*) FROM _stoa_audit").await, "1");
}
