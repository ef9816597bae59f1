//! Random clusters of 1 to 32 servers: well, with something odd about one of them, and with a life behind them.

use proptest::prelude::*;
use quorate_model::Wish;
use quorate_model::observation::cluster::Pmxcfs;
use quorate_model::spec::ClusterFile;

use crate::testkit::{Servers, VOTE, name, parse, unseen};

/// What is odd about a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Oddity {
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
pub(super) struct Case {
    pub(super) file: ClusterFile,
    pub(super) servers: Servers,
    pub(super) wish: Wish,
    pub(super) links: &'static [&'static str],
    pub(super) life: Life,
    pub(super) odd: Vec<Oddity>,
    pub(super) members: usize,
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
pub(super) struct Life {
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

pub(super) fn lives() -> impl Strategy<Value = Life> {
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

pub(super) const BOTH: &[&str] = &["10.10.10.0/24", "192.168.1.0/24"];

pub(super) fn cases(
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
pub(super) fn written(count: usize, links: &[&str], life: Life) -> ClusterFile {
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

pub(super) fn well() -> impl Strategy<Value = Case> {
    cases(Just(vec![]), Just(Life::default()))
}

pub(super) fn odd() -> impl Strategy<Value = Case> {
    cases(
        prop::collection::vec((0usize..32, 0usize..17), 0..4),
        Just(Life::default()),
    )
}

/// Whole lives, with now and then something odd.
pub(super) fn alive() -> impl Strategy<Value = Case> {
    let oddities = prop_oneof![
        3 => Just(vec![]),
        1 => prop::collection::vec((0usize..32, 0usize..17), 1..3),
    ];
    cases(oddities, lives())
}
