//! `route53.weights`: the weights of one weighted record.

mod names;

use std::time::Duration;

use belay_plan::{
    catalogue::{ActionSpec, Finding},
    model::{Nature, Usual},
    shape::{Text, boolean, field, object, pattern, weights, words},
};
use serde::Deserialize;
use serde_json::Value;

pub use self::names::{Zone, escaped, normal_name, zone_id};

/// The action's name in plans.
pub const ACTION: &str = "route53.weights";

/// A member of a weighted record.
const SET_IDENTIFIER: Text = Text::new("a set identifier", Some("^.{1,128}$"));

pub const ZONE_WHAT: &str = "the id of a hosted zone, such as `Z0123456789ABC`, or its domain name, such as `example.com` \
                         (`internal.` with its dot)";

/// What Route 53 answers with, `/hostedzone/Z...`, may be pasted as it is. A name has a dot, by which it is told from an id.
pub const ZONE: &str = "^((/hostedzone/)?[A-Z0-9]{1,32}\
                    |([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?[.])+([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)?)$";

/// A wildcard may be written as Route 53 does, `\052`, and so may any other character. Letters beyond ASCII are let through to
/// [`check`], which knows how they are written.
const RECORD: &str = "^(([*]|\\\\052)[.])?(([A-Za-z0-9_]|[^\\x00-\\x7F]|\\\\[0-3][0-7]{2})\
                      (([A-Za-z0-9_-]|[^\\x00-\\x7F]|\\\\[0-3][0-7]{2}){0,61}([A-Za-z0-9_]|[^\\x00-\\x7F]|\\\\[0-3][0-7]{2}))?[.])*\
                      ([A-Za-z0-9_]|[^\\x00-\\x7F]|\\\\[0-3][0-7]{2})\
                      (([A-Za-z0-9_-]|[^\\x00-\\x7F]|\\\\[0-3][0-7]{2}){0,61}([A-Za-z0-9_]|[^\\x00-\\x7F]|\\\\[0-3][0-7]{2}))?[.]?$";

/// All that can be weighted: NS and SOA cannot (API reference, ResourceRecordSet).
pub const TYPES: [&str; 14] =
    ["A", "AAAA", "CNAME", "CAA", "HTTPS", "MX", "NAPTR", "PTR", "SPF", "SRV", "SSHFP", "SVCB", "TLSA", "TXT"];

/// What `route53.weights` takes.
pub fn spec() -> ActionSpec {
    ActionSpec {
        name: ACTION,
        summary: "Shifts the weights of a weighted Route 53 record.",
        with: object([
            field("zone", pattern(ZONE_WHAT, ZONE), "The hosted zone: its id, or its domain name."),
            field("private", boolean(), "Which one, where a public and a private zone have the name.").optional(),
            field("record", pattern("a DNS name", RECORD), "The name that all the weighted records share."),
            field("type", words(TYPES), "The type of the records."),
            field("wait_ttl", boolean(), "Whether to wait until resolvers have forgotten the old answers.").or(false),
        ]),
        to: Some(weights(SET_IDENTIFIER, 255, None)),
        others: true,
        stages: true,
        default_timeout: Duration::from_secs(10 * 60),
        nature: Nature::Traffic,
        // "generally ... within 60 seconds": API reference, ChangeResourceRecordSets.
        usual: Some(Usual::seconds(10, 35, 60)),
        resource,
        check,
    }
}

/// The same record however it is written: DNS names know no case, and the last dot goes without saying.
fn resource(with: &Value) -> String {
    let part = |key: &str| with[key].as_str().unwrap_or_default();
    let zone = match Zone::of(part("zone")) {
        Zone::Id(zone) => zone,
        Zone::Name(zone) if with["private"] == true => format!("{zone}(private)"),
        Zone::Name(zone) => zone,
    };
    format!("route53:{zone}/{}/{}", normal_name(part("record")), part("type"))
}

/// What a name says of the zone is held against the record; what an id says can only be asked for.
fn check(with: &Value, _to: Option<&Value>) -> Vec<Finding> {
    let record = with["record"].as_str().unwrap_or_default();
    if !record.is_ascii() {
        let finding = Finding::new("/with/record", format!("`{record}` has letters that DNS does not know"));
        let help = match idna::domain_to_ascii(record) {
            Ok(ascii) => format!("write it as Route 53 does: `{ascii}`"),
            Err(_) => "write it in Punycode, as Route 53 shows it".to_owned(),
        };
        return vec![finding.help(help)];
    }
    match Zone::of(with["zone"].as_str().unwrap_or_default()) {
        Zone::Id(_) if !with["private"].is_null() => {
            let finding = Finding::new("/with/private", "an id names one zone, private or not");
            vec![finding.help("remove it: `private` tells zones of the same name apart")]
        }
        Zone::Name(zone) => {
            let name = normal_name(record);
            let outside = name != zone && !name.ends_with(&format!(".{zone}"));
            let finding = || {
                Finding::new("/with/record", format!("`{record}` is not in the zone `{zone}`"))
                    .help(format!("name a record of `{zone}`, as `www.{zone}`, or the zone that it is in"))
            };
            outside.then(finding).into_iter().collect()
        }
        Zone::Id(_) => Vec::new(),
    }
}

/// The step's `with:`.
#[derive(Debug, Clone, Deserialize)]
pub struct With {
    pub zone: String,
    #[serde(default)]
    pub private: Option<bool>,
    pub record: String,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub wait_ttl: bool,
}

impl With {
    /// The id of the zone, where the plan gives that.
    pub fn zone_id(&self) -> Option<String> {
        match Zone::of(&self.zone) {
            Zone::Id(id) => Some(id),
            Zone::Name(_) => None,
        }
    }

    pub fn title(&self) -> String {
        format!("{} {}", self.record.trim_end_matches('.'), self.kind)
    }
}
