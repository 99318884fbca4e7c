//! What goes over the wire, with canned answers.

use belay_core::change::Proof;
use serde_json::json;

use super::*;
use crate::{
    session::Access,
    testing::{Script, Still, aws_at, scope},
};

const NS: &str = "xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"";

fn set(name: &str, kind: &str, inside: &str) -> String {
    format!("<ResourceRecordSet><Name>{name}</Name><Type>{kind}</Type>{inside}</ResourceRecordSet>")
}

fn weighted(member: &str, weight: u32) -> String {
    set(
        "\\052.example.com.",
        "A",
        &format!(
            "<SetIdentifier>{member}</SetIdentifier><Weight>{weight}</Weight><TTL>30</TTL><ResourceRecords>\
             <ResourceRecord><Value>192.0.2.2</Value></ResourceRecord><ResourceRecord><Value>192.0.2.1</Value></ResourceRecord>\
             </ResourceRecords>"
        ),
    )
}

fn page(sets: &str, next: Option<&str>) -> String {
    let next = match next {
        Some(member) => format!(
            "<IsTruncated>true</IsTruncated><NextRecordName>\\052.example.com.</NextRecordName>\
             <NextRecordType>A</NextRecordType><NextRecordIdentifier>{member}</NextRecordIdentifier>"
        ),
        None => "<IsTruncated>false</IsTruncated>".to_owned(),
    };
    format!(
        "<ListResourceRecordSetsResponse {NS}><ResourceRecordSets>{sets}</ResourceRecordSets>{next}<MaxItems>300</MaxItems>\
         </ListResourceRecordSetsResponse>"
    )
}

fn zones(zones: &[(&str, &str, bool)]) -> String {
    let zone = |(id, name, private): &(&str, &str, bool)| {
        format!(
            "<HostedZone><Id>/hostedzone/{id}</Id><Name>{name}</Name><CallerReference>r</CallerReference>\
             <Config><PrivateZone>{private}</PrivateZone></Config></HostedZone>"
        )
    };
    let zones: String = zones.iter().map(zone).collect();
    format!(
        "<ListHostedZonesByNameResponse {NS}><HostedZones>{zones}</HostedZones><IsTruncated>false</IsTruncated>\
         <MaxItems>100</MaxItems></ListHostedZonesByNameResponse>"
    )
}

fn change(status: &str) -> String {
    format!(
        "<GetChangeResponse {NS}><ChangeInfo><Id>/change/C1</Id><Status>{status}</Status>\
         <SubmittedAt>2026-01-01T00:00:00Z</SubmittedAt></ChangeInfo></GetChangeResponse>"
    )
}

fn with(zone: &str) -> With {
    serde_json::from_value(json!({ "zone": zone, "record": "*.example.com", "type": "A" })).unwrap()
}

async fn look(script: &Script, scope: &Scope, with: &With, receipts: &[Receipt]) -> Result<State, ReadError> {
    let system = Route53Weights::new(aws_at(Access::ReadOnly, script.url()).await, Arc::new(Still { wakes: false }));
    system.look(&Scope { aws: AwsTarget { account: None, ..scope.aws.clone() }, ..scope.clone() }, with, receipts).await
}

fn to_blue() -> Scope {
    scope(json!({}), Some(json!({"blue": 100, "green": 0})), None)
}

#[tokio::test]
async fn members_are_read_to_the_last_page_and_no_further() {
    let first: String = (0..300).map(|n| weighted(&format!("m{n:03}"), 0)).collect();
    let last =
        weighted("m300", 1) + &set("\\052.example.com.", "AAAA", "<TTL>5</TTL>") + &set("a.example.com.", "A", "");
    let script = Script::answering([page(&first, Some("m300")), page(&last, None)]).await;
    let state = look(&script, &scope(json!({}), None, None), &with("Z1"), &[]).await.unwrap();
    assert_eq!((state.members.len(), state.members[300].weight), (301, 1));
    assert_eq!(state.members[0].values, ["192.0.2.2", "192.0.2.1"], "in their order");
    let asked = script.requests();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[0].contains("/hostedzone/Z1/rrset") && asked[1].contains("identifier=m300"), "{asked:?}");
}

#[tokio::test]
async fn a_zone_is_found_by_its_name() {
    let all = [("Z1", "example.com.", false), ("Z2", "example.com.", true), ("Z3", "example.community.", false)];
    let sets = weighted("blue", 100) + &weighted("green", 0);
    for (private, expected) in
        [(Some(false), Ok("Z1")), (Some(true), Ok("Z2")), (None, Err("Z1 (public), Z2 (private)"))]
    {
        let script = Script::answering([zones(&all), page(&sets, None)]).await;
        let with = With { private, ..with("example.com") };
        match (look(&script, &to_blue(), &with, &[]).await, expected) {
            (Ok(state), Ok(zone)) => assert_eq!(state.zone, zone),
            (Err(error), Err(listed)) => assert!(error.permanent && error.why.contains(listed), "{error:?}"),
            (found, _) => panic!("{private:?}: {found:?}"),
        }
    }
    let script = Script::answering([zones(&[("Z9", "example.net.", false)])]).await;
    let none = look(&script, &to_blue(), &with("example.com"), &[]).await.unwrap_err();
    assert!(none.permanent && none.why.contains("has no hosted zone example.com"), "{none:?}");
}

