//! What goes over the wire when an account is looked around in, and what is made of it.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use belay_draft::inventory::ForwarderKind;
use ciborium::cbor;

use super::*;
use crate::{
    cloudwatch::testing::{CloudWatch, refused},
    session::Access,
    testing::{aws_at, http},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

const ACCOUNT: &str = "111122223333";
const LB: &str = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/shop/1";
const LISTENER: &str = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener/app/shop/1/2";

/// An account that answers each request by its text: head and body.
struct World {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    _server: JoinSet<std::io::Result<()>>,
}

impl World {
    /// None: not allowed. [`THROTTLED`]: too many calls.
    async fn answering(answer: impl Fn(&str) -> Option<String> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (kept, mut server) = (asked.clone(), JoinSet::new());
        server.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await?;
                let mut request = String::new();
                // A request is small; its head says how long its body is.
                loop {
                    let mut part = [0; 16 * 1024];
                    let length = stream.read(&mut part).await?;
                    request += &String::from_utf8_lossy(&part[..length]);
                    let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
                    let head = head.to_ascii_lowercase();
                    let wanted = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                    if length == 0 || body.len() >= wanted.unwrap_or(0) {
                        break;
                    }
                }
                let response = match request.contains("GetCallerIdentity") {
                    true => http("200 OK", &identity()),
                    false => match answer(&request).as_deref() {
                        None => http("403 Forbidden", DENIED),
                        Some(THROTTLED) => http("400 Bad Request", THROTTLED),
                        Some(body) => http("200 OK", body),
                    },
                };
                kept.lock().unwrap().push(request);
                stream.write_all(response.as_bytes()).await?;
            }
        });
        Self { url, asked, _server: server }
    }

    async fn discovery(&self) -> Discovery {
        let aws = aws_at(Access::ReadOnly, &self.url).await;
        Discovery::start(&aws, None, Arc::new(|_| ())).await.unwrap()
    }

    /// The requests that contain this.
    fn asked(&self, part: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|request| request.contains(part)).count()
    }
}

const DENIED: &str =
    "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not allowed</Message></Error></ErrorResponse>";

const THROTTLED: &str = "<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>";

fn identity() -> String {
    format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::{ACCOUNT}:user/somebody</Arn><UserId>A</UserId><Account>{ACCOUNT}</Account>\
         </GetCallerIdentityResult></GetCallerIdentityResponse>"
    )
}

/// `next`: where the next page begins.
fn zones(names: &[String], next: Option<&str>) -> String {
    let zone = |name: &String| {
        format!(
            "<HostedZone><Id>/hostedzone/Z{}</Id><Name>{name}.</Name><CallerReference>r</CallerReference></HostedZone>",
            name.split('.').next().unwrap().to_ascii_uppercase()
        )
    };
    let next = next.map(|next| format!("<NextDNSName>{next}.</NextDNSName><NextHostedZoneId>ZN</NextHostedZoneId>"));
    format!(
        "<ListHostedZonesByNameResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><HostedZones>{}</HostedZones>\
         <IsTruncated>{}</IsTruncated>{}<MaxItems>100</MaxItems></ListHostedZonesByNameResponse>",
        names.iter().map(zone).collect::<String>(),
        next.is_some(),
        next.unwrap_or_default()
    )
}

fn weighted(name: &str, member: &str, weight: u32, leads_to: &str) -> String {
    format!(
        "<ResourceRecordSet><Name>{name}.</Name><Type>A</Type><SetIdentifier>{member}</SetIdentifier><Weight>{weight}</Weight>\
         <AliasTarget><HostedZoneId>ZELB</HostedZoneId><DNSName>{leads_to}.</DNSName>\
         <EvaluateTargetHealth>true</EvaluateTargetHealth></AliasTarget></ResourceRecordSet>"
    )
}

fn simple(name: &str) -> String {
    format!(
        "<ResourceRecordSet><Name>{name}.</Name><Type>A</Type><TTL>60</TTL><ResourceRecords><ResourceRecord><Value>192.0.2.1</Value>\
         </ResourceRecord></ResourceRecords></ResourceRecordSet>"
    )
}

