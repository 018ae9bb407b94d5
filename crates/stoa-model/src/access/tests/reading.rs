//! Rules in queries.

use super::text::{access, check_query, condition, entity, expand, model, navigation, query, show};
use crate::model::Extent;
use crate::query::Source;
use crate::value::Value;

/// Sales sees orders of the north, and of those that are shipped the total; clerks see all orders and no
/// total; the boss sees everything.
const SHOP: &str = r#"
[role.Sales]
[role.Clerk]
[role.Boss]
[enumeration.Status]
values = ["Draft", "Shipped"]
[entity.Region]
key = ["Code"]
[entity.Region.attributes]
Code = { type = "String", length = 8, required = true }
Secret = { type = "String", length = 8 }
[entity.Customer.attributes]
Name = { type = "String", length = 40 }
Credit = { type = "Integer" }
[entity.Customer.associations]
Region = { to = "Region", inverse = "Customers" }
[entity.Order.attributes]
Number = { type = "AutoNumber" }
Total = { type = "Integer" }
Status = { type = "Status" }
[entity.Order.associations]
Customer = { to = "Customer", inverse = "Orders" }
Lines = { to = "Line", many = true, contained = true, inverse = "Order" }
[entity.Line.attributes]
Amount = { type = "Integer" }
Product = { type = "String", length = 40 }

[[entity.Order.access]]
role = "Sales"
read = ["Number", "Status", "Customer", "Lines"]
where = "Customer/Region/Code eq 'N'"
[[entity.Order.access]]
role = "Sales"
read = ["Total"]
where = "Status eq 'Shipped' and Customer/Region/Code eq 'N'"
[[entity.Order.access]]
role = "Clerk"
read = ["Number", "Status", "Customer"]
[[entity.Customer.access]]
role = "Sales"
read = ["Name", "Orders", "Region"]
where = "Orders/any(o:o/Lines/any(l:l/Amount gt 5))"
[[entity.Customer.access]]
role = "Clerk"
read = ["Name"]
where = "Credit gt 0"
[[entity.Line.access]]
role = "Sales"
read = "*"
where = "Amount lt 100"
[[entity.Region.access]]
role = "Sales"
read = ["Customers"]
[[entity.Region.access]]
role = "Boss"
read = "*"
[[entity.Customer.access]]
role = "Boss"
read = "*"
[[entity.Order.access]]
role = "Boss"
read = "*"
[[entity.Line.access]]
role = "Boss"
read = "*"
"#;

fn check(roles: &[&str], name: &str, filter: &str, order: &[&str]) -> String {
    check_query(SHOP, roles, name, filter, order)
}

