//! The third vote: whether the QDevice has to be taken off, set up, or both, and whether its host is a place for it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use quorate_model::facet::{Facet, Unknown, UnknownKind};
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::{NodeName, SshPublicKey};
use quorate_model::observation::FacetName;
use quorate_model::observation::cluster::QdeviceConfig;
use quorate_model::observation::readiness::Readiness;
use quorate_model::operation::Package;
use quorate_model::spec::{ClusterFile, NodeSpec};
use quorate_model::view::View;
use quorate_model::wish::Wish;

use super::guests::knows_guest;
use super::members::Standing;
use super::shape::votes_after;
use super::{Changes, links};
use crate::report::{Report, Weight, facet_unknown, in_a_row};

/// What is to be done about the QDevice.
#[derive(Debug, Default)]
pub(super) struct Qdevice {
    /// The one that there is has to go, for good or for the time of the change.
    pub(super) off: bool,
    /// One has to be set up.
    pub(super) on: Option<SetUp>,
    /// Packages that are missing, by node.
    pub(super) packages: Vec<(NodeName, Package)>,
    /// A key of the cluster is still let in on this host, and nothing needs it.
    pub(super) withdraw: Option<NodeName>,
}

/// All that setting it up needs.
#[derive(Debug)]
pub(super) struct SetUp {
    pub(super) host: NodeName,
    pub(super) address: IpAddr,
    /// The root key of the member that sets it up.
    pub(super) keys: BTreeSet<SshPublicKey>,
    /// Where that member may call from.
    pub(super) from: BTreeSet<IpAddr>,
    /// sshd's keys on the host.
    pub(super) host_keys: BTreeSet<SshPublicKey>,
}

fn now<'v>(standing: &Standing<'v>) -> Option<&'v QdeviceConfig> {
    standing.any_member()?.qdevice.as_ref()
}

fn is_at(device: &QdeviceConfig, spec: &NodeSpec) -> bool {
    device.host.parse() == Ok(spec.address.value)
}

/// Has this host, which is no member, the address of the QDevice that there is: by its own word, or, where it does not answer any more,
/// by the address that it was enrolled with?
pub(super) fn lets_go(view: &View, standing: &Standing<'_>, host: &NodeName) -> bool {
    let Some(Ok(address)) = now(standing).map(|device| device.host.parse::<IpAddr>()) else {
        return false;
    };
    let enrolled = view.addresses.get(host) == Some(&address);
    let own = || {
        let network = view.facet(host, |o| &o.network);
        network.is_ok_and(|n| n.addresses().any(|(_, a)| a.address == address))
    };
    !standing.roster.contains(host.as_str()) && (enrolled || own())
}

/// `--remove` names the host of the QDevice: it may go for good.
fn consented(wish: &Wish, view: &View, standing: &Standing<'_>) -> bool {
    wish.removed().any(|name| lets_go(view, standing, name))
}

/// Is there one that the operator has not let go?
pub(super) fn stays(wish: &Wish, view: &View, standing: &Standing<'_>) -> bool {
    now(standing).is_some() && !consented(wish, view, standing)
}

/// Does it have to be taken off, or set up?
pub(super) fn changes(file: &ClusterFile, wish: &Wish, view: &View, standing: &Standing<'_>, changes: Changes) -> bool {
    match (now(standing), file.qnetd()) {
        (None, None) => false,
        (None, Some(_)) => true,
        (Some(_), Some(_)) if changes.membership() => true,
        (Some(device), Some((_, spec))) => !is_at(device, spec),
        (Some(_), None) => consented(wish, view, standing),
    }
}

