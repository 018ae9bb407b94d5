//! What an identity costs: processor time and time of a write with one, as a share of those without.
//!
//! `cargo nextest run --release -p stoa-store --run-ignored only -E 'test(cost)' --no-capture`

use std::sync::Arc;
use std::time::{Duration, Instant};

use stoa_model::access::Permitted;
use stoa_model::change::{Action, Expected};
use stoa_model::query::Source;
use stoa_model::value::Value;
use stoa_store::{Dialect, RequestIdentity};
use uuid::Uuid;

use crate::database::{Database, Text, by_system, on_both, text};

const ROUNDS: usize = 12;
const WRITES: usize = 300;

/// Processor time that processes have used; those that have ended count no more.
fn processor_time(processes: &[u32]) -> f64 {
    let of = |process: &u32| -> Option<f64> {
        let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // Behind the name: user and system time are the 12th and 13th, in hundredths of a second.
        let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
        let hundredths: f64 = fields[11..13]
            .iter()
            .filter_map(|field| field.parse::<f64>().ok())
            .sum();
        Some(hundredths / 100.0)
    };
    processes.iter().filter_map(of).sum()
}

async fn processes(database: &Database) -> Vec<u32> {
    let mut processes = vec![std::process::id()];
    if database.store.dialect() == Dialect::Postgres {
        let client = database.connect().await;
        let sessions = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let rows = client.query(sessions, &[]).await.unwrap();
        processes.extend(rows.iter().map(|row| row.get::<_, i32>(0).unsigned_abs()));
    }
    processes
}

async fn write(database: &Database, action: Action, key: &Value, reads: bool, once: bool) {
    let reread = reads.then(|| {
        let query = database.query("Line", &["Position"], None, Source::Key(vec![key.clone()]));
        (Permitted::by_system(query), Text::default())
    });
    let identity = once.then(|| RequestIdentity {
        id: Uuid::now_v7(),
        owner: Uuid::from_u128(1),
        fingerprint: [7; 32],
        root: 0,
    });
    database
        .store
        .write_once(
            &database.model,
            &Arc::new(by_system(vec![action])),
            reread,
            identity,
        )
        .await
        .unwrap();
}

/// Inserts (that come back), then changes with an entity tag: time and processor time of each kind.
async fn round(database: &Database, once: bool, processes: &[u32]) -> [(Duration, f64); 2] {
    let order = crate::database::key(1);
    let ids: Vec<Value> = (0..WRITES).map(|_| Value::Uuid(Uuid::now_v7())).collect();
    let (begun, before) = (Instant::now(), processor_time(processes));
    for id in &ids {
        let values = [("id", id.clone()), ("Position", Value::Integer(1))];
        let insert = database.insert("Line", &values, &[("Order", Some(order.clone()))]);
        write(database, insert, id, true, once).await;
    }
    let inserts = (begun.elapsed(), processor_time(processes) - before);
    let (begun, before) = (Instant::now(), processor_time(processes));
    for id in &ids {
        let update = database.update(
            "Line",
            stoa_model::change::Target::Key(vec![id.clone()]),
            Expected::OneOf(vec![1]),
            &[("Position", Value::Integer(2))],
            &[],
        );
        write(database, update, id, false, once).await;
    }
    [
        inserts,
        (begun.elapsed(), processor_time(processes) - before),
    ]
}

#[tokio::test]
#[ignore = "a measurement"]
async fn the_cost_of_an_identity() {
    on_both(|database| async move {
        database.customer(1, "a").await;
        let order = database.insert(
            "Order",
            &[("id", crate::database::id(1)), ("Status", text("Draft"))],
            &[("Customer", Some(crate::database::key(1)))],
        );
        database.write(vec![order]).await.unwrap();
        for once in [false, true] {
            let _ = round(&database, once, &[]).await;
        }
        let processes = processes(&database).await;
        let mut sums = [[(0.0, 0.0); 2]; 2];
        for _ in 0..ROUNDS {
            for once in [false, true] {
                let measured = round(&database, once, &processes).await;
                for (sum, (time, processor)) in sums[usize::from(once)].iter_mut().zip(measured) {
                    sum.0 += time.as_secs_f64();
                    sum.1 += processor;
                }
            }
        }
        let [without, with] = sums;
        let number = (ROUNDS * WRITES) as f64;
        for (kind, (without, with)) in ["insert", "update"].iter().zip(without.iter().zip(&with)) {
            eprintln!(
                "{:?} {kind}: {:.0} → {:.0} µs ({:.2}×), processor {:.0} → {:.0} µs ({:.2}×)",
                database.store.dialect(),
                without.0 / number * 1e6,
                with.0 / number * 1e6,
                with.0 / without.0,
                without.1 / number * 1e6,
                with.1 / number * 1e6,
                with.1 / without.1,
            );
        }
    })
    .await;
}
