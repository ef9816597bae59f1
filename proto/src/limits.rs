//! Sizes and times that both ends of a connection must agree on, each with its reason.

use std::time::Duration;

/// The largest message that is taken or sent, in bytes: tonic's `max_decoding_message_size` and `max_encoding_message_size`.
/// An observation of a server with 100 disks is about 100 kB and a plan for 16 nodes less; no answer comes near,
/// and a peer gone mad can't make us hold more for one message.
pub const MAX_MESSAGE: usize = 4 << 20;

/// The largest cluster file, in bytes. One with every table for 32 nodes has about 20 kB.
pub const MAX_CLUSTER_FILE: usize = 256 << 10;

/// All headers of a request or answer together, in bytes, as HTTP/2 counts them. It is hyper's own default on both
/// ends, written down because a refusal travels in them: see [`MAX_STATUS_DETAILS`].
pub const MAX_HEADERS: u32 = 16 << 10;

/// The findings of a refused call, in bytes. They travel base64-encoded (a third more) in the headers, beside the
/// message: a status above [`MAX_HEADERS`] would reach the caller as a broken connection without a reason.
pub const MAX_STATUS_DETAILS: usize = 8 << 10;

/// The message of a refused call, in bytes: in headers each may take three. The whole text is in the details.
pub const MAX_STATUS_MESSAGE: usize = 512;

/// Calls at one time on one connection. A coordinator has a health stream, an operation and a few questions open.
pub const MAX_STREAMS: u32 = 32;

/// From dialling to an open TCP connection. A server in the same rack answers in a millisecond, one that is down never.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// From an open TCP connection to a finished TLS handshake; on the server, too, so that nobody holds a place by silence.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// An HTTP/2 ping is sent after this long, on both ends, also while nothing is asked.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// How long its answer may take. With the interval: a peer that vanished is noticed within 10 s, well before
/// corosync's and the watchdog's 60 s, and not by one lost packet.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A call that only asks for what is at hand: lists, ledgers, the driver's record, certificates.
pub const QUICK_CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A facet of an observation, with all that it asks one after the other; the slowest reads have 25 s themselves (`pvesm` beside a file
/// server that hangs). What takes longer is reported as unknown.
pub const FACET_TIMEOUT: Duration = Duration::from_secs(27);

/// An observation, every facet. They are looked at side by side, so this passes only if the agent itself hangs.
pub const OBSERVE_TIMEOUT: Duration = Duration::from_secs(30);

/// How many names one observation resolves: those of the largest cluster, with room.
pub const MAX_RESOLVED: usize = 64;

/// A join ticket: one `perl` with PVE's libraries, on a busy server some seconds.
pub const JOIN_TICKET_TIMEOUT: Duration = Duration::from_secs(30);

/// Between two parts of a package that is on its way.
pub const PACKAGE_SILENCE: Duration = Duration::from_secs(20);

/// The bytes of a package in one message: far below [`MAX_MESSAGE`].
pub const PACKAGE_PART: usize = 256 << 10;

/// The largest package that is taken, in bytes: twice what one may have.
pub const MAX_PACKAGE: u64 = 16 << 20;

/// The calls that bring one.
pub const PACKAGE_CALLS: [&str; 2] = ["/quorate.v1.Agent/StagePackage", "/quorate.v1.Coordinator/KeepPackage"];

/// What packages that are being taken may hold of memory, in bytes: two, and what goes around them.
pub const PACKAGES_HELD: usize = 33 << 20;

/// A package on its way to a node, and its signature looked at there: 8 MB over a slow line.
pub const PACKAGE_TIMEOUT: Duration = Duration::from_secs(120);

/// Opening or closing a node's end of a measurement, and what measuring takes beyond its packets: waiting for the last answers and
/// the search for the MTU.
pub const ECHO_TIMEOUT: Duration = Duration::from_secs(5);

/// Planning observes every node first, and may measure the network.
pub const PLAN_TIMEOUT: Duration = Duration::from_secs(75);

/// Between two messages of a health stream, if the caller names no other interval.
pub const HEALTH_INTERVAL: Duration = Duration::from_secs(1);

/// The shortest interval that an agent gives: ten a second.
pub const HEALTH_INTERVAL_SHORTEST: Duration = Duration::from_millis(100);

/// The longest interval that an agent gives: [`HEALTH_SILENCE`] must stay beyond it.
pub const HEALTH_INTERVAL_LONGEST: Duration = Duration::from_secs(10);

/// A health stream that says nothing for this long is given up, and what it said is stale. The keepalive finds dead
/// peers sooner; this finds a living one whose agent hangs.
pub const HEALTH_SILENCE: Duration = Duration::from_secs(20);

/// From one call of a probe to the next, in milliseconds, as agents grant it.
pub const PROBE_EVERY_MS: std::ops::RangeInclusive<u32> = 10..=60_000;

/// How long a probe of an agent may be asked to last, in seconds: a day.
pub const PROBE_SECONDS: std::ops::RangeInclusive<u32> = 1..=86_400;

/// Calls a second that one agent makes at most, for all who ask together. Each is a connection of its own, and costs less than half
/// a millisecond of CPU: a busy server must not notice it, nor whoever is called.
pub const PROBE_CALLS_A_SECOND: u32 = 100;

/// Probes of one agent at one time. Each is a stream of the coordinator's connection ([`MAX_STREAMS`]), on which what heals must have room.
pub const PROBES_AT_ONCE: usize = 12;

/// Looking up a name on the node, before the first call.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_agree_with_one_another() {
        let status = MAX_STATUS_DETAILS.div_ceil(3) * 4 + MAX_STATUS_MESSAGE * 3;
        assert!(
            status + 1024 < MAX_HEADERS as usize,
            "a full status and the usual headers fit"
        );
        const { assert!(MAX_CLUSTER_FILE * 4 < MAX_MESSAGE, "a file and its plan fit") };
        assert!(HEALTH_INTERVAL_LONGEST < HEALTH_SILENCE && HEALTH_INTERVAL_SHORTEST < HEALTH_INTERVAL);
        assert!(KEEPALIVE_INTERVAL + KEEPALIVE_TIMEOUT < HEALTH_SILENCE);
        assert!(OBSERVE_TIMEOUT < PLAN_TIMEOUT);
        const {
            assert!(
                PROBES_AT_ONCE * 2 < MAX_STREAMS as usize,
                "the rest goes on beside probes"
            )
        };
    }
}
