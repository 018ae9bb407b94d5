//! `--watch`.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use stoa_testing::eventually;
use stoa_testing::process::Launch;

use super::open_application;

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
