//! PCI addresses as PVE writes them, and /etc/pve/mapping/pci.cfg: what a resource mapping means on each node.

use std::collections::BTreeMap;

/// By mapping's name: the nodes that have an entry, with the addresses that it means there.
pub type Mappings = BTreeMap<String, Vec<(String, Vec<String>)>>;

/// Reads the mappings. Sections have no type: a name alone at the beginning of a line, then `map id=…,node=…,path=…` once for each
/// device.
#[must_use]
pub fn read_mappings(text: &str) -> Mappings {
    let mut found = Mappings::new();
    let mut name: Option<String> = None;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if line.trim().is_empty() {
            name = None;
        } else if !line.starts_with(char::is_whitespace) {
            name = Some(line.trim().to_owned());
        } else if let Some(name) = &name
            && let Some(map) = line.trim().strip_prefix("map ")
            && let Some(entry) = entry(map)
        {
            found.entry(name.clone()).or_default().push(entry);
        }
    }
    found
}

fn entry(map: &str) -> Option<(String, Vec<String>)> {
    let value = |wanted: &str| {
        let mut pairs = map.split(',').filter_map(|word| word.trim().split_once('='));
        pairs.find_map(|(key, value)| (key == wanted).then_some(value))
    };
    let addresses = value("path")?.split(';').filter_map(with_domain).collect();
    Some((value("node")?.to_owned(), addresses))
}

/// `03:00.0`, `03:00` or either with a domain before it; with the domain, in lower case. `None`: it is no PCI address.
#[must_use]
pub fn with_domain(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let (place, function) = match text.split_once('.') {
        None => (text.as_str(), None),
        Some((place, function)) => (place, Some(function)),
    };
    let is_hex = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_hexdigit());
    let parts: Vec<&str> = place.split(':').collect();
    if !matches!(parts.len(), 2 | 3) || !parts.iter().copied().all(is_hex) || !function.is_none_or(is_hex) {
        return None;
    }
    Some(if parts.len() == 2 { format!("0000:{text}") } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_means_another_device_on_each_node() {
        let text = "hba\n\tdescription the disks\n\tmap id=1000:0097,iommugroup=5,node=prox1,path=0000:03:00.0\n\tmap \
                    id=1000:0097,node=prox2,path=0000:04:00.0;0000:04:00.1\n\ngpu\n\tmap id=10de:1,node=prox1,path=0000:81:00\n";
        let found = read_mappings(text);
        assert_eq!(
            found["hba"],
            [
                ("prox1".to_owned(), vec!["0000:03:00.0".to_owned()]),
                (
                    "prox2".to_owned(),
                    vec!["0000:04:00.0".to_owned(), "0000:04:00.1".to_owned()]
                ),
            ]
        );
        assert_eq!(found["gpu"], [("prox1".to_owned(), vec!["0000:81:00".to_owned()])]);
        assert!(read_mappings("").is_empty());
    }

    #[test]
    fn an_address_has_its_domain() {
        assert_eq!(with_domain("03:00.0").as_deref(), Some("0000:03:00.0"));
        assert_eq!(with_domain("10000:E1:00").as_deref(), Some("10000:e1:00"));
        assert_eq!(with_domain("mapping"), None);
        assert_eq!(with_domain(""), None);
    }
}
