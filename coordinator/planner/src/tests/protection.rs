//! Copies of guests: made, changed, taken away, and left alone where nothing is to be done.

use quorate_model::facet::{Facet, UnknownKind};
use quorate_model::observation::config::KeptSpec;
use quorate_model::observation::guest_config::ConfiguredGuest;
use quorate_model::observation::replication::ReplicationJob;
use quorate_model::operation::Action;
use quorate_model::plan::Plan;
use quorate_model::spec::{ClusterFile, digest_of};
use quorate_model::{Code, Severity, Wish};

use super::pools::ids;
use crate::checker::check;
use crate::testkit::{NOW, Servers, apply, guest, job, known, text, volume};

pub(super) const COPIES: &str =
    "[[replication]]\nguests = [100]\ncopies_on = [\"prox1\", \"prox2\", \"prox3\"]\nevery = \"5m\"\n";
const LINKS: &[&str] = &["10.10.10.0/24"];

pub(super) fn file(more: &str) -> ClusterFile {
    file_of(3, more)
}

pub(super) fn file_of(servers: usize, more: &str) -> ClusterFile {
    let text = format!("{}{more}", text(servers, LINKS));
    ClusterFile::parse("hk1.toml", &text).expect("a valid file")
}

/// Three members that know these guests.
pub(super) fn members(guests: &[ConfiguredGuest]) -> Servers {
    let names = ["prox1", "prox2", "prox3"];
    Servers::bare(3).members("hk1", &names, LINKS).with_guests(guests)
}

fn one() -> Servers {
    members(&[guest(100, "prox1", "data_zfs")])
}

/// Both copies are there.
pub(super) fn jobs() -> [ReplicationJob; 2] {
    [job("100-0", "prox1", "prox2"), job("100-1", "prox1", "prox3")]
}

pub(super) fn plan_of(file: &ClusterFile, wish: &Wish, servers: &Servers) -> Plan {
    let plan = crate::plan(file, wish, &servers.view);
    let complaints = check(file, wish, &servers.view, &plan);
    assert!(complaints.is_empty(), "{complaints:?}");
    plan
}

pub(super) fn plan(more: &str, servers: &Servers) -> Plan {
    plan_of(&file(more), &Wish::default(), servers)
}

pub(super) fn told(plan: &Plan, code: Code) -> Vec<&str> {
    let of_code = plan.findings.iter().filter(|finding| finding.code == code);
    of_code.map(|finding| finding.message.as_str()).collect()
}

pub(super) fn needs<'p>(plan: &'p Plan, id: &str) -> Vec<&'p str> {
    let step = plan.steps.iter().find(|step| step.id.as_str() == id);
    let step = step.unwrap_or_else(|| panic!("{id} in {:?}", ids(plan)));
    step.needs.iter().map(|need| need.as_str()).collect()
}

/// After all its steps the same file plans nothing more.
pub(super) fn done(more: &str, mut servers: Servers, plan: &Plan) {
    for step in &plan.steps {
        apply(&mut servers.view, step);
        let seen = step.done_when.judge(&servers.view);
        assert!(seen.holds(), "{}: {seen:?}", step.id);
    }
    assert_eq!(ids(&self::plan(more, &servers)), Vec::<&str>::new());
}

/// The file that was applied before, as all keep it.
pub(super) fn applied(servers: Servers, more: &str) -> Servers {
    let text = format!("{}{more}", text(3, LINKS));
    let kept = KeptSpec {
        digest: digest_of(&text),
        applied_at: NOW,
        rollout: String::new(),
        text,
    };
    servers.with_each(|seen| known(&mut seen.config).spec = Facet::known(Some(kept.clone()), NOW))
}

