//! How long the engine waits for what, and how often it tries.

use std::time::Duration;

/// Waiting times. They are counted by the pauses alone, not by what looking takes in between: so they hold at every speed of a
/// lab's clock, and a wall clock that jumps does not shorten them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patience {
    /// Between two looks.
    pub look: Duration,
    /// For a gate that does not hold, or can't be judged, before the step is held. A membership change settles within 15 s.
    pub gate: Duration,
    /// For what was wanted to be seen after the agent reported the end, or for a state that is neither the old nor the new to settle.
    /// On a joined node /etc/pve becomes writable some seconds after `pvecm add` returns.
    pub settle: Duration,
    /// For an agent that certainly has not got the request.
    pub reach: Duration,
    /// The same as `gate` and `reach` for a step that takes back what was done for a time only: giving up on it leaves HA disarmed.
    /// Longer than a server takes to boot.
    pub restore: Duration,
    /// For leave to disturb the cluster, while HA is disarmed for what must wait. Enough for a freeze by mistake to be taken back; a
    /// window may open in a week only.
    pub leave: Duration,
    /// For PVE's lock on corosync.conf, which another command holds or has left behind: such a one is broken after 120 s.
    pub lock: Duration,
    /// The first pause before trying a connection again; it doubles each time.
    pub reconnect: Duration,
    /// The longest such pause.
    pub reconnect_at_most: Duration,
    /// Before a failed attempt is followed by another; grows with each.
    pub retry: Duration,
    /// Attempts that may fail before the step does.
    pub attempts: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            look: Duration::from_secs(1),
            gate: Duration::from_secs(60),
            settle: Duration::from_secs(60),
            reach: Duration::from_secs(120),
            restore: Duration::from_secs(900),
            leave: Duration::from_secs(120),
            lock: Duration::from_secs(130),
            reconnect: Duration::from_secs(1),
            reconnect_at_most: Duration::from_secs(30),
            retry: Duration::from_secs(5),
            attempts: 3,
        }
    }
}
