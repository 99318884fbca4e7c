//! Clients for the accounts and regions that plans name. Nothing reaches AWS except through a [`Aws`].

mod account;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use aws_config::{
    AppName, BehaviorVersion, Region, SdkConfig, identity::IdentityCache, retry::RetryConfig, sts::AssumeRoleProvider,
    timeout::TimeoutConfig,
};
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_sts::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use belay_core::input::ErrorClass;
use belay_plan::model::AwsTarget;
pub use belay_ports::Access;
use belay_ports::{AccountError, ApplyError, Check, Clock, Observer, ReadError};
use jiff::Timestamp;
use tokio::{runtime::Handle, sync::OnceCell};

use self::account::{Asking, Keys, Verifying};
use crate::{
    budget::{Budget, Urgency},
    calls::Calls,
    channels, cloudwatch, detours, elbv2, errors, evidence,
    guard::Guard,
    https, iam,
    jobs::{automation, function, state_machine},
    place, rds,
    resolver::{self, Resolver},
    route53,
    services::Service,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// From a request to the begin of its answer. What an attempt waits for credentials, or for the account's budget, comes
/// before that.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);
/// STS can be slow.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(20);
/// All attempts of one read together.
const READ_TIMEOUT: Duration = Duration::from_secs(45);
/// A send that has no answer by then has an unknown outcome.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
const READ_ATTEMPTS: u32 = 4;
/// Doubled after each attempt: a reading that waits for seconds is worth less than one that says what failed.
const READ_BACKOFF: Duration = Duration::from_millis(100);

/// The role session and the user agent say who it was, in CloudTrail too.
const NAME: &str = "belay";

pub(crate) const STS: Service = Service { reads: &["GetCallerIdentity"], ..Service::new("STS", "sts") };

/// Sessions with AWS. Cheap to clone; clones share their clients.
#[derive(Debug, Clone)]
pub struct Aws(Arc<Inner>);

struct Inner {
    access: Access,
    calls: Calls,
    budget: Budget,
    /// The standard AWS configuration, loaded at first use.
    base: OnceCell<SdkConfig>,
    /// Hosts that may be reached over plain HTTP.
    plain_http: Vec<String>,
    /// Where its connections live; where the first call is made, if this is none.
    runtime: Option<Handle>,
    resolver: Arc<dyn Resolver>,
    sessions: Mutex<HashMap<AwsTarget, Arc<Session>>>,
}

impl Inner {
    fn http_client(&self) -> SharedHttpClient {
        let _within = self.runtime.as_ref().map(Handle::enter);
        https::client(&self.plain_http)
    }
}

#[derive(Default)]
struct Session {
    clients: OnceCell<Arc<Clients>>,
    /// Set once the account was found to be the right one.
    verified: OnceCell<()>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aws").field("access", &self.access).finish_non_exhaustive()
    }
}

/// The clients of one [`AwsTarget`].
#[derive(Debug)]
pub struct Clients {
    pub route53: Pair<aws_sdk_route53::Client>,
    pub elbv2: Pair<aws_sdk_elasticloadbalancingv2::Client>,
    pub rds: Pair<aws_sdk_rds::Client>,
    pub ssm: Pair<aws_sdk_ssm::Client>,
    pub lambda: Pair<aws_sdk_lambda::Client>,
    pub sfn: Pair<aws_sdk_sfn::Client>,
    /// Notices go out through these two; nothing is read from them.
    pub sns: Lazy<aws_sdk_sns::Client>,
    pub eventbridge: Lazy<aws_sdk_eventbridge::Client>,
    pub cloudwatch: Lazy<aws_sdk_cloudwatch::Client>,
    pub iam: Lazy<aws_sdk_iam::Client>,
    pub kms: Lazy<aws_sdk_kms::Client>,
    pub cloudtrail: Lazy<aws_sdk_cloudtrail::Client>,
    pub xray: Lazy<aws_sdk_xray::Client>,
    pub devops_guru: Lazy<aws_sdk_devopsguru::Client>,
    pub sts: aws_sdk_sts::Client,
    pub region: String,
    keys: Arc<Keys>,
}

