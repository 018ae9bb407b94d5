//! Faults in associations.

use super::check;

#[test]
fn targets_are_entities() {
    let text = r#"[entity.Customer.associations]
One = "Custmer"
Two = { to = "Colour" }
Three = { to = "Nothing", many = true }
[enumeration.Colour]
values = ["Red"]
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[unknown-entity]: the model has no entity `Custmer`
         --> model/shop.toml:2:7
          |
        2 | One = "Custmer"
          |       ^^^^^^^^^
          |
          = help: did you mean `Customer`?

        error[unknown-entity]: the model has no entity `Colour`
         --> model/shop.toml:3:14
          |
        3 | Two = { to = "Colour" }
          |              ^^^^^^^^
          |
          = help: `Colour` is an enumeration: declare an attribute of that type

        error[unknown-entity]: the model has no entity `Nothing`
         --> model/shop.toml:4:16
          |
        4 | Three = { to = "Nothing", many = true }
          |                ^^^^^^^^^

        3 errors
        "#);
}

#[test]
fn kinds_exclude_each_other() {
    let text = r#"[entity.A.associations]
One = { to = "B", many = true, many_to_many = true }
Two = { to = "B", contained = true, inverse = "Two" }
Three = { to = "C", many_to_many = true, contained = true, inverse = "Three" }
Four = { to = "B", many = true, required = true, unique = true, inverse = "Four" }
Five = { to = "B", many_to_many = true, required = true, on_delete = "prevent", column = "x", foreign_key = ["x"] }
Six = { to = "B", table = "six" }
Seven = { to = "B", inverse_label = "Sevens" }
[entity.B]
[entity.C]
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[contradiction]: an association is either `many` or `many_to_many`
         --> model/shop.toml:2:47
          |
        2 | One = { to = "B", many = true, many_to_many = true }
          |                          ---- and here        ^^^^
          |
          = help: `many`: a target belongs to one row; `many_to_many`: to any number

        error[contradiction]: only a to-many association can be contained
         --> model/shop.toml:3:31
          |
        3 | Two = { to = "B", contained = true, inverse = "Two" }
          |                               ^^^^
          |
          = help: add `many = true` and leave out `many_to_many`, or leave out `contained`

        error[contradiction]: only a to-many association can be contained
         --> model/shop.toml:4:54
          |
        4 | Three = { to = "C", many_to_many = true, contained = true, inverse = "Three" }
          |                                                      ^^^^
          |
          = help: add `many = true` and leave out `many_to_many`, or leave out `contained`

        error[not-applicable]: `required` does not go with a to-many association
         --> model/shop.toml:5:44
          |
        5 | Four = { to = "B", many = true, required = true, unique = true, inverse = "Four" }
          |                                            ^^^^
          |
          = help: it is for to-one associations: say it at the other end

        error[not-applicable]: `unique` does not go with a to-many association
         --> model/shop.toml:5:59
          |
        5 | Four = { to = "B", many = true, required = true, unique = true, inverse = "Four" }
          |                                                           ^^^^
          |
          = help: it is for to-one associations and makes them one-to-one

        error[not-applicable]: `required` does not go with a many-to-many association
         --> model/shop.toml:6:52
          |
        6 | Five = { to = "B", many_to_many = true, required = true, on_delete = "prevent", column = "x", foreign_key = ["x"] }
          |                                                    ^^^^
          |
          = help: it is for to-one associations: say it at the other end

        error[not-applicable]: `on_delete` does not go with a many-to-many association
         --> model/shop.toml:6:70
          |
        6 | Five = { to = "B", many_to_many = true, required = true, on_delete = "prevent", column = "x", foreign_key = ["x"] }
          |                                                                      ^^^^^^^^^
          |
          = help: the connections of a deleted row always go with it

        error[not-applicable]: `column` does not go with a many-to-many association
         --> model/shop.toml:6:90
          |
        6 | Five = { to = "B", many_to_many = true, required = true, on_delete = "prevent", column = "x", foreign_key = ["x"] }
          |                                                                                          ^^^
          |
          = help: name the table's columns with `columns`

        error[not-applicable]: `foreign_key` does not go with a many-to-many association
         --> model/shop.toml:6:109
          |
        6 | Five = { to = "B", many_to_many = true, required = true, on_delete = "prevent", column = "x", foreign_key = ["x"] }
          |                                                                                                             ^^^^^
          |
          = help: name the table's columns with `columns`

        error[contradiction]: `foreign_key` and `column` both name the columns
         --> model/shop.toml:6:109
          |
        6 | Five = { to = "B", many_to_many = true, required = true, on_delete = "prevent", column = "x", foreign_key = ["x"] }
          |                                                                                          --- and here       ^^^^^
          |
          = help: `foreign_key` when attributes show the columns, else `column`, or `columns` for several

        error[not-applicable]: `table` does not go with a to-one association
         --> model/shop.toml:7:27
          |
        7 | Six = { to = "B", table = "six" }
          |                           ^^^^^
          |
          = help: only a `many_to_many` association has a table of its own

        error[contradiction]: `inverse_label` labels an inverse that has no name
         --> model/shop.toml:8:37
          |
        8 | Seven = { to = "B", inverse_label = "Sevens" }
          |                                     ^^^^^^^^
          |
          = help: name it with `inverse`

        12 errors
        "#);
}

