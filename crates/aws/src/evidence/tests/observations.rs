//! X-Ray and DevOps Guru, over the wire.

use belay_ports::evidence::Detail;

use super::*;

const OBSERVING: &str = "evidence: { xray: shop, devops_guru: true }";

fn observing() -> String {
    PLAN.replace("evidence: { cloudtrail: 30m }", OBSERVING)
}

fn answer(body: &Value) -> String {
    http("200 OK", &body.to_string())
}

fn refused(status: &str, code: &str, message: &str) -> String {
    http(status, &json!({ "__type": code, "Message": message, "message": message }).to_string())
}

fn denied(action: &str) -> String {
    let message = format!(
        "User: arn:aws:sts::111122223333:assumed-role/belay/i-1 is not authorized to perform: {action} because no \
         identity-based policy allows the {action} action"
    );
    refused("403 Forbidden", "AccessDeniedException", &message)
}

/// What is gathered, and the bodies of the calls: null for one without a body.
async fn observed(
    plan: &str,
    source: EvidenceSource,
    answers: impl IntoIterator<Item = String>,
) -> (Gathered, Vec<Value>) {
    let answers = Mutex::new(answers.into_iter().collect::<VecDeque<_>>());
    let wire = Wire::answering(move |_| answers.lock().unwrap().pop_front().expect("an answer for each call")).await;
    let evidence = AwsEvidence::new(wire.aws(Access::ReadOnly).await, still());
    let gathered = evidence.gather(&question_of(plan, source)).await;
    (gathered, wire.requests().iter().map(|body| serde_json::from_str(body).unwrap_or_default()).collect())
}

async fn graph(answers: impl IntoIterator<Item = String>) -> (Gathered, Vec<Value>) {
    observed(&observing(), EvidenceSource::Xray, answers).await
}

async fn insights(answers: impl IntoIterator<Item = String>) -> (Gathered, Vec<Value>) {
    observed(&observing(), EvidenceSource::DevopsGuru, answers).await
}

fn words(gathered: &Gathered) -> Vec<String> {
    gathered.findings.iter().map(|finding| finding.words()).collect()
}

fn epoch(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_second()
}

fn service(name: &str, faults: u64, errors: u64, throttles: u64, total: u64) -> Value {
    json!({
        "Name": name,
        "Type": "AWS::ECS::Service",
        "SummaryStatistics": {
            "OkCount": total - faults - errors,
            "ErrorStatistics": { "ThrottleCount": throttles, "OtherCount": errors - throttles, "TotalCount": errors },
            "FaultStatistics": { "OtherCount": faults, "TotalCount": faults },
            "TotalCount": total,
            "TotalResponseTime": 12.5,
        },
    })
}

fn services(services: &[Value], next: Option<&str>) -> String {
    answer(&json!({ "Services": services, "NextToken": next, "ContainsOldGroupVersions": false }))
}

#[tokio::test]
async fn services_of_the_graph_are_listed_with_their_faults_the_worst_first() {
    let clients = json!({ "Name": "shop", "Type": "client", "Edges": [] });
    let (gathered, calls) = graph([
        services(&[clients, service("cart", 0, 12, 3, 100), service("search", 0, 0, 0, 5000)], Some("more")),
        services(&[service("checkout", 340, 1, 0, 1200), service("mail", 1, 0, 0, 1)], None),
    ])
    .await;
    assert_eq!(
        words(&gathered),
        [
            "02:00:00Z 340 faults (5xx), 1 error (4xx) in 1200 requests to checkout (AWS::ECS::Service)",
            "02:00:00Z 1 fault (5xx) in 1 request to mail (AWS::ECS::Service)",
            "02:00:00Z 12 errors (4xx), 3 of them throttled (429), in 100 requests to cart (AWS::ECS::Service)",
        ]
    );
    let detail = Some(Detail::Requests { total: 1200, faults: 340, errors: 1, throttles: 0 });
    assert_eq!(gathered.findings[0].detail, detail);
    let quiet = "default-account/eu-west-1: 1 of 4 services had no faults, errors or throttles";
    assert_eq!(gathered.notes, [quiet]);
    assert_eq!(calls.len(), 2);
    for (call, token) in calls.iter().zip([Value::Null, json!("more")]) {
        assert_eq!((&call["GroupName"], &call["NextToken"]), (&json!("shop"), &token));
        assert_eq!(call["StartTime"].as_f64(), Some(epoch("2026-03-01T01:30:00Z") as f64));
        assert_eq!(call["EndTime"].as_f64(), Some(epoch("2026-03-01T02:00:00Z") as f64));
    }
}

