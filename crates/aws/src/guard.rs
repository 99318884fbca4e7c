//! Refuses what a session may not do, before the request is even built (invariants 4 and 5).

use aws_sdk_sts::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeSerializationInterceptorContextRef},
    error::BoxError,
};
use aws_smithy_runtime_api::client::orchestrator::Metadata;

use crate::{services, session::Access};

/// Why a session does not send an operation, if it does not.
fn refused(access: Access, service: &str, operation: &str) -> Option<Refused> {
    let known = services::of(service);
    let (reads, writes) = known.map_or((&[][..], &[][..]), |service| (service.reads, service.writes));
    let (service, operation) = (service.to_owned(), operation.to_owned());
    match access {
        _ if reads.contains(&operation.as_str()) => None,
        Access::ReadOnly => Some(Refused::NotRead { service, operation }),
        Access::ReadWrite if writes.contains(&operation.as_str()) => None,
        Access::ReadWrite => Some(Refused::Unlisted { service, operation }),
    }
}

/// An SDK interceptor; every client has one.
#[derive(Debug)]
pub(crate) struct Guard {
    access: Access,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error("{service} {operation} is not a read, and this session may only read: Belay refused to send it")]
    NotRead { service: String, operation: String },
    #[error(
        "{service} {operation} is not one of the operations that Belay's actions and channels send: Belay refused to send it; please report it"
    )]
    Unlisted { service: String, operation: String },
}

impl Guard {
    pub(crate) fn new(access: Access) -> Self {
        Self { access }
    }
}

impl Intercept for Guard {
    fn name(&self) -> &'static str {
        "Guard"
    }

    /// The first hook at which the SDK knows the operation.
    fn read_before_serialization(
        &self,
        _context: &BeforeSerializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (service, operation) = match config.load::<Metadata>() {
            Some(metadata) => (metadata.service(), metadata.name()),
            None => ("an unnamed service's", "unnamed operation"),
        };
        refused(self.access, service, operation).map_or(Ok(()), |refused| Err(refused.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn reads() -> impl Iterator<Item = &'static str> {
        services::ALL.into_iter().flat_map(|service| service.reads).copied()
    }

    fn writes() -> impl Iterator<Item = &'static str> {
        services::ALL.into_iter().flat_map(|service| service.writes).copied()
    }

    #[test]
    fn only_reads_are_listed_as_reads() {
        for read in reads() {
            // A simulation decides about a request that nobody makes.
            assert!(
                ["Describe", "Get", "List", "Lookup", "Simulate"].iter().any(|verb| read.starts_with(verb)),
                "{read}"
            );
        }
    }

    #[test]
    fn no_listed_write_deletes_or_stops_anything() {
        // The action `alb.targets` registers again what it has deregistered; the target itself goes on. So does a database that
        // leaves the target group of a proxy, for the one that has taken its place.
        let deregisters = |write: &&str| ["DeregisterTargets", "DeregisterDBProxyTargets"].contains(write);
        for write in writes().filter(|write| !deregisters(write)) {
            for verb in
                ["Delete", "Deregister", "Terminate", "Remove", "Purge", "Stop", "Cancel", "Disable", "Revoke", "Reset"]
            {
                assert!(!write.starts_with(verb), "{write}");
            }
        }
    }

    #[test]
    fn a_session_sends_what_is_listed_for_it_alone() {
        for (service, operation, reads, writes) in [
            ("Route 53", "GetChange", true, true),
            ("Route 53", "ChangeResourceRecordSets", false, true),
            ("RDS", "DeleteDBInstance", false, false),
            ("Elastic Load Balancing v2", "DeleteRule", false, false),
            ("S3", "GetChange", false, false),
            ("Lambda", "ModifyRule", false, false),
        ] {
            assert_eq!(refused(Access::ReadOnly, service, operation).is_none(), reads, "{service} {operation}");
            assert_eq!(refused(Access::ReadWrite, service, operation).is_none(), writes, "{service} {operation}");
        }
    }

    /// All code of this crate, without case and underscores.
    fn code(folder: &Path) -> String {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let texts = entries.filter(|path| !path.ends_with("tests.rs")).map(|path| {
            if path.is_dir() {
                return code(&path);
            }
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            code.replace('_', "").to_lowercase()
        });
        texts.collect()
    }

    /// That all that is sent is listed, every test shows that sends something.
    #[test]
    fn all_that_is_listed_is_sent() {
        let code = code(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
        for operation in reads().chain(writes()) {
            let name = operation.to_lowercase();
            let is_called = code.contains(&format!(".{name}()")) || code.contains(&format!("{name}input::builder()"));
            assert!(is_called, "no code sends {operation}");
        }
    }
}
