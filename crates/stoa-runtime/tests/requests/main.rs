//! Requests through an environment on SQLite: what the runtime itself decides (methods, preconditions,
//! representations, files, sample data). Both databases and the whole protocol are tested through the binary.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod files;

use std::path::Path;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use stoa_model::application::load_from_sources;
use stoa_runtime::{Environment, sample_data};
use stoa_store::{Config, DatabaseUrl, Store};
use stoa_testing::open;
use stoa_testing::postgres::TestDatabase;
use tempfile::TempDir;

const MODEL: &str = r#"
[entity.Product]
key = ["Sku"]
[entity.Product.attributes]
Sku   = { type = "String", length = 10, required = true }
Name  = { type = "String", length = 20, required = true }
Image = { type = "File", length = 100 }
[entity.Product.associations]
Tags = { to = "Tag", many_to_many = true, inverse = "Products" }
Maker = { to = "Maker", inverse = "Products" }
Seals = { to = "Seal", many = true, contained = true, inverse = "Product" }

[entity.Seal.attributes]
Text = { type = "String", length = 20 }
[entity.Seal.associations]
Signer = { to = "Maker", unique = true, inverse = "Signed" }

[entity.Tag.attributes]
Name = { type = "String", length = 20, required = true, unique = true }

[entity.Remark]
key = ["TagID", "Number"]
[entity.Remark.attributes]
TagID = { type = "Uuid", required = true }
Number = { type = "Integer", required = true }
[entity.Remark.associations]
Tag = { to = "Tag", required = true, inverse = "Remarks", foreign_key = ["TagID"] }

[entity.Maker.attributes]
Number = { type = "AutoNumber" }
Name = { type = "String", length = 20, required = true }
Founded = { type = "Date", default = "now" }

[entity.Workshop]
extends = "Maker"
[entity.Workshop.attributes]
Seats = { type = "Integer", minimum = 1 }

[entity.Hall.attributes]
Name = { type = "String", length = 20, required = true }

[entity.Stall]
extends = "Maker"
[entity.Stall.associations]
Hall = { to = "Hall", required = true, inverse = "Stalls" }
"#;

struct Fixture {
    environment: Environment,
    folder: TempDir,
    _database: Option<TestDatabase>,
}

struct Answer {
    status: StatusCode,
    response: Response<()>,
    bytes: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.response
            .headers()
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.bytes)))
    }
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("data.sqlite").display());
        Self::on(url.parse().unwrap(), folder, None).await
    }

    async fn on_postgres() -> Self {
        let database = stoa_testing::postgres::database().await.unwrap();
        let url = database.url.parse().unwrap();
        Self::on(url, tempfile::tempdir().unwrap(), Some(database)).await
    }

    async fn on(url: DatabaseUrl, folder: TempDir, database: Option<TestDatabase>) -> Self {
        let sources = vec![
            ("app.toml".to_owned(), open::manifest("name = \"Shop\"")),
            ("model/shop.toml".to_owned(), open::model(MODEL)),
        ];
        let application = match load_from_sources(folder.path(), sources) {
            Ok(loaded) => loaded.application,
            Err(faults) => panic!("{faults}"),
        };
        stoa_schema::apply(&url, &application.model, stoa_schema::Options::default())
            .await
            .unwrap();
        let store = Store::open(&url, Config::default()).await.unwrap();
        let environment = Environment::new(application, store, folder.path().join("files"), None);
        Self {
            environment,
            folder,
            _database: database,
        }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(format!(
            "http://shop.example/odata/{}",
            path.replace(' ', "%20")
        ));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap();
        let (parts, body) = self.environment.respond(request).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            response: Response::from_parts(parts, ()),
            bytes,
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(
            "POST",
            path,
            &[("content-type", "application/json")],
            &body.to_string(),
        )
        .await
    }
}

