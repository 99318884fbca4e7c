use aws_sdk_elasticloadbalancingv2::types::{self, TargetGroupTuple};
use proptest::{collection, option, prelude::*};

use super::{
    forward::{WeightedGroup, Written},
    *,
};
use crate::weights::Weights;

fn types_action(kind: &str) -> types::builders::ActionBuilder {
    types::Action::builder().r#type(types::ActionTypeEnum::from(kind)).order(1)
}

/// There and back, by way of the journal.
fn back(action: types::Action) -> types::Action {
    let ours = Action::from_aws(action);
    assert_eq!(ours.strange, None);
    let document = serde_json::to_string(&ours).unwrap();
    assert_eq!(serde_json::from_str::<Action>(&document).unwrap(), ours);
    ours.into_aws()
}

fn words() -> impl Strategy<Value = Option<String>> {
    option::of("[a-zA-Z0-9:/#{}. -]{0,12}")
}

fn one_of(words: &'static [&'static str]) -> impl Strategy<Value = Option<&'static str>> {
    option::of(prop::sample::select(words))
}

fn extra_params() -> impl Strategy<Value = Option<HashMap<String, String>>> {
    option::of(collection::hash_map("[a-z]{1,6}", "[a-z ]{0,6}", 0..4))
}

prop_compose! {
    fn oidc()(
        texts in collection::vec(words(), 7), timeout in option::of(1_i64..604_800), extra in extra_params(),
        behaviour in one_of(&["deny", "allow", "authenticate", "new-in-a-later-model"]),
    ) -> types::AuthenticateOidcActionConfig {
        let mut texts = texts.into_iter();
        types::AuthenticateOidcActionConfig::builder()
            .set_issuer(texts.next().flatten()).set_authorization_endpoint(texts.next().flatten())
            .set_token_endpoint(texts.next().flatten()).set_user_info_endpoint(texts.next().flatten())
            .set_client_id(texts.next().flatten()).set_session_cookie_name(texts.next().flatten())
            .set_scope(texts.next().flatten()).set_session_timeout(timeout)
            .set_authentication_request_extra_params(extra)
            .set_on_unauthenticated_request(behaviour.map(From::from))
            .build()
    }
}

prop_compose! {
    fn cognito()(
        texts in collection::vec(words(), 5), timeout in option::of(1_i64..604_800), extra in extra_params(),
        behaviour in one_of(&["deny", "allow", "authenticate"]),
    ) -> types::AuthenticateCognitoActionConfig {
        let mut texts = texts.into_iter();
        types::AuthenticateCognitoActionConfig::builder()
            .set_user_pool_arn(texts.next().flatten()).set_user_pool_client_id(texts.next().flatten())
            .set_user_pool_domain(texts.next().flatten()).set_session_cookie_name(texts.next().flatten())
            .set_scope(texts.next().flatten()).set_session_timeout(timeout)
            .set_authentication_request_extra_params(extra)
            .set_on_unauthenticated_request(behaviour.map(From::from))
            .build()
    }
}

prop_compose! {
    fn jwt()(
        endpoint in words(), issuer in words(),
        claims in option::of(collection::vec(
            (words(), option::of(collection::vec("[a-z]{1,6}", 0..4)), one_of(&["single-string", "string-array"])), 0..4,
        )),
    ) -> types::JwtValidationActionConfig {
        let claim = |(name, values, format): (Option<String>, Option<Vec<String>>, Option<&str>)| {
            types::JwtValidationActionAdditionalClaim::builder()
                .set_name(name).set_values(values).set_format(format.map(From::from)).build()
        };
        let claims = claims.map(|claims| claims.into_iter().map(claim).collect());
        types::JwtValidationActionConfig::builder()
            .set_jwks_endpoint(endpoint).set_issuer(issuer).set_additional_claims(claims).build()
    }
}

/// Up to five groups, with or without weights and stickiness; a single one in the short form, the long one, or both.
fn forward() -> impl Strategy<Value = (Option<String>, Option<types::ForwardActionConfig>)> {
    let groups = collection::btree_map("[a-z]{1,8}", option::of(0..=999), 1..=5);
    let stickiness = option::of((option::of(any::<bool>()), option::of(1..=604_800)));
    (groups, stickiness, 0..3).prop_map(|(groups, stickiness, form)| {
        let first = groups.keys().next().cloned().filter(|_| groups.len() == 1);
        let stickiness = stickiness.map(|(enabled, seconds)| {
            types::TargetGroupStickinessConfig::builder().set_enabled(enabled).set_duration_seconds(seconds).build()
        });
        let config = types::ForwardActionConfig::builder().set_target_group_stickiness_config(stickiness.clone());
        if let Some(short) = first.clone().filter(|_| form == 0) {
            return (Some(short), stickiness.map(|_| config.build()));
        }
        let tuple = |(arn, weight)| TargetGroupTuple::builder().target_group_arn(arn).set_weight(weight).build();
        let config = config.set_target_groups(Some(groups.into_iter().map(tuple).collect())).build();
        (first.filter(|_| form == 1), Some(config))
    })
}

