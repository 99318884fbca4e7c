//! Mails to a real server, aiosmtpd of the test bed; where that is not installed, they are passed over.

use std::{
    env,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use belay_plan::notify::NoticeKind;
use belay_ports::{Retry, Usable, channel::REFUSED_WAIT};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, net::TcpListener, task::JoinSet};

use super::{Team, tls::Authority};

/// A mail server, which ends when this is dropped.
struct Server {
    process: Child,
    printed: BufReader<ChildStdout>,
    port: u64,
    authority: Authority,
    _folder: TempDir,
}

impl Server {
    /// None: the test bed is not installed here.
    #[allow(clippy::print_stdout)] // what a test passes over is for the person who runs it
    fn start(arguments: &[&str]) -> Option<Self> {
        let Some(python) = python() else {
            println!("passed over: no aiosmtpd here, run tests/testbed/install");
            return None;
        };
        let has_tls = !arguments.is_empty();
        let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        let (certificate, key) = authority.files("localhost", folder.path());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/testbed/smtp.py");
        let mut process = Command::new(python)
            .arg(script)
            .args(arguments)
            .args(if has_tls {
                vec![Path::new("--certificate"), &certificate, Path::new("--key"), &key]
            } else {
                Vec::new()
            })
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let printed = BufReader::new(process.stdout.take().unwrap());
        let mut server = Self { process, printed, port: 0, authority, _folder: folder };
        server.port = server.next()["port"].as_u64().unwrap();
        Some(server)
    }

    /// The next line that it prints.
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.printed.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"))
    }

    /// Ends it; everything that it has printed since.
    fn rest(mut self) -> String {
        drop(self.process.stdin.take());
        let mut rest = String::new();
        self.printed.read_to_string(&mut rest).unwrap();
        rest
    }

    fn team(&self, scheme: &str, login: &str, to: &[&str]) -> Team {
        let url = format!("{scheme}://{login}localhost:{}", self.port);
        let team = Team::new(
            "email",
            &[("smtp", &url)],
            |secret| json!({ "email": { "to": to, "from": "Belay <belay@example.com>", "smtp": secret("smtp") } }),
        );
        let Team { channels, .. } = team;
        Team { channels: channels.trusting(&[self.authority.root()]), ..team }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

fn python() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = || set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    let testbed = set("BELAY_TESTBED").or_else(|| cache().map(|cache| cache.join("belay/testbed")))?;
    let python = testbed.join("venv/bin/python");
    let has_server = Command::new(&python).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
    has_server.is_ok_and(|status| status.success()).then_some(python)
}

const LOGIN: &str = "belay:s3cr3t-pass@";

/// The lines of a header, unfolded.
fn header(mail: &Value, name: &str) -> String {
    let mail = mail["mail"].as_str().unwrap().replace("\r\n ", " ");
    let head = mail.split("\r\n\r\n").next().unwrap();
    let found = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    found.unwrap_or_else(|| panic!("no {name}: {mail}")).to_owned()
}

#[tokio::test]
async fn a_mail_is_sent_over_starttls_with_a_login() {
    let Some(mut server) = Server::start(&["--starttls"]) else { return };
    let team = server.team("smtp", LOGIN, &["cto@example.com", "Ops <ops@example.com>"]);
    assert_eq!(team.usable().await, Ok(Usable::Unasked));
    let notice = team.notice(NoticeKind::Incident, 5);
    for _ in 0..2 {
        assert_eq!(team.send(&notice).await, Ok("250 2.0.0 queued as 4F2".to_owned()));
    }
    let (first, second) = (server.next(), server.next());
    assert_eq!((&first["tls"], &first["login"]), (&json!(true), &json!(true)));
    assert_eq!(first["from"], "belay@example.com");
    assert_eq!(first["to"], json!(["cto@example.com", "ops@example.com"]));
    assert_eq!(header(&first, "Subject"), "Still open: critical incident during checkout-cutover");
    assert_eq!(header(&first, "From"), "Belay <belay@example.com>");
    assert_eq!(header(&first, "To"), "cto@example.com, Ops <ops@example.com>");
    assert_eq!(header(&first, "Date"), "Sun, 01 Mar 2026 02:11:00 +0000");
    assert_eq!(header(&first, "Auto-Submitted"), "auto-generated");
    assert_eq!(header(&first, "Message-ID"), header(&second, "Message-ID"), "a doubled mail is known as one");
    let mail = first["mail"].as_str().unwrap();
    assert!(mail.contains("Content-Type: multipart/alternative"), "{mail}");
    assert!(mail.contains("The migration is being rolled back to the previous system: 2 of 4 steps"), "{mail}");

    // The same incident is one thread, and another notice another mail.
    team.tell(NoticeKind::Finished).await.unwrap();
    let finished = server.next();
    assert_ne!(header(&finished, "Message-ID"), header(&first, "Message-ID"));
    assert_eq!(header(&finished, "References"), header(&first, "References"));
    assert_eq!(server.rest(), "", "to look whether it is usable has sent nothing");
}