#[tokio::test]
async fn the_graph_is_bounded_and_what_is_left_out_is_said() {
    let all: Vec<Value> = (1..=25).map(|number| service(&format!("service-{number}"), number, 0, 0, 100)).collect();
    let (gathered, _) = graph([services(&all, None)]).await;
    assert_eq!(gathered.findings.len(), 20);
    assert_eq!(gathered.findings[0].resource, "service-25 (AWS::ECS::Service)");
    assert_eq!(gathered.notes, ["5 more services with fewer faults are left out"]);

    let endless = (0..20).map(|_| services(&[service(&"x".repeat(5000), 1, 0, 0, 1)], Some("more")));
    let (gathered, calls) = graph(endless).await;
    assert_eq!(calls.len(), 8);
    assert!(gathered.findings.iter().all(|finding| finding.resource.chars().count() < 1300));
    let cut = "default-account/eu-west-1: only the first 8 pages of the service graph were looked at";
    assert_eq!(gathered.notes, [cut]);
}

#[tokio::test]
async fn a_group_without_requests_and_one_that_does_not_exist_are_notes() {
    let (gathered, _) = graph([services(&[], None)]).await;
    let none = "default-account/eu-west-1: X-Ray has no requests of the group `shop` in that half hour";
    assert_eq!((gathered.findings.len(), gathered.notes), (0, vec![none.to_owned()]));

    let unknown = refused("400 Bad Request", "InvalidRequestException", "The group is not valid");
    let (gathered, calls) = graph([unknown]).await;
    assert_eq!((gathered.findings.len(), gathered.notes.len(), calls.len()), (0, 1, 1));
    for part in ["does not accept the group `shop`", "aws xray get-groups", "The group is not valid"] {
        assert!(gathered.notes[0].contains(part), "{part}: {:?}", gathered.notes);
    }
}

/// A refusal is a note that shows the permission within what is kept of a note; what was read before it stays.
#[tokio::test]
async fn a_permission_to_observe_that_is_not_there_is_a_note() {
    let page = services(&[service("checkout", 1, 0, 0, 1)], Some("more"));
    let (gathered, calls) = graph([page, denied(graph::CALL)]).await;
    assert_eq!((gathered.findings.len(), calls.len()), (1, 2));
    let (listed, calls) = insights([denied("devops-guru:ListInsights")]).await;
    assert_eq!((listed.findings.len(), calls.len()), (0, 1), "the second list is not asked for");
    for (gathered, action) in [(gathered, graph::CALL), (listed, "devops-guru:ListInsights")] {
        assert_eq!(gathered.notes.len(), 1, "{:?}", gathered.notes);
        let kept: String = gathered.notes[0].chars().take(300).collect();
        for part in [format!("access denied to {action}"), "`belay iam PLAN`".to_owned()] {
            assert!(kept.contains(&part), "{part}: {kept}");
        }
    }
}

