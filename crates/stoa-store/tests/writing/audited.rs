//! Changes of rows that are recorded.

use stoa_model::access::{Actor, JudgedChange, Permitted};
use stoa_model::change::{Action, Expected};
use stoa_model::value::Value;

use crate::database::{Database, Text, change, id, key, on_both, text};

async fn write(database: &Database, actions: Vec<Action>) -> Result<(), stoa_store::StoreError> {
    let judged = JudgedChange {
        change: change(actions),
        judgements: Vec::new(),
        actor: Some(Actor {
            name: "n".repeat(300),
            id: Some(uuid::Uuid::from_u128(7)),
            address: Some("192.0.2.1".to_owned()),
            request: None,
        }),
    };
    let outcome = database
        .store
        .write::<Text>(&database.model, Permitted::by_system(judged), None);
    outcome.await.map(|_| ())
}

/// What was recorded since the last look, without instants. The trail only grows.
async fn trail(database: &Database, seen: &mut usize) -> String {
    let all = database
        .rows(
            "SystemAudit",
            &["Kind", "Entity", "Key", "Before", "After"],
            None,
        )
        .await;
    let all = all.trim_start_matches('[').trim_end_matches(']');
    let new = all[*seen..].trim_start();
    *seen = all.len();
    format!("[{}]", without_instants(new).replace(") (", ")\n("))
}

/// Instants as `…`.
fn without_instants(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(place) = rest.find("At\":\"") {
        let (before, after) = rest.split_at(place + 5);
        out.push_str(before);
        out.push('…');
        rest = &after[after.find('"').unwrap()..];
    }
    out + rest
}

