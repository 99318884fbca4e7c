use super::*;
use crate::{cloudwatch, route53, testing::Jumping};

#[derive(Default)]
struct Waits(Mutex<Vec<Duration>>);

impl Observer for Waits {
    fn waited(&self, service: &str, time: Duration) {
        assert_eq!(service, "Route 53");
        self.0.lock().unwrap().push(time);
    }
}

fn budget() -> (Budget, Arc<Waits>) {
    let waits = Arc::new(Waits::default());
    (Budget::new(Arc::new(Jumping::default()), waits.clone()), waits)
}

fn target(account: &str) -> AwsTarget {
    AwsTarget { account: Some(account.to_owned()), ..AwsTarget::default() }
}

/// Belay's half of Route 53's 10 calls a second, 50 at once.
const BURST: usize = 25;

#[tokio::test]
async fn all_that_reach_an_account_draw_from_one_bucket() {
    let (budget, waits) = budget();
    let one = budget.of(&target("111122223333"), "eu-west-1", &route53::SERVICE);
    // Route 53 is global: another region is the same bucket, another account is not.
    let same = budget.of(&target("111122223333"), "us-east-1", &route53::SERVICE);
    let other = budget.of(&target("444455556666"), "eu-west-1", &route53::SERVICE);
    for _ in 0..BURST {
        one.take("", Urgency::Write).await.unwrap();
    }
    other.take("", Urgency::Write).await.unwrap();
    assert!(waits.0.lock().unwrap().is_empty());
    same.take("", Urgency::Write).await.unwrap();
    assert!(waits.0.lock().unwrap()[0] >= Duration::from_millis(190), "5 a second: {waits:?}", waits = waits.0);
}

#[tokio::test]
async fn a_write_goes_before_the_reads_that_wait() {
    let (budget, _) = budget();
    let budget = budget.of(&target("111122223333"), "eu-west-1", &route53::SERVICE);
    for _ in 0..BURST {
        budget.take("", Urgency::Write).await.unwrap();
    }
    let order = Mutex::new(Vec::new());
    let call = async |name: &'static str, urgency| {
        budget.take("", urgency).await.unwrap();
        order.lock().unwrap().push(name);
    };
    tokio::join!(
        call("a read", Urgency::Read),
        call("another read", Urgency::Read),
        call("a write", Urgency::Write),
        call("another write", Urgency::Write)
    );
    assert_eq!(order.into_inner().unwrap(), ["a write", "another write", "a read", "another read"]);
}

#[tokio::test]
async fn nobody_waits_without_end() {
    let (budget, _) = budget();
    let budget = budget.of(&target("111122223333"), "eu-west-1", &route53::SERVICE);
    for _ in 0..BURST {
        budget.take("", Urgency::Write).await.unwrap();
    }
    // A storm: the least rate is one call in more than three seconds.
    for _ in 0..10 {
        budget.throttled("");
        let clock = &budget.budget.0.clock;
        clock.sleep(Duration::from_secs(1)).await;
    }
    let calls = (0..40).map(|_| budget.take("", Urgency::Write));
    let refused = futures::future::join_all(calls).await.into_iter().filter_map(Result::err);
    let refused: Vec<String> = refused.map(|error| error.to_string()).collect();
    assert!(!refused.is_empty());
    assert_eq!(
        refused[0],
        "it was not sent: Belay's own share of the Route 53 API's quota in 111122223333/global was used up for 5 s"
    );
}

#[test]
fn an_operation_with_a_quota_of_its_own_has_a_bucket_of_its_own() {
    const CLOUDWATCH: &Service = &cloudwatch::SERVICE;
    assert_eq!(granted(CLOUDWATCH, "GetMetricData").operation, "GetMetricData");
    assert_eq!(granted(CLOUDWATCH, "DescribeAlarms").operation, "");
    assert_eq!(granted(CLOUDWATCH, "").quota.rate, 9.0);
    assert_eq!(granted(&Service::new("Something new", "new"), "").quota.rate, 20.0);
    // A hundred calls, ten thousand alarms: a sweep of 22 s.
    assert_eq!((pace(CLOUDWATCH, "DescribeAlarms") * 100).as_secs(), 22);
}
