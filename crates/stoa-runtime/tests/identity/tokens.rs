//! Tokens for programs.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stoa_runtime::identity::token::NewToken;
use stoa_runtime::identity::{Identity, Means, Refusal, UserId};

use crate::site::{PASSWORD, Site, add, by, headers, is_refused, reads, roles};

const DAY: Duration = Duration::from_secs(86_400);

fn token(user: UserId, roles: Option<&[&str]>) -> NewToken {
    NewToken {
        name: "Power BI".to_owned(),
        user,
        roles: roles.map(|roles| roles.iter().map(|&role| role.to_owned()).collect()),
        read_only: true,
        lifetime: DAY,
        seed: None,
    }
}

async fn with(
    identity: &Identity,
    authorization: &str,
) -> Result<stoa_runtime::identity::Caller, Refusal> {
    let headers = headers(&[("host", "shop.example"), ("authorization", authorization)]);
    identity.caller(&headers, None).await
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

on_both! {
    async fn a_token_acts_for_its_user_within_its_limits(site: &Site) {
        let identity = site.server().await;
        let anna = add(&identity, "anna", &["Sales"]).await;
        let (info, secret) = identity.create_token(token(anna.id, None), &by()).await.unwrap();
        assert!(secret.expose().starts_with("stoa_") && secret.expose().len() == 48);
        let bearer = format!("Bearer {}", secret.expose());
        let known = with(&identity, &bearer).await.unwrap();
        assert_eq!((known.user, &*known.name), (Some(anna.id), "anna"));
        assert_eq!(known.means, Means::Token { id: info.id, read_only: true });
        assert!(known.is_read_only());
        assert_eq!(roles(&identity, &known), ["Sales"]);
        let before = reads(&identity);
        for _ in 0..100 {
            with(&identity, &bearer).await.unwrap();
            with(&identity, &basic("ANNA", secret.expose())).await.unwrap();
        }
        assert_eq!(reads(&identity), before, "warm");
        // Limited to roles: those that both have.
        identity.grant(anna.id, &["Manager".to_owned()], &by()).await.unwrap();
        let limited = NewToken { read_only: false, ..token(anna.id, Some(&["Manager"])) };
        let (_, limited) = identity.create_token(limited, &by()).await.unwrap();
        let limited = format!("Bearer {}", limited.expose());
        let known = with(&identity, &limited).await.unwrap();
        assert_eq!(roles(&identity, &known), ["Manager"]);
        assert!(!known.is_read_only());
        identity.revoke(anna.id, &["Manager".to_owned()], &by()).await.unwrap();
        assert_eq!(roles(&identity, &with(&identity, &limited).await.unwrap()), [""; 0]);
        let nothing = token(anna.id, Some(&[]));
        let (_, nothing) = identity.create_token(nothing, &by()).await.unwrap();
        let known = with(&identity, &format!("Bearer {}", nothing.expose())).await.unwrap();
        assert!(known.roles.is_empty());
        let listed = identity.tokens(Some(anna.id)).await.unwrap();
        assert_eq!(listed.len(), 3);
        assert!(listed.iter().all(|token| token.user_name == "anna" && token.name == "Power BI"));
        assert_eq!(identity.tokens(None).await.unwrap(), listed);
    }

    async fn nothing_but_a_token_of_the_user_is_taken(site: &Site) {
        let identity = site.server().await;
        let anna = add(&identity, "anna", &[]).await;
        add(&identity, "berta", &[]).await;
        let (_, secret) = identity.create_token(token(anna.id, None), &by()).await.unwrap();
        let secret = secret.expose();
        let other = format!("stoa_{}", "A".repeat(43));
        for authorization in [
            basic("anna", PASSWORD),
            basic("berta", secret),
            basic("", secret),
            basic("anna", &other),
            format!("Bearer {other}"),
            format!("Bearer {}", &secret[5..]),
            "Bearer eyJhbGciOiJub25lIn0.e30.".to_owned(),
            "Bearer ".to_owned(),
        ] {
            let outcome = with(&identity, &authorization).await;
            assert!(matches!(outcome, Err(Refusal::InvalidToken)), "{authorization}: {outcome:?}");
        }
        for authorization in ["", "Digest x", "Basic", "Basic !!", "Basic YQ==", "Bearer"] {
            let outcome = with(&identity, authorization).await;
            assert!(matches!(outcome, Err(Refusal::Malformed)), "{authorization}: {outcome:?}");
        }
    }

    async fn a_token_that_is_revoked_works_nowhere(site: &Site) {
        let (one, two) = (site.server().await, site.server().await);
        let anna = add(&one, "anna", &[]).await;
        let (info, secret) = one.create_token(token(anna.id, None), &by()).await.unwrap();
        let bearer = format!("Bearer {}", secret.expose());
        for identity in [&one, &two] {
            with(identity, &bearer).await.unwrap();
        }
        one.set_active(anna.id, false, &by()).await.unwrap();
        assert!(is_refused(&with(&two, &bearer).await));
        one.set_active(anna.id, true, &by()).await.unwrap();
        assert!(with(&two, &bearer).await.is_ok());
        one.revoke_token(info.id, &by()).await.unwrap();
        for identity in [&one, &two] {
            assert!(is_refused(&with(identity, &bearer).await));
        }
        assert_eq!(one.revoke_token(info.id, &by()).await.unwrap_err().code(), "UnknownToken");
    }

    async fn tokens_that_cannot_be_are_not_made(site: &Site) {
        let identity = site.command().await;
        let anna = add(&identity, "anna", &[]).await;
        let unknown = UserId(uuid::Uuid::from_u128(1));
        for (new, code) in [
            (NewToken { lifetime: Duration::ZERO, ..token(anna.id, None) }, "InvalidLifetime"),
            (NewToken { lifetime: DAY * 400, ..token(anna.id, None) }, "InvalidLifetime"),
            (token(anna.id, Some(&["Boss"])), "UnknownRole"),
            (token(unknown, None), "UnknownUser"),
            (NewToken { name: "x".repeat(121), ..token(anna.id, None) }, "TooLong"),
        ] {
            assert_eq!(identity.create_token(new, &by()).await.unwrap_err().code(), code);
        }
        assert!(identity.tokens(None).await.unwrap().is_empty());
    }
}
