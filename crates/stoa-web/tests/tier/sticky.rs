//! Clients come back to the instance that has served them, while it is there.

use http::header::SET_COOKIE;
use stoa_link::dial;
use stoa_web::tier::{Standing, Sticky};

use crate::client::{Answer, get};
use crate::world::{App, Plan, World, eventually};

/// The cookies that an answer sets, without their attributes.
fn cookies(answer: &Answer) -> Vec<String> {
    let values = answer.headers.get_all(SET_COOKIE).iter();
    values
        .map(|value| {
            value
                .to_str()
                .unwrap()
                .split(';')
                .next()
                .unwrap()
                .to_owned()
        })
        .collect()
}

async fn pair(world: &World) -> [App; 2] {
    [world.app("one").await, world.app("two").await]
}

#[tokio::test]
async fn a_client_stays_and_gets_its_cookie_once() {
    let world = World::new(Plan::default()).await;
    let apps = pair(&world).await;
    let first = world.get("/who").await.ok();
    let [cookie] = &cookies(&first)[..] else {
        panic!("{first:?}");
    };
    let tag = cookie.strip_prefix("stoa-instance=").unwrap();
    let owner = apps.iter().position(|app| app.tag == tag).unwrap();
    assert_eq!(first.text(), ["one", "two"][owner]);
    for _ in 0..50 {
        let answer = get(world.address, "/who", &[("cookie", cookie)]).await.ok();
        assert_eq!(answer.text(), first.text());
        assert_eq!(cookies(&answer), [""; 0]);
    }
}

/// What happens to an instance, and another one takes over its clients.
async fn check_yields(leave: impl AsyncFn(&App)) {
    let world = World::new(Plan::default()).await;
    let [one, two] = pair(&world).await;
    let cookie = format!("stoa-instance={}", one.tag);
    let headers = [("cookie", cookie.as_str())];
    let before = get(world.address, "/who", &headers).await.ok();
    assert_eq!(before.text(), "one");
    leave(&one).await;
    eventually("it is not ready any more", async || {
        one.standing(&world) != Some(Standing::Ready)
    })
    .await;
    for _ in 0..20 {
        let after = get(world.address, "/who", &headers).await.ok();
        assert_eq!(after.text(), "two");
        assert_eq!(cookies(&after), [format!("stoa-instance={}", two.tag)]);
    }
}

#[tokio::test]
async fn the_clients_of_a_draining_instance_go_elsewhere() {
    check_yields(async |app| app.drain()).await;
}

#[tokio::test]
async fn the_clients_of_a_killed_instance_go_elsewhere() {
    check_yields(async |app| app.dialer.abort()).await;
}

#[tokio::test]
async fn the_clients_of_an_unready_instance_go_elsewhere() {
    check_yields(async |app| {
        app.dialer
            .announce(|announcement| announcement.environments[0].ready = false);
    })
    .await;
}

#[tokio::test]
async fn a_client_of_nobody_is_served_by_somebody() {
    let world = World::new(Plan::default()).await;
    let _apps = pair(&world).await;
    let headers = [("cookie", "stoa-instance=gone")];
    let answer = get(world.address, "/who", &headers).await.ok();
    assert_eq!(cookies(&answer).len(), 1);
}

#[tokio::test]
async fn a_cookie_of_the_application_binds_its_sessions() {
    let world = World::new(Plan {
        sticky: Sticky::Existing("JSESSIONID".into()),
        dial: dial::Config {
            spares: 4,
            ..dial::Config::default()
        },
        ..Plan::default()
    })
    .await;
    let apps = pair(&world).await;
    assert_eq!(cookies(&world.get("/who").await.ok()), [""; 0]);
    let begun = world.get("/session").await.ok();
    let owner = apps
        .iter()
        .find(|app| app.application.seen("/session").len() == 1)
        .unwrap();
    assert_eq!(cookies(&begun), [format!("JSESSIONID={}~42", owner.tag)]);
    let cookie = format!("a=1; JSESSIONID={}~42; b=2", owner.tag);
    for _ in 0..50 {
        let answer = get(world.address, "/mine", &[("cookie", &cookie)])
            .await
            .ok();
        assert_eq!(answer.text(), begun.text());
    }
    let seen = owner.application.seen("/mine");
    assert_eq!(seen.len(), 50);
    assert!(
        seen.iter()
            .all(|seen| seen.headers["cookie"] == "a=1; JSESSIONID=42; b=2")
    );
    owner.dialer.abort();
    let other = apps.iter().find(|app| app.tag != owner.tag).unwrap();
    eventually("another one answers", async || {
        let answer = get(world.address, "/mine", &[("cookie", &cookie)]).await;
        answer.text() != begun.text()
    })
    .await;
    // It does not know the session; what it makes of it is its own affair.
    let seen = other.application.seen("/mine");
    assert_eq!(seen[0].headers["cookie"], "a=1; JSESSIONID=42; b=2");
}
