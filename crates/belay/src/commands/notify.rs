use std::{path::PathBuf, sync::Arc};

use belay_channels::samples;
use belay_core::notice::Facts;
use belay_journal::MemoryJournal;
use belay_plan::{
    model::{Name, Plan},
    notify::{Channel, NoticeKind},
};
use belay_ports::{Access, Channels, Notice, channel::SEND_TIME_MAX};
use futures::future::join_all;
use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::{
    assembly::{catalogue, gate, ports},
    clock,
    exit::{Exit, Failure},
    output::Output,
    paint,
    plan_file::{self, Overlay},
};

/// Show what people would be told, or try the channels of a plan
///
/// With --preview every text is printed, with a made-up incident in it, and nothing is sent. With --send-test each channel gets one
/// notice that says that it is a test; at PagerDuty its alert is resolved right after.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("what").required(true).args(["preview", "send_test"]),
    after_help = "\
Examples:
  belay notify checkout.yaml --preview
  belay notify checkout.yaml --preview --event incident --channel customers
  belay notify checkout.yaml --send-test"
)]
pub(crate) struct Args {
    plan: PathBuf,
    #[command(flatten)]
    overlay: Overlay,
    /// Print every text; nothing is sent
    #[arg(long)]
    preview: bool,
    /// Send one notice to each channel, marked as a test
    #[arg(long)]
    send_test: bool,
    /// Only the texts of this event, as `incident`
    #[arg(long, value_name = "EVENT", requires = "preview", value_parser = event)]
    event: Option<NoticeKind>,
    /// Only this channel of the plan
    #[arg(long, value_name = "NAME")]
    channel: Option<Name>,
    /// One JSON document on standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

fn event(word: &str) -> Result<NoticeKind, String> {
    let known = NoticeKind::ALL.into_iter().find(|kind| kind.as_str() == word);
    known.ok_or_else(|| belay_plan::suggest::instead_of(word, "the events", NoticeKind::ALL.map(NoticeKind::as_str)))
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let plan = plan_file::load(&self.plan, &self.overlay, &catalogue(), output)?.plan;
        let channels = self.channels(&plan)?;
        let ports = ports(Access::ReadWrite, Arc::new(MemoryJournal::default()), Arc::new(()), gate(output)?)?;
        match self.preview {
            true => self.show(&plan, &channels, ports.channels.as_ref(), output),
            false => {
                let sends = channels.iter().map(|name| async {
                    let sent = send(&plan, name, ports.channels.as_ref());
                    let sent = tokio::select! {
                        sent = sent => sent,
                        () = ports.clock.sleep(SEND_TIME_MAX) => Err(format!("no answer within {} s", SEND_TIME_MAX.as_secs())),
                    };
                    (*name, sent)
                });
                Ok(tell(&plan, join_all(sends).await, output))
            }
        }
    }

    fn channels<'p>(&self, plan: &'p Plan) -> Result<Vec<&'p Name>, Failure> {
        let known: Vec<&Name> = plan.notify.channels.keys().collect();
        if known.is_empty() {
            return Err(Failure::message(Exit::Usage, format!("the plan of {} tells nobody", plan.migration))
                .help("name a channel: `notify: { team: { slack: env:SLACK_WEBHOOK } }`"));
        }
        let Some(wanted) = &self.channel else { return Ok(known) };
        let found: Vec<&Name> = known.iter().copied().filter(|name| *name == wanted).collect();
        match found.is_empty() {
            false => Ok(found),
            true => Err(Failure::message(Exit::Usage, format!("the plan has no channel {wanted}"))
                .help(belay_plan::suggest::instead_of(wanted, "its channels", known.iter().map(|name| name.as_str())))),
        }
    }

    fn show(&self, plan: &Plan, names: &[&Name], channels: &dyn Channels, output: Output) -> Result<Exit, Failure> {
        let mut documents = Vec::new();
        // Channels that are told the same are shown once.
        let mut shown: IndexMap<(&str, NoticeKind, &str, String), Vec<&str>> = IndexMap::new();
        for name in names {
            let planned = &plan.notify.channels[*name];
            let wanted = |kind: &&NoticeKind| self.event.is_none_or(|event| event == **kind);
            for kind in planned.events.iter().filter(wanted) {
                for sample in samples::all(*kind).into_iter().filter(|sample| is_told(planned, &sample.facts)) {
                    let notice = of_plan(plan, name, sample.facts, false);
                    let text = channels.channel(&planned.kind).map(|channel| channel.preview(&notice));
                    let text = text.unwrap_or_else(|| Err(format!("this Belay has no channel {}", planned.kind)));
                    let text = text.map_err(|why| {
                        Failure::message(Exit::Usage, format!("the text of {kind} for {name}: {why}"))
                            .help("correct the text that `notify.texts` names")
                    })?;
                    documents.push(json!({ "channel": name, "kind": planned.kind, "event": kind, "sample": sample.name, "text": text }));
                    shown.entry((&planned.kind, *kind, sample.name, text)).or_default().push(name);
                }
            }
        }
        for ((of, kind, sample, text), names) in shown {
            let head = format!("{} ({of}), {kind}: {sample}", names.join(", "));
            output.line(output.bold().apply_to(paint::line(&head)));
            text.lines().for_each(|line| output.line(format_args!("  {}", paint::line(line))));
            output.line("");
        }
        if output.json {
            output.document(&json!({ "migration": plan.migration, "texts": documents }));
        }
        Ok(Exit::Done)
    }
}

