//! What filters and orders mean, told by an oracle that reads the same CSV files.

use std::collections::{BTreeSet, HashMap};

use stoa_testing::repository;

use crate::services::Service;

type Row = HashMap<String, String>;

/// The sample data as the files have it.
pub(crate) struct Data {
    pub(crate) tables: HashMap<&'static str, Vec<Row>>,
    /// Lines by order.
    lines: HashMap<String, Vec<Row>>,
}

impl Data {
    pub(crate) fn read() -> Self {
        let folder = repository().join("examples/wholesale/data");
        let read = |name: &str| -> Vec<Row> {
            let mut reader = csv::Reader::from_path(folder.join(format!("{name}.csv"))).unwrap();
            reader.deserialize().map(Result::unwrap).collect()
        };
        let mut lines: HashMap<String, Vec<Row>> = HashMap::new();
        for line in read("OrderLine") {
            lines.entry(line["Order"].clone()).or_default().push(line);
        }
        let tables = [
            "Customers",
            "Orders",
            "Products",
            "Employees",
            "Categories",
            "Suppliers",
            "Shipments",
            "Regions",
        ]
        .map(|name| (name, read(name)))
        .into();
        Self { tables, lines }
    }

    fn find<'a>(&'a self, table: &str, key: &str, value: &str) -> Option<&'a Row> {
        self.tables[table].iter().find(|row| row[key] == value)
    }
}

/// Thousandths, exactly.
fn decimal(text: &str) -> i64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    whole.parse::<i64>().unwrap() * 1000 + format!("{fraction:0<3.3}").parse::<i64>().unwrap()
}

fn number(text: &str) -> i64 {
    text.parse().unwrap()
}

type Predicate = fn(&Data, &Row) -> bool;

