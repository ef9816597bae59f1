//! pve-firewall as its files have it, and what it lets through: without root on the server nobody can ask the kernel, so only what is
//! surely open counts as open.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::passage::{Direction, Passage, Protocol};

/// pve-firewall, as far as it can keep us out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firewall {
    /// `[OPTIONS] enable` of cluster.fw: without it nothing is filtered anywhere.
    pub enabled: bool,
    /// `enable` of this node's host.fw; on unless it says 0.
    pub host_enabled: bool,
    /// `policy_in` of cluster.fw; `DROP` unless it says otherwise.
    pub policy_in: String,
    /// `policy_out` of cluster.fw; `ACCEPT` unless it says otherwise.
    #[serde(default = "accept")]
    pub policy_out: String,
    /// What `[IPSET management]` of cluster.fw holds: PVE lets these in to its own ports, beside the server's own network.
    #[serde(default)]
    pub management: Vec<String>,
    /// The `[RULES]` of cluster.fw, in order; security groups stand there with their rules.
    pub rules: Vec<FirewallRule>,
    /// The `[RULES]` of this node's host.fw, which come first.
    pub host_rules: Vec<FirewallRule>,
}

fn accept() -> String {
    "ACCEPT".to_owned()
}

/// A firewall rule, as far as it is understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallRule {
    /// The line, whole; before a rule of a security group stands the line that names the group.
    pub text: String,
    /// It is switched off (begins with `|`).
    pub disabled: bool,
    /// `IN`, `OUT` …; `GROUP`: a group that nobody could look into.
    pub direction: String,
    /// `ACCEPT`, `DROP`, `REJECT`, or `MACRO(ACTION)` as written.
    pub action: String,
    /// `-source`: addresses and networks, with aliases and sets resolved; what can't be resolved stands there as written.
    pub source: Option<String>,
    /// `-dest`, likewise.
    #[serde(default)]
    pub dest: Option<String>,
    /// `-p`.
    pub protocol: Option<String>,
    /// `-dport`, as written.
    pub ports: Option<String>,
    /// Other conditions that it has (interface, source port …): it then holds for less than all.
    pub narrowed: bool,
}

/// How much of something a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Covers {
    Nothing,
    /// A part of it, or perhaps.
    Part,
    All,
}

impl Firewall {
    /// Does it surely let this through, to or from that address?
    #[must_use]
    pub fn lets(&self, passage: Passage, peer: IpAddr) -> bool {
        if !self.filters() {
            return true;
        }
        let policy = match passage.direction {
            Direction::In => &self.policy_in,
            Direction::Out => &self.policy_out,
        };
        self.rules_say(passage, peer)
            .unwrap_or_else(|| policy.eq_ignore_ascii_case("ACCEPT"))
    }

    /// What the written rules alone say, before PVE's own rules and the policy. `None`: nothing. `Some(false)`: they may keep it out.
    #[must_use]
    pub fn rules_say(&self, passage: Passage, peer: IpAddr) -> Option<bool> {
        if !self.filters() {
            return None;
        }
        self.host_rules
            .iter()
            .chain(&self.rules)
            .filter(|rule| !rule.disabled)
            .find_map(|rule| rule.says(passage, peer))
    }

    /// Does `[IPSET management]` name it?
    #[must_use]
    pub fn manages_from(&self, peer: IpAddr) -> bool {
        covers_address(&self.management.join(","), peer) == Covers::All
    }

    fn filters(&self) -> bool {
        self.enabled && self.host_enabled
    }

    /// The same as a server gets it that has no host.fw of its own.
    #[must_use]
    pub fn of_cluster(&self) -> Self {
        Self {
            host_enabled: true,
            host_rules: Vec::new(),
            ..self.clone()
        }
    }
}

