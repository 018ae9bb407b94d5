//! What is refused, and that nothing was written then.

use stoa_model::access::Permitted;
use stoa_model::change::{Expected, Rule, Target, Violation};
use stoa_model::query::Source;
use stoa_model::value::Value;
use stoa_store::StoreError;

use crate::database::{Text, by_system, id, key, on_both, text};

fn violations(outcome: Result<Vec<stoa_model::change::Applied>, StoreError>) -> Vec<(usize, Rule)> {
    match outcome {
        Err(StoreError::Violations(violations)) => violations
            .into_iter()
            .map(|Violation { operation, rule }| (operation, rule))
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn missing(navigation: &str) -> Rule {
    Rule::ReferenceMissing {
        navigation: navigation.to_owned(),
    }
}

fn unique(members: &[&str]) -> Rule {
    Rule::Unique {
        members: members.iter().map(|member| (*member).to_owned()).collect(),
    }
}

#[tokio::test]
async fn everything_that_is_wrong_is_reported_at_once() {
    on_both(|database| async move {
        let first = [
            ("id", id(1)),
            ("Name", text("a")),
            ("Email", text("e")),
            ("City", text("c")),
            ("Street", text("s")),
        ];
        database
            .write(vec![database.insert("Customer", &first, &[])])
            .await
            .unwrap();
        let actions = vec![
            database.insert(
                "Customer",
                &[("id", id(2)), ("Name", text("b")), ("Email", text("e"))],
                &[],
            ),
            database.insert("Customer", &[("id", id(1)), ("Name", text("b"))], &[]),
            database.insert(
                "Customer",
                &[
                    ("id", id(3)),
                    ("Name", text("b")),
                    ("City", text("c")),
                    ("Street", text("s")),
                ],
                &[],
            ),
            database.insert(
                "Order",
                &[("id", id(10)), ("Status", text("Draft"))],
                &[("Customer", Some(key(99))), ("Agent", Some(key(98)))],
            ),
            // What depends on a refused row is not reported again.
            database.insert(
                "Line",
                &[("id", id(11)), ("Position", Value::Integer(1))],
                &[("Order", Some(Target::Inserted(3)))],
            ),
            database.insert("Order", &[("id", id(12)), ("Status", text("Draft"))], &[]),
            database.insert("Customer", &[("id", id(4)), ("Name", text("fine"))], &[]),
        ];
        let found = violations(database.write(actions).await);
        assert_eq!(
            found,
            [
                (0, unique(&["Email"])),
                (1, unique(&["id"])),
                (2, unique(&["City", "Street"])),
                (3, missing("Customer")),
                (3, missing("Agent")),
                (
                    5,
                    Rule::Required {
                        member: "Customer".to_owned()
                    }
                ),
            ]
        );
        assert_eq!(database.rows("Customer", &["Name"], None).await, "[(v1 a)]");
        assert_eq!(database.rows("Order", &[], None).await, "[]");
        // The connection is as good as new.
        database.customer(5, "later").await;
    })
    .await;
}

#[tokio::test]
async fn a_single_insert_is_refused_alike() {
    on_both(|database| async move {
        database.customer(1, "a").await;
        let insert = || database.insert("Customer", &[("id", id(1)), ("Name", text("b"))], &[]);
        assert_eq!(
            violations(database.write(vec![insert()]).await),
            [(0, unique(&["id"]))]
        );
        let query = database.query("Customer", &["Name"], None, Source::Key(vec![id(1)]));
        let outcome = database
            .store
            .write(
                &database.model,
                by_system(vec![insert()]),
                Some((Permitted::by_system(query), Text::default())),
            )
            .await
            .map(|(applied, _)| applied);
        assert_eq!(violations(outcome), [(0, unique(&["id"]))]);
        assert_eq!(database.rows("Customer", &["Name"], None).await, "[(v1 a)]");
    })
    .await;
}

#[tokio::test]
async fn each_fault_of_a_row_is_reported_on_both_databases_alike() {
    on_both(|database| async move {
        let first = [
            ("id", id(1)),
            ("Name", text("a")),
            ("Email", text("e")),
            ("City", text("c")),
            ("Street", text("s")),
        ];
        database
            .write(vec![database.insert("Customer", &first, &[])])
            .await
            .unwrap();
        let twin = violations(
            database
                .write(vec![database.insert("Customer", &first, &[])])
                .await,
        );
        let rules: Vec<Rule> = twin.into_iter().map(|(_, rule)| rule).collect();
        assert_eq!(rules.first(), Some(&unique(&["id"])));
        assert_eq!(rules.len(), 3, "{rules:?}");
        assert!(rules.contains(&unique(&["Email"])), "{rules:?}");
        // A change meets the values that it keeps, and is not in its own way.
        let second = [
            ("id", id(2)),
            ("Name", text("b")),
            ("City", text("c")),
            ("Street", text("t")),
        ];
        database
            .write(vec![database.insert("Customer", &second, &[])])
            .await
            .unwrap();
        let moved = database.update(
            "Customer",
            key(2),
            Expected::Any,
            &[("Street", text("s")), ("Email", text("e"))],
            &[],
        );
        let rules = violations(database.write(vec![moved]).await);
        assert_eq!(rules.len(), 2, "{rules:?}");
        assert!(rules.contains(&(0, unique(&["Email"]))), "{rules:?}");
    })
    .await;
}

#[tokio::test]
async fn a_reference_leads_to_a_row_of_the_right_type() {
    on_both(|database| async move {
        let clerk = database.insert("Employee", &[("id", id(1)), ("Name", text("a"))], &[]);
        database.write(vec![clerk]).await.unwrap();
        let second = database.insert(
            "Employee",
            &[("id", id(2)), ("Name", text("b"))],
            &[("Boss", Some(key(1)))],
        );
        assert_eq!(
            violations(database.write(vec![second]).await),
            [(0, missing("Boss"))]
        );
        let promoted = database.update(
            "Manager",
            key(1),
            Expected::Any,
            &[("Name", text("x"))],
            &[],
        );
        let outcome = database.write(vec![promoted]).await;
        assert!(
            matches!(outcome, Err(StoreError::NotFound { operation: 0 })),
            "{outcome:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn rows_in_use_stay() {
    on_both(|database| async move {
        database.customer(1, "a").await;
        let order = database.insert(
            "Order",
            &[("id", id(10)), ("Status", text("Draft"))],
            &[("Customer", Some(key(1)))],
        );
        database.write(vec![order]).await.unwrap();
        let found = violations(
            database
                .write(vec![database.delete("Customer", key(1))])
                .await,
        );
        let rule = Rule::ReferencedBy {
            entity: "Order".to_owned(),
            navigation: "Customer".to_owned(),
        };
        assert_eq!(found, [(0, rule)]);
        let found = violations(
            database
                .write(vec![database.unlink("Customer", 1, "Orders", None)])
                .await,
        );
        assert_eq!(
            found,
            [(
                0,
                Rule::Required {
                    member: "Customer".to_owned()
                }
            )]
        );
        let found = violations(
            database
                .write(vec![database.link("Customer", 1, "Friends", 9)])
                .await,
        );
        assert_eq!(found, [(0, missing("Friends"))]);
    })
    .await;
}

#[tokio::test]
async fn rows_that_are_gone_or_changed() {
    on_both(|database| async move {
        database.customer(1, "a").await;
        let update = |number, expected| {
            database.update(
                "Customer",
                key(number),
                expected,
                &[("Name", text("b"))],
                &[],
            )
        };
        let outcome = database
            .write(vec![update(1, Expected::OneOf(vec![2, 3]))])
            .await;
        assert!(
            matches!(
                outcome,
                Err(StoreError::VersionMismatch {
                    operation: 0,
                    current: Some(1)
                })
            ),
            "{outcome:?}"
        );
        // The first of the two takes no effect either.
        let outcome = database
            .write(vec![update(1, Expected::Any), update(2, Expected::Any)])
            .await;
        assert!(
            matches!(outcome, Err(StoreError::NotFound { operation: 1 })),
            "{outcome:?}"
        );
        let outcome = database
            .write(vec![database.delete("Customer", key(2))])
            .await;
        assert!(
            matches!(outcome, Err(StoreError::NotFound { operation: 0 })),
            "{outcome:?}"
        );
        let outcome = database
            .write(vec![database.link("Customer", 7, "Friends", 1)])
            .await;
        assert!(
            matches!(outcome, Err(StoreError::NotFound { operation: 0 })),
            "{outcome:?}"
        );
        assert_eq!(database.rows("Customer", &["Name"], None).await, "[(v1 a)]");
    })
    .await;
}

#[tokio::test]
async fn text_with_a_null_character_is_refused_or_kept() {
    on_both(|database| async move {
        let insert = database.insert("Customer", &[("id", id(1)), ("Name", text("a\0b"))], &[]);
        match database.write(vec![insert]).await {
            Ok(_) => assert_eq!(
                database.rows("Customer", &["Name"], None).await,
                "[(v1 a\0b)]"
            ),
            Err(StoreError::InvalidText) => {
                assert_eq!(database.rows("Customer", &["Name"], None).await, "[]")
            }
            Err(other) => panic!("{other:?}"),
        }
    })
    .await;
}

#[tokio::test]
async fn many_writers_lose_nothing() {
    on_both(|database| async move {
        database.customer(1, "a").await;
        let database = std::sync::Arc::new(database);
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..40_u32 {
            let database = std::sync::Arc::clone(&database);
            tasks.spawn(async move {
                let update = database.update("Customer", key(1), Expected::Any, &[], &[]);
                let insert = database.insert(
                    "Order",
                    &[("id", id(100 + number)), ("Status", text("Draft"))],
                    &[("Customer", Some(key(1)))],
                );
                database.write(vec![update, insert]).await.unwrap();
            });
        }
        tasks.join_all().await;
        assert_eq!(database.rows("Customer", &[], None).await, "[(v41)]");
        assert_eq!(
            database
                .rows("Order", &[], None)
                .await
                .matches("(v1)")
                .count(),
            40
        );
    })
    .await;
}

#[tokio::test]
async fn a_lost_answer_to_a_commit_is_no_success() {
    let (database, proxy, direct) = crate::database::Database::postgres_behind_proxy().await;
    database.customer(1, "a").await;
    direct
        .batch_execute("BEGIN; LOCK TABLE customer IN EXCLUSIVE MODE")
        .await
        .unwrap();
    let insert = database.insert("Customer", &[("id", id(2)), ("Name", text("b"))], &[]);
    let database = std::sync::Arc::new(database);
    let writing = std::sync::Arc::clone(&database);
    let write = tokio::spawn(async move { writing.write(vec![insert]).await });
    let waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'customer'::regclass";
    while direct.query(waiting, &[]).await.unwrap().is_empty() {}
    // The server goes on and commits, but its answer does not arrive.
    proxy.set(stoa_testing::proxy::Mode::Stall);
    direct.batch_execute("COMMIT").await.unwrap();
    let count = "SELECT 1 FROM customer WHERE name = 'b'";
    while direct.query(count, &[]).await.unwrap().is_empty() {}
    assert!(!write.is_finished());
    proxy.set(stoa_testing::proxy::Mode::Cut);
    let outcome = write.await.unwrap();
    assert!(
        matches!(outcome, Err(StoreError::Unavailable { .. })),
        "{outcome:?}"
    );
    proxy.set(stoa_testing::proxy::Mode::Pass);
    database.customer(3, "c").await;
}
