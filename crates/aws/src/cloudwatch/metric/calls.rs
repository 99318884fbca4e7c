//! Asks for the datapoints of many metric signals. Each metric asked for is paid, however the calls are cut.

use std::collections::HashMap;

use aws_sdk_cloudwatch::{
    Client,
    error::SdkError,
    operation::get_metric_data::{GetMetricDataError, GetMetricDataOutput},
    primitives::DateTime,
    types::{MessageData, MetricDataResult, StatusCode},
};
use belay_plan::model::AwsTarget;
use belay_ports::ReadError;
use futures::future::join_all;
use jiff::Timestamp;

use super::{
    judge::{Answer, Points},
    request::{Request, Signal, requests},
    spec::Spec,
};
use crate::{
    errors, place,
    sensing::{Deadline, Finding},
    session::Aws,
};

/// What came back for the ids of one call.
#[derive(Debug, Default)]
struct Answers {
    series: HashMap<String, Vec<Series>>,
    /// Said of the call as a whole: it was not carried out completely.
    message: Option<String>,
}

#[derive(Debug, Default)]
struct Series {
    label: String,
    points: Points,
    remarks: Vec<String>,
    flaw: Option<Flaw>,
}

/// Why a series is not to be believed.
#[derive(Debug, Clone, PartialEq)]
struct Flaw {
    why: String,
    /// Another try may end differently.
    may_pass: bool,
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

/// One call for all its signals. If CloudWatch finds fault with the call as a whole, one each, so that a single bad
/// expression does not blind its neighbours.
async fn read_request(aws: &Aws, deadline: &Deadline<'_>, now: Timestamp, request: &Request<'_>) -> Found {
    let clients = match deadline.bound(async { Ok(aws.clients(request.target).await?) }).await {
        Ok(clients) => clients,
        Err(error) => return unreadable(&request.signals, &error),
    };
    let client = &clients.cloudwatch;
    let whole = deadline.bound(async { Ok(ask(client, request).await) }).await;
    let is_one_of_many = request.signals.len() > 1;
    match whole {
        Ok(Ok(answers)) if answers.message.is_none() || !is_one_of_many => found(request, &answers),
        Ok(Err(error)) if !is_one_of_many || !is_request_wrong(&error) => {
            unreadable(&request.signals, &read_error(error, request.target))
        }
        Ok(_) => {
            let alone = request.signals.iter().map(|signal| async move {
                let request = Request::of(request.target, now, *signal);
                let ask = async { ask(client, &request).await.map_err(|error| read_error(error, request.target)) };
                match deadline.bound(ask).await {
                    Ok(answers) => found(&request, &answers),
                    Err(error) => unreadable(&request.signals, &error),
                }
            });
            join_all(alone).await.into_iter().flatten().collect()
        }
        Err(error) => unreadable(&request.signals, &error),
    }
}

fn is_request_wrong(error: &SdkError<GetMetricDataError>) -> bool {
    errors::code(error).is_some_and(|code| code.starts_with("InvalidParameter") || code.starts_with("Validation"))
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
        for result in page.metric_data_results.unwrap_or_default() {
            let Some(id) = result.id.clone() else { continue };
            let label = result.label.clone().unwrap_or_default();
            let period_s = periods_s.get(id.as_str()).copied().unwrap_or(1);
            let number = seen.entry((id.clone(), label.clone())).or_default();
            let of_id = self.series.entry(id).or_default();
            let same = of_id.iter().enumerate().filter(|(_, series)| series.label == label).nth(*number);
            let position = same.map_or(of_id.len(), |(position, _)| position);
            *number += 1;
            if position == of_id.len() {
                of_id.push(Series { label, ..Series::default() });
            }
            of_id[position].take(result, period_s);
        }
    }
}

