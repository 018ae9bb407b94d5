//! What users may not do is refused, and leaves nothing behind.

use stoa_model::access::{
    Demand, Denial, Either, JudgedChange, Judgement, Permitted, RowJudgement,
};
use stoa_model::change::{Action, Applied, Expected, Target};
use stoa_model::expression::Expression;
use stoa_model::expression::bind::Binder;
use stoa_model::expression::syntax;
use stoa_model::query::Source;
use stoa_model::value::Value;
use stoa_store::StoreError;

use crate::database::{Database, Text, change, id, key, on_both, text};

fn condition(database: &Database, entity: &str, text: &str) -> Expression {
    let node = syntax::parse(text, syntax::Limits::default()).unwrap();
    Binder::new(&database.model, database.entity(entity))
        .boolean(&node)
        .unwrap()
}

fn demand(database: &Database, entity: &str, text: &str, denial: Denial) -> Demand {
    Demand {
        condition: condition(database, entity, text),
        denial,
    }
}

/// Judges one row: what must be visible, what must hold before, what after; nothing where empty.
fn row(
    database: &Database,
    entity: &str,
    [visible, before, after]: [&str; 3],
    denial: &Denial,
) -> RowJudgement {
    let demands = |text: &str| match text {
        "" => Vec::new(),
        text => vec![demand(database, entity, text, denial.clone())],
    };
    RowJudgement {
        visible: (!visible.is_empty()).then(|| condition(database, entity, visible)),
        before: demands(before),
        after: demands(after),
    }
}

fn on(row: RowJudgement) -> Judgement {
    Judgement {
        row,
        ..Judgement::default()
    }
}

async fn write(
    database: &Database,
    actions: Vec<(Action, Judgement)>,
) -> Result<Vec<Applied>, StoreError> {
    let (actions, judgements) = actions.into_iter().unzip();
    let judged = JudgedChange {
        change: change(actions),
        judgements,
        actor: None,
    };
    let (applied, _) = database
        .store
        .write::<Text>(&database.model, Permitted::by_system(judged), None)
        .await?;
    Ok(applied)
}

/// `denied 0 Update`, `not found 0`, `broken` or `done`.
fn outcome<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> String {
    match outcome {
        Ok(_) => "done".to_owned(),
        Err(StoreError::Denied { operation, denial }) => format!("denied {operation} {denial:?}"),
        Err(StoreError::NotFound { operation }) => format!("not found {operation}"),
        Err(StoreError::Violations(found)) => format!("broken {:?}", found[0].rule),
        Err(error) => format!("{error:?}"),
    }
}

fn order(database: &Database, number: u32, status: &str, customer: u32) -> Action {
    database.insert(
        "Order",
        &[("id", id(number)), ("Status", text(status))],
        &[("Customer", Some(key(customer)))],
    )
}

async fn seed(database: &Database) {
    for (number, name) in [(1, "open"), (2, "closed")] {
        database.customer(number, name).await;
    }
    database
        .write(vec![
            order(database, 10, "Draft", 1),
            order(database, 11, "Placed", 1),
            order(database, 12, "Draft", 2),
        ])
        .await
        .unwrap();
}

async fn orders(database: &Database) -> String {
    database.rows("Order", &["Status", "Note"], None).await
}

#[tokio::test]
async fn rows_are_judged_before_and_after_an_update() {
    on_both(|database| async move {
        seed(&database).await;
        let before = orders(&database).await;
        let update = |number, status: &str, rules: [&str; 3]| {
            let action = database.update(
                "Order",
                key(number),
                Expected::Any,
                &[("Status", text(status)), ("Note", text("x"))],
                &[],
            );
            (action, on(row(&database, "Order", rules, &Denial::Update)))
        };
        let run = async |number, status, rules| {
            outcome(write(&database, vec![update(number, status, rules)]).await)
        };
        let open = "Customer/Name eq 'open'";
        assert_eq!(run(12, "Placed", [open, "", ""]).await, "not found 0");
        assert_eq!(run(99, "Placed", [open, "", ""]).await, "not found 0");
        let draft = "Status eq 'Draft'";
        assert_eq!(run(11, "Draft", [open, draft, ""]).await, "denied 0 Update");
        assert_eq!(
            run(10, "Placed", [open, draft, draft]).await,
            "denied 0 Update"
        );
        assert_eq!(run(12, "Placed", ["", "", open]).await, "denied 0 Update");
        assert_eq!(orders(&database).await, before);
        assert_eq!(
            run(10, "Placed", [open, draft, "Note eq 'x'"]).await,
            "done"
        );
        assert_eq!(
            orders(&database).await,
            "[(v2 Placed x) (v1 Placed -) (v1 Draft -)]"
        );
        // An update that would be refused anyway says nothing about rows that are not seen.
        let action = database.update(
            "Order",
            key(12),
            Expected::OneOf(vec![7]),
            &[("Note", text("x"))],
            &[("Customer", Some(key(77)))],
        );
        let hidden = on(row(&database, "Order", [open, "", ""], &Denial::Update));
        assert_eq!(
            outcome(write(&database, vec![(action, hidden)]).await),
            "not found 0"
        );
    })
    .await;
}

