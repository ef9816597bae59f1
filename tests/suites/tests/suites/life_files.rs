//! What is kept in files: plans, what was before a rollout, and the applied cluster file in /etc/pve.

use quorate_lab::{GuestSpec, Lab, Script, What};
use quorate_suites::hand::{ONE_LINK, findings, steps};
use quorate_suites::{Fleet, told};

const ALL: [&str; 3] = ["prox1", "prox2", "prox3"];
const SPEC: &str = "/etc/pve/quorate/spec.toml";

fn kept_at(fleet: &Fleet, name: &str) -> String {
    fleet
        .lab
        .layout()
        .coordinator()
        .join(name)
        .to_string_lossy()
        .into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_was_kept_is_applied_exactly_so_or_not_at_all() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    let file = fleet.linked_file("hk1.toml", &ALL, ONE_LINK, "");
    let kept = kept_at(&fleet, "plan.json");
    let planned = fleet.ok(&["plan", &file, "--out", &kept]).await;
    assert!(
        planned.stderr.contains(&format!("quorate apply --plan {kept}")),
        "{}",
        told(&planned)
    );
    let before = fleet.changes();
    let dry_run = ["apply", "--plan", &kept, "--dry-run"];
    let dry = fleet.ok(&dry_run).await;
    assert!(dry.stdout.contains("cluster.join/prox3"), "{}", told(&dry));

    // prox3 has a guest now, so that it must be the one that creates the cluster.
    let guest = GuestSpec {
        vmid: 100,
        name: "web".to_owned(),
        kind: quorate_lab::description::GuestKind::Qemu,
        ..GuestSpec::default()
    };
    fleet.lab.script("prox3", Script::AddGuest(guest)).await.unwrap();
    let refused = fleet.ends(&["apply", "--plan", &kept, "--yes"], 3).await;
    for said in ["QRT-PLAN-CHANGED", "cluster.create", "prox3"] {
        assert!(refused.stderr.contains(said), "{said}: {}", told(&refused));
    }
    let dry = fleet.ends(&dry_run, 3).await;
    for said in ["nothing would be done", "cluster.create", "prox3", "--out"] {
        assert!(dry.stderr.contains(said), "{said}: {}", told(&dry));
    }
    assert_eq!(fleet.changes(), before);
    assert_eq!(fleet.happened(What::ClusterCreated), 0);
    assert!(fleet.json(&["rollout", "list"]).await.as_array().unwrap().is_empty());

    fleet.lab.script("prox3", Script::RemoveGuest(100)).await.unwrap();
    let applied = fleet.ok(&["apply", "--plan", &kept, "--yes"]).await;
    assert!(applied.stdout.contains("3 of 3 steps verified"), "{}", told(&applied));
    fleet.is_one_quorate_cluster(&fleet.lab.names()).await;
    // All of it is done; the plan that was kept is of yesterday.
    let again = fleet.ends(&["apply", "--plan", &kept, "--yes"], 3).await;
    assert!(again.stderr.contains("QRT-PLAN-CHANGED"), "{}", told(&again));

    std::fs::write(kept_at(&fleet, "no.json"), "{}").unwrap();
    let no_plan = fleet.ends(&["apply", "--plan", &kept_at(&fleet, "no.json")], 2).await;
    assert!(no_plan.stderr.contains("--out"), "{}", told(&no_plan));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_plan_is_shown_and_applied() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    let file = fleet.linked_file("hk1.toml", &ALL, ONE_LINK, "");
    let before = fleet.changes();
    let dry = fleet.ok(&["apply", &file, "--dry-run"]).await;
    assert!(dry.stdout.contains("cluster.join/prox3"), "{}", told(&dry));
    assert_eq!(fleet.changes(), before);
    for (option, wrong) in [("--until", "cluster.join/prox9"), ("--only", "drills")] {
        let refused = fleet.ends(&["plan", &file, option, wrong], 2).await;
        assert!(
            refused.stderr.contains(wrong) && refused.stderr.contains("cluster.create, cluster.join/prox2"),
            "{}",
            told(&refused)
        );
    }
    let only = fleet.json(&["plan", &file, "--only", "cluster"]).await;
    assert_eq!(steps(&only).len(), 3, "{only:#}");
    let until = fleet
        .ok(&["apply", &file, "--yes", "--until", "cluster.join/prox2"])
        .await;
    assert!(until.stdout.contains("2 of 2 steps verified"), "{}", told(&until));
    fleet.all_in(&ALL[..2]).await;
    assert_eq!(steps(&fleet.json(&["plan", &file]).await), ["cluster.join/prox3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_before_a_rollout_is_there_for_whoever_goes_back() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    fleet.made_by_hand(&ALL[..2], ONE_LINK).await;
    let before = fleet.read("prox1", "/etc/pve/corosync.conf");
    let others = ["/etc/pve/storage.cfg", "/etc/network/interfaces"].map(|path| (path, fleet.read("prox1", path)));
    let file = fleet.linked_file("hk1.toml", &ALL, ONE_LINK, "");
    fleet.ok(&["apply", &file, "--yes"]).await;
    let list = fleet.json(&["rollout", "list"]).await;
    let rollout = list[0]["id"].as_str().unwrap().to_owned();

    let shown = fleet.ok(&["rollout", "undo-info", &rollout]).await;
    for said in [
        "cluster.join/prox3",
        "/etc/pve/corosync.conf: changed",
        "+    name: prox3",
        "was not there, is there now",
    ] {
        assert!(shown.stdout.contains(said), "{said}: {}", told(&shown));
    }
    let whole = fleet.json(&["rollout", "undo-info", &rollout]).await;
    let node = whole["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|n| n["node"] == "prox1")
        .unwrap();
    assert_eq!(
        node["before"]["/etc/pve/corosync.conf"]["text"],
        before.as_str(),
        "{whole:#}"
    );
    for (path, text) in others {
        assert_eq!(node["before"][path]["text"], text.as_str(), "{path}: {whole:#}");
    }
    let now = fleet.read("prox1", "/etc/pve/corosync.conf");
    assert_eq!(node["now"]["/etc/pve/corosync.conf"]["text"], now.as_str());

    // Also when a server is away, and when the coordinator was restarted.
    fleet.lab.kill_agent("prox3");
    fleet.lab.kill_coordinator();
    fleet.start_coordinator(&[]).await;
    let away = fleet.ok(&["rollout", "undo-info", &rollout]).await;
    assert!(
        away.stdout.contains("cluster.join/prox3") && away.stdout.contains("not known: now: "),
        "{}",
        told(&away)
    );
    fleet
        .ends(&["rollout", "undo-info", "hk1-20200101-000000-0000"], 7)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_applied_file_is_kept_in_the_cluster_and_another_one_is_told() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    let file = fleet.linked_file("hk1.toml", &ALL, ONE_LINK, "");
    fleet.ok(&["apply", &file, "--yes"]).await;
    let text = std::fs::read_to_string(&file).unwrap();
    fleet
        .until("the file is kept on every member", async || {
            ALL.iter().all(|node| fleet.read(node, SPEC).contains(&text))
        })
        .await;
    let kept = fleet.read("prox2", SPEC);
    let plan = fleet.json(&["plan", &file]).await;
    assert!(
        kept.contains(&format!("sha256={}", plan["spec_digest"].as_str().unwrap())),
        "{kept}"
    );
    assert!(findings(&plan, "QRT-SPEC-APPLIED-ELSEWHERE").is_empty(), "{plan:#}");

    // It is the cluster's: it survives restarts of the servers' services, and of the coordinator.
    fleet.lab.script("prox2", Script::RestartCluster).await.unwrap();
    fleet.writable("prox2").await;
    assert_eq!(fleet.read("prox2", SPEC), kept);

    // Another coordinator's file: written as its agent would.
    let (id, other) = ("other.toml", format!("# of another coordinator\n{text}"));
    let second = fleet.write_file(id, &other);
    fleet.ok(&["apply", &second, "--yes"]).await;
    fleet
        .until("the other file is kept", async || {
            fleet.read("prox1", SPEC).contains("# of another")
        })
        .await;
    let theirs = fleet.read("prox1", SPEC);
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet
        .until("ours again", async || {
            !fleet.read("prox1", SPEC).contains("# of another")
        })
        .await;
    std::fs::write(fleet.rooted("prox1", SPEC), theirs).unwrap();
    fleet
        .until("theirs", async || fleet.read("prox3", SPEC).contains("# of another"))
        .await;
    let plan = fleet.json(&["plan", &file]).await;
    let elsewhere = findings(&plan, "QRT-SPEC-APPLIED-ELSEWHERE");
    assert!(
        elsewhere.len() == 1 && elsewhere[0]["severity"] == "warning",
        "{plan:#}"
    );
    // Applied by us again, it is ours.
    fleet.ok(&["apply", &file, "--yes"]).await;
    let plan = fleet.json(&["plan", &file]).await;
    assert!(findings(&plan, "QRT-SPEC-APPLIED-ELSEWHERE").is_empty(), "{plan:#}");
}
