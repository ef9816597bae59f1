//! Which disks of a server a selector means. The same disks in any order give the same choice; a disk that anything speaks against is
//! never among them.

use std::collections::BTreeMap;

use quorate_model::observation::disks::{Disk, Disks};
use quorate_model::observation::eligibility::{Reason, ReasonKind, Role};
use quorate_model::spec::{DiskName, Pick, Selector};

/// The disks that are meant, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice<'d> {
    /// In the order in which they are used.
    pub chosen: Vec<Chosen<'d>>,
    /// The others of the server, each with why not.
    pub passed_over: Vec<PassedOver<'d>>,
}

/// A disk that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen<'d> {
    /// The disk.
    pub disk: &'d str,
    /// Its stable name.
    pub name: &'d str,
    /// Why this one.
    pub why: String,
}

/// A disk that is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver<'d> {
    /// The disk.
    pub disk: &'d str,
    /// Why not.
    pub why: String,
}

/// What is meant is not all there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotEnough {
    /// So many fit, and so many were asked for.
    TooFew {
        /// What fits.
        found: usize,
        /// What was asked for.
        wanted: usize,
    },
    /// A disk that was named is not there, or there are several of that name.
    NotThere {
        /// As written.
        name: String,
        /// How many there are.
        found: usize,
    },
    /// A disk that was named may not be used.
    NotFree {
        /// As written.
        name: String,
        /// All that speaks against it, in words that follow its name.
        against: Vec<String>,
    },
}

/// What may be overlooked in a disk. That somebody uses it never is.
pub struct Allowed<'a> {
    undecided: bool,
    wiping: &'a dyn Fn(&str) -> bool,
}

impl std::fmt::Debug for Allowed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Allowed")
            .field("undecided", &self.undecided)
            .finish_non_exhaustive()
    }
}

impl<'a> Allowed<'a> {
    /// Nothing.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            undecided: false,
            wiping: &|_| false,
        }
    }

    /// What is left on disks with these stable names: it goes.
    #[must_use]
    pub fn wiping(of: &'a dyn Fn(&str) -> bool) -> Self {
        Self {
            undecided: false,
            wiping: of,
        }
    }

    /// All that may be overlooked at all, in each disk; whoever chooses has to ask the operator for it.
    #[must_use]
    pub fn whatever_may_be() -> Self {
        Self {
            undecided: true,
            wiping: &|_| true,
        }
    }
}

/// Is something left on a disk that speaks against its use, and could it be wiped?
#[must_use]
pub fn wipeable(disk: &Disk, role: Role) -> bool {
    let verdict = disk.verdicts.iter().find(|verdict| verdict.role == role);
    let left = verdict.is_some_and(|verdict| verdict.against.iter().any(|reason| reason.kind.goes_by_wiping()));
    left && disk.against_wiping().is_empty()
}

/// Disks that are spoken for: by stable name, each with words that follow it and say by whom.
pub type Taken = BTreeMap<String, String>;

/// Chooses among a server's disks, of which some may be spoken for already.
///
/// # Errors
/// Everything that is missing.
pub fn choose<'d>(
    pick: &Pick,
    role: Role,
    disks: &'d Disks,
    taken: &Taken,
    allowed: &Allowed<'_>,
) -> Result<Choice<'d>, Vec<NotEnough>> {
    let seen: Vec<Seen<'d>> = disks
        .disks
        .iter()
        .map(|disk| Seen::of(disk, role, taken, allowed))
        .collect();
    match pick {
        Pick::Named(names) => named(names.iter().map(|name| &name.value), &seen),
        Pick::Matching(selector) => matching(selector, seen),
    }
}

/// A disk with what speaks against it.
struct Seen<'d> {
    disk: &'d Disk,
    against: Vec<Reason>,
    /// For what it is spoken for.
    taken: Option<String>,
}

impl<'d> Seen<'d> {
    fn of(disk: &'d Disk, role: Role, taken: &Taken, allowed: &Allowed<'_>) -> Self {
        let verdict = disk.verdicts.iter().find(|verdict| verdict.role == role);
        let against = match verdict {
            Some(verdict) => verdict.against.clone(),
            // Nobody judged it: it is not free for that.
            None => vec![Reason {
                kind: ReasonKind::SignaturesUnseen,
                text: "nobody has judged it".to_owned(),
            }],
        };
        let wiped = wipeable(disk, role) && disk.stable_name().is_some_and(|name| (allowed.wiping)(name));
        let overlooked = |reason: &Reason| {
            let undecided = allowed.undecided && reason.kind.may_be_accepted();
            undecided || (wiped && reason.kind.goes_by_wiping())
        };
        Self {
            disk,
            against: against.into_iter().filter(|reason| !overlooked(reason)).collect(),
            taken: disk.stable_name().and_then(|name| taken.get(name)).cloned(),
        }
    }

    /// Nothing, where it may be used.
    fn why_not(&self) -> Vec<String> {
        match &self.taken {
            Some(taken) => vec![taken.clone()],
            None => self.against.iter().map(|reason| reason.text.clone()).collect(),
        }
    }
}

