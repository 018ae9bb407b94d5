//! The resolved model: every name bound, every default applied, valid by construction.
//!
//! Made by `application` only; everything else reads it. Ids are positions in the vectors of
//! [`Model`] and [`Entity`] and stay valid as long as the model does.

use std::collections::HashMap;
use std::ops::Index;

use crate::expression::Expression;
use crate::value::{ScalarType, Value};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u32);
        impl $name {
            /// Position in its vector.
            #[must_use]
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

id!(
    /// Position in [`Model::entities`].
    EntityId
);
id!(
    /// Position in [`Model::enumerations`].
    EnumerationId
);
id!(
    /// Position in [`Model::roles`].
    RoleId
);
id!(
    /// Position in [`Entity::attributes`]. An inherited attribute has the same id in the base and in
    /// every specialisation.
    AttributeId
);
id!(
    /// Position in [`Entity::navigations`]. An inherited navigation has the same id in the base and in
    /// every specialisation, except that navigations of a specialisation may collide with those of a
    /// sibling: always resolve an id in the entity it was bound against.
    NavigationId
);

/// An application's model.
#[derive(Clone, Debug)]
pub struct Model {
    /// Namespace of the service: the application's `name`.
    pub name: String,
    /// All entities; a base stands before its specialisations.
    pub entities: Vec<Entity>,
    /// All enumerations.
    pub enumerations: Vec<Enumeration>,
    /// User roles.
    pub roles: Vec<Role>,
    /// Entity name → id.
    pub entities_by_name: HashMap<String, EntityId>,
    /// What there is to know of the user who makes a request.
    pub user: UserModel,
    /// Role of everybody who is not signed in, where the application lets them in at all
    /// (`anonymous = true` in `app.toml`). One of `roles`.
    pub anonymous: Option<RoleId>,
    /// Collection (entity set) name → id. Contained entities have no entity set and are not in it.
    pub entities_by_collection: HashMap<String, EntityId>,
}

impl Model {
    /// Whether the reader may know of an entity: it is not internal, and has its name in this model.
    #[must_use]
    pub fn is_known(&self, entity: EntityId) -> bool {
        let found = &self[entity];
        !found.internal && self.entities_by_name.get(&found.name) == Some(&entity)
    }

    /// Whether the reader may know of an entity's collection.
    #[must_use]
    pub fn has_collection(&self, entity: EntityId) -> bool {
        let found = &self[entity];
        !found.internal && self.entities_by_collection.get(&found.collection) == Some(&entity)
    }
}

impl Index<EntityId> for Model {
    type Output = Entity;
    fn index(&self, id: EntityId) -> &Entity {
        &self.entities[id.index()]
    }
}

impl Index<EnumerationId> for Model {
    type Output = Enumeration;
    fn index(&self, id: EnumerationId) -> &Enumeration {
        &self.enumerations[id.index()]
    }
}

/// What names of entities of the system module start with; no other name of an entity does.
pub const SYSTEM_NAMES: &str = "System";

/// An entity with everything it inherits.
#[derive(Clone, Debug)]
pub struct Entity {
    /// Own id.
    pub id: EntityId,
    /// Name of the entity type, as written.
    pub name: String,
    /// Name of the entity set; of a contained entity just a name.
    pub collection: String,
    /// For people; the name when the model gives none.
    pub label: String,
    /// For people.
    pub description: Option<String>,
    /// Former name.
    pub renamed_from: Option<String>,
    /// The entity that this one extends.
    pub base: Option<EntityId>,
    /// Top of the hierarchy (itself without a base). One table holds the whole hierarchy.
    pub root: EntityId,
    /// All direct and indirect specialisations.
    pub specialisations: Vec<EntityId>,
    /// Where the rows are.
    pub table: Table,
    /// Value of the discriminator column, when the hierarchy has one: the entity's name.
    pub discriminator: Option<String>,
    /// Inherited attributes first, then own ones, in model order; the key first of all if it is the
    /// generated `id`; system attributes of the root last among the root's.
    pub attributes: Vec<Attribute>,
    /// Inherited navigations first. Includes the unnamed inverse of every association.
    pub navigations: Vec<Navigation>,
    /// Key attributes in order. Never empty.
    pub key: Vec<AttributeId>,
    /// The attribute behind `@odata.etag`; none for external tables without one.
    pub version: Option<AttributeId>,
    /// Unique constraints, own ones only; `unique = true` of attributes and to-one navigations included,
    /// the key not.
    pub uniques: Vec<Unique>,
    /// Indexes, own ones only (foreign keys get one without being named here).
    pub indexes: Vec<IndexDefinition>,
    /// Access rules, own ones only. Rules of the bases hold too.
    pub access: Vec<AccessRule>,
    /// What the reader may do with its rows.
    pub reach: EntityReach,
    /// Kept by the runtime for itself: never part of the service, whatever rules say. Internal entities
    /// stand in `entities` and `entities_by_name`, and not in `entities_by_collection`.
    pub internal: bool,
    /// Every change of its rows is recorded in the audit trail.
    pub audited: bool,
    /// The navigation from a contained entity to its container, if it is contained anywhere.
    pub container: Option<NavigationId>,
    /// Attribute name → id; the version is no property and not in it.
    pub attributes_by_name: HashMap<String, AttributeId>,
    /// Navigation name → id (unnamed inverses are not in it).
    pub navigations_by_name: HashMap<String, NavigationId>,
}

impl Entity {
    /// Whether it is of the system module: users, and what the runtime keeps for itself.
    #[must_use]
    pub fn is_of_system(&self) -> bool {
        self.name.starts_with(SYSTEM_NAMES)
    }
}

impl Index<AttributeId> for Entity {
    type Output = Attribute;
    fn index(&self, id: AttributeId) -> &Attribute {
        &self.attributes[id.index()]
    }
}

impl Index<NavigationId> for Entity {
    type Output = Navigation;
    fn index(&self, id: NavigationId) -> &Navigation {
        &self.navigations[id.index()]
    }
}

/// Where the rows of a hierarchy are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Unquoted name, at most 63 bytes; snake case of the root's name unless the model names it.
    pub name: String,
    /// The table belongs to somebody else: Stoa reads and writes rows, and never changes its structure.
    pub external: bool,
    /// Column that holds [`Entity::discriminator`], when the root has specialisations.
    pub discriminator_column: Option<String>,
}