#[tokio::test]
async fn a_mail_is_sent_over_tls_from_the_first_byte_on() {
    let Some(mut server) = Server::start(&["--tls"]) else { return };
    assert_eq!(
        server.team("smtps", LOGIN, &["cto@example.com"]).tell(NoticeKind::Halted).await.as_deref(),
        Ok("250 2.0.0 queued as 4F2")
    );
    assert_eq!(server.next()["login"], true);
}

#[tokio::test]
async fn nothing_is_sent_without_the_right_certificate_or_without_tls() {
    let Some(server) = Server::start(&["--starttls"]) else { return };
    let mut team = server.team("smtp", LOGIN, &["cto@example.com"]);
    team.channels = Team::new("email", &[], |_| json!({})).channels.trusting(&[Authority::new().root()]);
    let error = team.tell(NoticeKind::Halted).await.unwrap_err();
    assert_eq!(error.retry, Retry::Later { after: None });
    assert!(
        error.why.starts_with("localhost gave no TLS connection: ") && error.why.contains("certificate"),
        "{error}"
    );
    assert_eq!(server.rest(), "");

    let Some(server) = Server::start(&[]) else { return };
    let error = server.team("smtp", LOGIN, &["cto@example.com"]).tell(NoticeKind::Halted).await.unwrap_err();
    assert_eq!(error.retry, Retry::Later { after: Some(REFUSED_WAIT) }, "a person can mend it");
    assert_eq!(error.why, "localhost offers no STARTTLS: Belay sends nothing without TLS");
    // This host is no network.
    let mut team = server.team("smtp", LOGIN, &["cto@example.com"]);
    team.spec["insecure"] = json!(true);
    assert_eq!(team.tell(NoticeKind::Halted).await, Ok("250 2.0.0 queued as 4F2".to_owned()));
    drop(server);
}

#[tokio::test]
async fn a_wrong_password_is_left_alone_for_a_while_and_not_shown() {
    let Some(server) = Server::start(&["--starttls"]) else { return };
    let error =
        server.team("smtp", "belay:wr0ng-pass@", &["cto@example.com"]).tell(NoticeKind::Halted).await.unwrap_err();
    assert_eq!(error.retry, Retry::Later { after: Some(std::time::Duration::from_secs(60)) }, "{error}");
    assert!(error.why.starts_with("localhost refused the login: permanent error (535)"), "{error}");
    assert!(!error.why.contains("wr0ng-pass"), "{error}");
}

