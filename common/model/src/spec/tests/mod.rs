//! What an operator sees of a cluster file that is wrong.

mod drafts;
mod drills;
mod edits;
mod protection;
mod refusals;
mod schemas;

use super::*;

/// The examples that the guide shows.
const THREE_NODES: &str = include_str!("../../../../../docs/examples/three-full-nodes.toml");
const QDEVICE: &str = include_str!("../../../../../docs/examples/two-nodes-and-a-qdevice.toml");

const GOOD: &str = r#"
[cluster]
name = "hk1"
links = ["10.10.10.0/24", "192.168.1.0/24"]

[nodes.prox1]
address = "192.168.1.11"
[nodes.prox2]
address = "192.168.1.12"
"#;

/// Each problem as `line:column code message -> next`.
fn problems(text: &str) -> Vec<String> {
    ClusterFile::parse("hk1.toml", text)
        .expect_err("it has problems")
        .into_iter()
        .map(|f| {
            let place = f.place.expect("every problem has a place");
            assert_eq!(place.file, "hk1.toml");
            format!(
                "{}:{} {} {} -> {}",
                place.line,
                place.column,
                f.code.as_str(),
                f.message,
                f.next
            )
        })
        .collect()
}

#[test]
fn a_good_file_is_read() {
    let file = ClusterFile::parse("hk1.toml", GOOD).unwrap();
    assert_eq!(file.cluster.name.value.as_str(), "hk1");
    assert_eq!(file.cluster.links.len(), 2);
    assert_eq!(file.nodes.len(), 2);
    assert_eq!(file.cluster.links[1].place.line, 4);
    assert_eq!(file.digest.len(), 64);
}

#[test]
fn the_guides_examples_are_read() {
    let three = ClusterFile::parse("three.toml", THREE_NODES).unwrap();
    assert_eq!((three.members().count(), three.qnetd()), (3, None));
    assert_eq!(three.cluster.maintenance[0].value.to_string(), "sat 22:00-sun 04:00");
    assert_eq!(
        three.cluster.migration_network.unwrap().value.to_string(),
        "10.10.10.0/24"
    );

    let two = ClusterFile::parse("two.toml", QDEVICE).unwrap();
    let members: Vec<&str> = two.members().map(|(name, _)| name.as_str()).collect();
    assert_eq!(members, ["prox1", "prox2"]);
    let (name, host) = two.qnetd().unwrap();
    assert_eq!(
        (name.as_str(), host.address.value.to_string().as_str()),
        ("box1", "192.168.2.20")
    );
    let priorities = two.cluster.links.iter().map(|l| l.priority.as_ref().map(|p| p.value));
    assert_eq!(priorities.collect::<Vec<_>>(), [Some(20), None]);
}

#[test]
fn explicit_addresses_make_the_links() {
    let text = r#"
[cluster]
name = "hk1"
[nodes.prox1]
address = "192.168.1.11"
links = ["fd00:10::11", "192.168.1.11"]
[nodes.prox2]
address = "192.168.1.12"
links = ["fd00:10::12", "10.10.10.12"]
role = "witness"
[nodes.box1]
address = "192.168.1.20"
role = "qnetd"
"#;
    let file = ClusterFile::parse("hk1.toml", text).unwrap();
    assert!(!file.links_by_address());
    let links: Vec<_> = file
        .cluster
        .links
        .iter()
        .map(|l| (l.place.line, &l.network, &l.priority))
        .collect();
    assert_eq!(links, [(6, &None, &None), (6, &None, &None)]);
    let votes: Vec<_> = file.members().map(|(name, node)| (name.as_str(), node.role)).collect();
    assert_eq!(votes, [("prox1", NodeRole::Member), ("prox2", NodeRole::Witness)]);
    assert_eq!(file.qnetd(), None, "nothing wants its vote");
    let with_priorities = text.replace("name = \"hk1\"", "name = \"hk1\"\nlinks = [{}, { priority = 0xff }]");
    let file = ClusterFile::parse("hk1.toml", &with_priorities).unwrap();
    assert_eq!(file.cluster.links[1].priority.as_ref().map(|p| p.value), Some(255));
}