#[test]
fn deletes_fit_the_association() {
    let text = r#"[entity.A.associations]
One = { to = "B", required = true, on_delete = "clear" }
Two = { to = "B", many = true, contained = true, on_delete = "prevent", inverse = "Two" }
Three = { to = "B", on_delete = "delete" }
Four = { to = "Pair", foreign_key = ["X", "Y"], on_delete = "clear" }
Five = { to = "C", many = true, contained = true, inverse = "Five", foreign_key = ["A"] }
[entity.A.attributes]
X = { type = "Integer", required = true }
Y = { type = "Integer" }
[entity.B]
[entity.C.attributes]
A = "Uuid"
[entity.Pair]
key = ["X", "Y"]
[entity.Pair.attributes]
X = "Integer"
Y = "Integer"
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[required-cycle]: no first row of A could ever be inserted
         --> model/shop.toml:2:1
          |
        2 | One = { to = "B", required = true, on_delete = "clear" }
          | ^^^ A.One → B.Two → A
        3 | Two = { to = "B", many = true, contained = true, on_delete = "prevent", inverse = "Two" }
          |                                                                                   ----- part of the circle
          |
          = help: required references run in a circle: make one of them optional

        error[contradiction]: a required association cannot be cleared
         --> model/shop.toml:2:48
          |
        2 | One = { to = "B", required = true, on_delete = "clear" }
          |                              ----              ^^^^^^^
          |                              |
          |                              required here
          |
          = help: use `prevent` or `cascade`, or leave out `required` here and at the attributes of `foreign_key`

        error[contradiction]: contained rows are deleted with their container
         --> model/shop.toml:3:62
          |
        3 | Two = { to = "B", many = true, contained = true, on_delete = "prevent", inverse = "Two" }
          |                                            ----              ^^^^^^^^^
          |                                            |
          |                                            contained here
          |
          = help: leave `on_delete` out

        error[unknown-choice]: `delete` is no legal value of `on_delete`
         --> model/shop.toml:4:33
          |
        4 | Three = { to = "B", on_delete = "delete" }
          |                                 ^^^^^^^^
          |
          = help: legal: prevent, cascade, clear

        error[contradiction]: a required association cannot be cleared
         --> model/shop.toml:5:61
          |
        5 | Four = { to = "Pair", foreign_key = ["X", "Y"], on_delete = "clear" }
          |                                                             ^^^^^^^
          |
          = help: use `prevent` or `cascade`, or leave out `required` here and at the attributes of `foreign_key`

        error[contradiction]: the association is contained, but its attribute `A` is not required
         --> model/shop.toml:6:45
          |
        6 | Five = { to = "C", many = true, contained = true, inverse = "Five", foreign_key = ["A"] }
          |                                             ^^^^                                   --- its column
          |
          = help: make `A` required too

        6 errors
        "#);
}

