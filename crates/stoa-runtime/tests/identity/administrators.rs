//! Administrators of the site.

use std::time::Duration;

use stoa_runtime::identity::{Principal, Refusal, SignInError};

use crate::site::{
    OTHER_PASSWORD, PASSWORD, Site, add, by, caller, client, is_refused, sign_in,
    with_administrator,
};

on_both! {
    async fn the_first_start_makes_one_administrator(site: &Site) {
        let (one, two) = (site.server().await, site.server().await);
        let person = by();
        let (first, second) = tokio::join!(
            one.first_administrator("admin", &person),
            two.first_administrator("Admin", &person),
        );
        let made: Vec<_> = [first.unwrap(), second.unwrap()].into_iter().flatten().collect();
        assert_eq!(made.len(), 1);
        assert_eq!(one.first_administrator("other", &person).await.unwrap(), None);
        assert_eq!(one.administrators().await.unwrap(), made);
        let admin = Principal::Administrator(made[0].id);
        let link = one.create_link(admin, Duration::from_secs(600), &person).await.unwrap();
        let signed_in = two.use_link(link.expose(), &client("192.0.2.1")).await.unwrap();
        assert_eq!(signed_in.principal, admin);
        let headers = with_administrator(&signed_in.token);
        let known = one.administrator(&headers, None).await.unwrap();
        assert_eq!((known.id, &*known.name), (made[0].id, "admin"));
        // An administrator is no user.
        assert!(is_refused(&caller(&one, &signed_in.token).await));
    }

    async fn administrators_sign_in_with_passwords_of_their_own(site: &Site) {
        let (one, two) = (site.server().await, site.server().await);
        add(&one, "admin", &[]).await;
        let user = sign_in(&one, "admin").await;
        let admin = one.add_administrator("Admin", Some("A B"), None, &by()).await.unwrap();
        let principal = Principal::Administrator(admin.id);
        let attempt = async |password: &str| {
            one.administrator_sign_in("ADMIN", password, &client("192.0.2.1")).await
        };
        assert!(matches!(attempt(PASSWORD).await, Err(SignInError::Failed)), "the user's");
        assert!(matches!(attempt("").await, Err(SignInError::Failed)));
        one.set_password(principal, OTHER_PASSWORD, false, &by()).await.unwrap();
        let signed_in = attempt(OTHER_PASSWORD).await.unwrap();
        let headers = with_administrator(&signed_in.token);
        assert!(two.administrator(&headers, None).await.is_ok());
        let crossed = with_administrator(&user.token);
        assert!(matches!(two.administrator(&crossed, None).await, Err(Refusal::NotSignedIn)));
        let token = two
            .change_password(principal, signed_in.session, OTHER_PASSWORD, PASSWORD, &client("192.0.2.1"))
            .await
            .unwrap();
        assert!(matches!(one.administrator(&headers, None).await, Err(Refusal::NotSignedIn)));
        assert!(one.administrator(&with_administrator(&token), None).await.is_ok());
        assert!(one.administrator_by_name("admin").await.unwrap().has_password);
        assert_eq!(one.sessions(principal).await.unwrap().len(), 1);
        one.revoke_sessions(principal, None, &by()).await.unwrap();
        assert!(matches!(
            two.administrator(&with_administrator(&token), None).await,
            Err(Refusal::NotSignedIn)
        ));
        assert!(caller(&one, &user.token).await.is_ok(), "the user stays");
    }

    async fn one_administrator_always_stays(site: &Site) {
        let (one, two) = (site.server().await, site.server().await);
        let person = by();
        let anna = one.add_administrator("anna", None, None, &person).await.unwrap();
        let only = one.set_administrator_active(anna.id, false, &person).await;
        assert_eq!(only.unwrap_err().code(), "LastAdministrator");
        assert_eq!(one.delete_administrator(anna.id, &person).await.unwrap_err().code(), "LastAdministrator");
        for round in 0..8 {
            let berta = one.add_administrator("berta", None, None, &person).await.unwrap();
            // Each takes the other away at once.
            let (first, second) = tokio::join!(
                one.delete_administrator(berta.id, &person),
                two.set_administrator_active(anna.id, false, &person),
            );
            let done = u8::from(first.is_ok()) + u8::from(second.is_ok());
            assert!(done <= 1, "round {round}");
            let left = one.administrators().await.unwrap();
            assert!(left.iter().any(|administrator| administrator.active), "round {round}");
            one.set_administrator_active(anna.id, true, &person).await.unwrap();
            if first.is_err() {
                one.delete_administrator(berta.id, &person).await.unwrap();
            }
        }
        assert_eq!(one.add_administrator("ANNA", None, None, &person).await.unwrap_err().code(), "NameTaken");
        let gone = one.administrator_by_name("berta").await.unwrap_err();
        assert_eq!(gone.code(), "UnknownAdministrator");
    }
}
