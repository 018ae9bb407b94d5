//! The architectures that an application runs in, and the network of each.

use stoa_testing::network::Plan;

use crate::shop;

/// How a site is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Architecture {
    /// One server with both roles and the embedded database.
    OneServer,
    /// The same, with PostgreSQL on a host of its own.
    DatabaseServer,
    /// Web server and app server apart, in one subnet.
    WebAndApp,
    /// The same, and the web server stands in a DMZ, from where nothing leads inwards.
    Dmz,
    /// Two web servers in the DMZ, three app servers, PostgreSQL with a replica.
    Balanced,
}

/// A server of a site.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) is_web: bool,
    pub(crate) is_app: bool,
}

const fn web(name: &'static str) -> Server {
    Server {
        name,
        is_web: true,
        is_app: false,
    }
}

const fn app(name: &'static str) -> Server {
    Server {
        name,
        is_web: false,
        is_app: true,
    }
}

impl Architecture {
    pub(crate) fn servers(self) -> Vec<Server> {
        match self {
            Self::OneServer | Self::DatabaseServer => vec![Server {
                name: "server1",
                is_web: true,
                is_app: true,
            }],
            Self::WebAndApp | Self::Dmz => vec![web("web1"), app("app1")],
            Self::Balanced => vec![
                web("web1"),
                web("web2"),
                app("app1"),
                app("app2"),
                app("app3"),
            ],
        }
    }

    /// Instances that serve the application.
    pub(crate) fn instances(self) -> usize {
        self.servers().iter().filter(|server| server.is_app).count()
    }

    pub(crate) fn has_postgres(self) -> bool {
        self != Self::OneServer
    }

    pub(crate) fn has_replica(self) -> bool {
        self == Self::Balanced
    }

    /// Address of a database for app servers.
    pub(crate) fn database(self, name: &str) -> String {
        if self.has_replica() {
            format!(
                "postgres://postgres@db1,db2/{name}?target_session_attrs=read-write&connect_timeout=1"
            )
        } else {
            format!("postgres://postgres@db1/{name}")
        }
    }

    /// Subnet of a server.
    fn subnet(self, server: &Server) -> &'static str {
        match self {
            Self::Dmz | Self::Balanced if server.is_web => "dmz",
            _ => "inside",
        }
    }

    pub(crate) fn network(self) -> Plan {
        let mut plan = Plan::new()
            .subnet("outside", [198, 51, 100])
            .subnet("dmz", [10, 1, 0])
            .subnet("inside", [10, 2, 0])
            .subnet("data", [10, 3, 0])
            .host("client", "outside")
            .crowd([100, 64]);
        for server in self.servers() {
            plan = plan.host(server.name, self.subnet(&server));
            if server.is_web {
                plan = plan.alias(shop::NAME, server.name);
            }
        }
        plan = match self {
            Self::Dmz | Self::Balanced => {
                plan.open("outside", "dmz", &[80, 443])
                    .open("inside", "dmz", &[7443])
            }
            _ => plan.open("outside", "inside", &[80, 443]),
        };
        if self.has_postgres() {
            plan = plan.host("db1", "data").open("inside", "data", &[5432]);
        }
        if self.has_replica() {
            plan = plan.host("db2", "data");
        }
        plan
    }
}