/// Made when it is first used: a plan asks few of the services, while each client takes memory for as long as the daemon runs.
pub type Lazy<C> = LazyLock<C, Box<dyn FnOnce() -> C + Send>>;

/// Two clients of one service.
#[derive(Debug)]
pub struct Pair<C> {
    /// Retries by itself, and is refused everything that is not a known read.
    pub read: Lazy<C>,
    /// Sends each call exactly once: Belay retries, each send with an intent of its own (invariant 2).
    pub write: Lazy<C>,
}

/// There are no clients for a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    #[error(
        "no AWS region is known: set `aws.region` in the plan, AWS_REGION in the environment or `region` in the \
         profile"
    )]
    NoRegion,
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl SessionError {
    /// Whether another try may end differently without anybody changing anything.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Account(AccountError::Unverified { .. }))
    }
}

impl From<SessionError> for ReadError {
    fn from(error: SessionError) -> Self {
        Self { why: error.to_string(), permanent: !error.may_pass() }
    }
}

impl From<SessionError> for ApplyError {
    /// Without clients nothing was sent.
    fn from(error: SessionError) -> Self {
        Self::NoEffect {
            why: error.to_string(),
            class: if error.may_pass() { ErrorClass::Transient } else { ErrorClass::Permanent },
        }
    }
}

impl Aws {
    /// With the standard AWS configuration: environment, profile, SSO, container and instance roles,
    /// `AWS_ENDPOINT_URL`.
    ///
    /// `observer` is told of every call. `plain_http`: the hosts that may be reached without TLS, beside this one. The
    /// connections live in the runtime that this is called in.
    pub fn new(access: Access, clock: Arc<dyn Clock>, observer: Arc<dyn Observer>, plain_http: Vec<String>) -> Self {
        let budget = Budget::new(clock.clone(), observer.clone());
        let (calls, base, sessions) = (Calls::told_to(clock, observer), OnceCell::new(), Mutex::default());
        let (runtime, resolver) = (Handle::try_current().ok(), Arc::new(resolver::System));
        Self(Arc::new(Inner { access, calls, budget, base, plain_http, runtime, resolver, sessions }))
    }

    /// Where calls to AWS go, if not straight to AWS. A profile's endpoint is known once the configuration was loaded.
    pub fn detours(&self) -> Vec<String> {
        detours::now(self.0.base.get().and_then(SdkConfig::endpoint_url))
    }

    /// With a configuration that is given instead of the standard one: region, credentials, HTTP client. Guard, budget and
    /// observer stand before its client as before any other. `resolver` stands in for that of this host.
    pub fn with_config(
        access: Access,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
        config: SdkConfig,
        resolver: Arc<dyn Resolver>,
    ) -> Self {
        let budget = Budget::new(clock.clone(), observer.clone());
        Self::with_base(access, Calls::told_to(clock, observer), budget, OnceCell::new_with(Some(config)), resolver)
    }

    pub(crate) fn with_base(
        access: Access,
        calls: Calls,
        budget: Budget,
        base: OnceCell<SdkConfig>,
        resolver: Arc<dyn Resolver>,
    ) -> Self {
        let (plain_http, runtime, sessions) = (Vec::new(), None, Mutex::default());
        Self(Arc::new(Inner { access, calls, budget, base, plain_http, runtime, resolver, sessions }))
    }

    pub(crate) fn resolver(&self) -> &dyn Resolver {
        &*self.0.resolver
    }

    /// The clients of a target. They are handed out only after its account, if it names one, was verified: no other
    /// call comes first.
    ///
    /// # Errors
    /// [`SessionError`] when no region is known, or the account is wrong or could not be verified; the next call
    /// tries again.
    pub async fn clients(&self, target: &AwsTarget) -> Result<Arc<Clients>, SessionError> {
        let session = self.session(target);
        let clients = self.unverified_clients(&session, target).await?;
        if let Some(account) = &target.account {
            session.verified.get_or_try_init(|| async { verify(&clients, account).await.map(drop) }).await?;
        }
        Ok(clients)
    }

