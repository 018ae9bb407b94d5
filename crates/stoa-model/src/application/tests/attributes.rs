//! Faults in attributes.

use super::check;

#[test]
fn unknown_types_are_reported_with_what_was_meant() {
    let text = r#"[entity.A.attributes]
One = "Strng"
Two = { type = "varchar" }
Three = { type = "B" }
Four = { type = "Quaternion" }
Five = "Colour"
[entity.B]
[enumeration.Color]
values = ["Red"]
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[unknown-type]: there is no attribute type `Strng`
         --> model/shop.toml:2:7
          |
        2 | One = "Strng"
          |       ^^^^^^^
          |
          = help: did you mean `String`?

        error[unknown-type]: there is no attribute type `varchar`
         --> model/shop.toml:3:16
          |
        3 | Two = { type = "varchar" }
          |                ^^^^^^^^^
          |
          = help: the type is called `String`

        error[unknown-type]: there is no attribute type `B`
         --> model/shop.toml:4:18
          |
        4 | Three = { type = "B" }
          |                  ^^^
          |
          = help: `B` is an entity: declare an association, `{ to = "B" }`

        error[unknown-type]: there is no attribute type `Quaternion`
         --> model/shop.toml:5:17
          |
        5 | Four = { type = "Quaternion" }
          |                 ^^^^^^^^^^^^
          |
          = help: built-in types: String, Integer, Long, Decimal, Boolean, DateTime, Date, Time, Duration, Uuid, Binary, File, Json, AutoNumber; or an enumeration

        error[unknown-type]: there is no attribute type `Colour`
         --> model/shop.toml:6:8
          |
        6 | Five = "Colour"
          |        ^^^^^^^^
          |
          = help: did you mean `Color`?

        5 errors
        "#);
}

#[test]
fn settings_must_go_with_the_type() {
    let text = r#"[entity.A.attributes]
One = { type = "Integer", length = 5, pattern = "x", precision = 3, scale = 1 }
Two = { type = "String", minimum = 1, maximum = 2 }
Three = { type = "AutoNumber", default = 1, minimum = 1, required = false }
Four = { type = "File", default = "x", length = 1000 }
Five = { type = "Integer", column_type = "smallint" }
Six = { type = "String", length = 20000000 }
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[not-applicable]: `length` does not go with the type Integer
         --> model/shop.toml:2:36
          |
        2 | One = { type = "Integer", length = 5, pattern = "x", precision = 3, scale = 1 }
          |                --------- the type  ^
          |
          = help: `length` is for String, Binary and File: leave it out

        error[not-applicable]: `pattern` does not go with the type Integer
         --> model/shop.toml:2:49
          |
        2 | One = { type = "Integer", length = 5, pattern = "x", precision = 3, scale = 1 }
          |                --------- the type               ^^^
          |
          = help: `pattern` is for String: leave it out

        error[not-applicable]: `precision` does not go with the type Integer
         --> model/shop.toml:2:66
          |
        2 | One = { type = "Integer", length = 5, pattern = "x", precision = 3, scale = 1 }
          |                --------- the type                                ^
          |
          = help: `precision` is for Decimal: leave it out

        error[not-applicable]: `scale` does not go with the type Integer
         --> model/shop.toml:2:77
          |
        2 | One = { type = "Integer", length = 5, pattern = "x", precision = 3, scale = 1 }
          |                --------- the type                                           ^
          |
          = help: `scale` is for Decimal: leave it out

        error[not-applicable]: `minimum` does not go with the type String
         --> model/shop.toml:3:36
          |
        3 | Two = { type = "String", minimum = 1, maximum = 2 }
          |                -------- the type   ^
          |
          = help: `minimum` is for numbers, dates, times and durations: leave it out

        error[not-applicable]: `maximum` does not go with the type String
         --> model/shop.toml:3:49
          |
        3 | Two = { type = "String", minimum = 1, maximum = 2 }
          |                -------- the type                ^
          |
          = help: `maximum` is for numbers, dates, times and durations: leave it out

        error[not-applicable]: `default` does not go with the type AutoNumber
         --> model/shop.toml:4:42
          |
        4 | Three = { type = "AutoNumber", default = 1, minimum = 1, required = false }
          |                  ------------ the type   ^
          |
          = help: `default` is for every type but AutoNumber, Binary and File: leave it out

        error[not-applicable]: `minimum` does not go with the type AutoNumber
         --> model/shop.toml:4:55
          |
        4 | Three = { type = "AutoNumber", default = 1, minimum = 1, required = false }
          |                  ------------ the type                ^
          |
          = help: `minimum` is for numbers, dates, times and durations: leave it out

        error[contradiction]: an AutoNumber is never null
         --> model/shop.toml:4:69
          |
        4 | Three = { type = "AutoNumber", default = 1, minimum = 1, required = false }
          |                                                                     ^^^^^
          |
          = help: leave it out

        error[not-applicable]: `default` does not go with the type File
         --> model/shop.toml:5:35
          |
        5 | Four = { type = "File", default = "x", length = 1000 }
          |                 ------ the type   ^^^
          |
          = help: `default` is for every type but AutoNumber, Binary and File: leave it out

        error[external]: `column_type` is for external entities
         --> model/shop.toml:6:42
          |
        6 | Five = { type = "Integer", column_type = "smallint" }
          |                                          ^^^^^^^^^^
          |
          = help: Stoa chooses the column's type from the attribute's: leave it out

        error[out-of-range]: the length is out of range
         --> model/shop.toml:7:35
          |
        7 | Six = { type = "String", length = 20000000 }
          |                                   ^^^^^^^^
          |
          = help: legal: 1 to 10485760; a String without `length` has no limit of its own

        12 errors
        "#);
}

