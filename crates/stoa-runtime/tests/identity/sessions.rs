//! Sessions: warm without the database, revoked everywhere, there again after a restart.

use std::sync::Arc;
use std::time::Duration;

use stoa_model::access::Permitted;
use stoa_model::change::{Action, Change, Expected, Operation, Target};
use stoa_model::value::Value;
use stoa_runtime::identity::{Identity, IdentityError, Means, Refusal, Settings, SignInError};
use stoa_store::{Config, Store};
use stoa_testing::eventually;
use stoa_testing::proxy::{Mode, Proxy};

use crate::site::{
    Site, add, address, by, caller, client, headers, is_refused, principal, reads, settings,
    sign_in, with_session,
};

/// As the data service changes a user.
async fn update_as_the_application(
    identity: &Identity,
    user: uuid::Uuid,
    name: &str,
    value: Value,
) {
    let entity = identity.model().user.entity;
    let attribute = identity.model()[entity].attributes_by_name[name];
    let mut change = Change {
        operations: vec![Operation {
            location: String::new(),
            action: Action::Update {
                entity,
                target: Target::Key(vec![Value::Uuid(user)]),
                expected: Expected::Any,
                values: vec![(attribute, value)],
                references: Vec::new(),
            },
        }],
    };
    assert!(identity.concerns(&change));
    identity.normalise_names(&mut change).unwrap();
    identity.bump(&mut change);
    let (applied, _) = identity
        .store()
        .write::<NoRows>(identity.model(), Permitted::by_system(change.into()), None)
        .await
        .unwrap();
    identity.published(&applied).await.unwrap();
}

/// Takes no rows.
struct NoRows;

impl stoa_model::query::RowWriter for NoRows {
    fn begin_collection(&mut self, _: usize, _: Option<u64>) {}
    fn end_collection(&mut self, _: usize, _: Option<&[Value]>) {}
    fn begin_row(&mut self, _: usize, _: stoa_model::query::Row<'_>) {}
    fn value(&mut self, _: usize, _: usize, _: stoa_model::value::ValueRef<'_>) {}
    fn null_target(&mut self, _: usize) {}
    fn count_only(&mut self, _: usize, _: u64) {}
    fn end_row(&mut self, _: usize) {}
    fn written(&self) -> usize {
        0
    }
}

on_both! {
    async fn a_warm_session_costs_no_question_to_the_database(site: &Site) {
        let identity = site.server().await;
        add(&identity, "anna", &["Sales"]).await;
        let session = sign_in(&identity, "anna").await;
        let first = caller(&identity, &session.token).await.unwrap();
        let before = reads(&identity);
        for _ in 0..1000 {
            assert_eq!(caller(&identity, &session.token).await.unwrap(), first);
        }
        assert_eq!(reads(&identity), before);
        // A command keeps nothing.
        let command = site.command().await;
        let before = reads(&command);
        caller(&command, &session.token).await.unwrap();
        caller(&command, &session.token).await.unwrap();
        assert!(reads(&command) >= before + 2);
    }

    async fn a_stampede_for_a_cold_session_asks_once(site: &Site) {
        let identity = site.server().await;
        add(&identity, "anna", &["Sales"]).await;
        let session = sign_in(&identity, "anna").await;
        let counting = site.server().await;
        caller(&counting, &session.token).await.unwrap();
        let one = reads(&counting);
        let cold = site.server().await;
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let (cold, token) = (cold.clone(), session.token.clone());
                tokio::spawn(async move { caller(&cold, &token).await })
            })
            .collect();
        for task in tasks {
            assert!(task.await.unwrap().is_ok());
        }
        assert_eq!(reads(&cold), one);
    }

