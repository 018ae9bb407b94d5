//! One request of one user to one state of the data: judged, asked, compared.

use std::collections::BTreeSet;
use std::fmt;

use crate::compare::{difference, words};
use crate::court::{Answer, Court, Kind, State, expected_state, learn_keys};
use crate::data::Database;
use crate::expect::Expected;
use crate::judge::{Judge, Known, Reader};
use crate::model::Model;
use crate::request::{Action, Http, Request};

/// All that an answer depends on.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) model: Model,
    pub(crate) data: Database,
    pub(crate) reader: Reader,
    pub(crate) request: Request,
}

/// An answer that is not the expected one.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// The first word says of what kind it is.
    pub(crate) difference: String,
    pub(crate) expected: Expected,
    pub(crate) answer: Answer,
}

/// An answer as it was expected.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) answer: Answer,
    /// The rows afterwards, if they have changed.
    pub(crate) after: Option<Database>,
}

impl Case {
    /// Who the pipeline takes the request to be of.
    fn reader(&self) -> Reader {
        if matches!(self.request.action, Action::Unknown) && self.model.anonymous {
            return Reader {
                roles: vec!["Anonymous".to_owned()],
                user: None,
                is_root: false,
            };
        }
        self.reader.clone()
    }

    pub(crate) fn http(&self) -> Http {
        let judge = Judge::new(&self.model, &self.data, &self.reader);
        let is_many = judge.is_many(&self.request.path);
        self.request.http(&self.model, is_many)
    }

    /// Asks the court, and compares.
    pub(crate) async fn ask(&self, court: &Court) -> Result<Verdict, Box<Failure>> {
        let Self {
            model,
            data,
            request,
            ..
        } = self;
        let reader = self.reader();
        let judge = Judge::new(model, data, &reader);
        let expected = match &request.action {
            Action::Unknown if model.anonymous => {
                let part = crate::request::Part::Rows;
                judge.read(&request.path, &part, &crate::request::Options::default())
            }
            _ => judge.expect(request),
        };
        let hidden = hidden_names(&judge);
        drop(judge);
        let http = self.http();
        let answer = match &request.action {
            Action::Unknown => court.send_as(None, &http).await,
            Action::Read(_, options) => match options.page {
                Some(page) => court.walk(model, data, &reader, &http, page).await,
                None => court.send(model, data, &reader, &http).await,
            },
            _ => court.send(model, data, &reader, &http).await,
        };
        let fail = |difference: String| {
            Box::new(Failure {
                difference,
                expected: expected.clone(),
                answer: answer.clone(),
            })
        };
        if let Some(difference) = difference(model, &expected, &answer, request.is_write()) {
            return Err(fail(difference));
        }
        let is_done = (200..300).contains(&answer.status);
        if !is_done {
            let asked = format!("{} {}", http.text(), http.url);
            let (asked, told) = (words(&asked), words(&answer.text));
            if let Some(name) = hidden
                .iter()
                .find(|name| told.contains(name.as_str()) && !asked.contains(name.as_str()))
            {
                return Err(fail(format!("leak: the error names {name}")));
            }
        }
        let mut after = None;
        if request.is_write() {
            let mut wanted = match (&expected.success, is_done) {
                (Some(success), true) => success.after.clone().unwrap_or_else(|| data.clone()),
                _ => data.clone(),
            };
            let state = court
                .state(model, data)
                .await
                .map_err(|error| fail(format!("state: {error}")))?;
            if is_done {
                learn_keys(model, &mut wanted, &state);
            }
            if let Some(difference) = state_difference(&expected_state(model, &wanted), &state) {
                return Err(fail(format!("state: {difference}")));
            }
            after = is_done.then_some(wanted);
        }
        Ok(Verdict { answer, after })
    }

    /// Asks a new court.
    pub(crate) async fn ask_anew(&self, kind: Kind) -> Result<Option<Box<Failure>>, String> {
        let court = Court::open(kind, &self.model).await?;
        court.load(&self.model, &self.data).await?;
        let state = court.state(&self.model, &self.data).await?;
        if state != expected_state(&self.model, &self.data) {
            return Err("the rows could not be set up".to_owned());
        }
        Ok(self.ask(&court).await.err())
    }
}

/// Names that an error must not tell.
fn hidden_names(judge: &Judge<'_>) -> BTreeSet<String> {
    let model = judge.model;
    let mut hidden = BTreeSet::new();
    let mut known = BTreeSet::new();
    for entity in model.ids() {
        for name in model.member_names(entity) {
            if judge.knows(entity, &name) == Known::No && !judge.may_write(entity, &name) {
                hidden.insert(name);
            } else {
                known.insert(name);
            }
        }
    }
    hidden.retain(|name| {
        !known.contains(name)
            && !matches!(
                name.as_str(),
                "id" | "Code" | "No" | "Name" | "Email" | "Active" | "Team" | "Grade"
            )
    });
    hidden
}

fn state_difference(expected: &State, actual: &State) -> Option<String> {
    for (key, row) in expected {
        match actual.get(key) {
            None => return Some(format!("{key:?} is missing: {row}")),
            Some(other) if other != row => {
                return Some(format!("{key:?} is {other} instead of {row}"));
            }
            _ => {}
        }
    }
    actual
        .iter()
        .find(|(key, _)| !expected.contains_key(key))
        .map(|(key, row)| format!("{key:?} is there: {row}"))
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "--- app.toml\n{}\n--- model\n{}--- rows",
            self.model.manifest(),
            self.model.toml()
        )?;
        for ((entity, key), row) in expected_state(&self.model, &self.data) {
            writeln!(formatter, "{entity}({key}) {row}")?;
        }
        for (number, association) in self.model.associations.iter().enumerate() {
            writeln!(
                formatter,
                "  /{number} is {:?} of {}",
                association.name.as_deref().unwrap_or("(unnamed)"),
                self.model.entities[association.holder].name
            )?;
        }
        let user = self.reader.user.and_then(|id| self.data.rows.get(&id));
        writeln!(
            formatter,
            "--- user\nroles {:?}, row {}",
            self.reader.roles,
            user.map_or("none".to_owned(), |user| user.key.literal())
        )?;
        writeln!(formatter, "--- request\n{}", self.http().text())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "--- {}", self.difference)?;
        writeln!(formatter, "--- expected")?;
        if let Some(success) = &self.expected.success {
            writeln!(formatter, "{:?} {:?}", success.statuses, success.content)?;
        }
        if !self.expected.refusals.is_empty() {
            writeln!(formatter, "refusals {:?}", self.expected.refusals)?;
        }
        writeln!(
            formatter,
            "--- got\n{} {}",
            self.answer.status, self.answer.text
        )
    }
}
