//! A small application that has every attribute type and rule, for the tests that break things.

use stoa_testing::{open, process};
use tempfile::TempDir;

const MANIFEST: &str = r#"
name = "Trial"
"#;

const MODEL: &str = r#"
[enumeration.Colour]
values = ["Red", "Green", "Blue"]

[entity.Person]
collection = "People"
[entity.Person.attributes]
Name = { type = "String", length = 40, required = true }

[entity.Tag]
collection = "Tags"
key = ["Code"]
[entity.Tag.attributes]
Code = { type = "String", length = 8, required = true }

[entity.Thing]
collection = "Things"
unique = [["Shelf", "Slot"]]
[entity.Thing.attributes]
Name   = { type = "String", length = 20, required = true }
Code   = { type = "String", length = 8, unique = true, pattern = '^[a-z]+$' }
Count  = { type = "Integer", minimum = 0, maximum = 100 }
Big    = { type = "Long" }
Price  = { type = "Decimal", precision = 10, scale = 2, minimum = "0" }
Ready  = { type = "Boolean" }
At     = { type = "DateTime" }
On     = { type = "Date", minimum = "2000-01-01" }
From   = { type = "Time" }
Lasts  = { type = "Duration" }
Mark   = { type = "Uuid" }
Raw    = { type = "Binary", length = 8 }
Extra  = { type = "Json" }
Colour = { type = "Colour" }
Shelf  = { type = "Integer" }
Slot   = { type = "Integer" }
[entity.Thing.associations]
Owner = { to = "Person", inverse = "Things", on_delete = "prevent" }
Tags  = { to = "Tag", many_to_many = true, inverse = "Things" }
Parts = { to = "Part", many = true, contained = true, inverse = "Thing" }

[entity.Part]
[entity.Part.attributes]
Position = { type = "Integer", required = true, minimum = 1 }
Label    = { type = "String", length = 10 }
"#;

/// Its collections.
pub(crate) const COLLECTIONS: [&str; 3] = ["People", "Tags", "Things"];

/// The application folder. Everybody may do everything.
pub(crate) fn application() -> TempDir {
    process::application(&[
        ("app.toml", &open::manifest(MANIFEST)),
        ("model/trial.toml", &open::model(MODEL)),
    ])
    .unwrap()
}
