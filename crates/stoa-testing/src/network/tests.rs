use std::fs;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::postgres::{Cluster, Durability};

const PATIENCE: Duration = Duration::from_millis(300);
const DEADLINE: Duration = Duration::from_secs(10);

/// A site with its web servers in a DMZ.
fn plan() -> Plan {
    Plan::new()
        .subnet("outside", [198, 51, 100])
        .subnet("dmz", [10, 1, 0])
        .subnet("inside", [10, 2, 0])
        .subnet("data", [10, 3, 0])
        .host("client", "outside")
        .crowd([100, 64])
        .host("web1", "dmz")
        .host("web2", "dmz")
        .host("app1", "inside")
        .host("app2", "inside")
        .host("app3", "inside")
        .host("db1", "data")
        .host("db2", "data")
        .alias("shop.example", "web1")
        .open("outside", "dmz", &[80, 443])
        .open("inside", "dmz", &[7443])
        .open("inside", "data", &[5432])
}

/// Listens until the test ends; the kernel takes connections.
fn listen(host: &Host, port: u16) -> Result<TcpListener> {
    Ok(host.run(|| TcpListener::bind(("0.0.0.0", port)))??)
}

async fn reach(from: &Host, to: SocketAddr) -> Result<Reach> {
    let found = from.scan(vec![to], PATIENCE).await?;
    Ok(found.first().context("one answer")?.1)
}

#[test]
fn the_firewall_lets_through_what_is_open_and_nothing_else() -> Result<()> {
    test(async || {
        let start = Instant::now();
        let network = plan().build()?;
        let time = start.elapsed();
        eprintln!("9 namespaces in {time:?}");
        ensure!(time < Duration::from_secs(2), "building took {time:?}");

        let host = |name: &str| network.host(name).cloned();
        let (client, web1, web2) = (host("client")?, host("web1")?, host("web2")?);
        let (app1, db1) = (host("app1")?, host("db1")?);
        let mut listening = Vec::new();
        for (host, port) in [
            (&web1, 443),
            (&web1, 7443),
            (&web1, 22),
            (&app1, 8080),
            (&db1, 5432),
        ] {
            listening.push(listen(host, port)?);
        }

        for (from, to, expected) in [
            (&client, web1.at(443), Reach::Open),
            (&client, web1.at(80), Reach::Refused),
            (&client, web1.at(7443), Reach::Silent),
            (&client, web1.at(22), Reach::Silent),
            (&client, db1.at(5432), Reach::Silent),
            (&app1, web1.at(7443), Reach::Open),
            (&app1, db1.at(5432), Reach::Open),
            (&app1, client.at(443), Reach::Silent),
            (&web1, app1.at(8080), Reach::Silent),
            (&web1, db1.at(5432), Reach::Silent),
            // Within a subnet there is no firewall.
            (&web2, web1.at(22), Reach::Open),
        ] {
            ensure!(
                reach(from, to).await? == expected,
                "{} to {to}: not {expected:?}",
                from.name()
            );
        }
        ensure!(client.can_reach(web1.at(443)).await?);
        ensure!(!client.can_reach(web1.at(80)).await?);

        let names = |name: &'static str| async move {
            let found = tokio::net::lookup_host((name, 443)).await?.next();
            found.with_context(|| format!("{name} has no address"))
        };
        for name in ["web1", "shop.example"] {
            let found = client.ask(move || names(name)).await?;
            ensure!(found == web1.at(443), "{name} is {found}");
        }
        Ok(())
    })
}

#[test]
fn a_crowd_comes_from_addresses_of_its_own() -> Result<()> {
    test(async || {
        let network = plan().build()?;
        let (client, web1) = (network.host("client")?, network.host("web1")?);
        let listener = listen(web1, 443)?;
        let (to, from) = (web1.at(443), client.member(499).context("a crowd")?);
        let stream = client
            .ask(move || async move {
                let socket = tokio::net::TcpSocket::new_v4()?;
                socket.bind((from, 0).into())?;
                Ok(tokio::time::timeout(DEADLINE, socket.connect(to))
                    .await??
                    .into_std()?)
            })
            .await?;
        let (_, seen) = listener.accept()?;
        ensure!(seen.ip() == from && seen == stream.local_addr()?, "{seen}");
        ensure!(from.to_string() == "100.64.1.244", "{from}");
        ensure!(web1.member(0).is_none());
        Ok(())
    })
}

