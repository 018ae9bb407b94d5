//! `stoa new`: a small application, from files in the binary.

use std::fs;
use std::path::Path;

use stoa_model::application::schema;

use super::print;
use crate::Result;
use crate::command_line::New;
use crate::failure::{Exit, Failure};

/// Path and text; `{{Name}}` is the namespace, `{{Label}}` the name for people, `{{folder}}` the folder.
const FILES: [(&str, &str); 7] = [
    ("app.toml", include_str!("../template/app.toml")),
    ("README.md", include_str!("../template/README.md")),
    (
        "model/tasks.toml",
        include_str!("../template/model/tasks.toml"),
    ),
    ("web/index.html", include_str!("../template/web/index.html")),
    ("web/style.css", include_str!("../template/web/style.css")),
    ("web/tasks.js", include_str!("../template/web/tasks.js")),
    (".gitignore", ".stoa/\n"),
];

pub(crate) fn run(arguments: &New) -> Result<()> {
    let folder = &arguments.name;
    let label = folder
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let name = identifier(label).ok_or_else(|| {
        Failure::new(
            Exit::Configuration,
            format!("`{}` does not end in a name for an application", folder.display()),
        )
        .hint("use letters, digits, dashes and underscores, and begin with a letter: stoa new my-shop")
    })?;
    write(folder, &name, label).map_err(|error| {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            Failure::new(
                Exit::CannotCreate,
                format!("{} exists already", folder.display()),
            )
            .hint("choose another name; nothing was changed")
        } else {
            Failure::new(
                Exit::CannotCreate,
                format!("cannot make {}: {error}", folder.display()),
            )
        }
    })?;
    print(&format!(
        "{folder} is made. Run it:\n  stoa run {folder} --watch\nand in another terminal let yourself in:\n  \
         stoa user add {folder} {user} --role Member\nthen open http://localhost:8080, and change what you like.",
        folder = folder.display(),
        user = "you",
    ));
    Ok(())
}

fn write(folder: &Path, name: &str, label: &str) -> std::io::Result<()> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    // Fails if there is anything of that name.
    fs::create_dir(folder)?;
    let shown = folder.display().to_string();
    for (path, text) in FILES {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let text = text
            .replace("{{Name}}", name)
            .replace("{{Label}}", label)
            .replace("{{folder}}", &shown);
        fs::write(path, text)?;
    }
    // Editors complete and check with these; the files above refer to them.
    let schemas = folder.join("schema");
    fs::create_dir(&schemas)?;
    for (name, schema) in [
        ("app.schema.json", schema::application()),
        ("model.schema.json", schema::model()),
    ] {
        fs::write(schemas.join(name), format!("{schema:#}\n"))?;
    }
    Ok(())
}

/// `my-shop` → `MyShop`.
fn identifier(label: &str) -> Option<String> {
    let sane = label.len() <= 64
        && label.starts_with(|first: char| first.is_ascii_alphabetic())
        && label
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '_'));
    if !sane {
        return None;
    }
    let mut name = String::with_capacity(label.len());
    for word in label.split(['-', '_']) {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers() {
        assert_eq!(identifier("my-shop_2").as_deref(), Some("MyShop2"));
        assert_eq!(identifier("shop").as_deref(), Some("Shop"));
        for bad in ["", "2shop", "my shop", "caf\u{e9}", "..", "a.b"] {
            assert_eq!(identifier(bad), None, "{bad}");
        }
    }
}
