//! What goes over the wire: pages, names, and the list that is written back.

use std::sync::Arc;

use belay_aws_catalogue::elbv2::forward;
use belay_core::{change::Key, id::RunId};
use belay_plan::model::AwsTarget;
use belay_ports::System;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::{
    elbv2::{AlbForward, With, health, health::ZONE_NOT_ENABLED},
    session::Access,
    testing::{Still, Wire, http, remaining, scope},
};

const BALANCER: &str = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/shop/1";
const OTHER: &str = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/net/line/1";
const GROUP: &str = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/blue/1";

fn answer(operation: &str, members: &str, list: &str, marker: Option<&str>) -> String {
    let marker = marker.map(|marker| format!("<NextMarker>{marker}</NextMarker>")).unwrap_or_default();
    http(
        "200 OK",
        &format!(
            "<{operation}Response xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\"><{operation}Result>\
             <{list}>{members}</{list}>{marker}</{operation}Result></{operation}Response>"
        ),
    )
}

fn listener(protocol: &str, port: u16) -> String {
    format!(
        "<member><ListenerArn>arn:l/{protocol}{port}</ListenerArn><Protocol>{protocol}</Protocol><Port>{port}</Port>\
         </member>"
    )
}

fn rule(priority: &str) -> String {
    format!("<member><RuleArn>arn:r/{priority}</RuleArn><Priority>{priority}</Priority></member>")
}

/// Every list comes in two pages.
fn world(body: &str) -> String {
    let asked: std::collections::HashMap<&str, &str> =
        body.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let second = asked.contains_key("Marker");
    let page = |operation: &str, list: &str, first: String, last: String| match second {
        false => answer(operation, &first, list, Some("more")),
        true => answer(operation, &last, list, None),
    };
    match asked["Action"] {
        "DescribeLoadBalancers" => {
            let (arn, kind) = match asked["Names.member.1"] {
                "shop" => (BALANCER, "application"),
                "line" => (OTHER, "network"),
                "wall" => ("arn:gwy", "gateway"),
                _ => {
                    let error = "<Error><Type>Sender</Type><Code>LoadBalancerNotFound</Code></Error>";
                    return http("400 Bad Request", &format!("<ErrorResponse>{error}</ErrorResponse>"));
                }
            };
            let member = format!("<member><LoadBalancerArn>{arn}</LoadBalancerArn><Type>{kind}</Type></member>");
            answer("DescribeLoadBalancers", &member, "LoadBalancers", None)
        }
        "DescribeListeners" if body.contains("net%2Fline") => {
            page("DescribeListeners", "Listeners", listener("TCP", 53), listener("UDP", 53))
        }
        "DescribeListeners" => page("DescribeListeners", "Listeners", listener("HTTP", 80), listener("HTTPS", 443)),
        "DescribeRules" => page("DescribeRules", "Rules", rule("10"), format!("{}{}", rule("20"), rule("default"))),
        other => panic!("nobody asks {other}"),
    }
}

async fn found(with: Value) -> Result<String, String> {
    let wire = Wire::answering(world).await;
    let clients = wire.aws(Access::ReadOnly).await.clients(&AwsTarget::default()).await.unwrap();
    let with = With::deserialize(&with).unwrap();
    match resolve(&clients.elbv2.read, &with.forwarder).await {
        Ok(arn) => Ok(arn),
        Err(error) => {
            assert!(error.permanent, "{error}");
            Err(error.why)
        }
    }
}

#[tokio::test]
async fn a_listener_is_found_by_name_and_port_on_whatever_page() {
    let at = |port: u16| json!({ "listener": { "load_balancer": "shop", "port": port } });
    assert_eq!(found(at(80)).await, Ok("arn:l/HTTP80".to_owned()));
    assert_eq!(found(at(443)).await, Ok("arn:l/HTTPS443".to_owned()));
    let why = found(at(8443)).await.unwrap_err();
    assert_eq!(why, "there is no listener shop:8443; load balancer shop has HTTP 80, HTTPS 443");
}

