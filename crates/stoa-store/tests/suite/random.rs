//! Random expressions select the same rows on both databases.

use anyhow::Result;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::database::Database;
use crate::rows::{run, seed};

fn number() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        Just("Number".to_owned()),
        Just("Credit".to_owned()),
        Just("Rate".to_owned()),
        Just("length(Email)".to_owned()),
        Just("Orders/$count".to_owned()),
        Just("null".to_owned()),
        (-20_i32..20).prop_map(|number| number.to_string()),
        (-5000_i32..5000, 1_u32..4).prop_map(|(number, scale)| rust_decimal::Decimal::new(
            number.into(),
            scale
        )
        .to_string()),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (
                inner.clone(),
                inner.clone(),
                prop_oneof![Just("add"), Just("sub")]
            )
                .prop_map(|(a, b, operator)| format!("({a} {operator} {b})")),
            (inner.clone(), -9_i32..9).prop_map(|(a, b)| format!("({a} mul {b})")),
            (inner.clone(), 1_u32..99, 0_u32..3).prop_map(|(a, b, scale)| {
                format!(
                    "({a} divby {})",
                    rust_decimal::Decimal::new(b.into(), scale)
                )
            }),
            (
                inner.clone(),
                prop_oneof![Just("3"), Just("-7"), Just("1.5")],
                prop_oneof![Just("div"), Just("mod")]
            )
                .prop_map(|(a, b, operator)| format!("({a} {operator} {b})")),
            (
                inner.clone(),
                prop_oneof![Just("round"), Just("floor"), Just("ceiling")]
            )
                .prop_map(|(a, function)| format!("{function}({a})")),
        ]
    })
    .boxed()
}

fn text() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        Just("Name".to_owned()),
        Just("Email".to_owned()),
        Just("Region/Name".to_owned()),
        Just("Region/Code".to_owned()),
        "[aAnNäÄëZ @.%_]{0,4}".prop_map(|text| format!("'{text}'")),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            (
                inner.clone(),
                prop_oneof![Just("tolower"), Just("toupper"), Just("trim")]
            )
                .prop_map(|(a, function)| format!("{function}({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("concat({a},{b})")),
            (inner, -2_i32..6, -1_i32..5)
                .prop_map(|(a, start, length)| format!("substring({a},{start},{length})")),
        ]
    })
    .boxed()
}

fn condition() -> BoxedStrategy<String> {
    let comparison = || {
        prop_oneof![
            Just("eq"),
            Just("ne"),
            Just("lt"),
            Just("le"),
            Just("gt"),
            Just("ge")
        ]
    };
    let leaf = prop_oneof![
        3 => (number(), comparison(), number()).prop_map(|(a, operator, b)| format!("{a} {operator} {b}")),
        3 => (text(), comparison(), text()).prop_map(|(a, operator, b)| format!("{a} {operator} {b}")),
        2 => (text(), text(), prop_oneof![Just("contains"), Just("startswith"), Just("endswith")])
            .prop_map(|(a, b, function)| format!("{function}({a},{b})")),
        1 => (text(), text()).prop_map(|(a, b)| format!("indexof({a},{b}) gt 0")),
        1 => (text(), prop_oneof![Just("null"), Just("'Anna'")], prop_oneof![Just("eq"), Just("ne")])
            .prop_map(|(a, b, operator)| format!("{a} {operator} {b}")),
        1 => Just("Active".to_owned()),
        1 => Just("Email in ('a@x.org',null)".to_owned()),
        1 => Just("Credit in (10.5,-3.250,7)".to_owned()),
        1 => (0_u32..120).prop_map(|total| format!("Orders/any(o:o/Total gt {total} and o/Customer/Rate gt 0)")),
        1 => (0_u32..120).prop_map(|total| format!("Orders/all(o:o/Total lt {total})")),
    ];
    leaf.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|a| format!("not ({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} and {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
            (inner, any::<bool>()).prop_map(|(a, value)| format!("(({a}) eq {value})")),
        ]
    })
    .boxed()
}

/// Numbers of the rows, or why there are none.
async fn answer(database: &Database, filter: &str) -> Option<String> {
    let mut query = database.query("Customer");
    // What the binder refuses never reaches the store.
    query.filter = Some(database.filter("Customer", filter).ok()?);
    query.selection.attributes.truncate(1);
    Some(match run(database, &query).await {
        Ok(recorder) => recorder.root.to_string(),
        Err(error) => format!("{error:?}"),
    })
}

#[test]
fn random_expressions_mean_the_same_on_both_databases() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (sqlite, postgres) = runtime.block_on(async {
        let (sqlite, postgres) = (Database::sqlite().await?, Database::postgres().await?);
        seed(&sqlite).await?;
        seed(&postgres).await?;
        Ok::<_, anyhow::Error>((sqlite, postgres))
    })?;
    let accepted = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&condition(), |filter| {
        let (first, second) = runtime.block_on(async {
            (
                answer(&sqlite, &filter).await,
                answer(&postgres, &filter).await,
            )
        });
        if let Some(text) = &first {
            accepted.set(accepted.get() + 1);
            prop_assert!(!text.contains("Internal"), "{}", text);
        }
        prop_assert_eq!(first, second, "{}", filter);
        Ok(())
    });
    runtime.block_on(async move { drop((sqlite, postgres)) });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    assert!(
        accepted.get() > 200,
        "the binder refused nearly everything: {}",
        accepted.get()
    );
    Ok(())
}