    async fn a_session_that_is_revoked_works_nowhere(site: &Site) {
        let (one, two) = (site.server().await, site.server().await);
        let anna = add(&one, "anna", &[]).await;
        let berta = add(&one, "berta", &[]).await;
        let mut sessions = Vec::new();
        for _ in 0..4 {
            let session = sign_in(&one, "anna").await;
            caller(&two, &session.token).await.unwrap();
            sessions.push(session);
        }
        let listed = one.sessions(principal(&anna)).await.unwrap();
        assert_eq!(listed.len(), 4);
        assert_eq!(listed[0].address.as_deref(), Some("192.0.2.1"));
        assert!(listed[0].expires_at > listed[0].created_at);
        let refused = async |session: usize| is_refused(&caller(&two, &sessions[session].token).await);
        let theirs = one.revoke_session(principal(&berta), sessions[0].session, &by()).await;
        assert!(matches!(theirs, Err(IdentityError::UnknownSession)));
        assert!(!refused(0).await);
        one.revoke_session(principal(&anna), sessions[0].session, &by()).await.unwrap();
        assert!(refused(0).await && !refused(1).await);
        assert_eq!(one.sign_out(sessions[1].session, &by()).await.unwrap(), None);
        assert!(refused(1).await && !refused(2).await);
        one.sign_out(sessions[1].session, &by()).await.unwrap();
        one.revoke_sessions(principal(&anna), Some(sessions[2].session), &by()).await.unwrap();
        assert!(refused(3).await && !refused(2).await);
        one.revoke_sessions(principal(&anna), None, &by()).await.unwrap();
        assert!(refused(2).await);
        assert!(one.sessions(principal(&anna)).await.unwrap().is_empty());
    }

    async fn a_command_revokes_on_every_server(site: &Site) {
        let (one, two, command) = (site.server().await, site.server().await, site.command().await);
        let anna = add(&command, "anna", &[]).await;
        let session = sign_in(&one, "anna").await;
        for server in [&one, &two] {
            caller(server, &session.token).await.unwrap();
        }
        command.revoke_sessions(principal(&anna), None, &by()).await.unwrap();
        for server in [&one, &two] {
            assert!(is_refused(&caller(server, &session.token).await));
        }
    }

    async fn a_user_who_is_disabled_by_the_application_is_out_everywhere(site: &Site) {
        let (one, two) = (site.server().await, site.server().await);
        let anna = add(&one, "anna", &[]).await;
        let session = sign_in(&one, "anna").await;
        caller(&two, &session.token).await.unwrap();
        let name = Value::Text("  ANNIKA ".to_owned());
        update_as_the_application(&one, anna.id.0, "Name", name).await;
        assert_eq!(&*caller(&two, &session.token).await.unwrap().name, "annika");
        update_as_the_application(&one, anna.id.0, "Active", Value::Boolean(false)).await;
        assert!(is_refused(&caller(&two, &session.token).await));
    }

    async fn sessions_survive_a_restart(site: &Site) {
        let before = site.server().await;
        add(&before, "anna", &["Sales"]).await;
        let session = sign_in(&before, "anna").await;
        let known = caller(&before, &session.token).await.unwrap();
        before.close().await;
        drop(before);
        let after = site.server().await;
        assert_eq!(caller(&after, &session.token).await.unwrap(), known);
    }

    async fn sessions_end_by_themselves(site: &Site) {
        let identity = site.server().await;
        let anna = add(&identity, "anna", &[]).await;
        let session = sign_in(&identity, "anna").await;
        let idle = site.open(Settings { session_idle: Duration::ZERO, ..settings() }).await;
        assert!(is_refused(&caller(&idle, &session.token).await));
        assert!(idle.sessions(principal(&anna)).await.unwrap().is_empty());
        assert!(caller(&identity, &session.token).await.is_ok());
        let short = site.open(Settings { session_lifetime: Duration::ZERO, ..settings() }).await;
        let over = sign_in(&short, "anna").await;
        assert!(is_refused(&caller(&short, &over.token).await));
        assert!(is_refused(&caller(&identity, &over.token).await));
        assert_eq!(identity.sessions(principal(&anna)).await.unwrap().len(), 1);
        // And are deleted.
        identity.prune().await.unwrap();
        assert!(caller(&identity, &session.token).await.is_ok());
        assert!(matches!(identity.renew_session(over.session).await, Err(IdentityError::UnknownSession)));
    }

