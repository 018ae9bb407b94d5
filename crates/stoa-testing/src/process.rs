//! The built `stoa` binary as a running server.

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::client::Client;

/// Longest wait for a server to be ready: loading sample data in a debug build on a busy machine.
const START: Duration = Duration::from_secs(120);

/// How to start a server.
#[derive(Clone, Debug)]
pub struct Launch {
    application: PathBuf,
    data: Option<PathBuf>,
    database: Option<String>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// Largest file that the process may write, in KiB.
    file_size: Option<u64>,
    listen: Option<SocketAddr>,
}

/// A running server; killed with the value.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    /// Holds the data folder of a server that was not given one.
    _data: Option<tempfile::TempDir>,
}

/// A process that ends with the value.
#[derive(Debug)]
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The binary under test: `STOA_BIN`, or the one that Cargo built beside the tests.
///
/// # Errors
/// There is none.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("STOA_BIN") {
        return Ok(PathBuf::from(path));
    }
    let test = std::env::current_exe()?;
    test.ancestors()
        .skip(1)
        .map(|folder| folder.join("stoa"))
        .find(|path| path.is_file())
        .context("no `stoa` binary beside the tests: `cargo build -p stoa`, or set STOA_BIN")
}

/// The binary under test, without the tester's own settings, for a process that is started elsewhere.
///
/// # Errors
/// There is none.
pub fn command() -> Result<Command> {
    let mut command = Command::new(binary()?);
    forget_settings(&mut command);
    Ok(command)
}

fn forget_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"STOA_") {
            command.env_remove(name);
        }
    }
}

/// Runs a command of the binary to its end.
///
/// # Errors
/// It cannot be started.
pub fn run(arguments: &[&str]) -> Result<Output> {
    Command::new(binary()?)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("running stoa")
}

/// Copies a folder with all it holds, except hidden entries and `node_modules`.
///
/// # Errors
/// As the file system's.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") || name == "node_modules" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to.join(name))?;
        } else {
            fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}

/// A temporary application folder with these files (path in it, text).
///
/// # Errors
/// As the file system's.
pub fn application(files: &[(&str, &str)]) -> Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new()
        .prefix("stoa-application-")
        .tempdir()?;
    for (path, text) in files {
        let path = folder.path().join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, text)?;
    }
    Ok(folder)
}

impl Launch {
    /// `stoa run application`, on a free port, with a temporary data folder and SQLite in it.
    #[must_use]
    pub fn new(application: impl Into<PathBuf>) -> Self {
        Self {
            application: application.into(),
            data: None,
            database: None,
            arguments: Vec::new(),
            environment: Vec::new(),
            file_size: None,
            listen: None,
        }
    }

    /// `--data`: a folder that outlives the server.
    #[must_use]
    pub fn data(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data = Some(folder.into());
        self
    }

    /// `--database`.
    #[must_use]
    pub fn database(mut self, url: impl Into<String>) -> Self {
        self.database = Some(url.into());
        self
    }

    /// One more argument.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// An environment variable.
    #[must_use]
    pub fn environment(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Listens here instead of on a free port: a restarted server that clients know.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = Some(address);
        self
    }

    /// No file of the process may grow beyond this many KiB (`ulimit -f`).
    #[must_use]
    pub fn file_size(mut self, kibibytes: u64) -> Self {
        self.file_size = Some(kibibytes);
        self
    }

    /// Starts the server and waits until `/health/ready` answers 200.
    ///
    /// # Errors
    /// It ends before, or is not ready in time: with its log.
    pub async fn start(self) -> Result<Server> {
        let server = self.spawn()?;
        server.wait_until_ready(START).await
    }