#[test]
fn cut_cables_and_lost_packets_end_no_connection() -> Result<()> {
    test(async || {
        let network = plan().build()?;
        let (app1, app2, db1) = (
            network.host("app1")?,
            network.host("app2")?,
            network.host("db1")?,
        );
        let listener = listen(db1, 5432)?;
        let to = db1.at(5432);
        let stream = app1.run(|| std::net::TcpStream::connect_timeout(&to, DEADLINE))??;
        let (mut far, _) = listener.accept()?;
        far.set_read_timeout(Some(PATIENCE))?;
        stream.set_nonblocking(true)?;
        let mut near = app1
            .run(move || stream)
            .map(tokio::net::TcpStream::from_std)??;

        let mut heard = move || -> Result<Option<u8>> {
            let mut byte = [0];
            match far.read(&mut byte) {
                Ok(0) => bail!("the connection ended"),
                Ok(_) => Ok(Some(byte[0])),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(error.into()),
            }
        };
        near.write_all(b"a").await?;
        ensure!(heard()? == Some(b'a'));

        type Cut = fn(&Host, &Host) -> Result<()>;
        let faults: [(&str, Cut, Cut); 3] = [
            ("near", |app, _| app.unplug(), |app, _| app.plug()),
            ("far", |_, db| db.unplug(), |_, db| db.plug()),
            ("between", Host::block, Host::unblock),
        ];
        for (name, cut, heal) in faults {
            cut(app1, db1)?;
            near.write_all(name.as_bytes()).await?;
            ensure!(heard()?.is_none(), "{name}: it passed");
            ensure!(reach(app1, to).await? == Reach::Silent, "{name}");
            let others = if name == "far" {
                Reach::Silent
            } else {
                Reach::Open
            };
            ensure!(reach(app2, to).await? == others, "{name}: others");
            heal(app1, db1)?;
            let start = Instant::now();
            for expected in name.bytes() {
                let byte = loop {
                    match heard()? {
                        Some(byte) => break byte,
                        None => ensure!(start.elapsed() < DEADLINE, "{name}: it does not heal"),
                    }
                };
                ensure!(byte == expected, "{name}");
            }
        }
        let mut nothing = [0];
        let ended = tokio::time::timeout(PATIENCE, near.read(&mut nothing)).await;
        ensure!(ended.is_err(), "the connection ended: {ended:?}");
        Ok(())
    })
}

#[test]
fn processes_stop_go_on_and_end() -> Result<()> {
    test(async || {
        let network = plan().build()?;
        let host = network.host("app1")?;
        let script = |text: &str| {
            let mut command = Command::new("bash");
            command.args(["-c", text]);
            command
        };
        let counts = |process: &Process| process.log().lines().count();
        let mut process = host.spawn(script(
            "trap 'echo bye; exit 7' TERM; while :; do echo tick; read -rt 0.01 < <(:) || :; done",
        ))?;
        process.until_logged("tick", DEADLINE).await?;

        process.pause()?;
        tokio::time::sleep(PATIENCE).await;
        let before = counts(&process);
        tokio::time::sleep(PATIENCE).await;
        ensure!(counts(&process) == before, "it goes on");
        process.resume()?;
        crate::eventually("it goes on", DEADLINE, async || {
            (counts(&process) > before).then_some(())
        })
        .await?;

        let time_of = |process: &Process| -> Result<u64> {
            let stat = fs::read_to_string(format!("/proc/{}/stat", process.id()))?;
            let fields: Vec<&str> = stat
                .rsplit_once(')')
                .context("stat")?
                .1
                .split_whitespace()
                .collect();
            Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
        };
        let busy = host.spawn(script("while :; do :; done"))?;
        let used = async |process: &Process| -> Result<u64> {
            let before = time_of(process)?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(time_of(process)? - before)
        };
        let slowdown = busy.slow_down(0.1);
        let slow = used(&busy).await?;
        drop(slowdown);
        let free = used(&busy).await?;
        ensure!(
            slow * 3 < free,
            "{slow} hundredths of a second slowed, {free} free"
        );
        busy.kill()?;

        process.terminate()?;
        process.until_logged("bye", DEADLINE).await?;
        let status = process.wait(DEADLINE).await?;
        ensure!(status.code() == Some(7), "{status}");
        ensure!(process.kill().is_err(), "killed although it had ended");

        let seen = host.output({
            let mut command = Command::new("ip");
            command.args(["-brief", "address", "show", "eth0"]);
            command
        })?;
        ensure!(seen.contains(&format!("{}/24", host.address())), "{seen}");
        ensure!(host.output(script("echo no >&2; false")).is_err());
        ensure!(host.spawn(Command::new("no-such-program")).is_err());
        Ok(())
    })
}

