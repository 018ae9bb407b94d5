//! Forms that arrive more than once, as a web server repeats them: the same bytes, the same cookies.

use std::time::Duration;

use futures_util::future::join_all;
use http::StatusCode;
use http::header::SET_COOKIE;
use stoa_runtime::identity::{NewUser, Principal};

use crate::browser::{Browser, Page};
use crate::site::{OTHER_PASSWORD, PASSWORD, Site, by};

/// Sends a form so often at once, then twice more one after the other.
async fn repeat(
    browser: &Browser<'_>,
    page: &str,
    action: &str,
    fields: &[(&str, &str)],
    at_once: usize,
) -> Vec<Page> {
    static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let id = format!("form {number}");
    let token = browser.get(page).await.token();
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("token", &token).extend_pairs(fields);
    let form = form.finish();
    let headers = [
        ("sec-fetch-site", "same-origin"),
        ("repeatability-request-id", id.as_str()),
    ];
    let send = || browser.send("POST", action, &headers, Some(form.clone()));
    let cookies = browser.cookies.lock().unwrap().clone();
    let mut pages = join_all((0..at_once).map(|_| send())).await;
    for _ in 0..2 {
        browser.cookies.lock().unwrap().clone_from(&cookies);
        pages.push(send().await);
    }
    pages
}

/// Where an answer leads, and the session that it gives.
fn of_interest(page: &Page) -> (StatusCode, String, Option<String>) {
    let session = page.headers.get_all(SET_COOKIE).iter().find_map(|cookie| {
        let cookie = cookie.to_str().unwrap();
        let pair = cookie.split(';').next().unwrap();
        (pair.starts_with("stoa=") || pair.starts_with("stoa-admin=")).then(|| pair.to_owned())
    });
    (page.status, page.location().to_owned(), session)
}

fn check_same(pages: &[Page]) {
    for page in pages {
        assert_eq!(of_interest(page), of_interest(&pages[0]), "{}", page.text);
        assert_eq!(page.header("repeatability-result"), "accepted");
    }
}

async fn number_of_sessions(site: &Site, principal: Principal) -> usize {
    site.identity.sessions(principal).await.unwrap().len()
}

async fn link_for(site: &Site, name: &str) -> (Principal, String) {
    let new = NewUser {
        name: name.to_owned(),
        ..NewUser::default()
    };
    let user = site.identity.add_user(new, &by()).await.unwrap();
    let principal = Principal::User(user.id);
    let secret = site
        .identity
        .create_link(principal, Duration::from_secs(3600), &by())
        .await
        .unwrap();
    (principal, format!("/-/link/{}", secret.expose()))
}

#[tokio::test]
async fn a_sign_in_gives_one_session() {
    let site = Site::new().await;
    let user = site.add("ada", &[]).await;
    let browser = Browser::new(&site.pages);
    let fields = [("name", "ada"), ("password", PASSWORD)];
    let pages = repeat(&browser, "/-/sign-in", "/-/sign-in", &fields, 3).await;
    check_same(&pages);
    assert_eq!(pages[0].location(), "/");
    assert!(of_interest(&pages[0]).2.is_some());
    assert_eq!(number_of_sessions(&site, Principal::User(user.id)).await, 1);
    assert!(browser.get("/-/account").await.has("ada"));
    // The next sign-in is another one, which replaces the session.
    let pages = repeat(&browser, "/-/sign-in", "/-/sign-in", &fields, 1).await;
    check_same(&pages);
    assert_eq!(number_of_sessions(&site, Principal::User(user.id)).await, 1);
}

#[tokio::test]
async fn a_link_is_used_up_by_another_request_only() {
    let site = Site::new().await;
    let new = [("new", OTHER_PASSWORD), ("repeat", OTHER_PASSWORD)];
    for (name, fields) in [("carla", &new[..]), ("dora", &[("skip", "yes")])] {
        let (principal, link) = link_for(&site, name).await;
        let browser = Browser::new(&site.pages);
        let pages = repeat(&browser, &link, &link, fields, 3).await;
        check_same(&pages);
        assert_eq!(pages[0].status, StatusCode::SEE_OTHER);
        assert_eq!(number_of_sessions(&site, principal).await, 1);
        assert!(browser.get("/-/account").await.has(name));
        // Somebody else who has the link gets nothing, whatever the identity of the request.
        let other = Browser::new(&site.pages);
        other.get("/-/sign-in").await;
        let headers = [("repeatability-request-id", "form 1")];
        let page = other
            .send("POST", &link, &headers, Some(String::new()))
            .await;
        assert_eq!(page.status, StatusCode::NOT_FOUND);
        assert!(page.has("not valid any more"));
    }
}

#[tokio::test]
async fn a_change_of_the_password_is_made_once() {
    let site = Site::new().await;
    let user = site.add("ada", &[]).await;
    let browser = Browser::new(&site.pages);
    browser.sign_in("ada", PASSWORD).await;
    let fields = [
        ("current", PASSWORD),
        ("new", OTHER_PASSWORD),
        ("repeat", OTHER_PASSWORD),
        ("return", "/-/account"),
    ];
    let page = "/-/account/password";
    let pages = repeat(&browser, page, page, &fields, 1).await;
    check_same(&pages);
    assert_eq!(pages[0].location(), "/-/account?done=password");
    assert_eq!(number_of_sessions(&site, Principal::User(user.id)).await, 1);
    assert!(browser.get("/-/account").await.has("ada"));
}

#[tokio::test]
async fn what_administrators_make_is_made_once() {
    let site = Site::new().await;
    site.add_administrator("root").await;
    let browser = Browser::new(&site.pages);
    let sign_in = "/-/admin/sign-in";
    let fields = [("name", "root"), ("password", PASSWORD)];
    check_same(&repeat(&browser, sign_in, sign_in, &fields, 1).await);

    let fields = [("name", "berta"), ("role", "Sales")];
    let pages = repeat(&browser, "/-/admin/", "/-/admin/users", &fields, 2).await;
    check_same(&pages);
    assert_eq!(pages[0].status, StatusCode::SEE_OTHER, "{}", pages[0].text);
    let address = pages[0].location().split('?').next().unwrap().to_owned();
    // Another request for the same name is told that it is taken.
    let pages = repeat(&browser, "/-/admin/", "/-/admin/users", &fields, 1).await;
    assert!(pages[0].has("Somebody else has this name."));

    let pages = repeat(&browser, &address, &address, &[("action", "link")], 2).await;
    let link = |page: &Page| {
        let at = page
            .text
            .find("link&#x2f;")
            .unwrap_or_else(|| panic!("{}", page.text));
        page.text[at..at + 60].to_owned()
    };
    assert!(pages.iter().all(|page| link(page) == link(&pages[0])));

    let fields = [("name", "Excel"), ("user", "berta"), ("days", "30")];
    let pages = repeat(&browser, "/-/admin/tokens", "/-/admin/tokens", &fields, 2).await;
    let secret = |page: &Page| {
        let at = page
            .text
            .find("stoa_")
            .unwrap_or_else(|| panic!("{}", page.text));
        page.text[at..at + 48].to_owned()
    };
    assert!(pages.iter().all(|page| secret(page) == secret(&pages[0])));
    assert_eq!(site.identity.tokens(None).await.unwrap().len(), 1);
}
