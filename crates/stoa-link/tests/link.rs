//! Both sides of links, over TLS on loopback.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

use std::collections::BTreeSet;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use stoa_link::accept::{self, Fault, Instance, Instances, Presence};
use stoa_link::announcement::{Announcement, Environment, State};
use stoa_link::dial::{self, Dialer, Handler, LinkState, REFUSED, WebServer};
use stoa_link::trust::{Authority, Files, Roles, Trust};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

type Body = Full<Bytes>;

/// Longest wait for something that comes at once on a machine with nothing else to do.
const LONG: Duration = Duration::from_secs(20);

async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Answers `/echo`, never answers `/stuck`, and sends 16 MB at `/large`.
#[derive(Default)]
struct Application {
    asked: AtomicUsize,
    release: Notify,
}

type Chunks = futures_util::stream::BoxStream<'static, Result<Frame<Bytes>, std::io::Error>>;

impl Handler for Application {
    type Body = Either<Full<Bytes>, StreamBody<Chunks>>;

    async fn handle(&self, request: Request<Incoming>) -> Response<Self::Body> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match request.uri().path() {
            "/stuck" => pending().await,
            "/later" => {
                self.release.notified().await;
                Response::new(Either::Left(Full::from("later")))
            }
            "/large" => {
                let chunk = Bytes::from(vec![7; 64 * 1024]);
                let chunks = (0..256).map(move |_| Ok(Frame::data(chunk.clone())));
                let stream: Chunks = Box::pin(futures_util::stream::iter(chunks));
                Response::new(Either::Right(StreamBody::new(stream)))
            }
            _ => {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                Response::new(Either::Left(Full::from(body)))
            }
        }
    }
}

struct World {
    folder: tempfile::TempDir,
    authority: Authority,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create("acme", 30).unwrap();
        authority.save(folder.path()).unwrap();
        let world = Self { folder, authority };
        world.issue("web1", true, &[]);
        world.issue("app1", false, &["production"]);
        world.issue("app2", false, &["production"]);
        world
    }

    fn issue(&self, server: &str, web: bool, environments: &[&str]) {
        let environments: BTreeSet<String> = environments.iter().map(ToString::to_string).collect();
        self.authority
            .issue(server, Roles { web, app: !web }, &environments, 30)
            .unwrap()
            .save(self.folder.path(), server)
            .unwrap();
    }

    fn trust(&self, server: &str) -> Arc<Trust> {
        Arc::new(Trust::open(Files::of(self.folder.path(), server)).unwrap())
    }

    async fn web(&self) -> Web {
        Web::start(self.trust("web1"), "127.0.0.1:0".parse().unwrap()).await
    }

    fn app(&self, server: &str, web: &Web, environments: &[&str], config: dial::Config) -> App {
        let application = Arc::new(Application::default());
        let web_servers = vec![WebServer {
            name: "web1".into(),
            address: web.address.to_string(),
        }];
        let announcement = announcement(environments);
        let id = announcement.instance;
        let dialer = Dialer::start(
            config,
            web_servers,
            self.trust(server),
            announcement,
            Arc::clone(&application),
        );
        App {
            id,
            application,
            dialer,
        }
    }
}