    async fn the_last_use_is_written_behind(site: &Site) {
        let identity = site
            .open(Settings { write_behind: Duration::from_millis(20), ..settings() })
            .await;
        let anna = add(&identity, "anna", &[]).await;
        let session = sign_in(&identity, "anna").await;
        let last_used = async || identity.sessions(principal(&anna)).await.unwrap()[0].last_used;
        let first = last_used().await;
        eventually("the last use is written", Duration::from_secs(20), async || {
            caller(&identity, &session.token).await.unwrap();
            (last_used().await > first).then_some(())
        })
        .await
        .unwrap();
        // What is still to be written is written at the end, and what is gone is in nobody's way.
        let other = sign_in(&identity, "anna").await;
        caller(&identity, &other.token).await.unwrap();
        identity.sign_out(other.session, &by()).await.unwrap();
        caller(&identity, &session.token).await.unwrap();
        identity.close().await;
        assert!(caller(&identity, &session.token).await.is_ok(), "from the database");
    }

    async fn a_new_token_replaces_the_old_one(site: &Site) {
        let (one, two) = (site.server().await, site.server().await);
        add(&one, "anna", &[]).await;
        let session = sign_in(&one, "anna").await;
        caller(&two, &session.token).await.unwrap();
        let token = one.renew_session(session.session).await.unwrap();
        assert!(is_refused(&caller(&two, &session.token).await));
        assert_eq!(caller(&two, &token).await.unwrap().means, Means::Session(session.session));
    }

    async fn cookies_that_are_no_sessions_are_none(site: &Site) {
        let identity = site.server().await;
        add(&identity, "anna", &[]).await;
        let session = sign_in(&identity, "anna").await;
        let token = session.token.expose();
        let at = async |host: &str, cookie: &str| {
            let headers = headers(&[("host", host), ("cookie", cookie)]);
            identity.caller(&headers, address("192.0.2.1")).await
        };
        assert!(at("localhost", &format!("a=b; stoa={token}")).await.is_ok());
        assert!(at("shop.example", &format!("__Host-stoa={token}")).await.is_ok());
        for (host, cookie) in [
            ("shop.example", format!("stoa={token}")),
            ("localhost", format!("stoa={}", &token[1..])),
            ("localhost", format!("stoa-admin={token}")),
            ("localhost", "stoa=".to_owned()),
            ("localhost", format!("stoa={}", "A".repeat(43))),
            ("localhost", format!("stoa={}", "x".repeat(5000))),
        ] {
            assert!(is_refused(&at(host, &cookie).await), "{host}: {cookie}");
        }
        let headers = headers(&[("host", "localhost"), ("cookie", &format!("stoa-admin={token}"))]);
        assert!(matches!(identity.administrator(&headers, None).await, Err(Refusal::NotSignedIn)));
    }

    async fn a_link_signs_in_once(site: &Site) {
        let (one, two) = (site.server().await, site.server().await);
        let anna = add(&one, "anna", &[]).await;
        for round in 0..10 {
            let link = one.create_link(principal(&anna), Duration::from_secs(600), &by()).await.unwrap();
            assert_eq!(
                two.link(link.expose()).await.unwrap(),
                Some((principal(&anna), "anna".to_owned()))
            );
            let from = client("192.0.2.1");
            let (first, second) = tokio::join!(
                one.use_link(link.expose(), &from),
                two.use_link(link.expose(), &from),
            );
            let winner = match (first, second) {
                (Ok(winner), Err(SignInError::Failed)) | (Err(SignInError::Failed), Ok(winner)) => winner,
                outcome => panic!("round {round}: {outcome:?}"),
            };
            assert_eq!(caller(&two, &winner.token).await.unwrap().user, Some(anna.id));
            assert_eq!(one.link(link.expose()).await.unwrap(), None);
        }
        for lifetime in [Duration::ZERO, Duration::from_secs(30 * 86_400)] {
            let error = one.create_link(principal(&anna), lifetime, &by()).await.unwrap_err();
            assert_eq!(error.code(), "InvalidLifetime");
        }
        // Of two who have a link one sets a password.
        for round in 0..5 {
            let link = one.create_link(principal(&anna), Duration::from_secs(600), &by()).await.unwrap();
            let from = client("192.0.2.1");
            let weak = one.use_link_for_password(link.expose(), "password1", &from).await;
            assert!(matches!(weak, Err(SignInError::Other(IdentityError::Password(_)))));
            let passwords = [format!("sparrow lantern {round} one"), format!("velvet orchard {round} two")];
            let (first, second) = tokio::join!(
                one.use_link_for_password(link.expose(), &passwords[0], &from),
                two.use_link_for_password(link.expose(), &passwords[1], &from),
            );
            let (winner, position) = match (first, second) {
                (Ok(winner), Err(SignInError::Failed)) => (winner, 0),
                (Err(SignInError::Failed), Ok(winner)) => (winner, 1),
                outcome => panic!("round {round}: {outcome:?}"),
            };
            assert_eq!(caller(&two, &winner.token).await.unwrap().user, Some(anna.id));
            assert_eq!(one.sessions(principal(&anna)).await.unwrap().len(), 1, "others have ended");
            assert!(one.sign_in("anna", &passwords[position], &from).await.is_ok());
            let other = one.sign_in("anna", &passwords[1 - position], &from).await;
            assert!(matches!(other, Err(SignInError::Failed)));
        }
        let link = one.create_link(principal(&anna), Duration::from_secs(600), &by()).await.unwrap();
        one.set_active(anna.id, false, &by()).await.unwrap();
        let outcome = one.use_link(link.expose(), &client("192.0.2.1")).await;
        assert!(matches!(outcome, Err(SignInError::Failed)));
    }
}

