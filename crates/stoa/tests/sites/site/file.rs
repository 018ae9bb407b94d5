//! The text of a site's file.

use std::fmt::Write as _;
use std::net::SocketAddr;

use anyhow::Result;
use stoa_testing::network::Network;

use super::ENVIRONMENT;
use super::architecture::{Architecture, Server};
use crate::shop;

/// Host name of the second environment.
pub(super) fn second_host() -> String {
    format!("second.{}", shop::NAME)
}

/// `stoa.toml` of an architecture.
pub(super) fn text(
    architecture: Architecture,
    has_second_environment: bool,
    network: &Network,
) -> Result<String> {
    let mut text = "[site]\nname = \"shop\"\ntrust = \"trust\"\n".to_owned();
    let servers = architecture.servers();
    for server in &servers {
        let link = (servers.len() > 1).then_some(network.host(server.name)?.at(7443));
        write_server(&mut text, server, link)?;
    }
    write_environment(&mut text, architecture, ENVIRONMENT, shop::NAME, "shop")?;
    if has_second_environment {
        let host = second_host();
        write_environment(&mut text, architecture, "second", &host, "second")?;
    }
    Ok(text)
}

fn write_server(text: &mut String, server: &Server, link: Option<SocketAddr>) -> Result<()> {
    let name = server.name;
    let roles = match (server.is_web, server.is_app) {
        (true, true) => r#""web", "app""#,
        (true, false) => r#""web""#,
        _ => r#""app""#,
    };
    let data = std::env::temp_dir().join(name).join("data");
    writeln!(
        text,
        "\n[server.{name}]\nroles = [{roles}]\ndata = \"{}\"",
        data.display()
    )?;
    if server.is_web {
        writeln!(
            text,
            "[server.{name}.web]\nhttp = \"0.0.0.0:80\"\nhttps = \"0.0.0.0:443\""
        )?;
        if let Some(link) = link {
            writeln!(text, "link = \"{link}\"")?;
        }
        writeln!(
            text,
            "metrics = \"127.0.0.1:9090\"\n[[server.{name}.web.certificate]]\n\
             chain = \"certificates/shop.pem\"\nkey = \"certificates/shop.key\""
        )?;
    }
    if server.is_app {
        writeln!(
            text,
            "[server.{name}.app]\ncapacity = 1\nmetrics = \"127.0.0.1:9091\""
        )?;
    }
    Ok(())
}

fn write_environment(
    text: &mut String,
    architecture: Architecture,
    name: &str,
    host: &str,
    database: &str,
) -> Result<()> {
    writeln!(
        text,
        "\n[environment.{name}]\nhosts = [\"{host}\"]\napplication = \"applications/wholesale\""
    )?;
    if architecture.has_postgres() {
        writeln!(text, "database = \"{}\"", architecture.database(database))?;
    }
    Ok(())
}
