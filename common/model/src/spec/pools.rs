//! `[zfs.NAME]`

use super::disks::{self, DiskChoice};
use super::reader::{Reader, Table, Value, closest};
use super::{Located, keys};
use crate::finding::{Code, Place};
use crate::ids::PoolName;
use crate::raid::Raid;

/// `[zfs.NAME]`: a pool of this name on each member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSpec {
    /// Where the table begins.
    pub place: Place,
    /// `raid`
    pub raid: Located<Raid>,
    /// `disks`
    pub disks: DiskChoice,
}

/// A pool as far as it could be read.
pub(super) struct ReadPool {
    pub(super) name: Option<PoolName>,
    pub(super) spec: Option<PoolSpec>,
}

pub(super) fn read<'t>(reader: &mut Reader<'t>, table: &Table<'t, '_>) -> Vec<ReadPool> {
    let mut found = Vec::new();
    for (key, span, value) in table.entries() {
        let place = reader.place(span);
        let name = match PoolName::new(key) {
            Ok(name) => Some(name),
            Err(error) => {
                let next = "letters, digits and inner -_., beginning with a letter, such as data_zfs";
                reader.problem(Code::SpecBadName, place.clone(), error.to_string(), next);
                None
            }
        };
        let Some(mut table) = reader.table(&format!("[zfs.{key}]"), value, &keys::POOL) else {
            continue;
        };
        table.place.clone_from(&place);
        let raid = reader.required(&table, "raid").and_then(|value| raid(reader, value));
        let disks = reader
            .required(&table, "disks")
            .and_then(|value| disks::read(reader, &format!("zfs.{key}.disks"), value));
        let spec = raid.zip(disks).map(|(raid, disks)| PoolSpec { place, raid, disks });
        found.push(ReadPool { name, spec });
    }
    found
}

fn raid<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Option<Located<Raid>> {
    let words = Raid::ALL.map(Raid::as_str);
    let word = value.get_ref().as_str().unwrap_or_default();
    let next = closest(word, words).map_or_else(
        || format!("write one of: {}", words.join(", ")),
        |meant| format!("did you mean \"{meant}\"?"),
    );
    reader.parsed::<Raid>("`raid`", value, Code::SpecBadValue, |error| (error.to_string(), next))
}