    /// Asks AWS afresh whose the credentials are, and answers the identity's ARN. A target without an account
    /// accepts any.
    ///
    /// # Errors
    /// [`AccountError::Wrong`] for another account, [`AccountError::Unverified`] when it could not be found out.
    pub async fn verify_account(&self, target: &AwsTarget) -> Result<String, AccountError> {
        let session = self.session(target);
        let clients = self.unverified_clients(&session, target).await.map_err(|error| match error {
            SessionError::Account(error) => error,
            SessionError::NoRegion => AccountError::Unverified { why: error.to_string() },
        })?;
        match &target.account {
            Some(account) => verify(&clients, account).await,
            None => whoami(&clients.sts, None).await.map(|identity| identity.arn),
        }
    }

    /// Whether the credentials last until then that calls are signed with; those behind a role that is assumed, as the role is assumed
    /// anew with them.
    pub(crate) async fn credentials(&self, target: &AwsTarget, until: Timestamp) -> Check {
        let subject = place::name(target);
        let Some(provider) = self.base().await.credentials_provider() else {
            return Check::unknown("credentials", subject, "none are configured")
                .wanted("credentials of the plan's account")
                .cure("give Belay a role (of the instance, container or pod), a profile, or keys in the environment");
        };
        match provider.provide_credentials().await {
            Ok(found) => iam::credentials::check(&found, &subject, until),
            Err(error) => Check::unknown("credentials", subject, errors::bounded(&errors::causes(&error)))
                .wanted("credentials that AWS hands out")
                .cure("correct what they come from: the profile, the role or its endpoint; then check again"),
        }
    }

    /// The account of the credentials in use: twelve digits. The target's own account is not looked at.
    ///
    /// # Errors
    /// [`SessionError`] where no region is known, or AWS does not tell the account.
    pub async fn account(&self, target: &AwsTarget) -> Result<String, SessionError> {
        let session = self.session(target);
        let clients = self.unverified_clients(&session, target).await?;
        Ok(whoami(&clients.sts, None).await?.account)
    }

    fn session(&self, target: &AwsTarget) -> Arc<Session> {
        let mut sessions = self.0.sessions.lock().expect("nothing panics while it holds this lock");
        sessions.entry(target.clone()).or_default().clone()
    }

    async fn unverified_clients(&self, session: &Session, target: &AwsTarget) -> Result<Arc<Clients>, SessionError> {
        let connect = || async { connect(&self.0, self.base().await, target).await.map(Arc::new) };
        session.clients.get_or_try_init(connect).await.cloned()
    }

    async fn base(&self) -> &SdkConfig {
        let load = || async {
            aws_config::defaults(BehaviorVersion::latest())
                .app_name(AppName::new(NAME).expect("only letters"))
                .http_client(self.0.http_client())
                .identity_cache(IdentityCache::lazy().load_timeout(CREDENTIALS_TIMEOUT).build())
                .retry_config(read_retries())
                .timeout_config(read_timeouts())
                .load()
                .await
        };
        self.0.base.get_or_init(load).await
    }
}

/// Not adaptive: its own token bucket holds a throttled read back for ten seconds and more without a word. A look or a
/// sweep that fails is on record, and soon repeated.
fn read_retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(READ_ATTEMPTS).with_initial_backoff(READ_BACKOFF)
}

fn read_timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(ANSWER_TIMEOUT)
        .operation_timeout(READ_TIMEOUT)
        .build()
}

fn write_timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_timeout(WRITE_TIMEOUT).build()
}

