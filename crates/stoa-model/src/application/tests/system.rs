//! The system module: users, and what is kept for them.

use super::{check, load_files, model};
use crate::model::{Member, MemberSet, OnDelete};

const STAFF: &str = r#"[role.Sales]
[entity.Employee]
extends = "System.User"
[entity.Employee.attributes]
Region = "String"
[entity.Order.attributes]
Number = "Integer"
[entity.Order.associations]
Owner = { to = "System.User", inverse = "Orders" }
[entity."System.User"]
label = "Colleague"
audit = true
[[entity."System.User".access]]
role = "Sales"
read = ["Name", "Orders"]
"#;

#[test]
fn every_model_has_users() {
    let model = model("[entity.A]\n");
    let user = &model[model.user.entity];
    assert_eq!(user.name, "SystemUser");
    assert_eq!(user.table.name, "_stoa_user");
    assert_eq!(
        model.entities_by_collection["SystemUsers"],
        model.user.entity
    );
    // The application's entities stand first.
    assert_eq!(model.entities[0].name, "A");
    for entity in &model.entities {
        let is_of_runtime = entity.name.starts_with("System") && entity.name != "SystemUser";
        assert_eq!(entity.internal, is_of_runtime, "{}", entity.name);
        assert_eq!(
            model
                .entities_by_collection
                .contains_key(&entity.collection),
            !is_of_runtime
        );
        assert!(!entity.audited);
    }
    assert!(
        user.navigations
            .iter()
            .all(|navigation| navigation.name.is_none())
    );
    assert_eq!(model.anonymous, None);
    let session = &model[model.entities_by_name["SystemSession"]];
    let owner = &session[session.navigations_by_name["User"]];
    assert_eq!(
        (owner.target, owner.on_delete),
        (model.user.entity, OnDelete::Cascade)
    );
}

#[test]
fn names_of_users_are_as_they_are_kept() {
    let model = model("");
    let user = &model[model.user.entity];
    let pattern = user[user.attributes_by_name["Name"]]
        .pattern
        .as_ref()
        .unwrap();
    for name in [
        "anna",
        "anna@example.org",
        "annä maria",
        "o'neill_x#ext#",
        "山田",
    ] {
        assert!(pattern.is_match(name), "{name}");
    }
    for name in [
        "",
        "Anna",
        " anna",
        "anna  maria",
        "a:b",
        "a\u{200b}b",
        "a\nb",
    ] {
        assert!(!pattern.is_match(name), "{name:?}");
    }
}

#[test]
fn users_are_extended_referred_to_and_ruled() {
    let model = model(STAFF);
    let user = &model[model.user.entity];
    let employee = &model[model.entities_by_name["Employee"]];
    assert_eq!(employee.base, Some(user.id));
    assert!(
        user.id < employee.id,
        "a base stands before its specialisations"
    );
    assert_eq!(employee.table.name, "_stoa_user");
    assert!(employee.audited && user.audited && !employee.internal);
    assert_eq!(user.label, "Colleague");
    let order = &model[model.entities_by_name["Order"]];
    assert_eq!(order[order.navigations_by_name["Owner"]].target, user.id);
    let read = [
        Member::Attribute(user.attributes_by_name["Name"]),
        Member::Navigation(user.navigations_by_name["Orders"]),
    ];
    assert_eq!(user.access.len(), 1);
    assert_eq!(user.access[0].read, MemberSet::Only(read.to_vec()));
}

