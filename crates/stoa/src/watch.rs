//! Reload when files change.
//!
//! The static content and the application are reloaded apart. What is not valid is reported, and what runs goes
//! on running.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use notify_debouncer_full::notify::{EventKind, RecommendedWatcher, RecursiveMode};
use notify_debouncer_full::{DebounceEventResult, Debouncer, RecommendedCache, new_debouncer};
use stoa_model::application::{self, Loaded};
use stoa_model::diagnostic::Diagnostics;
use stoa_runtime::pages::{self, Theme};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use crate::commands::{run, show};
use crate::failure::{Exit, Failure, chain};
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::site::{Served, Site};
use crate::{Result, database, first_start};

/// Editors write a file in several steps.
const DEBOUNCE: Duration = Duration::from_millis(150);
/// Subfolders of the application that matter.
const FOLDERS: [&str; 3] = ["model", "web", pages::FOLDER];

/// Ends with the value.
pub(crate) type Watcher = Arc<std::sync::Mutex<Debouncer<RecommendedWatcher, RecommendedCache>>>;

/// What has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Changed {
    application: bool,
    content: bool,
}

/// Watches the application's folder and reloads what changes.
pub(crate) fn start(
    settings: Arc<Settings>,
    site: Arc<Site>,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) -> Result<Watcher> {
    let folder = std::fs::canonicalize(&settings.place.application)
        .map_err(|error| failure(&settings.place.application, &error))?;
    let (sender, receiver) = unbounded_channel();
    let debouncer = new_debouncer(DEBOUNCE, None, events(folder.clone(), sender))
        .map_err(|error| failure(&folder, &error))?;
    let watcher = Arc::new(std::sync::Mutex::new(debouncer));
    cover(&watcher, &folder).map_err(|error| failure(&folder, &error))?;
    tokio::spawn(reload(
        receiver,
        Arc::clone(&watcher),
        folder,
        settings,
        site,
        metrics,
        shutdown,
    ));
    Ok(watcher)
}

fn failure(folder: &Path, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::new(
        Exit::Failure,
        format!("cannot watch {}: {}", folder.display(), chain(error)),
    )
}

/// Watches the folder and those below it that exist by now. The data folder is not among them: the database writes
/// there all the time.
fn cover(watcher: &Watcher, folder: &Path) -> notify_debouncer_full::notify::Result<()> {
    let mut watcher = watcher
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    for name in FOLDERS {
        let below = folder.join(name);
        if below.is_dir() {
            watcher.watch(&below, RecursiveMode::Recursive)?;
        }
    }
    Ok(())
}

fn events(
    folder: PathBuf,
    sender: UnboundedSender<Changed>,
) -> impl FnMut(DebounceEventResult) + Send {
    move |result| {
        let changed = match result {
            Ok(events) => events
                .iter()
                // Reading is no change: a reload reads everything.
                .filter(|event| !matches!(event.kind, EventKind::Access(_)))
                .flat_map(|event| &event.paths)
                .fold(Changed::default(), |changed, path| {
                    changed.and(&folder, path)
                }),
            // Events were lost: look at everything.
            Err(errors) => {
                tracing::debug!(?errors, "the watch has lost events");
                Changed {
                    application: true,
                    content: true,
                }
            }
        };
        if changed != Changed::default() {
            // The receiver is gone when the server stops.
            let _ = sender.send(changed);
        }
    }
}

impl Changed {
    fn and(mut self, folder: &Path, path: &Path) -> Self {
        if let Ok(inside) = path.strip_prefix(folder) {
            let first = inside
                .components()
                .next()
                .and_then(|first| first.as_os_str().to_str());
            match first {
                Some("web") => self.content = true,
                Some("model" | "app.toml" | pages::FOLDER) => self.application = true,
                _ => {}
            }
        }
        self
    }
}

