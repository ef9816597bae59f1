//! Which guests are meant: by id, by tag, by pool, or all of them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use toml::de::DeValue;

use super::Located;
use super::reader::{Reader, Table, Value};
use crate::finding::{Code, Place};
use crate::guest_ids::VMIDS;

/// `guests` and `except` of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestChoice {
    /// `guests`: where they stand.
    pub place: Place,
    /// `guests`, at least one.
    pub guests: Vec<Located<GuestPick>>,
    /// `except`
    pub except: Vec<Located<GuestPick>>,
}

/// Guests that one word means.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum GuestPick {
    /// This one.
    Id(u32),
    /// Those that have this tag.
    Tag(String),
    /// Those that are in this pool (of PVE's pools of guests).
    Pool(String),
    /// All of the cluster.
    All,
}

/// How close a choice names a guest: the closest one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Closeness {
    /// With all others.
    All,
    /// By a tag or pool.
    Group,
    /// By its id.
    Id,
}

/// A guest as far as a choice looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Chosen<'a> {
    /// Its id.
    pub vmid: u32,
    /// Its tags.
    pub tags: &'a [String],
    /// The pools of guests that it is in.
    pub pools: &'a BTreeSet<&'a str>,
}

impl GuestChoice {
    /// How closely this guest is named; `None`: it is not meant.
    #[must_use]
    pub fn names(&self, guest: Chosen<'_>) -> Option<Closeness> {
        let means = |pick: &Located<GuestPick>| pick.value.means(guest);
        if self.excepts(guest) {
            return None;
        }
        self.guests.iter().filter_map(means).max()
    }

    /// Is this guest named as one that is not meant?
    #[must_use]
    pub fn excepts(&self, guest: Chosen<'_>) -> bool {
        self.except.iter().any(|pick| pick.value.means(guest).is_some())
    }

    /// The ids that are named as such.
    pub fn ids(&self) -> impl Iterator<Item = &Located<GuestPick>> {
        let all = self.guests.iter();
        all.filter(|pick| matches!(pick.value, GuestPick::Id(_)))
    }

    /// Does any word of it need to know more of a guest than its id?
    #[must_use]
    pub fn looks_at_pools(&self) -> bool {
        let all = self.guests.iter().chain(&self.except);
        all.into_iter().any(|pick| matches!(pick.value, GuestPick::Pool(_)))
    }
}

impl GuestPick {
    fn means(&self, guest: Chosen<'_>) -> Option<Closeness> {
        match self {
            Self::Id(id) => (*id == guest.vmid).then_some(Closeness::Id),
            Self::Tag(tag) => guest.tags.iter().any(|own| own == tag).then_some(Closeness::Group),
            Self::Pool(pool) => guest.pools.contains(pool.as_str()).then_some(Closeness::Group),
            Self::All => Some(Closeness::All),
        }
    }
}

impl fmt::Display for GuestPick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Tag(tag) => write!(f, "tag:{tag}"),
            Self::Pool(pool) => write!(f, "pool:{pool}"),
            Self::All => f.write_str("all"),
        }
    }
}

/// A word that means no guests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` says of no guest whether it is meant")]
pub struct InvalidPick(String);

impl FromStr for GuestPick {
    type Err = InvalidPick;

    fn from_str(text: &str) -> Result<Self, InvalidPick> {
        let plain = |name: &&str| {
            let odd = |c: char| c.is_whitespace() || c.is_control() || c == ',' || c == ';';
            !name.is_empty() && !name.contains(odd)
        };
        let tag = text.strip_prefix("tag:").filter(plain);
        let pool = text.strip_prefix("pool:").filter(plain);
        match (text, tag, pool) {
            ("all", _, _) => Ok(Self::All),
            (_, Some(tag), _) => Ok(Self::Tag(tag.to_owned())),
            (_, _, Some(pool)) => Ok(Self::Pool(pool.to_owned())),
            _ => Err(InvalidPick(text.to_owned())),
        }
    }
}

/// What to write instead.
const NEXT: &str = "write ids such as [100, 101], \"all\", \"tag:NAME\" or \"pool:NAME\"";

/// `guests`, which must be there, and `except` of this table.
pub(super) fn read<'t>(reader: &mut Reader<'t>, table: &Table<'t, '_>) -> Option<GuestChoice> {
    let value = reader.required(table, "guests")?;
    let place = reader.place(value.span());
    let guests = picks(reader, "`guests`", value)?;
    let except = match table.get("except") {
        Some(value) => picks(reader, "`except`", value)?,
        None => Vec::new(),
    };
    if let Some(all) = except.iter().find(|pick| pick.value == GuestPick::All) {
        let message = "`except` says \"all\": nothing would be left";
        reader.problem(
            Code::SpecBadValue,
            all.place.clone(),
            message,
            "name those that are not meant",
        );
        return None;
    }
    Some(GuestChoice { place, guests, except })
}

fn picks<'t>(reader: &mut Reader<'t>, what: &str, value: &Value<'t>) -> Option<Vec<Located<GuestPick>>> {
    let items = match value.get_ref() {
        DeValue::Array(_) => reader.array(what, value, NEXT)?,
        _ => std::slice::from_ref(value),
    };
    let mut found: Vec<Located<GuestPick>> = Vec::new();
    for item in items {
        let Some(pick) = pick(reader, what, item) else { continue };
        if found.iter().any(|before| before.value == pick.value) {
            let message = format!("{what} names {} twice", pick.value);
            reader.problem(Code::SpecBadValue, pick.place, message, "take one of them out");
            continue;
        }
        found.push(pick);
    }
    (!found.is_empty()).then_some(found)
}

fn pick<'t>(reader: &mut Reader<'t>, what: &str, item: &Value<'t>) -> Option<Located<GuestPick>> {
    if let DeValue::Integer(_) = item.get_ref() {
        let next = "a guest's id is a number from 100 to 999999999";
        let id = reader.number::<u32>(what, item, next)?;
        if VMIDS.contains(&id.value) {
            let value = GuestPick::Id(id.value);
            return Some(Located { value, place: id.place });
        }
        let message = format!("{what} names the guest {}", id.value);
        reader.problem(Code::SpecBadValue, id.place, message, next);
        return None;
    }
    reader.parsed::<GuestPick>(what, item, Code::SpecBadValue, |error| {
        (error.to_string(), NEXT.to_owned())
    })
}
