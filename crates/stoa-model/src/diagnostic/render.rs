//! Faults as text with underlined source, and as JSON.

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use super::{Diagnostic, Diagnostics, Severity, SourceFile, Span};

/// Places that are further apart are shown in pieces of their own.
const NEAR_LINES: usize = 200;
/// Most faults shown as text: nobody reads more before mending some.
const SHOWN: usize = 500;

pub(super) fn text(diagnostics: &Diagnostics, coloured: bool) -> String {
    let renderer = if coloured {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut text = String::new();
    for diagnostic in diagnostics.iter().take(SHOWN) {
        text.push_str(&renderer.render(&[group(diagnostics, diagnostic)]));
        text.push_str("\n\n");
    }
    if diagnostics.len() > SHOWN {
        text.push_str(&format!("… and {} more\n\n", diagnostics.len() - SHOWN));
    }
    let errors = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .count();
    let warnings = diagnostics.len() - errors;
    text.push_str(&summary(errors, warnings));
    text
}

fn summary(errors: usize, warnings: usize) -> String {
    let counted = |count: usize, what: &str| match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        count => Some(format!("{count} {what}s")),
    };
    let parts: Vec<String> = [counted(errors, "error"), counted(warnings, "warning")]
        .into_iter()
        .flatten()
        .collect();
    if parts.is_empty() {
        "no faults".to_owned()
    } else {
        parts.join(", ")
    }
}

fn group<'a>(diagnostics: &'a Diagnostics, diagnostic: &'a Diagnostic) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level
        .primary_title(diagnostic.message.as_str())
        .id(diagnostic.code.as_str());
    let mut group = title.elements(std::iter::empty::<Snippet<'_, Annotation<'_>>>());
    if let Some(primary) = diagnostic.span {
        let mut marks = vec![(
            primary,
            diagnostic.label.as_deref(),
            AnnotationKind::Primary,
        )];
        marks.extend(
            diagnostic
                .related
                .iter()
                .map(|(span, label)| (*span, Some(label.as_str()), AnnotationKind::Context)),
        );
        while !marks.is_empty() {
            let source = &diagnostics.files[marks[0].0.file()];
            let line = source.position(marks[0].0.start()).line;
            let is_near = |span: Span| {
                span.file() == marks[0].0.file()
                    && source.position(span.start()).line.abs_diff(line) <= NEAR_LINES
            };
            let near: Vec<bool> = marks.iter().map(|(span, _, _)| is_near(*span)).collect();
            let mut near = near.into_iter();
            let shown: Vec<_> = marks
                .extract_if(.., |_| near.next().unwrap_or(true))
                .collect();
            group = group.element(snippet(source, &shown));
        }
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    group
}

/// A place, what to say there, and how to mark it.
type Mark<'a> = (Span, Option<&'a str>, AnnotationKind);

/// The lines from the first mark to the last: the renderer reads all that it is given.
fn snippet<'a>(source: &'a SourceFile, marks: &[Mark<'a>]) -> Snippet<'a, Annotation<'a>> {
    let lines = || {
        marks
            .iter()
            .map(|(span, _, _)| source.position(span.start()).line)
    };
    let (first, last) = (lines().min().unwrap_or(1), lines().max().unwrap_or(1));
    let excerpt = source.lines(first, last);
    let start = excerpt.start;
    let mut snippet = Snippet::source(&source.text()[excerpt])
        .path(source.path())
        .line_start(first);
    for (span, label, kind) in marks {
        let range = shown(source.text(), *span);
        snippet = snippet.annotation(
            kind.span(range.start - start..range.end - start)
                .label(*label),
        );
    }
    snippet
}

/// Keeps a span within the text, on character boundaries, and on its first line: a table of fifty lines
/// is not underlined as a whole.
fn shown(text: &str, span: Span) -> std::ops::Range<usize> {
    let mut start = span.start().min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = span.end().clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let line_end = text[start..end]
        .find(['\n', '\r'])
        .map_or(end, |length| start + length);
    start..line_end.max(start)
}

pub(super) fn json(diagnostics: &Diagnostics) -> Value {
    diagnostics
        .iter()
        .map(|diagnostic| {
            let mut object = json!({
                "code": diagnostic.code.as_str(),
                "severity": match diagnostic.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                },
                "message": diagnostic.message,
            });
            if let Some(span) = diagnostic.span {
                place(diagnostics, span, &mut object);
            }
            for (key, text) in [("label", &diagnostic.label), ("help", &diagnostic.help)] {
                if let Some(text) = text {
                    object[key] = json!(text);
                }
            }
            object["related"] = diagnostic
                .related
                .iter()
                .map(|(span, message)| {
                    let mut related = json!({ "message": message });
                    place(diagnostics, *span, &mut related);
                    related
                })
                .collect();
            object
        })
        .collect()
}

fn place(diagnostics: &Diagnostics, span: Span, object: &mut Value) {
    let source = &diagnostics.files[span.file()];
    let (from, to) = (source.position(span.start()), source.position(span.end()));
    object["file"] = json!(source.path());
    object["line"] = json!(from.line);
    object["column"] = json!(from.column);
    object["endLine"] = json!(to.line);
    object["endColumn"] = json!(to.column);
    object["start"] = json!(span.start());
    object["end"] = json!(span.end());
}
