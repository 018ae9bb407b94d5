//! A database that somebody else made, served as it stands.

use serde_json::json;
use stoa_testing::postgres::{self, TestDatabase};
use stoa_testing::process::Launch;
use stoa_testing::{repository, shared_folder};

use crate::services::expect;

/// Content and structure of every table of Northwind.
async fn checksum(database: &TestDatabase) -> Vec<(String, String)> {
    let client = database.connect().await.unwrap();
    let tables = client
        .query(
            "SELECT table_name::text FROM information_schema.tables \
             WHERE table_schema = 'public' AND table_name NOT LIKE '\\_stoa%' ORDER BY 1",
            &[],
        )
        .await
        .unwrap();
    let mut sums = Vec::new();
    for table in tables {
        let table: String = table.get(0);
        let content = client
            .query_one(&format!("SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM \"{table}\" t"), &[])
            .await
            .unwrap();
        let structure = client
            .query_one(
                "SELECT md5(string_agg(concat_ws(',', column_name, data_type, is_nullable, column_default), '|' ORDER BY ordinal_position)) \
                 FROM information_schema.columns WHERE table_schema = 'public' AND table_name = $1",
                &[&table],
            )
            .await
            .unwrap();
        sums.push((
            table,
            content.get::<_, String>(0) + &structure.get::<_, String>(0),
        ));
    }
    sums
}

#[tokio::test(flavor = "multi_thread")]
async fn northwind_is_served_as_it_stands() {
    let Some(shared) = shared_folder() else {
        return;
    };
    let database = postgres::database().await.unwrap();
    let script = std::fs::read_to_string(shared.join("data/northwind/northwind.sql")).unwrap();
    database
        .connect()
        .await
        .unwrap()
        .batch_execute(&script)
        .await
        .unwrap();
    let before = checksum(&database).await;
    assert_eq!(before.len(), 14);

    let server = Launch::new(repository().join("examples/northwind"))
        .database(&database.url)
        .start()
        .await
        .unwrap();
    let client = server.client().unwrap();
    let mut wrong = Vec::new();
    let cases = vec![
        ("/odata/Customers/$count", json!(91)),
        ("/odata/Orders/$count", json!(830)),
        ("/odata/OrderDetails/$count", json!(2155)),
        ("/odata/Products/$count", json!(77)),
        ("/odata/Employees/$count", json!(9)),
        ("/odata/Territories/$count", json!(53)),
        ("/odata/EmployeeTerritories/$count", json!(49)),
        ("/odata/Shippers/$count", json!(6)),
        ("/odata/UsStates/$count", json!(51)),
        (
            "/odata/Customers('ALFKI')",
            json!({"CustomerID": "ALFKI", "CompanyName": "Alfreds Futterkiste", "City": "Berlin", "Region": null}),
        ),
        ("/odata/Customers('ALFKI')/Orders/$count", json!(6)),
        (
            "/odata/OrderDetails(OrderID=10248,ProductID=11)",
            json!({"UnitPrice": 14, "Quantity": 12, "Discount": 0}),
        ),
        (
            "/odata/OrderDetails(OrderID%3D10248%2CProductID%3D11)",
            json!({"OrderID": 10248}),
        ),
        (
            "/odata/OrderDetails(ProductID=11,OrderID=10248)",
            json!({"OrderID": 10248}),
        ),
        (
            "/odata/OrderDetails(OrderID=10248,ProductID=11)/Product/Supplier",
            json!({"CompanyName": "Cooperativa de Quesos 'Las Cabras'"}),
        ),
        (
            "/odata/Orders(10248)",
            json!({"CustomerID": "VINET", "OrderDate": "1996-07-04", "Freight": 32.38}),
        ),
        (
            "/odata/Orders(10248)?$expand=Customer,OrderDetails($orderby=ProductID)",
            json!({
                "Customer": {"CompanyName": "Vins et alcools Chevalier"},
                "OrderDetails": [{"ProductID": 11, "UnitPrice": 14}, {"ProductID": 42, "UnitPrice": 9.8}, {"ProductID": 72, "UnitPrice": 34.8}],
            }),
        ),
        (
            "/odata/Orders?$filter=Freight eq 32.38&$select=OrderID",
            json!({"value": [{"OrderID": 10248}]}),
        ),
        (
            "/odata/Orders?$orderby=Freight desc&$top=1&$select=OrderID,Freight",
            json!({"value": [{"OrderID": 10540, "Freight": 1007.64}]}),
        ),
        (
            "/odata/Orders/$count?$filter=year(OrderDate) eq 1997",
            json!(408),
        ),
        (
            "/odata/Orders/$count?$filter=ShippedDate eq null",
            json!(21),
        ),
        (
            "/odata/Orders/$count?$filter=Customer/Country eq 'Germany'",
            json!(122),
        ),
        (
            "/odata/Orders/$count?$filter=OrderDetails/any(d:d/Discount gt 0.2)",
            json!(72),
        ),
        ("/odata/Customers/$count?$filter=not Orders/any()", json!(2)),
        (
            "/odata/Customers?$filter=not Orders/any()&$orderby=CustomerID&$select=CustomerID",
            json!({"value": [{"CustomerID": "FISSA"}, {"CustomerID": "PARIS"}]}),
        ),
        (
            "/odata/Customers/$count?$filter=Country in ('Germany','France')",
            json!(22),
        ),
        ("/odata/Products/$count?$filter=UnitPrice gt 50", json!(7)),
        (
            "/odata/Products?$orderby=UnitPrice desc&$top=1&$expand=Category",
            json!({"value": [
            {"ProductName": "Côte de Blaye", "UnitPrice": 263.5, "Category": {"CategoryName": "Beverages"}}]}),
        ),
        (
            "/odata/Employees(5)/DirectReports?$orderby=EmployeeID&$select=LastName",
            json!({"value": [
            {"LastName": "Suyama"}, {"LastName": "King"}, {"LastName": "Dodsworth"}]}),
        ),
        (
            "/odata/Employees(9)?$expand=ReportsTo($expand=ReportsTo)",
            json!({"ReportsTo": {"LastName": "Buchanan", "ReportsTo": {"LastName": "Fuller"}}}),
        ),
        (
            "/odata/Employees?$filter=ReportsTo eq null&$select=LastName",
            json!({"value": [{"LastName": "Fuller"}]}),
        ),
        (
            "/odata/Employees/$count?$filter=ReportsTo/LastName eq 'Fuller'",
            json!(5),
        ),
        (
            "/odata/Employees(1)/Territories?$orderby=TerritoryID&$select=TerritoryID",
            json!({"value": [{"TerritoryID": "06897"}, {"TerritoryID": "19713"}]}),
        ),
    ];
    for (path, expected) in cases {
        let answer = client.get(path).await.unwrap();
        expect(&mut wrong, path, &answer, 200, &expected);
    }
    let metadata = client
        .get("/odata/$metadata")
        .await
        .unwrap()
        .expect_status(200)
        .unwrap()
        .text();
    for part in [
        "EntityType Name=\"OrderDetail\"",
        "PropertyRef Name=\"OrderID\"",
        "ReferentialConstraint",
    ] {
        assert!(metadata.contains(part), "$metadata lacks {part}");
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );

    let (status, log) = server.stop().await.unwrap();
    assert!(status.success(), "{log}");
    assert_eq!(checksum(&database).await, before, "Northwind was changed");
}
