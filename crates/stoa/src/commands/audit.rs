//! `stoa audit`: the audit trail, read and followed.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};
use stoa_model::value::text;
use stoa_runtime::identity::audit::{Direction, Entry, Filter, Position};
use uuid::Uuid;

use super::listing::{exact_instant, instant, now, plain};
use super::opened::{Opened, failure, with};
use super::print;
use crate::Result;
use crate::command_line::people::{Audit, duration};
use crate::failure::{Exit, Failure};

/// Microseconds of a day.
const DAY_MICROS: i64 = 86_400_000_000;
/// Entries read at once.
const PAGE: u64 = 200;
/// Between two looks for what is new.
const PAUSE: Duration = Duration::from_millis(500);
/// How far a follower looks back: a transaction that began earlier may be written later.
const OVERLAP_MICROS: i64 = 15_000_000;
/// Entries of the overlap that are remembered as shown.
const REMEMBERED: usize = 100_000;

pub(crate) fn run(arguments: &Audit) -> Result<()> {
    let since = arguments.since.as_deref().map(instant_of).transpose()?;
    with(&arguments.place, async |opened: &Opened| {
        let filter = Filter {
            kinds: arguments.kinds.iter().map(Cow::from).collect(),
            actor: arguments.user.as_deref().map(Cow::from),
            entity: arguments.entity.as_deref().map(Cow::from),
            key: arguments.key.as_deref().map(Cow::from),
            since,
            until: None,
        };
        let began = now();
        let mut latest = latest(opened, &filter, arguments.limit).await?;
        latest.reverse();
        for entry in &latest {
            show(entry, arguments.json);
        }
        if arguments.follow {
            tokio::select! {
                result = follow(opened, &filter, began, latest, arguments.json) => result?,
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Ok(())
    })
}

/// The latest entries, newest first.
async fn latest(opened: &Opened, filter: &Filter<'_>, limit: u64) -> Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let wanted = limit.saturating_sub(entries.len() as u64).min(PAGE);
        if wanted == 0 {
            return Ok(entries);
        }
        let after = entries.last().map(Entry::position);
        let page = opened
            .identity
            .audit(filter, Direction::NewestFirst, after, wanted)
            .await
            .map_err(failure)?;
        let is_last = (page.len() as u64) < wanted;
        entries.extend(page);
        if is_last {
            return Ok(entries);
        }
    }
}

async fn follow(
    opened: &Opened,
    filter: &Filter<'_>,
    began: i64,
    shown: Vec<Entry>,
    json: bool,
) -> Result<()> {
    let mut seen: HashSet<Uuid> = shown.iter().map(|entry| entry.id).collect();
    let mut newest = shown
        .last()
        .map_or(began, |entry| entry.at)
        .max(began - OVERLAP_MICROS);
    // What was there before is shown already, or was not wanted.
    let oldest = began - OVERLAP_MICROS;
    loop {
        let mut filter = filter.clone();
        let from = (newest - OVERLAP_MICROS).max(oldest);
        filter.since = Some(filter.since.map_or(from, |since| since.max(from)));
        let mut after: Option<Position> = None;
        let mut current = HashSet::new();
        loop {
            let page = opened
                .identity
                .audit(&filter, Direction::OldestFirst, after, PAGE)
                .await
                .map_err(failure)?;
            for entry in &page {
                current.insert(entry.id);
                newest = newest.max(entry.at);
                if !seen.contains(&entry.id) && entry.at >= oldest {
                    show(entry, json);
                }
            }
            after = page.last().map(Entry::position);
            if (page.len() as u64) < PAGE {
                break;
            }
        }
        if seen.len() > REMEMBERED {
            seen.clear();
        }
        seen.extend(current);
        tokio::time::sleep(PAUSE).await;
    }
}

fn show(entry: &Entry, json: bool) {
    if json {
        print(&as_json(entry).to_string());
        return;
    }
    let mut line = format!(
        "{}  {}  {}",
        instant(entry.at),
        plain(entry.actor.as_deref().unwrap_or("-")),
        plain(&entry.kind)
    );
    if let Some(entity) = &entry.entity {
        line.push_str(&format!("  {}", plain(entity)));
        if let Some(key) = &entry.key {
            line.push_str(&format!("({})", plain(key)));
        }
    }
    if let Some(address) = &entry.address {
        line.push_str(&format!("  from {}", plain(address)));
    }
    for (label, text) in [
        ("", &entry.detail),
        ("before ", &entry.before),
        ("after ", &entry.after),
    ] {
        if let Some(text) = text {
            line.push_str(&format!("\n    {label}{}", plain(text)));
        }
    }
    print(&line);
}

fn as_json(entry: &Entry) -> Value {
    // Written by ourselves as JSON; what is not is shown as text.
    let parsed = |text: &Option<String>| {
        text.as_ref()
            .map(|text| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str())))
    };
    json!({
        "id": entry.id.to_string(),
        "at": exact_instant(entry.at),
        "kind": entry.kind,
        "actor": entry.actor,
        "actorId": entry.actor_id.map(|id| id.to_string()),
        "entity": entry.entity,
        "key": entry.key,
        "detail": parsed(&entry.detail),
        "before": parsed(&entry.before),
        "after": parsed(&entry.after),
        "address": entry.address,
        "request": entry.request,
    })
}

/// `2h` before now, a day, or an instant.
fn instant_of(given: &str) -> Result<i64> {
    if let Ok(back) = duration(given) {
        let back = i64::try_from(back.as_micros()).unwrap_or(i64::MAX);
        return Ok(now().saturating_sub(back));
    }
    if let Some(day) = text::parse_date(given) {
        return Ok(i64::from(day) * DAY_MICROS);
    }
    text::parse_date_time(given).ok_or_else(|| {
        Failure::new(
            Exit::Configuration,
            format!(
                "--since: `{given}` is no time: write 2h, 7d, 2026-11-01 or 2026-11-01T08:00:00Z"
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(instant_of("1970-01-02").unwrap(), 86_400_000_000);
        assert_eq!(instant_of("1970-01-01T00:00:01Z").unwrap(), 1_000_000);
        let (before, then, after) = (now(), instant_of("1h").unwrap(), now());
        assert!((before..=after).contains(&(then + 3_600_000_000)));
        assert!(instant_of("yesterday").is_err());
    }
}
