//! Edits leave alone what they are not about.

use super::*;
use crate::spec::edit::{EditError, add_node, replace_node, without_node};

const FILE: &str = r#"# Our cluster. Ask Anna before you change it.

[cluster]          # see the wiki
name = "hk1"
links = ["10.10.10.0/24",   "192.168.1.0/24"] # two switches
third_vote = { qdevice = "box1" } # in the cellar

# ---- servers ----

# rack 1
[nodes.prox1]
address   = "192.168.1.11"   # by the door

# rack 2
# (the noisy one)
[nodes.prox2]
links = [
    "10.10.10.12", # eno2
    "192.168.1.12", # vmbr0
]
address = "192.168.1.12"

[nodes.box1]
address = "192.168.1.20"
role = "qnetd"
# the end
"#;

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What differs, line by line: `-` is gone, `+` is new.
fn change(after: &str) -> String {
    let (before, after): (Vec<&str>, Vec<&str>) = (FILE.lines().collect(), after.lines().collect());
    let same = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    let rest = |lines: &[&str]| lines.len() - same;
    let most = rest(&before).min(rest(&after));
    let same_end = before
        .iter()
        .rev()
        .zip(after.iter().rev())
        .take(most)
        .take_while(|(a, b)| a == b)
        .count();
    let part = |lines: &[&str], sign: &str| -> String {
        lines[same..lines.len() - same_end]
            .iter()
            .map(|l| format!("{sign}{l}\n"))
            .collect()
    };
    part(&before, "-") + &part(&after, "+")
}

#[test]
fn a_node_is_taken_out_with_its_own_comment() {
    insta::assert_snapshot!(change(&without_node(FILE, &name("prox2")).unwrap()));
}

#[test]
fn a_comment_that_stands_apart_stays() {
    insta::assert_snapshot!(change(&without_node(FILE, &name("prox1")).unwrap()));
}

#[test]
fn the_comment_at_the_end_stays_without_the_last_table() {
    let file = FILE
        .replace("third_vote = { qdevice = \"box1\" } # in the cellar\n", "")
        .replace("[nodes.box1]", "# apart\n\n# box\n[nodes.box1]");
    let text = without_node(&file, &name("box1")).unwrap();
    assert!(
        text.ends_with("address = \"192.168.1.12\"\n\n# apart\n\n# the end\n"),
        "{text}"
    );
}

#[test]
fn who_holds_the_third_vote_can_t_just_go() {
    let error = without_node(FILE, &name("box1")).unwrap_err();
    assert!(
        matches!(&error, EditError::WouldNotDo(f) if f[0].message.contains("no node of this file")),
        "{error:?}"
    );
    let alone = "[cluster]\nname = \"hk1\"\n[nodes.prox1]\naddress = \"192.168.1.11\"\n";
    assert!(matches!(
        without_node(alone, &name("prox1")),
        Err(EditError::WouldNotDo(_))
    ));
    assert_eq!(
        without_node(FILE, &name("prox9")),
        Err(EditError::NoSuchNode(name("prox9")))
    );
    let unusable = without_node("[cluster", &name("prox1")).unwrap_err();
    assert!(!unusable.findings().is_empty() && matches!(unusable, EditError::Unusable(_)));
}

#[test]
fn a_dead_server_is_replaced_where_it_stood() {
    let replaced = replace_node(FILE, &name("prox2"), &name("prox7"), ip("192.168.1.17"), None).unwrap();
    insta::assert_snapshot!(change(&replaced));
    let links = [ip("10.10.10.17"), ip("192.168.1.17")];
    let replaced = replace_node(FILE, &name("prox2"), &name("prox7"), ip("192.168.1.17"), Some(&links)).unwrap();
    insta::assert_snapshot!(change(&replaced));
}

#[test]
fn a_server_that_was_installed_anew_keeps_its_name() {
    let replaced = replace_node(FILE, &name("prox1"), &name("prox1"), ip("192.168.1.31"), None).unwrap();
    insta::assert_snapshot!(change(&replaced));
    assert_eq!(
        replace_node(FILE, &name("prox1"), &name("prox1"), ip("192.168.1.11"), None).unwrap(),
        FILE
    );
}

#[test]
fn a_replaced_host_keeps_the_third_vote() {
    let replaced = replace_node(FILE, &name("box1"), &name("box2"), ip("192.168.1.21"), None).unwrap();
    insta::assert_snapshot!(replaced);
}

