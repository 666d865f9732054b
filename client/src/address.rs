//! Where a server is: which addresses a token may be sent to, and the addresses of its routes.

use std::net::IpAddr;

use reqwest::Url;

use crate::error::Error;

/// Where a server is.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    base: Url,
}

impl Address {
    /// Reads the address of a server: `https`, or `http` to this machine itself.
    ///
    /// # Errors
    /// [`Error::Address`], or [`Error::Insecure`] for one that a token must not be sent to.
    pub(crate) fn read(text: &str) -> Result<Self, Error> {
        let unusable = |problem: &str| Error::Address {
            // What comes before an `@` may be a password.
            server: text.rsplit('@').next().unwrap_or_default().to_owned(),
            problem: problem.to_owned(),
        };
        let base = Url::parse(text).map_err(|error| unusable(&error.to_string()))?;
        let Some(host) = base.host_str() else { return Err(unusable("it names no host")) };
        if !base.username().is_empty() || base.password().is_some() {
            return Err(unusable("it holds a name or password; a key goes with the request"));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(unusable("it has a query or fragment"));
        }
        match base.scheme() {
            "https" => {}
            "http" if is_loopback(host) => {}
            "http" => return Err(Error::Insecure { host: host.to_owned() }),
            _ => return Err(unusable("it is neither `https` nor `http`")),
        }
        Ok(Self { base })
    }

    /// Whether it is on this machine, without TLS.
    pub(crate) fn is_plain(&self) -> bool {
        self.base.scheme() == "http"
    }

    /// The address of a route; each part is one segment of its path, whatever is in it.
    pub(crate) fn of(&self, path: &[&str], query: &[(&str, String)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_over_tls_or_stays_on_this_machine() {
        let check = |text: &str| Address::read(text).map(|address| address.is_plain());
        for text in
            ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:9", "http://127.9.9.9"]
        {
            assert!(check(text).unwrap(), "{text}");
        }
        assert!(!check("https://genie.example/base/").unwrap());
        for text in ["http://genie.example", "http://10.0.0.1", "http://localhost.example"] {
            assert!(matches!(check(text), Err(Error::Insecure { .. })), "{text}");
        }
        for text in ["genie.example", "ftp://localhost", "https://", "https://a/?b", "unix:/x", ""]
        {
            assert!(matches!(check(text), Err(Error::Address { .. })), "{text}");
        }
        let error = check("https://me:secret@genie.example").unwrap_err().to_string();
        assert!(!error.contains("secret") && error.contains("genie.example"), "{error}");
    }

    #[test]
    fn a_part_of_a_path_stays_one_segment() {
        let address = Address::read("https://genie.example/base/").unwrap();
        let url = address.of(&["v1", "agents", "../a/b?c"], &[("after", "x&y".to_owned())]);
        let expected = "https://genie.example/base/v1/agents/..%2Fa%2Fb%3Fc?after=x%26y";
        assert_eq!(url.as_str(), expected);
    }
}
