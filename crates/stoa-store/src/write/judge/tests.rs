//! The text of judgements.

use std::sync::Arc;

use futures_util::FutureExt;
use stoa_model::access::JudgedChange;
use stoa_model::change::{Action, Change, Operation, Reference, Target};
use stoa_model::expression::bind::Binder;
use stoa_model::expression::syntax;
use stoa_model::model::Model;
use uuid::Uuid;

use super::*;

const MODEL: &str = r#"
[entity.Customer.attributes]
Name = { type = "String", length = 40, required = true }
[entity.Customer.associations]
Friends = { to = "Customer", many_to_many = true, inverse = "FriendOf" }
[entity.Order.attributes]
Note = { type = "String", length = 40 }
[entity.Order.associations]
Customer = { to = "Customer", required = true, inverse = "Orders" }
"#;

/// Is never asked anything.
struct Silent(Dialect);

impl Connection for Silent {
    fn dialect(&self) -> Dialect {
        self.0
    }
    async fn query(&mut self, statement: Statement) -> Result<Vec<Row>, Failure> {
        panic!("{}", statement.sql)
    }
    async fn several(
        &mut self,
        statements: Vec<Statement>,
    ) -> Result<Vec<Result<Vec<Row>, Failure>>, Failure> {
        panic!("{statements:?}")
    }
    async fn all(&mut self, statements: Vec<Statement>) -> Result<(), Failure> {
        panic!("{statements:?}")
    }
    async fn mark(&mut self) -> Result<(), Failure> {
        panic!("a mark")
    }
    async fn back(&mut self) -> Result<(), Failure> {
        panic!("a mark")
    }
}

fn model() -> Arc<Model> {
    Arc::new(Model::from_text("test", MODEL).unwrap_or_else(|faults| panic!("{faults:?}")))
}

fn condition(model: &Model, entity: &str, text: &str) -> Expression {
    let node = syntax::parse(text, syntax::Limits::default()).unwrap();
    Binder::new(model, model.entities_by_name[entity])
        .boolean(&node)
        .unwrap()
}

fn demand(model: &Model, entity: &str, text: &str) -> Demand {
    Demand {
        condition: condition(model, entity, text),
        denial: Denial::Update,
    }
}

fn id(number: u128) -> Vec<Value> {
    vec![Value::Uuid(Uuid::from_u128(number))]
}

