//! Many clients at once, honest and hostile, each on a thread of its own with a plain socket.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use belay_tests::wait_until;
use serde_json::Value;

/// Between two bytes of a client that is slow on purpose.
const DRIP: Duration = Duration::from_millis(200);
/// Whoever is not answered for so long gives up, and is counted as `silence`.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a client does, again and again.
#[derive(Clone, Debug)]
pub(crate) enum Client {
    /// Asks, and reads the whole answer.
    Ask { method: &'static str, path: String, body: String },
    /// Begins a head and never ends it.
    SlowHead,
    /// Begins a body and never ends it.
    SlowBody { path: String },
}

/// Clients at work until it is told to stop.
pub(crate) struct Crowd {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    address: String,
    stop: AtomicBool,
    /// How often which client got which answer: a status, `closed`, or `silence`.
    answers: Mutex<BTreeMap<(String, String), usize>>,
}

impl Crowd {
    pub(crate) fn of(url: &str) -> Self {
        let address = url.strip_prefix("http://").unwrap().to_owned();
        let shared = Shared { address, stop: AtomicBool::new(false), answers: Mutex::default() };
        Self { shared: Arc::new(shared), threads: Vec::new() }
    }

    /// Sends in `count` clients; their answers are counted under `name`.
    pub(crate) fn join(&mut self, name: &str, count: usize, client: &Client) {
        for _ in 0..count {
            let (shared, name, client) = (self.shared.clone(), name.to_owned(), client.clone());
            self.threads.push(std::thread::spawn(move || {
                while !shared.stop.load(Ordering::Relaxed) {
                    shared.visit(&name, &client);
                }
            }));
        }
    }

    /// The answers so far.
    pub(crate) fn answers(&self) -> BTreeMap<(String, String), usize> {
        self.shared.answers.lock().unwrap().clone()
    }

    /// Waits until each of these clients has got each of these answers anew.
    pub(crate) fn wait_for(&self, wanted: &[(&str, &str)]) {
        let before = self.answers();
        for (name, answer) in wanted {
            let key = ((*name).to_owned(), (*answer).to_owned());
            let had = before.get(&key).copied().unwrap_or_default();
            wait_until(&format!("{name} to get {answer}"), || (*self.answers().get(&key)? > had).then_some(()));
        }
    }

    /// Sends all of them away, and says what they got.
    pub(crate) fn leave(mut self) -> BTreeMap<(String, String), usize> {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        self.answers()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    /// One connection, until it is closed or it is time to go.
    fn visit(&self, name: &str, client: &Client) {
        let Ok(mut stream) = connect(&self.address) else { return self.count(name, "closed") };
        let ended = match client {
            Client::Ask { method, path, body } => self.ask(name, &mut stream, method, path, body),
            Client::SlowHead => self.drip(name, &mut stream, "GET /v1/runs HTTP/1.1\r\nhost: localhost\r\nx: "),
            Client::SlowBody { path } => {
                let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n");
                self.drip(name, &mut stream, &head)
            }
        };
        match ended {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                self.count(name, "silence");
            }
            Err(_) => self.count(name, "closed"),
        }
    }

    fn ask(&self, name: &str, stream: &mut TcpStream, method: &str, path: &str, body: &str) -> std::io::Result<()> {
        let length = body.len();
        let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}");
        let mut reader = BufReader::new(stream.try_clone()?);
        while !self.stop.load(Ordering::Relaxed) {
            // The answer may be there before all is sent, and the connection closed: it is read all the same.
            let sent = stream.write_all(request.as_bytes());
            let (status, mut answer) = (Head::read(&mut reader)?, Vec::new());
            (&mut reader).take(status.length).read_to_end(&mut answer)?;
            self.count(name, &status.status);
            if status.closes || sent.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Sends `begin`, and then a byte now and then, until there is an answer or an end.
    fn drip(&self, name: &str, stream: &mut TcpStream, begin: &str) -> std::io::Result<()> {
        stream.write_all(begin.as_bytes())?;
        stream.set_read_timeout(Some(DRIP))?;
        while !self.stop.load(Ordering::Relaxed) {
            match stream.peek(&mut [0]) {
                Ok(0) => return Err(ErrorKind::ConnectionReset.into()),
                Ok(_) => {
                    let head = Head::read(&mut BufReader::new(stream))?;
                    self.count(name, &head.status);
                    return Ok(());
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    stream.write_all(b" ")?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn count(&self, name: &str, answer: &str) {
        *self.answers.lock().unwrap().entry((name.to_owned(), answer.to_owned())).or_default() += 1;
    }
}

fn connect(address: &str) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Of an answer.
struct Head {
    status: String,
    length: u64,
    closes: bool,
}

impl Head {
    fn read(from: &mut impl BufRead) -> std::io::Result<Self> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if from.read_line(&mut line)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_ascii_lowercase()),
            }
        }
        let field = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let status = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
        let length = field("content-length:").and_then(|length| length.parse().ok()).unwrap_or_default();
        Ok(Self { status, length, closes: field("connection:") == Some("close") })
    }
}

/// Somebody who follows the events until the stream ends.
pub(crate) struct Follower(JoinHandle<Followed>);

/// What a follower saw.
pub(crate) struct Followed {
    /// `id` and `data` of each event, the first apart: that is `ready`.
    pub(crate) events: Vec<(String, Value)>,
    /// Whether the stream was ended, and did not break off.
    pub(crate) ended: bool,
}

impl Follower {
    /// Connects, and has got `ready` when this returns.
    pub(crate) fn start(url: &str, query: &str) -> Self {
        let mut stream = connect(url.strip_prefix("http://").unwrap()).unwrap();
        let request = format!("GET /v1/events{query} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        assert_eq!(Head::read(&mut reader).unwrap().status, "200");
        let ready = Self::chunk(&mut reader).unwrap().unwrap();
        assert!(ready.contains("event: ready\n"), "{ready}");
        Self(std::thread::spawn(move || Self::follow(&mut reader)))
    }

    /// Waits for the end of the stream.
    pub(crate) fn end(self) -> Followed {
        self.0.join().unwrap()
    }

    fn follow(reader: &mut impl BufRead) -> Followed {
        let mut events = Vec::new();
        loop {
            match Self::chunk(reader) {
                Ok(Some(text)) => {
                    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
                    if let (Some(id), Some(data)) = (field("id: "), field("data: ")) {
                        events.push((id.to_owned(), serde_json::from_str(data).unwrap()));
                    }
                }
                Ok(None) => return Followed { events, ended: true },
                Err(_) => return Followed { events, ended: false },
            }
        }
    }

    /// The next chunk of the body, which is one event or comment; none at its end.
    fn chunk(reader: &mut impl BufRead) -> std::io::Result<Option<String>> {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim(), 16).map_err(|_| ErrorKind::InvalidData)?;
        let mut bytes = vec![0; size + 2]; // and the end of its line
        reader.read_exact(&mut bytes)?;
        bytes.truncate(size);
        Ok((size > 0).then(|| String::from_utf8_lossy(&bytes).into_owned()))
    }
}
