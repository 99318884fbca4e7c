//! Weighted records, zone by zone.

use std::collections::BTreeSet;

use aws_sdk_route53::types::{HostedZone, ResourceRecordSet, RrType};
use belay_aws_catalogue::route53::{escaped, zone_id};
use belay_draft::inventory::{Member, Record, dns_name};
use belay_ports::ReadError;
use futures::{StreamExt, stream};

use super::{Allowance, CONCURRENT_CALLS, Discovery, Found, settled};
use crate::{
    errors,
    route53::{observe::policy, record::RecordSet},
};

const LIST_ZONES: &str = "route53:ListHostedZonesByName";
const LIST_RECORDS: &str = "route53:ListResourceRecordSets";

/// At Belay's half of Route 53's quota these take 200 s.
const CALLS_MAX: usize = 1_000;

/// What was read of one zone.
#[derive(Debug, Default)]
struct Zone {
    records: Vec<Record>,
    notes: Vec<String>,
    /// The name up to which it was read, where the calls did not suffice for the rest.
    read_to: Option<String>,
}

impl Discovery {
    /// The weighted records of all zones; or, where `wanted` names some (`www.example.com`, `ZONE/www.example.com`), of these
    /// names in the zones that can hold them, if there are any.
    ///
    /// # Errors
    /// [`ReadError`] where the zones, or none of them, could be read.
    pub async fn records(&self, wanted: &[String]) -> Result<Found<Record>, ReadError> {
        let calls = Allowance::new(CALLS_MAX);
        let mut all = self.zones(&calls).await?;
        let names: BTreeSet<String> =
            wanted.iter().map(|name| dns_name(name.rsplit_once('/').map_or(name.as_str(), |(_, name)| name))).collect();
        all.retain(|zone| names.is_empty() || names.iter().any(|name| holds(&dns_name(&zone.name), name)));
        let of = all.len();
        let looks = all.iter().enumerate().map(|(index, zone)| {
            let (names, calls) = (&names, &calls);
            async move {
                self.tell(format_args!("Route 53: zone {} of {of}", index + 1));
                self.zone(zone, names, calls).await
            }
        });
        let read: Vec<_> = stream::iter(looks).buffered(CONCURRENT_CALLS).collect().await;
        let mut notes = Vec::new();
        let mut cut: Vec<String> = Vec::new();
        let parts = read.into_iter().zip(&all).map(|(part, zone)| {
            part.map(|part| {
                notes.extend(part.notes);
                cut.extend(part.read_to.map(|name| match name.as_str() {
                    "" => dns_name(&zone.name),
                    name => format!("{} (from {name} on)", dns_name(&zone.name)),
                }));
                part.records
            })
        });
        let Found { items, notes: failures } = settled(parts.collect())?;
        notes.extend(failures);
        if items.is_empty() && !names.is_empty() {
            // A name that is not there is answered with those that are.
            return Box::pin(self.records(&[])).await;
        }
        if let Some(first) = cut.first() {
            notes.push(format!(
                "{} of {of} hosted zones were not looked at, or not to their end: {first} and what follows. Belay makes at most \
                 {CALLS_MAX} calls for this; `--record NAME` looks into the zones of that name alone",
                cut.len()
            ));
        }
        Ok(Found { items, notes })
    }

    async fn zones(&self, calls: &Allowance) -> Result<Vec<HostedZone>, ReadError> {
        let client = &self.clients.route53.read;
        let (mut zones, mut start) = (Vec::new(), (None, None));
        while calls.take() {
            self.tell(format_args!("Route 53: {} hosted zones so far", zones.len()));
            let page =
                client.list_hosted_zones_by_name().set_dns_name(start.0).set_hosted_zone_id(start.1).send().await;
            let page = page.map_err(|error| errors::read(error, LIST_ZONES, "*"))?;
            zones.extend(page.hosted_zones);
            if !page.is_truncated || page.next_dns_name.is_none() {
                break;
            }
            start = (page.next_dns_name, page.next_hosted_zone_id.map(|next| zone_id(&next).to_owned()));
        }
        Ok(zones)
    }

