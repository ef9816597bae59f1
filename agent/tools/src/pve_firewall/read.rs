//! Reading cluster.fw and host.fw: options, rules, and what rules lean on (aliases, sets, security groups), which is put in its place.
//! What is not understood in a rule makes it narrower than it may be: such a rule is never taken to let somebody in, and always to
//! perhaps keep somebody out.

use std::collections::BTreeMap;

use quorate_model::observation::config::{Firewall, FirewallRule};

use crate::ParseError;

/// The set that PVE lets in to its own ports. The server's own network belongs to it without being named.
const MANAGEMENT: &str = "management";

/// The set that PVE drops before it looks at any rule.
const BLACKLIST: &str = "blacklist";

/// PVE's name for the server's own network, unless the file has an alias of that name: which one it is differs by server.
const LOCAL_NETWORK: &str = "local_network";

/// One file.
#[derive(Debug, Default)]
struct File {
    enable: Option<bool>,
    policy_in: Option<String>,
    policy_out: Option<String>,
    rules: Vec<FirewallRule>,
    /// By name, in lower case, as PVE compares them.
    aliases: BTreeMap<String, String>,
    sets: BTreeMap<String, Vec<String>>,
    groups: BTreeMap<String, Vec<FirewallRule>>,
}

/// A section of a file, with its name where it has one.
enum Section {
    Options,
    Rules,
    Aliases,
    Set(String),
    Group(String),
    /// None that is known here.
    Other,
}

/// Reads both files; one that is missing says nothing.
///
/// # Errors
/// At a line outside of all sections, an option without a value, an `enable` that is no number, or half a rule.
pub fn read(cluster: Option<&str>, host: Option<&str>) -> Result<Firewall, ParseError> {
    let mut cluster = file("cluster.fw", cluster.unwrap_or_default())?;
    let host = file("host.fw", host.unwrap_or_default())?;
    let host_rules = cluster.inlined(&host.rules);
    let mut rules: Vec<FirewallRule> = cluster
        .sets
        .contains_key(BLACKLIST)
        .then(blacklisted)
        .into_iter()
        .collect();
    rules.append(&mut cluster.rules);
    Ok(Firewall {
        enabled: cluster.enable.unwrap_or(false),
        host_enabled: host.enable.unwrap_or(true),
        rules: cluster.inlined(&rules),
        host_rules,
        management: cluster
            .sets
            .get(MANAGEMENT)
            .into_iter()
            .flatten()
            .map(|member| cluster.address(member))
            .collect(),
        policy_in: cluster.policy_in.unwrap_or_else(|| "DROP".to_owned()),
        policy_out: cluster.policy_out.unwrap_or_else(|| "ACCEPT".to_owned()),
    })
}

fn blacklisted() -> FirewallRule {
    FirewallRule {
        text: "[IPSET blacklist]".to_owned(),
        source: Some(format!("+{BLACKLIST}")),
        ..empty("IN", "DROP")
    }
}

fn empty(direction: &str, action: &str) -> FirewallRule {
    FirewallRule {
        text: String::new(),
        disabled: false,
        direction: direction.to_ascii_uppercase(),
        action: action.to_owned(),
        source: None,
        dest: None,
        protocol: None,
        ports: None,
        narrowed: false,
    }
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
            let title = title.ok_or_else(|| bad("a section that is not closed"))?;
            section = Some(found.section(&title));
            continue;
        }
        match &section {
            None => return Err(bad("a line that belongs to no section")),
            Some(Section::Options) => option(&mut found, line).ok_or_else(|| bad("expected `OPTION: VALUE`"))?,
            Some(Section::Rules) => found.rules.push(rule(line).ok_or_else(|| bad("expected a rule"))?),
            Some(Section::Group(group)) => {
                let rule = rule(line).ok_or_else(|| bad("expected a rule"))?;
                found.groups.entry(group.clone()).or_default().push(rule);
            }
            Some(Section::Aliases) => {
                let mut words = without_comment(line).split_whitespace();
                let (Some(alias), Some(address)) = (words.next(), words.next()) else {
                    return Err(bad("expected `ALIAS ADDRESS`"));
                };
                found.aliases.insert(alias.to_ascii_lowercase(), address.to_owned());
            }
            // `! ADDRESS` takes one out again: with the blank in it nobody takes it for an address.
            Some(Section::Set(set)) => {
                let member = without_comment(line).trim().to_owned();
                found.sets.entry(set.clone()).or_default().push(member);
            }
            Some(Section::Other) => {}
        }
    }
    Ok(found)
}

fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default()
}

impl File {
    /// Sets and groups are there with their heading, also when nothing follows.
    fn section(&mut self, title: &str) -> Section {
        let mut words = title.split_whitespace();
        match (words.next(), words.next()) {
            (Some("options"), None) => Section::Options,
            (Some("rules"), None) => Section::Rules,
            (Some("aliases"), None) => Section::Aliases,
            (Some("ipset"), Some(set)) => {
                self.sets.entry(set.to_owned()).or_default();
                Section::Set(set.to_owned())
            }
            (Some("group"), Some(group)) => {
                self.groups.entry(group.to_owned()).or_default();
                Section::Group(group.to_owned())
            }
            _ => Section::Other,
        }
    }

    /// Rules with the rules of security groups in the place of their names, and addresses in the place of aliases and sets.
    fn inlined(&self, rules: &[FirewallRule]) -> Vec<FirewallRule> {
        let mut found = Vec::new();
        for rule in rules {
            let group = rule.direction == "GROUP";
            match self.groups.get(&rule.action.to_ascii_lowercase()).filter(|_| group) {
                Some(of_group) => found.extend(of_group.iter().map(|inner| FirewallRule {
                    text: format!("{}: {}", rule.text, inner.text),
                    disabled: rule.disabled || inner.disabled,
                    // A group may be bound to an interface.
                    narrowed: rule.narrowed || inner.narrowed,
                    ..inner.clone()
                })),
                None => found.push(rule.clone()),
            }
        }
        for rule in &mut found {
            rule.source = rule.source.as_deref().map(|text| self.addresses(text));
            rule.dest = rule.dest.as_deref().map(|text| self.addresses(text));
        }
        found
    }

    /// A list of addresses, aliases and sets, as far as it can be resolved.
    fn addresses(&self, text: &str) -> String {
        let each = text.split(',').map(|part| {
            let part = part.trim();
            let Some(set) = part.strip_prefix('+') else {
                return self.address(part);
            };
            let set = set.strip_prefix("dc/").unwrap_or(set).to_ascii_lowercase();
            match self.sets.get(&set) {
                None => part.to_owned(),
                Some(members) => {
                    let own_network = (set == MANAGEMENT).then(|| self.address(LOCAL_NETWORK));
                    let members = members.iter().map(|member| self.address(member)).chain(own_network);
                    // An empty set holds nobody; an empty text would be everybody.
                    let members: Vec<String> = members.collect();
                    if members.is_empty() {
                        "0.0.0.0/32".to_owned()
                    } else {
                        members.join(",")
                    }
                }
            }
        });
        each.collect::<Vec<_>>().join(",")
    }

    /// An address, or what an alias stands for.
    fn address(&self, text: &str) -> String {
        let name = text.strip_prefix("dc/").unwrap_or(text).to_ascii_lowercase();
        self.aliases.get(&name).map_or_else(|| text.to_owned(), Clone::clone)
    }
}

