//! What speaks for and against a server's being off. Pure: what was asked and answered comes from elsewhere.
//!
//! Silence is worth something only where somebody else is heard: a network on which nobody answers may be one that this server itself is
//! cut off from. A sign of life is worth more than everything else, and nobody can override it.

use std::net::IpAddr;

use crate::finding::{Code, Finding};
use serde::{Deserialize, Serialize};

/// What one look says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// It lives.
    Alive,
    /// It was asked, and nothing came back.
    Silent,
    /// It could not be asked, or the answer says nothing.
    Unproven,
}

/// One look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// What was looked at.
    pub about: String,
    /// What it comes to.
    pub sign: Sign,
    /// What was seen.
    pub said: String,
}

impl Trace {
    /// Of one look.
    #[must_use]
    pub fn new(about: impl Into<String>, sign: Sign, said: impl Into<String>) -> Self {
        Self {
            about: about.into(),
            sign,
            said: said.into(),
        }
    }
}

/// Whether anybody else answers on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Witness {
    /// This one does: this server is on that network.
    Heard(String),
    /// These were asked, and none does.
    Silent(Vec<String>),
    /// There is nobody to ask.
    Nobody,
}

/// One of the lost server's addresses, and what was tried there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// Such as `link 0`.
    pub name: String,
    /// The address.
    pub address: IpAddr,
    /// What was tried.
    pub traces: Vec<Trace>,
    /// Whether anybody else answers there.
    pub witness: Witness,
}

impl Way {
    /// Does the silence on this network prove that the server is not on it?
    #[must_use]
    pub fn proves(&self) -> bool {
        let silent = self.traces.iter().any(|trace| trace.sign == Sign::Silent);
        let alive = self.traces.iter().any(|trace| trace.sign == Sign::Alive);
        silent && !alive && matches!(self.witness, Witness::Heard(_))
    }

    fn why_not(&self) -> String {
        match &self.witness {
            Witness::Heard(_) => "it could not be asked there".to_owned(),
            Witness::Silent(asked) => format!(
                "{} do not answer either: it may be this server that is cut off",
                asked.join(", ")
            ),
            Witness::Nobody => {
                "nobody else is there to be asked: a cable of this server that is out would look the same".to_owned()
            }
        }
    }
}

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// By the cluster's own word: corosync's membership and links, what the server publishes.
    pub cluster: Vec<Trace>,
    /// On each network on which it has an address.
    pub ways: Vec<Way>,
}

/// What it comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It lives, by these.
    Alive(Vec<Trace>),
    /// Nothing was heard, and on so many networks that proves something.
    Down(usize),
    /// Nothing was heard, and nothing proves that it is off: why.
    Unproven(Vec<String>),
}

impl Evidence {
    fn traces(&self) -> impl Iterator<Item = Trace> {
        let of_ways = self.ways.iter().flat_map(|way| {
            way.traces.iter().map(|trace| Trace {
                about: format!("{} at {} ({})", trace.about, way.address, way.name),
                ..trace.clone()
            })
        });
        self.cluster.iter().cloned().chain(of_ways)
    }

