//! Many rows at once.

use std::time::{Duration, Instant};

use stoa_model::value::Value;
use stoa_store::{Column, StoreError};

use crate::database::{id, on_both, text};

#[tokio::test]
async fn rows_references_numbers_and_links_are_loaded() {
    on_both(|database| async move {
        let (store, model) = (&database.store, &database.model);
        let customer = database.entity("Customer");
        let attribute = |name: &str| Column::Attribute(model[customer].attributes_by_name[name]);
        let columns = ["id", "Number", "Name", "Credit", "Born"].map(attribute);
        let rows = (1..=3_u32).map(|number| {
            vec![
                id(number),
                Value::Integer(i64::from(number) * 10),
                text("c"),
                Value::Decimal("1.5".parse().unwrap()),
                Value::Null,
            ]
        });
        let rows: Vec<_> = rows.collect();
        assert_eq!(
            store.load(model, customer, &columns, rows).await.unwrap(),
            3
        );
        let order = database.entity("Order");
        let attribute = |name: &str| Column::Attribute(model[order].attributes_by_name[name]);
        let columns = [
            attribute("id"),
            attribute("Status"),
            Column::Reference(database.navigation("Order", "Customer"), 0),
        ];
        let rows: Vec<_> = (1..=4_u32)
            .map(|number| vec![id(100 + number), text("Draft"), id(2)])
            .collect();
        assert_eq!(store.load(model, order, &columns, rows).await.unwrap(), 4);
        let links = vec![vec![id(1), id(2)], vec![id(1), id(3)]];
        let friends = database.navigation("Customer", "Friends");
        assert_eq!(
            store
                .load_links(model, customer, friends, links)
                .await
                .unwrap(),
            2
        );

        // Numbering goes on after what was loaded.
        database.customer(9, "later").await;
        let rows = database
            .rows("Customer", &["Number", "Credit"], Some("Friends"))
            .await;
        let next = rows.rsplit("(v1 ").next().unwrap();
        assert!(next.starts_with("31 ") || next.starts_with("32 "), "{rows}");
        assert!(
            rows.starts_with("[(v1 10 1.50 [(v1 #2) (v1 #3)]) (v1 20 1.50 [])"),
            "{rows}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_wrong_row_loads_nothing() {
    on_both(|database| async move {
        let (store, model) = (&database.store, &database.model);
        let ticket = database.entity("Ticket");
        let columns = ["Number", "Text"]
            .map(|name| Column::Attribute(model[ticket].attributes_by_name[name]));
        let rows = vec![
            vec![Value::Integer(1), text("a")],
            vec![Value::Integer(1), text("b")],
        ];
        assert!(matches!(
            store.load(model, ticket, &columns, rows).await,
            Err(StoreError::Internal(_))
        ));
        assert_eq!(database.rows("Ticket", &["Number"], None).await, "[]");
        assert!(
            store
                .load(model, ticket, &columns, vec![vec![Value::Null]])
                .await
                .is_err()
        );
    })
    .await;
}

#[tokio::test]
async fn a_hundred_thousand_rows_take_seconds() {
    on_both(|database| async move {
        database.customer(1, "a").await;
        let (store, model) = (&database.store, &database.model);
        let order = database.entity("Order");
        let attribute = |name: &str| Column::Attribute(model[order].attributes_by_name[name]);
        let columns = [
            attribute("id"),
            attribute("Status"),
            Column::Reference(database.navigation("Order", "Customer"), 0),
        ];
        let start = Instant::now();
        let rows = (0..100_000_u32).map(|number| vec![id(1000 + number), text("Draft"), id(1)]);
        assert_eq!(
            store.load(model, order, &columns, rows).await.unwrap(),
            100_000
        );
        // Far above what it takes, even on a busy machine without optimisation.
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{:?}",
            start.elapsed()
        );
    })
    .await;
}