#[test]
fn numbers_have_ranges() {
    let text = r#"[entity.A.attributes]
One = { type = "Decimal", precision = 19, scale = 2 }
Two = { type = "Decimal", precision = 4, scale = 5 }
Three = { type = "String", length = 0 }
Four = { type = "Decimal", precision = 0 }
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[out-of-range]: `precision` is out of range
         --> model/shop.toml:2:39
          |
        2 | One = { type = "Decimal", precision = 19, scale = 2 }
          |                                       ^^
          |
          = help: legal: 1 to 18

        error[out-of-range]: the scale 5 is larger than the precision 4
         --> model/shop.toml:3:50
          |
        3 | Two = { type = "Decimal", precision = 4, scale = 5 }
          |                                       -          ^
          |                                       |
          |                                       the precision
          |
          = help: legal: 0 to 4; the precision counts all digits

        error[out-of-range]: `length` is out of range
         --> model/shop.toml:4:37
          |
        4 | Three = { type = "String", length = 0 }
          |                                     ^
          |
          = help: legal: 1 to 4294967295

        error[out-of-range]: `precision` is out of range
         --> model/shop.toml:5:40
          |
        5 | Four = { type = "Decimal", precision = 0 }
          |                                        ^
          |
          = help: legal: 1 to 18

        4 errors
        "#);
}

#[test]
fn bounds_are_values_of_the_type_in_order() {
    let text = r#"[entity.A.attributes]
One = { type = "Integer", minimum = 5, maximum = 3 }
Two = { type = "Integer", maximum = 3000000000 }
Three = { type = "Date", minimum = 2026-02-01, maximum = "2026-02-30" }
Four = { type = "Duration", minimum = "P1Y" }
Five = { type = "Decimal", precision = 4, scale = 2, minimum = 123.4, maximum = "1.234" }
Six = { type = "DateTime", minimum = "yesterday" }
Seven = { type = "Time", maximum = "24:30" }
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[contradiction]: the minimum is greater than the maximum
         --> model/shop.toml:2:37
          |
        2 | One = { type = "Integer", minimum = 5, maximum = 3 }
          |                                     ^            - the maximum
          |
          = help: no value could ever be legal: exchange them

        error[invalid-value]: `3000000000` is no Integer
         --> model/shop.toml:3:37
          |
        3 | Two = { type = "Integer", maximum = 3000000000 }
          |                                     ^^^^^^^^^^
          |
          = help: legal: whole numbers from -2147483648 to 2147483647

        error[invalid-value]: `2026-02-30` is no Date
         --> model/shop.toml:4:58
          |
        4 | Three = { type = "Date", minimum = 2026-02-01, maximum = "2026-02-30" }
          |                                                          ^^^^^^^^^^^^
          |
          = help: write it like `2026-01-31`

        error[invalid-value]: `P1Y` is no Duration
         --> model/shop.toml:5:39
          |
        5 | Four = { type = "Duration", minimum = "P1Y" }
          |                                       ^^^^^
          |
          = help: write it like `P1DT2H30M`; years and months have no fixed length

        error[invalid-value]: `123.4` is no Decimal of precision 4 and scale 2
         --> model/shop.toml:6:64
          |
        6 | Five = { type = "Decimal", precision = 4, scale = 2, minimum = 123.4, maximum = "1.234" }
          |                                                                ^^^^^
          |
          = help: at most 2 digits before the point and 2 after it

        error[invalid-value]: `1.234` is no Decimal of precision 4 and scale 2
         --> model/shop.toml:6:81
          |
        6 | Five = { type = "Decimal", precision = 4, scale = 2, minimum = 123.4, maximum = "1.234" }
          |                                                                                 ^^^^^^^
          |
          = help: at most 2 digits before the point and 2 after it

        error[invalid-value]: `yesterday` is no DateTime
         --> model/shop.toml:7:38
          |
        7 | Six = { type = "DateTime", minimum = "yesterday" }
          |                                      ^^^^^^^^^^^
          |
          = help: write it like `2026-01-31T12:00:00Z`

        error[invalid-value]: `24:30` is no Time
         --> model/shop.toml:8:36
          |
        8 | Seven = { type = "Time", maximum = "24:30" }
          |                                    ^^^^^^^
          |
          = help: write it like `12:30:00`

        8 errors
        "#);
}

