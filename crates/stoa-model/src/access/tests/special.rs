//! Rules of specialisations.

use super::text::{access, attribute, check_query, condition, entity, model};
use crate::access::print::print;
use crate::model::Extent;

const STAFF: &str = r#"
[role.Desk]
[role.Board]
[role.Auditor]
[entity.Site.attributes]
Code = { type = "String", length = 8 }
[entity.Person.attributes]
Name = { type = "String", length = 40 }
Age = { type = "Integer" }
[entity.Person.associations]
Home = { to = "Site" }
Boss = { to = "Person", inverse = "Reports" }
[entity.Manager]
extends = "Person"
[entity.Manager.attributes]
Budget = { type = "Integer" }
[entity.Manager.associations]
Led = { to = "Site", inverse = "Leaders" }
[entity.Chief]
extends = "Manager"
[entity.Chief.attributes]
Yacht = { type = "String", length = 40 }
[entity.Guest]
extends = "Person"
[entity.Guest.attributes]
Badge = { type = "Integer" }

[[entity.Person.access]]
role = "Desk"
read = ["Name", "Boss"]
where = "Age gt 17"
[[entity.Manager.access]]
role = "Desk"
read = ["Budget", "Led"]
where = "Led/Code eq 'A' and Budget gt 1"
[[entity.Chief.access]]
role = "Desk"
delete = "Yacht eq null"
read = ["Yacht", "Age"]
[[entity.Site.access]]
role = "Desk"
read = "*"

[[entity.Chief.access]]
role = "Board"
create = true
read = "*"
write = "*"
where = "Home/Code eq 'B'"
[[entity.Site.access]]
role = "Board"
read = ["Leaders"]

[[entity.Person.access]]
role = "Auditor"
read = "*"
"#;

fn check(roles: &[&str], name: &str, filter: &str, order: &[&str]) -> String {
    check_query(STAFF, roles, name, filter, order)
}

