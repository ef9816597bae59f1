//! `[drills.NAME]`

use std::str::FromStr;

use super::nodes::ReadNode;
use super::read::bad_name;
use super::reader::{Reader, Table, Value, closest};
use super::storages::text;
use super::{Located, NodeRole, keys};
use crate::drill::lasting::{BLIP_MOST, DrillKind, FAILOVER_LEAST, Lasting};
use crate::drill::probe::ProbeTarget;
use crate::fault::text::ITS_GUEST;
use crate::fault::{FORMS, Fault, InvalidFault};
use crate::finding::{Code, Place};
use crate::guest_ids::VMIDS;
use crate::ids::{DrillName, NodeName};
use crate::maintenance::MaintenanceWindow;
use toml::de::DeValue;

/// `[drills.NAME]`: a fault on purpose, and what is expected of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillSpec {
    /// Where the table begins.
    pub place: Place,
    /// `fault`
    pub fault: Located<Fault>,
    /// `node`: the victim, a full member of the file.
    pub node: Located<NodeName>,
    /// `guest`: the one whose failing is measured.
    pub guest: Located<u32>,
    /// `probe`: who is asked whether the guest is there, ten times a second. Empty: only the cluster's own word is heard.
    pub probes: Vec<Located<ProbeTarget>>,
    /// `password_file`: a path from the root, on the coordinator's host, with the password of the database that a probe writes into.
    pub password_file: Option<Located<String>>,
    /// `kind`
    pub kind: DrillKind,
    /// `for`: how long the fault lasts.
    pub lasts: Lasting,
    /// `expect`
    pub expect: Expect,
    /// `every`: how long after the last one it is due again by itself. `None`: only when somebody says so.
    pub every: Option<Located<Lasting>>,
    /// `windows`: when a scheduled one may begin. Empty: in the cluster's maintenance windows.
    pub windows: Vec<Located<MaintenanceWindow>>,
}

/// `expect` of a drill: what it is judged by. What is not written is measured, and judged by nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expect {
    /// `rto`: the longest that clients may be without the guest.
    pub rto: Option<Located<Lasting>>,
    /// `rpo`: the oldest that what the guest is recovered from may be.
    pub rpo: Option<Located<Lasting>>,
}

/// A drill as far as it could be read.
pub(super) struct ReadDrill {
    pub(super) name: Option<DrillName>,
    pub(super) spec: Option<DrillSpec>,
}

/// More often than this a server is not cut off by itself.
const EVERY_LEAST: Lasting = Lasting::seconds(86_400);

const SPAN: &str = "write a number and a unit, such as \"20s\", \"4m\", \"2h\" or \"90d\"";

pub(super) fn read<'t>(reader: &mut Reader<'t>, table: &Table<'t, '_>) -> Vec<ReadDrill> {
    let mut found = Vec::new();
    for (key, span, value) in table.entries() {
        let place = reader.place(span);
        let name = match DrillName::new(key) {
            Ok(name) => Some(name),
            Err(error) => {
                let next = "lower-case letters, digits and inner hyphens, such as cut-prox1";
                reader.problem(Code::SpecBadName, place.clone(), error.to_string(), next);
                None
            }
        };
        let Some(mut table) = reader.table(&format!("[drills.{key}]"), value, &keys::DRILL) else {
            continue;
        };
        table.place.clone_from(&place);
        let spec = one(reader, &table, key);
        found.push(ReadDrill { name, spec });
    }
    found
}

fn one<'t>(reader: &mut Reader<'t>, table: &Table<'t, '_>, key: &str) -> Option<DrillSpec> {
    let fault = reader.required(table, "fault").and_then(|value| fault(reader, value));
    let node = reader
        .required(table, "node")
        .and_then(|value| reader.parsed::<NodeName>("`node`", value, Code::SpecBadName, bad_name));
    let guest = reader.required(table, "guest").and_then(|value| guest(reader, value));
    let probes = written(table, "probe", |value| probes(reader, value));
    let password_file = written(table, "password_file", |value| password_file(reader, value));
    let kind = written(table, "kind", |value| {
        reader.word::<DrillKind, 2>("`kind`", value, DrillKind::ALL.map(DrillKind::as_str))
    });
    let lasts = written(table, "for", |value| lasting(reader, "`for`", value));
    let expect = written(table, "expect", |value| expect(reader, key, value));
    let every = written(table, "every", |value| every(reader, value));
    let windows = written(table, "windows", |value| windows(reader, value));
    let fault = fault.and_then(|broken| whole(reader, broken, guest.as_ref()));
    let (fault, kind, lasts) = (fault?, kind?, lasts?);
    // The kind that is meant can be told by how long it lasts.
    let kind = match (kind, &lasts) {
        (Some(kind), _) => kind.value,
        (None, Some(lasts)) if lasts.value <= BLIP_MOST => DrillKind::Blip,
        (None, _) => DrillKind::Failover,
    };
    fits(reader, &fault, kind, lasts.as_ref())?;
    let (probes, expect) = (probes?.unwrap_or_default(), expect?.unwrap_or_default());
    let password_file = password_file?;
    asked_for(reader, password_file.as_ref(), &probes)?;
    counted(reader, &expect, &probes, kind)?;
    Some(DrillSpec {
        place: table.place.clone(),
        fault,
        node: node?,
        guest: guest?,
        probes,
        password_file,
        kind,
        lasts: lasts.map_or_else(|| kind.usual(), |lasts| lasts.value),
        expect,
        every: every?,
        windows: windows?.unwrap_or_default(),
    })
}

