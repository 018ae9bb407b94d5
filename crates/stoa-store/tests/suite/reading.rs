//! Sources, expands, hierarchies, counts.

use anyhow::Result;
use serde_json::json;
use stoa_model::model::EntityId;
use stoa_model::query::{Query, Source};
use stoa_model::value::Value;
use stoa_store::StoreError;

use crate::database::Database;
use crate::recorder::{Recorder, column};
use crate::rows::{SEEN, permitted, run, seed};

fn key(number: i64) -> Source {
    Source::Key(vec![Value::Integer(number)])
}

fn related(
    database: &Database,
    entity: &str,
    from: Source,
    navigation: &str,
    key: Option<Vec<Value>>,
) -> Source {
    let entity = database.entity(entity);
    Source::Related {
        entity: entity.id,
        from: Box::new(from),
        navigation: entity.navigations_by_name[navigation],
        key,
    }
}

/// Keys of the rows, how many there were, and whether the source exists.
async fn found(database: &Database, query: &Query) -> Result<(String, u64, bool)> {
    let recorder = Recorder::new(&database.model, query);
    let result = database
        .store
        .read(&database.model, &permitted(query), recorder)
        .await?;
    let rows = match result.writer.root {
        serde_json::Value::Array(rows) => rows,
        serde_json::Value::Null => vec![],
        row => vec![row],
    };
    let numbers: Vec<String> = rows
        .iter()
        .map(|row| {
            row.get("Number")
                .or_else(|| row.get("Position"))
                .or_else(|| row.get("Code"))
                .unwrap()
                .to_string()
        })
        .collect();
    Ok((numbers.join(","), result.rows, result.source_found))
}