pub(super) fn decide(
    file: &ClusterFile,
    wish: &Wish,
    view: &View,
    standing: &Standing<'_>,
    changes: Changes,
    via: Option<&NodeName>,
    report: &mut Report,
) -> Qdevice {
    let mut decided = Qdevice::default();
    let cluster = &file.cluster.name.value;
    let device = now(standing);
    key_left(view, standing, report);
    if let (Some(device), None) = (device, file.qnetd()) {
        if consented(wish, view, standing) {
            decided.off = true;
        } else if changes.membership() {
            report.tell(Finding::new(
                Code::QdeviceInTheWay,
                cluster.as_str(),
                format!(
                    "{cluster} has a QDevice at {}, which has to be off while the membership changes, and the cluster file does not name it",
                    device.host
                ),
                "enrol its host with role = \"qnetd\" and name it in [cluster.third_vote]; or let it go for good: --remove HOST, by the name \
                 that its host is enrolled under; or take it off by hand, on a member: pvecm qdevice remove",
            ));
        } else {
            report.tell(Finding::new(
                Code::QdeviceUnmanaged,
                cluster.as_str(),
                format!(
                    "{cluster} has a QDevice at {}, which the cluster file does not name; it is left alone",
                    device.host
                ),
                "enrol its host with role = \"qnetd\" and name it in [cluster.third_vote]; or let it go for good: --remove HOST, by the name \
                 that its host is enrolled under",
            ));
        }
    }
    let Some((host, spec)) = file.qnetd() else {
        return decided;
    };
    let place = file.cluster.third_vote.as_ref().map(|v| v.qdevice.place.clone());
    let weight = Weight::needed_if(changes.qdevice);
    let mut odd = report_host(file, view, host, spec, weight);
    if let Some(device) = device {
        decided.off = changes.qdevice;
        if !is_at(device, spec) {
            odd.push(Finding::new(
                Code::QdeviceMoves,
                cluster.as_str(),
                format!(
                    "{cluster} has a QDevice at {}, and the file wants it on {host} ({}): it is taken off, and set up there",
                    device.host, spec.address.value
                ),
                format!("if it is the same host, write the address {} for {host}", device.host),
            ));
        }
        if !changes.qdevice {
            let without = without_package(view, standing, &device.host);
            // What lacks the package is why it does not vote; that a server is silent for another reason shows once it is there.
            odd.extend(not_voting(standing).filter(|_| without.is_empty()));
            odd.extend(without);
        }
    }
    let votes = votes_after(standing);
    if !votes.is_multiple_of(2) && standing.clear {
        odd.push(Finding::new(
            Code::QdeviceOddVotes,
            cluster.as_str(),
            format!("{cluster} will have {votes} servers that vote; a QDevice is for an even number"),
            "take [cluster.third_vote] out of the file, or add a server",
        ));
    }
    for finding in odd {
        // What is unknown of a server stands nowhere in the file.
        let finding = if finding.code == Code::FacetUnknown {
            finding
        } else {
            finding.at(place.clone())
        };
        report.weigh(weight, finding);
    }
    if changes.qdevice {
        decided.packages = packages(view, standing, host, report);
        decided.on = via.and_then(|via| set_up(view, host, spec, via, report));
    } else {
        decided.withdraw = left_in(file, view, host, report).then(|| host.clone());
    }
    decided
}

/// What a set-up that broke off has left, and nothing needs.
fn key_left(view: &View, standing: &Standing<'_>, report: &mut Report) {
    let has_key = |node: &&NodeName| view.facet(node, |o| &o.config).is_ok_and(|c| c.qdevice_key);
    if let Some(node) = standing.inside.keys().find(|node| has_key(node)) {
        report.tell(Finding::new(
            Code::QdeviceKeyLeft,
            node.as_str(),
            "/etc/pve/qdevice-net-node.p12 is left from a set-up of the QDevice that broke off; there is a private key in it",
            format!("on {node}: rm /etc/pve/qdevice-net-node.p12"),
        ));
    }
}