/// `Some(None)`: it is not written. `None`: it is, and can't be read, which is told already; nothing takes its place.
fn written<'t, 'v, T>(
    table: &Table<'t, 'v>,
    key: &str,
    read: impl FnOnce(&'v Value<'t>) -> Option<T>,
) -> Option<Option<T>> {
    match table.get(key) {
        None => Some(None),
        Some(value) => read(value).map(Some),
    }
}

/// What breaks. That of a guest is that of the drill's `guest`.
enum Broken {
    This(Fault),
    ItsGuest,
}

impl FromStr for Broken {
    type Err = InvalidFault;

    fn from_str(text: &str) -> Result<Self, InvalidFault> {
        if text == ITS_GUEST {
            return Ok(Self::ItsGuest);
        }
        text.parse::<Fault>().map(Self::This)
    }
}

fn fault<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Option<Located<Broken>> {
    let written = value.get_ref().as_str().unwrap_or_default();
    let next = closest(written, FORMS).map_or_else(
        || format!("write one of: {}", FORMS.join(", ")),
        |meant| format!("did you mean \"{meant}\"?"),
    );
    reader.parsed::<Broken>("`fault`", value, Code::SpecBadValue, |error| (error.to_string(), next))
}

/// `None`: which guest it is can't be told, which is said already, or it is another one.
fn whole(reader: &mut Reader<'_>, broken: Located<Broken>, guest: Option<&Located<u32>>) -> Option<Located<Fault>> {
    let Located { value, place } = broken;
    let value = match value {
        Broken::This(Fault::Guest { guest: other }) if guest.is_some_and(|guest| guest.value != other) => {
            let message = format!("`fault` is guest:{other}, which is not the drill's `guest`");
            reader.problem(Code::SpecBadValue, place, message, "write fault = \"guest\"");
            return None;
        }
        Broken::This(fault) => fault,
        Broken::ItsGuest => Fault::Guest { guest: guest?.value },
    };
    Some(Located { value, place })
}

fn guest<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Option<Located<u32>> {
    let next = "write the id of one guest, a number from 100 to 999999999";
    let id = reader.number::<u32>("`guest`", value, next)?;
    if VMIDS.contains(&id.value) {
        return Some(id);
    }
    let message = format!("`guest` is {}", id.value);
    reader.problem(Code::SpecBadValue, id.place, message, next);
    None
}

fn probes<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Option<Vec<Located<ProbeTarget>>> {
    let next = "write one such as \"tcp:192.168.1.100:22\" or \"tally:192.168.1.100\", or a list of them";
    let items = match value.get_ref() {
        DeValue::Array(_) => reader.array("`probe`", value, next)?,
        _ => std::slice::from_ref(value),
    };
    let mut found: Vec<Located<ProbeTarget>> = Vec::new();
    let mut bad = false;
    for item in items {
        let read = reader.parsed::<ProbeTarget>("`probe`", item, Code::SpecBadValue, |error| {
            (error.to_string(), next.to_owned())
        });
        match read {
            Some(probe) if found.iter().any(|before| before.value == probe.value) => {
                let message = format!("`probe` names {} twice", probe.value);
                reader.problem(Code::SpecBadValue, probe.place, message, "take one of them out");
                bad = true;
            }
            Some(probe) => found.push(probe),
            None => bad = true,
        }
    }
    (!bad).then_some(found)
}

fn password_file<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Option<Located<String>> {
    let next = "write where it lies on the coordinator's host, such as \"/etc/quorate/secrets/drill.password\"";
    let found = text(reader, "`password_file`", value)?;
    if found.value.starts_with('/') && !found.value.chars().any(char::is_control) {
        return Some(found);
    }
    let message = format!("`password_file` is `{}`, which is no path from the root", found.value);
    reader.problem(Code::SpecBadValue, found.place, message, next);
    None
}

/// Only a database asks for a password.
fn asked_for(reader: &mut Reader<'_>, file: Option<&Located<String>>, probes: &[Located<ProbeTarget>]) -> Option<()> {
    let asks = |probe: &Located<ProbeTarget>| matches!(probe.value, ProbeTarget::Postgres(_));
    match file.filter(|_| !probes.iter().any(asks)) {
        None => Some(()),
        Some(file) => {
            let message = "no probe of the drill takes a password";
            let next = "take `password_file` out, or add a probe such as \"postgres://drill@192.168.1.100/drill\"";
            reader.problem(Code::SpecBadValue, file.place.clone(), message, next);
            None
        }
    }
}

