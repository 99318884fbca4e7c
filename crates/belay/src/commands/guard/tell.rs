//! What guard says: on standard error alone, each line with a label, since the command writes there, too.

use std::fmt::Display;

use crate::{
    board::{self, Commands},
    document::Migration,
    exit::Failure,
    follow::look,
    output::Output,
};

const LABEL: &str = "belay: ";

#[derive(Debug, Clone, Copy)]
pub(super) struct Tell(Output);

impl Tell {
    pub(super) fn new(output: Output) -> Self {
        Self(output.for_errors())
    }

    pub(super) fn output(self) -> Output {
        self.0
    }

    pub(super) fn say(self, text: impl Display) {
        self.0.labelled_note(LABEL, text);
    }

    pub(super) fn warn(self, text: impl Display) {
        self.say(format_args!("{} {text}", self.0.warn().apply_to("warning:")));
    }

    pub(super) fn failure(self, failure: &Failure) {
        self.0.failure_lines(failure).iter().for_each(|line| self.say(line));
    }

    /// What waits for people, and the commands that move it.
    pub(super) fn needs(self, migration: &Migration, commands: &Commands) {
        let look = look(self.0, Some(commands.clone()));
        board::draw_needs(migration, &look).iter().for_each(|line| self.say(line));
    }
}
