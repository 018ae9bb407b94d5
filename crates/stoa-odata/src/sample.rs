//! A small model for tests: every type of attribute, every kind of association.

use stoa_model::model::Model;

pub(crate) const TEXT: &str = r#"
[enumeration.Status]
values = ["Draft", { name = "Placed", label = "Placed & paid" }, "Shipped"]

[entity.Party]
label = "Party"
collection = "Parties"
[entity.Party.attributes]
Name = { type = "String", length = 10, required = true, label = "Name <of it>" }

[entity.Company]
extends = "Party"
collection = "Companies"
[entity.Company.attributes]
VatNumber = { type = "String", length = 12, pattern = '^[A-Z]{2}\d+$' }
[entity.Company.associations]
Home = { to = "Region", inverse = "Companies" }

[entity.Region]
collection = "Regions"
key = ["Code"]
[entity.Region.attributes]
Code = { type = "String", length = 8, required = true }

[entity.Order]
collection = "Orders"
description = "What somebody orders."
[entity.Order.attributes]
Number = { type = "AutoNumber" }
Status = { type = "Status", required = true, default = "Draft" }
PlacedAt = { type = "DateTime", required = true, default = "now" }
DueOn = { type = "Date", minimum = "2000-01-01" }
Total = { type = "Decimal", precision = 12, scale = 2, default = "0", minimum = "0" }
Weight = { type = "Long", maximum = 9007199254740993 }
Express = { type = "Boolean" }
At = { type = "Time" }
Lasts = { type = "Duration" }
Badge = { type = "Uuid", unique = true }
Seal = { type = "Binary", length = 4 }
Extra = { type = "Json" }
Paper = { type = "File" }
[entity.Order.associations]
Party = { to = "Party", required = true, inverse = "Orders", on_delete = "prevent" }
Lines = { to = "Line", many = true, contained = true, inverse = "Order" }
Tags = { to = "Tag", many_to_many = true, inverse = "Orders" }

[entity.Line]
[entity.Line.attributes]
Position = { type = "Integer", required = true, minimum = 1, maximum = 99 }
Text = { type = "String", length = 20 }

[entity.Tag]
collection = "Tags"
key = ["Word"]
[entity.Tag.attributes]
Word = { type = "String", length = 8, required = true }
"#;

pub(crate) fn model() -> Model {
    Model::from_text("shop", TEXT).unwrap_or_else(|faults| panic!("{faults}"))
}

/// Foreign keys that show as properties, and a composite key.
pub(crate) const DETAILS: &str = r#"
[entity.Order]
collection = "Orders"
table = "orders"
external = true
key = ["OrderID"]
[entity.Order.attributes]
OrderID = { type = "Integer", required = true, column = "order_id" }
CustomerID = { type = "String", length = 5, column = "customer_id" }
[entity.Order.associations]
Customer = { to = "Customer", inverse = "Orders", foreign_key = ["CustomerID"] }

[entity.Customer]
collection = "Customers"
table = "customers"
external = true
key = ["CustomerID"]
[entity.Customer.attributes]
CustomerID = { type = "String", length = 5, required = true, column = "customer_id" }

[entity.Detail]
collection = "Details"
table = "order_details"
external = true
key = ["OrderID", "Number"]
[entity.Detail.attributes]
OrderID = { type = "Integer", required = true, column = "order_id" }
Number = { type = "Integer", required = true, column = "number" }
Quantity = { type = "Integer", required = true, column = "quantity" }
[entity.Detail.associations]
Order = { to = "Order", required = true, inverse = "Details", foreign_key = ["OrderID"] }
"#;

pub(crate) fn details() -> Model {
    Model::from_text("shop", DETAILS).unwrap_or_else(|faults| panic!("{faults}"))
}

/// What a clerk may do.
const RULES: &str = r#"
[role.Clerk]
[[entity.Order.access]]
role = "Clerk"
create = "Express eq true"
read = ["Number", "Status", "Party", "Lines", "DueOn"]
write = ["Status", "Weight"]
[[entity.Order.access]]
role = "Clerk"
read = ["Total", "Tags"]
where = "Status eq 'Draft'"
[[entity.Line.access]]
role = "Clerk"
read = "*"
[[entity.Company.access]]
role = "Clerk"
read = ["Name", "VatNumber"]
[[entity.Tag.access]]
role = "Clerk"
create = true
write = "*"
[[entity."System.User".access]]
role = "Clerk"
read = ["Name"]
where = "$it eq $user"
"#;

/// The model as a clerk sees it.
pub(crate) fn view() -> std::sync::Arc<Model> {
    let model = Model::from_text("shop", &format!("{}{RULES}", TEXT)).unwrap();
    let model = std::sync::Arc::new(model);
    let access = stoa_model::access::Access::new(&model, &[stoa_model::model::RoleId(0)]);
    std::sync::Arc::clone(access.view())
}