async fn connect(inner: &Inner, base: &SdkConfig, target: &AwsTarget) -> Result<Clients, SessionError> {
    let region = target.region.clone().or_else(|| base.region().map(ToString::to_string));
    let region = region.ok_or(SessionError::NoRegion)?;
    if target.region.is_none() {
        place::learn_default_region(&region);
    }
    let mut config = base.to_builder().region(Region::new(region.clone())).build();
    if let Some(role) = &target.role {
        let mut provider = AssumeRoleProvider::builder(role).session_name(NAME).configure(&config);
        if let Some(external_id) = &target.external_id {
            provider = provider.external_id(external_id);
        }
        let provider = SharedCredentialsProvider::new(provider.build().await);
        config = config.into_builder().credentials_provider(provider).build();
    }
    let keys = Arc::new(Keys::default());
    let asking = config.credentials_provider().map(|provider| Asking { provider, keys: keys.clone() });
    let mut asks = config.to_builder().retry_config(read_retries()).timeout_config(read_timeouts());
    asks.set_credentials_provider(asking.map(SharedCredentialsProvider::new));
    let asks = asks.build();
    let http = base.http_client().unwrap_or_else(|| inner.http_client());

    /// Every client is made here, so that none is without its guard, no call goes unseen, and all draw from one budget.
    macro_rules! made {
        ($service:ident, $budget:expr, $calls:expr, $http:expr, $config:expr, $access:expr, $urgency:expr) => {{
            let builder = $service::config::Builder::from($config).http_client($budget.guard($http, $urgency));
            let builder = builder.interceptor(Guard::new($access)).interceptor($calls.of($budget));
            $service::Client::from_conf(builder.build())
        }};
    }
    let budget = inner.budget.of(target, &region, &STS);
    let sts = made!(aws_sdk_sts, budget, inner.calls, http.clone(), &asks, Access::ReadOnly, Urgency::Read);
    if let (Some(account), Some(provider)) = (&target.account, config.credentials_provider()) {
        let (sts, account) = (sts.clone(), account.clone());
        let verifying = Verifying { provider, keys: keys.clone(), sts, account };
        config = config.into_builder().credentials_provider(SharedCredentialsProvider::new(verifying)).build();
    }
    let read = config.to_builder().retry_config(read_retries()).timeout_config(read_timeouts()).build();
    let write = config.into_builder().retry_config(RetryConfig::disabled()).timeout_config(write_timeouts()).build();
    macro_rules! lazy {
        ($service:ident, $of:expr, $config:expr, $access:expr, $urgency:expr) => {{
            let (budget, calls) = (inner.budget.of(target, &region, &$of), inner.calls.clone());
            let (http, config, access) = (http.clone(), $config.clone(), $access);
            let made = move || made!($service, budget, calls, http, &config, access, $urgency);
            LazyLock::new(Box::new(made) as Box<dyn FnOnce() -> $service::Client + Send>)
        }};
    }
    macro_rules! reads {
        ($service:ident, $of:expr) => {
            lazy!($service, $of, read, Access::ReadOnly, Urgency::Read)
        };
    }
    macro_rules! writes {
        ($service:ident, $of:expr) => {
            lazy!($service, $of, write, inner.access, Urgency::Write)
        };
    }
    macro_rules! pair {
        ($service:ident, $of:expr) => {
            Pair { read: reads!($service, $of), write: writes!($service, $of) }
        };
    }
    Ok(Clients {
        route53: pair!(aws_sdk_route53, route53::SERVICE),
        elbv2: pair!(aws_sdk_elasticloadbalancingv2, elbv2::SERVICE),
        rds: pair!(aws_sdk_rds, rds::SERVICE),
        ssm: pair!(aws_sdk_ssm, automation::SERVICE),
        lambda: pair!(aws_sdk_lambda, function::SERVICE),
        sfn: pair!(aws_sdk_sfn, state_machine::SERVICE),
        sns: writes!(aws_sdk_sns, channels::TOPICS),
        eventbridge: writes!(aws_sdk_eventbridge, channels::EVENTBRIDGE),
        cloudwatch: reads!(aws_sdk_cloudwatch, cloudwatch::SERVICE),
        iam: reads!(aws_sdk_iam, iam::SERVICE),
        kms: reads!(aws_sdk_kms, rds::KMS),
        cloudtrail: reads!(aws_sdk_cloudtrail, evidence::CLOUDTRAIL),
        xray: reads!(aws_sdk_xray, evidence::XRAY),
        devops_guru: reads!(aws_sdk_devopsguru, evidence::DEVOPS_GURU),
        sts,
        region,
        keys,
    })
}

struct Identity {
    account: String,
    arn: String,
}

