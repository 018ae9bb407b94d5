//! A cluster of one's own: made, started, stopped, killed, removed.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::TestDatabase;

/// Whether a commit waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// PostgreSQL's own defaults: for fault tests and measurements.
    Full,
    /// No fsync: for everything else, much faster.
    None,
}

/// A running (or stopped) cluster in a temporary folder; stopped and removed with the value, and also when
/// the process dies first.
#[derive(Debug)]
pub struct Cluster {
    folder: Folder,
    /// A shell that waits for the end of this process and then cleans up.
    warden: Child,
}

impl Cluster {
    /// Makes and starts a cluster.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or does not start: with the end of its log.
    pub async fn start(durability: Durability) -> Result<Self> {
        tokio::task::spawn_blocking(move || {
            let path = tempfile::Builder::new()
                .prefix("stoa-cluster-")
                .tempdir()?
                .keep();
            let folder = Folder::create(&path, durability)?;
            let warden = folder.warden()?;
            let cluster = Self { folder, warden };
            cluster.folder.start()?;
            Ok(cluster)
        })
        .await?
    }

    /// Makes an empty database in it.
    ///
    /// # Errors
    /// The cluster is stopped.
    pub async fn database(&self) -> Result<TestDatabase> {
        TestDatabase::create(&self.url(), None).await
    }

    /// Address of the database `postgres` in it, as superuser.
    #[must_use]
    pub fn url(&self) -> String {
        self.folder.url()
    }

    /// Port on 127.0.0.1; the same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.folder.port
    }

    /// Stops in good order, ending all sessions (`pg_ctl stop -m fast`).
    ///
    /// # Errors
    /// It is not running.
    pub fn stop(&self) -> Result<()> {
        self.folder.control(&["stop", "-w", "-m", "fast"])
    }

    /// Starts what was stopped or killed.
    ///
    /// # Errors
    /// It does not start.
    pub fn resume(&self) -> Result<()> {
        self.folder.start()
    }

    /// Stops and starts.
    ///
    /// # Errors
    /// As those.
    pub fn restart(&self) -> Result<()> {
        self.stop()?;
        self.resume()
    }

    /// `kill -9` to the postmaster, then waits until it and all its children are gone.
    ///
    /// # Errors
    /// It is not running.
    pub fn kill(&self) -> Result<()> {
        let postmaster = self.folder.postmaster()?;
        let children = children_of(postmaster)?;
        for process in std::iter::once(postmaster).chain(children.iter().copied()) {
            // A child may be gone by itself meanwhile.
            let _ = kill_process(process, Signal::KILL);
        }
        let start = Instant::now();
        while std::iter::once(&postmaster)
            .chain(&children)
            .any(|process| is_alive(*process))
        {
            ensure!(
                start.elapsed() < Duration::from_secs(30),
                "PostgreSQL survives SIGKILL"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        // PostgreSQL replaces a dead server's lock file itself, but takes a process that the container's
        // init has not collected yet for alive.
        fs::remove_file(self.folder.path.join("data/postmaster.pid"))?;
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Closing its input wakes the warden, which stops and removes everything.
        drop(self.warden.stdin.take());
        let _ = self.warden.wait();
    }
}

/// Where a cluster lies: `data`, `log`, the socket, and whose processes run it.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
    programs: PathBuf,
    user: Option<User>,
    port: u16,
}

/// The user to run PostgreSQL as: it refuses to run as root.
#[derive(Clone, Copy, Debug)]
struct User {
    user: u32,
    group: u32,
}

impl Folder {
    /// `initdb` and the configuration.
    pub(super) fn create(path: &Path, durability: Durability) -> Result<Self> {
        let programs = programs()?;
        let user = unprivileged_user()?;
        fs::create_dir_all(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        if let Some(user) = user {
            chown(path, Some(user.user), Some(user.group))?;
        }
        let port = crate::free_address()?.port();
        let folder = Self {
            path: path.to_owned(),
            programs,
            user,
            port,
        };
        let mut arguments = vec![
            "--pgdata=data",
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        ];
        if durability == Durability::None {
            arguments.push("--no-sync");
        }
        folder.run("initdb", &arguments)?;
        let mut configuration = fs::OpenOptions::new()
            .append(true)
            .open(path.join("data/postgresql.conf"))?;
        writeln!(
            configuration,
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\n\
             max_connections = 200\ntimezone = 'Asia/Kathmandu'\nlog_timezone = 'UTC'\n\
             shared_buffers = 64MB\nlog_min_messages = warning",
        )?;
        if durability == Durability::None {
            writeln!(
                configuration,
                "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nautovacuum = off"
            )?;
        }
        Ok(folder)
    }

    pub(super) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Starts it and waits until it takes connections.
    pub(super) fn start(&self) -> Result<()> {
        self.control(&["start", "-w", "-t", "60", "-l", "log"])
            .with_context(|| {
                let log = fs::read_to_string(self.path.join("log")).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                format!(
                    "PostgreSQL did not start:\n{}",
                    lines[lines.len().saturating_sub(10)..].join("\n")
                )
            })
    }

    fn control(&self, arguments: &[&str]) -> Result<()> {
        let all: Vec<&str> = ["--pgdata=data", "--silent"]
            .iter()
            .chain(arguments)
            .copied()
            .collect();
        self.run("pg_ctl", &all)
    }

    fn postmaster(&self) -> Result<Pid> {
        let text = fs::read_to_string(self.path.join("data/postmaster.pid"))
            .context("the cluster is not running")?;
        text.lines()
            .next()
            .and_then(|line| line.trim().parse().ok())
            .and_then(Pid::from_raw)
            .context("postmaster.pid holds no process id")
    }

    /// Runs one of PostgreSQL's programs in the folder, in a session of its own: signals to the test's
    /// process group (an interrupt, a time limit) do not reach the server.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let output = self.path.join("output");
        let mut command = self.command(&self.programs.join(program), arguments);
        // A file and no pipe: the server inherits it, and a pipe would never end.
        let status = command
            .stdin(Stdio::null())
            .stdout(fs::File::create(&output)?)
            .stderr(fs::File::options().append(true).open(&output)?)
            .status()
            .with_context(|| format!("running {program}"))?;
        if !status.success() {
            bail!(
                "{program} failed ({status}): {}",
                fs::read_to_string(&output)?.trim()
            );
        }
        Ok(())
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("setsid");
        command.arg("--wait").arg(program).args(arguments);
        command
            .current_dir(&self.path)
            .env_remove("PGDATA")
            .env("LC_ALL", "C.UTF-8");
        if let Some(user) = self.user {
            // Supplementary groups are dropped by the standard library with the user's id.
            command.uid(user.user).gid(user.group);
        }
        command
    }

