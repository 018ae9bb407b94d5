//! Faults in access rules.

use super::check;

#[test]
fn roles_and_members_are_known() {
    let text = r#"[role.Sales]
[entity.A.attributes]
Name = "String"
Number = "AutoNumber"
[[entity.A.access]]
role = "Slaes"
read = ["Name", "Nam", "Name"]
write = ["Number", "createdAt"]
[[entity.A.access]]
create = true
[[entity.A.access]]
role = "Admin"
read = "all"
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[unknown-role]: the model has no role `Slaes`
         --> model/shop.toml:6:8
          |
        6 | role = "Slaes"
          |        ^^^^^^^
          |
          = help: did you mean `Sales`?

        error[unknown-member]: A has no attribute or association `Nam`
         --> model/shop.toml:7:17
          |
        7 | read = ["Name", "Nam", "Name"]
          |                 ^^^^^
          |
          = help: did you mean `Name`?

        error[repeated]: `Name` is twice in the list
         --> model/shop.toml:7:24
          |
        7 | read = ["Name", "Nam", "Name"]
          |                        ^^^^^^
          |
          = help: leave it out once

        error[not-applicable]: `Number` is written by the system only
         --> model/shop.toml:8:10
          |
        8 | write = ["Number", "createdAt"]
          |          ^^^^^^^^
          |
          = help: leave it out of `write`

        error[not-applicable]: `createdAt` is written by the system only
         --> model/shop.toml:8:20
          |
        8 | write = ["Number", "createdAt"]
          |                    ^^^^^^^^^^^
          |
          = help: leave it out of `write`

        error[missing-key]: the key `role` is missing
         --> model/shop.toml:9:1
          |
        9 | [[entity.A.access]]
          | ^^^^^^^^^^^^^^^^^^^
          |
          = help: User role that the rule is for.

        error[unknown-role]: the model has no role `Admin`
          --> model/shop.toml:12:8
           |
        12 | role = "Admin"
           |        ^^^^^^^
           |
           = help: declare it: [role.Admin]

        error[wrong-type]: `read` takes "*" or a list of names
          --> model/shop.toml:13:8
           |
        13 | read = "all"
           |        ^^^^^ this is a string

        8 errors
        "#);
}

#[test]
fn expressions_are_underlined_where_they_are_wrong() {
    let text = r#"[role.Sales]
[entity.A.attributes]
Name = "String"
Credit = "Integer"
[entity.A.associations]
Owner = "B"
[entity.B.attributes]
Region = "String"
[[entity.A.access]]
role = "Sales"
create = "Name eq"
delete = "Nam eq 'x'"
where = "Owner/Regio eq $user/Region"
[[entity.A.access]]
role = "Sales"
create = "Name gt 5"
delete = """
Name eq 'x' and
  Credit eq 'y'"""
where = "\u004Eame eq 'x' and Credit"
[[entity.A.access]]
role = "Sales"
where = "Owner/Region eq $user/Region and Credit lt 5"
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[invalid-expression]: the text ends too early
          --> model/shop.toml:11:18
           |
        11 | create = "Name eq"
           |                  ^ expected a blank behind the operator

        error[unknown-member]: A has no property 'Nam'
          --> model/shop.toml:12:11
           |
        12 | delete = "Nam eq 'x'"
           |           ^^^
           |
           = help: did you mean `Name`?

        error[unknown-member]: B has no property 'Regio'
          --> model/shop.toml:13:16
           |
        13 | where = "Owner/Regio eq $user/Region"
           |                ^^^^^
           |
           = help: did you mean `Region`?

        error[invalid-expression]: 5 is no String
          --> model/shop.toml:16:19
           |
        16 | create = "Name gt 5"
           |                   ^ expected text in single quotes

        error[invalid-expression]: 'y' is no Integer
          --> model/shop.toml:19:13
           |
        19 |   Credit eq 'y'"""
           |             ^ expected a number without quotes

        error[invalid-expression]: a condition is needed here, this is Integer
          --> model/shop.toml:20:31
           |
        20 | where = "\u004Eame eq 'x' and Credit"
           |                               ^^^^^^ expected a comparison such as Name eq 'x'

        error[unknown-member]: users have no property 'Region'
          --> model/shop.toml:23:32
           |
        23 | where = "Owner/Region eq $user/Region and Credit lt 5"
           |                                ^^^^^^ expected an attribute of System.User, or of an entity that extends it

        7 errors
        "#);
}
