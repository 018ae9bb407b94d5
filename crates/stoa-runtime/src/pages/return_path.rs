//! Where somebody goes on after signing in: a path of this server, never anything else.

use percent_encoding::percent_decode_str;

/// Longest path that is kept.
const BYTES: usize = 2048;
/// How often a path is decoded to see what somebody on the way may make of it.
const DECODINGS: usize = 3;
/// Pages that nobody wants to come back to.
const TRANSIENT: [&str; 5] = [
    "/-/sign-",
    "/-/link/",
    "/-/oidc/",
    "/-/admin/sign-",
    "/odata",
];

/// The path to go on to, or `otherwise` if what a client gives is none.
pub(super) fn or<'a>(given: Option<&'a str>, otherwise: &'a str) -> &'a str {
    given.filter(|path| is_local(path)).unwrap_or(otherwise)
}

/// Whether a browser that is sent there stays on this server, however it or a proxy reads the path.
fn is_local(path: &str) -> bool {
    let is_text = path.len() <= BYTES && path.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_text || TRANSIENT.iter().any(|page| path.starts_with(page)) {
        return false;
    }
    let mut decoded = path.to_owned();
    for _ in 0..DECODINGS {
        if !is_rooted(&decoded) {
            return false;
        }
        match percent_decode_str(&decoded).decode_utf8() {
            Ok(next) if next == decoded => return true,
            Ok(next) => decoded = next.into_owned(),
            Err(_) => return false,
        }
    }
    // Encoded again and again: nothing of ours.
    false
}

fn is_rooted(path: &str) -> bool {
    let target = path.split(['?', '#']).next().unwrap_or_default();
    path.starts_with('/')
        && !target.contains("//")
        && !target.contains('\\')
        && !path.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_this_server() {
        for path in [
            "/",
            "/orders",
            "/orders?status=Placed&next=https://example.com/",
            "/#/orders/1",
            "/a%20b",
            "/-/account",
            "/-/admin/users/1",
            "/%C3%A4",
        ] {
            assert_eq!(or(Some(path), "/home"), path);
        }
    }

    proptest::proptest! {
        #[test]
        fn a_browser_stays_on_this_server(path in r"[/\\%:?#@.a-f0-9 \t\n]{0,24}") {
            use openidconnect::url::Url;
            let base = Url::parse("https://shop.example/-/sign-in").unwrap();
            let target = base.join(or(Some(&path), "/")).unwrap();
            proptest::prop_assert_eq!(target.origin(), base.origin());
            // Also if something on the way decodes it once.
            let decoded = percent_decode_str(or(Some(&path), "/")).decode_utf8().unwrap();
            let target = base.join(&decoded).unwrap();
            proptest::prop_assert_eq!(target.origin(), base.origin());
        }
    }

    #[test]
    fn anything_else_is_not_followed() {
        for path in [
            "",
            "orders",
            "https://evil.example/",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "/ /evil.example",
            " //evil.example",
            "/%2f/evil.example",
            "/%2F%2Fevil.example",
            "%2f%2fevil.example",
            "/%5cevil.example",
            "/%5C%5Cevil.example",
            "/%255cevil.example",
            "/%25252fevil.example",
            "/%09/evil.example",
            "/%0d%0aSet-Cookie:a=b",
            "/x//evil.example",
            "/%ff",
            "/é",
            "javascript:alert(1)",
            "/-/sign-out",
            "/-/sign-in?return=/",
            "/-/link/abc",
            "/-/oidc/start",
            "/odata/Orders",
        ] {
            assert_eq!(or(Some(path), "/home"), "/home", "{path}");
        }
        assert_eq!(or(None, "/home"), "/home");
        assert_eq!(
            or(Some(&format!("/{}", "a".repeat(3000))), "/home"),
            "/home"
        );
    }
}