/// Does something with an engine of each database; gives its lines.
fn on_both(work: impl Fn(&Engine<'_, Silent>) -> Vec<String>) -> String {
    let model = model();
    let change = JudgedChange::default();
    let mut lines = Vec::new();
    for dialect in [Dialect::Postgres, Dialect::Sqlite] {
        let mut connection = Silent(dialect);
        let engine = Engine::new(&model, &mut connection, &change);
        lines.extend(work(&engine));
    }
    lines.join("\n")
}

#[test]
fn a_row_is_locked_and_judged() {
    let text = on_both(|engine| {
        let order = &engine.model[engine.model.entities_by_name["Order"]];
        let row = RowJudgement {
            visible: Some(condition(engine.model, "Order", "Customer/Name eq 'a'")),
            before: vec![demand(engine.model, "Order", "Note eq null or Note eq 'b'")],
            after: Vec::new(),
        };
        let key = id(1);
        let which = Which::Key(&key);
        let lock = engine.lock(order, which, Lock::Change);
        let verdicts = engine.verdicts(order, which, &row, None).unwrap();
        lock.into_iter()
            .chain([verdicts])
            .map(|statement| statement.sql)
            .collect()
    });
    insta::assert_snapshot!(text, @r#"
    SELECT 1 FROM "order" WHERE "id" = $1 FOR NO KEY UPDATE
    SELECT t0."id", (t1."name" = $1) IS TRUE, ((t0."note" IS NULL OR t0."note" = $2)) IS TRUE FROM "order" AS t0 LEFT JOIN "customer" AS t1 ON t1."id" = t0."customer_id" WHERE t0."id" = $3
    SELECT t0."id", (t1."name" = ?1) IS TRUE, ((t0."note" IS NULL OR t0."note" = ?2)) IS TRUE FROM "order" AS t0 LEFT JOIN "customer" AS t1 ON t1."id" = t0."customer_id" WHERE t0."id" = ?3
    "#);
}

#[test]
fn targets_are_judged_together() {
    let text = on_both(|engine| {
        let customer = &engine.model[engine.model.entities_by_name["Customer"]];
        let order = &engine.model[engine.model.entities_by_name["Order"]];
        let row = RowJudgement {
            visible: Some(condition(engine.model, "Order", "Note ne null")),
            ..RowJudgement::default()
        };
        let (key, keep) = (id(1), [id(2)]);
        let orders = Which::Targets {
            entity: customer.id,
            navigation: customer.navigations_by_name["Orders"],
            key: &key,
            keep: &keep,
        };
        let friends = Which::Targets {
            entity: customer.id,
            navigation: customer.navigations_by_name["Friends"],
            key: &key,
            keep: &[],
        };
        let also = condition(engine.model, "Customer", "Name eq 'a'");
        let none = RowJudgement::default();
        let judged = engine.verdicts(order, orders, &row, None).unwrap();
        let both = engine
            .verdicts(customer, friends, &none, Some(&also))
            .unwrap();
        engine
            .lock(order, orders, Lock::Delete)
            .into_iter()
            .chain([judged, both])
            .map(|statement| statement.sql)
            .collect()
    });
    insta::assert_snapshot!(text, @r#"
    SELECT 1 FROM "order" WHERE "customer_id" = $1 AND NOT ("id" = $2) ORDER BY "id" FOR UPDATE
    SELECT t0."id", (t0."note" IS NOT NULL) IS TRUE FROM "order" AS t0 WHERE t0."customer_id" = $1 AND NOT (t0."id" = $2)
    SELECT t0."id", (t0."name" = $1) IS TRUE FROM "customer" AS t0 WHERE (t0."id") IN (SELECT "friends_id" FROM "customer_friends" WHERE "customer_id" = $2)
    SELECT t0."id", (t0."note" IS NOT NULL) IS TRUE FROM "order" AS t0 WHERE t0."customer_id" = ?1 AND NOT (t0."id" = ?2)
    SELECT t0."id", (t0."name" = ?1) IS TRUE FROM "customer" AS t0 WHERE (t0."id") IN (SELECT "friends_id" FROM "customer_friends" WHERE "customer_id" = ?2)
    "#);
}

#[test]
fn afterwards_only_rows_that_do_not_comply_are_named() {
    let model = model();
    let demands = [
        demand(&model, "Order", "Customer/Name eq 'a'"),
        demand(&model, "Order", "Note eq 'b'"),
    ];
    let change = JudgedChange::default();
    let mut lines = Vec::new();
    for dialect in [Dialect::Postgres, Dialect::Sqlite] {
        let mut connection = Silent(dialect);
        let mut engine = Engine::new(&model, &mut connection, &change);
        for number in 0..2 {
            let order = model.entities_by_name["Order"];
            engine.judge_later(0, order, &id(number), &demands);
        }
        let pending = std::mem::take(&mut engine.pending);
        for group in engine.groups(&pending) {
            lines.push(engine.failing(group).unwrap().sql);
            lines.push(engine.stopping(group).unwrap().sql);
        }
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    SELECT t0."id", (t1."name" = $1) IS TRUE, (t0."note" = $2) IS TRUE FROM "order" AS t0 LEFT JOIN "customer" AS t1 ON t1."id" = t0."customer_id" WHERE t0."id" = ANY($3::uuid[]) AND NOT ((t1."name" = $1) IS TRUE AND (t0."note" = $2) IS TRUE)
    SELECT 1 / (CASE WHEN EXISTS (SELECT 1 FROM "order" AS t0 LEFT JOIN "customer" AS t1 ON t1."id" = t0."customer_id" WHERE t0."id" = ANY($3::uuid[]) AND NOT ((t1."name" = $1) IS TRUE AND (t0."note" = $2) IS TRUE)) THEN 0 ELSE 1 END)
    SELECT t0."id", (t1."name" = ?1) IS TRUE, (t0."note" = ?2) IS TRUE FROM "order" AS t0 LEFT JOIN "customer" AS t1 ON t1."id" = t0."customer_id" WHERE t0."id" = ?3 AND NOT ((t1."name" = ?1) IS TRUE AND (t0."note" = ?2) IS TRUE)
    SELECT 1 / (CASE WHEN EXISTS (SELECT 1 FROM "order" AS t0 LEFT JOIN "customer" AS t1 ON t1."id" = t0."customer_id" WHERE t0."id" = ?3 AND NOT ((t1."name" = ?1) IS TRUE AND (t0."note" = ?2) IS TRUE)) THEN 0 ELSE 1 END)
    SELECT t0."id", (t1."name" = ?1) IS TRUE, (t0."note" = ?2) IS TRUE FROM "order" AS t0 LEFT JOIN "customer" AS t1 ON t1."id" = t0."customer_id" WHERE t0."id" = ?3 AND NOT ((t1."name" = ?1) IS TRUE AND (t0."note" = ?2) IS TRUE)
    SELECT 1 / (CASE WHEN EXISTS (SELECT 1 FROM "order" AS t0 LEFT JOIN "customer" AS t1 ON t1."id" = t0."customer_id" WHERE t0."id" = ?3 AND NOT ((t1."name" = ?1) IS TRUE AND (t0."note" = ?2) IS TRUE)) THEN 0 ELSE 1 END)
    "#);
}

#[test]
fn one_new_row_judges_itself() {
    let model = model();
    let order = &model[model.entities_by_name["Order"]];
    let insert = |rule: &str| JudgedChange {
        change: Change {
            operations: vec![Operation {
                location: String::new(),
                action: Action::Insert {
                    entity: order.id,
                    values: vec![(order.key[0], id(1).remove(0))],
                    references: vec![Reference {
                        navigation: order.navigations_by_name["Customer"],
                        to: Some(Target::Key(id(2))),
                    }],
                },
            }],
        },
        judgements: vec![Judgement {
            row: RowJudgement {
                after: vec![demand(&model, "Order", rule)],
                ..RowJudgement::default()
            },
            ..Judgement::default()
        }],
        actor: None,
    };
    let statement = |rule: &str| {
        let change = insert(rule);
        let mut connection = Silent(Dialect::Postgres);
        let mut engine = Engine::new(&model, &mut connection, &change);
        let statement = engine
            .statement_returning(&change.change, None, None)
            .now_or_never()
            .unwrap()
            .unwrap();
        statement.map(|statement| statement.sql)
    };
    let own = statement("Note eq null").unwrap();
    let path = statement("Customer/Name eq 'a' or Note eq 'b'").unwrap();
    insta::assert_snapshot!(format!("{own}\n{path}"), @r#"
    INSERT INTO "order" AS t0 ("id", "customer_id", "_version", "_created_at", "_changed_at") VALUES ($1, $2, $3, $4, $5) RETURNING 1 / (CASE WHEN (t0."note" IS NULL) IS TRUE THEN 1 ELSE 0 END)
    INSERT INTO "order" AS t0 ("id", "customer_id", "_version", "_created_at", "_changed_at") VALUES ($3, $4, $5, $6, $7) RETURNING 1 / (CASE WHEN (SELECT (t1."name" = $1 OR t0."note" = $2) FROM "customer" AS t1 WHERE t1."id" = t0."customer_id") IS TRUE THEN 1 ELSE 0 END)
    "#);
    // The statement that inserts a row does not see it among others.
    assert_eq!(statement("Customer/Orders/$count eq 1"), None);
}
