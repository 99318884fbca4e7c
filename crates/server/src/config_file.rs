//! The text of the configuration file: its shape, from which decoder and JSON Schema come, and what it means.

use std::{collections::BTreeMap, time::Duration};

use belay_local::{
    permit::{Permits, SecretPermit},
    secrets::Reference,
};
use belay_plan::{
    catalogue::Finding,
    diagnostic::Diagnostic,
    duration, settings,
    shape::{Shape, Text, duration, field, filled_list, list, name, object, one_of, text, words},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    auth::{Role, Token, TokenHash, Tokens},
    config::{self, ArmPolicy, Config, Sigusr1},
    heartbeat::Heartbeat,
    listener::{Address, Proxies},
    secret::Secret,
};

/// How often the heartbeat may beat.
const BEAT_MIN: Duration = Duration::from_secs(1);
const BEAT_MAX: Duration = Duration::from_secs(3600);

/// What `printf %s "$UNSET" | sha256sum` shows.
const NOTHING_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Every key, with its default and what it is for: `config/belay.yaml` says the same at length.
fn shape() -> Shape {
    let address =
        || text("an address with a port, such as `127.0.0.1:7457`, or a socket: `unix:/run/belay/belay.sock`");
    let listen = one_of("an address, or a list of addresses", [address(), filled_list(address())]);
    let proxy = text("an address or a network, such as `127.0.0.1` or `10.0.0.0/8`");
    let glob = text("a path or a glob, such as `plans/*.yaml`");
    let program = text("the first word of a command, such as `/usr/local/bin/fence`");
    object([
        field("listen", listen, "Where the daemon listens. Port 0 takes a free one.").or("127.0.0.1:7457"),
        field("proxies", list(proxy), "The proxies whose `X-Forwarded-For` says who a client is.").optional_section(),
        field("state", text("a state URL, such as `sqlite:belay.db`"), "Where the journal is.").or("sqlite:belay.db"),
        field("plans", list(glob), "The plan files to guard, one migration each.").optional_section(),
        field("poll", duration(), "How often signals are read, 100ms to 5m.").or("5s"),
        field("arm", words(["manual", "on_start"]), "Who arms what was never armed.").or("manual"),
        field("sigusr1", words(["one", "all"]), "What SIGUSR1 does with several armed migrations.").or("one"),
        field("tokens", list(token()), "Who may talk to the daemon, and what for.").optional_section(),
        field("heartbeat", heartbeat(), "Who is told outside that Belay lives and sees.").optional_section(),
        field(
            "secrets",
            list(secret()),
            "The secrets that plans may refer to, each with the hosts that it may be sent to.",
        )
        .optional_section(),
        field("commands", list(program), "The programs that plans may run.").optional_section(),
        field("probe_hosts", list(host()), "The hosts that the probes of plans may ask.").optional_section(),
        field("plain_http", list(host()), "The hosts of AWS endpoints that may be reached without TLS.")
            .optional_section(),
        field("telemetry", telemetry(), "Where traces go.").optional_section(),
    ])
}

fn host() -> Shape {
    Shape::Text(Text {
        what: "a host, such as `www.example.com`, `*.example.com` or `10.0.0.7`",
        pattern: Some("^(\\*\\.)?[A-Za-z0-9._-]+$|^\\[[0-9A-Fa-f:.]+\\]$"),
        secret: false,
    })
}

fn secret() -> Shape {
    let reference = Shape::Text(Text {
        what: "where a secret is: `env:NAME` or `file:path`",
        pattern: Some("^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"),
        secret: true,
    });
    object([
        field("secret", reference, "Where it is, as plans refer to it."),
        field("hosts", filled_list(host()), "The hosts that it may be sent to."),
    ])
}

fn telemetry() -> Shape {
    let url = Shape::Text(Text {
        what: "the address of an OpenTelemetry collector, such as `http://127.0.0.1:4318`",
        pattern: Some("^https?://[^\\s@]+$"),
        secret: false,
    });
    object([field("otlp", url, "Takes OTLP over HTTP, usually on port 4318.").optional()])
}