#[test]
fn foreign_keys_fit_the_key() {
    let text = r#"[entity.A.attributes]
Code = "String"
Number = { type = "Long" }
Auto = "AutoNumber"
[entity.A.associations]
One = { to = "B", foreign_key = ["Code", "Number"] }
Two = { to = "B", foreign_key = ["Code"] }
Three = { to = "B", foreign_key = ["Number"], required = true }
Four = { to = "B", foreign_key = ["Auto"] }
Five = { to = "B", foreign_key = ["Numbr"] }
Six = { to = "C", column = "c" }
Seven = { to = "C", columns = ["c1", "c2"], column = "c3" }
Eight = { to = "C", many_to_many = true, columns = ["a"] }
[entity.B]
key = ["Number"]
[entity.B.attributes]
Number = "Long"
[entity.C]
key = ["X", "Y"]
[entity.C.attributes]
X = "Integer"
Y = "Integer"
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[foreign-key-mismatch]: the key of B has 1 part, not 2
         --> model/shop.toml:6:33
          |
        6 | One = { to = "B", foreign_key = ["Code", "Number"] }
          |                                 ^^^^^^^^^^^^^^^^^^
          |
          = help: one for each of: Number

        error[foreign-key-mismatch]: `Code` is of type String, but `Number` of B is Long
         --> model/shop.toml:7:34
          |
        7 | Two = { to = "B", foreign_key = ["Code"] }
          |                                  ^^^^^^
          |
          = help: make the attribute `Code` a Long

        error[contradiction]: the association is required, but its attribute `Number` is not required
         --> model/shop.toml:8:58
          |
        8 | Three = { to = "B", foreign_key = ["Number"], required = true }
          |                                    -------- its column   ^^^^
          |
          = help: make `Number` required too

        error[foreign-key-mismatch]: `Auto` cannot hold a foreign key
         --> model/shop.toml:9:35
          |
        9 | Four = { to = "B", foreign_key = ["Auto"] }
          |                                   ^^^^^^
          |
          = help: its value is made by the system: name another attribute

        error[unknown-member]: A has no attribute or association `Numbr`
          --> model/shop.toml:10:35
           |
        10 | Five = { to = "B", foreign_key = ["Numbr"] }
           |                                   ^^^^^^^
           |
           = help: did you mean `Number`?

        error[foreign-key-mismatch]: the key of C has 2 parts, not 1
          --> model/shop.toml:11:28
           |
        11 | Six = { to = "C", column = "c" }
           |                            ^^^
           |
           = help: one for each of: X, Y

        error[contradiction]: `columns` and `column` both name the columns
          --> model/shop.toml:12:31
           |
        12 | Seven = { to = "C", columns = ["c1", "c2"], column = "c3" }
           |                               ^^^^^^^^^^^^           ---- and here
           |
           = help: `foreign_key` when attributes show the columns, else `column`, or `columns` for several

        error[foreign-key-mismatch]: the key of C has 2 parts, not 1
          --> model/shop.toml:12:54
           |
        12 | Seven = { to = "C", columns = ["c1", "c2"], column = "c3" }
           |                                                      ^^^^
           |
           = help: one for each of: X, Y

        error[foreign-key-mismatch]: the table has 3 columns, not 1
          --> model/shop.toml:13:52
           |
        13 | Eight = { to = "C", many_to_many = true, columns = ["a"] }
           |                                                    ^^^^^
           |
           = help: first 1 for the key of A, then 2 for the key of C

        9 errors
        "#);
}

