//! What administrators do.

use http::{HeaderMap, HeaderValue, StatusCode};
use stoa_runtime::identity::Means;

use crate::browser::{Browser, Page, unescaped};
use crate::site::{OTHER_PASSWORD, PASSWORD, Site};

async fn sign_in(browser: &Browser<'_>) -> Page {
    let fields = [("name", "root"), ("password", PASSWORD)];
    browser
        .fill("/-/admin/sign-in", "/-/admin/sign-in", &fields)
        .await
}

#[tokio::test]
async fn users_are_not_administrators() {
    let site = Site::new().await;
    site.add("ada", &["Manager"]).await;
    site.add_administrator("root").await;
    let browser = Browser::new(&site.pages);
    browser.sign_in("ada", PASSWORD).await;
    for path in [
        "/-/admin/",
        "/-/admin/tokens",
        "/-/admin/audit",
        "/-/admin/account",
        "/-/admin/users/00000000-0000-0000-0000-000000000000",
    ] {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{path}");
        assert!(page.location().starts_with("/-/admin/sign-in"), "{path}");
        let page = browser.post(path, &[]).await;
        assert_ne!(page.status, StatusCode::OK, "{path}");
    }
    // The session of a user in the cookie of administrators is none of theirs.
    let user = browser.cookie("stoa").unwrap();
    browser
        .cookies
        .lock()
        .unwrap()
        .insert("stoa-admin".to_owned(), user);
    assert_eq!(browser.get("/-/admin/").await.status, StatusCode::SEE_OTHER);
    // Nor are administrators users.
    let browser = Browser::new(&site.pages);
    assert_eq!(
        browser.sign_in("root", PASSWORD).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(sign_in(&browser).await.location(), "/-/admin/");
    assert_eq!(
        browser.get("/-/account").await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn a_user_is_added_changed_and_disabled() {
    let site = Site::new().await;
    site.add_administrator("root").await;
    let browser = Browser::new(&site.pages);
    sign_in(&browser).await;
    let add = |name: &'static str| {
        [
            ("name", name),
            ("full_name", "Ada L."),
            ("email", "ada@example.com"),
            ("role", "Sales"),
        ]
    };
    let page = browser
        .fill("/-/admin/", "/-/admin/users", &add("Ada"))
        .await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
    let address = page.location().split('?').next().unwrap().to_owned();
    let page = browser
        .fill("/-/admin/", "/-/admin/users", &add("ada"))
        .await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.has("Somebody else has this name."));
    let page = browser.get("/-/admin/?search=AD").await;
    assert!(page.has(&address) && page.has("Ada L."), "{}", page.text);
    assert!(
        browser
            .get("/-/admin/?search=zzz")
            .await
            .has("No users found.")
    );

    let action = |name: &'static str| ("action", name);
    let page = browser
        .fill(&address, &address, &[action("roles"), ("role", "Manager")])
        .await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
    let ada = site.identity.user_by_name("ada").await.unwrap();
    assert_eq!(ada.roles, ["Manager"]);
    let page = browser
        .fill(&address, &address, &[action("roles"), ("role", "King")])
        .await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);

    let page = browser
        .fill(&address, &address, &[action("password"), ("new", "abc")])
        .await;
    assert!(page.has("at least 8 characters"));
    browser
        .fill(
            &address,
            &address,
            &[action("password"), ("new", OTHER_PASSWORD)],
        )
        .await;
    let user = Browser::new(&site.pages);
    let page = user.sign_in("ada", OTHER_PASSWORD).await;
    assert!(page.location().starts_with("/-/account/password"));

    let page = browser.fill(&address, &address, &[action("link")]).await;
    let text = unescaped(&page.text);
    let start = text.find("http://127.0.0.1:8080/-/link/").unwrap();
    let link = text[start..].split('<').next().unwrap();
    let link = link.strip_prefix("http://127.0.0.1:8080").unwrap();
    assert!(Browser::new(&site.pages).get(link).await.has("ada"));

    assert!(
        browser.get(&address).await.has("Firefox, Linux"),
        "the user's session"
    );
    browser
        .fill(&address, &address, &[action("sessions")])
        .await;
    assert_eq!(
        user.get("/-/account/password").await.status,
        StatusCode::SEE_OTHER
    );
    browser.fill(&address, &address, &[action("disable")]).await;
    assert!(!site.identity.user(ada.id).await.unwrap().active);
    browser.fill(&address, &address, &[action("enable")]).await;
    assert!(site.identity.user(ada.id).await.unwrap().active);

    let page = browser.get("/-/admin/audit").await;
    for kind in [
        "user-added",
        "role-granted",
        "link-created",
        "user-disabled",
        "sign-in",
    ] {
        assert!(page.has(kind), "{kind}: {}", page.text);
    }
    assert!(!page.has(OTHER_PASSWORD));
    assert!(
        browser
            .get("/-/admin/audit?actor=nobody")
            .await
            .has("Nothing recorded.")
    );
    assert_eq!(
        browser.get("/-/admin/audit?at=x&id=y").await.status,
        StatusCode::NOT_FOUND
    );
    for path in [
        "/-/admin/users/1",
        "/-/admin/users/00000000-0000-0000-0000-000000000000",
    ] {
        assert_eq!(
            browser.get(path).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_token_is_shown_once_and_revoked() {
    let site = Site::new().await;
    site.add_administrator("root").await;
    site.add("ada", &["Sales", "Manager"]).await;
    let browser = Browser::new(&site.pages);
    sign_in(&browser).await;
    const PAGE: &str = "/-/admin/tokens";
    let fields = |user: &'static str, days: &'static str| {
        [
            ("name", "Report"),
            ("user", user),
            ("days", days),
            ("access", "read"),
            ("role", "Sales"),
        ]
    };
    for (user, days, fault) in [
        ("nobody", "90", "There is no such user."),
        ("ada", "0", "from 1 to 366"),
        ("ada", "many", "from 1 to 366"),
    ] {
        let page = browser.fill(PAGE, PAGE, &fields(user, days)).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(page.has(fault), "{}", page.text);
    }
    let page = browser.fill(PAGE, PAGE, &fields("ada", "90")).await;
    let start = page.text.find("<code>stoa_").unwrap() + "<code>".len();
    let secret = page.text[start..].split('<').next().unwrap().to_owned();
    assert!(!browser.get(PAGE).await.has(&secret), "only once");
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("127.0.0.1:8080"));
    let value = format!("Bearer {secret}");
    headers.insert("authorization", HeaderValue::from_str(&value).unwrap());
    let caller = site.identity.caller(&headers, None).await.unwrap();
    assert!(matches!(
        caller.means,
        Means::Token {
            read_only: true,
            ..
        }
    ));
    assert_eq!(caller.roles.len(), 1);
    let id = browser.get(PAGE).await.value("revoke");
    let page = browser.fill(PAGE, PAGE, &[("revoke", &id)]).await;
    assert_eq!(page.location(), "/-/admin/tokens?done=revoked");
    assert!(site.identity.caller(&headers, None).await.is_err());
}
