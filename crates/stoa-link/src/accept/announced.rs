//! The connection on which an instance announces itself.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body::Body;
use tokio::time::timeout;
use uuid::Uuid;

use super::instance::{Instance, Presence};
use super::{Instances, Refusal, Stream};
use crate::announcement::{Announcement, FromInstance, FromWeb, State};
use crate::frame::Frames;
use crate::trust::Names;
use crate::{BodyError, FrameError};

/// Most environments of one instance.
const ENVIRONMENTS: usize = 4096;

/// Listens to an instance until its connection ends, and forgets it if it does not come back.
pub(super) async fn attend<B>(
    instances: &Arc<Instances<B>>,
    mut frames: Frames<Stream>,
    names: Names,
    id: Uuid,
) -> Result<(), Refusal>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    let first = timeout(instances.config.greeting, frames.read())
        .await
        .map_err(|_| Refusal::TooSlow)?
        .map_err(Refusal::Greeting)?;
    let FromInstance::Announce(number, announcement) = first else {
        return Err(Refusal::Announcement("it does not announce itself".into()));
    };
    if let Err(reason) = judge(&announcement, &names, id) {
        refuse(&mut frames, &reason).await;
        return Err(Refusal::Announcement(reason));
    }
    let instance = instances.find_or_add(id, &names.server)?;
    let attachment = instance.attach();
    instance.announce(*announcement);
    instance.become_present(Presence::Attached);
    instances.tell();
    tracing::info!(instance = %id, server = names.server, "an instance has attached");
    if let Err(error) = listen(instances, &mut frames, &instance, &names, number).await {
        tracing::info!(
            error = &error as &dyn std::error::Error,
            instance = %id,
            server = names.server,
            "an instance has lost its connection"
        );
    }
    drop(frames);
    if instance.attachment() != attachment {
        // It has attached again before this connection was seen to end.
        return Ok(());
    }
    if instance.become_present(Presence::Silent) {
        instances.tell();
    }
    let was_leaving = instance.announcement().state == State::Draining;
    if !was_leaving {
        tokio::time::sleep(instances.config.forget).await;
    }
    if instance.attachment() == attachment {
        instances.remove(&instance);
    }
    Ok(())
}

async fn listen<B>(
    instances: &Arc<Instances<B>>,
    frames: &mut Frames<Stream>,
    instance: &Arc<Instance<B>>,
    names: &Names,
    first: u64,
) -> Result<(), FrameError>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    let attachment = instance.attachment();
    let mut heard = Instant::now();
    frames.write(&FromWeb::Seen(first)).await?;
    loop {
        let silent = instance.presence() != Presence::Attached;
        let limit = if silent {
            instances.config.forget
        } else {
            instances.config.silence
        };
        let left = limit.saturating_sub(heard.elapsed());
        let message = match timeout(left, frames.read()).await {
            Ok(message) => message?,
            Err(_) if silent => return Err(FrameError::Closed),
            Err(_) => {
                if instance.become_present(Presence::Silent) {
                    tracing::warn!(
                        instance = %instance.id,
                        server = instance.server,
                        "an instance is silent; others are asked"
                    );
                    instances.tell();
                }
                continue;
            }
        };
        if instance.attachment() != attachment {
            return Err(FrameError::Closed);
        }
        heard = Instant::now();
        if instance.become_present(Presence::Attached) {
            tracing::info!(instance = %instance.id, server = instance.server, "an instance is heard again");
            instances.tell();
        }
        match message {
            FromInstance::Beat(beat) => {
                instance.set_load(beat);
                frames.write(&FromWeb::Beat).await?;
            }
            FromInstance::Announce(number, announcement) => {
                if let Err(reason) = judge(&announcement, names, instance.id) {
                    tracing::warn!(instance = %instance.id, reason, "an announcement was refused");
                    refuse(frames, &reason).await;
                    return Err(FrameError::Closed);
                }
                instance.announce(*announcement);
                instances.tell();
                frames.write(&FromWeb::Seen(number)).await?;
            }
        }
    }
}

/// Tells an instance why it is not taken. If it cannot be told, the log has it.
async fn refuse(frames: &mut Frames<Stream>, reason: &str) {
    if let Err(error) = frames.write(&FromWeb::Refused(reason.to_owned())).await {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "an instance cannot be told that it is refused"
        );
    }
}

/// May this server announce that?
fn judge(announcement: &Announcement, names: &Names, id: Uuid) -> Result<(), String> {
    if announcement.instance != id {
        return Err("it announces another instance than itself".into());
    }
    if announcement.environments.len() > ENVIRONMENTS {
        return Err(format!("more than {ENVIRONMENTS} environments"));
    }
    let is_tag = |character: char| character.is_ascii_alphanumeric();
    if !(8..=64).contains(&announcement.tag.len()) || !announcement.tag.chars().all(is_tag) {
        return Err("its tag is not of 8 to 64 letters and digits".into());
    }
    let foreign = announcement
        .environments
        .iter()
        .find(|environment| !names.environments.contains(&environment.name));
    match foreign {
        Some(environment) => Err(format!(
            "the certificate of server {} does not name environment {}; issue it anew with `stoa trust issue`",
            names.server, environment.name
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announcement::Environment;

    fn announcement(id: Uuid, environments: &[&str]) -> Announcement {
        Announcement {
            instance: id,
            tag: "0123456789abcdef".into(),
            version: "1".into(),
            state: State::Ready,
            capacity: 1,
            requests: 10,
            spares: 2,
            environments: environments
                .iter()
                .map(|name| Environment {
                    name: (*name).to_owned(),
                    ready: true,
                    paths: Vec::new(),
                    repeatable: true,
                    content: None,
                    content_security_policy: None,
                })
                .collect(),
        }
    }

    #[test]
    fn only_environments_of_the_certificate_are_taken() {
        let id = Uuid::from_u128(7);
        let names = Names {
            server: "app1".into(),
            environments: ["test".to_owned()].into(),
        };
        assert_eq!(judge(&announcement(id, &["test"]), &names, id), Ok(()));
        assert_eq!(judge(&announcement(id, &[]), &names, id), Ok(()));
        let refused = judge(&announcement(id, &["test", "production"]), &names, id);
        assert!(refused.is_err_and(|reason| reason.contains("production")));
        let other = Uuid::from_u128(8);
        assert!(judge(&announcement(other, &["test"]), &names, id).is_err());
        let mut forged = announcement(id, &["test"]);
        forged.tag = "a; Domain=evil".into();
        assert!(judge(&forged, &names, id).is_err());
    }
}