#[test]
fn rows_are_judged_by_the_rules_of_their_type() {
    insta::assert_snapshot!(check(&["Desk"], "Person", "", &[]), @r#"
        filter Age gt 17 or (isof(shop.Manager) and (shop.Manager/Led/Code eq 'A' and shop.Manager/Budget gt 1)) or isof(shop.Chief)
        Name where Age gt 17
        Age where isof(shop.Chief)
        createdAt where false
        changedAt where false
        Manager/Budget where (isof(shop.Manager) and (shop.Manager/Led/Code eq 'A' and shop.Manager/Budget gt 1))
        Guest/Badge where false
        "#);
    insta::assert_snapshot!(check(&["Desk"], "Manager", "", &["Budget"]), @r#"
        filter Age gt 17 or (Led/Code eq 'A' and Budget gt 1) or isof(shop.Chief)
        order case(Led/Code eq 'A' and Budget gt 1 : Budget)
        Name where Age gt 17
        Age where isof(shop.Chief)
        createdAt where false
        changedAt where false
        Budget where Led/Code eq 'A' and Budget gt 1
        "#);
    insta::assert_snapshot!(check(&["Desk"], "Chief", "Age gt 3", &[]), @r#"
        filter Age gt 3
        Name where Age gt 17
        createdAt where false
        changedAt where false
        Budget where Led/Code eq 'A' and Budget gt 1
        "#);
    insta::assert_snapshot!(check(&["Board"], "Person", "", &[]), @r#"
        filter isof(shop.Chief) and Home/Code eq 'B'
        Guest/Badge where false
        "#);
    insta::assert_snapshot!(check(&["Auditor"], "Person", "shop.Chief/Yacht eq 'x'", &[]), @"filter shop.Chief/Yacht eq 'x'");
}

#[test]
fn conditions_reach_members_of_specialisations() {
    insta::assert_snapshot!(check(&["Desk"], "Person", "shop.Manager/Budget gt 5", &[]), @r#"
        filter (Age gt 17 or (isof(shop.Manager) and (shop.Manager/Led/Code eq 'A' and shop.Manager/Budget gt 1)) or isof(shop.Chief)) and (isof(shop.Manager) and (shop.Manager/Led/Code eq 'A' and shop.Manager/Budget gt 1)) and shop.Manager/Budget gt 5
        Name where Age gt 17
        Age where isof(shop.Chief)
        createdAt where false
        changedAt where false
        Manager/Budget where (isof(shop.Manager) and (shop.Manager/Led/Code eq 'A' and shop.Manager/Budget gt 1))
        Guest/Badge where false
        "#);
    insta::assert_snapshot!(check(&["Desk"], "Person", "Boss/shop.Chief/Yacht eq 'x'", &[]), @r#"
        filter (Age gt 17 or (isof(shop.Manager) and (shop.Manager/Led/Code eq 'A' and shop.Manager/Budget gt 1)) or isof(shop.Chief)) and Age gt 17 and Boss/shop.Chief/Yacht eq 'x'
        Name where Age gt 17
        Age where isof(shop.Chief)
        createdAt where false
        changedAt where false
        Manager/Budget where (isof(shop.Manager) and (shop.Manager/Led/Code eq 'A' and shop.Manager/Budget gt 1))
        Guest/Badge where false
        "#);
    insta::assert_snapshot!(check(&["Desk"], "Person", "isof(Boss,shop.Manager)", &[]), @r#"
        filter (Age gt 17 or (isof(shop.Manager) and (shop.Manager/Led/Code eq 'A' and shop.Manager/Budget gt 1)) or isof(shop.Chief)) and Age gt 17 and (Boss/Age gt 17 or (isof(Boss,shop.Manager) and (Boss/shop.Manager/Led/Code eq 'A' and Boss/shop.Manager/Budget gt 1)) or isof(Boss,shop.Chief)) and isof(Boss,shop.Manager)
        Name where Age gt 17
        Age where isof(shop.Chief)
        createdAt where false
        changedAt where false
        Manager/Budget where (isof(shop.Manager) and (shop.Manager/Led/Code eq 'A' and shop.Manager/Budget gt 1))
        Guest/Badge where false
        "#);
    insta::assert_snapshot!(check(&["Desk"], "Manager", "Boss/Boss/shop.Manager/Budget gt 5 or Led/Code eq 'x'", &[]), @r#"
        filter (Age gt 17 or (Led/Code eq 'A' and Budget gt 1) or isof(shop.Chief)) and ((Age gt 17 and Boss/Age gt 17 and (isof(Boss/Boss,shop.Manager) and (Boss/Boss/shop.Manager/Led/Code eq 'A' and Boss/Boss/shop.Manager/Budget gt 1)) and Boss/Boss/shop.Manager/Budget gt 5) or (Led/Code eq 'A' and Budget gt 1 and Led/Code eq 'x'))
        Name where Age gt 17
        Age where isof(shop.Chief)
        createdAt where false
        changedAt where false
        Budget where Led/Code eq 'A' and Budget gt 1
        "#);
}

#[test]
fn the_view_knows_types_that_may_be_seen() {
    let model = model(STAFF);
    let board = access(&model, &["Board"]);
    let view = board.view();
    let mut names: Vec<_> = view.entities_by_name.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["Chief", "Manager", "Person", "Site"]);
    let person = &view[entity(&model, "Person")];
    assert_eq!(person.reach.read, Extent::Some);
    assert_eq!(person.reach.create, Extent::None);
    assert_eq!(
        person.specialisations,
        [entity(&model, "Manager"), entity(&model, "Chief")]
    );
    let name = attribute(&model, person.id, "Name");
    // Wherever the row is there, so is its name.
    assert_eq!(person[name].reach.read, Extent::All);
    assert_eq!(view[entity(&model, "Guest")].reach.read, Extent::None);
    let desk = access(&model, &["Desk"]);
    let chief = &desk.view()[entity(&model, "Chief")];
    assert_eq!(chief.reach.delete, Extent::Some);
    let age = attribute(&model, chief.id, "Age");
    assert_eq!(chief[age].reach.read, Extent::All);
    let person = &desk.view()[entity(&model, "Person")];
    assert_eq!(person[age].reach.read, Extent::Some);
    let manager = entity(&model, "Manager");
    let asked = condition(desk.view(), manager, "Led ne null");
    assert_eq!(print(&model, manager, &asked), "Led ne null");
}
