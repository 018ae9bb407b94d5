//! Faults as text with underlined source, and as JSON.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use super::{Diagnostic, Diagnostics, Severity, Span};

pub(super) fn text(diagnostics: &Diagnostics, coloured: bool) -> String {
    let renderer = if coloured {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut text = String::new();
    for diagnostic in diagnostics {
        text.push_str(&renderer.render(&[group(diagnostics, diagnostic)]));
        text.push_str("\n\n");
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
    let mut group = level
        .primary_title(diagnostic.message.as_str())
        .id(diagnostic.code.as_str())
        .elements(std::iter::empty::<
            Snippet<'_, annotate_snippets::Annotation<'_>>,
        >());
    if let Some(primary) = diagnostic.span {
        group = group.element(snippet(diagnostics, diagnostic, primary));
        let mut others: Vec<usize> = diagnostic
            .related
            .iter()
            .map(|(span, _)| span.file())
            .filter(|file| *file != primary.file())
            .collect();
        others.sort_unstable();
        others.dedup();
        for file in others {
            let source = &diagnostics.files[file];
            group = group.element(
                Snippet::source(source.text())
                    .path(source.path())
                    .annotations(
                        diagnostic
                            .related
                            .iter()
                            .filter(|(span, _)| span.file() == file)
                            .map(|(span, label)| {
                                AnnotationKind::Context
                                    .span(shown(source.text(), *span))
                                    .label(label.as_str())
                            }),
                    ),
            );
        }
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    group
}

fn snippet<'a>(
    diagnostics: &'a Diagnostics,
    diagnostic: &'a Diagnostic,
    primary: Span,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let source = &diagnostics.files[primary.file()];
    Snippet::source(source.text())
        .path(source.path())
        .annotation(
            AnnotationKind::Primary
                .span(shown(source.text(), primary))
                .label(diagnostic.label.as_deref()),
        )
        .annotations(
            diagnostic
                .related
                .iter()
                .filter(|(span, _)| span.file() == primary.file())
                .map(|(span, label)| {
                    AnnotationKind::Context
                        .span(shown(source.text(), *span))
                        .label(label.as_str())
                }),
        )
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
