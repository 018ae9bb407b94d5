//! The threads that a server works on.

use std::num::NonZero;

use stoa_link::workers::Workers;
use tokio::runtime::{Builder, Runtime};

use crate::Result;
use crate::failure::{Exit, Failure};

/// Stack of a thread in bytes. A request goes through all tiers of one process in one future; without optimisation
/// that takes more than the usual two megabytes. What is not touched takes no memory.
const STACK: usize = 8 << 20;

/// A thread for connections on each core; none where an application asks PostgreSQL. Sessions there are for all
/// threads: whatever is asked of another thread's costs more than is won, so work goes to whoever is free.
pub(crate) fn workers(asks_postgres: bool) -> Result<Workers> {
    if asks_postgres {
        return Ok(Workers::default());
    }
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    Workers::start(cores, STACK)
        .map_err(|error| Failure::new(Exit::Failure, format!("cannot start threads: {error}")))
}

/// A thread for all else on each core.
pub(crate) fn runtime() -> Result<Runtime> {
    Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK)
        .build()
        .map_err(|error| Failure::new(Exit::Failure, format!("cannot start: {error}")))
}
