//! Databases with an owner and a runtime user, on a server of their own: roles belong to the whole server.

use stoa_model::model::Model;
use stoa_store::{Config, DatabaseUrl, PostgresUrl, Store};
use stoa_testing::postgres::{Cluster, Durability, connect};

use crate::{Initialised, Options, SchemaError, WantedPassword, WantedRole, initialise};

const MODEL: &str = r#"
[entity.Task]
audit = true
[entity.Task.attributes]
Number = { type = "AutoNumber" }
Title = { type = "String", length = 40 }
[entity.Task.associations]
Friends = { to = "Task", many_to_many = true, inverse = "FriendOf" }
"#;

const OWNER: &str = "shop \"owner\"";
const RUNTIME: &str = "shop's runtime";

fn model(text: &str) -> Model {
    Model::from_text("shop", text).unwrap()
}

fn role(name: &str, password: &str) -> WantedRole {
    WantedRole {
        name: name.to_owned(),
        password: WantedPassword::IfNew(password.to_owned()),
    }
}

struct Server {
    cluster: Cluster,
}

impl Server {
    async fn start() -> Self {
        Self {
            cluster: Cluster::start(Durability::None).await.unwrap(),
        }
    }

    /// Passwords are asked of everybody but `postgres`.
    async fn ask_for_passwords(&self) {
        let client = connect(&self.cluster.url()).await.unwrap();
        let row = client.query_one("SHOW hba_file", &[]).await.unwrap();
        let file: &str = row.get(0);
        let lines = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256";
        client
            .batch_execute(&format!(
                "COPY (SELECT unnest(string_to_array('{lines}', E'\\n'))) TO '{file}' WITH (FORMAT csv, QUOTE '~'); SELECT pg_reload_conf()"
            ))
            .await
            .unwrap();
    }

    fn url(&self, user: &str, database: &str) -> Box<PostgresUrl> {
        let text = format!(
            "postgres://{user}@127.0.0.1:{}/{database}",
            self.cluster.port()
        );
        match text.parse().unwrap() {
            DatabaseUrl::Postgres(url) => url,
            DatabaseUrl::Sqlite(_) => panic!("PostgreSQL"),
        }
    }

    fn text(&self, user: &str, password: &str) -> String {
        self.url("postgres", "shop").text_for(user, Some(password))
    }

    fn database(&self, user: &str) -> DatabaseUrl {
        self.text(user, "x").parse().unwrap()
    }

    /// As superuser in the database.
    async fn inside(&self) -> stoa_store::tokio_postgres::Client {
        let url = self.url("postgres", "shop").text_for("postgres", None);
        connect(&url).await.unwrap()
    }

    async fn initialise(&self, administrator: &str) -> Result<Initialised, SchemaError> {
        initialise(
            &self.url(administrator, "shop"),
            &role(OWNER, "owner's pass word"),
            &role(RUNTIME, "runtime: p@ss/word"),
            None,
        )
        .await
    }

    async fn apply(&self, user: &str, text: &str) -> Result<crate::Applied, SchemaError> {
        crate::apply(&self.database(user), &model(text), Options::default()).await
    }

    async fn excess(&self, user: &str) -> Vec<String> {
        let store = Store::open(&self.database(user), Config::default())
            .await
            .unwrap();
        let excess = crate::excess(&store).await.unwrap();
        store.close();
        excess
    }
}

/// What must not be possible: statement and error.
async fn assert_refused(client: &stoa_store::tokio_postgres::Client, statements: &[&str]) {
    for statement in statements {
        let error = client.batch_execute(statement).await.expect_err(statement);
        let code = error.code().unwrap().code().to_owned();
        assert!(code == "42501", "{statement}: {error:?}");
    }
}

/// What a server does, in SQL.
const SERVING: &[&str] = &[
    "SELECT digest FROM _stoa_ledger",
    "INSERT INTO task (id, title, _version, _created_at, _changed_at) VALUES (gen_random_uuid(), 'a', 1, now(), now())",
    "UPDATE task SET title = 'b'",
    "INSERT INTO task_friends SELECT id, id FROM task",
    "DELETE FROM task_friends",
    "DELETE FROM task",
    "INSERT INTO _stoa_audit (id, at, kind, _version, _created_at, _changed_at) VALUES (gen_random_uuid(), now(), 'test', 1, now(), now())",
    "SELECT kind FROM _stoa_audit",
    "INSERT INTO _stoa_user (id, name, active, _version, _created_at, _changed_at) VALUES (gen_random_uuid(), 'ann', true, 1, now(), now())",
    "DELETE FROM _stoa_user",
    "LISTEN x; NOTIFY x",
];

