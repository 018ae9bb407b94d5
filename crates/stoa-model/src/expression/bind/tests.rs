use super::super::syntax::{self, Limits};
use super::super::{Comparison, Expression, Quantifier, Variable};
use super::Binder;
use crate::model::{EntityId, Model, NavigationId};

const MODEL: &str = r#"
[enumeration.OrderStatus]
values = ["Draft", "Placed", "Shipped"]

[entity.Region]
key = ["Code"]
[entity.Region.attributes]
Code = { type = "String", length = 8, required = true }

[entity.Customer.attributes]
Name   = { type = "String", length = 120 }
Credit = { type = "Decimal", precision = 12, scale = 2 }
[entity.Customer.associations]
Region = { to = "Region", inverse = "Customers" }

[entity.Order.attributes]
Number   = { type = "AutoNumber" }
Quantity = { type = "Integer" }
Total    = { type = "Decimal", precision = 12, scale = 2 }
PlacedAt = { type = "DateTime" }
Day      = { type = "Date" }
Opens    = { type = "Time" }
Took     = { type = "Duration" }
Badge    = { type = "Uuid" }
Open     = { type = "Boolean" }
Status   = { type = "OrderStatus" }
Extra    = { type = "Json" }
Bytes    = { type = "Binary", length = 10 }
[entity.Order.associations]
Customer = { to = "Customer", inverse = "Orders" }
Lines    = { to = "OrderLine", many = true, contained = true, inverse = "Order" }

[entity.OrderLine.attributes]
Amount = { type = "Integer" }

[entity.Clerk]
extends = "System.User"
[entity.Clerk.attributes]
Code   = { type = "String", length = 8 }
Limit  = { type = "Decimal", precision = 12, scale = 2 }
Rank   = { type = "Integer" }
Senior = { type = "Boolean" }
Photo  = { type = "File" }
Shared = { type = "Integer" }
[entity.Clerk.associations]
Region = { to = "Region", inverse = "Clerks" }
Orders = { to = "Order", many = true, inverse = "Clerk" }
[entity.Guest]
extends = "System.User"
[entity.Guest.attributes]
Shared = { type = "Integer", column = "guest_shared" }

[entity.Employee.attributes]
Name = { type = "String", length = 120 }
[entity.Employee.associations]
Boss = { to = "Employee", inverse = "Reports" }

[entity.Manager]
extends = "Employee"
[entity.Manager.attributes]
Budget = { type = "Decimal", precision = 12, scale = 2 }
[entity.Manager.associations]
Managed = { to = "Region" }
"#;

/// Binds a condition on orders, and shows it compactly or tells the fault.
fn check(text: &str) -> String {
    check_in("Order", text, |binder| binder)
}

