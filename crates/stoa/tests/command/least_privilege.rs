//! A database with an owner and a user with few rights, made and used as the guide says.

use serde_json::{Value, json};
use stoa_testing::postgres::{Cluster, Durability};
use stoa_testing::process::{Launch, application};

use super::{code, command, err, out, stoa, text};

const MODEL: &str = r#"
[entity.Task]
[entity.Task.attributes]
Number = { type = "AutoNumber" }
Title = { type = "String", length = 40 }
"#;

/// An application with sample data.
fn tasks() -> tempfile::TempDir {
    let manifest = stoa_testing::open::manifest("name = \"tasks\"\n");
    application(&[
        ("app.toml", &manifest),
        ("model/tasks.toml", &stoa_testing::open::model(MODEL)),
        ("data/Task.csv", "Number,Title\n1,first\n2,second\n"),
    ])
    .unwrap()
}

/// Address of a new database for the server's superuser.
fn administration(cluster: &Cluster) -> String {
    format!("postgres://postgres@127.0.0.1:{}/tasks", cluster.port())
}

#[tokio::test]
async fn made_applied_and_served_with_few_rights() {
    let cluster = Cluster::start(Durability::None).await.unwrap();
    let folder = tasks();
    let app = text(folder.path());
    let superuser = administration(&cluster);

    let made = stoa(&["db", "init", "--database", &superuser, "--format", "json"]);
    assert_eq!(code(&made), 0, "{}", err(&made));
    assert_eq!(err(&made), "");
    let made: Value = serde_json::from_str(&out(&made)).unwrap();
    assert_eq!(made["runtime"]["excess"], json!([]));
    let owner = made["owner"]["url"].as_str().unwrap();
    let runtime = made["runtime"]["url"].as_str().unwrap();
    assert!(owner.starts_with("postgres://tasks_owner:"), "{owner}");
    assert!(
        runtime.starts_with("postgres://tasks_runtime:"),
        "{runtime}"
    );

    // The runtime user cannot make the structure, and the message says who can.
    let early = command(&["run", app, "--listen", "127.0.0.1:0", "--admin", "off"])
        .env("STOA_DATABASE", runtime)
        .output()
        .unwrap();
    assert_eq!(code(&early), 64, "{}", err(&early));
    assert!(err(&early).contains("stoa db apply"), "{}", err(&early));

    let applied = command(&["db", "apply", app])
        .env("STOA_DATABASE", owner)
        .output()
        .unwrap();
    assert_eq!(code(&applied), 0, "{}", err(&applied));
    assert!(
        out(&applied).contains("2 rows of sample data"),
        "{}",
        out(&applied)
    );
    let again = command(&["db", "apply", app])
        .env("STOA_DATABASE", owner)
        .output()
        .unwrap();
    assert_eq!(
        out(&again),
        "Nothing to do: the database is as the model needs it.\n"
    );

    let server = Launch::new(folder.path())
        .database(runtime)
        .start()
        .await
        .unwrap();
    let client = server.client().unwrap();
    let created = client
        .post("/odata/Tasks", &json!({ "Title": "third" }))
        .await
        .unwrap();
    assert_eq!(created.status, 201, "{}", created.text());
    let count = client.get("/odata/Tasks/$count").await.unwrap();
    assert_eq!(count.text(), "3");
    let (status, log) = server.stop().await.unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("the database user"), "{log}");
    assert!(!log.contains("ERROR") && !log.contains("WARN"), "{log}");

    // A newer application: the same user says what is to be done, and changes nothing.
    std::fs::write(
        folder.path().join("model/notes.toml"),
        stoa_testing::open::model(
            "[entity.Note]\n[entity.Note.attributes]\nText = { type = \"String\" }\n",
        ),
    )
    .unwrap();
    let late = command(&["run", app, "--listen", "127.0.0.1:0", "--admin", "off"])
        .env("STOA_DATABASE", runtime)
        .output()
        .unwrap();
    assert_eq!(code(&late), 64, "{}", err(&late));
    assert!(err(&late).contains("stoa db apply"), "{}", err(&late));

    // Whoever may do more is told so, once, in one line, and served.
    let server = Launch::new(folder.path())
        .database(&superuser)
        .start()
        .await
        .unwrap();
    let (_, log) = server.stop().await.unwrap();
    let warnings: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("the database user is a superuser"))
        .collect();
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(warnings[0].contains("stoa db init"), "{log}");
}

