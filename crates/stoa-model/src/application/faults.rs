//! Collects faults, and leaves out those that are only the echo of another.

use crate::diagnostic::{Diagnostic, Span};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub value: T,
    pub span: Span,
}

/// The collected faults.
#[derive(Default)]
pub(crate) struct Faults {
    list: Vec<Diagnostic>,
    /// Files whose text could not be parsed: what was recovered of them gives names, not faults.
    broken: Vec<usize>,
    /// A file could not be read at all.
    incomplete: bool,
}

impl Faults {
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        let in_broken_file = diagnostic
            .span
            .is_some_and(|span| self.broken.contains(&span.file()));
        let may_be_echo =
            diagnostic.code.is_unknown_reference() && (self.incomplete || !self.broken.is_empty());
        if !in_broken_file && !may_be_echo {
            self.list.push(diagnostic);
        }
    }

    /// Adds the fault that makes a file unusable.
    pub(crate) fn push_broken(&mut self, file: usize, diagnostics: Vec<Diagnostic>) {
        self.list.extend(diagnostics);
        self.broken.push(file);
    }

    /// Adds the faults of files that could not be read.
    pub(crate) fn push_unread(&mut self, diagnostics: Vec<Diagnostic>) {
        self.list.extend(diagnostics);
        self.incomplete = true;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn into_list(self) -> Vec<Diagnostic> {
        self.list
    }
}
