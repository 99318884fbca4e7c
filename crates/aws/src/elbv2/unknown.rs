//! Parts of actions that are newer than this build.
//!
//! The SDK drops what its model does not know, and since a modification replaces the whole list, writing back what the SDK
//! has read would erase them. So their names are taken from the answer itself.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use aws_sdk_elasticloadbalancingv2::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::AfterDeserializationInterceptorContextRef},
    error::BoxError,
};

/// The lists of actions of a listener and of a rule.
const LISTS: [&str; 2] = ["DefaultActions", "Actions"];

/// Every element of an action that [`super::actions`] takes up.
const KNOWN: [&str; 43] = [
    "AdditionalClaims",
    "AuthenticateCognitoConfig",
    "AuthenticateOidcConfig",
    "AuthenticationRequestExtraParams",
    "AuthorizationEndpoint",
    "ClientId",
    "ClientSecret",
    "ContentType",
    "DurationSeconds",
    "Enabled",
    "FixedResponseConfig",
    "Format",
    "ForwardConfig",
    "Host",
    "Issuer",
    "JwksEndpoint",
    "JwtValidationConfig",
    "MessageBody",
    "Name",
    "OnUnauthenticatedRequest",
    "Order",
    "Path",
    "Port",
    "Protocol",
    "Query",
    "RedirectConfig",
    "Scope",
    "SessionCookieName",
    "SessionTimeout",
    "StatusCode",
    "TargetGroupArn",
    "TargetGroupStickinessConfig",
    "TargetGroups",
    "TokenEndpoint",
    "Type",
    "UseExistingClientSecret",
    "UserInfoEndpoint",
    "UserPoolArn",
    "UserPoolClientId",
    "UserPoolDomain",
    "Values",
    "Weight",
    "member",
];

/// Of the parameters for an authentication request: names and texts of the user's own.
const ENTRIES: [&str; 3] = ["entry", "key", "value"];

/// An SDK interceptor for one call, which keeps the names of the elements that nobody here knows.
#[derive(Debug, Clone, Default)]
pub(super) struct Unknown(Arc<Mutex<BTreeSet<String>>>);

impl Unknown {
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.0.lock().expect("nothing panics while it holds this lock").clone()
    }
}

impl Intercept for Unknown {
    fn name(&self) -> &'static str {
        "UnknownParts"
    }

    /// Only now the whole answer is there.
    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response().body().bytes().and_then(|body| std::str::from_utf8(body).ok());
        *self.0.lock().expect("nothing panics while it holds this lock") = body.map(unknown_in).unwrap_or_default();
        Ok(())
    }
}

/// In XML a bare `<` begins a tag, and nothing else.
fn unknown_in(body: &str) -> BTreeSet<String> {
    let mut unknown = BTreeSet::new();
    let mut inside = false;
    for tag in body.split('<').skip(1) {
        let (closes, tag) = tag.strip_prefix('/').map_or((false, tag), |tag| (true, tag));
        let name = tag.split(|c: char| c.is_whitespace() || c == '>' || c == '/').next().unwrap_or_default();
        if LISTS.contains(&name) {
            let is_empty = tag.split('>').next().is_some_and(|tag| tag.ends_with('/'));
            inside = !closes && !is_empty;
        } else if inside && !KNOWN.contains(&name) && !ENTRIES.contains(&name) {
            unknown.insert(name.to_owned());
        }
    }
    unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_in_actions_counts() {
        let body = "<?xml version=\"1.0\"?><Listeners><member><Novel>1</Novel><DefaultActions><member>\
                    <Type>forward</Type><ForwardConfig><TargetGroups/><Sharding a=\"b\"><Shards>&lt;x&gt;</Shards></Sharding>\
                    </ForwardConfig></member></DefaultActions><Certificates/></member></Listeners>";
        assert_eq!(unknown_in(body), BTreeSet::from(["Sharding".to_owned(), "Shards".to_owned()]));
        assert_eq!(unknown_in("<DefaultActions/><Port>1</Port><Novel/>"), BTreeSet::new());
        assert_eq!(unknown_in("no XML"), BTreeSet::new());
    }
}
