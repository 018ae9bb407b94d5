//! What users notice of faults: nothing but a moment, as long as one instance is left.
//!
//! After each fault the history is checked: no write that was acknowledged is lost or applied twice, nobody is
//! signed out, no request fails. How long it took is printed.

use std::fs;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use stoa_testing::history::{Recovery, check};
use stoa_testing::load::{Load, Repeat, Running};
use stoa_testing::{eventually, network};

use crate::site::{Architecture, SiteBuilder, SiteUnderTest};

const DEADLINE: Duration = Duration::from_secs(60);

/// Requests after a fault that count for its recovery.
const AFTER: Duration = Duration::from_secs(10);

/// A process that dies is noticed at once: 100 ms on a machine with nothing else to do. What is asked for here tells
/// that from waiting for a time limit, on any machine.
const DEATH: Duration = Duration::from_secs(2);

/// Nobody says that a host has lost power: 2 s on a machine with nothing else to do.
const POWER_LOSS: Duration = Duration::from_secs(8);

/// Users at work, from the start of one to its end.
struct Trial {
    site: SiteUnderTest,
    load: Running,
}

impl Trial {
    async fn begin(builder: SiteBuilder) -> Result<Self> {
        Self::begin_with(builder, |_| {}).await
    }

    async fn begin_with(builder: SiteBuilder, change: impl FnOnce(&mut Load)) -> Result<Self> {
        let site = builder.start().await?;
        let mut load = site.load()?;
        change(&mut load);
        let load = load.start(site.host("client")?)?;
        load.begin(DEADLINE).await?;
        load.recorder().until_done(400, DEADLINE).await?;
        Ok(Self { site, load })
    }

    fn mark(&self, fault: &str) {
        self.load.recorder().mark(fault);
    }

    /// Users go on for a while.
    async fn work(&self) -> Result<()> {
        self.load.recorder().until_acknowledged(200, DEADLINE).await
    }

    /// Ends it, demands that no request failed and no write was lost, and tells what each fault cost.
    async fn end(self, name: &str) -> Result<Vec<Recovery>> {
        let history = self.load.finish().await?;
        history.write(&network::artefacts()?.join(format!("{name}.jsonl")))?;
        let report = check(&history, &self.site.rows().await?);
        eprintln!("{report}\n{}", history.recovery_table(AFTER));
        report.require_no_failure()?;
        Ok(history.recoveries(AFTER))
    }
}

/// Whether the first fault was over soon enough.
fn require_within(recoveries: &[Recovery], limit: Duration) -> Result<()> {
    let first = recoveries.first().context("a fault")?;
    ensure!(
        first.p999 <= limit,
        "it took longer than {limit:?}:\n{}\n{first}",
        Recovery::HEAD
    );
    Ok(())
}

#[test]
fn an_app_server_is_killed() -> Result<()> {
    network::test(async || {
        let mut trial = Trial::begin(SiteBuilder::new(Architecture::Balanced)).await?;
        trial.mark("kill -9 of an app server");
        trial.site.kill("app1")?;
        trial.work().await?;
        trial.mark("it comes back");
        trial.site.start("app1")?;
        trial.site.until_ready(3, DEADLINE).await?;
        trial.work().await?;
        require_within(&trial.end("app-killed").await?, DEATH)
    })
}

#[test]
fn a_web_server_is_killed() -> Result<()> {
    network::test(async || {
        // What was under way there, only its sender can send again.
        let mut trial = Trial::begin_with(SiteBuilder::new(Architecture::Balanced), |load| {
            load.repeat = Repeat::All;
        })
        .await?;
        trial.mark("kill -9 of a web server");
        trial.site.kill("web1")?;
        trial.work().await?;
        trial.mark("it comes back");
        trial.site.start("web1")?;
        trial.site.until_ready(3, DEADLINE).await?;
        trial.work().await?;
        require_within(&trial.end("web-killed").await?, DEATH)
    })
}

#[test]
fn an_app_server_loses_power() -> Result<()> {
    network::test(async || {
        let mut trial = Trial::begin(SiteBuilder::new(Architecture::Balanced)).await?;
        trial.mark("power loss of an app server");
        trial.site.host("app1")?.unplug()?;
        trial.site.kill("app1")?;
        trial.work().await?;
        require_within(&trial.end("app-power").await?, POWER_LOSS)
    })
}

/// Every server of the site is restarted, one after the other.
#[test]
fn all_servers_are_restarted_one_after_the_other() -> Result<()> {
    network::test(async || {
        let mut trial = Trial::begin_with(SiteBuilder::new(Architecture::Balanced), |load| {
            // A browser sends again what a closing connection has not taken.
            load.repeat = Repeat::All;
        })
        .await?;
        for name in ["app1", "app2", "app3", "web1", "web2"] {
            trial.mark(&format!("{name} is restarted"));
            trial.site.stop(name, DEADLINE).await?;
            trial.site.start(name)?;
            trial.site.until_ready(3, DEADLINE).await?;
        }
        trial.work().await?;
        trial.end("restarts").await?;
        Ok(())
    })
}

