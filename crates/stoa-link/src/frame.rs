//! Messages on a connection that is no HTTP: four bytes of length, most significant first, then JSON.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// Bytes of the longest message: announcements of a thousand environments fit.
const LONGEST: usize = 1 << 20;
/// Longest time that the other side may take to accept a message.
const PATIENCE: Duration = Duration::from_secs(5);

/// A message that could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side has closed the connection.
    #[error("the other side has closed the connection")]
    Closed,
    /// The connection broke, or the message is longer than any can be.
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    /// Not a message of this protocol.
    #[error("a message cannot be understood; do both servers run the same version?")]
    Unknown(#[source] serde_json::Error),
}

/// A connection that carries messages.
pub(crate) struct Frames<S>(Framed<S, LengthDelimitedCodec>);

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    pub(crate) fn new(stream: S) -> Self {
        let codec = LengthDelimitedCodec::builder()
            .max_frame_length(LONGEST)
            .new_codec();
        Self(Framed::new(stream, codec))
    }

    /// The next message. Cancel safe.
    pub(crate) async fn read<T: DeserializeOwned>(&mut self) -> Result<T, FrameError> {
        let bytes = self
            .0
            .next()
            .await
            .ok_or(FrameError::Closed)?
            .map_err(FrameError::Broken)?;
        serde_json::from_slice(&bytes).map_err(FrameError::Unknown)
    }

    /// Sends a message off.
    pub(crate) async fn write<T: Serialize>(&mut self, message: &T) -> Result<(), FrameError> {
        let bytes = serde_json::to_vec(message).map_err(FrameError::Unknown)?;
        match timeout(PATIENCE, self.0.send(Bytes::from(bytes))).await {
            Ok(sent) => sent.map_err(FrameError::Broken),
            Err(_) => Err(FrameError::Broken(io::ErrorKind::TimedOut.into())),
        }
    }

    /// The connection, for something else. Whoever reads a message before that must know that the other side
    /// sends nothing more until it is asked.
    pub(crate) fn into_inner(self) -> S {
        self.0.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// What is read when these bytes come and then the connection ends.
    async fn check(bytes: &[u8]) -> Result<String, FrameError> {
        let (mut near, far) = tokio::io::duplex(64);
        near.write_all(bytes).await.unwrap();
        drop(near);
        Frames::new(far).read().await
    }

    #[tokio::test]
    async fn messages_arrive_as_they_were_sent() {
        let (near, far) = tokio::io::duplex(64);
        let (mut near, mut far) = (Frames::new(near), Frames::new(far));
        let sent = vec!["a".repeat(1000), String::new(), "ü".to_owned()];
        let copy = sent.clone();
        let writer = tokio::spawn(async move { near.write(&copy).await });
        let received: Vec<String> = far.read().await.unwrap();
        writer.await.unwrap().unwrap();
        assert_eq!(received, sent);
        assert!(matches!(
            far.read::<String>().await,
            Err(FrameError::Closed)
        ));
    }

    #[tokio::test]
    async fn lengths_beyond_reason_cost_no_memory() {
        let result = check(&[0xff, 0xff, 0xff, 0xff, b'"']).await;
        assert!(matches!(result, Err(FrameError::Broken(_))));
    }

    #[tokio::test]
    async fn half_a_message_is_a_broken_connection() {
        let result = check(&[0, 0, 0, 9, b'"', b'a']).await;
        assert!(matches!(result, Err(FrameError::Broken(_))));
    }

    #[tokio::test]
    async fn something_else_is_told_as_such() {
        let result = check(&[0, 0, 0, 4, b'G', b'E', b'T', b' ']).await;
        assert!(matches!(result, Err(FrameError::Unknown(_))));
    }
}