fn redirect() -> impl Strategy<Value = types::RedirectActionConfig> {
    (collection::vec(words(), 5), one_of(&["HTTP_301", "HTTP_302", "HTTP_308"])).prop_map(|(texts, status)| {
        let mut texts = texts.into_iter();
        types::RedirectActionConfig::builder()
            .set_protocol(texts.next().flatten())
            .set_port(texts.next().flatten())
            .set_host(texts.next().flatten())
            .set_path(texts.next().flatten())
            .set_query(texts.next().flatten())
            .set_status_code(status.map(From::from))
            .build()
    })
}

fn fixed() -> impl Strategy<Value = types::FixedResponseActionConfig> {
    (words(), words(), words()).prop_map(|(body, status, kind)| {
        let config = types::FixedResponseActionConfig::builder();
        config.set_message_body(body).set_status_code(status).set_content_type(kind).build()
    })
}

fn any_action() -> impl Strategy<Value = types::Action> {
    let kinds = prop_oneof![
        oidc().prop_map(|config| types_action("authenticate-oidc").authenticate_oidc_config(config)),
        cognito().prop_map(|config| types_action("authenticate-cognito").authenticate_cognito_config(config)),
        jwt().prop_map(|config| types_action("jwt-validation").jwt_validation_config(config)),
        redirect().prop_map(|config| types_action("redirect").redirect_config(config)),
        fixed().prop_map(|config| types_action("fixed-response").fixed_response_config(config)),
        forward()
            .prop_map(|(arn, config)| { types_action("forward").set_target_group_arn(arn).set_forward_config(config) }),
    ];
    (kinds, option::of(1..=50_000)).prop_map(|(action, order)| action.set_order(order).build())
}

proptest! {
    #[test]
    fn any_list_of_actions_comes_back_as_it_was(actions in collection::vec(any_action(), 0..6)) {
        for action in actions {
            prop_assert_eq!(back(action.clone()), normal(action));
        }
    }

    /// There and back again: what a cutover has shifted is written as it was, to the last detail.
    #[test]
    fn weights_that_return_bring_the_writing_back(
        (arn, config) in forward(),
        shifted in collection::vec(0_u32..=999, 5),
        newcomer in option::of(0_u32..=999),
    ) {
        let action = types_action("forward").set_target_group_arn(arn).set_forward_config(config).build();
        let then = Action::from_aws(action).forward.unwrap();
        let mut cut_over = Weights::new();
        cut_over.extend(then.weights().into_keys().zip(shifted));
        cut_over.extend(newcomer.map(|weight| ("NEW".to_owned(), weight)));
        // Whoever cut over has another order, and names the weights.
        let groups = cut_over.iter().rev().map(|(arn, weight)| WeightedGroup { arn: arn.clone(), weight: Some(*weight) });
        let now = Forward { groups: groups.collect(), stickiness: then.stickiness.clone(), written: Written::ForwardConfig };
        prop_assert_eq!(now.with_weights(&then.weights(), Some(&then)), then);
    }
}

#[test]
fn every_kind_of_action_survives_the_way_there_and_back() {
    let oidc = types::AuthenticateOidcActionConfig::builder()
        .issuer("https://login.example.com")
        .authorization_endpoint("https://login.example.com/a")
        .token_endpoint("https://login.example.com/t")
        .user_info_endpoint("https://login.example.com/u")
        .client_id("client")
        .session_cookie_name("cookie")
        .scope("openid")
        .session_timeout(60)
        .authentication_request_extra_params("prompt", "login")
        .on_unauthenticated_request(types::AuthenticateOidcActionConditionalBehaviorEnum::Deny)
        .use_existing_client_secret(true)
        .build();
    let cognito = types::AuthenticateCognitoActionConfig::builder()
        .user_pool_arn("arn")
        .user_pool_client_id("client")
        .user_pool_domain("domain")
        .session_timeout(60)
        .on_unauthenticated_request(types::AuthenticateCognitoActionConditionalBehaviorEnum::Allow)
        .build();
    let redirect = types::RedirectActionConfig::builder()
        .protocol("HTTPS")
        .port("443")
        .host("#{host}")
        .path("/#{path}")
        .query("#{query}")
        .status_code(types::RedirectActionStatusCodeEnum::Http301)
        .build();
    let fixed = types::FixedResponseActionConfig::builder().status_code("503").content_type("text/plain").build();
    let claim = types::JwtValidationActionAdditionalClaim::builder()
        .name("aud")
        .format(types::JwtValidationActionAdditionalClaimFormatEnum::SingleString)
        .values("shop")
        .build();
    let jwt =
        types::JwtValidationActionConfig::builder().jwks_endpoint("https://j").issuer("i").additional_claims(claim);
    let forward = types::ForwardActionConfig::builder()
        .target_groups(TargetGroupTuple::builder().target_group_arn("blue").weight(7).build())
        .target_group_stickiness_config(
            types::TargetGroupStickinessConfig::builder().enabled(true).duration_seconds(60).build(),
        )
        .build();
    let actions = [
        types_action("authenticate-oidc").authenticate_oidc_config(oidc).build(),
        types_action("authenticate-cognito").authenticate_cognito_config(cognito).build(),
        types_action("redirect").redirect_config(redirect).build(),
        types_action("fixed-response").fixed_response_config(fixed).build(),
        types_action("jwt-validation").jwt_validation_config(jwt.build()).build(),
        types_action("forward").forward_config(forward).build(),
    ];
    for action in actions {
        assert_eq!(back(action.clone()), action);
    }
}

