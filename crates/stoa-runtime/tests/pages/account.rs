//! One's own account.

use http::StatusCode;
use stoa_runtime::identity::Principal;

use crate::browser::Browser;
use crate::site::{OTHER_PASSWORD, PASSWORD, Site, by};

const CHANGE: &str = "/-/account/password";

fn change<'a>(current: &'a str, new: &'a str) -> [(&'a str, &'a str); 3] {
    [("current", current), ("new", new), ("repeat", new)]
}

#[tokio::test]
async fn the_password_is_changed_and_other_sessions_end() {
    let site = Site::new().await;
    site.add("ada", &[]).await;
    let (browser, other) = (Browser::new(&site.pages), Browser::new(&site.pages));
    browser.sign_in("ada", PASSWORD).await;
    other.sign_in("ada", PASSWORD).await;
    let page = browser
        .fill(CHANGE, CHANGE, &change("wrong", OTHER_PASSWORD))
        .await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.has("The current password is not right."));
    let before = browser.cookie("stoa");
    let page = browser
        .fill(CHANGE, CHANGE, &change(PASSWORD, OTHER_PASSWORD))
        .await;
    assert_eq!(page.location(), "/-/account?done=password");
    assert_ne!(browser.cookie("stoa"), before, "a new token");
    assert!(
        browser
            .get("/-/account?done=password")
            .await
            .has("The password is changed.")
    );
    assert_eq!(other.get("/-/account").await.status, StatusCode::SEE_OTHER);
    let page = Browser::new(&site.pages).sign_in("ada", PASSWORD).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn whoever_must_change_the_password_gets_nowhere_else() {
    let site = Site::new().await;
    let ada = site.add("ada", &[]).await;
    site.identity
        .set_password(Principal::User(ada.id), PASSWORD, true, &by())
        .await
        .unwrap();
    let browser = Browser::new(&site.pages);
    let fields = [
        ("return", "/orders"),
        ("name", "ada"),
        ("password", PASSWORD),
    ];
    let page = browser.fill("/-/sign-in", "/-/sign-in", &fields).await;
    assert_eq!(page.location(), "/-/account/password?return=%2Forders");
    let page = browser.get("/-/account").await;
    assert_eq!(page.location(), "/-/account/password?return=%2F-%2Faccount");
    let mut fields = change(PASSWORD, OTHER_PASSWORD).to_vec();
    fields.push(("return", "/orders"));
    let page = browser.fill(CHANGE, CHANGE, &fields).await;
    assert_eq!(page.location(), "/orders");
    assert_eq!(browser.get("/-/account").await.status, StatusCode::OK);
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let site = Site::new().await;
    site.add("ada", &[]).await;
    site.add("bob", &[]).await;
    let browser = Browser::new(&site.pages);
    browser.sign_in("ada", PASSWORD).await;
    let others: Vec<Browser<'_>> = (0..3).map(|_| Browser::new(&site.pages)).collect();
    for other in &others {
        other.sign_in("ada", PASSWORD).await;
    }
    let bob = Browser::new(&site.pages);
    bob.sign_in("bob", PASSWORD).await;

    let page = browser.get("/-/account").await;
    assert_eq!(page.text.matches("name=\"session\"").count(), 3);
    assert_eq!(page.text.matches("This session").count(), 1);
    let first = page.value("session");
    // Somebody else's session is out of reach.
    let page = bob
        .fill("/-/account", "/-/account/sessions", &[("session", &first)])
        .await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert_eq!(
        browser
            .get("/-/account")
            .await
            .text
            .matches("name=\"session\"")
            .count(),
        3
    );
    let page = browser
        .fill("/-/account", "/-/account/sessions", &[("session", &first)])
        .await;
    assert_eq!(page.location(), "/-/account?done=session");
    let page = browser.get("/-/account").await;
    assert_eq!(page.text.matches("name=\"session\"").count(), 2);
    let page = browser
        .fill("/-/account", "/-/account/sessions", &[("others", "yes")])
        .await;
    assert_eq!(page.location(), "/-/account?done=sessions");
    for other in &others {
        assert_eq!(other.get("/-/account").await.status, StatusCode::SEE_OTHER);
    }
    assert_eq!(browser.get("/-/account").await.status, StatusCode::OK);
    assert_eq!(bob.get("/-/account").await.status, StatusCode::OK);
    // A form without the token of its session ends nothing.
    let page = bob.post("/-/account/sessions", &[("others", "yes")]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    let token = browser.get("/-/account").await.token();
    let page = bob
        .post(
            "/-/account/sessions",
            &[("others", "yes"), ("token", &token)],
        )
        .await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
}
