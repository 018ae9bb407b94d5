//! A request with an identity takes effect once.

use std::sync::Arc;

use stoa_model::access::Permitted;
use stoa_model::change::{Action, Applied, Expected};
use stoa_model::query::Source;
use stoa_model::value::Value;
use stoa_store::{RequestIdentity, StoreError};
use uuid::Uuid;

use crate::database::{Database, Text, by_system, id, key, on_both, text};

fn identity(number: u128) -> RequestIdentity {
    RequestIdentity {
        id: Uuid::from_u128(number),
        owner: Uuid::from_u128(1),
        fingerprint: [7; 32],
        root: 0,
    }
}

async fn once(
    database: &Database,
    actions: Vec<Action>,
    identity: RequestIdentity,
) -> Result<Applied, StoreError> {
    let written = database
        .store
        .write_once::<Text>(
            &database.model,
            &Arc::new(by_system(actions)),
            None,
            Some(identity),
        )
        .await;
    written.map(|(mut applied, _)| applied.swap_remove(identity.root))
}

/// What came of a request is the same when it is made again, and nothing more happens.
async fn check(database: &Database, number: u128, root: usize, actions: Vec<Action>) {
    let request = RequestIdentity {
        root,
        ..identity(number)
    };
    let first = once(database, actions.clone(), request).await.unwrap();
    for _ in 0..2 {
        match once(database, actions.clone(), request).await {
            Err(StoreError::Repeated(applied)) => assert_eq!(applied, first, "{actions:?}"),
            other => panic!("{actions:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn every_kind_of_change_is_made_once() {
    on_both(|database| async move {
        let customer = |number: u32| {
            let name = text(&number.to_string());
            database.insert("Customer", &[("id", id(number)), ("Name", name)], &[])
        };
        check(&database, 1, 0, vec![customer(1)]).await;
        check(&database, 2, 1, vec![customer(2), customer(3)]).await;
        // The database makes the key.
        let ticket = database.insert("Ticket", &[("Text", text("a"))], &[]);
        check(&database, 3, 0, vec![ticket]).await;
        assert_eq!(
            database.rows("Ticket", &["Number", "Text"], None).await,
            "[(v1 1 a)]"
        );
        // With the version that is known before, and without.
        let rename = |expected, name| {
            database.update("Customer", key(1), expected, &[("Name", text(name))], &[])
        };
        check(&database, 4, 0, vec![rename(Expected::OneOf(vec![1]), "x")]).await;
        check(&database, 5, 0, vec![rename(Expected::Any, "y")]).await;
        check(
            &database,
            6,
            0,
            vec![rename(Expected::OneOf(vec![3, 9]), "z")],
        )
        .await;
        check(
            &database,
            7,
            0,
            vec![database.upsert("Customer", 4, &[("id", id(4)), ("Name", text("new"))], &[])],
        )
        .await;
        check(
            &database,
            8,
            0,
            vec![database.link("Customer", 1, "Friends", 2)],
        )
        .await;
        check(
            &database,
            9,
            0,
            vec![database.unlink("Customer", 1, "Friends", Some(2))],
        )
        .await;
        check(&database, 10, 0, vec![database.delete("Customer", key(3))]).await;
        // An audited row, of a type that has others below it.
        let account = database.insert("Savings", &[("id", id(9)), ("Name", text("s"))], &[]);
        check(&database, 11, 0, vec![account]).await;
        let change = database.update(
            "Account",
            key(9),
            Expected::OneOf(vec![1]),
            &[("Name", text("t"))],
            &[],
        );
        check(&database, 12, 0, vec![change]).await;
        assert_eq!(
            database.rows("Customer", &["Name"], Some("Friends")).await,
            "[(v4 z []) (v1 2 []) (v1 new [])]"
        );
    })
    .await;
}

#[tokio::test]
async fn a_row_that_comes_back_at_once_is_made_once() {
    on_both(|database| async move {
        let write = || async {
            let insert = database.insert("Customer", &[("id", id(1)), ("Name", text("a"))], &[]);
            let query = database.query("Customer", &["Name"], None, Source::Key(vec![id(1)]));
            let reread = Some((Permitted::by_system(query), Text::default()));
            database
                .store
                .write_once(
                    &database.model,
                    &Arc::new(by_system(vec![insert])),
                    reread,
                    Some(identity(1)),
                )
                .await
        };
        let (applied, writer) = write().await.unwrap();
        assert_eq!(writer.unwrap().0, "(v1 a)");
        match write().await {
            Err(StoreError::Repeated(again)) => assert_eq!(again, applied[0]),
            other => panic!("{:?}", other.map(|(applied, _)| applied)),
        }
    })
    .await;
}

#[tokio::test]
async fn what_changed_nothing_may_be_tried_again() {
    on_both(|database| async move {
        let order = || {
            database.insert(
                "Order",
                &[("id", id(10)), ("Status", text("Draft"))],
                &[("Customer", Some(key(1)))],
            )
        };
        let refused = once(&database, vec![order()], identity(1)).await;
        assert!(
            matches!(refused, Err(StoreError::Violations(_))),
            "{refused:?}"
        );
        let missing = once(
            &database,
            vec![database.delete("Customer", key(1))],
            identity(1),
        )
        .await;
        assert!(
            matches!(missing, Err(StoreError::NotFound { .. })),
            "{missing:?}"
        );
        database.customer(1, "a").await;
        check(&database, 1, 0, vec![order()]).await;
    })
    .await;
}

#[tokio::test]
async fn another_request_or_another_owner_gets_nothing() {
    on_both(|database| async move {
        let insert = |number: u32| {
            vec![database.insert("Customer", &[("id", id(number)), ("Name", text("a"))], &[])]
        };
        once(&database, insert(1), identity(1)).await.unwrap();
        let other = RequestIdentity {
            fingerprint: [8; 32],
            ..identity(1)
        };
        let reused = once(&database, insert(2), other).await;
        assert!(
            matches!(reused, Err(StoreError::IdentityReused)),
            "{reused:?}"
        );
        let stranger = RequestIdentity {
            owner: Uuid::from_u128(2),
            ..identity(1)
        };
        once(&database, insert(2), stranger).await.unwrap();
        assert_eq!(
            database.rows("Customer", &["Name"], None).await,
            "[(v1 a) (v1 a)]"
        );
    })
    .await;
}

#[tokio::test]
async fn of_many_copies_at_once_one_takes_effect() {
    on_both(|database| async move {
        let database = Arc::new(database);
        // New rows with a key from the database, and a change of one row.
        database.customer(1, "a").await;
        for round in 0..5_u128 {
            let mut copies = tokio::task::JoinSet::new();
            for _ in 0..20 {
                let database = Arc::clone(&database);
                copies.spawn(async move {
                    let ticket = database.insert("Ticket", &[("Text", text("t"))], &[]);
                    let touch = database.update(
                        "Customer",
                        key(1),
                        Expected::Any,
                        &[("Visits", Value::Integer(1))],
                        &[],
                    );
                    once(&database, vec![touch, ticket], identity(round)).await
                });
            }
            let mut effects = Vec::new();
            let mut done = 0;
            while let Some(outcome) = copies.join_next().await {
                effects.push(match outcome.unwrap() {
                    Ok(applied) => {
                        done += 1;
                        applied
                    }
                    Err(StoreError::Repeated(applied)) => applied,
                    Err(other) => panic!("{other:?}"),
                });
            }
            assert_eq!(done, 1);
            assert!(effects.iter().all(|effect| *effect == effects[0]));
        }
        assert_eq!(
            database.rows("Customer", &["Visits"], None).await,
            "[(v6 1)]"
        );
        assert_eq!(
            database.rows("Ticket", &["Text"], None).await,
            "[(v1 t) (v1 t) (v1 t) (v1 t) (v1 t)]"
        );
    })
    .await;
}

#[tokio::test]
async fn old_requests_are_forgotten_in_batches() {
    on_both(|database| async move {
        for number in 1..=5_u32 {
            let insert =
                database.insert("Customer", &[("id", id(number)), ("Name", text("a"))], &[]);
            once(&database, vec![insert], identity(number.into()))
                .await
                .unwrap();
        }
        let forget = |before, most| {
            database
                .store
                .forget_requests(&database.model, before, most)
        };
        assert_eq!(forget(1_700_000_000_000_000, 10).await.unwrap(), 0);
        let future = 4_000_000_000_000_000;
        assert_eq!(forget(future, 3).await.unwrap(), 3);
        assert_eq!(forget(future, 3).await.unwrap(), 2);
        assert_eq!(forget(future, 3).await.unwrap(), 0);
        // The first request would take effect again now: that is why its sender is told when it is too late.
        let delete = vec![database.delete("Customer", key(1))];
        once(&database, delete, identity(1)).await.unwrap();
    })
    .await;
}