fn records(sets: &str, next: Option<&str>) -> String {
    let next = next.map(|next| format!("<NextRecordName>{next}.</NextRecordName><NextRecordType>A</NextRecordType>"));
    format!(
        "<ListResourceRecordSetsResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><ResourceRecordSets>{sets}\
         </ResourceRecordSets><IsTruncated>{}</IsTruncated>{}<MaxItems>300</MaxItems></ListResourceRecordSetsResponse>",
        next.is_some(),
        next.unwrap_or_default()
    )
}

/// What stands behind a key of the path: `name=n0300.big.example.`.
fn parameter<'r>(request: &'r str, key: &str) -> Option<&'r str> {
    let line = request.lines().next()?;
    let (_, rest) = line.split_once(&format!("{key}="))?;
    Some(rest.split(['&', ' ']).next()?.trim_end_matches('.'))
}

/// A zone of 10,000 records, of which one is weighted, among 500 zones.
#[tokio::test]
async fn all_records_of_all_zones_are_read_page_by_page() {
    const PAGE: usize = 300;
    let world = World::answering(|request| {
        if request.contains("/hostedzonesbyname") {
            let first = parameter(request, "dnsname").map_or(0, |name| name[1..4].parse::<usize>().unwrap());
            let names: Vec<String> = (first..(first + 100).min(500)).map(|n| format!("z{n:03}.example")).collect();
            let next = (first + 100 < 500).then(|| format!("z{:03}.example", first + 100));
            return Some(zones(&names, next.as_deref()));
        }
        if !request.contains("/hostedzone/ZZ007/") {
            return Some(records(&simple("www.example"), None));
        }
        let first = parameter(request, "name").map_or(0, |name| name[1..6].parse::<usize>().unwrap());
        let last = (first + PAGE).min(10_000);
        let sets: String = (first..last)
            .map(|n| match n {
                9_999 => weighted("n09999.z007.example", "blue", 7, "Lb.example"),
                n => simple(&format!("n{n:05}.z007.example")),
            })
            .collect();
        let next = (last < 10_000).then(|| format!("n{last:05}.z007.example"));
        Some(records(&sets, next.as_deref()))
    })
    .await;
    let found = world.discovery().await.records(&[]).await.unwrap();
    let [record] = found.items.as_slice() else { panic!("{:?}", found.items.len()) };
    assert_eq!((record.name.as_str(), record.zone.as_str()), ("n09999.z007.example", "ZZ007"));
    assert_eq!((record.zone_name.as_deref(), record.members[0].weight), (Some("z007.example"), 7));
    assert_eq!(record.members[0].leads_to.as_deref(), Some("lb.example"));
    assert_eq!(found.notes, Vec::<String>::new());
    assert_eq!((world.asked("/hostedzonesbyname"), world.asked("/rrset")), (5, 499 + 34));
}

#[tokio::test]
async fn a_named_record_is_looked_for_in_its_zones_alone() {
    let world = World::answering(|request| match () {
        () if request.contains("/hostedzonesbyname") => {
            let names = ["example.com", "shop.example.com", "xample.com", "example.net"].map(str::to_owned);
            Some(zones(&names, None))
        }
        () if request.contains("/hostedzone/ZEXAMPLE/") => {
            Some(records(&simple("www.shop.example.com"), Some("zzz.example.com")))
        }
        () => Some(records(&(weighted("www.shop.example.com", "blue", 1, "lb") + &simple("x.shop.example.com")), None)),
    })
    .await;
    let found = world.discovery().await.records(&["WWW.shop.example.com".to_owned()]).await.unwrap();
    assert_eq!(found.items.len(), 1);
    assert_eq!(
        found.notes,
        ["the record www.shop.example.com A in zone ZEXAMPLE has no weights: it is a simple record"]
    );
    assert_eq!(world.asked("/rrset"), 2, "and only to the end of that name");
    assert_eq!(world.asked("name=www.shop.example.com"), 2);
}

/// Who has mistyped it chooses among them.
#[tokio::test]
async fn a_name_that_is_not_there_is_answered_with_the_records_that_are() {
    let world = World::answering(|request| match () {
        () if request.contains("/hostedzonesbyname") => Some(zones(&["example.com".to_owned()], None)),
        () if request.contains("name=ww.example.com") => Some(records(&simple("www2.example.com"), None)),
        () => Some(records(&weighted("www.example.com", "blue", 1, "lb"), None)),
    })
    .await;
    for name in ["ww.example.com", "www.elsewhere.net"] {
        let found = world.discovery().await.records(&[name.to_owned()]).await.unwrap();
        let names: Vec<&str> = found.items.iter().map(|record| record.name.as_str()).collect();
        assert_eq!(names, ["www.example.com"], "{name}");
    }
}

