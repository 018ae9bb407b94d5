//! Each kind of operation.

use stoa_model::access::Permitted;
use stoa_model::change::{Action, Expected, Target};
use stoa_model::query::Source;
use stoa_model::value::Value;

use crate::database::{Database, Text, by_system, id, key, on_both, text};

#[tokio::test]
async fn every_type_is_kept_exactly() {
    on_both(|database| async move {
        let values = [
            ("id", id(1)),
            ("Name", text("Ünï'\"; DROP TABLE x; -- 🦀")),
            ("Credit", Value::Decimal("1234567890.10".parse().unwrap())),
            ("Born", Value::Date(-1)),
            ("Seen", Value::DateTime(1_700_000_000_123_456)),
            ("Opens", Value::Time(86_399_999_999)),
            ("Patience", Value::Duration(-5)),
            ("Badge", id(77)),
            ("Raw", Value::Binary(vec![0, 255, 7])),
            ("Notes", Value::Json("{\"b\": 1, \"a\": [1.50]}".to_owned())),
            ("Visits", Value::Integer(i64::MIN)),
            ("Active", Value::Boolean(true)),
        ];
        let insert = database.insert("Customer", &values, &[]);
        let applied = database.write(vec![insert]).await.unwrap();
        assert_eq!(applied[0].key, [id(1)]);
        assert_eq!(applied[0].version, Some(1));
        let names = [
            "Number", "Name", "Credit", "Born", "Seen", "Opens", "Patience", "Badge", "Raw", "Notes", "Visits", "Active",
        ];
        let expected = "[(v1 1 Ünï'\"; DROP TABLE x; -- 🦀 1234567890.10 -1 1700000000123456 86399999999 -5 #77 [0, 255, 7] {\"b\": 1, \"a\": [1.50]} -9223372036854775808 true)]";
        assert_eq!(database.rows("Customer", &names, None).await, expected);
    })
    .await;
}

#[tokio::test]
async fn a_deep_insert_and_its_reread_are_one_transaction() {
    on_both(|database| async move {
        database.customer(1, "a").await;
        let mut actions = vec![database.insert(
            "Order",
            &[("id", id(10)), ("Status", text("Draft"))],
            &[("Customer", Some(key(1)))],
        )];
        for number in 0..5_u32 {
            actions.push(database.insert(
                "Line",
                &[
                    ("id", id(100 + number)),
                    ("Position", Value::Integer(i64::from(number))),
                ],
                &[("Order", Some(Target::Inserted(0)))],
            ));
        }
        let query = database.query(
            "Order",
            &["Status"],
            Some("Lines"),
            Source::Key(vec![id(10)]),
        );
        let (applied, writer) = database
            .store
            .write(
                &database.model,
                by_system(actions),
                Some((Permitted::by_system(query), Text::default())),
            )
            .await
            .unwrap();
        assert_eq!(applied.len(), 6);
        assert_eq!(
            writer.unwrap().0,
            "(v1 Draft [(v1 #100) (v1 #101) (v1 #102) (v1 #103) (v1 #104)])"
        );
        // Once more, with everything prepared: the whole goes at once.
        let insert = database.insert("Customer", &[("id", id(2)), ("Name", text("b"))], &[]);
        let query = database.query(
            "Customer",
            &["Name", "Number"],
            None,
            Source::Key(vec![id(2)]),
        );
        let (_, writer) = database
            .store
            .write(
                &database.model,
                by_system(vec![insert]),
                Some((Permitted::by_system(query), Text::default())),
            )
            .await
            .unwrap();
        assert_eq!(writer.unwrap().0, "(v1 b 2)");
    })
    .await;
}

#[tokio::test]
async fn updates_count_versions_and_change_references() {
    on_both(|database| async move {
        database.customer(1, "a").await;
        database.customer(2, "b").await;
        let manager = database.insert(
            "Manager",
            &[
                ("id", id(5)),
                ("Name", text("m")),
                ("Budget", Value::Decimal("9.5".parse().unwrap())),
            ],
            &[],
        );
        let order = database.insert(
            "Order",
            &[("id", id(10)), ("Status", text("Draft"))],
            &[
                ("Customer", Some(key(1))),
                ("Agent", Some(Target::Inserted(0))),
            ],
        );
        database.write(vec![manager, order]).await.unwrap();
        let update = database.update(
            "Order",
            key(10),
            Expected::OneOf(vec![7, 1]),
            &[("Status", text("Placed"))],
            &[("Customer", Some(key(2))), ("Agent", None)],
        );
        let applied = database.write(vec![update]).await.unwrap();
        assert_eq!(applied[0].version, Some(2));
        assert_eq!(
            database.rows("Order", &["Status"], Some("Customer")).await,
            "[(v2 Placed (v1 #2))]"
        );
        // A row of a specialisation, named by its base and by a path.
        let update = database.update(
            "Employee",
            key(5),
            Expected::Any,
            &[("Name", text("n"))],
            &[],
        );
        let applied = database.write(vec![update]).await.unwrap();
        assert_eq!(applied[0].entity, database.entity("Manager"));
        let path = Target::Source(Source::Related {
            entity: database.entity("Order"),
            from: Box::new(Source::Key(vec![id(10)])),
            navigation: database.navigation("Order", "Customer"),
            key: None,
        });
        let update = database.update(
            "Customer",
            path,
            Expected::Any,
            &[("City", text("Bonn"))],
            &[],
        );
        let applied = database.write(vec![update]).await.unwrap();
        assert_eq!(applied[0].key, [id(2)]);
        assert_eq!(
            database.rows("Customer", &["Name", "City"], None).await,
            "[(v1 a -) (v2 b Bonn)]"
        );
    })
    .await;
}

