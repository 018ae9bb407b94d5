//! `$user` in rules.

use super::text::{access, model, query};
use crate::access::print::print;
use crate::value::Value;

/// A rule's condition for a user with a region and a limit, and for one without.
fn check(condition: &str) -> String {
    let model = model(&format!(
        r#"
[role.Sales]
[entity.Employee]
extends = "System.User"
[entity.Employee.attributes]
Region = {{ type = "String", length = 8 }}
Limit = {{ type = "Integer" }}
Senior = {{ type = "Boolean" }}
[entity.Order.attributes]
Region = {{ type = "String", length = 8 }}
Total = {{ type = "Integer" }}
[entity.Order.associations]
Owner = {{ to = "System.User" }}
Lines = {{ to = "Line", many = true, contained = true }}
[entity.Line.attributes]
Amount = {{ type = "Integer" }}
[[entity.Order.access]]
role = "Sales"
read = "*"
where = "{condition}"
"#
    ));
    let access = access(&model, &["Sales"]);
    let values = |is_known: bool| -> Vec<Value> {
        let known = |path: &str| match path {
            "Region" => Value::Text("N".to_owned()),
            "Limit" => Value::Integer(5),
            "Senior" => Value::Boolean(true),
            "id" => Value::Uuid(uuid::Uuid::nil()),
            other => panic!("{other}"),
        };
        let values = model.user.values.iter();
        values
            .map(|value| {
                if is_known {
                    known(&value.path)
                } else {
                    Value::Null
                }
            })
            .collect()
    };
    let asked = query(&access, "Order", "", &[]);
    let filter = |user: &[Value]| {
        let query = access.query(asked.clone(), user).into_inner();
        let text = |filter| print(&model, query.entity, &filter);
        query.filter.map_or_else(|| "all".to_owned(), text)
    };
    assert_eq!(filter(&values(false)), filter(&[]));
    format!("{} | {}", filter(&values(true)), filter(&[]))
}

#[test]
fn nothing_matches_what_the_user_does_not_have() {
    insta::assert_snapshot!(check("Region eq $user/Region"), @"Region eq 'N' | false");
    insta::assert_snapshot!(check("$user/Region ne Region"), @"'N' ne Region | false");
    insta::assert_snapshot!(check("not (Region eq $user/Region)"), @"not (Region eq 'N') | false");
    insta::assert_snapshot!(check("not (Region eq $user/Region) or Total gt 5"), @"not (Region eq 'N') or Total gt 5 | Total gt 5");
    insta::assert_snapshot!(check("not (Region eq $user/Region and Total gt 5)"), @"not (Region eq 'N' and Total gt 5) | not (null and Total gt 5)");
    insta::assert_snapshot!(check("Total le $user/Limit mul 2"), @"Total le (5 mul 2) | false");
    insta::assert_snapshot!(check("Owner eq $user"), @"Owner/id eq 00000000-0000-0000-0000-000000000000 | false");
    insta::assert_snapshot!(check("Owner ne $user"), @"Owner/id ne 00000000-0000-0000-0000-000000000000 | false");
    insta::assert_snapshot!(check("$user/Region in ('N','S')"), @"'N' in ('N','S') | false");
    insta::assert_snapshot!(check("not ($user/Region in ('N','S'))"), @"not ('N' in ('N','S')) | false");
    insta::assert_snapshot!(check("contains(Region,$user/Region)"), @"contains(Region,'N') | false");
    insta::assert_snapshot!(check("not startswith($user/Region,'x')"), @"not (startswith('N','x')) | false");
    insta::assert_snapshot!(check("length($user/Region) eq null"), @"length('N') eq null | all");
    insta::assert_snapshot!(check("$user/Senior"), @"all | false");
    insta::assert_snapshot!(check("not $user/Senior"), @"false | false");
    insta::assert_snapshot!(check("Lines/any(l:l/Amount gt $user/Limit)"), @"Lines/any(x2:x2/Amount gt 5) | false");
    insta::assert_snapshot!(check("Lines/all(l:l/Amount gt $user/Limit)"), @"Lines/all(x2:x2/Amount gt 5) | Lines/all(x2:false)");
    insta::assert_snapshot!(check("(Region eq $user/Region) eq false"), @"Region eq 'N' eq false | false");
}

#[test]
fn whether_the_user_has_something_can_be_asked() {
    insta::assert_snapshot!(check("$user/Region eq null"), @"false | all");
    insta::assert_snapshot!(check("$user/Region ne null"), @"all | false");
    insta::assert_snapshot!(check("not ($user/Region eq null)"), @"all | false");
    insta::assert_snapshot!(check("$user/Region eq null or Region eq $user/Region"), @"Region eq 'N' | all");
    insta::assert_snapshot!(check("$user/Region in (null,'S')"), @"'N' in ('S') | all");
    insta::assert_snapshot!(check("$user/Region eq $user/Region"), @"'N' eq 'N' | false");
}
