//! A web server, its instances, and their certificates.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use stoa_link::accept::{self, Instances};
use stoa_link::announcement::{Announcement, Environment, Event, State};
use stoa_link::dial::{self, Dialer, WebServer};
use stoa_link::trust::{Authority, Files, Roles, Trust};
use stoa_web::server::{self, Asked, Traffic, Unobserved};
use stoa_web::tier::{Config, EnvironmentConfig, EnvironmentStatus, Local, Standing, Sticky, Tier};
use stoa_web::{Body, ErrorPages};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::application::{Application, Fuse};
use crate::client::{Answer, get};

/// Longest wait for something that comes at once on a machine with nothing else to do.
pub(crate) const LONG: Duration = Duration::from_secs(20);
pub(crate) const HOST: &str = "shop.example.com";

/// Waits for something.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < LONG, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Answers in the web server's own process: with what it is sent.
pub(crate) struct Here;

impl server::Handler for Here {
    async fn handle(&self, request: Request<Incoming>, _: &mut Asked) -> Response<Body> {
        let mut response = Response::new(Body::stream(request.into_body()));
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        response
    }
}

/// How a site is set up.
pub(crate) struct Plan {
    pub(crate) config: Box<dyn FnOnce(&mut Config)>,
    pub(crate) sticky: Sticky,
    pub(crate) dial: dial::Config,
    pub(crate) repeatable: bool,
    pub(crate) paths: Vec<String>,
    pub(crate) locals: Vec<Local<Here>>,
    pub(crate) content: Option<stoa_web::replica::Replica>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            config: Box::new(|_| {}),
            sticky: Sticky::Own,
            dial: dial::Config::default(),
            repeatable: false,
            paths: Vec::new(),
            locals: Vec::new(),
            content: None,
        }
    }
}

/// One web server and the instances that have attached to it.
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) tier: Arc<Tier<Here>>,
    /// What one of the instances does once.
    pub(crate) fuse: Arc<Fuse>,
    folder: tempfile::TempDir,
    instances: Arc<Instances<Body>>,
    link: SocketAddr,
    dial: dial::Config,
    repeatable: bool,
    paths: Vec<String>,
    shutdown: CancellationToken,
}

/// An instance.
pub(crate) struct App {
    pub(crate) tag: String,
    pub(crate) application: Arc<Application>,
    pub(crate) dialer: Arc<Dialer>,
}

impl World {
    pub(crate) async fn new(plan: Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create("acme", 30).unwrap();
        authority.save(folder.path()).unwrap();
        for (server, is_web, environments) in
            [("web1", true, &[][..]), ("app1", false, &["production"])]
        {
            let roles = Roles {
                web: is_web,
                app: !is_web,
            };
            let environments: BTreeSet<String> =
                environments.iter().map(ToString::to_string).collect();
            let issued = authority.issue(server, roles, &environments, 30).unwrap();
            issued.save(folder.path(), server).unwrap();
        }
        let shutdown = CancellationToken::new();
        let instances = Instances::new(accept::Config {
            forget: Duration::from_secs(1),
            ..accept::Config::default()
        });
        let listener = accept::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let link = listener.local_addr().unwrap();
        let trust = Arc::new(Trust::open(Files::of(folder.path(), "web1")).unwrap());
        tokio::spawn(Arc::clone(&instances).serve(listener, trust, shutdown.clone()));
        let mut config = Config {
            slow_start: Duration::ZERO,
            ..Config::new(folder.path().join("replicas"))
        };
        (plan.config)(&mut config);
        let environment = |name: &str, hosts: &[&str], content| EnvironmentConfig {
            name: name.into(),
            hosts: hosts.iter().map(ToString::to_string).collect(),
            sticky: plan.sticky.clone(),
            error_pages: ErrorPages::default(),
            content,
        };
        let environments = vec![
            environment("production", &[HOST, "*.shop.example.com"], plan.content),
            environment("empty", &["empty.example.com"], None),
        ];
        let pages = ErrorPages::default();
        let tier = Tier::new(
            config,
            environments,
            plan.locals,
            Arc::clone(&instances),
            pages,
        )
        .unwrap();
        let tier = Arc::new(tier);
        tokio::spawn(Arc::clone(&tier).follow(shutdown.clone()));
        let listener = server::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(server::serve(
            listener,
            server::Config::default(),
            Arc::clone(&tier),
            Arc::new(Unobserved),
            Arc::new(Traffic::default()),
            shutdown.clone(),
        ));
        Self {
            address,
            tier,
            fuse: Arc::default(),
            folder,
            instances,
            link,
            dial: plan.dial,
            repeatable: plan.repeatable,
            paths: plan.paths,
            shutdown,
        }
    }

    /// An instance that is attached and ready.
    pub(crate) async fn app(&self, name: &str) -> App {
        self.app_with(Application::new(name, &self.fuse)).await
    }

    pub(crate) async fn app_with(&self, application: Application) -> App {
        let trust = Arc::new(Trust::open(Files::of(self.folder.path(), "app1")).unwrap());
        let tag = Uuid::new_v4().simple().to_string();
        let announcement = Announcement {
            instance: Uuid::new_v4(),
            tag: tag.clone(),
            version: "1".into(),
            state: State::Ready,
            capacity: 1,
            requests: u32::try_from(self.dial.requests).unwrap(),
            spares: u32::try_from(self.dial.spares).unwrap(),
            environments: vec![Environment {
                name: "production".into(),
                ready: true,
                paths: self.paths.clone(),
                repeatable: self.repeatable,
                content: application.digest(),
                content_security_policy: None,
            }],
        };
        let id = announcement.instance.to_string();
        let application = Arc::new(application);
        let web_server = WebServer {
            name: "web1".into(),
            address: self.link.to_string(),
        };
        let dialer = Arc::new(Dialer::start(
            self.dial.clone(),
            vec![web_server],
            trust,
            announcement,
            Arc::clone(&application),
        ));
        application.can_die_by(&dialer);
        eventually(
            "an instance is attached, with a spare connection",
            async || {
                // As the web server sees it: the instance may count one that is not taken in yet.
                let present = self.instances.present();
                let mut present = present.iter();
                present.any(|one| one.id.to_string() == id && one.idle() > 0)
                    && self.standing(&id) == Some(Standing::Ready)
            },
        )
        .await;
        App {
            tag,
            application,
            dialer,
        }
    }

    pub(crate) fn status(&self) -> EnvironmentStatus {
        self.tier.status().swap_remove(0)
    }

    fn standing(&self, id: &str) -> Option<Standing> {
        let status = self.status();
        let mut targets = status.targets.iter();
        let target = targets.find(|target| target.instance.as_deref() == Some(id))?;
        Some(target.standing)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        get(self.address, path, &[]).await
    }
}

impl App {
    pub(crate) fn id(&self) -> String {
        self.dialer.announcement().instance.to_string()
    }

    pub(crate) fn standing(&self, world: &World) -> Option<Standing> {
        world.standing(&self.id())
    }

    pub(crate) fn drain(&self) {
        self.dialer.announce(|announcement| {
            announcement.state = announcement.state.transition(Event::Drain);
        });
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