#[tokio::test]
async fn passwords_are_shown_once_and_not_if_they_were_given() {
    let cluster = Cluster::start(Durability::None).await.unwrap();
    let superuser = administration(&cluster);
    let init = |arguments: &[&str]| {
        let all = [&["db", "init", "--database", &superuser], arguments].concat();
        let output = command(&all)
            .env("STOA_RUNTIME_PASSWORD", "from the environment")
            .output()
            .unwrap();
        assert_eq!(code(&output), 0, "{}", err(&output));
        out(&output)
    };
    let first = init(&["--owner", "boss", "--runtime", "worker"]);
    let password = |text: &str| {
        let start = text.find("postgres://boss:").unwrap() + "postgres://boss:".len();
        text[start..].split('@').next().unwrap().to_owned()
    };
    let shown = password(&first);
    assert_eq!(shown.len(), 32, "{first}");
    assert!(first.contains("made the database tasks"), "{first}");
    assert!(
        first.contains("stoa db apply APP") && first.contains("stoa run APP"),
        "{first}"
    );
    assert!(first.contains("postgres://worker:PASSWORD@"), "{first}");
    assert!(
        !first.contains("environment@") && !first.contains("from%20the"),
        "{first}"
    );
    let second = init(&["--owner", "boss", "--runtime", "worker"]);
    assert_eq!(password(&second), "PASSWORD", "{second}");
    assert!(!second.contains("made the"), "{second}");
    let third = init(&["--owner", "boss", "--runtime", "worker", "--new-passwords"]);
    assert!(
        password(&third).len() == 32 && password(&third) != shown,
        "{third}"
    );
}

#[tokio::test]
async fn nobody_else_on_the_machine_can_read_the_data() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tasks();
    let made = folder.path().join("deep/data");
    // Somebody else has made this one, and lets others look into it.
    let given = folder.path().join("given");
    std::fs::create_dir(&given).unwrap();
    std::fs::set_permissions(&given, std::fs::Permissions::from_mode(0o755)).unwrap();
    let files = ["data.sqlite", "data.sqlite-wal", "data.sqlite-shm", "files"];
    for data in [&made, &given] {
        let server = Launch::new(folder.path()).data(data).start().await.unwrap();
        let own = (data == &made).then(|| made.clone());
        for path in files.map(|name| data.join(name)).into_iter().chain(own) {
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{} has {mode:o}", path.display());
        }
        server.stop().await.unwrap();
    }
}

#[test]
fn what_cannot_be_made_is_refused() {
    for (arguments, expected) in [
        (&["db", "init"][..], "--database (STOA_DATABASE) is needed"),
        (
            &["db", "init", "--database", "sqlite:x.db"],
            "an embedded database has no users",
        ),
        (
            &["db", "init", "--database", "postgres://me@localhost"],
            "names no database",
        ),
        (
            &["db", "init", "--database", "mysql://me:secret@localhost/x"],
            "unknown kind of database",
        ),
        (
            &[
                "db",
                "init",
                "--database",
                "postgres://me@localhost/x",
                "--owner-password-file",
                "/no/such/file",
            ],
            "/no/such/file",
        ),
    ] {
        let output = stoa(arguments);
        assert_eq!(code(&output), 64, "{arguments:?}: {}", err(&output));
        assert!(
            err(&output).contains(expected) && !err(&output).contains("secret"),
            "{arguments:?}: {}",
            err(&output)
        );
    }
    let short = command(&["db", "init", "--database", "postgres://me@localhost/x"])
        .env("STOA_OWNER_PASSWORD", "short")
        .output()
        .unwrap();
    assert_eq!(code(&short), 64);
    assert!(err(&short).contains("shorter than 12"), "{}", err(&short));
}
