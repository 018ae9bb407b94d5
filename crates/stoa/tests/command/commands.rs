//! Commands that end by themselves.

use std::fs;

use super::{code, command, err, new_application, out, stoa, text};

#[test]
fn every_command_has_help_with_an_example() {
    for arguments in [
        &["--help"][..],
        &["new", "--help"],
        &["check", "--help"],
        &["run", "--help"],
        &["db", "--help"],
        &["db", "plan", "--help"],
        &["db", "apply", "--help"],
        &["schema", "--help"],
        &["user", "--help"],
        &["user", "add", "--help"],
        &["user", "list", "--help"],
        &["user", "disable", "--help"],
        &["user", "enable", "--help"],
        &["user", "set-password", "--help"],
        &["user", "link", "--help"],
        &["user", "grant", "--help"],
        &["user", "revoke", "--help"],
        &["user", "sessions", "--help"],
        &["user", "sign-out", "--help"],
        &["role", "list", "--help"],
        &["token", "create", "--help"],
        &["token", "list", "--help"],
        &["token", "revoke", "--help"],
        &["access", "explain", "--help"],
        &["audit", "--help"],
        &["admin", "list", "--help"],
        &["admin", "add", "--help"],
        &["admin", "link", "--help"],
        &["admin", "disable", "--help"],
        &["admin", "enable", "--help"],
        &["site", "check", "--help"],
        &["site", "extract", "--help"],
        &["trust", "init", "--help"],
        &["trust", "issue", "--help"],
        &["trust", "show", "--help"],
    ] {
        let output = stoa(arguments);
        assert_eq!(code(&output), 0, "{arguments:?}");
        assert!(
            out(&output).contains("Example:\n"),
            "{arguments:?}: {}",
            out(&output)
        );
    }
    assert!(out(&stoa(&["run", "--help"])).contains("Exit codes:"));
    assert!(out(&stoa(&["--version"])).starts_with("stoa 0."));
}

#[test]
fn a_wrong_command_line_is_64() {
    for arguments in [
        &["rnu"][..],
        &["run"],
        &["run", "app", "--lissen", "80"],
        &["check", "app", "--format", "xml"],
        &["run", "app", "--listen", "nowhere"],
        &["run", "app", "--listen", "0.0.0.0:80"],
        &["run", "app", "--listen", "0.0.0.0:80", "--demo-users"],
        &["run", "app", "--host", "https://shop.example"],
        &["run", "app", "--database", "mysql://a:secret@b/c"],
        &["new", "my shop"],
    ] {
        let output = stoa(arguments);
        assert_eq!(code(&output), 64, "{arguments:?}");
        assert_eq!(out(&output), "", "{arguments:?}");
        assert!(
            err(&output).starts_with("error: "),
            "{arguments:?}: {}",
            err(&output)
        );
        assert!(
            !err(&output).contains("secret"),
            "{arguments:?}: {}",
            err(&output)
        );
    }
    assert!(err(&stoa(&["rnu"])).contains("'rnu'"));
}

#[test]
fn flags_win_over_the_environment() {
    let run = |flags: &[&str]| {
        let mut arguments = vec!["run", "/nonexistent"];
        arguments.extend(flags);
        command(&arguments)
            .env("STOA_LISTEN", "from-environment")
            .output()
            .unwrap()
    };
    assert!(err(&run(&[])).contains("`from-environment` is no address"));
    assert!(err(&run(&["--listen", "from-flag"])).contains("`from-flag` is no address"));
}

#[test]
fn new_makes_a_valid_application_once() {
    let (_parent, folder) = new_application();
    let output = stoa(&["check", text(&folder)]);
    assert_eq!((code(&output), err(&output).as_str()), (0, ""));
    assert!(
        out(&output).starts_with("MyTasks: valid (1 entities, 1 collections"),
        "{}",
        out(&output)
    );

    let before = fs::read_to_string(folder.join("app.toml")).unwrap();
    assert!(!before.contains("{{"), "{before}");
    // Each file of the model refers to a schema that is there, for editors.
    for file in ["app.toml", "model/tasks.toml"] {
        let file = folder.join(file);
        let text = fs::read_to_string(&file).unwrap();
        let schema = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("#:schema "))
            .unwrap_or_else(|| panic!("{text}"));
        assert!(file.parent().unwrap().join(schema).exists(), "{schema}");
    }
    let output = stoa(&["new", text(&folder)]);
    assert_eq!(code(&output), 73);
    assert!(err(&output).contains("exists already"), "{}", err(&output));
    assert_eq!(fs::read_to_string(folder.join("app.toml")).unwrap(), before);
}