#[tokio::test]
async fn all_operations_are_done_before_what_must_be_true_then_is_judged() {
    on_both(|database| async move {
        seed(&database).await;
        let placed = |number| {
            let action = database.update(
                "Order",
                key(number),
                Expected::Any,
                &[("Status", text("Placed"))],
                &[],
            );
            let rules = ["", "", "Customer/Orders/all(o:o/Status eq 'Placed')"];
            (action, on(row(&database, "Order", rules, &Denial::Update)))
        };
        let member = Denial::Member("Customer".to_owned());
        let moved = (
            database.update(
                "Order",
                key(12),
                Expected::Any,
                &[],
                &[("Customer", Some(key(1)))],
            ),
            on(row(
                &database,
                "Order",
                ["", "", "Status eq 'Placed'"],
                &member,
            )),
        );
        assert_eq!(
            outcome(write(&database, vec![placed(10), moved.clone()]).await),
            "denied 0 Update"
        );
        assert_eq!(
            outcome(write(&database, vec![moved.clone(), placed(10), placed(12)]).await),
            "done"
        );
        // Rows that are gone by then are not judged.
        let gone = (database.delete("Order", key(12)), Judgement::default());
        let noted = (
            database.update("Order", key(12), Expected::Any, &[("Note", text("y"))], &[]),
            on(row(
                &database,
                "Order",
                ["", "", "Note eq 'z'"],
                &Denial::Update,
            )),
        );
        assert_eq!(
            outcome(write(&database, vec![noted.clone()]).await),
            "denied 0 Update"
        );
        assert_eq!(outcome(write(&database, vec![noted, gone]).await), "done");
        assert_eq!(orders(&database).await, "[(v2 Placed -) (v1 Placed -)]");
    })
    .await;
}

#[tokio::test]
async fn new_rows_are_judged_one_by_one_and_many_at_once() {
    on_both(|database| async move {
        seed(&database).await;
        let create = |number, status: &str, customer, rule: &str| {
            let judged = row(&database, "Order", ["", "", rule], &Denial::Create);
            (order(&database, number, status, customer), on(judged))
        };
        let open = "Customer/Name eq 'open'";
        for rule in [
            "Status eq 'Draft'",
            open,
            "Customer/Orders/any(o:o/Status eq 'Draft' and o/Note eq null)",
        ] {
            assert_eq!(
                outcome(write(&database, vec![create(20, "Draft", 1, rule)]).await),
                "done",
                "{rule}"
            );
            database
                .write(vec![database.delete("Order", key(20))])
                .await
                .unwrap();
        }
        for rule in [
            "Status eq 'Placed'",
            "Customer/Name eq 'closed'",
            "null",
            "1 div 0 eq 1",
        ] {
            let refused = outcome(write(&database, vec![create(20, "Draft", 1, rule)]).await);
            assert!(
                refused.starts_with(if rule.starts_with('1') {
                    "Arithmetic"
                } else {
                    "denied 0"
                }),
                "{refused}"
            );
        }
        // The new row itself is among those that a rule looks at.
        let only = "Customer/Orders/$count eq 1";
        database.customer(3, "new").await;
        assert_eq!(
            outcome(write(&database, vec![create(30, "Draft", 3, only)]).await),
            "done"
        );
        assert_eq!(
            outcome(write(&database, vec![create(31, "Draft", 3, only)]).await),
            "denied 0 Create"
        );
        // Rows with the same demand are judged together, others between them.
        let many = |last: u32| {
            vec![
                create(40, "Draft", 1, open),
                create(41, "Draft", 1, open),
                create(42, "Placed", 2, "Status eq 'Placed'"),
                create(43, "Draft", last, open),
            ]
        };
        assert_eq!(outcome(write(&database, many(2)).await), "denied 3 Create");
        assert_eq!(outcome(write(&database, many(1)).await), "done");
        let rest = vec![
            create(50, "Draft", 2, open),
            create(51, "Draft", 2, open),
            (database.delete("Order", key(43)), Judgement::default()),
        ];
        assert_eq!(outcome(write(&database, rest).await), "denied 0 Create");
        let rows = orders(&database).await;
        assert_eq!(rows.matches("(v").count(), 8, "{rows}");
        // What the database refuses is said as ever.
        let taken = outcome(write(&database, vec![create(40, "Draft", 1, open)]).await);
        assert_eq!(taken, "broken Unique { members: [\"id\"] }");
    })
    .await;
}

