//! A guest's configuration, qemu-server/ID.conf or lxc/ID.conf: the MAC addresses of its cards.

/// The MAC addresses of `net0`, `net1` …, in lower case. What follows a line in brackets is of snapshots, and describes what was.
///
/// A card is `virtio=MAC,bridge=…` of a machine and `name=eth0,…,hwaddr=MAC,…` of a container; PVE writes the address down for each.
#[must_use]
pub fn macs(text: &str) -> Vec<String> {
    let now = text.lines().take_while(|line| !line.starts_with('['));
    let cards = now.filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        let number = key.strip_prefix("net")?;
        number.bytes().all(|b| b.is_ascii_digit()).then_some(value)
    });
    let words = cards.flat_map(|card| card.split(','));
    let values = words.filter_map(|word| word.split_once('=').map(|(_, value)| value.trim()));
    values
        .filter(|value| is_mac(value))
        .map(str::to_ascii_lowercase)
        .collect()
}

fn is_mac(text: &str) -> bool {
    let mut parts = 0;
    let fine = text.split(':').all(|part| {
        parts += 1;
        part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit())
    });
    fine && parts == 6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_and_containers_have_their_addresses_in_other_places() {
        let machine = "boot: order=scsi0\nnet0: virtio=BC:24:11:0A:0B:0C,bridge=vmbr0,firewall=1\nnet1: \
                       e1000=BC:24:11:0A:0B:0D,bridge=vmbr1\nnetwork: x=00:11:22:33:44:55\nsmbios1: uuid=1\n\n[before]\nnet0: \
                       virtio=BC:24:11:FF:FF:FF,bridge=vmbr0\n";
        assert_eq!(macs(machine), ["bc:24:11:0a:0b:0c", "bc:24:11:0a:0b:0d"]);
        let container =
            "arch: amd64\nnet0: name=eth0,bridge=vmbr0,gw6=fd00::1,hwaddr=BC:24:11:01:02:03,ip=dhcp,type=veth\n";
        assert_eq!(macs(container), ["bc:24:11:01:02:03"]);
        assert!(macs("").is_empty());
    }
}
