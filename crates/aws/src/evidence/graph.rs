//! X-Ray's service graph: faults, errors and throttles of the services in a group, as they were counted before an incident.

use aws_sdk_xray::{
    primitives::DateTime,
    types::{Service, ServiceStatistics},
};
use belay_ports::{
    Gathered,
    evidence::{Detail, Finding, Question},
};

use super::{Patience, observed, unread};
use crate::{errors, place, services, session::Aws};

pub(crate) const SERVICE: services::Service = services::Service {
    // AWS publishes none that fits; this is below what is known to be throttled.
    quotas: &[services::Granted::all(4.0, 10.0)],
    reads: &["GetServiceGraph"],
    ..services::Service::new("XRay", "xray")
};

/// The IAM action.
pub(super) const CALL: &str = "xray:GetServiceGraph";

const PAGES_MAX: usize = 8;

/// Services that are listed; the worst.
const LISTED_MAX: usize = 20;

/// What X-Ray answers where it does not know the group. The times of the request are always right.
const REFUSED: &str = "InvalidRequestException";

pub(super) async fn gather(aws: &Aws, patience: &Patience<'_>, question: &Question) -> Gathered {
    let Some(group) = question.plan.evidence.as_ref().and_then(|evidence| evidence.xray.as_deref()) else {
        return Gathered::default();
    };
    let (targets, mut notes) = observed::places(&question.plan);
    let mut failing: Vec<Failing> = Vec::new();
    for target in &targets {
        let place = place::name(target);
        if patience.is_over() {
            notes.push(format!("{place}: not looked at, since X-Ray answers too slowly"));
            continue;
        }
        let clients = match aws.clients(target).await {
            Ok(clients) => clients,
            Err(error) => {
                notes.push(format!("{place}: {error}"));
                continue;
            }
        };
        let mut seen = Seen::default();
        let mut token = None;
        for page in 1.. {
            let asked = clients
                .xray
                .get_service_graph()
                .start_time(DateTime::from_secs(observed::from(question).as_second()))
                .end_time(DateTime::from_secs(question.opened.as_second()))
                .group_name(group)
                .set_next_token(token);
            let answer = match asked.send().await {
                Ok(answer) => answer,
                Err(error) if errors::code(&error) == Some(REFUSED) => {
                    let why = errors::read(error, CALL, "it").why;
                    notes.push(format!(
                        "{place}: X-Ray does not accept the group `{group}`: it may not exist there (`aws xray \
                         get-groups` lists those that do): {why}"
                    ));
                    break;
                }
                Err(error) => {
                    notes.push(unread(&place, error, CALL, &format!("the service graph of the group `{group}`")));
                    break;
                }
            };
            seen.complete = answer.next_token.is_none();
            seen.old_filter |= answer.contains_old_group_versions;
            for service in answer.services() {
                let Some(requests) = service.summary_statistics().and_then(Requests::of) else { continue };
                seen.services += 1;
                if requests.failed() {
                    let place = (targets.len() > 1).then_some(place.as_str());
                    failing.push(Failing { service: name(service, place), requests });
                } else {
                    seen.quiet += 1;
                }
            }
            token = answer.next_token;
            if token.is_none() {
                break;
            }
            if page == PAGES_MAX || patience.is_over() {
                notes.push(format!("{place}: only the first {page} pages of the service graph were looked at"));
                break;
            }
        }
        notes.extend(seen.words(&place, group));
    }
    failing.sort_by(|one, other| other.requests.cmp(&one.requests).then_with(|| one.service.cmp(&other.service)));
    let left_out = failing.len().saturating_sub(LISTED_MAX);
    if left_out > 0 {
        notes.push(format!("{left_out} more services with fewer faults are left out"));
    }
    let findings = failing.into_iter().take(LISTED_MAX).map(|failing| Finding {
        at: question.opened,
        what: failing.requests.words(),
        resource: failing.service,
        who: None,
        detail: Some(failing.requests.detail()),
    });
    Gathered { findings: findings.collect(), notes }
}

struct Failing {
    service: String,
    requests: Requests,
}

/// What was counted of one service: ordered by how bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Requests {
    faults: u64,
    errors: u64,
    throttles: u64,
    total: u64,
}

impl Requests {
    /// None: nothing was counted. The clients before a service are in the graph, too.
    fn of(counted: &ServiceStatistics) -> Option<Self> {
        let count = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok());
        let faults = counted.fault_statistics().map(|faults| (faults.total_count(), faults.other_count()));
        let faults = faults.and_then(|(total, other)| count(total).or(count(other))).unwrap_or(0);
        let throttles = counted.error_statistics().and_then(|errors| count(errors.throttle_count())).unwrap_or(0);
        let errors = counted.error_statistics().and_then(|errors| {
            count(errors.total_count()).or(count(errors.other_count()).map(|other| other.saturating_add(throttles)))
        });
        let errors = errors.unwrap_or(0).max(throttles);
        let sum = count(counted.ok_count()).unwrap_or(0).saturating_add(faults).saturating_add(errors);
        let total = count(counted.total_count()).unwrap_or(sum);
        (total > 0).then_some(Self { faults, errors, throttles, total })
    }

    fn failed(self) -> bool {
        self.faults > 0 || self.errors > 0
    }

    /// `340 faults (5xx), 12 errors (4xx), 3 of them throttled (429), in 1200 requests to`; the service follows.
    fn words(self) -> String {
        let counted = |count: u64, what: &str| match count {
            1 => format!("1 {what}"),
            count => format!("{count} {what}s"),
        };
        let mut parts = Vec::new();
        if self.faults > 0 {
            parts.push(format!("{} (5xx)", counted(self.faults, "fault")));
        }
        if self.errors > 0 {
            parts.push(format!("{} (4xx)", counted(self.errors, "error")));
        }
        if self.throttles > 0 {
            parts.push(format!("{} of them throttled (429),", self.throttles));
        }
        format!("{} in {} to", parts.join(", "), counted(self.total, "request"))
    }

    fn detail(self) -> Detail {
        let Self { faults, errors, throttles, total } = self;
        Detail::Requests { total, faults, errors, throttles }
    }
}

/// `checkout (AWS::ECS::Service)`
fn name(service: &Service, place: Option<&str>) -> String {
    let name = errors::bounded(service.name().unwrap_or("a service without a name"));
    let kind = service.r#type().map(|kind| format!(" ({})", errors::bounded(kind))).unwrap_or_default();
    let place = place.map(|place| format!(" in {place}")).unwrap_or_default();
    format!("{name}{kind}{place}")
}

/// What the graph of one place contains beside the services that are listed.
#[derive(Default)]
struct Seen {
    services: usize,
    quiet: usize,
    complete: bool,
    old_filter: bool,
}

impl Seen {
    fn words(&self, place: &str, group: &str) -> Vec<String> {
        let mut words = Vec::new();
        match (self.services, self.quiet) {
            (0, _) if self.complete => {
                words.push(format!("{place}: X-Ray has no requests of the group `{group}` in that half hour"));
            }
            (_, 0) => {}
            (services, quiet) => {
                words.push(format!("{place}: {quiet} of {services} services had no faults, errors or throttles"));
            }
        }
        if self.old_filter {
            words.push(format!(
                "{place}: the filter of the group `{group}` was changed: the graph may contain requests of the earlier one"
            ));
        }
        words
    }
}