on_both! {
    async fn every_type_comes_back(database: &Database) -> Result<()> {
        seed(database).await?;
        let mut query = database.query("Customer");
        query.source = key(1);
        query.single = true;
        let recorder = run(database, &query).await?;
        assert_eq!(recorder.root, json!({
            "Number": 1, "Name": "Anna", "Email": "a@x.org", "Credit": "10.50", "Rate": "1.2345", "Active": true,
            "Born": "day 11016", "Seen": format!("@{SEEN}"), "Opens": "time 30600000000",
            "Patience": "duration 90500000", "Badge": "00000000-0000-0000-0000-000000000007",
            "Raw": "[1, 0, 255]", "Notes": {"b": 1, "a": [null]}, "Visits": 5_000_000_000_i64,
        }));
        assert_eq!(recorder.versions, [Some(1)]);
        query.source = key(2);
        let recorder = run(database, &query).await?;
        assert_eq!(recorder.root, json!({
            "Number": 2, "Name": "anna", "Email": null, "Credit": null, "Rate": "0.5000", "Active": false,
            "Born": null, "Seen": null, "Opens": null, "Patience": null, "Badge": null, "Raw": null, "Notes": null,
            "Visits": null,
        }));
        Ok(())
    }

    async fn sources(database: &Database) -> Result<()> {
        seed(database).await?;
        let case = async |entity: &str, single: bool, source: Source| {
            let mut query = database.query(entity);
            query.single = single;
            query.source = source;
            found(database, &query).await
        };
        let expect = |keys: &str, rows, source_found| (keys.to_owned(), rows, source_found);
        assert_eq!(case("Customer", true, key(1)).await?, expect("1", 1, true));
        assert_eq!(case("Customer", true, key(99)).await?, expect("", 0, true));
        let orders = |from| related(database, "Customer", from, "Orders", None);
        assert_eq!(case("Order", false, orders(key(1))).await?, expect("10,11", 2, true));
        assert_eq!(case("Order", false, orders(key(2))).await?, expect("", 0, true));
        assert_eq!(case("Order", false, orders(key(99))).await?, expect("", 0, false));
        let one_of = |number| related(database, "Customer", key(1), "Orders", Some(vec![Value::Integer(number)]));
        assert_eq!(case("Order", true, one_of(11)).await?, expect("11", 1, true));
        assert_eq!(case("Order", true, one_of(12)).await?, expect("", 0, true));
        let customer = |from| related(database, "Order", from, "Customer", None);
        assert_eq!(case("Customer", true, customer(key(12))).await?, expect("3", 1, true));
        assert_eq!(case("Customer", true, customer(key(99))).await?, expect("", 0, false));
        let region = |from| related(database, "Customer", from, "Region", None);
        assert_eq!(case("Region", true, region(key(2))).await?, expect("", 0, true));
        assert_eq!(case("Region", true, region(customer(key(12)))).await?, expect("\"S\"", 1, true));
        let friends = |from| related(database, "Customer", from, "Friends", None);
        assert_eq!(case("Customer", false, friends(key(1))).await?, expect("3,4", 2, true));
        assert_eq!(case("Customer", false, friends(customer(key(12)))).await?, expect("1", 1, true));
        let lines = related(database, "Order", one_of(10), "Lines", None);
        assert_eq!(case("Line", false, lines).await?, expect("1,2", 2, true));
        let line = |order, position| Source::Key(vec![Value::Integer(order), Value::Integer(position)]);
        assert_eq!(case("Line", true, line(10, 2)).await?, expect("2", 1, true));
        assert_eq!(case("Line", true, line(11, 2)).await?, expect("", 0, true));
        // A source of a specialisation must be one.
        let reports = |number| related(database, "Manager", key(number), "Reports", None);
        assert_eq!(case("Person", false, reports(2)).await?, expect("3,4", 2, true));
        assert_eq!(case("Person", false, reports(3)).await?, expect("", 0, false));
        Ok(())
    }

    async fn counts(database: &Database) -> Result<()> {
        seed(database).await?;
        let mut query = database.query("Customer");
        query.limit = 1;
        query.skip = 1;
        query.count = true;
        query.filter = Some(database.filter("Customer", "Region/Name eq 'North'")?);
        let result = database.store.count(&database.model, &permitted(&query)).await?;
        assert_eq!((result.rows, result.source_found), (2, true));
        let recorder = run(database, &query).await?;
        assert_eq!(column(&recorder.root, "Number"), [json!(4)]);
        query = database.query("Order");
        query.source = related(database, "Customer", key(99), "Orders", None);
        let result = database.store.count(&database.model, &permitted(&query)).await?;
        assert_eq!((result.rows, result.source_found), (0, false));
        query.source = related(database, "Customer", key(1), "Orders", None);
        assert_eq!(database.store.count(&database.model, &permitted(&query)).await?.rows, 2);
        Ok(())
    }

    async fn skip_and_limit(database: &Database) -> Result<()> {
        seed(database).await?;
        let mut query = database.query("Customer");
        query.skip = 1;
        query.limit = 2;
        let recorder = run(database, &query).await?;
        assert_eq!(column(&recorder.root, "Number"), [json!(2), json!(3)]);
        assert!(recorder.next.is_none(), "no continuation of what was not wanted");
        query.limit = 0;
        assert_eq!(run(database, &query).await?.root, json!([]));
        query.paged = true;
        query.limit = 4;
        assert!(run(database, &query).await?.next.is_none());
        query.limit = 3;
        assert_eq!(run(database, &query).await?.next, Some(vec![Value::Integer(4)]));
        Ok(())
    }

    async fn expands(database: &Database) -> Result<()> {
        seed(database).await?;
        let mut query = database.query("Order");
        let mut customer = database.expand("Order", "Customer", 1);
        customer.selection.attributes.truncate(2);
        let mut region = database.expand("Customer", "Region", 2);
        region.selection.attributes.truncate(1);
        let mut friends = database.expand("Customer", "Friends", 3);
        friends.selection.attributes.truncate(1);
        friends.count = true;
        customer.selection.expands = vec![region, friends];
        let mut lines = database.expand("Order", "Lines", 4);
        lines.selection.attributes.truncate(3);
        lines.count = true;
        query.selection.attributes.truncate(1);
        query.selection.expands = vec![customer, lines];
        query.filter = Some(database.filter("Order", "Number ne 13")?);
        let recorder = run(database, &query).await?;
        let anna = json!({"Number": 1, "Name": "Anna", "Region": {"Code": "N"}, "Friends@count": 2,
            "Friends": [{"Number": 3}, {"Number": 4}]});
        assert_eq!(recorder.root, json!([
            {"Number": 10, "Customer": anna, "Lines@count": 2, "Lines": [
                {"Order": 10, "Position": 1, "Product": "Apple"}, {"Order": 10, "Position": 2, "Product": "Pear"}]},
            {"Number": 11, "Customer": anna, "Lines@count": 1, "Lines": [
                {"Order": 11, "Position": 1, "Product": null}]},
            {"Number": 12, "Customer": {"Number": 3, "Name": "Ärger", "Region": {"Code": "S"}, "Friends@count": 1,
                "Friends": [{"Number": 1}]}, "Lines@count": 0, "Lines": []},
        ]));
        Ok(())
    }

    async fn expands_with_options(database: &Database) -> Result<()> {
        seed(database).await?;
        let mut query = database.query("Customer");
        query.selection.attributes.truncate(1);
        query.filter = Some(database.filter("Customer", "Number le 3")?);
        let mut orders = database.expand("Customer", "Orders", 1);
        orders.selection.attributes.truncate(1);
        orders.order = database.order("Order", "Total desc,Number")?;
        orders.limit = 1;
        orders.paged = true;
        orders.count = true;
        let mut lines = database.expand("Order", "Lines", 2);
        lines.selection.attributes = vec![stoa_model::model::AttributeId(1)];
        lines.skip = 1;
        orders.selection.expands = vec![lines];
        let mut friends = database.expand("Customer", "Friends", 3);
        friends.filter = Some(database.filter("Customer", "Region/Name eq 'North'")?);
        friends.count_only = true;
        let mut region = database.expand("Customer", "Region", 4);
        region.selection.attributes.truncate(1);
        region.filter = Some(database.filter("Region", "Name eq 'North'")?);
        query.selection.expands = vec![orders, friends, region];
        let recorder = run(database, &query).await?;
        assert_eq!(recorder.root, json!([
            {"Number": 1, "Orders@count": 2, "Orders@next": true, "Orders": [{"Number": 10, "Lines": [{"Position": 2}]}],
                "Friends": 1, "Region": {"Code": "N"}},
            {"Number": 2, "Orders@count": 0, "Orders": [], "Friends": 0, "Region": null},
            {"Number": 3, "Orders@count": 1, "Orders": [{"Number": 12, "Lines": []}], "Friends": 1, "Region": null},
        ]));
        Ok(())
    }

    async fn expands_beyond_the_limit_are_cut_for_each_parent(database: &Database) -> Result<()> {
        seed(database).await?;
        for number in 100..250 {
            let customer = if number % 2 == 0 { 1 } else { 4 };
            database.execute(&format!(
                "INSERT INTO \"order\" (number, status, total, customer_number, _version, _created_at, _changed_at) \
                 SELECT {number}, status, total, {customer}, 1, _created_at, _changed_at FROM \"order\" WHERE number = 10"
            )).await?;
        }
        let mut query = database.query("Customer");
        query.selection.attributes.truncate(1);
        let mut orders = database.expand("Customer", "Orders", 1);
        orders.selection.attributes.truncate(1);
        orders.limit = 120;
        orders.paged = true;
        query.selection.expands = vec![orders];
        // 154 orders in all, fewer than 120 for each: nothing is cut although one scan would have been.
        let recorder = run(database, &query).await?;
        let lengths: Vec<usize> =
            column(&recorder.root, "Orders").iter().map(|orders| orders.as_array().unwrap().len()).collect();
        assert_eq!(lengths, [77, 0, 1, 76, 0]);
        assert!(column(&recorder.root, "Orders@next").iter().all(serde_json::Value::is_null));
        Ok(())
    }

    async fn hierarchies(database: &Database) -> Result<()> {
        seed(database).await?;
        let id = |name: &str| database.entity(name).id;
        let kinds = |recorder: &Recorder| -> Vec<EntityId> { recorder.kinds.clone() };
        let mut query = database.query("Person");
        let budget = database.entity("Manager").attributes_by_name["Budget"];
        query.selection.specialised = vec![(id("Manager"), budget)];
        let recorder = run(database, &query).await?;
        assert_eq!(kinds(&recorder), [id("Director"), id("Manager"), id("Person"), id("Person")]);
        assert_eq!(recorder.root, json!([
            {"Number": 1, "Name": "Eva", "Budget": "500.25"}, {"Number": 2, "Name": "Max", "Budget": "500.25"},
            {"Number": 3, "Name": "Pia"}, {"Number": 4, "Name": "Tom"},
        ]));
        let recorder = run(database, &database.query("Manager")).await?;
        assert_eq!(kinds(&recorder), [id("Director"), id("Manager")]);
        let recorder = run(database, &database.query("Director")).await?;
        assert_eq!(kinds(&recorder), [id("Director")]);
        let mut query = database.query("Person");
        query.filter = Some(database.filter("Person", "isof(test.Manager) and Boss/Name eq 'Eva'")?);
        let recorder = run(database, &query).await?;
        assert_eq!(column(&recorder.root, "Name"), [json!("Max")]);
        query.filter = Some(database.filter("Person", "not isof(test.Manager) and Boss/Budget gt 1")?);
        let recorder = run(database, &query).await?;
        assert_eq!(column(&recorder.root, "Name"), [json!("Pia"), json!("Tom")]);
        Ok(())
    }
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_stopped() -> Result<()> {
    for mut database in [Database::sqlite().await?, Database::postgres().await?] {
        seed(&database).await?;
        let config = stoa_store::Config {
            response_bytes: 300,
            ..stoa_store::Config::default()
        };
        database.reopen(config).await?;
        let query = database.query("Customer");
        let error = run(&database, &query).await.err().unwrap();
        assert!(
            matches!(
                error.downcast_ref(),
                Some(StoreError::ResponseTooLarge { limit: 300 })
            ),
            "{error:?}"
        );
        let mut query = database.query("Region");
        query.limit = 1;
        run(&database, &query).await?;
    }
    Ok(())
}