const FORBIDDEN: &[&str] = &[
    "ALTER TABLE task ADD COLUMN x integer",
    "ALTER TABLE task OWNER TO current_user",
    "DROP TABLE task",
    "TRUNCATE task",
    "CREATE TABLE other (x integer)",
    "CREATE TEMPORARY TABLE other (x integer)",
    "CREATE SCHEMA other",
    "CREATE VIEW other AS SELECT 1",
    "CREATE FUNCTION other() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE INDEX other ON task (title)",
    "CREATE TRIGGER other BEFORE UPDATE ON task FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "UPDATE _stoa_audit SET kind = 'other'",
    "DELETE FROM _stoa_audit",
    "TRUNCATE _stoa_audit",
    "ALTER TABLE _stoa_audit DISABLE TRIGGER ALL",
    "INSERT INTO _stoa_ledger (stoa, application, digest, structure, steps) VALUES ('', '', '', '', '')",
    "UPDATE _stoa_ledger SET digest = ''",
    "DELETE FROM _stoa_ledger",
    "CREATE ROLE other",
    "CREATE DATABASE other",
    "SET ROLE postgres",
    "SET ROLE \"shop \"\"owner\"\"\"",
    "COPY (SELECT 1) TO PROGRAM 'cat'",
    "SELECT pg_read_file('postgresql.conf')",
    "ALTER SYSTEM SET fsync = off",
    "SELECT rolpassword FROM pg_authid",
];

