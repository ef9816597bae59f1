use quorate_model::observation::ReplicationState;

use super::*;

const NODE: &str = "prox2";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn owners(owner: &str) -> BTreeMap<u32, String> {
    [(100, owner.to_owned())].into()
}

/// `100-0`, by its two ends.
fn job(source: &str, target: &str) -> ReplicationJob {
    ReplicationJob {
        source: Some(source.to_owned()),
        comment: Some("quorate hold".to_owned()),
        ..ReplicationJob::of("100-0", 100, target)
    }
}

fn off(held: &Held) -> ReplicationJob {
    ReplicationJob {
        disabled: true,
        comment: Some(held.comment()),
        ..job("prox2", "prox1")
    }
}

fn state(target: &str, last_sync: Option<i64>, last_node: &str) -> Noted {
    Noted {
        state: ReplicationState {
            last_sync: last_sync.map(at),
            ..ReplicationState::of(100, target)
        },
        process: None,
        last_node: Some(last_node.to_owned()),
    }
}

/// An agent of prox2 that has watched since second 10.
struct Watched {
    notes: Notes,
    before: Option<BTreeMap<u32, String>>,
    states: Option<Vec<Noted>>,
    steady: BTreeSet<String>,
    migrating: BTreeSet<u32>,
}

impl Watched {
    fn anew() -> Self {
        Self {
            notes: Notes::default(),
            before: None,
            states: Some(vec![]),
            steady: BTreeSet::new(),
            migrating: BTreeSet::new(),
        }
    }

    /// The guest is prox1's, and is copied here.
    fn while_prox1_has_it() -> Self {
        let mut watched = Self::anew();
        assert_eq!(watched.look(10, "prox1", &[job("prox1", "prox2")]), []);
        watched
    }

    /// The agent starts anew, with what it has noted.
    fn restarted(mut self) -> Self {
        self.before = None;
        self
    }

    fn look(&mut self, now: i64, owner: &str, jobs: &[ReplicationJob]) -> Vec<Order> {
        let owners = owners(owner);
        let sight = Sight {
            node: NODE,
            now: at(now),
            owners: &owners,
            before: self.before.as_ref(),
            jobs,
            states: self.states.as_deref(),
            steady: &self.steady,
            migrating: &self.migrating,
        };
        let (notes, orders) = judge(&self.notes, &sight);
        self.notes = notes;
        self.before = Some(owners);
        orders
    }

    fn note(&self) -> &JobNote {
        &self.notes.guests[&100].jobs["100-0"]
    }
}

fn order(now: i64) -> Vec<Order> {
    vec![Order {
        job: "100-0".to_owned(),
        held: Held::now("prox1", at(now)),
    }]
}

#[test]
fn a_guest_that_was_recovered_here_has_its_job_held_before_and_after_pve_turned_it_round() {
    let mut watched = Watched::while_prox1_has_it();
    assert_eq!(watched.look(200, NODE, &[job("prox1", "prox2")]), order(200));
    // It is not off yet, whatever the tool said, and the time stays that of the recovery.
    assert_eq!(watched.look(201, NODE, &[job("prox2", "prox1")]), order(200));
    let held = Held::now("prox1", at(200));
    assert_eq!(watched.look(202, NODE, &[off(&held)]), []);
    assert_eq!(*watched.note(), JobNote::Held { held });
}

#[test]
fn a_migration_sends_the_state_along_and_switches_nothing_off() {
    let mut watched = Watched::while_prox1_has_it();
    watched.states = Some(vec![state("prox1", Some(195), "prox1")]);
    assert_eq!(
        watched.look(200, NODE, &[job("prox1", "prox2")]),
        [],
        "not turned round yet"
    );
    assert_eq!(watched.look(201, NODE, &[job("prox2", "prox1")]), []);
    assert_eq!(*watched.note(), JobNote::Settled);
    // Away again, and back, in the same second: the job ran in each of these migrations.
    assert_eq!(watched.look(210, "prox1", &[job("prox1", "prox2")]), []);
    watched.states = Some(vec![state("prox1", Some(210), "prox1")]);
    assert_eq!(watched.look(211, NODE, &[job("prox2", "prox1")]), []);
}

#[test]
fn what_pve_has_not_cleared_away_of_an_earlier_time_is_no_migration() {
    let mut watched = Watched::while_prox1_has_it();
    // This server had it until second 10, and its last run was the one in the migration to prox1.
    watched.states = Some(vec![state("prox1", Some(10), "prox2")]);
    assert_eq!(watched.look(200, NODE, &[job("prox1", "prox2")]), order(200));
    // What it copied itself since, and before anybody looked, was not lost any more.
    let mut watched = Watched::while_prox1_has_it();
    watched.states = Some(vec![state("prox1", Some(150), "prox2")]);
    assert_eq!(watched.look(200, NODE, &[job("prox2", "prox1")]), []);
    let mut watched = Watched::while_prox1_has_it();
    watched.states = Some(vec![state("prox1", Some(9), "prox1")]);
    assert_eq!(watched.look(200, NODE, &[job("prox1", "prox2")]), order(200));
}

