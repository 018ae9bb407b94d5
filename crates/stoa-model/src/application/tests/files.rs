//! Faults of files as a whole: syntax, shape, reading.

use super::super::load;
use super::{check, load_files};
use crate::diagnostic::Code;

#[test]
fn unknown_keys_are_refused_with_the_nearest() {
    let text = r#"[entity.A]
lable = "A"
Name = { type = "String" }
zzz = 1
[entity.A.attributes]
Name = { type = "String", lenght = 5, requierd = true }
[entitiy.B]
[entity.B]
[[entity.B.access]]
role = "X"
reed = "*"
[role.X]
[entity.C.associations]
B = { to = "B", on_deleet = "clear" }
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[unknown-key]: unknown key `lable`
         --> model/shop.toml:2:1
          |
        2 | lable = "A"
          | ^^^^^
          |
          = help: did you mean `label`?

        error[unknown-key]: unknown key `Name`
         --> model/shop.toml:3:1
          |
        3 | Name = { type = "String" }
          | ^^^^
          |
          = help: it belongs under `[entity.….attributes]`

        error[unknown-key]: unknown key `zzz`
         --> model/shop.toml:4:1
          |
        4 | zzz = 1
          | ^^^
          |
          = help: known keys here: label, description, collection, extends, key, table, external, renamed_from, unique, index, attributes, associations, audit, access

        error[unknown-key]: unknown key `lenght`
         --> model/shop.toml:6:27
          |
        6 | Name = { type = "String", lenght = 5, requierd = true }
          |                           ^^^^^^
          |
          = help: did you mean `length`?

        error[unknown-key]: unknown key `requierd`
         --> model/shop.toml:6:39
          |
        6 | Name = { type = "String", lenght = 5, requierd = true }
          |                                       ^^^^^^^^
          |
          = help: did you mean `required`?

        error[unknown-key]: unknown key `entitiy`
         --> model/shop.toml:7:2
          |
        7 | [entitiy.B]
          |  ^^^^^^^
          |
          = help: did you mean `entity`?

        error[unknown-key]: unknown key `reed`
          --> model/shop.toml:11:1
           |
        11 | reed = "*"
           | ^^^^
           |
           = help: did you mean `read`?

        error[unknown-key]: unknown key `on_deleet`
          --> model/shop.toml:14:17
           |
        14 | B = { to = "B", on_deleet = "clear" }
           |                 ^^^^^^^^^
           |
           = help: did you mean `on_delete`?

        8 errors
        "#);
}

#[test]
fn toml_types_are_checked() {
    let text = r#"[entity.A]
label = 5
unique = ["Name"]
index = "Name"
key = "Name"
external = "yes"
attributes = []
[enumeration.E]
values = [1, { label = "x" }]
[entity.B.attributes]
One = 5
Two = { length = 5 }
Three = { type = "String", length = "5", required = 1, default = [], unique = 2026-01-01 }
[entity.B.associations]
Two = { many = true }
[entity.B.access]
role = "X"
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[wrong-type]: `label` takes a string
         --> model/shop.toml:2:9
          |
        2 | label = 5
          |         ^ this is a whole number

        error[wrong-type]: `unique` takes a list of lists of names
         --> model/shop.toml:3:11
          |
        3 | unique = ["Name"]
          |           ^^^^^^ this is a string
          |
          = help: write `unique = [["A", "B"]]`: one inner list for each unique

        error[wrong-type]: `index` takes a list of lists of names
         --> model/shop.toml:4:9
          |
        4 | index = "Name"
          |         ^^^^^^ this is a string

        error[wrong-type]: `key` takes a list of names
         --> model/shop.toml:5:7
          |
        5 | key = "Name"
          |       ^^^^^^ this is a string

        error[wrong-type]: `external` takes true or false
         --> model/shop.toml:6:12
          |
        6 | external = "yes"
          |            ^^^^^ this is a string

        error[wrong-type]: `attributes` takes a table
         --> model/shop.toml:7:14
          |
        7 | attributes = []
          |              ^^ this is a list

        error[missing-key]: the enumeration E has no values
         --> model/shop.toml:8:14
          |
        8 | [enumeration.E]
          |              ^
          |
          = help: write `values = ["First", "Second"]`

        error[wrong-type]: `values` takes a name or a table
         --> model/shop.toml:9:11
          |
        9 | values = [1, { label = "x" }]
          |           ^ this is a whole number

        error[missing-key]: the key `name` is missing
         --> model/shop.toml:9:14
          |
        9 | values = [1, { label = "x" }]
          |              ^^^^^^^^^^^^^^^
          |
          = help: Name, as used in the service and stored in the database.

        error[wrong-type]: `One` takes a table or a name
          --> model/shop.toml:11:7
           |
        11 | One = 5
           |       ^ this is a whole number

        error[missing-key]: the key `type` is missing
          --> model/shop.toml:12:1
           |
        12 | Two = { length = 5 }
           | ^^^
           |
           = help: String, Integer, Long, Decimal, Boolean, DateTime, Date, Time, Duration, Uuid, Binary, File, Json, AutoNumber, or an enumeration.

        error[wrong-type]: `length` takes a whole number
          --> model/shop.toml:13:37
           |
        13 | Three = { type = "String", length = "5", required = 1, default = [], unique = 2026-01-01 }
           |                                     ^^^ this is a string

        error[wrong-type]: `required` takes true or false
          --> model/shop.toml:13:53
           |
        13 | Three = { type = "String", length = "5", required = 1, default = [], unique = 2026-01-01 }
           |                                                     ^ this is a whole number

        error[wrong-type]: `default` takes a string, a number, true or false, or a date
          --> model/shop.toml:13:66
           |
        13 | Three = { type = "String", length = "5", required = 1, default = [], unique = 2026-01-01 }
           |                                                                  ^^ this is a list

        error[wrong-type]: `unique` takes true or false
          --> model/shop.toml:13:79
           |
        13 | Three = { type = "String", length = "5", required = 1, default = [], unique = 2026-01-01 }
           |                                                                               ^^^^^^^^^^ this is a date or time

        error[missing-key]: the key `to` is missing
          --> model/shop.toml:15:1
           |
        15 | Two = { many = true }
           | ^^^
           |
           = help: Entity at the other end.

        error[wrong-type]: `access` takes an array of tables, each headed by [[…]]
          --> model/shop.toml:16:1
           |
        16 | [entity.B.access]
           | ^^^^^^^^^^^^^^^^^ this is a table

        17 errors
        "#);
}

