//! Hosts on a real network: namespaces joined by a firewall, with real rules, faults included.
//!
//! A test runs inside [`test()`], which moves it into mount, process and network namespaces of its own (as root,
//! or in a user namespace). So everything that it starts, mounts and configures is gone with it, however it
//! ends, and tests that run side by side may use the same names and addresses. There it draws a [`Plan`]:
//! subnets, hosts on them, and which subnet may open connections to which. The result:
//!
//! ```text
//! client ── outside ──┐             ┌── dmz ── web1
//!                     ├── firewall ─┤
//!   db1 ──── data ────┘             └── inside ── app1
//! ```
//!
//! Every host is a network namespace with one cable into the bridge of its subnet; the bridges are in the
//! firewall's namespace, which routes between them and lets through answers and what the plan opens. What
//! is not let through is dropped without a word. `/etc/hosts` has the names of all hosts.

mod host;
mod layout;
mod process;
mod world;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

pub use host::{Host, Reach};
pub use process::{Process, Slowdown};
pub use world::{artefacts, test};

use layout::{HostPlan, Opening, Subnet};

/// Namespace of the firewall, which no host may be named after.
const FIREWALL: &str = "firewall";

/// Longest name of a network interface.
const LONGEST_NAME: usize = 15;

/// What a network is to look like.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    subnets: Vec<Subnet>,
    hosts: Vec<HostPlan>,
    openings: Vec<Opening>,
    /// Names for addresses of hosts, besides the hosts' own.
    aliases: Vec<(String, String)>,
}

/// A running network. Its namespaces are removed with it, its processes are the caller's.
#[derive(Debug)]
pub struct Network {
    hosts: BTreeMap<String, Host>,
    namespaces: Vec<String>,
}

impl Plan {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A subnet of 256 addresses that begin with these three bytes; the firewall's is the first of them.
    #[must_use]
    pub fn subnet(mut self, name: &str, prefix: [u8; 3]) -> Self {
        self.subnets.push(Subnet {
            name: name.to_owned(),
            prefix,
        });
        self
    }

    /// A host on a subnet: its address ends with 11 for the first, 12 for the second, and so on.
    #[must_use]
    pub fn host(mut self, name: &str, subnet: &str) -> Self {
        self.hosts.push(HostPlan {
            name: name.to_owned(),
            subnet: subnet.to_owned(),
            crowd: None,
        });
        self
    }

    /// The last host answers for all 65,536 addresses that begin with these two bytes, too, and may bind
    /// sockets to each of them: a crowd of clients, each with an address of its own.
    #[must_use]
    pub fn crowd(mut self, prefix: [u8; 2]) -> Self {
        if let Some(host) = self.hosts.last_mut() {
            host.crowd = Some(prefix);
        }
        self
    }

    /// The firewall lets hosts of one subnet open TCP connections to these ports of another; answers pass.
    #[must_use]
    pub fn open(mut self, from: &str, to: &str, ports: &[u16]) -> Self {
        self.openings.push(Opening {
            from: from.to_owned(),
            to: to.to_owned(),
            ports: ports.to_vec(),
        });
        self
    }

    /// One more name for a host in everybody's `/etc/hosts`.
    #[must_use]
    pub fn alias(mut self, name: &str, host: &str) -> Self {
        self.aliases.push((name.to_owned(), host.to_owned()));
        self
    }