    /// `names`: empty for all.
    async fn zone(&self, hosted: &HostedZone, names: &BTreeSet<String>, calls: &Allowance) -> Result<Zone, ReadError> {
        let mut found = Zone::default();
        if names.is_empty() {
            self.walk(hosted, None, calls, &mut found).await?;
        }
        let zone_name = dns_name(&hosted.name);
        for name in names.iter().filter(|name| holds(&zone_name, name)) {
            self.walk(hosted, Some(name), calls, &mut found).await?;
        }
        Ok(found)
    }

    /// Reads the sets of a zone page by page: those of one name, or all.
    async fn walk(
        &self,
        hosted: &HostedZone,
        name: Option<&str>,
        calls: &Allowance,
        found: &mut Zone,
    ) -> Result<(), ReadError> {
        let client = &self.clients.route53.read;
        let id = zone_id(&hosted.id);
        let mut start: (Option<String>, Option<RrType>, Option<String>) = (name.map(escaped), None, None);
        loop {
            if !calls.take() {
                found.read_to = Some(start.0.as_deref().map(dns_name).unwrap_or_default());
                return Ok(());
            }
            let request = client.list_resource_record_sets().hosted_zone_id(id).set_start_record_name(start.0);
            let request = request.set_start_record_type(start.1).set_start_record_identifier(start.2);
            let page = request.send().await;
            let page = page.map_err(|error| errors::read(error, LIST_RECORDS, &format!("hosted zone {id}")))?;
            for set in page.resource_record_sets {
                if name.is_none_or(|name| dns_name(&set.name) == name) {
                    found.take(hosted, set, name.is_some());
                }
            }
            let goes_on =
                page.next_record_name.as_deref().is_some_and(|next| name.is_none_or(|name| dns_name(next) == name));
            if !page.is_truncated || !goes_on {
                return Ok(());
            }
            start = (page.next_record_name, page.next_record_type, page.next_record_identifier);
        }
    }
}

impl Zone {
    /// `named`: whether a person asked for this name, and should hear why it is not there.
    fn take(&mut self, hosted: &HostedZone, set: ResourceRecordSet, named: bool) {
        let (name, kind) = (dns_name(&set.name), set.r#type.as_str().to_owned());
        let what = policy(&set);
        let id = zone_id(&hosted.id);
        let Some(set) = RecordSet::from_aws(set) else {
            if named {
                self.notes.push(format!("the record {name} {kind} in zone {id} has no weights: it is {what}"));
            }
            return;
        };
        if set.traffic_policy_instance.is_some() {
            let note = format!(
                "the record {name} {kind} in zone {id} belongs to a traffic policy: only the policy may change it"
            );
            if self.notes.last() != Some(&note) {
                self.notes.push(note);
            }
            return;
        }
        let cname = set.values.first().filter(|_| kind == "CNAME").cloned();
        let leads_to = set.alias.map(|alias| alias.dns_name).or(cname);
        let member = Member {
            set_identifier: set.set_identifier,
            weight: set.weight,
            leads_to: leads_to.as_deref().map(dns_name),
            health_check: set.health_check,
        };
        // The sets of one name and type stand together.
        match self.records.last_mut().filter(|record| record.name == name && record.kind == kind) {
            Some(record) => record.members.push(member),
            None => self.records.push(Record {
                zone: id.to_owned(),
                zone_name: Some(dns_name(&hosted.name)),
                private: hosted.config.as_ref().is_some_and(|config| config.private_zone),
                name,
                kind,
                members: vec![member],
            }),
        }
    }
}

/// Whether a zone can have records of a name.
fn holds(zone: &str, name: &str) -> bool {
    name == zone || name.strip_suffix(zone).is_some_and(|rest| rest.ends_with('.'))
}
