//! Rows of the system's entities: their names bound once, read as plain records, written as operations.

use stoa_model::access::{Actor, JudgedChange, Permitted};
use stoa_model::change::{Action, Applied, Change, Expected, Operation, Reference, Target};
use stoa_model::expression::{Comparison, Expression};
use stoa_model::model::{AttributeId, EntityId, Model, NavigationId, Purpose};
use stoa_model::query::{Expand, OrderTerm, Query, ROW, Row, RowWriter, Selection, Source};
use stoa_model::value::{Value, ValueRef};
use stoa_store::StoreError;
use uuid::Uuid;

use super::Identity;
use super::error::IdentityError;

/// Most rows that an expand gives: grants of a user, far beyond what there are.
const EXPANDED: u64 = 10_000;
/// How often a change is tried when another one is in the way.
const ATTEMPTS: usize = 5;

/// The system's entities.
pub(super) struct System {
    pub(super) user: UserTable,
    pub(super) credential: CredentialTable,
    pub(super) grant: GrantTable,
    pub(super) identity: IdentityTable,
    pub(super) administrator: AdministratorTable,
    pub(super) session: SessionTable,
    pub(super) token: TokenTable,
    pub(super) link: LinkTable,
    pub(super) audit: AuditTable,
    pub(super) revision: RevisionTable,
}

/// An entity's attributes and to-one navigations, by field.
macro_rules! table {
    ($table:ident, $entity:literal, [$($attribute:ident $name:literal),*], [$($navigation:ident $to:literal),*]) => {
        pub(super) struct $table {
            pub(super) entity: EntityId,
            $(pub(super) $attribute: AttributeId,)*
            $(pub(super) $navigation: End,)*
        }

        impl $table {
            fn bind(model: &Model) -> Result<Self, IdentityError> {
                let missing = || IdentityError::Model($entity);
                let id = *model.entities_by_name.get($entity).ok_or_else(missing)?;
                let entity = &model[id];
                Ok(Self {
                    entity: id,
                    $($attribute: *entity.attributes_by_name.get($name).ok_or_else(missing)?,)*
                    $($navigation: End::bind(model, id, $to).ok_or_else(missing)?,)*
                })
            }
        }
    };
}

table!(UserTable, "SystemUser", [
    name "Name", full_name "FullName", email "Email", active "Active", created_at "createdAt"
], []);
table!(CredentialTable, "SystemCredential", [
    hash "Hash", set_at "SetAt", must_change "MustChange"
], [user "User"]);
table!(GrantTable, "SystemGrant", [role "Role"], [user "User"]);
table!(IdentityTable, "SystemIdentity", [
    issuer "Issuer", subject "Subject"
], [user "User", administrator "Administrator"]);
table!(AdministratorTable, "SystemAdministrator", [
    name "Name", full_name "FullName", email "Email", hash "Hash", active "Active"
], []);
table!(SessionTable, "SystemSession", [
    token_hash "TokenHash", last_used "LastUsed", expires_at "ExpiresAt", address "Address",
    agent "Agent", id_token "IdToken", provider "Provider", created_at "createdAt"
], [user "User", administrator "Administrator"]);
table!(TokenTable, "SystemToken", [
    name "Name", token_hash "TokenHash", roles "Roles", read_only "ReadOnly",
    expires_at "ExpiresAt", last_used "LastUsed", created_at "createdAt"
], [user "User"]);
table!(LinkTable, "SystemLink", [
    token_hash "TokenHash", expires_at "ExpiresAt"
], [user "User", administrator "Administrator"]);
table!(AuditTable, "SystemAudit", [
    id "id", at "At", kind "Kind", actor "Actor", actor_id "ActorId", about "Entity", key "Key",
    detail "Detail", before "Before", after "After", address "Address", request "Request"
], []);
table!(RevisionTable, "SystemRevision", [name "Name"], []);

impl System {
    pub(super) fn bind(model: &Model) -> Result<Self, IdentityError> {
        Ok(Self {
            user: UserTable::bind(model)?,
            credential: CredentialTable::bind(model)?,
            grant: GrantTable::bind(model)?,
            identity: IdentityTable::bind(model)?,
            administrator: AdministratorTable::bind(model)?,
            session: SessionTable::bind(model)?,
            token: TokenTable::bind(model)?,
            link: LinkTable::bind(model)?,
            audit: AuditTable::bind(model)?,
            revision: RevisionTable::bind(model)?,
        })
    }
}

