//! Faults in names.

use super::check;

#[test]
fn names_are_identifiers() {
    let text = r#"[entity."Order Line".attributes]
"1st" = "String"
"na-me" = "String"
"" = "String"
_ = "String"
[entity."Größe".attributes]
"Maß" = "Integer"
[enumeration.E]
values = ["A B", "ok"]
[role."a.b"]
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[invalid-name]: `Order Line` is not a name: it contains ` `
         --> model/shop.toml:1:9
          |
        1 | [entity."Order Line".attributes]
          |         ^^^^^^^^^^^^
          |
          = help: a name starts with a letter or `_` and goes on with letters, digits and `_`: `OrderLine`

        error[invalid-name]: `1st` is not a name: it starts with `1`
         --> model/shop.toml:2:1
          |
        2 | "1st" = "String"
          | ^^^^^
          |
          = help: a name starts with a letter or `_` and goes on with letters, digits and `_`: `st`

        error[invalid-name]: `na-me` is not a name: it contains `-`
         --> model/shop.toml:3:1
          |
        3 | "na-me" = "String"
          | ^^^^^^^
          |
          = help: a name starts with a letter or `_` and goes on with letters, digits and `_`: `NaMe`

        error[invalid-name]: the name is empty
         --> model/shop.toml:4:1
          |
        4 | "" = "String"
          | ^^

        error[invalid-name]: `_` is not a name: it has no letter
         --> model/shop.toml:5:1
          |
        5 | _ = "String"
          | ^
          |
          = help: a name starts with a letter or `_` and goes on with letters, digits and `_`

        error[invalid-name]: `A B` is not a name: it contains ` `
         --> model/shop.toml:9:11
          |
        9 | values = ["A B", "ok"]
          |           ^^^^^
          |
          = help: a name starts with a letter or `_` and goes on with letters, digits and `_`: `AB`

        error[invalid-name]: `a.b` is not a name: it contains `.`
          --> model/shop.toml:10:7
           |
        10 | [role."a.b"]
           |       ^^^^^
           |
           = help: a name starts with a letter or `_` and goes on with letters, digits and `_`: `AB`

        7 errors
        "#);
}