#[tokio::test]
async fn two_listeners_on_a_port_are_told_apart_by_protocol() {
    let at =
        |protocol: Option<&str>| json!({ "listener": { "load_balancer": "line", "port": 53, "protocol": protocol } });
    let why = found(at(None)).await.unwrap_err();
    assert!(why.contains("more than one listener at port 53 (TCP 53, UDP 53): say which with `protocol:`"), "{why}");
    assert_eq!(found(at(Some("UDP"))).await, Ok("arn:l/UDP53".to_owned()));
}

#[tokio::test]
async fn a_rule_is_found_by_its_priority_on_whatever_page() {
    let at = |balancer: &str, port: u16, priority: u32| json!({ "rule": { "load_balancer": balancer, "port": port, "protocol": (port == 53).then_some("TCP"), "priority": priority } });
    assert_eq!(found(at("shop", 443, 10)).await, Ok("arn:r/10".to_owned()));
    assert_eq!(found(at("shop", 443, 20)).await, Ok("arn:r/20".to_owned()));
    let why = found(at("shop", 443, 30)).await.unwrap_err();
    assert_eq!(why, "listener shop:443 has no rule with the priority 30; it has 10, 20, default");
    // A network load balancer has rules, too.
    assert_eq!(found(at("line", 53, 10)).await, Ok("arn:r/10".to_owned()));
}

#[tokio::test]
async fn load_balancers_without_weights_are_refused_with_the_reason() {
    let at = |balancer: &str| json!({ "listener": { "load_balancer": balancer, "port": 443 } });
    assert_eq!(found(at("nowhere")).await.unwrap_err(), "there is no load balancer nowhere");
    let why = found(at("wall")).await.unwrap_err();
    assert!(why.contains("gateway load balancer") && why.contains("alb.targets"), "{why}");
    let arn = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener/gwy/wall/1/2";
    let findings = (forward::spec().check)(&json!({ "listener": arn }), None);
    assert!(findings[0].message.contains("gateway"), "{findings:?}");
}

