//! People whom a provider knows.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use stoa_runtime::identity::external::{AccessTokens, ExternalIdentity, Unknown, VerifiedToken};
use stoa_runtime::identity::{Identity, Means, Refusal, SignInError, SignedIn};

use crate::site::{
    Site, add, by, caller, client, headers, is_refused, principal, reads, roles, with_administrator,
};

fn person(subject: &str, name: &str, roles: Option<&[&str]>) -> ExternalIdentity {
    ExternalIdentity {
        issuer: "https://id.example".to_owned(),
        subject: subject.to_owned(),
        provider: "company".to_owned(),
        name: Some(name.to_owned()),
        full_name: Some("Some Body".to_owned()),
        email: None,
        roles: roles.map(|roles| roles.iter().map(|&role| role.to_owned()).collect()),
        id_token: Some("id-token".to_owned()),
    }
}

async fn enter(
    identity: &Identity,
    person: &ExternalIdentity,
    unknown: Unknown,
) -> Result<SignedIn, SignInError> {
    identity
        .sign_in_external(person, unknown, &client("192.0.2.1"))
        .await
}

/// Takes the token as the subject.
struct Trusting;

impl AccessTokens for Trusting {
    fn verify<'a>(
        &'a self,
        token: &'a str,
    ) -> Pin<Box<dyn Future<Output = Option<VerifiedToken>> + Send + 'a>> {
        Box::pin(async move {
            let (subject, role) = token.split_once('/')?;
            let roles = (!role.is_empty()).then_some([role]);
            Some(VerifiedToken {
                identity: person(subject, subject, roles.as_ref().map(<[&str; 1]>::as_slice)),
                unknown: Unknown::Create,
            })
        })
    }
}

on_both! {
    async fn whoever_the_provider_knows_is_made_once_and_has_the_roles_of_the_claims(site: &Site) {
        let (one, two) = (site.server().await, site.server().await);
        let anna = person("1", "Anna", Some(&["Sales", "Elsewhere"]));
        assert!(matches!(enter(&one, &anna, Unknown::Refuse).await, Err(SignInError::Failed)));
        assert!(matches!(enter(&one, &anna, Unknown::MatchName).await, Err(SignInError::Failed)));
        let (first, second) = tokio::join!(
            enter(&one, &anna, Unknown::Create),
            enter(&two, &anna, Unknown::Create),
        );
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!(first.principal, second.principal);
        let known = caller(&two, &first.token).await.unwrap();
        assert_eq!((&*known.name, roles(&two, &known)), ("anna", vec!["Sales".to_owned()]));
        let sessions = one.sessions(first.principal).await.unwrap();
        assert_eq!(sessions.len(), 2);
        assert_eq!(sessions[0].provider.as_deref(), Some("company"));
        // Other claims at the next sign-in: other roles, for sessions that are open too.
        enter(&one, &person("1", "renamed", Some(&["Manager"])), Unknown::Refuse).await.unwrap();
        let known = caller(&two, &first.token).await.unwrap();
        assert_eq!((&*known.name, roles(&two, &known)), ("anna", vec!["Manager".to_owned()]));
        // Without claims they stay.
        enter(&one, &person("1", "anna", None), Unknown::Refuse).await.unwrap();
        assert_eq!(one.user_by_name("anna").await.unwrap().roles, ["Manager"]);
        let left = one.sign_out(first.session, &by()).await.unwrap().unwrap();
        assert_eq!((left.provider.as_str(), left.id_token.as_deref()), ("company", Some("id-token")));
        // Disabled is disabled, whoever vouches.
        let user = one.user_by_name("anna").await.unwrap();
        one.set_active(user.id, false, &by()).await.unwrap();
        assert!(matches!(enter(&one, &anna, Unknown::Create).await, Err(SignInError::Failed)));
    }

    async fn a_name_is_nobodys_proof_unless_the_provider_is_trusted_with_it(site: &Site) {
        let identity = site.server().await;
        let anna = add(&identity, "anna", &["Sales"]).await;
        let outcome = enter(&identity, &person("7", "ANNA", None), Unknown::Create).await;
        assert!(matches!(outcome, Err(SignInError::Failed)));
        let outcome = enter(&identity, &person("7", "ANNA", None), Unknown::MatchNameOrCreate).await;
        assert_eq!(outcome.unwrap().principal, principal(&anna));
        // Linked once: another person of that provider with the same name is somebody else.
        let outcome = enter(&identity, &person("8", "anna", None), Unknown::MatchNameOrCreate).await;
        assert!(matches!(outcome, Err(SignInError::Failed)));
        for name in ["", "a:b"] {
            let outcome = enter(&identity, &person("9", name, None), Unknown::Create).await;
            assert!(matches!(outcome, Err(SignInError::Failed)), "{name}");
        }
    }

    async fn no_provider_makes_administrators(site: &Site) {
        let identity = site.server().await;
        let admin = identity.add_administrator("admin", None, None, &by()).await.unwrap();
        let from = client("192.0.2.1");
        let somebody = person("1", "somebody", None);
        for unknown in [Unknown::Create, Unknown::MatchNameOrCreate] {
            let outcome = identity.administrator_sign_in_external(&somebody, unknown, &from).await;
            assert!(matches!(outcome, Err(SignInError::Failed)));
        }
        let known = person("2", "Admin", None);
        let refused = identity.administrator_sign_in_external(&known, Unknown::Create, &from).await;
        assert!(matches!(refused, Err(SignInError::Failed)));
        let signed_in = identity
            .administrator_sign_in_external(&known, Unknown::MatchName, &from)
            .await
            .unwrap();
        let headers = with_administrator(&signed_in.token);
        assert_eq!(identity.administrator(&headers, None).await.unwrap().id, admin.id);
        assert!(is_refused(&caller(&identity, &signed_in.token).await));
    }

    async fn access_tokens_are_taken_if_somebody_judges_them(site: &Site) {
        let (one, two) = (site.server().await, site.server().await);
        let with = async |token: &str| {
            let headers = headers(&[("authorization", &format!("Bearer {token}"))]);
            one.caller(&headers, None).await
        };
        assert!(matches!(with("anna/Sales").await, Err(Refusal::InvalidToken)));
        one.accept_access_tokens(Arc::new(Trusting));
        assert!(matches!(with("broken").await, Err(Refusal::InvalidToken)));
        let known = with("anna/Sales").await.unwrap();
        assert_eq!((&*known.name, known.means), ("anna", Means::AccessToken));
        assert_eq!(roles(&one, &known), ["Sales"]);
        let before = reads(&one);
        assert_eq!(with("anna/Sales").await.unwrap(), known);
        assert_eq!(reads(&one), before, "warm");
        // Without claims: what was granted here, and that was nothing.
        assert!(with("anna/").await.unwrap().roles.is_empty());
        let anna = two.user_by_name("anna").await.unwrap();
        two.set_active(anna.id, false, &by()).await.unwrap();
        assert!(matches!(with("anna/Sales").await, Err(Refusal::InvalidToken)));
    }
}
