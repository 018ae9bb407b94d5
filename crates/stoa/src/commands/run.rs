//! `stoa run`: from a folder to a server, and to its orderly end.
//!
//! The order matters: what can be judged without touching anything comes first, then the address, then the
//! database; connections are accepted when everything is there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use stoa_model::application::{Application, Manifest};
use stoa_runtime::environment::OPEN_API_PATH;
use stoa_runtime::identity::Secret;
use stoa_runtime::pages::Theme;
use stoa_runtime::single_sign_on::{self, SingleSignOn};
use stoa_store::DatabaseUrl;
use stoa_web::StaticContent;
use stoa_web::access_log::Logged;
use stoa_web::forwarded::Trust;
use stoa_web::server::{self, Config};
use stoa_web::static_content::{self, Snapshot};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{load, load_theme, opened, print, show};
use crate::command_line::Run;
use crate::data_folder::DataFolder;
use crate::failure::{Exit, Failure, chain};
use crate::first_start::{ADMINISTRATOR, Prepared};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::route::{DATA, HEALTH, PAGES};
use crate::settings::{Settings, shown};
use crate::site::{self, Served, Site};
use crate::{Result, admin, first_start, logging, private_files, shutdown, watch};

pub(crate) fn run(arguments: &Run, started: Instant) -> Result<()> {
    let settings = Settings::resolve(arguments)?;
    let json = logging::is_json(settings.log_format);
    logging::start(&settings.log, json)
        .map_err(|error| Failure::new(Exit::Failure, format!("cannot log: {error}")))?;
    let application = load(&settings.place.application)?;
    let theme = load_theme(&settings.place.application)?;
    let single_sign_on = load_single_sign_on(&settings, &application)?;
    let content = load_content(&settings)?;
    let runtime = crate::threads::runtime()?;
    let result = runtime.block_on(serve(
        settings,
        application,
        theme,
        single_sign_on,
        content,
        json,
        started,
    ));
    // Work that nobody waits for, such as compressing, does not delay the end.
    runtime.shutdown_background();
    result
}

/// The providers to sign in with, if there are any.
pub(crate) fn load_single_sign_on(
    settings: &Settings,
    application: &Application,
) -> Result<Option<Arc<SingleSignOn>>> {
    let Some(file) = &settings.sign_in else {
        return Ok(None);
    };
    let roles: Vec<&str> = application
        .model
        .roles
        .iter()
        .map(|role| role.name.as_str())
        .collect();
    let providers = single_sign_on::Settings::load(file, &roles).map_err(|faults| {
        show(&faults);
        Failure::reported(Exit::Configuration)
    })?;
    SingleSignOn::new(providers)
        .map(Some)
        .map_err(|error| Failure::new(Exit::Configuration, format!("--sign-in: {}", chain(&error))))
}

pub(crate) fn load_content(settings: &Settings) -> Result<StaticContent> {
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
    for root in [DATA, HEALTH, PAGES, OPEN_API_PATH] {
        if snapshot.has_below(root) {
            tracing::warn!("web{root} is hidden: {root} belongs to the server");
        }
    }
}

async fn serve(
    settings: Settings,
    application: Application,
    theme: Theme,
    single_sign_on: Option<Arc<SingleSignOn>>,
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
    make_files_folder(&settings)?;
    let shutdown = CancellationToken::new();
    shutdown::watch(shutdown.clone()).map_err(|error| {
        Failure::new(Exit::Failure, format!("cannot listen to signals: {error}"))
    })?;

    let manifest = application.manifest.clone();
    let prepared = tokio::select! {
        biased;
        () = shutdown.cancelled() => return Ok(()),
        prepared = first_start::prepare(&settings, &application) => prepared?,
    };
    let Prepared {
        store,
        identity,
        first_link,
    } = prepared;
    let collections = super::collections(&application.model);
    let served = Served::new(
        application,
        theme,
        store.clone(),
        identity,
        single_sign_on.as_ref(),
        &settings,
    );
    let metrics = Arc::new(Metrics::new());
    metrics.watch(store.clone());
    let site = Arc::new(Site {
        served: ArcSwap::from_pointee(served),
        content,
        health: Health {
            store: store.clone(),
            shutdown: shutdown.clone(),
        },
        single_sign_on,
        names: site::names(&settings),
        tells_route: settings.access_log,
    });
    let snapshot = site.content.snapshot();
    let serving = Serving {
        manifest: &manifest,
        collections,
        snapshot: &snapshot,
        address,
        admin: admin_address,
        first_link: first_link.as_ref(),
    };
    serving.announce(&settings, json, started);

    let admin_shutdown = CancellationToken::new();
    let admin = admin_listener.map(|listener| {
        admin::start(
            listener,
            admin::Page::of_site(Arc::clone(&metrics), Arc::clone(&site)),
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
    let trust = if settings.behind_tls {
        Trust::nearest()
    } else {
        Trust::default()
    };
    let config = Config {
        connections: settings.connections,
        drain_timeout: settings.drain,
        trust: Arc::new(trust),
        workers: crate::threads::workers(matches!(
            settings.place.database,
            DatabaseUrl::Postgres(_)
        ))?,
        ..Config::default()
    };
    let traffic = Arc::clone(&metrics.traffic);
    let handler = Arc::clone(&site);
    let log = settings
        .access_log
        .then(|| logging::start_access_log(json, None))
        .transpose()
        .map_err(|error| Failure::new(Exit::Failure, chain(&error)))?;
    let observer = Arc::new(Logged::new(metrics, log));
    let drained = server::serve(listener, config, handler, observer, traffic, shutdown).await;

    site.served.load().identity.close().await;
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

/// Content of files is nobody else's business, also where the data folder itself was made by somebody who lets
/// others look into it.
fn make_files_folder(settings: &Settings) -> Result<()> {
    let folder = settings.place.files();
    private_files::make_folder(&folder).map_err(|error| {
        let message = format!("cannot make the folder {}: {error}", folder.display());
        Failure::new(Exit::CannotCreate, message)
    })
}

pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener> {
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
    /// Signs the first administrator in: for the eyes of whoever starts the server, and for no log.
    first_link: Option<&'a Secret>,
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
            first_link,
        } = self;
        let application = shown(&settings.place.application);
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
            if first_link.is_some() {
                tracing::info!(
                    "there is an administrator `{ADMINISTRATOR}` now: `stoa admin link {application}` prints a link that signs in once"
                );
            }
            if settings.demonstration {
                tracing::warn!(
                    "DEMONSTRATION: everybody at this machine can sign in, by the password in app.toml"
                );
            }
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
        if let Some(demonstration) = &manifest.demonstration
            && settings.demonstration
        {
            print("\nDEMONSTRATION: everybody at this machine can sign in as");
            for user in &demonstration.users {
                print(&format!("  {:<20} {}", user.name, user.role));
            }
            print(&format!("with the password: {}", demonstration.password));
        }
        if let Some(link) = first_link {
            let link = opened::link_address(&format!("http://{address}"), link.expose());
            print(&format!(
                "\nThe administrator `{ADMINISTRATOR}` signs in by this link, once, within an hour (another one: stoa admin link {application}):\n  {link}"
            ));
        }
    }
}
