//! Collects faults, and leaves out those that are only the echo of another.

use super::nearest;
use crate::diagnostic::{Diagnostic, Span};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

/// Faults that get a suggestion.
const SUGGESTIONS: usize = 100;

/// The collected faults.
#[derive(Default)]
pub(crate) struct Faults {
    list: Vec<Diagnostic>,
    /// Files whose text could not be parsed: what was recovered of them gives names, not faults.
    broken: Vec<usize>,
    /// A file of the model could not be read or parsed: names may be missing.
    is_partial: bool,
}

impl Faults {
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        let in_broken_file = diagnostic
            .span
            .is_some_and(|span| self.broken.contains(&span.file()));
        let may_be_echo = diagnostic.code.is_unknown_reference() && self.is_partial;
        if !in_broken_file && !may_be_echo {
            self.list.push(diagnostic);
        }
    }

    /// Adds the faults that make a file unusable.
    pub(crate) fn push_broken(&mut self, file: usize, diagnostics: Vec<Diagnostic>) {
        self.list.extend(diagnostics);
        self.broken.push(file);
    }

    /// Adds the faults of files that could not be read.
    pub(crate) fn push_unread(&mut self, diagnostics: Vec<Diagnostic>) {
        self.list.extend(diagnostics);
    }

    /// Names of the model may be missing: none is reported as unknown.
    pub(crate) fn set_partial(&mut self) {
        self.is_partial = true;
    }

    /// The candidate nearest to a name. Nobody reads the hundredth suggestion, and each takes a walk through
    /// all candidates.
    pub(crate) fn nearest<'a>(
        &self,
        name: &str,
        candidates: impl IntoIterator<Item = &'a str>,
    ) -> Option<&'a str> {
        if self.list.len() < SUGGESTIONS {
            nearest(name, candidates)
        } else {
            None
        }
    }

    /// Leaves out faults in a file that has none of its own, as echoes of those in others.
    pub(crate) fn drop_echoes_in(&mut self, file: usize) {
        let is_there =
            |diagnostic: &Diagnostic| diagnostic.span.is_some_and(|span| span.file() == file);
        if !self.list.iter().all(is_there) {
            self.list.retain(|diagnostic| !is_there(diagnostic));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn into_list(self) -> Vec<Diagnostic> {
        self.list
    }
}