#[tokio::test]
async fn a_new_row_comes_back_as_its_creator_sees_it() {
    on_both(|database| async move {
        seed(&database).await;
        let create = async |number, status: &str, visible: &str| {
            let mut query = database.query(
                "Order",
                &["Status", "Note"],
                None,
                Source::Key(vec![id(number)]),
            );
            query.source = Source::Where {
                entity: query.entity,
                from: Box::new(query.source),
                condition: condition(&database, "Order", visible),
            };
            query.selection.masks = vec![stoa_model::query::Mask {
                position: 0,
                condition: condition(&database, "Order", "Status ne 'Placed'"),
            }];
            let rules = ["", "", "Status ne null and Customer/Name eq 'open'"];
            let judged = JudgedChange {
                change: change(vec![order(&database, number, status, 1)]),
                judgements: vec![on(row(&database, "Order", rules, &Denial::Create))],
                actor: None,
            };
            let (_, writer) = database
                .store
                .write(
                    &database.model,
                    Permitted::by_system(judged),
                    Some((Permitted::by_system(query), Text::default())),
                )
                .await
                .unwrap();
            writer.unwrap().0
        };
        for visible in [
            "Note eq null",
            "Customer/Name in ('open','x')",
            "Customer/Orders/any(o:o/Status eq 'Draft')",
        ] {
            for (status, expected) in [("Draft", "(v1 Draft -)"), ("Placed", "(v1 - -)")] {
                assert_eq!(create(20, status, visible).await, expected, "{visible}");
                database
                    .write(vec![database.delete("Order", key(20))])
                    .await
                    .unwrap();
            }
        }
        assert_eq!(create(21, "Draft", "Note ne null").await, "");
        assert_eq!(create(22, "Draft", "Customer/Name eq 'x'").await, "");
    })
    .await;
}

#[tokio::test]
async fn deletes_and_upserts() {
    on_both(|database| async move {
        seed(&database).await;
        let open = "Customer/Name eq 'open'";
        let delete = async |number, rules| {
            let judged = on(row(&database, "Order", rules, &Denial::Delete));
            outcome(
                write(
                    &database,
                    vec![(database.delete("Order", key(number)), judged)],
                )
                .await,
            )
        };
        assert_eq!(delete(12, [open, "", ""]).await, "not found 0");
        assert_eq!(
            delete(11, [open, "Status eq 'Draft'", ""]).await,
            "denied 0 Delete"
        );
        assert_eq!(
            delete(10, [open, "Status eq 'Draft'", "Status eq 'Placed'"]).await,
            "done"
        );
        assert_eq!(delete(10, [open, "", ""]).await, "not found 0");
        let upsert = async |number, visible: &str, inserted: &str| {
            let action = database.upsert(
                "Customer",
                number,
                &[("id", id(number)), ("Name", text("made"))],
                &[("Name", text("changed"))],
            );
            let judgement = Judgement {
                row: row(
                    &database,
                    "Customer",
                    [visible, "", "Name eq 'changed'"],
                    &Denial::Update,
                ),
                inserted: vec![demand(&database, "Customer", inserted, Denial::Create)],
                ..Judgement::default()
            };
            outcome(write(&database, vec![(action, judgement)]).await)
        };
        assert_eq!(
            upsert(1, "Name eq 'closed'", "true").await,
            "denied 0 Update"
        );
        assert_eq!(upsert(1, "Name eq 'open'", "false").await, "done");
        assert_eq!(upsert(5, "true", "Name eq 'x'").await, "denied 0 Create");
        assert_eq!(upsert(5, "false", "Name eq 'made'").await, "done");
        assert_eq!(
            database.rows("Customer", &["Name"], None).await,
            "[(v2 changed) (v1 closed) (v1 made)]"
        );
    })
    .await;
}