fn option(file: &mut File, line: &str) -> Option<()> {
    let (key, value) = line.split_once(':')?;
    let value = value.split('#').next().unwrap_or_default().trim();
    match key.trim().to_ascii_lowercase().as_str() {
        // pve-firewall takes any number; the web interface once wrote the time of switching on.
        "enable" => file.enable = Some(value.parse::<u64>().ok()? != 0),
        "policy_in" if value.is_empty() => return None,
        "policy_in" => file.policy_in = Some(value.to_ascii_uppercase()),
        "policy_out" if value.is_empty() => return None,
        "policy_out" => file.policy_out = Some(value.to_ascii_uppercase()),
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
    let mut words = without_comment(rest).split_whitespace();
    let mut rule = FirewallRule {
        text: line.to_owned(),
        disabled,
        ..empty(words.next()?, words.next()?)
    };
    while let Some(word) = words.next() {
        let (field, value) = match word.trim_start_matches('-') {
            _ if !word.starts_with('-') => {
                rule.narrowed = true;
                continue;
            }
            "source" => (&mut rule.source, words.next()?),
            "dest" => (&mut rule.dest, words.next()?),
            "p" | "proto" => (&mut rule.protocol, words.next()?),
            "dport" => (&mut rule.ports, words.next()?),
            "log" => {
                words.next()?;
                continue;
            }
            // -i, -iface, -sport, -icmp-type, and what a later version may bring.
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
    use quorate_model::Passage;

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
            ("SSH(ACCEPT)", Some("192.0.2.7,192.0.2.0/24,local_network"))
        );
        assert_eq!(agents.source.as_deref(), Some("192.168.1.0/24,192.168.2.5"));
        assert_eq!(
            (agents.protocol.as_deref(), agents.ports.as_deref()),
            (Some("tcp"), Some("7440:7443"))
        );
        assert!(!agents.narrowed && !agents.disabled && off.disabled);
        assert_eq!((group.direction.as_str(), group.action.as_str()), ("IN", "ACCEPT"));
        assert_eq!(group.text, "GROUP web -i vmbr0: IN ACCEPT -p tcp -dport 80");
        assert!(group.narrowed, "bound to an interface");
        assert_eq!(firewall.management, ["192.0.2.7", "192.0.2.0/24"]);
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
            read(Some(&text), None)
                .unwrap()
                .lets(Passage::tcp_in(7443), from.parse().unwrap())
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
    fn groups_aliases_and_sets_are_looked_into() {
        let lets = |text: &str, from: &str| {
            let text = format!("[OPTIONS]\nenable: 1\n{text}");
            read(Some(&text), None)
                .unwrap()
                .lets(Passage::tcp_in(7443), from.parse().unwrap())
        };
        let accept = "IN ACCEPT -p tcp -dport 7443\n";
        assert!(
            !lets(
                &format!("[RULES]\nGROUP Shut\n{accept}[group shut]\nIN DROP -log info\n"),
                "192.168.1.5"
            ),
            "the group drops before"
        );
        assert!(lets(
            &format!("[RULES]\nGROUP other\n{accept}[group other]\nIN DROP -p udp\n"),
            "192.168.1.5"
        ));
        assert!(lets(
            &format!("[RULES]\nGROUP ours\n[group ours]\n{accept}"),
            "192.168.1.5"
        ));
        assert!(
            !lets(&format!("[RULES]\nGROUP gone\n{accept}"), "192.168.1.5"),
            "nobody knows what is in it"
        );
        assert!(lets(&format!("[RULES]\n|GROUP gone\n{accept}"), "192.168.1.5"));

        let named = |source: &str| {
            format!(
                "[RULES]\nIN ACCEPT -source {source} -p tcp -dport 7443\n\
                 [ALIASES]\nOffice 192.168.1.0/24 # we\n[IPSET admins] # who\n\ndc/office\n10.0.0.1 # and\n[IPSET none]\n"
            )
        };
        for source in ["office", "dc/office", "+admins", "+dc/admins", "10.0.0.9,+Admins"] {
            assert!(lets(&named(source), "192.168.1.5"), "{source}");
            assert!(!lets(&named(source), "192.168.2.5"), "{source}");
        }
        for source in ["nobody", "+nobody", "+sdn/office-all", "+none"] {
            assert!(!lets(&named(source), "192.168.1.5"), "{source}");
        }
        let taken_out =
            "[RULES]\nIN DROP -source +bad\nIN ACCEPT -p tcp -dport 7443\n[IPSET bad]\n10.0.0.0/8\n! 10.0.0.1\n";
        assert!(!lets(taken_out, "192.168.1.5"), "what is not understood may be meant");

        let blacklist = format!("[RULES]\n{accept}[IPSET blacklist]\n192.168.1.5\n");
        assert!(!lets(&blacklist, "192.168.1.5") && lets(&blacklist, "192.168.1.6"));
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
