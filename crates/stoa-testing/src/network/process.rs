//! A process on a host.

use std::marker::PhantomData;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::process::collect;

/// Lines of the log that are shown when a test fails.
const SHOWN: usize = 60;

/// Time in which a slowed process runs once and is stopped once.
const PERIOD: Duration = Duration::from_millis(40);

/// Lines that processes wrote.
type Log = Arc<Mutex<Vec<String>>>;

/// Logs of all processes of the test, with their names.
static LOGS: Mutex<Vec<(String, Log)>> = Mutex::new(Vec::new());

/// A running process; killed with the value.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: Log,
}

/// A process that gets a share of its time only; it runs freely again when this is dropped.
#[derive(Debug)]
pub struct Slowdown<'process> {
    is_over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    /// Its id stays its own until it is waited for.
    _process: PhantomData<&'process Process>,
}

/// The end of the logs of all processes, ended or not.
pub(super) fn all_logs() -> String {
    LOGS.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .iter()
        .map(|(name, log)| format!("--- {name}\n{}\n", last_lines(log, SHOWN)))
        .collect()
}

fn last_lines(log: &Log, count: usize) -> String {
    let log = log.lock().unwrap_or_else(PoisonError::into_inner);
    log[log.len().saturating_sub(count)..].join("\n")
}

impl Process {
    pub(super) fn start(name: String, mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let log = Arc::new(Mutex::new(Vec::new()));
        collect(child.stdout.take(), &log);
        collect(child.stderr.take(), &log);
        LOGS.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((name.clone(), Arc::clone(&log)));
        Ok(Self { name, child, log })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote so far to stdout and stderr.
    #[must_use]
    pub fn log(&self) -> String {
        self.lines(usize::MAX)
    }

    fn lines(&self, last: usize) -> String {
        last_lines(&self.log, last)
    }

    /// Whether it has not ended.
    ///
    /// # Errors
    /// The system's.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// `kill -9`, then waits for the end.
    ///
    /// # Errors
    /// It had ended before by itself.
    pub fn kill(mut self) -> Result<()> {
        ensure!(
            self.is_running()?,
            "{} had ended by itself:\n{}",
            self.name,
            self.lines(SHOWN)
        );
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGSTOP: it stands still, its connections stay.
    ///
    /// # Errors
    /// It has ended.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// It has ended.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// SIGTERM, without waiting.
    ///
    /// # Errors
    /// It has ended.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal)
            .with_context(|| format!("signal to {}", self.name))
    }

    /// Lets it run only so much of its time, from 0 to 1: stopped and resumed many times a second.
    #[must_use]
    pub fn slow_down(&self, share: f64) -> Slowdown<'_> {
        let is_over = Arc::new(AtomicBool::new(false));
        let (process, over) = (Pid::from_child(&self.child), Arc::clone(&is_over));
        let running = PERIOD.mul_f64(share.clamp(0.0, 1.0));
        let thread = std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) && kill_process(process, Signal::STOP).is_ok() {
                std::thread::sleep(PERIOD.saturating_sub(running));
                if kill_process(process, Signal::CONT).is_err() {
                    break;
                }
                std::thread::sleep(running);
            }
        });
        Slowdown {
            is_over,
            thread: Some(thread),
            _process: PhantomData,
        }
    }

    /// Waits until it has written a line that contains this.
    ///
    /// # Errors
    /// It ends before, or does not write it in time: with its log.
    pub async fn until_logged(&mut self, text: &str, deadline: Duration) -> Result<()> {
        let start = Instant::now();
        while !self.log().contains(text) {
            let is_running = self.is_running()?;
            ensure!(
                is_running && start.elapsed() < deadline,
                "{} {} without writing `{text}`:\n{}",
                self.name,
                if is_running { "goes on" } else { "ended" },
                self.lines(SHOWN)
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// It does not end in time: with its log.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(
                start.elapsed() < deadline,
                "{} did not end in {deadline:?}:\n{}",
                self.name,
                self.lines(SHOWN)
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Slowdown<'_> {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
