//! What a drill's record says, as an operator gets it: `quorate drill show N -o json`.

use std::collections::BTreeMap;

use serde_json::Value;

/// A span of time in microseconds, with its error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// At least.
    pub least: i64,
    /// The most likely one.
    pub likely: i64,
    /// At most.
    pub most: i64,
}

/// A figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// So much.
    Span(Span),
    /// There was nothing to measure.
    Nothing,
    /// It is not known, and why.
    Unknown(String),
}

/// A phase: its two ends on the coordinator's clock, in microseconds since 1970, or why it is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Between these.
    Seen(i64, i64),
    /// Not known.
    Unknown(String),
}

/// What the record says that can be held against the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// How it ended before its end.
    pub aborted: Option<String>,
    /// How long clients were without the guest.
    pub outage: Said,
    /// From the fault to the first answer of the new owner.
    pub service: Said,
    /// Acknowledged writes that are gone; `Err`: not known, and why; `None`: the writer was never started anew.
    pub lost: Result<Option<u64>, String>,
    /// What more the isolated copy wrote, if that is known.
    pub isolated: Option<u64>,
    /// The last number that was acknowledged before, and the one that the run after it found.
    pub numbers: (Option<u64>, Option<u64>),
    /// By their names.
    pub phases: BTreeMap<String, Phase>,
    /// Phases that contradict one another.
    pub contradictions: Vec<String>,
    /// From one call of the first probe to the next, in microseconds.
    pub every: i64,
    /// In words, how it ended.
    pub outcome: String,
}

fn said(figure: &Value) -> Result<Said, String> {
    match figure["figure"].as_str() {
        Some("known") => {
            let part = |name: &str| {
                figure["span"][name]
                    .as_i64()
                    .ok_or_else(|| format!("no {name}: {figure}"))
            };
            Ok(Said::Span(Span {
                least: part("least")?,
                likely: part("likely")?,
                most: part("most")?,
            }))
        }
        Some("nothing") => Ok(Said::Nothing),
        Some("unknown") => Ok(Said::Unknown(figure["reason"].as_str().unwrap_or_default().to_owned())),
        _ => Err(format!("no figure: {figure}")),
    }
}

impl Record {
    /// Reads it.
    ///
    /// # Errors
    /// In words: what is not as it should be.
    pub fn read(value: &Value) -> Result<Self, String> {
        let (figures, tally) = (&value["figures"], &value["tally"]);
        let lost = &figures["lost"];
        let phases = value["line"]["phases"].as_array().ok_or("no phases")?;
        let phases = phases.iter().map(|phase| {
            let name = phase["phase"].as_str().ok_or("a phase without a name")?.to_owned();
            let at = &phase["at"];
            let seen = match (at["earliest"].as_i64(), at["latest"].as_i64()) {
                (Some(earliest), Some(latest)) => Phase::Seen(earliest, latest),
                _ => Phase::Unknown(phase["by"].as_str().unwrap_or_default().to_owned()),
            };
            Ok((name, seen))
        });
        let contradictions = value["line"]["contradictions"].as_array().into_iter().flatten();
        Ok(Self {
            aborted: value["aborted"].as_str().map(str::to_owned),
            outage: said(&figures["client_outage"])?,
            service: said(&figures["service"])?,
            lost: match lost["lost"].as_str() {
                Some("records") => Ok(lost["acknowledged"].as_u64()),
                Some("not_restarted") => Ok(None),
                Some("unknown") => Err(lost["reason"].as_str().unwrap_or_default().to_owned()),
                _ => return Err(format!("nothing of what was lost: {lost}")),
            },
            isolated: lost["isolated"].as_u64(),
            numbers: (tally["before"]["number"].as_u64(), tally["after"]["resumed"].as_u64()),
            phases: phases.collect::<Result<_, &str>>()?,
            contradictions: contradictions
                .filter_map(|text| text.as_str().map(str::to_owned))
                .collect(),
            every: value["probes"][0]["every_ms"]
                .as_i64()
                .unwrap_or(0)
                .saturating_mul(1000),
            outcome: value["verdict"]["outcome"].as_str().unwrap_or_default().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_are_known_nothing_or_unknown_with_a_reason() {
        let record = json!({
            "figures": {
                "client_outage": { "figure": "known", "span": { "least": 1, "likely": 2, "most": 3 }, "how": "" },
                "service": { "figure": "unknown", "reason": "nobody told it" },
                "lost": { "lost": "records", "acknowledged": 7, "isolated": null },
            },
            "tally": { "before": { "number": 10 }, "after": { "resumed": 3 } },
            "line": {
                "phases": [
                    { "phase": "fault", "at": { "best": 2, "earliest": 1, "latest": 3 }, "by": "prox1" },
                    { "phase": "link_lost", "at": null, "by": "nobody told it" },
                ],
                "contradictions": [],
            },
            "probes": [{ "every_ms": 10 }],
            "verdict": { "outcome": "passed" },
        });
        let read = Record::read(&record).unwrap();
        let span = Span {
            least: 1,
            likely: 2,
            most: 3,
        };
        assert_eq!(
            (&read.outage, &read.service),
            (&Said::Span(span), &Said::Unknown("nobody told it".to_owned()))
        );
        assert_eq!(
            (&read.lost, read.isolated, read.numbers),
            (&Ok(Some(7)), None, (Some(10), Some(3)))
        );
        assert_eq!(read.phases["fault"], Phase::Seen(1, 3));
        assert_eq!(read.phases["link_lost"], Phase::Unknown("nobody told it".to_owned()));
        assert_eq!(read.every, 10_000);
        assert!(Record::read(&json!({})).is_err());
    }
}
