//! The limit of the benchmarks on SQLite: the SQL of a workload in one thread, prepared once, every column
//! read, without HTTP and JSON. Prints a JSON object.
//!
//! `sqlite_limit DATABASE KEYS.json W1|W2|W3|W4 SECONDS`

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Statement, params};

/// `018b8989-dee0-7123-8217-2b08c2d5c1db` as 16 bytes.
fn key(text: &str) -> Result<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    digits
        .chunks(2)
        .map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?))
        .collect()
}

/// Runs a query and reads every column, as somebody who renders them must.
fn read(
    statement: &mut Statement,
    parameters: impl rusqlite::Params,
) -> Result<(u64, Vec<Vec<u8>>)> {
    let columns = statement.column_count();
    let mut rows = statement.query(parameters)?;
    let mut sum = 0;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        for column in 0..columns {
            sum += match row.get_ref(column)? {
                ValueRef::Null => 0,
                ValueRef::Integer(value) => value.unsigned_abs(),
                ValueRef::Real(_) => 1,
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len() as u64,
            };
        }
        if let ValueRef::Blob(bytes) = row.get_ref(0)? {
            keys.push(bytes.to_vec());
        }
    }
    Ok((sum, keys))
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "--version") {
        println!("SQLite {}", rusqlite::version());
        return Ok(());
    }
    let [database, keys, workload, seconds] = &arguments[..] else {
        bail!("usage: sqlite_limit DATABASE KEYS.json W1|W2|W3|W4 SECONDS");
    };
    let length = Duration::from_secs_f64(seconds.parse()?);
    let keys: serde_json::Value = serde_json::from_slice(&std::fs::read(keys)?)?;
    let list = |name: &str| -> Result<Vec<String>> {
        let texts = keys[name].as_array().context("keys")?.iter();
        Ok(texts
            .filter_map(|text| text.as_str().map(str::to_owned))
            .collect())
    };
    let binary =
        |name: &str| -> Result<Vec<Vec<u8>>> { list(name)?.iter().map(|text| key(text)).collect() };

    let connection = Connection::open(database)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
         PRAGMA busy_timeout = 10000; PRAGMA mmap_size = 268435456;",
    )?;
    let mut latencies = Vec::new();
    let mut sum = 0;
    let start = Instant::now();
    let mut step = |work: &mut dyn FnMut(usize) -> Result<u64>| -> Result<()> {
        while start.elapsed() < length {
            let before = Instant::now();
            sum += work(latencies.len())?;
            latencies.push(before.elapsed());
        }
        Ok(())
    };
    match workload.as_str() {
        "W1" => {
            let orders = binary("orders")?;
            let mut statement = connection.prepare("SELECT * FROM \"order\" WHERE id = ?1")?;
            step(&mut |i| Ok(read(&mut statement, [&orders[i % orders.len()]])?.0))?;
        }
        "W2" => {
            let buyers = binary("buyers")?;
            let mut statement = connection.prepare(
                "SELECT * FROM \"order\" WHERE customer_id = ?1 ORDER BY placed_at DESC, id LIMIT 50",
            )?;
            step(&mut |i| Ok(read(&mut statement, [&buyers[i % buyers.len()]])?.0))?;
        }
        "W3" => {
            // Instants spread over the orders, straight from the column: microseconds.
            let mut instants =
                connection.prepare("SELECT placed_at FROM \"order\" WHERE number % 50 = 0")?;
            let instants: Vec<i64> = instants
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let mut orders = connection.prepare(
                "SELECT o.*, c.* FROM \"order\" o LEFT JOIN customer c ON c.id = o.customer_id \
                 WHERE o.placed_at >= ?1 ORDER BY o.placed_at, o.id LIMIT 20",
            )?;
            let mut lines =
                connection.prepare("SELECT * FROM order_line WHERE order_id = ?1 ORDER BY id")?;
            step(&mut |i| {
                let (mut sum, keys) = read(&mut orders, [instants[i % instants.len()]])?;
                for key in keys {
                    sum += read(&mut lines, [key])?.0;
                }
                Ok(sum)
            })?;
        }
        "W4" => {
            let customers = binary("customers")?;
            let mut number: i64 = connection.query_row(
                "SELECT coalesce(max(number), 0) FROM \"order\"",
                [],
                |row| row.get(0),
            )?;
            let mut statement = connection.prepare(
                "INSERT INTO \"order\" (id, _version, _created_at, _changed_at, number, placed_at, required_on, \
                 status, reference, total, remarks, customer_id) VALUES \
                 (randomblob(16), 1, 0, 0, ?1, 1793525400000000, 20772, 'Placed', 'B-1', 11850, \
                 'From the benchmark', ?2)",
            )?;
            step(&mut |i| {
                number += 1;
                Ok(statement.execute(params![number, customers[i % customers.len()]])? as u64)
            })?;
        }
        other => bail!("no workload {other}"),
    }
    let total = start.elapsed().as_secs_f64();
    latencies.sort();
    let milliseconds = |share: f64| -> f64 {
        let at = ((latencies.len() as f64 * share) as usize).min(latencies.len().saturating_sub(1));
        latencies
            .get(at)
            .map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
    };
    std::hint::black_box(sum);
    println!(
        "{}",
        serde_json::json!({
            "requests": latencies.len(), "seconds": total, "rate": latencies.len() as f64 / total,
            "p50": milliseconds(0.5), "p99": milliseconds(0.99),
        })
    );
    Ok(())
}
