//! Content of File attributes: what a refused upload leaves, and what becomes of content that no row names.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use stoa_model::access::Permitted;
use stoa_model::change::{Action, Change, Operation};
use stoa_model::value::Value;
use stoa_odata::json::RawWriter;
use stoa_runtime::files::collection::{Collected, CollectionError};
use tokio::task::JoinSet;

use crate::Fixture;

/// Content below the folder of files, and what was put aside, by the first digits of its digest.
fn content(shop: &Fixture) -> (Vec<String>, Vec<String>) {
    let (mut usual, mut aside) = (Vec::new(), Vec::new());
    for folder in std::fs::read_dir(shop.folder.path().join("files")).unwrap() {
        let folder = folder.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        for file in std::fs::read_dir(&folder).unwrap() {
            let file = file.unwrap().file_name().into_string().unwrap();
            match name.as_str() {
                "incoming" | "databases" => {}
                "unreferenced" => aside.push(file[..8].to_owned()),
                _ => usual.push(format!("{name}{}", &file[..6])),
            }
        }
    }
    usual.sort();
    aside.sort();
    (usual, aside)
}

/// Rounds in all folders.
async fn collect(shop: &Fixture, grace: Duration) -> Collected {
    let mut all = Collected::default();
    for folder in 0..=255 {
        let round = shop.environment.collect_files(folder, grace).await.unwrap();
        all.put_aside += round.put_aside;
        all.put_back += round.put_back;
        all.deleted += round.deleted;
        all.bytes += round.bytes;
    }
    all
}

const NO_GRACE: Duration = Duration::ZERO;
const LONG_GRACE: Duration = Duration::from_secs(3600);

