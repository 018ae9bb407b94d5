//! From a folder, or from texts, to a valid application or its faults.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::draft::{self, Drafts};
use super::keys;
use super::names::{NameOf, check_identifier};
use super::{
    Application, Demonstration, DemonstrationUser, Limits, Loaded, Manifest, Sessions, Web,
    resolve, system,
};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, SourceFile, Span};
use crate::document::{self, At, Faults, Form, Section, shape};
use crate::model::Model;

/// File with the application's own settings.
const MANIFEST_FILE: &str = "app.toml";
/// Folder with the model.
const MODEL_FOLDER: &str = "model";
/// Most bytes of one file.
const FILE_BYTES: u64 = 8 * 1024 * 1024;
/// Most files in `model/`.
const FILES: usize = 10_000;

/// Reads and judges an application's folder: `app.toml` and `model/*.toml`.
///
/// # Errors
/// All faults of all files.
pub fn load(folder: &Path) -> Result<Loaded, Diagnostics> {
    let mut faults = Vec::new();
    let mut sources = Vec::new();
    let mut manifest_faults = 0;
    if folder.is_dir() {
        read_file(
            &folder.join(MANIFEST_FILE),
            MANIFEST_FILE,
            &mut sources,
            &mut faults,
        );
        manifest_faults = faults.len();
        read_model_folder(&folder.join(MODEL_FOLDER), &mut sources, &mut faults);
    } else {
        faults.push(
            Diagnostic::error(
                Code::Unreadable,
                None,
                format!("`{}` is not a folder", folder.display()),
            )
            .help("name the application's folder, the one with `app.toml`"),
        );
    }
    let is_model_partial = faults.len() > manifest_faults;
    load_texts(
        folder,
        sources,
        Unread {
            list: faults,
            is_model_partial,
        },
    )
}

/// Judges an application whose files are given as relative path and text. Does no I/O.
///
/// # Errors
/// All faults of all files.
pub fn load_from_sources(
    folder: &Path,
    sources: Vec<(String, String)>,
) -> Result<Loaded, Diagnostics> {
    let mut faults = Vec::new();
    let mut is_model_partial = false;
    if !sources.iter().any(|(path, _)| path == MANIFEST_FILE) {
        faults.push(missing_manifest());
    }
    for (path, text) in &sources {
        if text.len() as u64 > FILE_BYTES {
            is_model_partial |= path != MANIFEST_FILE;
            faults.push(too_large(path));
        }
    }
    load_texts(
        folder,
        sources,
        Unread {
            list: faults,
            is_model_partial,
        },
    )
}

impl Model {
    /// A model from the text of one file, for tests and tools.
    ///
    /// # Errors
    /// All faults.
    pub fn from_text(name: &str, text: &str) -> Result<Self, Diagnostics> {
        let manifest = format!("name = {}", toml::Value::String(name.to_owned()));
        let sources = vec![
            (MANIFEST_FILE.to_owned(), manifest),
            ("model/model.toml".to_owned(), text.to_owned()),
        ];
        load_from_sources(Path::new(""), sources).map(|loaded| loaded.application.model)
    }
}

fn missing_manifest() -> Diagnostic {
    Diagnostic::error(
        Code::Unreadable,
        None,
        format!("`{MANIFEST_FILE}` is missing"),
    )
    .help("it holds at least the application's name: `name = \"shop\"`")
}

fn too_large(path: &str) -> Diagnostic {
    Diagnostic::error(Code::FileTooLarge, None, format!("`{path}` is too large")).help(format!(
        "a file has at most {} MiB: split it",
        FILE_BYTES / 1024 / 1024
    ))
}

fn unreadable(path: &str, error: &io::Error) -> Diagnostic {
    Diagnostic::error(
        Code::Unreadable,
        None,
        format!("`{path}` cannot be read: {error}"),
    )
}

