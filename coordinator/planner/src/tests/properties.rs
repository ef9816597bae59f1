//! What holds of every plan, over random clusters of 1 to 32 servers in random states.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use quorate_model::facet::Facet;
use quorate_model::observation::cluster::Pmxcfs;
use quorate_model::operation::{Action, rules};
use quorate_model::plan::Plan;
use quorate_model::spec::ClusterFile;
use quorate_model::{Code, View, Wish};

use crate::checker::check;
use crate::testkit::{Servers, VOTE, apply, name, parse, unseen};

/// What is odd about a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Oddity {
    Nothing,
    Guests,
    Unreachable,
    NotEnrolled,
    ClusterUnseen,
    NetworkUnseen,
    GuestsUnseen,
    SystemUnseen,
    VersionUnseen,
    NameUnseen,
    ClockUnseen,
    Skewed,
    Leftovers,
    NotMounted,
    OtherCluster,
    OtherName,
    NoLinkAddress,
}

impl Oddity {
    const ALL: [Oddity; 17] = [
        Self::Nothing,
        Self::Guests,
        Self::Unreachable,
        Self::NotEnrolled,
        Self::ClusterUnseen,
        Self::NetworkUnseen,
        Self::GuestsUnseen,
        Self::SystemUnseen,
        Self::VersionUnseen,
        Self::NameUnseen,
        Self::ClockUnseen,
        Self::Skewed,
        Self::Leftovers,
        Self::NotMounted,
        Self::OtherCluster,
        Self::OtherName,
        Self::NoLinkAddress,
    ];

    fn befall(self, mut servers: Servers, node: &str, member: bool) -> Servers {
        match self {
            Self::Nothing => servers,
            // A member's guests are nobody's business here, and its files are those of its cluster.
            Self::Guests => servers.guests(node, &[100]),
            Self::Leftovers | Self::OtherCluster if member => servers,
            Self::Unreachable => servers.unreachable(node),
            Self::NotEnrolled => {
                servers.view.nodes.remove(&name(node));
                servers
            }
            Self::ClusterUnseen => servers.with(node, |o| o.cluster = unseen()),
            Self::NetworkUnseen => servers.with(node, |o| o.network = unseen()),
            Self::GuestsUnseen => servers.with(node, |o| o.guests = unseen()),
            Self::SystemUnseen => servers.with(node, |o| o.system = unseen()),
            Self::VersionUnseen => servers.with_system(node, |s| s.pve = unseen()),
            Self::NameUnseen => servers.with_network(node, |n| n.own_name = unseen()),
            Self::ClockUnseen => {
                servers.view.nodes.get_mut(&name(node)).unwrap().clock_offset = None;
                servers
            }
            Self::Skewed => servers.clock(node, 7_200_000_000, 1000),
            Self::Leftovers => servers.with_cluster(node, |c| c.authkey_present = true),
            Self::NotMounted => servers.with_cluster(node, |c| c.pmxcfs = Pmxcfs::NotMounted),
            Self::OtherCluster => servers.members("lab7", &[node], &[]),
            Self::OtherName => servers.with(node, |o| o.hostname = "localhost".into()),
            Self::NoLinkAddress => servers.with_network(node, |n| n.interfaces.clear()),
        }
    }
}

#[derive(Clone)]
struct Case {
    file: ClusterFile,
    servers: Servers,
    wish: Wish,
    links: &'static [&'static str],
    life: Life,
    odd: Vec<Oddity>,
    members: usize,
}

/// What is needed to see why a case fails; whole views are longer than anybody reads.
impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} servers in the file, {} members, links {:?}, {:?}, {:?}, {:?}",
            self.file.nodes.len(),
            self.members,
            self.links,
            self.odd,
            self.life,
            self.wish,
        )
    }
}

