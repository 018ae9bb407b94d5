//! The example application on both databases: filters against an oracle that reads the same CSV files,
//! whole answers against each other.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value as Json, json};
use stoa_testing::{open, repository};

use crate::oracle::{self, Data};
use crate::services::{Service, both, comparable, expect};

#[tokio::test(flavor = "multi_thread")]
async fn the_example_answers_alike_on_both_databases_and_as_its_data_says() {
    let data = Data::read();
    let application = open::copy(&repository().join("examples/wholesale")).unwrap();
    let services = both(application.path()).await;
    let mut wrong = Vec::new();
    oracle::filters(&data, &services, &mut wrong).await;
    oracle::orders_of_rows(&data, &services, &mut wrong).await;
    reads(&services, &mut wrong).await;
    pages(&data, &services, &mut wrong).await;
    writes(&services, &mut wrong).await;
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
}

/// Whole answers: as expected in part, and the same on both.
async fn reads(services: &[Service; 2], wrong: &mut Vec<String>) {
    const ORDER: &str = "018b89c8-ff08-7ed8-a5ae-e65417397166";
    let cases: Vec<(String, u16, Json)> = vec![
        ("/odata/".into(), 200, json!({})),
        ("/odata/$metadata".into(), 200, json!(null)),
        (
            format!("/odata/Orders({ORDER})"),
            200,
            json!({"id": ORDER, "PlacedAt": "2023-11-01T07:28:53Z", "RequiredOn": "2023-11-03", "Status": "Delivered",
                   "Reference": "PO-24885", "Remarks": null, "@odata.etag": "W/\"1\""}),
        ),
        (
            format!("/odata/Orders({ORDER})?$select=Status&$expand=Customer($select=Name;$expand=Region($select=Name)),Lines($select=Position;$orderby=Position desc;$top=2)"),
            200,
            json!({"Status": "Delivered", "Customer": {"Name": "Rey S.L.", "Region": {"Name": "Spain and Portugal"}},
                   "Lines": [{"Position": 5}, {"Position": 4}]}),
        ),
        (format!("/odata/Orders({ORDER})/Customer/Name"), 200, json!({"value": "Rey S.L."})),
        (format!("/odata/Orders({ORDER})/Customer/Name/$value"), 200, json!(null)),
        (format!("/odata/Orders({ORDER})/Lines/$count"), 200, json!(5)),
        (format!("/odata/Orders({ORDER})/Lines?$filter=Position eq 2&$select=Position,Quantity"), 200, json!({"value": [{"Position": 2}]})),
        (format!("/odata/Orders({ORDER})/Remarks"), 204, json!(null)),
        ("/odata/Categories('TEA')".into(), 200, json!({"Code": "TEA", "Name": "Tea"})),
        ("/odata/Categories(Code='TEA')/Parent".into(), 200, json!({"Code": "BEV", "Name": "Beverages"})),
        ("/odata/Categories('BEV')/Children?$orderby=Code&$select=Code".into(), 200, json!({"value": [{"Code": "COF"}, {"Code": "JUI"}, {"Code": "TEA"}]})),
        ("/odata/Categories('BEV')/Parent".into(), 204, json!(null)),
        ("/odata/Regions?$orderby=Code&$select=Code&$expand=Customers($count=true;$top=0)".into(), 200, json!({"value": [
            {"Code": "BENELUX"}, {"Code": "CENTRAL"}, {"Code": "EAST"}, {"Code": "FRANCE"}, {"Code": "IBERIA"}, {"Code": "ISLES"},
            {"Code": "ITALY"}, {"Code": "NORDIC"}]})),
        ("/odata/Products('COF-0001')?$expand=Category($expand=Parent),Suppliers($orderby=Name;$select=Name)".into(), 200,
            json!({"Sku": "COF-0001", "Category": {"Code": "COF", "Parent": {"Code": "BEV"}}})),
        ("/odata/Products?$filter=Sku eq 'COF-0001' or Sku eq 'TEA-0001'&$top=2&$select=Sku,Specification&$orderby=Sku".into(), 200,
            json!({"value": [{"Sku": "COF-0001", "Specification": {"storage": "dry"}}, {"Sku": "TEA-0001"}]})),
        ("/odata/Employees?$filter=ReportsTo eq null&$expand=DirectReports($count=true;$top=1;$orderby=LastName,FirstName;$select=LastName)".into(), 200,
            json!({"value": [{"FirstName": "Edda", "LastName": "Bisset"}]})),
        ("/odata/Managers?$orderby=Budget desc&$top=2&$select=FirstName,Budget".into(), 200, json!({"value": [{}, {}]})),
        ("/odata/Employees/Wholesale.Manager/$count".into(), 200, json!(13)),
        ("/odata/Customers/$count".into(), 200, json!(1000)),
        ("/odata/Orders/$count?$filter=Status eq 'Draft'".into(), 200, json!(6)),
        ("/odata/Orders?$top=0&$count=true".into(), 200, json!({"@odata.count": 10000, "value": []})),
        ("/odata/Customers?$orderby=Name&$skip=2&$top=1&$select=Name".into(), 200, json!({"value": [{"Name": "Acorn Coffee House"}]})),
        ("/odata/Customers?$filter=contains(Name,@part) and Country eq @land&@part='Hotel'&@land='CH'&$select=Name&$orderby=Name".into(), 200, json!({})),
        ("/odata/Customers(018b8989-0000-7000-8000-000000000000)".into(), 404, json!({"error": {"code": "NotFound"}})),
        ("/odata/Customers?$filter=Nam eq 'x'".into(), 400, json!({"error": {"code": "UnknownProperty"}})),
    ];
    for (path, status, expected) in cases {
        let mut whole = Vec::new();
        for service in services {
            let answer = service.client.get(&path).await.unwrap();
            expect(
                wrong,
                &format!("{}: {path}", service.database),
                &answer,
                status,
                &expected,
            );
            whole.push(comparable(&answer, &service.server));
        }
        if whole[0] != whole[1] {
            wrong.push(format!(
                "{path}\n  differs between databases:\n{:.1500}\n---\n{:.1500}",
                whole[0], whole[1]
            ));
        }
    }
}

