//! The identity of a running server: renewed when its files are, without a restart.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{Authority, LinkIdentity, TrustError, files};

/// A certificate that expires sooner is warned of.
const SOON: Duration = Duration::from_hours(30 * 24);
/// Time between two warnings of it.
const WARNING_INTERVAL: Duration = Duration::from_hours(24);

/// Where the certificates of a server are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Certificates of the authority: one, or the former and the new while servers move from one to the other.
    pub authority: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

pub(super) struct Content {
    pub(super) authority: Vec<u8>,
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
}

impl Content {
    /// Tells contents apart without keeping them, above all the key.
    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.authority.hash(&mut hasher);
        self.certificate.hash(&mut hasher);
        self.key.hash(&mut hasher);
        hasher.finish()
    }
}

impl Files {
    /// The files of a server in the folder of a site's trust.
    #[must_use]
    pub fn of(folder: &Path, server: &str) -> Self {
        Self {
            authority: Authority::certificate_file(folder),
            certificate: folder.join(format!("{server}.pem")),
            key: folder.join(format!("{server}.key")),
        }
    }

    pub(super) fn read(&self) -> Result<Content, TrustError> {
        Ok(Content {
            authority: files::read(&self.authority)?,
            certificate: files::read(&self.certificate)?,
            key: files::read(&self.key)?,
        })
    }
}

/// The current identity. [`Trust::watch`] keeps it current; connections that are open stay as they are.
pub struct Trust {
    files: Files,
    current: ArcSwap<LinkIdentity>,
    /// Digest of the content in use.
    used: Mutex<u64>,
}

impl Trust {
    /// Reads the files.
    ///
    /// # Errors
    /// They are not a usable identity.
    pub fn open(files: Files) -> Result<Self, TrustError> {
        let content = files.read()?;
        let identity = LinkIdentity::from_content(&files, &content)?;
        Ok(Self {
            files,
            current: ArcSwap::from_pointee(identity),
            used: Mutex::new(content.digest()),
        })
    }

    /// The current identity.
    #[must_use]
    pub fn identity(&self) -> Arc<LinkIdentity> {
        self.current.load_full()
    }

    /// Dials with the current identity: to be taken anew for each connection.
    #[must_use]
    pub fn connector(&self) -> TlsConnector {
        TlsConnector::from(self.current.load().client())
    }

    /// Accepts with the current identity: to be taken anew for each connection.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load().server())
    }

    /// When the server's certificate expires.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.current.load().description().not_after
    }

    /// Reads the files again, and says whether the identity is another now. Files that are no usable identity leave
    /// the current one in place.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub fn reload(&self) -> Result<bool, TrustError> {
        let content = self.files.read()?;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = content.digest();
        if digest == *used {
            return Ok(false);
        }
        let identity = LinkIdentity::from_content(&self.files, &content)?;
        let now = SystemTime::now();
        let is_expired = identity.description().remaining(now).is_none();
        if is_expired && self.current.load().description().remaining(now).is_some() {
            return Err(TrustError::Expired {
                certificate: self.files.certificate.clone(),
            });
        }
        self.current.store(Arc::new(identity));
        *used = digest;
        Ok(true)
    }

    /// Reloads for ever when the files change, and warns when the certificate is about to expire. Ends when dropped.
    pub async fn watch(self: Arc<Self>, every: Duration) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut fault = None;
        let mut warned = None;
        loop {
            ticks.tick().await;
            let trust = self.clone();
            match tokio::task::spawn_blocking(move || trust.reload()).await {
                Ok(reloaded) => self.report(reloaded, &mut fault),
                Err(error) => {
                    tracing::error!(%error, "the look at the link's certificates failed");
                }
            }
            self.warn_of_expiry(&mut warned);
        }
    }

    fn report(&self, reloaded: Result<bool, TrustError>, fault: &mut Option<LastFault>) {
        match reloaded {
            Ok(false) => *fault = None,
            Ok(true) => {
                *fault = None;
                let identity = self.identity();
                let server = &identity.description().names.server;
                tracing::info!(%server, "the link has a new certificate");
            }
            Err(error) => {
                let text = chain(&error);
                match fault {
                    Some(last) if last.text == text => {
                        if !last.is_logged {
                            last.is_logged = true;
                            tracing::error!(
                                error = text,
                                "the link keeps its certificate: the new files cannot be used",
                            );
                        }
                    }
                    // Files are never replaced all at once: only what is still so at the next look is a fault.
                    _ => {
                        *fault = Some(LastFault {
                            text,
                            is_logged: false,
                        });
                    }
                }
            }
        }
    }

    fn warn_of_expiry(&self, warned: &mut Option<SystemTime>) {
        let now = SystemTime::now();
        let is_due = warned.is_none_or(|last| {
            now.duration_since(last)
                .is_ok_and(|since| since >= WARNING_INTERVAL)
        });
        let identity = self.identity();
        let server = &identity.description().names.server;
        match identity.description().remaining(now) {
            Some(remaining) if remaining > SOON => *warned = None,
            Some(remaining) if is_due => {
                *warned = Some(now);
                let days = remaining.as_secs() / (24 * 3600);
                tracing::warn!(%server, days, "the link's certificate expires soon: run `stoa trust issue`");
            }
            None if is_due => {
                *warned = Some(now);
                tracing::error!(%server, "the link's certificate has expired: run `stoa trust issue`");
            }
            _ => {}
        }
    }
}

struct LastFault {
    text: String,
    is_logged: bool,
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
