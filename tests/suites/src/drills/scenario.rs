//! What a seed says: which servers, which fault, and who is killed when. Pure: printed, it is the whole story before it happens.

use std::fmt;

use super::dice::Dice;

/// So many seeds in a row share one lab: making a cluster is the costly part.
pub const PER_LAB: u64 = 5;

/// The canary that is failed.
pub const GUEST: u32 = 900;

/// By so many milliseconds each server's clock may be off the coordinator's: two of them are up to ten minutes apart.
const SKEW_MOST: u64 = 300_000;

/// What the fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breaks {
    /// All physical ports.
    Network,
    /// Only corosync's packets.
    ClusterNetwork,
    /// One corosync link.
    Link(u8),
    /// The kernel resets the server.
    PowerReset,
    /// The server goes off, and somebody switches it on.
    PowerOff,
    /// It shuts down, and somebody switches it on.
    PowerShutdown,
    /// Corosync is stopped.
    Corosync,
    /// pmxcfs is stopped.
    Pmxcfs,
    /// HA's local manager is stopped.
    Lrm,
    /// The guest's process is killed.
    Guest,
    /// A disk of the pool is taken offline.
    Disk,
}

impl Breaks {
    const ALL: [Self; 11] = [
        Self::Network,
        Self::Guest,
        Self::Corosync,
        Self::ClusterNetwork,
        Self::PowerReset,
        Self::Link(1),
        Self::Pmxcfs,
        Self::PowerOff,
        Self::Lrm,
        Self::Disk,
        Self::PowerShutdown,
    ];

    /// Does somebody have to switch the server on again?
    #[must_use]
    pub fn needs_a_person(self) -> bool {
        matches!(self, Self::PowerOff | Self::PowerShutdown)
    }

    /// Is it done in an instant?
    fn is_instant(self) -> bool {
        self.needs_a_person() || self == Self::PowerReset
    }

    /// May a short one cause nothing, and a long one a failover?
    fn is_blip_or_failover(self) -> bool {
        matches!(
            self,
            Self::Network | Self::ClusterNetwork | Self::Link(_) | Self::Corosync | Self::Pmxcfs
        )
    }

    /// Does the server leave the cluster by it, so that its guests are started elsewhere?
    #[must_use]
    pub fn isolates(self) -> bool {
        !matches!(self, Self::Link(_) | Self::Lrm | Self::Guest | Self::Disk)
    }
}

impl fmt::Display for Breaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self::Network => "network",
            Self::ClusterNetwork => "cluster-network",
            Self::Link(link) => return f.pad(&format!("link:{link}")),
            Self::PowerReset => "power:reset",
            Self::PowerOff => "power:off",
            Self::PowerShutdown => "power:shutdown",
            Self::Corosync => "corosync",
            Self::Pmxcfs => "pmxcfs",
            Self::Lrm => "lrm",
            Self::Guest => "guest",
            Self::Disk => "disk",
        };
        f.pad(word)
    }
}

/// The lab of some seeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Its number: that of its first seed by [`PER_LAB`].
    pub number: u64,
    /// How far each server's clock is off, in milliseconds; as many servers as there are clocks.
    pub skews: Vec<i64>,
    /// How long each takes to boot, in simulated seconds.
    pub boots: Vec<u32>,
}

impl Shape {
    /// The lab of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let number = seed / PER_LAB;
        let mut dice = Dice::new(number, 1);
        // Each number of servers comes soon.
        let nodes = 3 + number % 5;
        let off = |dice: &mut Dice, most: u64| {
            let off = i64::try_from(dice.between(0, 2 * most)).unwrap_or(0);
            off - i64::try_from(most).unwrap_or(0)
        };
        let apart = if dice.percent(70) { SKEW_MOST } else { 0 };
        // A quick server is back before its lock has run out, and keeps its guests.
        let quick = dice.percent(20);
        let (least, most) = if quick { (20, 40) } else { (130, 240) };
        Self {
            number,
            skews: (0..nodes).map(|_| off(&mut dice, apart)).collect(),
            boots: (0..nodes)
                .map(|_| u32::try_from(dice.between(least, most)).unwrap_or(120))
                .collect(),
        }
    }

    /// The servers' names.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        (1..=self.skews.len()).map(|number| format!("prox{number}")).collect()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let skews: Vec<String> = self.skews.iter().map(|ms| format!("{:+.1}", seconds(*ms))).collect();
        let boots: Vec<String> = self.boots.iter().map(ToString::to_string).collect();
        write!(
            f,
            "{} servers, clocks off by {} s, boots of {} s",
            self.skews.len(),
            skews.join(" "),
            boots.join(" ")
        )
    }
}

