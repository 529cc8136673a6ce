//! What may be driven: the loopback interface, and networks that the caller says are ours. Nothing
//! else is ever a target.

use crate::advice::Advised;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use thiserror::Error;

/// A range of addresses, `172.20.0.0/16` or `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Why a target is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TargetError {
    /// It can't be read.
    #[error("target {0:?} is not `host:port`")]
    Unreadable(String),
    /// It has no address.
    #[error("target {0:?} has no address: {1}")]
    Unresolved(String, String),
    /// It is somebody else's.
    #[error(
        "target {place} is at {address}, neither on the loopback interface nor on a network of ours"
    )]
    Foreign {
        /// What was asked for.
        place: String,
        /// The address that it has.
        address: IpAddr,
    },
}

impl Advised for TargetError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            TargetError::Unreadable(_) => "write it as \"127.0.0.1:5000\"".into(),
            TargetError::Unresolved(..) => {
                "name an address of the loopback interface or of a network of the stack".into()
            }
            TargetError::Foreign { .. } => {
                "drills only ever drive what they started; publish the port on 127.0.0.1".into()
            }
        })
    }
}

/// A network that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("network {0:?} is not an address and a prefix length")]
pub struct NetworkError(String);

impl Advised for NetworkError {
    fn hint(&self) -> Option<String> {
        Some("write it as \"172.20.0.0/16\"".into())
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Network, NetworkError> {
        let wrong = || NetworkError(text.to_owned());
        let (address, bits) = text.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits: u8 = bits.parse().map_err(|_| wrong())?;
        if bits > if address.is_ipv4() { 32 } else { 128 } {
            Err(wrong())
        } else {
            Ok(Network { address, bits })
        }
    }
}

impl Network {
    /// Whether an address lies in it. An IPv4 address written as IPv6 is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                (u32::from(a) ^ u32::from(b)).checked_shr(32 - u32::from(self.bits)).unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                (u128::from(a) ^ u128::from(b)).checked_shr(128 - u32::from(self.bits)).unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }

    /// Whether all of it is loopback or private: addresses that nobody on the internet has (RFC
    /// 1918, 4193, 6598).
    pub fn is_private(&self) -> bool {
        let private = |text: &str| {
            text.parse::<Network>().is_ok_and(|n| n.bits <= self.bits && n.contains(self.address))
        };
        [
            "127.0.0.0/8",
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "100.64.0.0/10",
            "::1/128",
            "fc00::/7",
        ]
        .into_iter()
        .any(private)
    }
}

/// The address of `host:port`, if it is on the loopback interface or on one of `ours`. A name must
/// have no address elsewhere, and traffic must go to the address returned: the name could mean
/// another one later.
///
/// # Errors
/// It can't be read, has no address, or is somebody else's.
pub async fn check_target(place: &str, ours: &[Network]) -> Result<SocketAddr, TargetError> {
    let unreadable = || TargetError::Unreadable(place.to_owned());
    let (host, port) = place.rsplit_once(':').ok_or_else(unreadable)?;
    let port: u16 = port.parse().map_err(|_| unreadable())?;
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if bare.is_empty() || port == 0 || (host == bare && bare.contains(':')) {
        return Err(unreadable());
    }
    let addresses: Vec<SocketAddr> = match bare.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) if host != bare || bare.contains(['/', '@', ' ']) => return Err(unreadable()),
        Err(_) => {
            let found = tokio::net::lookup_host((bare, port)).await;
            found.map_err(|e| TargetError::Unresolved(place.to_owned(), e.to_string()))?.collect()
        }
    };
    let legal = |a: &SocketAddr| {
        a.ip().to_canonical().is_loopback() || ours.iter().any(|n| n.contains(a.ip()))
    };
    match (
        addresses.iter().find(|a| !legal(a)),
        addresses.iter().find(|a| a.is_ipv4()).or(addresses.first()),
    ) {
        (Some(foreign), _) => {
            Err(TargetError::Foreign { place: place.to_owned(), address: foreign.ip() })
        }
        (None, Some(address)) => Ok(*address),
        (None, None) => Err(TargetError::Unresolved(place.to_owned(), "no answer".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(place: &str, ours: &[&str]) -> Result<SocketAddr, TargetError> {
        let ours: Vec<Network> = ours.iter().map(|n| n.parse().expect("network")).collect();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        runtime.block_on(check_target(place, &ours))
    }

    #[test]
    fn loopback_is_legal() {
        for place in [
            "127.0.0.1:5000",
            "127.3.2.1:80",
            "[::1]:5000",
            "[::ffff:127.0.0.1]:5000",
            "localhost:5000",
        ] {
            assert!(check(place, &[]).is_ok(), "{place}");
        }
    }

    #[test]
    fn others_are_refused_unless_they_are_ours() {
        for place in [
            "192.0.2.7:5000",
            "0.0.0.0:5000",
            "[::]:5000",
            "172.20.0.9:5000",
            "[2001:db8::1]:443",
            "[::ffff:192.0.2.7]:5000",
        ] {
            assert!(
                matches!(check(place, &["172.21.0.0/16"]), Err(TargetError::Foreign { .. })),
                "{place}"
            );
        }
        assert_eq!(
            check("172.20.0.9:5000", &["172.21.0.0/16", "172.20.0.0/16"]),
            Ok("172.20.0.9:5000".parse().expect("address"))
        );
        assert!(check("[fd00::5]:5000", &["fd00::/8"]).is_ok());
    }

    #[test]
    fn what_can_not_be_read_is_said() {
        for place in [
            "",
            "127.0.0.1",
            "127.0.0.1:http",
            ":5000",
            "http://127.0.0.1:5000",
            "[::1:5000",
            "user@127.0.0.1:80",
            "127.0.0.1:0",
            "::1:80",
        ] {
            assert!(
                matches!(check(place, &[]), Err(TargetError::Unreadable(_))),
                "{place}: {:?}",
                check(place, &[])
            );
        }
        for network in ["10.0.0.0", "10.0.0.0/33", "fd00::/129", "x/8"] {
            assert!(network.parse::<Network>().is_err(), "{network}");
        }
    }

    #[test]
    fn private_networks_are_told_from_others() {
        let is = |text: &str| text.parse::<Network>().expect("network").is_private();
        for text in [
            "127.0.0.0/8",
            "10.0.0.0/8",
            "10.3.0.0/16",
            "172.31.255.0/24",
            "192.168.1.1/32",
            "::1/128",
            "fd00::/8",
        ] {
            assert!(is(text), "{text}");
        }
        for text in [
            "0.0.0.0/0",
            "10.0.0.0/7",
            "172.32.0.0/16",
            "172.16.0.0/11",
            "192.0.2.0/24",
            "8.8.8.8/32",
            "::/0",
            "2001:db8::/32",
        ] {
            assert!(!is(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_network_holds_what_shares_its_prefix(address: u32, other: u32, bits in 0u8..=32) {
            let network: Network = format!("{}/{bits}", std::net::Ipv4Addr::from(address)).parse().expect("network");
            let mask = if bits == 0 { 0 } else { u32::MAX << (32 - bits) };
            prop_assert_eq!(network.contains(IpAddr::V4(other.into())), address & mask == other & mask);
        }
    }
}
