//! Following what happens, here or in a daemon: live lines, the board on a terminal, a summary in the end.

mod approvals;
mod daemon;
mod engine;
mod events;
mod live;
mod phases;
mod row;
mod summary;
mod timeline;

pub(crate) use self::{
    approvals::Approvals,
    daemon::{Followed, Subject, follow as follow_daemon, listen, wait_for},
    engine::{Ending, await_run, follow as follow_engine},
    events::{Events, Heard},
    row::rows,
    summary::{show as show_summary, show_needs},
    timeline::timeline,
};

use std::cell::Cell;

use belay_core::event::Record;
use belay_narrate::{Line, Narrator};
use jiff::tz::TimeZone;

use crate::{
    board::{self, Commands, Detail, Look},
    document::{Migration, Step},
    follow::live::Live,
    output::Output,
    text,
};

/// Where the progress is shown, in the form that fits.
pub(crate) struct Screen {
    output: Output,
    /// None where the commands of a person would reach nobody.
    commands: Option<Commands>,
    /// Only on a terminal, and not while a question is open there: it would wipe what is being typed.
    live: Option<Live>,
    question: Option<Question>,
    shown: Option<(Vec<Migration>, Detail)>,
    frame: usize,
    narrator: Narrator,
}

/// What a person at the terminal is being asked.
struct Question {
    again: String,
    /// Lines have come below it since it was asked.
    buried: Cell<bool>,
}

impl Screen {
    pub(crate) fn new(output: Output, commands: Option<Commands>) -> Self {
        let live = output.terminal.then(Live::new);
        Self { output, commands, live, question: None, shown: None, frame: 0, narrator: Narrator::default() }
    }

    /// Asks. The picture stands still until the answer is there; what happens meanwhile comes as lines.
    pub(crate) fn ask(&mut self, step: &str, question: &str, cure: &str) {
        if let Some(live) = self.live.take() {
            live.clear();
        }
        self.note("");
        self.note(&format!("? {question}"));
        self.note(&format!("  {cure}:"));
        self.question = Some(Question { again: format!("? {step}: {cure}:"), buried: Cell::new(false) });
    }

    /// Something was typed: the question is not repeated any more.
    pub(crate) fn heard(&mut self) {
        self.question = None;
    }

    /// No question is open any more, and the picture turns again.
    pub(crate) fn answered(&mut self) {
        self.question = None;
        if self.live.is_none() {
            self.live = self.output.terminal.then(Live::new);
        }
    }

    /// What a step waits for a person for, and whose word it takes.
    pub(crate) fn need(&self, name: &str, step: &Step, migration: &Migration) -> String {
        board::need(name, step, "", migration, &look(self.output, None))
    }

    /// The same without a picture, for what comes after one.
    pub(crate) fn silent(output: Output) -> Self {
        Self {
            output,
            commands: None,
            live: None,
            shown: None,
            frame: 0,
            question: None,
            narrator: Narrator::default(),
        }
    }

    pub(crate) fn record(&mut self, record: &Record) {
        if self.output.json {
            self.output.json_line(record);
        } else if let Some(line) = self.narrator.line(record, &text::clock_time) {
            self.line(&line);
        }
    }

    pub(crate) fn line(&self, line: &Line) {
        self.rows(&rows(line, self.output));
    }

    pub(crate) fn text(&self, text: &str) {
        self.rows(&[text.to_owned()]);
    }

    fn rows(&self, rows: &[String]) {
        match &self.live {
            Some(live) => live.rows(rows),
            None => rows.iter().for_each(|row| self.output.line(row)),
        }
        if let Some(question) = &self.question {
            question.buried.set(true);
        }
    }

    /// The picture below the lines; called again it turns what is under way.
    pub(crate) fn board(&mut self, migrations: Vec<Migration>, detail: Detail) {
        self.shown = Some((migrations, detail));
        self.turn();
    }

    pub(crate) fn turn(&mut self) {
        self.frame += 1;
        if let Some(question) = &self.question
            && question.buried.take()
            && self.output.terminal
        {
            self.note(&question.again);
        }
        if let Some(live) = &self.live {
            live.show(&self.draw(Some(self.frame), self.commands.clone()));
        }
    }

    fn draw(&self, frame: Option<usize>, commands: Option<Commands>) -> Vec<String> {
        let Some((migrations, detail)) = &self.shown else { return Vec::new() };
        let look = Look { frame, commands, ..look(self.output, None) };
        let mut lines = vec![look.rule()];
        lines.extend(migrations.iter().flat_map(|migration| board::draw(migration, *detail, &look)));
        lines
    }

    /// A question, or a remark beside the progress.
    pub(crate) fn note(&self, text: &str) {
        let note = || self.output.note(text);
        match &self.live {
            Some(live) => live.suspend(note),
            None => note(),
        }
    }

    /// Leaves the last picture standing, without what could be done meanwhile.
    pub(crate) fn finish(mut self) {
        if let Some(live) = self.live.take() {
            live.show(&self.draw(None, None));
            live.finish();
        }
    }
}

/// As it looks on this terminal, or in this pipe.
pub(crate) fn look(output: Output, commands: Option<Commands>) -> Look {
    Look { output, width: output.width(), frame: None, zone: TimeZone::system(), commands }
}
