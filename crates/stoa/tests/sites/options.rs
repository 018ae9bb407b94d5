//! The same application, unchanged, in every architecture: people sign in, read, write, and get files.

use std::time::Duration;

use anyhow::{Result, ensure};
use stoa_testing::history::check;
use stoa_testing::network;

use crate::site::{Architecture, SiteBuilder};

const DEADLINE: Duration = Duration::from_secs(60);

async fn serves(architecture: Architecture) -> Result<()> {
    let site = SiteBuilder::new(architecture).start().await?;
    let mut load = site.load()?;
    load.users = 60;
    let load = load.start(site.host("client")?)?;
    load.begin(DEADLINE).await?;
    load.recorder().until_done(300, DEADLINE).await?;
    let history = load.finish().await?;
    let report = check(&history, &site.rows().await?);
    eprintln!("{architecture:?}: {report}");
    ensure!(report.acknowledged > 50, "too little was written: {report}");
    report.require_no_failure()
}

#[test]
fn one_server() -> Result<()> {
    network::test(async || serves(Architecture::OneServer).await)
}

#[test]
fn one_server_and_a_database() -> Result<()> {
    network::test(async || serves(Architecture::DatabaseServer).await)
}

#[test]
fn web_server_and_app_server() -> Result<()> {
    network::test(async || serves(Architecture::WebAndApp).await)
}

#[test]
fn web_server_in_a_dmz() -> Result<()> {
    network::test(async || serves(Architecture::Dmz).await)
}

#[test]
fn two_web_servers_and_three_app_servers() -> Result<()> {
    network::test(async || serves(Architecture::Balanced).await)
}

#[test]
fn two_environments_share_servers_and_nothing_else() -> Result<()> {
    network::test(async || {
        let site = SiteBuilder::new(Architecture::Dmz)
            .second_environment()
            .start()
            .await?;
        let client = site.host("client")?;
        let mut loads = [site.load()?, site.second_load()?];
        for load in &mut loads {
            load.users = 30;
        }
        loads[1].workload.tag_prefix.push_str("the second ");
        let [first, second] = loads;
        let (first, second) = (first.start(client)?, second.start(client)?);
        for load in [&first, &second] {
            load.begin(DEADLINE).await?;
        }
        for load in [&first, &second] {
            load.recorder().until_acknowledged(50, DEADLINE).await?;
        }
        let histories = [first.finish().await?, second.finish().await?];
        let rows = [site.rows().await?, site.second_rows().await?];
        for (history, rows) in histories.iter().zip(&rows) {
            // A row of the other's would be one that nobody asked for.
            check(history, rows).require_no_failure()?;
        }
        Ok(())
    })
}
