//! From start to end of a server.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use stoa_testing::client::Client;
use stoa_testing::process::Launch;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{code, err, open_application, stoa, text};

fn launch(folder: &Path) -> Launch {
    Launch::new(folder)
}

#[tokio::test]
async fn serves_content_data_and_health() {
    let (_parent, folder) = open_application();
    let server = launch(&folder).start().await.unwrap();
    let client = server.client().unwrap();
    let page = client.get("/").await.unwrap();
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let service = client.get("/odata/").await.unwrap();
    assert_eq!(service.status, 200, "{}", service.text());
    assert_eq!(service.header("x-content-type-options"), Some("nosniff"));
    assert!(service.header("x-request-id").is_some());
    let redirect = client.get("/odata").await.unwrap();
    assert_eq!(
        (redirect.status, redirect.header("location")),
        (308, Some("/odata/"))
    );
    let live = client.get("/health/live").await.unwrap();
    assert_eq!(
        (live.status, live.json().unwrap()),
        (200, json!({ "status": "live" }))
    );
    let ready = client.get("/health/ready").await.unwrap();
    assert_eq!(ready.json().unwrap()["status"], "ready");
    assert_eq!(client.get("/health/other").await.unwrap().status, 404);

    let (status, log) = server.stop().await.unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
    // Not a terminal: JSON, one object a line.
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    let ready = lines
        .iter()
        .find(|line| line.get("ready.milliseconds").is_some())
        .expect("a line that says ready");
    assert!(
        ready["database"].as_str().unwrap().starts_with("sqlite:"),
        "{ready}"
    );
    assert!(log.contains("every request was answered"), "{log}");
}

#[tokio::test]
async fn a_request_in_flight_is_finished() {
    let (_parent, folder) = open_application();
    let mut server = launch(&folder).start().await.unwrap();
    let address = server.address();
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut buffer = [0; 1024];
    assert!(idle.read(&mut buffer).await.unwrap() > 0);

    // The server has the headers and waits for the body.
    let body = br#"{"Title": "drained"}"#;
    let mut busy = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /odata/Tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Expect: 100-continue\r\n\r\n",
        body.len()
    );
    busy.write_all(head.as_bytes()).await.unwrap();
    let read = busy.read(&mut buffer).await.unwrap();
    assert!(
        buffer[..read].starts_with(b"HTTP/1.1 100 "),
        "the server waits for the body"
    );
    server.terminate().unwrap();
    // The idle connection is closed and no new one is taken, while the request goes on.
    assert_eq!(idle.read(&mut buffer).await.unwrap(), 0);
    assert!(TcpStream::connect(address).await.is_err());
    busy.write_all(body).await.unwrap();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert_eq!(
        server.wait(Duration::from_secs(10)).await.unwrap().code(),
        Some(0)
    );
}

#[tokio::test]
async fn what_does_not_finish_is_cut_and_a_second_signal_ends_at_once() {
    let (_parent, folder) = open_application();
    let head = b"POST /odata/Tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\
        Expect: 100-continue\r\n\r\n";
    let mut buffer = [0; 1024];

    let mut server = launch(&folder)
        .argument("--drain-seconds=0")
        .start()
        .await
        .unwrap();
    let mut busy = TcpStream::connect(server.address()).await.unwrap();
    busy.write_all(head).await.unwrap();
    assert!(busy.read(&mut buffer).await.unwrap() > 0);
    server.terminate().unwrap();
    assert_eq!(
        server.wait(Duration::from_secs(10)).await.unwrap().code(),
        Some(0)
    );
    assert!(
        server.log().contains("\"connections.cut\":1"),
        "{}",
        server.log()
    );

    let mut server = launch(&folder).start().await.unwrap();
    let mut busy = TcpStream::connect(server.address()).await.unwrap();
    busy.write_all(head).await.unwrap();
    assert!(busy.read(&mut buffer).await.unwrap() > 0);
    server.terminate().unwrap();
    stoa_testing::eventually("the server drains", Duration::from_secs(10), || {
        let log = server.log();
        async move { log.contains("another signal ends at once").then_some(()) }
    })
    .await
    .unwrap();
    server.terminate().unwrap();
    assert_eq!(
        server.wait(Duration::from_secs(10)).await.unwrap().code(),
        Some(1)
    );
}

#[tokio::test]
async fn an_address_in_use_is_69() {
    let (_parent, folder) = open_application();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = stoa(&["run", text(&folder), "--listen", &address, "--admin", "off"]);
    assert_eq!(code(&output), 69);
    let message = err(&output);
    assert!(
        message.contains(&format!(
            "cannot listen on {address}: the address is in use"
        )),
        "{message}"
    );
    assert!(!folder.join(".stoa").exists(), "nothing is half-started");
}

#[test]
fn an_unwritable_folder_is_73() {
    let (_parent, folder) = open_application();
    // A file where the folder should be: not even the superuser can write there.
    let data = folder.join("README.md/data");
    let output = stoa(&[
        "run",
        text(&folder),
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "off",
        "--data",
        text(&data),
    ]);
    assert_eq!(code(&output), 73, "{}", err(&output));
    assert!(
        err(&output).contains("cannot write to the data folder"),
        "{}",
        err(&output)
    );
}

