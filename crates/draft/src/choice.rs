//! Which of what was found a plan is about. What is the only one of its kind is taken; where there are several, a person
//! chooses: by a flag, or asked. A database is never taken without a person who names it, since its step loses data. Pure.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
};

use crate::{
    inventory::{Alarm, Database, Forwarder, Inventory, balancer_name, group_name},
    related::{Watched, behind, is_name},
};

/// The word that leaves a kind out.
pub const NONE: &str = "none";

/// What a person has named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    pub records: Vec<String>,
    pub listeners: Vec<String>,
    pub databases: Vec<String>,
    pub alarms: Vec<String>,
}

/// What is chosen, by index into the inventory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    pub records: Vec<usize>,
    pub forwarders: Vec<usize>,
    pub databases: Vec<usize>,
    pub alarms: Vec<usize>,
    /// What was found and is not part of the plan: each a sentence.
    pub left_out: Vec<String>,
}

/// The kinds of things to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Record,
    Listener,
    Database,
    Alarm,
}

impl Kind {
    /// Of the command line.
    pub fn flag(self) -> &'static str {
        match self {
            Self::Record => "--record",
            Self::Listener => "--listener",
            Self::Database => "--db",
            Self::Alarm => "--alarm",
        }
    }

    fn noun(self, count: usize) -> &'static str {
        match (self, count) {
            (Self::Record, 1) => "weighted record",
            (Self::Record, _) => "weighted records",
            (Self::Listener, 1) => "listener or rule that forwards",
            (Self::Listener, _) => "listeners and rules that forward with weights",
            (Self::Database, 1) => "database",
            (Self::Database, _) => "databases",
            (Self::Alarm, 1) => "alarm",
            (Self::Alarm, _) => "alarms",
        }
    }
}

/// One thing to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What the flag takes.
    pub label: String,
    /// For people.
    pub detail: String,
}

/// A choice that only a person can make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub kind: Kind,
    pub candidates: Vec<Candidate>,
    /// The value of the flag that fits all of them; none where no flag was given.
    pub typed: Option<String>,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.candidates.len();
        let noun = self.kind.noun(count);
        if let Some(typed) = &self.typed {
            return write!(f, "{} {typed} fits {count} {noun}; which are part of the migration?", self.kind.flag());
        }
        match self.kind {
            Kind::Database if count == 1 => write!(f, "there is a {noun}; is it part of the migration?"),
            Kind::Database => write!(f, "there are {count} {noun}; which are part of the migration?"),
            Kind::Alarm => write!(f, "{count} {noun} watch these resources; which show that customers are hurt?"),
            _ => write!(f, "there are {count} {noun}; which are part of the migration?"),
        }
    }
}

/// Why there is no choice yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Several fit, and nobody could be asked.
    Open(Question),
    /// A flag names what is not there.
    NoSuch { kind: Kind, wanted: String, candidates: Vec<Candidate> },
    /// A flag names what cannot be part of a plan.
    Unfit { kind: Kind, wanted: String, why: String },
    /// There is nothing that a step could put back.
    Nothing,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(question) => write!(f, "{question}"),
            Self::NoSuch { kind, wanted, .. } => write!(f, "there is no {} {wanted}", kind.noun(1)),
            Self::Unfit { kind, wanted, why } => write!(f, "{} {wanted}: {why}", kind.flag()),
            Self::Nothing => f.write_str(
                "nothing was found that a plan could put back: no weighted record, no listener or rule with weighted target groups, \
                 and no database is named",
            ),
        }
    }
}

