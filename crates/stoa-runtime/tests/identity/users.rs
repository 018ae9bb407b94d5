//! Users and their roles.

use stoa_model::value::Value;
use stoa_runtime::identity::user::UserFilter;
use stoa_runtime::identity::{IdentityError, NewUser};

use crate::site::{PASSWORD, Site, add, by, caller, is_refused, reads, roles, sign_in};

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

on_both! {
    async fn users_are_added_found_and_listed(site: &Site) {
        let identity = site.command().await;
        let anna = identity
            .add_user(
                NewUser {
                    name: "  Anna@Example.ORG ".to_owned(),
                    full_name: Some("Anna Lindqvist".to_owned()),
                    roles: vec!["Sales".to_owned(), "Manager".to_owned(), "Sales".to_owned()],
                    password: Some(PASSWORD.to_owned()),
                    must_change_password: true,
                    ..NewUser::default()
                },
                &by(),
            )
            .await
            .unwrap();
        assert_eq!(anna.name, "anna@example.org");
        assert_eq!(anna.roles, ["Manager", "Sales"]);
        assert_eq!(anna.kind, "SystemUser");
        assert!(anna.active && anna.has_password && anna.must_change_password);
        assert_eq!(identity.user_by_name("ANNA@example.org").await.unwrap(), anna);
        assert_eq!(identity.user(anna.id).await.unwrap(), anna);
        for name in ["berta", "carla"] {
            add(&identity, name, &["Sales"]).await;
        }
        let names = async |filter: UserFilter, after: Option<&str>, limit| {
            let users = identity.users(&filter, after, limit).await.unwrap();
            users.into_iter().map(|user| user.name).collect::<Vec<_>>()
        };
        let all = UserFilter::default;
        assert_eq!(names(all(), None, 2).await, ["anna@example.org", "berta"]);
        assert_eq!(names(all(), Some("berta"), 2).await, ["carla"]);
        let contains = |part: &str| UserFilter { contains: Some(part.to_owned()), ..all() };
        assert_eq!(names(contains("LINDq"), None, 9).await, ["anna@example.org"]);
        assert_eq!(names(contains("%"), None, 9).await, [""; 0]);
        let manager = UserFilter { role: Some("Manager".to_owned()), ..all() };
        assert_eq!(names(manager, None, 9).await, ["anna@example.org"]);
        let disabled = UserFilter { active: Some(false), ..all() };
        assert_eq!(names(disabled, None, 9).await, [""; 0]);
    }

    async fn what_cannot_be_is_refused_and_leaves_nothing(site: &Site) {
        let identity = site.command().await;
        add(&identity, "anna", &[]).await;
        let base = || NewUser { name: "berta".to_owned(), ..NewUser::default() };
        for (user, code, part) in [
            (NewUser { name: "ANNA".to_owned(), ..base() }, "NameTaken", "“anna”"),
            (NewUser { name: "a:b".to_owned(), ..base() }, "InvalidName", "colon"),
            (NewUser { roles: vec!["Boss".to_owned()], ..base() }, "UnknownRole", "it has: Sales, Manager"),
            (NewUser { kind: Some("Order".to_owned()), ..base() }, "UnknownEntity", "SystemUser, Employee"),
            (NewUser { password: Some("berta123".to_owned()), ..base() }, "WeakPassword", "easy to guess"),
            (NewUser { kind: Some("Employee".to_owned()), ..base() }, "InvalidAttributes", "Badge"),
            (NewUser { attributes: pairs(&[("Active2", "x")]), ..base() }, "InvalidAttributes", "Active2"),
            (
                NewUser {
                    kind: Some("Employee".to_owned()),
                    attributes: pairs(&[("Badge", "B1"), ("Level", "0")]),
                    ..base()
                },
                "InvalidAttributes",
                "Level",
            ),
            (
                NewUser {
                    kind: Some("Employee".to_owned()),
                    attributes: pairs(&[("Badge", "B1"), ("Home", "nowhere")]),
                    ..base()
                },
                "InvalidAttributes",
                "Home",
            ),
        ] {
            let error = identity.add_user(user, &by()).await.unwrap_err();
            let text = match &error {
                IdentityError::Attributes(error) => {
                    String::from_utf8(error.to_json()).unwrap()
                }
                error => error.to_string(),
            };
            assert_eq!(error.code(), code, "{text}");
            assert!(text.contains(part), "{code}: {text}");
        }
        assert!(matches!(identity.user_by_name("berta").await, Err(IdentityError::UnknownUser(name)) if name == "berta"));
        assert_eq!(identity.users(&UserFilter::default(), None, 9).await.unwrap().len(), 1);
    }

    async fn rules_know_what_kind_of_user_it_is(site: &Site) {
        let identity = site.server().await;
        let values: Vec<&str> = site.model.user.values.iter().map(|value| value.path.as_str()).collect();
        let position = |path: &str| values.iter().position(|known| *known == path).unwrap();
        let employee = NewUser {
            name: "anna".to_owned(),
            kind: Some("Employee".to_owned()),
            attributes: pairs(&[
                ("Badge", "007"),
                ("Level", "3"),
                ("Salary", "1234.50"),
                ("Manager", "true"),
            ]),
            password: Some(PASSWORD.to_owned()),
            ..NewUser::default()
        };
        let anna = identity.add_user(employee, &by()).await.unwrap();
        assert_eq!(anna.kind, "Employee");
        let session = sign_in(&identity, "anna").await;
        let known = caller(&identity, &session.token).await.unwrap();
        assert_eq!(known.values[position("id")], Value::Uuid(anna.id.0));
        assert_eq!(known.values[position("Level")], Value::Integer(3));
        assert_eq!(known.values[position("Department/Region/Name")], Value::Null);
        assert_eq!(known.values[position("Name")], Value::Text("anna".to_owned()));
        // A change takes effect when it returns.
        let changed = identity
            .change_user(anna.id, &[("Level".to_owned(), Some("5".to_owned()))], &by())
            .await
            .unwrap();
        assert_eq!(changed.kind, "Employee");
        let known = caller(&identity, &session.token).await.unwrap();
        assert_eq!(known.values[position("Level")], Value::Integer(5));
        // A plain user has none of it.
        add(&identity, "berta", &[]).await;
        let session = sign_in(&identity, "berta").await;
        let known = caller(&identity, &session.token).await.unwrap();
        assert_eq!(known.values[position("Level")], Value::Null);
        assert_eq!(known.values[position("Name")], Value::Text("berta".to_owned()));
    }

    async fn users_are_changed_by_text(site: &Site) {
        let identity = site.command().await;
        let employee = NewUser {
            name: "anna".to_owned(),
            kind: Some("Employee".to_owned()),
            attributes: pairs(&[("Badge", "007")]),
            ..NewUser::default()
        };
        let anna = identity.add_user(employee, &by()).await.unwrap();
        add(&identity, "berta", &[]).await;
        let change = async |name: &str, value: Option<&str>| {
            let attributes = [(name.to_owned(), value.map(str::to_owned))];
            identity.change_user(anna.id, &attributes, &by()).await
        };
        assert_eq!(change("Name", Some("ANNIKA")).await.unwrap().name, "annika");
        assert_eq!(change("FullName", Some("A B")).await.unwrap().full_name.as_deref(), Some("A B"));
        assert_eq!(change("FullName", None).await.unwrap().full_name, None);
        assert!(matches!(change("Name", Some("Berta")).await, Err(IdentityError::NameTaken(name)) if name == "berta"));
        assert!(matches!(change("Name", None).await, Err(IdentityError::Attributes(_))));
        assert!(matches!(change("Badge", Some("too long")).await, Err(IdentityError::Attributes(_))));
        assert!(matches!(change("Active", Some("false")).await, Err(IdentityError::Attributes(_))));
    }

    async fn roles_take_effect_when_the_grant_returns(site: &Site) {
        let (one, two) = (site.server().await, site.server().await);
        let anna = add(&one, "anna", &["Sales"]).await;
        let session = sign_in(&one, "anna").await;
        let names = async || roles(&two, &caller(&two, &session.token).await.unwrap());
        assert_eq!(names().await, ["Sales"]);
        one.grant(anna.id, &["Manager".to_owned(), "Sales".to_owned()], &by()).await.unwrap();
        assert_eq!(names().await, ["Sales", "Manager"]);
        one.revoke(anna.id, &["Sales".to_owned(), "Gone".to_owned()], &by()).await.unwrap();
        assert_eq!(names().await, ["Manager"]);
        one.set_roles(anna.id, &["Sales".to_owned()], &by()).await.unwrap();
        assert_eq!(names().await, ["Sales"]);
        let error = one.grant(anna.id, &["Boss".to_owned()], &by()).await.unwrap_err();
        assert_eq!(error.code(), "UnknownRole");
        // What changes nothing is no change.
        let before = reads(&two);
        one.grant(anna.id, &["Sales".to_owned()], &by()).await.unwrap();
        assert_eq!(names().await, ["Sales"]);
        assert_eq!(reads(&two), before);
    }

    async fn roles_granted_at_once_are_all_granted(site: &Site) {
        let (one, two) = (site.server().await, site.server().await);
        for round in 0..10 {
            let user = add(&one, &format!("user{round}"), &[]).await;
            let all = ["Sales".to_owned(), "Manager".to_owned()];
            let person = by();
            let (first, second) = tokio::join!(
                one.grant(user.id, &all, &person),
                two.grant(user.id, &all[..1], &person),
            );
            first.unwrap();
            second.unwrap();
            assert_eq!(one.user(user.id).await.unwrap().roles, ["Manager", "Sales"]);
        }
    }

    async fn whoever_is_disabled_or_deleted_is_out_everywhere(site: &Site) {
        let (one, two) = (site.server().await, site.server().await);
        let anna = add(&one, "anna", &["Sales"]).await;
        let first = sign_in(&one, "anna").await;
        assert!(caller(&two, &first.token).await.is_ok());
        one.set_active(anna.id, false, &by()).await.unwrap();
        assert!(is_refused(&caller(&one, &first.token).await));
        assert!(is_refused(&caller(&two, &first.token).await));
        one.set_active(anna.id, true, &by()).await.unwrap();
        assert!(is_refused(&caller(&two, &first.token).await), "sessions do not come back");
        let second = sign_in(&two, "anna").await;
        assert!(caller(&one, &second.token).await.is_ok());
        two.delete_user(anna.id, &by()).await.unwrap();
        assert!(is_refused(&caller(&one, &second.token).await));
        assert!(matches!(one.delete_user(anna.id, &by()).await, Err(IdentityError::UnknownUser(_))));
        assert!(matches!(one.set_active(anna.id, true, &by()).await, Err(IdentityError::UnknownUser(_))));
    }
}