/// What speaks against the host.
fn report_host(file: &ClusterFile, view: &View, host: &NodeName, spec: &NodeSpec, weight: Weight) -> Vec<Finding> {
    let cluster = &file.cluster.name.value;
    let mut odd = Vec::new();
    let mut tell = |code, message: String, next: &str| odd.push(Finding::new(code, host.as_str(), message, next));
    let elsewhere = "name another host: a small machine of its own, or a NAS, outside of this cluster";
    let address = spec.address.value;
    let Some(seen) = view.nodes.get(host) else {
        tell(
            Code::NodeNotEnrolled,
            format!("{host} is not enrolled in {cluster}"),
            &format!("quorate node invite {cluster}/{host} --address {address}"),
        );
        return odd;
    };
    let observation = match &seen.observation {
        Ok(observation) => observation,
        Err(unknown) => {
            tell(
                Code::NodeUnreachable,
                format!("nothing is known of {host}: {}", unknown.reason),
                &format!("on {host}: systemctl status quorate-agent; then: quorate node show {cluster}/{host}"),
            );
            return odd;
        }
    };
    match observation.system.get().map(|system| system.pve.get()) {
        Ok(Ok(None)) => {}
        Ok(Ok(Some(version))) => tell(
            Code::QnetdOnMember,
            format!(
                "{host} is a Proxmox VE server ({}); corosync-qnetd has to be outside",
                version.manager
            ),
            elsewhere,
        ),
        // Whether it is one matters only where it is to be set up.
        Ok(Err(unknown)) | Err(unknown) if weight == Weight::Needed => {
            odd.push(facet_unknown(host, FacetName::System, "PVE version", unknown));
            return odd;
        }
        Ok(Err(_)) | Err(_) => {}
    }
    let mut tell = |code, message: String, next: &str| odd.push(Finding::new(code, host.as_str(), message, next));
    let network = observation.network.get();
    let here = view.coordinator_on.as_ref() == Some(host)
        || view.coordinator_addresses.contains(&address)
        || network.is_ok_and(|n| {
            n.addresses()
                .any(|(_, a)| view.coordinator_addresses.contains(&a.address) && !a.address.is_loopback())
        });
    if here {
        tell(
            Code::QnetdWithCa,
            format!("{host} ({address}) is the host of this coordinator, with the fleet's CA"),
            elsewhere,
        );
    }
    let in_guest = network.map_or(Ok(None), |n| {
        let macs = n.interfaces.iter().map(|i| i.mac.to_ascii_lowercase()).collect();
        knows_guest(view, &macs, Some(host))
    });
    match in_guest {
        Ok(Some(server)) => tell(
            Code::QnetdInGuest,
            format!("{host} seems to be a guest: {server} knows one with its MAC address"),
            elsewhere,
        ),
        Ok(None) => {}
        Err((node, unknown)) => {
            if weight == Weight::Needed {
                odd.push(facet_unknown(
                    node,
                    FacetName::Config,
                    "MAC addresses of guests",
                    unknown,
                ));
            }
        }
    }
    // Its own addresses and MAC addresses are one half of both questions above.
    if let (Weight::Needed, Err(unknown)) = (weight, network) {
        odd.push(facet_unknown(
            host,
            FacetName::Network,
            FacetName::Network.as_str(),
            unknown,
        ));
    }
    odd
}

/// Members of a cluster with a QDevice on which somebody took its daemon away.
fn without_package(view: &View, standing: &Standing<'_>, at: &str) -> Vec<Finding> {
    const PACKAGE: &str = Package::CorosyncQdevice.as_str();
    let missing = |node: &&&NodeName| {
        let readiness = view.facet(node, |o| &o.readiness);
        let packages = readiness.ok().and_then(|readiness| readiness.packages.get().ok());
        packages
            .and_then(|all| all.get(PACKAGE))
            .is_some_and(|state| state.installed.is_none())
    };
    let told = |node: &&NodeName| {
        Finding::new(
            Code::QdeviceNotVoting,
            node.as_str(),
            format!("{PACKAGE} is not installed on {node}: the QDevice at {at} gives no vote there"),
            format!("on {node}: apt install {PACKAGE}; systemctl enable --now {PACKAGE}"),
        )
    };
    standing.inside.keys().filter(missing).map(told).collect()
}

/// A QDevice that is left as it is should give its vote to all.
fn not_voting(standing: &Standing<'_>) -> Option<Finding> {
    let silent: Vec<&NodeName> = standing
        .inside
        .iter()
        .filter(|(_, member)| {
            member.votes.get().is_ok_and(|votes| {
                let registered = votes
                    .rows
                    .iter()
                    .all(|r| r.qdevice.as_deref().is_some_and(|q| q.starts_with("A,V")));
                votes.device.unwrap_or(0) == 0 || !registered
            })
        })
        .map(|(node, _)| *node)
        .collect();
    let (first, host) = (silent.first()?, &now(standing)?.host);
    Some(Finding::new(
        Code::QdeviceNotVoting,
        first.as_str(),
        format!(
            "the QDevice at {host} does not give its vote, say {}",
            in_a_row(&silent)
        ),
        format!(
            "on {first}: systemctl status corosync-qdevice; corosync-qdevice-tool -s; on {host}: systemctl status corosync-qnetd"
        ),
    ))
}