#[test]
fn rules_about_users_come_from_any_file() {
    let rule = "[[entity.\"System.User\".access]]\nrole = \"R\"\nread = \"*\"\n";
    let labelled = format!("[entity.\"System.User\"]\nlabel = \"X\"\n{rule}");
    let first = format!("[role.R]\n{labelled}");
    let files = |second: &str| {
        load_files(&[
            ("app.toml", "name = \"shop\"\n"),
            ("model/a.toml", &first),
            ("model/b.toml", second),
        ])
    };
    let model = files(rule).unwrap().application.model;
    assert_eq!(model[model.user.entity].access.len(), 2);
    let faults = files(&labelled).unwrap_err();
    insta::assert_snapshot!(faults.render(false), @r#"
        error[duplicate-name]: the label of System.User is given twice
         --> model/b.toml:1:9
          |
        1 | [entity."System.User"]
          |         ^^^^^^^^^^^^^
          |
         ::: model/a.toml:2:9
          |
        2 | [entity."System.User"]
          |         ------------- first given here

        1 error
        "#);
}

#[test]
fn the_system_keeps_its_names_and_members() {
    let text = r#"[enumeration.SystemKind]
values = ["A"]
[entity.SystemThing]
[entity.A]
collection = "SystemUsers"
extends = "System.Session"
[entity.B]
extends = "SystemUser"
[entity.B.attributes]
Name = "String"
[entity.C]
extends = "System.User"
audit = true
table = "c"
[entity.C.attributes]
Email = "String"
[entity.D.associations]
Tokens = { to = "System.Token", many = true }
Users = { to = "System.User", many = true, contained = true }
[entity.E]
table = "ix__stoa_audit_at"
[entity."System.User".attributes]
Region = "String"
[entity."System.User"]
nonsense = 1
"#;
    insta::assert_snapshot!(check(text), @r#"
        error[reserved-name]: the name `SystemKind` is reserved
         --> model/shop.toml:1:14
          |
        1 | [enumeration.SystemKind]
          |              ^^^^^^^^^^ names that start with `System` are the system's
          |
          = help: choose another name; what belongs to users goes into an entity with `extends = "System.User"`, rules about users under `[[entity."System.User".access]]`

        error[reserved-name]: the name `SystemThing` is reserved
         --> model/shop.toml:3:9
          |
        3 | [entity.SystemThing]
          |         ^^^^^^^^^^^ names that start with `System` are the system's
          |
          = help: choose another name; what belongs to users goes into an entity with `extends = "System.User"`, rules about users under `[[entity."System.User".access]]`

        error[reserved-name]: the name `SystemUsers` is reserved
         --> model/shop.toml:5:14
          |
        5 | collection = "SystemUsers"
          |              ^^^^^^^^^^^^^ names that start with `System` are the system's
          |
          = help: choose another name; what belongs to users goes into an entity with `extends = "System.User"`, rules about users under `[[entity."System.User".access]]`

        error[unknown-entity]: the model has no entity `System.Session`
         --> model/shop.toml:6:11
          |
        6 | extends = "System.Session"
          |           ^^^^^^^^^^^^^^^^

        error[unknown-entity]: the model has no entity `SystemUser`
         --> model/shop.toml:8:11
          |
        8 | extends = "SystemUser"
          |           ^^^^^^^^^^^^
          |
          = help: did you mean `System.User`?

        error[base-only]: a specialisation cannot have its own `audit`
          --> model/shop.toml:13:9
           |
        13 | audit = true
           |         ^^^^
           |
           = help: one table holds the whole hierarchy: say it at `[entity."System.User"]`, or leave it out

        error[base-only]: a specialisation cannot have its own `table`
          --> model/shop.toml:14:9
           |
        14 | table = "c"
           |         ^^^
           |
           = help: one table holds the whole hierarchy: say it at `[entity."System.User"]`, or leave it out

        error[duplicate-name]: SystemUser, in the hierarchy of C, already has `Email`
          --> model/shop.toml:16:1
           |
        16 | Email = "String"
           | ^^^^^ given again here
           |
          ::: stoa:system.toml:11:1
           |
        11 | Email    = { type = "String", length = 320 }
           | ----- first given here

        error[unknown-entity]: the model has no entity `System.Token`
          --> model/shop.toml:18:17
           |
        18 | Tokens = { to = "System.Token", many = true }
           |                 ^^^^^^^^^^^^^^
           |
           = help: did you mean `System.User`?

        error[invalid-containment]: System.User cannot be contained
          --> model/shop.toml:19:1
           |
        19 | Users = { to = "System.User", many = true, contained = true }
           | ^^^^^
           |
           = help: users are on their own: leave out `contained`

        error[reserved-name]: the table name `ix__stoa_audit_at` is reserved
          --> model/shop.toml:21:9
           |
        21 | table = "ix__stoa_audit_at"
           |         ^^^^^^^^^^^^^^^^^^^
           |
           = help: names that start with `ix__stoa_` are kept for the system

        error[unknown-key]: unknown key `attributes`
          --> model/shop.toml:22:23
           |
        22 | [entity."System.User".attributes]
           |                       ^^^^^^^^^^ System.User is not the application's own
           |
           = help: say it at an entity of your own that has `extends = "System.User"`

        error[unknown-key]: unknown key `nonsense`
          --> model/shop.toml:25:1
           |
        25 | nonsense = 1
           | ^^^^^^^^
           |
           = help: known keys here: label, description, audit, access

        13 errors
        "#);
}

#[test]
fn anonymous_is_a_role_where_the_application_says_so() {
    let rule = "[entity.A]\n[[entity.A.access]]\nrole = \"Anonymous\"\nread = \"*\"\n";
    let load = |manifest: &str, text: &str| {
        load_files(&[
            ("app.toml", &format!("name = \"shop\"\n{manifest}")),
            ("model/a.toml", text),
        ])
    };
    let model = load("[access]\nanonymous = true\n", rule)
        .unwrap()
        .application
        .model;
    let anonymous = model.anonymous.unwrap();
    assert_eq!(model.roles[anonymous.index()].name, "Anonymous");
    assert_eq!(model.entities[0].access[0].role, anonymous);
    let faults = load("[access]\nanonymous = false\n", rule).unwrap_err();
    insta::assert_snapshot!(faults.render(false), @r#"
        error[unknown-role]: the model has no role `Anonymous`
         --> model/a.toml:3:8
          |
        3 | role = "Anonymous"
          |        ^^^^^^^^^^^
          |
          = help: say `[access] anonymous = true` in app.toml to let in who is not signed in

        1 error
        "#);
    let faults = load("", &format!("[role.Anonymous]\n{rule}")).unwrap_err();
    insta::assert_snapshot!(faults.render(false), @r#"
        error[reserved-name]: the role Anonymous cannot be declared
         --> model/a.toml:1:7
          |
        1 | [role.Anonymous]
          |       ^^^^^^^^^
          |
          = help: it is there with `[access] anonymous = true` in app.toml: leave it out here

        1 error
        "#);
}
