//! What is asked for: a drill of the cluster file, or one that was put together on the command line, or one with parts of the other.

use std::collections::BTreeSet;

use quorate_model::drill::verdict::Expectation;
use quorate_model::drill::{DrillKind, Lasting, ProbeTarget};
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::fault::Fault;
use quorate_model::finding::Code;
use quorate_model::ids::{DrillName, NodeName};
use quorate_model::maintenance::MaintenanceWindow;
use quorate_model::spec::{ClusterFile, DrillSpec};
use quorate_planner::drill::Request;
use quorate_proto::v1;
use serde::{Deserialize, Serialize};

/// All of it, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) name: Option<DrillName>,
    #[serde(with = "quorate_model::fault::text")]
    pub(crate) fault: Fault,
    pub(crate) kind: DrillKind,
    pub(crate) lasts: Lasting,
    pub(crate) node: NodeName,
    pub(crate) guest: u32,
    pub(crate) probes: Vec<ProbeTarget>,
    /// Where the password of the database is that a probe writes into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password_file: Option<String>,
    pub(crate) expected: Expectation,
    pub(crate) risked: BTreeSet<u32>,
    pub(crate) confirmed: Option<String>,
    pub(crate) accepted: Vec<Code>,
    /// It is run by itself, and nobody watches.
    #[serde(default)]
    pub(crate) scheduled: bool,
    /// When one that is run by itself may begin; empty: in the cluster's own windows.
    #[serde(default)]
    pub(crate) windows: Vec<MaintenanceWindow>,
}

impl Order {
    /// What came over the wire, with what the cluster file has of it.
    ///
    /// # Errors
    /// Something of it is none, or missing.
    pub(crate) fn read(wire: v1::DrillOrder, file: &ClusterFile) -> Result<Self, Failure> {
        let named = named(&wire.name, file)?;
        let spec = named.as_ref().map(|(_, spec)| *spec);
        if wire.fault.is_empty() && spec.is_none() {
            return Err(missing("fault", "--fault"));
        }
        let node = part("node", "--node", &wire.node, spec.map(|spec| spec.node.value.clone()))?;
        let guest = wire.guest.or(spec.map(|spec| spec.guest.value));
        let guest = guest.ok_or_else(|| missing("guest", "--guest"))?;
        let fault = match (wire.fault.as_str(), spec.map(|spec| &spec.fault.value)) {
            // Its own guest is whichever is watched.
            ("", Some(Fault::Guest { .. })) => Fault::Guest { guest },
            ("", Some(fault)) => fault.clone(),
            ("", None) => return Err(missing("fault", "--fault")),
            (text, _) => Fault::of_drill(text, guest)
                .map_err(|error| Failure::new(ExitCode::Usage, format!("fault: {error}")))?,
        };
        let lasts: Option<Lasting> = written("for", &wire.lasts)?;
        let kind: Option<DrillKind> = written("kind", &wire.kind)?;
        // As in the cluster file: what is meant can be told by how long it lasts.
        let kind = match (kind, lasts) {
            (Some(kind), _) => kind,
            (None, Some(lasts)) if lasts <= quorate_model::drill::lasting::BLIP_MOST => DrillKind::Blip,
            (None, Some(_)) => DrillKind::Failover,
            (None, None) => spec.map(|spec| spec.kind).unwrap_or_default(),
        };
        let of_file = spec.filter(|spec| spec.kind == kind).map(|spec| spec.lasts);
        let lasts = lasts.or(of_file).unwrap_or_else(|| kind.usual());
        let mut probes = Vec::new();
        for text in &wire.probes {
            probes.extend(written::<ProbeTarget>("probe", text)?);
        }
        if let (true, Some(spec)) = (probes.is_empty(), spec) {
            probes = spec.probes.iter().map(|probe| probe.value.clone()).collect();
        }
        let of_file = spec.and_then(|spec| spec.password_file.as_ref());
        let password_file = Some(wire.password_file).filter(|path| !path.is_empty());
        let password_file = password_file.or_else(|| of_file.map(|path| path.value.clone()));
        let limit = |limit: Option<&quorate_model::spec::Located<Lasting>>| limit.map(|limit| limit.value);
        let expected = spec.map_or_else(Expectation::default, |spec| Expectation {
            rto: limit(spec.expect.rto.as_ref()),
            rpo: limit(spec.expect.rpo.as_ref()),
        });
        let mut accepted = Vec::new();
        for text in &wire.accept {
            let code = text.parse::<Code>();
            accepted.push(code.map_err(|error| Failure::new(ExitCode::Usage, error.to_string()))?);
        }
        Ok(Self {
            name: named.map(|(name, _)| name),
            fault,
            kind,
            lasts,
            node,
            guest,
            probes,
            password_file,
            expected,
            risked: wire.risk_guests.into_iter().collect(),
            confirmed: Some(wire.confirm).filter(|typed| !typed.is_empty()),
            accepted,
            scheduled: false,
            windows: Vec::new(),
        })
    }

    /// A drill of the cluster file as it stands there, to be run by itself.
    ///
    /// # Errors
    /// There is none of that name.
    pub(crate) fn by_schedule(name: &DrillName, file: &ClusterFile) -> Result<Self, Failure> {
        let wire = v1::DrillOrder {
            cluster: file.cluster.name.value.to_string(),
            name: name.to_string(),
            ..Default::default()
        };
        let windows = file
            .drills
            .get(name)
            .map(|spec| spec.windows.as_slice())
            .unwrap_or_default();
        Ok(Self {
            scheduled: true,
            windows: windows.iter().map(|window| window.value).collect(),
            ..Self::read(wire, file)?
        })
    }

