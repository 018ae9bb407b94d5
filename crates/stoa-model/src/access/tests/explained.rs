//! Explanations.

use super::text::{access, entity, model};
use crate::access::Access;
use crate::access::explain::{Answer, Operation};
use crate::access::print::print;
use crate::value::Value;

const SHOP: &str = r#"
[role.Sales]
[role.Clerk]
[role.Boss]
[entity.Employee]
extends = "System.User"
[entity.Employee.attributes]
Region = { type = "String", length = 8 }
[entity.Order.attributes]
Total = { type = "Integer" }
Status = { type = "String", length = 8 }
Region = { type = "String", length = 8 }
[entity.Order.associations]
Lines = { to = "Line", many = true, contained = true }
[entity.Rush]
extends = "Order"
[entity.Rush.attributes]
Fee = { type = "Integer" }
[entity.Line.attributes]
Amount = { type = "Integer" }

[[entity.Order.access]]
role = "Sales"
create = "Total lt 100"
delete = "Status eq 'Draft'"
read = ["Total", "Status", "Lines"]
write = ["Status"]
where = "Region eq $user/Region"
[[entity.Order.access]]
role = "Clerk"
read = ["Status"]
[[entity.Rush.access]]
role = "Clerk"
read = ["Fee"]
write = ["Fee"]
where = "Fee gt 0"
[[entity.Order.access]]
role = "Boss"
create = true
read = "*"
write = "*"
"#;

fn explained(access: &Access, operation: Operation, region: Option<&str>) -> String {
    let order = entity(access.model(), "Order");
    let region = region.map_or(Value::Null, |region| Value::Text(region.to_owned()));
    access.explain(order, operation, &[region]).to_string()
}