/// Collection, filter, and what the filter means.
const FILTERS: &[(&str, &str, Predicate)] = &[
    ("Customers", "City eq 'Basel'", |_, c| c["City"] == "Basel"),
    ("Customers", "City eq 'basel'", |_, _| false),
    ("Customers", "tolower(City) eq 'zürich'", |_, c| {
        c["City"].to_lowercase() == "zürich"
    }),
    ("Customers", "toupper(City) eq 'WROCŁAW'", |_, c| {
        c["City"].to_uppercase() == "WROCŁAW"
    }),
    ("Customers", "contains(Name,'Café')", |_, c| {
        c["Name"].contains("Café")
    }),
    ("Customers", "contains(Name,'’')", |_, c| {
        c["Name"].contains('’')
    }),
    ("Customers", "contains(Name,'''')", |_, c| {
        c["Name"].contains('\'')
    }),
    ("Customers", "contains(Name,'%25')", |_, c| {
        c["Name"].contains('%')
    }),
    ("Customers", "contains(Name,'_')", |_, c| {
        c["Name"].contains('_')
    }),
    (
        "Customers",
        "startswith(Name,'Almond') or endswith(Name,'Grill')",
        |_, c| c["Name"].starts_with("Almond") || c["Name"].ends_with("Grill"),
    ),
    ("Customers", "Name lt 'B'", |_, c| c["Name"].as_str() < "B"),
    ("Customers", "Name gt 'Z'", |_, c| c["Name"].as_str() > "Z"),
    ("Customers", "length(City) eq 6", |_, c| {
        c["City"].chars().count() == 6
    }),
    ("Customers", "indexof(City,'ü') eq 1", |_, c| {
        c["City"].chars().position(|c| c == 'ü') == Some(1)
    }),
    ("Customers", "substring(City,1,2) eq 'ür'", |_, c| {
        c["City"].chars().skip(1).take(2).eq("ür".chars())
    }),
    (
        "Customers",
        "concat(concat(City,', '),Country) eq 'Basel, CH'",
        |_, c| c["City"] == "Basel" && c["Country"] == "CH",
    ),
    ("Customers", "trim(concat('  ',City)) eq 'Basel'", |_, c| {
        c["City"] == "Basel"
    }),
    ("Customers", "Country in ('CH','AT','LI')", |_, c| {
        ["CH", "AT", "LI"].contains(&c["Country"].as_str())
    }),
    ("Customers", "Rating eq null", |_, c| c["Rating"].is_empty()),
    ("Customers", "Rating ne null", |_, c| {
        !c["Rating"].is_empty()
    }),
    ("Customers", "Rating ne 5", |_, c| c["Rating"] != "5"),
    ("Customers", "Rating gt 3", |_, c| {
        !c["Rating"].is_empty() && number(&c["Rating"]) > 3
    }),
    ("Customers", "not (Rating gt 3)", |_, c| {
        c["Rating"].is_empty() || number(&c["Rating"]) <= 3
    }),
    ("Customers", "Rating in (1,null)", |_, c| {
        c["Rating"].is_empty() || c["Rating"] == "1"
    }),
    ("Customers", "Blocked", |_, c| c["Blocked"] == "true"),
    ("Customers", "not Blocked and Credit gt 10000", |_, c| {
        c["Blocked"] == "false" && decimal(&c["Credit"]) > 10_000_000
    }),
    ("Customers", "Credit eq 1000.00", |_, c| {
        decimal(&c["Credit"]) == 1_000_000
    }),
    ("Customers", "Kind eq 'Cafe'", |_, c| c["Kind"] == "Cafe"),
    (
        "Customers",
        "Kind eq Wholesale.CustomerKind'Hotel'",
        |_, c| c["Kind"] == "Hotel",
    ),
    ("Customers", "Kind gt 'Restaurant'", |_, c| {
        ["Hotel", "Canteen"].contains(&c["Kind"].as_str())
    }),
    ("Customers", "DeliverFrom le 07:00:00", |_, c| {
        !c["DeliverFrom"].is_empty() && c["DeliverFrom"].as_str() <= "07:00:00"
    }),
    (
        "Customers",
        "Since ge 2020-01-01 and Since lt 2021-01-01",
        |_, c| c["Since"].starts_with("2020"),
    ),
    (
        "Customers",
        "year(Since) eq 2020 or month(Since) eq 3",
        |_, c| c["Since"].starts_with("2020") || c["Since"][5..].starts_with("03"),
    ),
    ("Customers", "Region/Code eq 'FRANCE'", |_, c| {
        c["Region"] == "FRANCE"
    }),
    (
        "Customers",
        "Region/Name eq 'Spain and Portugal'",
        |_, c| c["Region"] == "IBERIA",
    ),
    ("Customers", "not Orders/any()", |d, c| {
        !d.tables["Orders"].iter().any(|o| o["Customer"] == c["id"])
    }),
    (
        "Customers",
        "Country eq 'DE' and Orders/any(o:o/Status eq 'Cancelled')",
        |d, c| {
            c["Country"] == "DE"
                && d.tables["Orders"]
                    .iter()
                    .any(|o| o["Customer"] == c["id"] && o["Status"] == "Cancelled")
        },
    ),
    ("Customers", "Orders/$count gt 30", |d, c| {
        d.tables["Orders"]
            .iter()
            .filter(|o| o["Customer"] == c["id"])
            .count()
            > 30
    }),
    (
        "Orders",
        "Status gt 'Placed' and Status ne 'Delivered'",
        |_, o| ["Shipped", "Cancelled"].contains(&o["Status"].as_str()),
    ),
    ("Orders", "Total gt 5000", |_, o| {
        decimal(&o["Total"]) > 5_000_000
    }),
    ("Orders", "Total eq 539.3", |_, o| {
        decimal(&o["Total"]) == 539_300
    }),
    ("Orders", "Total mul 2 ge 20000.1", |_, o| {
        decimal(&o["Total"]) * 2 >= 20_000_100
    }),
    (
        "Orders",
        "Reference ne null and startswith(Reference,'PO-1')",
        |_, o| o["Reference"].starts_with("PO-1"),
    ),
    ("Orders", "PlacedAt ge 2026-10-01T00:00:00Z", |_, o| {
        o["PlacedAt"].as_str() >= "2026-10-01T00:00:00Z"
    }),
    (
        "Orders",
        "PlacedAt ge 2026-10-01T02:00:00%2B02:00",
        |_, o| o["PlacedAt"].as_str() >= "2026-10-01T00:00:00Z",
    ),
    ("Orders", "date(PlacedAt) eq 2025-03-03", |_, o| {
        o["PlacedAt"].starts_with("2025-03-03")
    }),
    (
        "Orders",
        "hour(PlacedAt) eq 7 and year(PlacedAt) eq 2025",
        |_, o| o["PlacedAt"].starts_with("2025") && &o["PlacedAt"][11..13] == "07",
    ),
    (
        "Orders",
        "minute(PlacedAt) eq 0 and second(PlacedAt) lt 10",
        |_, o| &o["PlacedAt"][14..16] == "00" && &o["PlacedAt"][17..19] < "10",
    ),
    ("Orders", "time(PlacedAt) lt 06:30:00", |_, o| {
        &o["PlacedAt"][11..19] < "06:30:00"
    }),
    ("Orders", "Customer/City eq 'Basel'", |d, o| {
        d.find("Customers", "id", &o["Customer"]).unwrap()["City"] == "Basel"
    }),
    (
        "Orders",
        "Customer/Region/Code eq 'FRANCE' and Status eq 'Cancelled'",
        |d, o| {
            o["Status"] == "Cancelled"
                && d.find("Customers", "id", &o["Customer"]).unwrap()["Region"] == "FRANCE"
        },
    ),
    ("Orders", "Lines/$count ge 12", |d, o| {
        d.lines[&o["id"]].len() >= 12
    }),
    (
        "Orders",
        "Lines/any(l:l/Quantity ge 40 and l/Discount gt 0)",
        |d, o| {
            d.lines[&o["id"]]
                .iter()
                .any(|l| number(&l["Quantity"]) >= 40 && decimal(&l["Discount"]) > 0)
        },
    ),
    ("Orders", "Lines/all(l:l/UnitPrice lt 8)", |d, o| {
        d.lines[&o["id"]]
            .iter()
            .all(|l| decimal(&l["UnitPrice"]) < 8000)
    }),
    (
        "Orders",
        "year(PlacedAt) eq 2024 and Lines/any(l:l/Product/Category/Code eq 'COF')",
        |d, o| {
            o["PlacedAt"].starts_with("2024")
                && d.lines[&o["id"]]
                    .iter()
                    .any(|l| d.find("Products", "Sku", &l["Product"]).unwrap()["Category"] == "COF")
        },
    ),
    ("Orders", "Shipment/Carrier eq 'Rail'", |d, o| {
        d.find("Shipments", "Order", &o["id"])
            .is_some_and(|s| s["Carrier"] == "Rail")
    }),
    ("Products", "Category/Parent/Code eq 'BEV'", |d, p| {
        d.find("Categories", "Code", &p["Category"]).unwrap()["Parent"] == "BEV"
    }),
    ("Products", "Price lt 5 or Discontinued", |_, p| {
        decimal(&p["Price"]) < 5000 || p["Discontinued"] == "true"
    }),
    ("Products", "Price mul 1.19 gt 100", |_, p| {
        decimal(&p["Price"]) * 119 > 10_000_000
    }),
    ("Products", "round(Price) eq 13", |_, p| {
        (decimal(&p["Price"]) + 500).div_euclid(1000) == 13
    }),
    ("Products", "floor(Price) eq 13", |_, p| {
        decimal(&p["Price"]).div_euclid(1000) == 13
    }),
    ("Products", "ceiling(Price) eq 14", |_, p| {
        (decimal(&p["Price"]) + 999).div_euclid(1000) == 14
    }),
    ("Products", "Stock mod 7 eq 0", |_, p| {
        number(&p["Stock"]) % 7 == 0
    }),
    ("Products", "Stock div 100 eq 3", |_, p| {
        number(&p["Stock"]) / 100 == 3
    }),
    ("Products", "Stock sub ReorderAt lt 0", |_, p| {
        !p["ReorderAt"].is_empty() && number(&p["Stock"]) < number(&p["ReorderAt"])
    }),
    ("Products", "-Stock ge -20", |_, p| {
        number(&p["Stock"]) <= 20
    }),
    ("Products", "Barcode gt 2001000001000", |_, p| {
        !p["Barcode"].is_empty() && number(&p["Barcode"]) > 2_001_000_001_000
    }),
    (
        "Products",
        "contains(Name,'×') and length(Name) gt 28",
        |_, p| p["Name"].contains('×') && p["Name"].chars().count() > 28,
    ),
    ("Products", "Unit eq 'Sack'", |_, p| p["Unit"] == "Sack"),
    ("Employees", "isof(Wholesale.Manager)", |_, e| {
        e["@type"] == "Manager"
    }),
    ("Employees", "ReportsTo eq null", |_, e| {
        e["ReportsTo"].is_empty()
    }),
    ("Employees", "ReportsTo/FirstName eq 'Edda'", |d, e| {
        d.find("Employees", "id", &e["ReportsTo"])
            .is_some_and(|boss| boss["FirstName"] == "Edda")
    }),
    (
        "Employees",
        "DirectReports/any(r:r/Department eq 'Sales')",
        |d, e| {
            d.tables["Employees"]
                .iter()
                .any(|r| r["ReportsTo"] == e["id"] && r["Department"] == "Sales")
        },
    ),
    ("Employees", "WeeklyHours lt duration'PT37H'", |_, e| {
        ["PT20H", "PT32H"].contains(&e["WeeklyHours"].as_str())
    }),
    ("Employees", "StartsAt eq 06:00:00", |_, e| {
        e["StartsAt"] == "06:00:00"
    }),
    (
        "Employees",
        "year(HiredOn) le 2015 and Department ne 'Sales'",
        |_, e| e["HiredOn"].as_str() < "2016" && e["Department"] != "Sales",
    ),
    ("SalesEmployees", "Commission gt 0.02", |_, e| {
        e["@type"] == "SalesEmployee" && decimal(&e["Commission"]) > 20
    }),
    ("Suppliers", "LeadTime gt duration'P7D'", |_, s| {
        ["P10D", "P14D"].contains(&s["LeadTime"].as_str())
    }),
    (
        "Suppliers",
        "Products/any(p:p/Category/Code eq 'TEA') and Organic eq null",
        |_, _| false,
    ),
];

