//! One guest more that is copied, and put under HA.

use std::collections::BTreeSet;

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, TableLike, Value, value};

use super::{EditError, NAME, set};
use crate::ids::NodeName;
use crate::schedule::Schedule;
use crate::spec::{ClusterFile, GuestPick, NodeRole, ReplicationSpec};

/// What is asked for a guest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Protection {
    /// The guest.
    pub guest: u32,
    /// The servers that are to have it or a copy of it; empty: those of the file's first table, or all members.
    pub copies_on: BTreeSet<NodeName>,
    /// How often; `None`: as in the file's first table, or PVE's default.
    pub every: Option<Schedule>,
    /// Under HA as well.
    pub ha: bool,
}

/// The file with this guest copied (and under HA): in a table that wants the same, or in one of its own at the end. Where the file says all that
/// already, its text is the same afterwards.
///
/// # Errors
/// The file can't be used, or names the guest with other servers or another schedule: then people decide.
pub fn protect_guest(text: &str, wanted: &Protection) -> Result<String, EditError> {
    let file = ClusterFile::parse(NAME, text).map_err(EditError::Unusable)?;
    // What the reader took, the editor takes: they share their parser.
    let mut document: DocumentMut = text.parse().map_err(|_| EditError::Unusable(Vec::new()))?;
    copied(&mut document, &file, wanted)?;
    if wanted.ha {
        under_ha(&mut document, &file, wanted.guest);
    }
    let text = document.to_string();
    ClusterFile::parse(NAME, &text).map_err(EditError::WouldNotDo)?;
    Ok(text)
}

fn copied(document: &mut DocumentMut, file: &ClusterFile, wanted: &Protection) -> Result<(), EditError> {
    let id = |table: &&ReplicationSpec| table.guests.ids().any(|pick| pick.value == GuestPick::Id(wanted.guest));
    let first = file.replication.first();
    let copies_on = match (wanted.copies_on.is_empty(), first) {
        (false, _) => wanted.copies_on.clone(),
        (true, Some(first)) => first.copies_on.value.clone(),
        (true, None) => {
            let members = file.nodes.iter().filter(|(_, node)| node.role == NodeRole::Member);
            members.map(|(node, _)| node.clone()).collect()
        }
    };
    let every = wanted
        .every
        .clone()
        .or_else(|| first?.every.as_ref().map(|every| every.value.clone()));
    let fits = |table: &ReplicationSpec| {
        let same = match &every {
            Some(every) => every.is_same_as(table.schedule()),
            None => table.every.is_none(),
        };
        same && table.copies_on.value == copies_on
    };
    if let Some(table) = file.replication.iter().find(id) {
        if fits(table) || (wanted.copies_on.is_empty() && wanted.every.is_none()) {
            return Ok(());
        }
        return Err(EditError::GuestNamed(wanted.guest, table.place.line));
    }
    let place = file.replication.iter().position(fits);
    let tables = document.get_mut("replication").and_then(Item::as_array_of_tables_mut);
    let table = place.and_then(|place| tables?.get_mut(place));
    if let Some(guests) = table
        .and_then(|table| table.get_mut("guests"))
        .and_then(Item::as_array_mut)
    {
        guests.push(i64::from(wanted.guest));
        return Ok(());
    }
    let mut table = Table::new();
    table.decor_mut().set_prefix("\n");
    set(&mut table, "guests", Array::from_iter([i64::from(wanted.guest)]));
    set(
        &mut table,
        "copies_on",
        Array::from_iter(copies_on.iter().map(NodeName::as_str)),
    );
    if let Some(every) = &every {
        set(&mut table, "every", every.as_str());
    }
    match document.get_mut("replication") {
        Some(Item::ArrayOfTables(tables)) => tables.push(table),
        Some(Item::Value(Value::Array(tables))) => tables.push(table.into_inline_table()),
        _ => {
            let mut tables = ArrayOfTables::new();
            tables.push(table);
            document.insert("replication", Item::ArrayOfTables(tables));
        }
    }
    Ok(())
}

fn under_ha(document: &mut DocumentMut, file: &ClusterFile, guest: u32) {
    let id = i64::from(guest);
    let Some(ha) = &file.ha else {
        let mut table = Table::new();
        table.decor_mut().set_prefix("\n");
        table.insert("guests", value(Array::from_iter([id])));
        document.insert("ha", Item::Table(table));
        return;
    };
    let means = |pick: &GuestPick| matches!(pick, GuestPick::All) || *pick == GuestPick::Id(guest);
    if ha.guests.guests.iter().any(|pick| means(&pick.value)) {
        return;
    }
    let Some(table) = document.get_mut("ha").and_then(Item::as_table_like_mut) else {
        return;
    };
    match table.get_mut("guests").and_then(Item::as_value_mut) {
        Some(Value::Array(guests)) => guests.push(id),
        Some(other) => {
            let word = other.as_str().map(str::to_owned);
            let mut guests = Array::new();
            guests.extend(word.map(Value::from));
            guests.push(id);
            *other = Value::Array(guests);
        }
        None => drop(TableLike::insert(table, "guests", value(Array::from_iter([id])))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# ours\n[cluster]\nname = \"hk1\"\n\n[nodes.prox1]\naddress = \"192.168.1.11\"\n[nodes.prox2]\naddress = \"192.168.1.12\"\n";

    fn protected(text: &str, wanted: &Protection) -> String {
        protect_guest(text, wanted).unwrap()
    }

    fn guest(guest: u32) -> Protection {
        Protection {
            guest,
            ..Protection::default()
        }
    }

    #[test]
    fn the_first_one_gets_tables_of_its_own_and_the_next_one_joins_it() {
        let first = Protection {
            every: Some("5m".parse().unwrap()),
            ha: true,
            ..guest(100)
        };
        let text = protected(FILE, &first);
        let added = "\n[[replication]]\nguests = [100]\ncopies_on = [\"prox1\", \"prox2\"]\nevery = \"*/5\"\n\n[ha]\nguests = [100]\n";
        assert_eq!(text, format!("{FILE}{added}"));
        assert_eq!(protected(&text, &first), text, "again changes nothing");
        let second = protected(&text, &Protection { ha: true, ..guest(101) });
        assert_eq!(second.matches("guests = [100, 101]").count(), 2, "{second}");
    }

    #[test]
    fn what_is_wanted_otherwise_gets_a_table_and_who_is_named_otherwise_is_for_people() {
        let text = protected(FILE, &guest(100));
        let hourly = Protection {
            every: Some("1h".parse().unwrap()),
            ..guest(101)
        };
        let two = protected(&text, &hourly);
        assert_eq!(two.matches("[[replication]]").count(), 2, "{two}");
        let other = Protection {
            every: Some("1h".parse().unwrap()),
            ..guest(100)
        };
        assert_eq!(
            protect_guest(&two, &other).unwrap_err().to_string(),
            "the cluster file names guest 100 with something else, in line 10"
        );
        let nowhere = Protection {
            copies_on: ["prox1".parse().unwrap(), "prox9".parse().unwrap()].into(),
            ..guest(102)
        };
        assert!(matches!(protect_guest(&two, &nowhere), Err(EditError::WouldNotDo(_))));
    }

    #[test]
    fn a_word_in_ha_becomes_a_list() {
        let text = format!("{FILE}[ha]\nguests = \"tag:prod\"\n");
        let text = protected(&text, &Protection { ha: true, ..guest(100) });
        assert!(text.contains("guests = [\"tag:prod\", 100]"), "{text}");
    }
}
