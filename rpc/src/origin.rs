//! Which web pages may talk to the node.
//!
//! A browser lets any page open a WebSocket to the visitor's own machine, and says in the `Origin`
//! header which page it was. Programs that are not browsers send no such header and pass.
//!
//! Two further rules of browsers are served here: a page may read the answer to an HTTP request
//! only when the answer names its origin, and asks before it posts JSON (`OPTIONS`).

use std::fmt;
use std::str::FromStr;

mod layer;

pub(crate) use layer::OriginLayer;

/// Origins that the node answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// Every page. Host names are not checked either.
    Any,
    /// Pages of these origins only.
    Only(Vec<OriginPattern>),
}

/// Pages on this machine, the public polkadot.js app, and wallet extensions of browsers.
const DEFAULT_ORIGINS: [&str; 10] = [
    "http://localhost:*",
    "https://localhost:*",
    "http://127.0.0.1:*",
    "https://127.0.0.1:*",
    "http://[::1]:*",
    "https://[::1]:*",
    "https://polkadot.js.org",
    "chrome-extension://*",
    "moz-extension://*",
    "safari-web-extension://*",
];

impl Default for AllowedOrigins {
    fn default() -> Self {
        let parse = |text: &str| text.parse().expect("the default origins parse, as a test shows");
        Self::Only(DEFAULT_ORIGINS.into_iter().map(parse).collect())
    }
}

impl AllowedOrigins {
    /// Whether a page of this origin is answered.
    pub fn permits(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(patterns) => patterns.iter().any(|pattern| pattern.matches(origin)),
        }
    }
}

/// "all", or patterns separated by commas.
impl FromStr for AllowedOrigins {
    type Err = OriginPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "all" => Ok(Self::Any),
            list => list.split(',').map(|part| part.trim().parse()).collect::<Result<_, _>>().map(Self::Only),
        }
    }
}

/// One or many origins: `scheme://host`, `scheme://host:port`, `scheme://host:*` for any port or
/// none, `scheme://*` for any host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern {
    scheme: String,
    /// `None` for any.
    host: Option<String>,
    port: PortPattern,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PortPattern {
    Any,
    None,
    Fixed(u16),
}

/// Why a text is no origin pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginPatternError {
    /// `://` is missing, or nothing precedes it.
    #[error("origin has no scheme: got {got:?}, expected something like \"https://example.com\"")]
    MissingScheme {
        /// The text.
        got: String,
    },
    /// Nothing follows `://`, or more than a host and a port.
    #[error("origin is not a scheme, a host and perhaps a port: got {got:?}")]
    BadHost {
        /// The text.
        got: String,
    },
    /// The port is neither `*` nor a number up to 65535.
    #[error("origin has a bad port: got {got:?}, expected * or a number up to 65535")]
    BadPort {
        /// The text.
        got: String,
    },
}

impl FromStr for OriginPattern {
    type Err = OriginPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let got = || text.to_owned();
        let (scheme, authority) = text
            .split_once("://")
            .filter(|(scheme, _)| !scheme.is_empty())
            .ok_or_else(|| OriginPatternError::MissingScheme { got: got() })?;
        let (host, port) = split_port(authority);
        if host.is_empty() || host.contains(['/', '@', '?', '#', ' ']) {
            return Err(OriginPatternError::BadHost { got: got() });
        }
        let port = match port {
            None if host == "*" => PortPattern::Any,
            None => PortPattern::None,
            Some("*") => PortPattern::Any,
            Some(port) => PortPattern::Fixed(port.parse().map_err(|_| OriginPatternError::BadPort { got: got() })?),
        };
        let host = (host != "*").then(|| host.to_ascii_lowercase());
        Ok(Self { scheme: scheme.to_ascii_lowercase(), host, port })
    }
}

impl OriginPattern {
    /// Whether the pattern covers an `Origin` header's value.
    pub fn matches(&self, origin: &str) -> bool {
        let Some((scheme, authority)) = origin.split_once("://") else {
            return false;
        };
        let (host, port) = split_port(authority);
        scheme.eq_ignore_ascii_case(&self.scheme)
            && self.host.as_deref().is_none_or(|expected| expected.eq_ignore_ascii_case(host))
            && match (self.port, port) {
                (PortPattern::Any, None) | (PortPattern::None, None) => true,
                (PortPattern::Any, Some(port)) => port.parse::<u16>().is_ok(),
                (PortPattern::Fixed(expected), Some(port)) => port.parse() == Ok(expected),
                (PortPattern::None, Some(_)) | (PortPattern::Fixed(_), None) => false,
            }
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host.as_deref().unwrap_or("*"))?;
        match self.port {
            PortPattern::Any if self.host.is_none() => Ok(()),
            PortPattern::Any => write!(f, ":*"),
            PortPattern::None => Ok(()),
            PortPattern::Fixed(port) => write!(f, ":{port}"),
        }
    }
}

/// Splits a port off a host; the colons within `[::1]` belong to the host.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, origin: &str) -> bool {
        pattern.parse::<OriginPattern>().unwrap().matches(origin)
    }

    #[test]
    fn patterns_match_whole_hosts() {
        assert!(matches("https://polkadot.js.org", "https://polkadot.js.org"));
        assert!(matches("https://polkadot.js.org", "HTTPS://Polkadot.js.org"));
        assert!(!matches("https://polkadot.js.org", "http://polkadot.js.org"));
        assert!(!matches("https://polkadot.js.org", "https://polkadot.js.org.evil.com"));
        assert!(!matches("https://polkadot.js.org", "https://polkadot.js.org:444"));
        assert!(matches("http://localhost:*", "http://localhost"));
        assert!(matches("http://localhost:*", "http://localhost:3000"));
        assert!(!matches("http://localhost:*", "http://localhost:3000.evil.com"));
        assert!(!matches("http://localhost:*", "http://localhost.evil.com:3000"));
        assert!(!matches("http://localhost:3000", "http://localhost"));
        assert!(matches("http://localhost:3000", "http://localhost:3000"));
        assert!(matches("http://[::1]:*", "http://[::1]:3000"));
        assert!(matches("http://[::1]:*", "http://[::1]"));
        assert!(matches("chrome-extension://*", "chrome-extension://mopnmbcafieddcagagdcbnhejhlodfdd"));
        assert!(!matches("chrome-extension://*", "https://example.com"));
        assert!(!matches("http://localhost:*", "null"));
    }

    #[test]
    fn each_malformed_pattern_has_its_error() {
        let error = |text: &str| text.parse::<OriginPattern>().unwrap_err();
        for text in ["", "localhost", "://localhost"] {
            assert_eq!(error(text), OriginPatternError::MissingScheme { got: text.into() });
        }
        for text in ["http://", "http://:80", "http://localhost/path", "http://me@localhost"] {
            assert_eq!(error(text), OriginPatternError::BadHost { got: text.into() });
        }
        for text in ["http://localhost:", "http://localhost:x", "http://localhost:65536"] {
            assert_eq!(error(text), OriginPatternError::BadPort { got: text.into() });
        }
    }

    #[test]
    fn lists_read_and_print_alike() {
        assert_eq!("all".parse(), Ok(AllowedOrigins::Any));
        let AllowedOrigins::Only(defaults) = AllowedOrigins::default() else { panic!("the default is a list") };
        let printed: Vec<String> = defaults.iter().map(OriginPattern::to_string).collect();
        assert_eq!(printed, DEFAULT_ORIGINS);
        assert_eq!(printed.join(", ").parse(), Ok(AllowedOrigins::default()));
    }
}