#[test]
fn check_shows_all_faults() {
    let (_parent, folder) = new_application();
    let model = folder.join("model/tasks.toml");
    let broken = fs::read_to_string(&model)
        .unwrap()
        .replace("\"Date\"", "\"Dat\"")
        .replace("\"Priority\",", "\"Prio\",");
    fs::write(&model, broken).unwrap();
    let output = stoa(&["check", text(&folder)]);
    assert_eq!((code(&output), out(&output).as_str()), (64, ""));
    let faults = err(&output);
    assert!(
        faults.contains("model/tasks.toml:") && faults.contains("Dat") && faults.contains("Prio"),
        "{faults}"
    );

    let output = stoa(&["check", text(&folder), "--format", "json"]);
    assert_eq!(code(&output), 64);
    let json: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
    let list = json.as_array().unwrap();
    assert_eq!(list.len(), 2, "{json:#}");
    for fault in list {
        assert_eq!(fault["severity"], "error", "{json:#}");
        assert!(
            fault["message"].is_string() && fault["code"].is_string(),
            "{json:#}"
        );
    }
    // What cannot be checked cannot be run.
    let output = stoa(&["run", text(&folder), "--listen", "127.0.0.1:0"]);
    assert_eq!(code(&output), 64);
    assert!(!folder.join(".stoa").exists());
}

#[test]
fn check_judges_sample_data_and_content_too() {
    let (_parent, folder) = new_application();
    fs::create_dir(folder.join("data")).unwrap();
    fs::write(folder.join("data/Tasks.csv"), "Title,Nothing\na,b\n").unwrap();
    let output = stoa(&["check", text(&folder)]);
    assert_eq!(code(&output), 64);
    assert!(
        err(&output).contains("error[sample-data]: ") && err(&output).contains("Nothing"),
        "{}",
        err(&output)
    );
    let output = stoa(&["check", text(&folder), "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(json[0]["code"], "sample-data", "{json:#}");
}

#[test]
fn check_of_nothing() {
    let output = stoa(&["check", "/nonexistent"]);
    assert_eq!(code(&output), 64);
    assert!(
        err(&output).contains("`/nonexistent` is not a folder"),
        "{}",
        err(&output)
    );
}

#[test]
fn schemas_are_json() {
    for of in ["app", "model"] {
        let output = stoa(&["schema", of]);
        assert_eq!(code(&output), 0);
        let json: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
        assert_eq!(
            json["$schema"],
            "https://json-schema.org/draft/2020-12/schema"
        );
    }
}

#[test]
fn database_plan_and_apply() {
    let (_parent, folder) = new_application();
    let output = stoa(&["db", "plan", text(&folder)]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert!(
        out(&output).contains("[safe]") && out(&output).contains("CREATE TABLE"),
        "{}",
        out(&output)
    );
    // Tables that the server keeps for itself are a line together.
    assert!(
        out(&output).contains("tables of the server's own")
            && !out(&output).contains("_stoa_session"),
        "{}",
        out(&output)
    );
    assert!(
        !folder.join(".stoa/data.sqlite").exists(),
        "a plan changes nothing"
    );
    let json: serde_json::Value = serde_json::from_str(&out(&stoa(&[
        "db",
        "plan",
        text(&folder),
        "--format",
        "json",
    ])))
    .unwrap();
    assert_eq!(json["steps"][0]["class"], "safe", "{json:#}");

    let output = stoa(&["db", "apply", text(&folder)]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert!(out(&output).contains("done: "), "{}", out(&output));
    for command in ["plan", "apply"] {
        assert!(out(&stoa(&["db", command, text(&folder)])).starts_with("Nothing to do"));
    }
}

#[test]
fn an_unreachable_database_is_69() {
    let (_parent, folder) = new_application();
    for command in [&["db", "plan"][..], &["db", "apply"], &["run"]] {
        let mut arguments = command.to_vec();
        let database = "postgres://me:secret@127.0.0.1:1/shop?sslmode=disable&connect_timeout=1";
        arguments.extend([text(&folder), "--database", database]);
        if command == ["run"] {
            arguments.extend(["--listen", "127.0.0.1:0", "--admin", "off"]);
        }
        let output = stoa(&arguments);
        assert_eq!(code(&output), 69, "{command:?}: {}", err(&output));
        assert!(
            err(&output).contains("127.0.0.1:1"),
            "{command:?}: {}",
            err(&output)
        );
        assert!(
            !err(&output).contains("secret"),
            "{command:?}: {}",
            err(&output)
        );
    }
}