/// Following nextLink gives every row once, in order.
async fn pages(data: &Data, services: &[Service; 2], wrong: &mut Vec<String>) {
    for service in services {
        let base = format!("http://{}", service.server.address());
        for order in ["", "&$orderby=Rating desc,Name", "&$orderby=Kind,City desc"] {
            let mut next = Some(format!("/odata/Customers?$select=id{order}"));
            let mut found = Vec::new();
            let mut pages = 0;
            while let Some(path) = next.take() {
                let answer = service
                    .client
                    .send(Method::GET, &path, &[("Prefer", "maxpagesize=97")], None)
                    .await
                    .unwrap();
                let json = match answer.expect_status(200).and_then(|answer| answer.json()) {
                    Ok(json) => json,
                    Err(error) => {
                        wrong.push(format!("{}: {path}: {error:#}", service.database));
                        break;
                    }
                };
                let rows = json["value"].as_array().unwrap();
                found.extend(
                    rows.iter()
                        .map(|row| row["id"].as_str().unwrap().to_owned()),
                );
                pages += 1;
                next = json["@odata.nextLink"].as_str().map(|link| {
                    link.strip_prefix(&base)
                        .unwrap_or_else(|| panic!("nextLink is not absolute: {link}"))
                        .to_owned()
                });
            }
            let distinct: BTreeSet<&String> = found.iter().collect();
            let all = data.tables["Customers"].len();
            if found.len() != all || distinct.len() != all || pages != all.div_ceil(97) {
                wrong.push(format!(
                    "{}: {order}: {pages} pages with {} rows, {} of them distinct, expected {all}",
                    service.database,
                    found.len(),
                    distinct.len()
                ));
            }
        }
    }
}

