//! Every key of the application's files, once: what the reader accepts, what it suggests, and what the
//! JSON Schema says come from here.

use toml::de::DeValue;

use super::names::BUILT_IN_TYPES;
use crate::document::{Advice, Form, Key, Section, key};
use crate::physical::MAXIMUM_IDENTIFIER;

const LABEL: Key = key(
    "label",
    Form::Text,
    "Name for people; the name itself when none is given.",
);
const DESCRIPTION: Key = key("description", Form::Text, "What it is, for people.");
const RENAMED_FROM: Key = key(
    "renamed_from",
    Form::Text,
    "Former name: the data is kept and moves to the new name.",
);

const AUDIT: Key = key(
    "audit",
    Form::Flag,
    "Every change of a row is recorded in the audit trail: who, when, before and after.",
);
const RULES: Key = key(
    "access",
    Form::Tables(&ACCESS),
    "Access rules: who may do what to which rows.",
);

/// `app.toml`.
pub(crate) static APPLICATION: Section = Section {
    about: "A Stoa application.",
    keys: &[
        key(
            "name",
            Form::Text,
            "Namespace of the data service: an identifier.",
        ),
        LABEL,
        DESCRIPTION,
        key(
            "version",
            Form::Text,
            "The application's own version, free text.",
        ),
        key(
            "limits",
            Form::Table(&LIMITS),
            "Limits on what a client may ask.",
        ),
        key(
            "sessions",
            Form::Table(&SESSIONS),
            "How long people stay signed in.",
        ),
        key(
            "demonstration",
            Form::Table(&DEMONSTRATION),
            "Users that `stoa run --demo-users` makes, to try the application out on one machine.",
        ),
        key(
            "web",
            Form::Table(&WEB),
            "How the static content of the folder `web` is served.",
        ),
        key(
            "access",
            Form::Table(&APPLICATION_ACCESS),
            "Who is let in at all.",
        ),
    ],
    required: &["name"],
    advise: None,
};

static SESSIONS: Section = Section {
    about: "How long people stay signed in.",
    keys: &[
        key(
            "idle_minutes",
            Form::Number(1, 60 * 24 * 30),
            "Minutes without a request after which a session ends. Default 60.",
        ),
        key(
            "lifetime_hours",
            Form::Number(1, 24 * 90),
            "Hours after which a session ends in any case. Default 12.",
        ),
    ],
    required: &[],
    advise: None,
};

static DEMONSTRATION: Section = Section {
    about: "Users that `stoa run --demo-users` makes, to try the application out on one machine.",
    keys: &[
        key(
            "password",
            Form::Text,
            "Password of all of them. Everybody who reads this file knows it: such users are made in a \
             database of their own only, which is served to the machine itself only.",
        ),
        key(
            "users",
            Form::Tables(&DEMONSTRATION_USER),
            "The users. One who is among the sample data, by the name for signing in, is taken from there.",
        ),
    ],
    required: &["password", "users"],
    advise: None,
};

static DEMONSTRATION_USER: Section = Section {
    about: "A user for demonstration.",
    keys: &[
        key("name", Form::Text, "Name for signing in."),
        key("role", Form::Text, "User role of the model."),
    ],
    required: &["name", "role"],
    advise: None,
};

static WEB: Section = Section {
    about: "How the static content of the folder `web` is served.",
    keys: &[key(
        "content_security_policy",
        Form::Text,
        "The header Content-Security-Policy of the static content, instead of the server's own, which allows \
         what comes from the server itself and nothing inline.",
    )],
    required: &[],
    advise: None,
};

static APPLICATION_ACCESS: Section = Section {
    about: "Who is let in at all.",
    keys: &[key(
        "anonymous",
        Form::Flag,
        "Whoever is not signed in has the role Anonymous, which access rules may name. Default false: everybody signs in.",
    )],
    required: &[],
    advise: None,
};

static LIMITS: Section = Section {
    about: "Limits on what a client may ask.",
    keys: &[
        key(
            "url_bytes",
            Form::Number(256, 1 << 20),
            "Longest URL, bytes. Default 16384.",
        ),
        key(
            "body_bytes",
            Form::Number(1024, 1 << 30),
            "Largest request body, bytes. Default 4194304.",
        ),
        key(
            "response_bytes",
            Form::Number(1024, 1 << 32),
            "Largest response body, bytes. Default 67108864.",
        ),
        key(
            "expand_depth",
            Form::Number(0, 32),
            "Most levels of $expand. Default 6.",
        ),
        key(
            "page_rows",
            Form::Number(1, 100_000),
            "Rows of one page, and the most that $top gets at once. Default 1000.",
        ),
        key(
            "filter_nodes",
            Form::Number(1, 10_000),
            "Most nodes of a $filter or $orderby. Default 400.",
        ),
        key(
            "write_operations",
            Form::Number(1, 100_000),
            "Most rows that one request may write. Default 1000.",
        ),
        key(
            "statement_seconds",
            Form::Number(1, 3600),
            "Longest time of one database statement, seconds. Default 30.",
        ),
    ],
    required: &[],
    advise: None,
};

