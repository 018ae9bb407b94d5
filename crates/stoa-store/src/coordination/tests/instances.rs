//! Leases that end, leaders that follow each other, and a budget of connections (PostgreSQL).

use super::process::{BEGIN, COMMIT, Member, WRITE};
use super::*;

async fn value<T: for<'a> tokio_postgres::types::FromSql<'a>>(url: &str, sql: &str) -> T {
    let client = stoa_testing::postgres::connect(url).await.unwrap();
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// A stopped process holds a lock: it is shut out, the lock is free, and its transaction is not committed when it
/// goes on. It writes again only after it has renewed its lease.
#[tokio::test]
async fn a_stopped_process_is_shut_out() {
    let database = Database::postgres().await;
    let mut stopped = Member::start(&database);
    let living = database.process().await;
    let member = living.join().await;
    stopped.tell(WRITE);
    assert_eq!(stopped.answer(), Some(1));
    stopped.tell(BEGIN);
    let uncommitted = stopped.answer().unwrap();
    stopped.signal("-STOP");
    let begun = Instant::now();
    // Waits for the lock.
    let revision = living.change().await;
    let took = begun.elapsed();
    assert!(
        took > Duration::from_millis(500) && took < TIMING.lease * 4,
        "{took:?}"
    );
    assert_eq!(revision, uncommitted, "the other change is gone");
    assert!(member.is_current());
    stopped.tell(COMMIT);
    stopped.signal("-CONT");
    assert_eq!(stopped.answer(), Some(0), "it must not commit");
    eventually("it comes back", SOON, || {
        stopped.tell(WRITE);
        let written = stopped.answer() == Some(1);
        async move { written.then_some(()) }
    })
    .await
    .unwrap();
}

/// Nobody is there to shut it out: by its own clock it stops writing all the same.
#[tokio::test]
async fn without_the_database_a_process_stops_by_its_own_clock() {
    let database = Database::postgres().await;
    let host = database.url.split('@').nth(1).unwrap();
    let proxy = Proxy::start(host.split('/').next().unwrap()).await.unwrap();
    let process = database
        .process_at(&proxy.through(&database.url), TIMING)
        .await;
    let member = process.join().await;
    let mut watching = member.watch();
    assert_eq!(member.lease(), LeaseState::Held);
    assert!(process.store.members().may_write());
    let begun = Instant::now();
    proxy.set(Mode::Stall);
    let mut seen = Vec::new();
    while seen.last() != Some(&LeaseState::Over) {
        tokio::time::timeout(SOON, watching.changed())
            .await
            .unwrap()
            .unwrap();
        seen.push(*watching.borrow_and_update());
    }
    assert!(begun.elapsed() < TIMING.lease, "{:?}", begun.elapsed());
    assert_eq!(seen, [LeaseState::Doubtful, LeaseState::Over]);
    assert_eq!(member.lease(), LeaseState::Over);
    assert!(!process.store.members().may_write());
    assert!(!member.leadership().is_held());
    proxy.set(Mode::Pass);
    let held = watching.wait_for(|state| *state == LeaseState::Held);
    tokio::time::timeout(SOON, held).await.unwrap().unwrap();
    assert!(process.store.members().may_write());
    member.leave().await;
    // Whoever has left by itself still writes what is left to write.
    assert!(process.store.members().may_write());
}

#[tokio::test]
async fn one_leads_and_another_follows() {
    let database = Database::postgres().await;
    let processes = futures_util::future::join_all((0..3).map(|_| database.process())).await;
    let mut members = Vec::new();
    for process in &processes {
        members.push(process.join().await);
    }
    let leaders = |members: &[Membership]| -> Vec<i64> {
        members
            .iter()
            .filter_map(|member| member.leadership().term())
            .collect()
    };
    assert_eq!(leaders(&members), [1]);
    // Given up: another one takes it, in a later term.
    members[0].resign().await.unwrap();
    assert!(!members[0].leadership().is_held());
    until("another leads", || leaders(&members) == [2]).await;
    assert!(!members[0].leadership().is_held());
    // Left in order: at once.
    let leader = members
        .iter()
        .position(|member| member.leadership().is_held())
        .unwrap();
    members.remove(leader).leave().await;
    until("the next one leads", || leaders(&members) == [3]).await;
    // Gone without a word: after its lease.
    let leader = members
        .iter()
        .position(|member| member.leadership().is_held())
        .unwrap();
    drop(members.remove(leader));
    until("the last one leads", || leaders(&members) == [4]).await;
}

/// Leaders come and go, and whoever watches never sees two at once.
#[tokio::test]
async fn there_are_never_two_leaders() {
    let database = Database::postgres().await;
    let processes = futures_util::future::join_all((0..3).map(|_| database.process())).await;
    let mut members = Vec::new();
    for process in &processes {
        members.push(process.join().await);
    }
    let members = Arc::new(members);
    let watcher = {
        let members = Arc::clone(&members);
        tokio::spawn(async move {
            loop {
                let leaders = members
                    .iter()
                    .filter(|member| member.leadership().is_held())
                    .count();
                assert!(leaders <= 1);
                tokio::task::yield_now().await;
            }
        })
    };
    let mut terms = Vec::new();
    for _ in 0..4 {
        let leader = || {
            members.iter().find_map(|member| {
                let term = member.leadership().term()?;
                Some((member, term))
            })
        };
        let (member, term) = eventually("somebody leads", SOON, || async { leader() })
            .await
            .unwrap();
        terms.push(term);
        member.resign().await.unwrap();
    }
    assert!(terms.is_sorted_by(|left, right| left < right), "{terms:?}");
    assert!(!watcher.is_finished());
    watcher.abort();
}

/// Takes all connections that it gets, again and again.
fn hog(process: &Process) -> tokio::task::JoinHandle<()> {
    let store = process.store.clone();
    tokio::spawn(async move {
        let postgres = store.postgres().unwrap().clone();
        let takers = (0..40).map(|_| async {
            loop {
                match postgres.connection().await {
                    Ok(connection) => {
                        if connection
                            .batch_execute("SELECT pg_sleep(0.01)")
                            .await
                            .is_ok()
                        {
                            connection.release();
                        }
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        });
        let _: Vec<()> = futures_util::future::join_all(takers).await;
    })
}

#[tokio::test]
async fn the_connections_of_all_stay_within_the_budget() {
    const BUDGET: usize = 12;
    let database = Database::postgres().await;
    let role = format!("budget_{}", Uuid::new_v4().simple());
    let administrator = stoa_testing::postgres::connect(&database.url)
        .await
        .unwrap();
    administrator
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
        ))
        .await
        .unwrap();
    let url = database.url.replace("postgres@", &format!("{role}@"));
    let count = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}'");
    let most = Arc::new(std::sync::atomic::AtomicI64::new(0));
    let counting = {
        let (count, most) = (count.clone(), Arc::clone(&most));
        let url = database.url.clone();
        tokio::spawn(async move {
            let client = stoa_testing::postgres::connect(&url).await.unwrap();
            loop {
                let now: i64 = client.query_one(&count, &[]).await.unwrap().get(0);
                most.fetch_max(now, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
    };
    let limit = |process: &Process| process.store.pool_state().most;

    let first = database.process_with(&url, TIMING, Some(BUDGET)).await;
    assert_eq!(limit(&first), 2, "until it is told more");
    let one = first.join().await;
    let hogging = hog(&first);
    until("the first one has all", || limit(&first) == BUDGET - 1).await;
    assert!(most.load(Ordering::SeqCst) <= BUDGET as i64);

    // A newcomer has the least at first: for a moment there are so many more than the budget.
    let second = database.process_with(&url, TIMING, Some(BUDGET)).await;
    let two = second.join().await;
    let hogging_too = hog(&second);
    until("each has half", || {
        limit(&first) == 5 && limit(&second) == 5
    })
    .await;
    let grown = most.swap(0, Ordering::SeqCst);
    assert!(grown <= BUDGET as i64 + 3, "{grown}");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let steady = most.load(Ordering::SeqCst);
    assert!(steady <= BUDGET as i64, "{steady}");

    // The first one falls silent with its connections: only when they are closed has the other one all.
    hogging.abort();
    drop(one);
    until("the second one has all", || limit(&second) == BUDGET - 1).await;
    let taken_over = most.load(Ordering::SeqCst);
    assert!(taken_over <= BUDGET as i64, "{taken_over}");
    assert!(two.is_current());

    hogging_too.abort();
    counting.abort();
    two.leave().await;
    first.store.close();
    second.store.close();
    eventually("the role can go", SOON, || async {
        let gone = format!("DROP OWNED BY {role}; DROP ROLE {role}");
        administrator.batch_execute(&gone).await.ok()
    })
    .await
    .unwrap();
}

/// The sessions of a process carry its name, also when the address gives one; no right beyond its own is needed to
/// end them.
#[tokio::test]
async fn sessions_are_called_after_their_process() {
    let database = Database::postgres().await;
    let url = format!("{}?application_name=shop", database.url);
    let process = database.process_at(&url, TIMING).await;
    let member = process.join().await;
    let named = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'stoa/{} shop'",
        process.store.process()
    );
    assert!(value::<i64>(&database.url, &named).await >= 1);
    let recorded = format!(
        "SELECT process = '{}' FROM _stoa_instance",
        process.store.process()
    );
    assert!(value::<bool>(&database.url, &recorded).await);
    member.leave().await;
}
