//! Somebody else's tables, as they stand: Northwind on PostgreSQL.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::json;
use stoa_model::application::load;
use stoa_model::query::Source;
use stoa_model::value::Value;
use stoa_store::{Config, DatabaseUrl, Store};

use crate::database::Database;
use crate::recorder::column;
use crate::rows::{permitted, run};

/// The folder of test data beside the repository, if it is there.
fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("STOA_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let file = folder.join("data/northwind/northwind.sql");
    if file.is_file() {
        return Some(file);
    }
    eprintln!("SKIPPED: {} is not there; set STOA_SHARED", file.display());
    None
}

#[tokio::test]
async fn known_answers() -> Result<()> {
    let Some(file) = shared() else {
        return Ok(());
    };
    let server = stoa_testing::postgres::database().await?;
    let client = stoa_testing::postgres::connect(&server.url).await?;
    client
        .batch_execute(&std::fs::read_to_string(file)?)
        .await
        .context("northwind.sql")?;
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/northwind");
    let model = load(&folder)
        .map_err(|faults| anyhow::anyhow!("{faults:?}"))?
        .application
        .model;
    let url: DatabaseUrl = server.url.parse()?;
    let store = Store::open(&url, Config::default()).await?;
    let database = Database::over(url, store, Arc::new(model));

    let count = async |entity: &str, filter: &str| -> Result<u64> {
        let mut query = database.query(entity);
        if !filter.is_empty() {
            query.filter = Some(database.filter(entity, filter)?);
        }
        Ok(database
            .store
            .count(&database.model, &permitted(&query))
            .await?
            .rows)
    };
    for (entity, filter, expected) in [
        ("Customer", "", 91),
        ("Order", "", 830),
        ("OrderDetail", "", 2155),
        ("Employee", "", 9),
        // Columns of 32-bit floats, compared by what people see.
        ("OrderDetail", "Discount eq 0.15", 157),
        ("OrderDetail", "Discount in (0.15,0.05)", 342),
        ("OrderDetail", "Discount gt 0.2 and Discount lt 0.26", 154),
        ("Order", "Freight eq 32.38", 1),
        ("OrderDetail", "UnitPrice mul Quantity gt 15000", 2),
        ("Order", "Customer/Country eq 'Germany'", 122),
        ("Order", "OrderDetails/any(d:d/Quantity ge 120)", 10),
        ("Order", "ShippedDate eq null", 21),
        ("Order", "year(OrderDate) eq 1997", 408),
    ] {
        assert_eq!(
            count(entity, filter)
                .await
                .with_context(|| filter.to_owned())?,
            expected,
            "{entity} {filter}"
        );
    }

    let mut query = database.query("OrderDetail");
    query.source = Source::Key(vec![Value::Integer(10_248), Value::Integer(42)]);
    query.single = true;
    query.selection.expands = vec![database.expand("OrderDetail", "Order", 1)];
    query.selection.expands[0].selection.attributes.truncate(2);
    assert_eq!(
        run(&database, &query).await?.root,
        json!({"OrderID": 10248, "ProductID": 42, "UnitPrice": "9.8", "Quantity": 10, "Discount": "0",
            "Order": {"OrderID": 10248, "CustomerID": "VINET"}})
    );

    // The column has the database's collation; the order is by code point all the same.
    let mut query = database.query("Customer");
    query.order = database.order("Customer", "CompanyName")?;
    let names = column(&run(&database, &query).await?.root, "CompanyName");
    let mut sorted = names.clone();
    sorted.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    assert_eq!(names, sorted);
    Ok(())
}
