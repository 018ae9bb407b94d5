//! From the host of a request to an environment.

use foldhash::HashMap;

use crate::host_name;

/// A host name that cannot be routed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Not a host name.
    #[error("`{0}` is no host name")]
    Invalid(String),
    /// Two environments have it.
    #[error("the host name `{0}` belongs to two environments")]
    Twice(String),
}

/// Host names and their environments, by place in the list given. Clients ask for names, but only the site says which
/// there are: a quick hash will do.
#[derive(Debug, Default)]
pub(super) struct Routes {
    exact: HashMap<Box<[u8]>, usize>,
    /// By what follows the first label, with its dot.
    wildcards: HashMap<Box<[u8]>, usize>,
    /// The environment with the host `*`.
    any: Option<usize>,
}

impl Routes {
    pub(super) fn new<'a>(
        environments: impl Iterator<Item = &'a [String]>,
    ) -> Result<Self, RouteError> {
        let mut routes = Self::default();
        for (place, hosts) in environments.enumerate() {
            for host in hosts {
                let lower = host.to_ascii_lowercase();
                let twice = if lower == "*" {
                    routes.any.replace(place).is_some()
                } else if let Some(rest) = lower.strip_prefix('*') {
                    let is_valid =
                        rest.starts_with('.') && host_name::is_valid(&rest.as_bytes()[1..]);
                    if !is_valid {
                        return Err(RouteError::Invalid(host.clone()));
                    }
                    routes
                        .wildcards
                        .insert(rest.as_bytes().into(), place)
                        .is_some()
                } else {
                    let bare = host_name::without_port(&lower).map(str::len);
                    if !host_name::is_valid(lower.as_bytes()) || bare != Some(lower.len()) {
                        return Err(RouteError::Invalid(host.clone()));
                    }
                    routes
                        .exact
                        .insert(lower.as_bytes().into(), place)
                        .is_some()
                };
                if twice {
                    return Err(RouteError::Twice(host.clone()));
                }
            }
        }
        Ok(routes)
    }

    /// The environment for the value of a request's `Host`.
    pub(super) fn find(&self, host: &[u8]) -> Option<usize> {
        let bare = without_port(host);
        let bare = bare.strip_suffix(b".").unwrap_or(bare);
        // Browsers send lower case: nothing is to be copied.
        if bare.iter().any(u8::is_ascii_uppercase) {
            self.find_lower(&bare.to_ascii_lowercase())
        } else {
            self.find_lower(bare)
        }
    }

    fn find_lower(&self, host: &[u8]) -> Option<usize> {
        if let Some(place) = self.exact.get(host) {
            return Some(*place);
        }
        let dot = host.iter().position(|byte| *byte == b'.');
        if let Some(dot) = dot
            && dot > 0
            && let Some(place) = self.wildcards.get(&host[dot..])
        {
            return Some(*place);
        }
        self.any
    }
}

/// Cuts off a port; the host was judged when it came.
fn without_port(host: &[u8]) -> &[u8] {
    match host.iter().rposition(|byte| *byte == b':') {
        Some(colon) if !host[colon..].contains(&b']') => &host[..colon],
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(environments: &[&[&str]]) -> Result<Routes, RouteError> {
        let environments: Vec<Vec<String>> = environments
            .iter()
            .map(|hosts| hosts.iter().map(ToString::to_string).collect())
            .collect();
        Routes::new(environments.iter().map(Vec::as_slice))
    }

    #[test]
    fn the_exact_name_wins_then_the_wildcard_then_any() {
        let routes = routes(&[
            &["shop.example.com", "Shop.Example.ORG"],
            &["*.example.com"],
            &["*"],
            &["[2001:db8::1]"],
        ])
        .unwrap();
        for (host, place) in [
            ("shop.example.com", 0),
            ("SHOP.example.com:8443", 0),
            ("shop.example.com.", 0),
            ("shop.example.org", 0),
            ("test.example.com", 1),
            ("a.test.example.com", 2),
            ("example.com", 2),
            (".example.com", 2),
            ("[2001:db8::1]:443", 3),
            ("[2001:db8::1]", 3),
        ] {
            assert_eq!(routes.find(host.as_bytes()), Some(place), "{host}");
        }
    }

    #[test]
    fn unknown_hosts_have_no_environment() {
        let routes = routes(&[&["shop.example.com"]]).unwrap();
        for host in [
            "",
            "example.com",
            "shop.example.com.evil",
            "xshop.example.com",
        ] {
            assert_eq!(routes.find(host.as_bytes()), None, "{host}");
        }
    }

    #[test]
    fn a_name_belongs_to_one_environment() {
        let twice = routes(&[&["a.example"], &["A.example"]]);
        assert_eq!(twice.unwrap_err(), RouteError::Twice("A.example".into()));
        for host in ["*example", "a b", "*.", "a.example:80"] {
            let invalid = routes(&[&[host]]);
            assert_eq!(invalid.unwrap_err(), RouteError::Invalid(host.into()));
        }
    }
}