fn seconds(ms: i64) -> f64 {
    let ms = i32::try_from(ms).unwrap_or(i32::MAX);
    f64::from(ms) / 1000.0
}

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// The coordinator.
    Coordinator,
    /// The victim's agent.
    Victim,
    /// The agent of the so-manieth of the others.
    Another(usize),
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coordinator => f.write_str("the coordinator"),
            Self::Victim => f.write_str("the victim's agent"),
            Self::Another(number) => write!(f, "the agent of other server {number}"),
        }
    }
}

/// A kill -9, and the start again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kill {
    /// Who.
    pub whom: Whom,
    /// In which stage, as the drill tells it.
    pub stage: &'static str,
    /// So many simulated milliseconds after the stage was first told of.
    pub after_ms: u64,
    /// For how many simulated milliseconds it is away.
    pub away_ms: u64,
}

/// A tool that takes longer than usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slow {
    /// On the victim, or on all others.
    pub on_victim: bool,
    /// Which.
    pub tool: &'static str,
    /// By how many simulated milliseconds.
    pub ms: u64,
}

/// Where a coordinator or an agent may be killed: as the drill's course is told.
const STAGES: [&str; 5] = [
    "listening",
    "making the fault",
    "observing",
    "observing",
    "returning to normal",
];

/// Tools that agents ask while a drill goes on.
const TOOLS: [&str; 9] = [
    "corosync-quorumtool",
    "corosync-cfgtool",
    "ha-manager",
    "journalctl",
    "nft",
    "pvesh",
    "pvesr",
    "qm",
    "systemctl",
];

/// One drill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// The seed that says it.
    pub seed: u64,
    /// The lab.
    pub shape: Shape,
    /// What is broken.
    pub breaks: Breaks,
    /// It must cause nothing.
    pub blip: bool,
    /// How long it lasts, in seconds; `None`: it is done in an instant.
    pub lasts: Option<u64>,
    /// On HA's master.
    pub master: bool,
    /// Which of those that may be the victim.
    pub place: usize,
    /// When somebody switches the server on again, in simulated seconds after it went off.
    pub switched_on: u64,
    /// Who is killed.
    pub kills: Vec<Kill>,
    /// What is slow.
    pub slow: Vec<Slow>,
}

