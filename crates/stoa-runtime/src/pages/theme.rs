//! What the pages look like: the product's own templates, texts and styles, and those of an application.
//!
//! A template of the application takes the place of the one with its name, and extends it as
//! `stoa/NAME`. Everything is judged when it is loaded: each page is made once with sample data, so that a
//! request never meets a template that does not work.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use minijinja::{Environment, UndefinedBehavior, Value};
use sha2::{Digest as _, Sha256};
use stoa_model::diagnostic::{Code, Diagnostic, Diagnostics, SourceFile, Span};

use super::samples;
use super::texts::{self, Texts};
use crate::nearest::nearest;

/// Folder of an application's own templates, texts and styles.
pub const FOLDER: &str = "pages";
const STYLES: &str = "pages.css";
const TEXTS: &str = "texts.toml";
/// Most bytes of one file.
const FILE_BYTES: u64 = 1024 * 1024;
/// Most files.
const FILES: usize = 200;
/// Where the product's own templates are found under their own names.
const BUILT_IN: &str = "stoa/";

macro_rules! templates {
    ($($name:literal)*) => {
        const TEMPLATES: &[(&str, &str)] = &[$(($name, include_str!(concat!("templates/", $name))),)*];
    };
}

templates! {
    "layout.html" "parts.html" "sign-in.html" "sign-out.html" "signed-out.html" "account.html"
    "password.html" "link.html" "message.html" "admin-users.html" "admin-user.html" "admin-tokens.html"
    "admin-audit.html"
}

/// A style sheet, ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Styles {
    pub(super) bytes: Bytes,
    pub(super) etag: String,
    /// Its address, with a mark that changes with the content.
    pub(super) address: String,
}

/// Templates, texts and styles of an environment's pages.
pub struct Theme {
    templates: Environment<'static>,
    pub(super) texts: Texts,
    pub(super) styles: Styles,
    pub(super) theme_styles: Option<Styles>,
}

impl std::fmt::Debug for Theme {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Theme").finish_non_exhaustive()
    }
}

impl Default for Theme {
    /// The product's own.
    fn default() -> Self {
        let mut templates = environment();
        for (name, source) in TEMPLATES {
            add_built_in(&mut templates, name, source);
        }
        Self {
            templates,
            texts: texts::built_in(),
            styles: styles("/-/pages.css", include_str!("pages.css")),
            theme_styles: None,
        }
    }
}

impl Theme {
    /// The product's own, with what the folder `pages` of an application puts in its place.
    ///
    /// # Errors
    /// All faults of all files.
    pub fn load(application: &Path) -> Result<Self, Diagnostics> {
        let mut faults = Vec::new();
        let sources = read(&application.join(FOLDER), &mut faults);
        let files: Arc<[SourceFile]> = sources
            .into_iter()
            .map(|(name, text)| SourceFile::new(format!("{FOLDER}/{name}"), text))
            .collect();
        let theme = Self::from_files(&files, &mut faults);
        if faults.is_empty() {
            Ok(theme)
        } else {
            Err(Diagnostics::new(files, faults))
        }
    }

    fn from_files(files: &[SourceFile], faults: &mut Vec<Diagnostic>) -> Self {
        let mut theme = Self::default();
        for (position, file) in files.iter().enumerate() {
            let name = short_name(file);
            match name {
                STYLES => {
                    check_styles(file, position, faults);
                    theme.theme_styles = Some(styles("/-/theme.css", file.text()));
                }
                TEXTS => texts::replace(&mut theme.texts, file, position, faults),
                _ => theme.add_template(file, position, faults),
            }
        }
        if faults.is_empty() {
            theme.try_all(files, faults);
        }
        theme
    }

    fn add_template(&mut self, file: &SourceFile, position: usize, faults: &mut Vec<Diagnostic>) {
        let name = short_name(file);
        let is_known = TEMPLATES.iter().any(|(known, _)| *known == name);
        // A name that begins with `_` is for the application's own pieces.
        let is_piece = name.starts_with('_') && name.ends_with(".html");
        if !is_known && !is_piece {
            let known = TEMPLATES.iter().map(|(known, _)| *known);
            let near = nearest(name, known.chain([STYLES, TEXTS]));
            let span = Span::new(position, 0..0);
            let message = format!("there is no page `{name}`");
            let fault = Diagnostic::error(Code::InvalidPage, span, message);
            faults.push(match near {
                Some(_) => fault.nearest(near),
                None => fault.help("pieces for several pages have names that begin with `_`"),
            });
            return;
        }
        let added = self
            .templates
            .add_template_owned(name.to_owned(), file.text().to_owned());
        if let Err(error) = added {
            faults.push(fault_of(&error, std::slice::from_ref(file), position));
        }
    }