fn read_file(
    path: &Path,
    relative: &str,
    sources: &mut Vec<(String, String)>,
    faults: &mut Vec<Diagnostic>,
) {
    let size = fs::metadata(path).map(|metadata| metadata.len());
    let text = match size {
        Ok(size) if size > FILE_BYTES => return faults.push(too_large(relative)),
        Ok(_) => fs::read(path),
        Err(error) => Err(error),
    };
    match text.map(String::from_utf8) {
        Ok(Ok(text)) => sources.push((relative.to_owned(), text)),
        Ok(Err(error)) => {
            let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count()
                + 1;
            faults.push(
                Diagnostic::error(
                    Code::Unreadable,
                    None,
                    format!("`{relative}` is not UTF-8: line {line}"),
                )
                .help("save the file as UTF-8"),
            );
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && relative == MANIFEST_FILE => {
            faults.push(missing_manifest())
        }
        Err(error) => faults.push(unreadable(relative, &error)),
    }
}

fn read_model_folder(
    folder: &Path,
    sources: &mut Vec<(String, String)>,
    faults: &mut Vec<Diagnostic>,
) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => return faults.push(unreadable(MODEL_FOLDER, &error)),
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(".toml") && !name.starts_with('.'))
        .collect();
    names.sort();
    if names.len() > FILES {
        faults.push(Diagnostic::error(
            Code::TooMany,
            None,
            format!("`{MODEL_FOLDER}` has more than {FILES} files"),
        ));
        names.truncate(FILES);
    }
    for name in names {
        read_file(
            &folder.join(&name),
            &format!("{MODEL_FOLDER}/{name}"),
            sources,
            faults,
        );
    }
}

/// What could not be read.
struct Unread {
    list: Vec<Diagnostic>,
    is_model_partial: bool,
}

fn load_texts(
    folder: &Path,
    sources: Vec<(String, String)>,
    unreadable: Unread,
) -> Result<Loaded, Diagnostics> {
    let files: Arc<[SourceFile]> = sources
        .into_iter()
        .map(|(path, text)| SourceFile::new(path, text))
        .chain([system::source()])
        .collect();
    let system_file = files.len() - 1;
    let mut faults = Faults::default();
    if unreadable.is_model_partial {
        faults.set_partial();
    }
    if !unreadable.list.is_empty() {
        faults.push_unread(unreadable.list);
    }
    let mut manifest = None;
    let mut anonymous = false;
    let mut drafts = Drafts::default();
    for (index, file) in files[..system_file]
        .iter()
        .enumerate()
        .filter(|(_, file)| file.text().len() as u64 <= FILE_BYTES)
    {
        let (table, errors) = DeTable::parse_recoverable(file.text());
        report_syntax(&errors, index, file, &mut faults);
        let header = Span::new(index, 0..0);
        if file.path() == MANIFEST_FILE {
            shape::check_table(
                table.get_ref(),
                &keys::APPLICATION,
                index,
                header,
                &mut faults,
            );
            manifest = Some(read_manifest(table.get_ref(), index, &mut faults));
            anonymous = lets_anonymous_in(table.get_ref());
        } else {
            shape::check_table(table.get_ref(), &keys::MODEL, index, header, &mut faults);
            draft::read(table.get_ref(), index, &mut drafts);
        }
    }
    let manifest = manifest.flatten();
    let name = manifest
        .as_ref()
        .map_or("", |manifest| manifest.name.as_str());
    let is_empty = drafts.entities.is_empty();
    system::add(&files[system_file], system_file, &mut drafts, &mut faults);
    let about = resolve::About {
        name,
        anonymous,
        files: &files,
        system_file,
    };
    let model = resolve::resolve(&about, &drafts, &mut faults);
    faults.drop_echoes_in(system_file);
    if is_empty && faults.is_empty() {
        faults.push(
            Diagnostic::warning(Code::EmptyModel, None, "the model has no entities")
                .help("put `[entity.Name.attributes]` into a file of the folder `model`"),
        );
    }
    let diagnostics = Diagnostics::new(files, faults.into_list());
    match manifest {
        Some(manifest) if !diagnostics.has_errors() => Ok(Loaded {
            application: Application {
                folder: folder.to_owned(),
                manifest,
                model,
            },
            warnings: diagnostics,
        }),
        _ => Err(diagnostics),
    }
}

fn report_syntax(errors: &[toml::de::Error], index: usize, file: &SourceFile, faults: &mut Faults) {
    if errors.is_empty() {
        return;
    }
    let diagnostics = document::syntax(errors, index, file);
    if diagnostics
        .iter()
        .all(|diagnostic| diagnostic.code == Code::DuplicateName)
    {
        // The rest of the file was understood as it stands.
        diagnostics
            .into_iter()
            .for_each(|diagnostic| faults.push(diagnostic));
    } else {
        faults.push_broken(index, diagnostics);
        if file.path() != MANIFEST_FILE {
            faults.set_partial();
        }
    }
}