/// Which load balancers bear on a plan, by ARN: all of an account take many calls, so what the flags rule out is not looked at.
/// The inventory has its records and load balancers.
pub fn balancers_in_question<'i>(inventory: &'i Inventory, wanted: &Wanted) -> Vec<&'i str> {
    let all = || inventory.balancers.iter().map(|balancer| balancer.arn.as_str());
    let behind_records = || {
        inventory
            .records
            .iter()
            .flat_map(|record| behind(inventory, record, false))
            .map(|balancer| balancer.arn.as_str())
    };
    let named: Option<Vec<&str>> = match wanted.listeners.as_slice() {
        [] if names_something(&wanted.records) => Some(Vec::new()),
        [] => None,
        listeners => {
            let flags = listeners.iter().filter(|flag| *flag != NONE);
            flags.map(|flag| all().find(|arn| balancer_name(arn) == balancer_of(flag))).collect()
        }
    };
    // A flag that names an unknown load balancer is answered with all that there is.
    let Some(named) = named else { return all().collect() };
    let of_question: BTreeSet<&str> = named.into_iter().chain(behind_records()).collect();
    all().filter(|arn| of_question.contains(arn)).collect()
}

fn names_something(flags: &[String]) -> bool {
    flags.iter().any(|flag| flag != NONE)
}

/// The load balancer of a flag: `shop:443`, `shop:443/10`, `shop`, or the ARN of a listener or rule.
fn balancer_of(flag: &str) -> &str {
    match flag.starts_with("arn:") {
        true => balancer_name(flag),
        false => flag.split([':', '/']).next().unwrap_or(flag),
    }
}

/// Asks a person: the indices of the candidates that are meant, which may be none. None: nobody can be asked.
pub type Ask<'a> = dyn FnMut(&Question) -> Option<Vec<usize>> + 'a;

/// Chooses. `ask` is called only where the flags leave a choice.
///
/// # Errors
/// All that is in the way, at once.
pub fn choose(inventory: &Inventory, wanted: &Wanted, ask: &mut Ask<'_>) -> Result<Choice, Vec<Trouble>> {
    let mut chooser = Chooser { inventory, ask, troubles: Vec::new(), choice: Choice::default() };
    chooser.traffic(wanted);
    chooser.databases(wanted);
    chooser.alarms(wanted);
    let Chooser { mut troubles, choice, .. } = chooser;
    let nothing = choice.records.is_empty() && choice.forwarders.is_empty() && choice.databases.is_empty();
    if troubles.is_empty() && nothing {
        troubles.push(Trouble::Nothing);
    }
    if troubles.is_empty() { Ok(choice) } else { Err(troubles) }
}

/// What is chosen as one.
struct Item {
    candidate: Candidate,
    /// Other names that a flag may have for it.
    names: Vec<String>,
    indices: Vec<usize>,
}

struct Chooser<'a, 'f> {
    inventory: &'a Inventory,
    ask: &'f mut Ask<'f>,
    troubles: Vec<Trouble>,
    choice: Choice,
}