fn token() -> Shape {
    let sha256 = Shape::Text(Text {
        what: "the SHA-256 of a token, 64 hexadecimal digits (`printf %s TOKEN | sha256sum` prints it)",
        pattern: Some("^[0-9a-fA-F]{64}$"),
        secret: true,
    });
    object([
        field("name", name(), "Who it was given to; on record with everything that is done with it."),
        field("roles", filled_list(name()), "`viewer` reads, `operator` acts, any other is a plan's own role."),
        field("sha256", sha256, "The SHA-256 of the token; the token itself never stands here."),
    ])
}

fn heartbeat() -> Shape {
    let url = Shape::Text(Text {
        what: "an http or https URL, or where one is (`env:NAME` or `file:path`)",
        pattern: Some("^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|https?://[^\\s/]+.*)$"),
        secret: true,
    });
    object([
        field("url", url, "Where each beat is sent; with `/fail` behind it while Belay is blind or does not act."),
        field("every", duration(), "How often, 1s to 1h.").or("30s"),
    ])
}

/// What a file says, the defaults filled in.
#[derive(Deserialize)]
struct File {
    listen: OneOrMore,
    #[serde(default)]
    proxies: Vec<String>,
    state: String,
    #[serde(default)]
    plans: Vec<String>,
    #[serde(with = "duration::text")]
    poll: Duration,
    arm: ArmPolicy,
    sigusr1: Sigusr1,
    #[serde(default)]
    tokens: Vec<TokenEntry>,
    heartbeat: Option<HeartbeatEntry>,
    secrets: Option<Vec<SecretEntry>>,
    commands: Option<Vec<String>>,
    probe_hosts: Option<Vec<String>>,
    #[serde(default)]
    plain_http: Vec<String>,
    #[serde(default)]
    telemetry: Telemetry,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

#[derive(Deserialize)]
struct SecretEntry {
    secret: String,
    hosts: Vec<String>,
}

#[derive(Deserialize)]
struct HeartbeatEntry {
    url: String,
    #[serde(with = "duration::text")]
    every: Duration,
}

#[derive(Deserialize, Default)]
struct Telemetry {
    otlp: Option<String>,
}

#[derive(Deserialize)]
struct TokenEntry {
    name: String,
    roles: Vec<String>,
    sha256: String,
}

pub(crate) fn parse(file_name: &str, text: &str) -> Result<Config, Vec<Diagnostic>> {
    let file: File = settings::read(file_name, text, &shape(), check)?;
    let File { listen, proxies, state, plans, poll, arm, sigusr1, tokens, heartbeat, telemetry, .. } = file;
    // What does not parse was found by `check`.
    let listen = match listen {
        OneOrMore::One(address) => vec![address],
        OneOrMore::More(addresses) => addresses,
    };
    let listen = listen.iter().filter_map(|address| address.parse().ok()).collect();
    let proxies = Proxies::new(proxies.iter().filter_map(|proxy| Proxies::parse(proxy).ok()).collect());
    let secret = |SecretEntry { secret, hosts }| Some(SecretPermit { secret: Reference::parse(&secret)?, hosts });
    let secrets = file.secrets.map(|secrets| secrets.into_iter().filter_map(secret).collect());
    let permits =
        Permits { secrets, commands: file.commands, probe_hosts: file.probe_hosts, plain_http: file.plain_http };
    let tokens = tokens.into_iter().filter_map(|TokenEntry { name, roles, sha256 }| {
        let roles = roles.iter().map(|role| Role::named(role)).collect();
        // The shape lets nothing else through than what this takes.
        TokenHash::parse(&sha256).map(|sha256| Token { name, roles, sha256 })
    });
    let tokens = Tokens::new(tokens.collect());
    let heartbeat = heartbeat.map(|HeartbeatEntry { url, every }| Heartbeat { url: Secret::new(url), every });
    let (otlp, file, more_plans) = (telemetry.otlp, None, Vec::new());
    Ok(Config { listen, proxies, state, plans, poll, arm, sigusr1, tokens, heartbeat, otlp, file, more_plans, permits })
}

/// The JSON Schema of the file.
pub(crate) fn schema() -> Value {
    settings::schema("Belay daemon", "The configuration of `belay serve`. Every key may be left out.", &shape())
}

/// What a shape cannot see. A value that did not decode is null.
fn check(file: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut hold = |pointer: String, held: Result<(), String>| {
        findings.extend(held.err().map(|why| Finding::new(pointer, why)));
    };
    let entries = |key: &str| file[key].as_array().into_iter().flatten().enumerate();
    let address = |text: &str| text.parse::<Address>().map(drop);
    if let Some(text) = file["listen"].as_str() {
        hold("/listen".to_owned(), address(text));
    }
    for (index, text) in entries("listen") {
        hold(format!("/listen/{index}"), text.as_str().map_or(Ok(()), address));
    }
    for (index, text) in entries("proxies") {
        hold(format!("/proxies/{index}"), text.as_str().map_or(Ok(()), |text| Proxies::parse(text).map(drop)));
    }
    if let Some(text) = file["state"].as_str() {
        let why = || format!("`{text}` is not a state URL: write for example `sqlite:belay.db`");
        hold("/state".to_owned(), text.starts_with("sqlite:").then_some(()).ok_or_else(why));
    }
    if let Some(text) = file["poll"].as_str() {
        hold("/poll".to_owned(), config::poll(text).map(drop));
    }
    if let Some(text) = file["heartbeat"]["every"].as_str() {
        let every = duration::parse(text).is_ok_and(|every| (BEAT_MIN..=BEAT_MAX).contains(&every)).then_some(());
        let why = || format!("`{text}` is not between 1s and 1h; the default is `30s`");
        hold("/heartbeat/every".to_owned(), every.ok_or_else(why));
    }
    for (index, pattern) in entries("plans") {
        let Some(text) = pattern.as_str() else { continue };
        let wrong = |error: glob::PatternError| format!("`{text}` is not a glob: {}", error.msg);
        hold(format!("/plans/{index}"), glob::Pattern::new(text).map(drop).map_err(wrong));
    }
    // One name may have several tokens, while one takes the place of the other. But a token says who somebody is.
    let mut hashes = BTreeMap::new();
    for (index, token) in entries("tokens") {
        let (Some(name), Some(hash)) = (token["name"].as_str(), token["sha256"].as_str()) else { continue };
        if hash.eq_ignore_ascii_case(NOTHING_SHA256) {
            let why = "this is the SHA-256 of an empty text, and no token; `belay token NAME` makes one";
            hold(format!("/tokens/{index}/sha256"), Err(why.to_owned()));
        }
        let other = hashes.insert(hash.to_ascii_lowercase(), name);
        let new = other.map_or(Ok(()), |other| Err(format!("this is the token of `{other}`; each has its own")));
        hold(format!("/tokens/{index}/sha256"), new);
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMENTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/belay.yaml");

    fn rendered(text: &str) -> String {
        let diagnostics = parse("belay.yaml", text).unwrap_err();
        diagnostics.iter().map(|diagnostic| diagnostic.render(false) + "\n\n").collect()
    }

    #[test]
    fn the_commented_file_is_valid_and_holds_the_defaults() {
        let text = std::fs::read_to_string(COMMENTED).unwrap();
        assert_eq!(format!("{:?}", parse("belay.yaml", &text).unwrap()), format!("{:?}", Config::default()));
        let Shape::Object(object) = shape() else { panic!("an object") };
        for field in &object.fields {
            let shown = text.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{}:", field.key)));
            assert!(shown, "config/belay.yaml does not show `{}`", field.key);
        }
    }

    #[test]
    fn an_empty_file_holds_the_defaults() {
        for text in ["", "# all commented out\n", "plans:\n  # - a.yaml\ntokens:\n"] {
            assert_eq!(format!("{:?}", parse("belay.yaml", text).unwrap()), format!("{:?}", Config::default()));
        }
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once_with_its_place_and_its_cure() {
        let text = "listn: 127.0.0.1:1\nlisten: here\npoll: 5\narm: allways\nsigusr1: both\nplans: ['[']\n\
                    telemetry: { otlp: x }\npoll: 10m\nstate:\n\
                    tokens:\n  - { name: Ops, roles: [], sha256: my-secret-token }\n  - { name: a, roles: operator }\n";
        let found = rendered(text);
        for expected in [
            "unknown key `listn`\n --> belay.yaml:1:1\n  |\n1 | listn: 127.0.0.1:1\n  | ^^^^^\n  |\n  = help: did you mean `listen`?",
            "`here` is not an address with a port; write for example `127.0.0.1:7457`, `[::1]:7457` or `unix:/run/belay/belay.sock`\n --> belay.yaml:2:9",
            "expected a duration such as `30s`, `15m` or `1h30m`, found the number 5\n --> belay.yaml:3:7",
            "unknown word `allways`\n --> belay.yaml:4:6\n",
            "allowed here: `manual`, `on_start`",
            "unknown word `both`\n --> belay.yaml:5:10",
            "`[` is not a glob",
            "`x` is not the address of an OpenTelemetry collector, such as `http://127.0.0.1:4318`\n --> belay.yaml:7:20",
            "duplicate key `poll`\n --> belay.yaml:8:1",
            "there is no value here\n --> belay.yaml:9:1",
            "`Ops` is not a name",
            "the list is empty",
            "this is not the SHA-256 of a token, 64 hexadecimal digits",
            "make it a list: `[operator]`",
            "`sha256` is missing",
        ] {
            assert!(found.contains(expected), "{expected}\nis not in\n{found}");
        }
        assert_eq!(found.matches("error: ").count(), 14, "{found}");
        assert!(!found.contains("my-secret-token"), "{found}");
    }

    #[test]
    fn a_token_is_one_person_s_and_a_person_may_have_two() {
        let token = |name: &str, hash: &str| format!("  - {{ name: {name}, roles: [operator], sha256: {hash} }}\n");
        let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        for hash in [hash.to_owned(), hash.to_uppercase()] {
            let found = rendered(&format!("tokens:\n{}{}", token("ops", &hash.to_lowercase()), token("other", &hash)));
            assert!(found.contains("this is the token of `ops`; each has its own\n --> belay.yaml:3:"), "{found}");
            assert!(!found.to_lowercase().contains("9f86"), "{found}");
        }
        let rotated = format!("tokens:\n{}{}", token("ops", hash), token("ops", &hash.replace("9f86", "0000")));
        assert_eq!(parse("belay.yaml", &rotated).unwrap().tokens.people_with(&["operator"]), 1);
    }

    #[test]
    fn the_hash_of_nothing_is_no_token() {
        let found = rendered(&format!("tokens: [{{ name: ops, roles: [operator], sha256: {NOTHING_SHA256} }}]\n"));
        assert!(found.contains("this is the SHA-256 of an empty text"), "{found}");
    }

    #[test]
    fn the_url_of_a_heartbeat_is_not_shown_whatever_is_wrong_beside_it() {
        for text in [
            "heartbeat: { url: https://hc.example.com/s3cret, evry: 1m }\n",
            "heartbeat: { url: https://hc.example.com/s3cret, every: 1ms }\n",
            "heartbeat: { ulr: https://hc.example.com/s3cret }\n",
            "heartbeat: { url: hc.example.com/s3cret }\n",
            "heartbeat: https://hc.example.com/s3cret\n",
        ] {
            let found = rendered(text);
            assert!(!found.contains("s3cret"), "{found}");
        }
        let config = parse("belay.yaml", "heartbeat: { url: https://hc.example.com/s3cret }\n").unwrap();
        assert_eq!(config.heartbeat.as_ref().unwrap().every, Duration::from_secs(30));
        assert!(!format!("{config:?}").contains("s3cret"), "{config:?}");
    }

    #[test]
    fn what_is_out_of_range_is_said_with_the_range() {
        let found = rendered("state: mysql:x\npoll: 10m\n");
        assert!(found.contains("`mysql:x` is not a state URL") && found.contains("`10m` is not between"), "{found}");
        assert!(rendered("poll: 10m\n").contains("`10m` is not between 100ms and 5m; the default is `5s`"));
    }
}
