//! Those who serve an environment: which may be asked, and which one is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::{HeaderValue, Request};
use rand::RngExt as _;
use stoa_link::accept::{Instance, Presence};
use stoa_link::announcement::{Environment, State};

use super::{Answerer, Config, LINK_PATHS, Local};
use crate::body::Body;
use crate::upstream::Upstream;

/// Longest ejection.
const LONGEST_EJECTION: Duration = Duration::from_secs(60);
/// Longest wait for the answer to a probe.
const PROBE: Duration = Duration::from_secs(2);
/// Time between two looks whether an instance still lives that a connection leads to which became something else.
const LOOK: Duration = Duration::from_secs(2);
/// How long somebody who has gone is expected to come back.
const EXPECTED: Duration = Duration::from_secs(15);
/// Share of its weight with which a new instance begins.
const FIRST_SHARE: f64 = 0.1;

/// Header that names the environment on a link.
pub(super) const ENVIRONMENT: http::HeaderName =
    http::HeaderName::from_static("x-stoa-environment");

/// Whether somebody may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is asked.
    Ready,
    /// It had too many faults in a row: asked when there is no other, and when a probe says that it is well.
    Ejected,
    /// It is not heard: asked when there is no other.
    Silent,
    /// It serves the environment, but cannot at present.
    Unready,
    /// It finishes what it has begun.
    Draining,
}

/// Somebody who serves an environment.
pub(super) struct Target<L> {
    /// What a client is given to come back; empty while it is not known.
    pub(super) tag: Arc<str>,
    pub(super) via: Via<L>,
    weight: u32,
    since: Instant,
    /// Requests that the link does not count: those in this process, and what became something else.
    in_flight: AtomicUsize,
    faults: AtomicU32,
    ejections: AtomicU32,
    /// Milliseconds after `since` until which it is ejected; zero: it is not.
    ejected_until: AtomicU64,
}

/// How it is asked.
pub(super) enum Via<L> {
    Local(Arc<L>),
    Upstream(Arc<Upstream>),
    Link(Arc<Instance<Body>>),
}

/// A request that a target works on, and its link does not count.
pub(super) struct InFlight<L>(Arc<Target<L>>);

impl<L> InFlight<L> {
    pub(super) fn new(target: &Arc<Target<L>>) -> Self {
        target.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(target))
    }
}

impl<L> Drop for InFlight<L> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<L> Target<L> {
    pub(super) fn local(local: Local<L>) -> Self {
        let via = match local.answerer {
            Answerer::Own(handler) => Via::Local(handler),
            Answerer::Foreign(upstream) => Via::Upstream(upstream),
        };
        Self::new(local.tag.into(), via, local.capacity, Instant::now())
    }

