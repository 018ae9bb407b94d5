//! Signing in with a real provider, and everything that must not work.

use std::path::Path;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;
use stoa_runtime::identity::{Means, NewUser};
use stoa_runtime::pages::{Pages, Theme};
use stoa_runtime::single_sign_on::{Settings, SingleSignOn};

use crate::browser::{Browser, HOST, Page, unescaped};
use crate::provider::Provider;
use crate::site::{Site, by};

const SECRET: &str =
    "client_id = \"stoa\"\nclient_secret = \"secret of the client, long enough for a key\"\n";
const ROLES: &str = "roles_claim = \"groups\"\nroles = { sales = \"Sales\", boss = \"Manager\" }\n";

struct Both {
    site: Site,
    provider: Provider,
}

impl Both {
    /// A server and its provider. `more` stands in the settings of the provider.
    async fn new(claims_in: &str, more: &str) -> Self {
        let mut site = Site::new().await;
        let provider = Provider::start(&format!("http://{HOST}"), claims_in);
        site.pages = pages(&site, &provider, more);
        Self { site, provider }
    }

    async fn start(&self, browser: &Browser<'_>, query: &str) -> String {
        let page = browser
            .get(&format!("/-/oidc/start?provider=company{query}"))
            .await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        page.location().to_owned()
    }

    /// There and back; gives the path and query of the way back.
    async fn go(&self, browser: &Browser<'_>, query: &str, name: &str) -> String {
        let address = self.start(browser, query).await;
        self.at_provider(&address, name).await
    }

    async fn at_provider(&self, address: &str, name: &str) -> String {
        let back = self.provider.sign_in(address, name).await.unwrap();
        back.strip_prefix(&format!("http://{HOST}"))
            .unwrap_or_else(|| panic!("{back}"))
            .to_owned()
    }

    async fn sign_in(&self, browser: &Browser<'_>, name: &str) -> Page {
        let back = self.go(browser, "", name).await;
        browser.get(&back).await
    }
}

fn sign_on(provider: &Provider, more: &str) -> Arc<SingleSignOn> {
    let client = if more.contains("client_id") {
        ""
    } else {
        SECRET
    };
    let text = format!(
        "[[provider]]\nname = \"company\"\nlabel = \"The Company\"\nissuer = \"{}\"\n{client}{more}",
        provider.issuer
    );
    let roles = ["Sales", "Manager"];
    match Settings::from_text("sign-in.toml", &text, Path::new(""), &roles, &|_| None) {
        Ok(settings) => SingleSignOn::new(settings).unwrap(),
        Err(faults) => panic!("{faults}"),
    }
}

fn pages(site: &Site, provider: &Provider, more: &str) -> Pages {
    Pages::new("Shop", Theme::default(), site.identity.clone())
        .with_single_sign_on(sign_on(provider, more))
}

/// Another value for an option of a URL.
fn with(url: &str, name: &str, value: &str) -> String {
    let (before, query) = url.split_once('?').unwrap();
    let mut changed = form_urlencoded::Serializer::new(String::new());
    for (given, old) in form_urlencoded::parse(query.as_bytes()) {
        changed.append_pair(&given, if given == name { value } else { &old });
    }
    format!("{before}?{}", changed.finish())
}

#[tokio::test]
async fn somebody_is_created_and_roles_follow_the_claims() {
    for claims_in in ["token", "userinfo"] {
        let both = Both::new(claims_in, &format!("create_users = true\n{ROLES}")).await;
        both.provider
            .claims(
                "ada",
                &json!({"groups": ["sales", "other"], "email": "ada@example.com"}),
            )
            .await;
        let browser = Browser::new(&both.site.pages);
        let page = browser.get("/-/sign-in?return=/orders").await;
        assert!(page.has("Sign in with The Company"));
        let back = both.go(&browser, "&return=/orders", "ada").await;
        let page = browser.get(&back).await;
        assert_eq!(
            (page.status, page.location()),
            (StatusCode::SEE_OTHER, "/orders"),
            "{}",
            page.text
        );
        assert!(
            browser
                .cookies
                .lock()
                .unwrap()
                .keys()
                .all(|name| !name.contains("oidc"))
        );
        assert!(browser.get("/-/account").await.has("ada of the company"));
        let ada = both.site.identity.user_by_name("ada").await.unwrap();
        assert_eq!(ada.roles, ["Sales"], "{claims_in}");
        assert!(!ada.has_password);

        both.provider
            .claims("ada", &json!({"groups": ["boss"]}))
            .await;
        let again = Browser::new(&both.site.pages);
        assert_eq!(
            both.sign_in(&again, "ada").await.status,
            StatusCode::SEE_OTHER
        );
        let ada = both.site.identity.user_by_name("ada").await.unwrap();
        assert_eq!(ada.roles, ["Manager"], "{claims_in}");
        both.provider.claims("ada", &json!({})).await;
        both.sign_in(&Browser::new(&both.site.pages), "ada").await;
        let ada = both.site.identity.user_by_name("ada").await.unwrap();
        assert!(ada.roles.is_empty(), "{claims_in}");
    }
}

