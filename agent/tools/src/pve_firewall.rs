//! pve-firewall's files: what they say, and rules of ours in cluster.fw, by their mark. Every other line stays as it is.

mod read;

use std::collections::BTreeSet;
use std::net::IpAddr;

use quorate_model::passage::{Direction, Passage};

pub use read::read;

/// What the comments of our rules begin with.
const MARK: &str = "# quorate:";

/// The text with rules at the top of `[RULES]` that open these ways for these addresses; our earlier ones go.
#[must_use]
pub fn with_agents(text: &str, passages: &BTreeSet<Passage>, from: &BTreeSet<IpAddr>) -> String {
    let mut lines: Vec<String> = text.lines().filter(|line| !is_ours(line)).map(str::to_owned).collect();
    let ours = passages
        .iter()
        .flat_map(|passage| from.iter().map(|address| rule(*passage, *address)));
    let heading = lines
        .iter()
        .position(|line| line.trim().eq_ignore_ascii_case("[RULES]"));
    let at = match heading {
        Some(at) => at + 1,
        None => {
            if lines.last().is_some_and(|line| !line.is_empty()) {
                lines.push(String::new());
            }
            lines.push("[RULES]".to_owned());
            lines.push(String::new());
            lines.len()
        }
    };
    // After the empty line that follows the heading, as PVE itself writes it.
    let at = if lines.get(at).is_some_and(String::is_empty) {
        at + 1
    } else {
        at
    };
    lines.splice(at..at, ours);
    lines.join("\n") + "\n"
}

/// A rule that was put there by [`with_agents`], also one that was switched off since. Somebody else's line with such a comment is none.
fn is_ours(line: &str) -> bool {
    let rule = line.trim_start_matches('|');
    let kind = rule.starts_with("IN ") || rule.starts_with("OUT ");
    kind && line.trim_end().ends_with(&format!("{MARK} agents"))
}

fn rule(passage: Passage, address: IpAddr) -> String {
    let Passage {
        direction,
        protocol,
        first,
        last,
    } = passage;
    let ports = if first == last {
        first.to_string()
    } else {
        format!("{first}:{last}")
    };
    let (direction, end) = match direction {
        Direction::In => ("IN", "source"),
        Direction::Out => ("OUT", "dest"),
    };
    format!("{direction} ACCEPT -{end} {address} -p {protocol} -dport {ports} -log nolog {MARK} agents")
}

#[cfg(test)]
mod tests {
    use quorate_model::passage::MEASURE_PORTS;

    use super::*;

    fn agent() -> BTreeSet<Passage> {
        BTreeSet::from([Passage::tcp_in(7443)])
    }

    #[test]
    fn our_rules_come_first_and_once() {
        let from = BTreeSet::from(["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()]);
        let text = "[OPTIONS]\n\nenable: 1\n\n[RULES]\n\nIN DROP -log nolog # last word\n";
        let once = with_agents(text, &agent(), &from);
        let rules: Vec<&str> = once.lines().filter(|line| line.starts_with("IN ")).collect();
        assert_eq!(
            rules,
            [
                "IN ACCEPT -source 192.0.2.1 -p tcp -dport 7443 -log nolog # quorate: agents",
                "IN ACCEPT -source 192.0.2.2 -p tcp -dport 7443 -log nolog # quorate: agents",
                "IN DROP -log nolog # last word",
            ]
        );
        assert_eq!(
            with_agents(&once, &agent(), &from),
            once,
            "a second time changes nothing"
        );
        assert_eq!(with_agents(&once, &agent(), &BTreeSet::new()), text);
    }

    #[test]
    fn a_file_without_rules_gets_some() {
        let from = BTreeSet::from(["192.0.2.1".parse().unwrap()]);
        let text = with_agents("[OPTIONS]\nenable: 1\n", &agent(), &from);
        assert!(
            text.ends_with("[RULES]\n\nIN ACCEPT -source 192.0.2.1 -p tcp -dport 7443 -log nolog # quorate: agents\n"),
            "{text}"
        );
    }

    #[test]
    fn what_is_written_is_read_as_open() {
        let from: BTreeSet<IpAddr> = BTreeSet::from(["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()]);
        let passages = BTreeSet::from([
            Passage::tcp_in(7443),
            Passage::udp(Direction::In, &MEASURE_PORTS),
            Passage::udp(Direction::Out, &MEASURE_PORTS),
        ]);
        let shut = "[OPTIONS]\nenable: 1\npolicy_out: DROP\n\n[RULES]\n\nGROUP all\n\n[group all]\nIN DROP\nOUT DROP\n";
        let text = with_agents(shut, &passages, &from);
        assert!(
            text.contains("OUT ACCEPT -dest 2001:db8::1 -p udp -dport 7450:7459 -log nolog # quorate: agents"),
            "{text}"
        );
        let (before, after) = (read(Some(shut), None).unwrap(), read(Some(&text), None).unwrap());
        for passage in passages {
            for address in &from {
                assert!(
                    !before.lets(passage, *address) && after.lets(passage, *address),
                    "{passage} {address}"
                );
            }
        }
    }

    #[test]
    fn only_our_own_rules_are_taken_away() {
        let theirs = "[OPTIONS] # quorate: see the wiki\nenable: 1\n\n[RULES]\n\nIN DROP -p tcp -dport 25 # quorate: agents do not mail\n";
        let ours = "IN ACCEPT -source 192.0.2.9 -p tcp -dport 7443 -log nolog # quorate: agents\n";
        let off = "|OUT ACCEPT -dest 192.0.2.9 -p udp -dport 7450:7459 -log nolog # quorate: agents\n";
        let text = with_agents(&format!("{theirs}{ours}{off}"), &BTreeSet::new(), &BTreeSet::new());
        assert_eq!(text, theirs);
    }
}