/// An account that never ends is looked at up to a bound, and what was left is told.
#[tokio::test]
async fn a_bound_ends_what_has_no_end() {
    let page = AtomicUsize::new(0);
    let world = World::answering(move |request| {
        if request.contains("/hostedzonesbyname") {
            return Some(zones(&["a.example".to_owned(), "b.example".to_owned()], None));
        }
        let n = page.fetch_add(1, Ordering::SeqCst);
        Some(records(&simple(&format!("n{n}.a.example")), Some(&format!("n{}.a.example", n + 1))))
    })
    .await;
    let found = world.discovery().await.records(&[]).await.unwrap();
    assert_eq!(world.asked("/rrset") + world.asked("/hostedzonesbyname"), 1_000);
    let [note] = found.notes.as_slice() else { panic!("{:?}", found.notes) };
    assert!(
        note.starts_with("2 of 2 hosted zones were not looked at, or not to their end: a.example (from n"),
        "{note}"
    );
    assert!(note.contains("at most 1000 calls") && note.contains("`--record NAME`"), "{note}");
}

#[tokio::test]
async fn a_zone_that_may_not_be_read_is_a_note_and_none_is_an_error() {
    let world = World::answering(|request| match () {
        () if request.contains("/hostedzonesbyname") => {
            Some(zones(&["open.example".to_owned(), "shut.example".to_owned()], None))
        }
        () if request.contains("ZOPEN") => Some(records(&weighted("open.example", "a", 1, "lb"), None)),
        () => None,
    })
    .await;
    let found = world.discovery().await.records(&[]).await.unwrap();
    assert_eq!(found.items.len(), 1);
    assert!(found.notes[0].contains("route53:ListResourceRecordSets on hosted zone ZSHUT"), "{:?}", found.notes);
    let shut = World::answering(|_| None).await;
    let error = shut.discovery().await.records(&[]).await.unwrap_err();
    assert!(error.permanent && error.why.contains("route53:ListHostedZonesByName"), "{error:?}");
}

/// 34 pages of records; those of the last page have weights. Every tenth page is throttled at first.
#[tokio::test]
async fn ten_thousand_records_are_read_to_the_last_also_when_some_calls_are_throttled() {
    const PAGE: usize = 300;
    const ALL: usize = 10_000;
    let throttled = Mutex::new(BTreeSet::new());
    let world = World::answering(move |request| {
        if request.contains("/hostedzonesbyname") {
            return Some(zones(&["big.example".to_owned()], None));
        }
        let from: usize = parameter(request, "name").map_or(0, |name| name[1..6].parse().unwrap());
        if from.is_multiple_of(10 * PAGE) && throttled.lock().unwrap().insert(from) {
            return Some(THROTTLED.to_owned());
        }
        let sets = (from..ALL.min(from + PAGE)).map(|n| match n + 2 >= ALL {
            true => weighted("n09998.big.example", if n + 1 == ALL { "green" } else { "blue" }, 50, "lb.example"),
            false => simple(&format!("n{n:05}.big.example")),
        });
        let next = (from + PAGE < ALL).then(|| format!("n{:05}.big.example", from + PAGE));
        Some(records(&sets.collect::<String>(), next.as_deref()))
    })
    .await;
    let found = world.discovery().await.records(&[]).await.unwrap();
    assert_eq!(found.notes, Vec::<String>::new(), "throttling is waited out");
    let [record] = found.items.as_slice() else { panic!("{:?}", found.items) };
    assert_eq!((record.name.as_str(), record.members.len()), ("n09998.big.example", 2));
    assert_eq!(world.asked("/rrset"), ALL.div_ceil(PAGE) + 4, "34 pages, four of them twice");
}