/// `model/*.toml`.
pub(crate) static MODEL: Section = Section {
    about: "Entities, enumerations and user roles of one area of the business.",
    keys: &[
        key(
            "entity",
            Form::NamedOr(
                &Form::Table(&ENTITY),
                USER_ENTITY,
                &Form::Table(&SYSTEM_USER),
            ),
            "Entities by name.",
        ),
        key(
            "enumeration",
            Form::Named(&Form::Table(&ENUMERATION)),
            "Enumerations by name.",
        ),
        key(
            "role",
            Form::Named(&Form::Table(&ROLE)),
            "User roles by name.",
        ),
    ],
    required: &[],
    advise: None,
};

static ENUMERATION: Section = Section {
    about: "An enumeration: a fixed, ordered set of named values.",
    keys: &[
        key(
            "values",
            Form::Shorthands(&ENUMERATION_MEMBER, "name"),
            "Members in order: names, or tables with name, label and renamed_from.",
        ),
        LABEL,
        DESCRIPTION,
    ],
    required: &["values"],
    advise: None,
};

static ENUMERATION_MEMBER: Section = Section {
    about: "A member of an enumeration.",
    keys: &[
        key(
            "name",
            Form::Text,
            "Name, as used in the service and stored in the database.",
        ),
        LABEL,
        RENAMED_FROM,
    ],
    required: &["name"],
    advise: None,
};

static ROLE: Section = Section {
    about: "A user role.",
    keys: &[LABEL, DESCRIPTION],
    required: &[],
    advise: None,
};

static ENTITY: Section = Section {
    about: "An entity: a type of rows.",
    keys: &[
        LABEL,
        DESCRIPTION,
        key(
            "collection",
            Form::Text,
            "Name of the entity set; the English plural of the entity's name when none is given.",
        ),
        key(
            "extends",
            Form::Text,
            "Entity whose attributes, associations and key this one inherits.",
        ),
        key(
            "key",
            Form::Names,
            "Attributes that identify a row; a generated Uuid `id` when none is given.",
        ),
        key(
            "table",
            Form::Text,
            "Name of the table; the entity's name in snake case when none is given.",
        ),
        key(
            "external",
            Form::Flag,
            "The table exists already and belongs to somebody else: its structure is never changed.",
        ),
        RENAMED_FROM,
        key(
            "unique",
            Form::NameLists,
            "Lists of attributes and to-one associations whose values together are unique.",
        ),
        key(
            "index",
            Form::NameLists,
            "Lists of attributes and to-one associations to index together; append ` desc` for descending order.",
        ),
        key(
            "attributes",
            Form::Named(&Form::Shorthand(&ATTRIBUTE, "type")),
            "Attributes by name: a table, or just the type.",
        ),
        key(
            "associations",
            Form::Named(&Form::Shorthand(&ASSOCIATION, "to")),
            "Associations by name: a table, or just the entity at the other end.",
        ),
        AUDIT,
        RULES,
    ],
    required: &[],
    advise: Some(advise_entity),
};

/// What a model may say about the entity of users, which is not its own.
static SYSTEM_USER: Section = Section {
    about: "What the application adds to the entity of users; attributes go into an entity that extends it.",
    keys: &[LABEL, DESCRIPTION, AUDIT, RULES],
    required: &[],
    advise: Some(advise_system_user),
};

static ATTRIBUTE: Section = Section {
    about: "An attribute.",
    keys: &[
        key(
            "type",
            Form::Text,
            "String, Integer, Long, Decimal, Boolean, DateTime, Date, Time, Duration, Uuid, Binary, File, Json, AutoNumber, or an enumeration.",
        )
        .examples(BUILT_IN_TYPES),
        key(
            "length",
            Form::Number(1, u32::MAX as i64),
            "Most characters of a String, most bytes of a Binary or File.",
        ),
        key("required", Form::Flag, "Never null."),
        key("unique", Form::Flag, "No two rows have the same value."),
        key(
            "default",
            Form::Literal,
            "Value of a new row that gives none; `now` for DateTime, Date and Time.",
        ),
        key("minimum", Form::Literal, "Least legal value."),
        key("maximum", Form::Literal, "Greatest legal value."),
        key(
            "pattern",
            Form::Text,
            "Regular expression that the text must match; anchor it with ^ and $.",
        ),
        key(
            "precision",
            Form::Number(1, crate::value::MAXIMUM_PRECISION as i64),
            "Digits of a Decimal in all. Default 18.",
        ),
        key(
            "scale",
            Form::Number(0, crate::value::MAXIMUM_PRECISION as i64),
            "Digits of a Decimal after the point. Default 0.",
        ),
        LABEL,
        DESCRIPTION,
        RENAMED_FROM,
        key(
            "column",
            Form::Text,
            "Name of the column; the attribute's name in snake case when none is given.",
        ),
        key(
            "column_type",
            Form::Choice(&["smallint", "real", "double"]),
            "Type of the column in an external table, where it is unusual.",
        ),
    ],
    required: &["type"],
    advise: None,
};

