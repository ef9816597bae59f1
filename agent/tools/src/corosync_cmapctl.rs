//! `corosync-cmapctl`: the version of the configuration that each member really runs with, its timers, and what knet measures on the links.

use std::collections::BTreeMap;

use quorate_exec::{Invocation, Tools};
use quorate_model::observation::cluster::{LinkLatency, LinkPings, Totem};

use crate::{CallError, ParseError};

/// Its name.
pub const NAME: &str = "corosync-cmapctl";

/// Asks for the runtime keys of the members, values uncut (`-b`).
///
/// # Errors
/// When it is not installed.
pub fn members(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["-b", "runtime.members."]).build()?)
}

/// Asks for what knet counts and measures on every link: another map than the runtime keys.
///
/// # Errors
/// When it is not installed.
pub fn link_statistics(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["-m", "stats", "stats.knet.node"]).build()?)
}

/// Asks for the timers that corosync runs with, values uncut (`-b`).
///
/// # Errors
/// When it is not installed.
pub fn timers(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["-b", "runtime.config.totem."]).build()?)
}

/// A member in corosync's runtime map. Its `ip` is left out on purpose: it goes stale when links change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeMember {
    /// config_version that it runs with.
    pub config_version: u64,
    /// `joined` rather than `left`.
    pub joined: bool,
}

/// Reads the members by id.
///
/// # Errors
/// When a line is no `KEY (TYPE) = VALUE`, or a member lacks version or status.
pub fn read(stdout: &str) -> Result<BTreeMap<u32, RuntimeMember>, ParseError> {
    let mut found: BTreeMap<u32, (Option<u64>, Option<bool>)> = BTreeMap::new();
    for line in stdout.lines().filter(|line| !line.trim().is_empty()) {
        let bad = |what| ParseError::at(NAME, line, what);
        let (key, value) = key_and_value(line)?;
        let Some((id, field)) = key
            .strip_prefix("runtime.members.")
            .and_then(|rest| rest.split_once('.'))
        else {
            continue;
        };
        let id = id.parse().map_err(|_| bad("expected a node's id"))?;
        let member = found.entry(id).or_default();
        match field {
            "config_version" => member.0 = Some(value.parse().map_err(|_| bad("expected a number"))?),
            "status" => member.1 = Some(value == "joined"),
            _ => {}
        }
    }
    let whole = |(id, (version, joined)): (u32, (Option<u64>, Option<bool>))| match (version, joined) {
        (Some(config_version), Some(joined)) => Ok((id, RuntimeMember { config_version, joined })),
        _ => Err(ParseError::missing(
            NAME,
            format!("config_version or status of member {id} is missing"),
        )),
    };
    found.into_iter().map(whole).collect()
}

/// What is gathered of a link until all of it was read.
#[derive(Default)]
struct Measured {
    average: Option<u32>,
    longest: Option<u32>,
    shortest: Option<u32>,
    samples: Option<u32>,
}