#[tokio::test]
async fn every_resource_says_which_methods_it_has() {
    let shop = Fixture::new().await;
    for (path, method, allowed) in [
        ("", "POST", "GET, HEAD"),
        ("$metadata", "DELETE", "GET, HEAD"),
        ("Products", "PATCH", "GET, HEAD, POST"),
        ("Products('a')", "POST", "GET, HEAD, PATCH, PUT, DELETE"),
        ("Products/$count", "POST", "GET, HEAD"),
        (
            "Products('a')/Tags/$ref",
            "PATCH",
            "GET, HEAD, POST, DELETE",
        ),
        ("Products('a')/Maker/$ref", "POST", "GET, HEAD, PUT, DELETE"),
        (
            "Products('a')/Name",
            "POST",
            "GET, HEAD, PUT, PATCH, DELETE",
        ),
    ] {
        let answer = shop.send(method, path, &[], "").await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (StatusCode::METHOD_NOT_ALLOWED, allowed),
            "{path}"
        );
        assert_eq!(answer.json()["error"]["code"], "MethodNotAllowed");
    }
    let options = shop.send("OPTIONS", "Products", &[], "").await;
    assert_eq!(
        (options.status, options.header("allow")),
        (StatusCode::NO_CONTENT, "GET, HEAD, POST")
    );
}

#[tokio::test]
async fn the_version_is_on_every_answer_even_on_errors() {
    let shop = Fixture::new().await;
    for (path, headers, version) in [
        ("Products", &[][..], "4.0"),
        ("Products", &[("odata-maxversion", "4.01")][..], "4.01"),
        ("Nowhere", &[("odata-maxversion", "4.01")][..], "4.01"),
        ("Nowhere", &[("odata-maxversion", "2.0")][..], "4.0"),
    ] {
        let answer = shop.send("GET", path, headers, "").await;
        assert_eq!(
            answer.header("odata-version"),
            version,
            "{path} {headers:?}"
        );
    }
}

