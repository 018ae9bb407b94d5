//! Passwords: how good they must be, and how they are kept.
//!
//! Argon2id with 19 MiB, two passes and one lane: what the OWASP Password Storage Cheat Sheet recommends
//! (<https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>, "minimum
//! configuration of 19 MiB of memory, an iteration count of 2, and 1 degree of parallelism"). Hashes are PHC
//! strings, so they carry the parameters they were made with; a sign-in replaces one that was made with
//! others.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization as _;
use zxcvbn::Score;

use super::error::IdentityError;
use super::settings::Settings;

/// Fewest characters (OWASP ASVS 5, 6.2.1).
pub const MINIMUM: usize = 8;
/// Most characters (ASVS 5, 6.2.9 asks for 64 at least).
pub const MAXIMUM: usize = 128;

/// What a hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// KiB of memory.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for Cost {
    fn default() -> Self {
        Self {
            memory: 19 * 1024,
            passes: 2,
            lanes: 1,
        }
    }
}

/// Why a password is not good enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordFault {
    /// Fewer characters than [`MINIMUM`].
    TooShort,
    /// More characters than [`MAXIMUM`].
    TooLong,
    /// It is found in few attempts.
    Guessable {
        /// Why, if that can be said.
        warning: Option<String>,
        /// What would make it better.
        suggestions: Vec<String>,
    },
    /// It is the one that is to be replaced.
    Unchanged,
}

impl std::error::Error for PasswordFault {}

impl fmt::Display for PasswordFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => write!(formatter, "a password needs at least {MINIMUM} characters"),
            Self::TooLong => write!(
                formatter,
                "a password may have at most {MAXIMUM} characters"
            ),
            Self::Unchanged => formatter.write_str("the new password is the old one"),
            Self::Guessable {
                warning,
                suggestions,
            } => {
                formatter.write_str("this password is easy to guess")?;
                if let Some(warning) = warning {
                    write!(formatter, ": {warning}")?;
                }
                for suggestion in suggestions {
                    write!(formatter, " {suggestion}")?;
                }
                Ok(())
            }
        }
    }
}

/// Hashes and judges passwords, on threads of their own and not too many at once: a hash takes 19 MiB and
/// some 30 ms of a core.
#[derive(Clone)]
pub(super) struct Passwords {
    shared: Arc<Shared>,
}

struct Shared {
    params: Params,
    weak_words: Vec<String>,
    /// A hash that no password has, made with our own parameters: what a password is compared with when
    /// there is nobody to compare it with.
    nobody: OnceLock<String>,
    running: Semaphore,
    waiting: AtomicUsize,
    most_waiting: usize,
    /// Hashes computed since the start.
    computed: AtomicU64,
}

/// What came of comparing a password with a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verified {
    /// It is the right one.
    pub(super) right: bool,
    /// The hash was made with other parameters than ours.
    pub(super) outdated: bool,
}

impl Passwords {
    pub(super) fn new(settings: &Settings) -> Result<Self, IdentityError> {
        let Cost {
            memory,
            passes,
            lanes,
        } = settings.password_cost;
        let params = Params::new(memory, passes, lanes, None).map_err(|error| {
            IdentityError::Internal(format!("parameters of password hashes: {error}"))
        })?;
        Ok(Self {
            shared: Arc::new(Shared {
                params,
                weak_words: settings.weak_words.clone(),
                nobody: OnceLock::new(),
                running: Semaphore::new(settings.hashes_at_once.max(1)),
                waiting: AtomicUsize::new(0),
                most_waiting: settings.hashes_waiting,
                computed: AtomicU64::new(0),
            }),
        })
    }

    /// Hashes computed since the start.
    pub(super) fn computed(&self) -> u64 {
        self.shared.computed.load(Ordering::Relaxed)
    }