    /// A shell that stops and removes the cluster when its input ends.
    fn warden(&self) -> Result<Child> {
        let script = format!("read -r _; {}", self.removal());
        self.command(Path::new("sh"), &["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting the shell that cleans up")
    }

    /// A shell that stops and removes the cluster when, for a minute, no process had `users` locked;
    /// `start` is locked while it looks, as it is by those who want to use the cluster.
    pub(super) fn reaper(&self, start: &Path, users: &Path, state: &Path) -> Result<()> {
        let (start, users, state) = (quoted(start), quoted(users), quoted(state));
        let remove = self.removal();
        // Exit code 9 of the inner shell: still in use.
        let inner = format!(
            "flock --nonblock {users} true || exit 9; \
             [ -n \"$(find {users} -mmin +1)\" ] || exit 9; rm -f {state}; {remove}"
        );
        let script = format!(
            "while sleep 20; do [ -e {state} ] || exit; flock {start} sh -c {}; \
             [ $? = 9 ] || exit; done",
            quoted(Path::new(&inner))
        );
        self.command(Path::new("sh"), &["-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting the shell that cleans up")?;
        Ok(())
    }

    fn removal(&self) -> String {
        format!(
            "cd /; {} stop --silent --pgdata={data} -m immediate -t 20; \
             kill -9 $(head -n 1 {data}/postmaster.pid); rm -rf {path}; true",
            quoted(&self.programs.join("pg_ctl")),
            data = quoted(&self.path.join("data")),
            path = quoted(&self.path),
        )
    }
}

/// Quotes for a POSIX shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

/// The newest installed server programs.
fn programs() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            let programs = entry.path().join("bin");
            programs
                .join("initdb")
                .exists()
                .then_some((version, programs))
        })
        .collect();
    found.sort();
    if let Some((_, programs)) = found.pop() {
        return Ok(programs);
    }
    std::env::var_os("PATH")
        .iter()
        .flat_map(std::env::split_paths)
        .find(|folder| folder.join("initdb").exists())
        .context(
            "PostgreSQL's server is not installed: `apt-get install postgresql`, or set \
             STOA_TEST_POSTGRES to the URL of a superuser on a running one",
        )
}

/// None when this process is not root's; else the user `postgres`, or `nobody` without one.
fn unprivileged_user() -> Result<Option<User>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let accounts = fs::read_to_string("/etc/passwd")?;
    for name in ["postgres", "nobody"] {
        for line in accounts.lines() {
            let mut fields = line.split(':');
            if fields.next() == Some(name)
                && let (Some(Ok(user)), Some(Ok(group))) =
                    (fields.nth(1).map(str::parse), fields.next().map(str::parse))
            {
                return Ok(Some(User { user, group }));
            }
        }
    }
    bail!("PostgreSQL does not run as root, and there is no user `postgres` or `nobody`")
}

fn children_of(parent: Pid) -> Result<Vec<Pid>> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(process) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // Fields after the program's name in parentheses: state, parent, …
        let Ok(stat) = fs::read_to_string(format!("/proc/{process}/stat")) else {
            continue;
        };
        let parent_of_it = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<i32>().ok());
        if parent_of_it == Some(parent.as_raw_nonzero().get()) {
            children.extend(Pid::from_raw(process));
        }
    }
    Ok(children)
}

/// A zombie that init has not collected yet counts as dead.
fn is_alive(process: Pid) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()))
        .ok()
        .and_then(|stat| {
            stat.rsplit_once(')')
                .map(|(_, rest)| !rest.trim_start().starts_with('Z'))
        })
        .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::connect;

    #[tokio::test]
    async fn what_was_committed_survives_a_kill() {
        let cluster = Cluster::start(Durability::Full).await.unwrap();
        let database = cluster.database().await.unwrap();
        let client = database.connect().await.unwrap();
        client
            .batch_execute("CREATE TABLE t (a int); INSERT INTO t VALUES (7)")
            .await
            .unwrap();
        cluster.kill().unwrap();
        assert!(client.batch_execute("SELECT 1").await.is_err());
        assert!(connect(&database.url).await.is_err());
        cluster.resume().unwrap();
        let client = database.connect().await.unwrap();
        let row = client.query_one("SELECT a FROM t", &[]).await.unwrap();
        assert_eq!(row.get::<_, i32>(0), 7);

        cluster.restart().unwrap();
        let path = cluster.folder.path.clone();
        drop(client);
        drop(database);
        drop(cluster);
        assert!(!path.join("data").exists());
    }
}
