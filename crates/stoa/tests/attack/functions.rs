//! API5: what others may do.

use reqwest::Method;
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn reading_does_not_allow_writing() {
    let world = World::new().await;
    world.add_user("ada", &["Auditor"], &[]);
    let auditor = world.token("ada", &["--write"]);
    let own = format!("Customers({})", world.own);
    assert_eq!(world.read(&auditor, &own, 200).await["Limit"], 700);
    for (method, path, body) in [
        (Method::PATCH, own.clone(), Some(json!({ "Limit": 1 }))),
        (Method::PUT, own.clone(), Some(json!({ "Name": "x" }))),
        (
            Method::PUT,
            format!("{own}/Name"),
            Some(json!({ "value": "x" })),
        ),
        (Method::DELETE, own.clone(), None),
        (Method::DELETE, format!("{own}/Phone"), None),
        (
            Method::POST,
            "Customers".to_owned(),
            Some(json!({ "Name": "x", "Branch@odata.bind": "Branches('NORTH')" })),
        ),
    ] {
        let answer = world
            .with_token(&auditor, method.clone(), &path, body.as_ref())
            .await;
        assert!(
            matches!(answer.status, 400 | 403 | 404),
            "{method} {path}: {} {}",
            answer.status,
            answer.text()
        );
    }
    let row = world.read(&world.boss, &own, 200).await;
    assert_eq!(
        (&row["Name"], &row["Limit"]),
        (&json!("Nadia"), &json!(700))
    );
}

/// A token that only reads does not write, whatever its user may; a method in a header or an option is no method.
#[tokio::test]
async fn a_token_for_reading_only_reads() {
    let world = World::new().await;
    let reader = world.token("bill", &[]);
    let own = format!("Customers({})", world.own);
    for (method, path, body) in [
        (Method::PATCH, own.clone(), Some(json!({ "Limit": 1 }))),
        (Method::DELETE, own.clone(), None),
        (
            Method::POST,
            "Customers".to_owned(),
            Some(json!({ "Name": "x" })),
        ),
    ] {
        let answer = world
            .with_token(&reader, method, &path, body.as_ref())
            .await;
        assert_eq!(answer.status, 403, "{}", answer.text());
    }
    let bearer = format!("Bearer {reader}");
    for header in [
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
    ] {
        let headers = [
            ("Authorization", bearer.as_str()),
            (header, "DELETE"),
            ("If-Match", "*"),
        ];
        let answer = world
            .client
            .send(Method::GET, &format!("/odata/{own}"), &headers, None)
            .await
            .unwrap();
        assert_eq!(answer.status, 200);
    }
    world.read(&world.boss, &own, 200).await;
}

/// A token limited to roles has no others, and never one that its user lacks.
#[tokio::test]
async fn a_token_has_no_more_roles_than_it_was_given() {
    for world in World::both().await {
        a_token_has_no_more_roles_than_it_was_given_in(world).await;
    }
}

async fn a_token_has_no_more_roles_than_it_was_given_in(world: World) {
    world.run(&["user", "grant", "cleo", "Auditor"], "");
    let limited = world.token("cleo", &["--role", "Clerk"]);
    let both = world.token("cleo", &[]);
    let other = format!("Customers({})", world.other);
    world.read(&limited, &other, 404).await;
    world.read(&both, &other, 200).await;
    // A role that is taken away is gone from tokens at once.
    world.run(&["user", "revoke", "cleo", "Auditor"], "");
    world.read(&both, &other, 404).await;
}

/// Users are no administrators, administrators are no users.
#[tokio::test]
async fn the_site_and_the_application_are_apart() {
    let world = World::new().await;
    let mut boss = world.signed_in("bill").await;
    for path in [
        "/-/admin/",
        "/-/admin/users",
        "/-/admin/tokens",
        "/-/admin/audit",
        "/-/admin/account",
    ] {
        let answer = boss.get(path).await;
        assert!(
            matches!(answer.status, 303 | 401 | 403 | 404 | 405),
            "{path}: {} {}",
            answer.status,
            answer.text()
        );
        assert!(!answer.text().contains("cleo"), "{path}");
    }
    let link = world.run(&["admin", "link"], "");
    let mut administrator = world.browser();
    administrator.follow_link(&link).await.unwrap();
    assert_eq!(administrator.get("/-/admin/").await.status, 200);
    let data = administrator.get("/odata/Customers").await;
    assert_eq!(data.status, 401, "{}", data.text());
    // The cookie of the one is none of the other.
    let stolen = administrator.cookie("stoa-admin").unwrap().to_owned();
    let mut forger = world.browser();
    forger.cookies.push(("stoa".to_owned(), stolen));
    assert_eq!(forger.get("/odata/Customers").await.status, 401);
}