#[tokio::test]
async fn only_what_is_seen_is_unlinked_or_replaced() {
    on_both(|database| async move {
        seed(&database).await;
        let lines = [(100, 1), (101, 2), (102, 3)].map(|(number, position)| {
            database.insert(
                "Line",
                &[("id", id(number)), ("Position", Value::Integer(position))],
                &[("Order", Some(key(10)))],
            )
        });
        database.write(lines.to_vec()).await.unwrap();
        let retain = async |keep: u32, rules: [&str; 3]| {
            let action = Action::Retain {
                entity: database.entity("Order"),
                from: key(10),
                navigation: database.navigation("Order", "Lines"),
                keep: vec![vec![id(keep)]],
            };
            let judgement = Judgement {
                other: row(&database, "Line", rules, &Denial::Delete),
                ..Judgement::default()
            };
            outcome(write(&database, vec![(action, judgement)]).await)
        };
        assert_eq!(
            retain(100, ["", "Position lt 3", ""]).await,
            "denied 0 Delete"
        );
        assert_eq!(
            retain(100, ["Position lt 3", "Position lt 3", ""]).await,
            "done"
        );
        assert_eq!(
            database.rows("Line", &["Position"], None).await,
            "[(v1 1) (v1 3)]"
        );
        // Orders of an agent: kept in the orders.
        database
            .write(vec![
                database.insert("Employee", &[("id", id(5)), ("Name", text("e"))], &[]),
                database.link("Employee", 5, "Orders", 10),
                database.link("Employee", 5, "Orders", 11),
            ])
            .await
            .unwrap();
        let unlink = async |to, rules: [&str; 3]| {
            let judgement = Judgement {
                other: row(
                    &database,
                    "Order",
                    rules,
                    &Denial::Member("Agent".to_owned()),
                ),
                ..Judgement::default()
            };
            let action = database.unlink("Employee", 5, "Orders", to);
            outcome(write(&database, vec![(action, judgement)]).await)
        };
        let draft = "Status eq 'Draft'";
        assert_eq!(unlink(Some(11), [draft, "", ""]).await, "not found 0");
        assert_eq!(
            unlink(None, ["", draft, ""]).await,
            "denied 0 Member(\"Agent\")"
        );
        assert_eq!(
            unlink(None, ["", "", "Agent ne null"]).await,
            "denied 0 Member(\"Agent\")"
        );
        assert_eq!(unlink(None, [draft, draft, "Agent eq null"]).await, "done");
        assert_eq!(
            database.rows("Order", &["id"], Some("Agent")).await,
            "[(v3 #10 -) (v2 #11 (v1 #5)) (v1 #12 -)]"
        );
        // A row that is not seen cannot be connected: as if it were not there.
        let link = async |to, rules: [&str; 3]| {
            let judgement = Judgement {
                row: row(
                    &database,
                    "Employee",
                    ["Name eq 'e'", "", ""],
                    &Denial::Update,
                ),
                other: row(
                    &database,
                    "Order",
                    rules,
                    &Denial::Reference("Orders".to_owned()),
                ),
                ..Judgement::default()
            };
            let action = database.link("Employee", 5, "Orders", to);
            outcome(write(&database, vec![(action, judgement)]).await)
        };
        assert_eq!(
            link(12, ["Status eq 'Placed'", "", ""]).await,
            "broken ReferenceMissing { navigation: \"Orders\" }"
        );
        assert_eq!(
            link(12, ["", "", "Agent/Name eq 'f'"]).await,
            "denied 0 Reference(\"Orders\")"
        );
        assert_eq!(link(12, [draft, draft, "Agent/Name eq 'e'"]).await, "done");
    })
    .await;
}