    /// Makes every page with sample data.
    fn try_all(&self, files: &[SourceFile], faults: &mut Vec<Diagnostic>) {
        for (template, page) in samples::all() {
            let context = minijinja::context! {
                text => texts::value(&self.texts),
                styles => &self.styles.address,
                theme_styles => self.theme_styles.as_ref().map(|styles| &styles.address),
                ..page
            };
            if let Err(error) = self.render(template, context) {
                let fault = fault_of(&error, files, 0);
                if !faults.contains(&fault) {
                    faults.push(fault);
                }
            }
        }
    }

    pub(super) fn render(
        &self,
        template: &str,
        context: Value,
    ) -> Result<String, minijinja::Error> {
        self.templates.get_template(template)?.render(context)
    }
}

fn environment() -> Environment<'static> {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    // Also what a failure shows is decided here: places and reasons, not values.
    templates.set_debug(false);
    templates
}

#[expect(
    clippy::expect_used,
    reason = "part of the program; a test makes every page"
)]
fn add_built_in(templates: &mut Environment<'static>, name: &'static str, source: &'static str) {
    templates
        .add_template(name, source)
        .expect("the product's own template can be read");
    templates
        .add_template_owned(format!("{BUILT_IN}{name}"), source)
        .expect("the product's own template can be read");
}

fn short_name(file: &SourceFile) -> &str {
    file.path()
        .strip_prefix(FOLDER)
        .and_then(|path| path.strip_prefix('/'))
        .unwrap_or_default()
}

/// What an error of a template means to its author. `files[i]` is the file `first + i` of the diagnostics.
fn fault_of(error: &minijinja::Error, files: &[SourceFile], first: usize) -> Diagnostic {
    // The innermost error is where it happened; those around it only tell the way there.
    let mut innermost = error;
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        if let Some(source) = source.downcast_ref::<minijinja::Error>()
            && source.name().is_some()
        {
            innermost = source;
        }
        next = source.source();
    }
    let place = innermost.name().and_then(|name| {
        let position = files.iter().position(|file| short_name(file) == name)?;
        let line = innermost.line().unwrap_or(1);
        let range = innermost
            .range()
            .unwrap_or_else(|| line_range(files[position].text(), line));
        Some(Span::new(first + position, range))
    });
    let reason = innermost
        .detail()
        .map_or_else(|| innermost.kind().to_string(), str::to_owned);
    let message = match (place, innermost.name()) {
        (None, Some(name)) => format!("the page `{name}` cannot be made: {reason}"),
        _ => format!("the page cannot be made: {reason}"),
    };
    Diagnostic::error(Code::InvalidPage, place, message)
}

fn line_range(text: &str, line: usize) -> std::ops::Range<usize> {
    let start = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum::<usize>();
    let length = text[start..].lines().next().map_or(0, str::len);
    start..start + length
}

/// Finds what makes a browser drop the rest of a style sheet: something that is opened and never closed.
fn check_styles(file: &SourceFile, position: usize, faults: &mut Vec<Diagnostic>) {
    let mut fault = |range: std::ops::Range<usize>, message: &str| {
        let span = Span::new(position, range);
        faults.push(Diagnostic::error(Code::InvalidPage, span, message));
    };
    let text = file.text();
    let bytes = text.as_bytes();
    let mut open = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'*') => match text[at + 2..].find("*/") {
                Some(length) => at += 2 + length + 1,
                None => return fault(at..at + 2, "this comment is never closed"),
            },
            quote @ (b'"' | b'\'') => {
                let start = at;
                at += 1;
                while bytes.get(at).is_some_and(|byte| *byte != quote) {
                    if bytes[at] == b'\n' {
                        break;
                    }
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                if bytes.get(at) != Some(&quote) {
                    return fault(start..start + 1, "this text is never closed");
                }
            }
            b'{' => open.push(at),
            b'}' if open.pop().is_none() => {
                return fault(at..at + 1, "there is no `{` for this `}`");
            }
            _ => {}
        }
        at += 1;
    }
    if let Some(at) = open.pop() {
        fault(at..at + 1, "this `{` is never closed");
    }
}

fn styles(path: &str, text: &str) -> Styles {
    let mark = BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(text.as_bytes())[..9]);
    Styles {
        bytes: Bytes::copy_from_slice(text.as_bytes()),
        etag: format!("\"{mark}\""),
        address: format!("{path}?{mark}"),
    }
}

