//! /etc/pve/.vmlist: all guests of the cluster and who owns each.

use std::collections::BTreeMap;

use quorate_model::observation::{Guest, GuestKind};
use serde::Deserialize;

use crate::{ParseError, json};

const NAME: &str = "/etc/pve/.vmlist";

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    ids: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    node: String,
    #[serde(rename = "type")]
    kind: String,
}

/// Reads the file: guests by id.
///
/// # Errors
/// When it is no JSON, an id is no number, or a guest is of an unknown kind.
pub fn read(text: &str) -> Result<Vec<Guest>, ParseError> {
    let file: File = json::read(NAME, text)?;
    let mut guests = file.ids.into_iter().map(guest).collect::<Result<Vec<_>, _>>()?;
    guests.sort_by_key(|guest| guest.vmid);
    Ok(guests)
}

fn guest((id, entry): (String, Entry)) -> Result<Guest, ParseError> {
    let vmid = id
        .parse()
        .map_err(|_| ParseError::at(NAME, &id, "expected a guest's id"))?;
    let kind = match entry.kind.as_str() {
        "qemu" => GuestKind::Vm,
        "lxc" => GuestKind::Container,
        // OpenVZ is long gone, but pmxcfs still names the word.
        other => return Err(ParseError::at(NAME, other, format!("guest {id} is of an unknown kind"))),
    };
    Ok(Guest {
        vmid,
        node: entry.node,
        kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_by_id() {
        assert_eq!(read(fixture!("pmxcfs/pve-8.4/vmlist-empty.json")).unwrap(), []);
        let one = read(fixture!("pmxcfs/pve-8.4/vmlist-one-guest.json")).unwrap();
        assert_eq!(
            one,
            [Guest {
                vmid: 100,
                node: "prox3".to_owned(),
                kind: GuestKind::Vm
            }]
        );
        let both = read(fixture!("pmxcfs/pve-8.4/vmlist-both-kinds.json")).unwrap();
        assert_eq!(
            both.iter().map(|guest| (guest.vmid, guest.kind)).collect::<Vec<_>>(),
            [(100, GuestKind::Vm), (101, GuestKind::Container)]
        );
        let odd = fixture!("pmxcfs/pve-8.4/vmlist-one-guest.json").replace("qemu", "jail");
        assert_eq!(
            read(&odd).unwrap_err().to_string(),
            "/etc/pve/.vmlist: guest 100 is of an unknown kind: `jail`"
        );
    }
}