impl Series {
    /// Adds a page's part. Only the last page's status counts.
    fn take(&mut self, result: MetricDataResult, period_s: i64) {
        let starts =
            result.timestamps.unwrap_or_default().into_iter().map(|time| time.secs().div_euclid(period_s) * period_s);
        self.points.extend(starts.zip(result.values.unwrap_or_default()));
        let message = text(result.messages.unwrap_or_default());
        self.flaw = match result.status_code {
            None | Some(StatusCode::Complete) => None,
            Some(status) => {
                let why = message.as_deref().map(|message| format!(": {}", errors::bounded(message)));
                let why = format!("CloudWatch answered {status}{}", why.unwrap_or_default());
                let may_pass = matches!(status, StatusCode::PartialData | StatusCode::InternalError);
                Some(Flaw { why, may_pass })
            }
        };
        self.remarks.extend(message.filter(|message| self.flaw.is_none() && !self.remarks.contains(message)));
    }
}

fn text(messages: Vec<MessageData>) -> Option<String> {
    let texts: Vec<String> = messages.into_iter().filter_map(|message| message.value.or(message.code)).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

fn found(request: &Request<'_>, answers: &Answers) -> Found {
    let of_signal = |((position, _), id): (Signal<'_>, &str)| {
        let series = answers.series.get(id).map(Vec::as_slice).unwrap_or_default();
        let answer = match series.iter().find_map(|series| series.flaw.clone()) {
            Some(Flaw { why, may_pass: true }) => Err(Finding::Unreadable(ReadError { why, permanent: false })),
            Some(Flaw { why, may_pass: false }) => Err(Finding::unknown(why).for_good()),
            None => {
                let mut remarks: Vec<String> = series.iter().flat_map(|series| series.remarks.clone()).collect();
                remarks.dedup();
                // An expression without data may come as a series without a point.
                let series = series.iter().map(|series| (series.label.clone(), series.points.clone()));
                Ok(Answer { series: series.collect(), remarks, incomplete: answers.message.clone() })
            }
        };
        (position, answer)
    };
    request.results().map(of_signal).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
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

    fn answer(pages: Vec<Vec<MetricDataResult>>, message: Option<&str>) -> Result<Answer, Finding> {
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
        found.remove(0).1
    }

    fn series(answer: Result<Answer, Finding>) -> Vec<(String, Points)> {
        answer.unwrap().series
    }

    #[test]
    fn pages_are_put_together_and_the_last_status_counts() {
        let first = with(result("M", 120, 1.0), StatusCode::PartialData, "more to come");
        assert_eq!(
            series(answer(vec![vec![first], vec![result("M", 185, 2.0)]], None)),
            [("M".to_owned(), Points::from([(120, 1.0), (180, 2.0)]))]
        );
        assert_eq!(answer(Vec::new(), None), Ok(Answer::default()));
    }

    #[test]
    fn an_id_may_have_several_series_even_of_one_label() {
        let pages = vec![
            vec![result("a", 60, 1.0), result("b", 60, 2.0), result("a", 60, 3.0)],
            vec![result("a", 120, 4.0), result("a", 120, 5.0)],
        ];
        let points = |points: &[(i64, f64)]| points.iter().copied().collect::<Points>();
        assert_eq!(
            series(answer(pages, None)),
            [
                ("a".to_owned(), points(&[(60, 1.0), (120, 4.0)])),
                ("b".to_owned(), points(&[(60, 2.0)])),
                ("a".to_owned(), points(&[(60, 3.0), (120, 5.0)])),
            ]
        );
    }

    #[test]
    fn a_status_that_is_not_complete_is_not_believed() {
        let of = |status: &str| answer(vec![vec![with(result("M", 60, 0.0), StatusCode::from(status), "why")]], None);
        for status in ["PartialData", "InternalError"] {
            let why = format!("CloudWatch answered {status}: why");
            assert_eq!(of(status), Err(Finding::Unreadable(ReadError { why, permanent: false })));
        }
        for status in ["Forbidden", "Perplexed"] {
            let why = format!("CloudWatch answered {status}: why");
            assert_eq!(of(status), Err(Finding::unknown(why).for_good()));
        }
    }

    #[test]
    fn messages_are_passed_on() {
        let dropped = "One or more data-points have been dropped due to non-numeric values";
        let result = with(result("M", 60, 0.0), StatusCode::Complete, dropped);
        let answer = answer(vec![vec![result]], Some("Maximum number of allowed metrics exceeded")).unwrap();
        assert_eq!(answer.remarks, [dropped]);
        assert_eq!(answer.incomplete.as_deref(), Some("Maximum number of allowed metrics exceeded"));
    }
}
