//! Parts of plans.

use quorate_model::Wish;
use quorate_model::finding::Code;
use quorate_model::plan::Plan;

use super::wished;
use crate::checker::check;
use crate::testkit::{Servers, VOTE, file_with_vote};

const LINK: &[&str] = &["10.10.10.0/24"];

/// Two members and two joiners, a guest under HA, a third vote to come.
fn servers() -> Servers {
    Servers::bare(4)
        .members("hk1", &["prox1", "prox2"], LINK)
        .under_ha("vm:100", "prox1", "5.1.3")
        .qdevice(VOTE)
        .outside("vote", VOTE)
}

fn chosen(only: Option<&str>, until: Option<&str>) -> Result<Vec<String>, String> {
    let (file, servers) = (file_with_vote(4, LINK), servers());
    let wish = Wish {
        only: only.map(str::to_owned),
        until: until.map(|s| s.parse().unwrap()),
        ..Wish::default()
    };
    let plan = wished(&file, &wish, &servers);
    let part = crate::select(plan, &file, &wish).map_err(|error| error.to_string())?;
    assert_eq!(
        check(&file, &wish, &servers.view, &part),
        [],
        "a part is as sound as the whole"
    );
    Ok(ids(&part))
}

fn ids(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|s| s.id.to_string()).collect()
}

#[test]
fn nothing_asked_is_all() {
    assert_eq!(
        chosen(None, None).unwrap(),
        [
            "packages.install/prox1",
            "packages.install/prox2",
            "packages.install/prox3",
            "packages.install/prox4",
            "packages.install/vote",
            "ha.disarm",
            "qdevice.remove",
            "cluster.join/prox3",
            "cluster.join/prox4",
            "qdevice.admit/vote",
            "qdevice.set-up",
            "qdevice.withdraw/vote",
            "ha.arm",
        ]
    );
}

#[test]
fn a_part_brings_what_it_needs_and_what_takes_that_back() {
    let packages = chosen(Some("packages"), None).unwrap();
    assert_eq!(packages.len(), 5, "{packages:?}");
    let until = chosen(None, Some("cluster.join/prox3")).unwrap();
    assert_eq!(
        until[5..],
        [
            "ha.disarm",
            "qdevice.remove",
            "cluster.join/prox3",
            "qdevice.admit/vote",
            "qdevice.set-up",
            "qdevice.withdraw/vote",
            "ha.arm"
        ],
        "the third vote is brought back and HA armed again although the plan ends early"
    );
    let joins = chosen(Some("cluster.join"), None).unwrap();
    assert_eq!(joins.last().map(String::as_str), Some("ha.arm"));
    assert!(joins.contains(&"qdevice.set-up".to_owned()));
    let admit = chosen(None, Some("qdevice.admit/vote")).unwrap();
    assert!(admit.contains(&"qdevice.withdraw/vote".to_owned()));
    let both = chosen(Some("cluster"), Some("packages.install/vote")).unwrap();
    assert_eq!(both, ["packages.install/vote"], "of both, what both mean");
}

#[test]
fn what_takes_something_back_is_not_chosen_for_its_own_sake() {
    let ha = chosen(Some("ha"), None).unwrap();
    assert!(!ha.iter().any(|id| id.starts_with("cluster.")), "{ha:?}");
    assert_eq!(ha[ha.len() - 2..], ["ha.disarm", "ha.arm"]);
}

#[test]
fn a_part_that_is_done_is_no_mistake() {
    let (file, servers) = (file_with_vote(4, LINK), servers());
    for (only, until) in [
        (None, Some("cluster.join/prox2")),
        (Some("firewall"), None),
        (None, Some("link.add/1")),
    ] {
        let wish = Wish {
            only: only.map(str::to_owned),
            until: until.map(|s: &str| s.parse().unwrap()),
            ..Wish::default()
        };
        let part = crate::select(wished(&file, &wish, &servers), &file, &wish).unwrap();
        assert!(part.is_empty());
        let told = part.findings.iter().find(|f| f.code == Code::PartDone).unwrap();
        assert!(told.next.contains("cluster.join/prox3"), "{told:?}");
    }
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    let error = chosen(Some("clus"), None).unwrap_err();
    assert!(
        error.starts_with("the plan has no step `clus`; it has packages.install/prox1, "),
        "{error}"
    );
    let error = chosen(None, Some("cluster.join/prox9")).unwrap_err();
    assert!(
        error.contains("cluster.join/prox9") && error.contains("cluster.join/prox4"),
        "{error}"
    );
}
