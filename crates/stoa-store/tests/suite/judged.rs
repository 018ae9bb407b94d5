//! What the access layer puts into queries: hidden values, conditions on rows and targets.

use anyhow::Result;
use serde_json::json;
use stoa_model::expression::{Expression, Quantifier, Variable};
use stoa_model::query::{Mask, OrderTerm, Source};
use stoa_model::value::Value;

use crate::database::Database;
use crate::recorder::{Recorder, column};
use crate::rows::{permitted, run, seed};

/// The value where the condition holds, else null.
fn seen(
    database: &Database,
    entity: &str,
    condition: &str,
    what: Expression,
) -> Result<Expression> {
    Ok(Expression::If {
        condition: Box::new(database.filter(entity, condition)?),
        then: Box::new(what),
    })
}

fn value(database: &Database, entity: &str, text: &str) -> Result<Expression> {
    Ok(database.order(entity, text)?.remove(0).expression)
}

/// The condition with `then` in the place of the attribute that it compares.
fn with_left(condition: Expression, left: Expression) -> Expression {
    match condition {
        Expression::Compare {
            operator, right, ..
        } => Expression::Compare {
            operator,
            left: Box::new(left),
            right,
        },
        Expression::In { list, .. } => Expression::In {
            left: Box::new(left),
            list,
        },
        Expression::Call {
            function,
            mut arguments,
            scalar_type,
        } => {
            arguments[0] = left;
            Expression::Call {
                function,
                arguments,
                scalar_type,
            }
        }
        Expression::Or(conditions) => Expression::Or(
            conditions
                .into_iter()
                .map(|condition| with_left(condition, left.clone()))
                .collect(),
        ),
        other => panic!("{other:?}"),
    }
}

async fn found(database: &Database, filter: Expression) -> Result<Vec<i64>> {
    let mut query = database.query("Customer");
    query.filter = Some(filter);
    let rows = column(&run(database, &query).await?.root, "Number");
    let counted = database
        .store
        .count(&database.model, &permitted(&query))
        .await?;
    assert_eq!(counted.rows, rows.len() as u64);
    Ok(rows.iter().filter_map(serde_json::Value::as_i64).collect())
}

fn key(number: i64) -> Source {
    Source::Key(vec![Value::Integer(number)])
}

fn visible(database: &Database, entity: &str, from: Source, condition: &str) -> Result<Source> {
    Ok(Source::Where {
        entity: database.entity(entity).id,
        from: Box::new(from),
        condition: database.filter(entity, condition)?,
    })
}

fn related(database: &Database, entity: &str, from: Source, navigation: &str) -> Source {
    let entity = database.entity(entity);
    Source::Related {
        entity: entity.id,
        from: Box::new(from),
        navigation: entity.navigations_by_name[navigation],
        key: None,
    }
}