impl FirewallRule {
    /// Some(true): surely lets it through; Some(false): may keep it out; None: says nothing about it.
    fn says(&self, passage: Passage, peer: IpAddr) -> Option<bool> {
        let (written, near, far) = match passage.direction {
            Direction::In => ("IN", &self.dest, &self.source),
            Direction::Out => ("OUT", &self.source, &self.dest),
        };
        if self.direction.eq_ignore_ascii_case("GROUP") {
            // A group that is not there, or not understood: it may hold anything.
            return Some(false);
        }
        if !self.direction.eq_ignore_ascii_case(written) {
            return None;
        }
        // A macro stands for ports that are not looked into: one that accepts keeps nobody out.
        if self.action.to_ascii_uppercase().ends_with("(ACCEPT)") {
            return None;
        }
        let matters = [
            self.covers_protocol(passage.protocol),
            self.ports
                .as_deref()
                .map_or(Covers::All, |ports| covers_ports(ports, passage)),
            far.as_deref()
                .map_or(Covers::All, |addresses| covers_address(addresses, peer)),
            // Which of the own addresses is meant is not looked into.
            if near.is_some() || self.narrowed {
                Covers::Part
            } else {
                Covers::All
            },
        ];
        let accepts = self.action.eq_ignore_ascii_case("ACCEPT");
        match matters.into_iter().min() {
            Some(Covers::Nothing) | None => None,
            Some(Covers::All) => Some(accepts),
            // What accepts a part says nothing of the rest; what drops a part may drop ours.
            Some(Covers::Part) => (!accepts).then_some(false),
        }
    }

    fn covers_protocol(&self, wanted: Protocol) -> Covers {
        let number = match wanted {
            Protocol::Tcp => "6",
            Protocol::Udp => "17",
        };
        match self.protocol.as_deref() {
            None | Some("all" | "ip" | "0") => Covers::All,
            Some(written) if written.eq_ignore_ascii_case(&wanted.to_string()) || written == number => Covers::All,
            Some(_) => Covers::Nothing,
        }
    }
}

fn covers_ports(ports: &str, passage: Passage) -> Covers {
    let part = |part: &str| {
        let (low, high) = part.split_once(':').unwrap_or((part, part));
        match (low.trim().parse::<u16>(), high.trim().parse::<u16>()) {
            (Ok(low), Ok(high)) if low <= passage.first && passage.last <= high => Covers::All,
            (Ok(low), Ok(high)) if high < passage.first || passage.last < low => Covers::Nothing,
            // Some of them; or the name of a service, which is not looked into.
            _ => Covers::Part,
        }
    };
    ports.split(',').map(part).max().unwrap_or(Covers::Part)
}

