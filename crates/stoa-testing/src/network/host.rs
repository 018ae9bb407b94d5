//! One host: what runs on it, and what happens to its cable.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::TcpStream;

use super::process::Process;
use super::{FIREWALL, fed};
use crate::disk::SmallDisk;

/// Connections tried at once by [`Host::scan`].
const SCANNED_AT_ONCE: usize = 128;

/// A host of a network. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Host(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    address: Ipv4Addr,
    crowd: Option<[u8; 2]>,
    namespace: File,
}

/// How a try to connect ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Somebody listens.
    Open,
    /// The host was reached, and nobody listens there.
    Refused,
    /// Nothing came back.
    Silent,
}

impl Host {
    pub(super) fn new(
        name: &str,
        address: Ipv4Addr,
        crowd: Option<[u8; 2]>,
        namespace: File,
    ) -> Self {
        Self(Arc::new(Inner {
            name: name.to_owned(),
            address,
            crowd,
            namespace,
        }))
    }

    /// Its name, which every host resolves to its address.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.0.address
    }

    /// Its address with a port.
    #[must_use]
    pub fn at(&self, port: u16) -> SocketAddr {
        (self.0.address, port).into()
    }

    /// The address of one of a crowd's members; none for a host without a crowd.
    #[must_use]
    pub fn member(&self, number: u16) -> Option<Ipv4Addr> {
        let [first, second] = self.0.crowd?;
        let [third, fourth] = number.checked_add(1)?.to_be_bytes();
        Some(Ipv4Addr::new(first, second, third, fourth))
    }

    /// Does something on the host, and waits for it: sockets that it opens and processes that it starts are
    /// the host's.
    ///
    /// # Errors
    /// The host's namespace cannot be entered.
    ///
    /// # Panics
    /// As `work` does.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let joined = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    self.enter()?;
                    Ok(work())
                })
                .join()
        });
        joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Does something asynchronous on the host, on a thread and runtime of its own.
    ///
    /// # Errors
    /// The host's namespace cannot be entered, or `work` fails or panics.
    pub async fn ask<T, F>(&self, work: impl FnOnce() -> F + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>>,
    {
        let host = self.clone();
        let (send, receive) = tokio::sync::oneshot::channel();
        std::thread::Builder::new()
            .name(format!("on-{}", self.name()))
            .spawn(move || {
                // Nobody waits any more when the test has failed meanwhile.
                let _ = send.send(host.block_on(work));
            })?;
        receive
            .await
            .with_context(|| format!("work on {} panicked", self.name()))?
    }

    /// Moves the calling thread to the host and runs `work` on it. For threads that end with it.
    pub(crate) fn block_on<T, F>(&self, work: impl FnOnce() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.enter()?;
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(work())
    }

    fn enter(&self) -> Result<()> {
        move_into_link_name_space(self.0.namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .with_context(|| format!("entering the namespace of {}", self.name()))
    }

    /// Starts a process on the host; what it writes is kept.
    ///
    /// # Errors
    /// There is no such program.
    pub fn spawn(&self, command: Command) -> Result<Process> {
        let name = format!(
            "{} on {}",
            command.get_program().to_string_lossy(),
            self.name()
        );
        self.run(move || Process::start(name, command))?
    }

    /// Runs a program on the host to its end.
    ///
    /// # Errors
    /// It cannot be started, or fails: with what it wrote to stderr.
    pub fn output(&self, mut command: Command) -> Result<String> {
        let output = self.run(|| command.output())??;
        ensure!(
            output.status.success(),
            "{command:?} on {} ({}): {}",
            self.name(),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Pulls the cable, or the plug, as others see it: from now on nothing arrives and nothing leaves, and
    /// no connection ends.
    ///
    /// # Errors
    /// `ip` fails.
    pub fn unplug(&self) -> Result<()> {
        self.cable("down")
    }

    /// Puts the cable back.
    ///
    /// # Errors
    /// `ip` fails.
    pub fn plug(&self) -> Result<()> {
        self.cable("up")
    }

    fn cable(&self, state: &str) -> Result<()> {
        let mut command = Command::new("ip");
        command.args(["-netns", FIREWALL, "link", "set", self.name(), state]);
        fed(command, "")
    }

    /// From now on packets between this host and another are lost.
    ///
    /// # Errors
    /// `nft` fails.
    pub fn block(&self, other: &Self) -> Result<()> {
        self.change_blocked("add", other)?;
        other.change_blocked("add", self)
    }

    /// Ends [`Host::block`].
    ///
    /// # Errors
    /// They were not blocked.
    pub fn unblock(&self, other: &Self) -> Result<()> {
        self.change_blocked("delete", other)?;
        other.change_blocked("delete", self)
    }

    fn change_blocked(&self, verb: &str, other: &Self) -> Result<()> {
        self.load_rules(&format!(
            "{verb} element inet faults blocked {{ {} }}",
            other.address()
        ))
    }

    pub(super) fn load_rules(&self, rules: &str) -> Result<()> {
        self.run(|| {
            let mut command = Command::new("nft");
            command.args(["-f", "-"]);
            fed(command, rules)
        })?
        .with_context(|| format!("rules of {}", self.name()))
    }

    /// A small file system in memory.
    ///
    /// # Errors
    /// It cannot be mounted.
    pub fn small_disk(&self, bytes: u64) -> Result<SmallDisk> {
        SmallDisk::mount(bytes)?.context("within `network::test` a disk can be mounted")
    }

    /// Whether somebody listens there, as seen from this host.
    ///
    /// # Errors
    /// The host's namespace cannot be entered.
    pub async fn can_reach(&self, address: SocketAddr) -> Result<bool> {
        let reached = self.scan(vec![address], Duration::from_secs(1)).await?;
        Ok(reached.contains(&(address, Reach::Open)))
    }

    /// Tries to connect to all of these, and waits so long for each.
    ///
    /// # Errors
    /// The host's namespace cannot be entered, or sockets run out.
    pub async fn scan(
        &self,
        addresses: Vec<SocketAddr>,
        patience: Duration,
    ) -> Result<Vec<(SocketAddr, Reach)>> {
        self.ask(move || async move {
            let mut found = Vec::with_capacity(addresses.len());
            for some in addresses.chunks(SCANNED_AT_ONCE) {
                let mut tries = tokio::task::JoinSet::new();
                for address in some.iter().copied() {
                    tries.spawn(async move { (address, reach(address, patience).await) });
                }
                while let Some(tried) = tries.join_next().await {
                    let (address, reach) = tried?;
                    found.push((address, reach?));
                }
            }
            found.sort_by_key(|(address, _)| *address);
            Ok(found)
        })
        .await
    }
}

async fn reach(address: SocketAddr, patience: Duration) -> Result<Reach> {
    match tokio::time::timeout(patience, TcpStream::connect(address)).await {
        Err(_) => Ok(Reach::Silent),
        Ok(Ok(_)) => Ok(Reach::Open),
        Ok(Err(error)) => match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Ok(Reach::Refused),
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::TimedOut => Ok(Reach::Silent),
            _ => bail!("connecting to {address}: {error}"),
        },
    }
}