    /// Compares a password with a hash. Without one it takes as long, and is wrong.
    pub(super) async fn verify(
        &self,
        hash: Option<String>,
        password: &str,
    ) -> Result<Verified, IdentityError> {
        let password = composed(password);
        self.run(move |shared| {
            let (compared, real) = match &hash {
                // A password that nobody could have set is wrong, and takes no longer for its length.
                Some(hash) if password.chars().count() <= MAXIMUM => (hash.as_str(), true),
                _ => (shared.nobody()?, false),
            };
            let parsed = PasswordHash::new(compared)
                .map_err(|error| IdentityError::Internal(format!("a password's hash: {error}")))?;
            shared.computed.fetch_add(1, Ordering::Relaxed);
            let limited: String = password.chars().take(MAXIMUM).collect();
            let right = shared
                .argon()
                .verify_password(limited.as_bytes(), &parsed)
                .is_ok();
            let outdated = parsed.algorithm != argon2::ARGON2ID_IDENT
                || parsed.version != Some(Version::V0x13.into())
                || Params::try_from(&parsed).ok().is_none_or(|params| {
                    (params.m_cost(), params.t_cost(), params.p_cost())
                        != (
                            shared.params.m_cost(),
                            shared.params.t_cost(),
                            shared.params.p_cost(),
                        )
                });
            Ok(Verified {
                right: right && real,
                outdated,
            })
        })
        .await
    }

    /// Hash of a password as it is, however weak.
    pub(super) async fn hash(&self, password: &str) -> Result<String, IdentityError> {
        let password = composed(password);
        self.run(move |shared| shared.hash(&password)).await
    }

    /// Hash of a new password, if it is good enough for somebody with these names.
    pub(super) async fn judge_and_hash(
        &self,
        password: &str,
        names: &[&str],
    ) -> Result<String, IdentityError> {
        let password = composed(password);
        let characters = password.chars().count();
        if characters < MINIMUM {
            return Err(PasswordFault::TooShort.into());
        }
        if characters > MAXIMUM {
            return Err(PasswordFault::TooLong.into());
        }
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        self.run(move |shared| {
            shared.judge(&password, &names)?;
            shared.hash(&password)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, IdentityError> + Send + 'static,
    ) -> Result<T, IdentityError> {
        let shared = Arc::clone(&self.shared);
        let waiting = Waiting::new(&shared)?;
        let permit = shared
            .running
            .acquire()
            .await
            .map_err(|error| IdentityError::Internal(error.to_string()))?;
        drop(waiting);
        permit.forget();
        let shared = Arc::clone(&self.shared);
        // The work goes on when the one who asked for it goes away: its permit goes back when it is done.
        tokio::task::spawn_blocking(move || {
            let _running = Running(&shared);
            work(&shared)
        })
        .await
        .map_err(|error| IdentityError::Internal(error.to_string()))?
    }
}

/// Gives a permit back.
struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.add_permits(1);
    }
}

/// A place in the queue.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn new(shared: &'a Shared) -> Result<Self, IdentityError> {
        let waiting = Self(shared);
        if shared.waiting.fetch_add(1, Ordering::Relaxed) >= shared.most_waiting.max(1) {
            return Err(IdentityError::Busy);
        }
        Ok(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    fn argon(&self) -> Argon2<'static> {
        Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone())
    }

    fn hash(&self, password: &str) -> Result<String, IdentityError> {
        self.computed.fetch_add(1, Ordering::Relaxed);
        let hash: PasswordHash = self
            .argon()
            .hash_password(password.as_bytes())
            .map_err(|error| IdentityError::Internal(format!("hashing a password: {error}")))?;
        Ok(hash.to_string())
    }

    fn nobody(&self) -> Result<&str, IdentityError> {
        if let Some(nobody) = self.nobody.get() {
            return Ok(nobody);
        }
        let random: [u8; 32] = rand::random();
        let password: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let made = self.hash(&password)?;
        Ok(self.nobody.get_or_init(|| made))
    }

    fn judge(&self, password: &str, names: &[String]) -> Result<(), PasswordFault> {
        let words: Vec<&str> = names
            .iter()
            .chain(&self.weak_words)
            .flat_map(|name| {
                std::iter::once(name.as_str())
                    .chain(name.split(|character: char| !character.is_alphanumeric()))
            })
            .filter(|word| word.chars().count() > 2)
            .collect();
        let judged = zxcvbn::zxcvbn(password, &words);
        if judged.score() >= Score::Three {
            return Ok(());
        }
        let feedback = judged.feedback();
        Err(PasswordFault::Guessable {
            warning: feedback
                .and_then(zxcvbn::feedback::Feedback::warning)
                .map(|warning| warning.to_string()),
            suggestions: feedback
                .map(|feedback| {
                    feedback
                        .suggestions()
                        .iter()
                        .map(ToString::to_string)
                        .collect()
                })
                .unwrap_or_default(),
        })
    }
}