/// Whose the credentials are: these, or those that the client has.
async fn whoami(sts: &aws_sdk_sts::Client, credentials: Option<&Credentials>) -> Result<Identity, AccountError> {
    let mut only = aws_sdk_sts::config::Builder::default();
    if let Some(credentials) = credentials {
        only = only.credentials_provider(credentials.clone());
    }
    let answer = sts.get_caller_identity().customize().config_override(only).send().await;
    let answer = answer.map_err(|error| AccountError::Unverified {
        why: errors::read(error, "sts:GetCallerIdentity", "the credentials in use").why,
    })?;
    match (answer.account, answer.arn) {
        (Some(account), Some(arn)) => {
            if let Some(region) = sts.config().region() {
                place::learn_partition(region.as_ref(), &arn);
            }
            Ok(Identity { account, arn })
        }
        _ => Err(AccountError::Unverified { why: "sts:GetCallerIdentity answered without an account".to_owned() }),
    }
}

async fn verify(clients: &Clients, expected: &str) -> Result<String, AccountError> {
    let arn = judged(whoami(&clients.sts, None).await?, expected)?;
    clients.keys.accept_asking();
    Ok(arn)
}

/// The identity's ARN, if it is of the account.
fn judged(Identity { account: found, arn: identity }: Identity, expected: &str) -> Result<String, AccountError> {
    match found == expected {
        true => Ok(identity),
        false => Err(AccountError::Wrong { expected: expected.to_owned(), found, identity }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_credential_types::provider::{ProvideCredentials, future};

    use super::*;
    use crate::testing::{Script, aws, endpoint, http};

    fn identity(account: &str) -> String {
        http("200 OK", &identity_of(account))
    }

    fn identity_of(account: &str) -> String {
        let arn = format!("arn:aws:sts::{account}:assumed-role/belay/i-1");
        format!(
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <GetCallerIdentityResult>\
             <Arn>{arn}</Arn><UserId>A</UserId><Account>{account}</Account></GetCallerIdentityResult>\
             </GetCallerIdentityResponse>"
        )
    }

    fn target(account: Option<&str>) -> AwsTarget {
        AwsTarget { account: account.map(ToOwned::to_owned), ..AwsTarget::default() }
    }

    async fn modify_rule(client: &aws_sdk_elasticloadbalancingv2::Client) -> ApplyError {
        let sent = client.modify_rule().rule_arn("arn:aws:elasticloadbalancing:rule").send().await;
        errors::apply(sent.unwrap_err(), "elasticloadbalancing:ModifyRule", "a rule")
    }

    #[tokio::test]
    async fn a_read_only_session_cannot_mutate() {
        let endpoint = endpoint(http("500 Internal Server Error", "")).await;
        let clients = aws(Access::ReadOnly, &endpoint).await.clients(&target(None)).await.unwrap();
        for client in [&clients.elbv2.read, &clients.elbv2.write] {
            let error = modify_rule(client).await;
            assert!(matches!(error, ApplyError::NoEffect { class: ErrorClass::Permanent, .. }), "{error}");
            assert!(error.to_string().contains("ModifyRule is not a read"), "{error}");
        }
        let record = clients.route53.write.change_resource_record_sets().hosted_zone_id("Z1").change_batch(
            aws_sdk_route53::types::ChangeBatch::builder().set_changes(Some(Vec::new())).build().unwrap(),
        );
        let error = errors::apply(record.send().await.unwrap_err(), "route53:ChangeResourceRecordSets", "Z1");
        assert!(error.to_string().contains("ChangeResourceRecordSets is not a read"), "{error}");
        assert_eq!(endpoint.connections.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn only_the_write_client_of_a_read_write_session_sends_what_is_listed_and_it_sends_once() {
        let endpoint = endpoint(http("500 Internal Server Error", "")).await;
        let clients = aws(Access::ReadWrite, &endpoint).await.clients(&target(None)).await.unwrap();
        let refused = modify_rule(&clients.elbv2.read).await;
        assert!(refused.to_string().contains("is not a read"), "{refused}");
        let unlisted = clients.elbv2.write.delete_rule().rule_arn("arn:aws:elasticloadbalancing:rule").send().await;
        let unlisted = errors::apply(unlisted.unwrap_err(), "elasticloadbalancing:DeleteRule", "a rule");
        assert!(matches!(unlisted, ApplyError::NoEffect { class: ErrorClass::Permanent, .. }), "{unlisted}");
        assert!(unlisted.to_string().contains("DeleteRule is not one of the operations"), "{unlisted}");
        assert_eq!(endpoint.connections.load(Ordering::SeqCst), 0);
        let sent = modify_rule(&clients.elbv2.write).await;
        assert!(matches!(sent, ApplyError::OutcomeUnknown { .. }), "{sent}");
        assert_eq!(endpoint.connections.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn credentials_of_another_account_get_no_clients() {
        let endpoint = endpoint(identity("999999999999")).await;
        let aws = aws(Access::ReadWrite, &endpoint).await;
        let wrong = AccountError::Wrong {
            expected: "111122223333".to_owned(),
            found: "999999999999".to_owned(),
            identity: "arn:aws:sts::999999999999:assumed-role/belay/i-1".to_owned(),
        };
        let ours = target(Some("111122223333"));
        assert_eq!(aws.verify_account(&ours).await, Err(wrong.clone()));
        assert_eq!(aws.clients(&ours).await.unwrap_err(), SessionError::Account(wrong));
        assert!(aws.clients(&target(Some("999999999999"))).await.is_ok());
    }

    #[tokio::test]
    async fn a_refused_connection_had_no_effect() {
        let endpoint = endpoint(String::new()).await;
        let aws = aws(Access::ReadWrite, &endpoint).await;
        drop(endpoint);
        let clients = aws.clients(&target(None)).await.unwrap();
        let error = modify_rule(&clients.elbv2.write).await;
        assert!(matches!(error, ApplyError::NoEffect { class: ErrorClass::Transient, .. }), "{error}");
    }

    #[tokio::test]
    async fn an_account_that_is_not_told_is_unverified() {
        let endpoint = endpoint(http("403 Forbidden", "")).await;
        let aws = aws(Access::ReadOnly, &endpoint).await;
        assert!(matches!(aws.verify_account(&target(None)).await, Err(AccountError::Unverified { .. })));
    }

    #[tokio::test]
    async fn a_connection_that_is_cut_leaves_the_outcome_open() {
        let endpoint = endpoint(String::new()).await;
        let clients = aws(Access::ReadWrite, &endpoint).await.clients(&target(None)).await.unwrap();
        let error = modify_rule(&clients.elbv2.write).await;
        assert!(matches!(error, ApplyError::OutcomeUnknown { .. }), "{error}");
        assert_eq!(endpoint.connections.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn without_a_region_there_are_no_clients() {
        let config = aws_config::defaults(BehaviorVersion::latest()).empty_test_environment().load().await;
        let aws = crate::testing::with_config(config);
        assert_eq!(aws.clients(&target(None)).await.unwrap_err(), SessionError::NoRegion);
    }

    /// Another key at each call.
    #[derive(Debug, Default)]
    struct Renewed(AtomicUsize);

    impl ProvideCredentials for Renewed {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let key = format!("KEY{}", self.0.fetch_add(1, Ordering::SeqCst));
            future::ProvideCredentials::ready(Ok(Credentials::new(key, "secret", None, None, "test")))
        }
    }

    #[tokio::test]
    async fn a_new_access_key_signs_nothing_before_its_account_is_known() {
        let answers = ["111122223333", "999999999999"].map(|account| (200, identity_of(account)));
        let endpoint = Script::new(answers).await;
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(endpoint.url())
            .http_client(https::client(&[]))
            .credentials_provider(SharedCredentialsProvider::new(Renewed::default()))
            .build();
        let aws = crate::testing::accessing(Access::ReadWrite, config);
        let clients = aws.clients(&target(Some("111122223333"))).await.unwrap();
        let ApplyError::NoEffect { why, class: ErrorClass::Transient } = modify_rule(&clients.elbv2.write).await else {
            panic!("it was sent");
        };
        assert!(why.contains("the credentials belong to 999999999999"), "{why}");
        let requests = endpoint.requests();
        assert_eq!(requests.len(), 2);
        for (request, key) in requests.iter().zip(["Credential=KEY0/", "Credential=KEY1/"]) {
            assert!(request.contains("GetCallerIdentity") && request.contains(key), "{request}");
        }
    }
}