#[test]
fn long_names_are_refused() {
    let text = r#"[entity.NNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNN.attributes]
aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa = "String"
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[invalid-name]: the name `NNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNN…` is too long
         --> model/shop.toml:1:9
          |
        1 | ...ty.NNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNN.at...
          |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ 129 characters
          |
          = help: a name has at most 128 characters

        error[invalid-name]: the name of the table is too long for a database
         --> model/shop.toml:1:9
          |
        1 | ...ty.NNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNN.at...
          |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ `nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn` has 129 bytes
          |
          = help: at most 63 bytes are possible: name the table in the model with `table`

        error[invalid-name]: the name of the column is too long for a database
         --> model/shop.toml:2:1
          |
        2 | aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa = "String"
          | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` has 70 bytes
          |
          = help: at most 63 bytes are possible: name the column in the model with `column`

        3 errors
        "#);
}

#[test]
fn reserved_names_are_refused() {
    let text = r#"[entity.String]
[entity.A]
table = "pg_class"
[entity.A.attributes]
null = "String"
id = "String"
createdAt = "DateTime"
Version = { type = "Long", column = "_version" }
Xmin = "Integer"
[enumeration.Date]
values = ["A"]
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[reserved-name]: the name `String` is reserved
         --> model/shop.toml:1:9
          |
        1 | [entity.String]
          |         ^^^^^^
          |
          = help: choose another, such as `StringValue`

        error[reserved-name]: the table name `pg_class` is reserved
         --> model/shop.toml:3:9
          |
        3 | table = "pg_class"
          |         ^^^^^^^^^^
          |
          = help: names that start with `pg_` are kept for the system

        error[reserved-name]: the name `null` is reserved
         --> model/shop.toml:5:1
          |
        5 | null = "String"
          | ^^^^
          |
          = help: choose another, such as `nullValue`

        error[reserved-name]: the name `id` is reserved
         --> model/shop.toml:6:1
          |
        6 | id = "String"
          | ^^
          |
          = help: every entity has the generated key `id`: leave it out, or say `key = ["id"]` to make it your own

        error[reserved-name]: the name `createdAt` is reserved
         --> model/shop.toml:7:1
          |
        7 | createdAt = "DateTime"
          | ^^^^^^^^^
          |
          = help: every entity has `createdAt` and `changedAt`: leave it out, or choose another name

        error[reserved-name]: the column name `_version` is reserved
         --> model/shop.toml:8:37
          |
        8 | Version = { type = "Long", column = "_version" }
          |                                     ^^^^^^^^^^
          |
          = help: give the column another name with `column`

        error[reserved-name]: the column name `xmin` is reserved
         --> model/shop.toml:9:1
          |
        9 | Xmin = "Integer"
          | ^^^^
          |
          = help: give the column another name with `column`

        error[reserved-name]: the name `Date` is reserved
          --> model/shop.toml:10:14
           |
        10 | [enumeration.Date]
           |              ^^^^
           |
           = help: choose another, such as `DateValue`

        8 errors
        "#);
}

#[test]
fn duplicates_are_shown_with_the_first() {
    let text = r#"[entity.A.attributes]
Name = "String"
[entity.B]
extends = "A"
[entity.B.attributes]
Name = "String"
[entity.Order]
[entity.C]
collection = "Orders"
[enumeration.A]
values = ["X", "X"]
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[duplicate-name]: `A` is both an entity and an enumeration
         --> model/shop.toml:1:9
          |
        1 | [entity.A.attributes]
          |         ^
          |
          = help: types share one space of names in the service: rename one of them

        error[duplicate-name]: A, in the hierarchy of B, already has `Name`
         --> model/shop.toml:6:1
          |
        2 | Name = "String"
          | ---- first given here
        ...
        6 | Name = "String"
          | ^^^^ given again here

        error[duplicate-name]: the collection `Orders` is given twice
         --> model/shop.toml:9:14
          |
        7 | [entity.Order]
          |         ----- first given here
        8 | [entity.C]
        9 | collection = "Orders"
          |              ^^^^^^^^ given again here
          |
          = help: give one of them another name with `collection`

        error[duplicate-name]: the value `X` is given twice
          --> model/shop.toml:11:16
           |
        11 | values = ["X", "X"]
           |           ---  ^^^ given again here
           |           |
           |           first given here

        4 errors
        "#);
}

#[test]
fn databases_do_not_tell_letter_case_apart() {
    let text = r#"[entity.Item.attributes]
OrderID = "String"
OrderId = "String"
ID = "String"
Other = { type = "String", column = "ORDER_ID" }
[entity.ITEM]
collection = "ITEMs"
[entity.Box.associations]
Items = { to = "Item", many_to_many = true, table = "item" }
Self = { to = "Box", many_to_many = true, columns = ["box", "BOX"] }
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[database-name-clash]: the column `order_id` of `OrderId` is already that of `OrderID` in Item
         --> model/shop.toml:3:1
          |
        2 | OrderID = "String"
          | ------- first used here
        3 | OrderId = "String"
          | ^^^^^^^
          |
          = help: names that differ in letter case only are one name to a database, and a hierarchy shares one table: give another with `column`

        error[database-name-clash]: the column `id` of `ID` is the generated key's
         --> model/shop.toml:4:1
          |
        4 | ID = "String"
          | ^^
          |
          = help: give it another name with `column`, or make the attribute the key: `key = ["…"]`

        error[database-name-clash]: the column `ORDER_ID` of `Other` is already that of `OrderID` in Item
         --> model/shop.toml:5:37
          |
        2 | OrderID = "String"
          | ------- first used here
        ...
        5 | Other = { type = "String", column = "ORDER_ID" }
          |                                     ^^^^^^^^^^
          |
          = help: names that differ in letter case only are one name to a database, and a hierarchy shares one table: give another with `column`

        error[database-name-clash]: the table `item` is used twice
         --> model/shop.toml:6:9
          |
        1 | [entity.Item.attributes]
          |         ---- first used here
        ...
        6 | [entity.ITEM]
          |         ^^^^
          |
          = help: names that differ in letter case only are one name to a database: give another with `table`

        error[database-name-clash]: the table `item` is used twice
         --> model/shop.toml:9:53
          |
        1 | [entity.Item.attributes]
          |         ---- first used here
        ...
        9 | Items = { to = "Item", many_to_many = true, table = "item" }
          |                                                     ^^^^^^
          |
          = help: names that differ in letter case only are one name to a database: give another with `table`

        error[database-name-clash]: the column `BOX` is used twice
          --> model/shop.toml:10:61
           |
        10 | Self = { to = "Box", many_to_many = true, columns = ["box", "BOX"] }
           |                                                      -----  ^^^^^
           |                                                      |
           |                                                      first used here
           |
           = help: name the columns of the table with `columns`: this side first

        6 errors
        "#);
}

#[test]
fn siblings_share_a_table() {
    let text = r#"[entity.Animal]
[entity.Cat]
extends = "Animal"
[entity.Cat.attributes]
Colour = "String"
[entity.Dog]
extends = "Animal"
[entity.Dog.attributes]
Colour = "Integer"
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[database-name-clash]: the column `colour` of `Colour` is already that of `Colour` in Cat
         --> model/shop.toml:9:1
          |
        5 | Colour = "String"
          | ------ first used here
        ...
        9 | Colour = "Integer"
          | ^^^^^^
          |
          = help: names that differ in letter case only are one name to a database, and a hierarchy shares one table: give another with `column`

        1 error
        "#);
}

#[test]
fn generated_names_of_constraints_stay_apart() {
    let text = r#"[entity.a_b]
unique = [["c"]]
[entity.a_b.attributes]
c = "String"
[entity.a]
unique = [["b_c"]]
[entity.a.attributes]
b_c = "String"
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[database-name-clash]: the unique constraint on b_c of a and the unique constraint on c of a_b would both be called `uq_a_b_c`
         --> model/shop.toml:5:9
          |
        1 | [entity.a_b]
          |         --- the other
        ...
        5 | [entity.a]
          |         ^
          |
          = help: rename a table or a column with `table` or `column`; indexes need different columns

        1 error
        "#);
}

#[test]
fn a_base_is_no_specialisation_of_itself() {
    let text = r#"[entity.A]
extends = "B"
[entity.B]
extends = "C"
[entity.C]
extends = "A"
[entity.D]
extends = "A"
unique = [["Unknown"]]
[entity.E]
extends = "E"
[entity.F]
extends = "Missing"
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[extends-cycle]: A extends itself
         --> model/shop.toml:2:11
          |
        2 | extends = "B"
          |           ^^^ A → B → C → A
        3 | [entity.B]
        4 | extends = "C"
          |           --- part of the circle
        5 | [entity.C]
        6 | extends = "A"
          |           --- part of the circle
          |
          = help: a base cannot be its own specialisation: remove one `extends`

        error[extends-cycle]: E extends itself
          --> model/shop.toml:11:11
           |
        11 | extends = "E"
           |           ^^^ E → E
           |
           = help: a base cannot be its own specialisation: remove one `extends`

        error[unknown-entity]: the model has no entity `Missing`
          --> model/shop.toml:13:11
           |
        13 | extends = "Missing"
           |           ^^^^^^^^^

        3 errors
        "#);
}

#[test]
fn only_the_base_has_key_and_table() {
    let text = r#"[entity.Party]
[entity.Person]
extends = "Party"
key = ["Name"]
table = "person"
external = false
[entity.Person.attributes]
Name = "String"
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[base-only]: a specialisation cannot have its own `key`
         --> model/shop.toml:4:7
          |
        4 | key = ["Name"]
          |       ^^^^^^^^
          |
          = help: one table holds the whole hierarchy: say it at Party, or leave it out

        error[base-only]: a specialisation cannot have its own `table`
         --> model/shop.toml:5:9
          |
        5 | table = "person"
          |         ^^^^^^^^
          |
          = help: one table holds the whole hierarchy: say it at Party, or leave it out

        error[base-only]: a specialisation cannot have its own `external`
         --> model/shop.toml:6:12
          |
        6 | external = false
          |            ^^^^^
          |
          = help: one table holds the whole hierarchy: say it at Party, or leave it out

        3 errors
        "#);
}

#[test]
fn former_names_are_former() {
    let text = r#"[entity.A]
renamed_from = "B"
[entity.B]
renamed_from = "B"
[entity.B.attributes]
One = { type = "String", renamed_from = "Old" }
Two = { type = "String", renamed_from = "Old" }
Three = { type = "String", renamed_from = "One" }
[enumeration.E]
values = ["X", { name = "Y", renamed_from = "X" }]
renamed_from = "F"
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[invalid-rename]: the former name `B` is still in use
         --> model/shop.toml:2:16
          |
        2 | renamed_from = "B"
          |                ^^^
          |
          = help: `renamed_from` names what this was called in an earlier release

        error[invalid-rename]: the former name `B` is the name itself
         --> model/shop.toml:4:16
          |
        2 | renamed_from = "B"
          |                --- first given here
        3 | [entity.B]
        4 | renamed_from = "B"
          |                ^^^
          |
          = help: `renamed_from` names what this was called in an earlier release

        error[invalid-rename]: the former name `Old` is already the former name of another
         --> model/shop.toml:7:41
          |
        6 | One = { type = "String", renamed_from = "Old" }
          |                                         ----- first given here
        7 | Two = { type = "String", renamed_from = "Old" }
          |                                         ^^^^^
          |
          = help: `renamed_from` names what this was called in an earlier release

        error[invalid-rename]: the former name `One` is still in use
         --> model/shop.toml:8:43
          |
        8 | Three = { type = "String", renamed_from = "One" }
          |                                           ^^^^^
          |
          = help: `renamed_from` names what this was called in an earlier release

        error[invalid-rename]: the former name `X` is still in use
          --> model/shop.toml:10:45
           |
        10 | values = ["X", { name = "Y", renamed_from = "X" }]
           |                                             ^^^
           |
           = help: `renamed_from` names what this was called in an earlier release

        error[unknown-key]: unknown key `renamed_from`
          --> model/shop.toml:11:1
           |
        11 | renamed_from = "F"
           | ^^^^^^^^^^^^
           |
           = help: known keys here: values, label, description

        6 errors
        "#);
}

#[test]
fn enumerations_have_values() {
    let text = r#"[enumeration.E]
values = []
[enumeration.F]
[entity.A.attributes]
E = "E"
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[missing-key]: the enumeration E has no values
         --> model/shop.toml:1:14
          |
        1 | [enumeration.E]
          |              ^
          |
          = help: write `values = ["First", "Second"]`

        error[missing-key]: the key `values` is missing
         --> model/shop.toml:3:14
          |
        3 | [enumeration.F]
          |              ^
          |
          = help: Members in order: names, or tables with name, label and renamed_from.

        error[missing-key]: the enumeration F has no values
         --> model/shop.toml:3:14
          |
        3 | [enumeration.F]
          |              ^
          |
          = help: write `values = ["First", "Second"]`

        3 errors
        "#);
}
