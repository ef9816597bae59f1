//! `[[replication]]` and `[ha]`: what is read, and what is said of what can't be.

use super::problems;
use crate::schedule::Schedule;
use crate::spec::edit;
use crate::spec::{Chosen, Closeness, ClusterFile, GuestPick, ReturningNode};

const NODES: &str = "[cluster]\nname = \"hk1\"\nlinks = [\"192.168.1.0/24\"]\n[nodes.prox1]\naddress = \"192.168.1.11\"\n\
    [nodes.prox2]\naddress = \"192.168.1.12\"\n[nodes.prox3]\naddress = \"192.168.1.13\"\nrole = \"witness\"\n";

fn said(text: &str) -> Vec<String> {
    problems(&format!("{NODES}{text}"))
}

fn one(keys: &str) -> String {
    let said = said(&format!("[[replication]]\n{keys}\n"));
    assert_eq!(said.len(), 1, "{keys}: {said:?}");
    said.into_iter().next().unwrap_or_default()
}

const COPIES: &str = "copies_on = [\"prox1\", \"prox2\"]";

#[test]
fn what_is_written_is_read() {
    let text = format!(
        "{NODES}[[replication]]\nguests = [100, \"tag:prod\"]\nexcept = 101\n{COPIES}\nevery = \"5m\"\nrate = 100\nreturning_node = \"discard\"\n\
         [[replication]]\nguests = \"pool:lab\"\n{COPIES}\n[ha]\nguests = \"all\"\nmax_restart = 2\n"
    );
    let file = ClusterFile::parse("hk1.toml", &text).unwrap();
    let [first, second] = &file.replication[..] else {
        panic!("{file:?}")
    };
    assert_eq!((first.schedule(), second.schedule()), ("*/5", "*/15"));
    assert_eq!(first.returning_node, ReturningNode::Discard);
    assert_eq!(second.returning_node, ReturningNode::Hold);
    assert_eq!(first.rate.as_ref().unwrap().value, 100);
    let tags = ["prod".to_owned()];
    let named = |vmid: u32| {
        first.guests.names(Chosen {
            vmid,
            tags: &tags,
            pools: &["lab"].into(),
        })
    };
    assert_eq!(
        (named(100), named(101), named(102)),
        (Some(Closeness::Id), None, Some(Closeness::Group))
    );
    assert_eq!(second.guests.guests[0].value, GuestPick::Pool("lab".to_owned()));
    assert_eq!(file.ha.unwrap().max_restart.unwrap().value, 2);
}

#[test]
fn servers_that_get_no_copies_are_told() {
    assert!(
        one("guests = [100]\ncopies_on = [\"prox1\", \"prox9\"]")
            .contains("names prox9, which is no node of this file")
    );
    assert!(
        one("guests = [100]\ncopies_on = [\"prox1\", \"prox3\"]").contains("names prox3, which has the role witness")
    );
    assert!(one("guests = [100]\ncopies_on = [\"prox1\"]").contains("`copies_on` names 1 server"));
    assert!(one("guests = [100]\ncopies_on = [\"prox1\", \"prox1\"]").contains("names prox1 twice"));
    assert!(one("guests = [100]").contains("`copies_on` in [[replication]] is missing"));
}

#[test]
fn schedules_rates_and_guests_that_can_t_be_are_told() {
    let with = |key: &str| one(&format!("guests = [100]\n{COPIES}\n{key}"));
    assert!(with("every = \"7m\"").contains("PVE can't repeat every 7m"));
    assert!(with("every = \"30s\"").contains("1 minute to 1 week"));
    assert!(with("every = \"monthly\"").contains("is neither an interval"));
    assert!(with("every = 5").contains("must be a text in quotes"));
    assert!(with("rate = 0").contains("`rate` is 0"));
    assert!(with("returning_node = \"keep\"").contains("SPEC-BAD-VALUE"));
    assert!(with("target = \"prox2\"").contains("unknown key `target`"));
    let guests = |guests: &str| one(&format!("guests = {guests}\n{COPIES}"));
    assert!(guests("[99]").contains("names the guest 99"));
    assert!(guests("[100, 100]").contains("names 100 twice"));
    assert!(guests("[]").contains("`guests` is empty"));
    assert!(guests("\"some\"").contains("says of no guest whether it is meant"));
    assert!(with("except = \"all\"").contains("nothing would be left"));
    assert!(said("[ha]\nguests = [100]\nmax_restart = 11\n")[0].contains("`max_restart` is 11"));
    assert!(
        !said("[replication]\nguests = [100]\n").is_empty(),
        "one table is no list of tables"
    );
}

#[test]
fn a_guest_in_two_tables_is_told_with_both_lines() {
    let table = |on: &str| format!("[[replication]]\nguests = [100]\ncopies_on = [{on}]\n");
    let twice = said(&format!(
        "{}{}",
        table("\"prox1\", \"prox2\""),
        table("\"prox2\", \"prox1\"")
    ));
    assert!(
        twice.len() == 1 && twice[0].contains("the guest 100 stands in two tables of replication, also in line"),
        "{twice:?}"
    );
    // By id and by a word are not the same: the closer one counts.
    let both = format!(
        "[[replication]]\nguests = \"all\"\n{COPIES}\n{}",
        table("\"prox1\", \"prox2\"")
    );
    assert!(ClusterFile::parse("hk1.toml", &format!("{NODES}{both}")).is_ok());
}

#[test]
fn a_schedule_is_kept_in_pve_s_words() {
    let schedule: Schedule = "15m".parse().unwrap();
    assert_eq!(serde_json::to_string(&schedule).unwrap(), "\"*/15\"");
    assert!(serde_json::from_str::<Schedule>("\"--delete\"").is_err());
}

#[test]
fn a_server_that_leaves_or_is_replaced_is_so_among_the_copies_too() {
    let nodes = NODES.replace("role = \"witness\"\n", "");
    let three = format!("{nodes}[[replication]]\nguests = [100]\ncopies_on = [\"prox1\", \"prox2\", \"prox3\"]\n");
    let left = edit::without_node(&three, &"prox3".parse().unwrap()).unwrap();
    assert!(left.contains("copies_on = [\"prox1\", \"prox2\"]"), "{left}");
    let renamed = edit::replace_node(
        &three,
        &"prox3".parse().unwrap(),
        &"prox4".parse().unwrap(),
        "192.168.1.14".parse().unwrap(),
        None,
    );
    assert!(renamed.unwrap().contains("[\"prox1\", \"prox2\", \"prox4\"]"));
    let two = three.replace(", \"prox3\"", "");
    let error = edit::without_node(&two, &"prox2".parse().unwrap()).unwrap_err();
    assert!(
        error.findings()[0].message.contains("`copies_on` names 1 server"),
        "{error:?}"
    );
}
