//! Changes of rows that are recorded.

use stoa_model::access::{Actor, JudgedChange, Permitted};
use stoa_model::change::{Action, Expected, Target};
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

/// Runs steps on both databases: what each leaves in the trail, a paragraph for each.
async fn recorded<F: Future<Output = Vec<String>>>(steps: impl Fn(Database) -> F) -> String {
    let found = std::sync::Mutex::new(Vec::new());
    let (keep, steps) = (&found, &steps);
    on_both(|database| async move {
        let texts = steps(database).await;
        keep.lock().unwrap().push(texts.join("\n\n"));
    })
    .await;
    let found = found.into_inner().unwrap();
    assert_eq!(found[0], found[1]);
    found[0].clone()
}

/// Inserts a row of an entity that has no attributes to give.
fn bare(database: &Database, entity: &str, number: u32, to: &[(&str, u32)]) -> Action {
    let to: Vec<_> = to
        .iter()
        .map(|(name, number)| (*name, Some(key(*number))))
        .collect();
    database.insert(entity, &[("id", id(number))], &to)
}

fn topic(name: &str) -> Target {
    Target::Key(vec![Value::Integer(1), text(name)])
}

fn topics(database: &Database, number: u32, name: &str) -> Action {
    Action::Link {
        entity: database.entity("Document"),
        from: key(number),
        navigation: database.navigation("Document", "Topics"),
        to: topic(name),
    }
}