    fn new(tag: Arc<str>, via: Via<L>, weight: u32, since: Instant) -> Self {
        Self {
            tag,
            via,
            weight: weight.max(1),
            since,
            in_flight: AtomicUsize::new(0),
            faults: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        let here = self.in_flight.load(Ordering::Relaxed);
        match &self.via {
            Via::Local(_) | Via::Upstream(_) => here,
            Via::Link(instance) => here + instance.in_flight(),
        }
    }

    /// Ends when it is known that the instance does not live any more.
    pub(super) async fn is_gone(&self) {
        let mut look = tokio::time::interval(LOOK);
        loop {
            look.tick().await;
            if let Via::Link(instance) = &self.via
                && instance.presence() == Presence::Gone
            {
                return;
            }
        }
    }

    /// Whether it was seen to leave, maybe after it was chosen.
    pub(super) fn is_leaving(&self) -> bool {
        matches!(&self.via, Via::Link(instance) if instance.announcement().state == State::Draining)
    }

    fn is(&self, instance: &Arc<Instance<Body>>) -> bool {
        matches!(&self.via, Via::Link(known) if Arc::ptr_eq(known, instance))
    }

    /// The less, the sooner it is asked.
    fn load(&self, slow_start: Duration) -> f64 {
        let age = self.since.elapsed().as_secs_f64();
        let share = (age / slow_start.as_secs_f64().max(0.001)).clamp(FIRST_SHARE, 1.0);
        let in_flight = u32::try_from(self.in_flight()).unwrap_or(u32::MAX);
        (f64::from(in_flight) + 1.0) / (f64::from(self.weight) * share)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_ejected(&self) -> bool {
        self.ejected_until.load(Ordering::Relaxed) != 0
    }

    fn standing(&self, environment: &str) -> Standing {
        let instance = match &self.via {
            Via::Local(_) => return Standing::Ready,
            Via::Upstream(upstream) if !upstream.is_well() => return Standing::Unready,
            Via::Upstream(_) if self.is_ejected() => return Standing::Ejected,
            Via::Upstream(_) => return Standing::Ready,
            Via::Link(instance) => instance,
        };
        let announcement = instance.announcement();
        let served = announcement
            .environments
            .iter()
            .find(|served| served.name == environment);
        if announcement.state == State::Draining {
            Standing::Draining
        } else if announcement.state == State::Starting
            || !served.is_some_and(|served| served.ready)
        {
            Standing::Unready
        } else if instance.presence() != Presence::Attached {
            Standing::Silent
        } else if self.is_ejected() {
            Standing::Ejected
        } else {
            Standing::Ready
        }
    }

    /// It has answered.
    pub(super) fn note_success(&self) {
        if self.faults.load(Ordering::Relaxed) != 0 {
            self.faults.store(0, Ordering::Relaxed);
        }
    }

    /// It has not answered. Too often in a row, and it is not asked for a while.
    pub(super) fn note_fault(&self, config: &Config) {
        let faults = self.faults.fetch_add(1, Ordering::Relaxed) + 1;
        if faults >= config.faults && !self.is_ejected() {
            let ejections = self.ejections.fetch_add(1, Ordering::Relaxed).min(16);
            let time = (config.ejection * 2_u32.pow(ejections)).min(LONGEST_EJECTION);
            let until = self.now() + u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2);
            self.ejected_until.store(until.max(1), Ordering::Relaxed);
            tracing::warn!(
                instance.tag = %self.tag,
                faults,
                seconds = time.as_secs(),
                "an instance fails; it is not asked for a while"
            );
        }
    }

    fn admit(&self) {
        self.faults.store(0, Ordering::Relaxed);
        self.ejected_until.store(0, Ordering::Relaxed);
    }

    /// Asks whether it is well again; if so, it gets requests again.
    pub(super) async fn probe(self: Arc<Self>, environment: HeaderValue) {
        let probed = async {
            let instance = match &self.via {
                Via::Local(_) => return Some(()),
                Via::Upstream(upstream) => return upstream.is_well().then_some(()),
                Via::Link(instance) => instance,
            };
            let taken = instance.take().await?;
            let request = Request::get(format!("{LINK_PATHS}ready"))
                .header(http::header::HOST, "stoa")
                .header(ENVIRONMENT, environment)
                .body(Body::Empty)
                .ok()?;
            let response = taken.send(request, || true).await.ok()?;
            response.status().is_success().then_some(())
        };
        if let Ok(Some(())) = tokio::time::timeout(PROBE, probed).await {
            self.admit();
            tracing::info!(instance.tag = %self.tag, "an instance is well again");
        } else {
            let until = self.now() + 1000;
            self.ejected_until.store(until, Ordering::Relaxed);
        }
    }
}

/// Those who serve an environment, as of the last change.
pub(super) struct Targets<L> {
    here: Vec<Arc<Target<L>>>,
    all: Vec<(Standing, Arc<Target<L>>)>,
    ready: Vec<Arc<Target<L>>>,
    /// Asked when nobody is ready.
    others: Vec<Arc<Target<L>>>,
    /// Paths that the application answers; see [`Environment::paths`].
    pub(super) paths: Vec<String>,
    /// A request that is repeated with its identity takes effect once, whoever is asked.
    pub(super) is_repeatable: bool,
    /// When somebody served the environment last.
    last: Option<Instant>,
}

impl<L> Targets<L> {
    pub(super) fn new(here: Vec<Arc<Target<L>>>, environment: &str) -> Self {
        let mut targets = Self {
            all: Vec::new(),
            ready: Vec::new(),
            others: Vec::new(),
            paths: Vec::new(),
            is_repeatable: false,
            // A server that has just started does not know yet who serves.
            last: Some(Instant::now()),
            here: Vec::new(),
        };
        for target in &here {
            targets.add(Arc::clone(target), environment);
        }
        targets.here = here;
        targets
    }

    fn add(&mut self, target: Arc<Target<L>>, environment: &str) {
        let standing = target.standing(environment);
        self.all.push((standing, Arc::clone(&target)));
        match standing {
            Standing::Ready => self.ready.push(target),
            Standing::Ejected | Standing::Silent => self.others.push(target),
            Standing::Unready | Standing::Draining => {}
        }
    }

