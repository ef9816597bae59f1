//! What is asked about drills: to end one, to watch one, and how they were.

use quorate_model::drill::trend::TrendRow;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::finding::Finding;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_proto::v1;
use tokio::sync::broadcast;

use super::look::unreadable;
use super::seal::{self, Signature};
use super::stage::Stage;
use super::state::Folder;
use super::told::{self, Said};
use super::{Drills, Driven};
use crate::audit::{Act, By, What};
use crate::incoming::Who;

/// A drill to be watched: what was told, and what will be; `None`: nothing will.
#[derive(Debug)]
pub(crate) struct Watching {
    pub(crate) number: u64,
    pub(crate) said: Vec<Said>,
    pub(crate) live: Option<broadcast::Receiver<Said>>,
}

/// How drills were.
#[derive(Debug)]
pub(crate) struct Listed {
    /// Those whose records can be read, from the oldest to the newest.
    pub(crate) rows: Vec<TrendRow>,
    /// What is not as it was written.
    pub(crate) findings: Vec<Finding>,
    /// The numbers of those that nobody signed; empty: there are none.
    pub(crate) unsigned: String,
    /// Which one runs.
    pub(crate) running: Option<u64>,
}

impl Drills {
    /// Ends the fault at once, and then the drill. Says what was met.
    pub(crate) async fn abort(&self, cluster: &ClusterName, by: &Who) -> Result<v1::AbortDrillReply, Failure> {
        let driven = self.running().get(cluster).map(|driven| {
            let at = driven.told.listen().0.last().map(|said| said.stage);
            (
                driven.number,
                driven.victim.clone(),
                driven.fault.clone(),
                driven.abort.clone(),
                at,
            )
        });
        // Whoever carries it out hears of it before anything else is waited for.
        if let Some((.., abort, _)) = &driven {
            abort.send_modify(|word| word.again(&by.name));
        }
        let number = driven.as_ref().map_or(0, |(number, ..)| *number);
        let act = Act::new(By::caller(by), What::AbortDrill { number }).in_cluster(cluster);
        // What is broken is mended, whether it can be written down or not.
        self.audit.mention(act).await;
        let nodes: Vec<NodeName> = match &driven {
            Some((_, victim, ..)) => vec![victim.clone()],
            None => self.looker.nodes(cluster).into_iter().map(|name| name.node).collect(),
        };
        let (fault, stage) = match &driven {
            Some((_, _, fault, _, at)) => (Some(fault.clone()), at.map_or("begun", Stage::as_str)),
            None => (None, "no drill is under way here"),
        };
        let agents = self.looker.rollouts.agents_of(cluster, nodes.iter().cloned().collect());
        let mut said = Vec::new();
        for node in nodes {
            match agents.heal(&node, fault.as_ref(), false).await {
                Ok(met) if met.is_empty() => said.push(format!("{node}: nothing there")),
                Ok(met) => {
                    for one in met {
                        said.push(format!("{node}: {}", one.phase));
                        said.extend(one.said.into_iter().map(|line| format!("{node}: {line}")));
                    }
                }
                Err(error) => said.push(format!(
                    "{node}: not reached ({error}): what a timer ends is over in its time; on its console, as root: quorate-agent heal"
                )),
            }
        }
        Ok(v1::AbortDrillReply {
            number,
            stage: stage.to_owned(),
            said,
        })
    }

    /// Watches a drill; 0: the one that runs, or the last.
    pub(crate) fn watch(&self, cluster: &ClusterName, number: u64) -> Result<Watching, Failure> {
        let of_it = |driven: &&Driven| number == 0 || driven.number == number;
        if let Some(driven) = self.running().get(cluster).filter(of_it) {
            let (said, live) = driven.told.listen();
            return Ok(Watching {
                number: driven.number,
                said,
                live: Some(live),
            });
        }
        let (number, _) = self.text(cluster, number)?;
        let folder = Folder::of(&self.looker.dir, cluster);
        Ok(Watching {
            number,
            said: told::read(&folder.one(number).join("told.jsonl")),
            live: None,
        })
    }

    /// All records in rows, from the oldest to the newest, what there is to say of them, and which drill runs.
    pub(crate) fn listed(&self, cluster: &ClusterName) -> Listed {
        let all = Folder::of(&self.looker.dir, cluster).each();
        let ended = seal::ended(&self.audit, cluster);
        let findings = seal::amiss(cluster, &all, &self.looker.seal.known(&self.audit), ended.as_ref());
        let read = || all.iter().filter_map(|(_, read)| read.as_ref().ok());
        let unsigned: Vec<u64> = read().filter(|one| !one.is_signed()).map(|one| one.number).collect();
        Listed {
            rows: read().map(TrendRow::from).collect(),
            findings,
            unsigned: seal::numbers(&unsigned),
            running: self.running().get(cluster).map(|driven| driven.number),
        }
    }

    /// A record as it is kept; 0: the last.
    pub(crate) fn text(&self, cluster: &ClusterName, number: u64) -> Result<(u64, String), Failure> {
        let folder = Folder::of(&self.looker.dir, cluster);
        let none = |what: String| Failure::new(ExitCode::NotFound, what).hint("quorate drill list");
        let number = match number {
            0 => {
                folder
                    .last()
                    .map_err(|error| unreadable(&error))?
                    .ok_or_else(|| none(format!("no drill was ever run in {cluster}")))?
                    .number
            }
            number => number,
        };
        // One that was altered is not shown as if it were not.
        let record = folder.record(number).map_err(|error| unreadable(&error))?;
        let text = folder.text(number).map_err(|error| unreadable(&error))?;
        if let Some(record) = &record
            && let Signature::Bad(why) = self.looker.seal.known(&self.audit).look(record)
        {
            let message = format!("the record of drill {number} is not one of this fleet's coordinator: {why}");
            let path = folder.one(number).join("record.json");
            return Err(Failure::new(ExitCode::Failed, message).hint(format!("it lies at {}", path.display())));
        }
        match (record, text) {
            (Some(_), Some(text)) => Ok((number, text)),
            _ => Err(none(format!("there is no record of drill {number} of {cluster}"))),
        }
    }
}
