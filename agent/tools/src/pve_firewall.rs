//! pve-firewall's files: what they say, and rules of ours in cluster.fw, by their mark. Every other line stays as it is.

mod read;

use std::collections::BTreeSet;
use std::net::IpAddr;

pub use read::read;

/// What the comments of our rules begin with.
const MARK: &str = "# quorate:";

/// The text with rules at the top of `[RULES]` that let these addresses in to the agents' port, and to the UDP ports on which agents
/// measure the network; our earlier ones go.
#[must_use]
pub fn with_agents(text: &str, port: u16, from: &BTreeSet<IpAddr>) -> String {
    let mut lines: Vec<String> = text
        .lines()
        .filter(|line| !line.contains(MARK))
        .map(str::to_owned)
        .collect();
    let ours = from
        .iter()
        .map(|address| format!("IN ACCEPT -source {address} -p tcp -dport {port} -log nolog {MARK} agents"));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_rules_come_first_and_once() {
        let from = BTreeSet::from(["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()]);
        let text = "[OPTIONS]\n\nenable: 1\n\n[RULES]\n\nIN DROP -log nolog # last word\n";
        let once = with_agents(text, 7443, &from);
        let rules: Vec<&str> = once.lines().filter(|line| line.starts_with("IN ")).collect();
        assert_eq!(
            rules,
            [
                "IN ACCEPT -source 192.0.2.1 -p tcp -dport 7443 -log nolog # quorate: agents",
                "IN ACCEPT -source 192.0.2.2 -p tcp -dport 7443 -log nolog # quorate: agents",
                "IN DROP -log nolog # last word",
            ]
        );
        assert_eq!(with_agents(&once, 7443, &from), once, "a second time changes nothing");
        assert_eq!(with_agents(&once, 7443, &BTreeSet::new()), text);
    }

    #[test]
    fn a_file_without_rules_gets_some() {
        let from = BTreeSet::from(["192.0.2.1".parse().unwrap()]);
        let text = with_agents("[OPTIONS]\nenable: 1\n", 7443, &from);
        assert!(
            text.ends_with("[RULES]\n\nIN ACCEPT -source 192.0.2.1 -p tcp -dport 7443 -log nolog # quorate: agents\n"),
            "{text}"
        );
    }
}
