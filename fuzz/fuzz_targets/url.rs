//! Any URL is parsed and resolved: no panic, no unbounded time or memory, and every fault can be shown.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use stoa_model::application::Limits;
use stoa_model::model::Model;
use stoa_model::value::Value;
use stoa_odata::resolve::{Read, Target};
use stoa_odata::url::{Error, Url};

const MODEL: &str = r#"
[enumeration.Status]
values = ["Draft", "Placed"]
[entity.Customer.attributes]
Name = { type = "String", length = 120 }
[entity.Order]
key = ["Number"]
[entity.Order.attributes]
Number = { type = "Integer", required = true }
Total  = { type = "Decimal", precision = 12, scale = 2 }
Status = { type = "Status" }
[entity.Order.associations]
Customer = { to = "Customer", inverse = "Orders" }
Lines    = { to = "OrderLine", many = true, contained = true, inverse = "Order" }
[entity.OrderLine.attributes]
Quantity = { type = "Integer" }
[entity.Employee.associations]
Boss = { to = "Employee", inverse = "Reports" }
[entity.Manager]
extends = "Employee"
"#;

static SHOP: LazyLock<Model> =
    LazyLock::new(|| Model::from_text("Sales", MODEL).expect("the model is valid"));

fn read(text: &str) -> Result<Read, Error> {
    let limits = Limits::default();
    let (path, query) = match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    };
    let url = Url::parse(path, query, &limits)?;
    let target = Target::new(&SHOP, &url)?;
    Read::new(&SHOP, &url, &target, &limits, Some(7))
}

fuzz_target!(|text: &str| {
    match read(text) {
        Ok(read) => {
            for node in 0..5 {
                let _ =
                    read.paging
                        .next_link("https://host/", node, "Orders(1)", &[Value::Integer(1)]);
            }
        }
        Err(error) => assert!(!stoa_odata::error::Error::from(error).to_json().is_empty()),
    }
    let _ = Target::of_reference(&SHOP, "https://host/odata/", text, &Limits::default());
});
