//! A change from its judgement to its effect: once, and also while the database is away for a moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stoa_model::access::{Denied, JudgedChange, Permitted};
use stoa_model::change::{Applied, Change};
use stoa_model::query::{Query, RowWriter};
use stoa_odata::error::{Code, Error};
use stoa_store::{RequestIdentity, StoreError};

use crate::environment::{Call, Environment};
use crate::failure::Failure;
use crate::identity::{Identity, NameFault};

/// How long a request with an identity waits for a database that is away: it may be restarting.
const DATABASE_AWAY: Duration = Duration::from_secs(8);
/// First pause between two attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// What became of a change.
pub(crate) enum Written<W> {
    /// It has taken effect, and the row was read along with it if that was wanted and could be.
    Now(Applied, Option<W>),
    /// It had taken effect when the same request came before.
    Before(Applied),
}

impl<W> Written<W> {
    /// What was done to the row that the request is about.
    pub(crate) fn applied(&self) -> &Applied {
        match self {
            Self::Now(applied, _) | Self::Before(applied) => applied,
        }
    }
}

impl Environment {
    /// Judges a change by the access rules, lets the store make it, and tells everybody whom it concerns. `root`
    /// is the position of the operation that the request is about.
    pub(crate) async fn write<W: RowWriter + 'static>(
        &self,
        call: &Call<'_>,
        mut change: Change,
        root: usize,
        reread: Option<(Permitted<Query>, W)>,
        failed: impl Fn(StoreError, &Change) -> Failure,
    ) -> Result<Written<W>, Failure> {
        let identity = self
            .identity()
            .filter(|identity| identity.concerns(&change));
        if let Some(identity) = identity {
            identity
                .normalise_names(&mut change)
                .map_err(|(operation, fault)| invalid_name(&change, operation, &fault))?;
        }
        let judged = call
            .view
            .access
            .change(change, &call.caller.values, call.now, call.actor());
        let mut judged = judged.map_err(|denied| {
            let Denied {
                change,
                operation,
                denial,
            } = denied;
            failed(StoreError::Denied { operation, denial }, &change)
        })?;
        if let Some(identity) = identity {
            judged.add_system_operation(identity.bump_operation());
        }
        let request = call
            .identity
            .map(|request| RequestIdentity { root, ..request });
        let judged = Arc::new(judged);
        let (mut applied, writer) = match self.write_once(&judged, reread, request).await {
            Err(StoreError::Repeated(applied)) => {
                if let Some(identity) = identity {
                    // Whoever made the change may have gone before everybody had heard of it.
                    identity
                        .publish_again()
                        .await
                        .map_err(Failure::from_identity)?;
                }
                return Ok(Written::Before(applied));
            }
            written => written.map_err(|error| failed(error, &judged.change))?,
        };
        if let Some(identity) = identity {
            identity
                .published(&applied)
                .await
                .map_err(Failure::from_identity)?;
        }
        Ok(Written::Now(applied.swap_remove(root), writer))
    }

    /// Writes; again while the database is away for a moment, if the request has an identity: whatever a lost
    /// connection has done is found then.
    async fn write_once<W: RowWriter + 'static>(
        &self,
        judged: &Arc<Permitted<JudgedChange>>,
        mut reread: Option<(Permitted<Query>, W)>,
        request: Option<RequestIdentity>,
    ) -> Result<(Vec<Applied>, Option<W>), StoreError> {
        let until = Instant::now() + DATABASE_AWAY;
        let mut pause = FIRST_PAUSE;
        loop {
            let written = self
                .store
                .write_once(&self.model, judged, reread.take(), request)
                .await;
            match written {
                // Without a source: this server has no connection free, and more attempts make that no better.
                Err(StoreError::Unavailable {
                    source: Some(source),
                    ..
                }) if request.is_some()
                    && Instant::now() + pause < until
                    && self.identity().is_none_or(Identity::may_serve) =>
                {
                    tracing::debug!(cause = %source, "the database is away; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                written => return written,
            }
        }
    }
}

/// A name that nobody can sign in with.
fn invalid_name(change: &Change, operation: usize, fault: &NameFault) -> Failure {
    let location = change
        .operations
        .get(operation)
        .map_or("", |operation| operation.location.as_str());
    let target = match location {
        "" => "Name".to_owned(),
        location => format!("{location}/Name"),
    };
    Error::new(Code::InvalidFormat, fault.to_string())
        .at(target)
        .into()
}
