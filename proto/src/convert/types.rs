//! What all messages share: findings, failures, drivers, and why something is unknown.

use quorate_model::JournalAnchor;
use quorate_model::facet::{Unknown, UnknownKind};
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::finding::{Finding, KnownFinding, Place, Severity};
use quorate_model::ids::Driver;
use quorate_model::passage::{Direction, Passage, Protocol};

use super::{ConvertError, Wire, field};
use crate::v1;

choice!(
    UnknownKind = v1::unknown::Kind {
        NotAsked,
        Unreachable,
        TimedOut,
        Failed,
        ToolMissing,
        Unparsable,
        Stale,
        NoAnswer,
    }
);
message!(Unknown = v1::Unknown { kind, reason });
choice!(Direction = v1::passage::Direction { In, Out });
choice!(Protocol = v1::passage::Protocol { Tcp, Udp });
message!(
    Passage = v1::Passage {
        direction,
        protocol,
        first,
        last
    }
);

message!(Driver = v1::Driver { generation, instance });
message!(
    JournalAnchor = v1::JournalAnchor {
        journal,
        position,
        digest,
        rollout,
        sequence
    }
);

choice!(
    Severity = v1::finding::Severity {
        Note,
        Warning,
        Refusal,
        Critical
    }
);
message!(
    Place = v1::Place {
        file,
        line,
        column,
        offset,
        length
    }
);
message!(
    Finding = v1::Finding {
        code,
        severity,
        subject,
        message,
        next,
        place
    }
);
message!(
    KnownFinding = v1::KnownFinding {
        code,
        subject,
        severity
    }
);

message!(
    Failure = v1::FailureDetail {
        exit,
        message,
        causes,
        hints,
        findings
    }
);

impl Wire<u32> for ExitCode {
    fn into_wire(self) -> u32 {
        self as u32
    }
    fn from_wire(wire: u32) -> Result<Self, ConvertError> {
        let known = Self::ALL
            .into_iter()
            .map(|(code, _)| code)
            .find(|code| *code as u32 == wire);
        known.ok_or_else(|| ConvertError::new(format!("is {wire}, which is no exit code")))
    }
}