/// Name and text of each file of the folder, if there is one.
fn read(folder: &Path, faults: &mut Vec<Diagnostic>) -> Vec<(String, String)> {
    let mut unreadable = |name: &str, reason: &dyn std::fmt::Display| {
        let message = format!("`{FOLDER}{name}` cannot be read: {reason}");
        faults.push(Diagnostic::error(Code::Unreadable, None, message));
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            unreadable("", &error);
            return Vec::new();
        }
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    if names.len() > FILES {
        unreadable("", &format!("it has more than {FILES} files"));
        names.truncate(FILES);
    }
    let mut sources = Vec::new();
    for name in names {
        let path = folder.join(&name);
        let text = fs::metadata(&path).and_then(|metadata| {
            if metadata.len() > FILE_BYTES {
                let message = format!("it has more than {FILE_BYTES} bytes");
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
            }
            fs::read_to_string(&path)
        });
        match text {
            Ok(text) => sources.push((name, text)),
            Err(error) => unreadable(&format!("/{name}"), &error),
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(FOLDER)).unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(FOLDER).join(name), text).unwrap();
        }
        match Theme::load(folder.path()) {
            Ok(_) => "good".to_owned(),
            Err(faults) => faults.to_string(),
        }
    }

    #[test]
    fn the_pages_of_the_product_can_be_made() {
        let mut faults = Vec::new();
        Theme::from_files(&[], &mut faults);
        assert_eq!(faults, []);
        let folder = tempfile::tempdir().unwrap();
        assert!(Theme::load(folder.path()).is_ok(), "no folder, no faults");
        assert_eq!(check(&[("pages.css", include_str!("pages.css"))]), "good");
    }

    #[test]
    fn every_template_is_tried() {
        let tried: Vec<&str> = samples::all().iter().map(|(name, _)| *name).collect();
        for (name, _) in TEMPLATES {
            let is_piece = matches!(*name, "layout.html" | "parts.html");
            assert!(is_piece || tried.contains(name), "{name} is not tried");
        }
    }

    #[test]
    fn an_application_changes_a_block() {
        let layout = "{% extends 'stoa/layout.html' %}\n{% block footer %}<footer>Imprint</footer>{% endblock %}\n";
        let file = SourceFile::new("pages/layout.html".to_owned(), layout.to_owned());
        let mut faults = Vec::new();
        let theme = Theme::from_files(&[file], &mut faults);
        assert_eq!(faults, []);
        for (template, page) in samples::all() {
            let context = minijinja::context! {
                text => texts::value(&theme.texts),
                styles => "/-/pages.css",
                theme_styles => Option::<&str>::None,
                ..page
            };
            let html = theme.render(template, context).unwrap();
            assert!(
                html.contains("<footer>Imprint</footer>"),
                "{template}: {html}"
            );
            assert!(html.contains("<main"), "{template}");
        }
    }

    #[test]
    fn faults_are_shown_in_their_place() {
        insta::assert_snapshot!(
            check(&[(
                "layout.html",
                "{% extends 'stoa/layout.html' %}\n{% block footer %}{{ imprint }}{% endblock %}\n"
            )]),
            @r#"
            error[invalid-page]: the page cannot be made: undefined value
             --> pages/layout.html:2:22
              |
            2 | {% block footer %}{{ imprint }}{% endblock %}
              |                      ^^^^^^^

            1 error
            "#
        );
        insta::assert_snapshot!(check(&[("sign-in.html", "<p>\n{% if x %}\n")]), @r#"
            error[invalid-page]: the page cannot be made: unexpected end of input, expected end of block
             --> pages/sign-in.html:2:9
              |
            2 | {% if x %}
              |         ^^

            1 error
            "#);
        insta::assert_snapshot!(
            check(&[("texts.toml", "sign_inn = 'Anmelden'\nname = 1\npassword = \n")]),
            @r#"
            error[unknown-key]: the pages have no text `sign_inn`
             --> pages/texts.toml:1:1
              |
            1 | sign_inn = 'Anmelden'
              | ^^^^^^^^
              |
              = help: did you mean `sign_in`?

            error[wrong-type]: `name` must be a text
             --> pages/texts.toml:2:8
              |
            2 | name = 1
              |        ^

            error[syntax]: not TOML: string values must be quoted, expected literal string
             --> pages/texts.toml:3:12
              |
            3 | password = 
              |            ^

            3 errors
            "#
        );
        insta::assert_snapshot!(check(&[("pages.css", "a { color: red; }\nb { color: 'blue'\n")]), @r#"
            error[invalid-page]: this `{` is never closed
             --> pages/pages.css:2:3
              |
            2 | b { color: 'blue'
              |   ^

            1 error
            "#);
        insta::assert_snapshot!(check(&[("signin.html", "x"), ("logo.svg", "x")]), @r#"
            error[invalid-page]: there is no page `logo.svg`
             --> pages/logo.svg:1:1
              |
            1 | x
              | ^
              |
              = help: pieces for several pages have names that begin with `_`

            error[invalid-page]: there is no page `signin.html`
             --> pages/signin.html:1:1
              |
            1 | x
              | ^
              |
              = help: did you mean `sign-in.html`?

            2 errors
            "#);
    }

    #[test]
    fn texts_are_replaced() {
        let source = "sign_in = 'Anmelden'\nlanguage = 'de'\n";
        let file = SourceFile::new("pages/texts.toml".to_owned(), source.to_owned());
        let mut faults = Vec::new();
        let theme = Theme::from_files(&[file], &mut faults);
        assert_eq!(theme.texts["sign_in"], "Anmelden");
        assert_eq!(theme.texts["language"], "de");
        assert_eq!(theme.texts["password"], "Password");
    }
}