#[test]
fn every_problem_is_told_at_once_with_its_place() {
    let text = r#"
[cluster]
nam = "hk1"
links = ["10.10.10.1/24", "10.10.10.0/25x"]
migration_network = "10.10.10.0"

[nodes.prox_1]
address = "192.168.1.11"
[nodes.prox2]
adress = "192.168.1.11"
[nodes.prox3]
address = 7
[nodes.prox4]
address = "192.168.1.14"
[nodes.prox5]
address = "192.168.1.14"
[nods]
[zfs.data_zfs]
"#;
    insta::assert_snapshot!(problems(text).join("\n"), @r#"
    2:1 QRT-SPEC-MISSING-KEY `name` in [cluster] is missing -> add it, for example: name = "hk1"
    3:1 QRT-SPEC-UNKNOWN-KEY unknown key `nam` in [cluster] -> did you mean `name`?
    4:10 QRT-SPEC-BAD-ADDRESS 10.10.10.1/24 is an address within a network, not a network -> write "10.10.10.0/24"
    4:27 QRT-SPEC-BAD-ADDRESS not a network -> write it as ADDRESS/PREFIX, such as "10.10.10.0/24"
    5:21 QRT-SPEC-BAD-ADDRESS not a network -> write it as ADDRESS/PREFIX, such as "10.10.10.0/24"
    7:8 QRT-SPEC-BAD-NAME invalid node name `prox_1`: only letters, digits and hyphens are allowed -> lower-case letters, digits and inner hyphens, as the server calls itself, such as prox1
    9:8 QRT-SPEC-MISSING-KEY `address` in [nodes.prox2] is missing -> add it, for example: address = "192.168.1.11"
    10:1 QRT-SPEC-UNKNOWN-KEY unknown key `adress` in [nodes.prox2] -> did you mean `address`?
    12:11 QRT-SPEC-WRONG-TYPE `address` must be a text in quotes, not a number -> write a text in quotes
    16:11 QRT-SPEC-DUPLICATE-ADDRESS prox5 and prox4 have the same address 192.168.1.14 -> give each node its own
    17:2 QRT-SPEC-UNKNOWN-KEY unknown key `nods` -> did you mean `nodes`?
    18:6 QRT-SPEC-MISSING-KEY `raid` in [zfs.data_zfs] is missing -> add it, for example: raid = "mirror"
    18:6 QRT-SPEC-MISSING-KEY `disks` in [zfs.data_zfs] is missing -> add it, for example: disks = { count = 2, kind = "ssd", min_size = "900GB" }
    "#);
}

#[test]
fn syntax_errors_have_a_place() {
    let told = problems("[cluster\nname = \"hk1\"\n");
    assert!(told[0].starts_with("1:9 QRT-SPEC-SYNTAX"), "{told:?}");
}

#[test]
fn an_empty_file_says_what_is_missing() {
    let told = problems("");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|t| t.contains("QRT-SPEC-MISSING-KEY")));
}

#[test]
fn overlapping_links_are_refused() {
    let told = problems(&GOOD.replace("192.168.1.0/24", "10.10.0.0/16"));
    assert!(
        told[0].contains("QRT-SPEC-DUPLICATE-ADDRESS") && told[0].contains("fail together"),
        "{told:?}"
    );
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        drop(ClusterFile::parse("x.toml", &text));
    }

    #[test]
    fn no_damaged_file_makes_it_panic(cut in 0usize..200, at in 0usize..200, junk in "[\\[\\]\"=.,a-z0-9\n]{0,8}") {
        let mut text: String = GOOD.chars().take(cut).collect();
        let at = at.min(text.len());
        text.insert_str(at, &junk);
        drop(ClusterFile::parse("x.toml", &text));
    }
}
