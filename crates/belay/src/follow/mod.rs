//! Following a run, here or in a daemon: live lines, a picture on a terminal, a summary in the end.

mod approvals;
mod board;
mod daemon;
mod engine;
mod line;
mod run;
mod summary;

pub(crate) use self::{
    approvals::Approvals,
    daemon::follow as follow_daemon,
    engine::{Ending, follow as follow_engine},
    line::{Line, line},
    run::{Run, Waiting},
    summary::{show as show_summary, show_waiting, waiting_line},
};

use belay_core::event::Record;

use crate::{follow::board::Board, output::Output};

/// Where the progress of a run is shown, in the form that fits.
pub(crate) struct Screen {
    output: Output,
    /// Only on a terminal.
    board: Option<Board>,
}

impl Screen {
    pub(crate) fn new(output: Output) -> Self {
        Self { output, board: output.terminal.then(|| Board::new(output)) }
    }

    pub(crate) fn record(&self, record: &Record) {
        if self.output.json {
            self.output.json_line(record);
        } else if let Some(line) = line(record) {
            self.line(&line);
        }
    }

    pub(crate) fn line(&self, line: &Line) {
        self.text(&line.render(self.output));
    }

    pub(crate) fn text(&self, text: &str) {
        match &self.board {
            Some(board) => board.line(text),
            None => self.output.line(text),
        }
    }

    pub(crate) fn run(&mut self, run: &Run) {
        if let Some(board) = &mut self.board {
            board.show(run);
        }
    }

    /// A question, or a remark beside the progress.
    pub(crate) fn note(&self, text: &str) {
        let note = || self.output.note(text);
        match &self.board {
            Some(board) => board.suspend(note),
            None => note(),
        }
    }

    pub(crate) fn finish(self) {
        if let Some(board) = self.board {
            board.finish();
        }
    }
}
