//! Users at work: some hundred, each with a session, a connection and an address of their own.
//!
//! They work like people with browsers. Each sends a request every so often, whether the site is quick or
//! not; what is late counts from when it was due. A connection is kept; when one cannot be made, the next
//! address of the site is tried. What is sent again after a failure is said by [`Repeat`]. Everything is
//! taken down in a history.
//!
//! A load runs on one thread, which belongs to a host of the network.

mod connection;
mod exchange;
mod user;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, watch};

use crate::history::{History, Recorder};
use crate::network::Host;

use user::User;

/// Users that sign in at once: checking a password is meant to be slow.
const SIGNING_IN_AT_ONCE: usize = 4;

/// Longest wait for a user to notice that it is over.
const LAST_REQUESTS: Duration = Duration::from_secs(30);

/// What users do, and how often.
#[derive(Clone, Debug)]
pub struct Load {
    /// Name of the site, as in an address bar: with the port if that is not the scheme's.
    pub authority: String,
    /// Where the site is. Users begin with different ones.
    pub addresses: Vec<SocketAddr>,
    /// Certificate of the authority that they trust, in PEM; without one they speak plain HTTP.
    pub trust: Option<String>,
    /// How many users.
    pub users: u16,
    /// Names and passwords; users share them in turn, each with a session of its own.
    pub accounts: Vec<(String, String)>,
    /// A user sends a request each so often.
    pub each: Duration,
    /// It ends by itself after so long.
    pub at_most: Duration,
    /// Longest wait for a connection to one address.
    pub connecting: Duration,
    /// Longest wait for an answer.
    pub answering: Duration,
    /// What is sent again.
    pub repeat: Repeat,
    /// Cookie whose value tells the instance that answered.
    pub instance_cookie: Option<String>,
    /// The application, as far as users know it.
    pub workload: Workload,
}

/// What is sent again, once, when the connection breaks before a byte of the answer. (What was certainly not
/// sent goes to another connection always.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Nothing.
    Never,
    /// Safe requests, as browsers do.
    Safe,
    /// All: those that write carry an identity of the user's own (`Repeatability-Request-ID`).
    All,
}

/// What there is to read and write.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Page with the form to sign in.
    pub sign_in: String,
    /// Path of a collection whose rows users create and change.
    pub collection: String,
    /// How all tags begin: differs between loads on one database.
    pub tag_prefix: String,
    /// Attribute for the tag of a row.
    pub tag_attribute: String,
    /// Text attribute for the value.
    pub value_attribute: String,
    /// The other attributes of a new row.
    pub row: serde_json::Map<String, serde_json::Value>,
    /// Paths to read.
    pub reads: Vec<String>,
    /// Files to fetch, with the digests of their content.
    pub files: Vec<StaticFile>,
    /// How often a user does what.
    pub mix: Mix,
}

/// A file of the application's static content.
#[derive(Clone, Debug)]
pub struct StaticFile {
    /// Its path.
    pub path: String,
    /// SHA-256 of its content.
    pub digest: [u8; 32],
}

/// Shares of the kinds of requests.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// Of [`Workload::reads`].
    pub read: u32,
    /// New rows.
    pub create: u32,
    /// Changes of the user's row.
    pub update: u32,
    /// The user's row.
    pub read_back: u32,
    /// Of [`Workload::files`].
    pub file: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self {
            read: 4,
            create: 1,
            update: 2,
            read_back: 1,
            file: 2,
        }
    }
}

impl StaticFile {
    /// The file of an application's `web` folder that is served at a path.
    ///
    /// # Errors
    /// As the file system's.
    pub fn of(web: &Path, path: &str) -> Result<Self> {
        let file = web.join(path.trim_start_matches('/'));
        let content = std::fs::read(&file).with_context(|| file.display().to_string())?;
        Ok(Self {
            path: path.to_owned(),
            digest: Sha256::digest(content).into(),
        })
    }
}

/// Users who are at work.
#[derive(Debug)]
pub struct Running {
    recorder: Arc<Recorder>,
    users: u16,
    stage: watch::Sender<Stage>,
    thread: JoinHandle<Result<()>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Users sign in and wait for the others.
    #[default]
    SigningIn,
    Working,
    Over,
}

impl Load {
    /// Lets the users sign in from a host, with addresses of its crowd if it has one. They begin to work with
    /// [`Running::begin`].
    ///
    /// # Errors
    /// There are no addresses or accounts; the certificate is malformed.
    pub fn start(self, host: &Host) -> Result<Running> {
        ensure!(
            !self.addresses.is_empty() && !self.accounts.is_empty(),
            "a load needs addresses and accounts"
        );
        let tls = self
            .trust
            .as_deref()
            .map(client_configuration)
            .transpose()?;
        let recorder = Arc::new(Recorder::default());
        let (stage, staged) = watch::channel(Stage::default());
        let users: Vec<User> = (0..self.users)
            .map(|number| {
                User::new(
                    number,
                    host.member(number),
                    &self,
                    tls.as_ref(),
                    Arc::clone(&recorder),
                )
            })
            .collect::<Result<_>>()?;
        let (host, count, at_most) = (host.clone(), self.users, self.at_most);
        let thread = std::thread::Builder::new()
            .name("load".to_owned())
            .spawn(move || host.block_on(|| work(users, staged, at_most)))?;
        Ok(Running {
            recorder,
            users: count,
            stage,
            thread,
        })
    }
}

async fn work(users: Vec<User>, staged: watch::Receiver<Stage>, at_most: Duration) -> Result<()> {
    let signing_in = Arc::new(Semaphore::new(SIGNING_IN_AT_ONCE));
    let mut at_work = tokio::task::JoinSet::new();
    for user in users {
        at_work.spawn(user.work(Arc::clone(&signing_in), staged.clone()));
    }
    let ended = tokio::time::timeout(at_most + LAST_REQUESTS, async {
        while let Some(user) = at_work.join_next().await {
            user??;
        }
        Ok(())
    });
    tokio::select! {
        ended = ended => ended.context("the load did not end in time")?,
        () = at_end(staged.clone(), at_most) => Err(anyhow!("users are still at work {LAST_REQUESTS:?} after the end")),
    }
}

/// Some time after the end, which is told or reached.
async fn at_end(mut staged: watch::Receiver<Stage>, at_most: Duration) {
    // Whoever could tell is gone: that is an end, too.
    let _ = tokio::time::timeout(at_most, staged.wait_for(|stage| *stage == Stage::Over)).await;
    tokio::time::sleep(LAST_REQUESTS).await;
}

impl Running {
    /// Waits until everybody is signed in, and lets them work.
    ///
    /// # Errors
    /// Somebody could not sign in, or not in time.
    pub async fn begin(&self, deadline: Duration) -> Result<()> {
        self.recorder
            .until_signed_in(usize::from(self.users), deadline)
            .await?;
        self.stage.send_replace(Stage::Working);
        Ok(())
    }

    /// What is taken down.
    #[must_use]
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Lets everybody finish the request they are at.
    ///
    /// # Errors
    /// They do not in time, or the load could not work.
    pub async fn finish(self) -> Result<History> {
        self.stage.send_replace(Stage::Over);
        let thread = self.thread;
        tokio::task::spawn_blocking(move || thread.join())
            .await?
            .map_err(|_| anyhow!("the load panicked"))??;
        Ok(self.recorder.so_far())
    }
}

fn client_configuration(trust: &str) -> Result<Arc<rustls::ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trust.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut configuration = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(configuration))
}

#[cfg(test)]
mod tests;
