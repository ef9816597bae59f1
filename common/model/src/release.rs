//! Versions of Quorate itself, and which of them work with each other.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A version: `MAJOR.MINOR.PATCH`, as the programs say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Release {
    major: u32,
    minor: u32,
    patch: u32,
}

/// A text that is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no version such as 1.2.3")]
pub struct InvalidRelease(String);

impl Release {
    /// The version that a Debian package of ours is of: without epoch, and without what Debian puts behind it.
    ///
    /// # Errors
    /// There is none in it.
    pub fn of_package(version: &str) -> Result<Self, InvalidRelease> {
        let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
        let upstream = upstream.split(['-', '+', '~']).next().unwrap_or_default();
        upstream.parse().map_err(|_| InvalidRelease(version.to_owned()))
    }

    /// Do agents and coordinators of the two work with each other? Those of one minor version do with the one before and the one after.
    #[must_use]
    pub fn goes_with(self, other: Self) -> bool {
        self.major == other.major && self.minor.abs_diff(other.minor) <= 1
    }
}

/// Why a coordinator and an agent must not work with each other; `None`: they may, or one of them does not tell its version, as before
/// there was a second one.
#[must_use]
pub fn apart(coordinator: &str, agent: &str) -> Option<String> {
    let (ours, theirs): (Release, Release) = (coordinator.parse().ok()?, agent.parse().ok()?);
    (!ours.goes_with(theirs)).then(|| {
        let which = if theirs < ours { "too old" } else { "too new" };
        format!("its agent is of version {theirs}, which is {which} for a coordinator of version {ours}: one minor version apart is the most")
    })
}

impl FromStr for Release {
    type Err = InvalidRelease;

    fn from_str(text: &str) -> Result<Self, InvalidRelease> {
        let invalid = || InvalidRelease(text.to_owned());
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse().ok()).flatten()
        };
        let numbers: Option<Vec<u32>> = text.split('.').map(number).collect();
        match numbers.as_deref() {
            Some([major, minor, patch]) => Ok(Self {
                major: *major,
                minor: *minor,
                patch: *patch,
            }),
            _ => Err(invalid()),
        }
    }
}

impl TryFrom<String> for Release {
    type Error = InvalidRelease;

    fn try_from(text: String) -> Result<Self, InvalidRelease> {
        text.parse()
    }
}

impl From<Release> for String {
    fn from(release: Release) -> Self {
        release.to_string()
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}.{}", self.major, self.minor, self.patch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(text: &str) -> Release {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_ordered_as_numbers() {
        assert!(release("0.9.0") < release("0.10.0") && release("1.0.0") > release("0.99.99"));
        assert_eq!(release("0.10.3").to_string(), "0.10.3");
        for bad in ["", "1.2", "1.2.3.4", "1.2.x", "v1.2.3", "1.2.3-1", "+1.2.3", "1..3"] {
            assert!(bad.parse::<Release>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_debian_adds_is_no_part_of_it() {
        for package in ["0.2.0", "0.2.0-1", "1:0.2.0-1~bpo12+1", "0.2.0+deb13", "0.2.0~rc1"] {
            assert_eq!(Release::of_package(package).unwrap(), release("0.2.0"), "{package}");
        }
        assert!(Release::of_package("2").is_err());
    }

    #[test]
    fn one_step_apart_is_the_most() {
        assert!(release("0.2.0").goes_with(release("0.3.7")) && release("0.3.0").goes_with(release("0.2.9")));
        assert!(!release("0.2.0").goes_with(release("0.4.0")) && !release("1.0.0").goes_with(release("0.9.0")));
        assert_eq!(apart("0.3.0", "0.2.0"), None);
        assert_eq!(apart("0.3.0", ""), None);
        assert!(apart("0.3.0", "0.1.0").unwrap().contains("too old"));
        assert!(apart("0.3.0", "0.5.0").unwrap().contains("too new"));
    }
}