/// What goes on in the life of the cluster.
#[derive(Debug, Clone, Copy, Default)]
struct Life {
    /// The file wants a third vote.
    third_vote: bool,
    /// The cluster has one already.
    has_vote: bool,
    /// A guest is under HA, with this version of pve-ha-manager.
    ha: Option<&'static str>,
    /// Members that the file does not name are to be taken out.
    remove: bool,
    /// They are dead.
    dead: bool,
    /// The cluster counts the first server that is not in.
    counted: bool,
    /// The cluster has link 0 only.
    one_link: bool,
    /// The join of the first server that is not in is to be undone.
    undo: bool,
    /// The last member is away, whoever it is.
    away: bool,
    /// The file names every server's address on each link, in no network.
    explicit: bool,
    /// What the file says of the priority of link 0, and what a cluster that is there has.
    priority: (Option<u8>, Option<u8>),
    /// The second server is only a witness.
    witness: bool,
}

fn lives() -> impl Strategy<Value = Life> {
    let ha = prop_oneof![Just(None), Just(Some("5.1.3")), Just(Some("4.0.7"))];
    let seldom = || prop::bool::weighted(0.2);
    let more = (seldom(), prop::bool::weighted(0.05), seldom(), seldom());
    // Mostly what the file says is what there is.
    let priority = prop_oneof![
        6 => Just((None, None)),
        2 => Just((Some(20), Some(20))),
        1 => Just((Some(0), None)),
        1 => Just((None, Some(5))),
        1 => Just((Some(20), None)),
    ];
    let flags = any::<(bool, bool, bool, bool, bool, bool)>();
    (flags, ha, more, priority).prop_map(|(flags, ha, more, priority)| Life {
        third_vote: flags.0,
        has_vote: flags.1,
        ha,
        remove: flags.2,
        dead: flags.3,
        counted: flags.4,
        one_link: flags.5,
        undo: more.0,
        away: more.1,
        explicit: more.2,
        witness: more.3,
        priority,
    })
}

const BOTH: &[&str] = &["10.10.10.0/24", "192.168.1.0/24"];

fn cases(
    oddities: impl Strategy<Value = Vec<(usize, usize)>> + 'static,
    lives: impl Strategy<Value = Life> + 'static,
) -> impl Strategy<Value = Case> {
    let links = prop_oneof![
        Just(&[] as &'static [&'static str]),
        Just(&["10.10.10.0/24"] as &'static [&'static str]),
        Just(BOTH),
    ];
    (1usize..=32, 0usize..=34, 0usize..=2, links, oddities, lives).prop_map(
        |(count, members, extra, links, oddities, life)| {
            // Some members may lie outside of the file.
            let members = members.min(count + extra);
            let servers_there = count.max(members);
            let nodes: Vec<String> = (1..=servers_there).map(|n| format!("prox{n}")).collect();
            let mut servers = Servers::bare(servers_there);
            let mut wish = Wish::default();
            let there = if life.one_link {
                links.get(..1).unwrap_or_default()
            } else {
                links
            };
            if members > 0 {
                let inside: Vec<&str> = nodes.iter().take(members).map(String::as_str).collect();
                servers = servers.members("hk1", &inside, there);
                if life.counted && members < count {
                    servers = servers.counted(&nodes[members], there);
                    if life.undo {
                        wish.undo_join.insert(name(&nodes[members]));
                    }
                }
                if let Some(priority) = life.priority.1 {
                    for node in &inside {
                        servers = servers.with_member(node, |m| m.interfaces.extend([(0, Some(priority))]));
                    }
                }
                if life.away && members > 1 {
                    let away = &nodes[members - 1];
                    servers = servers.offline(away);
                    // Cut off from the others, it sees nobody but itself.
                    if servers.view.cluster_of(&name(away)).is_ok() {
                        servers = servers.with_member(away, |m| {
                            m.quorate = false;
                            m.nodes.iter_mut().for_each(|n| n.online = n.name == *away);
                        });
                    }
                }
                if life.has_vote {
                    servers = servers.qdevice(VOTE);
                }
                if let Some(version) = life.ha {
                    servers = servers.under_ha("vm:100", "prox1", version);
                }
                for node in nodes.iter().take(members).skip(count) {
                    if life.remove {
                        wish.remove.insert(name(node));
                    }
                    if life.dead {
                        servers = servers.offline(node).unreachable(node);
                        wish.is_off.insert(name(node));
                    }
                }
            }
            if life.third_vote {
                servers = servers.outside("vote", VOTE);
            }
            let mut odd = vec![Oddity::Nothing; servers_there];
            for (at, what) in oddities {
                let (at, what) = (at % servers_there, Oddity::ALL[what % Oddity::ALL.len()]);
                let seen = servers
                    .view
                    .nodes
                    .get(&name(&nodes[at]))
                    .is_some_and(|n| n.observation.is_ok());
                if odd[at] == Oddity::Nothing && seen {
                    odd[at] = what;
                    servers = what.befall(servers, &nodes[at], at < members);
                }
            }
            Case {
                file: written(count, links, life),
                servers,
                wish,
                links,
                life,
                odd,
                members,
            }
        },
    )
}