on_both! {
    async fn a_hidden_value_compares_as_null(database: &Database) -> Result<()> {
        seed(database).await?;
        // E-mail addresses are seen of customers in the North: 1 and 4.
        let email = || seen(database, "Customer", "Region/Name eq 'North'", value(database, "Customer", "Email")?);
        for (condition, expected) in [
            ("Email eq 'a@x.org'", vec![1]),
            ("Email eq 'Z@X.org'", vec![]),
            ("Email ne 'Z@X.org'", vec![1, 2, 3, 4, 5]),
            ("Email ne null", vec![1, 4]),
            ("Email eq null", vec![2, 3, 5]),
            ("Email ge ''", vec![1, 4]),
            ("Email in ('a@x.org','Z@X.org')", vec![1]),
            ("Email in ('a@x.org',null)", vec![1, 2, 3, 5]),
            ("contains(Email,'.org')", vec![1]),
        ] {
            let condition = || Ok::<_, anyhow::Error>(with_left(database.filter("Customer", condition)?, email()?));
            assert_eq!(found(database, condition()?).await?, expected, "{:?}", condition()?);
            let others: Vec<i64> = (1..=5).filter(|number| !expected.contains(number)).collect();
            let holds = Expression::Not(Box::new(Expression::Holds(Box::new(condition()?))));
            assert_eq!(found(database, holds).await?, others, "not {:?}", condition()?);
        }
        // Null is neither: a hidden yes or no.
        let active = || seen(database, "Customer", "Number ge 2", database.filter("Customer", "Active")?);
        assert_eq!(found(database, active()?).await?, [4]);
        assert_eq!(found(database, Expression::Not(Box::new(active()?))).await?, [2, 5]);
        let mut query = database.query("Customer");
        query.order.insert(0, OrderTerm { expression: email()?, descending: true });
        let rows = run(database, &query).await?;
        assert_eq!(column(&rows.root, "Number"), [json!(1), json!(4), json!(2), json!(3), json!(5)]);
        // Going on after a hidden value.
        query.limit = 2;
        query.paged = true;
        let first = run(database, &query).await?;
        query.after = first.next;
        let second = run(database, &query).await?;
        assert_eq!(column(&second.root, "Number"), [json!(2), json!(3)]);
        Ok(())
    }

    async fn masked_values_are_null(database: &Database) -> Result<()> {
        seed(database).await?;
        let mut query = database.query("Customer");
        let email = query.selection.attributes.iter()
            .position(|id| database.entity("Customer")[*id].name == "Email").unwrap();
        query.selection.masks = vec![
            Mask { position: 0, condition: database.filter("Customer", "Number ne 3")? },
            Mask { position: email, condition: database.filter("Customer", "Region/Name eq 'South' or Orders/any(o:o/Status eq 'Draft')")? },
        ];
        let mut orders = database.expand("Customer", "Orders", 1);
        orders.selection.masks = vec![Mask { position: 1, condition: database.filter("Order", "Total gt 60")? }];
        let mut customer = database.expand("Order", "Customer", 2);
        customer.selection.masks = vec![Mask { position: 1, condition: database.filter("Customer", "Region/Code eq 'N'")? }];
        orders.selection.expands = vec![customer];
        query.selection.expands = vec![orders];
        let rows = run(database, &query).await?;
        assert_eq!(column(&rows.root, "Number"), [json!(1), json!(2), json!(null), json!(4), json!(5)]);
        assert_eq!(column(&rows.root, "Email"), [json!("a@x.org"), json!(null), json!("Z@X.org"), json!(null), json!(null)]);
        let orders = &rows.root[0]["Orders"];
        assert_eq!(column(orders, "Status"), [json!("Placed"), json!(null)]);
        assert_eq!(orders[0]["Customer"]["Name"], json!("Anna"));
        assert_eq!(rows.root[2]["Orders"][0]["Customer"]["Name"], json!(null));
        assert_eq!(rows.root[2]["Orders"][0]["Customer"]["Number"], json!(3));
        Ok(())
    }

    async fn targets_that_may_not_be_seen_are_not_there(database: &Database) -> Result<()> {
        seed(database).await?;
        let mut query = database.query("Order");
        let mut customer = database.expand("Order", "Customer", 1);
        customer.condition = Some(database.filter("Order", "Number ne 11")?);
        customer.filter = Some(database.filter("Customer", "Region/Name eq 'North'")?);
        let mut region = database.expand("Customer", "Region", 2);
        region.condition = Some(database.filter("Customer", "Number ne 4")?);
        let mut friends = database.expand("Customer", "Friends", 3);
        friends.condition = Some(database.filter("Customer", "Name eq 'Anna'")?);
        friends.filter = Some(database.filter("Customer", "Region/Code eq 'S'")?);
        friends.count = true;
        let mut number = database.expand("Customer", "Orders", 4);
        number.count_only = true;
        number.condition = Some(database.filter("Customer", "Number eq 1")?);
        number.filter = Some(database.filter("Order", "Customer/Region/Name eq 'North' and Status eq 'Draft'")?);
        customer.selection.expands = vec![region, friends, number];
        query.selection.expands = vec![customer];
        for limit in [1000, 10] {
            query.selection.expands[0].selection.expands[1].limit = limit;
            let rows = run(database, &query).await?;
            let customers = column(&rows.root, "Customer");
            assert_eq!(customers[0]["Name"], json!("Anna"));
            assert_eq!(customers[1], json!(null));
            assert_eq!(customers[2], json!(null));
            assert_eq!(customers[3]["Number"], json!(4));
            assert_eq!(customers[0]["Region"]["Code"], json!("N"));
            assert_eq!(customers[3]["Region"], json!(null));
            assert_eq!(column(&customers[0]["Friends"], "Number"), [json!(3)]);
            assert_eq!(customers[0]["Friends@count"], json!(1));
            assert_eq!(customers[3]["Friends"], json!([]));
            assert_eq!(customers[3]["Friends@count"], json!(0));
            assert_eq!(customers[0]["Orders"], json!(1));
            assert_eq!(customers[3]["Orders"], json!(0));
        }
        Ok(())
    }

    async fn rows_that_may_not_be_seen_lead_nowhere(database: &Database) -> Result<()> {
        seed(database).await?;
        let orders = async |source: Source| -> Result<(Vec<serde_json::Value>, bool)> {
            let mut query = database.query("Order");
            query.source = source;
            query.count = true;
            let permitted = permitted(&query);
            let read = database.store.read(&database.model, &permitted, Recorder::new(&database.model, &query)).await?;
            let counted = database.store.count(&database.model, &permitted).await?;
            assert_eq!((counted.rows, counted.source_found), (read.rows, read.source_found));
            Ok((column(&read.writer.root, "Number"), read.source_found))
        };
        let of = |condition: &str| -> Result<Source> {
            Ok(related(database, "Customer", visible(database, "Customer", key(1), condition)?, "Orders"))
        };
        assert_eq!(orders(of("Region/Name eq 'North'")?).await?, (vec![json!(10), json!(11)], true));
        assert_eq!(orders(of("Region/Name eq 'South'")?).await?, (vec![], false));
        let drafts = visible(database, "Order", of("Active")?, "Status eq 'Draft'")?;
        assert_eq!(orders(drafts).await?, (vec![json!(11)], true));
        let none = visible(database, "Order", of("Active")?, "Status eq 'Archived'")?;
        assert_eq!(orders(none).await?, (vec![], true));
        let all = visible(database, "Order", Source::All, "Customer/Region/Name eq 'North' or Status eq 'Archived'")?;
        assert_eq!(orders(all).await?, (vec![json!(10), json!(11), json!(12), json!(13)], true));
        // Order 10 → its customer → friends → their orders, each step only if the row is seen.
        let path = |customer: &str, friend: &str| -> Result<Source> {
            let order = visible(database, "Order", key(10), "Total gt 1")?;
            let customer = visible(database, "Customer", related(database, "Order", order, "Customer"), customer)?;
            let friends = visible(database, "Customer", related(database, "Customer", customer, "Friends"), friend)?;
            Ok(related(database, "Customer", friends, "Orders"))
        };
        assert_eq!(orders(path("Active", "true")?).await?, (vec![json!(12), json!(13)], true));
        assert_eq!(orders(path("Active", "Region/Code eq 'S'")?).await?, (vec![json!(12)], true));
        assert_eq!(orders(path("not Active", "true")?).await?, (vec![], false));
        Ok(())
    }

    async fn a_row_as_one_of_its_specialisations(database: &Database) -> Result<()> {
        seed(database).await?;
        let manager = database.entity("Manager");
        let inner = |text: &str| -> Result<Expression> {
            // The same condition, said of another variable.
            fn renamed(expression: Expression) -> Expression {
                match expression {
                    Expression::Attribute { path, entity, attribute, scalar_type, .. } =>
                        Expression::Attribute { from: Variable(7), path, entity, attribute, scalar_type },
                    Expression::Compare { operator, left, right } => Expression::Compare {
                        operator, left: Box::new(renamed(*left)), right: Box::new(renamed(*right)),
                    },
                    Expression::Lambda { quantifier, path, entity, variable, condition, .. } =>
                        Expression::Lambda { quantifier, from: Variable(7), path, entity, variable, condition },
                    other => other,
                }
            }
            Ok(renamed(database.filter("Manager", text)?))
        };
        let typed = |text: &str| -> Result<Expression> {
            Ok(Expression::AsType {
                from: stoa_model::query::ROW,
                path: Vec::new(),
                entity: manager.id,
                variable: Variable(7),
                condition: Box::new(inner(text)?),
            })
        };
        let people = async |filter: Expression| -> Result<Vec<serde_json::Value>> {
            let mut query = database.query("Person");
            query.filter = Some(filter);
            Ok(column(&run(database, &query).await?.root, "Number"))
        };
        assert_eq!(people(typed("Budget gt 1")?).await?, [json!(1), json!(2)]);
        assert_eq!(people(Expression::Not(Box::new(typed("Budget gt 1")?))).await?, [json!(3), json!(4)]);
        assert_eq!(people(typed("Boss/Name eq 'Eva'")?).await?, [json!(2)]);
        assert!(matches!(inner("Reports/any(r:r/Name eq 'Pia')")?, Expression::Lambda { quantifier: Quantifier::Any, .. }));
        assert_eq!(people(typed("Reports/any(r:r/Name eq 'Pia')")?).await?, [json!(2)]);
        Ok(())
    }
}