#[tokio::test]
async fn only_people_who_are_known_are_let_in() {
    let both = Both::new("token", "").await;
    let browser = Browser::new(&both.site.pages);
    let page = both.sign_in(&browser, "ada").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.has("You are not known here"));
    assert_eq!(browser.cookie("stoa"), None);
    // Nor does a name alone make somebody the same person.
    let new = NewUser {
        name: "ada".to_owned(),
        ..NewUser::default()
    };
    both.site.identity.add_user(new, &by()).await.unwrap();
    let page = both.sign_in(&browser, "ada").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    let matching = pages(&both.site, &both.provider, "match_names = true\n");
    let browser = Browser::new(&matching);
    let page = both.sign_in(&browser, "ada").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
    // From now on they are known, also where names do not matter.
    let page = both.sign_in(&Browser::new(&both.site.pages), "ada").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn what_does_not_belong_to_the_flow_is_refused() {
    let both = Both::new("token", "create_users = true\n").await;
    let refused = async |browser: &Browser<'_>, back: &str, why: &str| {
        let page = browser.get(back).await;
        assert!(page.status.is_client_error(), "{why}: {}", page.status);
        assert_eq!(browser.cookie("stoa"), None, "{why}");
    };
    let browser = Browser::new(&both.site.pages);
    let back = both.go(&browser, "", "ada").await;
    refused(&Browser::new(&both.site.pages), &back, "another browser").await;
    refused(
        &browser,
        &with(&back, "state", "12345678901234567890"),
        "another state",
    )
    .await;
    let state = form_urlencoded::parse(back.split_once('?').unwrap().1.as_bytes())
        .find(|(name, _)| name == "state")
        .unwrap()
        .1
        .into_owned();
    let near = format!("{}x", &state[..state.len() - 1]);
    refused(
        &browser,
        &with(&back, "state", &near),
        "a state with the same beginning",
    )
    .await;
    let jar = browser.cookies.lock().unwrap().clone();
    refused(
        &browser,
        &with(&back, "iss", "https://evil.example"),
        "another issuer",
    )
    .await;
    refused(&browser, &back, "a flow that has been used").await;
    *browser.cookies.lock().unwrap() = jar.clone();
    refused(&browser, &with(&back, "code", "another"), "another code").await;

    // Bent on the way there: the ID token has another nonce, the verifier does not fit.
    for (name, value) in [
        ("nonce", "another"),
        (
            "code_challenge",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        ),
    ] {
        let address = with(&both.start(&browser, "").await, name, value);
        let back = both.at_provider(&address, "ada").await;
        refused(&browser, &back, name).await;
    }

    // A code works once, whoever has the cookies.
    let back = both.go(&browser, "", "ada").await;
    let jar = browser.cookies.lock().unwrap().clone();
    assert_eq!(browser.get(&back).await.status, StatusCode::SEE_OTHER);
    let thief = Browser::new(&both.site.pages);
    *thief.cookies.lock().unwrap() = jar;
    refused(&thief, &back, "a replayed code").await;

    // The provider's refusal is no way in either.
    let browser = Browser::new(&both.site.pages);
    let back = both.go(&browser, "", "ada").await;
    refused(
        &browser,
        &format!("{}&error=access_denied", back.replace("code=", "x=")),
        "refusal",
    )
    .await;
}

