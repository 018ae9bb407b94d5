//! Two connections that became something else, such as a WebSocket: bytes pass both ways.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy, split};

/// Time that one side gets to end after the other has. Without it one that never does would be kept for ever.
const FAREWELL: Duration = Duration::from_secs(10);

/// Passes bytes both ways as soon as both sides are ready for it, until both have ended or `over` is.
pub(crate) async fn join(one: OnUpgrade, other: OnUpgrade, over: impl Future<Output = ()>) {
    let (one, other) = match tokio::try_join!(one, other) {
        Ok(sides) => sides,
        Err(error) => {
            tracing::debug!(%error, "a request could not become something else");
            return;
        }
    };
    tokio::select! {
        passed = pass(TokioIo::new(one), TokioIo::new(other), FAREWELL) => if let Err(error) = passed {
            tracing::debug!(%error, "a connection that became something else broke");
        },
        () = over => {}
    }
}

async fn pass(
    one: impl AsyncRead + AsyncWrite,
    other: impl AsyncRead + AsyncWrite,
    farewell: Duration,
) -> io::Result<()> {
    let (mut from_one, mut to_one) = split(one);
    let (mut from_other, mut to_other) = split(other);
    let there = async {
        copy(&mut from_one, &mut to_other).await?;
        to_other.shutdown().await
    };
    let back = async {
        copy(&mut from_other, &mut to_one).await?;
        to_one.shutdown().await
    };
    let (mut there, mut back) = (pin!(there), pin!(back));
    let rest = tokio::select! {
        ended = &mut there => {
            ended?;
            tokio::time::timeout(farewell, back).await
        }
        ended = &mut back => {
            ended?;
            tokio::time::timeout(farewell, there).await
        }
    };
    rest.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_side_that_does_not_end_is_not_waited_for_long() {
        let (mut client, near) = duplex(64);
        let (far, mut server) = duplex(64);
        let passing = tokio::spawn(pass(near, far, FAREWELL));
        client.write_all(b"last words").await.unwrap();
        client.shutdown().await.unwrap();
        let mut heard = String::new();
        server.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "last words");
        server.write_all(b"yes?").await.unwrap();
        passing.await.unwrap().unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "yes?");
    }
}