#[test]
fn what_can_not_be_told_is_held() {
    let mut watched = Watched::while_prox1_has_it();
    watched.states = None;
    assert_eq!(watched.look(200, NODE, &[job("prox1", "prox2")]), order(200));
    // Of an agent that knows nothing: PVE has turned the job round, and it fails; or it is new. Nobody can tell.
    let mut anew = Watched::anew();
    anew.states = Some(vec![state("prox1", None, "prox2")]);
    assert_eq!(anew.look(200, NODE, &[job("prox2", "prox1")]), order(200));
    // It has copied: whatever was there is overwritten already, or came along.
    let mut anew = Watched::anew();
    anew.states = Some(vec![state("prox1", Some(100), "prox2")]);
    assert_eq!(anew.look(200, NODE, &[job("prox2", "prox1")]), []);
}

#[test]
fn an_agent_that_was_down_meanwhile_finds_it_by_what_it_had_noted_and_by_what_is_written() {
    let mut watched = Watched::while_prox1_has_it().restarted();
    assert_eq!(watched.look(200, NODE, &[job("prox2", "prox1")]), order(200));
    let mut anew = Watched::anew();
    assert_eq!(anew.look(200, NODE, &[job("prox1", "prox2")]), order(200));
    // It had copied from here, was moved away and came back, all of it while nobody looked.
    let mut watched = Watched::anew();
    watched.states = Some(vec![state("prox1", Some(5), "prox2")]);
    assert_eq!(watched.look(10, NODE, &[job("prox2", "prox1")]), []);
    let mut watched = watched.restarted();
    watched.states = Some(vec![]);
    assert_eq!(watched.look(200, NODE, &[job("prox2", "prox1")]), order(200));
}

#[test]
fn a_new_job_is_none_that_was_turned_round() {
    let mut watched = Watched::anew();
    assert_eq!(watched.look(10, NODE, &[]), []);
    assert_eq!(watched.look(11, NODE, &[job("prox2", "prox1")]), []);
    assert_eq!(*watched.note(), JobNote::Fresh);
    watched.states = Some(vec![state("prox1", None, "prox2")]);
    let mut watched = watched.restarted();
    assert_eq!(
        watched.look(12, NODE, &[job("prox2", "prox1")]),
        [],
        "and it is not forgotten"
    );
    watched.states = Some(vec![state("prox1", Some(12), "prox2")]);
    assert_eq!(watched.look(13, NODE, &[job("prox2", "prox1")]), []);
    assert_eq!(*watched.note(), JobNote::Settled);
}

#[test]
fn a_guest_that_is_made_here_has_no_former_owner() {
    let mut watched = Watched::anew();
    let (none, own) = (BTreeMap::new(), owners(NODE));
    let jobs = [job("prox2", "prox1")];
    let sight = Sight {
        node: NODE,
        now: at(10),
        owners: &own,
        before: Some(&none),
        jobs: &jobs,
        states: Some(&[]),
        steady: &BTreeSet::new(),
        migrating: &BTreeSet::new(),
    };
    let (notes, orders) = judge(&watched.notes, &sight);
    assert_eq!(orders, []);
    watched.notes = notes;
    assert_eq!(*watched.note(), JobNote::Fresh);
}

#[test]
fn who_switches_it_on_again_has_decided_also_for_an_agent_that_starts_anew() {
    let mut watched = Watched::while_prox1_has_it();
    watched.look(200, NODE, &[job("prox1", "prox2")]);
    let held = Held::now("prox1", at(200));
    watched.look(201, NODE, &[off(&held)]);
    let on = ReplicationJob {
        disabled: false,
        ..off(&held)
    };
    assert_eq!(watched.look(202, NODE, std::slice::from_ref(&on)), []);
    assert_eq!(*watched.note(), JobNote::Decided);
    let mut watched = watched.restarted();
    assert_eq!(watched.look(203, NODE, &[job("prox2", "prox1")]), []);
    watched.states = Some(vec![state("prox1", Some(204), "prox2")]);
    watched.look(205, NODE, &[job("prox2", "prox1")]);
    assert_eq!(*watched.note(), JobNote::Settled);
}

#[test]
fn an_agent_that_died_before_it_had_done_it_does_it_and_a_mark_that_went_comes_back() {
    let mut watched = Watched::while_prox1_has_it();
    watched.look(200, NODE, &[job("prox1", "prox2")]);
    let mut watched = watched.restarted();
    assert_eq!(watched.look(300, NODE, &[job("prox2", "prox1")]), order(200));
    let held = Held::now("prox1", at(200));
    watched.look(301, NODE, &[off(&held)]);
    let bare = ReplicationJob {
        comment: Some("quorate hold".to_owned()),
        ..off(&held)
    };
    assert_eq!(watched.look(302, NODE, &[bare]), order(200));
}

