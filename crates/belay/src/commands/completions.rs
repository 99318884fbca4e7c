use clap_complete::Shell;

use crate::{
    cli,
    exit::{Exit, Failure},
    output::Output,
};

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay completions bash > ~/.local/share/bash-completion/completions/belay
  belay completions zsh > \"${fpath[1]}/_belay\"
  belay completions fish > ~/.config/fish/completions/belay.fish")]
pub(crate) struct Args {
    #[arg(value_enum)]
    shell: Shell,
}

impl Args {
    pub(crate) fn run(&self, output: Output) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut cli::command(), "belay", &mut script);
        output.raw(&String::from_utf8(script)?);
        Ok(Exit::Done)
    }
}