    /// As the planner wants it.
    pub(crate) fn request(&self) -> Request {
        Request {
            name: self.name.clone(),
            fault: self.fault.clone(),
            kind: self.kind,
            lasts: self.lasts,
            node: self.node.clone(),
            guest: self.guest,
            risked: self.risked.clone(),
            confirmed: self.confirmed.clone(),
            accepted: self.accepted.clone(),
            scheduled: self.scheduled,
            windows: self.windows.clone(),
        }
    }

    /// In a line: `network on hk1/prox1 for 5m, failover, watching guest 100`.
    pub(crate) fn what(&self, cluster: &str) -> String {
        format!(
            "{} on {cluster}/{} for {}, {}, watching guest {}",
            self.fault, self.node, self.lasts, self.kind, self.guest
        )
    }
}

fn named<'f>(text: &str, file: &'f ClusterFile) -> Result<Option<(DrillName, &'f DrillSpec)>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let name = DrillName::new(text).map_err(|error| Failure::new(ExitCode::Usage, error.to_string()))?;
    match file.drills.get(&name) {
        Some(spec) => Ok(Some((name, spec))),
        None => {
            let all: Vec<&str> = file.drills.keys().map(DrillName::as_str).collect();
            let has = match all.as_slice() {
                [] => "it has none".to_owned(),
                all => format!("it has {}", all.join(", ")),
            };
            let message = format!("the applied cluster file has no drill {name}; {has}");
            Err(Failure::new(ExitCode::NotFound, message)
                .hint("write [drills.NAME] into the cluster file and apply it, or say --fault, --node and --guest"))
        }
    }
}

/// What was written, if anything was.
fn written<T: std::str::FromStr<Err: std::fmt::Display>>(what: &str, text: &str) -> Result<Option<T>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let read = text.parse().map(Some);
    read.map_err(|error| Failure::new(ExitCode::Usage, format!("{what}: {error}")))
}

fn part<T: std::str::FromStr<Err: std::fmt::Display>>(
    what: &str,
    option: &str,
    text: &str,
    of_file: Option<T>,
) -> Result<T, Failure> {
    let said = written(what, text)?;
    said.or(of_file).ok_or_else(|| missing(what, option))
}

fn missing(what: &str, option: &str) -> Failure {
    Failure::new(ExitCode::Usage, format!("which {what}? No drill is named that says so"))
        .hint(format!("say {option}, or name a drill of the cluster file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = include_str!("../../../docs/examples/drills.toml");

    fn file() -> ClusterFile {
        ClusterFile::parse("hk1.toml", FILE).unwrap()
    }

    fn asked(change: impl FnOnce(&mut v1::DrillOrder)) -> Result<Order, Failure> {
        let mut wire = v1::DrillOrder {
            cluster: "hk1".to_owned(),
            name: "cut-prox1".to_owned(),
            ..Default::default()
        };
        change(&mut wire);
        Order::read(wire, &file())
    }

    #[test]
    fn what_is_left_out_is_as_the_file_has_it() {
        let order = asked(|_| {}).unwrap();
        assert_eq!(
            order.what("hk1"),
            "network on hk1/prox1 for 5m, failover, watching guest 100"
        );
        assert_eq!(
            (order.probes.len(), order.expected.rto),
            (2, Some(Lasting::seconds(240)))
        );
        let other = asked(|wire| {
            wire.lasts = "10s".to_owned();
            wire.guest = Some(101);
            wire.risk_guests = vec![101];
        });
        let other = other.unwrap();
        assert_eq!((other.kind, other.guest), (DrillKind::Blip, 101));
    }

    #[test]
    fn one_that_is_run_by_itself_is_as_the_file_has_it_and_nobody_accepts_anything() {
        let name: DrillName = "cut-prox1".parse().unwrap();
        let order = Order::by_schedule(&name, &file()).unwrap();
        let request = order.request();
        assert!(request.scheduled && request.accepted.is_empty() && request.risked.is_empty());
        assert_eq!((order.confirmed.clone(), order.probes.len()), (None, 2));
        let kept = serde_json::to_string(&order).unwrap();
        assert_eq!(serde_json::from_str::<Order>(&kept).unwrap(), order);
        assert!(Order::by_schedule(&"cut-prox9".parse().unwrap(), &file()).is_err());
    }

    #[test]
    fn a_drill_without_a_name_says_all_of_it() {
        let failure = asked(|wire| wire.name.clear()).unwrap_err();
        assert!(failure.hints[0].contains("--fault"), "{failure:?}");
        let order = asked(|wire| {
            wire.name.clear();
            wire.fault = "link:1".to_owned();
            wire.node = "prox2".to_owned();
            wire.guest = Some(100);
        });
        assert_eq!(order.unwrap().lasts, DrillKind::Failover.usual());
    }

    #[test]
    fn what_is_none_is_told_by_its_name() {
        let failure = asked(|wire| wire.name = "cut-prox9".to_owned()).unwrap_err();
        assert!(failure.message.contains("it has cut-prox1, pull-link-1"), "{failure}");
        for change in [
            |wire: &mut v1::DrillOrder| wire.fault = "meteor".to_owned(),
            |wire: &mut v1::DrillOrder| wire.lasts = "long".to_owned(),
            |wire: &mut v1::DrillOrder| wire.probes = vec!["22".to_owned()],
            |wire: &mut v1::DrillOrder| wire.accept = vec!["QRT-NONE".to_owned()],
        ] {
            assert_eq!(asked(change).unwrap_err().exit, ExitCode::Usage);
        }
    }
}