#[tokio::test]
async fn while_a_change_is_on_its_way_one_call_is_a_look() {
    let receipt = Receipt {
        change: "weights".to_owned(),
        at: jiff::Timestamp::UNIX_EPOCH,
        body: json!({ "change_id": "/change/C1", "zone": "Z1" }),
    };
    let script = Script::answering([change("PENDING")]).await;
    let state = look(&script, &to_blue(), &with("example.com"), std::slice::from_ref(&receipt)).await.unwrap();
    assert!(state.pending);
    assert_eq!(script.requests().len(), 1);
    let sets = weighted("blue", 100) + &weighted("green", 0);
    let script = Script::answering([change("INSYNC"), page(&sets, None)]).await;
    let state = look(&script, &to_blue(), &with("example.com"), &[receipt]).await.unwrap();
    assert_eq!(assess(&to_blue(), &with("example.com"), &state, None), Ok(Assessment::InPlace));
    assert_eq!(script.requests().len(), 2, "in place, nobody asks for health");
}

/// The sends of a busy zone are refused for a while, and each is followed by a look.
#[tokio::test]
async fn what_was_read_a_moment_ago_is_not_read_again() {
    let checked = |member: &str, weight: u32| {
        weighted(member, weight).replace("<TTL>", &format!("<HealthCheckId>hc-{member}</HealthCheckId><TTL>"))
    };
    let check = format!(
        "<GetHealthCheckResponse {NS}><HealthCheck><Id>hc-blue</Id><CallerReference>r</CallerReference><HealthCheckConfig>\
         <Type>CALCULATED</Type></HealthCheckConfig><HealthCheckVersion>1</HealthCheckVersion></HealthCheck>\
         </GetHealthCheckResponse>"
    );
    let sets = checked("blue", 0) + &checked("green", 100);
    let all = [("Z1", "example.com.", false)];
    let script = Script::answering([zones(&all), page(&sets, None), check, page(&sets, None)]).await;
    let system = Route53Weights::new(aws_at(Access::ReadOnly, script.url()).await, Arc::new(Still { wakes: false }));
    let scope = Scope { aws: AwsTarget { account: None, ..to_blue().aws }, ..to_blue() };
    let first = system.look(&scope, &with("example.com"), &[]).await.unwrap();
    // The zone is looked up by its name once a run.
    let again = Scope { before: Some(Arc::new(serde_json::to_value(&first).unwrap())), ..scope };
    let second = system.look(&again, &with("example.com"), &[]).await.unwrap();
    assert_eq!((second.zone.as_str(), &second.checks), ("Z1", &first.checks));
    assert_eq!(script.requests().len(), 4, "{:?}", script.requests());
}

#[tokio::test]
async fn health_is_asked_for_only_of_who_is_to_get_more_traffic() {
    let checked = |member: &str, weight: u32| {
        weighted(member, weight).replace("<TTL>", &format!("<HealthCheckId>hc-{member}</HealthCheckId><TTL>"))
    };
    let denied = "<ErrorResponse><Error><Code>NoSuchHealthCheck</Code><Message>gone</Message></Error></ErrorResponse>";
    let sets = checked("blue", 0) + &checked("green", 100);
    let script = Script::new([(200, page(&sets, None)), (404, denied.to_owned())]).await;
    let state = look(&script, &to_blue(), &with("Z1"), &[]).await.unwrap();
    assert_eq!(state.checks.keys().collect::<Vec<_>>(), ["hc-blue"]);
    let Ok(Assessment::Remaining(changes)) = assess(&to_blue(), &with("Z1"), &state, None) else { panic!("a change") };
    assert!(matches!(crate::testing::proof(&changes[0], "blue"), Proof::None { .. }));
}

#[tokio::test]
async fn an_alias_within_the_zone_lives_as_long_as_its_target() {
    let alias = |member: &str, weight: u32, zone: &str| {
        let target = format!(
            "<SetIdentifier>{member}</SetIdentifier><Weight>{weight}</Weight><AliasTarget><HostedZoneId>{zone}</HostedZoneId>\
             <DNSName>{member}.example.com.</DNSName><EvaluateTargetHealth>true</EvaluateTargetHealth></AliasTarget>"
        );
        set("\\052.example.com.", "A", &target)
    };
    let sets = alias("blue", 0, "ZELB") + &alias("green", 100, "Z1");
    let target = set("green.example.com.", "A", "<TTL>300</TTL>");
    let script = Script::answering([page(&sets, None), page(&target, None)]).await;
    let with = With { wait_ttl: true, ..with("Z1") };
    let state = look(&script, &to_blue(), &with, &[]).await.unwrap();
    assert_eq!(state.aliased_ttls, BTreeMap::from([("green".to_owned(), 300)]));
    assert!(script.requests()[1].contains("name=green.example.com."), "{:?}", script.requests());
    let alias = state.members[0].alias.as_ref().unwrap();
    assert!(alias.evaluate_target_health && alias.zone == "ZELB");
}

#[tokio::test]
async fn what_is_not_there_is_an_empty_state_once_there_is_something_to_compare_with() {
    let simple = set("\\052.example.com.", "A", "<TTL>30</TTL>");
    let cname = set("\\052.example.com.", "CNAME", "<TTL>30</TTL>");
    for (sets, found, instead) in [
        (String::new(), "does not exist", None),
        (simple, "is not weighted: it is a simple record", Some("a simple record")),
        (cname, "a record of type CNAME", Some("a record of type CNAME")),
    ] {
        let script = Script::answering([page(&sets, None), page(&sets, None)]).await;
        let capture = look(&script, &scope(json!({}), None, None), &with("Z1"), &[]).await.unwrap_err();
        assert!(capture.permanent && capture.why.contains(found), "{capture:?}");
        let running = Scope { run: Some(belay_core::id::RunId("r".to_owned())), ..to_blue() };
        let state = look(&script, &running, &with("Z1"), &[]).await.unwrap();
        assert_eq!((state.members.len(), state.instead.as_deref()), (0, instead));
    }
}