/// The database gets the name by which it is told from others, as when it is served.
async fn serve_once(shop: &Fixture) {
    let model = shop.environment.model();
    let entity = model.entities_by_name["SystemRevision"];
    let change = Change {
        operations: vec![Operation {
            location: String::new(),
            action: Action::Insert {
                entity,
                values: vec![(
                    model[entity].attributes_by_name["Name"],
                    Value::Text("security".to_owned()),
                )],
                references: Vec::new(),
            },
        }],
    };
    shop.environment
        .store()
        .write::<RawWriter>(model, Permitted::by_system(change.into()), None)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_refused_upload_leaves_nothing_behind() {
    let shop = Fixture::new().await;
    shop.post("Products", &json!({"Sku": "tea", "Name": "Tea"}))
        .await;
    shop.post("Products", &json!({"Sku": "ale", "Name": "Ale"}))
        .await;
    let put = async |path: &str, tag: &str, body: &str| {
        let answer = shop.send("PUT", path, &[("if-match", tag)], body).await;
        answer.status
    };
    let path = "Products('tea')/Image";
    assert_eq!(
        put(path, "W/\"9\"", "stale").await,
        StatusCode::PRECONDITION_FAILED
    );
    assert_eq!(content(&shop), (vec![], vec![]));
    // What another row names stays, however often it is refused.
    assert_eq!(
        put("Products('ale')/Image", "*", "both").await,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        put(path, "W/\"9\"", "both").await,
        StatusCode::PRECONDITION_FAILED
    );
    assert_eq!(content(&shop).0.len(), 1);
    let kept = shop.send("GET", "Products('ale')/Image", &[], "").await;
    assert_eq!(&kept.bytes[..], b"both");
}

#[tokio::test]
async fn content_that_no_row_names_is_put_aside_and_then_deleted() {
    put_aside_and_then_deleted(Fixture::new().await).await;
    put_aside_and_then_deleted(Fixture::on_postgres().await).await;
}

async fn put_aside_and_then_deleted(shop: Fixture) {
    shop.post("Products", &json!({"Sku": "tea", "Name": "Tea"}))
        .await;
    let path = "Products('tea')/Image";
    let put = async |body: &str| {
        let answer = shop.send("PUT", path, &[("if-match", "*")], body).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{:?}", answer.bytes);
    };
    put("first").await;
    put("second").await;
    let (both, _) = content(&shop);
    assert_eq!(both.len(), 2);
    // A database that has no name yet is not told from others.
    assert_eq!(collect(&shop, NO_GRACE).await, Collected::default());
    serve_once(&shop).await;
    // Content that is new may be on its way into a row.
    assert_eq!(collect(&shop, LONG_GRACE).await, Collected::default());
    assert_eq!(content(&shop), (both.clone(), vec![]));

    let collected = collect(&shop, NO_GRACE).await;
    assert_eq!((collected.put_aside, collected.deleted), (1, 0));
    let (named, aside) = content(&shop);
    assert_eq!((named.len(), aside.len()), (1, 1));
    // Not yet so long aside.
    assert_eq!(collect(&shop, LONG_GRACE).await, Collected::default());
    let collected = collect(&shop, NO_GRACE).await;
    assert_eq!((collected.deleted, collected.bytes), (1, 5));
    assert_eq!(content(&shop), (named, vec![]));
    let kept = shop.send("GET", path, &[], "").await;
    assert_eq!(&kept.bytes[..], b"second");

    // The row goes, and with it the last name of the content.
    shop.send("DELETE", "Products('tea')", &[("if-match", "*")], "")
        .await;
    assert_eq!(collect(&shop, NO_GRACE).await.put_aside, 1);
    assert_eq!(collect(&shop, NO_GRACE).await.deleted, 1);
    assert_eq!(content(&shop), (vec![], vec![]));
}

#[tokio::test]
async fn content_that_is_aside_can_be_read_and_comes_back() {
    let shop = Fixture::new().await;
    serve_once(&shop).await;
    shop.post("Products", &json!({"Sku": "tea", "Name": "Tea"}))
        .await;
    let path = "Products('tea')/Image";
    shop.send("PUT", path, &[("if-match", "*")], "tea").await;
    // As after a database was restored: a row names what had been put aside.
    let (usual, _) = content(&shop);
    let files = shop.folder.path().join("files");
    let folder = files.join(&usual[0][..2]);
    let name = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap();
    let name = name.file_name().into_string().unwrap();
    std::fs::create_dir(files.join("unreferenced")).unwrap();
    let aside = files
        .join("unreferenced")
        .join(format!("{}{name}", &usual[0][..2]));
    std::fs::rename(folder.join(&name), &aside).unwrap();
    assert_eq!(&shop.send("GET", path, &[], "").await.bytes[..], b"tea");
    let collected = collect(&shop, NO_GRACE).await;
    assert_eq!((collected.put_back, collected.deleted), (1, 0));
    assert_eq!(content(&shop), (usual, vec![]));
    assert_eq!(&shop.send("GET", path, &[], "").await.bytes[..], b"tea");
}

#[tokio::test]
async fn the_content_of_another_database_is_left_alone() {
    let shop = Fixture::new().await;
    serve_once(&shop).await;
    shop.post("Products", &json!({"Sku": "tea", "Name": "Tea"}))
        .await;
    let path = "Products('tea')/Image";
    shop.send("PUT", path, &[("if-match", "*")], "a").await;
    shop.send("PUT", path, &[("if-match", "*")], "b").await;
    let databases = shop.folder.path().join("files/databases");
    std::fs::create_dir_all(&databases).unwrap();
    std::fs::write(databases.join("1"), "").unwrap();
    let before = content(&shop);
    let mut refused = 0;
    for folder in 0..=255 {
        match shop.environment.collect_files(folder, NO_GRACE).await {
            Ok(collected) => assert_eq!(collected, Collected::default()),
            Err(CollectionError::Shared(_)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((refused, content(&shop)), (2, before));
}

/// Uploads, refused uploads and replacements, of the same few contents and of new ones, beside two instances
/// that collect with the shortest grace period that uploads need: what a row names can always be read.
#[tokio::test(flavor = "multi_thread")]
async fn collecting_never_takes_what_a_row_names() {
    const SHORT_GRACE: Duration = Duration::from_secs(1);
    const ENOUGH: u64 = 20;
    let shop = Arc::new(Fixture::new().await);
    serve_once(&shop).await;
    let deleted = Arc::new(AtomicU64::new(0));
    let mut work = JoinSet::new();
    for _ in 0..2 {
        let (shop, deleted) = (Arc::clone(&shop), Arc::clone(&deleted));
        work.spawn(async move {
            while deleted.load(Ordering::Relaxed) < ENOUGH {
                let collected = collect(&shop, SHORT_GRACE).await;
                deleted.fetch_add(collected.deleted, Ordering::Relaxed);
            }
        });
    }
    for writer in 0..3_u32 {
        let (shop, deleted) = (Arc::clone(&shop), Arc::clone(&deleted));
        work.spawn(async move {
            let sku = format!("p{writer}");
            shop.post("Products", &json!({"Sku": sku, "Name": "P"}))
                .await;
            let path = format!("Products('{sku}')/Image");
            let mut round = 0_u32;
            while deleted.load(Ordering::Relaxed) < ENOUGH {
                round += 1;
                let number = if round.is_multiple_of(5) {
                    round
                } else {
                    round % 5
                };
                let body = format!("content {number}");
                let put = shop.send("PUT", &path, &[("if-match", "*")], &body).await;
                assert_eq!(put.status, StatusCode::NO_CONTENT, "{:?}", put.bytes);
                let other = format!("content {}", (round + 1) % 5);
                let stale = [("if-match", "W/\"0\"")];
                let refused = shop.send("PUT", &path, &stale, &other).await;
                assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED);
                let got = shop.send("GET", &path, &[], "").await;
                assert_eq!(got.bytes, body.as_bytes(), "{:?}", got.status);
            }
        });
    }
    let all = async {
        while let Some(ended) = work.join_next().await {
            ended.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all)
        .await
        .expect("content is collected while others write");
}