#[tokio::test]
async fn the_service_is_described_for_tools_that_know_openapi() {
    let shop = Fixture::new().await;
    let ask = async |tag: Option<&str>| {
        let mut request = Request::get("http://shop.example/openapi.json");
        if let Some(tag) = tag {
            request = request.header("if-none-match", tag);
        }
        let request = request.body(Full::<Bytes>::default()).unwrap();
        shop.environment.respond(request).await
    };
    let (parts, body) = ask(None).await.into_parts();
    assert_eq!(parts.status, StatusCode::OK);
    let document: Value =
        serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["title"], "Shop");
    assert_eq!(document["servers"][0]["url"], "/odata");
    assert!(document["paths"]["/Products"]["get"].is_object());
    let tag = parts.headers["etag"].to_str().unwrap();
    assert_eq!(ask(Some(tag)).await.status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn a_host_that_is_no_host_never_reaches_a_link() {
    let shop = Fixture::new().await;
    let request = Request::get("/odata/Products")
        .header("host", "evil\"/x")
        .body(Full::<Bytes>::default())
        .unwrap();
    let response = shop.environment.respond(request).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_row_can_be_put_where_none_is_and_only_there() {
    let shop = Fixture::new().await;
    let body = json!({"Name": "Tea"}).to_string();
    let insert_only = [("if-none-match", "*"), ("content-type", "application/json")];
    let made = shop
        .send("PUT", "Products('tea')", &insert_only, &body)
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.bytes);
    assert_eq!(made.json()["Sku"], "tea");
    assert_eq!(
        made.header("location"),
        "http://shop.example/odata/Products('tea')"
    );
    let again = shop
        .send("PUT", "Products('tea')", &insert_only, &body)
        .await;
    assert_eq!(again.status, StatusCode::PRECONDITION_FAILED);
    let absent = shop
        .send("PATCH", "Products('coffee')", &[("if-match", "*")], &body)
        .await;
    assert_eq!(absent.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_the_client_prefers_is_what_it_gets() {
    let shop = Fixture::new().await;
    let made = shop
        .send(
            "POST",
            "Makers",
            &[("prefer", "return=minimal")],
            r##"{"Name":"Ada","@odata.type":"#Shop.Workshop","Seats":3}"##,
        )
        .await;
    assert_eq!(made.status, StatusCode::NO_CONTENT);
    assert_eq!(made.header("preference-applied"), "return=minimal");
    assert_eq!(made.header("etag"), "W/\"1\"");
    let location = made.header("odata-entityid").to_owned();
    assert_eq!(location, made.header("location"));
    assert!(
        location.starts_with("http://shop.example/odata/Workshops("),
        "{location}"
    );
    let path = location.trim_start_matches("http://shop.example/odata/");
    let changed = shop
        .send(
            "PATCH",
            path,
            &[("if-match", "W/\"1\""), ("prefer", "return=representation")],
            r#"{"Seats":4}"#,
        )
        .await;
    assert_eq!(
        (changed.status, changed.header("etag")),
        (StatusCode::OK, "W/\"2\"")
    );
    assert_eq!(changed.json()["Seats"], 4);
    assert_eq!(changed.json()["Number"], 1);
    let unchanged = shop
        .send("GET", path, &[("if-none-match", "W/\"2\"")], "")
        .await;
    assert_eq!(
        (unchanged.status, unchanged.bytes.len()),
        (StatusCode::NOT_MODIFIED, 0)
    );
}

#[tokio::test]
async fn references_are_set_and_taken_away() {
    let shop = Fixture::new().await;
    shop.post("Products", &json!({"Sku": "tea", "Name": "Tea"}))
        .await;
    let maker = shop.post("Makers", &json!({"Name": "Ada"})).await.json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let tag = shop.post("Tags", &json!({"Name": "hot"})).await.json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let set = shop
        .send(
            "PUT",
            "Products('tea')/Maker/$ref",
            &[],
            &json!({"@odata.id": format!("Makers({maker})")}).to_string(),
        )
        .await;
    assert_eq!(set.status, StatusCode::NO_CONTENT, "{:?}", set.bytes);
    let added = shop
        .send(
            "POST",
            "Products('tea')/Tags/$ref",
            &[],
            &json!({"@odata.id": format!("http://shop.example/odata/Tags({tag})")}).to_string(),
        )
        .await;
    assert_eq!(added.status, StatusCode::NO_CONTENT, "{:?}", added.bytes);
    let row = shop
        .send(
            "GET",
            "Products('tea')?$expand=Maker($select=Name),Tags($select=Name)",
            &[],
            "",
        )
        .await
        .json();
    assert_eq!(
        (&row["Maker"]["Name"], &row["Tags"][0]["Name"]),
        (&json!("Ada"), &json!("hot"))
    );
    let removed = shop
        .send(
            "DELETE",
            &format!("Products('tea')/Tags/$ref?$id=Tags({tag})"),
            &[],
            "",
        )
        .await;
    assert_eq!(
        removed.status,
        StatusCode::NO_CONTENT,
        "{:?}",
        removed.bytes
    );
    let cleared = shop
        .send("DELETE", "Products('tea')/Maker/$ref", &[], "")
        .await;
    assert_eq!(
        cleared.status,
        StatusCode::NO_CONTENT,
        "{:?}",
        cleared.bytes
    );
    let maker = shop.send("GET", "Products('tea')/Maker", &[], "").await;
    assert_eq!(
        maker.status,
        StatusCode::NO_CONTENT,
        "nothing at the end of a reference is no error"
    );
    let count = shop
        .send("GET", "Products('tea')/Tags/$count", &[], "")
        .await;
    assert_eq!(count.bytes, "0");
    let nowhere = shop.send("GET", "Products('coffee')/Tags", &[], "").await;
    assert_eq!(nowhere.status, StatusCode::NOT_FOUND);
    let nobody = "Makers(018b89c8-ff08-7ed8-a5ae-e65417397166)/Products";
    let orphan = shop
        .post(nobody, &json!({"Sku": "milk", "Name": "Milk"}))
        .await;
    assert_eq!(orphan.status, StatusCode::NOT_FOUND, "{:?}", orphan.bytes);
}

#[tokio::test]
async fn a_contained_row_behind_a_reference_is_named_by_the_way_to_it() {
    let shop = Fixture::new().await;
    let maker = shop.post("Makers", &json!({"Name": "Ada"})).await.json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let made = shop
        .post(
            "Products",
            &json!({"Sku": "tea", "Name": "Tea", "Seals": [
                {"Text": "plain"},
                {"Text": "signed", "Signer@odata.bind": format!("Makers({maker})")},
            ]}),
        )
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.bytes);
    let path = format!("Makers({maker})/Signed");
    let reference = shop
        .send("GET", &format!("{path}/$ref"), &[], "")
        .await
        .json();
    let root = "http://shop.example/odata/";
    assert_eq!(reference["@odata.id"], format!("{root}{path}"));
    let row = shop.send("GET", &path, &[], "").await.json();
    assert_eq!(row["Text"], "signed", "the identity leads to the row");
}

#[tokio::test]
async fn a_row_is_made_only_where_its_path_leads() {
    for shop in [Fixture::new().await, Fixture::on_postgres().await] {
        let tag = shop.post("Tags", &json!({"Name": "hot"})).await.json()["id"]
            .as_str()
            .unwrap()
            .to_owned();
        for product in [
            json!({"Sku": "tea", "Name": "Tea", "Tags@odata.bind": [format!("Tags({tag})")]}),
            json!({"Sku": "milk", "Name": "Milk"}),
        ] {
            let made = shop.post("Products", &product).await;
            assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.bytes);
        }
        for elsewhere in ["none", "milk"] {
            let path = format!("Products('{elsewhere}')/Tags({tag})");
            let nowhere = shop
                .post(&format!("{path}/Remarks"), &json!({"Number": 1}))
                .await;
            assert_eq!(nowhere.status, StatusCode::NOT_FOUND, "{:?}", nowhere.bytes);
            let bound = shop
                .post("Remarks", &json!({"Number": 1, "Tag@odata.bind": path}))
                .await;
            assert_eq!(bound.json()["error"]["code"], "ReferenceNotFound");
        }
        let path = format!("Products('tea')/Tags({tag})/Remarks");
        let made = shop.post(&path, &json!({"Number": 1})).await;
        assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.bytes);
        assert_eq!(made.json()["TagID"], tag);
        assert_eq!(
            made.header("location"),
            format!("http://shop.example/odata/Remarks(TagID={tag},Number=1)")
        );
    }
}