#[test]
fn what_would_be_lost_is_strange() {
    let group = |weight| TargetGroupTuple::builder().target_group_arn("blue").weight(weight).build();
    let config = |groups: &[TargetGroupTuple]| {
        types::ForwardActionConfig::builder().set_target_groups(Some(groups.to_vec())).build()
    };
    let nameless = TargetGroupTuple::builder().weight(1).build();
    for action in [
        types_action("teleport").build(),
        types_action("authenticate-oidc").build(),
        types_action("forward").build(),
        types_action("forward").forward_config(config(&[group(1), nameless])).build(),
        types_action("forward").forward_config(config(&[group(-1)])).build(),
        types_action("forward").target_group_arn("green").forward_config(config(&[group(1)])).build(),
    ] {
        assert!(Action::from_aws(action.clone()).strange.is_some(), "{action:?}");
    }
}

#[test]
fn the_short_form_of_a_forward_is_one_group() {
    let action = Action::from_aws(types_action("forward").target_group_arn("blue").build());
    let forward = action.forward.clone().unwrap();
    assert_eq!(forward.weights(), Weights::from([("blue".to_owned(), 1)]));
    // A second group makes it long; alone again it is short.
    let both = Weights::from([("blue".to_owned(), 1), ("green".to_owned(), 0)]);
    let long = Action { forward: Some(forward.with_weights(&both, None)), ..action.clone() };
    let sent = long.clone().into_aws();
    assert_eq!((sent.target_group_arn(), sent.forward_config().unwrap().target_groups().len()), (None, 2));
    let short = long.forward.unwrap().with_weights(&forward.weights(), Some(&forward));
    assert_eq!(short, forward);
    let sent = Action { forward: Some(short), ..action }.into_aws();
    assert_eq!((sent.target_group_arn(), sent.forward_config()), (Some("blue"), None));
}

#[test]
fn the_secret_of_an_oidc_action_stays() {
    let config = types::AuthenticateOidcActionConfig::builder().client_id("client").build();
    let action = Action::from_aws(types_action("authenticate-oidc").authenticate_oidc_config(config).build());
    assert_eq!(action.into_aws().authenticate_oidc_config.unwrap().use_existing_client_secret, Some(true));
}

#[test]
fn new_weights_keep_the_order_and_add_at_the_end() {
    let group = |arn: &str, weight| WeightedGroup { arn: arn.to_owned(), weight: Some(weight) };
    let stickiness = Some(Stickiness { enabled: Some(true), duration_s: Some(60) });
    let forward = Forward {
        groups: vec![group("z", 100), group("b", 0)],
        stickiness: stickiness.clone(),
        written: Written::default(),
    };
    let weights = Weights::from([("a".to_owned(), 5), ("b".to_owned(), 1), ("z".to_owned(), 0)]);
    let changed = forward.with_weights(&weights, None);
    assert_eq!(changed.groups, [group("z", 0), group("b", 1), group("a", 5)]);
    assert_eq!(changed.stickiness, stickiness);
}

/// A network load balancer refuses a list in which only some groups have a weight.
#[test]
fn all_groups_of_a_new_list_have_weights() {
    let group = |arn: &str, weight| WeightedGroup { arn: arn.to_owned(), weight };
    let now =
        Forward { groups: vec![group("a", None), group("b", None)], stickiness: None, written: Written::ForwardConfig };
    let weights = Weights::from([("a".to_owned(), 1), ("b".to_owned(), 0)]);
    let groups = now.with_weights(&weights, None).groups;
    assert_eq!(groups, [group("a", Some(1)), group("b", Some(0))]);
}
