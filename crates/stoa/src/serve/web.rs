//! The role of a web server: listeners, certificates, and the tier behind them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use stoa_link::accept::{self, Instances};
use stoa_link::trust::Trust as LinkTrust;
use stoa_web::access_log::{AccessLog, Logged};
use stoa_web::acme::{self, AccountKey, Acme};
use stoa_web::forwarded::{ForwardedBy, Trust};
use stoa_web::rate_limit::{self, RateLimit};
use stoa_web::redirect::ToHttps;
use stoa_web::server::{self, Drained, Listener, Traffic, Unobserved};
use stoa_web::tier::{self, EnvironmentConfig, Local, Sticky, Tier};
use stoa_web::tls::Tls;
use stoa_web::{Body, ErrorPages};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::app::App;
use super::application::Application;
use super::certificates::Certificates;
use super::measured::Measured;
use super::{CERTIFICATES, Role, make_folder};
use crate::failure::{Exit, Failure, chain};
use crate::metrics::Metrics;
use crate::site_file::{self, Environment, Host, Serves};
use crate::{Result, admin, logging};

/// Requests that one client address may make at once: so many times those of a second.
const BURST: u32 = 10;

/// What a web server needs of its files, judged; nothing is bound yet.
pub(crate) struct Edge {
    http: Option<SocketAddr>,
    https: Option<SocketAddr>,
    link: Option<SocketAddr>,
    tls: Option<Arc<Tls>>,
    acme: Option<Arc<Acme>>,
    environments: Vec<EnvironmentConfig>,
}

/// The same with its addresses bound.
pub(crate) struct Bound {
    http: Option<TcpListener>,
    https: Option<(TcpListener, Arc<Tls>)>,
    https_port: u16,
    acme: Option<Arc<Acme>>,
    link: Option<TcpListener>,
    environments: Vec<EnvironmentConfig>,
}

