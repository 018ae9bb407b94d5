//! What somebody may not see cannot be told from what is not there, on both databases: not by errors of
//! expressions, and not by answers to requests that name it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use stoa_model::application::{Application, load_from_sources};
use stoa_model::model::{Model, RoleId};
use stoa_model::value::Value;
use stoa_runtime::identity::{Caller, Means, UserId};
use stoa_runtime::{Environment, sample_data};
use stoa_store::{Config, DatabaseUrl, Store};
use tempfile::TempDir;
use uuid::Uuid;

const MODEL: &str = r#"
[role.Sales]

[entity.Employee]
extends = "System.User"
[entity.Employee.attributes]
Region = { type = "String", length = 10 }
[[entity.Employee.access]]
role = "Sales"
read = "*"

[entity.Customer]
key = ["Code"]
[entity.Customer.attributes]
Code   = { type = "String", length = 10 }
Name   = { type = "String", length = 60, required = true, unique = true }
Region = { type = "String", length = 10 }
Credit = { type = "Decimal", precision = 10, scale = 2 }
Photo  = { type = "File", length = 100 }
[entity.Customer.associations]
Team = { to = "Employee", many_to_many = true, inverse = "Customers" }
[[entity.Customer.access]]
role   = "Sales"
create = true
delete = true
read   = "*"
write  = "*"
where  = "Team/any(member: member/id eq $user/id)"
[[entity.Employee.access]]
role = "Sales"
read = ["Customers"]

[entity.Order]
key = ["Number"]
[entity.Order.attributes]
Number = { type = "Integer" }
Status = { type = "String", length = 10, default = "Draft" }
[entity.Order.associations]
Customer = { to = "Customer", required = true, inverse = "Orders" }
Lines    = { to = "Line", many = true, contained = true }
Notes    = { to = "Note", many = true, contained = true }
[[entity.Order.access]]
role   = "Sales"
create = true
delete = true
read   = ["Status", "Customer", "Lines"]
write  = ["Status", "Customer", "Lines", "Notes"]
where  = "Customer/Region eq $user/Region"

[entity.Line]
key = ["Position"]
[entity.Line.attributes]
Position = { type = "Integer" }
Product  = { type = "String", length = 60, required = true }
[[entity.Line.access]]
role   = "Sales"
create = true
delete = true
read   = "*"
write  = "*"

[entity.Folder]
key = ["Code"]
[entity.Folder.attributes]
Code = { type = "String", length = 10 }
[entity.Folder.associations]
Papers = { to = "Paper", many = true, contained = true }
[[entity.Folder.access]]
role  = "Sales"
read  = ["Papers"]
write = ["Papers"]
where = "Papers/any()"

[entity.Paper]
key = ["Position"]
[entity.Paper.attributes]
Position = { type = "Integer" }
[[entity.Paper.access]]
role   = "Sales"
create = true
read   = "*"
write  = "*"

[entity.Note]
key = ["Position"]
[entity.Note.attributes]
Position = { type = "Integer" }
Text     = { type = "String", length = 60 }
[[entity.Note.access]]
role   = "Sales"
create = true
write  = "*"
"#;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number)
}

struct Shop {
    environment: Environment,
    model: Arc<Model>,
    folder: TempDir,
}

