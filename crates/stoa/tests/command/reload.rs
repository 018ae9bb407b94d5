//! `--watch`.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use stoa_testing::eventually;
use stoa_testing::process::Launch;

use super::{code, err, new_application, open_application, out, stoa, text};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_application_is_served_without_losing_a_request() {
    let (_parent, folder) = open_application();
    let server = Launch::new(&folder)
        .argument("--watch")
        .start()
        .await
        .unwrap();
    let client = server.client().unwrap();
    let created = client
        .post("/odata/Tasks", &json!({ "Title": "before" }))
        .await
        .unwrap();
    assert_eq!(created.status, 201, "{}", created.text());

    // Somebody asks all the time.
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    let asking = tokio::spawn({
        let (client, stop, answered) = (client.clone(), Arc::clone(&stop), Arc::clone(&answered));
        async move {
            while !stop.load(Ordering::Relaxed) {
                let answer = client.get("/odata/Tasks").await.unwrap();
                assert_eq!(answer.status, 200, "{}", answer.text());
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }
    });

    let model = folder.join("model/tasks.toml");
    let before = fs::read_to_string(&model).unwrap();
    let with = |attribute: &str| {
        before.replace(
            "[entity.Task.attributes]\n",
            &format!("[entity.Task.attributes]\n{attribute}\n"),
        )
    };
    fs::write(&model, with("Place = { type = \"String\", length = 80 }")).unwrap();
    eventually("the new attribute is there", PATIENCE, || {
        let client = client.clone();
        async move {
            client
                .get("/odata/$metadata")
                .await
                .unwrap()
                .text()
                .contains("\"Place\"")
                .then_some(())
        }
    })
    .await
    .unwrap();
    let created = client
        .post(
            "/odata/Tasks",
            &json!({ "Title": "after", "Place": "here" }),
        )
        .await
        .unwrap();
    assert_eq!(created.status, 201, "{}", created.text());

    // What is not valid changes nothing but the log.
    fs::write(&model, with("Place = { type = \"Strnig\" }")).unwrap();
    eventually("the fault is reported", PATIENCE, || {
        let log = server.log();
        async move { (log.contains("what ran before goes on") && log.contains("Strnig")).then_some(()) }
    })
    .await
    .unwrap();
    let rows = client
        .get("/odata/Tasks?$select=Title,Place&$orderby=Title")
        .await
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(rows["value"][0]["Place"], "here", "{rows:#}");
    assert_eq!(rows["value"][1]["Title"], "before", "{rows:#}");

    // Nor is data lost without consent.
    fs::write(&model, &before).unwrap();
    eventually("the loss is refused", PATIENCE, || {
        let log = server.log();
        async move { log.contains("--allow-data-loss").then_some(()) }
    })
    .await
    .unwrap();
    assert!(
        client
            .get("/odata/$metadata")
            .await
            .unwrap()
            .text()
            .contains("\"Place\"")
    );

    stop.store(true, Ordering::Relaxed);
    asking.await.unwrap();
    assert!(answered.load(Ordering::Relaxed) > 0);
}

#[tokio::test]
async fn changed_content_is_served() {
    let (_parent, folder) = open_application();
    let server = Launch::new(&folder)
        .argument("--watch")
        .start()
        .await
        .unwrap();
    let client = server.client().unwrap();
    fs::create_dir_all(folder.join("web/css")).unwrap();
    fs::write(folder.join("web/css/new.css"), "a{}").unwrap();
    let served = |path: &'static str, wanted: &'static str| {
        let client = client.clone();
        async move {
            eventually("the content is served", PATIENCE, || {
                let client = client.clone();
                async move { (client.get(path).await.unwrap().text() == wanted).then_some(()) }
            })
            .await
            .unwrap();
        }
    };
    served("/css/new.css", "a{}").await;
    fs::write(folder.join("web/css/new.css"), "b{}").unwrap();
    served("/css/new.css", "b{}").await;
    fs::remove_file(folder.join("web/css/new.css")).unwrap();
    served("/css/new.css", "There is nothing at this address.\n").await;
}

/// Who is signed in is judged by the new rules, with the roles that the new model has.
#[tokio::test]
async fn changed_rules_hold_for_those_who_are_there() {
    let (_parent, folder) = new_application();
    let app = text(&folder);
    let server = Launch::new(&folder)
        .data(folder.join(".stoa"))
        .argument("--watch")
        .start()
        .await
        .unwrap();
    for arguments in [
        &[
            "user",
            "add",
            app,
            "anna",
            "--no-password",
            "--role",
            "Member",
        ][..],
        &["user", "add", app, "bob", "--no-password"],
    ] {
        let output = stoa(arguments);
        assert_eq!(code(&output), 0, "{}", err(&output));
    }
    let token = |user: &str| {
        let output = stoa(&["token", "create", app, user, "test"]);
        out(&output).trim().to_owned()
    };
    let (anna, bob) = (token("anna"), token("bob"));
    let client = server.client().unwrap();
    let status = |token: &str| {
        let (client, bearer) = (client.clone(), format!("Bearer {token}"));
        async move {
            let headers = [("Authorization", bearer.as_str())];
            let path = "/odata/Tasks?$select=Done";
            let answer = client
                .send(reqwest::Method::GET, path, &headers, None)
                .await;
            answer.unwrap().status
        }
    };
    assert_eq!((status(&anna).await, status(&bob).await), (200, 404));

    let model = folder.join("model/tasks.toml");
    let before = fs::read_to_string(&model).unwrap();
    let narrowed = before.replace("read   = \"*\"", "read   = [\"Title\"]");
    let guests = "\n[role.Guest]\n[[entity.Task.access]]\nrole = \"Guest\"\nread = \"*\"\n";
    fs::write(&model, format!("{narrowed}{guests}")).unwrap();
    eventually("the attribute is hidden", PATIENCE, || {
        let asked = status(&anna);
        async move { (asked.await == 400).then_some(()) }
    })
    .await
    .unwrap();
    let output = stoa(&["user", "grant", app, "bob", "Guest"]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert_eq!(status(&bob).await, 200);
}
