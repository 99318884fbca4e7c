//! The world as the HTTP client of the AWS SDK, in the time of tokio: on a paused runtime, in virtual time.

use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use belay_aws::Resolver;
use belay_ports::{Clock, Fut};
use tokio::sync::Notify;

use crate::{
    answer::Reply,
    wire::{Answer, Request},
    world::World,
};

/// From a call to AWS, and from AWS back.
const WAY: Duration = Duration::from_millis(20);

/// A world that several clients call. Cheap to clone; clones are one world.
#[derive(Clone)]
pub struct Shared {
    world: Arc<Mutex<World>>,
    clock: Arc<dyn Clock>,
    /// Notified when a call is to kill its caller.
    pub(crate) killed: Arc<Notify>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a strict world")
    }
}

impl Shared {
    pub fn new(world: World, clock: Arc<dyn Clock>) -> Self {
        Self { world: Arc::new(Mutex::new(world)), clock, killed: Arc::default() }
    }

    /// The world, as it is at this moment.
    pub fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.advance(self.clock.now());
        world
    }

    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        self.clock.sleep(WAY).await;
        let request = taken(&request);
        let reply = self.world().handle(self.clock.now(), &request);
        self.clock.sleep(WAY).await;
        match reply {
            Reply::Answer(answer) => {
                if !answer.takes.is_zero() {
                    self.clock.sleep(answer.takes).await;
                }
                given(answer)
            }
            Reply::Cut => Err(ConnectorError::io("the connection was cut".into())),
            Reply::Silence => std::future::pending().await,
            Reply::Kill => {
                self.killed.notify_one();
                std::future::pending().await
            }
        }
    }
}

impl HttpClient for Shared {
    fn http_connector(&self, _settings: &HttpConnectorSettings, _parts: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl Resolver for Shared {
    fn addresses<'a>(&'a self, name: &'a str) -> Fut<'a, Result<Vec<IpAddr>, String>> {
        Box::pin(async move {
            self.clock.sleep(WAY).await;
            let found = self.world().rds.leads_to(name, self.clock.now());
            found.map(|address| vec![address]).ok_or_else(|| "no such name".to_owned())
        })
    }
}

impl HttpConnector for Shared {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let world = self.clone();
        HttpConnectorFuture::new(async move { Shared::call(&world, request).await })
    }
}

fn taken(request: &HttpRequest) -> Request {
    let after_host = request.uri().split_once("://").map_or("", |(_, rest)| rest);
    let uri = after_host.find(['/', '?']).map_or("/", |path| &after_host[path..]).to_owned();
    let headers = request.headers().iter().map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    let body = request.body().bytes().expect("calls to AWS have their body in memory").to_vec();
    Request { method: request.method().to_owned(), uri, headers: headers.collect(), body }
}

fn given(answer: Answer) -> Result<HttpResponse, ConnectorError> {
    let other = |error: Box<dyn std::error::Error + Send + Sync>| ConnectorError::other(error, None);
    let status = answer.status.try_into().map_err(|error| other(Box::new(error)))?;
    let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
    for (name, value) in answer.headers {
        response.headers_mut().try_insert(name, value).map_err(|error| other(Box::new(error)))?;
    }
    Ok(response)
}