    /// The same with the instances that are there now.
    pub(super) fn next(&self, environment: &str, present: &[Arc<Instance<Body>>]) -> Self {
        let mut next = Self::new(self.here.clone(), environment);
        let mut repeatable = Vec::new();
        for instance in present {
            let announcement = instance.announcement();
            let Some(served) = announcement
                .environments
                .iter()
                .find(|served| served.name == environment)
            else {
                continue;
            };
            let known = self.all.iter().find(|(_, target)| target.is(instance));
            let target = known.map_or_else(
                || {
                    Arc::new(Target::new(
                        announcement.tag.as_str().into(),
                        Via::Link(Arc::clone(instance)),
                        announcement.capacity,
                        instance.since,
                    ))
                },
                |(_, target)| Arc::clone(target),
            );
            next.add(target, environment);
            next.add_paths(served);
            repeatable.push(served.repeatable);
        }
        if next.all.is_empty() {
            // What was known of those who have gone holds for those who come.
            next.is_repeatable = self.is_repeatable;
            next.paths.clone_from(&self.paths);
            next.last = self.last;
        } else {
            next.is_repeatable = !repeatable.is_empty() && repeatable.iter().all(|is| *is);
            next.last = Some(Instant::now());
        }
        next
    }

    fn add_paths(&mut self, served: &Environment) {
        for path in &served.paths {
            if !self.paths.contains(path) {
                self.paths.push(path.clone());
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.others.is_empty()
    }

    /// Whether somebody serves the environment, has done so lately, or is about to.
    pub(super) fn are_expected(&self) -> bool {
        !self.all.is_empty() || self.last.is_some_and(|last| last.elapsed() < EXPECTED)
    }

    /// Whether there is somebody else to ask.
    pub(super) fn has_other_than(&self, asked: &Arc<Target<L>>) -> bool {
        self.ready.iter().any(|target| !Arc::ptr_eq(target, asked))
    }

    /// Who is asked: the one with the tag if it is ready; else the less loaded of two chosen by chance. Nobody who
    /// was asked already.
    pub(super) fn choose(
        &self,
        tag: Option<&[u8]>,
        asked: &[Arc<Target<L>>],
        slow_start: Duration,
    ) -> Option<Arc<Target<L>>> {
        if asked.is_empty() {
            let tagged = tag.and_then(|tag| {
                let mut ready = self.ready.iter();
                ready.find(|target| target.tag.as_bytes() == tag)
            });
            return tagged
                .or_else(|| less_loaded(&self.ready, slow_start))
                .or_else(|| less_loaded(&self.others, slow_start))
                .cloned();
        }
        let is_new = |target: &&Arc<Target<L>>| !asked.iter().any(|one| Arc::ptr_eq(one, target));
        [&self.ready, &self.others].into_iter().find_map(|group| {
            let new: Vec<_> = group.iter().filter(is_new).cloned().collect();
            less_loaded(&new, slow_start).cloned()
        })
    }

    /// Those whose ejection is over.
    pub(super) fn to_probe(&self) -> Vec<Arc<Target<L>>> {
        let is_over = |target: &Arc<Target<L>>| {
            let until = target.ejected_until.load(Ordering::Relaxed);
            until != 0 && until <= target.now()
        };
        let all = self.all.iter().map(|(_, target)| target);
        all.filter(|target| is_over(target)).cloned().collect()
    }

    /// Instances that are ready, with what they announce of the environment.
    pub(super) fn instances(&self) -> impl Iterator<Item = &Arc<Instance<Body>>> {
        self.ready.iter().filter_map(|target| match &target.via {
            Via::Link(instance) => Some(instance),
            Via::Local(_) | Via::Upstream(_) => None,
        })
    }

    /// Lets requests that wait for silent instances look again whether there is another.
    pub(super) fn wake_silent(&self) {
        for target in &self.others {
            if let Via::Link(instance) = &target.via {
                instance.wake();
            }
        }
    }

    /// Whether somebody in this process serves the environment, and so has its static content.
    pub(super) fn are_here(&self) -> bool {
        !self.here.is_empty()
    }

    /// Whether there are several to choose from, now or in a moment.
    pub(super) fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    pub(super) fn status(&self) -> Vec<TargetStatus> {
        self.all
            .iter()
            .map(|(standing, target)| TargetStatus {
                instance: match &target.via {
                    Via::Link(instance) => Some(instance.id.to_string()),
                    Via::Local(_) | Via::Upstream(_) => None,
                },
                standing: *standing,
                in_flight: target.in_flight(),
            })
            .collect()
    }
}

/// Power of two choices: nearly as even as asking the least loaded, without everybody asking the same one.
fn less_loaded<L>(targets: &[Arc<Target<L>>], slow_start: Duration) -> Option<&Arc<Target<L>>> {
    let (first, second) = match targets {
        [] => return None,
        [only] => return Some(only),
        [first, second] => (first, second),
        _ => {
            let mut random = rand::rng();
            let first = random.random_range(0..targets.len());
            let other = random.random_range(1..targets.len());
            (&targets[first], &targets[(first + other) % targets.len()])
        }
    };
    let (load, other) = (first.load(slow_start), second.load(slow_start));
    let is_first = if load == other {
        rand::rng().random()
    } else {
        load < other
    };
    Some(if is_first { first } else { second })
}

/// Somebody who serves an environment, as it is at a moment.
#[derive(Clone, Debug)]
pub struct TargetStatus {
    /// The instance; none: this process.
    pub instance: Option<String>,
    /// Whether it may be asked.
    pub standing: Standing,
    /// Requests of this server that it works on, of all environments.
    pub in_flight: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(tag: &str, weight: u32, in_flight: usize) -> Arc<Target<()>> {
        let since = Instant::now() - Duration::from_secs(3600);
        let target = Target::new(tag.into(), Via::Local(Arc::new(())), weight, since);
        target.in_flight.store(in_flight, Ordering::Relaxed);
        Arc::new(target)
    }

    fn targets(ready: &[Arc<Target<()>>]) -> Targets<()> {
        Targets {
            ready: ready.to_vec(),
            ..Targets::new(Vec::new(), "production")
        }
    }

    const SLOW_START: Duration = Duration::from_secs(10);

    #[test]
    fn the_tag_decides_while_its_owner_is_ready() {
        let (a, b) = (target("a", 1, 100), target("b", 1, 0));
        let both = targets(&[a, b]);
        let choose = |targets: &Targets<()>, tag: &[u8]| {
            let chosen = targets.choose(Some(tag), &[], SLOW_START).unwrap();
            chosen.tag.to_string()
        };
        assert_eq!(choose(&both, b"a"), "a");
        assert_eq!(choose(&both, b"gone"), "b");
    }

    #[test]
    fn work_is_shared_by_weight() {
        let (a, b) = (target("a", 1, 0), target("b", 3, 0));
        let both = targets(&[Arc::clone(&a), Arc::clone(&b)]);
        for _ in 0..400 {
            let chosen = both.choose(None, &[], SLOW_START).unwrap();
            chosen.in_flight.fetch_add(1, Ordering::Relaxed);
        }
        let share = a.in_flight();
        assert!((90..=110).contains(&share), "a has {share} of 400");
    }

    #[test]
    fn a_new_instance_begins_with_a_small_share() {
        let old = target("old", 1, 0);
        let new = Arc::new(Target::new(
            "new".into(),
            Via::Local(Arc::new(())),
            1,
            Instant::now(),
        ));
        let both = targets(&[old, Arc::clone(&new)]);
        for _ in 0..110 {
            let chosen = both.choose(None, &[], SLOW_START).unwrap();
            chosen.in_flight.fetch_add(1, Ordering::Relaxed);
        }
        let share = new.in_flight();
        assert!((5..=20).contains(&share), "the new one has {share} of 110");
    }

    #[test]
    fn those_who_were_asked_are_not_asked_again_while_there_are_others() {
        let (a, b) = (target("a", 1, 0), target("b", 1, 50));
        let both = targets(&[Arc::clone(&a), Arc::clone(&b)]);
        let second = both.choose(Some(b"a"), &[Arc::clone(&a)], SLOW_START);
        assert_eq!(&*second.unwrap().tag, "b");
        assert!(both.has_other_than(&a));
        assert!(both.choose(None, &[a, b], SLOW_START).is_none());
    }

    #[test]
    fn faults_in_a_row_eject() {
        let config = Config::new("replicas".into());
        let target = target("a", 1, 0);
        for _ in 0..config.faults - 1 {
            target.note_fault(&config);
        }
        target.note_success();
        assert!(!target.is_ejected());
        for _ in 0..config.faults {
            target.note_fault(&config);
        }
        assert!(target.is_ejected());
        target.admit();
        assert!(!target.is_ejected());
    }
}