impl Scenario {
    /// What a seed says.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let shape = Shape::of(seed);
        let mut dice = Dice::new(seed, 2);
        let kinds = u64::try_from(Breaks::ALL.len()).unwrap_or(1);
        let kind = usize::try_from(seed % kinds).unwrap_or(0);
        let breaks = match Breaks::ALL.get(kind).copied().unwrap_or(Breaks::Network) {
            Breaks::Link(_) => Breaks::Link(dice.one(&[0, 1])),
            other => other,
        };
        let blip = match breaks {
            Breaks::Link(_) => dice.percent(60),
            _ => breaks.is_blip_or_failover() && dice.percent(25),
        };
        let lasts = match breaks {
            _ if breaks.is_instant() => None,
            _ if breaks.is_blip_or_failover() && blip => Some(dice.between(2, 20)),
            _ if breaks.is_blip_or_failover() => Some(dice.between(180, 400)),
            Breaks::Guest => Some(dice.between(180, 300)),
            _ => Some(dice.between(180, 240)),
        };
        let undisturbed = dice.percent(40);
        let others = shape.skews.len() - 1;
        let mut kills: Vec<Kill> = Vec::new();
        let mut slow = Vec::new();
        if !undisturbed {
            for _ in 0..dice.between(0, 2) {
                let whom = match dice.between(0, 3) {
                    0 | 1 => Whom::Coordinator,
                    2 => Whom::Victim,
                    _ => Whom::Another(
                        usize::try_from(dice.between(0, u64::try_from(others - 1).unwrap_or(0))).unwrap_or(0),
                    ),
                };
                kills.push(Kill {
                    whom,
                    stage: dice.one(&STAGES),
                    after_ms: dice.between(0, 60_000),
                    away_ms: dice.between(0, 60_000),
                });
            }
            kills.sort_by_key(|kill| (STAGES.iter().position(|stage| *stage == kill.stage), kill.after_ms));
            for _ in 0..dice.between(u64::from(kills.is_empty()), 2) {
                slow.push(Slow {
                    on_victim: dice.percent(50),
                    tool: dice.one(&TOOLS),
                    ms: dice.between(100, 2500),
                });
            }
        }
        Self {
            seed,
            breaks,
            blip,
            lasts,
            master: dice.percent(40),
            place: usize::try_from(dice.between(0, 6)).unwrap_or(0),
            switched_on: dice.between(150, 300),
            kills,
            slow,
            shape,
        }
    }

    /// Was anything done that may keep the drill from seeing everything?
    #[must_use]
    pub fn is_disturbed(&self) -> bool {
        !self.kills.is_empty() || !self.slow.is_empty()
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.blip { "blip" } else { "failover" };
        let lasts = self
            .lasts
            .map(|seconds| format!(" for {seconds} s"))
            .unwrap_or_default();
        let role = if self.master { "HA's master" } else { "not HA's master" };
        write!(f, "seed {}: {} ({kind}{lasts}) on {role}", self.seed, self.breaks)?;
        for slow in &self.slow {
            let place = if slow.on_victim { "the victim" } else { "the others" };
            write!(f, "; {} takes {} ms longer on {place}", slow.tool, slow.ms)?;
        }
        for kill in &self.kills {
            write!(
                f,
                "; {} is killed {} ms into `{}`, for {} ms",
                kill.whom, kill.after_ms, kill.stage, kill.away_ms
            )?;
        }
        write!(f, "; {}", self.shape)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn twenty_seeds_have_every_fault_and_two_hundred_have_everything() {
        let twenty: BTreeSet<String> = (0..20).map(|seed| Scenario::of(seed).breaks.to_string()).collect();
        assert!(twenty.len() >= Breaks::ALL.len(), "{twenty:?}");
        let all: Vec<Scenario> = (0..200).map(Scenario::of).collect();
        let nodes: BTreeSet<usize> = all.iter().map(|one| one.shape.skews.len()).collect();
        assert_eq!(nodes, (3..=7).collect());
        let some = |what: &str, has: fn(&Scenario) -> bool| {
            let count = all.iter().filter(|one| has(one)).count();
            assert!(count >= 10, "{what}: {count} of 200");
        };
        some("master", |one| one.master && one.breaks.isolates() && !one.blip);
        some("not master", |one| !one.master && one.breaks.isolates() && !one.blip);
        some("blips", |one| one.blip);
        some("undisturbed", |one| !one.is_disturbed());
        some("slow tools", |one| !one.slow.is_empty());
        some("coordinator killed", |one| {
            one.kills.iter().any(|kill| kill.whom == Whom::Coordinator)
        });
        some("victim's agent killed", |one| {
            one.kills.iter().any(|kill| kill.whom == Whom::Victim)
        });
        some("another's agent killed", |one| {
            one.kills.iter().any(|kill| matches!(kill.whom, Whom::Another(_)))
        });
        some("clocks off", |one| one.shape.skews.iter().any(|ms| ms.abs() > 100_000));
        some("clocks minutes apart", |one| {
            let (least, most) = (one.shape.skews.iter().min(), one.shape.skews.iter().max());
            most.zip(least).is_some_and(|(most, least)| most - least > 240_000)
        });
        some("clocks that are right", |one| one.shape.skews.iter().all(|ms| *ms == 0));
        some("quick boots", |one| {
            one.shape.boots.iter().all(|seconds| *seconds <= 40)
        });
    }

    #[test]
    fn a_fault_lasts_as_long_as_a_drill_lets_it() {
        for one in (0..400).map(Scenario::of) {
            let fits = match (one.breaks.is_instant(), one.blip) {
                (true, _) => one.lasts.is_none(),
                (false, true) => one.lasts.is_some_and(|seconds| (1..=20).contains(&seconds)),
                (false, false) => one.lasts.is_some_and(|seconds| (180..=600).contains(&seconds)),
            };
            assert!(fits, "{one}");
            assert!(one.shape.skews.iter().all(|ms| ms.abs() <= 300_000), "{one}");
        }
    }

    #[test]
    fn it_is_printed_whole() {
        let one = Scenario::of(11);
        assert_eq!(one, Scenario::of(11));
        let text = one.to_string();
        assert!(text.contains("seed 11: network") && text.contains("servers"), "{text}");
        assert_eq!(Shape::of(10), Shape::of(14));
        assert_ne!(Shape::of(10), Shape::of(15));
    }
}
