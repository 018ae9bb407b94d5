//! Wrong requests: a clear answer with one detail for each fault, the same on both databases, and nothing
//! written.

use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::services::{Service, both, faults};
use crate::trial;

const PERSON: &str = "018b8989-dee0-7123-8217-000000000001";
const THING: &str = "018b8989-dee0-7123-8217-000000000002";
const NOBODY: &str = "018b8989-dee0-7123-8217-00000000ffff";

/// Rows that the cases run into.
async fn prepare(service: &Service) {
    for (path, body) in [
        ("/odata/People", json!({"id": PERSON, "Name": "Ada"})),
        ("/odata/Tags", json!({"Code": "new"})),
        (
            "/odata/Things",
            json!({
                "id": THING, "Name": "Lamp", "Code": "lamp", "Shelf": 1, "Slot": 1,
                "Owner@odata.bind": format!("People({PERSON})"),
                "Parts": [{"Position": 1}],
            }),
        ),
    ] {
        service
            .client
            .post(path, &body)
            .await
            .unwrap()
            .expect_status(201)
            .unwrap();
    }
}

async fn counts(service: &Service) -> Vec<u64> {
    let mut counts = Vec::new();
    for collection in trial::COLLECTIONS {
        counts.push(service.count(collection).await);
    }
    counts
}

