//! How long the credentials in use last.

use aws_credential_types::{Credentials, credential_feature::AwsCredentialFeature as Feature};
use belay_ports::Check;
use jiff::Timestamp;

const ID: &str = "credentials";

/// Pure. `subject`: where they are used. `until`: when the last rollback is over.
pub(crate) fn check(credentials: &Credentials, subject: &str, until: Timestamp) -> Check {
    let source = source(credentials);
    let end = credentials.expiry().and_then(|end| Timestamp::try_from(end).ok());
    let renewed = source.is_some_and(|(_, renewed)| renewed);
    let from = source.map_or(String::new(), |(what, _)| format!(" from {what}"));
    match (end, credentials.session_token()) {
        (None, None) => Check::go(ID, subject, format!("lasting keys{from}")),
        (Some(end), _) if renewed => {
            Check::go(ID, subject, format!("temporary keys{from}, valid until {end:.0} and then renewed"))
        }
        (None, Some(_)) if renewed => Check::go(ID, subject, format!("temporary keys{from}, renewed before they end")),
        (Some(end), _) => {
            let found = format!("temporary keys{from}, which end at {end:.0}, and nothing renews them");
            match end > until {
                true => Check::go(ID, subject, found),
                false => temporary(subject, found, until),
            }
        }
        (None, Some(_)) => {
            let found = format!("temporary keys{from}: when they end is not known, and nothing renews them");
            temporary(subject, found, until)
        }
    }
}

fn temporary(subject: &str, found: String, until: Timestamp) -> Check {
    Check::warn(ID, subject, found)
        .wanted(format!("credentials that last until the window is over, at {until:.0}"))
        .cure("give Belay a role (of the instance, container or pod), or a profile that renews itself")
}

/// Where they come from, for a person, and whether the SDK gets new ones from there.
fn source(credentials: &Credentials) -> Option<(&'static str, bool)> {
    Some(match credentials.get_property::<Feature>()? {
        Feature::CredentialsEnvVars => ("the environment", false),
        Feature::CredentialsProfile => ("a profile", false),
        Feature::CredentialsCode => ("the program", false),
        Feature::CredentialsEnvVarsStsWebIdToken
        | Feature::CredentialsProfileStsWebIdToken
        | Feature::CredentialsStsAssumeRoleWebId => ("a web identity", true),
        Feature::CredentialsStsAssumeRole | Feature::CredentialsProfileSourceProfile => {
            ("a role that is assumed", true)
        }
        Feature::CredentialsProfileSso | Feature::CredentialsSso => ("SSO, for as long as its session lasts", true),
        Feature::CredentialsProfileProcess | Feature::CredentialsProcess => ("a credential process", true),
        Feature::CredentialsHttp => ("the container", true),
        Feature::CredentialsImds | Feature::CredentialsProfileNamedProvider => ("the instance", true),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use belay_ports::CheckVerdict;

    use super::*;

    fn credentials(token: Option<&str>, ends_in: Option<u64>, feature: Option<Feature>) -> Check {
        let end = ends_in.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let mut found = Credentials::new("AKIA", "secret", token.map(ToOwned::to_owned), end, "test");
        if let Some(feature) = feature {
            found.set_property(feature);
        }
        check(&found, "111122223333/eu-west-1", Timestamp::UNIX_EPOCH + Duration::from_secs(3600))
    }

    #[test]
    fn credentials_that_end_and_are_not_renewed_are_warned_of() {
        let (env, role) = (Some(Feature::CredentialsEnvVars), Some(Feature::CredentialsImds));
        for (token, ends_in, feature, verdict, part) in [
            (None, None, env.clone(), CheckVerdict::Go, "lasting keys from the environment"),
            (Some("t"), None, env.clone(), CheckVerdict::Warn, "when they end is not known"),
            (Some("t"), None, None, CheckVerdict::Warn, "when they end is not known"),
            (
                Some("t"),
                Some(3_600),
                env.clone(),
                CheckVerdict::Warn,
                "from the environment, which end at 1970-01-01T01:00:00Z, and nothing",
            ),
            (Some("t"), Some(3_601), env, CheckVerdict::Go, "which end at 1970-01-01T01:00:01Z"),
            (
                Some("t"),
                Some(60),
                role,
                CheckVerdict::Go,
                "from the instance, valid until 1970-01-01T00:01:00Z and then renewed",
            ),
        ] {
            let check = credentials(token, ends_in, feature);
            assert_eq!(check.verdict, verdict, "{check:?}");
            assert!(check.found.contains(part), "{check:?}");
            assert_eq!(check.cure.is_empty(), verdict == CheckVerdict::Go);
            assert!(!format!("{check:?}").contains("secret"));
        }
    }
}
