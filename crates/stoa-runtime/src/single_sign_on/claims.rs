//! What a provider says of somebody, and what that means here.

use serde_json::Value;

use super::settings::ProviderSettings;
use crate::identity::external::ExternalIdentity;

/// Longest name, as the database keeps it.
const NAME: usize = 120;
const FULL_NAME: usize = 200;
const EMAIL: usize = 320;
/// Longest subject that the database keeps.
const SUBJECT: usize = 300;

/// The values of a claim as texts. A claim is named as it is, or by the way to it: `realm_access.roles`.
fn values(claims: &Value, claim: &str) -> Option<Vec<String>> {
    let value = claims.get(claim).or_else(|| {
        claim
            .split('.')
            .try_fold(claims, |value, key| value.get(key))
    })?;
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    Some(match value {
        Value::Array(list) => list.iter().filter_map(text).collect(),
        one => text(one).into_iter().collect(),
    })
}

/// Whether claims that the settings ask for are not there.
pub(super) fn are_missing(claims: &Value, settings: &ProviderSettings) -> bool {
    [
        &settings.name_claim,
        &settings.roles_claim,
        &settings.administrators_claim,
    ]
    .into_iter()
    .flatten()
    .any(|claim| values(claims, claim).is_none())
        || (settings.name_claim.is_none()
            && claims.get("preferred_username").is_none()
            && claims.get("email").is_none())
}

/// Adds claims of the user info endpoint that the token does not have.
pub(super) fn complete(claims: &mut Value, more: Value) {
    if let (Value::Object(claims), Value::Object(more)) = (claims, more) {
        for (name, value) in more {
            claims.entry(name).or_insert(value);
        }
    }
}

/// Somebody as identity takes them; none if the claims name nobody.
pub(super) fn identity(
    claims: &Value,
    settings: &ProviderSettings,
    id_token: Option<String>,
) -> Option<ExternalIdentity> {
    let text = |claim: &str, length: usize| {
        let text = claims.get(claim)?.as_str()?.trim();
        (!text.is_empty() && text.chars().count() <= length).then(|| text.to_owned())
    };
    let subject = text("sub", SUBJECT)?;
    let email = text("email", EMAIL);
    let is_verified = claims.get("email_verified").is_some_and(|verified| {
        verified.as_bool() == Some(true) || verified.as_str() == Some("true")
    });
    let name = match &settings.name_claim {
        Some(claim) => values(claims, claim)
            .and_then(|values| values.into_iter().next())
            .filter(|name| name.chars().count() <= NAME),
        // An address that nobody has checked may be somebody else's.
        None => {
            text("preferred_username", NAME).or_else(|| text("email", NAME).filter(|_| is_verified))
        }
    };
    Some(ExternalIdentity {
        issuer: settings.issuer.clone(),
        subject,
        provider: settings.name.clone(),
        name,
        full_name: text("name", FULL_NAME),
        email,
        roles: roles(claims, settings),
        id_token,
    })
}

/// The roles that the claim gives; none if the settings leave roles alone.
fn roles(claims: &Value, settings: &ProviderSettings) -> Option<Vec<String>> {
    let claim = settings.roles_claim.as_ref()?;
    let mut roles: Vec<String> = values(claims, claim)
        .unwrap_or_default()
        .iter()
        .filter_map(|value| settings.roles.get(value))
        .cloned()
        .collect();
    roles.sort();
    roles.dedup();
    Some(roles)
}

/// Whether the claims make an administrator of the site.
pub(super) fn is_administrator(claims: &Value, settings: &ProviderSettings) -> bool {
    let given = settings
        .administrators_claim
        .as_ref()
        .and_then(|claim| values(claims, claim))
        .unwrap_or_default();
    given
        .iter()
        .any(|value| settings.administrators.contains(value))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::super::settings::Settings;
    use super::*;

    fn settings(more: &str) -> ProviderSettings {
        let text = format!(
            "[[provider]]\nname = \"a\"\nissuer = \"https://a.example\"\nclient_id = \"b\"\n{more}"
        );
        let roles = ["Sales", "Management"];
        let settings = Settings::from_text("x", &text, Path::new(""), &roles, &|_| None).unwrap();
        settings.providers.into_iter().next().unwrap()
    }

    #[test]
    fn roles_follow_the_claim() {
        let by = |claim: &str| {
            settings(&format!(
                "roles_claim = \"{claim}\"\nroles = {{ s = \"Sales\", m = \"Management\", s2 = \"Sales\" }}\n"
            ))
        };
        for (claims, claim, expected) in [
            (
                json!({"groups": ["s", "m", "x"]}),
                "groups",
                &["Management", "Sales"][..],
            ),
            (
                json!({"groups": ["s", "s2", 1, null, {}]}),
                "groups",
                &["Sales"],
            ),
            (json!({"groups": "s"}), "groups", &["Sales"]),
            (json!({"groups": "s m"}), "groups", &[]),
            (json!({"groups": {"s": true}}), "groups", &[]),
            (json!({}), "groups", &[]),
            (
                json!({"realm_access": {"roles": ["m"]}}),
                "realm_access.roles",
                &["Management"],
            ),
            (
                json!({"https://x.example/roles": ["s"]}),
                "https://x.example/roles",
                &["Sales"],
            ),
        ] {
            assert_eq!(roles(&claims, &by(claim)).unwrap(), expected, "{claims}");
        }
        assert_eq!(roles(&json!({"groups": ["s"]}), &settings("")), None);
    }

    #[test]
    fn names_come_from_what_can_be_trusted() {
        let name = |claims: Value, settings: &ProviderSettings| {
            identity(&claims, settings, None).and_then(|identity| identity.name)
        };
        let plain = settings("");
        let ada = Some("ada".to_owned());
        assert_eq!(
            name(json!({"sub": "1", "preferred_username": "ada"}), &plain),
            ada
        );
        let mail = "ada@example.com";
        assert_eq!(name(json!({"sub": "1", "email": mail}), &plain), None);
        assert_eq!(
            name(
                json!({"sub": "1", "email": mail, "email_verified": true}),
                &plain
            ),
            Some(mail.to_owned())
        );
        let own = settings("name_claim = \"upn\"\n");
        assert_eq!(
            name(
                json!({"sub": "1", "upn": "ada", "preferred_username": "x"}),
                &own
            ),
            ada
        );
        assert_eq!(
            name(json!({"sub": "1", "preferred_username": "x"}), &own),
            None
        );
        assert!(identity(&json!({"preferred_username": "ada"}), &plain, None).is_none());
        assert!(identity(&json!({"sub": ""}), &plain, None).is_none());
    }

    #[test]
    fn administrators_are_named_by_a_claim() {
        let by = settings("administrators_claim = \"groups\"\nadministrators = [\"it\"]\n");
        assert!(is_administrator(&json!({"groups": ["x", "it"]}), &by));
        assert!(!is_administrator(&json!({"groups": ["x"]}), &by));
        assert!(!is_administrator(&json!({}), &by));
        assert!(!is_administrator(&json!({"groups": ["it"]}), &settings("")));
    }

    #[test]
    fn claims_of_the_token_win() {
        let mut claims = json!({"sub": "1", "groups": ["a"]});
        complete(
            &mut claims,
            json!({"sub": "2", "groups": ["b"], "name": "Ada"}),
        );
        assert_eq!(claims, json!({"sub": "1", "groups": ["a"], "name": "Ada"}));
    }
}
