//! Hosts that are this host, or belong to it: loopback and link-local addresses. What is sent there (an instance's own
//! credentials, a collector beside Belay) is for nobody else: no proxy gets it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the host of a URL is, as far as it can be seen without asking a resolver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nearness {
    Loopback,
    /// Instance metadata, role credentials of instances, containers and pods.
    LinkLocal,
    Far,
}

/// Variables that name a proxy.
pub const PROXY_VARIABLES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// Of the host of a URL; an IPv6 address with or without its brackets.
pub fn nearness(host: &str) -> Nearness {
    let name = host.trim_start_matches('[').trim_end_matches(']');
    match name.parse::<IpAddr>() {
        Ok(address) => address_nearness(address),
        Err(_) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let is_own = name == "localhost" || name.ends_with(".localhost");
            if is_own { Nearness::Loopback } else { Nearness::Far }
        }
    }
}

/// Of an address.
pub fn address_nearness(address: IpAddr) -> Nearness {
    match address {
        IpAddr::V4(address) => v4(address),
        IpAddr::V6(address) => address.to_ipv4_mapped().map_or_else(|| v6(address), v4),
    }
}

fn v4(address: Ipv4Addr) -> Nearness {
    match address {
        address if address.is_loopback() || address.is_unspecified() => Nearness::Loopback,
        address if address.is_link_local() => Nearness::LinkLocal,
        _ => Nearness::Far,
    }
}

fn v6(address: Ipv6Addr) -> Nearness {
    // AWS serves instance metadata and the credentials of pods there.
    let is_of_the_instance = address.segments()[..2] == [0xfd00, 0x0ec2];
    match address {
        address if address.is_loopback() || address.is_unspecified() => Nearness::Loopback,
        address if address.is_unicast_link_local() || is_of_the_instance => Nearness::LinkLocal,
        _ => Nearness::Far,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_near_by_what_they_are() {
        for host in ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "0.0.0.0", "::"] {
            assert_eq!(nearness(host), Nearness::Loopback, "{host}");
        }
        for host in
            ["169.254.169.254", "169.254.170.2", "169.254.170.23", "[fd00:ec2::254]", "[fd00:ec2::23]", "fe80::1"]
        {
            assert_eq!(nearness(host), Nearness::LinkLocal, "{host}");
        }
        assert_eq!(nearness("[::ffff:169.254.169.254]"), Nearness::LinkLocal);
        for host in ["sts.amazonaws.com", "localhost.example.com", "10.0.0.1", "[fd00::1]", "169.253.1.1"] {
            assert_eq!(nearness(host), Nearness::Far, "{host}");
        }
    }
}
