//! Every kind of action arrives twice: under the same id, which attaches, and under another one, which finds that all is done. The
//! agents are asked as the coordinator asks them, with its own certificate; what really happened, the world tells.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use quorate_clock::Clock;
use quorate_identity::{ClientTls, CoordinatorStore, Material, RevocationList, Role, TimeSource};
use quorate_lab::control::Press;
use quorate_lab::plants::ServiceIs;
use quorate_lab::{Lab, Plant, Script, What};
use quorate_model::ids::Driver;
use quorate_model::observation::{FacetName, Observation};
use quorate_model::operation::{
    Action, ActionKind, HaService, Operation, OperationEvent, OperationEventKind, Outcome, Package,
};
use quorate_model::{Generation, Passage, SshPublicKey};
use quorate_proto::v1::agent_client::AgentClient;
use quorate_proto::{Wire, v1};
use quorate_suites::Fleet;
use quorate_suites::hand::{ONE_LINK, version};
use quorate_suites::life::{WITNESS, newer};
use tonic::transport::{Channel, Endpoint};

/// Nobody waits for it when all goes well.
const AMPLE: Duration = Duration::from_secs(60);

/// Asks the agents in the coordinator's place, which is stopped.
pub(crate) struct Driving {
    pub(crate) fleet: Fleet,
    tls: ClientTls,
    pub(crate) driver: Driver,
    next: u32,
    /// What was done twice.
    pub(crate) kinds: BTreeSet<ActionKind>,
}

impl Driving {
    pub(crate) async fn of(fleet: Fleet) -> Self {
        fleet.lab.stop_coordinator().await.unwrap();
        let store = CoordinatorStore::new(&fleet.lab.layout().coordinator().join("state"));
        let material = Material {
            roots: store.roots().unwrap(),
            identity: Some(store.coordinator().unwrap()),
            revocations: RevocationList::default(),
        };
        let clock = Clock::system();
        let time = TimeSource::new(move || u64::try_from(clock.unix_micros() / 1_000_000).unwrap());
        Self {
            fleet,
            tls: ClientTls::new(material, time).unwrap(),
            // Higher than any that the coordinator had.
            driver: Driver {
                generation: Generation(1000),
                instance: "00000000-0000-0000-0000-000000000001".parse().unwrap(),
            },
            next: 0,
            kinds: BTreeSet::new(),
        }
    }

    pub(crate) fn client(&self, node: &str) -> AgentClient<Channel> {
        let address = SocketAddr::from((self.fleet.lab.node(node).unwrap().address, 7443));
        let role = Role::Node {
            cluster: self.fleet.cluster.parse().unwrap(),
            node: node.parse().unwrap(),
        };
        let tls = self.tls.clone();
        let connector = tower::service_fn(move |_: http::Uri| {
            let (tls, role) = (tls.clone(), role.clone());
            async move {
                let connected = tls.connect(address, &role, AMPLE).await;
                connected.map(|(stream, _)| TokioIo::new(stream))
            }
        });
        let endpoint = Endpoint::from_static("http://agent.quorate.internal");
        AgentClient::new(endpoint.connect_with_connector_lazy(connector))
    }

    pub(crate) async fn look(&self, node: &str, facet: FacetName) -> Observation {
        let request = v1::ObserveRequest {
            facets: vec![facet.into_wire()],
            ..v1::ObserveRequest::default()
        };
        let reply = self.client(node).observe(request).await.unwrap().into_inner();
        Observation::try_from(reply.observation.unwrap()).unwrap()
    }

    /// Root's key of a member, or sshd's keys of a host.
    async fn keys(&self, node: &str, of_the_host: bool) -> BTreeSet<SshPublicKey> {
        let seen = self.look(node, FacetName::Readiness).await;
        let readiness = seen.readiness.get().unwrap();
        if of_the_host {
            return readiness.host_keys.get().unwrap().clone();
        }
        readiness.root_key.get().unwrap().clone().into_iter().collect()
    }

    /// What must be passed beside an action.
    async fn secret(&self, node: &str, action: &Action) -> Option<v1::Secret> {
        let secret = match action {
            Action::JoinCluster { member, .. } => {
                let request = v1::JoinTicketRequest {
                    driver: Some(self.driver.clone().into_wire()),
                    joiner: node.to_owned(),
                };
                let reply = self.client(member.as_str()).join_ticket(request).await.unwrap();
                v1::secret::Secret::Join(reply.into_inner().secret.unwrap())
            }
            Action::FinishJoin { member, .. } => v1::secret::Secret::CorosyncConf(v1::CorosyncConf {
                text: self.fleet.read(member.as_str(), "/etc/pve/corosync.conf"),
            }),
            _ => return None,
        };
        Some(v1::Secret { secret: Some(secret) })
    }

