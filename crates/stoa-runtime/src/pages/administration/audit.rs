//! The audit trail, newest first.

use std::borrow::Cow;

use http::Response;
use minijinja::{Value, context};

use super::{frame, optional};
use crate::body::Body;
use crate::identity::audit::{Direction, Entry, Filter, Position};
use crate::pages::Pages;
use crate::pages::page::with_option;
use crate::pages::people::moment;
use crate::pages::problem::Problem;
use crate::pages::visit::{Area, Visit};

/// Entries on a page.
const PAGE: usize = 50;
/// Characters of a detail that are shown; `stoa audit` gives all.
const DETAIL: usize = 2000;

impl Pages {
    pub(super) async fn audit(&self, visit: &Visit) -> Result<Response<Body>, Problem> {
        let person = self.person(visit, Area::Administration).await?;
        let actor = optional(visit.option("actor").unwrap_or_default());
        let filter = Filter {
            actor: actor.map(Cow::Borrowed),
            ..Filter::default()
        };
        let after = match (visit.option("at"), visit.option("id")) {
            (Some(at), Some(id)) => Some(Position {
                at: at.parse().map_err(|_| Problem::NotFound)?,
                id: id.parse().map_err(|_| Problem::NotFound)?,
            }),
            _ => None,
        };
        let mut entries = self
            .identity
            .audit(&filter, Direction::NewestFirst, after, PAGE as u64 + 1)
            .await?;
        let start = match actor {
            Some(actor) => with_option("/-/admin/audit", "actor", actor),
            None => "/-/admin/audit".to_owned(),
        };
        let more = (entries.len() > PAGE).then(|| {
            entries.truncate(PAGE);
            let mut query = form_urlencoded::Serializer::new(String::new());
            if let Some(actor) = actor {
                query.append_pair("actor", actor);
            }
            if let Some(last) = entries.last().map(Entry::position) {
                query.append_pair("at", &last.at.to_string());
                query.append_pair("id", &last.id.to_string());
            }
            format!("/-/admin/audit?{}", query.finish())
        });
        let content = context! {
            actor => actor.unwrap_or_default(),
            entries => entries.iter().map(value).collect::<Vec<_>>(),
            start,
            is_later => after.is_some(),
            more,
        };
        self.page(
            "admin-audit.html",
            frame("audit", "audit", &person),
            content,
        )
    }
}

fn value(entry: &Entry) -> Value {
    context! {
        at => moment(entry.at),
        kind => &entry.kind,
        actor => entry.actor.as_deref(),
        address => entry.address.as_deref(),
        entity => entry.entity.as_deref(),
        key => entry.key.as_deref(),
        detail => entry.detail.as_deref().map(shortened),
        before => entry.before.as_deref().map(shortened),
        after => entry.after.as_deref().map(shortened),
    }
}

fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(DETAIL) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}
