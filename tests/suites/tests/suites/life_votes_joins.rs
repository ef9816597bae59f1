//! A third vote is off while servers join, and on again after.

use quorate_lab::control::{Misbehaviour, ToolScript};
use quorate_lab::{Lab, Script, What};
use quorate_suites::hand::{findings, steps};
use quorate_suites::life::WITNESS;
use quorate_suites::{Fleet, codes, told};

#[tokio::test(flavor = "multi_thread")]
async fn life_a_third_and_a_fourth_server_join_a_cluster_with_a_third_vote() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(4).qnetd(WITNESS)).await;
    let two = fleet.voted_file("two.toml", &["prox1", "prox2"], true);
    fleet.ok(&["apply", &two, "--yes"]).await;
    fleet.third_votes(&["prox1", "prox2"]).await;

    // Three servers that vote need no third party.
    let three = fleet.voted_file("three.toml", &["prox1", "prox2", "prox3"], true);
    let refused = fleet.ends(&["apply", &three, "--yes"], 3).await;
    assert!(refused.stdout.contains("QRT-QDEVICE-ODD-VOTES"), "{}", told(&refused));
    assert!(refused.stdout.contains("[cluster.third_vote]"), "{}", told(&refused));
    assert_eq!(fleet.happened(What::QdeviceRemoved), 0);

    let four = ["prox1", "prox2", "prox3", "prox4"];
    let file = fleet.voted_file("four.toml", &four, true);
    let plan = fleet.json(&["plan", &file]).await;
    assert_eq!(
        steps(&plan),
        [
            "packages.install/prox3",
            "packages.install/prox4",
            "qdevice.remove",
            "cluster.join/prox3",
            "cluster.join/prox4",
            "qdevice.admit/witness1",
            "qdevice.set-up",
            "qdevice.withdraw/witness1",
        ],
        "{plan:#}"
    );
    let applied = fleet.ok(&["apply", &file, "--yes"]).await;
    assert!(applied.stdout.contains("8 of 8 steps verified"), "{}", told(&applied));
    fleet.all_in(&four).await;
    fleet.third_votes(&four).await;
    // Off before the first of the two joined, on after the second.
    let joins: Vec<usize> = places(&fleet, What::AddnodeCommitted);
    let (off, on) = (fleet.first(What::QdeviceRemoved), fleet.last(What::QdeviceAdded));
    assert!(
        joins.len() == 3 && joins[0] < off && off < joins[1] && joins[2] < on,
        "{joins:?} {off} {on}"
    );
    assert_eq!(
        (fleet.happened(What::QdeviceRemoved), fleet.happened(What::QdeviceAdded)),
        (1, 2)
    );
    assert_eq!(fleet.let_in(), Vec::<String>::new());
    fleet.nothing_twice();
    let second = fleet.json(&["plan", &file]).await;
    assert!(steps(&second).is_empty(), "{second:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn life_a_third_server_takes_the_place_of_the_third_vote() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3).qnetd(WITNESS)).await;
    let two = fleet.voted_file("two.toml", &["prox1", "prox2"], true);
    fleet.ok(&["apply", &two, "--yes"]).await;

    // Absence never deletes: the device is in the way, and the finding says so.
    let all = ["prox1", "prox2", "prox3"];
    let file = fleet.voted_file("three.toml", &all, false);
    let plan = fleet.json(&["plan", &file]).await;
    assert!(
        codes(&plan["findings"]).contains(&"QRT-QDEVICE-IN-THE-WAY".to_owned()),
        "{plan:#}"
    );
    let told_of = findings(&plan, "QRT-QDEVICE-IN-THE-WAY")[0]["next"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(told_of.contains("--remove HOST"), "{told_of}");

    // With consent it goes for good, before the third server comes.
    let remove = ["apply", &file, "--remove", WITNESS, "--yes"];
    let applied = fleet.ok(&remove).await;
    fleet.all_in(&all).await;
    fleet.no_device(&all);
    let joins = places(&fleet, What::AddnodeCommitted);
    assert!(fleet.first(What::QdeviceRemoved) < joins[1], "{}", told(&applied));
    fleet.nothing_twice();
    let second = fleet.json(&["plan", &file]).await;
    assert!(steps(&second).is_empty(), "{second:#}");
}

fn places(fleet: &Fleet, what: What) -> Vec<usize> {
    let world = fleet.world();
    world
        .iter()
        .enumerate()
        .filter(|(_, e)| e.what == what)
        .map(|(place, _)| place)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn life_a_join_that_fails_does_not_cost_the_third_vote() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(4).qnetd(WITNESS)).await;
    let two = fleet.voted_file("two.toml", &["prox1", "prox2"], true);
    fleet.ok(&["apply", &two, "--yes"]).await;
    let fails = Misbehaviour {
        tool: "pvecm".to_owned(),
        matching: Some("add ".to_owned()),
        times: None,
        script: ToolScript::Fail {
            code: 1,
            stderr: "500 Can't connect to 192.168.1.11:8006\n".to_owned(),
        },
    };
    fleet.lab.script("prox3", Script::Tool(fails)).await.unwrap();
    let four = fleet.voted_file("four.toml", &["prox1", "prox2", "prox3", "prox4"], true);
    let failed = fleet.ends(&["apply", &four, "--yes"], 4).await;
    assert!(failed.stdout.contains("8006"), "{}", told(&failed));
    fleet.all_in(&["prox1", "prox2"]).await;
    // It was off for the time of the change only.
    fleet.third_votes(&["prox1", "prox2"]).await;
    assert_eq!(
        (fleet.happened(What::QdeviceRemoved), fleet.happened(What::QdeviceAdded)),
        (1, 2)
    );
    assert_eq!(fleet.let_in(), Vec::<String>::new());
    fleet.nothing_unknown();
}
