//! Proof of the access rules: random applications, rules, users, rows and requests over every path to the
//! data, answered by the real pipeline on real databases, and judged by a plain evaluation of the rules in
//! memory that shares no code with it.
//!
//! `JUDGE_CASES`: requests judged on each database. `JUDGE_SEED`: where chance starts. `JUDGE_FAILURES`:
//! differences to report before giving up. `JUDGE_PLAIN=1`: everybody may do everything.
//!
//! Start reading at [`judge`] for what rules mean, at [`writing`] for what writes do, at [`generate`] for
//! what is tried.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod case;
mod compare;
mod court;
mod coverage;
mod data;
mod expect;
mod expression;
mod generate;
mod judge;
mod model;
mod random;
mod reading;
mod request;
mod shrink;
mod value;
mod writing;

use std::time::{Duration, Instant};

use case::Case;
use court::{Court, Kind, expected_state};
use coverage::Coverage;
use data::Database;
use judge::{Judge, Reader};
use model::Model;
use random::Random;

/// Requests judged on each database unless told otherwise.
const CASES: usize = 5_200;
/// Where chance starts unless told otherwise.
const SEED: u64 = 20_261_123;
/// Sets of rules tried on one structure.
const RULES: usize = 5;
/// Users tried with one set of rules.
const USERS: usize = 6;
/// Requests of one user.
const REQUESTS: usize = 9;
/// Stack in bytes: what a request takes without optimisation, and what stands around it here, is more than the usual
/// two megabytes.
const STACK: usize = 8 << 20;
/// Time to make a failure small.
const SHRINKING: Duration = Duration::from_secs(60);

#[test]
fn sqlite_does_what_the_rules_say() {
    run(Kind::Sqlite);
}

#[test]
fn postgres_does_what_the_rules_say() {
    run(Kind::Postgres);
}

/// The whole trial on threads with as much room as those of servers.
fn run(kind: Kind) {
    let trial = move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_stack_size(STACK)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(trial(kind));
    };
    let thread = std::thread::Builder::new().stack_size(STACK);
    if let Err(panic) = thread.spawn(trial).unwrap().join() {
        std::panic::resume_unwind(panic);
    }
}

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {text}")),
        Err(_) => default,
    }
}

/// The whole trial on one database.
async fn trial(kind: Kind) {
    // What the pipeline says of its own failures stands beside them.
    let _ = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::ERROR)
        .with_ansi(false)
        .with_writer(std::io::stdout)
        .try_init();
    let cases = setting("JUDGE_CASES", CASES);
    let seed = setting("JUDGE_SEED", SEED);
    let failures_allowed = setting("JUDGE_FAILURES", 1_usize);
    println!("{kind:?}: {cases} requests, JUDGE_SEED={seed}");
    let start = Instant::now();
    let mut coverage = Coverage::default();
    let mut failures = 0;
    let mut number = 0;
    while coverage.total() < cases {
        let structure_seed = seed.wrapping_add(number);
        number += 1;
        let mut random = Random::new(structure_seed);
        let mut model = generate::model(&mut random);
        let opened = Court::open(kind, &model).await;
        let mut court = opened.unwrap_or_else(|fault| panic!("{}\n{fault}", model.toml()));
        let mut data = Database::default();
        for _ in 0..RULES {
            generate::rules(&mut random, &mut model);
            let ruled = court.rule(&model).await;
            ruled.unwrap_or_else(|fault| panic!("{}\n{fault}", model.toml()));
            populate(&mut random, &model, &court, &mut data, &mut coverage).await;
            let failed = hearing(&mut random, &model, &court, &mut data, &mut coverage).await;
            if let Some((case, failure)) = failed {
                println!("JUDGE_SEED={structure_seed}: {failure}\nmaking it small …");
                let (case, failure) = shrink::shrink(case, failure, kind, SHRINKING).await;
                println!("{case}{failure}");
                failures += 1;
                assert!(
                    failures < failures_allowed,
                    "{kind:?}: {failures} differences; the last one stands above \
                     (JUDGE_SEED={structure_seed})"
                );
                break;
            }
        }
    }
    let elapsed = start.elapsed();
    println!(
        "{kind:?}: {} requests to {number} applications in {elapsed:.1?}, {:.2} ms each\n{coverage}",
        coverage.total(),
        elapsed.as_secs_f64() * 1e3 / coverage.total() as f64
    );
    assert_eq!(failures, 0, "{kind:?}: differences stand above");
    coverage.check();
}

/// Makes rows until there are some of each entity.
async fn populate(
    random: &mut Random,
    model: &Model,
    court: &Court,
    data: &mut Database,
    coverage: &mut Coverage,
) {
    let root = Reader::root();
    for round in 0..4 {
        for entity in model.ids() {
            let there = data.of(model, entity).len();
            if there > round * 2 + 1 {
                continue;
            }
            let Some(request) = generate::row_to_set_up(random, model, data, entity) else {
                continue;
            };
            let case = Case {
                model: model.clone(),
                data: data.clone(),
                reader: root.clone(),
                request,
            };
            match case.ask(court).await {
                Ok(verdict) => {
                    coverage.set_up();
                    if let Some(after) = verdict.after {
                        *data = after;
                    }
                }
                Err(failure) => panic!("setting up: {case}{failure}"),
            }
        }
    }
    let state = court.state(model, data).await.unwrap();
    assert_eq!(state, expected_state(model, data));
}

/// Requests of several users; the first difference.
async fn hearing(
    random: &mut Random,
    model: &Model,
    court: &Court,
    data: &mut Database,
    coverage: &mut Coverage,
) -> Option<(Case, Box<case::Failure>)> {
    // Everybody may do everything: differences are not about access.
    let is_plain = setting("JUDGE_PLAIN", 0) == 1;
    for _ in 0..USERS {
        let reader = generate::reader(random, model, data);
        for _ in 0..REQUESTS {
            let mut reader = reader.clone();
            reader.user = reader.user.filter(|user| data.rows.contains_key(user));
            reader.is_root = is_plain;
            let request = {
                let judge = Judge::new(model, data, &reader);
                generate::requests::request(random, &judge)
            };
            let Some(request) = request else {
                continue;
            };
            let case = Case {
                model: model.clone(),
                data: data.clone(),
                reader,
                request,
            };
            match case.ask(court).await {
                Ok(verdict) => {
                    coverage.count(case.request.kind(), &verdict.answer);
                    if let Some(after) = verdict.after {
                        *data = after;
                    }
                }
                Err(failure) => return Some((case, failure)),
            }
        }
    }
    None
}
