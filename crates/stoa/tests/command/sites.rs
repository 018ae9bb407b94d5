//! A site's file and the certificates of its links, by the commands; the examples are valid.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair};

use super::{code, err, out, stoa, text};

/// The examples of sites, beside the application that they serve.
fn examples() -> (tempfile::TempDir, Vec<PathBuf>) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let to = tempfile::tempdir().unwrap();
    copy(&from.join("sites"), &to.path().join("sites"));
    let application = to.path().join("wholesale");
    fs::create_dir(&application).unwrap();
    fs::copy(
        from.join("wholesale/app.toml"),
        application.join("app.toml"),
    )
    .unwrap();
    let mut files: Vec<PathBuf> = fs::read_dir(to.path().join("sites"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("stoa.toml"))
        .filter(|file| file.exists())
        .collect();
    files.sort();
    (to, files)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Makes a certificate for all host names wherever the file names one.
fn make_certificates(file: &Path) {
    let site: toml::Table = fs::read_to_string(file).unwrap().parse().unwrap();
    let environments = site["environment"].as_table().unwrap();
    let hosts: Vec<String> = environments
        .values()
        .flat_map(|environment| environment["hosts"].as_array().unwrap())
        .map(|host| host.as_str().unwrap().to_owned())
        .collect();
    let certificates = site["server"]
        .as_table()
        .unwrap()
        .values()
        .filter_map(|server| server.get("web")?.get("certificate")?.as_array());
    for certificate in certificates.flatten() {
        let path = |key: &str| {
            file.parent()
                .unwrap()
                .join(certificate[key].as_str().unwrap())
        };
        let key = KeyPair::generate().unwrap();
        let made = CertificateParams::new(hosts.clone())
            .unwrap()
            .self_signed(&key)
            .unwrap();
        fs::create_dir_all(path("chain").parent().unwrap()).unwrap();
        fs::write(path("chain"), made.pem()).unwrap();
        fs::write(path("key"), key.serialize_pem()).unwrap();
    }
}

fn servers(file: &Path) -> Vec<String> {
    let site: toml::Table = fs::read_to_string(file).unwrap().parse().unwrap();
    site["server"].as_table().unwrap().keys().cloned().collect()
}

/// Runs to success, without a word on stderr.
fn succeed(arguments: &[&str]) -> String {
    let output = stoa(arguments);
    assert_eq!(
        (code(&output), err(&output).as_str()),
        (0, ""),
        "{arguments:?}"
    );
    out(&output)
}

#[test]
fn every_example_of_a_site_is_valid_whole_and_for_each_server() {
    let (_folder, files) = examples();
    assert_eq!(files.len(), 6, "{files:?}");
    for file in &files {
        make_certificates(file);
        succeed(&["trust", "init", text(file)]);
        succeed(&["trust", "issue", text(file)]);
        let said = succeed(&["site", "check", text(file)]);
        assert!(said.contains(": valid ("), "{said}");
        for server in servers(file) {
            let own = file.with_file_name(format!("{server}.toml"));
            succeed(&[
                "site",
                "extract",
                text(file),
                "--server",
                &server,
                "--output",
                text(&own),
            ]);
            let mode = fs::metadata(&own).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            succeed(&["site", "check", text(&own), "--server", &server]);
            let of_server = fs::read_to_string(&own).unwrap();
            if server.starts_with("web") {
                for secret in ["database", "postgres", "application", "upstream"] {
                    assert!(
                        !of_server.contains(secret),
                        "{}: {of_server}",
                        own.display()
                    );
                }
            }
        }
    }
}

#[test]
fn the_life_of_trust() {
    let (_folder, files) = examples();
    let file = files
        .iter()
        .find(|file| file.to_str().unwrap().contains("5-balanced"))
        .unwrap();
    let folder = file.parent().unwrap();
    let output = stoa(&["trust", "issue", text(file)]);
    assert_eq!(code(&output), 64);
    assert!(
        err(&output).contains("hint: make the authority first: stoa trust init"),
        "{}",
        err(&output)
    );
    succeed(&["trust", "init", text(file)]);
    let output = stoa(&["trust", "init", text(file)]);
    assert_eq!(code(&output), 73);
    assert!(err(&output).contains("exists already"), "{}", err(&output));

    succeed(&["trust", "issue", text(file), "web1", "app1", "--days", "90"]);
    let shown = succeed(&["trust", "show", text(file)]);
    assert!(shown.contains("89 days left"), "{shown}");
    assert!(shown.contains("no certificate"), "{shown}");
    let json = succeed(&["trust", "show", text(file), "app1", "web2", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["server"], "app1");
    assert_eq!(json[0]["roles"], serde_json::json!(["app"]));
    assert_eq!(json[0]["environments"], serde_json::json!(["production"]));
    assert_eq!(json[0]["days_left"], 89);
    assert_eq!(json[1]["certificate"], false);

    let key = fs::read_to_string(folder.join("trust/web1.key")).unwrap();
    let secret = key.lines().nth(1).unwrap();
    let said = succeed(&["trust", "issue", text(file), "web1"]);
    assert!(
        !said.contains(secret) && !said.contains("PRIVATE KEY"),
        "{said}"
    );
    let mode = fs::metadata(folder.join("trust/web1.key")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);

    let output = stoa(&["trust", "show", text(file), "web9"]);
    assert_eq!(code(&output), 64);
    assert!(
        err(&output).contains("no server `web9`"),
        "{}",
        err(&output)
    );
}

#[test]
fn faults_of_a_site_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stoa.toml");
    fs::write(
        &file,
        "[site]\nname = \"a\"\nnaem = \"b\"\n[server]\n[environment]\n",
    )
    .unwrap();
    let output = stoa(&["site", "check", text(&file), "--format", "json"]);
    assert_eq!((code(&output), err(&output).as_str()), (64, ""));
    let json: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
    let unknown = json
        .as_array()
        .unwrap()
        .iter()
        .find(|fault| fault["code"] == "unknown-key")
        .unwrap();
    assert_eq!(
        (&unknown["line"], &unknown["column"]),
        (&3.into(), &1.into())
    );
    assert_eq!(unknown["help"], "did you mean `name`?");

    let output = stoa(&["schema", "site"]);
    let schema: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(schema["title"], "Stoa site (stoa.toml)");
}

#[test]
fn uploaded_files_are_for_all_app_servers() {
    let folder = tempfile::tempdir().unwrap();
    let application = folder.path().join("shop");
    fs::create_dir_all(application.join("model")).unwrap();
    fs::write(application.join("app.toml"), "name = \"Shop\"\n").unwrap();
    let model = |kind: &str| {
        let text = format!("[entity.Item.attributes]\nPhoto = {{ type = \"{kind}\" }}\n");
        fs::write(application.join("model/shop.toml"), text).unwrap();
    };
    let file = folder.path().join("stoa.toml");
    let site = |data: &str| {
        let text = format!(
            "[site]\nname = \"shop\"\n[server.web]\nroles = [\"web\"]\n[server.web.web]\nhttp = \"127.0.0.1:8080\"\n\
             link = \"127.0.0.1:7443\"\n[server.app1]\nroles = [\"app\"]\n[server.app2]\nroles = [\"app\"]\n\
             [environment.production]\nhosts = [\"shop.example\"]\napplication = \"shop\"\n\
             database = \"postgres://a@db/shop\"\n{data}"
        );
        fs::write(&file, text).unwrap();
    };
    let said = || err(&stoa(&["site", "check", text(&file)]));
    model("File");
    site("");
    succeed_with_warnings(&["trust", "init", text(&file)]);
    succeed_with_warnings(&["trust", "issue", text(&file)]);
    let warning = said();
    assert!(
        warning.contains("`production` (app1, app2) would keep uploaded files, such as Item/Photo"),
        "{warning}"
    );
    site("data = \"/srv/shop\"\n");
    assert!(!said().contains("uploaded files"), "{}", said());
    model("String");
    site("");
    assert!(!said().contains("uploaded files"), "{}", said());
}

fn succeed_with_warnings(arguments: &[&str]) {
    let output = stoa(arguments);
    assert_eq!(code(&output), 0, "{}", err(&output));
}

#[test]
fn flags_of_a_server_are_judged_before_anything_else() {
    let output = stoa(&[
        "serve",
        "--site",
        "none.toml",
        "--server",
        "web",
        "--connections",
        "0",
        "--drain-seconds",
        "100000",
    ]);
    assert_eq!(code(&output), 64);
    for flag in ["--connections", "--drain-seconds"] {
        assert!(err(&output).contains(flag), "{}", err(&output));
    }
}
