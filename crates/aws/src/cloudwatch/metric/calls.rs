//! Asks for the datapoints of many metric signals. Each metric asked for is paid, however the calls are cut.

use std::collections::HashMap;

use aws_sdk_cloudwatch::{
    Client,
    error::SdkError,
    operation::get_metric_data::{GetMetricDataError, GetMetricDataOutput},
    primitives::DateTime,
    types::{MessageData, MetricDataResult, StatusCode},
};
use belay_aws_catalogue::cloudwatch::metric::Spec;
use belay_plan::model::AwsTarget;
use belay_ports::ReadError;
use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use jiff::Timestamp;

use super::{
    judge::{Answer, Flaw, Series},
    request::{Request, Signal, requests},
};
use crate::{
    cloudwatch::is_request_wrong,
    errors, place,
    sensing::{Deadline, Finding},
    session::Aws,
};

/// What came back for the ids of one call.
#[derive(Debug, Default)]
struct Answers {
    series: HashMap<String, Vec<Series>>,
    /// By id: what CloudWatch says of its series.
    remarks: HashMap<String, Vec<String>>,
    /// Said of the call as a whole: it was not carried out completely.
    message: Option<String>,
}

/// What each signal of a call is, with its position.
type Found = Vec<(usize, Result<Answer, Finding>)>;

/// The datapoints of each signal, or what it is without them. A signal without a spec is not asked.
pub(super) async fn read<'a>(
    aws: &Aws,
    deadline: &Deadline<'_>,
    now: Timestamp,
    asked: impl Iterator<Item = (&'a AwsTarget, Option<&'a Spec>)>,
) -> Vec<Result<Answer, Finding>> {
    let asked: Vec<_> = asked.collect();
    let signals = asked.iter().enumerate();
    let signals = signals.filter_map(|(position, (target, spec))| Some((*target, (position, (*spec)?))));
    let requests = requests(now, signals);
    let found = join_all(requests.iter().map(|request| read_request(aws, deadline, now, request))).await;
    let mut answers: Vec<_> = asked.iter().map(|_| Err(Finding::unknown("it was not asked"))).collect();
    for (position, answer) in found.into_iter().flatten() {
        answers[position] = answer;
    }
    answers
}

/// One call for all its signals. Where CloudWatch finds fault with the call as a whole, one for each half, so that a single
/// bad expression does not blind its neighbours.
fn read_request<'a>(
    aws: &'a Aws,
    deadline: &'a Deadline<'_>,
    now: Timestamp,
    request: &'a Request<'_>,
) -> BoxFuture<'a, Found> {
    async move {
        let clients = match deadline.bound(async { Ok(aws.clients(request.target).await?) }).await {
            Ok(clients) => clients,
            Err(error) => return unreadable(&request.signals, &error),
        };
        let answers = deadline.bound(async { Ok(ask(&clients.cloudwatch, request).await) }).await;
        let can_be_split = request.signals.len() > 1;
        match answers {
            Ok(Ok(answers)) if answers.message.is_none() || !can_be_split => found(request, &answers),
            Ok(Err(error)) if !can_be_split || !is_request_wrong(&error) => {
                unreadable(&request.signals, &read_error(error, request.target))
            }
            Ok(_) => {
                let (left, right) = request.signals.split_at(request.signals.len() / 2);
                let half =
                    |signals: &[Signal<'a>]| requests(now, signals.iter().map(|signal| (request.target, *signal)));
                let halves: Vec<Request<'_>> = half(left).into_iter().chain(half(right)).collect();
                let found = join_all(halves.iter().map(|half| read_request(aws, deadline, now, half))).await;
                found.into_iter().flatten().collect()
            }
            Err(error) => unreadable(&request.signals, &error),
        }
    }
    .boxed()
}

fn read_error(error: SdkError<GetMetricDataError>, target: &AwsTarget) -> ReadError {
    errors::read(error, "cloudwatch:GetMetricData", &place::name(target))
}

