//! Which disks are meant: by name, or by what they are.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use toml::de::DeValue;

use super::read::bad_name;
use super::reader::{Reader, Value};
use super::{Located, keys};
use crate::finding::{Code, Place};
use crate::ids::NodeName;
use crate::observation::disks::{Disk, DiskKind};
use crate::size::ByteSize;

/// `disks`: which are meant on each server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskChoice {
    /// Where it stands.
    pub place: Place,
    /// On every server that [`DiskChoice::on`] does not name. `None`: there are none.
    pub everywhere: Option<Pick>,
    /// On these.
    pub on: BTreeMap<NodeName, Pick>,
}

impl DiskChoice {
    /// Those of one server; `None`: it is to have none.
    #[must_use]
    pub fn of(&self, node: &NodeName) -> Option<&Pick> {
        let pick = self.on.get(node).or(self.everywhere.as_ref());
        pick.filter(|pick| !pick.is_none())
    }
}

/// Disks of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// These.
    Named(Vec<Located<DiskName>>),
    /// Those that are like this.
    Matching(Box<Selector>),
}

impl Pick {
    /// It was said that there are none: by an empty list.
    #[must_use]
    pub fn is_none(&self) -> bool {
        matches!(self, Self::Named(names) if names.is_empty())
    }
}

/// What disks must be like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    /// `count`: so many of them. `None`: all that fit.
    pub count: Option<Located<u8>>,
    /// `kind`
    pub kind: Option<Located<DiskKind>>,
    /// `min_size`
    pub min_size: Option<Located<ByteSize>>,
    /// `max_size`
    pub max_size: Option<Located<ByteSize>>,
    /// `model`: a part of the model's name, whatever its case.
    pub model: Option<Located<String>>,
    /// `transport`: nvme, sata, sas, …
    pub transport: Option<Located<String>>,
}

impl Selector {
    /// Why a disk does not fit; `None`: it does.
    #[must_use]
    pub fn refuses(&self, disk: &Disk) -> Option<String> {
        if let Some(kind) = self.kind.as_ref().filter(|kind| kind.value != disk.kind()) {
            return Some(format!("is {}, not {}", disk.kind().as_str(), kind.value.as_str()));
        }
        if let Some(least) = self.min_size.as_ref().filter(|least| disk.size < least.value) {
            return Some(format!("has {}, less than {}", disk.size, least.value));
        }
        if let Some(most) = self.max_size.as_ref().filter(|most| disk.size > most.value) {
            return Some(format!("has {}, more than {}", disk.size, most.value));
        }
        let has = |what: &Option<String>, part: &str| {
            let what = what.as_deref().unwrap_or_default().to_lowercase();
            what.contains(&part.to_lowercase())
        };
        if let Some(model) = self.model.as_ref().filter(|model| !has(&disk.model, &model.value)) {
            return Some(format!("is no {}", model.value));
        }
        let transport = disk.transport.as_deref().unwrap_or("unknown");
        if let Some(wanted) = self.transport.as_ref().filter(|wanted| wanted.value != transport) {
            return Some(format!("its transport is {transport}, not {}", wanted.value));
        }
        None
    }
}

/// A disk by something that stays: a link below /dev/disk/by-id, its WWN or its serial number. Never `/dev/sdX`, which means another
/// disk after the next boot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DiskName(String);

impl DiskName {
    /// Is this the disk?
    #[must_use]
    pub fn means(&self, disk: &Disk) -> bool {
        let same = |other: &Option<String>| other.as_ref().is_some_and(|other| other.eq_ignore_ascii_case(&self.0));
        let wwn = self.0.strip_prefix("wwn-").unwrap_or(&self.0);
        disk.by_id.contains(&self.0)
            || same(&disk.serial)
            || disk.wwn.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(wwn))
    }
}

impl fmt::Display for DiskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Why a text is no name of a disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDiskName {
    /// A name that the kernel gives.
    #[error("`{0}` is the kernel's name, which means another disk after the next boot")]
    KernelName(String),
    /// Nothing at all, or with characters that no such name has.
    #[error("`{0}` is no disk's name")]
    NoName(String),
}

impl FromStr for DiskName {
    type Err = InvalidDiskName;