#[tokio::test]
async fn a_call_that_is_throttled_is_made_again_within_a_bound() {
    let throttled = || refused("429 Too Many Requests", "ThrottledException", "Rate exceeded");
    let (gathered, calls) = graph([throttled(), services(&[service("checkout", 1, 0, 0, 1)], None)]).await;
    assert_eq!((gathered.findings.len(), gathered.notes.len(), calls.len()), (1, 0, 2));
    let (gathered, calls) = graph((0..9).map(|_| throttled())).await;
    assert_eq!((gathered.findings.len(), gathered.notes.len(), calls.len()), (0, 1, 4));
    assert!(gathered.notes[0].contains("xray:GetServiceGraph") && gathered.notes[0].contains("Rate exceeded"));
}

fn insight(id: &str, name: &str, began: &str, ended: Option<&str>) -> Value {
    json!({
        "Id": id,
        "Name": name,
        "Severity": "HIGH",
        "Status": if ended.is_some() { "CLOSED" } else { "ONGOING" },
        "InsightTimeRange": { "StartTime": epoch(began), "EndTime": ended.map(epoch) },
    })
}

fn listed(insights: &[Value], next: Option<&str>) -> String {
    answer(&json!({ "ReactiveInsights": insights, "ProactiveInsights": [], "NextToken": next }))
}

#[tokio::test]
async fn insights_are_listed_that_are_ongoing_or_began_in_that_half_hour() {
    let latency = insight("AIb3", "ALB latency\u{1b}[31m", "2026-03-01T01:48:00Z", None);
    let (gathered, calls) = insights([
        listed(&[latency.clone(), insight("AIb0", "disk", "2026-02-26T11:00:00Z", None)], Some("more")),
        listed(&[insight("AIb9", "later", "2026-03-01T02:10:00Z", None)], None),
        listed(
            &[
                latency,
                insight("AIb2", "queue", "2026-03-01T01:35:00Z", Some("2026-03-01T01:40:00Z")),
                insight("AIb1", "old", "2026-03-01T01:00:00Z", Some("2026-03-01T01:05:00Z")),
            ],
            None,
        ),
    ])
    .await;
    assert_eq!(
        words(&gathered),
        [
            "01:48:00Z insight of high severity, ongoing: ALB latency\u{1b}[31m AIb3",
            "01:35:00Z insight of high severity, closed at 01:40:00Z: queue AIb2",
            "11:00:00Z insight of high severity, ongoing since 2026-02-26: disk AIb0",
        ]
    );
    let (id, severity, status) = ("AIb2".to_owned(), "HIGH".to_owned(), "CLOSED".to_owned());
    assert_eq!(gathered.findings[1].detail, Some(Detail::Insight { id, severity, status }));
    assert_eq!(gathered.notes, Vec::<String>::new());
    assert_eq!(calls.len(), 3);
    assert_eq!(calls[0]["StatusFilter"], json!({ "Ongoing": { "Type": "REACTIVE" } }));
    assert_eq!(calls[1]["NextToken"], "more");
    let any = &calls[2]["StatusFilter"]["Any"];
    assert_eq!(any["Type"], "REACTIVE");
    assert_eq!(any["StartTimeRange"]["FromTime"].as_f64(), Some(epoch("2026-03-01T01:30:00Z") as f64));
    assert_eq!(any["StartTimeRange"]["ToTime"].as_f64(), Some(epoch("2026-03-01T02:00:00Z") as f64));
}

/// Both list nothing, and mean the opposite.
#[tokio::test]
async fn devops_guru_that_is_not_enabled_is_told_from_one_that_sees_nothing() {
    let health = |resources: u64| {
        answer(&json!({
            "OpenReactiveInsights": 0, "OpenProactiveInsights": 0, "MetricsAnalyzed": 0,
            "ResourceHours": resources, "AnalyzedResourceCount": resources,
        }))
    };
    let place = "default-account/eu-west-1";
    for (last, said) in [
        (health(0), format!("{place}: DevOps Guru analyses nothing: it is not enabled in this account and region, or")),
        (health(7), format!("{place}: DevOps Guru lists no insight that was ongoing or began in that half hour")),
        (
            denied("devops-guru:DescribeAccountHealth"),
            format!("{place}: access denied to devops-guru:DescribeAccountHealth; `belay iam PLAN`"),
        ),
    ] {
        let (gathered, calls) = insights([listed(&[], None), listed(&[], None), last]).await;
        assert_eq!((gathered.findings.len(), gathered.notes.len(), calls.len()), (0, 1, 3));
        assert!(gathered.notes[0].starts_with(&said), "{said}: {:?}", gathered.notes);
    }
}

