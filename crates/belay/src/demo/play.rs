//! How the demo goes.

use std::{sync::Arc, time::Duration};

use belay_core::{
    event::{Event, Record},
    measure::measure,
};
use belay_ports::Journal;
use belay_sim::Rule;
use serde_json::json;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::Stage;
use crate::{
    client::Client,
    exit::{Exit, Failure},
    follow::{Ending, Screen, follow_engine, show_summary, timeline},
    output::Output,
};

/// How long the cutover looks fine, in simulated time.
const CALM: Duration = Duration::from_secs(40);

const NEXT: &str = "\
What next:
  belay validate config/examples/*.yaml     # plans to start from
  belay graph config/examples/blue-green-web.yaml --format svg > plan.svg
  belay dry-run PLAN                        # your plan, your account, reads only
  belay serve --plan PLAN                   # the daemon; then belay arm
The README goes on from here, under \"Point it at AWS\".";

pub(crate) struct Play<'s> {
    stage: &'s Stage,
    client: Client,
    output: Output,
    records: Receiver<Arc<Record>>,
    screen: Screen,
}

impl<'s> Play<'s> {
    pub(crate) fn new(stage: &'s Stage, output: Output) -> Result<Self, Failure> {
        let client = Client::at(&stage.url)?;
        Ok(Self {
            stage,
            output,
            records: stage.handle.records(),
            screen: Screen::new(output, Some(client.commands())),
            client,
        })
    }

    pub(crate) async fn perform(mut self) -> Result<Exit, Failure> {
        let clock = self.stage.world.clock();
        self.scene("Before the cutover it is armed: the baseline is captured, and Belay watches.");
        self.operate("arm", "the shop moves tonight").await?;
        self.scene("The cutover: traffic goes to green, and the database gets its new schema.");
        self.operate("cutover", "here we go").await?;
        self.stage.world.cut_over();
        clock.sleep(CALM).await;
        self.scene("All looked well. But the checkout on green begins to fail.");
        self.break_checkout();
        let run = self.until_a_run_begins().await?;
        let ending = follow_engine(
            &self.stage.handle,
            &mut self.records,
            &run,
            clock.as_ref(),
            &mut self.screen,
            None,
            std::future::pending(),
        );
        let ending = ending.await;
        self.screen.finish();
        let Ending::Stopped(run) = ending? else {
            return Err(Failure::message(Exit::Unexpected, "the demo was stopped before its end"));
        };
        if self.output.json {
            self.output.json_line(&run.document);
        }
        let records = self.stage.journal.read(&self.stage.plan.migration, 0).await?;
        let state = self.stage.handle.watch().borrow().state.clone();
        let total = state.run.as_ref().and_then(|run| measure(&records, run).total());
        show_summary(&run, self.stage.plan.objectives.rto, total, self.output);
        show_timeline(&records, self.output);
        self.output.line("");
        NEXT.lines().for_each(|line| self.output.line(line));
        Ok(run.exit())
    }

    fn scene(&self, text: &str) {
        if !self.output.json {
            self.screen.text("");
            self.screen.text(&self.output.accent().apply_to(text).to_string());
        }
    }

    /// As a person would: over HTTP.
    async fn operate(&mut self, verb: &str, reason: &str) -> Result<(), Failure> {
        self.client
            .post(&format!("migrations/{}/{verb}", self.stage.plan.migration), &json!({ "reason": reason }))
            .await?;
        while let Ok(record) = self.records.try_recv() {
            self.screen.record(&record);
        }
        Ok(())
    }

    /// From now on the checkout works only where the traffic is back at blue.
    fn break_checkout(&self) {
        let traffic = ["dns_back", "listener_back"].map(str::to_owned);
        self.stage.world.set_rule("checkout_errors", Rule::AtTarget(Vec::from(traffic)));
    }

    async fn until_a_run_begins(&mut self) -> Result<String, Failure> {
        loop {
            match self.records.recv().await {
                Ok(record) => {
                    self.screen.record(&record);
                    if let Event::RunStarted { run, .. } = &record.event {
                        return Ok(run.to_string());
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => {
                    return Err(Failure::message(Exit::Unexpected, "the demo's daemon has ended"));
                }
            }
        }
    }
}

fn show_timeline(records: &[Record], output: Output) {
    let cutover = records.iter().position(|record| record.event == Event::CutoverMarked);
    let Some(cutover) = cutover.filter(|_| !output.json) else { return };
    output.line("");
    output.line(format_args!("{}", output.bold().apply_to("Timeline, from the cutover (simulated time):")));
    timeline(records, cutover, records[cutover].at, output);
}
