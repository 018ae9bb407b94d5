//! Any text as an expression: no panic, no unbounded time or memory; what is read can be printed and
//! read again.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use stoa_model::expression::bind::Binder;
use stoa_model::expression::syntax::{self, Limits, Search};
use stoa_model::model::Model;

const MODEL: &str = r#"
[enumeration.Status]
values = ["Draft", "Placed"]
[entity.A.attributes]
S = { type = "String", length = 10 }
I = { type = "Integer" }
L = { type = "Long" }
D = { type = "Decimal", precision = 12, scale = 2 }
B = { type = "Boolean" }
T = { type = "DateTime" }
Y = { type = "Date" }
C = { type = "Time" }
P = { type = "Duration" }
U = { type = "Uuid" }
X = { type = "Binary", length = 4 }
J = { type = "Json" }
E = { type = "Status" }
[entity.A.associations]
One = { to = "A", inverse = "Many" }
[entity.Special]
extends = "A"
[entity.Special.attributes]
Own = { type = "Integer" }
"#;

static SHOP: LazyLock<Model> =
    LazyLock::new(|| Model::from_text("shop", MODEL).expect("the model is valid"));

fuzz_target!(|text: &str| {
    let limits = Limits::default();
    let _ = Search::parse(text, limits);
    let Ok(node) = syntax::parse(text, limits) else {
        return;
    };
    let printed = node.to_string();
    match syntax::parse(
        &printed,
        Limits {
            bytes: usize::MAX,
            ..limits
        },
    ) {
        Ok(again) => assert_eq!(again.to_string(), printed),
        // Printing adds parentheses, which count as depth.
        Err(error) => assert_eq!(
            error.kind.code(),
            "ExpressionTooComplex",
            "{printed}: {error}"
        ),
    }
    let entity = SHOP.entities_by_name["A"];
    let aliases = [("p".to_owned(), node.clone())];
    let _ = Binder::new(&SHOP, entity)
        .with_aliases(&aliases)
        .with_user()
        .boolean(&node);
    let _ = Binder::new(&SHOP, entity)
        .with_aliases(&aliases)
        .in_expand()
        .scalar(&node);
});
