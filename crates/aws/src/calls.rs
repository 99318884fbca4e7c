//! Sees every call to AWS: a span for each, and one word to the observer for each attempt.

use std::{fmt, sync::Arc, time::Duration};

use aws_sdk_route53::operation::change_resource_record_sets::ChangeResourceRecordSetsError;
use aws_sdk_sts::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{
            BeforeDeserializationInterceptorContextMut, BeforeSerializationInterceptorContextRef,
            BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
        },
    },
    error::BoxError,
};
use aws_smithy_runtime_api::client::{
    orchestrator::Metadata,
    retries::classifiers::{ClassifyRetry, RetryAction, RetryReason},
};
use aws_smithy_types::{
    config_bag::{Storable, StoreReplace},
    retry::ErrorKind,
};
use belay_ports::{Call, CallOutcome, Clock, Observer};
use tracing::{Span, field::Empty};

use crate::{budget::ServiceBudget, errors};

/// The header in which AWS names a request, for its support.
const REQUEST_ID: &str = "x-amzn-requestid";

/// Who is told of calls.
#[derive(Clone)]
pub(crate) struct Calls {
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
}

impl Calls {
    pub(crate) fn told_to(clock: Arc<dyn Clock>, observer: Arc<dyn Observer>) -> Self {
        Self { clock, observer }
    }

    /// The interceptor of one client.
    pub(crate) fn of(&self, budget: ServiceBudget) -> Watched {
        Watched { calls: self.clone(), budget }
    }
}

/// An SDK interceptor; every client has one.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    calls: Calls,
    budget: ServiceBudget,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Calls").finish_non_exhaustive()
    }
}

/// One call under way, kept by the SDK beside it. When nobody waits for the call any more, the SDK drops it.
struct UnderWay {
    watched: Watched,
    service: String,
    operation: String,
    span: Span,
    attempts: u32,
    /// Of the attempt under way: when it began.
    began: Option<Duration>,
    /// Of the last attempt, if it was throttled: when it ended.
    throttled_at: Option<Duration>,
    /// What throttling has cost before the attempt under way.
    paused: Duration,
    /// What it has cost altogether.
    throttled: Duration,
}

impl fmt::Debug for UnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.service, self.operation)
    }
}

impl Storable for UnderWay {
    type Storer = StoreReplace<Self>;
}

impl UnderWay {
    fn begin(&mut self) {
        let now = self.watched.calls.clock.monotonic();
        self.attempts += 1;
        self.paused = self.throttled_at.take().map_or(Duration::ZERO, |at| now.saturating_sub(at));
        self.began = Some(now);
    }