/// A life of an order: created with its lines, changed, connected, deleted.
async fn writes(services: &[Service; 2], wrong: &mut Vec<String>) {
    const NEW: &str = "019aa000-0000-7000-8000-000000000001";
    const CUSTOMER: &str = "01349690-d000-7dad-be48-5bd475eb4490";
    let order = format!("/odata/Orders({NEW})");
    for service in services {
        let client = &service.client;
        let at = |what: &str| format!("{}: {what}", service.database);
        let before = service.count("Orders").await;
        let body = json!({
            "id": NEW, "Customer@odata.bind": format!("Customers({CUSTOMER})"), "RequiredOn": "2026-12-01",
            "PlacedAt": "2026-11-01T12:00:00.123456+02:00", "Total": 12.5,
            "Lines": [
                {"Position": 1, "Quantity": 2, "UnitPrice": 5, "Product@odata.bind": "Products('COF-0001')"},
                {"Position": 2, "UnitPrice": 2.5, "Discount": 0.125, "Product@odata.bind": "Products('TEA-0001')"},
            ],
        });
        let created = client.post("/odata/Orders", &body).await.unwrap();
        expect(
            wrong,
            &at("create"),
            &created,
            201,
            &json!({
                "id": NEW, "Status": "Draft", "Total": 12.5, "PlacedAt": "2026-11-01T10:00:00.123456Z", "@odata.etag": "W/\"1\"",
            }),
        );
        let location = created.header("location").unwrap_or_default().to_owned();
        if location != format!("http://{}{order}", service.server.address()) {
            wrong.push(format!("{}: Location is {location}", service.database));
        }
        let number = created.json().unwrap()["Number"].as_i64();
        if number != Some(i64::try_from(before).unwrap() + 1) {
            wrong.push(format!(
                "{}: order number {number:?} after {before} orders",
                service.database
            ));
        }
        let whole = client
            .get(&format!(
                "{order}?$expand=Lines($orderby=Position;$expand=Product($select=Sku))"
            ))
            .await
            .unwrap();
        expect(
            wrong,
            &at("what was created"),
            &whole,
            200,
            &json!({"Lines": [
                {"Position": 1, "Quantity": 2, "UnitPrice": 5, "Discount": 0, "Product": {"Sku": "COF-0001"}},
                {"Position": 2, "Quantity": 1, "UnitPrice": 2.5, "Discount": 0.125, "Product": {"Sku": "TEA-0001"}},
            ]}),
        );
        let changed = client
            .send(
                Method::PATCH,
                &order,
                &[("If-Match", "W/\"1\""), ("Prefer", "return=representation")],
                Some(&json!({"Status": "Placed", "Remarks": "ü"})),
            )
            .await
            .unwrap();
        expect(
            wrong,
            &at("change"),
            &changed,
            200,
            &json!({"Status": "Placed", "Remarks": "ü", "Total": 12.5, "@odata.etag": "W/\"2\""}),
        );
        let quiet = client
            .send(
                Method::PATCH,
                &order,
                &[("If-Match", "W/\"2\""), ("Prefer", "return=minimal")],
                Some(&json!({"Remarks": null})),
            )
            .await
            .unwrap();
        expect(wrong, &at("change, quietly"), &quiet, 204, &json!(null));
        if quiet.header("etag") != Some("W/\"3\"") {
            wrong.push(format!(
                "{}: ETag after the second change: {:?}",
                service.database,
                quiet.header("etag")
            ));
        }
        let stale = client
            .patch(&order, "W/\"1\"", &json!({"Status": "Cancelled"}))
            .await
            .unwrap();
        expect(
            wrong,
            &at("stale change"),
            &stale,
            412,
            &json!({"error": {"code": "PreconditionFailed"}}),
        );
        let replaced = client
            .send(Method::PUT, &order, &[("If-Match", "W/\"3\""), ("Prefer", "return=representation")],
                Some(&json!({"PlacedAt": "2026-11-02T00:00:00Z", "Customer@odata.bind": format!("Customers({CUSTOMER})")})))
            .await
            .unwrap();
        expect(
            wrong,
            &at("replace"),
            &replaced,
            200,
            &json!({"Status": "Draft", "RequiredOn": null, "Total": 0}),
        );
        let line = client
            .post(&format!("{order}/Lines"), &json!({"Position": 3, "UnitPrice": 1, "Product@odata.bind": "Products('COF-0001')"}))
            .await
            .unwrap();
        expect(
            wrong,
            &at("another line"),
            &line,
            201,
            &json!({"Position": 3}),
        );
        let count = client.get(&format!("{order}/Lines/$count")).await.unwrap();
        expect(wrong, &at("its lines"), &count, 200, &json!(3));

        // Many to many.
        let suppliers = client
            .get("/odata/Suppliers?$top=1&$orderby=Name desc")
            .await
            .unwrap()
            .json()
            .unwrap();
        let supplier = suppliers["value"][0]["id"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let product = "/odata/Products('CHE-0001')";
        let own = client
            .get(&format!("{product}/Suppliers/$count"))
            .await
            .unwrap()
            .text();
        let reference = json!({"@odata.id": format!("Suppliers({supplier})")});
        let linked = client
            .post(&format!("{product}/Suppliers/$ref"), &reference)
            .await
            .unwrap();
        expect(wrong, &at("connect"), &linked, 204, &json!(null));
        let again = client
            .post(&format!("{product}/Suppliers/$ref"), &reference)
            .await
            .unwrap();
        expect(wrong, &at("connect again"), &again, 204, &json!(null));
        let unlinked = client
            .send(
                Method::DELETE,
                &format!("{product}/Suppliers({supplier})/$ref"),
                &[],
                None,
            )
            .await
            .unwrap();
        expect(wrong, &at("disconnect"), &unlinked, 204, &json!(null));
        let after = client
            .get(&format!("{product}/Suppliers/$count"))
            .await
            .unwrap()
            .text();
        if number_of(&after) + 1 < number_of(&own) || number_of(&after) > number_of(&own) {
            wrong.push(format!(
                "{}: {own} suppliers before, {after} after",
                service.database
            ));
        }

        let deleted = client.delete(&order, "*").await.unwrap();
        expect(wrong, &at("delete"), &deleted, 204, &json!(null));
        let gone = client.get(&order).await.unwrap();
        expect(
            wrong,
            &at("what was deleted"),
            &gone,
            404,
            &json!({"error": {"code": "NotFound"}}),
        );
        if service.count("Orders").await != before {
            wrong.push(format!(
                "{}: the number of orders is not as before",
                service.database
            ));
        }
    }
}

fn number_of(text: &str) -> i64 {
    text.trim_start_matches('\u{feff}').parse().unwrap_or(-1)
}
