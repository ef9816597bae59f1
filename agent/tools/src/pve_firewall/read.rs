//! Reading cluster.fw and host.fw: options and the rules of `[RULES]`. What is not understood in a rule makes it narrower
//! than it may be: such a rule is never taken to let somebody in.

use quorate_model::observation::config::{Firewall, FirewallRule};

use crate::ParseError;

/// One file.
#[derive(Debug, Default)]
struct File {
    enable: Option<bool>,
    policy_in: Option<String>,
    rules: Vec<FirewallRule>,
}

/// Reads both files; one that is missing says nothing.
///
/// # Errors
/// At a line outside of all sections, an option without a value, an `enable` that is no number, or half a rule.
pub fn read(cluster: Option<&str>, host: Option<&str>) -> Result<Firewall, ParseError> {
    let cluster = file("cluster.fw", cluster.unwrap_or_default())?;
    let host = file("host.fw", host.unwrap_or_default())?;
    Ok(Firewall {
        enabled: cluster.enable.unwrap_or(false),
        host_enabled: host.enable.unwrap_or(true),
        policy_in: cluster.policy_in.unwrap_or_else(|| "DROP".to_owned()),
        rules: cluster.rules,
        host_rules: host.rules,
    })
}

fn file(name: &'static str, text: &str) -> Result<File, ParseError> {
    let mut found = File::default();
    let mut section = None;
    for line in text.lines().map(str::trim) {
        let bad = |what| ParseError::at(name, line, what);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let title = rest.split_once(']').map(|(title, _)| title.trim().to_ascii_lowercase());
            section = Some(title.ok_or_else(|| bad("a section that is not closed"))?);
            continue;
        }
        match section.as_deref() {
            None => return Err(bad("a line that belongs to no section")),
            Some("options") => option(&mut found, line).ok_or_else(|| bad("expected `OPTION: VALUE`"))?,
            Some("rules") => found.rules.push(rule(line).ok_or_else(|| bad("expected a rule"))?),
            // Aliases, sets and groups: rules that lean on them are not resolved.
            Some(_) => {}
        }
    }
    Ok(found)
}

fn option(file: &mut File, line: &str) -> Option<()> {
    let (key, value) = line.split_once(':')?;
    let value = value.split('#').next().unwrap_or_default().trim();
    match key.trim().to_ascii_lowercase().as_str() {
        // pve-firewall takes any number; the web interface once wrote the time of switching on.
        "enable" => file.enable = Some(value.parse::<u64>().ok()? != 0),
        "policy_in" if value.is_empty() => return None,
        "policy_in" => file.policy_in = Some(value.to_ascii_uppercase()),
        _ => {}
    }
    Some(())
}

/// `|IN ACCEPT -i net0 -source 10.0.0.0/8 -p tcp -dport 22 -log nolog # comment`, or `GROUP name`.
fn rule(line: &str) -> Option<FirewallRule> {
    let (disabled, rest) = match line.strip_prefix('|') {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let mut words = rest.split('#').next().unwrap_or_default().split_whitespace();
    let mut rule = FirewallRule {
        text: line.to_owned(),
        disabled,
        direction: words.next()?.to_ascii_uppercase(),
        action: words.next()?.to_owned(),
        source: None,
        protocol: None,
        ports: None,
        narrowed: false,
    };
    while let Some(word) = words.next() {
        let (field, value) = match word.trim_start_matches('-') {
            _ if !word.starts_with('-') => {
                rule.narrowed = true;
                continue;
            }
            "source" => (&mut rule.source, words.next()?),
            "p" | "proto" => (&mut rule.protocol, words.next()?),
            "dport" => (&mut rule.ports, words.next()?),
            "log" => {
                words.next()?;
                continue;
            }
            // -i, -iface, -dest, -sport, -icmp-type, and what a later version may bring.
            _ => {
                rule.narrowed = true;
                words.next()?;
                continue;
            }
        };
        *field = Some(value.to_owned());
    }
    Some(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_files_is_no_firewall() {
        let firewall = read(None, None).unwrap();
        assert!(!firewall.enabled && firewall.host_enabled && firewall.policy_in == "DROP");
        assert_eq!((firewall.rules.len(), firewall.host_rules.len()), (0, 0));
    }

    #[test]
    fn options_and_rules_of_both_files() {
        let firewall = read(
            Some(fixture!("pve-firewall/5.1/cluster.fw")),
            Some(fixture!("pve-firewall/5.1/host.fw")),
        )
        .unwrap();
        assert!(firewall.enabled && firewall.host_enabled);
        assert_eq!(firewall.policy_in, "REJECT");
        let [ssh, agents, off, group] = firewall.rules.as_slice() else {
            panic!("{:?}", firewall.rules)
        };
        assert_eq!(
            (ssh.action.as_str(), ssh.source.as_deref()),
            ("SSH(ACCEPT)", Some("+management"))
        );
        assert_eq!(agents.source.as_deref(), Some("192.168.1.0/24,192.168.2.5"));
        assert_eq!(
            (agents.protocol.as_deref(), agents.ports.as_deref()),
            (Some("tcp"), Some("7440:7443"))
        );
        assert!(!agents.narrowed && !agents.disabled && off.disabled);
        assert_eq!((group.direction.as_str(), group.action.as_str()), ("GROUP", "web"));
        let [host] = firewall.host_rules.as_slice() else {
            panic!("{:?}", firewall.host_rules)
        };
        assert!(host.narrowed, "bound to an interface");
        assert_eq!(host.text, "IN DROP -i vmbr1 -p tcp -dport 7443 -log nolog");
    }

    #[test]
    fn it_says_who_is_let_in() {
        let lets = |rules: &str, from: &str| {
            let text = format!("[OPTIONS]\nenable: 1\n[RULES]\n{rules}\n");
            read(Some(&text), None).unwrap().lets_in(7443, from.parse().unwrap())
        };
        assert!(!lets("", "192.168.1.5"));
        assert!(lets(
            "IN ACCEPT -source 192.168.1.0/24 -p tcp -dport 7443",
            "192.168.1.5"
        ));
        assert!(!lets(
            "IN ACCEPT -source 192.168.1.0/24 -p tcp -dport 7443",
            "192.168.2.5"
        ));
        assert!(!lets("|IN ACCEPT -p tcp -dport 7443", "192.168.1.5"), "disabled");
        assert!(
            !lets("IN ACCEPT -p tcp -dport 7443 -dest 10.0.0.1", "192.168.1.5"),
            "narrowed"
        );
        assert!(
            !lets("IN ACCEPT -p tcp -dport 7443 -frob 1", "192.168.1.5"),
            "not understood"
        );
    }

    #[test]
    fn what_is_no_rule_is_an_error_with_its_line() {
        let error = |text: &str| read(Some(text), None).unwrap_err().to_string();
        assert_eq!(
            error("enable: 1\n"),
            "cluster.fw: a line that belongs to no section: `enable: 1`"
        );
        assert_eq!(error("[RULES\n"), "cluster.fw: a section that is not closed: `[RULES`");
        assert_eq!(
            error("[OPTIONS]\nenable: yes\n"),
            "cluster.fw: expected `OPTION: VALUE`: `enable: yes`"
        );
        assert_eq!(error("[RULES]\nIN\n"), "cluster.fw: expected a rule: `IN`");
        assert_eq!(
            error("[RULES]\nIN ACCEPT -source\n"),
            "cluster.fw: expected a rule: `IN ACCEPT -source`"
        );
    }
}
