//! Namespaces of a test's own.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use super::process::all_logs;

/// Where `ip` keeps its namespaces.
pub(super) const NAMESPACES: &str = "/run/netns";

/// Temporary folder within; in memory and gone with the test.
const TEMPORARY: &str = "/run/temporary";

/// Set within: a file to tell that the test has begun.
const BEGUN: &str = "STOA_TESTING_BEGUN";

/// Runs the body of a test in namespaces of its own: of mounts, processes and network, and of users when it
/// does not run as root. `/run` and the temporary folder are empty and in memory.
///
/// The test's program is started again for that, for the test alone: its name is that of the function in
/// which `body` is written, which must be the test's. All processes end with it, whatever ends it.
///
/// # Errors
/// The body's; namespaces are not allowed here, or a program is missing: with what to do about it.
pub fn test<B>(body: B) -> Result<()>
where
    B: AsyncFnOnce() -> Result<()>,
{
    match std::env::var_os(BEGUN) {
        None => enter(&test_name::<B>()?),
        Some(begun) => {
            furnish().context("furnishing the namespaces of the test")?;
            fs::write(begun, "begun")?;
            let mut shown = ShownLogs { is_success: false };
            let result = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?
                .block_on(body());
            shown.is_success = result.is_ok();
            result
        }
    }
}

/// Shows what the test's processes wrote, unless it succeeds.
struct ShownLogs {
    is_success: bool,
}

impl Drop for ShownLogs {
    fn drop(&mut self) {
        if !self.is_success {
            eprintln!("{}", all_logs());
        }
    }
}

/// A folder for what a test leaves to be looked at: `network` in Cargo's target folder.
///
/// # Errors
/// It cannot be made.
pub fn artefacts() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program
        .ancestors()
        .find(|folder| folder.ends_with("deps"))
        .and_then(|folder| folder.ancestors().nth(2))
        .context("the test does not run from Cargo's target folder")?
        .join("network");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Fails outside of [`test()`].
pub(super) fn require() -> Result<()> {
    ensure!(
        std::env::var_os(BEGUN).is_some(),
        "networks are built within `network::test` only"
    );
    Ok(())
}

/// Gives the test and its processes another `/etc/hosts`.
pub(super) fn name_hosts(text: &str) -> Result<()> {
    let file = Path::new("/run/hosts");
    let is_mounted = file.exists();
    fs::write(file, text)?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o644))?;
    if !is_mounted {
        run("mount", &["--bind", "/run/hosts", "/etc/hosts"])?;
    }
    Ok(())
}

/// `crate::module::test::{{closure}}` without its first and last part.
fn test_name<B>() -> Result<String> {
    let whole = std::any::type_name::<B>();
    let name = whole
        .split_once("::")
        .map(|(_, name)| name.trim_end_matches("::{{closure}}"))
        .filter(|name| !name.contains('{') && whole.ends_with("{{closure}}"));
    Ok(name
        .with_context(|| format!("`{whole}` is no closure written in the test's own function"))?
        .to_owned())
}

fn enter(name: &str) -> Result<()> {
    let begun = tempfile::NamedTempFile::new()?;
    let is_root = rustix::process::geteuid().is_root();
    let mut arguments: Vec<OsString> = Vec::new();
    // Each is killed with the one before it: this process, `unshare`, and the first process within.
    arguments.extend(["--pdeathsig", "KILL", "--", "unshare"].map(OsString::from));
    if !is_root {
        arguments.extend(["--user", "--map-root-user"].map(OsString::from));
    }
    arguments.extend(
        [
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--",
        ]
        .map(OsString::from),
    );
    arguments.push(std::env::current_exe()?.into());
    arguments.extend(["--exact", name, "--include-ignored", "--nocapture"].map(OsString::from));
    let status = Command::new("setpriv")
        .args(arguments)
        .env(BEGUN, begun.path())
        .env("TMPDIR", TEMPORARY)
        .stdin(Stdio::null())
        .status()
        .context("running setpriv: is util-linux installed?")?;
    if fs::read(begun.path())?.is_empty() {
        bail!(
            "test `{name}` did not begin in namespaces of its own ({status}). It needs util-linux, iproute2 \
             and nftables, and root{}",
            if is_root {
                " with CAP_SYS_ADMIN (a container must be privileged)"
            } else {
                ", or user namespaces for everybody (sysctl user.max_user_namespaces and \
                 kernel.unprivileged_userns_clone; AppArmor may forbid them: \
                 kernel.apparmor_restrict_unprivileged_userns)"
            }
        );
    }
    ensure!(status.success(), "test `{name}` failed ({status})");
    Ok(())
}

fn furnish() -> Result<()> {
    run("mount", &["-t", "tmpfs", "-o", "mode=0755", "run", "/run"])?;
    fs::create_dir(NAMESPACES)?;
    fs::create_dir(TEMPORARY)?;
    fs::set_permissions(TEMPORARY, fs::Permissions::from_mode(0o1777))?;
    run("ip", &["link", "set", "lo", "up"])
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("running {program}"))?;
    ensure!(
        output.status.success(),
        "{program} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
