//! API3: attributes that one may not see or set.

use reqwest::Method;
use serde_json::json;

use crate::world::World;

/// A hidden attribute has no name, wherever a name can stand: not to be read, sorted, compared or guessed.
#[tokio::test]
async fn hidden_attributes_are_unknown() {
    for world in World::both().await {
        hidden_attributes_are_unknown_in(world).await;
    }
}

async fn hidden_attributes_are_unknown_in(world: World) {
    let clerk = world.token("cleo", &[]);
    let own = format!("Customers({})", world.own);
    for path in [
        "Customers?$select=Limit".to_owned(),
        "Customers?$filter=Limit gt 0".to_owned(),
        "Customers?$filter=Accounts/any(a:a/Balance gt 0)".to_owned(),
        "Customers?$orderby=Limit".to_owned(),
        "Customers?$orderby=Rating desc".to_owned(),
        "Branches?$filter=Customers/any(c:c/Limit eq 700)".to_owned(),
        "Branches?$expand=Customers($select=Limit)".to_owned(),
        "Branches?$expand=Customers($filter=Limit gt 0)".to_owned(),
        "Branches?$expand=Customers($orderby=Limit)".to_owned(),
        "Customers?$apply=aggregate(Limit with sum as S)".to_owned(),
        "Customers?$compute=Limit add 1 as L".to_owned(),
        format!("{own}/Limit"),
        format!("{own}/Limit/$value"),
        format!("{own}/Accounts?$orderby=Balance"),
    ] {
        let answer = world.with_token(&clerk, Method::GET, &path, None).await;
        assert!(
            matches!(answer.status, 400 | 404 | 501),
            "{path}: {} {}",
            answer.status,
            answer.text()
        );
        // The same words as for what the model does not have at all.
        let made_up = path
            .replace("Limit", "Lamit")
            .replace("Balance", "Balanse")
            .replace("Rating", "Ratinx");
        let other = world.with_token(&clerk, Method::GET, &made_up, None).await;
        assert_eq!(other.status, answer.status, "{path}");
        let plain = |text: String| {
            text.replace("Lamit", "Limit")
                .replace("Balanse", "Balance")
                .replace("Ratinx", "Rating")
        };
        assert_eq!(plain(other.text()), plain(answer.text()), "{path}");
    }
    let row = world
        .read(&clerk, &format!("{own}?$expand=Accounts"), 200)
        .await;
    for name in ["Limit", "Rating", "createdAt", "changedAt"] {
        assert!(row.get(name).is_none(), "{row}");
    }
    assert!(row["Accounts"][0].get("Balance").is_none(), "{row}");
    // A slip in a name is not answered with the name of what is hidden.
    let answer = world
        .with_token(&clerk, Method::GET, "Customers?$select=Limitt", None)
        .await;
    assert!(!answer.text().contains("'Limit'"), "{}", answer.text());
}

/// Giving more than one may: nothing is taken, nothing is half done.
#[tokio::test]
async fn mass_assignment() {
    for world in World::both().await {
        mass_assignment_in(world).await;
    }
}

async fn mass_assignment_in(world: World) {
    let clerk = world.token("cleo", &["--write"]);
    let own = format!("Customers({})", world.own);
    for body in [
        json!({ "Phone": "1", "Limit": 100_000 }),
        json!({ "Phone": "1", "Rating": "platinum" }),
        json!({ "Phone": "1", "createdAt": "2020-01-01T00:00:00Z" }),
        json!({ "Phone": "1", "Accounts": [{ "Number": 2, "Balance": 5 }] }),
        json!({ "Phone": "1", "Nothing": 1 }),
        json!({ "Phone": "1", "__proto__": { "Limit": 1 } }),
    ] {
        let answer = world
            .with_token(&clerk, Method::PATCH, &own, Some(&body))
            .await;
        assert!(
            matches!(answer.status, 400 | 403),
            "{body}: {} {}",
            answer.status,
            answer.text()
        );
        let row = world
            .read(&world.boss, &format!("{own}?$expand=Accounts"), 200)
            .await;
        assert_eq!(row["Phone"], "+1 555", "{body}: half done");
        assert_eq!(row["Limit"], 700, "{body}");
        assert_eq!(row["Accounts"].as_array().unwrap().len(), 1, "{body}");
    }
    let rich =
        json!({ "Name": "Rich", "Limit": 100_000, "Branch@odata.bind": "Branches('NORTH')" });
    let answer = world
        .with_token(&clerk, Method::POST, "Customers", Some(&rich))
        .await;
    assert!(matches!(answer.status, 400 | 403), "{}", answer.text());
    // Nobody makes themselves the boss: neither by their own row nor by those that the server keeps.
    for (method, path, body) in [
        (Method::PATCH, "Employees?", json!({ "Salary": 1 })),
        (Method::POST, "SystemUsers", json!({ "Name": "evil" })),
        (Method::POST, "SystemGrants", json!({ "Role": "Boss" })),
        (Method::POST, "Employees", json!({ "Name": "evil" })),
    ] {
        let answer = world.with_token(&clerk, method, path, Some(&body)).await;
        assert!(
            matches!(answer.status, 400 | 403 | 404 | 405),
            "{path}: {} {}",
            answer.status,
            answer.text()
        );
    }
    let users = world.run(&["user", "list"], "");
    assert!(!users.contains("evil"), "{users}");
}

/// What is unique may not be asked for by trying: a violation does not name what is hidden.
#[tokio::test]
async fn violations_do_not_name_what_is_hidden() {
    for world in World::both().await {
        violations_do_not_name_what_is_hidden_in(world).await;
    }
}

async fn violations_do_not_name_what_is_hidden_in(world: World) {
    let clerk = world.token("cleo", &["--write"]);
    let body =
        json!({ "Name": "Probe", "Rating": "lead", "Branch@odata.bind": "Branches('NORTH')" });
    let taken = world
        .with_token(&clerk, Method::POST, "Customers", Some(&body))
        .await;
    let body =
        json!({ "Name": "Probe", "Rating": "free", "Branch@odata.bind": "Branches('NORTH')" });
    let free = world
        .with_token(&clerk, Method::POST, "Customers", Some(&body))
        .await;
    assert_eq!((taken.status, taken.text()), (free.status, free.text()));
    assert!(matches!(taken.status, 400 | 403));
}
