//! Static content of instances, answered by the web server.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

use http::StatusCode;
use stoa_web::static_content::{Config, StaticContent};

use crate::application::Application;
use crate::client::get;
use crate::world::{App, Plan, World, eventually};

fn release(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

async fn app(world: &World, name: &str, folder: &Path) -> App {
    let application = Application::new(name, &world.fuse).with_content(folder);
    world.app_with(application).await
}

async fn until_served(world: &World, app: &App) {
    let digest = app.application.digest();
    eventually("the content is here", async || {
        world.status().content.digest == digest
    })
    .await;
}

fn own() -> Plan {
    Plan {
        paths: vec!["/odata".into()],
        ..Plan::default()
    }
}

#[tokio::test]
async fn a_copy_is_served_as_the_folder_would_be() {
    let world = World::new(own()).await;
    let large = "x".repeat(3 << 20);
    let folder = release(&[
        ("index.html", "<p>Hello</p>"),
        ("assets/app.js", "let one = 1;"),
        ("assets/large.txt", &large),
    ]);
    let one = app(&world, "one", folder.path()).await;
    until_served(&world, &one).await;
    let original = StaticContent::load(folder.path(), Config::default()).unwrap();
    for path in ["/", "/assets/app.js", "/assets/large.txt", "/missing"] {
        let expected = original
            .respond(
                &http::Method::GET,
                &path.parse().unwrap(),
                &http::HeaderMap::new(),
            )
            .await;
        let answer = world.get(path).await;
        assert_eq!(answer.status, expected.status(), "{path}");
        for name in ["etag", "last-modified", "content-type", "cache-control"] {
            assert_eq!(
                answer.headers.get(name),
                expected.headers().get(name),
                "{name} of {path}"
            );
        }
    }
    assert_eq!(world.get("/assets/large.txt").await.body.len(), large.len());
    // The application answers what is its own.
    assert_eq!(world.get("/odata/Orders").await.text(), "one");
    assert!(one.application.seen("/").is_empty());
    // Without any instance, too.
    one.dialer.abort();
    assert_eq!(world.get("/").await.ok().text(), "<p>Hello</p>");
}

#[tokio::test]
async fn content_that_is_not_what_it_says_is_not_taken() {
    let world = World::new(own()).await;
    let (old, new) = (
        release(&[("index.html", "old")]),
        release(&[("index.html", "new")]),
    );
    let one = app(&world, "one", old.path()).await;
    until_served(&world, &one).await;
    let liar = Application::new("two", &world.fuse).with_content(new.path());
    liar.is_lying.store(true, Ordering::SeqCst);
    let liar = world.app_with(liar).await;
    one.drain();
    eventually("it was asked", async || {
        liar.application.lies.load(Ordering::SeqCst) > 0
    })
    .await;
    eventually("it was found out", async || {
        world.status().content.fetching.is_none()
    })
    .await;
    assert_eq!(world.get("/").await.ok().text(), "old");
    liar.application.is_lying.store(false, Ordering::SeqCst);
    until_served(&world, &liar).await;
    assert_eq!(world.get("/").await.ok().text(), "new");
}

#[tokio::test]
async fn pages_of_the_release_before_find_their_files() {
    let world = World::new(own()).await;
    let old = release(&[("index.html", "old"), ("app.1.js", "one")]);
    let new = release(&[("index.html", "new"), ("app.2.js", "two")]);
    let one = app(&world, "one", old.path()).await;
    until_served(&world, &one).await;
    let two = app(&world, "two", new.path()).await;
    assert_eq!(world.get("/").await.ok().text(), "old");
    one.drain();
    until_served(&world, &two).await;
    for (path, text) in [("/", "new"), ("/app.2.js", "two"), ("/app.1.js", "one")] {
        assert_eq!(world.get(path).await.ok().text(), text, "{path}");
    }
    assert_eq!(world.get("/app.3.js").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn until_it_is_here_the_instance_answers() {
    let world = World::new(own()).await;
    let folder = release(&[("index.html", "Hello")]);
    let application = Application::new("one", &world.fuse).with_content(folder.path());
    application.is_lying.store(true, Ordering::SeqCst);
    let one = world.app_with(application).await;
    assert_eq!(world.get("/").await.ok().text(), "one");
    one.application.is_lying.store(false, Ordering::SeqCst);
    until_served(&world, &one).await;
    assert_eq!(world.get("/").await.ok().text(), "Hello");
}

#[tokio::test]
async fn a_foreign_application_answers_what_is_no_file() {
    let world = World::new(Plan::default()).await;
    let folder = release(&[("logo.svg", "<svg/>")]);
    let one = app(&world, "one", folder.path()).await;
    until_served(&world, &one).await;
    assert_eq!(world.get("/logo.svg").await.ok().text(), "<svg/>");
    assert_eq!(world.get("/").await.ok().text(), "one");
    assert_eq!(world.get("/page").await.ok().text(), "one");
    let posted = crate::client::post(world.address, "/logo.svg", &[], "x").await;
    assert_eq!(posted.ok().text(), "one");
    let etag = world.get("/logo.svg").await.headers["etag"].clone();
    let headers = [("if-none-match", etag.to_str().unwrap())];
    let again = get(world.address, "/logo.svg", &headers).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
}