#[tokio::test]
async fn what_a_delete_takes_along_is_recorded() {
    let found = recorded(|database| async move {
        let mut texts = Vec::new();
        let mut seen = 0;
        let new_topic = database.insert(
            "Topic",
            &[("Area", Value::Integer(1)), ("Name", text("x"))],
            &[],
        );
        database.customer(9, "reader").await;
        write(
            &database,
            vec![
                bare(&database, "Shelf", 1, &[]),
                bare(&database, "Shelf", 2, &[]),
                new_topic,
                bare(&database, "Document", 11, &[("Shelf", 1)]),
                bare(&database, "Paper", 12, &[("Shelf", 1), ("Replaces", 11)]),
                bare(&database, "Document", 13, &[("Shelf", 2), ("Replaces", 12)]),
                bare(&database, "Page", 21, &[("Document", 12)]),
                bare(&database, "Page", 22, &[("Document", 13)]),
                bare(&database, "Mark", 31, &[("Page", 21)]),
                bare(&database, "Mark", 32, &[("Page", 22)]),
                topics(&database, 12, "x"),
                database.link("Document", 11, "Readers", 9),
                database.link("Document", 13, "Readers", 9),
            ],
        )
        .await
        .unwrap();
        trail(&database, &mut seen).await;
        // Not audited itself; what goes with it is. Refused as a whole, it leaves nothing.
        let duplicate = bare(&database, "Shelf", 2, &[]);
        let delete = || database.delete("Shelf", key(1));
        assert!(write(&database, vec![delete(), duplicate]).await.is_err());
        assert_eq!(trail(&database, &mut seen).await, "[]");
        write(&database, vec![delete()]).await.unwrap();
        texts.push(trail(&database, &mut seen).await);
        assert_eq!(database.rows("Mark", &["id"], None).await, "[(v1 #32)]");
        // Pages are not recorded, and have marks.
        let retain = Action::Retain {
            entity: database.entity("Document"),
            from: key(13),
            navigation: database.navigation("Document", "Pages"),
            keep: Vec::new(),
        };
        write(&database, vec![retain]).await.unwrap();
        texts.push(trail(&database, &mut seen).await);
        // The other end of a pair goes.
        write(&database, vec![database.delete("Customer", key(9))])
            .await
            .unwrap();
        texts.push(trail(&database, &mut seen).await);
        texts
    })
    .await;
    insta::assert_snapshot!(found, @r#"
    [(v1 delete Document 00000000-0000-0000-0000-00000000000b {"id":"00000000-0000-0000-0000-00000000000b","Title":null,"createdAt":"…","changedAt":"…","Shelf":"00000000-0000-0000-0000-000000000001","Replaces":null} -)
    (v1 delete Paper 00000000-0000-0000-0000-00000000000c {"id":"00000000-0000-0000-0000-00000000000c","Title":null,"createdAt":"…","changedAt":"…","Journal":null,"Shelf":"00000000-0000-0000-0000-000000000001","Replaces":"00000000-0000-0000-0000-00000000000b"} -)
    (v1 update Document 00000000-0000-0000-0000-00000000000d {"id":"00000000-0000-0000-0000-00000000000d","Title":null,"createdAt":"…","changedAt":"…","Shelf":"00000000-0000-0000-0000-000000000002","Replaces":"00000000-0000-0000-0000-00000000000c"} {"id":"00000000-0000-0000-0000-00000000000d","Title":null,"createdAt":"…","changedAt":"…","Shelf":"00000000-0000-0000-0000-000000000002","Replaces":null})
    (v1 delete Mark 00000000-0000-0000-0000-00000000001f {"id":"00000000-0000-0000-0000-00000000001f","Colour":null,"createdAt":"…","changedAt":"…","Page":"00000000-0000-0000-0000-000000000015"} -)
    (v1 unlink Paper 00000000-0000-0000-0000-00000000000c {"Topics":[1,"x"]} -)
    (v1 unlink Topic Area=1,Name=x {"Document.Topics":"00000000-0000-0000-0000-00000000000c"} -)
    (v1 unlink Document 00000000-0000-0000-0000-00000000000b {"Readers":"00000000-0000-0000-0000-000000000009"} -)]

    [(v1 delete Mark 00000000-0000-0000-0000-000000000020 {"id":"00000000-0000-0000-0000-000000000020","Colour":null,"createdAt":"…","changedAt":"…","Page":"00000000-0000-0000-0000-000000000016"} -)]

    [(v1 unlink Document 00000000-0000-0000-0000-00000000000d {"Readers":"00000000-0000-0000-0000-000000000009"} -)]
    "#);
}

#[tokio::test]
async fn rows_that_refer_to_each_other_in_a_circle_are_recorded_once() {
    let found = recorded(|database| async move {
        let mut seen = 0;
        write(
            &database,
            vec![
                bare(&database, "Document", 11, &[]),
                bare(&database, "Document", 12, &[("Replaces", 11)]),
                database.link("Document", 12, "ReplacedBy", 11),
            ],
        )
        .await
        .unwrap();
        trail(&database, &mut seen).await;
        write(&database, vec![database.delete("Document", key(11))])
            .await
            .unwrap();
        vec![trail(&database, &mut seen).await]
    })
    .await;
    insta::assert_snapshot!(found, @r#"
    [(v1 delete Document 00000000-0000-0000-0000-00000000000b {"id":"00000000-0000-0000-0000-00000000000b","Title":null,"createdAt":"…","changedAt":"…","Shelf":null,"Replaces":"00000000-0000-0000-0000-00000000000c"} -)
    (v1 update Document 00000000-0000-0000-0000-00000000000c {"id":"00000000-0000-0000-0000-00000000000c","Title":null,"createdAt":"…","changedAt":"…","Shelf":null,"Replaces":"00000000-0000-0000-0000-00000000000b"} {"id":"00000000-0000-0000-0000-00000000000c","Title":null,"createdAt":"…","changedAt":"…","Shelf":null,"Replaces":null})]
    "#);
}

#[tokio::test]
async fn pairs_are_recorded_at_the_ends_that_are_audited() {
    let found = recorded(|database| async move {
        let mut texts = Vec::new();
        let mut seen = 0;
        let new_topic = |name| {
            database.insert(
                "Topic",
                &[("Area", Value::Integer(1)), ("Name", text(name))],
                &[],
            )
        };
        database.customer(8, "a").await;
        database.customer(9, "b").await;
        write(
            &database,
            vec![
                bare(&database, "Paper", 11, &[]),
                new_topic("x"),
                new_topic("y"),
            ],
        )
        .await
        .unwrap();
        trail(&database, &mut seen).await;
        // Customers are not audited; seen from their side it is the same pair.
        write(
            &database,
            vec![
                database.link("Document", 11, "Readers", 8),
                database.link("Customer", 9, "Documents", 11),
                topics(&database, 11, "x"),
                topics(&database, 11, "y"),
            ],
        )
        .await
        .unwrap();
        texts.push(trail(&database, &mut seen).await);
        // What is connected already, or was not, is no change; neither are pairs that nobody records.
        write(
            &database,
            vec![
                database.link("Document", 11, "Readers", 8),
                database.link("Customer", 8, "Friends", 9),
                database.unlink("Customer", 9, "Friends", Some(8)),
            ],
        )
        .await
        .unwrap();
        assert_eq!(trail(&database, &mut seen).await, "[]");
        write(
            &database,
            vec![
                database.unlink("Document", 11, "Readers", Some(9)),
                database.unlink("Document", 11, "Topics", None),
            ],
        )
        .await
        .unwrap();
        texts.push(trail(&database, &mut seen).await);
        texts
    })
    .await;
    insta::assert_snapshot!(found, @r#"
    [(v1 link Paper 00000000-0000-0000-0000-00000000000b - {"Readers":"00000000-0000-0000-0000-000000000008"})
    (v1 link Paper 00000000-0000-0000-0000-00000000000b - {"Readers":"00000000-0000-0000-0000-000000000009"})
    (v1 link Paper 00000000-0000-0000-0000-00000000000b - {"Topics":[1,"x"]})
    (v1 link Topic Area=1,Name=x - {"Document.Topics":"00000000-0000-0000-0000-00000000000b"})
    (v1 link Paper 00000000-0000-0000-0000-00000000000b - {"Topics":[1,"y"]})
    (v1 link Topic Area=1,Name=y - {"Document.Topics":"00000000-0000-0000-0000-00000000000b"})]

    [(v1 unlink Paper 00000000-0000-0000-0000-00000000000b {"Readers":"00000000-0000-0000-0000-000000000009"} -)
    (v1 unlink Paper 00000000-0000-0000-0000-00000000000b {"Topics":[1,"x"]} -)
    (v1 unlink Topic Area=1,Name=x {"Document.Topics":"00000000-0000-0000-0000-00000000000b"} -)
    (v1 unlink Paper 00000000-0000-0000-0000-00000000000b {"Topics":[1,"y"]} -)
    (v1 unlink Topic Area=1,Name=y {"Document.Topics":"00000000-0000-0000-0000-00000000000b"} -)]
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
