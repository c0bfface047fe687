//! Which proxy an address goes through, by the variables that every network program reads.

/// The proxy for an address, from `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in either case (small
/// letters first, as curl has it).
pub(crate) fn for_address(address: &str, variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let (scheme, rest) = address.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host_port = authority.rsplit('@').next()?.to_ascii_lowercase();
    let host = match host_port.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => host_port.as_str(),
    };
    let set = |name: &str| {
        let value = variable(&name.to_ascii_lowercase()).or_else(|| variable(&name.to_ascii_uppercase()));
        value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    let bypassed = |list: String| list.split([',', ' ']).any(|entry| bypasses(entry, host, &host_port));
    if set("no_proxy").is_some_and(bypassed) {
        return None;
    }
    set(&format!("{scheme}_proxy")).or_else(|| set("all_proxy"))
}

/// Whether an entry of `NO_PROXY` names this host: itself, a domain above it, or everything.
fn bypasses(entry: &str, host: &str, host_port: &str) -> bool {
    let entry = entry.trim().to_ascii_lowercase();
    let domain = entry.trim_start_matches('*').trim_start_matches('.');
    if entry == "*" {
        return true;
    }
    !domain.is_empty()
        && (domain == host
            || domain == host_port
            || domain.trim_matches(['[', ']']) == host.trim_matches(['[', ']'])
            || host.strip_suffix(domain).is_some_and(|above| above.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use super::for_address;

    fn with(variables: &[(&str, &str)], address: &str) -> Option<String> {
        for_address(address, |name| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn each_scheme_has_its_proxy_in_either_case() {
        let both = [("HTTPS_PROXY", "http://a:1"), ("http_proxy", "http://b:2"), ("HTTP_PROXY", "http://c:3")];
        assert_eq!(with(&both, "https://host/x").as_deref(), Some("http://a:1"));
        assert_eq!(with(&both, "http://host/x").as_deref(), Some("http://b:2"));
        assert_eq!(with(&[("ALL_PROXY", "socks5://d:4")], "https://host/x").as_deref(), Some("socks5://d:4"));
        assert_eq!(with(&[("HTTPS_PROXY", "")], "https://host/x"), None);
        assert_eq!(with(&both, "file:/srv/x"), None);
    }

    #[test]
    fn no_proxy_names_hosts_and_domains() {
        let through = |list: &str, address: &str| with(&[("ALL_PROXY", "p"), ("no_proxy", list)], address).is_some();
        for list in ["host.example", "example", ".example", "*.example", "*", "other, host.example", "HOST.example"] {
            assert!(!through(list, "https://me@host.example:8443/x"), "{list}");
        }
        assert!(!through("host.example:8443", "https://host.example:8443/x"));
        assert!(!through("127.0.0.1", "http://127.0.0.1:9/x") && !through("::1", "http://[::1]:9/x"));
        for list in ["ost.example", "host.example.org", "", ",", "host.example:1"] {
            assert!(through(list, "https://host.example/x"), "{list}");
        }
    }
}
