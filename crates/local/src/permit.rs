//! What plans may do with this host: which secrets they send where, which programs they run, which hosts they ask. A plan is code,
//! so the daemon's configuration can list what is permitted; the plan itself cannot.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use belay_plan::model::Plan;
use serde_json::Value;

use crate::{
    ACTION, program,
    secrets::{Reference, Secrets},
};

/// One thing that a plan does beyond AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// `signal blue_ready`, `step fence`
    pub by: String,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Sends a secret to a host.
    Sends { secret: Reference, host: String },
    /// Logs in to the database whose URL is a secret, which goes to the host in it and nowhere else.
    Opens { secret: Reference },
    /// Sends notices to the address that is a secret, or with a secret to the host in it, and nowhere else.
    Notifies { secret: Reference },
    /// Asks a host.
    Asks { host: String },
    /// Runs a program, here with its arguments.
    Runs { program: String, line: String },
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = &self.by;
        match &self.what {
            What::Sends { secret, host } => write!(f, "{by} sends {secret} to {host}"),
            What::Opens { secret } => write!(f, "{by} opens the database of {secret}"),
            What::Notifies { secret } => write!(f, "{by} sends notices by {secret}"),
            What::Asks { host } => write!(f, "{by} asks {host}"),
            What::Runs { line, .. } => write!(f, "{by} runs {line}"),
        }
    }
}

/// The programs that the steps of a plan run.
pub fn commands(plan: &Plan) -> Vec<Reach> {
    let steps = plan.steps.iter().filter(|(_, step)| step.action == ACTION);
    let words = |with: &Value| -> Vec<String> {
        let words = with["argv"].as_array().into_iter().flatten();
        words.filter_map(|word| word.as_str().map(ToOwned::to_owned)).collect()
    };
    steps.map(|(name, step)| run_of(name, &words(&step.with))).collect()
}

pub(crate) fn run_of(step: &str, argv: &[String]) -> Reach {
    let what = What::Runs { program: argv.first().cloned().unwrap_or_default(), line: program::line(argv) };
    Reach { by: format!("step {step}"), what }
}

/// The lists of the configuration. None: there is no such list, and a person who arms a plan permits what it does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permits {
    pub secrets: Option<Vec<SecretPermit>>,
    pub commands: Option<Vec<String>>,
    pub probe_hosts: Option<Vec<String>>,
    /// Hosts of AWS endpoints that may be reached over plain HTTP; none but this host where there is no such list.
    pub plain_http: Vec<String>,
}

/// A secret, and the hosts that it may be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretPermit {
    pub secret: Reference,
    pub hosts: Vec<String>,
}

impl Permits {
    /// Whether a list has it; None where there is no such list.
    fn listed(&self, what: &What) -> Option<bool> {
        match what {
            What::Sends { secret, host } => {
                let permits = self.secrets.as_ref()?.iter();
                Some(permits.filter(|permit| permit.secret == *secret).any(|permit| is_one_of(host, &permit.hosts)))
            }
            // Its host is held against the list when it is known.
            What::Opens { secret } | What::Notifies { secret } => {
                Some(self.secrets.as_ref()?.iter().any(|permit| permit.secret == *secret))
            }
            What::Asks { host } => Some(is_one_of(host, self.probe_hosts.as_ref()?)),
            What::Runs { program, .. } => Some(self.commands.as_ref()?.contains(program)),
        }
    }

    /// What a list does not have is not permitted.
    ///
    /// # Errors
    /// Which list, and what to add to it.
    pub fn judge(&self, reach: &Reach) -> Result<(), String> {
        match self.listed(&reach.what) {
            Some(false) => Err(format!("{reach}, which is not permitted: {}", cure(&reach.what))),
            Some(true) | None => Ok(()),
        }
    }

    /// For what nobody has asked for: secrets are sent and programs run only where a list has them.
    ///
    /// # Errors
    /// Which list, and what to add to it.
    pub fn judge_unasked(&self, reach: &Reach) -> Result<(), String> {
        match (self.listed(&reach.what), &reach.what) {
            (Some(true), _) | (None, What::Asks { .. }) => Ok(()),
            (Some(false) | None, what) => {
                Err(format!("{reach}, and without a person's word only what is listed is permitted: {}", cure(what)))
            }
        }
    }
}

fn cure(what: &What) -> String {
    match what {
        What::Sends { secret, host } => {
            format!("list {{ secret: \"{secret}\", hosts: [{host}] }} in `secrets` of the daemon's configuration")
        }
        What::Opens { secret } => format!(
            "list {{ secret: \"{secret}\", hosts: [THE HOST OF THE DATABASE] }} in `secrets` of the daemon's configuration"
        ),
        What::Notifies { secret } => {
            format!(
                "list {{ secret: \"{secret}\", hosts: [THE HOST OF THE CHANNEL] }} in `secrets` of the daemon's configuration"
            )
        }
        What::Asks { host } => format!("list {host} in `probe_hosts` of the daemon's configuration"),
        What::Runs { program, .. } => format!("list {program} in `commands` of the daemon's configuration"),
    }
}