#[tokio::test]
async fn a_data_folder_in_use_is_75() {
    let (_parent, folder) = open_application();
    let data = folder.join("own");
    let server = launch(&folder).data(&data).start().await.unwrap();
    for command in [
        &["run", "--listen", "127.0.0.1:0", "--admin", "off"][..],
        &["db", "apply"],
    ] {
        let mut arguments = command.to_vec();
        arguments.extend([text(&folder), "--data", text(&data)]);
        let output = stoa(&arguments);
        assert_eq!(code(&output), 75, "{}", err(&output));
        let message = err(&output);
        assert!(
            message.contains(&format!("is in use by process {}", server.id())),
            "{message}"
        );
    }
    // After a crash nothing is in the way.
    server.kill().unwrap();
    launch(&folder).data(&data).start().await.unwrap();
}

#[tokio::test]
async fn metrics_and_access_log() {
    let (_parent, folder) = open_application();
    let admin = stoa_testing::free_address().unwrap();
    let server = Launch::new(&folder)
        .argument("--admin")
        .argument(admin.to_string())
        .argument("--access-log")
        .start()
        .await
        .unwrap();
    let client = server.client().unwrap();
    for _ in 0..3 {
        assert_eq!(client.get("/").await.unwrap().status, 200);
    }
    let id = [("X-Request-Id", "my-id")];
    let answer = client
        .send(reqwest::Method::GET, "/odata/Tasks?$top=1", &id, None)
        .await
        .unwrap();
    assert_eq!(
        (answer.status, answer.header("x-request-id")),
        (200, Some("my-id"))
    );
    assert_eq!(client.get("/nothing").await.unwrap().status, 404);

    let operator = Client::new(format!("http://{admin}")).unwrap();
    let page = operator.get("/metrics").await.unwrap();
    assert_eq!(
        page.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let page = page.text();
    for line in [
        "stoa_requests_total{route=\"static\",status=\"2xx\"} 3",
        "stoa_requests_total{route=\"static\",status=\"4xx\"} 1",
        "stoa_requests_total{route=\"collection_read\",status=\"2xx\"} 1",
        "stoa_request_duration_seconds_count{route=\"collection_read\"} 1",
    ] {
        assert!(
            page.lines().any(|found| found == line),
            "{line} is not in\n{page}"
        );
    }
    assert!(page.contains("database=\"sqlite\""), "{page}");
    assert_eq!(operator.get("/health/ready").await.unwrap().status, 200);
    assert_eq!(operator.get("/").await.unwrap().status, 404);

    let (_, log) = server.stop().await.unwrap();
    let line = log
        .lines()
        .find(|line| line.contains("\"request.id\":\"my-id\""))
        .expect("the request's line");
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["request.path"], "/odata/Tasks");
    assert_eq!(line["request.route"], "collection_read");
    assert_eq!(line["response.status"], 200);
}

#[tokio::test]
async fn without_its_admin_address_the_server_goes_on() {
    let (_parent, folder) = open_application();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let server = Launch::new(&folder)
        .argument("--admin")
        .argument(address.to_string())
        .start()
        .await
        .unwrap();
    assert!(server.log().contains("no metrics"), "{}", server.log());
}

#[tokio::test]
async fn sample_data_is_loaded_once_and_whole() {
    let (_parent, folder) = open_application();
    std::fs::create_dir(folder.join("data")).unwrap();
    std::fs::write(
        folder.join("data/Tasks.csv"),
        "Title,Priority\nfirst,High\nsecond,Low\n",
    )
    .unwrap();
    let data = folder.join("own");
    let server = launch(&folder).data(&data).start().await.unwrap();
    let client = server.client().unwrap();
    assert_eq!(client.get("/odata/Tasks/$count").await.unwrap().text(), "2");
    let row = client
        .get("/odata/Tasks?$top=1")
        .await
        .unwrap()
        .json()
        .unwrap()["value"][0]
        .clone();
    let path = format!("/odata/Tasks({})", row["id"].as_str().unwrap());
    let deleted = client
        .delete(&path, row["@odata.etag"].as_str().unwrap())
        .await
        .unwrap();
    assert_eq!(deleted.status, 204, "{}", deleted.text());
    server.stop().await.unwrap();

    // The second start loads nothing.
    let server = launch(&folder).data(&data).start().await.unwrap();
    assert_eq!(
        server
            .client()
            .unwrap()
            .get("/odata/Tasks/$count")
            .await
            .unwrap()
            .text(),
        "1"
    );
}

#[test]
fn faulty_sample_data_is_found_before_anything_is_made() {
    let (_parent, folder) = open_application();
    std::fs::create_dir(folder.join("data")).unwrap();
    std::fs::write(
        folder.join("data/Tasks.csv"),
        "Title,Priority\nfirst,Urgent\n",
    )
    .unwrap();
    let output = stoa(&[
        "run",
        text(&folder),
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "off",
    ]);
    assert_eq!(code(&output), 64, "{}", err(&output));
    assert!(err(&output).contains("Urgent"), "{}", err(&output));
    assert!(!folder.join(".stoa/data.sqlite").exists());
}