#[tokio::test]
async fn who_can_get_it_gets_it_once() {
    let Some(mut server) = Server::start(&["--starttls"]) else { return };
    let team = server.team("smtp", LOGIN, &["cto@example.com", "unknown@example.com", "busy@example.com"]);
    let error = team.tell(NoticeKind::Halted).await.unwrap_err();
    assert_eq!(error.retry, Retry::Later { after: None });
    assert!(error.why.starts_with("postponed for busy@example.com (transient error (451)"), "{error}");
    let sent = team.tell(NoticeKind::Halted).await.unwrap();
    assert!(
        sent.starts_with("250 2.0.0 queued as 4F2; refused for unknown@example.com (permanent error (550)"),
        "{sent}"
    );
    assert_eq!(server.next()["to"], json!(["cto@example.com"]));
    assert_eq!(server.next()["to"], json!(["busy@example.com"]));

    let error = server.team("smtp", LOGIN, &["unknown@example.com"]).tell(NoticeKind::Halted).await.unwrap_err();
    assert_eq!(error.retry, Retry::Never);
    assert!(error.why.starts_with("all recipients were refused: unknown@example.com"), "{error}");
    assert_eq!(server.rest(), "");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_asked_again() {
    let Some(server) = Server::start(&["--starttls"]) else { return };
    let team = server.team("smtp", LOGIN, &["cto@example.com"]);
    drop(server);
    let error = team.tell(NoticeKind::Halted).await.unwrap_err();
    assert_eq!(error.retry, Retry::Later { after: None });
    assert!(error.why.starts_with("localhost did not answer: ") && !error.why.contains("s3cr3t"), "{error}");
}

#[tokio::test]
async fn a_server_that_talks_without_end_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://localhost:{}", listener.local_addr().unwrap().port());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        while stream.write_all(&[b'x'; 8192]).await.is_ok() {}
    });
    let team = Team::new(
        "email",
        &[("smtp", &url)],
        |secret| json!({ "email": { "to": ["cto@example.com"], "from": "belay@example.com", "smtp": secret("smtp") } }),
    );
    let error = team.tell(NoticeKind::Halted).await.unwrap_err();
    assert_eq!(error.retry, Retry::Later { after: None });
    assert!(error.why.ends_with("the server sent more than 256 KiB"), "{error}");
}

#[tokio::test]
async fn a_mail_takes_nothing_from_outside_for_markup_or_headers() {
    let Some(mut server) = Server::start(&["--starttls"]) else { return };
    let team = server.team("smtp", LOGIN, &["cto@example.com"]);
    let mut notice = team.notice(NoticeKind::Decision, 0);
    notice.facts.migration = "checkout\r\nBcc: evil@example.com".to_owned();
    notice.facts.why = "<script>alert(1)</script> & \u{202e}more\r\n.\r\nMAIL FROM:<x@y>".to_owned();
    team.send(&notice).await.unwrap();
    let mail = server.next();
    assert_eq!(mail["to"], json!(["cto@example.com"]));
    let text = mail["mail"].as_str().unwrap();
    assert!(!text.contains("\r\nBcc:") && !text.contains("<script>") && !text.contains('\u{202e}'), "{text}");
    assert_eq!(server.rest(), "");
}

#[test]
fn addresses_are_checked_where_they_stand() {
    let check = crate::Channels::specs().into_iter().find(|spec| spec.key == "email").unwrap().check;
    let found =
        |mail: Value| check(&json!({ "email": mail })).into_iter().map(|found| found.pointer).collect::<Vec<_>>();
    let smtp = "env:SMTP_URL";
    assert_eq!(found(json!({ "to": ["a@example.com"], "from": "Belay <b@example.com>", "smtp": smtp })), [""; 0]);
    assert_eq!(
        found(json!({ "to": ["a@example.com", "a@@b"], "from": "b@ex ample", "smtp": smtp })),
        ["/email/to/1", "/email/from"]
    );
    assert_eq!(
        found(json!({ "to": ["größe@example.com"], "from": "b@example.com", "smtp": "env:AWS_X" })),
        ["/email/smtp", "/email/to/0"]
    );
    assert_eq!(found(json!({ "to": vec!["a@example.com"; 51], "from": "b@example.com", "smtp": smtp })), ["/email/to"]);
}

#[test]
fn the_mail_is_as_people_have_looked_at_it() {
    let team = Team::new("email", &[], |_| json!({}));
    let team = Team { zone: Some("Europe/Berlin"), ..team };
    let notice = team.notice(NoticeKind::Incident, 5);
    let text = crate::texts::Texts.text("email", crate::texts::Markup::None, &notice).unwrap();
    super::wording::golden("mail.html", &crate::email::html(&text).unwrap());
}
