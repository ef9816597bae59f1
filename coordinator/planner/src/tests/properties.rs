//! What holds of every plan, over random clusters of 1 to 32 servers in random states.

use proptest::prelude::*;
use quorate_model::facet::Facet;
use quorate_model::observation::cluster::Pmxcfs;
use quorate_model::operation::Action;
use quorate_model::plan::Plan;
use quorate_model::spec::ClusterFile;
use quorate_model::{Code, View};

use crate::checker::check;
use crate::testkit::{Servers, apply, file, name, parse, unseen};

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
    links: &'static [&'static str],
    odd: Vec<Oddity>,
    members: usize,
}

/// What is needed to see why a case fails; whole views are longer than anybody reads.
impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} servers in the file, {} members, links {:?}, {:?}",
            self.file.nodes.len(),
            self.members,
            self.links,
            self.odd
        )
    }
}

fn cases(oddities: impl Strategy<Value = Vec<(usize, usize)>> + 'static) -> impl Strategy<Value = Case> {
    let links = prop_oneof![
        Just(&[] as &'static [&'static str]),
        Just(&["10.10.10.0/24"] as &'static [&'static str]),
        Just(&["10.10.10.0/24", "192.168.1.0/24"] as &'static [&'static str]),
    ];
    (1usize..=32, 0usize..=34, 0usize..=2, links, oddities).prop_map(|(count, members, extra, links, oddities)| {
        // Some members may lie outside of the file.
        let members = members.min(count + extra);
        let servers_there = count.max(members);
        let nodes: Vec<String> = (1..=servers_there).map(|n| format!("prox{n}")).collect();
        let mut servers = Servers::bare(servers_there);
        if members > 0 {
            let inside: Vec<&str> = nodes.iter().take(members).map(String::as_str).collect();
            servers = servers.members("hk1", &inside, links);
        }
        let mut odd = vec![Oddity::Nothing; servers_there];
        for (at, what) in oddities {
            let (at, what) = (at % servers_there, Oddity::ALL[what % Oddity::ALL.len()]);
            if odd[at] == Oddity::Nothing {
                odd[at] = what;
                servers = what.befall(servers, &nodes[at], at < members);
            }
        }
        Case {
            file: file(count, links),
            servers,
            links,
            odd,
            members,
        }
    })
}

fn well() -> impl Strategy<Value = Case> {
    cases(Just(vec![]))
}

fn odd() -> impl Strategy<Value = Case> {
    cases(prop::collection::vec((0usize..32, 0usize..17), 0..4))
}

fn bytes(plan: &Plan) -> Vec<u8> {
    serde_json::to_vec(plan).unwrap()
}

/// Does everything that the plan says, as it should come out.
fn carried_out(case: &Case, plan: &Plan) -> View {
    let mut view = case.servers.view.clone();
    for step in &plan.steps {
        apply(&mut view, step, case.links);
    }
    view
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn healthy_servers_get_a_sound_plan_that_leaves_nothing_to_do(case in well()) {
        let plan = crate::plan(&case.file, &case.servers.view);
        prop_assert_eq!(check(&case.file, &case.servers.view, &plan), vec![]);
        prop_assert!(!plan.refused(), "{:#?}", plan.findings);
        prop_assert_eq!(plan.steps.len(), case.file.nodes.len().saturating_sub(case.members));

        let after = crate::plan(&case.file, &carried_out(&case, &plan));
        prop_assert!(after.is_empty() && !after.refused(), "{:#?}", after);

        // One creation where there is no cluster, then strictly one join after another.
        for (index, step) in plan.steps.iter().enumerate() {
            let creates = matches!(step.action, Action::CreateCluster { .. });
            prop_assert_eq!(creates, index == 0 && case.members == 0);
            let before: Vec<_> = index.checked_sub(1).map(|i| plan.steps[i].id.clone()).into_iter().collect();
            prop_assert_eq!(&step.needs, &before);
        }
    }

    #[test]
    fn odd_servers_get_a_sound_plan_or_a_refusal(case in odd()) {
        let plan = crate::plan(&case.file, &case.servers.view);
        prop_assert_eq!(check(&case.file, &case.servers.view, &plan), vec![]);
        for finding in &plan.findings {
            prop_assert!(!finding.message.is_empty());
            prop_assert!(!finding.refuses() || !finding.next.is_empty(), "a refusal says what to do: {finding}");
        }
        if !plan.refused() {
            let after = crate::plan(&case.file, &carried_out(&case, &plan));
            prop_assert!(after.is_empty(), "{:#?}", after);
        }
    }

    #[test]
    fn unknown_is_never_taken_for_absent(case in odd()) {
        let plan = crate::plan(&case.file, &case.servers.view);
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
    fn identical_input_gives_an_identical_plan(case in odd()) {
        let first = bytes(&crate::plan(&case.file, &case.servers.view));
        prop_assert_eq!(&first, &bytes(&crate::plan(&case.file.clone(), &case.servers.view.clone())));
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
        prop_assert_eq!(first, bytes(&crate::plan(&case.file, &view)));
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
        crate::plan(&forwards, &servers.view),
        crate::plan(&backwards, &servers.view),
    );
    assert!(a.same_steps(&b));
    let codes = |p: &Plan| p.findings.iter().map(|f| f.code).collect::<Vec<Code>>();
    assert_eq!(codes(&a), codes(&b));
}
