//! An HTTPS proxy that lets nothing through, and remembers who was asked for.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

/// It listens until the process of the tests ends.
pub struct Gateway {
    address: SocketAddr,
    hosts: Arc<Mutex<Vec<String>>>,
}

impl Gateway {
    /// Starts one.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        let hosts: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&hosts);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut line = String::new();
                if BufReader::new(stream).read_line(&mut line).is_ok() {
                    // `CONNECT HOST:443 HTTP/1.1`
                    let host = line.split([' ', ':']).nth(1).unwrap_or_default();
                    seen.lock().expect("nobody panics in here").push(host.to_owned());
                }
            }
        });
        Self { address, hosts }
    }

    /// For `HTTPS_PROXY`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The hosts that were asked for.
    pub fn hosts(&self) -> Vec<String> {
        self.hosts.lock().expect("nobody panics in here").clone()
    }
}
