//! The wholesale example, as users know it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use stoa_testing::certificates::Authority;
use stoa_testing::history::Row;
use stoa_testing::load::{Load, Mix, Repeat, StaticFile, Workload};
use stoa_testing::postgres::Cluster;
use stoa_testing::{process, repository};

/// Host name that users type in.
pub(crate) const NAME: &str = "shop.example";

/// Good enough for everybody here.
const PASSWORD: &str = "roofed colonnade 57 columns";

/// People who sign in; users of a load share their accounts.
const PEOPLE: usize = 4;

/// How tags of a load begin.
const TAG: &str = "Under load ";

/// The example's folder.
pub(crate) fn application() -> PathBuf {
    repository().join("examples/wholesale")
}

/// Users at work on the site at these addresses.
pub(crate) fn load(authority: &Authority, addresses: &[std::net::SocketAddr]) -> Result<Load> {
    Ok(Load {
        authority: NAME.to_owned(),
        addresses: addresses.to_vec(),
        trust: Some(authority.certificate.clone()),
        users: 200,
        accounts: (0..PEOPLE)
            .map(|number| (person(number), PASSWORD.to_owned()))
            .collect(),
        each: Duration::from_secs(1),
        at_most: Duration::from_secs(60),
        connecting: Duration::from_secs(1),
        answering: Duration::from_secs(15),
        repeat: Repeat::Never,
        instance_cookie: Some("stoa-instance".to_owned()),
        workload: workload()?,
    })
}

fn workload() -> Result<Workload> {
    let row = json!({
        "City": "Bremen", "Country": "DE", "Region@odata.bind": "Regions('CENTRAL')",
    });
    let web = application().join("web");
    Ok(Workload {
        sign_in: "/-/sign-in".to_owned(),
        collection: "/odata/Customers".to_owned(),
        tag_prefix: TAG.to_owned(),
        tag_attribute: "Name".to_owned(),
        value_attribute: "Notes".to_owned(),
        row: row.as_object().cloned().unwrap_or_default(),
        reads: [
            "/odata/Customers?$top=20&$select=Name,City&$orderby=Name",
            "/odata/Orders?$top=5&$expand=Lines",
            "/odata/Products?$top=20&$expand=Category",
        ]
        .map(str::to_owned)
        .to_vec(),
        files: ["/js/app.js", "/css/base.css", "/favicon.svg"]
            .iter()
            .map(|path| StaticFile::of(&web, path))
            .collect::<Result<_>>()?,
        mix: Mix::default(),
    })
}

fn person(number: usize) -> String {
    format!("tester{number}")
}

/// Adds the people who sign in: with the flags that say where the database is.
pub(crate) fn add_people(application: &Path, place: &[&str]) -> Result<()> {
    let adding: Vec<_> = (0..PEOPLE)
        .map(|number| {
            let mut child = process::command()?
                .args(["user", "add"])
                .arg(application)
                .arg(person(number))
                .args(["--kind", "Employee", "--role", "Manager"])
                .args(["--set", "FirstName=Test", "--set", "LastName=Tester"])
                .args(["--set", "Department=Sales", "--set", "HiredOn=2020-01-01"])
                .arg("--password-stdin")
                .args(place)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()?;
            child
                .stdin
                .take()
                .context("standard input")?
                .write_all(PASSWORD.as_bytes())?;
            Ok(child)
        })
        .collect::<Result<_>>()?;
    for child in adding {
        let output = child.wait_with_output()?;
        ensure!(
            output.status.success(),
            "stoa user add: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

/// Rows of loads in a PostgreSQL database.
pub(crate) async fn rows(cluster: &Cluster, database: &str) -> Result<Vec<Row>> {
    cluster
        .with(database, async |client| {
            let found = client
                .query(
                    "SELECT name, notes, _version FROM customer WHERE starts_with(name, $1)",
                    &[&TAG],
                )
                .await?;
            found
                .iter()
                .map(|row| checked_row(row.get(0), row.get(1), row.get(2)))
                .collect()
        })
        .await
}

/// Rows of loads in an SQLite database.
pub(crate) fn rows_of_file(file: &Path) -> Result<Vec<Row>> {
    let database = rusqlite::Connection::open(file)?;
    let mut statement = database.prepare(
        "SELECT name, notes, _version FROM customer WHERE substr(name, 1, length(?1)) = ?1",
    )?;
    let rows = statement.query_map([TAG], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.map(|row| {
        let (name, notes, version): (String, String, i64) = row?;
        checked_row(name, &notes, version)
    })
    .collect()
}

fn checked_row(tag: String, value: &str, version: i64) -> Result<Row> {
    Ok(Row {
        tag,
        value: value.parse().context("value of a row")?,
        // A row begins with version 1.
        writes: Some(version.try_into()?),
    })
}

/// Runs the binary to its end; what it prints.
pub(crate) fn stoa(mut command: Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    ensure!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