#[tokio::test]
async fn a_required_reference_of_a_specialisation_stays() {
    let shop = Fixture::new().await;
    let hall = shop.post("Halls", &json!({"Name": "North"})).await.json();
    let hall = format!("Halls({})", hall["id"].as_str().unwrap());
    let stall = json!({"Name": "Ada", "Hall@odata.bind": hall});
    let stall = shop.post("Stalls", &stall).await.json();
    let stall = format!("Stalls({})", stall["id"].as_str().unwrap());
    let path = format!("{hall}/Stalls/$ref?$id={stall}");
    let taken = shop.send("DELETE", &path, &[], "").await;
    assert_eq!(taken.status, StatusCode::BAD_REQUEST, "{:?}", taken.bytes);
    assert_eq!(taken.json()["error"]["code"], "Required");
    let kept = shop.send("GET", &format!("{stall}/Hall"), &[], "").await;
    assert_eq!(kept.status, StatusCode::OK);
}

#[tokio::test]
async fn a_file_is_taken_given_back_and_forgotten() {
    let shop = Fixture::new().await;
    shop.post("Products", &json!({"Sku": "tea", "Name": "Tea"}))
        .await;
    let path = "Products('tea')/Image";
    assert_eq!(
        shop.send("GET", path, &[], "").await.status,
        StatusCode::NO_CONTENT
    );
    let put = shop
        .send(
            "PUT",
            path,
            &[("if-match", "*"), ("content-type", "text/html")],
            "<b>tea</b>",
        )
        .await;
    assert_eq!(
        (put.status, put.header("etag")),
        (StatusCode::NO_CONTENT, "W/\"2\""),
        "{:?}",
        put.bytes
    );
    let got = shop.send("GET", path, &[], "").await;
    assert_eq!(
        (&got.bytes[..], got.header("content-type")),
        (&b"<b>tea</b>"[..], "text/html")
    );
    assert_eq!(
        got.header("content-disposition"),
        "attachment",
        "uploads must not act as pages"
    );
    let tag = got.header("etag").to_owned();
    assert_eq!(
        shop.send("GET", path, &[("if-none-match", &tag)], "")
            .await
            .status,
        StatusCode::NOT_MODIFIED
    );
    let large = shop
        .send("PUT", path, &[("if-match", "*")], &"x".repeat(101))
        .await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    let unconditional = shop.send("PUT", path, &[], "x").await;
    assert_eq!(unconditional.status, StatusCode::PRECONDITION_REQUIRED);
    assert_eq!(
        shop.send("DELETE", path, &[("if-match", "*")], "")
            .await
            .status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        shop.send("GET", path, &[], "").await.status,
        StatusCode::NO_CONTENT
    );
}