/// The operator takes an app server out, and in again; the process goes on.
#[test]
fn an_app_server_is_drained_and_comes_back() -> Result<()> {
    network::test(async || {
        let trial = Trial::begin(SiteBuilder::new(Architecture::Balanced)).await?;
        trial.mark("drain of an app server");
        trial.site.command("drain", "app1")?;
        trial.site.until_ready(2, DEADLINE).await?;
        trial.work().await?;
        trial.mark("it is asked again");
        trial.site.command("undrain", "app1")?;
        trial.site.until_ready(3, DEADLINE).await?;
        trial.work().await?;
        require_within(&trial.end("drain").await?, DEATH)
    })
}

#[test]
fn an_instance_stands_still_and_goes_on() -> Result<()> {
    network::test(async || {
        let mut trial = Trial::begin(SiteBuilder::new(Architecture::Balanced)).await?;
        trial.mark("SIGSTOP of an instance");
        trial.site.process("app1")?.pause()?;
        trial.work().await?;
        trial.mark("SIGCONT");
        trial.site.process("app1")?.resume()?;
        trial.site.until_ready(3, DEADLINE).await?;
        trial.work().await?;
        require_within(&trial.end("app-stopped").await?, POWER_LOSS)
    })
}

#[test]
fn an_instance_is_slow() -> Result<()> {
    network::test(async || {
        let mut trial = Trial::begin(SiteBuilder::new(Architecture::Balanced)).await?;
        trial.mark("an instance gets a tenth of its time");
        let load = &trial.load;
        let slowdown = trial.site.process("app1")?.slow_down(0.1);
        load.recorder().until_acknowledged(200, DEADLINE).await?;
        drop(slowdown);
        require_within(&trial.end("app-slow").await?, POWER_LOSS)
    })
}

#[test]
fn a_link_is_cut_and_healed() -> Result<()> {
    network::test(async || {
        let trial = Trial::begin(SiteBuilder::new(Architecture::Balanced)).await?;
        let (web1, app1) = (trial.site.host("web1")?, trial.site.host("app1")?);
        trial.mark("link cut");
        web1.block(app1)?;
        trial.work().await?;
        trial.mark("link healed");
        web1.unblock(app1)?;
        trial.site.until_ready(3, DEADLINE).await?;
        trial.work().await?;
        require_within(&trial.end("link").await?, POWER_LOSS)
    })
}

#[test]
fn postgresql_restarts() -> Result<()> {
    network::test(async || {
        let trial = Trial::begin(SiteBuilder::new(Architecture::Balanced)).await?;
        trial.mark("PostgreSQL restarts");
        trial
            .site
            .primary
            .as_ref()
            .context("PostgreSQL")?
            .restart()?;
        trial.work().await?;
        trial.end("postgresql-restart").await?;
        Ok(())
    })
}

#[test]
fn the_primary_is_lost_and_its_replica_takes_over() -> Result<()> {
    network::test(async || {
        let trial = Trial::begin(SiteBuilder::new(Architecture::Balanced)).await?;
        let (primary, replica) = (&trial.site.primary, &trial.site.replica);
        let primary = primary.as_ref().context("PostgreSQL")?;
        let replica = replica.as_ref().context("a replica")?;
        trial.mark("the primary loses power");
        trial.site.host("db1")?.unplug()?;
        primary.kill()?;
        replica.promote()?;
        trial.work().await?;
        trial.end("primary-lost").await?;
        Ok(())
    })
}

#[test]
fn a_disk_is_full() -> Result<()> {
    network::test(async || {
        let builder = SiteBuilder::new(Architecture::Balanced).small_disk("app1", 64 << 20);
        let trial = Trial::begin(builder).await?;
        trial.mark("an app server's disk is full");
        let disk = trial.site.small_disk.as_ref().context("a small disk")?;
        let ballast = disk.fill()?;
        trial.work().await?;
        fs::remove_file(ballast)?;
        trial.end("disk-full").await?;
        Ok(())
    })
}

/// With an expired certificate an app server cannot attach. The others serve; a new one is taken up by itself.
#[test]
fn a_certificate_of_a_link_has_expired() -> Result<()> {
    network::test(async || {
        let mut trial = Trial::begin(SiteBuilder::new(Architecture::Balanced)).await?;
        trial.site.issue("app1", 0)?;
        let issued = SystemTime::now();
        eventually("it has expired by all clocks", DEADLINE, async || {
            let age = issued.elapsed().ok()?;
            (age > Duration::from_secs(2)).then_some(())
        })
        .await?;
        trial.mark("an app server is killed, and its certificate has expired");
        trial.site.kill("app1")?;
        trial.site.start("app1")?;
        let link = || -> Result<String> {
            Ok(trial.site.status("app1")?["links"][0]["state"].to_string())
        };
        eventually("app1 tries in vain", DEADLINE, async || {
            (link().ok()? == "\"detached\"").then_some(())
        })
        .await?;
        trial.work().await?;
        trial.site.until_ready(2, DEADLINE).await?;
        trial.mark("the certificate is renewed");
        trial.site.issue("app1", 30)?;
        trial.site.until_ready(3, DEADLINE).await?;
        trial.work().await?;
        trial.end("link-certificate").await?;
        Ok(())
    })
}

#[test]
fn a_certificate_is_renewed_under_load() -> Result<()> {
    network::test(async || {
        let builder = SiteBuilder::new(Architecture::Balanced)
            .certificate_lifetime(Duration::from_secs(3600));
        let trial = Trial::begin(builder).await?;
        trial.mark("certificates renewed");
        trial.site.renew_certificate()?;
        trial.work().await?;
        trial.end("certificate").await?;
        Ok(())
    })
}
