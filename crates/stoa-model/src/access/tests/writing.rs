//! Rules in changes.

use super::text::{access, attribute, entity, model, navigation, query, source};
use crate::access::print::print;
use crate::access::{Access, Actor, Demand, Judgement, RowJudgement};
use crate::change::{Action, Change, Expected, Operation, Reference, Rule, Target, Violation};
use crate::model::{EntityId, Extent, Model};
use crate::query::Source;
use crate::value::Value;

const SHOP: &str = r#"
[role.Sales]
[role.Clerk]
[role.Drop]
[role.Boss]
[entity.Customer]
key = ["Code"]
[entity.Customer.attributes]
Code = { type = "String", length = 8, required = true }
Name = { type = "String", length = 40, required = true }
Region = { type = "String", length = 8, default = "N" }
Extra = { type = "Json" }
[entity.Order.attributes]
Number = { type = "AutoNumber" }
Total = { type = "Integer" }
Status = { type = "String", length = 8, default = "Draft" }
PlacedOn = { type = "Date", default = "now" }
CustomerCode = { type = "String", length = 8 }
[entity.Order.associations]
Customer = { to = "Customer", inverse = "Orders", foreign_key = ["CustomerCode"] }
Seller = { to = "Customer", inverse = "Sold" }
Lines = { to = "Line", many = true, contained = true, inverse = "Order" }
Tags = { to = "Tag", many_to_many = true, inverse = "Tagged" }
[entity.Line.attributes]
Amount = { type = "Integer" }
[entity.Tag.attributes]
Text = { type = "String", length = 8 }

[[entity.Order.access]]
role = "Sales"
create = "Total lt 100"
delete = "Status eq 'Draft'"
read = ["Total", "Status", "Customer", "CustomerCode", "Lines", "Tags"]
write = ["Total", "Status", "Customer", "Lines", "Tags"]
where = "Customer/Region eq 'N'"
[[entity.Customer.access]]
role = "Sales"
read = ["Name", "Orders", "Sold"]
write = ["Sold"]
where = "Region eq 'N'"
[[entity.Line.access]]
role = "Sales"
create = true
delete = true
read = "*"
write = "*"
[[entity.Tag.access]]
role = "Sales"
read = "*"
where = "Text ne 'x'"

[[entity.Order.access]]
role = "Clerk"
read = ["Total", "Status"]
[[entity.Order.access]]
role = "Clerk"
write = ["Status"]
where = "Status ne 'Shipped'"

[[entity.Line.access]]
role = "Drop"
create = true
write = ["Amount"]

[[entity.Order.access]]
role = "Boss"
create = true
delete = true
read = "*"
write = "*"
[[entity.Customer.access]]
role = "Boss"
create = true
delete = true
read = "*"
write = "*"
[[entity.Line.access]]
role = "Boss"
create = true
delete = true
read = "*"
write = "*"
[[entity.Tag.access]]
role = "Boss"
create = true
delete = true
read = "*"
write = "*"
"#;

struct Shop<'m> {
    model: &'m Model,
    order: EntityId,
    customer: EntityId,
    line: EntityId,
}

fn one() -> Target {
    Target::Key(vec![Value::Integer(1)])
}

fn code(code: &str) -> Target {
    Target::Key(vec![Value::Text(code.to_owned())])
}

