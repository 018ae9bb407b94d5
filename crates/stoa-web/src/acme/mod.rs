//! Certificates from an authority that speaks ACME (RFC 8555), such as Let's Encrypt.
//!
//! Each host name has a certificate of its own, so that a name that cannot be validated keeps none of the others
//! from theirs. The authority validates a name by asking for a file over HTTP (`http-01`, section 8.3). What is to
//! answer follows from the authority's token and the account's key alone: web servers that share the key answer for
//! each other, and need not know who has ordered.
//!
//! Start reading at [`Acme::follow`]. [`Answers`] is what validates a name, `order` obtains one certificate,
//! `failure` and `schedule` say when to try again.

mod account;
mod answers;
mod failure;
mod order;
mod outgoing;
mod place;
mod schedule;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use instant_acme::Account;
use stoa_link::chain;
use stoa_link::trust::TrustError;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

pub use account::{AccountKey, AccountKeyError};
pub use answers::Answers;
pub use outgoing::RootsError;

use crate::tls::{Certificate, CertificateFiles, Tls, TlsError, tell};
use failure::Failure;
use outgoing::Outgoing;
use place::Place;
use schedule::Failures;

/// Directory of Let's Encrypt.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Certificates that are ordered at once.
const AT_ONCE: usize = 4;
/// Longest time between two looks at a certificate: the clock may have been set, and a file lost.
const LOOK: Duration = Duration::from_secs(3600);

/// Whom to ask, and for what.
#[derive(Debug)]
pub struct Config {
    /// Address of the authority's directory (RFC 8555 section 7.1.1).
    pub directory: String,
    /// PEM file with the certificates by which the authority itself is trusted; none: those of the system.
    pub roots: Option<PathBuf>,
    /// Where the authority may write to: an e-mail address.
    pub contact: Option<String>,
    /// Who asks.
    pub account: AccountKey,
    /// Where certificates are kept; made if missing. Those of each authority have a folder of their own in it, so
    /// that certificates of one for trials are not taken for those of another.
    pub folder: PathBuf,
    /// Host names in lower case, without wildcards.
    pub hosts: Vec<String>,
    /// Those that other servers with the same account may ask for, too.
    pub answered: Vec<String>,
}

/// What keeps a host name from a new certificate. The former one, if any, is in use as long as it lasts.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// Why the last try failed.
    pub reason: String,
    /// Tries that have failed in a row.
    pub failures: u32,
    /// When it is tried again.
    pub next: SystemTime,
}

/// Obtains certificates, and renews them.
pub struct Acme {
    config: Config,
    folder: PathBuf,
    /// Looked up when it is first needed, and again after a failure: the authority may have moved.
    account: tokio::sync::Mutex<Option<Account>>,
    permits: Semaphore,
    troubles: Mutex<BTreeMap<String, Trouble>>,
}

