//! Drills and Ceph: where there is none nobody asks, and where there is one it must be well.

use quorate_model::facet::Facet;
use quorate_model::fault::Fault;
use quorate_model::finding::CATALOGUE;
use quorate_model::observation::config::Storage;
use quorate_model::{Code, Severity};

use super::drill_rails::{around, asked, of, refusals, request, seen, usual};
use crate::drill::{Ceph, Request};
use crate::testkit::{NOW, Servers, known, unseen};

const ALL: [&str; 3] = ["prox1", "prox2", "prox3"];

#[test]
fn ceph_must_be_well_and_keep_its_majority() {
    let with = |monitors: &[&str]| {
        let monitors: Vec<String> = monitors.iter().map(|name| (*name).to_owned()).collect();
        usual().with_each(move |seen| known(&mut seen.config).ceph_monitors = Facet::known(Some(monitors.clone()), NOW))
    };
    let told = |servers: &Servers, health: &str, quorum: &[&str]| {
        let mut around = around();
        let ceph = Ceph {
            health: health.to_owned(),
            checks: vec![],
            quorum: quorum.iter().map(|name| (*name).to_owned()).collect(),
        };
        around.ceph = Facet::known(ceph, NOW);
        refusals(&seen(servers, &request(), &around))
    };
    let three = with(&ALL);
    assert_eq!(told(&three, "HEALTH_OK", &ALL), []);
    assert_eq!(told(&three, "HEALTH_WARN", &ALL), [Code::DrillCephWarns]);
    assert_eq!(told(&three, "HEALTH_ERR", &ALL), [Code::DrillCephUnhealthy]);
    assert_eq!(told(&three, "HEALTH_OK", &ALL[..2]), [Code::DrillCephUnhealthy]);
    assert_eq!(of(&three), [Code::DrillUnseen], "nobody asked how it is");
    assert_eq!(asked(|r| r.fault = Fault::Osd { osd: 3 }), [Code::DrillSupport]);
    let osd = usual().with_config("prox1", |config| {
        config.ceph_daemons = Facet::known(vec!["osd.3".to_owned(), "mon.prox1".to_owned()], NOW);
    });
    for fault in [Fault::Osd { osd: 3 }, Fault::Mon] {
        let request = Request { fault, ..request() };
        assert_eq!(refusals(&seen(&osd, &request, &around())), []);
    }
}

#[test]
fn where_there_is_no_ceph_nobody_asks_how_it_is() {
    let none = usual();
    let mut blind = around();
    blind.ceph = unseen();
    assert_eq!(refusals(&seen(&none, &request(), &blind)), []);
    let lying_on = |kind: &str| {
        let storage = Storage {
            id: "store".to_owned(),
            kind: kind.to_owned(),
            nodes: vec![],
            digest: String::new(),
        };
        usual().with_each(move |seen| known(&mut seen.config).storages = Facet::known(vec![storage.clone()], NOW))
    };
    assert_eq!(of(&lying_on("zfspool")), []);
    // One of others may be ill, and only its owner can say.
    for kind in ["rbd", "cephfs"] {
        let servers = lying_on(kind);
        assert_eq!(of(&servers), [Code::DrillCephWarns]);
        let accepted = Request {
            accepted: vec![Code::DrillCephWarns],
            ..request()
        };
        assert_eq!(refusals(&seen(&servers, &accepted, &around())), []);
    }
    let unread = |change: fn(&mut quorate_model::observation::PveConfig)| {
        of(&usual().with_each(move |seen| change(known(&mut seen.config))))
    };
    assert_eq!(unread(|config| config.ceph_monitors = unseen()), [Code::DrillUnseen]);
    assert_eq!(unread(|config| config.storages = unseen()), [Code::DrillUnseen]);
}

/// Every rail of a drill, and whether an operator's word gets past it.
#[test]
fn each_rail_may_be_accepted_or_never() {
    let never = [
        Code::DrillLosesQuorum,
        Code::DrillTwoServers,
        Code::DrillHaAtRest,
        Code::DrillHaSilent,
        Code::DrillWatchdogOff,
        Code::DrillGuestElsewhere,
        Code::DrillGuestNotInHa,
        Code::DrillNotCanary,
        Code::DrillGuestsAtRisk,
        Code::DrillNoCopy,
        Code::DrillCephUnhealthy,
        Code::DrillNoRoom,
        Code::DrillRunning,
        Code::DrillBusy,
        Code::DrillCoordinatorOnNode,
        Code::DrillNotConfirmed,
        Code::DrillHalfLong,
        Code::DrillVersion,
        Code::DrillMemberOff,
        Code::DrillLastLink,
        Code::DrillUnseen,
        Code::DrillNotScheduled,
        Code::DrillSupport,
        Code::RolloutRunning,
        Code::HaBusy,
    ];
    let by_a_word = [
        Code::DrillCopyMissing,
        Code::DrillCopyStale,
        Code::DrillNoStrictRule,
        Code::DrillCephWarns,
        Code::DrillLittleRoom,
        Code::DrillRecent,
        Code::DrillNeedsPerson,
        Code::DrillLinkDown,
        Code::DrillClockUnsure,
    ];
    for (codes, overridable) in [(&never[..], false), (&by_a_word[..], true)] {
        for code in codes {
            let entry = code.entry();
            assert_eq!(
                (entry.severity, entry.overridable),
                (Severity::Refusal, overridable),
                "{}",
                code.as_str()
            );
        }
    }
    // A code that is added has to be put down as one or the other.
    for entry in CATALOGUE.iter().filter(|entry| entry.text.starts_with("QRT-DRILL-")) {
        let is_rail = entry.severity == Severity::Refusal;
        let stands_here = never.contains(&entry.code) || by_a_word.contains(&entry.code);
        assert_eq!(is_rail, stands_here, "{}", entry.text);
    }
    // It takes longer, and that is all.
    assert_eq!(Code::DrillHaMaster.entry().severity, Severity::Warning);
}