/// The cluster file of this life.
fn written(count: usize, links: &[&str], life: Life) -> ClusterFile {
    use std::fmt::Write as _;
    let mut text = "[cluster]\nname = \"hk1\"\n".to_owned();
    if !links.is_empty() {
        let each = links.iter().enumerate().map(|(number, network)| {
            let network = (!life.explicit).then(|| format!("network = \"{network}\""));
            let priority = life
                .priority
                .0
                .filter(|_| number == 0)
                .map(|p| format!("priority = {p}"));
            let keys: Vec<String> = network.into_iter().chain(priority).collect();
            format!("{{ {} }}", keys.join(", "))
        });
        writeln!(text, "links = [{}]", each.collect::<Vec<_>>().join(", ")).unwrap();
    }
    if life.third_vote {
        text.push_str("third_vote = { qdevice = \"vote\" }\n");
        write!(text, "[nodes.vote]\naddress = \"{VOTE}\"\nrole = \"qnetd\"\n").unwrap();
    }
    for n in 1..=count {
        write!(text, "[nodes.prox{n}]\naddress = \"192.168.1.{}\"\n", 10 + n).unwrap();
        if life.witness && n == 2 {
            text.push_str("role = \"witness\"\n");
        }
        if life.explicit && !links.is_empty() {
            let each = links
                .iter()
                .map(|network| format!("\"{}{}\"", network.trim_end_matches("0/24"), 10 + n));
            writeln!(text, "links = [{}]", each.collect::<Vec<_>>().join(", ")).unwrap();
        }
    }
    parse(&text)
}

fn well() -> impl Strategy<Value = Case> {
    cases(Just(vec![]), Just(Life::default()))
}

fn odd() -> impl Strategy<Value = Case> {
    cases(
        prop::collection::vec((0usize..32, 0usize..17), 0..4),
        Just(Life::default()),
    )
}

/// Whole lives, with now and then something odd.
fn alive() -> impl Strategy<Value = Case> {
    let oddities = prop_oneof![
        3 => Just(vec![]),
        1 => prop::collection::vec((0usize..32, 0usize..17), 1..3),
    ];
    cases(oddities, lives())
}

fn bytes(plan: &Plan) -> Vec<u8> {
    serde_json::to_vec(plan).unwrap()
}

/// Does everything that the plan says, as it should come out.
fn carried_out(case: &Case, plan: &Plan) -> View {
    let mut view = case.servers.view.clone();
    for step in &plan.steps {
        apply(&mut view, step);
    }
    view
}

/// Is this server in no cluster, by its own word? Its entry is taken out so that it can join afresh.
fn stands_alone(case: &Case, node: &quorate_model::NodeName) -> bool {
    case.servers.view.cluster_of(node).is_ok_and(|c| c.member().is_none())
}

/// After this, something is gone for good.
fn destroys(action: &Action) -> bool {
    matches!(
        action,
        Action::RemoveMember { .. }
            | Action::CleanUpAfter { .. }
            | Action::AbandonJoin { .. }
            | Action::RemoveQdevice { .. }
    )
}

/// All steps that one needs, directly or through others.
fn needed(plan: &Plan, index: usize) -> std::collections::BTreeSet<usize> {
    let mut found = std::collections::BTreeSet::new();
    let mut open = vec![index];
    while let Some(next) = open.pop() {
        for need in &plan.steps[next].needs {
            let at = plan.steps.iter().position(|s| s.id == *need).unwrap();
            if found.insert(at) {
                open.push(at);
            }
        }
    }
    found
}