#[tokio::test]
async fn the_whole_list_goes_over_the_wire_and_nothing_else() {
    let actions = "<member><Type>authenticate-oidc</Type><Order>1</Order><AuthenticateOidcConfig>\
                   <Issuer>i</Issuer><AuthorizationEndpoint>a</AuthorizationEndpoint><TokenEndpoint>t</TokenEndpoint>\
                   <UserInfoEndpoint>u</UserInfoEndpoint><ClientId>shop</ClientId><SessionTimeout>600</SessionTimeout>\
                   <AuthenticationRequestExtraParams><entry><key>prompt</key><value>login</value></entry>\
                   </AuthenticationRequestExtraParams></AuthenticateOidcConfig></member>\
                   <member><Type>forward</Type><Order>2</Order><ForwardConfig><TargetGroups>\
                   <member><TargetGroupArn>arn:tg/green/1</TargetGroupArn><Weight>100</Weight></member>\
                   <member><TargetGroupArn>arn:tg/blue/1</TargetGroupArn><Weight>0</Weight></member></TargetGroups>\
                   <TargetGroupStickinessConfig><Enabled>true</Enabled><DurationSeconds>60</DurationSeconds>\
                   </TargetGroupStickinessConfig></ForwardConfig></member>";
    let wire = Wire::answering(move |body| {
        if body.contains("Action=DescribeRules") {
            let rule = format!("<member><RuleArn>arn:r/10</RuleArn><Actions>{actions}</Actions></member>");
            return answer("DescribeRules", &rule, "Rules", None);
        }
        if body.contains("Action=ModifyRule") {
            return answer("ModifyRule", "", "Rules", None);
        }
        let health = "<member><TargetHealth><State>healthy</State></TargetHealth></member>";
        answer("DescribeTargetHealth", health, "TargetHealthDescriptions", None)
    })
    .await;
    let system = AlbForward::new(wire.aws(Access::ReadWrite).await, Arc::new(Still { wakes: false }));
    let with = || With::deserialize(&json!({ "rule": "arn:r/10" })).unwrap();
    let scope = belay_ports::Scope {
        aws: AwsTarget::default(),
        ..scope(json!({}), Some(json!({ "blue": 100, "green": 0 })), None)
    };
    let now = system.observe(&scope, with(), &[]).await.unwrap();
    let change = remaining(system.assess(&scope, &with(), &now, None, &[]).unwrap());
    let key = Key { run: RunId("01k8abcd2345".to_owned()), step: "back".to_owned(), attempt: 1 };
    system.apply(&scope, &key, &change).await.unwrap();
    let requests = wire.requests();
    let mut sent: Vec<&str> = requests.last().unwrap().split('&').collect();
    sent.sort_unstable();
    let oidc = "Actions.member.1.AuthenticateOidcConfig";
    let forward = "Actions.member.2.ForwardConfig";
    let groups = format!("{forward}.TargetGroups.member");
    let sticky = format!("{forward}.TargetGroupStickinessConfig");
    let mut expected = vec![
        "Action=ModifyRule".to_owned(),
        "Version=2015-12-01".to_owned(),
        "RuleArn=arn%3Ar%2F10".to_owned(),
        "Actions.member.1.Type=authenticate-oidc".to_owned(),
        "Actions.member.1.Order=1".to_owned(),
        format!("{oidc}.Issuer=i"),
        format!("{oidc}.AuthorizationEndpoint=a"),
        format!("{oidc}.TokenEndpoint=t"),
        format!("{oidc}.UserInfoEndpoint=u"),
        format!("{oidc}.ClientId=shop"),
        format!("{oidc}.SessionTimeout=600"),
        format!("{oidc}.AuthenticationRequestExtraParams.entry.1.key=prompt"),
        format!("{oidc}.AuthenticationRequestExtraParams.entry.1.value=login"),
        format!("{oidc}.UseExistingClientSecret=true"),
        "Actions.member.2.Type=forward".to_owned(),
        "Actions.member.2.Order=2".to_owned(),
        format!("{groups}.1.TargetGroupArn=arn%3Atg%2Fgreen%2F1"),
        format!("{groups}.1.Weight=0"),
        format!("{groups}.2.TargetGroupArn=arn%3Atg%2Fblue%2F1"),
        format!("{groups}.2.Weight=100"),
        format!("{sticky}.Enabled=true"),
        format!("{sticky}.DurationSeconds=60"),
    ];
    expected.sort_unstable();
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn what_the_sdk_does_not_know_is_seen_on_the_wire() {
    let wire = Wire::answering(|_| {
        let action = "<Actions><member><Type>forward</Type><Sharding>2</Sharding></member></Actions>";
        answer("DescribeRules", &format!("<member><RuleArn>arn:r/10</RuleArn>{action}</member>"), "Rules", None)
    })
    .await;
    let clients = wire.aws(Access::ReadOnly).await.clients(&AwsTarget::default()).await.unwrap();
    let with = With::deserialize(&json!({ "rule": "arn:r/10" })).unwrap();
    let found = find(&clients.elbv2.read, &with.forwarder).await.unwrap();
    assert_eq!(found.unknown, BTreeSet::from(["Sharding".to_owned()]));
}

#[tokio::test]
async fn a_zone_that_is_not_enabled_is_known_by_the_group_where_the_description_does_not_tell() {
    let wire = Wire::answering(|body| {
        if body.contains("Action=DescribeTargetGroups") {
            let group = format!("<member><LoadBalancerArns><member>{BALANCER}</member></LoadBalancerArns></member>");
            return answer("DescribeTargetGroups", &group, "TargetGroups", None);
        }
        let health =
            "<member><TargetHealth><State>unused</State><Reason>Target.NotInUse</Reason></TargetHealth></member>";
        answer("DescribeTargetHealth", health, "TargetHealthDescriptions", None)
    })
    .await;
    let clients = wire.aws(Access::ReadOnly).await.clients(&AwsTarget::default()).await.unwrap();
    let health = health::observe(&clients.elbv2.read, GROUP).await.unwrap().unwrap();
    assert_eq!(health.states.into_keys().collect::<Vec<_>>(), [ZONE_NOT_ENABLED]);
}

#[test]
fn a_default_rule_is_told_with_its_listener() {
    let why = default_rule("arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener-rule/app/shop/1/2/3");
    assert!(
        why.ends_with("`listener: arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener/app/shop/1/2`"),
        "{why}"
    );
}