#[test]
fn rules_and_members_are_listed() {
    let model = model(SHOP);
    let sales = access(&model, &["Sales", "Clerk"]);
    insta::assert_snapshot!(explained(&sales, Operation::Read, Some("N")), @r#"
        read Order as Sales, Clerk: yes
          because a rule lets these roles read all rows

        user
          $user/Region = 'N'

        rules
          1 of Order for Sales
            where  Region eq $user/Region
            read   Total, Status, Lines
            write  Status
            create Total lt 100
            delete Status eq 'Draft'
          2 of Order for Clerk
            where  (all rows)
            read   Status
            write  (nothing)
            create no
            delete no
          1 of Rush for Clerk
            where  Fee gt 0
            read   Fee
            write  Fee
            create no
            delete no

        other roles with rules for Order: Boss

        members
          id         read yes, write no
          Total      read where Region eq 'N', write no
          Status     read yes, write where Region eq 'N'
          Region     read no, write no
          createdAt  read no, write no
          changedAt  read no, write no
          Lines      read no, write no
          Rush/Fee   read where shop.Rush/Fee gt 0, write where shop.Rush/Fee gt 0
        "#);
    let sales = access(&model, &["Sales"]);
    insta::assert_snapshot!(explained(&sales, Operation::Delete, Some("N")), @r#"
        delete Order as Sales: depends
          because rules let these roles delete rows that fulfil the condition
          where Region eq 'N' and Status eq 'Draft'

        user
          $user/Region = 'N'

        rules
          1 of Order for Sales
            where  Region eq $user/Region
            read   Total, Status, Lines
            write  Status
            create Total lt 100
            delete Status eq 'Draft'

        other roles with rules for Order: Clerk, Boss

        members
          id         read yes, write no
          Total      read yes, write no
          Status     read yes, write where Region eq 'N'
          Region     read no, write no
          createdAt  read no, write no
          changedAt  read no, write no
          Lines      read no, write no
          Rush/Fee   read no, write no
        "#);
    insta::assert_snapshot!(explained(&sales, Operation::Update, None), @r#"
        update Order as Sales: no
          because no rule matches any row: $user/Region has no value, and what is compared with it matches nothing

        user
          $user/Region = (no value)

        rules
          1 of Order for Sales
            where  Region eq $user/Region
            read   Total, Status, Lines
            write  Status
            create Total lt 100
            delete Status eq 'Draft'

        other roles with rules for Order: Clerk, Boss

        members
          id         read yes, write no
          Total      read yes, write no
          Status     read yes, write no
          Region     read no, write no
          createdAt  read no, write no
          changedAt  read no, write no
          Lines      read no, write no
          Rush/Fee   read no, write no
        "#);
    let nobody = access(&model, &[]);
    insta::assert_snapshot!(explained(&nobody, Operation::Create, None), @r#"
        create Order as somebody without a role: no
          because no rule of these roles is about this entity, and nothing is allowed without a rule

        other roles with rules for Order: Sales, Clerk, Boss

        members
          id         read no, write no
          Total      read no, write no
          Status     read no, write no
          Region     read no, write no
          createdAt  read no, write no
          changedAt  read no, write no
          Lines      read no, write no
          Rush/Fee   read no, write no
        "#);
}

#[test]
fn answers_for_people_without_conditions() {
    let model = model(SHOP);
    let answer = |roles: &[&str], name: &str, operation| {
        let explanation = access(&model, roles).explain(entity(&model, name), operation, &[]);
        (explanation.answer, explanation.reason)
    };
    let (yes, no) = (Answer::Yes, Answer::No);
    assert_eq!(answer(&["Boss"], "Order", Operation::Create).0, yes);
    assert_eq!(answer(&["Boss"], "Order", Operation::Update).0, yes);
    assert_eq!(answer(&["Boss"], "Order", Operation::Delete).0, no);
    assert_eq!(answer(&["Boss"], "Line", Operation::Read).0, no);
    insta::assert_snapshot!(answer(&["Boss"], "Order", Operation::Delete).1, @"no rule lets these roles delete rows of this entity");
    insta::assert_snapshot!(answer(&["Boss"], "SystemSession", Operation::Read).1, @"the runtime keeps this entity for itself: it is no part of the service");
}

#[test]
fn a_row_answers_for_itself() {
    let model = model(SHOP);
    let access = access(&model, &["Sales", "Clerk"]);
    let order = entity(&model, "Order");
    let user = [Value::Text("N".to_owned())];
    let key = [Value::Uuid(uuid::Uuid::nil())];
    let asked: Vec<_> = access
        .questions(order, Operation::Delete, &key, &user)
        .into_iter()
        .map(|question| {
            let filter = question.into_inner().filter;
            filter.map_or_else(String::new, |filter| print(&model, order, &filter))
        })
        .collect();
    insta::assert_snapshot!(asked.join("\n"), @r#"

        Region eq 'N'
        Region eq 'N' and Status eq 'Draft'

        false
        isof(shop.Rush) and shop.Rush/Fee gt 0
        false
        "#);
    let explanation = access.explain(order, Operation::Delete, &user);
    let of = |found: &[bool]| explanation.clone().of_row(found);
    assert_eq!(of(&[false]).answer, Answer::No);
    insta::assert_snapshot!(of(&[true, true, true, true, false, false, false]), @r#"
        delete Order as Sales, Clerk: yes
          because rule 1 of Order for Sales allows it

        user
          $user/Region = 'N'

        rules
          1 of Order for Sales: matches the row and allows it
            where  Region eq $user/Region
            read   Total, Status, Lines
            write  Status
            create Total lt 100
            delete Status eq 'Draft'
          2 of Order for Clerk: matches the row and does not allow it
            where  (all rows)
            read   Status
            write  (nothing)
            create no
            delete no
          1 of Rush for Clerk: does not match the row
            where  Fee gt 0
            read   Fee
            write  Fee
            create no
            delete no

        other roles with rules for Order: Boss

        members
          id         read yes, write no
          Total      read yes, write no
          Status     read yes, write yes
          Region     read no, write no
          createdAt  read no, write no
          changedAt  read no, write no
          Lines      read no, write no
          Rush/Fee   read no, write no
        "#);
    let refused = of(&[true, false, false, true, false, false, false]);
    assert_eq!(refused.answer, Answer::No);
    insta::assert_snapshot!(refused.reason, @"the row can be seen, and no rule that matches it lets these roles delete it");
    insta::assert_snapshot!(of(&[true, false, false, false, false, false, false]).reason, @"no rule of these roles that shows anything matches the row: to this user it does not exist");
    let json = serde_json::to_value(refused).unwrap();
    assert_eq!(json["rules"][1]["matches"], true);
    assert_eq!(json["operation"], "delete");
    assert_eq!(json["members"][0]["read"], "yes");
}