impl Role<'_> {
    /// Reads and judges what the role of a web server needs; none for a server without it.
    pub(crate) fn plan_edge(&self) -> Result<Option<Edge>> {
        let Some(web) = &self.server.web else {
            return Ok(None);
        };
        let failure = |message| Failure::new(Exit::Configuration, message);
        let acme = self.plan_acme(web)?;
        let tls = if web.https.is_some() {
            let awaited = acme.as_ref().map_or(BTreeMap::new(), |acme| acme.files());
            let tls = Tls::load(web.certificates.clone(), awaited);
            Some(Arc::new(tls.map_err(|error| failure(chain(&error)))?))
        } else {
            None
        };
        let environments = self
            .site
            .environments
            .iter()
            .map(|environment| {
                Ok(EnvironmentConfig {
                    name: environment.name.clone(),
                    hosts: environment.hosts.iter().map(ToString::to_string).collect(),
                    sticky: sticky(environment),
                    error_pages: ErrorPages::load(
                        environment.error_pages.as_deref(),
                        environment.maintenance_page.as_deref(),
                    )
                    .map_err(|error| failure(chain(&error)))?,
                    content: None,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Some(Edge {
            http: web.http,
            https: web.https,
            link: web.link,
            tls,
            acme,
            environments,
        }))
    }

    /// Who obtains certificates for host names, and answers for those that others obtain; none if there is nothing
    /// to do.
    fn plan_acme(&self, web: &site_file::Web) -> Result<Option<Arc<Acme>>> {
        let Some(settings) = self.site.acme.as_ref().filter(|_| self.site.asks(web)) else {
            return Ok(None);
        };
        let failure =
            |error: &dyn std::error::Error| Failure::new(Exit::Configuration, chain(error));
        let (path, is_brought) = self.site.acme_account(self.server);
        let account = match AccountKey::read(&path).map_err(|error| failure(&error))? {
            Some(account) => account,
            None if is_brought => {
                let message = format!("there is no {}", path.display());
                return Err(Failure::new(Exit::Configuration, message)
                    .hint("make it with `stoa trust issue`, and copy it to each web server"));
            }
            None => {
                make_folder(&self.server.certificates())?;
                AccountKey::make(&path)
                    .map_err(|error| Failure::new(Exit::CannotCreate, chain(&error)))?
            }
        };
        let acme = Acme::open(acme::Config {
            directory: settings.directory.clone(),
            roots: settings.roots.clone(),
            contact: settings.contact.clone(),
            account,
            folder: self.server.certificates(),
            hosts: web.obtains.clone(),
            answered: if is_brought {
                self.site.names().map(str::to_owned).collect()
            } else {
                Vec::new()
            },
        });
        let acme = acme.map_err(|error| Failure::new(Exit::CannotCreate, chain(&error)))?;
        Ok(Some(Arc::new(acme)))
    }
}

fn sticky(environment: &Environment) -> Sticky {
    match &environment.serves {
        Serves::Upstream(upstream) => match &upstream.sticky_cookie {
            Some(name) => Sticky::Existing(name.clone()),
            None => Sticky::Own,
        },
        _ => Sticky::Own,
    }
}

impl Edge {
    pub(crate) fn bind(self) -> Result<Bound> {
        let bind = |address: Option<SocketAddr>| address.map(listen).transpose();
        let https = bind(self.https)?;
        Ok(Bound {
            http: bind(self.http)?,
            https: https.zip(self.tls),
            https_port: self.https.map_or(443, |address| address.port()),
            acme: self.acme,
            link: bind(self.link)?,
            environments: self.environments,
        })
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    crate::commands::run::bind(address)
}

/// The role of a web server, at work.
pub(crate) struct Web {
    pub(crate) tier: Arc<Tier<Application>>,
    pub(crate) instances: Arc<Instances<Body>>,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) metrics: Arc<Metrics>,
    /// None without HTTPS.
    pub(crate) certificates: Option<Arc<Certificates>>,
    listeners: Vec<JoinHandle<Drained>>,
    /// The page of metrics: it ends with the links.
    page: Option<JoinHandle<Drained>>,
    /// Ends first: nobody could ask this server any more.
    obtaining: Option<JoinHandle<()>>,
    others: Vec<JoinHandle<()>>,
    /// No new connections of clients.
    drain: CancellationToken,
    /// No links any more.
    end: CancellationToken,
}

impl Web {
    pub(crate) fn start(
        role: &Role<'_>,
        bound: Bound,
        app: &mut App,
        trust: Option<Arc<LinkTrust>>,
        json: bool,
    ) -> Result<Self> {
        let failure = |message| Failure::new(Exit::Configuration, message);
        let instances = Instances::new(accept::Config {
            workers: role.workers.clone(),
            ..accept::Config::default()
        });
        // With a link there may be others, who can be asked again where this process cannot: all are asked over links.
        let is_alone = role
            .server
            .web
            .as_ref()
            .is_none_or(|web| web.link.is_none());
        let locals = if is_alone { locals(app) } else { Vec::new() };
        let mut environments = bound.environments;
        for environment in environments.iter_mut().filter(|_| is_alone) {
            let mut opened = app.environments.iter_mut();
            let opened = opened.find(|opened| opened.name == environment.name);
            environment.content = opened.and_then(|opened| opened.content.take());
        }
        let knows = hosts(role);
        let config = tier::Config {
            content: stoa_web::static_content::Config {
                memory_bytes: role.arguments.serving.web_memory_bytes(),
                ..Default::default()
            },
            ..tier::Config::new(role.server.data.join("content"))
        };
        let tier = Tier::new(
            config,
            environments,
            locals,
            Arc::clone(&instances),
            ErrorPages::default(),
        )
        .map_err(|error| failure(chain(&error)))?;
        let tier = Arc::new(tier);
        let metrics = Arc::new(Metrics::new());
        let traffic = Arc::clone(&metrics.traffic);
        let (drain, end) = (CancellationToken::new(), CancellationToken::new());
        let mut others = vec![tokio::spawn(Arc::clone(&tier).follow(end.clone()))];
        if let (Some(listener), Some(trust)) = (bound.link, trust) {
            let serving = Arc::clone(&instances).serve(listener, trust, end.clone());
            others.push(tokio::spawn(serving));
        }
        let wants_log =
            role.arguments.serving.access_log || role.arguments.access_log_file.is_some();
        let log = wants_log
            .then(|| logging::start_access_log(json, role.arguments.access_log_file.as_deref()))
            .transpose()
            .map_err(|error| failure(chain(&error)))?;
        let certificates = bound.https.as_ref().map(|(_, tls)| {
            Arc::new(Certificates {
                tls: Arc::clone(tls),
                acme: bound.acme.clone(),
            })
        });
        metrics.watch_tier(Arc::new(Measured {
            tier: Arc::clone(&tier),
            instances: Arc::clone(&instances),
            log: log.clone(),
            certificates: certificates.clone(),
        }));
        if let Some(log) = log.clone() {
            others.push(tokio::spawn(reopen(log)));
        }
        let observer = Arc::new(Logged::new(Arc::clone(&metrics), log));
        let config = role.server_config();
        let mut listeners = Vec::new();
        let is_secure = bound.https.is_some();
        let mut obtaining = None;
        if let Some((socket, tls)) = bound.https {
            others.push(tokio::spawn(Arc::clone(&tls).watch(CERTIFICATES)));
            obtaining = bound
                .acme
                .as_ref()
                .map(|acme| tokio::spawn(Arc::clone(acme).follow(Arc::clone(&tls))));
            let listener = role.transport(Listener::from(socket).with_tls(tls));
            listeners.push(tokio::spawn(server::serve(
                listener,
                config.clone(),
                Arc::clone(&tier),
                Arc::clone(&observer),
                Arc::clone(&traffic),
                drain.clone(),
            )));
        }
        if let Some(socket) = bound.http {
            let listener = role.transport(Listener::from(socket));
            listeners.push(if is_secure {
                let redirect = ToHttps::new(bound.https_port, knows, Arc::default())
                    .with_answers(bound.acme.as_ref().map(|acme| acme.answers()));
                tokio::spawn(server::serve(
                    listener,
                    config,
                    Arc::new(redirect),
                    Arc::new(Unobserved),
                    Arc::clone(&traffic),
                    drain.clone(),
                ))
            } else {
                tokio::spawn(server::serve(
                    listener,
                    config,
                    Arc::clone(&tier),
                    observer,
                    Arc::clone(&traffic),
                    drain.clone(),
                ))
            });
        }
        let mut page = None;
        if let Some(address) = role.server.web.as_ref().and_then(|web| web.metrics)
            && let Some(listener) = admin::bind(address)
        {
            let handler = admin::Page::of_metrics(Arc::clone(&metrics));
            page = Some(admin::start(listener, handler, end.clone()));
        }
        Ok(Self {
            tier,
            instances,
            traffic,
            metrics,
            certificates,
            listeners,
            page,
            obtaining,
            others,
            drain,
            end,
        })
    }

    /// Finishes what clients have asked, then closes the links. Returns how many connections were cut.
    pub(crate) async fn stop(self) -> usize {
        if let Some(obtaining) = self.obtaining {
            obtaining.abort();
        }
        self.drain.cancel();
        let mut cut = 0;
        for listener in self.listeners {
            if let Ok(drained) = listener.await {
                cut += drained.cut;
            }
        }
        self.end.cancel();
        if let Some(page) = self.page {
            // Whoever still reads it does not hold up the end.
            let _ = tokio::time::timeout(Duration::from_secs(2), page).await;
        }
        for other in self.others {
            other.abort();
        }
        cut
    }
}

/// Opens the access log anew at each SIGHUP, for programs that rotate logs.
async fn reopen(log: AccessLog) {
    match signal(SignalKind::hangup()) {
        Ok(mut hangup) => {
            while hangup.recv().await.is_some() {
                log.reopen();
            }
        }
        Err(error) => {
            tracing::warn!(%error, "cannot listen to SIGHUP; a log file that is moved is noticed all the same")
        }
    }
}

/// Environments that are served in this process.
fn locals(app: &App) -> Vec<Local<Application>> {
    app.environments
        .iter()
        .flat_map(|environment| {
            environment.answerers.iter().map(|answerer| Local {
                environment: environment.name.clone(),
                tag: answerer.tag.clone(),
                capacity: app.capacity,
                answerer: match &*answerer.application {
                    Application::Own(_) => tier::Answerer::Own(Arc::clone(&answerer.application)),
                    Application::Foreign(upstream) => tier::Answerer::Foreign(Arc::clone(upstream)),
                },
            })
        })
        .collect()
}

/// Tells whether a host name is one of the site's.
fn hosts(role: &Role<'_>) -> impl Fn(&str) -> bool + Send + Sync + 'static {
    let hosts: Vec<Host> = role
        .site
        .environments
        .iter()
        .flat_map(|environment| environment.hosts.clone())
        .collect();
    move |name| {
        let name = name.to_ascii_lowercase();
        hosts.iter().any(|host| match host {
            Host::Exact(exact) => *exact == name,
            Host::Below(above) => name.split_once('.').is_some_and(|(_, rest)| rest == above),
        })
    }
}

impl Role<'_> {
    fn server_config(&self) -> server::Config {
        let web = self.server.web.as_ref();
        let networks = web.map(|web| {
            let networks = web.trusted_proxies.iter();
            networks
                .filter_map(|network| IpNet::new(network.address, network.prefix).ok())
                .collect()
        });
        let rate = web.and_then(|web| web.requests_per_second);
        server::Config {
            rate_limit: rate.map(|rate| {
                Arc::new(RateLimit::new(rate_limit::Config {
                    requests_per_second: f64::from(rate),
                    burst: rate.saturating_mul(BURST),
                }))
            }),
            connections: self.arguments.serving.connections,
            drain_timeout: Duration::from_secs(self.arguments.serving.drain_seconds),
            trust: Arc::new(Trust::networks(
                networks.unwrap_or_default(),
                ForwardedBy::XForwarded,
            )),
            workers: self.workers.clone(),
            ..server::Config::default()
        }
    }

    fn transport(&self, listener: Listener) -> Listener {
        if self
            .server
            .web
            .as_ref()
            .is_some_and(|web| web.proxy_protocol)
        {
            listener.with_proxy_protocol()
        } else {
            listener
        }
    }
}
