//! API2, API6: who is a user here, and what is their password.

use std::time::{Duration, Instant};

use crate::world::{PASSWORD, World, hidden_token};

/// Unknown, disabled, without a password, wrong password: the same answer.
#[tokio::test]
async fn answers_do_not_tell_who_exists() {
    let world = World::new().await;
    world.run(&["user", "add", "nora", "--no-password"], "");
    world.add_user("dora", &["Clerk"], &[]);
    world.run(&["user", "disable", "dora"], "");
    let mut answers = Vec::new();
    for (name, password) in [
        ("cleo", "not the password"),
        ("nobody-here", "not the password"),
        ("nora", "not the password"),
        ("dora", PASSWORD),
        ("admin", "not the password"),
        ("cleo\u{0}", "not the password"),
        ("' or 1=1 --", "not the password"),
    ] {
        let mut browser = world.browser();
        let answer = browser.sign_in("/-/sign-in", name, password).await;
        assert_eq!(browser.cookie("stoa"), None, "{name}");
        let text = answer.text();
        let token = hidden_token(&text).unwrap_or_default();
        let shown = name
            .replace('&', "&amp;")
            .replace('\'', "&#x27;")
            .replace('<', "&lt;");
        let headers: Vec<String> = answer
            .headers
            .keys()
            .map(|name| name.as_str().to_owned())
            .filter(|name| name != "set-cookie" && name != "content-length")
            .collect();
        let text = text.replace(&token, "TOKEN");
        // The name given is shown again, and that is all that differs.
        let text: String = text
            .lines()
            .filter(|line| !line.contains("name=\"name\""))
            .collect::<Vec<_>>()
            .join("\n")
            .replace(&shown, "NAME");
        answers.push((name, answer.status, headers, text));
    }
    let (_, status, headers, text) = answers[0].clone();
    assert_eq!(status, 403);
    for (name, other_status, other_headers, other_text) in &answers[1..] {
        assert_eq!((other_status, other_headers), (&status, &headers), "{name}");
        assert_eq!(other_text, &text, "{name}");
    }
}

/// The same work for whoever is asked for: the shortest of interleaved attempts lie close together.
#[tokio::test]
async fn times_do_not_tell_who_exists() {
    const ROUNDS: usize = 7;
    let world = World::new().await;
    let mut times: [Vec<Duration>; 2] = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for (times, name) in times.iter_mut().zip(["cleo", "nobody-here"]) {
            let mut browser = world.browser();
            let token = hidden_token(&browser.get("/-/sign-in").await.text()).unwrap();
            let password = format!("wrong {round}");
            let fields = [
                ("token", token.as_str()),
                ("name", name),
                ("password", &password),
            ];
            let start = Instant::now();
            let answer = browser
                .bare_form("/-/sign-in", &fields, &[("Sec-Fetch-Site", "same-origin")])
                .await;
            times.push(start.elapsed());
            assert!(matches!(answer.status, 403 | 429), "{}", answer.text());
            if answer.status == 429 {
                // Throttled alike: what was measured so far counts.
                times.pop();
            }
        }
    }
    // Whatever else the machine does only adds time: the shortest counts.
    let [known, unknown] = times.map(|times| {
        assert!(
            times.len() >= 3,
            "too few attempts were answered: {times:?}"
        );
        times.into_iter().min().unwrap()
    });
    // A hash costs tens of milliseconds; leaving it out would be a factor of ten and more.
    let ratio = known.as_secs_f64() / unknown.as_secs_f64();
    assert!(
        (0.5..2.0).contains(&ratio),
        "known {known:?}, unknown {unknown:?}"
    );
}

/// Guessing is slowed down, and cannot be used to keep somebody out: whoever has signed in on a device before
/// gets in there.
#[tokio::test]
async fn guessing_is_throttled_and_locks_nobody_out() {
    let world = World::new().await;
    let mut known = world.signed_in("cleo").await;
    known.cookies.retain(|(name, _)| name != "stoa");
    let mut throttled = false;
    for attempt in 0..40 {
        let mut attacker = world.browser();
        let answer = attacker
            .sign_in("/-/sign-in", "cleo", &format!("guess {attempt}"))
            .await;
        if answer.status == 429 {
            assert!(answer.header("retry-after").is_some());
            throttled = true;
            break;
        }
        assert_eq!(answer.status, 403);
    }
    assert!(throttled, "forty wrong guesses in a row were all looked at");
    let answer = known.sign_in("/-/sign-in", "cleo", PASSWORD).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
}

#[tokio::test]
async fn weak_passwords_are_refused() {
    let world = World::new().await;
    for password in [
        "password",
        "12345678",
        "qwertyuiop",
        "bankbank1",
        "cleo2024",
    ] {
        let output = world.command(
            &["user", "set-password", "cleo", "--password-stdin"],
            password,
        );
        assert_eq!(output.status.code(), Some(65), "{password}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.starts_with("error: "), "{error}");
    }
    world.signed_in("cleo").await;
}
