//! What links cost while nobody asks for anything: instances and web servers in one process, over TLS on loopback.
//!
//! `cargo run --release -p stoa-link --example scale -- [instances] [web servers]` prints the processor time that
//! announcements and heartbeats take, and how long a change takes to be known everywhere.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use stoa_link::accept::{self, Instances, Presence};
use stoa_link::announcement::{Announcement, Environment, Event, State};
use stoa_link::dial::{self, Dialer, Handler, WebServer};
use stoa_link::trust::{Authority, Files, Roles, Trust};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

type Fallible<T> = Result<T, Box<dyn Error>>;

/// How long idle links are watched.
const WATCHED: Duration = Duration::from_secs(10);

struct Nothing;

impl Handler for Nothing {
    type Body = Empty<Bytes>;

    async fn handle(&self, _request: Request<Incoming>) -> Response<Self::Body> {
        Response::new(Empty::<Bytes>::new())
    }
}

/// Processor time of this process.
fn processor_time() -> Fallible<Duration> {
    let statistics = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = statistics.rsplit_once(')').ok_or("no process name")?;
    // What follows the name begins with field 3; 14 and 15 are user and system time (proc_pid_stat(5)).
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    // Linux counts in hundredths of a second for programs.
    Ok(Duration::from_millis(ticks * 10))
}

fn announcement(number: usize) -> Announcement {
    Announcement {
        instance: Uuid::new_v4(),
        tag: Uuid::new_v4().simple().to_string(),
        version: "example".into(),
        state: State::Ready,
        capacity: 1,
        requests: 512,
        spares: 2,
        environments: vec![Environment {
            name: format!("environment-{}", number % 10),
            ready: true,
            paths: vec!["/odata".into()],
            repeatable: true,
            content: None,
            content_security_policy: None,
        }],
    }
}

#[tokio::main]
async fn main() -> Fallible<()> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let instances = numbers.next().transpose()?.unwrap_or(100);
    let web_servers = numbers.next().transpose()?.unwrap_or(4);

    let folder = std::env::temp_dir().join(format!("stoa-scale-{}", std::process::id()));
    let authority = Authority::create("example", 1)?;
    authority.save(&folder)?;
    let environments = (0..10)
        .map(|number| format!("environment-{number}"))
        .collect();
    let both = Roles {
        web: true,
        app: true,
    };
    authority
        .issue("server", both, &environments, 1)?
        .save(&folder, "server")?;
    let trust = Arc::new(Trust::open(Files::of(&folder, "server"))?);

    let shutdown = CancellationToken::new();
    let mut known: Vec<Arc<Instances<Empty<Bytes>>>> = Vec::new();
    let mut addresses = Vec::new();
    for _ in 0..web_servers {
        let listener = accept::bind(([127, 0, 0, 1], 0).into()).await?;
        addresses.push(WebServer {
            name: "server".into(),
            address: listener.local_addr()?.to_string(),
        });
        let attached = Instances::new(accept::Config::default());
        tokio::spawn(Arc::clone(&attached).serve(listener, Arc::clone(&trust), shutdown.clone()));
        known.push(attached);
    }
    let config = dial::Config {
        spares: 2,
        ..dial::Config::default()
    };
    let start = Instant::now();
    let dialers: Vec<Dialer> = (0..instances)
        .map(|number| {
            Dialer::start(
                config.clone(),
                addresses.clone(),
                Arc::clone(&trust),
                announcement(number),
                Arc::new(Nothing),
            )
        })
        .collect();
    let all_attached = || {
        known.iter().all(|attached| {
            let present = attached.present();
            let is_attached = |one: &Arc<accept::Instance<Empty<Bytes>>>| {
                one.presence() == Presence::Attached && one.idle() >= 2
            };
            present.len() == instances && present.iter().all(is_attached)
        })
    };
    wait(all_attached).await?;
    println!(
        "{instances} instances × {web_servers} web servers attached in {:?}, processor {:?}",
        start.elapsed(),
        processor_time()?
    );

    let before = processor_time()?;
    tokio::time::sleep(WATCHED).await;
    let used = processor_time()?.saturating_sub(before);
    let links = u32::try_from(instances * web_servers)?;
    println!(
        "idle for {WATCHED:?}: {used:?} of processor time, {:.2} % of a core, both sides together; {:?} a link and second",
        used.as_secs_f64() / WATCHED.as_secs_f64() * 100.0,
        used / links / u32::try_from(WATCHED.as_secs())?
    );

    let start = Instant::now();
    let first = dialers.first().ok_or("no instance")?;
    let id = first.announcement().instance;
    first.announce(|announcement| {
        announcement.state = announcement.state.transition(Event::Drain);
    });
    let is_known = || {
        known.iter().all(|attached| {
            let present = attached.present();
            present
                .iter()
                .any(|one| one.id == id && one.announcement().state == State::Draining)
        })
    };
    wait(is_known).await?;
    println!(
        "a change is known to all web servers after {:?}",
        start.elapsed()
    );
    shutdown.cancel();
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

async fn wait(condition: impl Fn() -> bool) -> Fallible<()> {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > Duration::from_secs(120) {
            return Err("it takes too long".into());
        }
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    Ok(())
}