    fn from_str(text: &str) -> Result<Self, InvalidDiskName> {
        let name = text.strip_prefix("/dev/disk/by-id/").unwrap_or(text);
        let kernel = |name: &str| {
            let stems = ["sd", "vd", "hd", "xvd"];
            let letters = |stem: &str| {
                name.strip_prefix(stem).is_some_and(|rest| {
                    !rest.is_empty() && rest.len() <= 3 && rest.bytes().all(|b| b.is_ascii_lowercase())
                })
            };
            let nvme = name.strip_prefix("nvme").and_then(|rest| rest.split_once('n'));
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            stems.into_iter().any(letters) || nvme.is_some_and(|(a, b)| digits(a) && digits(b))
        };
        if name.starts_with("/dev/") || kernel(name) {
            return Err(InvalidDiskName::KernelName(text.to_owned()));
        }
        let fine = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '"' | '\'' | '\\');
        if name.is_empty() || name.starts_with('-') || !name.chars().all(fine) {
            return Err(InvalidDiskName::NoName(text.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }
}

/// `disks`: a selector, or a selector or list of names under each server's name.
pub(super) fn read<'t>(reader: &mut Reader<'t>, what: &str, value: &Value<'t>) -> Option<DiskChoice> {
    let place = reader.place(value.span());
    let names = reader.names(what, value)?;
    let is_selector = names.entries().any(|(key, ..)| keys::SELECTOR.key(key).is_some());
    if is_selector || names.entries().next().is_none() {
        return Some(DiskChoice {
            place,
            everywhere: Some(Pick::Matching(Box::new(selector(reader, what, value)?))),
            on: BTreeMap::new(),
        });
    }
    let mut on = BTreeMap::new();
    for (key, span, value) in names.entries() {
        let at = reader.place(span);
        let name = match NodeName::new(key) {
            Ok(name) => name,
            Err(error) => {
                let (message, next) = bad_name(error);
                reader.problem(Code::SpecBadName, at, message, next);
                continue;
            }
        };
        let what = format!("{what}.{key}");
        let pick = match value.get_ref() {
            DeValue::Array(items) => Some(Pick::Named(named(reader, items))),
            _ => selector(reader, &what, value).map(Box::new).map(Pick::Matching),
        };
        if let Some(pick) = pick {
            on.insert(name, pick);
        }
    }
    Some(DiskChoice {
        place,
        everywhere: None,
        on,
    })
}

fn named<'t>(reader: &mut Reader<'t>, items: &[Value<'t>]) -> Vec<Located<DiskName>> {
    let name = |item| {
        reader.parsed::<DiskName>("each disk", item, Code::SpecBadValue, |error| {
            let next = "write its name below /dev/disk/by-id, its WWN or its serial number: quorate disks".to_owned();
            (error.to_string(), next)
        })
    };
    let names: Vec<Located<DiskName>> = items.iter().filter_map(name).collect();
    for (number, name) in names.iter().enumerate() {
        if names.iter().take(number).any(|before| before.value == name.value) {
            let message = format!("the disk `{}` is named twice", name.value);
            reader.problem(Code::SpecBadValue, name.place.clone(), message, "name each disk once");
        }
    }
    names
}

fn selector<'t>(reader: &mut Reader<'t>, what: &str, value: &Value<'t>) -> Option<Selector> {
    let table = reader.table(what, value, &keys::SELECTOR)?;
    let size = |reader: &mut Reader<'t>, key: &str| {
        let value = table.get(key)?;
        reader.parsed::<ByteSize>(&format!("`{key}`"), value, Code::SpecBadValue, |error| {
            (error.to_string(), "write it as \"900GB\" or \"3.84TB\"".to_owned())
        })
    };
    let text = |reader: &mut Reader<'t>, key: &str| {
        let value = table.get(key)?;
        reader.parsed::<String>(&format!("`{key}`"), value, Code::SpecBadValue, |error| match error {})
    };
    Some(Selector {
        count: table.get("count").and_then(|value| reader.byte("`count`", value)),
        kind: table.get("kind").and_then(|value| kind(reader, value)),
        min_size: size(reader, "min_size"),
        max_size: size(reader, "max_size"),
        model: text(reader, "model"),
        transport: text(reader, "transport"),
    })
}

fn kind<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Option<Located<DiskKind>> {
    reader.word("`kind`", value, DiskKind::ALL.map(DiskKind::as_str))
}
