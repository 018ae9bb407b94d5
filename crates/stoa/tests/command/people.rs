//! Commands about users, roles, tokens, administrators and what they did.

use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value as Json;
use stoa_testing::process::Launch;

use super::{code, command, err, new_application, out, stoa, text};

const PASSWORD: &str = "roofed colonnade 57 columns";

/// `stoa new`, with a database.
fn ready() -> (tempfile::TempDir, std::path::PathBuf) {
    let (parent, folder) = new_application();
    let output = stoa(&["db", "apply", text(&folder)]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    (parent, folder)
}

fn with_input(arguments: &[&str], input: &str) -> Output {
    let mut child = command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

fn json(output: &Output) -> Json {
    assert_eq!(code(output), 0, "{}", err(output));
    serde_json::from_str(&out(output)).unwrap_or_else(|_| panic!("{}", out(output)))
}

fn add(folder: &Path, name: &str, more: &[&str]) -> Output {
    let mut arguments = vec!["user", "add", text(folder), name];
    arguments.extend(more);
    stoa(&arguments)
}

#[test]
fn without_a_database_nothing_is_made() {
    let (_parent, folder) = new_application();
    for arguments in [
        &["user", "list"][..],
        &["token", "list"],
        &["admin", "list"],
        &["audit"],
    ] {
        let mut all = arguments.to_vec();
        all.push(text(&folder));
        let output = stoa(&all);
        assert_eq!(code(&output), 64, "{arguments:?}: {}", err(&output));
        assert!(err(&output).contains("stoa db apply"), "{}", err(&output));
    }
    assert!(!folder.join(".stoa").exists());
}

#[test]
fn a_users_life() {
    let (_parent, folder) = ready();
    let app = text(&folder);
    // A password is never an argument, and is not invented.
    let output = add(&folder, "anna", &["--role", "Member"]);
    assert_eq!(code(&output), 64);
    assert!(
        err(&output).contains("--password-stdin"),
        "{}",
        err(&output)
    );
    assert_eq!(code(&add(&folder, "anna", &["--password", PASSWORD])), 64);

    let arguments = [
        "user",
        "add",
        app,
        "Anna",
        "--full-name",
        "Anna Berg",
        "--role",
        "Member",
        "--password-stdin",
        "--json",
    ];
    let user = json(&with_input(&arguments, &format!("{PASSWORD}\n")));
    assert_eq!(user["name"], "anna");
    assert_eq!(user["roles"], serde_json::json!(["Member"]));
    assert_eq!(user["hasPassword"], true);
    assert!(!user.to_string().contains(PASSWORD));

    // Faults and their codes.
    let taken = add(&folder, "ANNA", &["--no-password"]);
    assert_eq!((code(&taken), err(&taken).contains("taken")), (65, true));
    let role = add(&folder, "bob", &["--no-password", "--role", "Membr"]);
    assert_eq!(code(&role), 64);
    assert!(err(&role).contains("Member"), "{}", err(&role));
    let kind = add(&folder, "bob", &["--no-password", "--kind", "Task"]);
    assert_eq!(code(&kind), 64, "{}", err(&kind));
    assert_eq!(
        code(&add(&folder, "bob", &["--no-password", "--set", "Nothing"])),
        64
    );
    let weak = with_input(
        &["user", "add", app, "bob", "--password-stdin"],
        "password1",
    );
    assert_eq!(code(&weak), 65, "{}", err(&weak));
    let empty = with_input(&["user", "add", app, "bob", "--password-stdin"], "\n");
    assert_eq!(code(&empty), 64, "{}", err(&empty));
    let users = json(&stoa(&["user", "list", app, "--json"]));
    assert_eq!(users.as_array().unwrap().len(), 1, "{users}");

    // Each change, and that it is there.
    let link = add(
        &folder,
        "bob",
        &["--link", "--url", "https://tasks.example/"],
    );
    assert!(
        out(&link).contains("https://tasks.example/-/link/"),
        "{}",
        out(&link)
    );
    assert!(out(&stoa(&["user", "grant", app, "bob", "Member"])).contains("bob has Member"));
    assert!(out(&stoa(&["user", "revoke", app, "bob", "Member"])).contains("bob has no role"));
    assert_eq!(code(&stoa(&["user", "disable", app, "bob"])), 0);
    let disabled = json(&stoa(&["user", "list", app, "--disabled", "--json"]));
    assert_eq!(disabled[0]["name"], "bob");
    assert_eq!(code(&stoa(&["user", "enable", app, "bob"])), 0);
    assert_eq!(code(&stoa(&["user", "sign-out", app, "bob"])), 0);
    let sessions = json(&stoa(&["user", "sessions", app, "bob", "--json"]));
    assert_eq!(sessions, serde_json::json!([]));
    for arguments in [
        &["user", "grant", app, "nobody", "Member"][..],
        &["user", "disable", app, "nobody"],
        &["user", "link", app, "nobody"],
        &["user", "sessions", app, "nobody"],
        &["token", "create", app, "nobody", "x"],
    ] {
        let output = stoa(arguments);
        assert_eq!(code(&output), 65, "{arguments:?}: {}", err(&output));
    }
    let roles = json(&stoa(&["role", "list", app, "--json"]));
    assert_eq!(
        (&roles[0]["name"], &roles[0]["users"]),
        (&"Member".into(), &1.into())
    );

    // All of it is in the audit trail, by whom it was done.
    let trail = stoa(&["audit", app, "--json"]);
    let kinds: Vec<String> = out(&trail)
        .lines()
        .map(|line| {
            let entry: Json = serde_json::from_str(line).unwrap();
            assert!(
                entry["actor"].as_str().unwrap().starts_with("command line"),
                "{entry}"
            );
            entry["kind"].as_str().unwrap().to_owned()
        })
        .collect();
    for kind in [
        "user-added",
        "link-created",
        "role-granted",
        "role-revoked",
        "user-disabled",
        "user-enabled",
    ] {
        assert!(
            kinds.iter().any(|found| found == kind),
            "{kind} is not in {kinds:?}"
        );
    }
    let none = stoa(&["audit", app, "--since", "2099-01-01", "--json"]);
    assert_eq!((code(&none), out(&none).as_str()), (0, ""));
    assert_eq!(code(&stoa(&["audit", app, "--since", "soon"])), 64);
}

#[test]
fn tokens_and_administrators() {
    let (_parent, folder) = ready();
    let app = text(&folder);
    add(&folder, "anna", &["--no-password", "--role", "Member"]);
    let token = json(&stoa(&[
        "token",
        "create",
        app,
        "anna",
        "a script",
        "--expires",
        "7d",
        "--json",
    ]));
    assert_eq!(
        (&token["readOnly"], &token["roles"]),
        (&true.into(), &Json::Null)
    );
    let secret = token["secret"].as_str().unwrap();
    assert!(secret.starts_with("stoa_") && secret.len() > 43, "{secret}");
    let listed = stoa(&["token", "list", app, "--json"]);
    assert!(!out(&listed).contains(secret));
    let id = json(&listed)[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(code(&stoa(&["token", "revoke", app, &id])), 0);
    assert_eq!(code(&stoa(&["token", "revoke", app, &id])), 65);
    for (more, expected) in [
        (["--expires", "900d"], 64),
        (["--expires", "0d"], 64),
        (["--role", "Nothing"], 64),
    ] {
        let mut arguments = vec!["token", "create", app, "anna", "x"];
        arguments.extend(more);
        let output = stoa(&arguments);
        assert_eq!(code(&output), expected, "{more:?}: {}", err(&output));
    }

    assert_eq!(
        code(&stoa(&["admin", "link", app])),
        65,
        "there is none yet"
    );
    let added = stoa(&["admin", "add", app, "Kim"]);
    assert!(
        out(&added).starts_with("http://127.0.0.1:8080/-/link/"),
        "{}",
        out(&added)
    );
    assert_eq!(out(&added).lines().count(), 1);
    let administrators = json(&stoa(&["admin", "list", app, "--json"]));
    assert_eq!(administrators[0]["name"], "kim");
    let last = stoa(&["admin", "disable", app, "kim"]);
    assert_eq!(
        (code(&last), err(&last).contains("last administrator")),
        (65, true)
    );
}

#[test]
fn access_is_explained() {
    let (_parent, folder) = ready();
    let app = text(&folder);
    add(&folder, "anna", &["--no-password", "--role", "Member"]);
    add(&folder, "bob", &["--no-password"]);
    let explain = |more: &[&str]| {
        let mut arguments = vec!["access", "explain", app];
        arguments.extend(more);
        stoa(&arguments)
    };
    let yes = json(&explain(&["--user", "anna", "--entity", "Task", "--json"]));
    assert_eq!(yes["answer"], "yes", "{yes}");
    let depends = explain(&[
        "--user",
        "anna",
        "--entity",
        "Tasks",
        "--operation",
        "delete",
    ]);
    assert!(out(&depends).contains("Done"), "{}", out(&depends));
    for user in ["bob", "anonymous"] {
        let no = json(&explain(&["--user", user, "--entity", "Task", "--json"]));
        assert_eq!(no["answer"], "no", "{no}");
    }
    let hidden = json(&explain(&[
        "--user",
        "anna",
        "--entity",
        "SystemSession",
        "--json",
    ]));
    assert_eq!(hidden["answer"], "no", "{hidden}");
    let key = "018b89c8-ff08-7ed8-a5ae-e65417397166";
    let gone = explain(&["--user", "anna", "--entity", "Task", "--key", key]);
    assert!(out(&gone).contains("no such row"), "{}", out(&gone));
    assert_eq!(code(&explain(&["--user", "anna", "--entity", "Tusk"])), 64);
    assert_eq!(
        code(&explain(&[
            "--user", "anna", "--entity", "Task", "--key", "5"
        ])),
        64
    );
    assert_eq!(
        code(&explain(&["--user", "nobody", "--entity", "Task"])),
        65
    );
}

/// Users whose password everybody knows are possible in a database of their own only.
#[tokio::test]
async fn demonstration_is_kept_apart() {
    let (_parent, folder) = new_application();
    let run = |data: &Path, more: &[&str]| {
        let mut arguments = vec![
            "run",
            text(&folder),
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "off",
            "--data",
            text(data),
        ];
        arguments.extend(more);
        stoa(&arguments)
    };
    let data = folder.join("own");
    let output = run(&data, &["--demo-users"]);
    assert_eq!(code(&output), 64);
    assert!(err(&output).contains("[demonstration]"), "{}", err(&output));
    assert!(!data.join("data.sqlite").exists());

    let manifest = folder.join("app.toml");
    let before = std::fs::read_to_string(&manifest).unwrap();
    let declared = |role: &str| {
        format!(
            "{before}\n[demonstration]\npassword = \"{PASSWORD}\"\nusers = [{{ name = \"dana\", role = \"{role}\" }}]\n"
        )
    };
    std::fs::write(&manifest, declared("Nobody")).unwrap();
    assert_eq!(code(&stoa(&["check", text(&folder)])), 64);
    assert_eq!(code(&run(&data, &["--demo-users"])), 64);
    std::fs::write(&manifest, declared("Member")).unwrap();

    // A database of its own, and it stays one.
    let server = Launch::new(&folder)
        .data(&data)
        .argument("--demo-users")
        .start()
        .await
        .unwrap();
    let page = server
        .client()
        .unwrap()
        .get("/-/sign-in")
        .await
        .unwrap()
        .text();
    assert!(page.contains("dana") && page.contains(PASSWORD), "{page}");
    server.stop().await.unwrap();
    let refused = run(&data, &[]);
    assert_eq!(code(&refused), 64);
    assert!(err(&refused).contains("--demo-users"), "{}", err(&refused));
    let server = Launch::new(&folder)
        .data(&data)
        .argument("--demo-users")
        .start()
        .await
        .unwrap();
    server.stop().await.unwrap();

    // One that was made otherwise never becomes one, and says nothing of it.
    let other = folder.join("other");
    let server = Launch::new(&folder).data(&other).start().await.unwrap();
    let page = server
        .client()
        .unwrap()
        .get("/-/sign-in")
        .await
        .unwrap()
        .text();
    assert!(!page.contains("dana") && !page.contains(PASSWORD), "{page}");
    server.stop().await.unwrap();
    let refused = run(&other, &["--demo-users"]);
    assert_eq!(code(&refused), 64);
    assert!(
        err(&refused).contains("was not made for demonstration"),
        "{}",
        err(&refused)
    );
}

/// The first start makes an administrator; the link is for a person, not for a log.
#[tokio::test]
async fn the_first_administrator() {
    let (_parent, folder) = new_application();
    let data = folder.join("own");
    let server = Launch::new(&folder).data(&data).start().await.unwrap();
    let log = server.log();
    assert!(
        log.contains("stoa admin link") && !log.contains("/-/link/"),
        "{log}"
    );
    server.stop().await.unwrap();
    let again = Launch::new(&folder)
        .data(&data)
        .argument("--log-format=text")
        .start()
        .await
        .unwrap();
    assert!(!again.log().contains("administrator"), "{}", again.log());
    again.stop().await.unwrap();

    let other = folder.join("other");
    let server = Launch::new(&folder)
        .data(&other)
        .argument("--log-format=text")
        .start()
        .await
        .unwrap();
    // It is printed after what says that the server is ready.
    let printed = stoa_testing::eventually(
        "a link is printed",
        std::time::Duration::from_secs(10),
        async || {
            let log = server.log();
            let link = log.lines().find(|line| line.contains("/-/link/"))?;
            Some(link.to_owned())
        },
    );
    let link = printed
        .await
        .unwrap_or_else(|error| panic!("{error}: {}", server.log()));
    assert!(
        link.contains(&format!("http://{}/-/link/", server.address())),
        "{link}"
    );
    let path = &link[link.find("/-/").unwrap()..];
    assert_eq!(
        server
            .client()
            .unwrap()
            .get(path.trim())
            .await
            .unwrap()
            .status,
        200
    );
}