#[test]
fn only_the_job_that_leads_to_the_lost_server_is_held_and_only_if_it_says_so() {
    let mut watched = Watched::while_prox1_has_it();
    let third = ReplicationJob {
        id: "100-1".to_owned(),
        ..job("prox1", "prox3")
    };
    let jobs = [job("prox1", "prox2"), third];
    assert_eq!(watched.look(200, NODE, &jobs), order(200));
    assert_eq!(watched.notes.guests[&100].jobs["100-1"], JobNote::Fresh);
    for comment in [Some("quorate discard"), Some("mine"), None] {
        let mut watched = Watched::while_prox1_has_it();
        let other = ReplicationJob {
            comment: comment.map(str::to_owned),
            ..job("prox1", "prox2")
        };
        assert_eq!(watched.look(200, NODE, &[other]), [], "{comment:?}");
    }
    let mut watched = Watched::while_prox1_has_it();
    let going = ReplicationJob {
        removal: Some("full".to_owned()),
        ..job("prox1", "prox2")
    };
    assert_eq!(watched.look(200, NODE, &[going]), []);
}

#[test]
fn what_is_held_stays_so_wherever_the_guest_is_moved() {
    let held = Held::now("prox1", at(100));
    let mut watched = Watched::while_prox1_has_it();
    assert_eq!(watched.look(150, "prox3", &[off(&held)]), []);
    watched.states = Some(vec![state("prox3", Some(190), "prox3")]);
    assert_eq!(watched.look(200, NODE, &[off(&held)]), []);
    assert_eq!(*watched.note(), JobNote::Held { held });
}

#[test]
fn an_owner_that_was_noted_long_ago_does_not_say_where_the_guest_was_last() {
    // The agent is away; the guest moves from prox1 to prox3 in good order, which is lost, and it is recovered here.
    let second = |source: &str, target: &str| ReplicationJob {
        id: "100-1".to_owned(),
        ..job(source, target)
    };
    let mut watched = Watched::while_prox1_has_it().restarted();
    let wanted = [("100-0", "prox3"), ("100-1", "prox1")].map(|(job, node)| Order {
        job: job.to_owned(),
        held: Held::now(node, at(200)),
    });
    let turned = [job("prox2", "prox3"), second("prox2", "prox1")];
    assert_eq!(watched.look(200, NODE, &turned), wanted);
    // PVE has not turned it round yet.
    let mut watched = Watched::while_prox1_has_it().restarted();
    assert_eq!(watched.look(200, NODE, &[job("prox3", "prox2")]), wanted[..1]);
}

#[test]
fn where_pve_saw_the_guest_last_counts_as_well_as_where_it_was_seen() {
    // It was recovered from prox1 to prox3, which has no copy, and somebody moves its configuration here before PVE has written down the former.
    let mut watched = Watched::while_prox1_has_it();
    assert_eq!(watched.look(20, "prox3", &[job("prox1", "prox2")]), []);
    assert_eq!(watched.look(30, NODE, &[job("prox1", "prox2")]), order(30));
    // Two migrations within the minute: the second one's state came along.
    let mut watched = Watched::while_prox1_has_it();
    watched.look(20, "prox3", &[job("prox1", "prox2")]);
    watched.states = Some(vec![state("prox3", Some(29), "prox3")]);
    assert_eq!(watched.look(30, NODE, &[job("prox1", "prox2")]), []);
}

#[test]
fn a_guest_that_is_back_where_it_was_held_is_judged_by_how_it_came() {
    let held = Held::now(NODE, at(5));
    let marked = ReplicationJob {
        disabled: true,
        comment: Some(held.comment()),
        ..job("prox1", "prox2")
    };
    let jobs = [marked];
    // prox1 is lost as well: now its writes are those that are nowhere else.
    let mut watched = Watched::anew();
    assert_eq!(watched.look(10, "prox1", &jobs), []);
    assert_eq!(watched.look(200, NODE, &jobs), order(200));
    assert_eq!(watched.look(201, NODE, &jobs), order(200), "until its comment says so");
    let mut watched = Watched::anew();
    watched.look(10, "prox1", &jobs);
    watched.states = Some(vec![state("prox1", Some(195), "prox1")]);
    assert_eq!(watched.look(200, NODE, &jobs), [], "it came by a migration");
    assert_eq!(watched.look(201, NODE, &jobs), []);
    assert_eq!(*watched.note(), JobNote::Returned { held });
}

#[test]
fn a_migration_whose_state_was_cleared_away_is_known_by_its_lock_and_its_living_owner() {
    let come = |steady: &[&str], migrating: &[u32]| {
        let mut watched = Watched::while_prox1_has_it();
        watched.steady = steady.iter().map(|node| (*node).to_owned()).collect();
        watched.migrating = migrating.iter().copied().collect();
        watched.look(200, NODE, &[job("prox1", "prox2")])
    };
    assert_eq!(come(&["prox1", "prox2"], &[100]), []);
    assert_eq!(
        come(&["prox2"], &[100]),
        order(200),
        "its server was lost in a migration"
    );
    assert_eq!(come(&["prox1", "prox2"], &[]), order(200), "moved by hand");
}