#[tokio::test]
async fn deletes_cascade_clear_and_name_their_row() {
    on_both(|database| async move {
        database.customer(1, "a").await;
        let actions = vec![
            database.insert("Employee", &[("id", id(5)), ("Name", text("e"))], &[]),
            database.insert(
                "Order",
                &[("id", id(10)), ("Status", text("Draft"))],
                &[("Customer", Some(key(1))), ("Agent", Some(key(5)))],
            ),
            database.insert(
                "Line",
                &[("id", id(11)), ("Position", Value::Integer(1))],
                &[("Order", Some(Target::Inserted(1)))],
            ),
        ];
        database.write(actions).await.unwrap();
        database
            .write(vec![database.delete("Employee", key(5))])
            .await
            .unwrap();
        assert_eq!(
            database.rows("Order", &["Status"], Some("Agent")).await,
            "[(v1 Draft -)]"
        );
        let applied = database
            .write(vec![database.delete("Order", key(10))])
            .await
            .unwrap();
        assert_eq!(
            (applied[0].version, applied[0].key.as_slice()),
            (None, [id(10)].as_slice())
        );
        assert_eq!(database.rows("Line", &["Position"], None).await, "[]");
    })
    .await;
}

#[tokio::test]
async fn links_and_unlinks() {
    on_both(|database| async move {
        for number in 1..=3 {
            database.customer(number, "c").await;
        }
        database
            .write(vec![
                database.link("Customer", 1, "Friends", 2),
                database.link("Customer", 1, "Friends", 2),
                database.link("Customer", 3, "FriendOf", 1),
            ])
            .await
            .unwrap();
        let friends = database.rows("Customer", &[], Some("Friends")).await;
        assert_eq!(friends, "[(v1 [(v1 #2) (v1 #3)]) (v1 []) (v1 [])]");
        database
            .write(vec![database.unlink("Customer", 1, "Friends", Some(2))])
            .await
            .unwrap();
        database
            .write(vec![database.unlink("Customer", 1, "Friends", None)])
            .await
            .unwrap();
        let friends = database.rows("Customer", &[], Some("Friends")).await;
        assert_eq!(friends, "[(v1 []) (v1 []) (v1 [])]");
        // Kept by a foreign key in the target.
        let actions = vec![
            database.insert("Employee", &[("id", id(5)), ("Name", text("e"))], &[]),
            database.insert(
                "Order",
                &[("id", id(10)), ("Status", text("Draft"))],
                &[("Customer", Some(key(1)))],
            ),
            database.link("Employee", 5, "Orders", 10),
            database.link("Customer", 2, "Orders", 10),
            database.link("Customer", 2, "Orders", 10),
        ];
        database.write(actions).await.unwrap();
        assert_eq!(
            database.rows("Order", &[], Some("Customer")).await,
            "[(v3 (v1 #2))]"
        );
        database
            .write(vec![database.unlink("Employee", 5, "Orders", Some(10))])
            .await
            .unwrap();
        assert_eq!(database.rows("Order", &[], Some("Agent")).await, "[(v4 -)]");
    })
    .await;
}

#[tokio::test]
async fn upserts_and_retains() {
    on_both(|database| async move {
        database.customer(1, "a").await;
        let order = database.insert(
            "Order",
            &[("id", id(10)), ("Status", text("Draft"))],
            &[("Customer", Some(key(1)))],
        );
        let lines = (0..4_u32).map(|number| {
            database.insert(
                "Line",
                &[("id", id(100 + number)), ("Position", Value::Integer(1))],
                &[("Order", Some(Target::Inserted(0)))],
            )
        });
        database
            .write(std::iter::once(order).chain(lines).collect())
            .await
            .unwrap();
        let retain = Action::Retain {
            entity: database.entity("Order"),
            from: key(10),
            navigation: database.navigation("Order", "Lines"),
            keep: vec![vec![id(101)], vec![id(103)]],
        };
        database.write(vec![retain]).await.unwrap();
        assert_eq!(
            database.rows("Line", &["id"], None).await,
            "[(v1 #101) (v1 #103)]"
        );
        let upsert = |number| {
            database.upsert(
                "Customer",
                number,
                &[("id", id(number)), ("Name", text("new"))],
                &[("Name", text("changed"))],
            )
        };
        let applied = database.write(vec![upsert(1), upsert(2)]).await.unwrap();
        assert_eq!((applied[0].version, applied[1].version), (Some(2), Some(1)));
        assert_eq!(
            database.rows("Customer", &["Name"], None).await,
            "[(v2 changed) (v1 new)]"
        );
    })
    .await;
}

#[tokio::test]
async fn numbers_are_given_in_order_and_can_be_the_key() {
    on_both(|database| async move {
        let ticket = |name: &str| database.insert("Ticket", &[("Text", text(name))], &[]);
        let applied = database
            .write(vec![ticket("a"), ticket("b")])
            .await
            .unwrap();
        assert_eq!(applied[1].key, [Value::Integer(2)]);
        assert_eq!(
            database.rows("Ticket", &["Number", "Text"], None).await,
            "[(v1 1 a) (v1 2 b)]"
        );
    })
    .await;
}

#[tokio::test]
async fn writes_may_run_anywhere() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let database = Database::sqlite().await;
    let insert = database.insert("Ticket", &[("Text", text("a"))], &[]);
    is_send(
        database
            .store
            .write::<Text>(&database.model, by_system(vec![insert]), None),
    )
    .await
    .unwrap();
}