#[test]
fn names_of_both_ends_are_free() {
    let text = r#"[entity.A.attributes]
Name = "String"
[entity.A.associations]
Name = "B"
One = { to = "B", inverse = "Title" }
Two = { to = "B", inverse = "Parts" }
Three = { to = "B", inverse = "Parts" }
Four = { to = "B", inverse = "createdAt" }
[entity.B.attributes]
Title = "String"
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[duplicate-name]: A already has `Name`
         --> model/shop.toml:4:1
          |
        2 | Name = "String"
          | ---- first given here
        3 | [entity.A.associations]
        4 | Name = "B"
          | ^^^^ given again here

        error[duplicate-name]: B already has `Title`
          --> model/shop.toml:5:29
           |
         5 | One = { to = "B", inverse = "Title" }
           |                             ^^^^^^^ given again here
        ...
        10 | Title = "String"
           | ----- first given here

        error[duplicate-name]: B already has `Parts`
         --> model/shop.toml:7:31
          |
        6 | Two = { to = "B", inverse = "Parts" }
          |                             ------- first given here
        7 | Three = { to = "B", inverse = "Parts" }
          |                               ^^^^^^^ given again here

        error[reserved-name]: the name `createdAt` is reserved
         --> model/shop.toml:8:30
          |
        8 | Four = { to = "B", inverse = "createdAt" }
          |                              ^^^^^^^^^^^
          |
          = help: every entity has `createdAt` and `changedAt`: leave it out, or choose another name

        4 errors
        "#);
}

#[test]
fn an_entity_is_contained_once() {
    let text = r#"[entity.A.associations]
Parts = { to = "C", many = true, contained = true, inverse = "A" }
Tree = { to = "A", many = true, contained = true }
[entity.B.associations]
Parts = { to = "C", many = true, contained = true, inverse = "B" }
[entity.C]
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[invalid-containment]: A contains itself
         --> model/shop.toml:3:1
          |
        3 | Tree = { to = "A", many = true, contained = true }
          | ^^^^
          |
          = help: the outermost row would need a container too: leave out `contained` and say `on_delete = "cascade"`

        error[invalid-containment]: C is already contained in A
         --> model/shop.toml:5:1
          |
        2 | Parts = { to = "C", many = true, contained = true, inverse = "A" }
          | ----- first contained here
        ...
        5 | Parts = { to = "C", many = true, contained = true, inverse = "B" }
          | ^^^^^
          |
          = help: a row has one container at most: leave out `contained` at one of them

        2 errors
        "#);
}

#[test]
fn required_references_do_not_run_in_circles() {
    let text = r#"[entity.A.associations]
B = { to = "B", required = true }
[entity.B.associations]
Cs = { to = "C", many = true, contained = true }
C = { to = "C", required = true }
[entity.C]
[entity.Employee.associations]
Boss = { to = "Employee", required = true }
[entity.Leaf.associations]
A = { to = "A", required = true }
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[required-cycle]: no first row of B could ever be inserted
         --> model/shop.toml:5:1
          |
        5 | C = { to = "C", required = true }
          | ^ B.C → C.B → B
        6 | [entity.C]
          |         - part of the circle
          |
          = help: required references run in a circle: make one of them optional

        error[required-cycle]: no first row of Employee could ever be inserted
         --> model/shop.toml:8:1
          |
        8 | Boss = { to = "Employee", required = true }
          | ^^^^ Employee.Boss → Employee
          |
          = help: required references run in a circle: make one of them optional

        2 errors
        "#);
}

#[test]
fn a_specialisation_can_end_a_circle() {
    let text = r#"[entity.Node.associations]
[entity.Branch]
extends = "Node"
[entity.Branch.associations]
Child = { to = "Node", required = true }
[entity.Leaf]
extends = "Node"
"#;
    insta::assert_snapshot!(check(text), @r#"
        no faults
        "#);
}
