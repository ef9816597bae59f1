//! `[zfs.NAME]`

use std::collections::BTreeMap;

use super::disks::{self, DiskChoice};
use super::reader::{Reader, Table, Value};
use super::storages::{self, Contents};
use super::{Located, keys};
use crate::compression::Compression;
use crate::finding::{Code, Place};
use crate::ids::PoolName;
use crate::observation::pools::VdevClass;
use crate::raid::Raid;
use crate::storage::StorageKind;

/// `[zfs.NAME]`: a pool of this name on each member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSpec {
    /// Where the table begins.
    pub place: Place,
    /// `raid`
    pub raid: Located<Raid>,
    /// `vdevs`: over how many of them the disks are spread.
    pub vdevs: u8,
    /// `disks`
    pub disks: DiskChoice,
    /// `spares`, `log`, `cache`, `special`: those that are given.
    pub beside: BTreeMap<VdevClass, DiskChoice>,
    /// `ashift`: the power of two that is the smallest block. `None`, as of the two after it: it is not written, and a pool that is there
    /// is right as it is.
    pub ashift: Option<u8>,
    /// `compression`
    pub compression: Option<Compression>,
    /// `autotrim`
    pub autotrim: Option<bool>,
    /// `storage`: whether the pool is registered as a storage of its name.
    pub storage: bool,
    /// `content` of that storage.
    pub content: Option<Contents>,
    /// `thin` of that storage.
    pub thin: Option<Located<bool>>,
}

impl PoolSpec {
    /// The `ashift` of a pool that is made.
    #[must_use]
    pub fn ashift_when_made(&self) -> u8 {
        self.ashift.unwrap_or(ASHIFT)
    }

    /// The `compression` of a pool that is made.
    #[must_use]
    pub fn compression_when_made(&self) -> Compression {
        self.compression.unwrap_or_default()
    }

    /// The `autotrim` of a pool that is made.
    #[must_use]
    pub fn autotrim_when_made(&self) -> bool {
        self.autotrim.unwrap_or(true)
    }
}

/// Sectors of 4 KiB, as all disks have them today whatever they say.
const ASHIFT: u8 = 12;

/// What ZFS takes. Source: PVE's `ashift` of POST /nodes/N/disks/zfs.
const ASHIFTS: std::ops::RangeInclusive<u8> = 9..=16;

/// Keys whose disks stand beside those of the data, and how many of them there may be.
pub(super) const BESIDE: [(&str, VdevClass); 4] = [
    ("spares", VdevClass::Spare),
    ("log", VdevClass::Log),
    ("cache", VdevClass::Cache),
    ("special", VdevClass::Special),
];

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
        let vdevs = table.get("vdevs").and_then(|value| vdevs(reader, value));
        let ashift = table.get("ashift").and_then(|value| ashift(reader, value));
        let compression = table.get("compression").and_then(|value| {
            reader.word::<Compression, 7>("`compression`", value, Compression::ALL.map(Compression::as_str))
        });
        let autotrim = table
            .get("autotrim")
            .and_then(|value| reader.switch("`autotrim`", value));
        let storage = table.get("storage").and_then(|value| reader.switch("`storage`", value));
        let content = table
            .get("content")
            .and_then(|value| storages::content(reader, value, StorageKind::Zfspool));
        let thin = table.get("thin").and_then(|value| reader.switch("`thin`", value));
        let mut beside = BTreeMap::new();
        for (key_beside, class) in BESIDE {
            let value = table.get(key_beside);
            if let Some(choice) = value.and_then(|value| disks::read(reader, &format!("zfs.{key}.{key_beside}"), value))
            {
                beside.insert(class, choice);
            }
        }
        let spec = raid.zip(disks).map(|(raid, disks)| PoolSpec {
            place,
            raid,
            vdevs: vdevs.unwrap_or(1),
            disks,
            beside,
            ashift,
            compression: compression.map(|found| found.value),
            autotrim: autotrim.map(|found| found.value),
            storage: storage.is_none_or(|found| found.value),
            content,
            thin,
        });
        found.push(ReadPool { name, spec });
    }
    found
}

fn raid<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Option<Located<Raid>> {
    reader.word("`raid`", value, Raid::ALL.map(Raid::as_str))
}

fn vdevs<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Option<u8> {
    let found = reader.byte("`vdevs`", value)?;
    if found.value > 0 {
        return Some(found.value);
    }
    let message = "`vdevs` is 0".to_owned();
    reader.problem(
        Code::SpecBadValue,
        found.place,
        message,
        "write a number from 1, or leave it out",
    );
    None
}

fn ashift<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Option<u8> {
    let found = reader.byte("`ashift`", value)?;
    if ASHIFTS.contains(&found.value) {
        return Some(found.value);
    }
    let message = format!("`ashift` is {}", found.value);
    reader.problem(
        Code::SpecBadValue,
        found.place,
        message,
        "write a number from 9 to 16; 12 is right for nearly all disks",
    );
    None
}