/// A hundred load balancers with a listener each, on two pages; the first call for every tenth is throttled.
#[tokio::test]
async fn the_listeners_of_a_hundred_load_balancers_are_read_also_when_some_calls_are_throttled() {
    let balancer = |n: usize| format!("arn:aws:elasticloadbalancing:eu-west-1:{ACCOUNT}:loadbalancer/app/lb{n:03}/1");
    let throttled = Mutex::new(BTreeSet::new());
    let world = World::answering(move |request| {
        let body = request.split_once("\r\n\r\n")?.1;
        if body.contains("DescribeLoadBalancers") {
            let (from, marker) = if body.contains("Marker=") { (50, "") } else { (0, "<NextMarker>m</NextMarker>") };
            let all = (from..from + 50).map(|n| {
                format!(
                    "<member><LoadBalancerArn>{}</LoadBalancerArn><LoadBalancerName>lb{n:03}</LoadBalancerName>\
                     <DNSName>lb{n:03}.elb.example</DNSName><Type>application</Type></member>",
                    balancer(n)
                )
            });
            let all = all.collect::<String>();
            return Some(elb("DescribeLoadBalancers", &format!("<LoadBalancers>{all}</LoadBalancers>{marker}")));
        }
        let (_, rest) = body.split_once("lb")?;
        let number: usize = rest.get(..3)?.parse().ok()?;
        if body.contains("DescribeListeners") && number.is_multiple_of(10) && throttled.lock().unwrap().insert(number) {
            return Some(THROTTLED.to_owned());
        }
        Some(match body.contains("DescribeListeners") {
            true => elb(
                "DescribeListeners",
                &format!(
                    "<Listeners><member><ListenerArn>arn:listener/lb{number:03}</ListenerArn><Port>443</Port>\
                     <Protocol>HTTPS</Protocol>{}</member></Listeners>",
                    actions("DefaultActions", &[("blue", 100), ("green", 0)])
                ),
            ),
            false => elb("DescribeRules", "<Rules></Rules>"),
        })
    })
    .await;
    let discovery = world.discovery().await;
    let balancers = discovery.balancers().await.unwrap();
    let arns: Vec<&str> = balancers.items.iter().map(|balancer| balancer.arn.as_str()).collect();
    assert_eq!(arns.len(), 100);
    let found = discovery.forwarders(&arns).await.unwrap();
    assert_eq!((found.items.len(), found.notes), (100, Vec::<String>::new()));
    assert_eq!(found.items[99].arn, "arn:listener/lb099");
    assert_eq!(world.asked("DescribeListeners"), 110);
}

fn elb(call: &str, inside: &str) -> String {
    format!(
        "<{call}Response xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\"><{call}Result>{inside}</{call}Result>\
         </{call}Response>"
    )
}

fn actions(tag: &str, groups: &[(&str, u32)]) -> String {
    let group = |(name, weight): &(&str, u32)| {
        format!("<member><TargetGroupArn>arn:tg/{name}/1</TargetGroupArn><Weight>{weight}</Weight></member>")
    };
    format!(
        "<{tag}><member><Type>forward</Type><ForwardConfig><TargetGroups>{}</TargetGroups><TargetGroupStickinessConfig>\
         <Enabled>true</Enabled><DurationSeconds>60</DurationSeconds></TargetGroupStickinessConfig></ForwardConfig></member></{tag}>",
        groups.iter().map(group).collect::<String>()
    )
}

fn balancing(request: &str) -> Option<String> {
    let body = request.split_once("\r\n\r\n")?.1;
    Some(match () {
        () if body.contains("DescribeLoadBalancers") && !body.contains("Marker=") => elb(
            "DescribeLoadBalancers",
            &format!(
                "<LoadBalancers><member><LoadBalancerArn>{LB}</LoadBalancerArn><LoadBalancerName>shop</LoadBalancerName>\
                 <DNSName>Shop-1.elb.example</DNSName><Type>application</Type></member></LoadBalancers><NextMarker>m</NextMarker>"
            ),
        ),
        () if body.contains("DescribeLoadBalancers") => elb(
            "DescribeLoadBalancers",
            "<LoadBalancers><member><LoadBalancerArn>arn:gwy</LoadBalancerArn><LoadBalancerName>gate</LoadBalancerName>\
             <Type>gateway</Type></member></LoadBalancers>",
        ),
        () if body.contains("DescribeListeners") => elb(
            "DescribeListeners",
            &format!(
                "<Listeners><member><ListenerArn>{LISTENER}</ListenerArn><Port>443</Port><Protocol>HTTPS</Protocol>{}</member></Listeners>",
                actions("DefaultActions", &[("blue", 100), ("green", 0)])
            ),
        ),
        () if body.contains("DescribeRules") => elb(
            "DescribeRules",
            &format!(
                "<Rules><member><RuleArn>arn:rule/1</RuleArn><Priority>10</Priority><IsDefault>false</IsDefault>{}</member>\
                 <member><RuleArn>arn:rule/2</RuleArn><Priority>11</Priority><IsDefault>false</IsDefault><Actions><member>\
                 <Type>redirect</Type></member></Actions></member>\
                 <member><RuleArn>arn:rule/d</RuleArn><Priority>default</Priority><IsDefault>true</IsDefault>{}</member></Rules>",
                actions("Actions", &[("api", 1)]),
                actions("Actions", &[("blue", 100), ("green", 0)])
            ),
        ),
        () => return None,
    })
}

