//! `stoa access explain`: which rules apply to somebody, which condition on rows results, and why the answer
//! is yes or no.

use serde_json::Value as Json;
use stoa_model::access::Access;
use stoa_model::access::explain;
use stoa_model::model::{EntityId, Model};
use stoa_model::value::{ScalarType, Value, text};

use super::listing::plain;
use super::opened::{ANONYMOUS, Opened, failure, with};
use super::print;
use crate::command_line::people::{self, Explain, Operation};
use crate::failure::{Exit, Failure};
use crate::{Result, database};

pub(crate) fn run(command: &people::Access) -> Result<()> {
    match command {
        people::Access::Explain(arguments) => explain_access(arguments),
    }
}

fn explain_access(arguments: &Explain) -> Result<()> {
    with(&arguments.place, async |opened: &Opened| {
        let identity = &opened.identity;
        let model = identity.model();
        let entity = entity(model, &arguments.entity)?;
        let key = arguments
            .key
            .as_deref()
            .map(|key| parse_key(model, entity, key))
            .transpose()?;
        let (user, roles, values) = if arguments.user == ANONYMOUS {
            let nothing = model.user.values.iter().map(|_| Value::Null).collect();
            let roles = model.anonymous.into_iter().collect();
            (ANONYMOUS.to_owned(), roles, nothing)
        } else {
            let user = identity.user_by_name(&arguments.user).await;
            let user = user.map_err(failure)?;
            let caller = identity.caller_of(user.id).await.map_err(failure)?;
            (user.name, caller.roles.to_vec(), caller.values.to_vec())
        };
        let operation = match arguments.operation {
            Operation::Read => explain::Operation::Read,
            Operation::Create => explain::Operation::Create,
            Operation::Update => explain::Operation::Update,
            Operation::Delete => explain::Operation::Delete,
        };
        let access = Access::new(model, &roles);
        let mut explanation = access.explain(entity, operation, &values);
        if let Some(key) = key {
            let mut found = Vec::new();
            for question in access.questions(entity, operation, &key, &values) {
                let counted = identity.store().count(model, &question).await;
                let failed = |error| database::store_failure(&opened.place.database, &error);
                found.push(counted.map_err(failed)?.rows > 0);
            }
            explanation = explanation.of_row(&found);
        }
        if arguments.output.json {
            let mut json = serde_json::to_value(&explanation).map_err(|error| {
                Failure::new(
                    Exit::Failure,
                    format!("cannot write the explanation: {error}"),
                )
            })?;
            json["name"] = Json::from(user);
            print(&format!("{json:#}"));
        } else {
            // Conditions show values of the user, who may have chosen them.
            let explanation = explanation.to_string();
            let lines: Vec<String> = explanation.lines().map(plain).collect();
            print(&format!("{}\n{}", plain(&user), lines.join("\n")));
        }
        Ok(())
    })
}

/// By the name of the entity or of its collection; `System.User` as in models.
fn entity(model: &Model, name: &str) -> Result<EntityId> {
    let plain_name = name.replacen("System.", "System", 1);
    let found = model
        .entities_by_name
        .get(&plain_name)
        .or_else(|| model.entities_by_collection.get(name));
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = model
            .entities
            .iter()
            .filter(|entity| !entity.internal)
            .map(|entity| entity.name.as_str())
            .collect();
        Failure::new(
            Exit::Configuration,
            format!("--entity: the model has no entity `{}`", plain(name)),
        )
        .hint(format!("it has: {}", names.join(", ")))
    })
}

/// `5`, `COF-0001`, `'COF-0001'`, `OrderID=10248,ProductID=11`.
fn parse_key(model: &Model, entity: EntityId, given: &str) -> Result<Vec<Value>> {
    let key = &model[entity].key;
    let wrong = |why: String| Failure::new(Exit::Configuration, format!("--key: {why}"));
    let parts: Vec<(Option<&str>, &str)> = if key.len() == 1 {
        let name = &model[entity][key[0]].name;
        let bare = given
            .strip_prefix(name.as_str())
            .and_then(|rest| rest.strip_prefix('='));
        vec![(None, bare.unwrap_or(given))]
    } else {
        given
            .split(',')
            .map(|part| match part.split_once('=') {
                Some((name, value)) => (Some(name.trim()), value.trim()),
                None => (None, part.trim()),
            })
            .collect()
    };
    if parts.len() != key.len() {
        let names: Vec<String> = key
            .iter()
            .map(|attribute| format!("{}=…", model[entity][*attribute].name))
            .collect();
        return Err(wrong(format!(
            "the key of {} is {}",
            model[entity].name,
            names.join(",")
        )));
    }
    key.iter()
        .enumerate()
        .map(|(position, attribute)| {
            let attribute = &model[entity][*attribute];
            let (_, given) = parts
                .iter()
                .find(|(name, _)| *name == Some(attribute.name.as_str()))
                .unwrap_or(&parts[position]);
            parse_value(attribute.scalar_type, given).ok_or_else(|| {
                wrong(format!(
                    "`{}` is no value of {}",
                    plain(given),
                    attribute.name
                ))
            })
        })
        .collect()
}

fn parse_value(scalar_type: ScalarType, given: &str) -> Option<Value> {
    let unquoted = given
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
        .map(|text| text.replace("''", "'"));
    match scalar_type {
        ScalarType::String | ScalarType::Enumeration(_) => {
            Some(Value::Text(unquoted.unwrap_or_else(|| given.to_owned())))
        }
        ScalarType::Integer | ScalarType::Long => given.parse().ok().map(Value::Integer),
        ScalarType::Uuid => given.parse().ok().map(Value::Uuid),
        ScalarType::Boolean => given.parse().ok().map(Value::Boolean),
        ScalarType::Date => text::parse_date(given).map(Value::Date),
        ScalarType::Time => text::parse_time(given).map(Value::Time),
        ScalarType::DateTime => text::parse_date_time(given).map(Value::DateTime),
        ScalarType::Decimal { .. } => given.parse().ok().map(Value::Decimal),
        ScalarType::Duration | ScalarType::Binary | ScalarType::File | ScalarType::Json => None,
    }
}