fn read_manifest(table: &DeTable<'_>, file: usize, faults: &mut Faults) -> Option<Manifest> {
    let text = |key: &str| {
        table
            .get(key)
            .and_then(|value| value.get_ref().as_str())
            .map(str::to_owned)
    };
    let value = table.get("name")?;
    let name = At {
        value: value.get_ref().as_str()?.to_owned(),
        span: Span::new(file, value.span()),
    };
    check_identifier(&name, NameOf::Application, faults);
    let limits = match table.get("limits").map(toml::Spanned::get_ref) {
        Some(DeValue::Table(table)) => read_limits(table),
        _ => Limits::default(),
    };
    Some(Manifest {
        label: text("label").unwrap_or_else(|| name.value.clone()),
        name: name.value,
        description: text("description"),
        version: text("version"),
        limits,
        sessions: read_sessions(table),
        demonstration: read_demonstration(table),
        web: read_web(table, file, faults),
    })
}

fn read_web(table: &DeTable<'_>, file: usize, faults: &mut Faults) -> Web {
    let policy = table
        .get("web")
        .and_then(|web| web.get_ref().get("content_security_policy"));
    let Some((policy, text)) = policy.and_then(|value| Some((value, value.get_ref().as_str()?)))
    else {
        return Web::default();
    };
    let is_header = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    if text.trim().is_empty() || !text.bytes().all(is_header) {
        let message = "a content security policy is one line of ASCII text";
        let span = Span::new(file, policy.span());
        faults.push(Diagnostic::error(Code::InvalidValue, span, message).help(
            "write directives with a semicolon between them: `default-src 'self'; img-src 'self' data:`",
        ));
        return Web::default();
    }
    Web {
        content_security_policy: Some(text.to_owned()),
    }
}

/// Out of range or of a wrong type: reported already, the default stands in.
fn read_sessions(table: &DeTable<'_>) -> Sessions {
    let default = Sessions::default();
    let Some(DeValue::Table(table)) = table.get("sessions").map(toml::Spanned::get_ref) else {
        return default;
    };
    let seconds = |key: &str, unit: u64, default: Duration| {
        number(table, key).map_or(default, |number: u64| Duration::from_secs(number * unit))
    };
    Sessions {
        idle: seconds("idle_minutes", 60, default.idle),
        lifetime: seconds("lifetime_hours", 3600, default.lifetime),
    }
}

fn read_demonstration(table: &DeTable<'_>) -> Option<Demonstration> {
    let DeValue::Table(table) = table.get("demonstration")?.get_ref() else {
        return None;
    };
    let text =
        |table: &DeTable<'_>, key: &str| Some(table.get(key)?.get_ref().as_str()?.to_owned());
    let users = match table.get("users")?.get_ref() {
        DeValue::Array(users) => users
            .iter()
            .filter_map(|user| match user.get_ref() {
                DeValue::Table(user) => Some(DemonstrationUser {
                    name: text(user, "name")?,
                    role: text(user, "role")?,
                }),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    Some(Demonstration {
        password: text(table, "password")?,
        users,
    })
}

fn number<T: TryFrom<i64>>(table: &DeTable<'_>, key: &str) -> Option<T> {
    let number = table.get(key)?.get_ref().as_integer()?;
    let number = i64::from_str_radix(number.as_str(), number.radix()).ok()?;
    T::try_from(number).ok()
}

/// `[access] anonymous = true`.
fn lets_anonymous_in(table: &DeTable<'_>) -> bool {
    table
        .get("access")
        .and_then(|access| access.get_ref().get("anonymous"))
        .and_then(|anonymous| anonymous.get_ref().as_bool())
        .unwrap_or(false)
}

/// Out of range or of a wrong type: reported already, the default stands in.
fn read_limits(table: &DeTable<'_>) -> Limits {
    fn or<T: TryFrom<i64>>(table: &DeTable<'_>, key: &str, default: T) -> T {
        debug_assert!(
            limits_section()
                .and_then(|section| section.find(key))
                .is_some(),
            "{key}"
        );
        number(table, key).unwrap_or(default)
    }
    let default = Limits::default();
    Limits {
        url_bytes: or(table, "url_bytes", default.url_bytes),
        body_bytes: or(table, "body_bytes", default.body_bytes),
        response_bytes: or(table, "response_bytes", default.response_bytes),
        expand_depth: or(table, "expand_depth", default.expand_depth),
        page_rows: or(table, "page_rows", default.page_rows),
        filter_nodes: or(table, "filter_nodes", default.filter_nodes),
        write_operations: or(table, "write_operations", default.write_operations),
        statement_timeout: Duration::from_secs(or(
            table,
            "statement_seconds",
            default.statement_timeout.as_secs(),
        )),
    }
}

fn limits_section() -> Option<&'static Section> {
    match keys::APPLICATION.find("limits")?.form {
        Form::Table(section) => Some(section),
        _ => None,
    }
}
