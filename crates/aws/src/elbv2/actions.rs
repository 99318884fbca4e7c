//! A list of actions as a load balancer has it, complete enough to write it back.
//!
//! `ModifyListener` and `ModifyRule` replace the whole list, so every kind of action is kept with everything in it.

use std::collections::BTreeMap;

use aws_sdk_elasticloadbalancingv2::types;
use serde::{Deserialize, Serialize};

use crate::weights::Weights;

/// One action. Exactly one of the configurations is set, the one of its type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Action {
    /// `forward`, `redirect`, `authenticate-oidc`, ...
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) order: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) forward: Option<Forward>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) oidc: Option<Oidc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cognito: Option<Cognito>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redirect: Option<Redirect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fixed_response: Option<FixedResponse>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwt: Option<Jwt>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Forward {
    /// In the order of the load balancer.
    pub(crate) groups: Vec<WeightedGroup>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stickiness: Option<Stickiness>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WeightedGroup {
    pub(crate) arn: String,
    /// 0-999
    pub(crate) weight: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stickiness {
    pub(crate) enabled: Option<bool>,
    /// 1-604,800
    pub(crate) duration_s: Option<i32>,
}

/// The client secret cannot be read: what is written back says that the present one stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Oidc {
    issuer: Option<String>,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    user_info_endpoint: Option<String>,
    client_id: Option<String>,
    session: Session,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cognito {
    user_pool_arn: Option<String>,
    user_pool_client_id: Option<String>,
    user_pool_domain: Option<String>,
    session: Session,
}

/// What the two kinds of authentication have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    cookie_name: Option<String>,
    scope: Option<String>,
    timeout_s: Option<i64>,
    extra_params: Option<BTreeMap<String, String>>,
    on_unauthenticated_request: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Redirect {
    protocol: Option<String>,
    port: Option<String>,
    host: Option<String>,
    path: Option<String>,
    query: Option<String>,
    status_code: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FixedResponse {
    message_body: Option<String>,
    status_code: Option<String>,
    content_type: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Jwt {
    jwks_endpoint: Option<String>,
    issuer: Option<String>,
    additional_claims: Vec<Claim>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claim {
    format: Option<String>,
    name: Option<String>,
    values: Vec<String>,
}

impl Forward {
    pub(crate) fn weights(&self) -> Weights {
        self.groups.iter().map(|group| (group.arn.clone(), group.weight)).collect()
    }

    /// The same with other weights. Groups keep their order; new ones come last.
    pub(crate) fn with_weights(&self, weights: &Weights) -> Self {
        let kept = self.groups.iter().map(|group| &group.arn);
        let new = weights.keys().filter(|arn| !self.groups.iter().any(|group| group.arn == **arn));
        let weighted = kept
            .chain(new)
            .filter_map(|arn| weights.get(arn).map(|weight| WeightedGroup { arn: arn.clone(), weight: *weight }));
        Self { groups: weighted.collect(), stickiness: self.stickiness.clone() }
    }

    /// How long clients stay with their group, in seconds, whatever the weights say.
    pub(crate) fn sticky_s(&self) -> Option<i32> {
        self.stickiness.as_ref().filter(|stickiness| stickiness.enabled == Some(true))?.duration_s
    }

    /// A forward action names its groups with their weights, or, in the short form, one group alone.
    fn from_aws(short: Option<String>, config: Option<types::ForwardActionConfig>) -> Option<Self> {
        let (groups, stickiness) =
            config.map_or((None, None), |config| (config.target_groups, config.target_group_stickiness_config));
        let mut groups: Vec<WeightedGroup> = groups
            .unwrap_or_default()
            .into_iter()
            .filter_map(|group| {
                // A single group has the weight 1 where none is said.
                let weight = group.weight.map_or(1, |weight| u32::try_from(weight).unwrap_or(0));
                Some(WeightedGroup { arn: group.target_group_arn?, weight })
            })
            .collect();
        if groups.is_empty() {
            groups.extend(short.map(|arn| WeightedGroup { arn, weight: 1 }));
        }
        let stickiness =
            stickiness.map(|config| Stickiness { enabled: config.enabled, duration_s: config.duration_seconds });
        (!groups.is_empty()).then_some(Self { groups, stickiness })
    }

    fn into_aws(self) -> types::ForwardActionConfig {
        let groups = self.groups.into_iter().map(|group| {
            let weight = i32::try_from(group.weight).unwrap_or(i32::MAX);
            types::TargetGroupTuple::builder().target_group_arn(group.arn).weight(weight).build()
        });
        let stickiness = self.stickiness.map(|stickiness| {
            types::TargetGroupStickinessConfig::builder()
                .set_enabled(stickiness.enabled)
                .set_duration_seconds(stickiness.duration_s)
                .build()
        });
        types::ForwardActionConfig::builder()
            .set_target_groups(Some(groups.collect()))
            .set_target_group_stickiness_config(stickiness)
            .build()
    }
}

impl Action {
    pub(crate) fn from_aws(action: types::Action) -> Self {
        Self {
            kind: text(action.r#type).unwrap_or_default(),
            order: action.order,
            forward: Forward::from_aws(action.target_group_arn, action.forward_config),
            oidc: action.authenticate_oidc_config.map(|config| Oidc {
                issuer: config.issuer,
                authorization_endpoint: config.authorization_endpoint,
                token_endpoint: config.token_endpoint,
                user_info_endpoint: config.user_info_endpoint,
                client_id: config.client_id,
                session: Session {
                    cookie_name: config.session_cookie_name,
                    scope: config.scope,
                    timeout_s: config.session_timeout,
                    extra_params: config.authentication_request_extra_params.map(BTreeMap::from_iter),
                    on_unauthenticated_request: text(config.on_unauthenticated_request),
                },
            }),
            cognito: action.authenticate_cognito_config.map(|config| Cognito {
                user_pool_arn: config.user_pool_arn,
                user_pool_client_id: config.user_pool_client_id,
                user_pool_domain: config.user_pool_domain,
                session: Session {
                    cookie_name: config.session_cookie_name,
                    scope: config.scope,
                    timeout_s: config.session_timeout,
                    extra_params: config.authentication_request_extra_params.map(BTreeMap::from_iter),
                    on_unauthenticated_request: text(config.on_unauthenticated_request),
                },
            }),
            redirect: action.redirect_config.map(|config| Redirect {
                protocol: config.protocol,
                port: config.port,
                host: config.host,
                path: config.path,
                query: config.query,
                status_code: text(config.status_code),
            }),
            fixed_response: action.fixed_response_config.map(|config| FixedResponse {
                message_body: config.message_body,
                status_code: config.status_code,
                content_type: config.content_type,
            }),
            jwt: action.jwt_validation_config.map(|config| Jwt {
                jwks_endpoint: config.jwks_endpoint,
                issuer: config.issuer,
                additional_claims: config
                    .additional_claims
                    .unwrap_or_default()
                    .into_iter()
                    .map(Claim::from_aws)
                    .collect(),
            }),
        }
    }

    pub(crate) fn into_aws(self) -> types::Action {
        types::Action::builder()
            .r#type(types::ActionTypeEnum::from(self.kind.as_str()))
            .set_order(self.order)
            .set_forward_config(self.forward.map(Forward::into_aws))
            .set_authenticate_oidc_config(self.oidc.map(Oidc::into_aws))
            .set_authenticate_cognito_config(self.cognito.map(Cognito::into_aws))
            .set_redirect_config(self.redirect.map(Redirect::into_aws))
            .set_fixed_response_config(self.fixed_response.map(|config| {
                types::FixedResponseActionConfig::builder()
                    .set_message_body(config.message_body)
                    .set_status_code(config.status_code)
                    .set_content_type(config.content_type)
                    .build()
            }))
            .set_jwt_validation_config(self.jwt.map(Jwt::into_aws))
            .build()
    }

    /// Whether everything in it is known, so that writing it back loses nothing.
    pub(crate) fn is_understood(&self) -> bool {
        match self.kind.as_str() {
            "forward" => self.forward.is_some(),
            "authenticate-oidc" => self.oidc.is_some(),
            "authenticate-cognito" => self.cognito.is_some(),
            "redirect" => self.redirect.is_some(),
            "fixed-response" => self.fixed_response.is_some(),
            "jwt-validation" => self.jwt.is_some(),
            _ => false,
        }
    }
}

impl Oidc {
    fn into_aws(self) -> types::AuthenticateOidcActionConfig {
        types::AuthenticateOidcActionConfig::builder()
            .set_issuer(self.issuer)
            .set_authorization_endpoint(self.authorization_endpoint)
            .set_token_endpoint(self.token_endpoint)
            .set_user_info_endpoint(self.user_info_endpoint)
            .set_client_id(self.client_id)
            .use_existing_client_secret(true)
            .set_session_cookie_name(self.session.cookie_name)
            .set_scope(self.session.scope)
            .set_session_timeout(self.session.timeout_s)
            .set_authentication_request_extra_params(
                self.session.extra_params.map(|params| params.into_iter().collect()),
            )
            .set_on_unauthenticated_request(word(self.session.on_unauthenticated_request))
            .build()
    }
}

impl Cognito {
    fn into_aws(self) -> types::AuthenticateCognitoActionConfig {
        types::AuthenticateCognitoActionConfig::builder()
            .set_user_pool_arn(self.user_pool_arn)
            .set_user_pool_client_id(self.user_pool_client_id)
            .set_user_pool_domain(self.user_pool_domain)
            .set_session_cookie_name(self.session.cookie_name)
            .set_scope(self.session.scope)
            .set_session_timeout(self.session.timeout_s)
            .set_authentication_request_extra_params(
                self.session.extra_params.map(|params| params.into_iter().collect()),
            )
            .set_on_unauthenticated_request(word(self.session.on_unauthenticated_request))
            .build()
    }
}

impl Redirect {
    fn into_aws(self) -> types::RedirectActionConfig {
        types::RedirectActionConfig::builder()
            .set_protocol(self.protocol)
            .set_port(self.port)
            .set_host(self.host)
            .set_path(self.path)
            .set_query(self.query)
            .set_status_code(word(self.status_code))
            .build()
    }
}

impl Jwt {
    fn into_aws(self) -> types::JwtValidationActionConfig {
        let claims: Vec<_> = self.additional_claims.into_iter().map(Claim::into_aws).collect();
        types::JwtValidationActionConfig::builder()
            .set_jwks_endpoint(self.jwks_endpoint)
            .set_issuer(self.issuer)
            .set_additional_claims((!claims.is_empty()).then_some(claims))
            .build()
    }
}

impl Claim {
    fn from_aws(claim: types::JwtValidationActionAdditionalClaim) -> Self {
        Self { format: text(claim.format), name: claim.name, values: claim.values.unwrap_or_default() }
    }

    fn into_aws(self) -> types::JwtValidationActionAdditionalClaim {
        types::JwtValidationActionAdditionalClaim::builder()
            .set_format(word(self.format))
            .set_name(self.name)
            .set_values(Some(self.values))
            .build()
    }
}

/// The SDK's words as texts, so that one that is newer than this build passes through unchanged.
fn text(word: Option<impl AsRef<str>>) -> Option<String> {
    word.map(|word| word.as_ref().to_owned())
}

fn word<W: for<'a> From<&'a str>>(text: Option<String>) -> Option<W> {
    text.as_deref().map(W::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types_action(kind: &str) -> types::builders::ActionBuilder {
        types::Action::builder().r#type(types::ActionTypeEnum::from(kind)).order(1)
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
            .target_groups(types::TargetGroupTuple::builder().target_group_arn("blue").weight(7).build())
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
            let ours = Action::from_aws(action.clone());
            assert!(ours.is_understood(), "{ours:?}");
            let document = serde_json::to_value(&ours).unwrap();
            assert_eq!(serde_json::from_value::<Action>(document).unwrap(), ours);
            assert_eq!(ours.into_aws(), action);
        }
        assert!(!Action::from_aws(types_action("teleport").build()).is_understood());
    }

    #[test]
    fn the_short_form_of_a_forward_is_one_group() {
        let action = Action::from_aws(types_action("forward").target_group_arn("blue").build());
        let forward = action.forward.clone().unwrap();
        assert_eq!(forward.weights(), Weights::from([("blue".to_owned(), 1)]));
        let back = action.into_aws();
        assert_eq!((back.target_group_arn(), back.forward_config().unwrap().target_groups().len()), (None, 1));
    }

    #[test]
    fn the_secret_of_an_oidc_action_stays() {
        let config = types::AuthenticateOidcActionConfig::builder().client_id("client").build();
        let action = Action::from_aws(types_action("authenticate-oidc").authenticate_oidc_config(config).build());
        assert_eq!(action.into_aws().authenticate_oidc_config.unwrap().use_existing_client_secret, Some(true));
    }

    #[test]
    fn new_weights_keep_the_order_and_add_at_the_end() {
        let group = |arn: &str, weight| WeightedGroup { arn: arn.to_owned(), weight };
        let stickiness = Some(Stickiness { enabled: Some(true), duration_s: Some(60) });
        let forward = Forward { groups: vec![group("z", 100), group("b", 0)], stickiness };
        let weights = Weights::from([("a".to_owned(), 5), ("b".to_owned(), 1), ("z".to_owned(), 0)]);
        let changed = forward.with_weights(&weights);
        assert_eq!(changed.groups, [group("z", 0), group("b", 1), group("a", 5)]);
        assert_eq!(changed.sticky_s(), Some(60));
    }
}