impl Chooser<'_, '_> {
    /// Records and listeners. Where one of the two is named, only what belongs to it is taken of the other.
    fn traffic(&mut self, wanted: &Wanted) {
        let inventory = self.inventory;
        let (records, listeners) = (record_items(inventory), listener_items(inventory));
        self.choice.records = self.named(Kind::Record, &wanted.records, &records);
        self.choice.forwarders = self.named(Kind::Listener, &wanted.listeners, &listeners);
        if wanted.records.is_empty() {
            let balancers: Vec<&str> =
                self.choice.forwarders.iter().map(|index| inventory.forwarders[*index].balancer.as_str()).collect();
            let leads = |item: &&Item| {
                let mut led =
                    item.indices.iter().flat_map(|index| behind(inventory, &inventory.records[*index], false));
                led.any(|balancer| balancers.contains(&balancer.arn.as_str()))
            };
            // The only one, of which nothing shows that it leads elsewhere.
            let alone = records.len() == 1
                && records[0]
                    .indices
                    .iter()
                    .all(|index| behind(inventory, &inventory.records[*index], false).is_empty());
            let scope = scope(records.iter().collect(), leads, !self.choice.forwarders.is_empty() && !alone);
            self.choice.records = self.free(Kind::Record, &scope);
        }
        if wanted.listeners.is_empty() {
            let records = self.choice.records.iter().map(|index| &inventory.records[*index]);
            let balancers: Vec<&str> = records
                .flat_map(|record| behind(inventory, record, false))
                .map(|balancer| balancer.arn.as_str())
                .collect();
            let weighted: Vec<&Item> =
                listeners.iter().filter(|item| inventory.can_shift(&inventory.forwarders[item.indices[0]])).collect();
            let is_behind = |item: &&Item| balancers.contains(&inventory.forwarders[item.indices[0]].balancer.as_str());
            let narrow = names_something(&wanted.records) && !self.choice.records.is_empty();
            let scope = scope(weighted, is_behind, narrow);
            self.choice.forwarders = self.free(Kind::Listener, &scope);
        }
        let weighted = listeners.iter().filter(|item| inventory.can_shift(&inventory.forwarders[item.indices[0]]));
        let left = [
            left_out(Kind::Record, records.iter(), &self.choice.records),
            left_out(Kind::Listener, weighted, &self.choice.forwarders),
        ];
        self.choice.left_out.extend(left.into_iter().flatten());
    }

    fn databases(&mut self, wanted: &Wanted) {
        let inventory = self.inventory;
        let items = database_items(inventory);
        for name in &wanted.databases {
            let of_member =
                |database: &&Database| database.members.iter().any(|member| member.eq_ignore_ascii_case(name));
            let is = |database: &&Database| database.name.eq_ignore_ascii_case(name);
            let unfit = match inventory.databases.iter().find(is) {
                Some(database) => database.unfit.clone(),
                None => inventory.databases.iter().find(of_member).map(|cluster| {
                    format!(
                        "it is a member of the cluster {0}, which is restored as a whole: name it, `--db {0}`",
                        cluster.name
                    )
                }),
            };
            if let Some(why) = unfit {
                self.troubles.push(Trouble::Unfit { kind: Kind::Database, wanted: name.clone(), why });
                return;
            }
        }
        let fit: Vec<&Item> =
            items.iter().filter(|item| inventory.databases[item.indices[0]].unfit.is_none()).collect();
        if !wanted.databases.is_empty() {
            self.choice.databases = self.named(Kind::Database, &wanted.databases, &items);
        } else if !fit.is_empty() {
            let question = question(Kind::Database, &fit);
            match (self.ask)(&question) {
                Some(picked) => self.choice.databases = picks(&fit, &picked),
                None => {
                    let names = named_list(fit.iter().map(|item| item.candidate.label.as_str()));
                    self.choice.left_out.push(format!(
                        "databases were found and are not part of the plan, since a restore loses data: {names}. `--db NAME` adds one"
                    ));
                }
            }
        }
    }

    /// Those that watch what is chosen; where none does, none.
    fn alarms(&mut self, wanted: &Wanted) {
        let inventory = self.inventory;
        let items = alarm_items(inventory);
        if !wanted.alarms.is_empty() {
            self.choice.alarms = self.named(Kind::Alarm, &wanted.alarms, &items);
            return;
        }
        let mut watched = Watched::default();
        for index in &self.choice.records {
            watched.record(inventory, &inventory.records[*index]);
        }
        for index in &self.choice.forwarders {
            watched.balancer(inventory, &inventory.forwarders[*index].balancer);
            watched.groups(&inventory.forwarders[*index]);
        }
        for index in &self.choice.databases {
            watched.database(&inventory.databases[*index]);
        }
        let related: Vec<&Item> = watched.alarms(inventory).into_iter().map(|index| &items[index]).collect();
        self.choice.alarms = self.free(Kind::Alarm, &related);
        if related.is_empty() && !items.is_empty() {
            let names = named_list(items.iter().map(|item| item.candidate.label.as_str()));
            self.choice.left_out.push(format!(
                "no alarm has a dimension of these resources, so none is part of the plan; there are {names}. `--alarm NAME` adds one"
            ));
        }
    }

