//! Reads a corosync.conf that somebody wrote by hand, as far as it makes sense.

use std::collections::BTreeMap;

use super::conf::{Conf, ConfNode, Device, Fault};

impl Conf {
    /// What a text says. What can't be read is told in `fault`; what came before it counts.
    pub(crate) fn parse(text: &str) -> Self {
        let mut reader = Reader::default();
        let mut line = 0;
        for (index, content) in text.lines().enumerate() {
            line = index + 1;
            if let Err((corosync, pve)) = reader.line(content.trim()) {
                reader.conf.fault = Some(Fault { line, corosync, pve });
                break;
            }
        }
        let mut conf = reader.conf;
        if conf.fault.is_none() && !reader.sections.is_empty() {
            conf.fault = Some(Fault {
                line,
                corosync: "Missing closing brace",
                pve: "parse error - section not closed",
            });
        }
        if conf.links.is_empty() {
            conf.links = conf.nodes.iter().flat_map(|node| node.rings.keys().copied()).collect();
        }
        conf.links.sort_unstable();
        conf.links.dedup();
        if conf.fault.is_some() || conf.canonical() != text {
            conf.raw = Some(text.to_owned());
        }
        conf
    }
}

#[derive(Default)]
struct Reader {
    conf: Conf,
    /// The open sections, outermost first.
    sections: Vec<String>,
    /// The keys of the innermost one.
    keys: BTreeMap<String, String>,
    device: Option<BTreeMap<String, String>>,
}

type Broken = (&'static str, &'static str);

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), Broken> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if let Some(name) = line.strip_suffix('{') {
            self.sections.push(name.trim().to_owned());
            if self.path() != ["quorum", "device", "net"] {
                self.keys.clear();
            }
            return Ok(());
        }
        if line == "}" {
            if self.sections.is_empty() {
                return Err(("Unexpected closing brace", "parse error - uncexpected '}'"));
            }
            self.close();
            self.sections.pop();
            return Ok(());
        }
        let Some((key, value)) = line.split_once(':') else {
            return Err((
                "Line is not opening or closing section or key value",
                "parse error - missing ':' after key",
            ));
        };
        self.key(key.trim(), value.trim());
        Ok(())
    }

    fn path(&self) -> Vec<&str> {
        self.sections.iter().map(String::as_str).collect()
    }

    fn key(&mut self, key: &str, value: &str) {
        self.keys.insert(key.to_owned(), value.to_owned());
        if self.path() != ["totem"] {
            return;
        }
        let number = value.parse().ok();
        match key {
            "cluster_name" => value.clone_into(&mut self.conf.cluster_name),
            "config_version" => self.conf.version = number.unwrap_or(0),
            "token" => self.conf.token = number,
            "token_coefficient" => self.conf.token_coefficient = number,
            _ => {}
        }
    }

    fn close(&mut self) {
        let keys = &self.keys;
        let number = |key: &str| keys.get(key).and_then(|value| value.parse::<u32>().ok());
        match self.path().as_slice() {
            ["nodelist", "node"] => {
                let rings = (0..8)
                    .filter_map(|ring| Some((ring, keys.get(&format!("ring{ring}_addr"))?.clone())))
                    .collect();
                let node = ConfNode {
                    name: keys.get("name").cloned().unwrap_or_default(),
                    id: number("nodeid").unwrap_or(0),
                    votes: number("quorum_votes").unwrap_or(1),
                    rings,
                };
                self.conf.nodes.push(node);
            }
            ["totem", "interface"] => {
                let link = number("linknumber")
                    .and_then(|link| u8::try_from(link).ok())
                    .unwrap_or(0);
                self.conf.links.push(link);
                if let Some(priority) = number("knet_link_priority") {
                    self.conf.priorities.insert(link, priority);
                }
            }
            ["quorum", "device", "net"] => self.device = Some(keys.clone()),
            ["quorum", "device"] => {
                let net = self.device.take().unwrap_or_default();
                let get = |key: &str| net.get(key).cloned().unwrap_or_default();
                self.conf.device = Some(Device {
                    host: get("host"),
                    algorithm: get("algorithm"),
                    votes: number("votes"),
                });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_links() -> Conf {
        let node = |id: u32| ConfNode {
            name: format!("prox{id}"),
            id,
            votes: 1,
            rings: BTreeMap::from([(0, format!("10.10.10.{id}")), (1, format!("192.168.1.1{id}"))]),
        };
        let mut conf = Conf::first("lab1", node(1), 9);
        conf.nodes.push(node(2));
        conf.priorities.insert(1, 20);
        conf.token = Some(5000);
        conf.device = Some(Device {
            host: "192.168.1.13".to_owned(),
            algorithm: "ffsplit".to_owned(),
            votes: Some(1),
        });
        conf
    }

    #[test]
    fn what_pve_writes_is_read_back() {
        let conf = two_links();
        let read = Conf::parse(&conf.render());
        assert_eq!(read, conf);
    }

    #[test]
    fn a_text_by_hand_stays_until_something_is_changed() {
        let text = format!("# by hand\n{}", two_links().render());
        let mut conf = Conf::parse(&text);
        assert_eq!(conf.render(), text);
        conf.version += 1;
        assert!(!conf.render().contains("by hand"));
        assert!(conf.render().contains("config_version: 2"));
    }

    #[test]
    fn a_brace_too_many_is_told_with_its_line() {
        let text = format!("{}}}\n", two_links().render());
        let fault = Conf::parse(&text).fault;
        assert_eq!(
            fault.map(|fault| (fault.line, fault.corosync)),
            Some((text.lines().count(), "Unexpected closing brace"))
        );
    }
}
