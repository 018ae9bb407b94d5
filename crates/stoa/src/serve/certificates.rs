//! The certificates of a web server, as its operator sees them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use serde_json::{Value, json};
use stoa_web::acme::{Acme, Trouble};
use stoa_web::tls::{Certificate, Tls};

use crate::commands::listing::instant_of;

/// Those that are shown to browsers, and who obtains them.
#[derive(Debug)]
pub(crate) struct Certificates {
    pub(crate) tls: Arc<Tls>,
    pub(crate) acme: Option<Arc<Acme>>,
}

struct Shown {
    names: Vec<String>,
    /// None: there is no certificate yet.
    expires: Option<SystemTime>,
    is_obtained: bool,
    trouble: Option<Trouble>,
}

impl Certificates {
    fn all(&self) -> Vec<Shown> {
        let in_use = self.tls.certificates();
        let acme = self.acme.as_ref();
        let files = acme.map_or(BTreeMap::new(), |acme| acme.files());
        let obtained: BTreeSet<&Path> = files.values().map(PathBuf::as_path).collect();
        let is_given =
            |certificate: &&Arc<Certificate>| !obtained.contains(certificate.files.chain.as_path());
        let given = in_use.iter().filter(is_given).map(|certificate| Shown {
            names: certificate.names.clone(),
            expires: Some(certificate.expires),
            is_obtained: false,
            trouble: None,
        });
        let mut shown: Vec<_> = given.collect();
        let expiries: HashMap<&Path, SystemTime> = in_use
            .iter()
            .map(|certificate| (certificate.files.chain.as_path(), certificate.expires))
            .collect();
        let mut troubles = acme.map_or(BTreeMap::new(), |acme| acme.troubles());
        shown.extend(files.iter().map(|(host, file)| Shown {
            names: vec![host.clone()],
            expires: expiries.get(file.as_path()).copied(),
            is_obtained: true,
            trouble: troubles.remove(host),
        }));
        shown
    }

    /// As `stoa status --json` prints them.
    pub(super) fn status(&self) -> Vec<Value> {
        let now = SystemTime::now();
        let days = |expires: SystemTime| {
            let left = expires.duration_since(now).ok();
            left.map(|left| left.as_secs() / (24 * 3600))
        };
        self.all()
            .into_iter()
            .map(|shown| {
                let trouble = shown.trouble.as_ref();
                json!({
                    "names": shown.names,
                    "from": if shown.is_obtained { "authority" } else { "file" },
                    "expires": shown.expires.map(instant_of),
                    "days_left": shown.expires.and_then(days),
                    "problem": trouble.map(|trouble| &trouble.reason),
                    "failures": trouble.map_or(0, |trouble| trouble.failures),
                    "next_try": trouble.map(|trouble| instant_of(trouble.next)),
                })
            })
            .collect()
    }

    /// For the page of metrics, by host name; of several for one name, the worst.
    pub(super) fn encode(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
    ) -> Result<(), std::fmt::Error> {
        let mut expiries: BTreeMap<String, i64> = BTreeMap::new();
        let mut failures = BTreeMap::new();
        for shown in self.all() {
            let expires = shown.expires.map_or(0, seconds);
            let failed = shown
                .trouble
                .map_or(0, |trouble| i64::from(trouble.failures));
            for name in shown.names {
                if shown.is_obtained {
                    failures.insert(name.clone(), failed);
                }
                let soonest = expiries.entry(name).or_insert(expires);
                *soonest = expires.min(*soonest);
            }
        }
        for (name, help, values) in [
            (
                "stoa_certificate_expiry_timestamp_seconds",
                "When the certificate of a host name ends, since 1970; 0 if there is none.",
                expiries,
            ),
            (
                "stoa_certificate_failures",
                "Tries in a row to obtain a certificate that have failed.",
                failures,
            ),
        ] {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (host, value) in &values {
                let labels = [("name", host.as_str())];
                family.encode_family(&labels)?.encode_gauge(value)?;
            }
        }
        Ok(())
    }
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