#[tokio::test]
async fn no_more_than_so_many_insights_are_looked_at() {
    let endless = (0..20)
        .map(|page| listed(&[insight(&format!("AI{page}"), "latency", "2026-03-01T01:48:00Z", None)], Some("more")));
    let (gathered, calls) = insights(endless).await;
    assert_eq!((gathered.findings.len(), gathered.notes.len(), calls.len()), (6, 2, 6));
    assert!(gathered.notes.iter().all(|note| note.ends_with("only 300 insights of a list were looked at")));
}

#[tokio::test]
async fn when_time_is_over_nobody_is_asked_how_the_system_was() {
    let evidence = AwsEvidence::new(crate::testing::nowhere(), Arc::new(Hurried::default()));
    for source in [EvidenceSource::Xray, EvidenceSource::DevopsGuru] {
        let gathered = evidence.gather(&question_of(&observing(), source)).await;
        assert!(gathered.notes[0].ends_with("answers too slowly"), "{:?}", gathered.notes);
    }
}

/// The graph of a system is where it runs, also where Route 53 leads to it.
#[tokio::test]
async fn each_place_of_the_plan_is_asked_once() {
    let plan = observing().replace(
        "\nevidence",
        "
  dns_back:
    action: route53.weights
    with: { zone: Z0123456789ABC, record: shop.example.com, type: A }
    to: { blue: 100, green: 0 }
    require: [errors]
    aws: { region: eu-central-1 }
evidence",
    );
    let pages = [services(&[service("a", 1, 0, 0, 9)], None), services(&[service("b", 2, 0, 0, 9)], None)];
    let (gathered, calls) = observed(&plan, EvidenceSource::Xray, pages).await;
    assert_eq!(calls.len(), 2);
    let resources: Vec<&str> = gathered.findings.iter().map(|finding| finding.resource.as_str()).collect();
    assert_eq!(
        resources,
        ["b (AWS::ECS::Service) in default-account/eu-central-1", "a (AWS::ECS::Service) in default-account/eu-west-1"]
    );
    let nowhere = "belay: 1\nmigration: shop\nsteps: { people: { action: manual, with: { instructions: Do it. } } }\n";
    let (gathered, calls) = observed(&format!("{nowhere}{OBSERVING}\n"), EvidenceSource::Xray, []).await;
    let note = "not asked: no step and no signal of the plan is in AWS".to_owned();
    assert_eq!((gathered.notes, calls.len()), (vec![note], 0));
}

#[test]
fn each_source_has_its_own_permissions() {
    let needed = |plan: &str| {
        let plan = question_of(plan, EvidenceSource::Xray).plan;
        let needed = AwsEvidence::new(crate::testing::nowhere(), still()).permissions(&plan);
        assert!(needed.iter().all(|one| !one.mutates && one.resource == "*"));
        needed.into_iter().map(|one| one.action).collect::<Vec<_>>()
    };
    let of = |evidence: &str| needed(&observing().replace(OBSERVING, evidence));
    let alarms = "cloudwatch:DescribeAlarmHistory";
    let (list, health) = ("devops-guru:ListInsights", "devops-guru:DescribeAccountHealth");
    assert_eq!(of("evidence: { xray: shop, devops_guru: true }"), [alarms, "xray:GetServiceGraph", list, health]);
    assert_eq!(of("evidence: { devops_guru: true }"), [alarms, list, health]);
    assert_eq!(of("evidence: { xray: shop, devops_guru: false }"), [alarms, "xray:GetServiceGraph"]);
}