#[tokio::test]
async fn who_is_not_signed_in_is_let_in_only_where_the_application_says_so() {
    let mut site = Site::sqlite().await;
    let closed = site.server().await;
    let none = headers(&[("host", "localhost")]);
    assert!(is_refused(&closed.caller(&none, None).await));
    site.model = crate::site::model("[access]\nanonymous = true\n");
    let identity = site.server().await;
    let nobody = identity
        .caller(&none, address("::ffff:192.0.2.1"))
        .await
        .unwrap();
    assert_eq!((nobody.user, nobody.means), (None, Means::Anonymous));
    assert_eq!(crate::site::roles(&identity, &nobody), ["Anonymous"]);
    assert!(nobody.values.iter().all(Value::is_null));
    assert_eq!(nobody.address, address("192.0.2.1"));
    assert_eq!(nobody.actor(None).name, "anonymous");
    assert!(!identity.roles().any(|role| role == "Anonymous"));
    // Signed in, they have their own roles only.
    add(&identity, "anna", &["Sales"]).await;
    let session = sign_in(&identity, "anna").await;
    let anna = caller(&identity, &session.token).await.unwrap();
    assert_eq!(crate::site::roles(&identity, &anna), ["Sales"]);
    // A session that has ended is none; wrong credentials are an error.
    identity.sign_out(session.session, &by()).await.unwrap();
    let ended = identity
        .caller(&with_session(&session.token), None)
        .await
        .unwrap();
    assert_eq!(ended.means, Means::Anonymous);
    let wrong = headers(&[("authorization", "Bearer stoa_nothing")]);
    assert!(matches!(
        identity.caller(&wrong, None).await,
        Err(Refusal::InvalidToken)
    ));
}

/// A server that cannot reach its database stops trusting what it knows, and is back with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_database_nobody_is_known_after_the_lease() {
    let site = Site::postgres().await;
    let url = &site.database.as_ref().unwrap().url;
    let start = url.find('@').unwrap() + 1;
    let end = start + url[start..].find('/').unwrap();
    let proxy = Proxy::start(&url[start..end]).await.unwrap();
    let behind = proxy.through(url).parse().unwrap();
    let config = Config {
        connect_timeout: Duration::from_millis(500),
        ..Config::default()
    };
    let store = Store::open(&behind, config).await.unwrap();
    let far = Identity::open(Arc::clone(&site.model), store, settings())
        .await
        .unwrap();
    let near = site.server().await;
    let anna = add(&near, "anna", &[]).await;
    let session = sign_in(&near, "anna").await;
    caller(&far, &session.token).await.unwrap();
    proxy.set(Mode::Cut);
    assert!(
        caller(&far, &session.token).await.is_ok(),
        "warm, and the lease holds"
    );
    // Returns when the lease of the one that cannot be told is over.
    near.revoke_sessions(principal(&anna), None, &by())
        .await
        .unwrap();
    assert!(matches!(
        caller(&far, &session.token).await,
        Err(Refusal::Unavailable { .. })
    ));
    proxy.set(Mode::Pass);
    eventually(
        "the database is back",
        Duration::from_secs(30),
        async || is_refused(&caller(&far, &session.token).await).then_some(()),
    )
    .await
    .unwrap();
}