#[test]
fn defaults_obey_the_attributes_own_rules() {
    let text = r#"[entity.A.attributes]
One = { type = "String", length = 3, default = "four" }
Two = { type = "String", pattern = '^\d+$', default = "x" }
Three = { type = "Integer", minimum = 5, default = 4 }
Four = { type = "Integer", maximum = 5, default = "six" }
Five = { type = "Status", default = "Drft" }
Six = { type = "String", default = 5 }
Seven = { type = "Uuid", default = "now" }
Eight = { type = "Json", default = "{" }
Nine = { type = "Long", maximum = 5, default = 6 }
Ten = { type = "Boolean", default = "yes" }
[enumeration.Status]
values = ["Draft", "Done"]
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[invalid-value]: the default is too long
         --> model/shop.toml:2:48
          |
        2 | One = { type = "String", length = 3, default = "four" }
          |                                                ^^^^^^
          |
          = help: it has 4 characters, 3 are possible

        error[invalid-value]: the default does not match the pattern
         --> model/shop.toml:3:55
          |
        3 | Two = { type = "String", pattern = '^\d+$', default = "x" }
          |                                                       ^^^
          |
          = help: the pattern is ^\d+$

        error[invalid-value]: the default is less than the minimum
         --> model/shop.toml:4:52
          |
        4 | Three = { type = "Integer", minimum = 5, default = 4 }
          |                                                    ^
          |
          = help: change one of them

        error[invalid-value]: `six` is no Integer
         --> model/shop.toml:5:51
          |
        5 | Four = { type = "Integer", maximum = 5, default = "six" }
          |                                                   ^^^^^
          |
          = help: legal: whole numbers from -2147483648 to 2147483647

        error[invalid-value]: `Drft` is no member of the enumeration Status
         --> model/shop.toml:6:37
          |
        6 | Five = { type = "Status", default = "Drft" }
          |                                     ^^^^^^
          |
          = help: did you mean `Draft`?

        error[wrong-type]: the value of a text must be quoted
         --> model/shop.toml:7:36
          |
        7 | Six = { type = "String", default = 5 }
          |                                    ^
          |
          = help: write "5"

        error[invalid-value]: `now` is no Uuid
         --> model/shop.toml:8:36
          |
        8 | Seven = { type = "Uuid", default = "now" }
          |                                    ^^^^^
          |
          = help: write it like `018f4f6e-1c8b-7cc0-8a11-6d1d3f0b2f10`

        error[invalid-value]: `{` is no JSON
         --> model/shop.toml:9:36
          |
        9 | Eight = { type = "Json", default = "{" }
          |                                    ^^^
          |
          = help: EOF while parsing an object at line 1 column 1

        error[invalid-value]: the default is greater than the maximum
          --> model/shop.toml:10:48
           |
        10 | Nine = { type = "Long", maximum = 5, default = 6 }
           |                                                ^
           |
           = help: change one of them

        error[invalid-value]: `yes` is no Boolean
          --> model/shop.toml:11:37
           |
        11 | Ten = { type = "Boolean", default = "yes" }
           |                                     ^^^^^
           |
           = help: legal: true, false

        10 errors
        "#);
}

