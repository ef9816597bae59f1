//! Whom the coordinator calls: what any host can, and databases that rows are written into.

use std::fmt;
use std::str::FromStr;

use super::database::Address;

/// How it is written, for help and messages.
pub(crate) const FORMS: &str = "tcp:ADDRESS:PORT, tcp+banner:ADDRESS:PORT, tally:ADDRESS[:PORT], icmp:ADDRESS, http://HOST[:PORT]/PATH, \
                                https://HOST[:PORT]/PATH or postgres://USER@HOST[:PORT]/DATABASE[?sslmode=MODE]";

/// Somebody who may answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// What a node could call as well.
    Plain(quorate_probe::Target),
    /// `postgres://USER@HOST[:PORT]/DATABASE`: takes numbered rows.
    Database(Box<Address>),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (form, _) = text.split_once(':').unwrap_or((text, ""));
        match form {
            "postgres" => text.parse().map(Box::new).map(Self::Database),
            "tcp" | "tcp+banner" | "tally" | "icmp" | "http" | "https" => text.parse().map(Self::Plain),
            _ => Err(format!("`{text}` is not of one of the forms {FORMS}")),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(target) => target.fmt(f),
            Self::Database(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read_and_written() {
        for good in [
            "tcp:192.0.2.7:22",
            "tcp:[2001:db8::7]:22",
            "tally:[2001:db8::7]:7460",
            "icmp:2001:db8::7",
            "http://192.0.2.7/health",
            "postgres://drill@192.0.2.7/drill",
            "postgres://drill@[2001:db8::7]:5433/drill",
            "postgres://drill@%2Frun%2Fpostgresql/drill",
            "postgres://drill@192.0.2.7/drill?sslmode=disable",
            "postgres://drill@[2001:db8::7]/drill?sslmode=verify-full&sslrootcert=/etc/quorate/secrets/db.pem",
        ] {
            let target: Target = good.parse().unwrap();
            assert_eq!(target.to_string(), good);
        }
        for bad in [
            "192.0.2.7",
            "postgres:drill@192.0.2.7/drill",
            "postgres://192.0.2.7/drill",
            "postgres://drill@192.0.2.7",
            "postgres://drill@192.0.2.7,192.0.2.8/drill",
            "postgres://drill@192.0.2.7/drill?sslmode=verify-full",
            "postgres://drill@192.0.2.7/drill?connect_timeout=3",
            "postgres://drill@192.0.2.7:70000/drill",
        ] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
        let said = "postgres://drill@192.0.2.7/drill?password=hush"
            .parse::<Target>()
            .unwrap_err();
        assert!(!said.contains("hush"), "{said}");
        let said = "postgres://drill:hush@192.0.2.7/drill".parse::<Target>().unwrap_err();
        assert!(said.contains("--password-file") && !said.contains("hush"), "{said}");
    }
}
