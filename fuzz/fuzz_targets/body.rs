//! Any body of a write is judged: no panic, no unbounded time or memory, and every fault can be shown.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use stoa_model::application::Limits;
use stoa_model::change::{Expected, Target};
use stoa_model::model::Model;
use stoa_model::value::Value;
use stoa_odata::body::{self, Method, Options, Place};

const MODEL: &str = r#"
[enumeration.Status]
values = ["Draft", "Placed"]
[entity.Party]
collection = "Parties"
[entity.Party.attributes]
Name = { type = "String", length = 10, required = true }
[entity.Order]
collection = "Orders"
[entity.Order.attributes]
Status = { type = "Status", default = "Draft" }
PlacedAt = { type = "DateTime", default = "now" }
DueOn = { type = "Date" }
At = { type = "Time" }
Lasts = { type = "Duration" }
Total = { type = "Decimal", precision = 12, scale = 2, minimum = "0" }
Weight = { type = "Long" }
Badge = { type = "Uuid" }
Seal = { type = "Binary", length = 4 }
Extra = { type = "Json" }
[entity.Order.associations]
Party = { to = "Party", required = true, inverse = "Orders" }
Lines = { to = "Line", many = true, contained = true, inverse = "Order" }
[entity.Line]
[entity.Line.attributes]
Position = { type = "Integer", required = true, minimum = 1 }
"#;

static SHOP: LazyLock<Model> =
    LazyLock::new(|| Model::from_text("shop", MODEL).expect("the model is valid"));

fuzz_target!(|json: &[u8]| {
    let model = &*SHOP;
    let limits = Limits::default();
    let options = Options {
        limits: &limits,
        ieee754_compatible: true,
        root: "https://shop.example/odata/",
        now: 0,
    };
    let order = model.entities_by_name["Order"];
    if let Err(error) = body::create(model, order, json, &options, &Place::default()) {
        assert!(!error.to_json().is_empty());
    }
    let target = Target::Key(vec![Value::Uuid(Default::default())]);
    for method in [Method::Patch, Method::Put] {
        let result = body::update(
            model,
            order,
            target.clone(),
            Expected::Any,
            method,
            json,
            &options,
        );
        if let Ok(write) = result {
            assert!(write.change.operations.len() <= limits.write_operations);
        }
    }
});