pub(crate) async fn filters(data: &Data, services: &[Service; 2], wrong: &mut Vec<String>) {
    for (collection, filter, predicate) in FILTERS {
        let (table, key) = match *collection {
            "SalesEmployees" => ("Employees", "id"),
            "Products" => ("Products", "Sku"),
            other => (other, "id"),
        };
        let expected: BTreeSet<String> = data.tables[table]
            .iter()
            .filter(|row| predicate(data, row))
            .map(|row| row[key].clone())
            .collect();
        let top = expected.len().min(1000);
        let path = format!(
            "/odata/{collection}?$filter={filter}&$count=true&$select={key}&$orderby={key}&$top={top}"
        );
        for service in services {
            let answer = service.client.get(&path).await.unwrap();
            if answer.status != 200 {
                wrong.push(format!(
                    "{}: {path}\n  → {} {}",
                    service.database,
                    answer.status,
                    answer.text()
                ));
                continue;
            }
            let json = answer.json().unwrap();
            let found: BTreeSet<String> = json["value"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row[key].as_str().unwrap().to_owned())
                .collect();
            if json["@odata.count"] != expected.len() {
                wrong.push(format!(
                    "{}: {path}\n  → {} rows, expected {}",
                    service.database,
                    json["@odata.count"],
                    expected.len()
                ));
            } else if found != expected.iter().take(1000).cloned().collect() {
                wrong.push(format!(
                    "{}: {path}\n  → other rows than expected",
                    service.database
                ));
            }
        }
    }
}