#[test]
fn patterns_are_regular_expressions() {
    let text = r#"[entity.A.attributes]
One = { type = "String", pattern = "(" }
Two = { type = "String", pattern = '(\w{1000}){1000}' }
Three = { type = "String", pattern = '(?=x)' }
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[invalid-pattern]: the pattern is no regular expression: unclosed group
         --> model/shop.toml:2:36
          |
        2 | One = { type = "String", pattern = "(" }
          |                                    ^^^
          |
          = help: in TOML, write patterns in single quotes: '^\d+$'

        error[invalid-pattern]: the pattern is too large when compiled
         --> model/shop.toml:3:36
          |
        3 | Two = { type = "String", pattern = '(\w{1000}){1000}' }
          |                                    ^^^^^^^^^^^^^^^^^^
          |
          = help: use smaller repetitions than `{1,1000}`

        error[invalid-pattern]: the pattern is no regular expression: look-around, including look-ahead and look-behind, is not supported
         --> model/shop.toml:4:38
          |
        4 | Three = { type = "String", pattern = '(?=x)' }
          |                                      ^^^^^^^
          |
          = help: in TOML, write patterns in single quotes: '^\d+$'

        3 errors
        "#);
}

#[test]
fn keys_must_be_able_to_identify() {
    let text = r#"[entity.A]
key = ["Code", "Cod", "Code", "Owner", "Blob", "createdAt"]
[entity.A.attributes]
Code = { type = "String", required = false }
Blob = "Binary"
[entity.A.associations]
Owner = "B"
[entity.B]
key = []
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[unknown-member]: A has no attribute or association `Cod`
         --> model/shop.toml:2:16
          |
        2 | key = ["Code", "Cod", "Code", "Owner", "Blob", "createdAt"]
          |                ^^^^^
          |
          = help: did you mean `Code`?

        error[invalid-key]: `Code` is twice in the key
         --> model/shop.toml:2:23
          |
        2 | key = ["Code", "Cod", "Code", "Owner", "Blob", "createdAt"]
          |        ------         ^^^^^^
          |        |
          |        first given here

        error[invalid-key]: `Owner` is an association: a key has attributes only
         --> model/shop.toml:2:31
          |
        2 | key = ["Code", "Cod", "Code", "Owner", "Blob", "createdAt"]
          |                               ^^^^^^^
          |
          = help: declare an attribute for its column, name that in the key, and say `foreign_key = ["…"]` at `Owner`

        error[invalid-key]: an attribute of type Binary cannot be part of a key
         --> model/shop.toml:2:40
          |
        2 | key = ["Code", "Cod", "Code", "Owner", "Blob", "createdAt"]
          |                                        ^^^^^^
        ...
        5 | Blob = "Binary"
          |        -------- the type

        error[invalid-key]: `createdAt` cannot be part of a key
         --> model/shop.toml:2:48
          |
        2 | key = ["Code", "Cod", "Code", "Owner", "Blob", "createdAt"]
          |                                                ^^^^^^^^^^^
          |
          = help: name attributes of the entity's own

        error[contradiction]: `Code` is part of the key and never null
         --> model/shop.toml:4:38
          |
        2 | key = ["Code", "Cod", "Code", "Owner", "Blob", "createdAt"]
          |        ------ part of the key
        3 | [entity.A.attributes]
        4 | Code = { type = "String", required = false }
          |                                      ^^^^^
          |
          = help: leave `required` out

        error[invalid-key]: the key names no attribute
         --> model/shop.toml:9:7
          |
        9 | key = []
          |       ^^
          |
          = help: name at least one, or leave out `key` for a generated `id`

        7 errors
        "#);
}

#[test]
fn external_entities_have_rules_of_their_own() {
    let text = r#"[entity.A]
external = true
renamed_from = "Old"
index = [["Name"]]
[entity.A.attributes]
Name = { type = "String", renamed_from = "Title" }
[entity.B]
external = true
key = ["Id"]
[entity.B.attributes]
Id = { type = "Integer", column_type = "real" }
Rate = { type = "Decimal", column_type = "float" }
[entity.C]
extends = "B"
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[external]: the external entity A has no `key`
         --> model/shop.toml:1:9
          |
        1 | [entity.A]
          |         ^
          |
          = help: name the attributes of the table's primary key: `key = ["Code"]`

        error[external]: an external entity needs no `renamed_from`
         --> model/shop.toml:3:16
          |
        3 | renamed_from = "Old"
          |                ^^^^^
          |
          = help: its table is named by `table` and never renamed: leave it out

        error[external]: an external entity cannot have indexes
         --> model/shop.toml:4:10
          |
        4 | index = [["Name"]]
          |          ^^^^^^^^
          |
          = help: its table belongs to somebody else: leave it out

        error[external]: an attribute of an external entity needs no `renamed_from`
         --> model/shop.toml:6:42
          |
        6 | Name = { type = "String", renamed_from = "Title" }
          |                                          ^^^^^^^
          |
          = help: its column is named by `column` and never renamed: leave it out

        error[not-applicable]: a column of type real does not go with the type Integer
          --> model/shop.toml:11:40
           |
        11 | Id = { type = "Integer", column_type = "real" }
           |               --------- the type       ^^^^^^
           |
           = help: it is for the type Decimal

        error[unknown-choice]: `float` is no legal value of `column_type`
          --> model/shop.toml:12:42
           |
        12 | Rate = { type = "Decimal", column_type = "float" }
           |                                          ^^^^^^^
           |
           = help: legal: smallint, real, double

        error[external]: B is external and cannot be extended
          --> model/shop.toml:14:11
           |
        14 | extends = "B"
           |           ^^^
           |
           = help: an external table has no column that tells specialisations apart

        7 errors
        "#);
}

