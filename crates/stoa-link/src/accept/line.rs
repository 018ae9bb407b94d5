//! One connection that carries requests to an instance.

use std::sync::Arc;
use std::task::Context;

use futures_util::task::AtomicWaker;
use http_body::Body;

use super::Stream;
use crate::connection::Connection;

/// Wakes whoever waits on a connection when its instance is no longer heard.
#[derive(Debug, Default)]
pub(super) struct Signal(AtomicWaker);

impl Signal {
    pub(super) fn wake(&self) {
        self.0.wake();
    }

    pub(super) fn register(&self, context: &Context<'_>) {
        self.0.register(context.waker());
    }
}

/// A connection, and how whoever waits on it is told.
pub(super) struct Line<B: Body + 'static> {
    pub(super) connection: Connection<Stream, B>,
    pub(super) signal: Arc<Signal>,
}
