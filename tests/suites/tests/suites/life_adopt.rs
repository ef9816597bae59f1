//! Clusters that others made: the file that says what they are, and a plan that leaves them as they are.

use quorate_lab::Lab;
use quorate_suites::hand::{BOTH_LINKS, ONE_LINK, steps};
use quorate_suites::{Fleet, told};

const ALL: [&str; 3] = ["prox1", "prox2", "prox3"];

/// Adopts the cluster into a file, whose plan is then empty.
async fn adopted(fleet: &Fleet) -> String {
    let path = fleet.lab.layout().coordinator().join("adopted.toml");
    let name = path.to_string_lossy().into_owned();
    let before = fleet.changes();
    let adopted = fleet.ok(&["adopt", "hk1", "--out", &name]).await;
    assert!(adopted.stderr.contains("Its plan is empty"), "{}", told(&adopted));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(adopted.stdout.contains(&text), "{}", told(&adopted));
    let plan = fleet.json(&["plan", &name]).await;
    assert!(steps(&plan).is_empty(), "{plan:#}\n{text}");
    fleet.ok(&["plan", &name]).await;
    assert_eq!(fleet.changes(), before, "adopting changes nothing");
    fleet.nothing_unknown();

    // It is the administrator's now.
    std::fs::write(&path, format!("# mine\n{text}")).unwrap();
    let again = fleet.ends(&["adopt", "hk1", "--out", &name], 3).await;
    assert!(again.stderr.contains("--force"), "{}", told(&again));
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("# mine\n"));
    fleet.ok(&["adopt", "hk1", "--out", &name, "--force"]).await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_one_link_is_adopted() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    let nothing = fleet.ends(&["adopt", "hk1"], 7).await;
    assert!(
        nothing.stderr.contains("no enrolled server is a member"),
        "{}",
        told(&nothing)
    );
    fleet.made_by_hand(&ALL, ONE_LINK).await;
    let text = adopted(&fleet).await;
    assert!(
        text.contains("\"10.10.10.0/24\"") && !text.contains("192.168.1.0"),
        "{text}"
    );
    assert_eq!(text.matches("[nodes.").count(), 3, "{text}");
    // Applied, nothing is done; from then on the cluster keeps the file.
    let path = fleet.lab.layout().coordinator().join("adopted.toml");
    let applied = fleet.ok(&["apply", &path.to_string_lossy(), "--yes"]).await;
    assert!(applied.stdout.contains("Nothing to do"), "{}", told(&applied));
    fleet
        .until("every member has the file", async || {
            ALL.iter()
                .all(|node| fleet.read(node, "/etc/pve/quorate/spec.toml").contains("[nodes.prox3]"))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_two_links_is_adopted_to_stdout_too() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2)).await;
    fleet.made_by_hand(&ALL[..2], BOTH_LINKS).await;
    let text = adopted(&fleet).await;
    let (fast, public) = (text.find("10.10.10.0/24"), text.find("192.168.1.0/24"));
    assert!(fast.is_some() && fast < public, "link 0 first: {text}");
    let printed = fleet.ok(&["adopt", "hk1", "--out", "-"]).await;
    assert_eq!(printed.stdout, text);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_no_network_tells_are_written_one_by_one() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2)).await;
    // Link 0 is the cluster network on one of them, and the public one on the other.
    fleet.made_by_hand(&["prox1"], ONE_LINK).await;
    fleet.made_by_hand_joins("prox1", "prox2", &["192.168.1.0/24"]).await;
    fleet.all_in(&ALL[..2]).await;
    let text = adopted(&fleet).await;
    assert!(text.contains("10.10.10.1") && !text.contains("10.10.10.0/24"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_which_one_server_is_not_seen_is_not_adopted() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    fleet.made_by_hand(&ALL, ONE_LINK).await;
    fleet.lab.kill_agent("prox2");
    let path = fleet
        .lab
        .layout()
        .coordinator()
        .join("blind.toml")
        .to_string_lossy()
        .into_owned();
    let refused = fleet.ends(&["adopt", "hk1", "--out", &path], 5).await;
    assert!(
        refused.stderr.contains("prox2") && refused.stderr.contains("as a whole"),
        "{}",
        told(&refused)
    );
    assert!(!std::path::Path::new(&path).exists());
}
