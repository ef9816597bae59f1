//! `[ha]`

use super::Located;
use super::guests::{self, GuestChoice};
use super::reader::{Reader, Table};
use crate::finding::{Code, Place};

/// `[ha]`: guests that are restarted elsewhere when their server fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HaSpec {
    /// Where the table begins.
    pub place: Place,
    /// `guests` and `except`
    pub guests: GuestChoice,
    /// `max_restart`, if it is written: how often a start that fails is tried again on the same server.
    pub max_restart: Option<Located<u8>>,
    /// `max_relocate`, if it is written: on how many other servers it is tried after that.
    pub max_relocate: Option<Located<u8>>,
}

/// PVE itself sets no limit (pve-ha-manager Resources.pm); more than this would only hide that a guest does not start.
const MOST: u8 = 10;

pub(super) fn read<'t>(reader: &mut Reader<'t>, table: &Table<'t, '_>) -> Option<HaSpec> {
    let guests = guests::read(reader, table);
    let mut number = |key: &'static str| match table.get(key) {
        None => Some(None),
        Some(value) => {
            let next = format!("write a number from 0 to {MOST}");
            let what = format!("`{key}`");
            let found = reader.number::<u8>(&what, value, &next)?;
            if found.value > MOST {
                let message = format!("{what} is {}", found.value);
                reader.problem(Code::SpecBadValue, found.place, message, next);
                return None;
            }
            Some(Some(found))
        }
    };
    let (max_restart, max_relocate) = (number("max_restart"), number("max_relocate"));
    Some(HaSpec {
        place: table.place.clone(),
        guests: guests?,
        max_restart: max_restart?,
        max_relocate: max_relocate?,
    })
}