#[test]
fn a_key_given_twice_is_shown() {
    let text = r#"[entity.A]
label = "A"
label = "B"
[entity.A.attributes]
Name = "Strin"
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[duplicate-name]: `label` is given twice
         --> model/shop.toml:3:1
          |
        3 | label = "B"
          | ^^^^^

        error[unknown-type]: there is no attribute type `Strin`
         --> model/shop.toml:5:8
          |
        5 | Name = "Strin"
          |        ^^^^^^^
          |
          = help: did you mean `String`?

        2 errors
        "#);
}

#[test]
fn a_table_given_twice_is_shown() {
    let text = "[entity.A]\n[entity.B]\n[entity.A]\nlabl = \"x\"\n";
    insta::assert_snapshot!(check(text), @r#"
        error[duplicate-name]: `A` is given twice
         --> model/shop.toml:3:9
          |
        3 | [entity.A]
          |         ^

        error[unknown-key]: unknown key `labl`
         --> model/shop.toml:4:1
          |
        4 | labl = "x"
          | ^^^^
          |
          = help: did you mean `label`?

        2 errors
        "#);
}

#[test]
fn numbers_of_things_are_limited() {
    let mut text = "[entity.E0]\n".to_owned();
    for index in 1..18 {
        let base = index - 1;
        text += &format!("[entity.E{index}]\nextends = \"E{base}\"\n");
    }
    text += "[entity.Wide.attributes]\n";
    for index in 0..1001 {
        text += &format!("A{index} = \"String\"\n");
    }
    insta::assert_snapshot!(check(&text), @r#"
        error[too-many]: too many levels of `extends`
          --> model/shop.toml:32:9
           |
        32 | [entity.E16]
           |         ^^^
           |
           = help: at most 16 levels are possible

        error[too-many]: Wide has too many members
          --> model/shop.toml:36:9
           |
        36 | [entity.Wide.attributes]
           |         ^^^^
           |
           = help: at most 1000 attributes and 1000 associations are possible

        2 errors
        "#);
}

#[test]
fn every_fault_has_a_test() {
    let tests = [
        include_str!("associations.rs"),
        include_str!("attributes.rs"),
        include_str!("files.rs"),
        include_str!("loading.rs"),
        include_str!("names.rs"),
        include_str!("rules.rs"),
    ]
    .concat();
    // Pages are judged by the runtime and sites by the binary, which have the tests.
    for code in Code::ALL
        .iter()
        .filter(|code| **code != Code::InvalidPage && !code.is_of_site())
    {
        let is_shown =
            tests.contains(&format!("[{code}]: ")) || tests.contains(&format!("Code::{code:?},"));
        assert!(is_shown, "no test shows {code}");
    }
}

#[test]
fn syntax_is_shown_where_it_breaks() {
    let text = r#"[entity.A
label = 'A"
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[syntax]: not TOML: unclosed table, expected `]`
         --> model/shop.toml:1:10
          |
        1 | [entity.A
          |          ^

        1 error
        "#);
}

#[test]
fn a_broken_file_does_not_make_others_look_wrong() {
    let faults = load_files(&[
        ("app.toml", "name = \"shop\"\n"),
        (
            "model/broken.toml",
            "[entity.Customer.attributes]\nName = \"String\nCode = \n",
        ),
        (
            "model/good.toml",
            "[entity.Order.associations]\nCustomer = \"Customr\"\n[entity.Order]\nlabl = \"x\"\n",
        ),
    ])
    .unwrap_err();
    insta::assert_snapshot!(faults, @r#"
        error[syntax]: not TOML: invalid basic string, expected `"`
         --> model/broken.toml:2:15
          |
        2 | Name = "String
          |               ^

        error[syntax]: not TOML: string values must be quoted, expected literal string
         --> model/broken.toml:3:8
          |
        3 | Code = 
          |        ^

        error[unknown-key]: unknown key `labl`
         --> model/good.toml:4:1
          |
        4 | labl = "x"
          | ^^^^
          |
          = help: did you mean `label`?

        3 errors
        "#);
}

#[test]
fn duplicates_in_two_files_show_both() {
    let faults = load_files(&[
        ("app.toml", "name = \"shop\"\n"),
        ("model/a.toml", "[entity.Order]\n"),
        ("model/b.toml", "# second\n[entity.Order]\n"),
    ])
    .unwrap_err();
    insta::assert_snapshot!(faults, @r#"
        error[duplicate-name]: the entity `Order` is given twice
         --> model/b.toml:2:9
          |
        2 | [entity.Order]
          |         ^^^^^ given again here
          |
         ::: model/a.toml:1:9
          |
        1 | [entity.Order]
          |         ----- first given here

        1 error
        "#);
}

#[test]
fn the_manifest_is_checked() {
    let faults = load_files(&[(
        "app.toml",
        "name = \"my shop\"\nversoin = \"1\"\n[limits]\npage_rows = 0\nbody_byte = 5\nexpand_depth = 40\nurl_bytes = \"1k\"\n",
    )])
    .unwrap_err();
    insta::assert_snapshot!(faults, @r#"
        error[invalid-name]: `my shop` is not a name: it contains ` `
         --> app.toml:1:8
          |
        1 | name = "my shop"
          |        ^^^^^^^^^
          |
          = help: a name starts with a letter or `_` and goes on with letters, digits and `_`: `MyShop`

        error[unknown-key]: unknown key `versoin`
         --> app.toml:2:1
          |
        2 | versoin = "1"
          | ^^^^^^^
          |
          = help: did you mean `version`?

        error[out-of-range]: `page_rows` is out of range
         --> app.toml:4:13
          |
        4 | page_rows = 0
          |             ^
          |
          = help: legal: 1 to 100000

        error[unknown-key]: unknown key `body_byte`
         --> app.toml:5:1
          |
        5 | body_byte = 5
          | ^^^^^^^^^
          |
          = help: did you mean `body_bytes`?

        error[out-of-range]: `expand_depth` is out of range
         --> app.toml:6:16
          |
        6 | expand_depth = 40
          |                ^^
          |
          = help: legal: 0 to 32

        error[wrong-type]: `url_bytes` takes a whole number
         --> app.toml:7:13
          |
        7 | url_bytes = "1k"
          |             ^^^^ this is a string

        6 errors
        "#);
    let faults = load_files(&[("app.toml", "label = \"Shop\"\n")]).unwrap_err();
    insta::assert_snapshot!(faults, @r#"
        error[missing-key]: the key `name` is missing
         --> app.toml:1:1
          |
        1 | label = "Shop"
          | ^
          |
          = help: Namespace of the data service: an identifier.

        1 error
        "#);
    let faults = load_files(&[("app.toml", "name = \"Edm\"\n")]).unwrap_err();
    insta::assert_snapshot!(faults, @r#"
        error[reserved-name]: the name `Edm` is reserved
         --> app.toml:1:8
          |
        1 | name = "Edm"
          |        ^^^^^
          |
          = help: choose another, such as `EdmValue`

        1 error
        "#);
    let faults = load_files(&[("model/a.toml", "[entity.A]\n")]).unwrap_err();
    insta::assert_snapshot!(faults, @r#"
        error[unreadable]: `app.toml` is missing
         |
         = help: it holds at least the application's name: `name = "shop"`

        1 error
        "#);
}

#[test]
fn folders_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let faults = load(&folder.path().join("absent")).unwrap_err();
    assert_eq!(faults.iter().next().unwrap().code, Code::Unreadable);

    std::fs::write(folder.path().join("app.toml"), "name = \"shop\"\n").unwrap();
    std::fs::create_dir(folder.path().join("model")).unwrap();
    std::fs::write(folder.path().join("model/b.toml"), "[entity.B]\n").unwrap();
    std::fs::write(folder.path().join("model/a.toml"), "[entity.A]\n").unwrap();
    std::fs::write(folder.path().join("model/notes.md"), "no model").unwrap();
    let loaded = load(folder.path()).unwrap();
    let names: Vec<&str> = loaded
        .application
        .model
        .entities
        .iter()
        .filter(|entity| !entity.is_of_system())
        .map(|entity| entity.name.as_str())
        .collect();
    assert_eq!(names, ["A", "B"]);
    assert!(loaded.warnings.is_empty());

    std::fs::write(folder.path().join("model/c.toml"), b"# \xff\n").unwrap();
    std::fs::write(folder.path().join("model/d.toml"), "x".repeat(9 << 20)).unwrap();
    std::fs::create_dir(folder.path().join("model/e.toml")).unwrap();
    let codes: Vec<Code> = load(folder.path())
        .unwrap_err()
        .iter()
        .map(|fault| fault.code)
        .collect();
    assert_eq!(
        codes,
        [Code::Unreadable, Code::FileTooLarge, Code::Unreadable]
    );
}

#[test]
fn json_says_where() {
    let faults = load_files(&[
        ("app.toml", "name = \"shop\"\n"),
        (
            "model/a.toml",
            "[entity.A.attributes]\n\"Größe\" = \"Größe\"\nName = \"Strin\"\n",
        ),
    ])
    .unwrap_err();
    let json = serde_json::to_string_pretty(&faults.to_json()).unwrap();
    insta::assert_snapshot!(json, @r#"
        [
          {
            "code": "unknown-type",
            "severity": "error",
            "message": "there is no attribute type `Größe`",
            "file": "model/a.toml",
            "line": 2,
            "column": 11,
            "endLine": 2,
            "endColumn": 18,
            "start": 34,
            "end": 43,
            "help": "built-in types: String, Integer, Long, Decimal, Boolean, DateTime, Date, Time, Duration, Uuid, Binary, File, Json, AutoNumber; or an enumeration",
            "related": []
          },
          {
            "code": "unknown-type",
            "severity": "error",
            "message": "there is no attribute type `Strin`",
            "file": "model/a.toml",
            "line": 3,
            "column": 8,
            "endLine": 3,
            "endColumn": 15,
            "start": 51,
            "end": 58,
            "help": "did you mean `String`?",
            "related": []
          }
        ]
        "#);
}

#[test]
fn colour_is_optional() {
    let faults = load_files(&[("app.toml", "name = 5\n")]).unwrap_err();
    assert!(faults.render(true).contains('\u{1b}'));
    assert!(!faults.render(false).contains('\u{1b}'));
}

#[test]
fn the_examples_are_without_fault() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut seen = 0;
    for folder in std::fs::read_dir(examples).unwrap().flatten() {
        if !folder.path().join("app.toml").exists() {
            continue;
        }
        match load(&folder.path()) {
            Ok(loaded) => assert!(loaded.warnings.is_empty(), "{}", loaded.warnings),
            Err(faults) => panic!("{}\n{faults}", folder.path().display()),
        }
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn a_policy_is_one_line() {
    let manifest = |policy: &str| {
        let text = format!("name = \"shop\"\n[web]\ncontent_security_policy = {policy}\n");
        load_files(&[
            ("app.toml", &text),
            ("model/shop.toml", "[entity.A.attributes]\nB = \"String\"\n"),
        ])
    };
    let loaded = manifest("\"default-src 'self' https://example.com\"");
    assert!(loaded.is_ok());
    for wrong in [r#""a\r\nSet-Cookie: b=c""#, r#""""#, r#""default-src é""#] {
        let faults = manifest(wrong).unwrap_err().to_string();
        assert!(
            faults.contains("error[invalid-value]") && faults.contains("app.toml:3:27"),
            "{faults}"
        );
    }
}