#[test]
fn rows_and_values_have_conditions() {
    insta::assert_snapshot!(check(&["Sales"], "Order", "", &[]), @r#"
        filter Customer/Region/Code eq 'N'
        Total where Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N'
        createdAt where false
        changedAt where false
        "#);
    insta::assert_snapshot!(check(&["Clerk"], "Order", "Number gt 3", &[]), @r#"
        filter Number gt 3
        Total where false
        createdAt where false
        changedAt where false
        "#);
    insta::assert_snapshot!(check(&["Sales", "Clerk"], "Order", "", &[]), @r#"
        Total where Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N'
        createdAt where false
        changedAt where false
        "#);
}

#[test]
fn nothing_without_a_rule() {
    insta::assert_snapshot!(check(&[], "Order", "", &[]), @r#"
        filter false
        Number where false
        Total where false
        Status where false
        createdAt where false
        changedAt where false
        "#);
}

#[test]
fn all_access_changes_nothing() {
    let model = model(SHOP);
    let access = access(&model, &["Boss", "Clerk"]);
    let filter = "Customer/Region/Secret eq 'x' or Lines/any(l:l/Amount gt Total) or Lines/$count gt 2 or not (Customer eq null)";
    let mut asked = query(&access, "Order", filter, &["Customer/Name", "Total"]);
    let order = entity(&model, "Order");
    asked
        .selection
        .expands
        .push(expand(&model, order, "Lines", &["Amount"]));
    asked
        .selection
        .expands
        .push(expand(&model, order, "Customer", &["Credit"]));
    assert_eq!(access.query(asked.clone(), &[]).into_inner(), asked);
}

#[test]
fn conditions_of_requests_see_what_the_reader_sees() {
    let sales = |filter| check(&["Sales"], "Order", filter, &[]);
    insta::assert_snapshot!(sales("Total gt 5"), @r#"
        filter Customer/Region/Code eq 'N' and Status eq shop.Status'Shipped' and Total gt 5
        Total where Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N'
        createdAt where false
        changedAt where false
        "#);
    insta::assert_snapshot!(sales("Total ne 5"), @r#"
        filter Customer/Region/Code eq 'N' and case(Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N' : Total) ne 5
        Total where Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N'
        createdAt where false
        changedAt where false
        "#);
    insta::assert_snapshot!(sales("not (Total gt 5)"), @r#"
        filter Customer/Region/Code eq 'N' and not (holds(Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N') and Total gt 5)
        Total where Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N'
        createdAt where false
        changedAt where false
        "#);
    insta::assert_snapshot!(sales("Total eq null"), @r#"
        filter Customer/Region/Code eq 'N' and case(Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N' : Total) eq null
        Total where Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N'
        createdAt where false
        changedAt where false
        "#);
    insta::assert_snapshot!(sales("Total in (1,2)"), @r#"
        filter Customer/Region/Code eq 'N' and Status eq shop.Status'Shipped' and Total in (1,2)
        Total where Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N'
        createdAt where false
        changedAt where false
        "#);
    insta::assert_snapshot!(sales("Customer/Name eq 'x'"), @r#"
        filter Customer/Region/Code eq 'N' and Customer/Orders/any(x3:x3/Lines/any(x4:x4/Amount gt 5)) and Customer/Name eq 'x'
        Total where Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N'
        createdAt where false
        changedAt where false
        "#);
    insta::assert_snapshot!(sales("startswith(Customer/Name,'x')"), @r#"
        filter Customer/Region/Code eq 'N' and Customer/Orders/any(x3:x3/Lines/any(x4:x4/Amount gt 5)) and startswith(Customer/Name,'x')
        Total where Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N'
        createdAt where false
        changedAt where false
        "#);
    insta::assert_snapshot!(sales("Customer eq null"), @r#"
        filter Customer/Region/Code eq 'N' and (not (Customer/Orders/any(x3:x3/Lines/any(x4:x4/Amount gt 5))) or Customer eq null)
        Total where Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N'
        createdAt where false
        changedAt where false
        "#);
    insta::assert_snapshot!(sales("Customer ne null"), @r#"
        filter Customer/Region/Code eq 'N' and Customer/Orders/any(x3:x3/Lines/any(x4:x4/Amount gt 5)) and Customer ne null
        Total where Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N'
        createdAt where false
        changedAt where false
        "#);
    insta::assert_snapshot!(sales("Lines/any(l:l/Amount gt 5)"), @r#"
        filter Customer/Region/Code eq 'N' and Lines/any(x1:(x1/Amount lt 100 and x1/Amount gt 5))
        Total where Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N'
        createdAt where false
        changedAt where false
        "#);
    insta::assert_snapshot!(sales("Lines/all(l:l/Amount gt 5)"), @r#"
        filter Customer/Region/Code eq 'N' and Lines/all(x1:(not (x1/Amount lt 100) or x1/Amount gt 5))
        Total where Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N'
        createdAt where false
        changedAt where false
        "#);
    insta::assert_snapshot!(sales("Lines/any()"), @r#"
        filter Customer/Region/Code eq 'N' and Lines/any(x1:x1/Amount lt 100)
        Total where Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N'
        createdAt where false
        changedAt where false
        "#);
    insta::assert_snapshot!(sales("Lines/$count gt 5"), @r#"
        filter Customer/Region/Code eq 'N' and Lines/$count($filter=x1/Amount lt 100) gt 5
        Total where Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N'
        createdAt where false
        changedAt where false
        "#);
    insta::assert_snapshot!(sales("Customer/Orders/any(o:o/Total gt 5)"), @r#"
        filter Customer/Region/Code eq 'N' and Customer/Orders/any(x3:x3/Lines/any(x4:x4/Amount gt 5)) and Customer/Orders/any(x1:(x1/Customer/Region/Code eq 'N' and x1/Status eq shop.Status'Shipped' and x1/Total gt 5))
        Total where Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N'
        createdAt where false
        changedAt where false
        "#);
    insta::assert_snapshot!(sales("Customer/Orders/all(o:o/Total gt 5)"), @r#"
        filter Customer/Region/Code eq 'N' and (not (Customer/Orders/any(x3:x3/Lines/any(x4:x4/Amount gt 5))) or Customer/Orders/all(x1:(not (x1/Customer/Region/Code eq 'N') or (x1/Status eq shop.Status'Shipped' and x1/Customer/Region/Code eq 'N' and x1/Total gt 5))))
        Total where Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N'
        createdAt where false
        changedAt where false
        "#);
    insta::assert_snapshot!(sales("Customer/Orders/$count($filter=Total gt 5) gt 5"), @r#"
        filter Customer/Region/Code eq 'N' and Customer/Orders/$count($filter=(Customer/Orders/any(x3:x3/Lines/any(x4:x4/Amount gt 5)) and x1/Customer/Region/Code eq 'N' and x1/Status eq shop.Status'Shipped' and x1/Total gt 5)) gt 5
        Total where Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N'
        createdAt where false
        changedAt where false
        "#);
}

#[test]
fn orders_and_expands() {
    insta::assert_snapshot!(check(&["Sales"], "Order", "", &["Total", "Customer/Name"]), @r#"
        filter Customer/Region/Code eq 'N'
        order case(Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N' : Total)
        order case(Customer/Orders/any(x3:x3/Lines/any(x4:x4/Amount gt 5)) : Customer/Name)
        Total where Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N'
        createdAt where false
        changedAt where false
        "#);
    let model = model(SHOP);
    let access = access(&model, &["Clerk", "Sales"]);
    let mut asked = query(&access, "Order", "", &[]);
    let order = entity(&model, "Order");
    let mut lines = expand(&model, order, "Lines", &["Amount"]);
    lines.filter = Some(condition(
        access.view(),
        entity(&model, "Line"),
        "Order/Total gt 1",
    ));
    asked.selection.expands.push(lines);
    let mut customer = expand(&model, order, "Customer", &["Name", "Credit"]);
    let of = entity(&model, "Customer");
    customer
        .selection
        .expands
        .push(expand(&model, of, "Orders", &["Total"]));
    asked.selection.expands.push(customer);
    insta::assert_snapshot!(show(&model, &access.query(asked, &[])), @r#"
        Total where Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N'
        createdAt where false
        changedAt where false
        expand Lines where Customer/Region/Code eq 'N'
          filter Amount lt 100 and Order/Status eq shop.Status'Shipped' and Order/Customer/Region/Code eq 'N' and Order/Total gt 1
        expand Customer
          filter Orders/any(x3:x3/Lines/any(x4:x4/Amount gt 5)) or Credit gt 0
          Credit where false
          expand Orders where Orders/any(x3:x3/Lines/any(x4:x4/Amount gt 5))
            Total where Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N'
        "#);
}

/// Orders and their lines go by the customer's region, as customers do. Clerks see shipped orders, and lines
/// of more than one; helpers see lines of shipped orders.
const PARTS: &str = r#"
[role.Sales]
[role.Clerk]
[role.Helper]
[entity.Customer.attributes]
Region = { type = "String", length = 8 }
[entity.Order.attributes]
Shipped = { type = "Boolean" }
[entity.Order.associations]
Customer = { to = "Customer", inverse = "Orders" }
Lines = { to = "Line", many = true, contained = true, inverse = "Order" }
[entity.Line.attributes]
Amount = { type = "Integer" }
[[entity.Customer.access]]
role = "Sales"
read = "*"
where = "Region eq 'N'"
[[entity.Order.access]]
role = "Sales"
read = "*"
where = "Customer/Region eq 'N'"
[[entity.Line.access]]
role = "Sales"
read = "*"
where = "Order/Customer/Region eq 'N'"
[[entity.Order.access]]
role = "Clerk"
read = "*"
where = "Shipped"
[[entity.Line.access]]
role = "Clerk"
read = "*"
where = "Order/Shipped and Amount gt 1"
[[entity.Line.access]]
role = "Helper"
read = "*"
where = "Order/Shipped"
"#;

fn parts(roles: &[&str]) -> String {
    let model = model(PARTS);
    let access = access(&model, roles);
    let (order, line) = (entity(&model, "Order"), entity(&model, "Line"));
    let mut asked = query(&access, "Order", "", &[]);
    asked.selection.attributes.clear();
    let mut lines = expand(&model, order, "Lines", &[]);
    lines.filter = Some(condition(access.view(), line, "Amount lt 9"));
    asked.selection.expands = vec![lines, expand(&model, order, "Customer", &[])];
    show(&model, &access.query(asked, &[]))
}

#[test]
fn parts_of_what_is_visible_are_not_judged_again() {
    insta::assert_snapshot!(parts(&["Sales"]), @r#"
    filter Customer/Region eq 'N'
    expand Lines
      given Order/Customer/Region eq 'N'
      filter Amount lt 9
    expand Customer
      given Region eq 'N'
    "#);
    // Not all lines of a shipped order are there for clerks, nor its customer.
    insta::assert_snapshot!(parts(&["Sales", "Clerk"]), @r#"
    filter Customer/Region eq 'N' or Shipped
    expand Lines
      filter (Order/Customer/Region eq 'N' or (Order/Shipped and Amount gt 1)) and Amount lt 9
    expand Customer
      filter Region eq 'N'
    "#);
    // For helpers they are.
    insta::assert_snapshot!(parts(&["Clerk", "Helper"]), @r#"
    filter Shipped
    expand Lines
      given Order/Shipped
      filter Amount lt 9
    expand Customer where false
      filter false
    "#);
}

#[test]
fn rows_on_the_way_must_be_visible() {
    let model = model(SHOP);
    let access = access(&model, &["Sales", "Clerk"]);
    let (order, customer) = (entity(&model, "Order"), entity(&model, "Customer"));
    let mut asked = query(&access, "Order", "", &[]);
    asked.source = Source::Related {
        entity: customer,
        from: Box::new(Source::Related {
            entity: order,
            from: Box::new(Source::Key(vec![Value::Integer(1)])),
            navigation: navigation(&model, order, "Customer"),
            key: None,
        }),
        navigation: navigation(&model, customer, "Orders"),
        key: Some(vec![Value::Integer(2)]),
    };
    insta::assert_snapshot!(show(&model, &access.query(asked, &[])), @r#"
        from (1).Customer[Orders/any(x3:x3/Lines/any(x4:x4/Amount gt 5))].Orders(2)
        Total where Status eq shop.Status'Shipped' and Customer/Region/Code eq 'N'
        createdAt where false
        changedAt where false
        "#);
}

#[test]
fn the_view_knows_what_may_be_known() {
    let model = model(SHOP);
    let access = access(&model, &["Clerk"]);
    let view = access.view();
    let order = &view[entity(&model, "Order")];
    let mut names: Vec<_> = order
        .attributes_by_name
        .keys()
        .chain(order.navigations_by_name.keys())
        .collect();
    names.sort();
    assert_eq!(names, ["Customer", "Number", "Status", "id"]);
    assert_eq!(order.reach.read, Extent::All);
    let customer = &view[entity(&model, "Customer")];
    assert_eq!(customer.reach.read, Extent::Some);
    assert_eq!(customer.reach.create, Extent::None);
    assert!(customer.navigations_by_name.is_empty());
    let mut names: Vec<_> = view.entities_by_collection.keys().collect();
    names.sort();
    assert_eq!(names, ["Customers", "Orders"]);
}

#[test]
fn lambdas_of_rules_and_of_requests_keep_apart() {
    let text = r#"
[role.Sales]
[entity.Order.attributes]
Total = "Integer"
[entity.Order.associations]
Lines = { to = "Line", many = true, inverse = "Order" }
[entity.Line.attributes]
Amount = "Integer"
[[entity.Order.access]]
role = "Sales"
read = "*"
where = "Lines/any(l:l/Order/Lines/any(m:m/Amount gt l/Amount and m/Amount lt $it/Total))"
[[entity.Line.access]]
role = "Sales"
read = "*"
where = "Order/Lines/any(l:l/Amount ne $it/Amount)"
"#;
    let filter = "Lines/any(l:l/Order/Lines/all(m:m/Amount eq l/Amount and m/Order/Total eq 1))";
    insta::assert_snapshot!(check_query(text, &["Sales"], "Order", filter, &[]), @"filter Lines/any(x9:x9/Order/Lines/any(x10:(x10/Amount gt x9/Amount and x10/Amount lt Total))) and Lines/any(x1:(x1/Order/Lines/any(x3:x3/Amount ne x1/Amount) and (not (x1/Order/Lines/any(x4:x4/Order/Lines/any(x5:(x5/Amount gt x4/Amount and x5/Amount lt x1/Order/Total)))) or x1/Order/Lines/all(x2:(not (x2/Order/Lines/any(x6:x6/Amount ne x2/Amount)) or (x2/Amount eq x1/Amount and x2/Order/Lines/any(x7:x7/Order/Lines/any(x8:(x8/Amount gt x7/Amount and x8/Amount lt x2/Order/Total))) and x2/Order/Total eq 1))))))");
}

#[test]
fn conditions_that_say_the_same_count_once() {
    let text = r#"
[role.Sales]
[entity.Order.attributes]
A = "Integer"
B = "Integer"
[[entity.Order.access]]
role = "Sales"
read = ["A"]
where = "A gt 1 and B gt 2"
[[entity.Order.access]]
role = "Sales"
read = ["A", "B"]
where = "B gt 2 and A gt 1"
[[entity.Order.access]]
role = "Sales"
read = ["A"]
where = "A lt 0 and A lt 0"
[[entity.Order.access]]
role = "Sales"
read = ["A"]
where = "A lt 0"
"#;
    insta::assert_snapshot!(check_query(text, &["Sales"], "Order", "", &[]), @r#"
        filter (A gt 1 and B gt 2) or A lt 0
        B where B gt 2 and A gt 1
        createdAt where false
        changedAt where false
        "#);
}