/// A to-one navigation and its other end.
#[derive(Clone, Copy)]
pub(super) struct End {
    /// The navigation.
    pub(super) navigation: NavigationId,
    /// Entity at the other end.
    pub(super) target: EntityId,
    /// Key attribute there.
    key: AttributeId,
    /// The way back.
    pub(super) back: NavigationId,
}

impl End {
    fn bind(model: &Model, holder: EntityId, name: &str) -> Option<Self> {
        let navigation = *model[holder].navigations_by_name.get(name)?;
        let end = &model[holder][navigation];
        Some(Self {
            navigation,
            target: end.target,
            key: *model[end.target].key.first()?,
            back: end.partner,
        })
    }

    /// A reference to a row.
    pub(super) fn to(self, id: Uuid) -> Reference {
        Reference {
            navigation: self.navigation,
            to: Some(Target::Key(vec![Value::Uuid(id)])),
        }
    }

    /// The row refers to this one.
    pub(super) fn is(self, model: &Model, id: Uuid) -> Expression {
        let attribute = &model[self.target][self.key];
        equal(
            Expression::Attribute {
                from: ROW,
                path: vec![self.navigation],
                entity: self.target,
                attribute: self.key,
                scalar_type: attribute.scalar_type,
            },
            Value::Uuid(id),
        )
    }

    /// Deletes all rows that refer to this one, except some.
    pub(super) fn delete_all(self, id: Uuid, keep: &[Uuid]) -> Action {
        Action::Retain {
            entity: self.target,
            from: Target::Key(vec![Value::Uuid(id)]),
            navigation: self.back,
            keep: keep.iter().map(|id| vec![Value::Uuid(*id)]).collect(),
        }
    }
}

/// What is wanted of rows.
#[derive(Clone)]
pub(super) struct Select {
    entity: EntityId,
    attributes: Vec<AttributeId>,
    expands: Vec<(NavigationId, Select)>,
}

impl Select {
    pub(super) fn new(entity: EntityId, attributes: &[AttributeId]) -> Self {
        Self {
            entity,
            attributes: attributes.to_vec(),
            expands: Vec::new(),
        }
    }

    pub(super) fn expand(mut self, navigation: NavigationId, select: Self) -> Self {
        self.expands.push((navigation, select));
        self
    }

    /// Adds an attribute at the end of a path of to-one navigations: which expands lead there, and its
    /// position in the row.
    pub(super) fn add(
        &mut self,
        model: &Model,
        path: &[NavigationId],
        attribute: AttributeId,
    ) -> (Vec<usize>, usize) {
        let Some((first, rest)) = path.split_first() else {
            let known = self.attributes.iter().position(|id| *id == attribute);
            let position = known.unwrap_or_else(|| {
                self.attributes.push(attribute);
                self.attributes.len() - 1
            });
            return (Vec::new(), position);
        };
        let known = self.expands.iter().position(|(id, _)| id == first);
        let expand = known.unwrap_or_else(|| {
            let target = model[self.entity][*first].target;
            self.expands.push((*first, Self::new(target, &[])));
            self.expands.len() - 1
        });
        let (mut expands, position) = self.expands[expand].1.add(model, rest, attribute);
        expands.insert(0, expand);
        (expands, position)
    }

    fn selection(self, model: &Model, node: &mut usize) -> Selection {
        let number = *node;
        *node += 1;
        let entity = self.entity;
        let expands = self
            .expands
            .into_iter()
            .map(|(navigation, select)| {
                let many = model[entity][navigation].many;
                Expand {
                    navigation,
                    condition: None,
                    given: None,
                    filter: None,
                    order: if many {
                        by_key(model, select.entity)
                    } else {
                        Vec::new()
                    },
                    skip: 0,
                    limit: EXPANDED,
                    paged: false,
                    count: false,
                    count_only: false,
                    selection: select.selection(model, node),
                }
            })
            .collect();
        Selection {
            node: number,
            entity,
            attributes: self.attributes,
            specialised: Vec::new(),
            expands,
            masks: Vec::new(),
        }
    }

    /// Rows that fulfil a condition, in an order that the key completes.
    pub(super) fn filter(
        self,
        model: &Model,
        filter: Option<Expression>,
        mut order: Vec<OrderTerm>,
        limit: u64,
    ) -> Query {
        let entity = self.entity;
        order.extend(by_key(model, entity));
        Query {
            entity,
            source: Source::All,
            single: false,
            filter,
            order,
            after: None,
            skip: 0,
            limit,
            paged: false,
            count: false,
            selection: self.selection(model, &mut 0),
        }
    }

    /// The row with this key.
    pub(super) fn key(self, model: &Model, key: Vec<Value>) -> Query {
        Query {
            entity: self.entity,
            source: Source::Key(key),
            single: true,
            filter: None,
            order: Vec::new(),
            after: None,
            skip: 0,
            limit: 1,
            paged: false,
            count: false,
            selection: self.selection(model, &mut 0),
        }
    }
}

