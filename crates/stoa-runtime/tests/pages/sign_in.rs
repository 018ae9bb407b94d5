//! Signing in and out, and one-time links.

use std::time::Duration;

use http::StatusCode;
use stoa_runtime::identity::{NewUser, Principal};

use crate::browser::Browser;
use crate::site::{OTHER_PASSWORD, PASSWORD, Site, by};

#[tokio::test]
async fn somebody_signs_in_and_out() {
    let site = Site::new().await;
    site.add("ada", &["Sales"]).await;
    let browser = Browser::new(&site.pages);
    let page = browser.get("/-/sign-in?return=/orders").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.has("The &lt;Shop&gt;") && page.has("<html lang=\"en\">"));
    let token = page.token();
    let fields = [
        ("token", token.as_str()),
        ("return", "/orders"),
        ("name", "ada"),
        ("password", PASSWORD),
    ];
    let page = browser.post("/-/sign-in", &fields).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert_eq!(page.location(), "/orders");
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(browser.cookie("stoa").is_some());
    let page = browser.get("/-/account").await;
    assert!(
        page.has("ada") && page.has("Firefox, Linux"),
        "{}",
        page.text
    );

    let page = browser.get("/-/sign-out").await;
    assert!(page.has("Do you want to sign out?"));
    assert!(
        browser.cookie("stoa").is_some(),
        "looking at it changes nothing"
    );
    let stolen = browser.cookie("stoa").unwrap();
    let page = browser
        .post("/-/sign-out", &[("token", &page.token())])
        .await;
    assert!(page.has("You are signed out"));
    assert_eq!(page.header("clear-site-data"), "\"cache\", \"storage\"");
    assert_eq!(browser.cookie("stoa"), None);
    // The session has ended, not only the cookie.
    browser
        .cookies
        .lock()
        .unwrap()
        .insert("stoa".to_owned(), stolen);
    let page = browser.get("/-/account").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert_eq!(page.location(), "/-/sign-in?return=%2F-%2Faccount");
}

#[tokio::test]
async fn failures_tell_nothing() {
    let site = Site::new().await;
    site.add("ada", &[]).await;
    site.add("bob", &[]).await;
    let disabled = site.add("eve", &[]).await;
    site.identity
        .set_active(disabled.id, false, &by())
        .await
        .unwrap();
    let browser = Browser::new(&site.pages);
    let mut answers = Vec::new();
    for (name, password) in [
        ("ada", "wrong"),
        ("eve", PASSWORD),
        ("nobody", PASSWORD),
        ("<script>", "x"),
    ] {
        let page = browser.sign_in(name, password).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{name}");
        assert!(!page.has("<script"), "{}", page.text);
        assert_eq!(browser.cookie("stoa"), None);
        let token = page.token();
        let shown = name.replace('<', "&lt;").replace('>', "&gt;");
        answers.push(page.text.replace(&token, "").replace(&shown, ""));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:#?}");
    assert!(answers[0].contains("The name or the password is not right."));
    let page = browser.sign_in("", "").await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.has("href=\"#name\"") && page.has("aria-invalid=\"true\""));
}