/// A property with a scalar value.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// As written; the property name in the service.
    pub name: String,
    /// Unquoted column name.
    pub column: String,
    /// What it holds.
    pub scalar_type: ScalarType,
    /// What it is for, beyond the model's own data.
    pub purpose: Purpose,
    /// Highest number of Unicode characters (String) or bytes (Binary, File).
    pub length: Option<u32>,
    /// Never null. Keys and version are required too.
    pub required: bool,
    /// Value of a row that does not give one.
    pub default: Option<Default>,
    /// Least legal value.
    pub minimum: Option<Value>,
    /// Greatest legal value.
    pub maximum: Option<Value>,
    /// Regular expression that the text must match (anchors as written).
    pub pattern: Option<regex::Regex>,
    /// For people; the name when the model gives none.
    pub label: String,
    /// For people.
    pub description: Option<String>,
    /// Former name.
    pub renamed_from: Option<String>,
    /// Type of the column in an external table, when it is not the one that Stoa would choose.
    pub column_type: Option<ColumnType>,
    /// Entity that declares it.
    pub declared_by: EntityId,
    /// What the reader may do with it.
    pub reach: MemberReach,
}

impl EntityReach {
    /// Everything.
    pub const ALL: Self = Self {
        read: Extent::All,
        create: Extent::All,
        update: Extent::All,
        delete: Extent::All,
    };
}

impl MemberReach {
    /// Everything.
    pub const ALL: Self = Self {
        read: Extent::All,
        write: Extent::All,
    };
}

impl MemberReach {
    /// Whether the reader may know of it.
    #[must_use]
    pub fn is_readable(self) -> bool {
        self.read != Extent::None
    }

    /// Whether the reader may give it in a body.
    #[must_use]
    pub fn is_writable(self) -> bool {
        self.write != Extent::None
    }
}

impl Attribute {
    /// Whether a client may give a value when it creates a row.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        matches!(self.purpose, Purpose::Data | Purpose::GeneratedKey)
    }
}

/// Why an attribute exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The model's own data.
    Data,
    /// The key `id`: UUIDv7, made at insert unless the client gives one.
    GeneratedKey,
    /// Next number of a sequence, given by the database at insert (`Edm.Int64`).
    AutoNumber,
    /// Number of the row's version, 1 at insert, one more at each update. Not a property: it is the ETag.
    Version,
    /// Instant of the insert. Property `createdAt`, read-only.
    CreatedAt,
    /// Instant of the last change. Property `changedAt`, read-only.
    ChangedAt,
}

/// Physical types that an external table may use beside the usual ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// 16-bit integer behind an Integer.
    SmallInteger,
    /// 32-bit float behind a Decimal: read and compared by its shortest decimal text.
    Real,
    /// 64-bit float behind a Decimal.
    Double,
}

/// A default.
#[derive(Clone, Debug, PartialEq)]
pub enum Default {
    /// This value.
    Value(Value),
    /// The instant of the insert (DateTime), its UTC day (Date) or time (Time): written `now`.
    Now,
}

/// One end of an association, seen from the entity that has it.
#[derive(Clone, Debug)]
pub struct Navigation {
    /// Name in the service; none for an inverse that the model does not name.
    pub name: Option<String>,
    /// For people; the name when the model gives none.
    pub label: String,
    /// For people.
    pub description: Option<String>,
    /// Former name.
    pub renamed_from: Option<String>,
    /// Entity at the other end.
    pub target: EntityId,
    /// The other end, as an id in the target.
    pub partner: NavigationId,
    /// Several targets.
    pub many: bool,
    /// Targets are part of this entity, created and deleted with it.
    pub contained: bool,
    /// A to-one end that is never null.
    pub required: bool,
    /// What happens to the *holder of the foreign key* when the row it refers to is deleted.
    pub on_delete: OnDelete,
    /// Where the association is kept.
    pub storage: Storage,
    /// Entity that has this end.
    pub declared_by: EntityId,
    /// What the reader may do with it.
    pub reach: MemberReach,
}