/// What is seen to be other than the file wants it, without the planner.
fn differs(case: &Case) -> Option<String> {
    let (file, view) = (&case.file, &case.servers.view);
    let mut seen = view
        .nodes
        .keys()
        .filter_map(|node| view.cluster_of(node).ok()?.member());
    let wanted: Vec<_> = file
        .members()
        .map(|(node, _)| node)
        .filter(|node| !case.wish.undo_join.contains(node))
        .collect();
    let Some(member) = seen.find(|m| m.cluster == file.cluster.name.value.as_str()) else {
        return (!wanted.is_empty()).then(|| "there is no cluster".to_owned());
    };
    if let Some(node) = wanted
        .iter()
        .find(|node| !member.nodes.iter().any(|n| n.name == node.as_str()))
    {
        return Some(format!("{node} is not in"));
    }
    for node in case.wish.removed().chain(&case.wish.undo_join) {
        if member.nodes.iter().any(|n| n.name == node.as_str()) {
            return Some(format!("{node} is still in"));
        }
    }
    for node in member.configured.iter().filter(|_| !file.links_by_address()) {
        if !node
            .addresses
            .keys()
            .copied()
            .eq(0..u8::try_from(file.cluster.links.len()).unwrap())
        {
            return Some(format!("{} has the links {:?}", node.name, node.addresses));
        }
        for (link, address) in file.cluster.links.iter().zip(node.addresses.values()) {
            let address: std::net::IpAddr = address.parse().unwrap();
            if link
                .network
                .as_ref()
                .is_some_and(|network| !network.value.contains(&address))
            {
                return Some(format!("{} has {address} on a link", node.name));
            }
        }
    }
    for (link, number) in file.cluster.links.iter().zip(0u8..) {
        let now = member.interfaces.get(&number).copied().flatten().unwrap_or(1).max(1);
        if link
            .priority
            .as_ref()
            .is_some_and(|priority| priority.value.max(1) != now)
        {
            return Some(format!("link {number} has priority {now}"));
        }
    }
    let (device, host) = (member.qdevice.as_ref(), file.qnetd());
    let there = |(_, spec): (_, &quorate_model::spec::NodeSpec)| {
        device.is_some_and(|d| d.host.parse() == Ok(spec.address.value))
    };
    host.is_some_and(|host| !there(host))
        .then(|| "the third vote is not there".to_owned())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn healthy_servers_get_a_sound_plan_that_leaves_nothing_to_do(case in well()) {
        let plan = crate::plan(&case.file, &case.wish, &case.servers.view);
        prop_assert_eq!(check(&case.file, &case.wish, &case.servers.view, &plan), vec![]);
        prop_assert!(!plan.refused(), "{:#?}", plan.findings);
        prop_assert_eq!(plan.steps.len(), case.file.nodes.len().saturating_sub(case.members));

        let after = crate::plan(&case.file, &case.wish, &carried_out(&case, &plan));
        prop_assert!(after.is_empty() && !after.refused(), "{:#?}", after);

        // One creation where there is no cluster, then strictly one join after another.
        for (index, step) in plan.steps.iter().enumerate() {
            let creates = matches!(step.action, Action::CreateCluster { .. });
            prop_assert_eq!(creates, index == 0 && case.members == 0);
            let before: Vec<_> = index.checked_sub(1).map(|i| plan.steps[i].id.clone()).into_iter().collect();
            prop_assert_eq!(&step.needs, &before);
        }
    }

    /// "Nothing to do" is a statement about the cluster, not a plan that came to nothing.
    #[test]
    fn an_empty_plan_means_that_the_cluster_is_as_the_file_wants_it(case in prop_oneof![odd(), alive()]) {
        let plan = crate::plan(&case.file, &case.wish, &case.servers.view);
        if plan.is_empty() && !plan.refused() {
            prop_assert_eq!(differs(&case), None::<String>, "{:#?}", plan.findings);
        }
    }

    #[test]
    fn odd_servers_get_a_sound_plan_or_a_refusal(case in odd()) {
        let plan = crate::plan(&case.file, &case.wish, &case.servers.view);
        prop_assert_eq!(check(&case.file, &case.wish, &case.servers.view, &plan), vec![]);
        for finding in &plan.findings {
            prop_assert!(!finding.message.is_empty());
            prop_assert!(!finding.refuses() || !finding.next.is_empty(), "a refusal says what to do: {finding}");
        }
        if !plan.refused() {
            let after = crate::plan(&case.file, &case.wish, &carried_out(&case, &plan));
            prop_assert!(after.is_empty(), "{:#?}", after);
        }
    }

    /// The whole life: whatever is asked, the plan is sound or refused, and once carried out leaves nothing to do.
    #[test]
    fn every_life_event_gets_a_sound_plan_or_a_refusal(case in alive()) {
        let plan = crate::plan(&case.file, &case.wish, &case.servers.view);
        prop_assert_eq!(check(&case.file, &case.wish, &case.servers.view, &plan), vec![]);
        for finding in &plan.findings {
            prop_assert!(!finding.refuses() || !finding.next.is_empty(), "a refusal says what to do: {finding}");
        }
        if plan.refused() {
            return Ok(());
        }
        let mut view = case.servers.view.clone();
        for step in &plan.steps {
            // Every gate holds when its time has come, and is not true by luck only.
            for gate in &step.gate {
                let verdict = gate.judge(&view);
                prop_assert!(verdict.holds(), "{}: gate {gate}: {verdict:?}", step.id);
            }
            apply(&mut view, step);
            let verdict = step.done_when.judge(&view);
            prop_assert!(verdict.holds(), "{}: done {}: {verdict:?}", step.id, step.done_when);
        }
        let after = crate::plan(&case.file, &case.wish, &view);
        prop_assert!(after.is_empty() && !after.refused(), "{:#?}", after);
    }

    /// Stated once more, without the checker: what must never happen to a cluster.
    #[test]
    fn nothing_is_destroyed_unasked_and_nothing_disturbs_beside_another(case in alive()) {
        let plan = crate::plan(&case.file, &case.wish, &case.servers.view);
        let mut disruptive: Vec<usize> = Vec::new();
        for (index, step) in plan.steps.iter().enumerate() {
            match &step.action {
                Action::PowerOff { .. } => prop_assert!(case.wish.remove.contains(&step.node)),
                Action::CleanUpAfter {
                    removed, keep_folder, ..
                } => {
                    let bare = case.servers.view.cluster_of(removed).is_ok_and(|c| c.member().is_none());
                    prop_assert!(case.wish.remove.contains(removed) || (bare && *keep_folder));
                }
                Action::RemoveMember { removed, .. } => {
                    prop_assert!(case.wish.remove.contains(removed) || stands_alone(&case, removed));
                }
                Action::AbandonJoin { .. } => prop_assert!(case.wish.undo_join.contains(&step.node)),
                Action::RemoveQdevice { .. } => {
                    let again = plan.steps[index..].iter().any(|s| matches!(s.action, Action::SetUpQdevice { .. }));
                    let for_good = case.wish.remove.contains(&name("vote")) && case.file.qnetd().is_none();
                    prop_assert!(again || for_good);
                }
                _ => {}
            }
            // What destroys says so, and nothing else does; and no disk is touched.
            prop_assert_eq!(!step.destroys.is_empty(), destroys(&step.action), "{}", step.id);
            prop_assert!(step.disks.is_empty());
            if rules(step.action.kind()).disruptive {
                // Each comes after every one before it, directly or through others.
                let before = needed(&plan, index);
                for earlier in &disruptive {
                    prop_assert!(before.contains(earlier), "{} may run beside {}", step.id, plan.steps[*earlier].id);
                }
                disruptive.push(index);
            }
        }
        let unconsented = crate::plan(&case.file, &Wish::default(), &case.servers.view);
        for (index, step) in unconsented.steps.iter().enumerate() {
            let fine = match &step.action {
                Action::PowerOff { .. }
                | Action::CleanUpAfter { keep_folder: false, .. }
                | Action::AbandonJoin { .. } => false,
                Action::RemoveMember { removed, .. } => stands_alone(&case, removed),
                Action::RemoveQdevice { .. } => {
                    unconsented.steps[index..].iter().any(|s| matches!(s.action, Action::SetUpQdevice { .. }))
                }
                _ => true,
            };
            prop_assert!(fine, "absence deletes: {}", step.id);
        }
    }

    #[test]
    fn unknown_is_never_taken_for_absent(case in odd()) {
        let plan = crate::plan(&case.file, &case.wish, &case.servers.view);
        for step in &plan.steps {
            let Ok(seen) = &case.servers.view.nodes[&step.node].observation else {
                return Err(TestCaseError::fail("a step on a server that nobody saw"));
            };
            prop_assert!(seen.cluster.is_known() && seen.network.is_known() && seen.guests.is_known() && seen.system.is_known());
            prop_assert!(case.servers.view.nodes[&step.node].clock_offset.is_some());
        }
        // Where a server of the file is to be changed, or can't be told apart from one, what is unknown of it refuses.
        for (index, oddity) in case.odd.iter().enumerate().take(case.file.nodes.len()) {
            let refuses = match oddity {
                Oddity::Unreachable | Oddity::NotEnrolled | Oddity::ClusterUnseen => true,
                Oddity::NetworkUnseen | Oddity::GuestsUnseen | Oddity::NameUnseen => index >= case.members,
                Oddity::SystemUnseen | Oddity::VersionUnseen | Oddity::ClockUnseen => index >= case.members,
                _ => false,
            };
            prop_assert!(!refuses || plan.refused(), "prox{} is {oddity:?}", index + 1);
        }
    }

    #[test]
    fn identical_input_gives_an_identical_plan(case in alive()) {
        let first = bytes(&crate::plan(&case.file, &case.wish, &case.servers.view));
        prop_assert_eq!(&first, &bytes(&crate::plan(&case.file.clone(), &case.wish, &case.servers.view.clone())));
        // And with everything that has no order of its own turned round.
        let mut view = case.servers.view.clone();
        for seen in view.nodes.values_mut() {
            let Ok(observation) = &mut seen.observation else { continue };
            if let Facet::Known { value, .. } = &mut observation.network {
                value.interfaces.reverse();
            }
            if let Facet::Known { value, .. } = &mut observation.guests {
                value.reverse();
            }
            if let Facet::Known { value, .. } = &mut observation.cluster
                && let quorate_model::observation::Membership::Member(member) = &mut value.membership
            {
                member.nodes.reverse();
                member.configured.reverse();
            }
        }
        prop_assert_eq!(first, bytes(&crate::plan(&case.file, &case.wish, &view)));
    }
}