async fn reload(
    mut receiver: UnboundedReceiver<Changed>,
    watcher: Watcher,
    folder: PathBuf,
    settings: Arc<Settings>,
    site: Arc<Site>,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) {
    loop {
        let mut changed = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            changed = receiver.recv() => match changed {
                Some(changed) => changed,
                None => return,
            },
        };
        while let Ok(more) = receiver.try_recv() {
            changed.application |= more.application;
            changed.content |= more.content;
        }
        // A folder may have been made or replaced.
        if let Err(error) = cover(&watcher, &folder) {
            tracing::warn!(%error, "cannot watch the application's folder");
        }
        let mut outcomes = Vec::new();
        if changed.content {
            outcomes.push(reload_content(&site).await);
        }
        if changed.application {
            outcomes.push(reload_application(&settings, &site).await);
        }
        for done in outcomes {
            let counter = if done {
                &metrics.reloads
            } else {
                &metrics.refused_reloads
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Returns whether the new content is served.
async fn reload_content(site: &Arc<Site>) -> bool {
    let started = Instant::now();
    let site = Arc::clone(site);
    let loaded = tokio::task::spawn_blocking(move || site.content.reload()).await;
    match loaded {
        Ok(Ok(snapshot)) => {
            run::warn_about(&snapshot);
            tracing::info!(
                web.files = snapshot.files(),
                milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                "reloaded the static content"
            );
            tokio::task::spawn_blocking(move || snapshot.compress());
            true
        }
        Ok(Err(error)) => {
            tracing::error!("the static content is not reloaded: {}", chain(&error));
            false
        }
        Err(error) => {
            tracing::error!(%error, "the static content is not reloaded");
            false
        }
    }
}

/// The application and its pages' theme.
fn load(folder: &Path) -> std::result::Result<(Loaded, Theme), Diagnostics> {
    let loaded = application::load(folder)?;
    let theme = Theme::load(folder)?;
    Ok((loaded, theme))
}

/// Returns whether the new application is served.
async fn reload_application(settings: &Settings, site: &Site) -> bool {
    let started = Instant::now();
    let folder = settings.place.application.clone();
    let loaded = match tokio::task::spawn_blocking(move || load(&folder)).await {
        Ok(loaded) => loaded,
        Err(error) => {
            tracing::error!(%error, "the application is not reloaded");
            return false;
        }
    };
    let (application, theme) = match loaded {
        Ok((loaded, theme)) => {
            show(&loaded.warnings);
            (loaded.application, theme)
        }
        Err(faults) => {
            show(&faults);
            tracing::error!(
                faults = faults.len(),
                "the application is not reloaded: what ran before goes on"
            );
            return false;
        }
    };
    let applied = database::apply(
        &settings.place.database,
        &application,
        settings.allow_data_loss,
    );
    if let Err(failure) = applied.await {
        tracing::error!(
            "the application is not reloaded, what ran before goes on: {}",
            failure.message()
        );
        return false;
    }
    let store = site.served.load().environment.store().clone();
    let model = Arc::new(application.model.clone());
    let identity = match first_start::identity(&application.manifest, &model, &store).await {
        Ok(identity) => identity,
        Err(failure) => {
            tracing::error!(
                "the application is not reloaded, what ran before goes on: {}",
                failure.message()
            );
            return false;
        }
    };
    let providers = site.single_sign_on.as_ref();
    site.swap(Served::new(
        application,
        theme,
        store,
        identity,
        providers,
        settings,
    ));
    tracing::info!(
        milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "reloaded the application"
    );
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters() {
        let folder = Path::new("/app");
        let check = |path: &str, application, content| {
            let changed = Changed::default().and(folder, Path::new(path));
            assert_eq!(
                changed,
                Changed {
                    application,
                    content
                },
                "{path}"
            );
        };
        check("/app/app.toml", true, false);
        check("/app/model/a.toml", true, false);
        check("/app/pages/texts.toml", true, false);
        check("/app/web/css/a.css", false, true);
        check("/app/web", false, true);
        check("/app/.stoa/data.sqlite", false, false);
        check("/app/README.md", false, false);
        check("/app", false, false);
        check("/elsewhere/web/a", false, false);
    }
}
