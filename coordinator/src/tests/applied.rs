//! What is known as applied, accepted and left behind: only what really was.

use quorate_model::observation::ha::Disarm;
use quorate_model::operation::{Action, LedgerEntry, Operation, Outcome};
use quorate_model::plan::Plan;
use quorate_model::rollout::RolloutResult;
use quorate_model::{Code, Timestamp};
use quorate_planner::testkit::{self, Servers};
use quorate_proto::{Wire, field, v1};

use super::rollouts::{cluster_file, executed, finished, watch};
use super::*;
use crate::audit::{Audit, verify};
use crate::state_dir::StateDir;

/// A request for three servers, as the command line makes it.
#[derive(Clone, Default)]
struct Asked {
    accept: Vec<String>,
    only: Option<&'static str>,
    until: Option<&'static str>,
}

impl Asked {
    fn wish(&self) -> Option<v1::Wish> {
        let wish = quorate_model::Wish {
            only: self.only.map(str::to_owned),
            until: self.until.map(|step| step.parse().unwrap()),
            ..quorate_model::Wish::default()
        };
        Some(wish.into_wire())
    }

    async fn plan(&self, client: &mut Client) -> Plan {
        let request = v1::PlanRequest {
            wish: self.wish(),
            file_name: "hk1.toml".to_owned(),
            text: cluster_file(3),
            accept: self.accept.clone(),
        };
        let plan: Option<Plan> = field("plan", of(client.plan(request).await).unwrap().plan).unwrap();
        plan.unwrap()
    }

    async fn apply(&self, client: &mut Client, shown: Plan) -> Result<String, Failure> {
        let request = v1::ApplyRequest {
            passwords: vec![],
            wish: self.wish(),
            file_name: "hk1.toml".to_owned(),
            text: cluster_file(3),
            accept: self.accept.clone(),
            shown: Some(shown.into_wire()),
        };
        of(client.apply(request).await).map(|reply| reply.rollout)
    }

    /// Plans, applies, and waits for the end.
    async fn done(&self, client: &mut Client) {
        let shown = self.plan(client).await;
        let rollout = self.apply(client, shown).await.unwrap();
        assert_eq!(finished(&watch(client, &rollout).await.unwrap()), RolloutResult::Done);
    }
}

fn audit(fixture: &Fixture) -> Vec<serde_json::Value> {
    let state = StateDir::open(&fixture.config.state_dir).unwrap();
    let audit = Audit::of(&state, quorate_clock::Clock::system());
    let mut lines = Vec::new();
    verify::each(audit.path(), |_, text| lines.push(serde_json::from_str(text).unwrap())).unwrap();
    lines
}

async fn findings(client: &mut Client) -> Vec<v1::Finding> {
    of(client.info(v1::InfoRequest {}).await).unwrap().findings
}

fn has(plan: &Plan, code: Code) -> usize {
    plan.findings.iter().filter(|finding| finding.code == code).count()
}

