//! Following what happens in a daemon: by its events, and, where those cannot be heard, by looking again and again.

use std::time::Duration;

use belay_narrate::line_of_event;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{
    Events, Screen,
    events::{Heard, Told},
    look, phases,
};
use crate::{
    board::{self, Detail},
    client::Client,
    document::{Migration, Run},
    exit::{Exit, Failure},
    interrupt::interrupted,
    output::Output,
    text,
};

/// How often the picture turns; the daemon is looked at after so many turns.
const TICK: Duration = Duration::from_millis(120);
const TICKS_TO_LOOK: u32 = 8;
const TICKS_TO_LOOK_UNHEARD: u32 = 4;
/// A daemon that is restarted goes on with its runs; whoever waits for one gives up after so many ticks: two minutes.
const TICKS_AWAY_MAX: u32 = 1000;
/// What the last look showed may still be on its way as events.
const STRAGGLERS: Duration = Duration::from_millis(500);

/// What is followed.
#[derive(Debug, Clone)]
pub(crate) enum Subject {
    All,
    Migration(String),
    /// Until it is over, or waits for a person.
    Run {
        migration: String,
        run: String,
    },
}

pub(crate) enum Followed {
    /// The run is over, or halted.
    Stopped(Box<Migration>, Run),
    Interrupted,
}

/// Waits for the first connection, so that nothing of what is asked for next goes by unheard.
pub(crate) async fn listen(client: &Client) -> Result<(Events, bool), Failure> {
    let mut events = Events::listen(client);
    loop {
        match events.next().await? {
            Heard::Ready => return Ok((events, true)),
            Heard::Away | Heard::Deaf => return Ok((events, false)),
            Heard::Record(..) | Heard::Missed => {}
        }
    }
}

/// Follows a run to its end, and says how it ended. `events`: heard since before what was asked for.
pub(crate) async fn wait_for(
    client: &Client,
    listening: (Events, bool),
    run: &str,
    output: Output,
) -> Result<(Migration, Run), Failure> {
    let document = client.get(&format!("runs/{run}")).await?;
    let migration = document["migration"].as_str().unwrap_or_default().to_owned();
    let subject = Subject::Run { migration, run: run.to_owned() };
    let mut screen = Screen::new(output, Some(client.commands()));
    let followed = follow(client, listening, &subject, &mut screen, output).await;
    screen.finish();
    match followed? {
        Followed::Stopped(migration, run) => Ok((*migration, run)),
        Followed::Interrupted => {
            let commands = client.commands();
            let watch = commands.line(&format!("watch {run}"));
            let hold = commands.line(&format!("hold {run} --reason \"...\""));
            Err(Failure::message(Exit::Interrupted, format!("nobody waits for run {run} any more; it goes on"))
                .help(format!("`{watch}` shows it, `{hold}` stops it")))
        }
    }
}

/// Shows what happens until it is interrupted, or until the run that is followed has stopped.
pub(crate) async fn follow(
    client: &Client,
    (mut events, heard): (Events, bool),
    subject: &Subject,
    screen: &mut Screen,
    output: Output,
) -> Result<Followed, Failure> {
    let mut follower = Follower {
        client,
        subject,
        screen,
        output,
        heard,
        several: false,
        away: false,
        last_seq: 0,
        last_run: None,
        last_needs: Vec::new(),
    };
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let interrupted = interrupted();
    tokio::pin!(interrupted);
    let (mut dirty, mut ticks, mut away) = (true, 0, 0);
    loop {
        tokio::select! {
            biased;
            () = &mut interrupted => return Ok(Followed::Interrupted),
            heard = events.next() => dirty |= follower.hear(heard?),
            _ = tick.tick() => {
                ticks += 1;
                if !dirty && ticks < follower.ticks_to_look() {
                    follower.screen.turn();
                    continue;
                }
                match follower.look().await {
                    Ok(stopped) => {
                        (dirty, ticks, away) = (false, 0, 0);
                        if !follower.heard {
                            follower.told_back();
                        }
                        if let Some((migration, run)) = stopped {
                            follower.hear_out(&mut events, &migration).await?;
                            return Ok(Followed::Stopped(Box::new(migration), run));
                        }
                    }
                    Err(failure) if failure.passes() => {
                        follower.told_away();
                        away += ticks;
                        ticks = 0;
                        if matches!(subject, Subject::Run { .. }) && away > TICKS_AWAY_MAX {
                            return Err(failure);
                        }
                    }
                    Err(failure) => return Err(failure),
                }
            }
        }
    }
}