/// An alias or a set that could not be resolved may hold it.
fn covers_address(addresses: &str, peer: IpAddr) -> Covers {
    let covers = |yes: bool| if yes { Covers::All } else { Covers::Nothing };
    let part = |part: &str| {
        if let Ok(network) = part.parse::<ipnet::IpNet>() {
            covers(network.contains(&peer))
        } else if let Ok(address) = part.parse::<IpAddr>() {
            covers(address == peer)
        } else if let Some((Ok(low), Ok(high))) = part
            .split_once('-')
            .map(|(low, high)| (low.trim().parse::<IpAddr>(), high.trim().parse::<IpAddr>()))
        {
            covers(low <= peer && peer <= high)
        } else {
            Covers::Part
        }
    };
    let parts = addresses.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(part).max().unwrap_or(Covers::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passage::MEASURE_PORTS;

    fn rule(action: &str, source: Option<&str>, ports: Option<&str>) -> FirewallRule {
        FirewallRule {
            text: String::new(),
            disabled: false,
            direction: "IN".into(),
            action: action.into(),
            source: source.map(Into::into),
            dest: None,
            protocol: ports.map(|_| "tcp".into()),
            ports: ports.map(Into::into),
            narrowed: false,
        }
    }

    fn firewall(rules: Vec<FirewallRule>) -> Firewall {
        Firewall {
            enabled: true,
            host_enabled: true,
            policy_in: "DROP".into(),
            policy_out: "ACCEPT".into(),
            management: vec![],
            rules,
            host_rules: vec![],
        }
    }

    fn from() -> IpAddr {
        "192.168.1.5".parse().unwrap()
    }

    #[test]
    fn only_what_surely_lets_in_counts() {
        let lets = |rules| firewall(rules).lets(Passage::tcp_in(7443), from());
        assert!(!lets(vec![]));
        assert!(lets(vec![rule("ACCEPT", None, Some("7443"))]));
        assert!(lets(vec![rule("ACCEPT", Some("192.168.1.0/24"), Some("22,7440:7443"))]));
        assert!(lets(vec![rule("ACCEPT", Some("192.168.1.1-192.168.1.9"), None)]));
        assert!(!lets(vec![rule("ACCEPT", Some("10.0.0.0/8"), Some("7443"))]));
        assert!(
            !lets(vec![rule("ACCEPT", Some("+sdn/office"), Some("7443"))]),
            "what can't be resolved is not taken to let in"
        );
        assert!(
            lets(vec![rule("ACCEPT", Some("+sdn/office,192.168.1.5"), Some("7443"))]),
            "nor does it take back what is plain"
        );
        assert!(!lets(vec![
            rule("DROP", Some("+sdn/bad"), None),
            rule("ACCEPT", None, Some("7443"))
        ]));
        assert!(lets(vec![
            rule("DROP", None, Some("22")),
            rule("ACCEPT", None, Some("7443"))
        ]));
        assert!(
            !lets(vec![
                rule("DROP", None, Some("smtp")),
                rule("ACCEPT", None, Some("7443"))
            ]),
            "the name of a service may be any port"
        );
        assert!(
            lets(vec![
                rule("SSH(ACCEPT)", None, None),
                rule("ACCEPT", None, Some("7443"))
            ]),
            "a macro that accepts keeps nobody out"
        );
        assert!(!lets(vec![rule("SSH(ACCEPT)", None, None)]), "nor surely lets us in");
        let narrowed = FirewallRule {
            narrowed: true,
            ..rule("ACCEPT", None, Some("7443"))
        };
        assert!(!lets(vec![narrowed]));
        let to_one_address = FirewallRule {
            dest: Some("10.0.0.1".into()),
            ..rule("ACCEPT", None, Some("7443"))
        };
        assert!(!lets(vec![to_one_address]));
        let disabled = FirewallRule {
            disabled: true,
            ..rule("ACCEPT", None, Some("7443"))
        };
        assert!(!lets(vec![disabled]));
        let group = FirewallRule {
            direction: "GROUP".into(),
            ..rule("web", None, None)
        };
        assert!(
            !lets(vec![group, rule("ACCEPT", None, Some("7443"))]),
            "a group that nobody could look into may drop"
        );
    }

    #[test]
    fn protocol_range_and_direction_count() {
        let udp = |ports: &str| FirewallRule {
            protocol: Some("udp".into()),
            ..rule("ACCEPT", None, Some(ports))
        };
        let (inward, outward) = (
            Passage::udp(Direction::In, &MEASURE_PORTS),
            Passage::udp(Direction::Out, &MEASURE_PORTS),
        );
        assert!(
            !firewall(vec![rule("ACCEPT", None, Some("7450:7459"))]).lets(inward, from()),
            "TCP"
        );
        assert!(firewall(vec![udp("7400:7500")]).lets(inward, from()));
        assert!(
            !firewall(vec![udp("7450:7455")]).lets(inward, from()),
            "not all of them"
        );
        let drop = FirewallRule {
            action: "DROP".into(),
            ..udp("7455")
        };
        assert!(
            !firewall(vec![drop, udp("7400:7500")]).lets(inward, from()),
            "one of them is dropped"
        );

        assert!(
            firewall(vec![]).lets(outward, from()),
            "the policy for what goes out is another"
        );
        let shut = |rules| Firewall {
            policy_out: "DROP".into(),
            ..firewall(rules)
        };
        assert!(
            !shut(vec![udp("7450:7459")]).lets(outward, from()),
            "a rule for what comes in"
        );
        let out = FirewallRule {
            direction: "OUT".into(),
            dest: Some("192.168.1.0/24".into()),
            ..udp("7450:7459")
        };
        assert!(shut(vec![out.clone()]).lets(outward, from()));
        assert!(!shut(vec![out]).lets(outward, "10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn before_pves_own_rules_only_the_written_ones_count() {
        let corosync = Passage::udp(Direction::In, &(5405..=5405));
        assert_eq!(firewall(vec![]).rules_say(corosync, from()), None);
        assert_eq!(
            firewall(vec![rule("DROP", None, None)]).rules_say(corosync, from()),
            Some(false)
        );
        let managed = Firewall {
            management: vec!["192.168.1.0/24".into()],
            ..firewall(vec![])
        };
        assert!(managed.manages_from(from()) && !firewall(vec![]).manages_from(from()));
    }

    #[test]
    fn a_firewall_that_is_off_keeps_nobody_out() {
        let agent = Passage::tcp_in(7443);
        let off = Firewall {
            enabled: false,
            ..firewall(vec![rule("DROP", None, None)])
        };
        assert!(off.lets(agent, from()) && off.rules_say(agent, from()).is_none());
        let off_here = Firewall {
            host_enabled: false,
            ..firewall(vec![])
        };
        assert!(off_here.lets(agent, from()) && !off_here.of_cluster().lets(agent, from()));
        let open = Firewall {
            policy_in: "ACCEPT".into(),
            ..firewall(vec![])
        };
        assert!(open.lets(agent, from()));
    }
}
