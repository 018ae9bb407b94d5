//! API9: what there is that nobody should find.

use reqwest::Method;

use crate::world::World;

/// The description of the service shows a reader what they may see, and nothing else.
#[tokio::test]
async fn the_description_is_the_readers_own() {
    let world = World::new().await;
    let clerk = world.token("cleo", &["--write"]);
    let described = |token: String| {
        let client = world.client.clone();
        async move {
            let bearer = format!("Bearer {token}");
            let headers = [("Authorization", bearer.as_str())];
            let mut all = String::new();
            for path in [
                "/odata/",
                "/odata/$metadata",
                "/odata/$metadata?$format=json",
            ] {
                let answer = client
                    .send(Method::GET, path, &headers, None)
                    .await
                    .unwrap();
                all.push_str(&answer.expect_status(200).unwrap().text());
            }
            all
        }
    };
    let for_clerk = described(clerk).await;
    for hidden in [
        "Limit",
        "Rating",
        "Balance",
        "Salary",
        "Secret",
        "SystemGrant",
        "SystemSession",
        "Hash",
        "Clerk",
    ] {
        assert!(!for_clerk.contains(hidden), "{hidden} is in {for_clerk}");
    }
    assert!(for_clerk.contains("Customers") && for_clerk.contains("Phone"));
    let for_boss = described(world.boss.clone()).await;
    for shown in ["Limit", "Rating", "Balance", "Salary"] {
        assert!(for_boss.contains(shown), "{shown}");
    }
    for hidden in [
        "Secret",
        "SystemGrant",
        "SystemSession",
        "SystemCredential",
        "Hash",
    ] {
        assert!(!for_boss.contains(hidden), "{hidden}");
    }
}

/// What the server keeps for itself has no address, whoever asks.
#[tokio::test]
async fn system_tables_are_no_collections() {
    let world = World::new().await;
    for name in [
        "SystemCredentials",
        "SystemGrants",
        "SystemSessions",
        "SystemTokens",
        "SystemLinks",
        "SystemAudits",
        "SystemAdministrators",
        "SystemIdentities",
        "SystemRevisions",
        "SystemInstances",
        "SystemLeases",
        "SystemRequests",
        "SystemCredential",
        "Secrets",
        "_stoa_user",
        "Account",
        "Accounts",
    ] {
        world.read(&world.boss, name, 404).await;
    }
    for path in [
        "Employees?$expand=SystemCredentials",
        "Employees?$select=Hash",
        "Employees?$filter=SystemGrants/any()",
        "Customers?$expand=Secrets",
    ] {
        world.read(&world.boss, path, 400).await;
    }
}

/// Nobody who is not signed in finds anything out.
#[tokio::test]
async fn without_signing_in_there_is_nothing() {
    let world = World::new().await;
    for path in [
        "/odata/",
        "/odata/$metadata",
        "/odata/Customers",
        "/odata/Nothing",
        "/odata/Customers/$count",
        "/odata/$batch",
    ] {
        for method in [Method::GET, Method::POST, Method::OPTIONS, Method::DELETE] {
            let answer = world
                .client
                .send(method.clone(), path, &[], None)
                .await
                .unwrap();
            assert_eq!(answer.status, 401, "{method} {path}: {}", answer.text());
            assert!(
                answer.header("www-authenticate").is_some(),
                "{method} {path}"
            );
            for word in ["Customers", "Name", "Bank"] {
                assert!(!answer.text().contains(word), "{path}: {}", answer.text());
            }
        }
    }
    // No password dialog of the browser for what a page fetches.
    let fetched = world
        .client
        .send(
            Method::GET,
            "/odata/Customers",
            &[("Sec-Fetch-Mode", "cors")],
            None,
        )
        .await
        .unwrap();
    assert!(
        !fetched
            .header("www-authenticate")
            .unwrap()
            .contains("Basic")
    );
    for path in [
        "/metrics",
        "/-/metrics",
        "/debug",
        "/health/../metrics",
        "/-/admin/users",
    ] {
        let answer = world.client.get(path).await.unwrap();
        assert!(
            matches!(answer.status, 303 | 401 | 404 | 405),
            "{path}: {}",
            answer.status
        );
        assert!(!answer.text().contains("stoa_requests_total"), "{path}");
    }
}