struct Follower<'f> {
    client: &'f Client,
    subject: &'f Subject,
    screen: &'f mut Screen,
    output: Output,
    /// Events are heard; else lines are made from what the looks show.
    heard: bool,
    /// Lines name their migration.
    several: bool,
    away: bool,
    last_seq: u64,
    last_run: Option<Run>,
    /// What a person was asked for last, where there is no picture that shows it.
    last_needs: Vec<String>,
}

impl Follower<'_> {
    fn ticks_to_look(&self) -> u32 {
        if self.heard { TICKS_TO_LOOK } else { TICKS_TO_LOOK_UNHEARD }
    }

    /// Whether there is something to be looked at.
    fn hear(&mut self, heard: Heard) -> bool {
        match heard {
            Heard::Ready => {
                self.heard = true;
                self.told_back();
            }
            Heard::Record(told, document) => {
                if !self.is_meant(&told.migration) {
                    return false;
                }
                self.last_seq = told.seq;
                match self.output.json {
                    true => self.output.json_line(&document),
                    false => self.show(&told),
                }
            }
            Heard::Away => self.told_away(),
            Heard::Missed => self.screen.note("some of what happened went by unseen; `belay status` shows what is"),
            Heard::Deaf => {
                self.heard = false;
                self.screen.note("this daemon's events cannot be heard; looking again and again instead");
            }
        }
        true
    }

    fn is_meant(&self, migration: &str) -> bool {
        match self.subject {
            Subject::All => true,
            Subject::Migration(name) | Subject::Run { migration: name, .. } => name == migration,
        }
    }

    fn show(&self, told: &Told) {
        let line = line_of_event(told.at, &told.actor, &told.event, &text::clock_time);
        let Some(mut line) = line else { return };
        if self.several {
            let colon = if line.subject.is_empty() { "" } else { " " };
            line.subject = format!("{}{colon}{}", told.migration, line.subject);
        }
        self.screen.line(&line);
    }

    fn told_away(&mut self) {
        if !std::mem::replace(&mut self.away, true) {
            self.screen.note("the daemon does not answer; what is under way is safe in its journal. Trying again");
        }
    }

    fn told_back(&mut self) {
        if std::mem::replace(&mut self.away, false) {
            self.screen.note("the daemon answers again");
        }
    }

    /// Shows what is, and answers with the run that was waited for if it has stopped.
    async fn look(&mut self) -> Result<Option<(Migration, Run)>, Failure> {
        let migrations = match self.subject {
            Subject::All => self.client.list("migrations").await?,
            Subject::Migration(name) | Subject::Run { migration: name, .. } => {
                vec![self.client.get(&format!("migrations/{name}")).await?]
            }
        };
        let migrations: Vec<Migration> = migrations.iter().map(Migration::read).collect::<Result<_, _>>()?;
        self.several = migrations.len() > 1;
        let Subject::Run { run: id, .. } = self.subject else {
            let detail = if migrations.len() > 1 { Detail::Short } else { Detail::Full };
            self.screen.board(migrations, detail);
            return Ok(None);
        };
        let Some(migration) = migrations.into_iter().next() else { return Ok(None) };
        let run = match migration.run.clone().filter(|run| run.id == *id) {
            Some(run) => run,
            None => Run::read(self.client.get(&format!("runs/{id}")).await?)?,
        };
        if !self.heard {
            self.show_changes(&run);
        }
        self.screen.board(vec![migration.clone()], Detail::Run);
        let stopped = run.has_stopped();
        if !stopped {
            self.show_needs(&migration, &run);
        }
        self.last_run = Some(run.clone());
        Ok(stopped.then_some((migration, run)))
    }

    /// On a terminal the picture shows what waits for a person; elsewhere that comes as lines, once.
    fn show_needs(&mut self, migration: &Migration, run: &Run) {
        let needs: Vec<String> = run.needing_a_person().map(str::to_owned).collect();
        if needs == self.last_needs || self.output.terminal || self.output.json {
            return;
        }
        if !needs.is_empty() {
            let look = look(self.output, Some(self.client.commands()));
            board::draw_needs(migration, &look).iter().for_each(|line| self.screen.text(line));
        }
        self.last_needs = needs;
    }

    fn show_changes(&self, run: &Run) {
        let last = self.last_run.as_ref();
        if self.output.json {
            if last.is_none_or(|last| last.document != run.document) {
                self.output.json_line(&run.document);
            }
            return;
        }
        phases::lines(last, run).iter().for_each(|line| self.screen.line(line));
    }

    /// The records that the last look has already shown.
    async fn hear_out(&mut self, events: &mut Events, migration: &Migration) -> Result<(), Failure> {
        while self.heard && self.last_seq < migration.seq {
            match timeout(STRAGGLERS, events.next()).await {
                Ok(heard) => drop(self.hear(heard?)),
                Err(_) => break,
            }
        }
        Ok(())
    }
}
