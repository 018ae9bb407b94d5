//! `stoa run`: from a folder to a server, and to its orderly end.
//!
//! The order matters: what can be judged without touching anything comes first, then the address, then the
//! database; connections are accepted when everything is there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use stoa_model::application::{Application, Manifest};
use stoa_web::StaticContent;
use stoa_web::server::{self, Config};
use stoa_web::static_content::{self, Snapshot};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{load, print};
use crate::command_line::Run;
use crate::data_folder::DataFolder;
use crate::failure::{Exit, Failure, chain};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::route::{DATA, HEALTH};
use crate::settings::{Settings, shown};
use crate::site::Site;
use crate::{Result, admin, first_start, logging, shutdown, watch};

pub(crate) fn run(arguments: &Run, started: Instant) -> Result<()> {
    let settings = Settings::resolve(arguments)?;
    let json = logging::is_json(settings.log_format);
    logging::start(&settings.log, json, settings.access_log)
        .map_err(|error| Failure::new(Exit::Failure, format!("cannot log: {error}")))?;
    let application = load(&settings.place.application)?;
    let content = load_content(&settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failure, format!("cannot start: {error}")))?;
    let result = runtime.block_on(serve(settings, application, content, json, started));
    // Work that nobody waits for, such as compressing, does not delay the end.
    runtime.shutdown_background();
    result
}

fn load_content(settings: &Settings) -> Result<StaticContent> {
    let folder = settings.place.application.join("web");
    let config = static_content::Config {
        memory_bytes: settings.web_memory_bytes,
        ..static_content::Config::default()
    };
    let content = if folder.is_dir() {
        StaticContent::load(&folder, config).map_err(|error| {
            Failure::new(
                Exit::Configuration,
                format!("static content: {}", chain(&error)),
            )
        })?
    } else {
        StaticContent::missing(&folder, config)
    };
    warn_about(&content.snapshot());
    Ok(content)
}

/// Tells what of a folder will never be seen.
pub(crate) fn warn_about(snapshot: &Snapshot) {
    for line in snapshot.skipped() {
        tracing::warn!("{line}");
    }
    for root in [DATA, HEALTH] {
        if snapshot.has_below(root) {
            tracing::warn!("web{root} is hidden: {root} belongs to the server");
        }
    }
}

async fn serve(
    settings: Settings,
    application: Application,
    content: StaticContent,
    json: bool,
    started: Instant,
) -> Result<()> {
    let listener = bind(settings.listen)?;
    let address = listener.local_addr().unwrap_or(settings.listen);
    let admin_listener = settings.admin.and_then(admin::bind);
    let admin_address = admin_listener
        .as_ref()
        .and_then(|listener| listener.local_addr().ok());
    let _held = DataFolder::open(&settings.place.data)?;
    let shutdown = CancellationToken::new();
    shutdown::watch(shutdown.clone()).map_err(|error| {
        Failure::new(Exit::Failure, format!("cannot listen to signals: {error}"))
    })?;

    let manifest = application.manifest.clone();
    let environment = tokio::select! {
        biased;
        () = shutdown.cancelled() => return Ok(()),
        environment = first_start::prepare(&settings.place, application, settings.allow_data_loss) => environment?,
    };
    let store = environment.store().clone();
    let collections = environment.model().entities_by_collection.len();
    let metrics = Arc::new(Metrics::new());
    metrics.watch(store.clone());
    let site = Arc::new(Site {
        environment: ArcSwap::from_pointee(environment),
        content,
        health: Health {
            store: store.clone(),
            shutdown: shutdown.clone(),
        },
    });
    let snapshot = site.content.snapshot();
    let serving = Serving {
        manifest: &manifest,
        collections,
        snapshot: &snapshot,
        address,
        admin: admin_address,
    };
    serving.announce(&settings, json, started);

    let admin_shutdown = CancellationToken::new();
    let admin = admin_listener.map(|listener| {
        admin::start(
            listener,
            Arc::clone(&metrics),
            Arc::clone(&site),
            admin_shutdown.clone(),
        )
    });
    tokio::task::spawn_blocking(move || snapshot.compress());
    let settings = Arc::new(settings);
    let _watcher = if settings.watch {
        Some(watch::start(
            Arc::clone(&settings),
            Arc::clone(&site),
            Arc::clone(&metrics),
            shutdown.clone(),
        )?)
    } else {
        None
    };
    let config = Config {
        connections: settings.connections,
        drain_timeout: settings.drain,
        ..Config::default()
    };
    let traffic = Arc::clone(&metrics.traffic);
    let drained = server::serve(listener, config, site, metrics, traffic, shutdown).await;

    store.close();
    admin_shutdown.cancel();
    if let Some(admin) = admin {
        let _ = admin.await;
    }
    if drained.cut > 0 {
        tracing::warn!(
            connections.cut = drained.cut,
            "stopped; some requests did not finish in {} s and were cut",
            settings.drain.as_secs()
        );
    } else {
        tracing::info!("stopped; every request was answered");
    }
    Ok(())
}

fn bind(address: SocketAddr) -> Result<TcpListener> {
    server::bind(address).map_err(|error| {
        let failure = Failure::new(
            Exit::Unavailable,
            format!("cannot listen on {address}: {error}"),
        );
        match error.kind() {
            std::io::ErrorKind::AddrInUse => Failure::new(
                Exit::Unavailable,
                format!("cannot listen on {address}: the address is in use"),
            )
            .hint("stop the program that uses it, or choose another address with --listen"),
            std::io::ErrorKind::PermissionDenied => failure
                .hint("ports below 1024 are for privileged users: choose another with --listen"),
            std::io::ErrorKind::AddrNotAvailable => {
                failure.hint("this machine does not have that address")
            }
            _ => failure,
        }
    })
}

/// What a server says of itself when it is ready.
struct Serving<'a> {
    manifest: &'a Manifest,
    collections: usize,
    snapshot: &'a Snapshot,
    address: SocketAddr,
    admin: Option<SocketAddr>,
}

impl Serving<'_> {
    fn announce(&self, settings: &Settings, json: bool, started: Instant) {
        let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let Self {
            manifest,
            collections,
            snapshot,
            address,
            admin,
        } = self;
        let label = &manifest.label;
        let database = &settings.place.database;
        if json {
            tracing::info!(
                application = manifest.name,
                listen = %address,
                admin = admin.map(|admin| admin.to_string()),
                %database,
                web.files = snapshot.files(),
                collections,
                ready.milliseconds = milliseconds,
                "serving {label} at http://{address}"
            );
            return;
        }
        let web = shown(&settings.place.application.join("web"));
        let admin = admin.map_or_else(
            || "off".to_owned(),
            |admin| format!("http://{admin}/metrics"),
        );
        print(&format!(
            "stoa {version} serves {label}\n\
             \x20 web       http://{address}/  ({files} files in {web})\n\
             \x20 data      http://{address}/odata/  ({collections} collections)\n\
             \x20 database  {database}\n\
             \x20 admin     {admin}\n\
             ready in {milliseconds} ms; stop with Ctrl-C",
            version = env!("CARGO_PKG_VERSION"),
            files = snapshot.files(),
        ));
    }
}
