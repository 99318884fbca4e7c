//! Who a request comes from, where it comes through a proxy.

use std::net::IpAddr;

use axum::http::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The proxies whose `X-Forwarded-For` counts. Everybody else could write into it what they like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    pub(crate) fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// `10.0.0.7`, or `10.0.0.0/8`.
    pub(crate) fn parse(text: &str) -> Result<IpNet, String> {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        address.or_else(|_| text.parse()).map_err(|_| {
            format!("`{text}` is neither an address nor a network; write for example `127.0.0.1` or `10.0.0.0/8`")
        })
    }

    /// Behind known proxies, the last address that none of them has; else the peer itself. A proxy appends who it heard, so what is
    /// before the last unknown address may be invented.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let known = |address: &IpAddr| self.0.iter().any(|network| network.contains(&address.to_canonical()));
        if !known(&peer) {
            return peer;
        }
        let lists = headers.get_all(FORWARDED_FOR).iter().rev();
        let addresses = lists.flat_map(|list| list.to_str().unwrap_or_default().rsplit(','));
        // What is no address ends the search: nothing before it is known to be right.
        let parsed = addresses.map(|address| address.trim().parse::<IpAddr>().ok());
        parsed.take_while(Option::is_some).flatten().find(|address| !known(address)).unwrap_or(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_proxy_says_who_a_client_is() {
        let proxies = Proxies::new(["10.0.0.0/8", "127.0.0.1"].map(|text| Proxies::parse(text).unwrap()).to_vec());
        for (peer, forwarded, client) in [
            ("192.0.2.1", &["198.51.100.1"][..], "192.0.2.1"),
            ("127.0.0.1", &[], "127.0.0.1"),
            ("127.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:127.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("127.0.0.1", &["203.0.113.9, 198.51.100.1, 10.1.2.3"], "198.51.100.1"),
            ("127.0.0.1", &["203.0.113.9", "198.51.100.1", "10.1.2.3"], "198.51.100.1"),
            ("127.0.0.1", &["198.51.100.1, unknown"], "127.0.0.1"),
            ("127.0.0.1", &["198.51.100.1, unknown, 10.1.2.3"], "127.0.0.1"),
            ("127.0.0.1", &["10.1.2.3"], "127.0.0.1"),
            ("127.0.0.1", &["2001:db8::1"], "2001:db8::1"),
        ] {
            let mut headers = HeaderMap::new();
            for list in forwarded {
                headers.append(FORWARDED_FOR, list.parse().unwrap());
            }
            let found = proxies.client(peer.parse().unwrap(), &headers);
            assert_eq!(found.to_string(), client, "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn a_proxy_is_an_address_or_a_network() {
        for text in ["127.0.0.1", "10.0.0.0/8", "::1", "fd00::/8"] {
            assert!(Proxies::parse(text).is_ok(), "{text}");
        }
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0"] {
            assert!(Proxies::parse(text).unwrap_err().contains("`10.0.0.0/8`"), "{text}");
        }
    }
}