#[tokio::test]
async fn any_instance_finishes_what_another_one_began() {
    let both = Both::new("token", "create_users = true\n").await;
    let browser = Browser::new(&both.site.pages);
    let back = both.go(&browser, "", "ada").await;
    let other = pages(&both.site, &both.provider, "create_users = true\n");
    let elsewhere = Browser::new(&other);
    *elsewhere.cookies.lock().unwrap() = browser.cookies.lock().unwrap().clone();
    assert_eq!(elsewhere.get(&back).await.status, StatusCode::SEE_OTHER);
    // With other settings the cookie is worth nothing.
    let back = both.go(&browser, "", "ada").await;
    let other = pages(
        &both.site,
        &both.provider,
        "client_id = \"stoa\"\nclient_secret = \"another\"\n",
    );
    let elsewhere = Browser::new(&other);
    *elsewhere.cookies.lock().unwrap() = browser.cookies.lock().unwrap().clone();
    assert_eq!(elsewhere.get(&back).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn keys_may_change() {
    let both = Both::new("token", "create_users = true\n").await;
    let signs_in = async || {
        let browser = Browser::new(&both.site.pages);
        both.sign_in(&browser, "ada").await.status
    };
    assert_eq!(signs_in().await, StatusCode::SEE_OTHER);
    both.provider.knob("rotate").await;
    assert_eq!(
        signs_in().await,
        StatusCode::SEE_OTHER,
        "newer keys are fetched"
    );
    both.provider.knob("rotate").await;
    assert_eq!(
        signs_in().await,
        StatusCode::FORBIDDEN,
        "but not all the time"
    );
}

#[tokio::test]
async fn every_kind_of_signature() {
    for algorithm in ["PS256", "ES256", "EdDSA"] {
        let mut both = Both::new("token", "").await;
        both.provider
            .knob(&format!("rotate?algorithm={algorithm}"))
            .await;
        both.site.pages = pages(&both.site, &both.provider, "create_users = true\n");
        let browser = Browser::new(&both.site.pages);
        let page = both.sign_in(&browser, "ada").await;
        assert_eq!(
            page.status,
            StatusCode::SEE_OTHER,
            "{algorithm}: {}",
            page.text
        );
    }
}

#[tokio::test]
async fn every_way_to_say_who_the_server_is() {
    let secret = "client_secret = \"secret of the client, long enough for a key\"\n";
    for (method, client, secret) in [
        ("client_secret_basic", "stoa", secret),
        ("client_secret_post", "stoa", secret),
        ("client_secret_basic", "stoa-public", ""),
    ] {
        let more = format!("client_id = \"{client}\"\n{secret}create_users = true\n");
        let both = Both::new("token", &more).await;
        both.provider.knob(&format!("rotate?method={method}")).await;
        let browser = Browser::new(&both.site.pages);
        let page = both.sign_in(&browser, "ada").await;
        assert_eq!(
            page.status,
            StatusCode::SEE_OTHER,
            "{method} {client}: {}",
            page.text
        );
    }
    let wrong = "client_id = \"stoa\"\nclient_secret = \"wrong\"\ncreate_users = true\n";
    let both = Both::new("token", wrong).await;
    let browser = Browser::new(&both.site.pages);
    let page = both.sign_in(&browser, "ada").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(!page.has("invalid_client"), "causes are for the log");
}

#[tokio::test]
async fn signing_out_goes_on_to_the_provider() {
    let both = Both::new("token", "create_users = true\n").await;
    let browser = Browser::new(&both.site.pages);
    assert_eq!(
        both.sign_in(&browser, "ada").await.status,
        StatusCode::SEE_OTHER
    );
    let page = browser.fill("/-/account", "/-/sign-out", &[]).await;
    assert_eq!(browser.cookie("stoa"), None);
    let mark = "http-equiv=\"refresh\" content=\"0; url=";
    let at = page
        .text
        .find(mark)
        .unwrap_or_else(|| panic!("{}", page.text));
    let address = page.text[at + mark.len()..].split('"').next().unwrap();
    let address = unescaped(address);
    assert!(
        address.starts_with(&both.provider.issuer) && address.contains("id_token_hint="),
        "{address}"
    );
    let back = both.provider.sign_out(&address).await;
    assert!(
        back.starts_with(&format!("http://{HOST}/-/sign-out")),
        "{back}"
    );
    assert!(browser.get("/-/sign-out").await.has("You are signed out"));
    // The provider asks again who somebody is: another person may answer.
    let page = both.sign_in(&browser, "bob").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert!(browser.get("/-/account").await.has("bob of the company"));
}

#[tokio::test]
async fn administrators_are_named_by_their_claim() {
    let more = "administrators_claim = \"groups\"\nadministrators = [\"it\"]\n";
    let both = Both::new("token", more).await;
    both.site.add_administrator("root").await;
    let browser = Browser::new(&both.site.pages);
    assert!(
        browser
            .get("/-/admin/sign-in")
            .await
            .has("Sign in with The Company")
    );
    let query = "&for=administration";
    let back = both.go(&browser, query, "root").await;
    assert_eq!(
        browser.get(&back).await.status,
        StatusCode::FORBIDDEN,
        "without the claim"
    );
    both.provider
        .claims("root", &json!({"groups": ["it"]}))
        .await;
    let back = both.go(&browser, query, "root").await;
    let page = browser.get(&back).await;
    assert_eq!(page.location(), "/-/admin/", "{}", page.text);
    assert!(browser.get("/-/admin/").await.has("Users"));
    assert_eq!(browser.cookie("stoa"), None);
    // The claim alone makes nobody an administrator.
    let other = Both::new("token", more).await;
    other
        .provider
        .claims("eve", &json!({"groups": ["it"]}))
        .await;
    let browser = Browser::new(&other.site.pages);
    let back = other.go(&browser, query, "eve").await;
    assert_eq!(browser.get(&back).await.status, StatusCode::FORBIDDEN);
    // A provider without the setting is none for administrators.
    let plain = Both::new("token", "").await;
    let browser = Browser::new(&plain.site.pages);
    let page = browser
        .get("/-/oidc/start?provider=company&for=administration")
        .await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_provider_that_is_away_is_said_so() {
    let both = Both::new("token", "create_users = true\ntimeout_seconds = 1\n").await;
    both.provider.knob("away?away=yes").await;
    let browser = Browser::new(&both.site.pages);
    let page = browser.get("/-/oidc/start?provider=company").await;
    assert_eq!(page.status, StatusCode::BAD_GATEWAY);
    assert!(page.has("does not answer") && !page.has(&both.provider.issuer));
    // Who knows the provider already still gets as far as to its door.
    both.provider.knob("away?away=no").await;
    let again = pages(&both.site, &both.provider, "create_users = true\n");
    let browser = Browser::new(&again);
    let back = both.go(&browser, "", "ada").await;
    both.provider.knob("away?away=yes").await;
    let page = browser.get("/-/oidc/start?provider=company").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    let page = browser.get(&back).await;
    assert!(page.status.is_server_error() || page.status == StatusCode::FORBIDDEN);
    assert_eq!(browser.cookie("stoa"), None);
}

#[tokio::test]
async fn programs_come_with_access_tokens() {
    let audience = "https://shop.example/odata";
    let more = format!("create_users = true\napi_audience = [\"{audience}\"]\n{ROLES}");
    let both = Both::new("token", "").await;
    both.site
        .identity
        .accept_access_tokens(sign_on(&both.provider, &more));
    both.provider
        .claims("report", &json!({"groups": ["sales"]}))
        .await;
    let caller = async |token: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static(HOST));
        let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        headers.insert("authorization", value);
        both.site.identity.caller(&headers, None).await
    };
    let token = both.provider.access_token(audience).await;
    for _ in 0..2 {
        let caller = caller(&token).await.unwrap();
        assert_eq!(
            (&*caller.name, caller.means),
            ("report", Means::AccessToken)
        );
        assert_eq!(caller.roles.len(), 1);
    }
    let foreign = both.provider.access_token("https://other.example").await;
    assert!(caller(&foreign).await.is_err(), "another audience");
    let (message, signature) = token.rsplit_once('.').unwrap();
    let mut bent = signature.to_owned().into_bytes();
    bent[10] = if bent[10] == b'A' { b'B' } else { b'A' };
    let bent = format!("{message}.{}", String::from_utf8(bent).unwrap());
    assert!(caller(&bent).await.is_err(), "another signature");
    let mut parts: Vec<&str> = token.split('.').collect();
    let other: Vec<String> = foreign.split('.').map(str::to_owned).collect();
    parts[1] = &other[1];
    assert!(caller(&parts.join(".")).await.is_err(), "other claims");
    parts = token.split('.').collect();
    parts[2] = "";
    assert!(caller(&parts.join(".")).await.is_err(), "no signature");
    both.provider.knob("rotate?algorithm=ES256").await;
    let newer = both.provider.access_token(audience).await;
    assert!(caller(&newer).await.is_ok(), "newer keys are fetched");
}
