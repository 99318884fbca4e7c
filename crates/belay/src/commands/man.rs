use std::{fs, path::PathBuf};

use anyhow::Context;
use clap::Command;
use clap_mangen::{
    Man,
    roff::{Roff, roman},
};

use crate::{
    cli,
    exit::{Exit, Failure},
    output::Output,
};

/// Print the manual page of a command, or write them all
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay man | man -l -
  belay man rollback | man -l -
  belay man --dir ~/.local/share/man/man1          # then: man belay-rollback")]
pub(crate) struct Args {
    /// The command; left out, the page of belay itself
    command: Option<String>,
    /// Write every page into this folder, one a command
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    dir: Option<PathBuf>,
}

impl Args {
    pub(crate) fn run(&self, output: Output) -> Result<Exit, Failure> {
        let pages = pages();
        if let Some(folder) = &self.dir {
            let failed = |error: anyhow::Error| Failure::new(Exit::Unexpected, error);
            let write = |path: PathBuf, text: &[u8]| {
                fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display())).map_err(failed)
            };
            fs::create_dir_all(folder)
                .with_context(|| format!("the folder {} cannot be made", folder.display()))
                .map_err(failed)?;
            for page in &pages {
                write(folder.join(format!("{}.1", page.get_name())), &render(page)?)?;
            }
            output.line(format_args!("{} pages are in {}", pages.len(), folder.display()));
            return Ok(Exit::Done);
        }
        let wanted = self.command.as_ref().map_or_else(|| "belay".to_owned(), |command| format!("belay-{command}"));
        let page = pages.into_iter().find(|page| page.get_name() == wanted).ok_or_else(|| {
            Failure::message(Exit::Usage, format!("there is no command {}", wanted.trim_start_matches("belay-")))
                .help("`belay --help` lists them")
        })?;
        output.raw(&String::from_utf8(render(&page)?)?);
        Ok(Exit::Done)
    }
}

/// The synopsis is the usage of `--help`: the generator's own names options without their values.
fn render(page: &Command) -> Result<Vec<u8>, std::io::Error> {
    let man = Man::new(page.clone());
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    let usage = page.clone().render_usage().to_string();
    let mut synopsis = Roff::new();
    synopsis.control("SH", ["SYNOPSIS"]).text([roman(usage.trim_start_matches("Usage:").trim())]);
    synopsis.to_writer(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if page.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    man.render_extra_section(&mut text)?;
    man.render_version_section(&mut text)?;
    Ok(text)
}

/// The program itself, and each command under the name that its page has.
fn pages() -> Vec<Command> {
    // `belay help` has no page of its own.
    let program = cli::command().disable_help_subcommand(true);
    let page = |command: &Command| {
        let name = format!("belay-{}", command.get_name());
        let usage = format!("belay {}", command.get_name());
        command.clone().name(name).bin_name(usage).version(env!("CARGO_PKG_VERSION")).disable_version_flag(true)
    };
    let commands: Vec<Command> = program.get_subcommands().map(page).collect();
    std::iter::once(program).chain(commands).collect()
}
