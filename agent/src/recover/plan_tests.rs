use quorate_model::observation::GuestKind;
use quorate_model::{Code, Finding, Timestamp};

use super::super::evidence::tests::{corosync, heard};
use super::super::evidence::{Evidence, Sign, Trace, Way, Witness};
use super::*;

/// Two servers, of which one has gone; guest 100 has a copy here.
pub(crate) fn scene(quorum: Quorum) -> Scene {
    let way = |name: &str, address: &str, witness| Way {
        name: name.to_owned(),
        address: address.parse().unwrap(),
        traces: vec![
            Trace::new("ping", Sign::Silent, "no answer"),
            Trace::new("its agent, TCP port 7443", Sign::Silent, "nobody has the address"),
        ],
        witness,
    };
    let guest = |vmid, name: &str, fate| Guest {
        vmid,
        kind: GuestKind::Vm,
        name: Some(name.to_owned()),
        elsewhere: if vmid == 100 { vec!["prox3".to_owned()] } else { vec![] },
        copy: None,
        fate,
    };
    Scene {
        cluster: "hk1".parse().unwrap(),
        own: "prox2".parse().unwrap(),
        lost: "prox1".to_owned(),
        now: Timestamp::from_seconds(1_795_347_690),
        evidence: Evidence {
            cluster: vec![corosync(Sign::Silent)],
            ways: vec![
                way("PVE's own network", "192.168.1.11", heard()),
                way("link 0", "10.10.10.1", Witness::Nobody),
            ],
        },
        votes: "1 of 2 votes are present, 2 are needed: there is NO quorum".to_owned(),
        quorum,
        ha_in_use: true,
        guests: vec![
            guest(
                100,
                "web1",
                Fate::Recoverable {
                    copy: Copy::Of(Timestamp::from_seconds(1_795_347_450)),
                    jobs: vec!["100-0".parse().unwrap()],
                    starts: true,
                },
            ),
            guest(
                102,
                "mail",
                Fate::Recoverable {
                    copy: Copy::Whole,
                    jobs: vec![],
                    starts: false,
                },
            ),
            guest(
                103,
                "db1",
                Fate::Ha("HA looks after it, and takes it over by itself once there is quorum".to_owned()),
            ),
            guest(
                104,
                "old",
                Fate::Not("scsi0: no copy is here: there is no data_zfs/vm-104-disk-0 here".to_owned()),
            ),
            guest(900, "debian", Fate::Template),
        ],
        unfinished: vec![],
        record: None,
        bmc: None,
        findings: vec![],
    }
}

#[test]
fn the_checklist_says_what_is_known_what_would_be_done_and_what_can_be_taken_back() {
    insta::assert_snapshot!(text(&scene(Quorum::ByFiat(1)), false));
}

#[test]
fn a_bmc_that_was_pinged_stands_among_what_was_seen() {
    let mut scene = scene(Quorum::There);
    scene.bmc = Some("192.168.9.11".parse().unwrap());
    let trace = Trace::new("a ping to its BMC at 192.168.9.11", Sign::Unproven, "answers (3 of 3)");
    scene.evidence.cluster.push(trace);
    let text = text(&scene, false);
    assert!(
        text.contains("   ? a ping to its BMC at 192.168.9.11: answers (3 of 3)\n"),
        "{text}"
    );
    assert!(!text.contains("not asked"), "{text}");
    // Its answer is no sign of life, and takes nothing from what proves that the server is off.
    assert!(text.contains("Nothing is heard of it, on one network"), "{text}");
}

#[test]
fn what_forbids_it_stands_where_it_belongs() {
    let finding = Finding::new(
        Code::RecoveryNeedsVotes,
        "prox2",
        "the cluster has no quorum",
        "--expected-votes 1",
    );
    let mut refused = scene(Quorum::Refused(finding));
    refused.evidence.ways[0].traces[0] = Trace::new("ping", Sign::Alive, "answers (3 of 3)");
    refused.guests.clear();
    refused.unfinished = vec![(105, GuestKind::Container)];
    insta::assert_snapshot!(text(&refused, true));
}
