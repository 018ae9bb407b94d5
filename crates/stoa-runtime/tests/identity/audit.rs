//! The audit trail.

use std::time::Duration;

use stoa_runtime::identity::Identity;
use stoa_runtime::identity::audit::{Direction, Entry, Filter};
use stoa_runtime::identity::token::NewToken;

use crate::site::{PASSWORD, Site, add, by, client, principal, sign_in};

async fn kinds(identity: &Identity, filter: &Filter<'_>) -> Vec<String> {
    let entries = identity
        .audit(filter, Direction::OldestFirst, None, 100)
        .await
        .unwrap();
    entries.into_iter().map(|entry| entry.kind).collect()
}

on_both! {
    async fn what_happens_to_people_is_recorded_with_it(site: &Site) {
        let identity = site.server().await;
        let anna = add(&identity, "anna", &["Sales"]).await;
        let session = sign_in(&identity, "anna").await;
        identity.sign_in("anna", "wrong", &client("198.51.100.1")).await.unwrap_err();
        identity.grant(anna.id, &["Manager".to_owned()], &by()).await.unwrap();
        identity.revoke(anna.id, &["Sales".to_owned()], &by()).await.unwrap();
        let token = NewToken {
            name: "Excel".to_owned(),
            user: anna.id,
            roles: None,
            read_only: true,
            lifetime: Duration::from_secs(3600),
            seed: None,
        };
        let (token, secret) = identity.create_token(token, &by()).await.unwrap();
        identity.revoke_token(token.id, &by()).await.unwrap();
        identity.set_password(principal(&anna), PASSWORD, false, &by()).await.unwrap();
        identity.set_active(anna.id, false, &by()).await.unwrap();
        identity.delete_user(anna.id, &by()).await.unwrap();
        assert_eq!(
            kinds(&identity, &Filter::default()).await,
            [
                "user-added",
                "sign-in",
                "sign-in-failure",
                "role-granted",
                "role-revoked",
                "token-created",
                "token-revoked",
                "password-changed",
                "user-disabled",
                "user-deleted",
            ]
        );
        let entries = identity
            .audit(&Filter::default(), Direction::OldestFirst, None, 100)
            .await
            .unwrap();
        let text = format!("{entries:?}");
        for secret in [secret.expose(), session.token.expose(), PASSWORD, "wrong", "argon2"] {
            assert!(!text.contains(secret), "{secret}");
        }
        let of = |kind: &str| entries.iter().find(|entry| entry.kind == kind).unwrap();
        let id = anna.id.to_string();
        assert_eq!(of("sign-in").actor.as_deref(), Some("anna"));
        assert_eq!(of("sign-in").actor_id, Some(anna.id.0));
        assert_eq!(of("sign-in").address.as_deref(), Some("192.0.2.1"));
        assert_eq!(of("sign-in-failure").address.as_deref(), Some("198.51.100.1"));
        let granted = of("role-granted");
        assert_eq!(granted.actor.as_deref(), Some("test"));
        assert_eq!((granted.entity.as_deref(), granted.key.as_deref()), (Some("SystemUser"), Some(id.as_str())));
        assert_eq!(granted.detail.as_deref(), Some(r#"{"roles":["Manager"]}"#));
        let about = Filter { key: Some(id.into()), ..Filter::default() };
        assert_eq!(kinds(&identity, &about).await.len(), 9);
        let two = Filter {
            kinds: vec!["role-granted".into(), "role-revoked".into()],
            actor: Some("test".into()),
            since: Some(of("user-added").at),
            ..Filter::default()
        };
        assert_eq!(kinds(&identity, &two).await, ["role-granted", "role-revoked"]);
        let none = Filter { until: Some(of("user-added").at), ..Filter::default() };
        assert!(kinds(&identity, &none).await.is_empty());
    }

    async fn the_trail_is_read_in_pieces_from_either_end(site: &Site) {
        let identity = site.command().await;
        for number in 0..7 {
            add(&identity, &format!("user{number}"), &[]).await;
        }
        for direction in [Direction::OldestFirst, Direction::NewestFirst] {
            let mut seen: Vec<Entry> = Vec::new();
            loop {
                let after = seen.last().map(Entry::position);
                let piece = identity.audit(&Filter::default(), direction, after, 3).await.unwrap();
                if piece.is_empty() {
                    break;
                }
                seen.extend(piece);
            }
            assert_eq!(seen.len(), 7);
            let names = |entry: &Entry| entry.detail.clone().unwrap();
            let (first, last) = if direction == Direction::OldestFirst { (0, 6) } else { (6, 0) };
            assert!(names(&seen[first]).contains("user0") && names(&seen[last]).contains("user6"));
        }
    }

    async fn a_flood_of_failures_is_a_few_entries(site: &Site) {
        let identity = site.server().await;
        for _ in 0..200 {
            identity.sign_in("nobody", "wrong", &client("192.0.2.1")).await.unwrap_err();
        }
        let failures = Filter { kinds: vec!["sign-in-failure".into()], ..Filter::default() };
        assert_eq!(kinds(&identity, &failures).await.len(), 1);
        identity.close().await;
        let entries = identity
            .audit(&failures, Direction::OldestFirst, None, 100)
            .await
            .unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[1].detail.as_deref(), Some(r#"{"count":199}"#));
        assert_eq!(entries[1].actor.as_deref(), Some("nobody"));
    }
}
