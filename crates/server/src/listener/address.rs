//! Where the daemon listens: ports, and Unix sockets for people on the host.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    str::FromStr,
};

use tokio::{
    fs,
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};
use tokio_util::either::Either;

const SOCKET: &str = "unix:";

/// Owner and group may connect: connecting to a Unix socket takes the permission to write.
const SOCKET_MODE: u32 = 0o660;

/// `127.0.0.1:7457`, `[::1]:7457`, or `unix:/run/belay/belay.sock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Port(SocketAddr),
    Socket(PathBuf),
}

impl Address {
    /// Whether it can be reached from other machines.
    pub(crate) fn is_exposed(&self) -> bool {
        matches!(self, Self::Port(address) if !address.ip().is_loopback())
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix(SOCKET) {
            return match path.starts_with('/') {
                true => Ok(Self::Socket(PathBuf::from(path))),
                false => {
                    Err(format!("`{text}` needs an absolute path: write for example `unix:/run/belay/belay.sock`"))
                }
            };
        }
        text.parse().map(Self::Port).map_err(|_| {
            format!(
                "`{text}` is not an address with a port; write for example `127.0.0.1:7457`, `[::1]:7457` or \
                 `unix:/run/belay/belay.sock`"
            )
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(address) => address.fmt(f),
            Self::Socket(path) => write!(f, "{SOCKET}{}", path.display()),
        }
    }
}

pub(super) type Stream = Either<TcpStream, UnixStream>;

/// One address that is listened on.
#[derive(Debug)]
pub(super) enum Listener {
    Port(TcpListener),
    Socket(UnixListener),
}

impl Listener {
    pub(super) async fn bind(address: &Address) -> io::Result<Self> {
        match address {
            Address::Port(address) => TcpListener::bind(address).await.map(Self::Port),
            Address::Socket(path) => bind_socket(path).await.map(Self::Socket),
        }
    }

    /// The next connection, and the address that it comes from. All that comes through a socket comes from this host.
    pub(super) async fn accept(&self) -> io::Result<(Stream, IpAddr)> {
        match self {
            Self::Port(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Small answers go out at once. It can only fail when the connection is gone.
                let _ = stream.set_nodelay(true);
                Ok((Either::Left(stream), peer.ip()))
            }
            Self::Socket(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Either::Right(stream), Ipv4Addr::LOCALHOST.into()))
            }
        }
    }
}

/// A socket that a daemon left behind is replaced; a file that is no socket, or one on which somebody answers, is not.
/// It gets its name when it has its mode, so nobody connects before.
async fn bind_socket(path: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path).await {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket has this name"));
        }
        Ok(_) => match UnixStream::connect(path).await {
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => return Err(error),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    match fs::remove_file(&new).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&new)?;
    fs::set_permissions(&new, PermissionsExt::from_mode(SOCKET_MODE)).await?;
    fs::rename(&new, path).await?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_port_or_the_absolute_path_of_a_socket() {
        for text in ["127.0.0.1:7457", "[::1]:0", "unix:/run/belay/belay.sock"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in ["7457", "localhost:7457", "unix:belay.sock", "unix:", "/run/belay.sock"] {
            assert!(text.parse::<Address>().unwrap_err().contains("`unix:/run/belay/belay.sock`"), "{text}");
        }
    }

    #[test]
    fn only_a_port_can_be_reached_from_other_machines() {
        for (text, exposed) in [("0.0.0.0:1", true), ("127.0.0.1:1", false), ("[::]:1", true), ("unix:/s", false)] {
            assert_eq!(text.parse::<Address>().unwrap().is_exposed(), exposed, "{text}");
        }
    }

    #[tokio::test]
    async fn a_socket_is_for_owner_and_group_and_replaces_only_one_that_nobody_answers_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("belay.sock");
        let first = bind_socket(&path).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, SOCKET_MODE);
        let error = bind_socket(&path).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        let second = bind_socket(&path).await.unwrap();
        let (accepted, connected) = tokio::join!(second.accept(), UnixStream::connect(&path));
        assert!(accepted.is_ok() && connected.is_ok());

        let file = folder.path().join("notes.txt");
        std::fs::write(&file, "mine").unwrap();
        assert!(bind_socket(&file).await.unwrap_err().to_string().contains("no socket"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    }
}
