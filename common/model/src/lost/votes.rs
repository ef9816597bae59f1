//! Quorum for what is left: is there any, and may it be had by fiat?

use crate::facet::Unknown;
use crate::finding::{Code, Finding};
use crate::observation::Ha;
use crate::observation::cluster::{Member, Pmxcfs};

/// How it stands with quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quorum {
    /// There is quorum, and /etc/pve can be written: nothing is to be done.
    There,
    /// There is none. The word was given that these votes, which are present, are to suffice.
    ByFiat(u32),
    /// There is none, and nothing can be done before this is mended.
    Refused(Finding),
}

/// What is said of the votes as they are.
#[must_use]
pub fn explained(member: &Member) -> String {
    match member.votes.get() {
        Ok(votes) => {
            let state = if votes.quorate {
                "there is quorum"
            } else {
                "there is NO quorum"
            };
            format!(
                "{} of {} votes are present, {} are needed: {state}",
                votes.total, votes.expected, votes.quorum
            )
        }
        Err(unknown) => format!("how many votes are present is not known: {}", unknown.reason),
    }
}

/// Judges it. `word`: the votes that the operator said are to suffice.
#[must_use]
pub fn judge(
    member: &Member,
    pmxcfs: Pmxcfs,
    ha: Result<&Ha, &Unknown>,
    (own, lost): (&str, &str),
    word: Option<u32>,
) -> Quorum {
    let refused = |code, message: String, next: String| Quorum::Refused(Finding::new(code, own, message, next));
    if member.quorate && pmxcfs == Pmxcfs::Writable {
        return Quorum::There;
    }
    if pmxcfs == Pmxcfs::NotMounted {
        let message = format!("/etc/pve is not mounted on {own}: nothing can be taken over");
        return refused(
            Code::PmxcfsNotReady,
            message,
            "systemctl start pve-cluster; then ask again".to_owned(),
        );
    }
    if member.quorate {
        let message = "there is quorum, and /etc/pve can't be written yet".to_owned();
        return refused(
            Code::ClusterNotQuorate,
            message,
            "wait a moment, and ask again; see pvecm status".to_owned(),
        );
    }
    let votes = match member.votes.get() {
        Ok(votes) => votes,
        Err(unknown) => {
            let message = format!("the votes can't be told: {}", unknown.reason);
            return refused(Code::FacetUnknown, message, "see: pvecm status".to_owned());
        }
    };
    if let Some(device) = &member.qdevice {
        let message = format!(
            "the QDevice at {} does not give its vote to {own}: it may have given it to {lost}, or can't be reached",
            device.host
        );
        let next = format!(
            "look at {} (corosync-qnetd-tool -l), and at the network to it",
            device.host
        );
        return refused(Code::RecoveryForeignVote, message, next);
    }
    let away: Vec<&str> = member
        .nodes
        .iter()
        .filter(|node| !node.online && node.name != lost && node.name != own)
        .map(|node| node.name.as_str())
        .collect();
    if !away.is_empty() {
        let message = format!(
            "{} is away beside {lost}: together they may have quorum, and run the guests of this cluster",
            away.join(", ")
        );
        let next = format!(
            "bring {} back; with it there is quorum, and nothing needs to be forced",
            away.join(" or ")
        );
        return refused(Code::RecoveryOthersAway, message, next);
    }
    match ha {
        Err(unknown) => {
            let message = format!("whether HA's watchdog is armed can't be told: {}", unknown.reason);
            return refused(
                Code::FacetUnknown,
                message,
                "see: ls -d /run/watchdog-mux.active".to_owned(),
            );
        }
        Ok(ha) if ha.watchdog_armed => {
            let message = format!(
                "HA's watchdog is armed on {own}, which has no quorum: it resets this server about 60 s after the quorum was lost, in \
                 the middle of whatever is begun"
            );
            let next =
                format!("wait until {own} has restarted; its watchdog is not armed then, and this can be asked again");
            return refused(Code::RecoveryWatchdog, message, next);
        }
        Ok(_) => {}
    }
    match word {
        Some(word) if word == votes.total => Quorum::ByFiat(word),
        Some(word) => refused(
            Code::RecoveryNeedsVotes,
            format!(
                "{} votes are present, not {word}: corosync takes no other number",
                votes.total
            ),
            format!("--expected-votes {}", votes.total),
        ),
        None => refused(
            Code::RecoveryNeedsVotes,
            format!(
                "the cluster has no quorum: {}; nothing can be taken over",
                explained(member)
            ),
            format!(
                "if you are sure that {lost} is off: --expected-votes {} (pvecm expected {}: what is left decides alone; if {lost} runs \
                 on without us, there are two clusters of one name)",
                votes.total, votes.total
            ),
        ),
    }
}