/// A channel for what customers feel, or with times of its own, is told of nothing else.
fn is_told(planned: &Channel, facts: &Facts) -> bool {
    let incident = facts.incident.as_ref();
    let felt = incident.is_some_and(|incident| incident.customer_facing);
    let of_run_alone = facts.kind.is_of_incident() && incident.is_none();
    (!planned.customer_facing || felt) && !(planned.after.is_some() && of_run_alone)
}

/// A sample as this channel of the plan gets it.
fn of_plan(plan: &Plan, name: &Name, facts: Facts, test: bool) -> Notice {
    let planned = &plan.notify.channels[name];
    let facts = Facts { migration: plan.migration.clone(), summary: plan.summary.clone(), ..facts };
    let notice = samples::notice(facts, &planned.kind);
    let page = format!("belay status {}", plan.migration);
    // As the engine does: only who is told of incidents at times of their own is promised an update.
    let open = notice.facts.incident.as_ref().filter(|incident| incident.outcome.is_none());
    let every = planned.every.filter(|_| open.is_some() && planned.events.contains(&NoticeKind::Incident));
    let next_update = every.and_then(|every| notice.facts.at.checked_add(every).ok());
    Notice { channel: name.clone(), notify: plan.notify.clone(), page, test, next_update, ..notice }
}

async fn send(plan: &Plan, name: &Name, channels: &dyn Channels) -> Result<String, String> {
    let planned = &plan.notify.channels[name];
    let kind = planned.events.iter().find(|kind| **kind == NoticeKind::Incident).or(planned.events.first());
    let sample = kind.and_then(|kind| samples::all(*kind).into_iter().next());
    let sample = sample.ok_or_else(|| "it is told of nothing".to_owned())?;
    let channel =
        channels.channel(&planned.kind).ok_or_else(|| format!("this Belay has no channel {}", planned.kind))?;
    let mut notice = of_plan(plan, name, sample.facts, true);
    // Nobody has had it before: a receiver that knows keys takes each try.
    notice.key = format!("belay-test-{}", clock::fresh_key());
    channel.send(&notice).await.map_err(|error| error.why)
}

fn tell(plan: &Plan, sent: Vec<(&Name, Result<String, String>)>, output: Output) -> Exit {
    for (name, sent) in &sent {
        match sent {
            Ok(answer) => {
                output.line(format_args!("{} {name}: {}", output.good().apply_to("sent"), paint::line(answer)))
            }
            Err(why) => output.line(format_args!("{} {name}: {}", output.bad().apply_to("not sent"), paint::line(why))),
        }
    }
    let documents: Vec<Value> = sent
        .iter()
        .map(|(name, sent)| json!({ "channel": name, "sent": sent.is_ok(), "answer": sent.as_ref().ok(), "why": sent.as_ref().err() }))
        .collect();
    if output.json {
        output.document(&json!({ "migration": plan.migration, "channels": documents }));
    }
    if sent.iter().all(|(_, sent)| sent.is_ok()) { Exit::Done } else { Exit::No }
}