/// `*.example.com` stands for all hosts below it.
fn is_one_of(host: &str, listed: &[String]) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    listed.iter().any(|listed| {
        let listed = listed.to_ascii_lowercase();
        match listed.strip_prefix('*') {
            Some(domain) => domain.starts_with('.') && host.ends_with(domain) && host.len() > domain.len(),
            None => host == listed,
        }
    })
}

/// What is permitted now. Clones share it, so that a reload counts for all who ask.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    permits: Arc<RwLock<Permits>>,
    only_listed: bool,
    secrets: Secrets,
}

impl Gate {
    pub fn new(permits: Permits) -> Self {
        Self { permits: Arc::new(RwLock::new(permits)), ..Self::default() }
    }

    /// The same for what nobody has asked for, as a dry run of a plan that nobody has reviewed.
    #[must_use]
    pub fn only_listed(&self) -> Self {
        Self { only_listed: true, ..self.clone() }
    }

    /// The same without that limit, where nothing is sent: whether a channel could be used is tried as a person would use it.
    #[must_use]
    pub fn asked(&self) -> Self {
        Self { only_listed: false, ..self.clone() }
    }

    /// Looks up what plans refer to: one for all, so that what one part sends another does not show.
    pub fn secrets(&self) -> Secrets {
        self.secrets.clone()
    }

    /// The hosts of AWS endpoints that may be reached over plain HTTP.
    pub fn plain_http(&self) -> Vec<String> {
        self.permits.read().unwrap_or_else(PoisonError::into_inner).plain_http.clone()
    }

    pub fn set(&self, permits: Permits) {
        *self.permits.write().unwrap_or_else(PoisonError::into_inner) = permits;
    }

    /// # Errors
    /// It is not permitted: which list, and what to add to it.
    pub fn judge(&self, reach: &Reach) -> Result<(), String> {
        let permits = self.permits.read().unwrap_or_else(PoisonError::into_inner);
        if self.only_listed { permits.judge_unasked(reach) } else { permits.judge(reach) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(what: What) -> Reach {
        Reach { by: "signal blue".to_owned(), what }
    }

    fn sends(host: &str) -> Reach {
        reach(What::Sends { secret: Reference::parse("env:SHOP_TOKEN").unwrap(), host: host.to_owned() })
    }

    fn runs(program: &str) -> Reach {
        reach(What::Runs { program: program.to_owned(), line: format!("{program} --now") })
    }

    #[test]
    fn a_list_permits_what_it_has_and_nothing_else() {
        let secret = Reference::parse("env:SHOP_TOKEN").unwrap();
        let permits = Permits {
            secrets: Some(vec![SecretPermit { secret, hosts: vec!["*.shop.test".to_owned()] }]),
            commands: Some(vec!["/usr/bin/fence".to_owned()]),
            probe_hosts: Some(Vec::new()),
            plain_http: Vec::new(),
        };
        assert_eq!(permits.judge(&sends("www.SHOP.test")), Ok(()));
        assert_eq!(permits.judge(&runs("/usr/bin/fence")), Ok(()));
        for host in ["shop.test", "shop.test.evil.test", "evilshop.test", ".shop.test"] {
            let why = permits.judge(&sends(host)).unwrap_err();
            assert!(why.contains(&format!("sends env:SHOP_TOKEN to {host}, which is not permitted")), "{why}");
        }
        let why = permits.judge(&runs("fence")).unwrap_err();
        assert!(why.ends_with("list fence in `commands` of the daemon's configuration"), "{why}");
        assert!(permits.judge(&reach(What::Asks { host: "shop.test".to_owned() })).is_err());
        let notifies = |secret: &str| What::Notifies { secret: Reference::parse(secret).unwrap() };
        assert_eq!(permits.judge(&reach(notifies("env:SHOP_TOKEN"))), Ok(()));
        let why = permits.judge(&reach(notifies("env:SLACK_WEBHOOK"))).unwrap_err();
        assert!(why.contains("list { secret: \"env:SLACK_WEBHOOK\", hosts: [THE HOST OF THE CHANNEL] }"), "{why}");
    }

    #[test]
    fn without_a_list_a_person_permits_and_nobody_else() {
        let gate = Gate::default();
        assert_eq!(gate.judge(&sends("shop.test")), Ok(()));
        assert!(gate.only_listed().judge(&sends("shop.test")).is_err());
        assert!(gate.only_listed().judge(&runs("fence")).is_err());
        assert_eq!(gate.only_listed().asked().judge(&runs("fence")), gate.judge(&runs("fence")));
        assert_eq!(gate.only_listed().judge(&reach(What::Asks { host: "shop.test".to_owned() })), Ok(()));
        let unasked = gate.only_listed();
        gate.set(Permits { commands: Some(vec!["fence".to_owned()]), ..Permits::default() });
        assert_eq!(unasked.judge(&runs("fence")), Ok(()), "a reload counts");
    }
}
