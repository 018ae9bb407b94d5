//! Any structure becomes any other one, and is then what a fresh database would have.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::build::{Database, NAME, postgres, sqlite, structure, table};
use crate::structure::{DeleteRule, Fill, Structure};
use crate::{Kind, Options};

/// Name, kind, required, unique.
type WantedColumn = (u8, u8, bool, bool);

#[derive(Clone, Debug)]
struct Wanted {
    tables: Vec<Option<Vec<WantedColumn>>>,
}

/// Up to four entities with up to five attributes each: (name, kind, required, unique).
fn wanted() -> impl Strategy<Value = Wanted> {
    let attribute = (0..5_u8, 0..8_u8, any::<bool>(), any::<bool>());
    let entity = proptest::option::weighted(0.7, proptest::collection::vec(attribute, 0..5));
    proptest::collection::vec(entity, 4).prop_map(|tables| Wanted { tables })
}

fn built(wanted: &Wanted) -> Structure {
    let mut tables = Vec::new();
    for (number, attributes) in wanted.tables.iter().enumerate() {
        let Some(attributes) = attributes else {
            continue;
        };
        let mut table = table(&format!("E{number}"));
        for (name, kind, required, unique) in attributes {
            let member = format!("A{name}");
            let column = member.to_lowercase();
            if table.columns.iter().any(|other| other.member == member) {
                continue;
            }
            let target = wanted.tables.iter().position(Option::is_some).unwrap();
            let (kind, fill) = match kind {
                0 => (NAME, Fill::Value("x".to_owned())),
                1 => (Kind::Integer, Fill::Value("1".to_owned())),
                2 => (Kind::Long, Fill::Value("2".to_owned())),
                3 => (
                    Kind::Decimal {
                        precision: 9,
                        scale: 3,
                    },
                    Fill::Value("3".to_owned()),
                ),
                4 => (Kind::Date, Fill::Now),
                5 => (Kind::DateTime, Fill::Now),
                6 => (Kind::AutoNumber, Fill::Number),
                _ => {
                    table = table.refers(&member, &format!("e{target}"), DeleteRule::SetNull);
                    continue;
                }
            };
            let is_numbered = kind == Kind::AutoNumber;
            table = table.with(&member, kind).fill(fill);
            if *required || is_numbered {
                table = table.required();
            }
            if *unique {
                table = table.index(true, &[&column]);
            }
        }
        tables.push(table);
    }
    structure(tables)
}

async fn becomes(database: Database, fresh: Database, first: &Structure, second: &Structure) {
    // A database that never had anything has no ledger to look at.
    if second.tables.is_empty() {
        return;
    }
    database.apply(first).await.unwrap();
    let options = Options {
        allow_data_loss: true,
        ..Options::default()
    };
    for table in &first.tables {
        // One row each, so that nothing is duplicate: required columns have their values' defaults.
        let columns: Vec<&crate::structure::Column> = table
            .columns
            .iter()
            .filter(|column| !column.nullable && column.kind != Kind::AutoNumber)
            .collect();
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let values: Vec<String> = columns
            .iter()
            .map(|column| match column.fill.as_ref().unwrap() {
                Fill::Value(text) => column.kind.literal(database.dialect(), text),
                Fill::Now => column.kind.now(database.dialect()),
                _ => super::build::key(database.dialect(), 1),
            })
            .collect();
        let numbered = table
            .columns
            .iter()
            .filter(|column| column.kind == Kind::AutoNumber);
        let (mut names, mut values) = (names.join(", "), values.join(", "));
        for column in numbered {
            names.push_str(&format!(", {}", column.name));
            values.push_str(", 1");
        }
        database
            .execute(&format!(
                "INSERT INTO {} ({names}) VALUES ({values})",
                table.name
            ))
            .await;
    }
    database.apply_with(second, options.clone()).await.unwrap();
    fresh.apply(second).await.unwrap();
    assert_eq!(database.introspect().await, fresh.introspect().await);
    assert!(
        database
            .apply_with(second, options)
            .await
            .unwrap()
            .steps
            .is_empty()
    );
}

fn run(cases: u32, database: impl Fn(&tokio::runtime::Runtime) -> Database) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&(wanted(), wanted()), |(first, second)| {
            let (first, second) = (built(&first), built(&second));
            let (database, fresh) = (database(&runtime), database(&runtime));
            runtime.block_on(becomes(database, fresh, &first, &second));
            Ok(())
        })
        .unwrap();
}

#[test]
fn any_structure_becomes_any_other_on_sqlite() {
    run(80, |_| sqlite());
}

#[test]
fn any_structure_becomes_any_other_on_postgres() {
    run(15, |runtime| runtime.block_on(postgres()));
}