/// What has to be installed first, on every server that votes and on the host. A set-up that finds one missing leaves the
/// cluster's private key behind.
fn packages(view: &View, standing: &Standing<'_>, host: &NodeName, report: &mut Report) -> Vec<(NodeName, Package)> {
    let members = standing.staying().map(|(node, _)| node);
    let members = members
        .chain(links::joining(standing))
        .chain(standing.unfinished.keys().copied());
    let members: BTreeSet<&NodeName> = members.collect();
    let wanted = members.into_iter().map(|node| (node, Package::CorosyncQdevice));
    let mut missing = Vec::new();
    for (node, package) in wanted.chain([(host, Package::CorosyncQnetd)]) {
        let Some(readiness) = report.facet(view, node, FacetName::Readiness, Weight::Needed, |o| &o.readiness) else {
            continue;
        };
        let unknown = |unknown: &Unknown| {
            facet_unknown(
                node,
                FacetName::Readiness,
                &format!("state of the package {package}"),
                unknown,
            )
        };
        match readiness.packages.get().map(|all| all.get(package.as_str())) {
            Err(why) => report.weigh(Weight::Needed, unknown(why)),
            Ok(None) => {
                let why = Unknown::new(UnknownKind::NotAsked, "its agent does not tell of it");
                report.weigh(Weight::Needed, unknown(&why));
            }
            Ok(Some(state)) if state.installed.is_some() && package == Package::CorosyncQnetd => {
                answers(node, readiness, report);
            }
            Ok(Some(state)) if state.installed.is_some() => {}
            Ok(Some(state)) if state.candidate.is_some() => {
                missing.push((node.clone(), package));
                fetched(node, package, readiness, report);
            }
            Ok(Some(_)) => report.tell(Finding::new(
                Code::PackageNotAvailable,
                node.as_str(),
                format!("{package} is not installed on {node}, and apt knows no repository that has it"),
                format!("on {node}: apt update; apt-cache policy {package}; Debian's own repository (main) has it"),
            )),
        }
    }
    missing
}

/// That apt knows a package is not that it gets it: the list is of the last update, and the server may be away, or refuse.
fn fetched(node: &NodeName, package: Package, readiness: &Readiness, report: &mut Report) {
    match readiness.fetch.get() {
        Ok(complaints) if complaints.is_empty() => {}
        Ok(complaints) => report.tell(Finding::new(
            Code::PackageNotAvailable,
            node.as_str(),
            format!("{package} is not installed on {node}, and apt can't fetch it: {}", complaints.join("; ")),
            format!("on {node}: apt update; apt-get install --download-only {package}; look at its repositories and its way out"),
        )),
        // Nobody asked, such as for a member that the file does not name.
        Err(unknown) if unknown.kind == UnknownKind::NotAsked => {}
        Err(unknown) => {
            let what = format!("whether apt can fetch {package}");
            report.weigh(Weight::Told, facet_unknown(node, FacetName::Readiness, &what, unknown));
        }
    }
}

/// pvecm sets a QDevice up also where nobody answers, and says that it is done.
fn answers(host: &NodeName, readiness: &Readiness, report: &mut Report) {
    const UNIT: &str = Package::CorosyncQnetd.as_str();
    match readiness.services.get(UNIT).map(Facet::get) {
        Some(Ok(state)) if state.is_running() => {}
        Some(Ok(state)) => report.tell(Finding::new(
            Code::ServiceDown,
            host.as_str(),
            format!("{UNIT} does not run on {host}: it is {} ({})", state.active, state.sub),
            format!("on {host}: systemctl start {UNIT}; journalctl -u {UNIT} -n 50"),
        )),
        Some(Err(unknown)) => {
            let what = format!("state of {UNIT}");
            report.weigh(
                Weight::Needed,
                facet_unknown(host, FacetName::Readiness, &what, unknown),
            );
        }
        None => {
            let why = Unknown::new(UnknownKind::NotAsked, "its agent does not tell of it");
            let what = format!("state of {UNIT}");
            report.weigh(Weight::Needed, facet_unknown(host, FacetName::Readiness, &what, &why));
        }
    }
}

