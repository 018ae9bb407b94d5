//! Faults in the text of an application: collected, each with its place, rendered for people and as JSON.

mod code;
mod render;
mod source;

use std::fmt;
use std::sync::Arc;

pub use code::Code;
pub use source::{Position, SourceFile, Span};

/// How bad a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The application cannot run.
    Error,
    /// The application runs, but probably not as meant.
    Warning,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable name of the rule that is broken.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// Where; none when it concerns no text (a folder that is not there).
    pub span: Option<Span>,
    /// What to say at the place.
    pub label: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
    /// Other places that belong to it.
    pub related: Vec<(Span, String)>,
}

impl Diagnostic {
    /// A fault that prevents the application from running.
    #[must_use]
    pub fn error(code: Code, span: impl Into<Option<Span>>, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            span: span.into(),
            label: None,
            help: None,
            related: Vec::new(),
        }
    }

    /// A fault that the application can live with.
    #[must_use]
    pub fn warning(code: Code, span: impl Into<Option<Span>>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, span, message)
        }
    }

    /// Adds what to say at the place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Proposes a name, if one is near.
    #[must_use]
    pub fn nearest(self, suggestion: Option<&str>) -> Self {
        match suggestion {
            Some(name) => self.help(format!("did you mean `{name}`?")),
            None => self,
        }
    }

    /// Adds another place that belongs to it.
    #[must_use]
    pub fn related(mut self, span: Option<Span>, label: impl Into<String>) -> Self {
        if let Some(span) = span {
            self.related.push((span, label.into()));
        }
        self
    }
}

/// Faults of one application, with the text that they are about.
#[derive(Clone, Default)]
pub struct Diagnostics {
    files: Arc<[SourceFile]>,
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Orders the faults by place.
    #[must_use]
    pub fn new(files: Arc<[SourceFile]>, mut list: Vec<Diagnostic>) -> Self {
        list.sort_by_key(|diagnostic| diagnostic.span);
        list.dedup();
        Self { files, list }
    }

    /// The faults, in the order of files and places; those without a place come first.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// Number of faults.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// No fault at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether the application cannot run.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.list
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// The files that spans are about.
    #[must_use]
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// File, line and column of a span's start.
    #[must_use]
    pub fn position(&self, span: Span) -> (&str, Position) {
        let file = &self.files[span.file()];
        (file.path(), file.position(span.start()))
    }

    /// For people: every fault with the offending text underlined, and a closing line with the numbers.
    #[must_use]
    pub fn render(&self, coloured: bool) -> String {
        render::text(self, coloured)
    }

    /// For programs: an array with one object for each fault. Lines and columns count from 1, columns
    /// in characters; `start` and `end` are byte offsets.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        render::json(self)
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render(false))
    }
}

impl fmt::Debug for Diagnostics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl std::error::Error for Diagnostics {}