#[tokio::test]
async fn a_form_of_another_page_signs_nobody_in() {
    let site = Site::new().await;
    site.add("ada", &[]).await;
    let mut browser = Browser::new(&site.pages);
    let fields = [("name", "ada"), ("password", PASSWORD)];
    // No form was fetched, or another browser fetched it.
    assert_eq!(
        browser.post("/-/sign-in", &fields).await.status,
        StatusCode::FORBIDDEN
    );
    let token = Browser::new(&site.pages).get("/-/sign-in").await.token();
    let with = [("token", token.as_str()), fields[0], fields[1]];
    assert_eq!(
        browser.post("/-/sign-in", &with).await.status,
        StatusCode::FORBIDDEN
    );
    browser.get("/-/sign-in").await;
    assert_eq!(
        browser.post("/-/sign-in", &with).await.status,
        StatusCode::FORBIDDEN
    );
    for site_of_sender in ["cross-site", "same-site"] {
        browser.site = site_of_sender;
        let page = browser.sign_in("ada", PASSWORD).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{site_of_sender}");
    }
    assert_eq!(browser.cookie("stoa"), None);
    browser.site = "same-origin";
    assert_eq!(
        browser.sign_in("ada", PASSWORD).await.status,
        StatusCode::SEE_OTHER
    );
    browser.site = "cross-site";
    let token = browser.get("/-/sign-out").await.token();
    let page = browser.post("/-/sign-out", &[("token", &token)]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(browser.cookie("stoa").is_some());
    // A form of another site comes without the cookies; its answer takes them away no more than anything else.
    let cookies = std::mem::take(&mut *browser.cookies.lock().unwrap());
    let page = browser.post("/-/sign-out", &[]).await;
    for header in ["set-cookie", "clear-site-data"] {
        assert!(!page.headers.contains_key(header), "{header}");
    }
    *browser.cookies.lock().unwrap() = cookies;
    assert!(browser.get("/-/account").await.has("ada"));
}

#[tokio::test]
async fn nobody_is_sent_to_another_site() {
    let site = Site::new().await;
    site.add("ada", &[]).await;
    for target in [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example/",
        "/%5cevil",
        "/\r\nx: y",
    ] {
        let browser = Browser::new(&site.pages);
        let page = browser
            .fill(
                "/-/sign-in",
                "/-/sign-in",
                &[("return", target), ("name", "ada"), ("password", PASSWORD)],
            )
            .await;
        assert_eq!(page.location(), "/", "{target}");
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("return", target);
        let page = browser.get(&format!("/-/sign-in?{}", query.finish())).await;
        assert!(!page.has("evil"), "{}", page.text);
    }
}

#[tokio::test]
async fn behind_tls_cookies_are_for_this_host_only() {
    let site = Site::new().await;
    site.add("ada", &[]).await;
    let mut browser = Browser::new(&site.pages);
    browser.host = "shop.example".to_owned();
    assert_eq!(
        browser.sign_in("ada", PASSWORD).await.status,
        StatusCode::SEE_OTHER
    );
    assert!(browser.cookie("__Host-stoa").is_some());
    assert_eq!(browser.cookie("stoa"), None);
}

#[tokio::test]
async fn a_link_works_once_and_only_when_it_is_used() {
    let site = Site::new().await;
    let new = NewUser {
        name: "carla".to_owned(),
        ..NewUser::default()
    };
    let user = site.identity.add_user(new, &by()).await.unwrap();
    let secret = site
        .identity
        .create_link(Principal::User(user.id), Duration::from_secs(3600), &by())
        .await
        .unwrap();
    let link = format!("/-/link/{}", secret.expose());
    for _ in 0..3 {
        let page = Browser::new(&site.pages).get(&link).await;
        assert!(page.has("carla"), "looking at it does not use it up");
    }
    let browser = Browser::new(&site.pages);
    let with = |new, repeat| vec![("new", new), ("repeat", repeat)];
    for (fields, fault) in [
        (with("", ""), "Enter your password."),
        (with(OTHER_PASSWORD, PASSWORD), "not the same"),
        (with("short", "short"), "at least 8"),
        (with("password1", "password1"), "easy to guess"),
    ] {
        let page = browser.fill(&link, &link, &fields).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(page.has(fault), "{fault}: {}", page.text);
    }
    let good = with(OTHER_PASSWORD, OTHER_PASSWORD);
    let page = browser.post(&link, &good).await;
    assert_eq!(
        page.status,
        StatusCode::FORBIDDEN,
        "without the form's token"
    );
    let page = browser.fill(&link, &link, &good).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/"));
    assert!(browser.get("/-/account").await.has("carla"));
    let page = Browser::new(&site.pages).get(&link).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    assert!(page.has("not valid any more"));
    let again = Browser::new(&site.pages);
    assert_eq!(
        again.sign_in("carla", OTHER_PASSWORD).await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn a_link_may_leave_the_password_alone() {
    let site = Site::new().await;
    let admin = site.add_administrator("root").await;
    let principal = Principal::Administrator(admin.id);
    let secret = site
        .identity
        .create_link(principal, Duration::from_secs(3600), &by())
        .await
        .unwrap();
    let link = format!("/-/link/{}", secret.expose());
    let browser = Browser::new(&site.pages);
    let page = browser.fill(&link, &link, &[("skip", "yes")]).await;
    assert_eq!(page.location(), "/-/admin/");
    assert!(browser.cookie("stoa-admin").is_some());
    assert_eq!(browser.cookie("stoa"), None);
    assert_eq!(browser.get("/-/admin/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_not_a_page() {
    let site = Site::new().await;
    let browser = Browser::new(&site.pages);
    for (method, path, status) in [
        ("GET", "/-/", 404),
        ("GET", "/-/nothing", 404),
        ("GET", "/-/link/abc", 404),
        ("GET", "/-/link/", 404),
        ("GET", "/-/theme.css", 404),
        ("GET", "/-/oidc/start?provider=x", 404),
        ("GET", "/-/oidc/callback?code=1&state=12345678", 400),
        ("PUT", "/-/sign-in", 405),
        ("DELETE", "/-/account", 405),
        ("POST", "/-/account", 405),
        ("GET", "/-/account/sessions", 405),
        ("HEAD", "/-/sign-in", 200),
    ] {
        let page = browser.send(method, path, &[], None).await;
        assert_eq!(page.status, status, "{method} {path}");
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        let policy = page.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{path}"
        );
        assert!(!page.has("style=") && !page.has("<script") && !page.has("javascript:"));
    }
    let large = Some(format!("name={}", "x".repeat(100_000)));
    let page = browser.send("POST", "/-/sign-in", &[], large).await;
    assert_eq!(page.status, StatusCode::PAYLOAD_TOO_LARGE);
    let many = Some("a=b&".repeat(1000));
    let page = browser.send("POST", "/-/sign-in", &[], many).await;
    assert_eq!(page.status, StatusCode::PAYLOAD_TOO_LARGE);
    let page = browser.get("/-/pages.css").await;
    assert_eq!(page.header("content-type"), "text/css; charset=utf-8");
    assert_eq!(page.header("cache-control"), "no-cache");
}
