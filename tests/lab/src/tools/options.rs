//! Option parsing as PVE's Perl tools do it: `--name value`, `--name=value`, `-name value`.

use std::collections::BTreeMap;

/// Arguments taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Parsed {
    pub(crate) words: Vec<String>,
    pub(crate) options: BTreeMap<String, String>,
}

/// Takes arguments apart; the error is the first option that is not known.
pub(crate) fn parse(args: &[&str], known: &[&str]) -> Result<Parsed, String> {
    let mut parsed = Parsed::default();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let Some(name) = arg
            .strip_prefix("--")
            .or_else(|| arg.strip_prefix('-'))
            .filter(|name| !name.is_empty())
        else {
            parsed.words.push((*arg).to_owned());
            continue;
        };
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => (name, rest.next().map(|value| (*value).to_owned()).unwrap_or_default()),
        };
        if !known.contains(&name) {
            return Err(name.to_owned());
        }
        parsed.options.insert(name.to_owned(), value);
    }
    Ok(parsed)
}

impl Parsed {
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// `--link0 A --link1 B`; an address may be written `address=A,priority=5`.
    pub(crate) fn links(&self) -> BTreeMap<u8, String> {
        (0..8)
            .filter_map(|number| {
                let value = self.option(&format!("link{number}"))?;
                let first = value.split(',').next().unwrap_or_default();
                Some((number, first.strip_prefix("address=").unwrap_or(first).to_owned()))
            })
            .collect()
    }
}

impl Parsed {
    /// The `priority=5` of the same options. PVE writes no 0 (PVE/Corosync.pm).
    pub(crate) fn priorities(&self) -> BTreeMap<u8, u32> {
        (0..8)
            .filter_map(|number| {
                let value = self.option(&format!("link{number}"))?;
                let priority = value.split(',').find_map(|part| part.strip_prefix("priority="))?;
                Some((number, priority.parse().ok().filter(|priority| *priority > 0)?))
            })
            .collect()
    }
}

pub(crate) const LINKS: [&str; 8] = ["link0", "link1", "link2", "link3", "link4", "link5", "link6", "link7"];

/// PVE's rule for names of nodes and clusters: letters, digits, inner hyphens.
pub(crate) fn valid_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
    !name.is_empty() && name.chars().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}