    /// What it comes to.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let alive: Vec<Trace> = self.traces().filter(|trace| trace.sign == Sign::Alive).collect();
        if !alive.is_empty() {
            return Verdict::Alive(alive);
        }
        let corosync = self.cluster.iter().any(|trace| trace.sign == Sign::Silent);
        let proven = self.ways.iter().filter(|way| way.proves()).count();
        if corosync && proven > 0 {
            return Verdict::Down(proven);
        }
        let mut why: Vec<String> = self
            .ways
            .iter()
            .filter(|way| !way.proves())
            .map(|way| format!("{}: {}", way.name, way.why_not()))
            .collect();
        if !corosync {
            why.push("corosync could not be asked".to_owned());
        }
        if self.ways.is_empty() {
            why.push("none of its addresses is known".to_owned());
        }
        Verdict::Unproven(why)
    }

    /// What stands against a recovery. `seen_off`: somebody says to have seen with their own eyes that it has no power.
    #[must_use]
    pub fn against(&self, lost: &str, seen_off: bool) -> Option<Finding> {
        match self.verdict() {
            Verdict::Alive(signs) => {
                let signs: Vec<String> = signs
                    .iter()
                    .map(|trace| format!("{}: {}", trace.about, trace.said))
                    .collect();
                Some(Finding::new(
                    Code::LostNodeAlive,
                    lost,
                    format!("{lost} shows signs of life ({})", signs.join("; ")),
                    format!(
                        "switch {lost} off by its power button or its BMC, or move its guests while it runs; then ask again"
                    ),
                ))
            }
            Verdict::Unproven(why) if !seen_off => Some(Finding::new(
                Code::LostNodeUnproven,
                lost,
                format!(
                    "nothing is heard of {lost}, and nothing proves that it is off ({})",
                    why.join("; ")
                ),
                format!("go and look; if {lost} has no power, say so by --seen-off, and pull its power cables first"),
            )),
            Verdict::Unproven(_) | Verdict::Down(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(sign: Sign, witness: Witness) -> Way {
        Way {
            name: "link 0".to_owned(),
            address: "10.10.10.1".parse().unwrap(),
            traces: vec![Trace::new("ping", sign, "said")],
            witness,
        }
    }

    fn heard() -> Witness {
        Witness::Heard("192.168.1.1, the gateway".to_owned())
    }

    fn corosync(sign: Sign) -> Trace {
        Trace::new("corosync's membership", sign, "said")
    }

    fn evidence(cluster: Sign, ways: Vec<Way>) -> Evidence {
        Evidence {
            cluster: vec![corosync(cluster)],
            ways,
        }
    }

    fn code(evidence: &Evidence, seen_off: bool) -> Option<Code> {
        evidence.against("prox1", seen_off).map(|finding| finding.code)
    }

    #[test]
    fn one_network_on_which_others_are_heard_is_a_proof() {
        let down = evidence(
            Sign::Silent,
            vec![way(Sign::Silent, Witness::Nobody), way(Sign::Silent, heard())],
        );
        assert_eq!(down.verdict(), Verdict::Down(1));
        assert_eq!(code(&down, false), None);
    }

    #[test]
    fn any_sign_of_life_refuses_and_nobody_overrides_it() {
        let alive = [
            evidence(Sign::Alive, vec![way(Sign::Silent, heard())]),
            evidence(
                Sign::Silent,
                vec![way(Sign::Silent, heard()), way(Sign::Alive, heard())],
            ),
            evidence(Sign::Unproven, vec![way(Sign::Alive, Witness::Nobody)]),
        ];
        for evidence in alive {
            assert_eq!(code(&evidence, false), Some(Code::LostNodeAlive));
            assert_eq!(code(&evidence, true), Some(Code::LostNodeAlive));
        }
        assert!(!Code::LostNodeAlive.entry().overridable);
    }

    #[test]
    fn silence_where_nobody_is_heard_proves_nothing() {
        let cut = Witness::Silent(vec!["prox3".to_owned(), "the gateway".to_owned()]);
        let unproven = [
            evidence(Sign::Silent, vec![way(Sign::Silent, Witness::Nobody)]),
            evidence(Sign::Silent, vec![way(Sign::Silent, cut)]),
            evidence(Sign::Silent, vec![way(Sign::Unproven, heard())]),
            evidence(Sign::Unproven, vec![way(Sign::Silent, heard())]),
            evidence(Sign::Silent, vec![]),
        ];
        for evidence in unproven {
            assert_eq!(code(&evidence, false), Some(Code::LostNodeUnproven), "{evidence:?}");
            assert_eq!(code(&evidence, true), None, "somebody has seen it");
        }
        let told = evidence(Sign::Silent, vec![way(Sign::Silent, Witness::Nobody)]);
        let told = told.against("prox1", false).unwrap().message;
        assert!(told.contains("link 0: nobody else is there to be asked"), "{told}");
    }
}