#[test]
fn a_guest_is_copied_to_every_other_listed_server() {
    let servers = one();
    let plan = plan(COPIES, &servers);
    assert_eq!(
        ids(&plan),
        ["replication.create/100/prox2", "replication.create/100/prox3"]
    );
    let step = &plan.steps[0];
    assert_eq!(step.title, "copy guest 100 (web100) from prox1 to prox2 (*/5)");
    assert_eq!(
        step.done_when.to_string(),
        "guest 100 of prox1 has a copy on prox2, and no run failed since"
    );
    assert_eq!(step.estimate.as_secs(), 90 + 107, "10 GiB at 100 MB/s");
    let numbers: Vec<String> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::CreateReplication { job, .. } => Some(job.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(numbers, ["100-0", "100-1"]);
    done(COPIES, servers, &plan);
}

#[test]
fn the_plan_stays_empty_after_failover_migration_and_return() {
    assert!(ids(&plan(COPIES, &one().with_jobs(&jobs()))).is_empty());
    // Recovered on prox2; PVE has not turned the job round yet.
    let lagging = members(&[guest(100, "prox2", "data_zfs")]).with_jobs(&jobs());
    assert!(ids(&plan(COPIES, &lagging)).is_empty());
    // Now it has, and the third server is copied to from the new owner.
    let turned = [job("100-0", "prox2", "prox1"), job("100-1", "prox2", "prox3")];
    let after = members(&[guest(100, "prox2", "data_zfs")]).with_jobs(&turned);
    assert!(ids(&plan(COPIES, &after)).is_empty());
    // Migrated on, and back.
    let moved = [job("100-0", "prox3", "prox1"), job("100-1", "prox3", "prox2")];
    let moved = members(&[guest(100, "prox3", "data_zfs")]).with_jobs(&moved);
    assert!(ids(&plan(COPIES, &moved)).is_empty());
    // A job whose other end can't be told: nothing is made beside it.
    let blind = ReplicationJob {
        source: None,
        ..job("100-0", "prox1", "prox2")
    };
    let blind = members(&[guest(100, "prox2", "data_zfs")]).with_jobs(&[blind]);
    let plan = plan(COPIES, &blind);
    assert!(ids(&plan).is_empty());
    assert!(told(&plan, Code::GuestUntold)[0].contains("does not say from where"));
}

#[test]
fn a_new_copy_is_made_before_an_old_one_goes_and_only_by_a_word_for_it() {
    let before = "[[replication]]\nguests = [100]\ncopies_on = [\"prox1\", \"prox2\"]\nevery = \"5m\"\n";
    let after = before.replace("prox2", "prox3");
    let servers = applied(one().with_jobs(&jobs()[..1]), before);
    let refused = plan(&after, &servers);
    assert_eq!(
        ids(&refused),
        ["replication.create/100/prox3", "replication.remove/100/prox2"]
    );
    let finding = refused
        .findings
        .iter()
        .find(|f| f.code == Code::DestroyNotConsented)
        .unwrap();
    assert_eq!(finding.severity, Severity::Refusal);
    assert!(finding.next.contains("--destroy replica:100@prox2"), "{}", finding.next);

    let wish = Wish {
        destroy_replicas: ["replica:100@prox2".parse().unwrap()].into(),
        ..Wish::default()
    };
    let plan = plan_of(&file(&after), &wish, &servers);
    assert!(!plan.refused());
    assert_eq!(
        needs(&plan, "replication.remove/100/prox2"),
        ["replication.create/100/prox3"]
    );
    let step = plan.steps.last().unwrap();
    let gate = step
        .gate
        .iter()
        .any(|gate| gate.to_string().contains("has a copy on prox3"));
    assert!(gate, "{:?}", step.gate);
    assert_eq!(
        step.destroys,
        ["the copy of guest 100 (web100) on prox2 (replica:100@prox2)"]
    );

    // A guest that the file does not name any more.
    let dropped = plan_of(&file(""), &wish, &servers);
    assert_eq!(ids(&dropped), ["replication.remove/100/prox2"]);
}

#[test]
fn what_no_file_of_ours_wanted_is_left_alone() {
    let servers = one().with_jobs(&jobs());
    let two = COPIES.replace(", \"prox3\"", "");
    let seen = plan(&two, &servers);
    assert!(ids(&seen).is_empty() && !seen.refused());
    assert_eq!(
        told(&seen, Code::CopyUnmanaged),
        ["the job 100-1 copies guest 100 (web100) to prox3, which the file does not ask for"]
    );
    let wish = Wish {
        destroy_replicas: ["replica:100@prox3".parse().unwrap()].into(),
        ..Wish::default()
    };
    let plan = plan_of(&file(&two), &wish, &servers);
    assert!(ids(&plan).is_empty());
    assert_eq!(told(&plan, Code::DestroyNotPlanned).len(), 1);
}

#[test]
fn schedule_and_rate_are_changed_and_a_job_that_is_off_stays_off() {
    let [first, second] = jobs();
    let slow = ReplicationJob {
        schedule: "*/15".to_owned(),
        ..first.clone()
    };
    let by_hand = ReplicationJob {
        comment: None,
        schedule: "*:0/5".to_owned(),
        ..second.clone()
    };
    let plan_of_these = plan(COPIES, &one().with_jobs(&[slow.clone(), by_hand.clone()]));
    assert_eq!(
        ids(&plan_of_these),
        ["replication.set/100/prox2", "replication.set/100/prox3"]
    );
    assert_eq!(plan_of_these.steps[0].why, ["its schedule is */15, not */5"]);
    assert_eq!(
        plan_of_these.steps[1].why,
        ["its comment does not say hold of a server that returns"]
    );
    done(COPIES, one().with_jobs(&[slow, by_hand]), &plan_of_these);

    let off = ReplicationJob {
        disabled: true,
        ..first
    };
    let off = plan(COPIES, &one().with_jobs(&[off, second.clone()]));
    assert!(ids(&off).is_empty(), "nothing switches it on");
    assert_eq!(
        told(&off, Code::CopyOff),
        ["the job 100-0 of guest 100 (web100) to prox2 is switched off"]
    );
    let leaving = ReplicationJob {
        removal: Some("full".to_owned()),
        ..second
    };
    let leaving = plan(COPIES, &one().with_jobs(&[jobs()[0].clone(), leaving]));
    assert!(ids(&leaving).is_empty());
    assert_eq!(told(&leaving, Code::CopyLeaving).len(), 1);
}

#[test]
fn what_pve_can_t_copy_is_skipped_and_told_and_holds_nobody_up() {
    let with = |vmid: u32, change: &dyn Fn(&mut quorate_model::observation::GuestConfig)| {
        let mut guest = guest(vmid, "prox1", "data_zfs");
        change(known(&mut guest.config));
        guest
    };
    let guests = [
        guest(100, "prox1", "data_zfs"),
        with(101, &|config| config.disks.push(volume(101, "scsi1", "local"))),
        with(102, &|config| config.disks[0].replicate = false),
        with(103, &|config| config.template = true),
        guest(104, "prox1", "nas"),
        with(105, &|config| config.disks.push(volume(105, "scsi1", "data_zfs"))),
        {
            let mut odd = guest(106, "prox1", "data_zfs");
            odd.config = Facet::unknown(UnknownKind::Unparsable, "106.conf: a line that is none");
            odd
        },
    ];
    let all = COPIES.replace("[100]", "\"all\"");
    let plan = plan(&all, &members(&guests));
    assert!(!plan.refused());
    let wanted = ["100/prox2", "100/prox3", "105/prox2", "105/prox3"].map(|of| format!("replication.create/{of}"));
    assert_eq!(ids(&plan), wanted);
    assert_eq!(
        told(&plan, Code::CopyUnsupported),
        [
            "guest 101 (web101) can't be copied: scsi1 lies on local, a storage of the type dir, which PVE does not copy",
            "guest 102 (web102) can't be copied: scsi0 is left out of replication (replicate=0)",
        ]
    );
    assert_eq!(told(&plan, Code::CopyNotAtOnce).len(), 1);
    assert_eq!(
        told(&plan, Code::GuestUntold),
        ["whether guest 106 is copied as the file wants can't be told: 106.conf: a line that is none"]
    );
}

#[test]
fn a_guest_is_named_most_closely_by_its_id_and_unnamed_ones_are_told() {
    let mut tagged = guest(101, "prox1", "data_zfs");
    known(&mut tagged.config).tags = vec!["prod".to_owned()];
    let servers =
        members(&[guest(100, "prox1", "data_zfs"), tagged, guest(102, "prox2", "data_zfs")]).with_each(|seen| {
            known(&mut seen.config).guest_pools = Facet::known([("lab".to_owned(), vec![102])].into(), NOW)
        });
    let table = |guests: &str, on: &str| format!("[[replication]]\nguests = {guests}\ncopies_on = [{on}]\n");
    let both = "\"prox1\", \"prox2\"";
    let file = format!(
        "{}{}",
        table("\"tag:prod\"", both),
        table("[101]", "\"prox1\", \"prox3\"")
    );
    let closest = plan(&file, &servers);
    assert_eq!(ids(&closest), ["replication.create/101/prox3"]);
    assert_eq!(told(&closest, Code::GuestUnprotected).len(), 2);
    let pool = plan(&table("\"pool:lab\"", both), &servers);
    assert_eq!(ids(&pool), ["replication.create/102/prox1"]);
    let file = format!(
        "{}{}",
        table("\"tag:prod\"", both),
        table("\"tag:prod\"", "\"prox1\", \"prox3\"")
    );
    let twice = plan(&file, &servers);
    assert!(twice.refused() && ids(&twice).is_empty());
    assert_eq!(told(&twice, Code::CopyWantedTwice).len(), 1);
    let nobody = plan(&table("[999]", both), &servers);
    assert_eq!(told(&nobody, Code::GuestNotThere), ["there is no guest 999"]);
}

#[test]
fn a_server_or_storage_that_is_not_there_gets_no_copy() {
    let away = one().unreachable("prox3");
    let plan_without = crate::plan(&file(COPIES), &Wish::default(), &away.view);
    assert!(!ids(&plan_without).contains(&"replication.create/100/prox3"));
    let narrow = one().with_each(|seen| {
        let storages = known(&mut seen.storages);
        storages.defined[0]
            .properties
            .insert("nodes".to_owned(), "prox1,prox2".to_owned());
    });
    let plan = plan(COPIES, &narrow);
    assert_eq!(ids(&plan), ["replication.create/100/prox2"]);
    assert_eq!(
        told(&plan, Code::CopyUnsupported),
        ["guest 100 (web100) can't be copied to prox3: its storage data_zfs is not on prox3"]
    );
    let hidden =
        one().with_each(|seen| known(&mut seen.config).guests = Facet::unknown(UnknownKind::TimedOut, "pmxcfs hangs"));
    let hidden = self::plan(COPIES, &hidden);
    assert!(ids(&hidden).is_empty() && !hidden.refused());
    assert_eq!(told(&hidden, Code::GuestUntold).len(), 1);
}

#[test]
fn the_migration_network_is_set_first_and_bounds_what_a_job_sends() {
    let text = self::text(3, LINKS).replacen(
        "[nodes",
        &format!("{}[nodes", "migration_network = \"10.10.10.0/24\"\n"),
        1,
    ) + COPIES;
    let file = ClusterFile::parse("hk1.toml", &text).unwrap();
    let servers = one().with_each(|seen| {
        known(&mut known(&mut seen.config).datacenter).insert("migration".to_owned(), "insecure".to_owned());
    });
    let plan = plan_of(&file, &Wish::default(), &servers);
    assert_eq!(ids(&plan)[0], "options.migration/hk1");
    let Action::SetMigrationNetwork { migration, before, .. } = &plan.steps[0].action else {
        panic!("{plan:?}")
    };
    assert_eq!(
        (migration.as_str(), before.as_deref()),
        ("type=insecure,network=10.10.10.0/24", Some("insecure"))
    );
    assert_eq!(needs(&plan, "replication.create/100/prox2"), ["options.migration/hk1"]);
    let Action::CreateReplication { rate, .. } = &plan.steps[1].action else {
        panic!("{plan:?}")
    };
    assert_eq!(*rate, Some(937), "three quarters of 10 Gbit/s");
    let mut servers = servers;
    for step in &plan.steps {
        apply(&mut servers.view, step);
    }
    assert!(ids(&plan_of(&file, &Wish::default(), &servers)).is_empty());
}

#[test]
fn a_cluster_that_is_made_gets_its_copies_after_its_joins() {
    let text = text(2, LINKS) + "[[replication]]\nguests = [100]\ncopies_on = [\"prox1\", \"prox2\"]\n";
    let file = ClusterFile::parse("hk1.toml", &text).unwrap();
    let servers = Servers::bare(2)
        .with_guests(&[guest(100, "prox1", "data_zfs")])
        .guests("prox1", &[100])
        .with("prox2", |seen| {
            known(&mut seen.config).guests = Facet::known(vec![], NOW);
        });
    let plan = plan_of(&file, &Wish::default(), &servers);
    assert_eq!(
        needs(&plan, "replication.create/100/prox2"),
        ["cluster.create", "cluster.join/prox2"]
    );
}

#[test]
fn a_whole_plan_for_a_guest_under_ha() {
    let ha = format!("{COPIES}[ha]\nguests = [100]\nmax_restart = 2\n");
    insta::assert_json_snapshot!(plan(&ha, &one().of_pve("9.2.11")));
}
