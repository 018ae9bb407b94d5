//! Names and passwords.

use std::time::{Duration, Instant};

use stoa_runtime::identity::password::Cost;
use stoa_runtime::identity::throttle::{Limits, Rate};
use stoa_runtime::identity::{
    Client, Identity, IdentityError, NewUser, Refusal, Settings, SignInError,
};

use crate::site::{
    OTHER_PASSWORD, PASSWORD, Site, add, by, caller, client, is_refused, principal, reads,
    settings, sign_in, with_session,
};

/// Time that an attempt takes which fails.
async fn time(identity: &Identity, name: &str, password: &str) -> Duration {
    let start = Instant::now();
    let outcome = identity.sign_in(name, password, &client("192.0.2.1")).await;
    assert!(matches!(outcome, Err(SignInError::Failed)), "{name}");
    start.elapsed()
}

on_both! {
    async fn a_right_password_opens_a_session_and_nothing_else_does(site: &Site) {
        let identity = site.server().await;
        let anna = add(&identity, "anna", &["Sales"]).await;
        let disabled = add(&identity, "berta", &[]).await;
        identity.set_active(disabled.id, false, &by()).await.unwrap();
        let without = NewUser { name: "carla".to_owned(), ..NewUser::default() };
        identity.add_user(without, &by()).await.unwrap();
        let mut answers = Vec::new();
        for (name, password) in [
            ("anna", "wrong"),
            ("anna", ""),
            ("anna", &PASSWORD.to_uppercase()),
            ("berta", PASSWORD),
            ("carla", PASSWORD),
            ("carla", ""),
            ("nobody", PASSWORD),
            ("no:name", PASSWORD),
            ("", ""),
            ("anna", &"x".repeat(100_000)),
        ] {
            let error = identity.sign_in(name, password, &client("192.0.2.1")).await.unwrap_err();
            assert!(matches!(error, SignInError::Failed), "{name}: {error}");
            answers.push(error.to_string());
        }
        answers.dedup();
        assert_eq!(answers, ["the name or the password is not right"]);
        let signed_in = identity.sign_in(" ANNA ", PASSWORD, &client("192.0.2.1")).await.unwrap();
        assert_eq!((signed_in.principal, signed_in.name.as_str()), (principal(&anna), "anna"));
        let known = caller(&identity, &signed_in.token).await.unwrap();
        assert_eq!((known.user, &*known.name, known.session()), (Some(anna.id), "anna", Some(signed_in.session)));
    }

    async fn whether_a_name_exists_does_not_show_in_the_time(site: &Site) {
        // Hashes of the real cost: they are what takes the time.
        let identity = site.open(Settings { password_cost: Cost::default(), ..settings() }).await;
        add(&identity, "anna", &[]).await;
        let disabled = add(&identity, "berta", &[]).await;
        identity.set_active(disabled.id, false, &by()).await.unwrap();
        let kinds = [("nobody", PASSWORD), ("anna", "wrong"), ("berta", PASSWORD)];
        for (name, password) in kinds {
            time(&identity, name, password).await;
        }
        // The same work.
        let work = async |(name, password)| {
            let (questions, hashes) = (reads(&identity), identity.password_hashes());
            time(&identity, name, password).await;
            (reads(&identity) - questions, identity.password_hashes() - hashes)
        };
        for kind in kinds {
            assert_eq!(work(kind).await, (1, 1), "{kind:?}");
        }
        // In the same time. By turns, and the least of each, until they meet: others who use the machine
        // only make things slower, while a difference in the work would stay.
        let mut least = [Duration::MAX; 3];
        let mut rounds = 0;
        let meet = |least: &[Duration; 3]| {
            least[1..].iter().all(|other| {
                let ratio = least[0].as_secs_f64() / other.as_secs_f64();
                (0.7..1.4).contains(&ratio)
            })
        };
        let start = Instant::now();
        while rounds < 5 || !meet(&least) {
            rounds += 1;
            assert!(start.elapsed() < Duration::from_secs(120), "{least:?}");
            for ((name, password), least) in kinds.iter().zip(&mut least) {
                *least = time(&identity, name, password).await.min(*least);
            }
        }
    }

    async fn each_sign_in_has_a_new_token_and_ends_the_session_before(site: &Site) {
        let identity = site.server().await;
        add(&identity, "anna", &[]).await;
        let first = sign_in(&identity, "anna").await;
        assert!(caller(&identity, &first.token).await.is_ok());
        // What somebody else has put into the browser is worth nothing afterwards.
        let again = Client::new(&with_session(&first.token), None, None);
        let second = identity.sign_in("anna", PASSWORD, &again).await.unwrap();
        assert_ne!(first.token, second.token);
        assert!(is_refused(&caller(&identity, &first.token).await));
        assert!(caller(&identity, &second.token).await.is_ok());
        // One that has ended is in nobody's way.
        let third = identity.sign_in("anna", PASSWORD, &again).await.unwrap();
        assert!(caller(&identity, &third.token).await.is_ok());
        assert!(caller(&identity, &second.token).await.is_ok());
    }

    async fn many_sign_in_to_one_account_at_once(site: &Site) {
        let identity = site.server().await;
        add(&identity, "anna", &[]).await;
        let tasks: Vec<_> = (0..12)
            .map(|_| {
                let identity = identity.clone();
                tokio::spawn(async move { sign_in(&identity, "anna").await })
            })
            .collect();
        for task in tasks {
            let signed_in = task.await.unwrap();
            assert!(caller(&identity, &signed_in.token).await.is_ok());
        }
    }

    async fn an_old_hash_is_made_anew_at_the_sign_in(site: &Site) {
        let old = site.command().await;
        add(&old, "anna", &[]).await;
        let dearer = Cost { passes: 2, ..settings().password_cost };
        let identity = site.open(Settings { password_cost: dearer, ..settings() }).await;
        let signed_in = sign_in(&identity, "anna").await;
        // The device is known by the new hash.
        let device = Client { device: signed_in.device, ..client("192.0.2.9") };
        assert!(identity.sign_in("anna", PASSWORD, &device).await.is_ok());
        assert!(old.sign_in("anna", PASSWORD, &client("192.0.2.1")).await.is_ok());
    }

    async fn the_own_password_is_changed_by_who_knows_it(site: &Site) {
        let (one, two) = (site.server().await, site.server().await);
        let anna = add(&one, "anna", &[]).await;
        let (own, other) = (sign_in(&one, "anna").await, sign_in(&one, "anna").await);
        let change = async |current: &str, new: &str| {
            one.change_password(principal(&anna), own.session, current, new, &client("192.0.2.1")).await
        };
        for (current, new, code) in [
            ("wrong", OTHER_PASSWORD, "WrongPassword"),
            (PASSWORD, PASSWORD, "WeakPassword"),
            (PASSWORD, "short", "WeakPassword"),
            (PASSWORD, "annaanna", "WeakPassword"),
        ] {
            match change(current, new).await {
                Err(SignInError::Other(error)) => assert_eq!(error.code(), code),
                outcome => panic!("{new}: {outcome:?}"),
            }
        }
        assert!(caller(&two, &own.token).await.is_ok() && caller(&two, &other.token).await.is_ok());
        let link = one.create_link(principal(&anna), Duration::from_secs(60), &by()).await.unwrap();
        let token = change(PASSWORD, OTHER_PASSWORD).await.unwrap();
        for identity in [&one, &two] {
            assert!(is_refused(&caller(identity, &own.token).await), "the token is another one");
            assert!(is_refused(&caller(identity, &other.token).await), "other sessions end");
            assert_eq!(caller(identity, &token).await.unwrap().session(), Some(own.session));
        }
        assert_eq!(one.link(link.expose()).await.unwrap(), None, "links end too");
        assert!(matches!(one.sign_in("anna", PASSWORD, &client("192.0.2.1")).await, Err(SignInError::Failed)));
        assert!(one.sign_in("anna", OTHER_PASSWORD, &client("192.0.2.1")).await.is_ok());
    }

    async fn a_password_that_must_be_changed_opens_that_page_only(site: &Site) {
        let identity = site.server().await;
        let anna = add(&identity, "anna", &[]).await;
        let before = sign_in(&identity, "anna").await;
        identity.set_password(principal(&anna), OTHER_PASSWORD, true, &by()).await.unwrap();
        assert!(is_refused(&caller(&identity, &before.token).await), "sessions end");
        let signed_in = identity.sign_in("anna", OTHER_PASSWORD, &client("192.0.2.1")).await.unwrap();
        assert!(signed_in.must_change_password);
        assert!(matches!(caller(&identity, &signed_in.token).await, Err(Refusal::MustChangePassword)));
        let headers = with_session(&signed_in.token);
        let on_page = identity.signed_in(&headers, None).await.unwrap();
        assert!(on_page.must_change_password && on_page.user == anna.id);
        let token = identity
            .change_password(principal(&anna), signed_in.session, OTHER_PASSWORD, PASSWORD, &client("192.0.2.1"))
            .await
            .unwrap();
        assert!(caller(&identity, &token).await.is_ok());
    }

    async fn a_password_that_is_changed_opens_nothing_any_more(site: &Site) {
        let (one, two) = (site.server().await, site.server().await);
        let anna = add(&one, "anna", &[]).await;
        let passwords = [PASSWORD, OTHER_PASSWORD];
        for round in 0..12 {
            let (old, new) = (passwords[round % 2], passwords[(round + 1) % 2]);
            let (person, from) = (by(), client("192.0.2.1"));
            let (signed_in, changed) = tokio::join!(
                one.sign_in("anna", old, &from),
                two.set_password(principal(&anna), new, false, &person),
            );
            changed.unwrap();
            // Whichever came first, a session by the old password is over.
            if let Ok(signed_in) = signed_in {
                for identity in [&one, &two] {
                    assert!(is_refused(&caller(identity, &signed_in.token).await), "round {round}");
                }
            }
            assert!(one.sessions(principal(&anna)).await.unwrap().is_empty());
        }
    }

    async fn guessing_is_slowed_and_the_owner_is_not_locked_out(site: &Site) {
        let identity = site.open(Settings { throttle: Limits::default(), ..settings() }).await;
        add(&identity, "anna", &[]).await;
        let owner = identity.sign_in("anna", PASSWORD, &client("198.51.100.7")).await.unwrap();
        let guess = async |name: &str, from: &str| identity.sign_in(name, "wrong", &client(from)).await;
        for name in ["anna", "nobody"] {
            for _ in 0..5 {
                assert!(matches!(guess(name, "192.0.2.1").await, Err(SignInError::Failed)));
            }
            match guess(name, "192.0.2.1").await {
                Err(SignInError::Throttled { retry_after }) => assert!(retry_after <= Duration::from_secs(60)),
                outcome => panic!("{name}: {outcome:?}"),
            }
        }
        // Even the right password is not looked at from there, except on the owner's device.
        let there = identity.sign_in("anna", PASSWORD, &client("192.0.2.1")).await;
        assert!(matches!(there, Err(SignInError::Throttled { .. })));
        let device = Client { device: owner.device, ..client("192.0.2.1") };
        assert!(identity.sign_in("anna", PASSWORD, &device).await.is_ok());
        assert!(identity.sign_in("anna", PASSWORD, &client("198.51.100.7")).await.is_ok());
    }
}

