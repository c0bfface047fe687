//! Who may come in. By default nobody but programs of this machine: the server is on the loopback interface then, a page of
//! another origin is turned away by its `Origin`, and one that made its own name mean this machine by its `Host`. On any
//! other interface a token is wanted too.

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How long a client has time to show its token.
pub(super) const TOKEN_WITHIN: Duration = Duration::from_secs(5);

/// The rule for one server.
#[derive(Debug)]
pub(super) struct Gate {
    address: SocketAddr,
    /// The name it was to be reached by, where that was no number.
    name: Option<String>,
    token: Option<String>,
}

impl Gate {
    /// For a server at this address. Beyond the loopback interface there is a token, a new one each time.
    pub(super) fn new(address: SocketAddr, host: &str) -> Self {
        let name = host.parse::<IpAddr>().is_err().then(|| host.to_ascii_lowercase());
        let token = || format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
        Self { address, name, token: (!address.ip().is_loopback()).then(token) }
    }

    /// What clients must show.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Where a person goes. The token stands behind `#`: browsers send that to nobody.
    pub(super) fn url(&self) -> String {
        let host = match (&self.name, self.address.ip()) {
            (Some(name), _) => name.clone(),
            // All interfaces: this one is right here at least.
            (None, ip) if ip.is_unspecified() => "127.0.0.1".into(),
            (None, IpAddr::V6(ip)) => format!("[{ip}]"),
            (None, IpAddr::V4(ip)) => ip.to_string(),
        };
        let token = self.token.as_ref().map_or_else(String::new, |token| format!("#token={token}"));
        format!("http://{host}:{}/{token}", self.address.port())
    }

    /// Whether a request names this server as its host.
    pub(super) fn host_is_ours(&self, headers: &HeaderMap) -> bool {
        let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else { return false };
        let Some((name, port)) = split_port(host) else { return false };
        if port != self.address.port() {
            return false;
        }
        let name = name.to_ascii_lowercase();
        if self.name.as_deref() == Some(&name) || name == "localhost" {
            return true;
        }
        // A number is no name that somebody could have pointed here. Beyond the loopback interface it may be that of any
        // way here.
        let ip: Option<IpAddr> = name.trim_start_matches('[').trim_end_matches(']').parse().ok();
        ip.is_some_and(|ip| ip.is_loopback() || !self.address.ip().is_loopback())
    }

    /// Whether a page of this server's asks, or a program that is no browser: a browser names a page's origin always.
    pub(super) fn origin_is_ours(headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(ORIGIN) else { return true };
        let (Ok(origin), Some(host)) = (origin.to_str(), headers.get(HOST).and_then(|host| host.to_str().ok())) else {
            return false;
        };
        origin.strip_prefix("http://").is_some_and(|origin| origin.eq_ignore_ascii_case(host))
    }

    /// Whether this is the token. How long that takes says nothing of where the first difference is.
    pub(super) fn is_token(&self, shown: &str) -> bool {
        let Some(token) = &self.token else { return true };
        let differences = token.bytes().zip(shown.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
        (std::hint::black_box(differences) == 0) & (token.len() == shown.len())
    }
}

fn split_port(host: &str) -> Option<(&str, u16)> {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => Some((name, port.parse().ok()?)),
        _ => Some((host, 80)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    fn gate(address: &str, host: &str) -> Gate {
        Gate::new(address.parse().unwrap(), host)
    }

    #[test]
    fn only_its_own_names_are_its_host() {
        let local = gate("127.0.0.1:8000", "127.0.0.1");
        for ours in ["127.0.0.1:8000", "localhost:8000", "LocalHost:8000", "[::1]:8000"] {
            assert!(local.host_is_ours(&headers(ours, None)), "{ours}");
        }
        for other in
            ["evil.example:8000", "127.0.0.1:8001", "127.0.0.1", "192.168.0.7:8000", "127.0.0.1.evil.example:8000"]
        {
            assert!(!local.host_is_ours(&headers(other, None)), "{other}");
        }
        assert!(!local.host_is_ours(&HeaderMap::new()));
        let open = gate("0.0.0.0:8000", "studio.local");
        assert!(open.host_is_ours(&headers("studio.local:8000", None)));
        assert!(open.host_is_ours(&headers("192.168.0.7:8000", None)));
        assert!(!open.host_is_ours(&headers("evil.example:8000", None)));
    }

    #[test]
    fn pages_of_other_origins_are_turned_away() {
        let host = "127.0.0.1:8000";
        assert!(Gate::origin_is_ours(&headers(host, None)), "no browser");
        assert!(Gate::origin_is_ours(&headers(host, Some("http://127.0.0.1:8000"))));
        for other in
            ["null", "http://evil.example", "http://localhost:8000", "https://127.0.0.1:8000", "http://127.0.0.1:80001"]
        {
            assert!(!Gate::origin_is_ours(&headers(host, Some(other))), "{other}");
        }
    }

    #[test]
    fn a_token_is_wanted_beyond_this_machine() {
        let local = gate("127.0.0.1:8000", "127.0.0.1");
        assert_eq!(local.token(), None);
        assert!(local.is_token(""));
        assert_eq!(local.url(), "http://127.0.0.1:8000/");
        let open = gate("0.0.0.0:8000", "0.0.0.0");
        let token = open.token().unwrap().to_owned();
        assert_eq!(token.len(), 64);
        assert!(open.is_token(&token));
        for wrong in ["", &token[..63], &format!("{token}0"), &"0".repeat(64)] {
            assert!(!open.is_token(wrong), "{wrong}");
        }
        assert_ne!(gate("0.0.0.0:8000", "0.0.0.0").token(), Some(token.as_str()));
        assert!(open.url().ends_with(&format!("/#token={token}")));
    }
}