#[tokio::test]
async fn every_rule_that_a_row_breaks_is_told_at_once() {
    let shop = Fixture::new().await;
    shop.post("Products", &json!({"Sku": "tea", "Name": "Tea"}))
        .await;
    let nobody = "Makers(018b89c8-ff08-7ed8-a5ae-e65417397166)";
    let answer = shop
        .post(
            "Products",
            &json!({"Sku": "tea", "Name": "Tea", "Maker@odata.bind": nobody}),
        )
        .await;
    assert!(answer.status.is_client_error());
    let error = answer.json();
    let codes: Vec<_> = error["error"]["details"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| (&fault["code"], &fault["target"]))
        .collect();
    assert_eq!(
        codes,
        [
            (&json!("NotUnique"), &json!("Sku")),
            (&json!("ReferenceNotFound"), &json!("Maker"))
        ]
    );
}

#[tokio::test]
async fn pages_of_other_sites_change_nothing() {
    let shop = Fixture::new().await;
    let cases = [
        (
            &[("sec-fetch-site", "cross-site")][..],
            StatusCode::FORBIDDEN,
        ),
        (
            &[("sec-fetch-site", "same-site")][..],
            StatusCode::FORBIDDEN,
        ),
        (
            &[("origin", "https://evil.example"), ("host", "shop.example")][..],
            StatusCode::FORBIDDEN,
        ),
        (
            &[("origin", "null"), ("host", "shop.example")][..],
            StatusCode::FORBIDDEN,
        ),
        (
            &[
                ("sec-fetch-site", "same-origin"),
                ("origin", "http://shop.example"),
            ][..],
            StatusCode::CREATED,
        ),
        (
            &[("origin", "http://shop.example"), ("host", "shop.example")][..],
            StatusCode::CREATED,
        ),
        (&[][..], StatusCode::CREATED),
    ];
    for (number, (headers, status)) in cases.into_iter().enumerate() {
        let body = json!({"Name": format!("tag {number}")}).to_string();
        let answer = shop.send("POST", "Tags", headers, &body).await;
        assert_eq!(answer.status, status, "{headers:?}");
    }
    assert_eq!(
        shop.send(
            "GET",
            "Tags/$count",
            &[("sec-fetch-site", "cross-site")],
            ""
        )
        .await
        .bytes,
        "3"
    );
}

#[tokio::test]
async fn links_are_those_of_the_proxy_in_front() {
    let shop = Fixture::new().await;
    let headers = [
        ("x-forwarded-host", "data.example, inner"),
        ("x-forwarded-proto", "https"),
    ];
    let answer = shop.send("GET", "Tags", &headers, "").await.json();
    assert_eq!(
        answer["@odata.context"],
        "https://data.example/odata/$metadata#Tags"
    );
    let wrong = shop
        .send("GET", "Tags", &[("x-forwarded-host", "evil\"/x")], "")
        .await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn bodies_above_the_limit_are_refused() {
    let shop = Fixture::new().await;
    let body = format!("{{\"Name\":\"{}\"}}", "x".repeat(5 * 1024 * 1024));
    let answer = shop.send("POST", "Tags", &[], &body).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.json()["error"]["code"], "BodyTooLarge");
}