/// Somebody behind the same address cannot keep those out who are known.
#[tokio::test]
async fn a_flood_from_ones_own_address_locks_nobody_out() {
    let site = Site::sqlite().await;
    let mut throttle = settings().throttle;
    throttle.flood = Rate {
        burst: 3,
        every: Duration::from_secs(3600),
    };
    let identity = site
        .open(Settings {
            throttle,
            ..settings()
        })
        .await;
    for name in ["anna", "bob"] {
        add(&identity, name, &[]).await;
    }
    let elsewhere = client("198.51.100.7");
    let owner = identity
        .sign_in("anna", PASSWORD, &elsewhere)
        .await
        .unwrap();
    let shared = client("192.0.2.1");
    identity.sign_in("bob", PASSWORD, &shared).await.unwrap();
    for name in ["x", "y", "z"] {
        let guess = identity.sign_in(name, "wrong", &shared).await;
        assert!(matches!(guess, Err(SignInError::Failed)));
    }
    let device = |device: &str| Client {
        device: Some(device.to_owned()),
        ..shared.clone()
    };
    for stranger in [shared.clone(), device(&"A".repeat(86))] {
        let outcome = identity.sign_in("anna", PASSWORD, &stranger).await;
        assert!(matches!(outcome, Err(SignInError::Throttled { .. })));
    }
    let known = device(&owner.device.unwrap());
    assert!(identity.sign_in("anna", PASSWORD, &known).await.is_ok());
    assert!(identity.sign_in("bob", PASSWORD, &shared).await.is_ok());
}

#[tokio::test]
async fn too_many_sign_ins_at_once_are_told_so() {
    let site = Site::sqlite().await;
    let identity = site
        .open(Settings {
            hashes_at_once: 1,
            hashes_waiting: 1,
            password_cost: Cost::default(),
            ..settings()
        })
        .await;
    add(&identity, "anna", &[]).await;
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let identity = identity.clone();
            tokio::spawn(async move {
                identity
                    .sign_in("anna", PASSWORD, &client("192.0.2.1"))
                    .await
            })
        })
        .collect();
    let (mut let_in, mut busy) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => let_in += 1,
            Err(SignInError::Other(IdentityError::Busy)) => busy += 1,
            outcome => panic!("{outcome:?}"),
        }
    }
    assert!(let_in > 0 && busy > 0, "{let_in} let in, {busy} busy");
}
