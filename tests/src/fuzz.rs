//! Asks the daemon whatever its OpenAPI document allows, and what it does not: schemathesis, as it is installed.

use crate::{Belay, Finished, testbed::installed};

const SCHEMATHESIS: &str = "venv/bin/schemathesis";

/// Runs all of its checks against `url`. `config` says what it cannot know, in its own language (TOML). The seed is fixed,
/// so that what passed yesterday passes today.
#[track_caller]
pub fn fuzz(url: &str, config: &str, arguments: &[&str]) -> Finished {
    let mut tool = Belay::with_binary(&installed(SCHEMATHESIS), url);
    tool.env("NO_COLOR", "1");
    let (config, document) = (tool.write("schemathesis.toml", config), format!("{url}/openapi.json"));
    let own = ["--config-file", &config, "run", &document, "--checks", "all", "--seed", "1"];
    tool.run(&[&own, arguments].concat())
}
