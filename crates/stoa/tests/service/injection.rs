//! Text that tries to be SQL, in every position of a request: it is data, or an error of the client.

use reqwest::Method;
use serde_json::json;

use crate::services::both;
use crate::trial;

const ATTEMPTS: [&str; 12] = [
    "' OR '1'='1",
    "'; DROP TABLE thing; --",
    "\"; DROP TABLE thing; --",
    "x' UNION SELECT 1 --",
    "$1",
    "?1",
    ":name",
    "\\'; --",
    "%' --",
    "/* */ --",
    "${jndi}",
    "'' OR ''=''",
];

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_in_any_position_is_plain_data() {
    let application = trial::application();
    for service in both(application.path()).await {
        let client = &service.client;
        for (i, attempt) in ATTEMPTS.iter().enumerate() {
            let at = format!("{}, {attempt}", service.database);
            // As a value, as a key, as a literal.
            let tag = format!("{:.8}", format!("{i}{attempt}"));
            client
                .post("/odata/Tags", &json!({"Code": tag}))
                .await
                .unwrap()
                .expect_status(201)
                .expect(&at);
            let name = format!("{i} {attempt}");
            let name: String = name.chars().take(20).collect();
            let thing = json!({
                "Name": name, "Extra": {*attempt: attempt}, "Tags@odata.bind": [format!("Tags({})", encoded(&literal(&tag)))],
            });
            client
                .post("/odata/Things", &thing)
                .await
                .unwrap()
                .expect_status(201)
                .expect(&at);
            let by_key = client
                .get(&format!("/odata/Tags({})", encoded(&literal(&tag))))
                .await
                .unwrap();
            assert_eq!(
                by_key.expect_status(200).expect(&at).json().unwrap()["Code"],
                tag,
                "{at}"
            );
            for filter in [
                format!("Name eq {}", literal(&name)),
                format!("contains(Name,{})", literal(&name)),
                format!("startswith(Name,{})", literal(&name)),
                format!("Name in ({})", literal(&name)),
                format!("concat(Name,'') eq {}", literal(&name)),
                format!("Tags/any(t:t/Code eq {})", literal(&tag)),
            ] {
                let path = format!("/odata/Things?$filter={}&$expand=Tags", encoded(&filter));
                let found = client
                    .get(&path)
                    .await
                    .unwrap()
                    .expect_status(200)
                    .expect(&at)
                    .json()
                    .unwrap();
                assert_eq!(
                    found["value"].as_array().unwrap().len(),
                    1,
                    "{at}: {filter}: {found}"
                );
                assert_eq!(found["value"][0]["Name"], name, "{at}");
                assert_eq!(found["value"][0]["Extra"][attempt], *attempt, "{at}");
            }
            // Where only names and numbers are legal.
            for option in [
                "$filter",
                "$orderby",
                "$select",
                "$expand",
                "$top",
                "$skip",
                "$skiptoken",
                "$count",
                "$format",
            ] {
                for value in [
                    (*attempt).to_owned(),
                    format!("Name{attempt}"),
                    format!("1{attempt}"),
                ] {
                    let path = format!("/odata/Things?{option}={}", encoded(&value));
                    let answer = client.get(&path).await.unwrap();
                    // 501: well-formed, as a comment with nothing before it may be.
                    assert!(
                        matches!(answer.status, 400 | 406 | 501),
                        "{at}: {option}={value}: {}",
                        answer.status
                    );
                    no_internals(&answer.text(), &at);
                }
            }
            for path in [
                format!("/odata/{}", encoded(attempt)),
                format!("/odata/Things({})", encoded(attempt)),
                format!("/odata/Things(Name={})", encoded(attempt)),
                format!("/odata/Things/{}", encoded(attempt)),
                format!("/{}", encoded(attempt)),
            ] {
                let answer = client.get(&path).await.unwrap();
                // 501: keys as path segments are legal, and not supported.
                assert!(
                    matches!(answer.status, 400 | 404 | 501),
                    "{at}: {path}: {}",
                    answer.status
                );
                no_internals(&answer.text(), &at);
            }
            let property = client
                .post("/odata/Things", &json!({"Name": "a", *attempt: 1}))
                .await
                .unwrap();
            assert_eq!(property.status, 400, "{at}");
            for header in [
                "If-Match",
                "If-None-Match",
                "Prefer",
                "OData-Version",
                "Accept",
                "X-Request-Id",
                "Host",
            ] {
                let answer = client
                    .send(Method::GET, "/odata/Tags", &[(header, attempt)], None)
                    .await
                    .unwrap();
                assert!(answer.status < 500, "{at}: {header}: {}", answer.status);
            }
        }
        assert_eq!(service.count("Things").await, ATTEMPTS.len() as u64);
        assert_eq!(service.count("Tags").await, ATTEMPTS.len() as u64);
    }
}

/// An error tells of the request, never of the database.
fn no_internals(text: &str, at: &str) {
    for word in [
        "SELECT",
        "sqlite",
        "postgres",
        "syntax error at or near",
        "src/",
        "panicked",
    ] {
        let told = text.contains(word) && !at.contains(word);
        assert!(!told, "{at}: an error tells internals: {text}");
    }
}