    /// Builds the network.
    ///
    /// # Errors
    /// Not called within [`test()`]; another network of the test still stands; names are too long, unknown or
    /// used twice; `ip` or `nft` is missing or fails.
    pub fn build(self) -> Result<Network> {
        world::require()?;
        self.check()?;
        let folder = world::NAMESPACES;
        let left = fs::read_dir(folder).map_or(0, Iterator::count);
        ensure!(left == 0, "another network of this test still stands");

        let hosts = self.addresses()?;
        let mut namespaces: Vec<String> = vec![FIREWALL.to_owned()];
        namespaces.extend(hosts.iter().map(|(host, _)| host.name.clone()));
        // Removes what is there when a later step fails.
        let mut network = Network {
            hosts: BTreeMap::new(),
            namespaces,
        };
        ip_batch(None, &layout::cables(&hosts))?;
        ip_batch(
            Some(FIREWALL),
            &layout::firewall_links(&self.subnets, &hosts),
        )?;
        for (plan, address) in &hosts {
            let subnet = self.subnet_of(plan)?;
            ip_batch(
                Some(&plan.name),
                &layout::host_links(plan, *address, subnet),
            )?;
            let namespace = File::open(format!("{folder}/{}", plan.name))?;
            let host = Host::new(&plan.name, *address, plan.crowd, namespace);
            host.load_rules(layout::HOST_RULES)?;
            network.hosts.insert(plan.name.clone(), host);
        }
        let firewall = Host::new(
            FIREWALL,
            Ipv4Addr::UNSPECIFIED,
            None,
            File::open(format!("{folder}/{FIREWALL}"))?,
        );
        firewall.load_rules(&layout::firewall_rules(&self.subnets, &self.openings))?;
        firewall
            .run(|| fs::write("/proc/sys/net/ipv4/ip_forward", "1"))?
            .context("switching on forwarding in the firewall")?;
        world::name_hosts(&layout::host_names(&hosts, &self.aliases))?;
        Ok(network)
    }

    fn check(&self) -> Result<()> {
        let mut names: Vec<&str> = vec![FIREWALL, "lo"];
        names.extend(self.subnets.iter().map(|subnet| subnet.name.as_str()));
        names.extend(self.hosts.iter().map(|host| host.name.as_str()));
        for name in &names {
            ensure!(
                !name.is_empty()
                    && name.len() <= LONGEST_NAME
                    && name
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'),
                "`{name}` cannot name a network interface"
            );
        }
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            bail!("two subnets or hosts are named `{}`", pair[0]);
        }
        for opening in &self.openings {
            for end in [&opening.from, &opening.to] {
                ensure!(
                    self.subnets.iter().any(|subnet| &subnet.name == end),
                    "no subnet is named `{end}`"
                );
            }
        }
        Ok(())
    }

    fn subnet_of(&self, host: &HostPlan) -> Result<&Subnet> {
        self.subnets
            .iter()
            .find(|subnet| subnet.name == host.subnet)
            .with_context(|| format!("host {}: no subnet is named `{}`", host.name, host.subnet))
    }

    fn addresses(&self) -> Result<Vec<(HostPlan, Ipv4Addr)>> {
        let mut used: BTreeMap<&str, u8> = BTreeMap::new();
        let mut hosts = Vec::new();
        for host in &self.hosts {
            let subnet = self.subnet_of(host)?;
            let last = used.entry(&subnet.name).or_insert(layout::FIRST_HOST - 1);
            *last = last.checked_add(1).context("a subnet has 244 hosts")?;
            hosts.push((host.clone(), subnet.address(*last)));
        }
        Ok(hosts)
    }
}

impl Network {
    /// A host of the plan.
    ///
    /// # Errors
    /// The plan has none of that name.
    pub fn host(&self, name: &str) -> Result<&Host> {
        self.hosts
            .get(name)
            .with_context(|| format!("the network has no host `{name}`"))
    }

    /// All hosts, by name.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let lines: String = self
            .namespaces
            .iter()
            .map(|name| format!("netns delete {name}\n"))
            .collect();
        if let Err(error) = ip_batch(None, &lines) {
            eprintln!("could not remove the network: {error:#}");
        }
    }
}

/// Runs lines of `ip` in one process: in a namespace, or where the test is.
fn ip_batch(namespace: Option<&str>, lines: &str) -> Result<()> {
    let mut command = Command::new("ip");
    if let Some(namespace) = namespace {
        command.args(["-netns", namespace]);
    }
    command.args(["-batch", "-"]);
    fed(command, lines).with_context(|| format!("in namespace {namespace:?}:\n{lines}"))
}

/// Runs a program with this input.
fn fed(mut command: Command, input: &str) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| {
            format!("running `{name}`: are iproute2, nftables and util-linux installed?")
        })?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

#[cfg(test)]
mod tests;