async fn load(shop: &Fixture, files: &[(&str, &str)]) -> Result<Option<u64>, String> {
    let data = shop.folder.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    for (name, text) in files {
        std::fs::write(data.join(name), text).unwrap();
    }
    let model = shop.environment.model();
    let rows = sample_data::read(model, Path::new(&data)).map_err(|error| error.to_string())?;
    sample_data::load(shop.environment.store(), model, rows, None)
        .await
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn sample_data_of_every_kind_is_loaded_in_order() {
    let shop = Fixture::new().await;
    let maker = "018b89c8-ff08-7ed8-a5ae-e65417397166";
    let tag = "018b89c8-ff08-7ed8-a5ae-e65417397167";
    let loaded = load(
        &shop,
        &[
            (
                "Makers.csv",
                &format!("@type,id,Name,Seats\nWorkshop,{maker},Ada,7\nMaker,,Bob,\n"),
            ),
            (
                "Products.csv",
                &format!("Sku,Name,Maker\ntea,Tea,{maker}\nmilk,Milk,\n"),
            ),
            ("Tags.csv", &format!("id,Name\n{tag},hot\n")),
            ("Product.Tags.csv", &format!("Product,Tags\ntea,{tag}\n")),
        ],
    )
    .await;
    // The row without an id has none to be found by: it is a fault, not a surprise.
    assert!(
        loaded
            .unwrap_err()
            .contains("Makers.csv:3: id: a value is required")
    );
    let loaded = load(
        &shop,
        &[(
            "Makers.csv",
            &format!("@type,id,Name,Seats\nWorkshop,{maker},Ada,7\n"),
        )],
    )
    .await;
    assert_eq!(loaded, Ok(Some(5)));
    let again = load(&shop, &[]).await;
    assert_eq!(
        again,
        Ok(None),
        "sample data comes once, whatever becomes of it"
    );
    let row = shop
        .send("GET", "Products?$orderby=Sku&$expand=Maker,Tags", &[], "")
        .await
        .json();
    assert_eq!(row["value"][1]["Maker"]["Seats"], 7, "{row}");
    assert_eq!(row["value"][1]["Maker"]["Number"], 1);
    assert_eq!(row["value"][1]["Tags"][0]["Name"], "hot");
    assert_eq!(row["value"][0]["Maker"], Value::Null);
}

#[tokio::test]
async fn faults_of_sample_data_name_file_and_line_and_nothing_is_loaded() {
    let shop = Fixture::new().await;
    let faults = load(
        &shop,
        &[
            (
                "Products.csv",
                "Sku,Name,Maker\ntea,,\nmuch too long,Milk,x\n",
            ),
            ("Nobody.csv", "a\n1\n"),
            (
                "Workshops.csv",
                "id,Name,Seats\n018b89c8-ff08-7ed8-a5ae-e65417397166,Ada,0\n",
            ),
        ],
    )
    .await
    .unwrap_err();
    for expected in [
        "Nobody.csv: no collection or entity is named Nobody",
        "Workshops.csv:2: Seats: the value is below the minimum",
        "Products.csv:2: Name: a value is required",
        "Products.csv:3: Sku: the text is too long",
        "Products.csv:3: Maker: \"x\" is not a uuid",
    ] {
        assert!(faults.contains(expected), "{expected} is not in:\n{faults}");
    }
    assert_eq!(
        shop.send("GET", "Products/$count", &[], "").await.bytes,
        "0"
    );
}

#[tokio::test]
async fn a_type_in_the_path_stands_in_the_context_and_not_in_the_identity() {
    let shop = Fixture::new().await;
    let made = shop
        .post("Workshops", &json!({"Name": "w", "Seats": 3}))
        .await;
    assert_eq!(made.status, StatusCode::CREATED);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let root = "http://shop.example/odata/";
    for (path, context) in [
        (
            "Makers/Shop.Workshop?$select=Seats".to_owned(),
            "Makers/Shop.Workshop(Seats)".to_owned(),
        ),
        (
            format!("Makers({id})/Shop.Workshop?$select=Seats"),
            "Makers/Shop.Workshop(Seats)/$entity".to_owned(),
        ),
        (
            "Workshops?$select=Seats".to_owned(),
            "Workshops(Seats)".to_owned(),
        ),
        (
            format!("Makers({id})/Shop.Workshop/Seats"),
            format!("Makers({id})/Shop.Workshop/Seats"),
        ),
    ] {
        let answer = shop.send("GET", &path, &[], "").await.json();
        assert_eq!(
            answer["@odata.context"],
            format!("{root}$metadata#{context}"),
            "{path}"
        );
        let row = answer["value"].get(0).unwrap_or(&answer);
        if let Some(found) = row.get("@odata.id") {
            let set = if path.starts_with("Workshops") {
                "Workshops"
            } else {
                "Makers"
            };
            assert_eq!(found, &json!(format!("{root}{set}({id})")), "{path}");
        }
    }
}