fn named<'n, 'd>(names: impl Iterator<Item = &'n DiskName>, seen: &[Seen<'d>]) -> Result<Choice<'d>, Vec<NotEnough>> {
    let (mut chosen, mut missing) = (Vec::<Chosen<'d>>::new(), Vec::new());
    let mut by_path: BTreeMap<&str, String> = BTreeMap::new();
    for name in names {
        let found: Vec<&Seen<'d>> = seen.iter().filter(|seen| name.means(seen.disk)).collect();
        let name = name.to_string();
        if let [one] = found[..]
            && let Some(other) = by_path.insert(&one.disk.path, name.clone())
        {
            let against = vec![format!("is the same disk as {other}, which is named beside it")];
            missing.push(NotEnough::NotFree { name, against });
            continue;
        }
        match found[..] {
            [one] if !one.why_not().is_empty() => missing.push(NotEnough::NotFree {
                name,
                against: one.why_not(),
            }),
            [one] => match one.disk.stable_name() {
                Some(stable) => chosen.push(Chosen {
                    disk: &one.disk.path,
                    name: stable,
                    why: "named in the cluster file".to_owned(),
                }),
                None => missing.push(NotEnough::NotThere { name, found: 0 }),
            },
            _ => missing.push(NotEnough::NotThere {
                name,
                found: found.len(),
            }),
        }
    }
    if !missing.is_empty() {
        return Err(missing);
    }
    let is_chosen = |seen: &&Seen<'d>| chosen.iter().any(|chosen| chosen.disk == seen.disk.path);
    let passed_over = seen
        .iter()
        .filter(|seen| !is_chosen(seen))
        .map(|seen| PassedOver {
            disk: &seen.disk.path,
            why: "is not named in the cluster file".to_owned(),
        })
        .collect();
    Ok(Choice { chosen, passed_over })
}

/// Of those that fit, the most alike are best for a pool: of all sizes of which there are enough, the smallest. So large disks stay
/// free for what needs them. Among equals, by stable name.
fn matching<'d>(selector: &Selector, seen: Vec<Seen<'d>>) -> Result<Choice<'d>, Vec<NotEnough>> {
    let (mut fitting, mut passed_over) = (Vec::<(&Disk, &str)>::new(), Vec::new());
    let names: Vec<&str> = seen.iter().filter_map(|seen| seen.disk.stable_name()).collect();
    for seen in seen {
        let why_not = || Some(seen.why_not().join("; ")).filter(|why| !why.is_empty());
        let why = selector.refuses(seen.disk).or_else(why_not);
        match (why, seen.disk.stable_name()) {
            (None, Some(name)) => fitting.push((seen.disk, name)),
            (why, _) => passed_over.push(PassedOver {
                disk: &seen.disk.path,
                why: why.unwrap_or_else(|| "can't be named safely".to_owned()),
            }),
        }
    }
    // Also where the other one would not fit: a name must not mean a disk that is in use.
    let twice = |name: &str| names.iter().filter(|other| **other == name).count() > 1;
    let (double, mut fitting): (Vec<_>, Vec<_>) = fitting.into_iter().partition(|(_, name)| twice(name));
    passed_over.extend(double.into_iter().map(|(disk, name)| PassedOver {
        disk: &disk.path,
        why: format!("another disk has the same name {name}"),
    }));
    fitting.sort_by_key(|(disk, name)| (disk.size, *name));
    let wanted = selector
        .count
        .as_ref()
        .map_or(fitting.len(), |count| usize::from(count.value));
    if fitting.len() < wanted || fitting.is_empty() {
        return Err(vec![NotEnough::TooFew {
            found: fitting.len(),
            wanted: wanted.max(1),
        }]);
    }
    let start = alike(&fitting, wanted);
    let why = match &selector.count {
        None => "fits, as all that fit are meant".to_owned(),
        Some(_) if fitting.len() == wanted => "fits".to_owned(),
        Some(_) => "fits, and is of the smallest size of which there are enough".to_owned(),
    };
    let mut chosen = Vec::new();
    for (index, (disk, name)) in fitting.into_iter().enumerate() {
        if (start..start + wanted).contains(&index) {
            chosen.push(Chosen {
                disk: &disk.path,
                name,
                why: why.clone(),
            });
        } else {
            passed_over.push(PassedOver {
                disk: &disk.path,
                why: format!("fits, and is not needed: {wanted} are enough"),
            });
        }
    }
    passed_over.sort_by(|a, b| a.disk.cmp(b.disk));
    Ok(Choice { chosen, passed_over })
}

/// Where, among disks sorted by size, so many begin that differ least: the first of equal ones.
fn alike(fitting: &[(&Disk, &str)], wanted: usize) -> usize {
    let spread = |start: &usize| {
        let size = |index: usize| fitting.get(index).map_or(0, |(disk, _)| disk.size.0);
        (size(start + wanted.saturating_sub(1)) - size(*start), *start)
    };
    let last = fitting.len().saturating_sub(wanted);
    (0..=last).min_by_key(spread).unwrap_or(0)
}