/// The key is let in until a time in UTC, which older versions of sshd refuse together with the whole line.
const SSHD: (u32, u32) = (9, 1);

fn understands_time(host: &NodeName, readiness: &Readiness, report: &mut Report) {
    let known = readiness.packages.get().ok().and_then(|all| all.get("openssh-server"));
    let Some(installed) = known.and_then(|state| state.installed.as_deref()) else {
        return;
    };
    // Such as 1:9.2p1-2+deb12u3.
    let upstream = installed.split_once(':').map_or(installed, |(_, rest)| rest);
    let mut numbers = upstream.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    if let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next())
        && (major, minor) < SSHD
    {
        report.tell(Finding::new(
            Code::SshTooOld,
            host.as_str(),
            format!(
                "{host} has openssh-server {installed}; it takes 9.1 or later to let a key in for some minutes only"
            ),
            "use a host with Debian 12 or later",
        ));
    }
}

fn set_up(view: &View, host: &NodeName, spec: &NodeSpec, via: &NodeName, report: &mut Report) -> Option<SetUp> {
    let member = report.facet(view, via, FacetName::Readiness, Weight::Needed, |o| &o.readiness)?;
    let network = report.facet(view, via, FacetName::Network, Weight::Needed, |o| &o.network)?;
    let readiness = report.facet(view, host, FacetName::Readiness, Weight::Needed, |o| &o.readiness)?;
    understands_time(host, readiness, report);
    let key = key_of(via, &member.root_key, report)?;
    let host_keys = host_keys(host, readiness, report)?;
    let from: BTreeSet<IpAddr> = network
        .addresses()
        .map(|(_, a)| a.address)
        .filter(|a| !a.is_loopback() && !is_link_local(*a))
        .collect();
    Some(SetUp {
        host: host.clone(),
        address: spec.address.value,
        keys: BTreeSet::from([key]),
        from,
        host_keys,
    })
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn key_of(via: &NodeName, key: &Facet<Option<SshPublicKey>>, report: &mut Report) -> Option<SshPublicKey> {
    match key.get() {
        Ok(Some(key)) => Some(key.clone()),
        Ok(None) => {
            report.tell(Finding::new(
                Code::RootKeyMissing,
                via.as_str(),
                format!("root on {via} has no ssh key, by which it would set up the QDevice"),
                format!("on {via}: pvecm updatecerts"),
            ));
            None
        }
        Err(unknown) => {
            let finding = facet_unknown(via, FacetName::Readiness, "root's ssh key", unknown);
            report.weigh(Weight::Needed, finding);
            None
        }
    }
}

fn host_keys(host: &NodeName, readiness: &Readiness, report: &mut Report) -> Option<BTreeSet<SshPublicKey>> {
    match readiness.host_keys.get() {
        Ok(keys) if !keys.is_empty() => Some(keys.clone()),
        Ok(_) => {
            report.tell(Finding::new(
                Code::RootKeyMissing,
                host.as_str(),
                format!("sshd on {host} has no host key"),
                format!("on {host}: apt install openssh-server; ssh-keygen -A"),
            ));
            None
        }
        Err(unknown) => {
            let finding = facet_unknown(host, FacetName::Readiness, "sshd's host keys", unknown);
            report.weigh(Weight::Needed, finding);
            None
        }
    }
}

/// A rollout that died left a key of this cluster admitted. sshd does not honour it any more by itself; it goes all the same.
fn left_in(file: &ClusterFile, view: &View, host: &NodeName, report: &mut Report) -> bool {
    let Some(readiness) = report.facet(view, host, FacetName::Readiness, Weight::Told, |o| &o.readiness) else {
        return false;
    };
    match readiness.admitted.get() {
        Ok(admitted) => admitted.iter().any(|a| a.cluster == file.cluster.name.value),
        Err(unknown) => {
            let finding = facet_unknown(host, FacetName::Readiness, "the list of keys let in", unknown);
            report.weigh(Weight::Told, finding);
            false
        }
    }
}
