//! Insights of DevOps Guru that were ongoing when an incident opened, or began shortly before it.

use std::collections::BTreeSet;

use aws_sdk_devopsguru::{
    primitives::DateTime,
    types::{
        InsightStatus, InsightType, ListInsightsAnyStatusFilter, ListInsightsOngoingStatusFilter,
        ListInsightsStatusFilter, ReactiveInsightSummary, StartTimeRange,
    },
};
use belay_ports::{
    Gathered,
    evidence::{Detail, Finding, Question},
};
use jiff::{SignedDuration, Timestamp};

use super::{Patience, observed, unread};
use crate::{
    errors, place,
    services::{Granted, Service},
    session::{Aws, Clients},
};

pub(crate) const SERVICE: Service = Service {
    // AWS publishes none that fits; this is below what is known to be throttled.
    quotas: &[Granted::all(4.0, 10.0)],
    reads: &["DescribeAccountHealth", "ListInsights"],
    ..Service::new("DevOps Guru", "devops-guru")
};

const LIST: &str = "devops-guru:ListInsights";
const HEALTH: &str = "devops-guru:DescribeAccountHealth";

/// The IAM actions.
pub(super) const CALLS: [&str; 2] = [LIST, HEALTH];

/// Of each of the two lists.
const PAGES_MAX: usize = 3;
const PAGE: i32 = 100;

/// Of an insight that is older the words contain the day, too.
const DAY: SignedDuration = SignedDuration::from_hours(24);

pub(super) async fn gather(aws: &Aws, patience: &Patience<'_>, question: &Question) -> Gathered {
    let (targets, notes) = observed::places(&question.plan);
    let mut gathered = Gathered { findings: Vec::new(), notes };
    for target in &targets {
        let place = place::name(target);
        if patience.is_over() {
            gathered.notes.push(format!("{place}: not looked at, since DevOps Guru answers too slowly"));
            continue;
        }
        match aws.clients(target).await {
            Ok(clients) => of_place(&clients, &place, patience, question, &mut gathered).await,
            Err(error) => gathered.notes.push(format!("{place}: {error}")),
        }
    }
    gathered
}

async fn of_place(
    clients: &Clients,
    place: &str,
    patience: &Patience<'_>,
    question: &Question,
    gathered: &mut Gathered,
) {
    let mut known = BTreeSet::new();
    let mut listed = false;
    for filter in filters(question) {
        let mut token = None;
        for page in 1.. {
            if patience.is_over() {
                gathered
                    .notes
                    .push(format!("{place}: not all insights were looked at: DevOps Guru answers too slowly"));
                return;
            }
            let asked = clients.devops_guru.list_insights().status_filter(filter.clone()).max_results(PAGE);
            let answer = match asked.set_next_token(token).send().await {
                Ok(answer) => answer,
                Err(error) => {
                    gathered.notes.push(unread(place, error, LIST, "the insights"));
                    return;
                }
            };
            for insight in answer.reactive_insights() {
                listed = true;
                // The two lists overlap.
                if insight.id().is_none_or(|id| known.insert(id.to_owned())) {
                    gathered.findings.extend(finding(insight, question));
                }
            }
            token = answer.next_token;
            if token.is_none() {
                break;
            }
            if page == PAGES_MAX {
                gathered.notes.push(format!("{place}: only {} insights of a list were looked at", PAGES_MAX * 100));
                break;
            }
        }
    }
    if !listed {
        gathered.notes.push(silence(clients, place).await);
    }
}

/// One list takes one of them.
fn filters(question: &Question) -> Vec<ListInsightsStatusFilter> {
    let ongoing = ListInsightsOngoingStatusFilter::builder().r#type(InsightType::Reactive).build();
    let began = StartTimeRange::builder()
        .from_time(DateTime::from_secs(observed::from(question).as_second()))
        .to_time(DateTime::from_secs(question.opened.as_second()))
        .build();
    let any = ListInsightsAnyStatusFilter::builder().r#type(InsightType::Reactive).start_time_range(began).build();
    let filter = ListInsightsStatusFilter::builder;
    // Both have the one field that they need.
    let ongoing = ongoing.map(|ongoing| filter().ongoing(ongoing).build());
    let any = any.map(|any| filter().any(any).build());
    ongoing.into_iter().chain(any).collect()
}

/// None: it began after the incident opened, or is over and began before that half hour.
fn finding(insight: &ReactiveInsightSummary, question: &Question) -> Option<Finding> {
    let time = |time: &DateTime| Timestamp::from_second(time.secs()).ok();
    let range = insight.insight_time_range()?;
    let began = time(range.start_time())?;
    let is_ongoing = insight.status() == Some(&InsightStatus::Ongoing);
    if began > question.opened || (began < observed::from(question) && !is_ongoing) {
        return None;
    }
    let text = |text: Option<&str>| errors::bounded(text.unwrap_or("unknown"));
    let (id, severity) = (text(insight.id()), text(insight.severity().map(|severity| severity.as_str())));
    let status = text(insight.status().map(|status| status.as_str()));
    let until = range.end_time().and_then(time).filter(|_| !is_ongoing);
    let until = until.map(|until| format!(" at {}", until.strftime("%H:%M:%SZ"))).unwrap_or_default();
    let since = match question.opened.duration_since(began) > DAY {
        true => format!(" since {}", began.strftime("%Y-%m-%d")),
        false => String::new(),
    };
    let name = errors::bounded(insight.name().unwrap_or("without a name"));
    let what = format!(
        "insight of {} severity, {}{since}{until}: {name}",
        severity.to_ascii_lowercase(),
        status.to_ascii_lowercase()
    );
    let detail = Detail::Insight { id: id.clone(), severity, status };
    Some(Finding { at: began, what, resource: id, who: None, detail: Some(detail) })
}

/// An account in which DevOps Guru is not enabled lists no insights, as one in which all is well does.
async fn silence(clients: &Clients, place: &str) -> String {
    match clients.devops_guru.describe_account_health().send().await {
        Ok(health) => {
            let analyses = health.analyzed_resource_count().unwrap_or(0) > 0
                || health.resource_hours() > 0
                || health.metrics_analyzed() > 0;
            match analyses {
                true => format!("{place}: DevOps Guru lists no insight that was ongoing or began in that half hour"),
                false => format!(
                    "{place}: DevOps Guru analyses nothing: it is not enabled in this account and region, or covers no resources"
                ),
            }
        }
        Err(error) => unread(place, error, HEALTH, "whether DevOps Guru is enabled"),
    }
}
