//! Who visits a page, and what is told about sessions.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::{Value, context};
use stoa_model::access::Actor;

use super::Pages;
use super::problem::Problem;
use super::visit::{Area, Visit};
use crate::identity::{Principal, Refusal, SessionId, SessionInfo};

/// Somebody who is signed in.
pub(super) struct Person {
    pub(super) principal: Principal,
    pub(super) session: SessionId,
    pub(super) name: String,
    pub(super) must_change_password: bool,
    pub(super) actor: Actor,
    /// What the session's cookie holds: forms are bound to it.
    pub(super) secret: String,
}

impl Pages {
    /// Who is signed in, if anybody is.
    pub(super) async fn visitor(
        &self,
        visit: &Visit,
        area: Area,
    ) -> Result<Option<Person>, Problem> {
        let Some(secret) = visit.cookies.get(visit.headers(), area.kind()) else {
            return Ok(None);
        };
        let request = visit.request.as_deref();
        let found = match area {
            Area::User => self
                .identity
                .signed_in(visit.headers(), visit.address)
                .await
                .map(|user| Person {
                    principal: Principal::User(user.user),
                    session: user.session,
                    name: user.caller.name.to_string(),
                    must_change_password: user.must_change_password,
                    actor: user.caller.actor(request),
                    secret: secret.to_owned(),
                }),
            Area::Administration => self
                .identity
                .administrator(visit.headers(), visit.address)
                .await
                .map(|administrator| Person {
                    principal: Principal::Administrator(administrator.id),
                    session: administrator.session,
                    name: administrator.name.to_string(),
                    must_change_password: false,
                    actor: administrator.actor(request),
                    secret: secret.to_owned(),
                }),
        };
        match found {
            Ok(person) => Ok(Some(person)),
            Err(Refusal::NotSignedIn | Refusal::InvalidToken | Refusal::Malformed) => Ok(None),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Who is signed in. Forms must come from a page that was made for them.
    pub(super) async fn person(&self, visit: &Visit, area: Area) -> Result<Person, Problem> {
        let Some(person) = self.visitor(visit, area).await? else {
            return Err(Problem::SignInFirst);
        };
        if !visit.parts.method.is_safe() {
            visit.check_form(&person.secret)?;
        }
        Ok(person)
    }
}

/// An instant for people and for machines.
pub(super) fn moment(microseconds: i64) -> Value {
    let Ok(instant) = Timestamp::from_microsecond(microseconds) else {
        return Value::from(());
    };
    let zoned = instant.to_zoned(TimeZone::UTC);
    context! {
        machine => zoned.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        text => zoned.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    }
}

/// A session as templates see it.
pub(super) fn session(info: &SessionInfo, own: Option<SessionId>) -> Value {
    context! {
        id => info.id.to_string(),
        device => info.agent.as_deref().and_then(device),
        address => info.address.as_deref(),
        provider => info.provider.as_deref(),
        since => moment(info.created_at),
        last_used => moment(info.last_used),
        is_this => own == Some(info.id),
    }
}

/// What a browser calls itself, as people would say it.
fn device(agent: &str) -> Option<String> {
    const PROGRAMS: [(&str, &str); 8] = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("CriOS/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ];
    const SYSTEMS: [(&str, &str); 7] = [
        ("Windows", "Windows"),
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    let find = |names: &[(&str, &'static str)]| {
        names
            .iter()
            .find(|(mark, _)| agent.contains(mark))
            .map(|(_, name)| *name)
    };
    match (find(&PROGRAMS), find(&SYSTEMS)) {
        (Some(program), Some(system)) => Some(format!("{program}, {system}")),
        (Some(one), None) | (None, Some(one)) => Some(one.to_owned()),
        (None, None) => {
            let name: String = agent.chars().take(60).collect();
            (!name.trim().is_empty()).then_some(name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices() {
        let named = |agent| device(agent).unwrap_or_default();
        assert_eq!(
            named("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
            "Firefox, Linux"
        );
        assert_eq!(
            named(
                "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0"
            ),
            "Edge, Windows"
        );
        assert_eq!(named("curl/8.1"), "curl");
        assert_eq!(named("report-maker 1.0"), "report-maker 1.0");
        assert_eq!(named("  "), "");
    }

    #[test]
    fn moments() {
        let text = moment(1_767_225_600_000_000).get_attr("text").unwrap();
        assert_eq!(text.as_str(), Some("2026-01-01 00:00 UTC"));
        assert!(moment(i64::MAX).is_none() || moment(i64::MAX).get_attr("text").is_ok());
    }
}