    /// What flags name.
    fn named(&mut self, kind: Kind, wanted: &[String], items: &[Item]) -> Vec<usize> {
        let mut chosen = Vec::new();
        for name in wanted.iter().filter(|name| *name != NONE) {
            let found: Vec<&Item> = items.iter().filter(|item| item.is(kind, name)).collect();
            match found.as_slice() {
                [item] => chosen.extend(item.indices.iter().copied()),
                [] => {
                    let candidates = items.iter().map(|item| item.candidate.clone()).collect();
                    self.troubles.push(Trouble::NoSuch { kind, wanted: name.clone(), candidates });
                }
                several => {
                    let question = Question { typed: Some(name.clone()), ..question(kind, several) };
                    self.troubles.push(Trouble::Open(question));
                }
            }
        }
        if wanted.len() > 1 && wanted.iter().any(|name| name == NONE) {
            let why = "it leaves all out: give it alone, or leave it away".to_owned();
            self.troubles.push(Trouble::Unfit { kind, wanted: NONE.to_owned(), why });
        }
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }

    /// What no flag names.
    fn free(&mut self, kind: Kind, scope: &[&Item]) -> Vec<usize> {
        if scope.len() < 2 {
            return picks(scope, &[0]);
        }
        let question = question(kind, scope);
        match (self.ask)(&question) {
            Some(picked) => picks(scope, &picked),
            None => {
                self.troubles.push(Trouble::Open(question));
                Vec::new()
            }
        }
    }
}

impl Item {
    fn is(&self, kind: Kind, wanted: &str) -> bool {
        match kind {
            Kind::Record => {
                let (zone, name) = wanted.rsplit_once('/').unwrap_or(("", wanted));
                self.names.iter().any(|own| is_name(name, own))
                    && (zone.is_empty() || self.names.iter().any(|own| own == zone))
            }
            Kind::Database => self.names.iter().any(|own| own.eq_ignore_ascii_case(wanted)),
            Kind::Listener | Kind::Alarm => self.names.iter().any(|own| own == wanted),
        }
    }
}

/// What belongs to what is chosen, if anything does; else nothing where that was named, or everything.
fn scope<'i>(items: Vec<&'i Item>, belongs: impl Fn(&&'i Item) -> bool, narrow: bool) -> Vec<&'i Item> {
    let related: Vec<&Item> = items.iter().copied().filter(belongs).collect();
    if related.is_empty() && !narrow { items } else { related }
}

/// In the order of the inventory.
fn picks(items: &[&Item], picked: &[usize]) -> Vec<usize> {
    let picked = picked.iter().filter_map(|index| items.get(*index));
    let mut chosen: Vec<usize> = picked.flat_map(|item| item.indices.iter().copied()).collect();
    chosen.sort_unstable();
    chosen
}

fn question(kind: Kind, items: &[&Item]) -> Question {
    Question { kind, candidates: items.iter().map(|item| item.candidate.clone()).collect(), typed: None }
}

/// A sentence about what is not chosen of a kind.
fn left_out<'i>(kind: Kind, items: impl Iterator<Item = &'i Item>, chosen: &[usize]) -> Option<String> {
    let left: Vec<&str> = items
        .filter(|item| item.indices.iter().all(|index| chosen.binary_search(index).is_err()))
        .map(|item| item.candidate.label.as_str())
        .collect();
    (!left.is_empty()).then(|| {
        let (names, noun) = (named_list(left.iter().copied()), kind.noun(left.len()));
        format!("{} {noun} found and not part of the plan: {names}. `{} NAME` adds one", left.len(), kind.flag())
    })
}