fn lasting<'t>(reader: &mut Reader<'t>, what: &str, value: &Value<'t>) -> Option<Located<Lasting>> {
    reader.parsed::<Lasting>(what, value, Code::SpecBadValue, |error| {
        (error.to_string(), SPAN.to_owned())
    })
}

fn expect<'t>(reader: &mut Reader<'t>, key: &str, value: &Value<'t>) -> Option<Expect> {
    let table = reader.table(&format!("[drills.{key}.expect]"), value, &keys::EXPECT)?;
    let rto = written(&table, "rto", |value| lasting(reader, "`rto`", value));
    let rpo = written(&table, "rpo", |value| lasting(reader, "`rpo`", value));
    Some(Expect { rto: rto?, rpo: rpo? })
}

fn every<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Option<Located<Lasting>> {
    let every = lasting(reader, "`every`", value)?;
    if every.value >= EVERY_LEAST {
        return Some(every);
    }
    let message = format!(
        "`every` is {}: no server is cut off by itself more often than once a day",
        every.value
    );
    reader.problem(
        Code::SpecBadValue,
        every.place,
        message,
        "write \"1d\" or more, such as \"90d\"",
    );
    None
}

fn windows<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Option<Vec<Located<MaintenanceWindow>>> {
    let next = "name at least one window, or leave `windows` out: then the cluster's maintenance windows hold";
    let items = reader.array("`windows`", value, next)?;
    let mut window = |item| {
        reader.parsed::<MaintenanceWindow>("each window", item, Code::SpecBadValue, |error| {
            let next = "write it as \"22:00-05:00\" (every day) or \"sat 22:00-sun 04:00\" (every week), in UTC";
            (error.to_string(), next.to_owned())
        })
    };
    let all: Vec<_> = items.iter().map(&mut window).collect();
    all.into_iter().collect()
}

/// Do fault, kind and span go together?
fn fits(
    reader: &mut Reader<'_>,
    fault: &Located<Fault>,
    kind: DrillKind,
    lasts: Option<&Located<Lasting>>,
) -> Option<()> {
    if let Some(why) = fault.value.no_blip().filter(|_| kind == DrillKind::Blip) {
        let message = format!("{} can be no blip: {why}", fault.value);
        let next = "write kind = \"failover\", or another fault";
        reader.problem(Code::SpecBadValue, fault.place.clone(), message, next);
        return None;
    }
    let next = kind.may_last(&fault.value, lasts.map(|lasts| lasts.value)).err();
    let (Some(lasts), Some(next)) = (lasts, next) else {
        return Some(());
    };
    let between = fault.value.is_worst_in_between() && lasts.value > BLIP_MOST && lasts.value < FAILOVER_LEAST;
    let message = if between {
        format!(
            "`for` is {}: healed then, it meets a watchdog that can't be called back and guests that are being started elsewhere",
            lasts.value
        )
    } else {
        format!("`for` is {}", lasts.value)
    };
    reader.problem(Code::SpecBadValue, lasts.place.clone(), message, next);
    None
}

/// What is expected must be measured by something.
fn counted(reader: &mut Reader<'_>, expect: &Expect, probes: &[Located<ProbeTarget>], kind: DrillKind) -> Option<()> {
    if let Some(rto) = expect.rto.as_ref().filter(|_| probes.is_empty()) {
        let message = "`rto` is expected, and no `probe` says when the guest answers";
        let next = "add a probe, such as probe = \"tcp:192.168.1.100:22\"";
        reader.problem(Code::SpecBadValue, rto.place.clone(), message, next);
        return None;
    }
    if let Some(rpo) = expect.rpo.as_ref().filter(|_| kind == DrillKind::Blip) {
        let message = "`rpo` is expected of a blip, by which nothing is recovered";
        reader.problem(Code::SpecBadValue, rpo.place.clone(), message, "take `rpo` out");
        return None;
    }
    Some(())
}

/// What concerns drills and nodes together.
pub(super) fn rules(reader: &mut Reader<'_>, drills: &[ReadDrill], nodes: &[ReadNode<'_>]) {
    for spec in drills.iter().filter_map(|drill| drill.spec.as_ref()) {
        let node = &spec.node;
        let known = nodes.iter().find(|read| read.key == node.value.as_str());
        let message = match known.map(|node| node.role) {
            Some(None | Some(NodeRole::Member)) => continue,
            Some(Some(role)) => format!("`node` is {}, which has the role {role} and runs no guests", node.value),
            None => format!("`node` is {}, which is no node of this file", node.value),
        };
        reader.problem(
            Code::SpecBadValue,
            node.place.clone(),
            message,
            "name a member of this file",
        );
    }
}