#[test]
fn replacing_is_refused_where_the_file_would_not_do() {
    let taken = replace_node(FILE, &name("prox1"), &name("prox3"), ip("192.168.1.12"), None);
    assert!(matches!(taken, Err(EditError::WouldNotDo(_))), "{taken:?}");
    let there = replace_node(FILE, &name("prox1"), &name("prox2"), ip("192.168.1.31"), None);
    assert_eq!(there, Err(EditError::NodeExists(name("prox2"))));
}

#[test]
fn a_node_is_added_after_the_others() {
    let node = DraftNode {
        comment: "new".to_owned(),
        address: ip("192.168.1.14"),
        role: NodeRole::Witness,
        links: Some(vec![ip("10.10.10.14"), ip("192.168.1.14")]),
    };
    insta::assert_snapshot!(change(&add_node(FILE, &name("prox4"), &node).unwrap()));
    assert_eq!(
        add_node(FILE, &name("prox1"), &node),
        Err(EditError::NodeExists(name("prox1")))
    );
    let moved = format!(
        "{}\n{}",
        &FILE[FILE.find("# rack 1").unwrap()..],
        &FILE[..FILE.find("# ---- ").unwrap()]
    );
    let text = add_node(&moved, &name("prox4"), &node).unwrap();
    assert!(text.find("[nodes.prox4]") < text.find("[cluster]"), "{text}");
}

#[test]
fn other_spellings_of_the_tables_work_too() {
    let inline = r#"nodes = { prox1 = { address = "192.168.1.11" }, prox2 = { address = "192.168.1.12" } } # all
cluster.name = "hk1"
"#;
    let dotted = r#"cluster.name = "hk1"
# all
[nodes]
prox1.address = "192.168.1.11" # one
prox2.address = "192.168.1.12" # two
"#;
    for text in [inline, dotted] {
        let node = DraftNode {
            comment: String::new(),
            address: ip("192.168.1.13"),
            role: NodeRole::Member,
            links: None,
        };
        let edited = without_node(text, &name("prox2")).unwrap();
        let edited = add_node(&edited, &name("prox3"), &node).unwrap();
        let edited = replace_node(&edited, &name("prox1"), &name("prox5"), ip("192.168.1.15"), None).unwrap();
        let file = ClusterFile::parse("x.toml", &edited).unwrap();
        let nodes: Vec<String> = file
            .nodes
            .iter()
            .map(|(n, s)| format!("{n} {}", s.address.value))
            .collect();
        assert_eq!(nodes, ["prox3 192.168.1.13", "prox5 192.168.1.15"], "{edited}");
        assert!(edited.contains("# all") && !edited.contains("two"), "{edited}");
    }
}

const WITH_POOLS: &str = r#"
[cluster]
name = "hk1"
[nodes.prox1]
address = "192.168.1.11"
[nodes.prox2]
address = "192.168.1.12"
[nodes.prox3]
address = "192.168.1.13"

[zfs.fast]
raid = "mirror"
disks = { prox1 = ["a", "b"], prox2 = { count = 2 }, prox3 = ["e", "f"] } # by hand
[zfs.big]
raid = "mirror"
disks = { count = 2, model = "MZ7" }
[zfs.big.log]
prox1 = ["x"]   # the fast one
prox2 = ["y"]
prox3 = ["z"]

[storage.nas]
type = "nfs"
server = "nas"
export = "/tank"
nodes = ["prox1", "prox2"]  # not the third
"#;

#[test]
fn a_node_s_disks_and_storages_go_with_it() {
    let after = without_node(WITH_POOLS, &name("prox2")).unwrap();
    assert!(!after.contains("prox2"), "{after}");
    for stays in [
        "disks = { prox1 = [\"a\", \"b\"], prox3 = [\"e\", \"f\"] } # by hand",
        "disks = { count = 2, model = \"MZ7\" }",
        "prox1 = [\"x\"]   # the fast one\nprox3 = [\"z\"]",
        "nodes = [\"prox1\"]  # not the third",
    ] {
        assert!(after.contains(stays), "{stays}\nin\n{after}");
    }
    let alone = without_node(&after, &name("prox1")).unwrap_err();
    let why = &alone.findings()[0].message;
    assert!(why.contains("`nodes` is empty"), "a storage of nobody: {why}");
}

#[test]
fn a_node_s_disks_and_storages_stay_with_its_place() {
    let after = replace_node(WITH_POOLS, &name("prox2"), &name("prox9"), ip("192.168.1.19"), None).unwrap();
    let wanted = WITH_POOLS
        .replace("prox2", "prox9")
        .replace("192.168.1.12", "192.168.1.19");
    assert_eq!(after, wanted);
}