/// A body for `POST /odata/Things`, the status, and (code, target) of each fault.
type Case = (Json, u16, &'static [(&'static str, &'static str)]);

fn bodies() -> Vec<Case> {
    let long = "x".repeat(21);
    vec![
        (
            json!({"Name": "a", "Colr": "Red"}),
            400,
            &[("UnknownProperty", "Colr")],
        ),
        (json!({}), 400, &[("Required", "Name")]),
        (json!({"Name": null}), 400, &[("Required", "Name")]),
        (json!({"Name": 5}), 400, &[("WrongType", "Name")]),
        (json!({"Name": ["a"]}), 400, &[("WrongType", "Name")]),
        (json!({"Name": long}), 400, &[("TooLong", "Name")]),
        (
            json!({"Name": "a\u{0}b"}),
            400,
            &[("InvalidFormat", "Name")],
        ),
        (
            json!({"Name": "a", "Code": "UPPER"}),
            400,
            &[("PatternMismatch", "Code")],
        ),
        (
            json!({"Name": "a", "Count": "7"}),
            400,
            &[("WrongType", "Count")],
        ),
        (
            json!({"Name": "a", "Count": 1.5}),
            400,
            &[("WrongType", "Count")],
        ),
        (
            json!({"Name": "a", "Count": -1}),
            400,
            &[("OutOfRange", "Count")],
        ),
        (
            json!({"Name": "a", "Count": 101}),
            400,
            &[("OutOfRange", "Count")],
        ),
        (
            json!({"Name": "a", "Shelf": 3_000_000_000_u32}),
            400,
            &[("OutOfRange", "Shelf")],
        ),
        (
            json!({"Name": "a", "Big": 9_223_372_036_854_775_808_u64}),
            400,
            &[("OutOfRange", "Big")],
        ),
        (
            json!({"Name": "a", "Price": 1.234}),
            400,
            &[("TooPrecise", "Price")],
        ),
        (
            json!({"Name": "a", "Price": 123_456_789.5}),
            400,
            &[("OutOfRange", "Price")],
        ),
        (
            json!({"Name": "a", "Price": -0.01}),
            400,
            &[("OutOfRange", "Price")],
        ),
        (
            json!({"Name": "a", "Ready": "true"}),
            400,
            &[("WrongType", "Ready")],
        ),
        (
            json!({"Name": "a", "Ready": 1}),
            400,
            &[("WrongType", "Ready")],
        ),
        (
            json!({"Name": "a", "At": "yesterday"}),
            400,
            &[("InvalidFormat", "At")],
        ),
        (
            json!({"Name": "a", "At": "2026-02-30T10:00:00Z"}),
            400,
            &[("InvalidFormat", "At")],
        ),
        (
            json!({"Name": "a", "On": "2026-13-01"}),
            400,
            &[("InvalidFormat", "On")],
        ),
        (
            json!({"Name": "a", "On": "1999-12-31"}),
            400,
            &[("OutOfRange", "On")],
        ),
        (
            json!({"Name": "a", "From": "25:00:00"}),
            400,
            &[("InvalidFormat", "From")],
        ),
        (
            json!({"Name": "a", "Lasts": "5 days"}),
            400,
            &[("InvalidFormat", "Lasts")],
        ),
        (
            json!({"Name": "a", "Mark": "1234"}),
            400,
            &[("InvalidFormat", "Mark")],
        ),
        (
            json!({"Name": "a", "Raw": "***"}),
            400,
            &[("InvalidFormat", "Raw")],
        ),
        (
            json!({"Name": "a", "Raw": "AAAAAAAAAAAAAAAA"}),
            400,
            &[("TooLong", "Raw")],
        ),
        (
            json!({"Name": "a", "Colour": "Purple"}),
            400,
            &[("UnknownMember", "Colour")],
        ),
        (
            json!({"Name": "a", "Colour": 1}),
            400,
            &[("WrongType", "Colour")],
        ),
        (
            json!({"id": "nonsense", "Name": "a"}),
            400,
            &[("InvalidFormat", "id")],
        ),
        (
            json!({"@odata.type": "#Trial.Person", "Name": "a"}),
            400,
            &[("UnknownType", "@odata.type")],
        ),
        (
            json!({"Name": long, "Count": 101, "Price": "x", "Colour": "Purple", "Nope": 1}),
            400,
            &[
                ("TooLong", "Name"),
                ("OutOfRange", "Count"),
                ("WrongType", "Price"),
                ("UnknownMember", "Colour"),
                ("UnknownProperty", "Nope"),
            ],
        ),
        // References.
        (
            json!({"Name": "a", "Owner@odata.bind": format!("People({NOBODY})")}),
            400,
            &[("ReferenceNotFound", "Owner")],
        ),
        (
            json!({"Name": "a", "Owner@odata.bind": "Tags('new')"}),
            400,
            &[("InvalidReference", "Owner")],
        ),
        (
            json!({"Name": "a", "Owner@odata.bind": "nonsense"}),
            400,
            &[("InvalidReference", "Owner")],
        ),
        (
            json!({"Name": "a", "Owner@odata.bind": 7}),
            400,
            &[("InvalidReference", "Owner")],
        ),
        (
            json!({"Name": "a", "Ownr@odata.bind": "People(1)"}),
            400,
            &[("UnknownProperty", "Ownr")],
        ),
        (
            json!({"Name": "a", "Tags@odata.bind": ["Tags('old')"]}),
            400,
            &[("ReferenceNotFound", "Tags")],
        ),
        // Parts: whatever is wrong in one, nothing of the whole is written.
        (
            json!({"Name": "a", "Parts": [{"Position": 1}, {"Position": 0, "Label": "12345678901"}]}),
            400,
            &[
                ("OutOfRange", "Parts/1/Position"),
                ("TooLong", "Parts/1/Label"),
            ],
        ),
        (
            json!({"Name": "a", "Parts": {"Position": 1}}),
            400,
            &[("WrongType", "Parts")],
        ),
        (
            json!({"Name": "a", "Parts": [{}]}),
            400,
            &[("Required", "Parts/0/Position")],
        ),
        // What only the database can tell.
        (
            json!({"id": THING, "Name": "a"}),
            409,
            &[("NotUnique", "id")],
        ),
        (
            json!({"Name": "a", "Code": "lamp"}),
            409,
            &[("NotUnique", "Code")],
        ),
        (
            json!({"Name": "a", "Code": "lamp", "Parts": [{"Position": 1}, {"Position": 2}]}),
            409,
            &[("NotUnique", "Code")],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_body_gets_one_detail_for_each_fault_and_writes_nothing() {
    let application = trial::application();
    let mut wrong = Vec::new();
    for service in both(application.path()).await {
        prepare(&service).await;
        let before = counts(&service).await;
        for (body, status, expected) in bodies() {
            let answer = service.client.post("/odata/Things", &body).await.unwrap();
            let shown = format!(
                "{}: POST {body}\n  → {} {}",
                service.database,
                answer.status,
                answer.text()
            );
            if answer.status != status {
                wrong.push(format!("{shown}\n  expected {status}"));
                continue;
            }
            let (_, mut found) = faults(&answer);
            let mut expected: Vec<(String, String)> = expected
                .iter()
                .map(|(code, target)| ((*code).into(), (*target).into()))
                .collect();
            found.sort();
            expected.sort();
            if found != expected {
                wrong.push(format!("{shown}\n  expected {expected:?}"));
            }
        }
        if counts(&service).await != before {
            wrong.push(format!("{}: something was written", service.database));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_request_is_refused_with_its_code() {
    let application = trial::application();
    let mut wrong = Vec::new();
    let long_url = format!("/odata/Things?$filter=Name eq '{}'", "x".repeat(20_000));
    let many_nodes = format!(
        "/odata/Things?$filter={}",
        vec!["Count eq 1"; 400].join(" or ")
    );
    let nested = format!(
        "/odata/Things?$filter={}Count eq 1{}",
        "(".repeat(4000),
        ")".repeat(4000)
    );
    let negations = format!("/odata/Things?$filter={}Ready", "not ".repeat(2000));
    let deep = format!(
        "/odata/Things?$expand={}Owner{}",
        "Owner($expand=Things($expand=".repeat(5),
        "))".repeat(5)
    );
    let refused: &[(&str, u16, &str)] = &[
        ("/odata/Thingz", 404, "NotFound"),
        ("/odata/Things(abc)", 400, "InvalidUrl"),
        (
            "/odata/Things(018b8989-dee0-7123-8217-00000000ffff)",
            404,
            "NotFound",
        ),
        (
            "/odata/Things(018b8989-dee0-7123-8217-000000000002)/Nope",
            404,
            "NotFound",
        ),
        ("/odata/Things?$filter=Nme eq 'x'", 400, "UnknownProperty"),
        ("/odata/Things?$filter=Name eq", 400, "InvalidOption"),
        ("/odata/Things?$filter= true", 400, "InvalidOption"),
        ("/odata/Things?$filter=Name eq 5", 400, "TypeMismatch"),
        ("/odata/Things?$filter=Count", 400, "TypeMismatch"),
        ("/odata/Things?$filter=Name eq 'open", 400, "InvalidOption"),
        (
            "/odata/Things?$filter=nofunction(Name)",
            400,
            "UnknownProperty",
        ),
        ("/odata/Things?$top=-1", 400, "InvalidOption"),
        ("/odata/Things?$top=many", 400, "InvalidOption"),
        ("/odata/Things?$skip=1.5", 400, "InvalidOption"),
        ("/odata/Things?$top=1&$top=2", 400, "InvalidOption"),
        ("/odata/Things?$orderby=Nope", 400, "UnknownProperty"),
        ("/odata/Things?$orderby=Name sideways", 400, "InvalidOption"),
        ("/odata/Things?$select=Nope", 400, "UnknownProperty"),
        ("/odata/Things?$expand=Nope", 400, "UnknownProperty"),
        ("/odata/Things?$nosuch=1", 400, "InvalidOption"),
        ("/odata/Things?$skiptoken=nonsense", 400, "InvalidOption"),
        ("/odata/Things?$count=perhaps", 400, "InvalidOption"),
        ("/odata/Things?$filter=Shelf div 0 eq 1", 400, "OutOfRange"),
        (&long_url, 414, "UrlTooLong"),
        (&many_nodes, 400, "LimitExceeded"),
        (&nested, 400, "LimitExceeded"),
        (&negations, 400, "LimitExceeded"),
        (&deep, 400, "LimitExceeded"),
    ];
    let open = "[".repeat(200_000);
    let objects = "{\"Extra\":".repeat(100_000);
    let large = format!("{{\"Name\":\"{}\"}}", "x".repeat(5 << 20));
    let bodies: &[(&str, &[u8], u16, &str)] = &[
        ("application/json", b"", 400, "InvalidJson"),
        ("application/json", b"{", 400, "InvalidJson"),
        ("application/json", b"{\"Name\":\"a\",}", 400, "InvalidJson"),
        (
            "application/json",
            b"{\"Name\":\"\xff\"}",
            400,
            "InvalidJson",
        ),
        (
            "application/json",
            b"{\"Name\":\"a\",\"Name\":\"b\"}",
            400,
            "DuplicateProperty",
        ),
        ("application/json", b"[]", 400, "WrongType"),
        ("application/json", b"\"text\"", 400, "WrongType"),
        (
            "application/json",
            b"{\"Name\":\"a\",\"Price\":1e999}",
            400,
            "OutOfRange",
        ),
        ("application/json", open.as_bytes(), 400, "InvalidJson"),
        ("application/json", objects.as_bytes(), 400, "InvalidJson"),
        ("application/json", large.as_bytes(), 413, "BodyTooLarge"),
        (
            "text/plain",
            b"{\"Name\":\"a\"}",
            415,
            "UnsupportedMediaType",
        ),
    ];
    for service in both(application.path()).await {
        prepare(&service).await;
        let before = counts(&service).await;
        let mut check =
            |request: &str, answer: stoa_testing::client::Answer, status: u16, code: &str| {
                let mut request = request.to_owned();
                if let Some((end, _)) = request.char_indices().nth(120) {
                    request.truncate(end);
                }
                let found = answer
                    .json()
                    .ok()
                    .and_then(|json| Some(json["error"]["code"].as_str()?.to_owned()))
                    .unwrap_or_default();
                if answer.status != status || found != code {
                    wrong.push(format!(
                        "{}: {request}\n  → {} {}\n  expected {status} {code}",
                        service.database,
                        answer.status,
                        answer.text()
                    ));
                }
            };
        for (path, status, code) in refused {
            let answer = service.client.get(path).await.unwrap();
            check(path, answer, *status, code);
        }
        for (content_type, body, status, code) in bodies {
            let answer = service
                .client
                .send_bytes(
                    Method::POST,
                    "/odata/Things",
                    &[],
                    Some((content_type, body.to_vec())),
                )
                .await
                .unwrap();
            check(&String::from_utf8_lossy(body), answer, *status, code);
        }

        let thing = format!("/odata/Things({THING})");
        let change = json!({"Name": "b"});
        let etag = service.row(&format!("Things({THING})")).await["@odata.etag"].clone();
        let client = &service.client;
        check(
            "PATCH without If-Match",
            client
                .send(Method::PATCH, &thing, &[], Some(&change))
                .await
                .unwrap(),
            428,
            "PreconditionRequired",
        );
        check(
            "PATCH, stale",
            client.patch(&thing, "W/\"99\"", &change).await.unwrap(),
            412,
            "PreconditionFailed",
        );
        check(
            "DELETE, stale",
            client.delete(&thing, "W/\"99\"").await.unwrap(),
            412,
            "PreconditionFailed",
        );
        check(
            "PATCH of nothing",
            client
                .patch(&format!("/odata/Things({NOBODY})"), "*", &change)
                .await
                .unwrap(),
            404,
            "NotFound",
        );
        check(
            "DELETE of what is referred to",
            client
                .delete(&format!("/odata/People({PERSON})"), "*")
                .await
                .unwrap(),
            409,
            "Referenced",
        );
        check(
            "POST to a row",
            client.post(&thing, &change).await.unwrap(),
            405,
            "MethodNotAllowed",
        );
        check(
            "Accept",
            client
                .send(Method::GET, &thing, &[("Accept", "image/png")], None)
                .await
                .unwrap(),
            406,
            "NotAcceptable",
        );
        check(
            "OData-MaxVersion",
            client
                .send(Method::GET, &thing, &[("OData-MaxVersion", "3.0")], None)
                .await
                .unwrap(),
            400,
            "UnsupportedVersion",
        );
        let unchanged = service.row(&format!("Things({THING})")).await;
        assert_eq!(
            unchanged["@odata.etag"], etag,
            "{}: the row was changed",
            service.database
        );
        // A key in the body of a change is ignored (OData 4.01 Part 1 §11.4.3).
        let keyed = client
            .patch(&thing, "*", &json!({"id": NOBODY}))
            .await
            .unwrap();
        check("PATCH of the key", keyed, 204, "");
        assert_eq!(service.row(&format!("Things({THING})")).await["id"], THING);
        if counts(&service).await != before {
            wrong.push(format!("{}: something was written", service.database));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn values_at_the_edge_come_back_as_they_were() {
    let application = trial::application();
    let bodies = [
        json!({"Name": "😀".repeat(20), "Code": "a", "Count": 0, "Big": i64::MIN, "Price": 99_999_999.99}),
        json!({"Name": "e\u{301} é \u{200d} \u{feff}", "Code": null, "Count": 100, "Big": i64::MAX, "Price": 0}),
        json!({
            "Name": " ", "At": "0001-01-01T00:00:00Z", "On": "2000-01-01", "From": "23:59:59.999999",
            "Lasts": "-P1DT2H3M4.5S", "Mark": "00000000-0000-0000-0000-000000000000", "Raw": "AAECAwQFBgc=",
            "Extra": {"b": [1, 2.50, null], "a": "ü"}, "Colour": "Blue", "Ready": false,
        }),
        json!({"Name": "", "At": "9999-12-31T23:59:59.999999Z", "On": "9999-12-31", "From": "00:00:00", "Raw": ""}),
    ];
    for service in both(application.path()).await {
        for body in &bodies {
            let created = service.client.post("/odata/Things", body).await.unwrap();
            let created = created.expect_status(201).unwrap().json().unwrap();
            let id = created["id"].as_str().unwrap();
            let read = service.row(&format!("Things({id})")).await;
            let mut found = Vec::new();
            crate::services::differences(body, &read, "", &mut found);
            assert!(
                found.is_empty(),
                "{}: {body} came back with {found:?}",
                service.database
            );
        }
    }
}
