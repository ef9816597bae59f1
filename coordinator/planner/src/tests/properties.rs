//! What holds of every plan, over random clusters of 1 to 32 servers in random states.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use quorate_model::facet::Facet;
use quorate_model::operation::{Action, rules};
use quorate_model::plan::Plan;
use quorate_model::{Code, View, Wish};

mod cases;

use cases::{Case, Oddity, alive, odd, well};

use crate::checker::check;
use crate::testkit::{Servers, apply, name, parse};

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
                    let said = case.wish.remove.contains(removed) || case.wish.undo_join.contains(removed);
                    prop_assert!(said || (bare && *keep_folder));
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