#[tokio::test]
async fn the_runtime_reads_and_writes_rows_and_nothing_else() {
    let server = Server::start().await;
    let done = server.initialise("postgres").await.unwrap();
    assert!(done.owner_password_set && done.runtime_password_set);
    assert_eq!(done.excess, Vec::<String>::new());
    insta::assert_snapshot!(done.done.join("\n"), @r#"
    made the role shop "owner", which owns the tables
    made the role shop's runtime, which reads and writes rows
    made the database shop
    only who is named may connect to shop
    shop's runtime may connect to shop
    shop's runtime may use the schema public
    shop's runtime gets DELETE, INSERT, SELECT, UPDATE on future tables of shop "owner"
    shop's runtime gets USAGE on future sequences of shop "owner"
    "#);
    server.ask_for_passwords().await;

    // The passwords are those that were given, and the server never saw them in clear.
    let owner = server.text(OWNER, "owner's pass word");
    let runtime = server.text(RUNTIME, "runtime: p@ss/word");
    assert!(connect(&server.text(RUNTIME, "wrong")).await.is_err());
    let applied = crate::apply(&owner.parse().unwrap(), &model(MODEL), Options::default())
        .await
        .unwrap();
    assert!(applied.created);

    let client = connect(&runtime).await.unwrap();
    for statement in SERVING {
        client
            .batch_execute(statement)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }
    assert_refused(&client, FORBIDDEN).await;
    // Nothing is to do, and nothing is needed for that.
    let again = crate::apply(&runtime.parse().unwrap(), &model(MODEL), Options::default())
        .await
        .unwrap();
    assert!(again.steps.is_empty());
    let store = Store::open(&runtime.parse().unwrap(), Config::default())
        .await
        .unwrap();
    assert!(!store.awaits_data().await.unwrap());
    assert_eq!(crate::excess(&store).await.unwrap(), Vec::<String>::new());

    // What is to do it cannot, and says so; then the owner does it, with rights for new tables.
    let later = format!(
        "{MODEL}\n[entity.Note]\n[entity.Note.attributes]\nText = {{ type = \"String\" }}\nNumber = {{ type = \"AutoNumber\" }}"
    );
    let error = crate::apply(
        &runtime.parse().unwrap(),
        &model(&later),
        Options::default(),
    )
    .await
    .unwrap_err();
    assert!(
        matches!(error, SchemaError::PermissionDenied { .. }),
        "{error}"
    );
    crate::apply(&owner.parse().unwrap(), &model(&later), Options::default())
        .await
        .unwrap();
    client
        .batch_execute("INSERT INTO note (id, text, _version, _created_at, _changed_at) VALUES (gen_random_uuid(), 'a', 1, now(), now()); UPDATE note SET text = 'b'; DELETE FROM note")
        .await
        .unwrap();
    assert_refused(&client, FORBIDDEN).await;

    // A second time changes nothing; rights that were lost or gained meanwhile are put right.
    let again = initialise(
        &server.url("postgres", "shop"),
        &role(OWNER, "other"),
        &role(RUNTIME, "other"),
        None,
    )
    .await
    .unwrap();
    assert_eq!(again.done, Vec::<String>::new());
    assert!(!again.owner_password_set && !again.runtime_password_set);
    let administrator = server.inside().await;
    administrator
        .batch_execute(&format!(
            "GRANT DELETE ON _stoa_audit TO \"{RUNTIME}\"; REVOKE INSERT ON task FROM \"{RUNTIME}\"; GRANT UPDATE ON _stoa_ledger TO \"{RUNTIME}\""
        ))
        .await
        .unwrap();
    assert_eq!(
        crate::excess(&store).await.unwrap(),
        ["may change the audit trail"]
    );
    let repaired = crate::repair_privileges(&owner.parse().unwrap())
        .await
        .unwrap();
    insta::assert_snapshot!(repaired.join("\n"), @r"
    shop's runtime loses DELETE on table _stoa_audit
    shop's runtime loses UPDATE on table _stoa_ledger
    shop's runtime gets INSERT on table task
    ");
    assert_eq!(
        crate::repair_privileges(&owner.parse().unwrap())
            .await
            .unwrap(),
        Vec::<String>::new()
    );
    assert_refused(&client, FORBIDDEN).await;

    // New passwords when asked for.
    let renewed = initialise(
        &server.url("postgres", "shop"),
        &role(OWNER, "other"),
        &WantedRole {
            name: RUNTIME.to_owned(),
            password: WantedPassword::Given("a new password".to_owned()),
        },
        None,
    )
    .await
    .unwrap();
    assert!(!renewed.owner_password_set && renewed.runtime_password_set);
    assert!(connect(&runtime).await.is_err());
    connect(&server.text(RUNTIME, "a new password"))
        .await
        .unwrap();
    // Nobody else gets in.
    administrator
        .batch_execute("CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
        .await
        .unwrap();
    let error = connect(&server.text("stranger", "stranger"))
        .await
        .unwrap_err();
    assert!(
        format!("{error:?}").contains("permission denied for database"),
        "{error:?}"
    );
    // Who may become the owner by a statement is as mighty as who inherits that.
    administrator
        .batch_execute(
            "ALTER ROLE \"shop's runtime\" NOINHERIT; GRANT \"shop \"\"owner\"\"\" TO \"shop's runtime\"",
        )
        .await
        .unwrap();
    let excess = server.initialise("postgres").await.unwrap().excess;
    assert_eq!(excess, ["owns tables and may change or drop them"]);
}

#[tokio::test]
async fn a_database_in_use_is_taken_over_and_its_user_becomes_the_runtime() {
    let server = Server::start().await;
    let administrator = connect(&server.cluster.url()).await.unwrap();
    administrator
        .batch_execute(&format!("CREATE ROLE \"{RUNTIME}\" LOGIN"))
        .await
        .unwrap();
    administrator
        .batch_execute(&format!("CREATE DATABASE shop OWNER \"{RUNTIME}\""))
        .await
        .unwrap();
    server.apply(RUNTIME, MODEL).await.unwrap();
    assert_eq!(
        server.excess(RUNTIME).await,
        [
            "owns tables and may change or drop them",
            "may make tables",
            "may make schemas",
            "may change the audit trail"
        ]
    );
    assert_eq!(server.excess("postgres").await, ["is a superuser"]);
    let done = server.initialise("postgres").await.unwrap();
    assert!(done.owner_password_set && !done.runtime_password_set);
    assert_eq!(done.excess, Vec::<String>::new(), "{:?}", done.done);
    assert!(
        done.done
            .iter()
            .any(|line| line.contains("the table task belongs to"))
    );
    assert_eq!(server.excess(RUNTIME).await, Vec::<String>::new());
    let client = connect(&server.text(RUNTIME, "x")).await.unwrap();
    for statement in SERVING {
        client
            .batch_execute(statement)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }
    assert_refused(&client, FORBIDDEN).await;
    // A superuser who changes the structure leaves it the owner's.
    let later =
        format!("{MODEL}\n[entity.Note]\n[entity.Note.attributes]\nText = {{ type = \"String\" }}");
    server.apply("postgres", &later).await.unwrap();
    client.batch_execute("SELECT text FROM note").await.unwrap();
    assert_refused(&client, FORBIDDEN).await;
    assert_eq!(
        server.initialise("postgres").await.unwrap().done,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn no_superuser_is_needed_and_a_first_change_by_one_does_no_harm() {
    let server = Server::start().await;
    let administrator = connect(&server.cluster.url()).await.unwrap();
    administrator
        .batch_execute(
            "CREATE ROLE maker LOGIN CREATEROLE CREATEDB; CREATE ROLE weak LOGIN; CREATE ROLE mighty LOGIN CREATEDB",
        )
        .await
        .unwrap();
    let error = server.initialise("weak").await.unwrap_err();
    insta::assert_snapshot!(error, @r#"there is no role shop "owner", and weak may not make one: use the address of a superuser or of a role with CREATEROLE and CREATEDB"#);
    let refused = async |owner: &str, runtime: &str| {
        initialise(
            &server.url("postgres", "shop"),
            &role(owner, "x"),
            &role(runtime, "y"),
            None,
        )
        .await
        .unwrap_err()
        .to_string()
    };
    insta::assert_snapshot!(refused("same", "same").await, @"the owner and the runtime role must be two: what serves requests must not change the structure");
    insta::assert_snapshot!(refused("pg_x", "y").await, @"`pg_x` cannot be the name of the owner: PostgreSQL keeps names that start with pg_ for itself");
    insta::assert_snapshot!(refused("mighty", "y").await, @"the role mighty exists and may do more than it should (superuser, CREATEROLE, CREATEDB, REPLICATION or BYPASSRLS): choose another name, or take that from it");
    insta::assert_snapshot!(refused("", "y").await, @"the name of the owner must have 1 to 63 bytes");

    let done = server.initialise("maker").await.unwrap();
    assert_eq!(done.excess, Vec::<String>::new(), "{:?}", done.done);
    assert_eq!(
        server.initialise("maker").await.unwrap().done,
        Vec::<String>::new()
    );
    // It does not keep the owner's rights.
    let maker = connect(&server.url("maker", "postgres").text_for("maker", None))
        .await
        .unwrap();
    let keeps: bool = maker
        .query_one("SELECT pg_has_role($1::text::name, 'USAGE')", &[&OWNER])
        .await
        .unwrap()
        .get(0);
    assert!(!keeps);
    // The first change of structure, by a superuser by mistake: the tables are the owner's all the same.
    assert!(server.apply("postgres", MODEL).await.unwrap().created);
    let client = connect(&server.text(RUNTIME, "x")).await.unwrap();
    for statement in SERVING {
        client
            .batch_execute(statement)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }
    assert_refused(&client, FORBIDDEN).await;
}

#[tokio::test]
async fn tables_of_others_that_the_model_uses_can_be_used() {
    let server = Server::start().await;
    let administrator = connect(&server.cluster.url()).await.unwrap();
    administrator
        .batch_execute("CREATE DATABASE shop")
        .await
        .unwrap();
    let inside = server.inside().await;
    inside
        .batch_execute("CREATE TABLE secret (x integer)")
        .await
        .unwrap();
    let external = model(
        "[entity.Order]\ntable = \"orders\"\nexternal = true\nkey = [\"Number\"]\n[entity.Order.attributes]\nNumber = { type = \"Integer\", column = \"order_id\" }",
    );
    let make = async || {
        initialise(
            &server.url("postgres", "shop"),
            &role(OWNER, "x"),
            &role(RUNTIME, "y"),
            Some(&external),
        )
        .await
        .unwrap()
    };
    assert_eq!(make().await.missing, ["orders"]);
    inside
        .batch_execute("CREATE TABLE orders (order_id integer PRIMARY KEY)")
        .await
        .unwrap();
    assert_eq!(
        make().await.done,
        ["shop's runtime may read and write rows of orders, a table of others"]
    );
    assert_eq!(make().await.done, Vec::<String>::new());
    let client = connect(&server.text(RUNTIME, "x")).await.unwrap();
    client
        .batch_execute(
            "INSERT INTO orders VALUES (1); UPDATE orders SET order_id = 2; DELETE FROM orders",
        )
        .await
        .unwrap();
    assert_refused(&client, &["SELECT x FROM secret", "DROP TABLE orders"]).await;
    crate::apply(&server.database(OWNER), &external, Options::default())
        .await
        .unwrap();
}