#[tokio::test]
async fn listeners_and_rules_that_forward_are_found() {
    let world = World::answering(balancing).await;
    let discovery = world.discovery().await;
    let balancers = discovery.balancers().await.unwrap();
    assert!(balancers.notes.is_empty());
    assert_eq!(balancers.items.iter().map(|found| found.dns_name.as_str()).collect::<Vec<_>>(), ["shop-1.elb.example"]);
    let found = discovery.forwarders(&[LB]).await.unwrap();
    let labels: Vec<String> = found.items.iter().map(|found| found.label()).collect();
    assert_eq!(labels, ["shop:443", "shop:443/10"], "neither the default rule, which is the listener, nor a redirect");
    assert_eq!((found.items[0].kind.clone(), found.items[0].sticky_s), (ForwarderKind::Listener, Some(60)));
    assert!(found.items[0].is_weighted() && !found.items[1].is_weighted());
    // Health cannot be read there: that is a note.
    let (groups, notes) = discovery.health(&["arn:tg/blue/1"]).await;
    assert!(groups.is_empty() && notes[0].contains("DescribeTargetHealth"), "{notes:?}");
}

#[tokio::test]
async fn databases_alone_and_in_clusters_are_found() {
    let rds = |call: &str, inside: &str| {
        format!(
            "<{call}Response xmlns=\"http://rds.amazonaws.com/doc/2014-10-31/\"><{call}Result>{inside}</{call}Result></{call}Response>"
        )
    };
    let world = World::answering(move |request| {
        let body = request.split_once("\r\n\r\n")?.1;
        Some(match () {
            () if body.contains("Action=DescribeDBInstances&") => rds(
                "DescribeDBInstances",
                "<DBInstances><DBInstance><DBInstanceIdentifier>orders</DBInstanceIdentifier><Engine>postgres</Engine>\
                 <DBInstanceStatus>available</DBInstanceStatus><LatestRestorableTime>2026-11-29T16:00:00Z</LatestRestorableTime>\
                 </DBInstance><DBInstance><DBInstanceIdentifier>stock-1</DBInstanceIdentifier><Engine>aurora-mysql</Engine>\
                 <DBClusterIdentifier>stock</DBClusterIdentifier></DBInstance></DBInstances>",
            ),
            () if body.contains("Action=DescribeDBClusters&") => rds(
                "DescribeDBClusters",
                "<DBClusters><DBCluster><DBClusterIdentifier>stock</DBClusterIdentifier><Engine>aurora-mysql</Engine>\
                 <BacktrackWindow>3600</BacktrackWindow><DBClusterMembers><DBClusterMember><DBInstanceIdentifier>stock-1\
                 </DBInstanceIdentifier></DBClusterMember></DBClusterMembers></DBCluster><DBCluster><DBClusterIdentifier>docs\
                 </DBClusterIdentifier><Engine>docdb</Engine></DBCluster></DBClusters>",
            ),
            () if body.contains("SnapshotType=awsbackup") => rds("DescribeDBSnapshots", "<DBSnapshots/>"),
            () if body.contains("Action=DescribeDBSnapshots&") => rds(
                "DescribeDBSnapshots",
                "<DBSnapshots><DBSnapshot><DBSnapshotIdentifier>old</DBSnapshotIdentifier><Status>available</Status>\
                 <SnapshotCreateTime>2026-11-27T10:00:00Z</SnapshotCreateTime></DBSnapshot><DBSnapshot>\
                 <DBSnapshotIdentifier>new</DBSnapshotIdentifier><Status>available</Status>\
                 <SnapshotCreateTime>2026-11-28T10:00:00Z</SnapshotCreateTime></DBSnapshot><DBSnapshot>\
                 <DBSnapshotIdentifier>unfinished</DBSnapshotIdentifier><Status>creating</Status></DBSnapshot></DBSnapshots>",
            ),
            () if body.contains("Action=DescribeDBInstanceAutomatedBackups&") => rds(
                "DescribeDBInstanceAutomatedBackups",
                "<DBInstanceAutomatedBackups><DBInstanceAutomatedBackup><RestoreWindow><EarliestTime>2026-11-22T00:00:00Z</EarliestTime>\
                 </RestoreWindow></DBInstanceAutomatedBackup></DBInstanceAutomatedBackups>",
            ),
            () => return None,
        })
    })
    .await;
    let discovery = world.discovery().await;
    let found = discovery.databases().await.unwrap().items;
    let names: Vec<&str> = found.iter().map(|database| database.name.as_str()).collect();
    assert_eq!(names, ["stock", "docs", "orders"], "members go with their cluster");
    assert_eq!(
        (found[0].members.as_slice(), found[0].backups.backtrack_window_s),
        (&["stock-1".to_owned()][..], Some(3_600))
    );
    assert!(found[1].unfit.as_ref().is_some_and(|why| why.contains("docdb")) && found[2].unfit.is_none());
    let (backups, notes) = discovery.backups(&found[2]).await;
    assert_eq!(backups.snapshot.unwrap().name, "new");
    let times = [backups.earliest_restorable, backups.latest_restorable].map(|time| time.unwrap().to_string());
    assert_eq!(times, ["2026-11-22T00:00:00Z", "2026-11-29T16:00:00Z"]);
    let [note] = notes.as_slice() else { panic!("{notes:?}") };
    assert!(note.contains("rds:DescribeBlueGreenDeployments"), "{note}");
}