#[tokio::test]
async fn one_of_two_ends_must_allow_a_link() {
    on_both(|database| async move {
        seed(&database).await;
        let judgement = |from: &str, to: &str| Judgement {
            either: Some(Either {
                from: (!from.is_empty()).then(|| condition(&database, "Customer", from)),
                to: (!to.is_empty()).then(|| condition(&database, "Customer", to)),
                denial: Denial::Member("Friends".to_owned()),
            }),
            ..Judgement::default()
        };
        let link = async |from, to| {
            let action = database.link("Customer", 1, "Friends", 2);
            outcome(write(&database, vec![(action, judgement(from, to))]).await)
        };
        let unlink = async |from, to| {
            let action = database.unlink("Customer", 1, "Friends", None);
            outcome(write(&database, vec![(action, judgement(from, to))]).await)
        };
        let denied = "denied 0 Member(\"Friends\")";
        assert_eq!(link("", "").await, denied);
        assert_eq!(link("Name eq 'closed'", "Name eq 'open'").await, denied);
        // Before it holds, after it does not.
        assert_eq!(link("not Friends/any()", "").await, denied);
        assert_eq!(link("Name eq 'open'", "").await, "done");
        assert_eq!(link("", "Name eq 'closed'").await, "done");
        assert_eq!(unlink("Name eq 'x'", "Name eq 'y'").await, denied);
        assert_eq!(unlink("Name eq 'x'", "Name eq 'closed'").await, "done");
        let friends = database.rows("Customer", &[], Some("Friends")).await;
        assert_eq!(friends, "[(v1 []) (v1 [])]");
    })
    .await;
}

#[tokio::test]
async fn rows_that_are_not_seen_are_no_targets() {
    on_both(|database| async move {
        seed(&database).await;
        let update = async |from: &str, customer: &str| {
            let order = Source::Where {
                entity: database.entity("Order"),
                from: Box::new(Source::Key(vec![id(10)])),
                condition: condition(&database, "Order", from),
            };
            let target = Target::Source(Source::Where {
                entity: database.entity("Customer"),
                from: Box::new(Source::Related {
                    entity: database.entity("Order"),
                    from: Box::new(order),
                    navigation: database.navigation("Order", "Customer"),
                    key: None,
                }),
                condition: condition(&database, "Customer", customer),
            });
            let values = [("City", text("Athens"))];
            let action = database.update("Customer", target, Expected::Any, &values, &[]);
            outcome(write(&database, vec![(action, Judgement::default())]).await)
        };
        assert_eq!(update("Status eq 'Placed'", "true").await, "not found 0");
        assert_eq!(
            update("Status eq 'Draft'", "Name eq 'x'").await,
            "not found 0"
        );
        assert_eq!(update("Status eq 'Draft'", "Orders/any()").await, "done");
        assert_eq!(
            database.rows("Customer", &["City"], None).await,
            "[(v2 Athens) (v1 -)]"
        );
    })
    .await;
}

/// Somebody else changes the row between the look at it and the write.
#[tokio::test]
async fn a_row_is_judged_as_it_is_when_it_is_written() {
    let database = Database::postgres().await;
    seed(&database).await;
    let other = database.connect().await;
    other
        .batch_execute("BEGIN; UPDATE \"order\" SET status = 'Placed' WHERE status = 'Draft'")
        .await
        .unwrap();
    let judge = |rules| on(row(&database, "Order", rules, &Denial::Update));
    let draft = "Status eq 'Draft'";
    let values = [("Note", text("late"))];
    let update = database.update("Order", key(10), Expected::Any, &values, &[]);
    let delete = database.delete("Order", key(12));
    let writes = async {
        tokio::join!(
            write(&database, vec![(update, judge(["", draft, ""]))]),
            write(&database, vec![(delete, judge([draft, "", ""]))]),
        )
    };
    let meanwhile = async {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let observer = database.connect().await;
        while observer.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) < 2 {
            tokio::task::yield_now().await;
        }
        other.batch_execute("COMMIT").await.unwrap();
    };
    let ((updated, deleted), ()) = tokio::join!(writes, meanwhile);
    assert_eq!(outcome(updated), "denied 0 Update");
    assert_eq!(outcome(deleted), "not found 0");
    assert_eq!(
        orders(&database).await,
        "[(v1 Placed -) (v1 Placed -) (v1 Placed -)]"
    );
}
