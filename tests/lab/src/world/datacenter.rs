//! datacenter.cfg: options of the whole cluster, and what of them decides how data goes from server to server.

use std::collections::BTreeMap;

use super::guest_times::{INSECURE_RATE, PUBLIC_RATE, SECURE_RATE};
use super::pmxcfs::Replica;
use super::server::Network;

const FILE: &str = "datacenter.cfg";
/// What an installation writes.
const FRESH: &str = "keyboard: en-us\n";

/// The options, by name, as they are written.
pub(crate) fn options(replica: &Replica) -> BTreeMap<String, String> {
    let text = replica.files.get(FILE).map_or(FRESH, String::as_str);
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// Writes them all.
pub(crate) fn write(replica: &mut Replica, options: &BTreeMap<String, String>) {
    let lines = options.iter().map(|(key, value)| format!("{key}: {value}\n"));
    let text: String = lines.collect();
    replica.write_file(FILE, &text);
}

/// `type=secure,network=10.10.10.0/24`, taken apart; a word alone is the default key's value.
pub(crate) fn parts(text: &str, default: &str) -> BTreeMap<String, String> {
    let words = text.split(',').filter(|word| !word.is_empty());
    words
        .map(|word| {
            let (key, value) = word.split_once('=').unwrap_or((default, word));
            (key.trim().to_owned(), value.trim().to_owned())
        })
        .collect()
}

/// How data goes from server to server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Road {
    pub(crate) network: Network,
    pub(crate) insecure: bool,
}

impl Road {
    /// Bytes per second; `limit` in MB/s.
    pub(crate) fn rate(self, limit: Option<f64>) -> u64 {
        let rate = match (self.network, self.insecure) {
            (Network::Public, _) => PUBLIC_RATE,
            (Network::Cluster, false) => SECURE_RATE,
            (Network::Cluster, true) => INSECURE_RATE,
        };
        limit.map_or(rate, |limit| rate.min(bytes(limit)))
    }
}

/// Of a rate in MB/s; PVE takes none below one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
fn bytes(rate: f64) -> u64 {
    (rate.clamp(1.0, 100_000.0) * 1_000_000.0) as u64
}

/// `migration:`, and for replication `replication:` before it. The error: a network that no server has an address in.
pub(crate) fn road(replica: &Replica, replication: bool) -> Result<Road, String> {
    let options = options(replica);
    let own = options.get("replication").filter(|_| replication);
    let text = own.or_else(|| options.get("migration")).map_or("", String::as_str);
    let parts = parts(text, "type");
    let network = match parts.get("network").map(String::as_str) {
        None => Network::Public,
        Some(cidr) => network_of(cidr).ok_or_else(|| {
            format!("could not get migration ip: no IP address configured on local node for network '{cidr}'")
        })?,
    };
    Ok(Road {
        network,
        insecure: parts.get("type").is_some_and(|kind| kind == "insecure"),
    })
}

/// The lab's network with that address range.
pub(crate) fn network_of(cidr: &str) -> Option<Network> {
    let (address, length) = cidr.split_once('/')?;
    let length: u8 = length.parse().ok()?;
    Network::of(address.parse().ok()?).filter(|_| (8..=24).contains(&length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_goes_where_the_options_say() {
        let mut replica = Replica::default();
        assert_eq!(road(&replica, true).map(|road| road.network), Ok(Network::Public));
        let mut options = options(&replica);
        assert_eq!(options.get("keyboard").map(String::as_str), Some("en-us"));
        options.insert("migration".to_owned(), "insecure,network=10.10.10.0/24".to_owned());
        write(&mut replica, &options);
        let found = road(&replica, true).expect("a road");
        assert!(found.insecure && found.network == Network::Cluster);
        assert_eq!(found.rate(Some(10.0)), 10_000_000);
        options.insert("replication".to_owned(), "secure,network=172.16.0.0/24".to_owned());
        write(&mut replica, &options);
        assert!(road(&replica, true).is_err() && road(&replica, false).is_ok());
    }
}
