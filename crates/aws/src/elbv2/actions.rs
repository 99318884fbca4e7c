//! A list of actions as a load balancer has it, complete enough to write it back.
//!
//! `ModifyListener` and `ModifyRule` replace the whole list, so every kind of action is kept with everything in it.

pub(crate) mod forward;

use std::collections::{BTreeMap, HashMap};

use aws_sdk_elasticloadbalancingv2::types;
use serde::{Deserialize, Serialize};

pub(crate) use self::forward::{Forward, Stickiness};

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
    /// Why it cannot be written back as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) strange: Option<String>,
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

impl Action {
    /// Everything in it; what would be lost makes it [`Action::strange`].
    pub(crate) fn from_aws(action: types::Action) -> Self {
        let expected = normal(action.clone());
        let taken = Self::take(action);
        let strange = match () {
            () if !taken.has_its_config() => Some(format!("it is of the type {:?}", taken.kind)),
            () if normal(taken.clone().into_aws()) != expected => Some("it has parts that would be lost".to_owned()),
            () => None,
        };
        Self { strange, ..taken }
    }

    fn take(action: types::Action) -> Self {
        Self {
            strange: None,
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
                    extra_params: filled(config.authentication_request_extra_params).map(BTreeMap::from_iter),
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
                    extra_params: filled(config.authentication_request_extra_params).map(BTreeMap::from_iter),
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
                additional_claims: config.additional_claims.into_iter().flatten().map(Claim::from_aws).collect(),
            }),
        }
    }

    pub(crate) fn into_aws(self) -> types::Action {
        let (target_group_arn, forward_config) = self.forward.map(Forward::into_aws).unwrap_or_default();
        types::Action::builder()
            .r#type(types::ActionTypeEnum::from(self.kind.as_str()))
            .set_order(self.order)
            .set_target_group_arn(target_group_arn)
            .set_forward_config(forward_config)
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

    fn has_its_config(&self) -> bool {
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
            .set_values((!self.values.is_empty()).then_some(self.values))
            .build()
    }
}

/// The same action in one way of saying it. A client secret cannot be read; nothing and an empty list are the same on the
/// wire.
fn normal(mut action: types::Action) -> types::Action {
    if let Some(oidc) = &mut action.authenticate_oidc_config {
        oidc.client_secret = None;
        oidc.use_existing_client_secret = Some(true);
        oidc.authentication_request_extra_params = filled(oidc.authentication_request_extra_params.take());
    }
    if let Some(cognito) = &mut action.authenticate_cognito_config {
        cognito.authentication_request_extra_params = filled(cognito.authentication_request_extra_params.take());
    }
    if let Some(jwt) = &mut action.jwt_validation_config {
        jwt.additional_claims = jwt.additional_claims.take().filter(|claims| !claims.is_empty());
        for claim in jwt.additional_claims.iter_mut().flatten() {
            claim.values = claim.values.take().filter(|values| !values.is_empty());
        }
    }
    if let Some(forward) = &mut action.forward_config {
        forward.target_groups = forward.target_groups.take().filter(|groups| !groups.is_empty());
        // Beside several groups the short form means nothing, and is refused.
        action.target_group_arn = action.target_group_arn.filter(|_| forward.target_groups().len() < 2);
    }
    action.forward_config = action
        .forward_config
        .filter(|forward| forward.target_groups.is_some() || forward.target_group_stickiness_config.is_some());
    action
}

fn filled(params: Option<HashMap<String, String>>) -> Option<HashMap<String, String>> {
    params.filter(|params| !params.is_empty())
}

/// The SDK's words as texts, so that one that is newer than this build passes through unchanged.
fn text(word: Option<impl AsRef<str>>) -> Option<String> {
    word.map(|word| word.as_ref().to_owned())
}

fn word<W: for<'a> From<&'a str>>(text: Option<String>) -> Option<W> {
    text.as_deref().map(W::from)
}

#[cfg(test)]
mod tests;