impl Shop {
    async fn open(database: Option<&DatabaseUrl>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sources = vec![
            ("app.toml".to_owned(), "name = \"Shop\"\n".to_owned()),
            ("model/shop.toml".to_owned(), MODEL.to_owned()),
        ];
        let application: Application = match load_from_sources(folder.path(), sources) {
            Ok(loaded) => loaded.application,
            Err(faults) => panic!("{faults}"),
        };
        let url = database.cloned().unwrap_or_else(|| {
            format!("sqlite:{}", folder.path().join("data.sqlite").display())
                .parse()
                .unwrap()
        });
        stoa_schema::apply(&url, &application.model, stoa_schema::Options::default())
            .await
            .unwrap();
        let store = Store::open(&url, Config::default()).await.unwrap();
        let environment = Environment::new(application, store, folder.path().join("files"), None);
        let model = Arc::clone(environment.model());
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let (ann, bob) = (id(1), id(2));
        for (name, text) in [
            (
                "Employees.csv",
                format!("id,Name,Region\n{ann},ann,North\n{bob},bob,South\n"),
            ),
            (
                "Customers.csv",
                "Code,Name,Region,Credit\nN1,North One,North,100\nN2,North Two,North,150\n\
                 S1,South (One,South,200\n"
                    .to_owned(),
            ),
            (
                "Customer.Team.csv",
                format!("Customer,Team\nN1,{ann}\nN2,{ann}\nS1,{bob}\n"),
            ),
            (
                "Orders.csv",
                "Number,Status,Customer\n1,Draft,N1\n2,Draft,S1\n".to_owned(),
            ),
            ("Folders.csv", "Code\nF1\n".to_owned()),
        ] {
            std::fs::write(data.join(name), text).unwrap();
        }
        let rows = sample_data::read(&model, &data).unwrap();
        sample_data::load(environment.store(), &model, rows, None)
            .await
            .unwrap();
        Self {
            environment,
            model,
            folder,
        }
    }

    /// Ann, who sees customers N1 and N2 and order 1.
    fn ann(&self) -> Caller {
        let values = self.model.user.values.iter().map(|value| {
            if value.path == "Region" {
                Value::Text("North".to_owned())
            } else {
                Value::Uuid(id(1))
            }
        });
        Caller {
            user: Some(UserId(id(1))),
            name: "ann".into(),
            roles: Arc::from([RoleId(0)]),
            values: values.collect(),
            means: Means::AccessToken,
            address: None,
        }
    }

    /// Status and body of the answer to `METHOD path [{body}]`, with headers between the path and the body.
    async fn answer(&self, request: &str) -> String {
        let (method, rest) = request.split_once(' ').unwrap();
        let (path, body) = match rest.find(" {") {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, ""),
        };
        let (path, headers) = path.split_once(" | ").unwrap_or((path, ""));
        let mut request = Request::builder()
            .method(method)
            .uri(format!(
                "http://shop.example/odata/{}",
                path.replace(' ', "%20")
            ))
            .header("content-type", "application/json")
            .extension(self.ann());
        for header in headers.split(" | ").filter(|header| !header.is_empty()) {
            let (name, value) = header.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        let request = request
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap();
        let (parts, body) = self.environment.respond(request).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        format!(
            "{} {}",
            parts.status.as_u16(),
            String::from_utf8_lossy(&bytes)
        )
    }
}