static ASSOCIATION: Section = Section {
    about: "An association to another entity; to-one unless `many` or `many_to_many`.",
    keys: &[
        key("to", Form::Text, "Entity at the other end."),
        key(
            "many",
            Form::Flag,
            "To-many: the other entity's table refers to this one.",
        ),
        key(
            "many_to_many",
            Form::Flag,
            "Many on both sides, kept in a table of its own.",
        ),
        key(
            "contained",
            Form::Flag,
            "The targets are part of this entity: created and deleted with it. Only with `many`.",
        ),
        key(
            "required",
            Form::Flag,
            "A to-one association that always leads to a row.",
        ),
        key(
            "unique",
            Form::Flag,
            "One-to-one: no two rows refer to the same row.",
        ),
        key(
            "inverse",
            Form::Text,
            "Name of the association seen from the other end.",
        ),
        key(
            "inverse_label",
            Form::Text,
            "Name for people of the association seen from the other end.",
        ),
        key(
            "on_delete",
            Form::Choice(&["prevent", "cascade", "clear"]),
            "What the delete of a row does to the rows that refer to it. Default prevent; contained rows are always deleted.",
        ),
        key(
            "foreign_key",
            Form::Names,
            "Attributes that show the foreign key's columns, in the order of the key referred to.",
        ),
        key("column", Form::Text, "Name of the foreign key's column."),
        key(
            "columns",
            Form::Names,
            "Names of the foreign key's columns, in the order of the key referred to; of a many-to-many table's columns, this side first.",
        ),
        key(
            "table",
            Form::Text,
            "Name of the table of a many-to-many association.",
        ),
        LABEL,
        DESCRIPTION,
        RENAMED_FROM,
    ],
    required: &["to"],
    advise: None,
};

static ACCESS: Section = Section {
    about: "An access rule.",
    keys: &[
        key("role", Form::Text, "User role that the rule is for."),
        key(
            "create",
            Form::FlagOrExpression,
            "May create rows: true, false, or for rows that fulfil an expression.",
        ),
        key(
            "delete",
            Form::FlagOrExpression,
            "May delete rows: true, false, or for rows that fulfil an expression.",
        ),
        key(
            "read",
            Form::NamesOrAll,
            "Attributes and associations that may be read; `*` for all.",
        ),
        key(
            "write",
            Form::NamesOrAll,
            "Attributes and associations that may be changed; `*` for all.",
        ),
        key(
            "where",
            Form::Text,
            "Expression that the rows fulfil which the rule is about.",
        ),
    ],
    required: &["role"],
    advise: None,
};

/// What the files of a model call the entity of users.
pub(crate) const USER_ENTITY: &str = "System.User";
/// What references to the system's entities start with.
pub(crate) const SYSTEM_PREFIX: &str = "System.";
/// Role of everybody who is not signed in.
pub(crate) const ANONYMOUS_ROLE: &str = "Anonymous";

/// Most bytes of a table or column name.
pub(crate) const DATABASE_NAME_BYTES: usize = MAXIMUM_IDENTIFIER;
/// Most characters of a name (OData's SimpleIdentifier).
pub(crate) const IDENTIFIER_CHARACTERS: usize = 128;

fn advise_entity(_: &str, value: &DeValue<'_>) -> Option<Advice> {
    let has = |key: &str| value.get(key).is_some();
    let place = if has("type") {
        "attributes"
    } else if has("to") {
        "associations"
    } else {
        return None;
    };
    Some(Advice {
        label: None,
        help: format!("it belongs under `[entity.….{place}]`"),
    })
}

fn advise_system_user(name: &str, _: &DeValue<'_>) -> Option<Advice> {
    ENTITY.find(name).map(|_| Advice {
        label: Some(format!("{USER_ENTITY} is not the application's own")),
        help: format!("say it at an entity of your own that has `extends = \"{USER_ENTITY}\"`"),
    })
}