#[test]
fn a_plan_that_makes_no_sense_is_refused() -> Result<()> {
    test(async || {
        let subnet = || Plan::new().subnet("dmz", [10, 1, 0]);
        for (plan, message) in [
            (
                subnet().host("web", "dmz").host("web", "dmz"),
                "named `web`",
            ),
            (subnet().host("dmz", "dmz"), "named `dmz`"),
            (subnet().host("firewall", "dmz"), "named `firewall`"),
            (
                subnet().host("web", "inside"),
                "no subnet is named `inside`",
            ),
            (subnet().open("dmz", "inside", &[1]), "named `inside`"),
            (subnet().host("a name; reboot", "dmz"), "cannot name"),
            (subnet().host("a-name-of-17-char", "dmz"), "cannot name"),
        ] {
            let error = plan.build().err().context(message)?.to_string();
            ensure!(error.contains(message), "{error}");
        }
        let network = subnet().host("web", "dmz").build()?;
        let error = subnet().host("web", "dmz").build().err().context("two")?;
        ensure!(error.to_string().contains("still stands"), "{error}");
        ensure!(network.host("other").is_err());
        drop(network);
        subnet().host("web", "dmz").build()?;
        Ok(())
    })?;
    if std::env::var_os("STOA_TESTING_BEGUN").is_none() {
        let error = plan().build().err().context("outside of `test`")?;
        ensure!(error.to_string().contains("network::test"), "{error}");
    }
    Ok(())
}

#[test]
fn a_test_that_fails_within_fails_without() -> Result<()> {
    let is_within = std::env::var_os("STOA_TESTING_BEGUN").is_some();
    let failed = test(async || bail!("on purpose"));
    if is_within {
        return failed;
    }
    let error = failed.err().context("a failure")?.to_string();
    ensure!(
        error.contains("a_test_that_fails_within_fails_without` failed"),
        "{error}"
    );
    Ok(())
}

/// Runs itself once more, and kills that.
#[test]
fn nothing_is_left_of_a_killed_test() -> Result<()> {
    const STANDS: &str = "STOA_TESTING_STANDS";
    let seconds = 100_000 + std::process::id();
    if let Ok(seconds) = std::env::var(STANDS) {
        return test(async || {
            let network = plan().build()?;
            let mut command = Command::new("setsid");
            command.args(["sleep", &seconds]);
            let _process = network.host("app1")?.spawn(command)?;
            std::future::pending().await
        });
    }
    let mut child = Command::new(std::env::current_exe()?)
        .args([
            "--exact",
            "network::tests::nothing_is_left_of_a_killed_test",
        ])
        .env(STANDS, seconds.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let text = format!("sleep\0{seconds}\0");
    let until = |is_there: bool| -> Result<()> {
        let start = Instant::now();
        while runs(&text)? != is_there {
            ensure!(
                start.elapsed() < DEADLINE,
                "waited in vain until the process is there: {is_there}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    };
    let started = until(true);
    child.kill()?;
    child.wait()?;
    started?;
    until(false)
}

/// Whether a process has this command line.
fn runs(command_line: &str) -> Result<bool> {
    for entry in fs::read_dir("/proc")? {
        // Processes end while one looks.
        if fs::read(entry?.path().join("cmdline")).is_ok_and(|line| line == command_line.as_bytes())
        {
            return Ok(true);
        }
    }
    Ok(false)
}

#[test]
fn a_replica_takes_over_with_all_that_was_acknowledged() -> Result<()> {
    test(async || {
        let network = plan().build()?;
        let (app1, db1, db2) = (
            network.host("app1")?,
            network.host("db1")?,
            network.host("db2")?,
        );
        let primary = Cluster::start_on(db1, Durability::Full).await?;
        let replica = primary.replicate_to(db2).await?;
        primary.wait_for_replica(true).await?;
        let url = "postgres://postgres@db1,db2/postgres?target_session_attrs=read-write&connect_timeout=2";
        let write = |value: i32| {
            app1.ask(move || async move {
                let client = crate::postgres::connect(url).await?;
                client
                    .batch_execute(&format!(
                        "CREATE TABLE IF NOT EXISTS t (a int); INSERT INTO t VALUES ({value})"
                    ))
                    .await?;
                Ok(())
            })
        };
        write(1).await?;
        db1.unplug()?;
        primary.stop_at_once()?;
        replica.promote()?;
        write(2).await?;
        let sum = replica
            .with("postgres", async |client| {
                let row = client.query_one("SELECT sum(a) FROM t", &[]).await?;
                Ok(row.get::<_, i64>(0))
            })
            .await?;
        ensure!(sum == 3, "{sum}");
        Ok(())
    })
}