#[tokio::test]
async fn what_changes_is_recorded() {
    let found = std::sync::Mutex::new(Vec::new());
    let keep = &found;
    on_both(|database| async move {
        let mut texts = Vec::new();
        let mut seen = 0;
        database.customer(1, "c").await;
        let account = [
            ("id", id(1)),
            ("Name", text("a\"b")),
            ("Balance", Value::Decimal("1.50".parse().unwrap())),
            ("Data", Value::Json("{\"x\":[1]}".to_owned())),
            ("Raw", Value::Binary(vec![255, 1])),
        ];
        let owner = [("Owner", Some(key(1)))];
        let entry = |number| {
            database.insert(
                "Entry",
                &[("id", id(number)), ("Text", text("e"))],
                &[("Account", Some(key(1)))],
            )
        };
        write(
            &database,
            vec![
                database.insert("Account", &account, &owner),
                entry(2),
                entry(3),
            ],
        )
        .await
        .unwrap();
        texts.push(trail(&database, &mut seen).await);
        // Before and after; one that is refused leaves nothing.
        let update = |name: &str| {
            let clear = [("Owner", None)];
            database.update(
                "Account",
                key(1),
                Expected::Any,
                &[("Name", text(name))],
                &clear,
            )
        };
        write(&database, vec![update("d")]).await.unwrap();
        let taken = database.insert("Account", &[("id", id(1)), ("Name", text("x"))], &[]);
        assert!(write(&database, vec![update("f"), taken]).await.is_err());
        texts.push(trail(&database, &mut seen).await);
        let retain = Action::Retain {
            entity: database.entity("Account"),
            from: key(1),
            navigation: database.navigation("Account", "Entries"),
            keep: vec![vec![id(2)]],
        };
        let special = database.insert(
            "Savings",
            &[("id", id(4)), ("Name", text("s")), ("Term", Value::Date(0))],
            &[],
        );
        let link = database.link("Account", 4, "Entries", 2);
        write(&database, vec![retain, special, link]).await.unwrap();
        texts.push(trail(&database, &mut seen).await);
        let upsert = |number| {
            database.upsert(
                "Account",
                number,
                &[("id", id(number)), ("Name", text("n"))],
                &[("Name", text("m"))],
            )
        };
        write(
            &database,
            vec![upsert(4), upsert(5), database.delete("Account", key(1))],
        )
        .await
        .unwrap();
        texts.push(trail(&database, &mut seen).await);
        keep.lock().unwrap().push(texts.join("\n\n"));
    })
    .await;
    let found = found.into_inner().unwrap();
    assert_eq!(found[0], found[1]);
    insta::assert_snapshot!(found[0], @r#"
    [(v1 create Account 00000000-0000-0000-0000-000000000001 - {"id":"00000000-0000-0000-0000-000000000001","Name":"a\"b","Balance":1.50,"Data":{"x":[1]},"Raw":"_wE","createdAt":"…","changedAt":"…","Owner":"00000000-0000-0000-0000-000000000001"})
    (v1 create Entry 00000000-0000-0000-0000-000000000002 - {"id":"00000000-0000-0000-0000-000000000002","Text":"e","createdAt":"…","changedAt":"…","Account":"00000000-0000-0000-0000-000000000001"})
    (v1 create Entry 00000000-0000-0000-0000-000000000003 - {"id":"00000000-0000-0000-0000-000000000003","Text":"e","createdAt":"…","changedAt":"…","Account":"00000000-0000-0000-0000-000000000001"})]

    [(v1 update Account 00000000-0000-0000-0000-000000000001 {"id":"00000000-0000-0000-0000-000000000001","Name":"a\"b","Balance":1.50,"Data":{"x":[1]},"Raw":"_wE","createdAt":"…","changedAt":"…","Owner":"00000000-0000-0000-0000-000000000001"} {"id":"00000000-0000-0000-0000-000000000001","Name":"d","Balance":1.50,"Data":{"x":[1]},"Raw":"_wE","createdAt":"…","changedAt":"…","Owner":null})]

    [(v1 delete Entry 00000000-0000-0000-0000-000000000003 {"id":"00000000-0000-0000-0000-000000000003","Text":"e","createdAt":"…","changedAt":"…","Account":"00000000-0000-0000-0000-000000000001"} -)
    (v1 create Savings 00000000-0000-0000-0000-000000000004 - {"id":"00000000-0000-0000-0000-000000000004","Name":"s","Balance":null,"Data":null,"Raw":null,"createdAt":"…","changedAt":"…","Term":"1970-01-01","Owner":null})
    (v1 update Entry 00000000-0000-0000-0000-000000000002 {"id":"00000000-0000-0000-0000-000000000002","Text":"e","createdAt":"…","changedAt":"…","Account":"00000000-0000-0000-0000-000000000001"} {"id":"00000000-0000-0000-0000-000000000002","Text":"e","createdAt":"…","changedAt":"…","Account":"00000000-0000-0000-0000-000000000004"})]

    [(v1 update Savings 00000000-0000-0000-0000-000000000004 {"id":"00000000-0000-0000-0000-000000000004","Name":"s","Balance":null,"Data":null,"Raw":null,"createdAt":"…","changedAt":"…","Term":"1970-01-01","Owner":null} {"id":"00000000-0000-0000-0000-000000000004","Name":"m","Balance":null,"Data":null,"Raw":null,"createdAt":"…","changedAt":"…","Term":"1970-01-01","Owner":null})
    (v1 create Account 00000000-0000-0000-0000-000000000005 - {"id":"00000000-0000-0000-0000-000000000005","Name":"n","Balance":null,"Data":null,"Raw":null,"createdAt":"…","changedAt":"…","Owner":null})
    (v1 delete Account 00000000-0000-0000-0000-000000000001 {"id":"00000000-0000-0000-0000-000000000001","Name":"d","Balance":1.50,"Data":{"x":[1]},"Raw":"_wE","createdAt":"…","changedAt":"…","Owner":null} -)]
    "#);
}

#[tokio::test]
async fn the_actor_is_named() {
    on_both(|database| async move {
        write(
            &database,
            vec![database.insert("Account", &[("id", id(1)), ("Name", text("x"))], &[])],
        )
        .await
        .unwrap();
        let found = database
            .rows(
                "SystemAudit",
                &["Actor", "ActorId", "Address", "Request"],
                None,
            )
            .await;
        assert_eq!(found, format!("[(v1 {} #7 192.0.2.1 -)]", "n".repeat(200)));
    })
    .await;
}
