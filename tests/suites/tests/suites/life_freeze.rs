//! `quorate freeze` and maintenance windows: what disturbs waits, says so, and goes on.

use quorate_lab::process::{Daemon, Program};
use quorate_lab::{Lab, What, binaries};
use quorate_suites::hand::{ONE_LINK, findings};
use quorate_suites::{Fleet, told};

const ALL: [&str; 3] = ["prox1", "prox2", "prox3"];

/// `quorate rollout watch`, whose words can be read while it runs.
struct Watch {
    _daemon: Daemon,
    log: std::path::PathBuf,
}

impl Watch {
    fn of(fleet: &Fleet, rollout: &str) -> Self {
        let layout = fleet.lab.layout();
        let log = layout.coordinator().join(format!("watch-{}.out", fleet.world().len()));
        let program = Program::new(binaries::ensure_built().unwrap().quorate)
            .dir(layout.coordinator())
            .env("HOME", layout.coordinator())
            .env("QUORATE_CONFIG", layout.coordinator_config())
            .args(["rollout", "watch", rollout]);
        let _daemon = program.spawn(&log, true).unwrap();
        Self { _daemon, log }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    async fn says(&self, fleet: &Fleet, words: &str) {
        fleet.until(words, async || self.text().contains(words)).await;
    }
}

async fn begun(fleet: &Fleet, file: &str) -> String {
    let started = fleet.json(&["apply", file, "--yes", "--detach"]).await;
    started["rollout"].as_str().expect("a rollout was started").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_rollout_waits_before_its_next_step_until_it_may() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3).speed(10.0)).await;
    let file = fleet.linked_file("hk1.toml", &ALL, ONE_LINK, "");
    let rollout = begun(&fleet, &file).await;
    let watch = Watch::of(&fleet, &rollout);
    fleet
        .until("prox2 is being joined", async || {
            fleet.happened(What::AddnodeCommitted) == 1
        })
        .await;
    let frozen = fleet.ok(&["freeze", "hk1", "--reason", "customer demo"]).await;
    assert!(frozen.stdout.contains("hk1 is frozen"), "{}", told(&frozen));
    // What has begun goes on to its end; prox3 is not begun.
    watch.says(&fleet, "waiting: frozen by ").await;
    watch.says(&fleet, ": customer demo").await;
    assert_eq!(fleet.calls("pvecm", "add").len(), 1, "{}", watch.text());
    let status = fleet.run(&["status"]).await;
    assert!(
        status.stdout.contains("customer demo") && status.stdout.contains("quorate freeze hk1 --off"),
        "{}",
        told(&status)
    );
    let plan = fleet.json(&["plan", &file]).await;
    let held = findings(&plan, "QRT-CLUSTER-FROZEN");
    assert!(held.len() == 1 && held[0]["severity"] == "warning", "{plan:#}");

    // It survives the coordinator.
    fleet.lab.kill_coordinator();
    fleet.start_coordinator(&[]).await;
    let watch = Watch::of(&fleet, &rollout);
    watch.says(&fleet, "waiting: frozen by ").await;

    let thawed = fleet.ok(&["freeze", "hk1", "--off"]).await;
    assert!(thawed.stdout.contains("no longer frozen"), "{}", told(&thawed));
    let ended = fleet.ok(&["rollout", "watch", &rollout]).await;
    assert!(ended.stdout.contains("3 of 3 steps verified"), "{}", told(&ended));
    fleet.is_one_quorate_cluster(&fleet.lab.names()).await;
    let audit = fleet.ok(&["audit"]).await;
    assert!(audit.stdout.contains("freeze"), "{}", told(&audit));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_was_away_when_it_was_let_go_hears_of_it_before_its_next_step() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3).speed(10.0)).await;
    let file = fleet.linked_file("hk1.toml", &ALL, ONE_LINK, "");
    let rollout = begun(&fleet, &file).await;
    fleet
        .until("prox2 is being joined", async || {
            fleet.happened(What::AddnodeCommitted) == 1
        })
        .await;
    fleet.ok(&["freeze", "hk1"]).await;
    let watch = Watch::of(&fleet, &rollout);
    watch.says(&fleet, "waiting: frozen by ").await;
    fleet.lab.kill_agent("prox3");
    let thawed = fleet.ok(&["freeze", "hk1", "--off"]).await;
    assert!(thawed.stdout.contains("hk1/prox3"), "{}", told(&thawed));
    fleet.lab.start_agent("prox3").unwrap();
    let ended = fleet.ok(&["rollout", "watch", &rollout]).await;
    assert!(ended.stdout.contains("3 of 3 steps verified"), "{}", told(&ended));
}

/// `HH:00-HH:00`, two hours that begin so many hours from now, by the world's clock.
fn window(fleet: &Fleet, hours: u32) -> String {
    let at = fleet.world().pop().unwrap().at;
    let now: u32 = at[11..13].parse().unwrap();
    let hour = |more: u32| (now + hours + more) % 24;
    format!("{:02}:00-{:02}:00", hour(0), hour(2))
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_of_its_windows_a_cluster_is_not_disturbed() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2)).await;
    fleet.made_by_hand(&ALL[..1], ONE_LINK).await;
    let closed = format!("maintenance = [\"{}\"]", window(&fleet, 6));
    let file = fleet.linked_file("closed.toml", &ALL[..2], ONE_LINK, &closed);
    let plan = fleet.json(&["plan", &file]).await;
    assert_eq!(findings(&plan, "QRT-OUTSIDE-WINDOW").len(), 1, "{plan:#}");
    let rollout = begun(&fleet, &file).await;
    let watch = Watch::of(&fleet, &rollout);
    watch
        .says(&fleet, "waiting: no maintenance window is open; the next opens at ")
        .await;
    assert_eq!(fleet.calls("pvecm", "add").len(), 0);
    fleet.ok(&["rollout", "cancel", &rollout]).await;
    fleet.ends(&["rollout", "watch", &rollout], 8).await;

    let open = format!("maintenance = [\"{}\"]", window(&fleet, 0));
    let file = fleet.linked_file("open.toml", &ALL[..2], ONE_LINK, &open);
    let applied = fleet.ok(&["apply", &file, "--yes"]).await;
    assert!(!applied.stdout.contains("QRT-OUTSIDE-WINDOW"), "{}", told(&applied));
    fleet.all_in(&ALL[..2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_nobody_knows_is_not_frozen() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(1)).await;
    let unknown = fleet.ends(&["freeze", "hk9"], 7).await;
    assert!(unknown.stderr.contains("hk9"), "{}", told(&unknown));
}