#[test]
fn unique_and_index_name_what_can_be_compared() {
    let text = r#"[entity.A]
unique = [["Name", "Nme"], ["Name", "Name"], [], ["Name", "Code"], ["Name", "Code"], ["Code"]]
index = [["Photo"], ["Bs"], ["Name desc"], ["Name desc"], ["Owner"]]
[entity.A.attributes]
Name = "String"
Code = { type = "String", unique = true }
Photo = "File"
Data = { type = "Json", unique = true }
[entity.A.associations]
Bs = { to = "B", many = true }
Owner = { to = "B" }
[entity.B]
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[unknown-member]: A has no attribute or association `Nme`
         --> model/shop.toml:2:20
          |
        2 | unique = [["Name", "Nme"], ["Name", "Name"], [], ["Name", "Code"], ["Name", "Code"], ["Code"]]
          |                    ^^^^^
          |
          = help: did you mean `Name`?

        error[repeated]: `Name` is twice in the list
         --> model/shop.toml:2:37
          |
        2 | unique = [["Name", "Nme"], ["Name", "Name"], [], ["Name", "Code"], ["Name", "Code"], ["Code"]]
          |                                     ^^^^^^
          |
          = help: leave it out once

        error[out-of-range]: the list is empty
         --> model/shop.toml:2:46
          |
        2 | unique = [["Name", "Nme"], ["Name", "Name"], [], ["Name", "Code"], ["Name", "Code"], ["Code"]]
          |                                              ^^
          |
          = help: name 1 to 32 members

        error[repeated]: the unique constraint is given twice
         --> model/shop.toml:2:68
          |
        2 | unique = [["Name", "Nme"], ["Name", "Name"], [], ["Name", "Code"], ["Name", "Code"], ["Code"]]
          |                                                  ----------------  ^^^^^^^^^^^^^^^^
          |                                                  |
          |                                                  first given here
          |
          = help: leave it out

        error[repeated]: the unique constraint is given twice
         --> model/shop.toml:2:86
          |
        2 | unique = [["Name", "Nme"], ["Name", "Name"], [], ["Name", "Code"], ["Name", "Code"], ["Code"]]
          |                                                                                      ^^^^^^^^
          |
          = help: leave it out

        error[not-indexable]: `Photo` is a File and cannot be indexed or unique
         --> model/shop.toml:3:11
          |
        3 | index = [["Photo"], ["Bs"], ["Name desc"], ["Name desc"], ["Owner"]]
          |           ^^^^^^^
          |
          = help: use attributes with values that can be compared, and to-one associations kept in this entity's table

        error[not-indexable]: `Bs` is kept in another table and cannot be indexed or unique
         --> model/shop.toml:3:22
          |
        3 | index = [["Photo"], ["Bs"], ["Name desc"], ["Name desc"], ["Owner"]]
          |                      ^^^^
          |
          = help: use attributes with values that can be compared, and to-one associations kept in this entity's table

        error[repeated]: the index is given twice
         --> model/shop.toml:3:44
          |
        3 | index = [["Photo"], ["Bs"], ["Name desc"], ["Name desc"], ["Owner"]]
          |                             -------------  ^^^^^^^^^^^^^
          |                             |
          |                             first given here
          |
          = help: leave it out

        warning[repeated]: the columns of an association are indexed anyway
         --> model/shop.toml:3:59
          |
        3 | index = [["Photo"], ["Bs"], ["Name desc"], ["Name desc"], ["Owner"]]
          |                                                           ^^^^^^^^^
          |
          = help: leave it out

        error[not-indexable]: `Data` is a Json and cannot be indexed or unique
         --> model/shop.toml:8:1
          |
        8 | Data = { type = "Json", unique = true }
          | ^^^^
          |
          = help: use attributes with values that can be compared, and to-one associations kept in this entity's table

        9 errors, 1 warning
        "#);
}
