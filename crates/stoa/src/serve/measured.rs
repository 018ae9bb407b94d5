//! What a web server counts, for the page of metrics.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use stoa_link::accept::{Instances, Presence};
use stoa_web::Body;
use stoa_web::access_log::AccessLog;
use stoa_web::tier::{EnvironmentStatus, Standing, Tier};

use super::application::Application;
use super::certificates::Certificates;

/// A web server's tier, measured.
pub(crate) struct Measured {
    pub(crate) tier: Arc<Tier<Application>>,
    pub(crate) instances: Arc<Instances<Body>>,
    pub(crate) log: Option<AccessLog>,
    pub(crate) certificates: Option<Arc<Certificates>>,
}

impl std::fmt::Debug for Measured {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Measured")
    }
}

type Read = fn(&EnvironmentStatus) -> u64;

const COUNTERS: [(&str, &str, Read); 4] = [
    (
        "stoa_environment_requests",
        "Requests for an environment.",
        |status| status.requests,
    ),
    (
        "stoa_environment_repeats",
        "Requests that were sent again because an instance did not answer.",
        |status| status.repeated,
    ),
    (
        "stoa_environment_failures",
        "Requests that no instance answered, and that must not be sent again.",
        |status| status.failed,
    ),
    (
        "stoa_environment_refusals",
        "Requests that no instance had room for, or could answer in time.",
        |status| status.refused,
    ),
];

impl Collector for Measured {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        if let Some(certificates) = &self.certificates {
            certificates.encode(&mut encoder)?;
        }
        let environments = self.tier.status();
        for (name, help, read) in COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for status in &environments {
                let labels = [("environment", status.name.as_str())];
                family
                    .encode_family(&labels)?
                    .encode_counter::<NoLabelSet, _, f64>(&read(status), None)?;
            }
        }
        let mut family = encoder.encode_descriptor(
            "stoa_environment_instances_ready",
            "Instances of an environment that are asked.",
            None,
            MetricType::Gauge,
        )?;
        for status in &environments {
            let ready = status
                .targets
                .iter()
                .filter(|target| target.standing == Standing::Ready)
                .count();
            let labels = [("environment", status.name.as_str())];
            family
                .encode_family(&labels)?
                .encode_gauge(&number(ready))?;
        }
        let present = self.instances.present();
        let attached = present
            .iter()
            .filter(|instance| instance.presence() == Presence::Attached)
            .count();
        for (name, help, value) in [
            (
                "stoa_instances_attached",
                "Instances that have dialled this server and are heard.",
                attached,
            ),
            (
                "stoa_link_requests_in_flight",
                "Requests that instances work on for this server.",
                present.iter().map(|instance| instance.in_flight()).sum(),
            ),
        ] {
            encoder
                .encode_descriptor(name, help, None, MetricType::Gauge)?
                .encode_gauge(&number(value))?;
        }
        encoder
            .encode_descriptor(
                "stoa_access_log_lines_dropped",
                "Lines that the access log could not take.",
                None,
                MetricType::Counter,
            )?
            .encode_counter::<NoLabelSet, _, f64>(
                &self.log.as_ref().map_or(0, AccessLog::dropped),
                None,
            )
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