/// Reads what knet measured on each link to another node. A link that no ping ever came back on has no latency, and neither has the
/// node's link to itself: corosync lists them with no samples, and they are left out.
///
/// # Errors
/// When a line is no `KEY (TYPE) = VALUE`, or a link lacks one of the figures.
pub fn read_latencies(stdout: &str) -> Result<Vec<LinkLatency>, ParseError> {
    let mut found: BTreeMap<(u32, u8), Measured> = BTreeMap::new();
    for line in stdout.lines().filter(|line| !line.trim().is_empty()) {
        let bad = |what| ParseError::at(NAME, line, what);
        let (key, value) = key_and_value(line)?;
        // Beside the nodes there are handles, whose keys are others.
        let Some(rest) = key.strip_prefix("stats.knet.node") else {
            continue;
        };
        let mut parts = rest.splitn(3, '.');
        let (Some(peer), Some(link), Some(field)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let Some(number) = link.strip_prefix("link") else {
            continue;
        };
        let peer = peer.parse().map_err(|_| bad("expected a node's id"))?;
        let number = number.parse().map_err(|_| bad("expected a link's number"))?;
        let link = found.entry((peer, number)).or_default();
        let place = match field {
            "latency_ave" => &mut link.average,
            "latency_max" => &mut link.longest,
            "latency_min" => &mut link.shortest,
            "latency_samples" => &mut link.samples,
            _ => continue,
        };
        *place = Some(value.parse().map_err(|_| bad("expected a number"))?);
    }
    let mut latencies = Vec::new();
    for ((peer, number), measured) in found {
        let missing = |what| ParseError::missing(NAME, format!("{what} of link {number} to node {peer} is missing"));
        let samples = measured.samples.ok_or_else(|| missing("latency_samples"))?;
        let latency = LinkLatency {
            peer,
            number,
            average: measured.average.ok_or_else(|| missing("latency_ave"))?,
            longest: measured.longest.ok_or_else(|| missing("latency_max"))?,
            shortest: measured.shortest.ok_or_else(|| missing("latency_min"))?,
            samples,
        };
        if samples > 0 {
            latencies.push(latency);
        }
    }
    Ok(latencies)
}

/// Reads the timers. What there is beside them is none of ours.
///
/// # Errors
/// When a line is no `KEY (TYPE) = VALUE`, token or consensus is missing, or a link lacks one of its two.
pub fn read_timers(stdout: &str) -> Result<Totem, ParseError> {
    let (mut token, mut consensus) = (None, None);
    let mut pings: BTreeMap<u8, (Option<u32>, Option<u32>)> = BTreeMap::new();
    for line in stdout.lines().filter(|line| !line.trim().is_empty()) {
        let bad = |what| ParseError::at(NAME, line, what);
        let (key, value) = key_and_value(line)?;
        let Some(key) = key.strip_prefix("runtime.config.totem.") else {
            continue;
        };
        let milliseconds = || value.parse::<u32>().map_err(|_| bad("expected milliseconds"));
        let of_link = key
            .strip_prefix("interface.")
            .and_then(|rest| rest.split_once('.'))
            .filter(|(_, field)| matches!(*field, "knet_ping_interval" | "knet_ping_timeout"));
        match (key, of_link) {
            ("token", _) => token = Some(milliseconds()?),
            ("consensus", _) => consensus = Some(milliseconds()?),
            (_, Some((link, field))) => {
                let link = link.parse().map_err(|_| bad("expected a link's number"))?;
                let of_link = pings.entry(link).or_default();
                if field == "knet_ping_interval" {
                    of_link.0 = Some(milliseconds()?);
                } else {
                    of_link.1 = Some(milliseconds()?);
                }
            }
            _ => {}
        }
    }
    let missing = |what: String| ParseError::missing(NAME, format!("{what} is missing"));
    let whole = |(link, of_link): (u8, (Option<u32>, Option<u32>))| match of_link {
        (Some(interval), Some(timeout)) => Ok(LinkPings {
            link,
            interval,
            timeout,
        }),
        _ => Err(missing(format!(
            "knet_ping_interval or knet_ping_timeout of link {link}"
        ))),
    };
    Ok(Totem {
        token: token.ok_or_else(|| missing("runtime.config.totem.token".to_owned()))?,
        consensus: consensus.ok_or_else(|| missing("runtime.config.totem.consensus".to_owned()))?,
        pings: pings.into_iter().map(whole).collect::<Result<_, _>>()?,
    })
}

/// `KEY (TYPE) = VALUE`.
fn key_and_value(line: &str) -> Result<(&str, &str), ParseError> {
    let (left, value) = line
        .split_once(" = ")
        .ok_or_else(|| ParseError::at(NAME, line, "expected `KEY (TYPE) = VALUE`"))?;
    let key = left.split(" (").next().unwrap_or(left);
    Ok((key.trim(), value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_by_link() {
        assert_eq!(
            link_statistics(&Tools::imagined()).unwrap().to_string(),
            "/usr/bin/corosync-cmapctl -m stats stats.knet.node"
        );
        let shown = |text: &str| -> Vec<String> {
            let show = |l: LinkLatency| {
                format!(
                    "{}/{} {} ({} to {}, {} times)",
                    l.peer, l.number, l.average, l.shortest, l.longest, l.samples
                )
            };
            read_latencies(text).unwrap().into_iter().map(show).collect()
        };
        let wanted = [
            "2/0 116 (116 to 198, 200 times)",
            "2/1 112 (112 to 210, 200 times)",
            "3/0 763 (288 to 4309, 186 times)",
            "3/1 637 (193 to 3490, 190 times)",
        ];
        // The node itself is listed too, and has no latency.
        assert_eq!(shown(fixture!("corosync-cmapctl/3.1.7/knet-two-links.out")), wanted);
        assert_eq!(shown(fixture!("corosync-cmapctl/3.1.7/knet-alone.out")).len(), 0);
    }

    #[test]
    fn half_a_latency_is_an_error() {
        let text = fixture!("corosync-cmapctl/3.1.7/knet-two-links.out");
        let lacking = text.replace(
            "stats.knet.node3.link1.latency_max",
            "stats.knet.node3.link1.latency_top",
        );
        let error = read_latencies(&lacking).unwrap_err();
        assert_eq!(
            error.to_string(),
            "corosync-cmapctl: latency_max of link 1 to node 3 is missing"
        );
        for (from, to) in [
            ("latency_ave (u32) = 116", "latency_ave (u32) = fast"),
            (
                "stats.knet.node2.link0.latency_ave",
                "stats.knet.nodeB.link0.latency_ave",
            ),
            (
                "stats.knet.node2.link0.latency_ave",
                "stats.knet.node2.linkA.latency_ave",
            ),
            ("latency_ave (u32) = 116", "latency_ave"),
        ] {
            assert!(read_latencies(&text.replacen(from, to, 1)).is_err(), "{to}");
        }
        // A key that another version adds is none of ours.
        let more = format!("{text}stats.knet.handle.size (u32) = 3\nstats.knet.node2.link0.new.one (u32) = 3\n");
        assert_eq!(read_latencies(&more).unwrap().len(), 4);
    }

    #[test]
    fn members_by_id() {
        assert_eq!(
            members(&Tools::imagined()).unwrap().to_string(),
            "/usr/bin/corosync-cmapctl -b runtime.members."
        );
        let found = read(fixture!("corosync-cmapctl/3.1.7/members.out")).unwrap();
        assert_eq!(found.len(), 3);
        assert!(found.values().all(|member| *member
            == RuntimeMember {
                config_version: 5,
                joined: true
            }));
        let found = read(fixture!("corosync-cmapctl/3.1.7/member-left.out")).unwrap();
        assert_eq!(
            found.values().map(|member| member.joined).collect::<Vec<_>>(),
            [true, true, false]
        );
    }

    #[test]
    fn timers_are_those_that_run() {
        assert_eq!(
            timers(&Tools::imagined()).unwrap().to_string(),
            "/usr/bin/corosync-cmapctl -b runtime.config.totem."
        );
        let text = fixture!("corosync-cmapctl/3.1.7/timers.out");
        let wanted = Totem {
            token: 3000,
            consensus: 3600,
            pings: vec![LinkPings {
                link: 0,
                interval: 750,
                timeout: 1500,
            }],
        };
        assert_eq!(read_timers(text).unwrap(), wanted);
        // Four more keys begin with `token`, and none of them is it.
        let none = text.replace("runtime.config.totem.token (u32) = 3000\n", "");
        let error = read_timers(&none).unwrap_err();
        assert_eq!(
            error.to_string(),
            "corosync-cmapctl: runtime.config.totem.token is missing"
        );
        let half = text.replace("runtime.config.totem.interface.0.knet_ping_timeout (u32) = 1500\n", "");
        assert!(read_timers(&half).is_err());
        for (from, to) in [
            ("= 3000", "= soon"),
            ("interface.0.knet_ping_timeout", "interface.A.knet_ping_timeout"),
        ] {
            assert!(read_timers(&text.replacen(from, to, 1)).is_err(), "{to}");
        }
        assert!(read_timers("").is_err(), "nothing is not a token of nothing");
    }

    #[test]
    fn half_a_member_is_an_error() {
        let error = read("runtime.members.7.status (str) = joined\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "corosync-cmapctl: config_version or status of member 7 is missing"
        );
        assert!(read("Failed\n").is_err());
        assert!(read("runtime.members.x.status (str) = joined\n").is_err());
    }
}
