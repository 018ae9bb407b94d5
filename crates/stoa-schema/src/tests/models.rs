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
    let new = Structure::of(&model(FIRST));
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
    let new = Structure::of(&model(FIRST));
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
    let applied = crate::apply(&database.url, &model, Options::default())
        .await
        .unwrap();
    assert!(applied.steps.is_empty());
    assert_eq!(database.introspect().await, seen);
}