/// The first few names.
fn named_list<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    const NAMED_MAX: usize = 5;
    let more = names.len().saturating_sub(NAMED_MAX);
    let named = names.take(NAMED_MAX).collect::<Vec<_>>().join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}

/// The types of one name in one zone go together.
fn record_items(inventory: &Inventory) -> Vec<Item> {
    let mut zones: HashMap<&str, HashSet<&str>> = HashMap::new();
    for record in &inventory.records {
        zones.entry(record.name.as_str()).or_default().insert(record.zone.as_str());
    }
    let mut known: HashMap<(&str, &str), usize> = HashMap::new();
    let mut items: Vec<Item> = Vec::new();
    for (index, record) in inventory.records.iter().enumerate() {
        let weights: Vec<String> =
            record.members.iter().map(|member| format!("{} {}", member.set_identifier, member.weight)).collect();
        let weights = format!("{} ({})", record.kind, named_list(weights.iter().map(String::as_str)));
        let place = (record.zone.as_str(), record.name.as_str());
        if let Some(item) = known.get(&place).and_then(|item| items.get_mut(*item)) {
            item.indices.push(index);
            item.candidate.detail = format!("{}, {weights}", item.candidate.detail);
            continue;
        }
        known.insert(place, items.len());
        let twice = zones[record.name.as_str()].len() > 1;
        let label = if twice { format!("{}/{}", record.zone, record.name) } else { record.name.clone() };
        let zone = if record.private { "private zone" } else { "zone" };
        let detail = format!("in {zone} {}: {weights}", record.zone_name.as_deref().unwrap_or(&record.zone));
        let names = vec![record.name.clone(), record.zone.clone()];
        items.push(Item { candidate: Candidate { label, detail }, names, indices: vec![index] });
    }
    items
}

fn listener_items(inventory: &Inventory) -> Vec<Item> {
    let mut labels: HashMap<String, usize> = HashMap::new();
    inventory.forwarders.iter().for_each(|forwarder| *labels.entry(forwarder.label()).or_default() += 1);
    let item = |(index, forwarder): (usize, &Forwarder)| {
        let label = forwarder.label();
        let shares: Vec<String> =
            forwarder.groups.iter().map(|share| format!("{} {}", group_name(&share.arn), share.weight)).collect();
        let detail = format!("forwards to {}", named_list(shares.iter().map(String::as_str)));
        let names = vec![label.clone(), forwarder.arn.clone(), balancer_name(&forwarder.balancer).to_owned()];
        let label = if labels[&label] > 1 { forwarder.arn.clone() } else { label };
        Item { candidate: Candidate { label, detail }, names, indices: vec![index] }
    };
    inventory.forwarders.iter().enumerate().map(item).collect()
}

fn database_items(inventory: &Inventory) -> Vec<Item> {
    let item = |(index, database): (usize, &Database)| {
        let kind = if database.cluster { "cluster" } else { "instance" };
        let status = database.status.as_ref().map(|status| format!(", {status}")).unwrap_or_default();
        let detail = format!("{kind}, {}{status}", database.engine);
        let candidate = Candidate { label: database.name.clone(), detail };
        Item { candidate, names: vec![database.name.clone()], indices: vec![index] }
    };
    inventory.databases.iter().enumerate().map(item).collect()
}

fn alarm_items(inventory: &Inventory) -> Vec<Item> {
    let item = |(index, alarm): (usize, &Alarm)| {
        let what = alarm
            .metric
            .clone()
            .unwrap_or_else(|| if alarm.rule.is_some() { "composite".to_owned() } else { "alarm on logs".to_owned() });
        let state = alarm.state.as_ref().map(|state| format!(", {state}")).unwrap_or_default();
        let candidate = Candidate { label: alarm.name.clone(), detail: format!("{what}{state}") };
        Item { candidate, names: vec![alarm.name.clone(), alarm.arn.clone()], indices: vec![index] }
    };
    inventory.alarms.iter().enumerate().map(item).collect()
}