/// A row that was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    /// Its actual type.
    pub(super) entity: Option<EntityId>,
    key: Vec<Value>,
    pub(super) version: Option<i64>,
    values: Vec<Value>,
    expanded: Vec<Vec<Record>>,
}

impl Record {
    pub(super) fn id(&self) -> Uuid {
        match self.key.first() {
            Some(Value::Uuid(id)) => *id,
            _ => Uuid::nil(),
        }
    }

    pub(super) fn value(&self, position: usize) -> &Value {
        self.values.get(position).unwrap_or(&Value::Null)
    }

    pub(super) fn text(&self, position: usize) -> Option<&str> {
        match self.value(position) {
            Value::Text(text) | Value::Json(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn owned(&self, position: usize) -> Option<String> {
        self.text(position).map(str::to_owned)
    }

    pub(super) fn instant(&self, position: usize) -> Option<i64> {
        match self.value(position) {
            Value::DateTime(micros) => Some(*micros),
            _ => None,
        }
    }

    pub(super) fn truth(&self, position: usize) -> bool {
        matches!(self.value(position), Value::Boolean(true))
    }

    /// Targets of an expanded navigation.
    pub(super) fn many(&self, expand: usize) -> &[Self] {
        self.expanded.get(expand).map_or(&[], Vec::as_slice)
    }

    /// Target of an expanded to-one navigation.
    pub(super) fn one(&self, expand: usize) -> Option<&Self> {
        self.many(expand).first()
    }
}

/// Collects records.
pub(super) struct Collector {
    /// By node: the parent's expand that it is, and how many expands it has.
    nodes: Vec<(usize, usize)>,
    open: Vec<Record>,
    records: Vec<Record>,
    bytes: usize,
}

impl Collector {
    pub(super) fn new(selection: &Selection) -> Self {
        fn describe(selection: &Selection, position: usize, nodes: &mut Vec<(usize, usize)>) {
            if nodes.len() <= selection.node {
                nodes.resize(selection.node + 1, (0, 0));
            }
            nodes[selection.node] = (position, selection.expands.len());
            for (position, expand) in selection.expands.iter().enumerate() {
                describe(&expand.selection, position, nodes);
            }
        }
        let mut nodes = Vec::new();
        describe(selection, 0, &mut nodes);
        Self {
            nodes,
            open: Vec::new(),
            records: Vec::new(),
            bytes: 0,
        }
    }

    fn node(&self, node: usize) -> (usize, usize) {
        self.nodes.get(node).copied().unwrap_or_default()
    }
}

impl RowWriter for Collector {
    fn begin_collection(&mut self, _: usize, _: Option<u64>) {}

    fn end_collection(&mut self, _: usize, _: Option<&[Value]>) {}

    fn begin_row(&mut self, node: usize, row: Row<'_>) {
        self.bytes += 64;
        self.open.push(Record {
            entity: Some(row.entity),
            key: row
                .key
                .iter()
                .map(|value| ValueRef::to_owned(*value))
                .collect(),
            version: row.version,
            values: Vec::new(),
            expanded: vec![Vec::new(); self.node(node).1],
        });
    }

    fn value(&mut self, _: usize, position: usize, value: ValueRef<'_>) {
        if let ValueRef::Text(text) | ValueRef::Json(text) = value {
            self.bytes += text.len();
        }
        if let Some(record) = self.open.last_mut() {
            if record.values.len() <= position {
                record.values.resize(position + 1, Value::Null);
            }
            record.values[position] = value.to_owned();
        }
    }

    fn null_target(&mut self, _: usize) {}

    fn count_only(&mut self, _: usize, _: u64) {}

    fn end_row(&mut self, node: usize) {
        let Some(record) = self.open.pop() else {
            return;
        };
        let position = self.node(node).0;
        match self.open.last_mut() {
            None => self.records.push(record),
            Some(parent) => {
                if let Some(targets) = parent.expanded.get_mut(position) {
                    targets.push(record);
                }
            }
        }
    }

    fn written(&self) -> usize {
        self.bytes
    }
}

/// An attribute of the row.
pub(super) fn attribute(model: &Model, entity: EntityId, attribute: AttributeId) -> Expression {
    Expression::Attribute {
        from: ROW,
        path: Vec::new(),
        entity,
        attribute,
        scalar_type: model[entity][attribute].scalar_type,
    }
}

/// Left side = value.
pub(super) fn equal(left: Expression, value: Value) -> Expression {
    compare(left, Comparison::Equal, value)
}

/// Left side compared with a value.
pub(super) fn compare(left: Expression, operator: Comparison, value: Value) -> Expression {
    let scalar_type = match &left {
        Expression::Attribute { scalar_type, .. } | Expression::Call { scalar_type, .. } => {
            *scalar_type
        }
        _ => stoa_model::value::ScalarType::String,
    };
    Expression::Compare {
        operator,
        left: Box::new(left),
        right: Box::new(Expression::Literal { value, scalar_type }),
    }
}

/// All of them; none if there are none.
pub(super) fn all(mut conditions: Vec<Expression>) -> Option<Expression> {
    match conditions.len() {
        0 | 1 => conditions.pop(),
        _ => Some(Expression::And(conditions)),
    }
}

/// Ascending.
pub(super) fn ascending(expression: Expression) -> OrderTerm {
    OrderTerm {
        expression,
        descending: false,
    }
}

/// Descending.
pub(super) fn descending(expression: Expression) -> OrderTerm {
    OrderTerm {
        expression,
        descending: true,
    }
}

fn by_key(model: &Model, entity: EntityId) -> Vec<OrderTerm> {
    model[entity]
        .key
        .iter()
        .map(|key| ascending(attribute(model, entity, *key)))
        .collect()
}

/// A text that is null where there is none.
pub(super) fn text(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| Value::Text(text.to_owned()))
}

/// Inserts a row.
pub(super) fn insert(
    model: &Model,
    entity: EntityId,
    id: Uuid,
    values: &[(AttributeId, Value)],
    references: Vec<Reference>,
) -> Action {
    let key = model[entity]
        .attributes
        .iter()
        .position(|attribute| attribute.purpose == Purpose::GeneratedKey)
        .map(|position| (AttributeId(position as u32), Value::Uuid(id)));
    Action::Insert {
        entity,
        values: key
            .into_iter()
            .chain(values.iter().filter(|(_, value)| !value.is_null()).cloned())
            .collect(),
        references,
    }
}

/// Changes a row.
pub(super) fn update(
    entity: EntityId,
    id: Uuid,
    version: Option<i64>,
    values: Vec<(AttributeId, Value)>,
) -> Action {
    Action::Update {
        entity,
        target: Target::Key(vec![Value::Uuid(id)]),
        expected: version.map_or(Expected::Any, |version| Expected::OneOf(vec![version])),
        values,
        references: Vec::new(),
    }
}

/// Deletes a row.
pub(super) fn delete(entity: EntityId, id: Uuid) -> Action {
    Action::Delete {
        entity,
        target: Target::Key(vec![Value::Uuid(id)]),
        expected: Expected::Any,
    }
}

/// Actions as a change.
pub(super) fn change(actions: Vec<Action>) -> Change {
    Change {
        operations: actions
            .into_iter()
            .map(|action| Operation {
                location: String::new(),
                action,
            })
            .collect(),
    }
}

impl Identity {
    /// Reads what a query asks for.
    pub(super) async fn read(&self, query: Query) -> Result<Vec<Record>, StoreError> {
        let collector = Collector::new(&query.selection);
        let model = self.model();
        let read = self
            .store()
            .read(model, &Permitted::by_system(query), collector)
            .await?;
        Ok(read.writer.records)
    }

    /// Reads the first row that a query gives.
    pub(super) async fn read_one(&self, query: Query) -> Result<Option<Record>, StoreError> {
        let mut records = self.read(query).await?;
        Ok((!records.is_empty()).then(|| records.swap_remove(0)))
    }

    /// Applies a change, again where another one was in the way.
    pub(super) async fn write(
        &self,
        change: Change,
        by: Option<&Actor>,
    ) -> Result<Vec<Applied>, StoreError> {
        let mut attempt = 1;
        loop {
            let judged = JudgedChange {
                change: change.clone(),
                judgements: Vec::new(),
                actor: by.cloned(),
            };
            let written = self
                .store()
                .write::<Collector>(self.model(), Permitted::by_system(judged), None)
                .await;
            match written {
                Err(StoreError::Busy { .. }) if attempt < ATTEMPTS => attempt += 1,
                written => return Ok(written?.0),
            }
        }
    }

    /// Applies a change that takes rights away or changes them: the revision moves with it, and it returns
    /// when every living instance acts by it.
    pub(super) async fn write_and_publish(
        &self,
        mut change: Change,
        by: Option<&Actor>,
    ) -> Result<(), IdentityError> {
        self.bump(&mut change);
        let applied = self.write(change, by).await?;
        self.published(&applied).await
    }
}