impl std::fmt::Debug for Acme {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Acme")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Acme {
    /// Makes the folder; asks nobody yet.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(config: Config) -> Result<Self, TrustError> {
        let folder = config.folder.join(folder_of(&config.directory));
        stoa_link::trust::make_folder(&folder)?;
        Ok(Self {
            config,
            folder,
            account: tokio::sync::Mutex::new(None),
            permits: Semaphore::new(AT_ONCE),
            troubles: Mutex::default(),
        })
    }

    /// Files with certificate and key together, by host name, for [`Tls::load`]. They are there when a certificate has
    /// been obtained.
    #[must_use]
    pub fn files(&self) -> BTreeMap<String, PathBuf> {
        let hosts = self.config.hosts.iter();
        hosts.map(|host| (host.clone(), self.file(host))).collect()
    }

    fn file(&self, host: &str) -> PathBuf {
        self.folder.join(format!("{host}.pem"))
    }

    /// What to answer to the authority, at port 80 of each web server.
    #[must_use]
    pub fn answers(&self) -> Answers {
        let hosts = self.config.hosts.iter().chain(&self.config.answered);
        Answers::new(self.config.account.thumbprint(), hosts.cloned())
    }

    /// Host names that a certificate could not be obtained for when it was last tried.
    #[must_use]
    pub fn troubles(&self) -> BTreeMap<String, Trouble> {
        let troubles = self.troubles.lock();
        troubles.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Obtains what is missing, and renews what is about to end, for ever.
    pub async fn follow(self: Arc<Self>, tls: Arc<Tls>) {
        let folder = self.folder.clone();
        match on_disk(move || Place::tidy(&folder)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot tidy the folder of certificates"),
            Err(failure) => tracing::warn!(reason = chain(&failure), "cannot tidy"),
        }
        let mut hosts = JoinSet::new();
        for host in &self.config.hosts {
            hosts.spawn(Arc::clone(&self).keep(host.clone(), Arc::clone(&tls)));
        }
        // None of them ends.
        while hosts.join_next().await.is_some() {}
    }

    /// Keeps one host name in a certificate.
    async fn keep(self: Arc<Self>, host: String, tls: Arc<Tls>) {
        let spread = rand::random();
        let mut failures = Failures::default();
        loop {
            let turn = Arc::clone(&self).turn(host.clone(), Arc::clone(&tls), spread);
            // A task of its own: should it panic, the name is not forgotten.
            let turn = AbortOnDropHandle::new(tokio::spawn(outgoing::heeding(turn)));
            let (outcome, asked) = match turn.await {
                Ok(done) => done,
                Err(error) => (Err(error.into()), Duration::ZERO),
            };
            let failure = match outcome {
                Ok(wait) => {
                    failures = Failures::default();
                    self.note(&host, None);
                    tokio::time::sleep(wait).await;
                    continue;
                }
                Err(failure) => failure,
            };
            let left = self.left(&host, &tls);
            failures.add(failure.kind());
            let pause = failures.pause(rand::random(), left).max(asked);
            if failures.is_trouble() {
                self.tell(&host, &failure, &failures, pause, !left.is_zero());
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Time for which the certificate in use is valid; zero if there is none.
    fn left(&self, host: &str, tls: &Tls) -> Duration {
        let file = self.file(host);
        let in_use = tls.certificates();
        let found = in_use.iter().find(|one| one.files.chain == file);
        let left = found.and_then(|one| one.expires.duration_since(SystemTime::now()).ok());
        left.unwrap_or_default()
    }

    /// Logs a failure, and notes it for who asks.
    fn tell(
        &self,
        host: &str,
        failure: &Failure,
        failures: &Failures,
        pause: Duration,
        is_covered: bool,
    ) {
        let reason = chain(failure);
        let seconds = pause.as_secs();
        if is_covered {
            tracing::warn!(
                host,
                reason,
                again.seconds = seconds,
                "a certificate could not be renewed; the former one is in use"
            );
        } else {
            tracing::error!(
                host,
                reason,
                again.seconds = seconds,
                "a certificate could not be obtained, and there is none that is valid"
            );
        }
        let trouble = Trouble {
            reason,
            failures: failures.all(),
            next: SystemTime::now() + pause,
        };
        self.note(host, Some(trouble));
    }

    fn note(&self, host: &str, trouble: Option<Trouble>) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble {
            Some(trouble) => troubles.insert(host.to_owned(), trouble),
            None => troubles.remove(host),
        };
    }

    /// Looks whether a host name needs a certificate, and obtains one if so. Returns when to look again.
    async fn turn(
        self: Arc<Self>,
        host: String,
        tls: Arc<Tls>,
        spread: f64,
    ) -> Result<Duration, Failure> {
        if let Some(kept) = self.look(&host).await? {
            let wait = schedule::due(&kept, spread).duration_since(SystemTime::now());
            if let Some(wait) = wait.ok().filter(|wait| !wait.is_zero()) {
                return Ok(wait.min(LOOK));
            }
        }
        let expires = self.obtain(&host, &tls).await?;
        tracing::info!(host, expires = time(expires), "a certificate was obtained");
        Ok(Duration::ZERO)
    }

    /// The certificate that there is for a host name, if it can be used.
    async fn look(&self, host: &str) -> Result<Option<Certificate>, Failure> {
        let files = CertificateFiles::together(self.file(host));
        match on_disk(move || Certificate::load(&files)).await? {
            Ok(certificate) => Ok(Some(certificate).filter(|one| is_for(one, host))),
            // Not for a disk that does not answer.
            Err(TlsError::Read { source, .. }) if source.kind() != io::ErrorKind::NotFound => {
                Err(Failure::Disk(source))
            }
            Err(error) => {
                let reason = chain(&error);
                tracing::debug!(host, reason, "there is no certificate");
                Ok(None)
            }
        }
    }

    /// Obtains a certificate and takes it into use. Returns when it ends.
    async fn obtain(&self, host: &str, tls: &Arc<Tls>) -> Result<SystemTime, Failure> {
        // The semaphore is never closed.
        let permit = self.permits.acquire().await.ok();
        let path = self.file(host);
        // Before anything is ordered: authorities count certificates, and a full disk must not use them up.
        let place = on_disk(move || Place::reserve(path)).await?;
        let mut place = place.map_err(Failure::Disk)?;
        let obtained = match self.account().await {
            Ok(account) => order::certificate(&account, host, permit).await,
            Err(failure) => Err(failure),
        };
        if obtained.as_ref().is_err_and(Failure::is_of_account) {
            *self.account.lock().await = None;
        }
        let text = obtained?;
        let (tls, host) = (Arc::clone(tls), host.to_owned());
        on_disk(move || {
            let certificate = place.fill(&text)?;
            // Else it would be ordered again at once, and for ever.
            if !is_for(&certificate, &host) || !schedule::is_fresh(&certificate, SystemTime::now())
            {
                return Err(Failure::Useless);
            }
            let expires = certificate.expires;
            place.keep().map_err(Failure::Lost)?;
            // It is there, whatever may be wrong with others.
            if let Err(errors) = tls.reload() {
                tell(&errors);
            }
            Ok(expires)
        })
        .await?
    }

    /// The account with the authority, made if there is none for the key.
    async fn account(&self) -> Result<Account, Failure> {
        let mut known = self.account.lock().await;
        if let Some(account) = &*known {
            return Ok(account.clone());
        }
        let roots = self.config.roots.clone();
        let outgoing = on_disk(move || Outgoing::new(roots.as_deref())).await??;
        let (directory, contact) = (&self.config.directory, self.config.contact.as_deref());
        let account = &self.config.account;
        let account = account.look_up(outgoing, directory, contact).await?;
        Ok(known.insert(account).clone())
    }
}

/// Folder for the certificates of the authority with this directory: its address, as far as it is fit for a name.
fn folder_of(directory: &str) -> String {
    let address = directory.strip_prefix("https://").unwrap_or(directory);
    let is_plain = |character: char| character.is_ascii_alphanumeric() || ".-_".contains(character);
    address
        .trim_matches(['/', '.'])
        .chars()
        .map(|character| if is_plain(character) { character } else { '-' })
        .collect()
}

fn is_for(certificate: &Certificate, host: &str) -> bool {
    certificate.names.iter().any(|name| name == host)
}

/// Judges a PEM file with the certificates by which an authority is trusted.
///
/// # Errors
/// It cannot be read, or holds something else.
pub fn check_roots(path: &Path) -> Result<(), RootsError> {
    outgoing::read_roots(path).map(drop)
}

/// Does what waits for a disk on a thread for it.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    Ok(tokio::task::spawn_blocking(work).await?)
}

fn time(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| "never".to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_authority_has_a_folder() {
        assert_eq!(
            folder_of(LETS_ENCRYPT),
            "acme-v02.api.letsencrypt.org-directory"
        );
        assert_eq!(
            folder_of("https://[::1]:14000/../x?y=/z/"),
            "---1--14000-..-x-y--z"
        );
    }
}
