//! Several at once, and a failure in the middle.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::build::{NAME, on_both, postgres, structure, table};
use crate::{Kind, Options, SchemaError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_change_it_once() {
    on_both(|database| async move {
        let database = Arc::new(database);
        for round in 0..2 {
            let mut wanted = table("Customer").with("Name", NAME);
            if round == 1 {
                wanted = wanted.with("Count", Kind::Integer).required().default("1");
            }
            let wanted = Arc::new(structure(vec![wanted]));
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..8 {
                let (database, wanted) = (Arc::clone(&database), Arc::clone(&wanted));
                tasks.spawn(async move { database.apply(&wanted).await.unwrap().steps.len() });
            }
            let done = tasks.join_all().await;
            assert_eq!(
                done.iter().filter(|steps| **steps > 0).count(),
                1,
                "{done:?}"
            );
        }
        assert_eq!(
            database.text("SELECT count(*) FROM _stoa_ledger").await,
            "2"
        );
    })
    .await;
}

#[tokio::test]
async fn a_failure_in_the_middle_leaves_the_old_structure() {
    on_both(|database| async move {
        database
            .apply(&structure(vec![table("Customer")]))
            .await
            .unwrap();
        let seen = database.introspect().await;
        // The third table takes a name that something else has which is no table.
        database
            .execute("CREATE INDEX ix_third_name ON customer (id)")
            .await;
        let seen_with_index = database.introspect().await;
        assert_ne!(seen, seen_with_index);
        let wanted = structure(vec![
            table("Customer").with("Name", NAME),
            table("Second"),
            table("Third").with("Name", NAME).index(false, &["name"]),
        ]);
        let steps = Arc::new(AtomicUsize::new(0));
        let seen_steps = Arc::clone(&steps);
        let options = Options {
            progress: Some(Arc::new(move |progress| {
                seen_steps.fetch_max(progress.position + 1, Ordering::Relaxed);
            })),
            ..Options::default()
        };
        let error = database.apply_with(&wanted, options).await.unwrap_err();
        assert!(matches!(error, SchemaError::Statement { .. }), "{error}");
        assert!(steps.load(Ordering::Relaxed) > 1);
        assert_eq!(database.introspect().await, seen_with_index);
        database.execute("DROP INDEX ix_third_name").await;
        database.apply(&wanted).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_process_that_dies_in_the_middle_leaves_the_old_structure() {
    on_both(|database| async move {
        database
            .apply(&structure(vec![table("Customer")]))
            .await
            .unwrap();
        let seen = database.introspect().await;
        let wanted = structure(vec![table("Customer").with("Name", NAME), table("Second")]);
        let draft = crate::apply::draft(
            database.dialect(),
            &structure(vec![table("Customer")]),
            &wanted,
        );
        // The connection ends with the transaction open, as when the process is killed.
        database
            .session(|session| async move {
                session.begin_changing(Duration::from_secs(5)).await?;
                for step in draft.steps {
                    for statement in step.statements {
                        session.execute(&statement, "test").await?;
                    }
                }
                Ok(())
            })
            .await;
        assert_eq!(database.introspect().await, seen);
        assert!(!database.apply(&wanted).await.unwrap().steps.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_table_in_use_is_waited_for_only_so_long() {
    let database = postgres().await;
    database
        .apply(&structure(vec![table("Customer")]))
        .await
        .unwrap();
    let url = database.url.clone();
    let (held, is_held) = tokio::sync::oneshot::channel();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let holder = tokio::spawn(async move {
        crate::apply::with_session(&url, true, |session| async move {
            session
                .execute("BEGIN; LOCK TABLE customer IN SHARE MODE", "test")
                .await?;
            held.send(()).unwrap();
            ended.await.unwrap();
            Ok(())
        })
        .await
    });
    is_held.await.unwrap();
    let wanted = structure(vec![table("Customer").with("Name", NAME)]);
    let options = Options {
        lock_timeout: Duration::from_millis(50),
        ..Options::default()
    };
    let error = database.apply_with(&wanted, options).await.unwrap_err();
    insta::assert_snapshot!(error, @"Name of Customer was added in the model had to wait too long for others who use the database; try again when fewer do, or end long transactions");
    end.send(()).unwrap();
    holder.await.unwrap().unwrap();
    database.apply(&wanted).await.unwrap();
}