#[test]
fn the_order_of_tables_in_the_file_changes_nothing_but_its_digest() {
    let forwards = parse(
        "[cluster]\nname = \"hk1\"\n[nodes.prox1]\naddress = \"192.168.1.11\"\n[nodes.prox2]\naddress = \"192.168.1.12\"\n",
    );
    let backwards = parse(
        "[nodes.prox2]\naddress = \"192.168.1.12\"\n[nodes.prox1]\naddress = \"192.168.1.11\"\n[cluster]\nname = \"hk1\"\n",
    );
    let servers = Servers::bare(2);
    let (a, b) = (
        crate::plan(&forwards, &Wish::default(), &servers.view),
        crate::plan(&backwards, &Wish::default(), &servers.view),
    );
    assert!(a.same_steps(&b));
    let codes = |p: &Plan| p.findings.iter().map(|f| f.code).collect::<Vec<Code>>();
    assert_eq!(codes(&a), codes(&b));
}

/// A property that holds because everything is refused says nothing.
#[test]
fn many_lives_are_planned_and_not_refused() {
    let mut runner = TestRunner::deterministic();
    let strategy = alive();
    let (mut planned, mut kinds) = (0, std::collections::BTreeSet::new());
    for _ in 0..300 {
        let case = strategy.new_tree(&mut runner).unwrap().current();
        let plan = crate::plan(&case.file, &case.wish, &case.servers.view);
        if !plan.refused() && !plan.is_empty() {
            planned += 1;
            kinds.extend(plan.steps.iter().map(|s| s.action.kind()));
        }
    }
    assert!(planned >= 75, "{planned} of 300");
    assert!(kinds.len() >= 14, "{kinds:?}");
}