/// The password in the one form that all keyboards agree on (NFC).
fn composed(password: &str) -> String {
    password.nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords(cost: Cost) -> Passwords {
        Passwords::new(&Settings {
            password_cost: cost,
            hashes_at_once: 1,
            hashes_waiting: 1,
            weak_words: vec!["Kontor".to_owned()],
            ..Settings::default()
        })
        .unwrap()
    }

    const CHEAP: Cost = Cost {
        memory: 64,
        passes: 1,
        lanes: 1,
    };

    #[tokio::test]
    async fn the_parameters_are_the_recommended_ones_and_stand_in_the_hash() {
        let hash = passwords(Cost::default()).hash("x").await.unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
    }

    #[tokio::test]
    async fn only_the_right_password_fits_and_old_parameters_show() {
        let cheap = passwords(CHEAP);
        let hash = cheap.hash("Zwölf Boxkämpfer").await.unwrap();
        let decomposed: String = "Zwölf Boxkämpfer".nfd().collect();
        for (password, right) in [
            ("Zwölf Boxkämpfer", true),
            (decomposed.as_str(), true),
            ("zwölf boxkämpfer", false),
            ("", false),
        ] {
            let verified = cheap.verify(Some(hash.clone()), password).await.unwrap();
            assert_eq!(
                verified,
                Verified {
                    right,
                    outdated: false
                },
                "{password}"
            );
        }
        let dearer = passwords(Cost { passes: 2, ..CHEAP });
        let verified = dearer.verify(Some(hash), "Zwölf Boxkämpfer").await.unwrap();
        assert!(verified.right && verified.outdated);
        assert!(!cheap.verify(None, "x").await.unwrap().right);
    }

    #[tokio::test]
    async fn a_password_is_judged_by_how_hard_it_is_to_guess_and_nothing_else() {
        let cheap = passwords(CHEAP);
        let names = ["anna.lindqvist", "Anna Lindqvist", "anna@contoso.example"];
        let long = "ab1".repeat(43);
        for (password, fault) in [
            ("1234567", "a password needs at least 8 characters"),
            (long.as_str(), "a password may have at most 128 characters"),
            ("password1", "this password is easy to guess: "),
            ("lindqvist1", "this password is easy to guess"),
            ("kontorkontor", "this password is easy to guess"),
            ("aaaaaaaaaaaa", "this password is easy to guess: "),
        ] {
            let error = cheap.judge_and_hash(password, &names).await.unwrap_err();
            assert!(
                matches!(error, IdentityError::Password(_)),
                "{password}: {error}"
            );
            assert!(error.to_string().starts_with(fault), "{password}: {error}");
        }
        for password in [
            "only lower case words will do",
            "x7#pQ2!vLm0z",
            "ギリシャの柱廊は長い",
        ] {
            cheap.judge_and_hash(password, &names).await.unwrap();
        }
    }

    #[tokio::test]
    async fn no_more_hashes_wait_than_may() {
        let cheap = passwords(CHEAP);
        let held = cheap.shared.running.acquire().await.unwrap();
        let waiting = tokio::spawn({
            let cheap = cheap.clone();
            async move { cheap.hash("first").await }
        });
        while cheap.shared.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(
            cheap.hash("second").await,
            Err(IdentityError::Busy)
        ));
        drop(held);
        assert!(waiting.await.unwrap().is_ok());
        assert!(cheap.hash("third").await.is_ok());
    }
}