    fn end(&mut self, outcome: CallOutcome) {
        let Some(began) = self.began.take() else { return };
        let now = self.watched.calls.clock.monotonic();
        let time = now.saturating_sub(began);
        let mut throttled = std::mem::take(&mut self.paused);
        if outcome == CallOutcome::Throttled {
            throttled += time;
            self.throttled_at = Some(now);
            self.watched.budget.throttled(&self.operation);
        }
        self.throttled += throttled;
        self.span.record("outcome", outcome.word());
        self.span.record("attempts", self.attempts);
        self.span.record("throttled_ms", millis(self.throttled));
        if !matches!(outcome, CallOutcome::Ok | CallOutcome::Abandoned) {
            self.span.record("otel.status_code", "ERROR");
        }
        let (outcome_word, ms) = (outcome.word(), millis(time));
        self.span.in_scope(|| match outcome {
            CallOutcome::Ok => tracing::debug!(outcome = outcome_word, ms, "AWS has answered"),
            CallOutcome::Throttled => tracing::info!(outcome = outcome_word, ms, "AWS throttles"),
            CallOutcome::Abandoned => tracing::debug!(outcome = outcome_word, ms, "the answer is not needed any more"),
            _ => tracing::info!(outcome = outcome_word, ms, attempt = self.attempts, "AWS has not carried it out"),
        });
        let (service, operation) = (&self.service, &self.operation);
        self.watched.calls.observer.called(&Call { service, operation, outcome, time, throttled });
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.end(CallOutcome::Abandoned);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Intercept for Watched {
    fn name(&self) -> &'static str {
        "Calls"
    }

    /// The first hook at which the SDK knows the operation.
    fn read_before_serialization(
        &self,
        _context: &BeforeSerializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (service, operation) = match config.load::<Metadata>() {
            Some(metadata) => (metadata.service().to_owned(), metadata.name().to_owned()),
            None => ("unnamed".to_owned(), "unnamed".to_owned()),
        };
        let span = tracing::info_span!(
            "aws_call",
            service,
            operation,
            outcome = Empty,
            status = Empty,
            attempts = Empty,
            throttled_ms = Empty,
            aws_request_id = Empty,
            otel.name = format!("{service} {operation}"),
            otel.kind = "client",
            otel.status_code = Empty,
        );
        config.interceptor_state().store_put(UnderWay {
            watched: self.clone(),
            service,
            operation,
            span,
            attempts: 0,
            began: None,
            throttled_at: None,
            paused: Duration::ZERO,
            throttled: Duration::ZERO,
        });
        Ok(())
    }

    fn read_before_attempt(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(call) = config.get_mut_from_interceptor_state::<UnderWay>() {
            call.begin();
        }
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        errors::received(context.response_mut(), self.calls.clock.now());
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let outcome = outcome(context, components);
        if let Some(call) = config.get_mut_from_interceptor_state::<UnderWay>() {
            if let Some(response) = context.response() {
                call.span.record("status", response.status().as_u16());
                call.span.record("aws_request_id", response.headers().get(REQUEST_ID));
            }
            call.end(outcome);
        }
        Ok(())
    }
}

fn outcome(context: &FinalizerInterceptorContextRef<'_>, components: &RuntimeComponents) -> CallOutcome {
    if matches!(context.output_or_error(), Some(Ok(_))) {
        return CallOutcome::Ok;
    }
    match context.response().map(|response| response.status().as_u16()) {
        None => CallOutcome::NoAnswer,
        Some(429) => CallOutcome::Throttled,
        _ if is_zone_busy(context) => CallOutcome::Refused,
        _ if is_throttled(context, components) => CallOutcome::Throttled,
        Some(400..500) => CallOutcome::Refused,
        // An answer that is cut off half way, or that nobody can read, is none.
        Some(200..400) => CallOutcome::NoAnswer,
        Some(_) => CallOutcome::ServerError,
    }
}

/// `PriorRequestNotComplete` counts as throttling for the SDK. It is a condition of one hosted zone, and no reason to ask less
/// of all the others.
fn is_zone_busy(context: &FinalizerInterceptorContextRef<'_>) -> bool {
    let error = context.output_or_error().and_then(|output| output.err()).and_then(|error| error.as_operation_error());
    let error = error.and_then(|error| error.downcast_ref::<ChangeResourceRecordSetsError>());
    error.is_some_and(ChangeResourceRecordSetsError::is_prior_request_not_complete)
}

/// The SDK's own classifiers know the codes, whatever the protocol.
fn is_throttled(context: &FinalizerInterceptorContextRef<'_>, components: &RuntimeComponents) -> bool {
    components.retry_classifiers().any(|classifier| {
        matches!(
            classifier.classify_retry(context.inner()),
            RetryAction::RetryIndicated(RetryReason::RetryableError { kind: ErrorKind::ThrottlingError, .. })
        )
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    };

    use aws_sdk_route53::types::{Change, ChangeAction, ChangeBatch, ResourceRecordSet, RrType};
    use belay_plan::model::AwsTarget;
    use belay_ports::Fut;
    use jiff::Timestamp;
    use tokio::net::TcpListener;

    use super::*;
    use crate::{
        session::Access,
        testing::{Endpoint, aws_observed, endpoint, http},
    };

    /// Every look at it is a millisecond later.
    #[derive(Default)]
    struct Counting(AtomicU64);

    impl Clock for Counting {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }

        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.0.fetch_add(1, Ordering::Relaxed))
        }