    /// Starts the process and waits for nothing.
    ///
    /// # Errors
    /// There is no binary.
    pub fn spawn(self) -> Result<Server> {
        let address = match self.listen {
            Some(address) => address,
            None => crate::free_address()?,
        };
        let mut temporary = None;
        let data = match self.data {
            Some(folder) => folder,
            None => {
                let folder = tempfile::Builder::new().prefix("stoa-data-").tempdir()?;
                temporary.insert(folder).path().to_owned()
            }
        };
        let binary = binary()?;
        let mut command = match self.file_size {
            None => Command::new(binary),
            Some(kibibytes) => {
                let mut command = Command::new("bash");
                // Without the signal, a write beyond the limit fails as on a full disk.
                command
                    .arg("-c")
                    .arg(format!(
                        "trap '' XFSZ; ulimit -f {kibibytes}; exec \"$0\" \"$@\""
                    ))
                    .arg(binary);
                command
            }
        };
        command.arg("run").arg(&self.application);
        command
            .arg("--listen")
            .arg(address.to_string())
            .arg("--data")
            .arg(data);
        if let Some(database) = &self.database {
            command.arg("--database").arg(database);
        }
        // Servers run side by side, and the tester's own settings are not theirs.
        if !self.arguments.iter().any(|argument| argument == "--admin") {
            command.args(["--admin", "off"]);
        }
        forget_settings(&mut command);
        let mut child = command
            .args(&self.arguments)
            .envs(self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting stoa")?;
        let log = Arc::new(Mutex::new(Vec::new()));
        collect(child.stdout.take(), &log);
        collect(child.stderr.take(), &log);
        Ok(Server {
            child,
            address,
            log,
            _data: temporary,
        })
    }
}

/// Gathers lines until the stream ends.
pub(crate) fn collect(stream: Option<impl Read + Send + 'static>, log: &Arc<Mutex<Vec<String>>>) {
    let log = Arc::clone(log);
    if let Some(stream) = stream {
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                log.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(String::from_utf8_lossy(&line).into_owned());
            }
        });
    }
}

impl Server {
    /// Waits until `/health/ready` answers 200.
    ///
    /// # Errors
    /// The process ends before, or is not ready in time: with its log.
    pub async fn wait_until_ready(mut self, deadline: Duration) -> Result<Self> {
        let client = self.client()?;
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                // The threads that read the log are at its end now, or will be in a moment.
                tokio::time::sleep(Duration::from_millis(50)).await;
                bail!("stoa ended with {status}:\n{}", self.log());
            }
            let last = match client.get("/health/ready").await {
                Ok(answer) if answer.status == 200 => return Ok(self),
                Ok(answer) => format!("status {}: {}", answer.status, answer.text()),
                Err(error) => format!("{error:#}"),
            };
            ensure!(
                start.elapsed() < deadline,
                "stoa was not ready in {deadline:?}; last: {last}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client of it.
    ///
    /// # Errors
    /// The HTTP library cannot start.
    pub fn client(&self) -> Result<Client> {
        Client::new(format!("http://{}", self.address))
    }

    /// What it wrote so far to stdout and stderr.
    #[must_use]
    pub fn log(&self) -> String {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .join("\n")
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, without waiting.
    ///
    /// # Errors
    /// It has ended.
    pub fn terminate(&self) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::TERM)?)
    }

    /// SIGTERM, then waits for the end.
    ///
    /// # Errors
    /// It has ended before, or does not end in 30 seconds.
    pub async fn stop(mut self) -> Result<(ExitStatus, String)> {
        self.terminate()?;
        let status = self.wait(Duration::from_secs(30)).await?;
        Ok((status, self.log()))
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(
                start.elapsed() < deadline,
                "stoa did not end in {deadline:?}:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// `kill -9`, then waits for the end.
    ///
    /// # Errors
    /// It has ended before.
    pub fn kill(mut self) -> Result<String> {
        ensure!(
            self.child.try_wait()?.is_none(),
            "stoa had ended by itself:\n{}",
            self.log()
        );
        self.child.kill()?;
        self.child.wait()?;
        Ok(self.log())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of stoa on {}\n{}\n---", self.address, self.log());
        }
    }
}