pub(crate) async fn orders_of_rows(data: &Data, services: &[Service; 2], wrong: &mut Vec<String>) {
    let keys =
        |table: &str, key: &str, order: &dyn Fn(&Row, &Row) -> std::cmp::Ordering| -> Vec<String> {
            let mut rows: Vec<&Row> = data.tables[table].iter().collect();
            rows.sort_by(|a, b| order(a, b).then_with(|| a[key].cmp(&b[key])));
            rows.iter().take(50).map(|row| row[key].clone()).collect()
        };
    // Null before everything in ascending order, and after it in descending order.
    let rating = |row: &Row| {
        if row["Rating"].is_empty() {
            0
        } else {
            number(&row["Rating"])
        }
    };
    let kinds = ["Grocer", "Cafe", "Restaurant", "Hotel", "Canteen"];
    let kind = |row: &Row| kinds.iter().position(|kind| *kind == row["Kind"]);
    let region = |row: &Row| data.find("Regions", "Code", &row["Region"]).unwrap()["Name"].clone();
    let cases: Vec<(&str, &str, &str, Vec<String>)> = vec![
        (
            "Customers",
            "id",
            "Name",
            keys("Customers", "id", &|a, b| a["Name"].cmp(&b["Name"])),
        ),
        (
            "Customers",
            "id",
            "Name desc",
            keys("Customers", "id", &|a, b| b["Name"].cmp(&a["Name"])),
        ),
        (
            "Customers",
            "id",
            "Rating",
            keys("Customers", "id", &|a, b| rating(a).cmp(&rating(b))),
        ),
        ("Customers", "id", "Rating desc,City desc", {
            keys("Customers", "id", &|a, b| {
                rating(b)
                    .cmp(&rating(a))
                    .then_with(|| b["City"].cmp(&a["City"]))
            })
        }),
        ("Customers", "id", "Kind desc,Credit", {
            keys("Customers", "id", &|a, b| {
                kind(b)
                    .cmp(&kind(a))
                    .then_with(|| decimal(&a["Credit"]).cmp(&decimal(&b["Credit"])))
            })
        }),
        ("Customers", "id", "Region/Name,Since desc", {
            keys("Customers", "id", &|a, b| {
                region(a)
                    .cmp(&region(b))
                    .then_with(|| b["Since"].cmp(&a["Since"]))
            })
        }),
        ("Customers", "id", "length(Name) desc,Name", {
            keys("Customers", "id", &|a, b| {
                b["Name"]
                    .chars()
                    .count()
                    .cmp(&a["Name"].chars().count())
                    .then_with(|| a["Name"].cmp(&b["Name"]))
            })
        }),
        (
            "Products",
            "Sku",
            "Price desc",
            keys("Products", "Sku", &|a, b| {
                decimal(&b["Price"]).cmp(&decimal(&a["Price"]))
            }),
        ),
        ("Orders", "id", "Lines/$count desc", {
            keys("Orders", "id", &|a, b| {
                data.lines[&b["id"]].len().cmp(&data.lines[&a["id"]].len())
            })
        }),
    ];
    for (collection, key, order, expected) in cases {
        let path = format!("/odata/{collection}?$orderby={order}&$top=50&$select={key}");
        for service in services {
            let answer = service.client.get(&path).await.unwrap();
            let found: Vec<String> =
                match answer.json().map(|json| json["value"].as_array().cloned()) {
                    Ok(Some(rows)) => rows
                        .iter()
                        .map(|row| row[key].as_str().unwrap_or_default().to_owned())
                        .collect(),
                    _ => Vec::new(),
                };
            if found != expected {
                let first = found.iter().zip(&expected).position(|(a, b)| a != b);
                wrong.push(format!(
                    "{}: {path}\n  → {} {:.300}\n  first difference at {first:?}",
                    service.database,
                    answer.status,
                    answer.text()
                ));
            }
        }
    }
}