    /// Asks for an operation, and follows it to its end.
    pub(crate) async fn execute(&self, node: &str, id: &str, action: &Action) -> Vec<OperationEvent> {
        let operation = Operation {
            id: id.parse().unwrap(),
            action: action.clone(),
        };
        let request = v1::ExecuteRequest {
            driver: Some(self.driver.clone().into_wire()),
            operation: Some(operation.into_wire()),
            secret: self.secret(node, action).await,
            restores: false,
            anchor: None,
        };
        let mut stream = self.client(node).execute(request).await.unwrap().into_inner();
        let mut events = Vec::new();
        while let Some(event) = stream.message().await.unwrap() {
            events.push(OperationEvent::try_from(event).unwrap());
        }
        events
    }

    pub(crate) fn id(&mut self) -> String {
        self.next += 1;
        format!("twice.{}", self.next)
    }

    /// Does it, asks for it again under the same id, and under another one. `done`: how often the world has seen it happen.
    pub(crate) async fn twice(&mut self, node: &str, action: Action, done: impl Fn(&Fleet) -> usize) {
        let (kind, before) = (action.kind(), done(&self.fleet));
        let (first, other) = (self.id(), self.id());
        let events = self.execute(node, &first, &action).await;
        assert_done(&events, kind);
        assert_eq!(done(&self.fleet), before + 1, "{kind:?} happened");

        let again = self.execute(node, &first, &action).await;
        assert_eq!(again, events, "{kind:?}: the same id tells the same story");
        assert_eq!(done(&self.fleet), before + 1, "{kind:?} under the same id");

        let anew = self.execute(node, &other, &action).await;
        assert_done(&anew, kind);
        let started = |event: &OperationEvent| matches!(event.kind, OperationEventKind::ToolStarted { .. });
        assert!(!anew.iter().any(started), "{kind:?}: nothing is started: {anew:#?}");
        assert_eq!(done(&self.fleet), before + 1, "{kind:?} under another id");
        self.kinds.insert(kind);
    }
}