fn check_in(entity: &str, text: &str, set: fn(Binder<'_>) -> Binder<'_>) -> String {
    let model = Model::from_text("Sales", MODEL).unwrap();
    let entity = model.entities_by_name[entity];
    let aliases: Vec<_> = [("p", "5"), ("loop", "@loop"), ("deep", "@p add @p")]
        .into_iter()
        .map(|(name, text)| {
            (
                name.to_owned(),
                syntax::parse(text, Limits::default()).unwrap(),
            )
        })
        .collect();
    let node = match syntax::parse(text, Limits::default()) {
        Ok(node) => node,
        Err(error) => return format!("{}: {error}", error.kind.code()),
    };
    let binder = set(Binder::new(&model, entity).with_aliases(&aliases));
    let mut binder = binder;
    match binder.boolean(&node) {
        Ok(expression) => show(&model, &[(Variable(0), entity)], &expression),
        Err(error) => format!("{}: {error}", error.kind.code()),
    }
}

/// Names of a path, with its variable.
fn path(
    model: &Model,
    scope: &[(Variable, EntityId)],
    from: Variable,
    path: &[NavigationId],
) -> (String, EntityId) {
    let mut entity = scope
        .iter()
        .find(|(variable, _)| *variable == from)
        .unwrap()
        .1;
    let mut text = format!("${}", from.0);
    for id in path {
        let navigation = &model[entity][*id];
        text.push('/');
        text.push_str(navigation.name.as_deref().unwrap());
        entity = navigation.target;
    }
    (text, entity)
}

fn show(model: &Model, scope: &[(Variable, EntityId)], expression: &Expression) -> String {
    let one = |inner: &Expression| show(model, scope, inner);
    let all = |inner: &[Expression]| inner.iter().map(one).collect::<Vec<_>>().join(", ");
    let within = |variable: Variable, entity: EntityId, inner: &Option<Box<Expression>>| {
        let mut scope = scope.to_vec();
        scope.push((variable, entity));
        inner.as_ref().map_or_else(String::new, |inner| {
            format!("${}: {}", variable.0, show(model, &scope, inner))
        })
    };
    match expression {
        Expression::Literal { value, scalar_type } => format!("{value:?} as {scalar_type:?}"),
        Expression::Attribute {
            from,
            path: steps,
            entity,
            attribute,
            ..
        } => {
            format!(
                "{}/{}",
                path(model, scope, *from, steps).0,
                model[*entity][*attribute].name
            )
        }
        Expression::HasTarget {
            from,
            path: steps,
            negated,
        } => {
            format!(
                "{}has {}",
                if *negated { "not " } else { "" },
                path(model, scope, *from, steps).0
            )
        }
        Expression::IsOf {
            from,
            path: steps,
            entity,
        } => {
            format!(
                "{} is {}",
                path(model, scope, *from, steps).0,
                model[*entity].name
            )
        }
        Expression::Compare {
            operator,
            left,
            right,
        } => format!("({} {} {})", one(left), operator.name(), one(right)),
        Expression::And(operands) => format!("and[{}]", all(operands)),
        Expression::Or(operands) => format!("or[{}]", all(operands)),
        Expression::Not(inner) => format!("not {}", one(inner)),
        Expression::Negate(inner) => format!("-{}", one(inner)),
        Expression::Arithmetic {
            operator,
            left,
            right,
            scalar_type,
        } => {
            format!(
                "({} {} {}) as {scalar_type:?}",
                one(left),
                operator.name(),
                one(right)
            )
        }
        Expression::Call {
            function,
            arguments,
            scalar_type,
        } => format!("{function:?}({}) as {scalar_type:?}", all(arguments)),
        Expression::In { left, list } => format!("{} in [{}]", one(left), all(list)),
        Expression::Lambda {
            quantifier,
            from,
            path: steps,
            entity,
            variable,
            condition,
        } => {
            let name = if *quantifier == Quantifier::Any {
                "any"
            } else {
                "all"
            };
            format!(
                "{}/{name}({})",
                path(model, scope, *from, steps).0,
                within(*variable, *entity, condition)
            )
        }
        Expression::Count {
            from,
            path: steps,
            entity,
            variable,
            filter,
        } => {
            format!(
                "{}/count({})",
                path(model, scope, *from, steps).0,
                within(*variable, *entity, filter)
            )
        }
        Expression::If { condition, then } => format!(
            "if({}, {})",
            show(model, scope, condition),
            show(model, scope, then)
        ),
        Expression::AsType {
            from,
            path: steps,
            entity,
            variable,
            condition,
        } => format!(
            "{} as {}({})",
            path(model, scope, *from, steps).0,
            model[*entity].name,
            within(*variable, *entity, &Some(condition.clone()))
        ),
        Expression::Holds(inner) => format!("holds({})", show(model, scope, inner)),
        Expression::User { value, scalar_type } => format!("$user#{value} as {scalar_type:?}"),
    }
}

#[test]
fn literals_take_the_other_sides_type() {
    insta::assert_snapshot!(check("Quantity eq 3000000000"), @"($0/Quantity eq Integer(3000000000) as Long)");
    insta::assert_snapshot!(check("Quantity eq 5.0"), @"($0/Quantity eq Integer(5) as Integer)");
    insta::assert_snapshot!(check("2.5 lt Quantity"), @"(Decimal(2.5) as Decimal { precision: 2, scale: 1 } lt $0/Quantity)");
    insta::assert_snapshot!(check("Total gt 100"), @"($0/Total gt Decimal(100) as Decimal { precision: 12, scale: 2 })");
    insta::assert_snapshot!(check("Total gt 1.5m and Number eq 5L"), @"and[($0/Total gt Decimal(1.5) as Decimal { precision: 12, scale: 2 }), ($0/Number eq Integer(5) as Long)]");
    insta::assert_snapshot!(check("Status eq 'Draft' or Status eq Sales.OrderStatus'Placed' or Status has OrderStatus'2'"), @r#"or[($0/Status eq Text("Draft") as Enumeration(EnumerationId(0))), ($0/Status eq Text("Placed") as Enumeration(EnumerationId(0))), ($0/Status eq Text("Shipped") as Enumeration(EnumerationId(0)))]"#);
    insta::assert_snapshot!(check("PlacedAt ge 2013-05-24"), @"($0/PlacedAt ge DateTime(1369353600000000) as DateTime)");
    insta::assert_snapshot!(check("Took lt 'PT1H' and Badge ne 01234567-89ab-cdef-0123-456789abcdef"), @"and[($0/Took lt Duration(3600000000) as Duration), ($0/Badge ne Uuid(01234567-89ab-cdef-0123-456789abcdef) as Uuid)]");
    insta::assert_snapshot!(check("Quantity in (1,null,3000000000,2.5)"), @"or[$0/Quantity in [Integer(1) as Integer], ($0/Quantity eq Null as Integer)]");
    insta::assert_snapshot!(check("null eq Quantity"), @"(Null as Integer eq $0/Quantity)");
    insta::assert_snapshot!(check("1 eq 1.5"), @"(Decimal(1) as Decimal { precision: 2, scale: 1 } eq Decimal(1.5) as Decimal { precision: 2, scale: 1 })");
    insta::assert_snapshot!(check("Quantity eq @p"), @"($0/Quantity eq Integer(5) as Integer)");
}

#[test]
fn wrong_types_are_told_with_what_would_be_right() {
    insta::assert_snapshot!(check("Quantity eq '5'"), @"TypeMismatch: '5' is no Integer at position 12; expected a number without quotes");
    insta::assert_snapshot!(check("Status eq 'Shiped'"), @"TypeMismatch: 'Shiped' is no member of OrderStatus at position 10; did you mean 'Shipped'?");
    insta::assert_snapshot!(check("Status eq Sales.OrderStats'Draft'"), @"UnknownProperty: there is no enumeration 'Sales.OrderStats' at position 10; did you mean 'OrderStatus'?");
    insta::assert_snapshot!(check("Customer/Name eq 5"), @"TypeMismatch: 5 is no String at position 17; expected text in single quotes");
    insta::assert_snapshot!(check("Day eq '2024-01-01'"), @"TypeMismatch: '2024-01-01' is no Date at position 7; expected a date without quotes, such as 2024-02-29");
    insta::assert_snapshot!(check("Total lt 1e-101"), @"LiteralOutOfRange: no attribute can hold the number 1e-101 at position 9; expected a number with at most 18 digits");
    insta::assert_snapshot!(check("Total lt 1234567890123456789.5"), @"LiteralOutOfRange: no attribute can hold the number 1234567890123456789.5 at position 9; expected a number with at most 18 digits");
    insta::assert_snapshot!(check("Customer eq 5"), @"TypeMismatch: a row of Customer cannot be compared with a value at position 0; expected null, or a property of the row; did you mean '…/id'?");
    insta::assert_snapshot!(check("Quantity"), @"TypeMismatch: a condition is needed here, this is Integer at position 0; expected a comparison such as Name eq 'x'");
    insta::assert_snapshot!(check("Status eq Open"), @"TypeMismatch: OrderStatus and Boolean cannot be compared at position 0");
    insta::assert_snapshot!(check("Bytes lt binary'Zg=='"), @"TypeMismatch: 'lt' is not defined for Binary at position 0; expected eq or ne");
    insta::assert_snapshot!(check("Extra eq 'x'"), @"TypeMismatch: 'eq' is not defined for Json at position 0; expected eq null or ne null");
    insta::assert_snapshot!(check("length(Quantity) eq 1"), @"TypeMismatch: the function needs text here, this is Integer at position 7");
    insta::assert_snapshot!(check("Status add 1 eq 2"), @"TypeMismatch: 'add' is not defined for OrderStatus and Integer at position 0");
    insta::assert_snapshot!(check("matchesPattern(Customer/Name,'(')"), @"LiteralOutOfRange: this is no regular expression that is supported at position 29");
}

#[test]
fn unknown_names_come_with_the_nearest() {
    insta::assert_snapshot!(check("Quantiti eq 5"), @"UnknownProperty: Order has no property 'Quantiti' at position 0; did you mean 'Quantity'?");
    insta::assert_snapshot!(check("Customer/Nme eq 'x'"), @"UnknownProperty: Customer has no property 'Nme' at position 9; did you mean 'Name'?");
    insta::assert_snapshot!(check("lenght(Customer/Name) eq 5"), @"UnknownProperty: there is no function 'lenght' at position 0; did you mean 'length'?");
    insta::assert_snapshot!(check("contians(Customer/Name,'x')"), @"UnknownProperty: there is no function 'contians' at position 0; did you mean 'contains'?");
    insta::assert_snapshot!(check("Quantity eq @q"), @"UnknownProperty: the alias '@q' has no value at position 12");
    insta::assert_snapshot!(check_in("Employee", "Budget gt 5", |binder| binder), @"UnknownProperty: Employee has no property 'Budget' at position 0; did you mean 'Sales.Manager/Budget'?");
    insta::assert_snapshot!(check("Quantity/Name eq 5"), @"UnknownProperty: 'Quantity' is a single value: nothing can follow it at position 9");
    insta::assert_snapshot!(check("Lines/Amount eq 5"), @"TypeMismatch: 'Lines' is a collection: its rows are reached by any or all at position 6; did you mean 'Lines/any(x:x/Amount …)'?");
    insta::assert_snapshot!(check("Lines eq null"), @"TypeMismatch: 'Lines' is a collection and has no value at position 0; expected …/any(…), …/all(…) or …/$count");
}

#[test]
fn rows_navigations_and_lambdas() {
    insta::assert_snapshot!(check("Customer ne null and Customer/Region eq null"), @"and[has $0/Customer, not has $0/Customer/Region]");
    insta::assert_snapshot!(check("Customer/Region/Code eq 'N'"), @r#"($0/Customer/Region/Code eq Text("N") as String)"#);
    insta::assert_snapshot!(check("Lines/any() and not Lines/all(l:l/Amount gt Quantity and l/Order/Open)"), @"and[$0/Lines/any(), not $0/Lines/all($2: and[($2/Amount gt $0/Quantity), $2/Order/Open])]");
    insta::assert_snapshot!(check("Customer/Orders/any(o:o/Lines/any(l:l/Amount gt o/Quantity and l/Amount lt $it/Quantity))"), @"$0/Customer/Orders/any($1: $1/Lines/any($2: and[($2/Amount gt $1/Quantity), ($2/Amount lt $0/Quantity)]))");
    insta::assert_snapshot!(check("Lines/$count gt 1 and Lines/$count($filter=Amount gt 5) gt 2"), @"and[($0/Lines/count() gt Integer(1) as Long), ($0/Lines/count($2: ($2/Amount gt Integer(5) as Integer)) gt Integer(2) as Long)]");
    insta::assert_snapshot!(check("Lines/$filter(Amount gt 5)/$count gt 2"), @"($0/Lines/count($1: ($1/Amount gt Integer(5) as Integer)) gt Integer(2) as Long)");
    insta::assert_snapshot!(check("Lines/any(l:l/Lines/any(l:true))"), @"UnknownProperty: OrderLine has no property 'Lines' at position 14");
    insta::assert_snapshot!(check_in("Employee", "Sales.Manager/Budget gt 5 and isof(Sales.Manager) and isof(Boss,Manager)", |binder| binder), @"and[($0/Budget gt Decimal(5) as Decimal { precision: 12, scale: 2 }), $0 is Manager, $0/Boss is Manager]");
    insta::assert_snapshot!(check_in("Employee", "Sales.Manager/Name eq 'N'", |binder| binder), @r#"(if($0 is Manager, $0/Name) eq Text("N") as String)"#);
    insta::assert_snapshot!(check_in("Employee", "Boss/Sales.Manager/Managed/Code eq 'N'", |binder| binder), @"NotSupported: navigations of a specialisation such as 'Managed' are not supported in expressions at position 19");
    insta::assert_snapshot!(check_in("Manager", "isof(Employee) and Managed/Code eq 'N'", |binder| binder), @r#"($0/Managed/Code eq Text("N") as String)"#);
    insta::assert_snapshot!(check_in("Customer", "Region/Code eq $user/Region", |binder| binder), @"MalformedExpression: $user can only stand in access rules at position 15");
    insta::assert_snapshot!(check_in("Order", "$it/Quantity eq 5", |binder| binder.in_expand()), @"NotSupported: $it is not supported inside $expand at position 0; expected $this");
    insta::assert_snapshot!(check_in("Order", "$this/Quantity eq 5", |binder| binder.in_expand()), @"($0/Quantity eq Integer(5) as Integer)");
}

/// Binds a rule's condition, and shows it with what it asks of the user.
fn rule(entity: &str, text: &str) -> String {
    let model = Model::from_text("Sales", MODEL).unwrap();
    let entity = model.entities_by_name[entity];
    let node = syntax::parse(text, Limits::default()).unwrap();
    let mut values = Vec::new();
    let bound = Binder::new(&model, entity)
        .with_user(&mut values)
        .boolean(&node);
    let shown = match bound {
        Ok(expression) => show(&model, &[(Variable(0), entity)], &expression),
        Err(error) => return format!("{}: {error}", error.kind.code()),
    };
    let values: Vec<String> = values
        .iter()
        .map(|value| {
            let (from, entity) = (&model[value.from], &model[value.entity]);
            assert_eq!(value.scalar_type, entity[value.attribute].scalar_type);
            let steps = value.navigations.len();
            format!(
                "{} of {} by {steps} to {}",
                value.path, from.name, entity.name
            )
        })
        .collect();
    format!("{shown} | {}", values.join(", "))
}

#[test]
fn what_rules_ask_of_the_user_is_typed_and_kept_once() {
    insta::assert_snapshot!(rule("Order", "Quantity gt $user/Rank and Quantity lt $user/Clerk/Rank or $user/Senior"), @"or[and[($0/Quantity gt $user#0 as Integer), ($0/Quantity lt $user#0 as Integer)], $user#1 as Boolean] | Rank of Clerk by 0 to Clerk, Senior of Clerk by 0 to Clerk");
    insta::assert_snapshot!(rule("Customer", "Region eq $user/Region"), @"($0/Region/Code eq $user#0 as String) | Region/Code of Clerk by 1 to Region");
    insta::assert_snapshot!(rule("Customer", "Region/Code eq $user/Region/Code and Region/Code eq $user/Region"), @"and[($0/Region/Code eq $user#0 as String), ($0/Region/Code eq $user#0 as String)] | Region/Code of Clerk by 1 to Region");
    insta::assert_snapshot!(rule("Order", "Clerk eq $user and Clerk/id eq $user/id and $user/id eq Clerk and $user ne null"), @"and[($0/Clerk/id eq $user#0 as Uuid), ($0/Clerk/id eq $user#0 as Uuid), ($user#0 as Uuid eq $0/Clerk/id), ($user#0 as Uuid ne Null as Uuid)] | id of SystemUser by 0 to SystemUser");
    insta::assert_snapshot!(rule("SystemUser", "$it eq $user or id eq $user or Name eq $user/Name"), @"or[($0/id eq $user#0 as Uuid), ($0/id eq $user#0 as Uuid), ($0/Name eq $user#1 as String)] | id of SystemUser by 0 to SystemUser, Name of SystemUser by 0 to SystemUser");
    insta::assert_snapshot!(rule("Order", "$user/Region eq null and $user/Code ne null and $user/Code eq 'N'"), @r#"and[($user#0 as String eq Null as String), ($user#1 as String ne Null as String), ($user#1 as String eq Text("N") as String)] | Region/Code of Clerk by 1 to Region, Code of Clerk by 0 to Clerk"#);
    insta::assert_snapshot!(rule("Order", "$user/Code in ('N','S') and startswith(Customer/Name,$user/Code)"), @r#"and[$user#0 as String in [Text("N") as String, Text("S") as String], StartsWith($0/Customer/Name, $user#0 as String) as Boolean] | Code of Clerk by 0 to Clerk"#);
    insta::assert_snapshot!(rule("Order", "Total lt $user/Limit div 2 and $user/createdAt lt PlacedAt"), @"and[($0/Total lt ($user#0 as Decimal { precision: 12, scale: 2 } div Integer(2) as Integer) as Decimal { precision: 18, scale: 6 }), ($user#1 as DateTime lt $0/PlacedAt)] | Limit of Clerk by 0 to Clerk, createdAt of SystemUser by 0 to SystemUser");
    insta::assert_snapshot!(rule("Order", "Customer/Orders/any(o:o/Clerk eq $user)"), @"$0/Customer/Orders/any($1: ($1/Clerk/id eq $user#0 as Uuid)) | id of SystemUser by 0 to SystemUser");
}

#[test]
fn what_nobody_knows_of_the_user_is_a_fault() {
    insta::assert_snapshot!(rule("Order", "Quantity eq $user/Rnk"), @"UnknownProperty: users have no property 'Rnk' at position 18; expected an attribute of System.User, or of an entity that extends it; did you mean 'Rank'?");
    insta::assert_snapshot!(rule("Order", "Quantity eq $user/Shoes"), @"UnknownProperty: users have no property 'Shoes' at position 18; expected an attribute of System.User, or of an entity that extends it; did you mean 'Shared'?");
    insta::assert_snapshot!(rule("Order", "Quantity eq $user/Shared"), @"TypeMismatch: 'Shared' is ambiguous: Clerk and Guest have it at position 18; did you mean '$user/Clerk/Shared'?");
    insta::assert_snapshot!(rule("Order", "Quantity eq $user/Guest/Shared"), @"($0/Quantity eq $user#0 as Integer) | Shared of Guest by 0 to Guest");
    insta::assert_snapshot!(rule("Order", "Quantity eq $user/Region/Cod"), @"UnknownProperty: Region has no property 'Cod' at position 25; did you mean 'Code'?");
    insta::assert_snapshot!(rule("Order", "Quantity eq $user/Code"), @"TypeMismatch: Integer and String cannot be compared at position 0");
    insta::assert_snapshot!(rule("Order", "Quantity gt $user"), @"TypeMismatch: Integer and Uuid cannot be compared at position 0");
    insta::assert_snapshot!(rule("Order", "$user/Code eq 5"), @"TypeMismatch: 5 is no String at position 14; expected text in single quotes");
    insta::assert_snapshot!(rule("Order", "$user/Code"), @"TypeMismatch: a condition is needed here, this is String at position 0; expected a comparison such as Name eq 'x'");
    insta::assert_snapshot!(rule("Order", "$user"), @"TypeMismatch: a condition is needed here, this is a row of the user at position 0; expected a comparison such as Name eq 'x'");
    insta::assert_snapshot!(rule("Order", "Customer eq $user"), @"TypeMismatch: a row of Customer cannot be compared with a row of SystemUser at position 0");
    insta::assert_snapshot!(rule("Order", "Customer eq $user/id"), @"TypeMismatch: a row of Customer cannot be compared with a value at position 0; expected null, or a property of the row; did you mean '…/id'?");
    insta::assert_snapshot!(rule("Order", "$user lt Clerk"), @"TypeMismatch: a row of Clerk cannot be compared with a value at position 9; expected null, or a property of the row; did you mean '…/id'?");
    insta::assert_snapshot!(rule("Order", "$user/Photo ne null"), @"TypeMismatch: File cannot be compared at position 6");
    insta::assert_snapshot!(rule("Order", "$user/Orders/any()"), @"TypeMismatch: 'Orders' leads to many rows: what is known of a user is one value at position 6; expected a to-one association");
    insta::assert_snapshot!(rule("Order", "$user/Orders eq null"), @"TypeMismatch: 'Orders' leads to many rows: what is known of a user is one value at position 6; expected a to-one association");
    insta::assert_snapshot!(rule("Order", "$user/Rank/Code eq 'N'"), @"UnknownProperty: 'Rank' is a single value: nothing can follow it at position 11");
    insta::assert_snapshot!(rule("Order", "isof($user,Sales.Clerk)"), @"NotSupported: 'isof' is supported for rows only at position 5");
    insta::assert_snapshot!(rule("Order", "isof(Sales.SystemSession)"), @"UnknownProperty: there is no type 'Sales.SystemSession' at position 0; did you mean 'SystemUser'?");
}

#[test]
fn what_the_reader_may_not_see_is_unknown() {
    use crate::model::{Extent, MemberReach};
    let mut model = Model::from_text("Sales", MODEL).unwrap();
    let hidden = MemberReach {
        read: Extent::None,
        write: Extent::All,
    };
    let order = model.entities_by_name["Order"];
    let entity = &mut model.entities[order.index()];
    let (quantity, lines) = (
        entity.attributes_by_name["Quantity"],
        entity.navigations_by_name["Lines"],
    );
    entity.attributes[quantity.index()].reach = hidden;
    entity.navigations[lines.index()].reach = hidden;
    let bind = |text: &str| {
        let node = syntax::parse(text, Limits::default()).unwrap();
        Binder::new(&model, order)
            .boolean(&node)
            .unwrap_err()
            .to_string()
    };
    insta::assert_snapshot!(bind("Quantity eq 5"), @"Order has no property 'Quantity' at position 0");
    insta::assert_snapshot!(bind("Quantiti eq 5"), @"Order has no property 'Quantiti' at position 0");
    insta::assert_snapshot!(bind("Lines/any()"), @"Order has no property 'Lines' at position 0");
    insta::assert_snapshot!(bind("Customer/Orders/any(o:o/Quantity eq 5)"), @"Order has no property 'Quantity' at position 24");
}

#[test]
fn arithmetic_and_functions_have_types() {
    insta::assert_snapshot!(check("Quantity add 1 eq 5"), @"(($0/Quantity add Integer(1) as Integer) as Long eq Integer(5) as Long)");
    insta::assert_snapshot!(check("Total mul 1.19 gt 5"), @"(($0/Total mul Decimal(1.19) as Decimal { precision: 3, scale: 2 }) as Decimal { precision: 18, scale: 4 } gt Decimal(5) as Decimal { precision: 18, scale: 4 })");
    insta::assert_snapshot!(check("Quantity divby 2 eq 2.5"), @"(($0/Quantity divby Integer(2) as Integer) as Decimal { precision: 18, scale: 6 } eq Decimal(2.5) as Decimal { precision: 18, scale: 6 })");
    insta::assert_snapshot!(check("PlacedAt add duration'P1D' gt now() and -Quantity lt -5"), @"and[(($0/PlacedAt add Duration(86400000000) as Duration) as DateTime gt Now() as DateTime), (-$0/Quantity lt Integer(-5) as Long)]");
    insta::assert_snapshot!(check("PlacedAt sub PlacedAt gt duration'PT1H'"), @"(($0/PlacedAt sub $0/PlacedAt) as Duration gt Duration(3600000000) as Duration)");
    insta::assert_snapshot!(check("year(PlacedAt) eq 2024 and date(Day) eq 2024-01-01 and fractionalseconds(Opens) lt 0.5"), @"and[(Year($0/PlacedAt) as Integer eq Integer(2024) as Integer), ($0/Day eq Date(19723) as Date), (FractionalSeconds($0/Opens) as Decimal { precision: 6, scale: 6 } lt Decimal(0.5) as Decimal { precision: 6, scale: 6 })]");
    insta::assert_snapshot!(check("round(Total) eq 5 and floor(Quantity) eq 5"), @"and[(Round($0/Total) as Decimal { precision: 11, scale: 0 } eq Decimal(5) as Decimal { precision: 11, scale: 0 }), ($0/Quantity eq Integer(5) as Integer)]");
    insta::assert_snapshot!(check("contains(concat(Customer/Name,'x'),'y') and substring(Customer/Name,1,2) eq 'ab'"), @r#"and[Contains(Concat($0/Customer/Name, Text("x") as String) as String, Text("y") as String) as Boolean, (Substring($0/Customer/Name, Integer(1) as Integer, Integer(2) as Integer) as String eq Text("ab") as String)]"#);
    insta::assert_snapshot!(check("true and not false or Open"), @"Boolean(true) as Boolean");
}

#[test]
fn what_is_not_supported_says_so() {
    for text in [
        "$root/Orders(1)/Open",
        "cast(Quantity,Edm.String) eq '5'",
        "case(Open:true,true:false)",
        "geo.length(Quantity) gt 5",
        "hassubset(Quantity,Quantity)",
        "Lines(1)/Amount eq 5",
        "Sales.Check(a=5)",
        "Quantity/@Measures.Unit eq 'x'",
        "$it eq {\"@odata.id\":\"x\"}",
        "Customer eq $it",
        "Lines/$count($search=x) gt 1",
    ] {
        let shown = check(text);
        assert!(shown.starts_with("NotSupported: "), "{text}: {shown}");
    }
}

#[test]
fn aliases_cannot_loop_or_explode() {
    insta::assert_snapshot!(check("Quantity eq @loop"), @"ExpressionTooComplex: the expression is nested deeper than 100 levels at position 0");
    insta::assert_snapshot!(check_in("Order", "Quantity eq @deep add @deep", |binder| binder.with_limit(8)), @"ExpressionTooComplex: the expression has too many operands at position 0");
}

#[test]
fn walking_is_outermost_first_and_left_to_right() {
    let model = Model::from_text("Sales", MODEL).unwrap();
    let node = syntax::parse(
        "Quantity eq 1 and (Quantity gt 2 or Quantity lt 3)",
        Limits::default(),
    )
    .unwrap();
    let bound = Binder::new(&model, model.entities_by_name["Order"])
        .boolean(&node)
        .unwrap();
    let mut seen = Vec::new();
    bound.walk(|expression| match expression {
        Expression::Compare { operator, .. } => seen.push(operator.name()),
        Expression::And(_) => seen.push("and"),
        Expression::Or(_) => seen.push("or"),
        _ => {}
    });
    assert_eq!(seen, ["and", Comparison::Equal.name(), "or", "gt", "lt"]);
}