struct Web {
    address: SocketAddr,
    instances: Arc<Instances<Body>>,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Web {
    async fn start(trust: Arc<Trust>, address: SocketAddr) -> Self {
        let config = accept::Config {
            forget: Duration::from_millis(1500),
            silence: Duration::from_millis(600),
            ..accept::Config::default()
        };
        Self::start_with(trust, address, config).await
    }

    async fn start_with(trust: Arc<Trust>, address: SocketAddr, config: accept::Config) -> Self {
        let listener: TcpListener = accept::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let instances = Instances::new(config);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(Arc::clone(&instances).serve(listener, trust, shutdown.clone()));
        Self {
            address,
            instances,
            shutdown,
            task,
        }
    }

    async fn instance(&self, id: Uuid) -> Arc<Instance<Body>> {
        eventually("the instance attaches with idle connections", || {
            let present = self.instances.present();
            present
                .iter()
                .any(|instance| instance.id == id && instance.idle() > 0)
        })
        .await;
        let present = self.instances.present();
        present.iter().find(|one| one.id == id).unwrap().clone()
    }
}

struct App {
    id: Uuid,
    application: Arc<Application>,
    dialer: Dialer,
}

fn announcement(environments: &[&str]) -> Announcement {
    Announcement {
        instance: Uuid::new_v4(),
        tag: Uuid::new_v4().simple().to_string(),
        version: "test".into(),
        state: State::Ready,
        capacity: 1,
        requests: 64,
        spares: 4,
        environments: environments
            .iter()
            .map(|name| Environment {
                name: (*name).to_owned(),
                ready: true,
                paths: vec!["/".into()],
                repeatable: true,
                content: None,
                content_security_policy: None,
            })
            .collect(),
    }
}

fn config() -> dial::Config {
    dial::Config {
        heartbeat: Duration::from_millis(100),
        spares: 4,
        ..dial::Config::default()
    }
}

fn request(path: &str, body: &'static str) -> Request<Body> {
    Request::post(path)
        .header("host", "example")
        .body(Full::from(body))
        .unwrap()
}

async fn ask(instance: &Arc<Instance<Body>>, path: &str, body: &'static str) -> String {
    let taken = instance
        .wait(false, Instant::now() + LONG)
        .await
        .expect("a connection");
    let response = taken.send(request(path, body), || true).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_answered_and_connections_used_again() {
    let world = World::new();
    let web = world.web().await;
    let app = world.app("app1", &web, &["production"], config());
    let instance = web.instance(app.id).await;
    assert_eq!(instance.server, "app1");
    for _ in 0..200 {
        assert_eq!(ask(&instance, "/echo", "hello").await, "hello");
    }
    assert_eq!(instance.in_flight(), 0);
    eventually("no request is at work", || app.dialer.open() == 0).await;
    let link = &app.dialer.links()[0];
    assert_eq!(link.state, LinkState::Attached);
    // One after the other needs one connection, and the spares.
    assert!(link.connections <= 6, "{link:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_are_dialled_as_they_are_taken() {
    let world = World::new();
    let web = world.web().await;
    let app = world.app("app1", &web, &["production"], config());
    let instance = web.instance(app.id).await;
    let tasks: Vec<_> = (0..40)
        .map(|_| {
            let instance = Arc::clone(&instance);
            tokio::spawn(async move { ask(&instance, "/later", "").await })
        })
        .collect();
    eventually("all are at work at once", || app.dialer.open() == 40).await;
    assert_eq!(instance.in_flight(), 40);
    app.application.release.notify_waiters();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "later");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_its_limit_an_instance_refuses_at_once() {
    let world = World::new();
    let web = world.web().await;
    let limited = dial::Config {
        requests: 2,
        ..config()
    };
    let app = world.app("app1", &web, &["production"], limited);
    let instance = web.instance(app.id).await;
    let stuck: Vec<_> = (0..2)
        .map(|_| {
            let instance = Arc::clone(&instance);
            tokio::spawn(async move { ask(&instance, "/later", "").await })
        })
        .collect();
    eventually("two are at work", || app.dialer.open() == 2).await;
    let taken = instance.wait(false, Instant::now() + LONG).await.unwrap();
    let response = taken.send(request("/echo", ""), || true).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[REFUSED], "busy");
    assert_eq!(app.application.asked.load(Ordering::SeqCst), 2);
    app.application.release.notify_waiters();
    for task in stuck {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_that_the_certificate_does_not_name_is_refused() {
    let world = World::new();
    let web = world.web().await;
    let app = world.app("app1", &web, &["production", "other"], config());
    eventually("it is refused", || {
        matches!(&app.dialer.links()[0].state, LinkState::Refused(reason) if reason.contains("other"))
    })
    .await;
    assert!(web.instances.present().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_server_cannot_attach_as_an_app_server() {
    let world = World::new();
    world.issue("web2", true, &[]);
    let web = world.web().await;
    let app = world.app("web2", &web, &["production"], config());
    eventually("it is told that it is not trusted", || {
        matches!(&app.dialer.links()[0].state, LinkState::Detached(reason) if reason != "not dialled yet")
    })
    .await;
    assert!(web.instances.present().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_loses_no_request() {
    let world = World::new();
    let web = world.web().await;
    let app = world.app("app1", &web, &["production"], config());
    let instance = web.instance(app.id).await;
    let task = tokio::spawn({
        let instance = Arc::clone(&instance);
        async move { ask(&instance, "/later", "").await }
    });
    eventually("it is at work", || app.dialer.open() == 1).await;
    app.dialer
        .announce(|announcement| announcement.state = State::Draining);
    assert!(
        !app.dialer.settle(Duration::from_millis(50)).await,
        "a request is still at work"
    );
    // It has been seen by now, or will be in a moment; what is at work goes on.
    eventually("the web server knows", || {
        instance.announcement().state == State::Draining
    })
    .await;
    app.application.release.notify_waiters();
    assert!(app.dialer.settle(LONG).await);
    assert_eq!(task.await.unwrap(), "later");
    app.dialer.close().await;
    eventually("the instance has left", || {
        instance.presence() == Presence::Gone && web.instances.present().is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_instance_dies_is_told_to_be_broken() {
    let world = World::new();
    let web = world.web().await;
    let app = world.app("app1", &web, &["production"], config());
    let instance = web.instance(app.id).await;
    let task = tokio::spawn({
        let instance = Arc::clone(&instance);
        async move {
            let taken = instance.wait(false, Instant::now() + LONG).await.unwrap();
            taken
                .send(request("/stuck", ""), || true)
                .await
                .map(|_| ())
                .map_err(|failure| failure.fault)
        }
    });
    eventually("it is at work", || app.dialer.open() == 1).await;
    // As a process does that is killed.
    app.dialer.abort();
    let fault = tokio::time::timeout(LONG, task).await.unwrap().unwrap();
    assert!(matches!(fault, Err(Fault::Broken(_))), "{fault:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_instance_is_left_if_there_is_another() {
    let world = World::new();
    let web = world.web().await;
    let rare = dial::Config {
        heartbeat: Duration::from_secs(3600),
        silence: Duration::from_secs(3600),
        ..config()
    };
    let app = world.app("app1", &web, &["production"], rare);
    let instance = web.instance(app.id).await;
    let there_is_another = Arc::new(AtomicBool::new(false));
    let task = tokio::spawn({
        let (instance, there_is_another) = (Arc::clone(&instance), Arc::clone(&there_is_another));
        async move {
            let taken = instance.wait(false, Instant::now() + LONG).await.unwrap();
            taken
                .send(request("/stuck", ""), || {
                    there_is_another.load(Ordering::SeqCst)
                })
                .await
                .map(|_| ())
                .map_err(|failure| failure.fault)
        }
    });
    eventually("it is silent", || instance.presence() == Presence::Silent).await;
    there_is_another.store(true, Ordering::SeqCst);
    instance.wake();
    let fault = tokio::time::timeout(LONG, task).await.unwrap().unwrap();
    assert!(matches!(fault, Err(Fault::Silent)), "{fault:?}");
    app.dialer.abort();
    eventually("it is forgotten", || web.instances.present().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_attaches_again_to_a_web_server_that_was_restarted() {
    let world = World::new();
    let web = world.web().await;
    let app = world.app("app1", &web, &["production"], config());
    web.instance(app.id).await;
    web.shutdown.cancel();
    web.task.await.unwrap();
    eventually("it notices", || {
        app.dialer.links()[0].state != LinkState::Attached
    })
    .await;
    let web = Web::start(world.trust("web1"), web.address).await;
    let instance = web.instance(app.id).await;
    assert_eq!(ask(&instance, "/echo", "again").await, "again");
}

/// Clients that take nothing of large answers share no flow control with others.
#[tokio::test(flavor = "multi_thread")]
async fn slow_downloads_do_not_delay_a_small_request() {
    const SLOW: usize = 300;
    let world = World::new();
    // All of it runs on the threads of this test: heartbeats may come late.
    let patient = accept::Config {
        forget: LONG,
        silence: LONG,
        ..accept::Config::default()
    };
    let address = "127.0.0.1:0".parse().unwrap();
    let web = Web::start_with(world.trust("web1"), address, patient).await;
    let app = world.app("app1", &web, &["production"], config());
    let instance = web.instance(app.id).await;
    let mut downloads = Vec::new();
    for _ in 0..SLOW {
        let taken = instance.wait(false, Instant::now() + LONG).await.unwrap();
        let response = taken.send(request("/large", ""), || true).await.unwrap();
        let mut body = response.into_body();
        let first = body.frame().await.unwrap().unwrap();
        assert!(first.is_data());
        downloads.push(body);
    }
    assert_eq!(instance.in_flight(), SLOW);
    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        let start = Instant::now();
        assert_eq!(ask(&instance, "/echo", "small").await, "small");
        slowest = slowest.max(start.elapsed());
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    // They are all whole in the end.
    let last = downloads.pop().unwrap();
    assert!(last.collect().await.unwrap().to_bytes().len() > 15 << 20);
    drop(downloads);
    eventually("the others are given up", || instance.in_flight() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_cannot_take_over_an_instance() {
    let world = World::new();
    let web = world.web().await;
    let app = world.app("app1", &web, &["production"], config());
    let instance = web.instance(app.id).await;
    let mut forged = announcement(&["production"]);
    forged.instance = app.id;
    let thief = Dialer::start(
        config(),
        vec![WebServer {
            name: "web1".into(),
            address: web.address.to_string(),
        }],
        world.trust("app2"),
        forged,
        Arc::new(Application::default()),
    );
    eventually("it is not taken", || {
        matches!(&thief.links()[0].state, LinkState::Detached(reason) if reason != "not dialled yet")
    })
    .await;
    assert_eq!(ask(&instance, "/echo", "mine").await, "mine");
    assert_eq!(instance.server, "app1");
}