pub(crate) fn assert_done(events: &[OperationEvent], kind: ActionKind) {
    let ended = events.last().map(|event| &event.kind);
    let done = matches!(ended, Some(OperationEventKind::Ended(Outcome::Done { .. })));
    assert!(done, "{kind:?}: {events:#?}");
    for (number, event) in (0..).zip(events) {
        assert_eq!(event.sequence, number, "{kind:?}: {events:#?}");
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// How often an entry of this kind stands in the world's log.
pub(crate) fn seen(what: What) -> impl Fn(&Fleet) -> usize {
    move |fleet| fleet.happened(what)
}

/// How often this line was called.
fn called(tool: &'static str, words: &'static str) -> impl Fn(&Fleet) -> usize {
    move |fleet| {
        let mine = |e: &quorate_lab::Entry| e.what == What::ToolCalled && e.argv.join(" ") == format!("{tool} {words}");
        fleet.world().iter().filter(|e| mine(e)).count()
    }
}

/// How often a file of /etc/pve was written or removed.
fn written(path: &'static str) -> impl Fn(&Fleet) -> usize {
    move |fleet| {
        let of_it = |e: &quorate_lab::Entry| e.what == What::PveWritten && e.detail.split(' ').any(|p| p == path);
        fleet.world().iter().filter(|e| of_it(e)).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twice_from_bare_servers_to_the_last_member() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2).qnetd(WITNESS)).await;
    let cluster = || fleet_name("hk1");
    let mut driving = Driving::of(fleet).await;

    for (node, package) in [
        ("prox1", Package::CorosyncQdevice),
        ("prox2", Package::CorosyncQdevice),
        (WITNESS, Package::CorosyncQnetd),
    ] {
        let install = Action::InstallPackages {
            packages: BTreeSet::from([package]),
        };
        let done = move |fleet: &Fleet| {
            let of_it =
                |e: &&quorate_lab::Entry| e.node.as_deref() == Some(node) && e.detail.contains(package.as_str());
            fleet.all(What::PackageInstalled).iter().filter(of_it).count()
        };
        driving.twice(node, install, done).await;
    }

    let create = Action::CreateCluster {
        cluster: cluster(),
        links: BTreeMap::from([(0, ip("10.10.10.1"))]),
        priorities: BTreeMap::new(),
    };
    driving.twice("prox1", create, seen(What::ClusterCreated)).await;
    let join = Action::JoinCluster {
        cluster: cluster(),
        member: "prox1".parse().unwrap(),
        member_address: ip("192.168.1.11"),
        links: BTreeMap::from([(0, ip("10.10.10.2"))]),
    };
    driving.twice("prox2", join, seen(What::JoinCompleted)).await;
    assert_eq!(driving.fleet.happened(What::AddnodeCommitted), 1);

    let witness = driving.fleet.lab.node(WITNESS).unwrap().public_address;
    let admit = Action::AdmitKeys {
        cluster: cluster(),
        keys: driving.keys("prox1", false).await,
        from: BTreeSet::from([ip("192.168.1.11"), ip("192.168.1.12")]),
        minutes: 30,
    };
    driving
        .twice(WITNESS, admit, |fleet: &Fleet| fleet.let_in().len())
        .await;
    let set_up = Action::SetUpQdevice {
        cluster: cluster(),
        host: WITNESS.parse().unwrap(),
        address: witness.into(),
        host_keys: driving.keys(WITNESS, true).await,
    };
    driving.twice("prox1", set_up, seen(What::QdeviceAdded)).await;
    let withdraw = Action::WithdrawKeys { cluster: cluster() };
    let gone = |fleet: &Fleet| usize::from(fleet.let_in().is_empty());
    driving.twice(WITNESS, withdraw, gone).await;
    let remove = Action::RemoveQdevice { cluster: cluster() };
    driving.twice("prox1", remove, seen(What::QdeviceRemoved)).await;

    let add_link = Action::AddLink {
        cluster: cluster(),
        link: 1,
        addresses: BTreeMap::from([
            ("prox1".parse().unwrap(), ip("192.168.1.11")),
            ("prox2".parse().unwrap(), ip("192.168.1.12")),
        ]),
        priority: None,
    };
    let edits = |fleet: &Fleet| usize::try_from(version(&fleet.read("prox1", "/etc/pve/corosync.conf"))).unwrap();
    driving.twice("prox1", add_link, edits).await;
    // Where the firewall is off, nothing has to be allowed.
    let firewall = Plant::Firewall {
        policy_in: None,
        rules: vec![],
    };
    driving.fleet.plant("prox1", firewall).await;
    let allow = Action::AllowAgents {
        cluster: cluster(),
        passages: BTreeSet::from([Passage::tcp_in(7443)]),
        from: BTreeSet::from([ip("192.168.1.11"), ip("192.168.1.12"), ip("192.168.1.250")]),
    };
    driving.twice("prox1", allow, written("firewall/cluster.fw")).await;

    off_once(&mut driving).await;
    driving.fleet.lab.power("prox2", Press::Pull).await.unwrap();
    let alone = async || {
        let servers = driving.fleet.lab.status().await.unwrap();
        servers.iter().any(|s| s.name == "prox1" && !s.quorate && !s.writable)
    };
    driving.fleet.until("prox1 is alone, and without quorum", alone).await;
    let expect = Action::ExpectVotes {
        cluster: cluster(),
        votes: 1,
    };
    driving.twice("prox1", expect, seen(What::ExpectedSet)).await;
    let remove = Action::RemoveMember {
        cluster: cluster(),
        removed: "prox2".parse().unwrap(),
        id: 2,
    };
    driving.twice("prox1", remove, seen(What::NodeRemoved)).await;
    let clean_up = Action::CleanUpAfter {
        cluster: cluster(),
        removed: "prox2".parse().unwrap(),
        keep_folder: false,
    };
    let cleared = |fleet: &Fleet| usize::from(!fleet.rooted("prox1", "/etc/pve/nodes/prox2").exists());
    driving.twice("prox1", clean_up, cleared).await;
    driving.fleet.nothing_twice();
    driving.fleet.all_in(&["prox1"]).await;

    use ActionKind as K;
    let all = [
        K::InstallPackages,
        K::CreateCluster,
        K::JoinCluster,
        K::AdmitKeys,
        K::SetUpQdevice,
        K::WithdrawKeys,
        K::RemoveQdevice,
        K::AddLink,
        K::AllowAgents,
        K::PowerOff,
        K::ExpectVotes,
        K::RemoveMember,
        K::CleanUpAfter,
    ];
    assert_eq!(driving.kinds, BTreeSet::from(all));
}

/// Whoever goes off can't be asked again before he is on again: then the same id does not switch him off once more. Under another
/// id it would, and should: nobody who can be asked is off.
async fn off_once(driving: &mut Driving) {
    let off = Action::PowerOff {
        cluster: fleet_name("hk1"),
    };
    let id = driving.id();
    let request = v1::ExecuteRequest {
        driver: Some(driving.driver.clone().into_wire()),
        operation: Some(
            Operation {
                id: id.parse().unwrap(),
                action: off.clone(),
            }
            .into_wire(),
        ),
        ..v1::ExecuteRequest::default()
    };
    drop(driving.client("prox2").execute(request).await.unwrap());
    let fleet = &driving.fleet;
    fleet
        .until("prox2 is off", async || fleet.happened(What::PoweredOff) == 1)
        .await;
    fleet.lab.power("prox2", Press::On).await.unwrap();
    fleet
        .until("prox2 is back, with its agent", async || {
            let servers = fleet.lab.status().await.unwrap();
            servers.iter().any(|s| s.name == "prox2" && s.quorate && s.writable)
                && fleet.lab.agent_pid("prox2").is_some()
        })
        .await;
    let again = driving.execute("prox2", &id, &off).await;
    assert_done(&again, ActionKind::PowerOff);
    assert_eq!(
        (
            fleet.happened(What::PoweredOff),
            fleet.calls("systemctl", "poweroff").len()
        ),
        (1, 1)
    );
    driving.kinds.insert(ActionKind::PowerOff);
}

#[tokio::test(flavor = "multi_thread")]
async fn twice_ha_and_joins_that_hang() {
    let all = ["prox1", "prox2", "prox3", "prox4"];
    let fleet = Fleet::enrolled(newer(Lab::builder().nodes(4), &all)).await;
    fleet.made_by_hand(&all[..2], ONE_LINK).await;
    hangs(&fleet, "prox3").await;
    let cluster = || fleet_name("hk1");
    let mut driving = Driving::of(fleet).await;
    let finish = Action::FinishJoin {
        cluster: cluster(),
        member: "prox1".parse().unwrap(),
    };
    let came_in = |fleet: &Fleet| {
        let started = |e: &&quorate_lab::Entry| e.what == What::CorosyncStarted && e.node.as_deref() == Some("prox3");
        fleet.world().iter().filter(started).count()
    };
    driving.twice("prox3", finish, came_in).await;
    hangs(&driving.fleet, "prox4").await;
    let abandon = Action::AbandonJoin { cluster: cluster() };
    let stands_alone = |fleet: &Fleet| usize::from(fleet.read("prox4", "/etc/corosync/corosync.conf").is_empty());
    driving.twice("prox4", abandon, stands_alone).await;
    driving.fleet.all_in(&all[..3]).await;

    driving.fleet.protected("prox1", 100).await;
    let disarm = Action::DisarmHa { cluster: cluster() };
    driving
        .twice("prox1", disarm, called("ha-manager", "crm-command disarm-ha freeze"))
        .await;
    let arm = Action::ArmHa { cluster: cluster() };
    driving
        .twice("prox1", arm, called("ha-manager", "crm-command arm-ha"))
        .await;
    for (service, run, done) in [
        (HaService::Lrm, false, "stop pve-ha-lrm"),
        (HaService::Crm, false, "stop pve-ha-crm"),
        (HaService::Crm, true, "start pve-ha-crm"),
        (HaService::Lrm, true, "start pve-ha-lrm"),
    ] {
        let action = if run {
            Action::StartHa {
                cluster: cluster(),
                service,
            }
        } else {
            Action::StopHa {
                cluster: cluster(),
                service,
            }
        };
        driving.twice("prox2", action, called("systemctl", done)).await;
    }
    use ActionKind as K;
    let kinds = [
        K::FinishJoin,
        K::AbandonJoin,
        K::DisarmHa,
        K::ArmHa,
        K::StopHa,
        K::StartHa,
    ];
    assert_eq!(driving.kinds, BTreeSet::from(kinds));
    // With the 13 of the other test, the twelve about guests beside this file, the seven about disks, storages and agents, which have suites
    // of their own, as have the three about canaries and the one that keeps what a lost server wrote, the one that takes a lost server's
    // guest, and the two that no rollout does but a drill, that is every kind there is.
    assert_eq!(
        kinds.len() + 13 + super::twice_guests::KINDS.len() + 7 + 3 + 1 + 2 + 1,
        ActionKind::ALL.len()
    );
    driving.fleet.nothing_twice();
}

/// `pvecm add` that came as far as corosync's files, and then was killed.
async fn hangs(fleet: &Fleet, node: &str) {
    fleet.lab.script(node, Script::UdpBlocked(true)).await.unwrap();
    let mut add = fleet.joins_by_hand("prox1", node, ONE_LINK).await;
    fleet
        .until("it waits for quorum", async || {
            let world = fleet.world();
            world
                .iter()
                .any(|e| e.what == What::CorosyncStarted && e.node.as_deref() == Some(node))
        })
        .await;
    add.kill();
    let stopped = Plant::Service {
        unit: "corosync".to_owned(),
        state: ServiceIs::Stopped,
    };
    fleet.lab.script(node, Script::Plant(stopped)).await.unwrap();
    fleet.lab.script(node, Script::UdpBlocked(false)).await.unwrap();
}

pub(crate) fn fleet_name(text: &str) -> quorate_model::ClusterName {
    text.parse().unwrap()
}