fn unreadable(signals: &[Signal<'_>], error: &ReadError) -> Found {
    signals.iter().map(|(position, _)| (*position, Err(Finding::Unreadable(error.clone())))).collect()
}

async fn ask(client: &Client, request: &Request<'_>) -> Result<Answers, SdkError<GetMetricDataError>> {
    let mut pages = client
        .get_metric_data()
        .set_metric_data_queries(Some(request.queries()))
        .start_time(DateTime::from_secs(request.start_s))
        .end_time(DateTime::from_secs(request.end_s))
        .into_paginator()
        .send();
    let periods_s = request.periods_s();
    let mut answers = Answers::default();
    while let Some(page) = pages.next().await {
        answers.take(page?, &periods_s);
    }
    Ok(answers)
}

impl Answers {
    /// Adds a page to what came before. Within a page, two results of one id are two series, whatever their labels.
    fn take(&mut self, page: GetMetricDataOutput, periods_s: &HashMap<&str, i64>) {
        self.message = text(page.messages.unwrap_or_default()).or(self.message.take());
        let mut seen: HashMap<(String, String), usize> = HashMap::new();
        for mut result in page.metric_data_results.unwrap_or_default() {
            let Some(id) = result.id.clone() else { continue };
            let label = result.label.clone().unwrap_or_default();
            let period_s = periods_s.get(id.as_str()).copied().unwrap_or(1);
            let message = text(result.messages.take().unwrap_or_default());
            let number = seen.entry((id.clone(), label.clone())).or_default();
            let of_id = self.series.entry(id.clone()).or_default();
            let same = of_id.iter().enumerate().filter(|(_, series)| series.label == label).nth(*number);
            let position = same.map_or(of_id.len(), |(position, _)| position);
            *number += 1;
            if position == of_id.len() {
                of_id.push(Series { label, ..Series::default() });
            }
            add(&mut of_id[position], result, period_s, message.as_deref());
            let remarks = self.remarks.entry(id).or_default();
            let is_new = |message: &String| of_id[position].flaw.is_none() && !remarks.contains(message);
            let message = message.filter(is_new);
            remarks.extend(message);
        }
    }
}

/// Adds a page's part to a series. Only the last page's status counts.
fn add(series: &mut Series, result: MetricDataResult, period_s: i64, message: Option<&str>) {
    let starts =
        result.timestamps.unwrap_or_default().into_iter().map(|time| time.secs().div_euclid(period_s) * period_s);
    series.points.extend(starts.zip(result.values.unwrap_or_default()));
    series.flaw = match result.status_code {
        None | Some(StatusCode::Complete) => None,
        Some(status) => {
            let message = message.map(|message| format!(": {}", errors::bounded(message))).unwrap_or_default();
            let may_pass = matches!(status, StatusCode::PartialData | StatusCode::InternalError);
            Some(Flaw { why: format!("CloudWatch answered {status}{message}"), may_pass })
        }
    };
}

fn text(messages: Vec<MessageData>) -> Option<String> {
    let texts: Vec<String> = messages.into_iter().filter_map(|message| message.value.or(message.code)).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

fn found(request: &Request<'_>, answers: &Answers) -> Found {
    let of_signal = |((position, _), id): (Signal<'_>, &str)| {
        let (series, remarks) = (answers.series.get(id).cloned(), answers.remarks.get(id).cloned());
        let incomplete = answers.message.clone();
        let answer = Answer { series: series.unwrap_or_default(), remarks: remarks.unwrap_or_default(), incomplete };
        (position, Ok(answer))
    };
    request.results().map(of_signal).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::judge::Points, *};
    use crate::testing::target;

    fn spec() -> Spec {
        let metric = json!({"namespace": "N", "name": "M", "stat": "Sum", "period": "1m"});
        serde_json::from_value(json!({"metric": metric, "healthy": "< 1"})).unwrap()
    }

    fn result(label: &str, second: i64, value: f64) -> MetricDataResult {
        let result = MetricDataResult::builder().id("q0").label(label).timestamps(DateTime::from_secs(second));
        result.values(value).status_code(StatusCode::Complete).build()
    }

    fn with(mut result: MetricDataResult, status: StatusCode, message: &str) -> MetricDataResult {
        result.status_code = Some(status);
        result.messages = Some(vec![MessageData::builder().code("Code").value(message).build()]);
        result
    }

    fn answer(pages: Vec<Vec<MetricDataResult>>, message: Option<&str>) -> Answer {
        let (target, spec) = (target(), spec());
        let request = Request::of(&target, Timestamp::UNIX_EPOCH, (7, &spec));
        let mut answers = Answers::default();
        for page in pages {
            let messages = message.map(|message| vec![MessageData::builder().value(message).build()]);
            let page =
                GetMetricDataOutput::builder().set_metric_data_results(Some(page)).set_messages(messages).build();
            answers.take(page, &request.periods_s());
        }
        let mut found = found(&request, &answers);
        assert_eq!((found.len(), found[0].0), (1, 7));
        found.remove(0).1.unwrap()
    }

    fn series(answer: &Answer) -> Vec<(&str, &Points)> {
        answer.series.iter().map(|series| (series.label.as_str(), &series.points)).collect()
    }

    #[test]
    fn pages_are_put_together_and_the_last_status_counts() {
        let first = with(result("M", 120, 1.0), StatusCode::PartialData, "more to come");
        let whole = answer(vec![vec![first], vec![result("M", 185, 2.0)]], None);
        assert_eq!(series(&whole), [("M", &Points::from([(120, 1.0), (180, 2.0)]))]);
        assert_eq!(whole.series[0].flaw, None);
        assert_eq!(answer(Vec::new(), None), Answer::default());
    }

    #[test]
    fn an_id_may_have_several_series_even_of_one_label() {
        let pages = vec![
            vec![result("a", 60, 1.0), result("b", 60, 2.0), result("a", 60, 3.0)],
            vec![result("a", 120, 4.0), result("a", 120, 5.0)],
        ];
        let points = |points: &[(i64, f64)]| points.iter().copied().collect::<Points>();
        assert_eq!(
            series(&answer(pages, None)),
            [
                ("a", &points(&[(60, 1.0), (120, 4.0)])),
                ("b", &points(&[(60, 2.0)])),
                ("a", &points(&[(60, 3.0), (120, 5.0)])),
            ]
        );
    }

    #[test]
    fn a_status_that_is_not_complete_is_a_flaw_of_its_series_alone() {
        for (status, may_pass) in
            [("PartialData", true), ("InternalError", true), ("Forbidden", false), ("Perplexed", false)]
        {
            let flawed = with(result("a", 60, 0.0), StatusCode::from(status), "why");
            let answer = answer(vec![vec![flawed, result("b", 60, 1.0)]], None);
            let flaws: Vec<_> = answer.series.iter().map(|series| series.flaw.clone()).collect();
            assert_eq!(flaws, [Some(Flaw { why: format!("CloudWatch answered {status}: why"), may_pass }), None]);
            assert_eq!(answer.remarks, [""; 0]);
        }
    }

    #[test]
    fn messages_are_passed_on() {
        let dropped = "One or more data-points have been dropped due to non-numeric values";
        let result = with(result("M", 60, 0.0), StatusCode::Complete, dropped);
        let answer = answer(vec![vec![result]], Some("Maximum number of allowed metrics exceeded"));
        assert_eq!(answer.remarks, [dropped]);
        assert_eq!(answer.incomplete.as_deref(), Some("Maximum number of allowed metrics exceeded"));
    }
}