/// Requests that would fail for a customer whom Ann does not see.
async fn errors_tell_nothing(shop: &Shop) {
    let mut wrong = String::new();
    for request in [
        "Customers?$select=Code&$filter=1 div (Credit sub 200) lt 1",
        "Customers?$select=Code&$filter=Region eq 'North' and 1 div (Credit sub 200) lt 1",
        "Customers?$select=Code&$filter=not (1 div (Credit sub 200) gt 1)",
        "Customers/$count?$filter=1 div (Credit sub 200) lt 1",
        "Customers?$select=Code&$count=true&$filter=1 div (Credit sub 200) lt 1",
        "Customers?$select=Code&$orderby=1 div (Credit sub 200)",
        "Orders?$select=Number&$filter=1 div (Number sub 2) lt 1",
        "Employees?$select=id&$filter=Customers/any(c:1 div (c/Credit sub 200) lt 1)",
        "Employees?$select=id&$filter=Customers/all(c:1 div (c/Credit sub 200) lt 1)",
        "Employees?$select=id&$filter=Customers/$count($filter=1 div (Credit sub 200) lt 1) ge 0",
        "Employees?$select=id&$expand=Customers($select=Code;$filter=1 div (Credit sub 200) lt 1)",
        "Employees?$select=id&$expand=Customers($select=Code;$orderby=1 div (Credit sub 200);$top=1)",
        "Employees?$select=id&$expand=Customers/$count($filter=1 div (Credit sub 200) lt 1)",
    ] {
        let answer = shop.answer(&format!("GET {request}")).await;
        if !answer.starts_with("200") || answer.contains("S1") {
            writeln!(wrong, "{request}\n   gets {answer}").unwrap();
        }
    }
    // The term of the order becomes a condition on the next page.
    let next = "GET Customers?$select=Code&$orderby=1 div (Credit sub 200) | Prefer: maxpagesize=1";
    let answer = shop.answer(next).await;
    let json: serde_json::Value = serde_json::from_str(&answer[4..]).unwrap();
    let link = json["@odata.nextLink"].as_str().unwrap();
    let path = link
        .strip_prefix("http://shop.example/odata/")
        .unwrap_or(link);
    let answer = shop
        .answer(&format!("GET {path} | Prefer: maxpagesize=1"))
        .await;
    if !answer.starts_with("200") {
        writeln!(wrong, "{path}\n   gets {answer}").unwrap();
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// The same request for what is not visible, and for what is not there.
async fn what_is_invisible_is_not_there(shop: &Shop) {
    let mut wrong = String::new();
    let line = "POST Orders(1)/Lines {\"Position\":11,\"Product\":\"x\"}";
    assert!(shop.answer(line).await.starts_with("201"));
    let nobody = id(99);
    let ann = id(1);
    for request in [
        "GET Customers('{customer}')".to_owned(),
        "GET Customers('{customer}') | If-None-Match: W/\"1\"".to_owned(),
        "GET Customers('{customer}')/Name".to_owned(),
        "GET Customers('{customer}')/Team".to_owned(),
        "GET Customers('{customer}')/Team/$count".to_owned(),
        "GET Orders({order})/Customer".to_owned(),
        "GET Orders({order})/Lines".to_owned(),
        "PATCH Customers('{customer}') | If-Match: * {\"Name\":\"X\"}".to_owned(),
        "PATCH Customers('{customer}') | If-Match: * {\"Name\":\"North One\"}".to_owned(),
        "PATCH Customers('{customer}') | If-Match: W/\"77\" {\"Name\":\"X\"}".to_owned(),
        format!("PATCH Customers('{{customer}}') | If-Match: * {{\"Team@odata.bind\":[\"Employees({nobody})\"]}}"),
        "PATCH Orders({order}) | If-Match: * {\"Customer@odata.bind\":\"Customers('Z8')\"}".to_owned(),
        "PATCH Orders({order}) | If-Match: * {\"Lines\":[{\"Position\":11,\"Product\":\"x\"}]}".to_owned(),
        "PATCH Orders(1) | If-Match: * {\"Customer@odata.bind\":\"Customers('{customer}')\"}".to_owned(),
        "DELETE Customers('{customer}') | If-Match: *".to_owned(),
        "DELETE Customers('{customer}') | If-Match: W/\"77\"".to_owned(),
        "PUT Customers('{customer}')/Photo/$value | If-Match: * {x}".to_owned(),
        format!("POST Customers('{{customer}}')/Team/$ref {{\"@odata.id\":\"Employees({nobody})\"}}"),
        format!("POST Customers('{{customer}}')/Team/$ref {{\"@odata.id\":\"Employees({ann})\"}}"),
        "POST Customers('{customer}')/Orders/$ref {\"@odata.id\":\"Orders(98)\"}".to_owned(),
        format!("DELETE Customers('{{customer}}')/Team/$ref?$id=Employees({nobody})"),
        format!("DELETE Customers('{{customer}}')/Team/$ref?$id=Employees({ann})"),
        "POST Orders {\"Number\":7,\"Customer@odata.bind\":\"Customers('{customer}')\"}".to_owned(),
        "POST Orders {\"Number\":1,\"Customer@odata.bind\":\"Customers('{customer}')\"}".to_owned(),
        "POST Orders {\"Number\":7,\"Customer@odata.bind\":\"Customers('{customer}')\",\"Lines\":[{\"Position\":11,\"Product\":\"x\"}]}".to_owned(),
        "PUT Orders(1) | If-None-Match: * {\"Customer@odata.bind\":\"Customers('{customer}')\"}".to_owned(),
        "POST Orders({order})/Lines {\"Position\":31,\"Product\":\"x\"}".to_owned(),
        "POST Orders({order})/Lines {\"Position\":11,\"Product\":\"x\"}".to_owned(),
        "POST Customers('N1')/Orders/$ref {\"@odata.id\":\"Orders({order})\"}".to_owned(),
        "PUT Orders(1)/Customer/$ref {\"@odata.id\":\"Customers('{customer}')\"}".to_owned(),
    ] {
        let fill = |customer: &str, order: &str| {
            request
                .replace("{customer}", customer)
                .replace("{order}", order)
        };
        let hidden = shop.answer(&fill("S1", "2")).await;
        let absent = shop.answer(&fill("Z9", "99")).await;
        if hidden != absent || !hidden.starts_with('4') {
            writeln!(
                wrong,
                "{request}\n   hidden {hidden}\n   absent {absent}"
            )
            .unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// A folder is visible by its papers: one that has none is not made visible by the paper that is put into it.
async fn a_new_row_does_not_open_the_way_to_it(shop: &Shop) {
    let hidden = shop
        .answer("POST Folders('F1')/Papers {\"Position\":1}")
        .await;
    let absent = shop
        .answer("POST Folders('F9')/Papers {\"Position\":1}")
        .await;
    assert_eq!(hidden, absent);
    assert!(hidden.starts_with("404"), "{hidden}");
    // What is no row is refused wherever it is sent, as on other ways.
    let nonsense = shop
        .answer("POST Folders('F1')/Papers {\"Nonsense\":1}")
        .await;
    assert!(nonsense.starts_with("400"), "{nonsense}");
}

/// Content for rows that are not there to be written stays nowhere.
async fn content_is_taken_for_visible_rows_only(shop: &Shop) {
    let put = "PUT Customers('S1')/Photo/$value | If-Match: * {left over}";
    assert!(shop.answer(put).await.starts_with("404"));
    let files = std::fs::read_dir(shop.folder.path().join("files"));
    let count = files.map_or(0, Iterator::count);
    assert_eq!(
        count, 0,
        "content of an upload that was refused stays behind"
    );
    let put = "PUT Customers('N1')/Photo/$value | If-Match: * {kept}";
    assert!(shop.answer(put).await.starts_with("204"));
}

/// Who may write a navigation need not read it.
async fn rows_are_nested_in_what_cannot_be_read(shop: &Shop) {
    let post = "POST Orders {\"Number\":8,\"Customer@odata.bind\":\"Customers('N1')\",\"Notes\":[{\"Position\":1,\"Text\":\"x\"}],\"Lines\":[{\"Position\":81,\"Product\":\"x\"}]}";
    let answer = shop.answer(post).await;
    assert!(answer.starts_with("201"), "{answer}");
    assert!(answer.contains("\"Lines\""), "{answer}");
}

async fn run(url: Option<DatabaseUrl>) {
    let shop = Shop::open(url.as_ref()).await;
    errors_tell_nothing(&shop).await;
    what_is_invisible_is_not_there(&shop).await;
    a_new_row_does_not_open_the_way_to_it(&shop).await;
    content_is_taken_for_visible_rows_only(&shop).await;
    rows_are_nested_in_what_cannot_be_read(&shop).await;
}

#[tokio::test]
async fn nothing_can_be_inferred_on_sqlite() {
    run(None).await;
}

#[tokio::test]
async fn nothing_can_be_inferred_on_postgres() {
    let database = stoa_testing::postgres::database().await.unwrap();
    run(Some(database.url.parse().unwrap())).await;
}
