//! The instruments themselves, on a server that runs alone: when it dies, users notice, and nothing that was
//! acknowledged is lost.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use stoa_testing::certificates::Authority;
use stoa_testing::client::Client;
use stoa_testing::history::check;
use stoa_testing::network::{self, Host, Plan, Process};
use stoa_testing::postgres::{Cluster, Durability};
use stoa_testing::{eventually, process};

use crate::{front, shop};

const DEADLINE: Duration = Duration::from_secs(30);

fn start(host: &Host, database: &str) -> Result<Process> {
    let mut command = process::command()?;
    command
        .arg("run")
        .arg(shop::application())
        .args(["--listen", &host.at(8080).to_string(), "--behind-tls"])
        .args(["--host", shop::NAME, "--admin", "off"])
        .args(["--database", database, "--data", "/run/temporary/app1"]);
    host.spawn(command)
}

#[test]
fn a_killed_server_loses_requests_and_no_acknowledged_write() -> Result<()> {
    network::test(async || {
        let network = Plan::new()
            .subnet("outside", [198, 51, 100])
            .subnet("dmz", [10, 1, 0])
            .subnet("inside", [10, 2, 0])
            .subnet("data", [10, 3, 0])
            .host("client", "outside")
            .crowd([100, 64])
            .host("web1", "dmz")
            .host("web2", "dmz")
            .host("app1", "inside")
            .host("db1", "data")
            .alias(shop::NAME, "web1")
            .open("outside", "dmz", &[443])
            .open("dmz", "inside", &[8080])
            .open("inside", "data", &[5432])
            .build()?;
        let app1 = network.host("app1")?;
        let client = network.host("client")?;
        let time = Instant::now();
        let cluster = Cluster::start_on(network.host("db1")?, Durability::Full).await?;
        cluster
            .with("postgres", async |client| {
                Ok(client.batch_execute("CREATE DATABASE shop").await?)
            })
            .await?;
        let database = "postgres://postgres@db1/shop";
        let server = start(app1, database)?;
        ready(network.host("web1")?, app1).await?;
        eprintln!("server ready after {:?}", time.elapsed());
        app1.run(|| shop::add_people(&shop::application(), &["--database", database]))??;

        let authority = Authority::new()?;
        let certificate = authority.issue(&[shop::NAME])?;
        let mut addresses = Vec::new();
        for name in ["web1", "web2"] {
            let web = network.host(name)?;
            front::start(web, &certificate, app1.at(8080)).await?;
            addresses.push(web.at(443));
        }
        let mut load = shop::load(&authority, &addresses)?;
        load.users = 100;
        let load = load.start(client)?;
        load.begin(DEADLINE).await?;
        eprintln!("users signed in after {:?}", time.elapsed());
        load.recorder().until_done(300, DEADLINE).await?;

        load.recorder().mark("kill -9 of the only server");
        server.kill()?;
        let server = start(app1, database)?;
        ready(network.host("web1")?, app1).await?;
        load.recorder().until_acknowledged(50, DEADLINE).await?;

        load.recorder()
            .mark("cable of the only server, for a second");
        app1.unplug()?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        app1.plug()?;
        load.recorder().until_acknowledged(50, DEADLINE).await?;
        let history = load.finish().await?;
        drop(server);

        history.write(&network::artefacts()?.join("harness.jsonl"))?;
        let rows = shop::rows(&cluster, "shop").await?;
        let report = check(&history, &rows);
        eprintln!(
            "{report}\n{}",
            history.recovery_table(Duration::from_secs(10))
        );
        report.require_no_fault()?;
        let [killed, _] = &history.recoveries(Duration::from_secs(10))[..] else {
            anyhow::bail!("two marks");
        };
        ensure!(
            killed.failed > 0,
            "nobody noticed that the server was killed"
        );
        ensure!(
            report.acknowledged >= 100 && report.failures() * 2 < report.requests,
            "too little was done: {report}"
        );

        // What the checker says of a lost row, a lost update and one more that nobody made.
        let mut wrong = rows.clone();
        wrong.retain(|row| row.value > 0);
        ensure!(!check(&history, &wrong).faults.is_empty(), "rows lost");
        wrong = rows.clone();
        wrong.iter_mut().for_each(|row| row.value = 0);
        ensure!(!check(&history, &wrong).faults.is_empty(), "updates lost");
        wrong = rows;
        wrong.push(wrong[0].clone());
        ensure!(!check(&history, &wrong).faults.is_empty(), "a row twice");
        Ok(())
    })
}

/// Waits until the server is ready, as its front sees it.
async fn ready(front: &Host, app: &Host) -> Result<()> {
    let url = format!("http://{}", app.at(8080));
    front
        .ask(move || async move {
            let client = Client::new(url)?;
            eventually("the server is ready", DEADLINE, async || {
                let answer = client.get("/health/ready").await.ok()?;
                (answer.status == 200).then_some(())
            })
            .await
        })
        .await
}