/// What members were told to keep in /etc/pve.
fn kept(all: &[FakeNode]) -> usize {
    all.iter().map(|node| node.state.kept.lock().unwrap().len()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_not_the_whole_file() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let all = enrolled(&mut client, 3).await;
    let first = Asked {
        until: Some("cluster.create"),
        ..Asked::default()
    };
    first.done(&mut client).await;
    let nothing = first.plan(&mut client).await;
    assert!(nothing.is_empty() && has(&nothing, Code::PartDone) == 1, "{nothing:#?}");
    assert_eq!(first.apply(&mut client, nothing).await.unwrap(), "");
    let shown = Asked::default().plan(&mut client).await;
    assert_eq!(shown.steps.len(), 2);
    assert_eq!(kept(&all), 0, "two servers are still to join");

    Asked::default().done(&mut client).await;
    until("the file is kept", || async { kept(&all) == 1 }).await;
    let empty = Asked::default().plan(&mut client).await;
    assert_eq!(Asked::default().apply(&mut client, empty).await.unwrap(), "");
    daemon.stop().await;
    let actions: Vec<String> = audit(&fixture)
        .iter()
        .map(|line| line["what"]["action"].as_str().unwrap().to_owned())
        .collect();
    let applied: Vec<&str> = actions
        .iter()
        .map(String::as_str)
        .filter(|action| ["apply", "take_as_applied"].contains(action))
        .collect();
    assert_eq!(applied, ["apply", "apply", "take_as_applied"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_ours_is_ours_whatever_became_of_the_rollout_after_it() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let all = enrolled(&mut client, 3).await;
    let in_etc_pve = |text: Option<&str>| {
        let mut world = all[0].state.world.lock().unwrap();
        *world = world.clone().with_each(|seen| {
            let spec = text.map(|text| quorate_model::observation::config::KeptSpec {
                digest: text.to_owned(),
                applied_at: Timestamp(0),
                rollout: String::new(),
                text: text.to_owned(),
            });
            testkit::known(&mut seen.config).spec = quorate_model::Facet::known(spec, testkit::NOW);
        });
    };
    let first = Asked::default().plan(&mut client).await;
    let rollout = Asked::default().apply(&mut client, first.clone()).await.unwrap();
    watch(&mut client, &rollout).await.unwrap();
    until("the file is kept", || async { kept(&all) == 1 }).await;
    in_etc_pve(Some(&first.spec_digest));
    let elsewhere = |plan: Plan| has(&plan, Code::SpecAppliedElsewhere);
    assert_eq!(elsewhere(Asked::default().plan(&mut client).await), 0);
    in_etc_pve(Some("another"));
    assert_eq!(elsewhere(Asked::default().plan(&mut client).await), 1);
    // That nobody can read it is told as well.
    {
        let mut world = all[0].state.world.lock().unwrap();
        *world = world
            .clone()
            .with_each(|seen| testkit::known(&mut seen.config).spec = testkit::unseen());
    }
    let plan = Asked::default().plan(&mut client).await;
    let told: Vec<_> = plan
        .findings
        .iter()
        .filter(|f| f.code == Code::SpecAppliedElsewhere)
        .collect();
    assert!(told.len() == 1 && told[0].message.contains("can't be told"), "{told:?}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_does_not_leave_the_fleet_unseen() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let _all = enrolled(&mut client, 3).await;
    Asked::default().done(&mut client).await;
    let removal = |even_if_member| v1::RemoveNodeRequest {
        cluster: "hk1".to_owned(),
        node: "prox3".to_owned(),
        even_if_member,
    };
    let refused = of(client.remove_node(removal(false)).await).unwrap_err();
    assert_eq!(refused.findings[0].code, Code::RemoveStillMember, "{refused}");
    assert_eq!(nodes(&mut client).await.len(), 3);
    of(client.remove_node(removal(true)).await).unwrap();
    assert_eq!(nodes(&mut client).await.len(), 2);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_is_recorded_with_what_it_was_about_and_covers_nothing_else() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let all = enrolled(&mut client, 3).await;
    let of_version = |node: &str, version: &str| {
        let mut world = all[0].state.world.lock().unwrap();
        *world = world.clone().with_system(node, |system| {
            testkit::known(&mut system.pve).as_mut().unwrap().manager = version.to_owned();
        });
    };
    of_version("prox2", "77.0.1");
    let code = |code: Code| code.as_str().to_owned();
    let asked = Asked {
        accept: vec![
            code(Code::VersionUntested),
            code(Code::VersionsDiffer),
            code(Code::FirewallKeepsOut),
        ],
        ..Asked::default()
    };
    let shown = asked.plan(&mut client).await;
    assert!(!shown.refused(), "{shown:#?}");
    of_version("prox3", "77.0.1");
    let refused = asked.apply(&mut client, shown.clone()).await.unwrap_err();
    assert!(
        refused
            .findings
            .iter()
            .any(|f| f.code == Code::VersionUntested && f.subject == "prox3"),
        "{refused:?}"
    );
    assert_eq!(executed(&all), [0, 0, 0]);
    of_version("prox3", "8.4.1");
    of_version("prox3", &{
        let world = all[0].state.world.lock().unwrap();
        let seen = world.view.nodes[&"prox1".parse().unwrap()].observation.clone().unwrap();
        seen.system.get().unwrap().pve.get().unwrap().clone().unwrap().manager
    });
    let rollout = asked.apply(&mut client, shown).await.unwrap();
    watch(&mut client, &rollout).await.unwrap();
    daemon.stop().await;
    let lines = audit(&fixture);
    let line = lines.iter().find(|line| line["what"]["action"] == "apply").unwrap();
    let accepted: Vec<&str> = line["accepted"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|a| a.as_str())
        .collect();
    assert!(accepted.contains(&"QRT-VERSION-UNTESTED prox2"), "{line:#}");
    assert!(
        accepted.iter().all(|accepted| !accepted.contains("FIREWALL")),
        "what was typed and not needed is not recorded: {line:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_coordinator_on_a_server_of_the_cluster_is_told_once() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let all = enrolled(&mut client, 3).await;
    assert_eq!(
        has(&Asked::default().plan(&mut client).await, Code::CoordinatorOnNode),
        0
    );
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    {
        let mut world = all[0].state.world.lock().unwrap();
        *world = world.clone().with_system("prox2", |system| system.boot_id = boot);
    }
    let plan = Asked::default().plan(&mut client).await;
    let told: Vec<_> = plan
        .findings
        .iter()
        .filter(|f| f.code == Code::CoordinatorOnNode)
        .collect();
    assert!(told.len() == 1 && told[0].subject == "prox2", "{told:?}");
    assert_eq!(plan.steps.last().unwrap().node.as_str(), "prox2", "it is handled last");
    daemon.stop().await;
}

/// Three members, a guest under HA, and HA disarmed as a whole.
fn disarmed() -> Servers {
    Servers::bare(3)
        .members("hk1", &["prox1", "prox2", "prox3"], &[])
        .under_ha("vm:100", "prox1", "5.1.3")
        .with_each(|seen| {
            let ha = testkit::known(&mut seen.ha);
            ha.watchdog_armed = false;
            testkit::known(&mut ha.manager).as_mut().unwrap().disarm = Some(Disarm {
                mode: "freeze".to_owned(),
                state: "disarmed".to_owned(),
            });
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn ha_that_a_lost_rollout_had_disarmed_is_told_and_armed() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let all = enrolled(&mut client, 3).await;
    daemon.stop().await;
    // The journal is gone in which a rollout had begun; its first step is in an agent's ledger.
    *all[0].state.world.lock().unwrap() = disarmed();
    let operation: quorate_model::OperationId = "hk1-20261122-110932-beef.1-ha.disarm.1".parse().unwrap();
    let entry = LedgerEntry {
        operation: Operation {
            id: operation.clone(),
            action: Action::DisarmHa {
                cluster: "hk1".parse().unwrap(),
            },
        },
        accepted_at: Timestamp::from_seconds(1_795_345_772),
        outcome: Some(Outcome::Done {
            evidence: "seen".to_owned(),
        }),
        ended_at: Some(Timestamp::from_seconds(1_795_345_780)),
    };
    all[1].state.ledger.lock().unwrap().insert(operation.to_string(), entry);
    std::fs::remove_dir_all(fixture.config.state_dir.join("journal")).unwrap();

    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    linked(&mut client, 3).await;
    until("what is left at rest is told", || {
        let mut client = client.clone();
        async move {
            let told = findings(&mut client).await;
            let rest = told.iter().find(|finding| finding.code == Code::NotRestored.as_str());
            rest.is_some_and(|finding| finding.message.contains("HA is disarmed in hk1"))
        }
    })
    .await;
    let listed = of(client.list_rollouts(v1::ListRolloutsRequest {}).await)
        .unwrap()
        .rollouts;
    assert_eq!(listed[0].not_restored, ["ha.arm"]);
    let plan = Asked::default().plan(&mut client).await;
    let ids: Vec<&str> = plan.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["ha.arm"], "{plan:#?}");
    Asked::default().done(&mut client).await;
    until("nothing of it is told any more", || {
        let mut client = client.clone();
        async move {
            let told = findings(&mut client).await;
            told.iter().all(|finding| finding.code != Code::NotRestored.as_str())
        }
    })
    .await;
    assert!(Asked::default().plan(&mut client).await.is_empty());

    // Disarmed again, by somebody else: it stays so.
    *all[0].state.world.lock().unwrap() = disarmed();
    assert!(Asked::default().plan(&mut client).await.is_empty());
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_survives_the_loss_of_its_record() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let all = enrolled(&mut client, 3).await;
    let request = v1::FreezeRequest {
        cluster: "hk1".to_owned(),
        frozen: true,
        reason: "audit".to_owned(),
    };
    of(client.freeze(request).await).unwrap();
    daemon.stop().await;
    std::fs::remove_dir_all(fixture.config.state_dir.join("specs")).unwrap();

    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    until("it is frozen again", || {
        let mut client = client.clone();
        async move {
            let told = findings(&mut client).await;
            told.iter().any(|finding| finding.code == Code::ClusterFrozen.as_str())
        }
    })
    .await;
    // What waits for it goes on waiting, and no agent is told that it is over.
    let shown = Asked::default().plan(&mut client).await;
    assert_eq!(has(&shown, Code::ClusterFrozen), 1);
    Asked::default().apply(&mut client, shown).await.unwrap();
    assert!(all.iter().all(|node| {
        let hold = node.state.hold.lock().unwrap();
        hold.as_ref().is_some_and(|hold| hold.frozen.is_some())
    }));
    assert_eq!(executed(&all), [0, 0, 0]);
    daemon.stop().await;
}