        fn sleep<'a>(&'a self, _time: Duration) -> Fut<'a, ()> {
            Box::pin(std::future::pending())
        }
    }

    /// Operation, outcome, time and throttled time in milliseconds.
    #[derive(Default)]
    struct Seen(Mutex<Vec<(String, CallOutcome, u128, u128)>>);

    impl Observer for Seen {
        fn called(&self, call: &Call<'_>) {
            let seen = (call.operation.to_owned(), call.outcome, call.time.as_millis(), call.throttled.as_millis());
            self.0.lock().unwrap().push(seen);
        }
    }

    async fn describe(url: &str, seen: &Arc<Seen>) {
        let aws =
            aws_observed(Access::ReadOnly, url, Calls::told_to(Arc::new(Counting::default()), seen.clone())).await;
        let clients = aws.clients(&AwsTarget::default()).await.unwrap();
        let _ = clients.elbv2.read.describe_rules().send().await;
    }

    async fn seen_of(endpoint: &Endpoint) -> Vec<(String, CallOutcome, u128, u128)> {
        let seen = Arc::new(Seen::default());
        describe(endpoint.url(), &seen).await;
        std::mem::take(&mut *seen.0.lock().unwrap())
    }

    fn error(status: &str, code: &str) -> String {
        http(status, &format!("<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code></Error></ErrorResponse>"))
    }

    #[tokio::test]
    async fn every_attempt_is_seen_with_its_outcome() {
        let cases = [
            (
                http("200 OK", "<DescribeRulesResponse><DescribeRulesResult/></DescribeRulesResponse>"),
                CallOutcome::Ok,
                1,
            ),
            (error("400 Bad Request", "RuleNotFound"), CallOutcome::Refused, 1),
            (error("503 Service Unavailable", "ServiceUnavailable"), CallOutcome::ServerError, 4),
            (String::new(), CallOutcome::NoAnswer, 4),
        ];
        for (answer, outcome, attempts) in cases {
            let seen = seen_of(&endpoint(answer).await).await;
            assert_eq!(seen, vec![("DescribeRules".to_owned(), outcome, 1, 0); attempts], "{outcome:?}");
        }
    }

    /// It would halve the rate of the whole account.
    #[tokio::test]
    async fn a_busy_zone_is_no_throttling() {
        let endpoint = endpoint(error("400 Bad Request", "PriorRequestNotComplete")).await;
        let seen = Arc::new(Seen::default());
        let calls = Calls::told_to(Arc::new(Counting::default()), seen.clone());
        let aws = aws_observed(Access::ReadWrite, endpoint.url(), calls).await;
        let clients = aws.clients(&AwsTarget::default()).await.unwrap();
        let set = ResourceRecordSet::builder().name("a.example.com").r#type(RrType::A).build().unwrap();
        let change = Change::builder().action(ChangeAction::Upsert).resource_record_set(set).build().unwrap();
        let batch = ChangeBatch::builder().changes(change).build().unwrap();
        let sent = clients.route53.write.change_resource_record_sets().hosted_zone_id("Z1").change_batch(batch);
        assert!(sent.send().await.is_err());
        let seen: Vec<_> =
            seen.0.lock().unwrap().iter().map(|(operation, outcome, ..)| (operation.clone(), *outcome)).collect();
        assert_eq!(seen, [("ChangeResourceRecordSets".to_owned(), CallOutcome::Refused)]);
    }

    #[tokio::test]
    async fn throttled_time_counts_the_attempts_and_the_pauses_between() {
        let seen = seen_of(&endpoint(error("400 Bad Request", "Throttling")).await).await;
        let times: Vec<_> = seen.iter().map(|(_, outcome, time, throttled)| (*outcome, *time, *throttled)).collect();
        let throttled = CallOutcome::Throttled;
        assert_eq!(times, [(throttled, 1, 1), (throttled, 1, 2), (throttled, 1, 2), (throttled, 1, 2)]);
    }

    #[tokio::test]
    async fn a_call_that_nobody_waits_for_any_more_is_seen_too() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (url, seen) = (format!("http://{}", listener.local_addr().unwrap()), Arc::new(Seen::default()));
        tokio::select! {
            () = describe(&url, &seen) => panic!("nobody has answered"),
            accepted = listener.accept() => drop(accepted.unwrap()),
        }
        assert_eq!(seen.0.lock().unwrap().as_slice(), [("DescribeRules".to_owned(), CallOutcome::Abandoned, 1, 0)]);
    }

    #[tokio::test]
    async fn what_the_guard_refuses_is_no_call() {
        let endpoint = endpoint(String::new()).await;
        let seen = Arc::new(Seen::default());
        let calls = Calls::told_to(Arc::new(Counting::default()), seen.clone());
        let aws = aws_observed(Access::ReadOnly, endpoint.url(), calls).await;
        let clients = aws.clients(&AwsTarget::default()).await.unwrap();
        assert!(clients.elbv2.write.delete_rule().rule_arn("arn").send().await.is_err());
        assert!(seen.0.lock().unwrap().is_empty());
    }
}