/// An older region refuses a call that names alarms on logs.
#[tokio::test]
async fn alarms_are_found_also_where_those_on_logs_are_not_known() {
    let cloudwatch = CloudWatch::start(|asked| {
        if asked["AlarmTypes"].to_string().contains("LogAlarm") {
            return refused("LogAlarm");
        }
        let first = cbor!({
            "MetricAlarms" => [{
                "AlarmName" => "errors", "AlarmArn" => "arn:errors", "StateValue" => "OK", "EvaluationPeriods" => 3,
                "Metrics" => [
                    { "Id" => "ratio", "Expression" => "a / b", "Period" => 300 },
                    { "Id" => "a", "MetricStat" => {
                        "Metric" => {
                            "Namespace" => "AWS/ApplicationELB", "MetricName" => "Errors",
                            "Dimensions" => [{ "Name" => "LoadBalancer", "Value" => "app/shop/1" }],
                        },
                        "Period" => 60, "Stat" => "Sum",
                    } },
                ],
            }],
            "NextToken" => "more",
        });
        let last = cbor!({ "CompositeAlarms" => [{ "AlarmName" => "hurt", "AlarmRule" => "ALARM(errors)" }] });
        ("200 OK", if asked["NextToken"].is_null() { first } else { last }.unwrap())
    })
    .await;
    let target = AwsTarget::default();
    let clients = cloudwatch.aws().await.clients(&target).await.unwrap();
    let found = Discovery { clients, target, progress: Arc::new(|_| ()) }.alarms().await.unwrap();
    let [errors, hurt] = found.items.as_slice() else { panic!("{found:?}") };
    assert_eq!(errors.metric.as_deref(), Some("Metric math over AWS/ApplicationELB Errors"));
    assert_eq!(errors.dimensions, [("LoadBalancer".to_owned(), "app/shop/1".to_owned())]);
    assert_eq!((errors.looks_at_s, errors.state.as_deref()), (Some(900), Some("OK")));
    assert_eq!((hurt.rule.as_deref(), found.notes.len()), (Some("ALARM(errors)"), 0));
    assert_eq!(cloudwatch.calls().len(), 3);
}
