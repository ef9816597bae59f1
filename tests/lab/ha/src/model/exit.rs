//! How requests to an LRM end.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How a request to the LRM ended: its exit code (facts C.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Success,
    /// 1: tried, and it did not work.
    Error,
    /// 2: is tried again without a word to anybody.
    TryAgain,
    /// 3: the service's configuration lies on another node.
    WrongNode,
    /// 4: nobody knows this type of service.
    UnknownServiceType,
    /// 5: nobody knows this request.
    UnknownCommand,
    /// 6: something is missing from the request.
    InvalidParameter,
    /// 7: the service is not configured.
    UnknownService,
    /// 8: not done, since there was no need any more.
    Ignored,
    /// -1: the agent could not even run.
    NotRun,
}

impl Exit {
    /// The number, as logs and files have it.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Success => 0,
            Self::Error => 1,
            Self::TryAgain => 2,
            Self::WrongNode => 3,
            Self::UnknownServiceType => 4,
            Self::UnknownCommand => 5,
            Self::InvalidParameter => 6,
            Self::UnknownService => 7,
            Self::Ignored => 8,
            Self::NotRun => -1,
        }
    }

    /// The exit code of a number; what is none of them did not run.
    #[must_use]
    pub fn from_code(code: i32) -> Self {
        match code {
            0 => Self::Success,
            1 => Self::Error,
            2 => Self::TryAgain,
            3 => Self::WrongNode,
            4 => Self::UnknownServiceType,
            5 => Self::UnknownCommand,
            6 => Self::InvalidParameter,
            7 => Self::UnknownService,
            8 => Self::Ignored,
            _ => Self::NotRun,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code())
    }
}

impl Serialize for Exit {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i32(self.code())
    }
}

impl<'de> Deserialize<'de> for Exit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self::from_code(i32::deserialize(from)?))
    }
}
