//! The folder of a cluster, and PostgreSQL's own programs that make, start and stop it.

use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Pid;

use super::Durability;
use crate::network::Host;

/// Where a cluster listens.
#[derive(Clone, Debug)]
pub(super) struct Place {
    address: Ipv4Addr,
    pub(super) port: u16,
    /// None: where the test is.
    pub(super) host: Option<Host>,
}

impl Place {
    /// A free port on loopback.
    pub(super) fn loopback() -> Result<Self> {
        Ok(Self {
            address: Ipv4Addr::LOCALHOST,
            port: crate::free_address()?.port(),
            host: None,
        })
    }

    pub(super) fn on(host: &Host) -> Self {
        Self {
            address: host.address(),
            port: 5432,
            host: Some(host.clone()),
        }
    }
}

/// Where a cluster lies: `data`, `log`, the socket, and whose processes run it.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    programs: PathBuf,
    user: User,
    pub(super) place: Place,
}

/// The user to run PostgreSQL as: it refuses to run as root.
#[derive(Clone, Copy, Debug)]
enum User {
    /// The test's.
    Own,
    /// Another one.
    Other { user: u32, group: u32 },
    /// The test's under another name, for it is root only by name and can become nobody else.
    Mapped,
}

impl Folder {
    /// An empty folder.
    pub(super) fn create(path: &Path, place: Place) -> Result<Self> {
        let programs = programs()?;
        let user = unprivileged_user()?;
        fs::create_dir_all(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        if let User::Other { user, group } = user {
            chown(path, Some(user), Some(group))?;
        }
        Ok(Self {
            path: path.to_owned(),
            programs,
            user,
            place,
        })
    }

    /// `initdb` and the configuration.
    pub(super) fn initialise(&self, durability: Durability) -> Result<()> {
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
        self.run("initdb", &arguments)?;
        let mut configuration = self.configuration()?;
        writeln!(
            configuration,
            "unix_socket_directories = ''\nmax_connections = 200
timezone = 'Asia/Kathmandu'\n\
             log_timezone = 'UTC'\nshared_buffers = 64MB\nlog_min_messages = warning",
        )?;
        if durability == Durability::None {
            writeln!(
                configuration,
                "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nautovacuum = off"
            )?;
        }
        if self.place.host.is_some() {
            let mut clients = fs::OpenOptions::new()
                .append(true)
                .open(self.path.join("data/pg_hba.conf"))?;
            writeln!(clients, "host all,replication all 0.0.0.0/0 trust")?;
        }
        self.listen(&mut configuration)
    }

    /// `pg_basebackup`, to follow that cluster.
    pub(super) fn copy_from(&self, primary: &Place) -> Result<()> {
        ensure!(
            primary.host.is_some(),
            "only a cluster on a host has replicas"
        );
        let connection = format!(
            "host={} port={} user=postgres application_name=replica",
            primary.address, primary.port
        );
        self.run(
            "pg_basebackup",
            &[
                "--pgdata=data",
                "--write-recovery-conf",
                "--wal-method=stream",
                "--checkpoint=fast",
                "--dbname",
                &connection,
            ],
        )?;
        self.listen(&mut self.configuration()?)
    }

    fn configuration(&self) -> Result<fs::File> {
        Ok(fs::OpenOptions::new()
            .append(true)
            .open(self.path.join("data/postgresql.conf"))?)
    }

    /// The last word on a setting counts.
    fn listen(&self, configuration: &mut fs::File) -> Result<()> {
        let Place { address, port, .. } = &self.place;
        writeln!(
            configuration,
            "listen_addresses = '{address}'\nport = {port}"
        )?;
        Ok(())
    }

    pub(super) fn url(&self, database: &str) -> String {
        let Place { address, port, .. } = &self.place;
        format!("postgres://postgres@{address}:{port}/{database}")
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

    pub(super) fn control(&self, arguments: &[&str]) -> Result<()> {
        let all: Vec<&str> = ["--pgdata=data", "--silent"]
            .iter()
            .chain(arguments)
            .copied()
            .collect();
        self.run("pg_ctl", &all)
    }

    pub(super) fn postmaster(&self) -> Result<Pid> {
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
        command
            .stdin(Stdio::null())
            .stdout(fs::File::create(&output)?)
            .stderr(fs::File::options().append(true).open(&output)?);
        let status = match &self.place.host {
            Some(host) => host.run(|| command.status())?,
            None => command.status(),
        }
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
        command.arg("--wait");
        if matches!(self.user, User::Mapped) {
            command.args(["unshare", "--user", "--map-user=1000", "--"]);
        }
        command.arg(program).args(arguments);
        command
            .current_dir(&self.path)
            .env_remove("PGDATA")
            .env("LC_ALL", "C.UTF-8");
        if let User::Other { user, group } = self.user {
            // Supplementary groups are dropped by the standard library with the user's id.
            command.uid(user).gid(group);
        }
        command
    }

    /// A shell that stops and removes the cluster when its input ends.
    pub(super) fn warden(&self) -> Result<Child> {
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

/// The user `postgres`, or `nobody` without one, if this process is root's.
fn unprivileged_user() -> Result<User> {
    if !rustix::process::geteuid().is_root() {
        return Ok(User::Own);
    }
    // First user within, first user outside, how many: 4294967295 of them in the namespace of the machine.
    let users = fs::read_to_string("/proc/self/uid_map")?;
    if users.lines().count() == 1 && users.split_whitespace().nth(2) == Some("1") {
        return Ok(User::Mapped);
    }
    let accounts = fs::read_to_string("/etc/passwd")?;
    for name in ["postgres", "nobody"] {
        for line in accounts.lines() {
            let mut fields = line.split(':');
            if fields.next() == Some(name)
                && let (Some(Ok(user)), Some(Ok(group))) =
                    (fields.nth(1).map(str::parse), fields.next().map(str::parse))
            {
                return Ok(User::Other { user, group });
            }
        }
    }
    bail!("PostgreSQL does not run as root, and there is no user `postgres` or `nobody`")
}