/// What of an entity a reader may do. In the application's own model everything is [`Extent::All`]; in the
/// model as a reader sees it ([`crate::access`]) it is what the reader's roles allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityReach {
    /// See rows.
    pub read: Extent,
    /// Create rows.
    pub create: Extent,
    /// Change rows: some member of some row.
    pub update: Extent,
    /// Delete rows.
    pub delete: Extent,
}

/// What of an attribute or navigation a reader may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberReach {
    /// See it. [`Extent::None`]: as if the model did not have it, except that its name may be given in
    /// bodies if it may be written. [`Extent::Some`]: null or empty in rows where it is hidden.
    pub read: Extent,
    /// Give it in a create or an update.
    pub write: Extent,
}

/// For how many rows something is allowed, as far as the model tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// For none.
    None,
    /// That depends on the row.
    Some,
    /// For every row that the reader sees.
    All,
}

/// The entity of users and what access rules want to know of the one who makes a request.
#[derive(Clone, Debug)]
pub struct UserModel {
    /// Entity of users: `System.User`, in the service `SystemUser`.
    pub entity: EntityId,
    /// What rules refer to, each once: `Expression::User` names a position.
    pub values: Vec<UserValue>,
}

/// Something about a user: `$user/Department/Region`.
#[derive(Clone, Debug, PartialEq)]
pub struct UserValue {
    /// As written after `$user/`.
    pub path: String,
    /// Entity of users that has the first step: the entity of users or one of its specialisations. A user
    /// of another type has null.
    pub from: EntityId,
    /// To-one navigations from there.
    pub navigations: Vec<NavigationId>,
    /// Entity that they reach.
    pub entity: EntityId,
    /// Attribute of that entity.
    pub attribute: AttributeId,
    /// Type of the attribute.
    pub scalar_type: ScalarType,
}

/// What a delete does to rows that refer to the deleted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDelete {
    /// Refuse the delete.
    Prevent,
    /// Delete them too.
    Cascade,
    /// Set their reference to null.
    Clear,
}

/// Where an association is kept, seen from one end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In this entity's table: to-one. One column for each key attribute of the target, in key order.
    Own(Vec<ForeignColumn>),
    /// In the target's table: the inverse (to-many, or to-one when the foreign key is unique). One column
    /// for each key attribute of this entity, in key order.
    Target(Vec<ForeignColumn>),
    /// In a table of its own: many-to-many. The table is external (it exists already and is never
    /// changed) when the tables of both ends are.
    Join {
        /// Unquoted table name.
        table: String,
        /// Columns that refer to this entity's key.
        own: Vec<String>,
        /// Columns that refer to the target's key.
        target: Vec<String>,
    },
}

/// A column of a foreign key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignColumn {
    /// Unquoted name.
    pub column: String,
    /// The attribute of the holding entity that shows the same column as a property, if any.
    pub attribute: Option<AttributeId>,
}

/// A set of members whose values together are unique. Rows with a null among them are not compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unique {
    /// Members in order.
    pub members: Vec<Member>,
}

/// An index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexDefinition {
    /// Members in order; true for descending.
    pub members: Vec<(Member, bool)>,
}

/// What constraints and indexes are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// An attribute's column.
    Attribute(AttributeId),
    /// The foreign key columns of a to-one navigation.
    Navigation(NavigationId),
}

/// An enumeration.
#[derive(Clone, Debug)]
pub struct Enumeration {
    /// Name of the enumeration type.
    pub name: String,
    /// For people; the name when the model gives none.
    pub label: String,
    /// For people.
    pub description: Option<String>,
    /// Members in order; the position is the member's value in `$metadata` and its place in order.
    pub members: Vec<EnumerationMember>,
}

/// A member of an enumeration.
#[derive(Clone, Debug)]
pub struct EnumerationMember {
    /// As written and as stored.
    pub name: String,
    /// For people; the name when the model gives none.
    pub label: String,
    /// Former name.
    pub renamed_from: Option<String>,
}

/// A user role.
#[derive(Clone, Debug)]
pub struct Role {
    /// As written.
    pub name: String,
    /// For people; the name when the model gives none.
    pub label: String,
    /// For people.
    pub description: Option<String>,
}

/// Who may do what to which rows. Parsed and validated; enforced by the access layer.
#[derive(Clone, Debug)]
pub struct AccessRule {
    /// Who.
    pub role: RoleId,
    /// May create.
    pub create: Permission,
    /// May delete.
    pub delete: Permission,
    /// Readable attributes and navigations.
    pub read: MemberSet,
    /// Writable attributes and navigations.
    pub write: MemberSet,
    /// Rows that the rule is about; all when none.
    pub condition: Option<Expression>,
}

/// Yes, no, or for some rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Permission {
    /// Never.
    Denied,
    /// Always.
    Granted,
    /// For rows that fulfil the expression.
    When(Expression),
}

/// A set of attributes and navigations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberSet {
    /// Every one, those of specialisations too: `"*"`.
    All,
    /// These.
    Only(Vec<Member>),
}
