//! The text that `ip` and `nft` are given.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// Last byte of the first host's address.
pub(super) const FIRST_HOST: u8 = 11;

#[derive(Clone, Debug)]
pub(super) struct Subnet {
    pub(super) name: String,
    pub(super) prefix: [u8; 3],
}

#[derive(Clone, Debug)]
pub(super) struct HostPlan {
    pub(super) name: String,
    pub(super) subnet: String,
    pub(super) crowd: Option<[u8; 2]>,
}

#[derive(Clone, Debug)]
pub(super) struct Opening {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) ports: Vec<u16>,
}

impl Subnet {
    pub(super) fn address(&self, last: u8) -> Ipv4Addr {
        let [first, second, third] = self.prefix;
        Ipv4Addr::new(first, second, third, last)
    }

    fn firewall(&self) -> Ipv4Addr {
        self.address(1)
    }
}

/// Drops on arrival, at both ends: a packet that is lost on its way is no error for who sends it.
pub(super) const HOST_RULES: &str = "\
table inet faults {
  set blocked { type ipv4_addr; }
  chain input {
    type filter hook input priority raw; policy accept;
    ip saddr @blocked drop
  }
}
";

/// Namespaces, and a cable from each host into the firewall.
pub(super) fn cables(hosts: &[(HostPlan, Ipv4Addr)]) -> String {
    let mut lines = format!("netns add {}\n", super::FIREWALL);
    for (host, _) in hosts {
        let name = &host.name;
        let _ = writeln!(lines, "netns add {name}");
        let _ = writeln!(
            lines,
            "link add eth0 netns {name} type veth peer name {name} netns {}",
            super::FIREWALL
        );
    }
    lines
}

/// A bridge for each subnet, with the cables of its hosts.
pub(super) fn firewall_links(subnets: &[Subnet], hosts: &[(HostPlan, Ipv4Addr)]) -> String {
    let mut lines = "link set lo up\n".to_owned();
    for subnet in subnets {
        let name = &subnet.name;
        let _ = writeln!(lines, "link add {name} type bridge");
        let _ = writeln!(
            lines,
            "address add {}/24 broadcast + dev {name}",
            subnet.firewall()
        );
        let _ = writeln!(lines, "link set {name} up");
    }
    for (host, address) in hosts {
        let _ = writeln!(lines, "link set {} master {} up", host.name, host.subnet);
        if let Some([first, second]) = host.crowd {
            let _ = writeln!(lines, "route add {first}.{second}.0.0/16 via {address}");
        }
    }
    lines
}

pub(super) fn host_links(host: &HostPlan, address: Ipv4Addr, subnet: &Subnet) -> String {
    let mut lines = format!(
        "link set lo up\n\
         address add {address}/24 broadcast + dev eth0\n\
         link set eth0 up\n\
         route add default via {}\n",
        subnet.firewall()
    );
    if let Some([first, second]) = host.crowd {
        let _ = writeln!(lines, "route add local {first}.{second}.0.0/16 dev lo");
    }
    lines
}

pub(super) fn firewall_rules(subnets: &[Subnet], openings: &[Opening]) -> String {
    let mut rules = "\
table inet firewall {
  chain input { type filter hook input priority filter; policy drop; }
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
"
    .to_owned();
    // Where the kernel sends bridged packets through these rules, too.
    for subnet in subnets {
        let name = &subnet.name;
        let _ = writeln!(rules, "    iifname \"{name}\" oifname \"{name}\" accept");
    }
    for opening in openings {
        let ports: Vec<String> = opening.ports.iter().map(u16::to_string).collect();
        let _ = writeln!(
            rules,
            "    iifname \"{}\" oifname \"{}\" tcp dport {{ {} }} ct state new accept",
            opening.from,
            opening.to,
            ports.join(", ")
        );
    }
    rules.push_str("  }\n}\n");
    rules
}

/// `/etc/hosts`.
pub(super) fn host_names(hosts: &[(HostPlan, Ipv4Addr)], aliases: &[(String, String)]) -> String {
    let mut lines = "127.0.0.1 localhost\n::1 localhost\n".to_owned();
    for (host, address) in hosts {
        let _ = writeln!(lines, "{address} {}", host.name);
        for (alias, _) in aliases.iter().filter(|(_, of)| *of == host.name) {
            let _ = writeln!(lines, "{address} {alias}");
        }
    }
    lines
}