impl Shop<'_> {
    fn insert(
        &self,
        entity: EntityId,
        values: &[(&str, Value)],
        to: &[(&str, Option<Target>)],
    ) -> Action {
        Action::Insert {
            entity,
            values: self.values(entity, values),
            references: self.references(entity, to),
        }
    }

    fn update(
        &self,
        entity: EntityId,
        values: &[(&str, Value)],
        to: &[(&str, Option<Target>)],
    ) -> Action {
        Action::Update {
            entity,
            target: one(),
            expected: Expected::Any,
            values: self.values(entity, values),
            references: self.references(entity, to),
        }
    }

    fn values(
        &self,
        entity: EntityId,
        values: &[(&str, Value)],
    ) -> Vec<(crate::model::AttributeId, Value)> {
        let id = |name| attribute(self.model, entity, name);
        values
            .iter()
            .map(|(name, value)| (id(name), value.clone()))
            .collect()
    }

    fn references(&self, entity: EntityId, to: &[(&str, Option<Target>)]) -> Vec<Reference> {
        to.iter()
            .map(|(name, to)| Reference {
                navigation: navigation(self.model, entity, name),
                to: to.clone(),
            })
            .collect()
    }

    fn link(&self, entity: EntityId, name: &str, to: Target) -> Action {
        Action::Link {
            entity,
            from: one(),
            navigation: navigation(self.model, entity, name),
            to,
        }
    }

    fn unlink(&self, entity: EntityId, name: &str, to: Option<Target>) -> Action {
        Action::Unlink {
            entity,
            from: one(),
            navigation: navigation(self.model, entity, name),
            to,
        }
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

const NOW: i64 = 1_700_000_000_000_000;

fn check(roles: &[&str], actions: impl FnOnce(&Shop<'_>) -> Vec<Action>) -> String {
    let model = model(SHOP);
    let access = access(&model, roles);
    let shop = Shop {
        model: &model,
        order: entity(&model, "Order"),
        customer: entity(&model, "Customer"),
        line: entity(&model, "Line"),
    };
    judged(&access, actions(&shop))
}

fn judged(access: &Access, actions: Vec<Action>) -> String {
    let operations = actions
        .into_iter()
        .map(|action| Operation {
            location: String::new(),
            action,
        })
        .collect();
    let actor = Actor::default();
    let change = match access.change(Change { operations }, &[], NOW, actor) {
        Ok(change) => change,
        Err(denied) => return format!("{} refused: {:?}", denied.operation, denied.denial),
    };
    let model = access.model();
    let mut out = String::new();
    for (position, operation) in change.change.operations.iter().enumerate() {
        let Some(judgement) = change.judgements.get(position) else {
            out.push_str("free");
            break;
        };
        out.push_str(&shown(model, position, &operation.action, judgement));
    }
    out
}

fn shown(model: &Model, position: usize, action: &Action, judgement: &Judgement) -> String {
    let (entity, other, from) = match action {
        Action::Insert { entity, .. } => (*entity, *entity, None),
        Action::Update { entity, target, .. }
        | Action::Upsert { entity, target, .. }
        | Action::Delete { entity, target, .. } => (*entity, *entity, Some(target)),
        Action::Retain {
            entity,
            navigation,
            from,
            ..
        }
        | Action::Link {
            entity,
            navigation,
            from,
            ..
        }
        | Action::Unlink {
            entity,
            navigation,
            from,
            ..
        } => (*entity, model[*entity][*navigation].target, Some(from)),
    };
    let mut out = format!("{position}");
    if let Some(Target::Source(from)) = from {
        out += &format!(" from {}", source(model, from));
    }
    out.push('\n');
    let demands = |out: &mut String, when: &str, entity, demands: &[Demand]| {
        for demand in demands {
            let text = print(model, entity, &demand.condition);
            *out += &format!("  {when} {:?}: {text}\n", demand.denial);
        }
    };
    let row = |out: &mut String, name: &str, entity, row: &RowJudgement| {
        if let Some(visible) = &row.visible {
            *out += &format!("  {name}visible: {}\n", print(model, entity, visible));
        }
        demands(out, &format!("{name}before"), entity, &row.before);
        demands(out, &format!("{name}after"), entity, &row.after);
    };
    row(&mut out, "", entity, &judgement.row);
    demands(&mut out, "inserted", entity, &judgement.inserted);
    row(&mut out, "other ", other, &judgement.other);
    if let Some(either) = &judgement.either {
        let end = |entity, end: &Option<_>| end.as_ref().map(|end| print(model, entity, end));
        out += &format!(
            "  either {:?}: {:?} or {:?}\n",
            either.denial,
            end(entity, &either.from),
            end(other, &either.to)
        );
    }
    out
}

#[test]
fn inserts() {
    insta::assert_snapshot!(check(&["Sales"], |shop| vec![shop.insert(
        shop.order,
        &[("id", Value::Uuid(uuid::Uuid::nil())), ("Total", Value::Integer(5)), ("Status", text("Draft")), ("PlacedOn", Value::Date(19675))],
        &[("Customer", Some(code("C")))],
    )]), @r#"
        0
          after Reference("Customer"): Customer eq null or Customer/Region eq 'N'
          after Create: Customer/Region eq 'N' and Total lt 100
        "#);
    insta::assert_snapshot!(check(&["Sales"], |shop| vec![shop.insert(shop.order, &[("PlacedOn", Value::Date(1))], &[])]), @"0 refused: Create");
    insta::assert_snapshot!(check(&["Sales"], |shop| vec![shop.insert(shop.order, &[("CustomerCode", text("C")), ("Total", Value::Null)], &[])]), @r#"
        0
          after Reference("CustomerCode"): Customer eq null or Customer/Region eq 'N'
          after Create: Customer/Region eq 'N' and Total lt 100
        "#);
    insta::assert_snapshot!(check(&["Sales"], |shop| vec![shop.insert(shop.order, &[], &[("Seller", Some(code("C")))])]), @r#"
        0
          after Reference("Seller"): Seller eq null or Seller/Region eq 'N'
          after Create: Customer/Region eq 'N' and Total lt 100
        "#);
    insta::assert_snapshot!(check(&["Clerk"], |shop| vec![shop.insert(shop.order, &[], &[])]), @"0 refused: Create");
    insta::assert_snapshot!(check(&["Drop"], |shop| vec![shop.insert(shop.line, &[("Amount", Value::Integer(1))], &[])]), @"free");
    insta::assert_snapshot!(check(&["Drop"], |shop| vec![shop.insert(shop.line, &[("Amount", Value::Integer(1))], &[("Order", Some(one()))])]), @r#"0 refused: Reference("")"#);
    insta::assert_snapshot!(check(&["Sales"], |shop| vec![
        shop.insert(shop.order, &[("Total", Value::Integer(5))], &[]),
        shop.insert(shop.line, &[("Amount", Value::Integer(1))], &[("Order", Some(Target::Inserted(0)))]),
    ]), @r#"
        0
          after Create: Customer/Region eq 'N' and Total lt 100
        1
          after Reference("Order"): Order/Customer/Region eq 'N'
        "#);
}

#[test]
fn what_was_judged_of_a_new_row_is_not_asked_again() {
    let model = model(SHOP);
    let access = access(&model, &["Sales"]);
    let shop = Shop {
        model: &model,
        order: entity(&model, "Order"),
        customer: entity(&model, "Customer"),
        line: entity(&model, "Line"),
    };
    let key = Value::Uuid(uuid::Uuid::nil());
    let insert = shop.insert(shop.order, &[("id", key.clone())], &[]);
    let change = Change {
        operations: vec![Operation {
            location: String::new(),
            action: insert,
        }],
    };
    let judged = access.change(change, &[], NOW, Actor::default()).unwrap();
    let mut asked = query(&access, "Order", "", &[]);
    asked.source = Source::Key(vec![key]);
    let asked = access.query(asked, &[]);
    assert_eq!(
        print(&model, shop.order, asked.filter.as_ref().unwrap()),
        "Customer/Region eq 'N'"
    );
    let read = judged.without_judged(&model, &asked).unwrap();
    assert_eq!(read.filter, None);
    // What the request itself asks for is still asked.
    let mut filtered = query(&access, "Order", "Total gt 1", &[]);
    filtered.source = asked.source.clone();
    let filtered = access.query(filtered, &[]);
    let read = judged.without_judged(&model, &filtered).unwrap();
    assert_eq!(
        print(&model, shop.order, read.filter.as_ref().unwrap()),
        "Total gt 1"
    );
    // Of other rows nothing was judged.
    let mut another = asked.clone().into_inner();
    another.source = Source::Key(vec![Value::Uuid(uuid::Uuid::max())]);
    assert_eq!(judged.without_judged(&model, &another), None);
}

#[test]
fn updates_and_deletes() {
    let total = Value::Integer(5);
    insta::assert_snapshot!(check(&["Sales"], |shop| vec![shop.update(shop.order, &[("Total", total.clone())], &[])]), @r#"
        0
          visible: Customer/Region eq 'N'
          after Member("Total"): Customer/Region eq 'N'
        "#);
    insta::assert_snapshot!(check(&["Clerk"], |shop| vec![shop.update(shop.order, &[("Total", total.clone()), ("Status", text("Paid")), ("Number", total.clone())], &[])]), @r#"
        0
          before Member("Total"): Total eq 5
          before Member("Status"): Status ne 'Shipped' or Status eq 'Paid'
          before Update: false
          after Member("Status"): Status ne 'Shipped'
        "#);
    insta::assert_snapshot!(check(&["Clerk"], |shop| vec![shop.update(shop.order, &[], &[])]), @"free");
    insta::assert_snapshot!(check(&["Sales"], |shop| vec![shop.update(shop.order, &[], &[("Customer", Some(code("C"))), ("Seller", None)])]), @r#"
        0
          visible: Customer/Region eq 'N'
          before Member("Seller"): Seller eq null or Seller/Region eq 'N'
          after Reference("Customer"): Customer eq null or Customer/Region eq 'N'
          after Member("Customer"): Customer/Region eq 'N' or Customer eq null
          after Member("Seller"): Seller eq null or Seller/Region eq 'N'
        "#);
    insta::assert_snapshot!(check(&["Sales"], |shop| vec![shop.update(shop.order, &[("CustomerCode", text("C"))], &[])]), @r#"
        0
          visible: Customer/Region eq 'N'
          after Reference("CustomerCode"): Customer eq null or Customer/Region eq 'N'
          after Member("CustomerCode"): Customer/Region eq 'N' or Customer eq null
        "#);
    insta::assert_snapshot!(check(&["Sales"], |shop| vec![shop.update(shop.customer, &[("Name", text("C")), ("Extra", Value::Json("1".to_owned())), ("Region", Value::Null)], &[])]), @r#"
        0
          visible: Region eq 'N'
          before Member("Name"): Name eq 'C'
          before Update: false
        "#);
    insta::assert_snapshot!(check(&["Sales"], |shop| vec![
        Action::Delete { entity: shop.order, target: one(), expected: Expected::Any },
        Action::Delete { entity: shop.line, target: one(), expected: Expected::Any },
        Action::Delete { entity: shop.customer, target: one(), expected: Expected::Any },
    ]), @r#"
        0
          visible: Customer/Region eq 'N'
          before Delete: Customer/Region eq 'N' and Status eq 'Draft'
        1
        2
          visible: Region eq 'N'
          before Delete: false
        "#);
    insta::assert_snapshot!(check(&["Clerk"], |shop| vec![shop.insert(shop.line, &[], &[])]), @"0 refused: Create");
}

#[test]
fn connections() {
    insta::assert_snapshot!(check(&["Sales"], |shop| vec![shop.link(shop.customer, "Orders", one()), shop.unlink(shop.customer, "Orders", Some(one()))]), @r#"
        0
          visible: Region eq 'N'
          other visible: Customer/Region eq 'N'
          other after Reference("Orders"): Customer eq null or Customer/Region eq 'N'
          other after Member("Orders"): Customer/Region eq 'N' or Customer eq null
        1
          visible: Region eq 'N'
          other visible: Customer/Region eq 'N'
        "#);
    insta::assert_snapshot!(check(&["Sales"], |shop| vec![shop.link(shop.customer, "Sold", one())]), @r#"
        0
          visible: Region eq 'N'
          other visible: Customer/Region eq 'N'
          other before Member("Sold"): Seller eq null or Seller/Region eq 'N'
          other after Reference("Sold"): Seller eq null or Seller/Region eq 'N'
        "#);
    insta::assert_snapshot!(check(&["Sales"], |shop| vec![shop.link(shop.order, "Tags", one()), shop.unlink(shop.order, "Tags", None)]), @r#"
        0
          visible: Customer/Region eq 'N'
          other visible: Text ne 'x'
          either Member("Tags"): Some("Customer/Region eq 'N'") or None
        1
          visible: Customer/Region eq 'N'
          other visible: Text ne 'x'
          either Member("Tags"): Some("Customer/Region eq 'N'") or None
        "#);
    insta::assert_snapshot!(check(&["Clerk"], |shop| vec![shop.link(shop.order, "Tags", one())]), @r#"
        0
          other visible: false
          either Update: None or None
        "#);
    insta::assert_snapshot!(check(&["Sales"], |shop| vec![shop.link(shop.order, "Customer", code("C"))]), @r#"
        0
          visible: Customer/Region eq 'N'
          after Reference("Customer"): Customer eq null or Customer/Region eq 'N'
          after Member("Customer"): Customer/Region eq 'N' or Customer eq null
          other visible: Region eq 'N'
        "#);
}

#[test]
fn contained_rows_are_replaced() {
    insta::assert_snapshot!(check(&["Sales"], |shop| {
        let lines = navigation(shop.model, shop.order, "Lines");
        let order = navigation(shop.model, shop.line, "Order");
        let target = Target::Source(Source::Related {
            entity: shop.order,
            from: Box::new(Source::Key(vec![Value::Integer(1)])),
            navigation: lines,
            key: Some(vec![Value::Integer(7)]),
        });
        let values = shop.values(shop.line, &[("Amount", Value::Integer(2))]);
        vec![
            Action::Retain { entity: shop.order, from: one(), navigation: lines, keep: Vec::new() },
            Action::Upsert {
                entity: shop.line,
                target,
                insert: values.clone(),
                update: values,
                references: vec![Reference { navigation: order, to: Some(one()) }],
            },
        ]
    }), @r#"
        0
          visible: Customer/Region eq 'N'
        1 from (1)[Customer/Region eq 'N'].Lines(7)
          after Reference("Order"): Order/Customer/Region eq 'N'
          inserted Reference("Order"): Order/Customer/Region eq 'N'
        "#);
}

#[test]
fn all_access_judges_nothing() {
    let free = check(&["Boss"], |shop| {
        let lines = navigation(shop.model, shop.order, "Lines");
        vec![
            shop.insert(
                shop.order,
                &[("Total", Value::Integer(5))],
                &[("Customer", Some(code("C")))],
            ),
            shop.update(shop.customer, &[("Name", text("C"))], &[]),
            shop.update(
                shop.order,
                &[("CustomerCode", text("C"))],
                &[("Seller", None)],
            ),
            shop.link(shop.order, "Tags", one()),
            shop.unlink(shop.customer, "Orders", None),
            Action::Retain {
                entity: shop.order,
                from: one(),
                navigation: lines,
                keep: Vec::new(),
            },
            Action::Delete {
                entity: shop.order,
                target: one(),
                expected: Expected::Any,
            },
        ]
    });
    assert_eq!(free, "free");
}

#[test]
fn bodies_are_not_asked_for_the_impossible() {
    let model = model(SHOP);
    let access = access(&model, &["Sales", "Drop"]);
    let view = access.view();
    let line = &view[entity(&model, "Line")];
    assert_eq!(line.reach.create, Extent::All);
    // Written by either end.
    let order = &line[navigation(&model, line.id, "Order")];
    assert_eq!(order.reach.write, Extent::All);
    let order = &view[entity(&model, "Order")];
    assert_eq!(order.reach.create, Extent::Some);
    let code = attribute(&model, order.id, "CustomerCode");
    assert_eq!(order[code].reach.write, Extent::Some);
    let customer = &view[entity(&model, "Customer")];
    // What is said of rows stays true; the wire asks bodies for what may be written.
    assert!(customer[attribute(&model, customer.id, "Name")].required);
    assert_eq!(customer.reach.update, Extent::All);
    assert_eq!(customer.reach.delete, Extent::None);
}

#[test]
fn violations_name_what_is_known() {
    let model = model(SHOP);
    let access = access(&model, &["Clerk"]);
    let order = entity(&model, "Order");
    let change = Change {
        operations: vec![Operation {
            location: String::new(),
            action: Action::Delete {
                entity: order,
                target: one(),
                expected: Expected::Any,
            },
        }],
    };
    let redacted = |rule: Rule| {
        let violation = Violation { operation: 0, rule };
        access.redact(&change, vec![violation]).remove(0).rule
    };
    let name = |name: &str| name.to_owned();
    assert_eq!(
        redacted(Rule::Unique {
            members: vec![name("Number"), name("Total")]
        }),
        Rule::Unique {
            members: vec![name("Total")]
        }
    );
    assert_eq!(
        redacted(Rule::ReferencedBy {
            entity: name("Line"),
            navigation: name("Order")
        }),
        Rule::ReferencedBy {
            entity: String::new(),
            navigation: String::new()
        }
    );
    assert_eq!(
        redacted(Rule::ReferencedBy {
            entity: name("Order"),
            navigation: name("Customer")
        }),
        Rule::ReferencedBy {
            entity: name("Order"),
            navigation: name("Order")
        }
    );
    assert_eq!(
        redacted(Rule::Required {
            member: name("CustomerCode")
        }),
        Rule::Required {
            member: String::new()
        }
    );
    assert_eq!(
        redacted(Rule::Check {
            member: name("Status")
        }),
        Rule::Check {
            member: name("Status")
        }
    );
}
