//! `quorate probe --from`: nodes call, and what each of them sees is told apart.

use std::collections::BTreeMap;

use quorate_model::failure::ExitCode;
use quorate_proto::v1;
use quorate_proto::v1::probe_from_reply::Said;

use super::probe::Args;
use super::wire;
use super::{Answer, Context, Format, output};
use crate::probe::{Gathering, Measured, Strip, distant};

/// What one node told so far.
#[derive(Debug, Default)]
struct Heard {
    /// When it began, by its own clock, in microseconds since 1970, and whom it calls; `None`: it has not.
    began: Option<(i64, String)>,
    gathering: Gathering,
    /// Why it does not call, or not any more.
    failed: Option<String>,
}

impl Heard {
    /// Takes a message; `seen` is told of each call.
    fn take(&mut self, said: Option<Said>, mut seen: impl FnMut(u64, &crate::probe::Call)) {
        let more = match said {
            Some(Said::Calls(more)) => more,
            Some(Said::Failed(why)) => {
                self.failed = Some(why);
                return;
            }
            // Of a later version.
            None => return,
        };
        if let Some(began) = more.began {
            self.began = Some((began.unix_micros, more.address));
        }
        for call in more.calls {
            match distant::call(call) {
                Ok((number, ended)) => seen(number, &self.gathering.take(number, ended)),
                Err(why) => self.failed = Some(why),
            }
        }
    }

    /// What it came to; `None`: it never began.
    fn measured(self, node: &str, args: &Args) -> (Option<Measured>, Option<String>) {
        let Some((began, address)) = self.began else {
            let why = self.failed.unwrap_or_else(|| "it told nothing".to_owned());
            return (None, Some(why));
        };
        let mut shown = args.target.to_string();
        if !shown.contains(&address) {
            shown.push_str(&format!(" ({address})"));
        }
        let measured = Measured::of(shown, began / 1000, args.interval, &self.gathering.calls());
        let from = Some(node.to_owned());
        (Some(Measured { from, ..measured }), self.failed)
    }
}

pub(super) async fn run(context: &Context, args: &Args) -> Answer {
    let mut client = wire::connect(context).await?;
    let seconds = args.lasting.as_millis().div_ceil(1000);
    let request = v1::ProbeFromRequest {
        nodes: args.from.iter().map(ToString::to_string).collect(),
        target: args.target.to_string(),
        every_ms: u32::try_from(args.interval.as_millis()).unwrap_or(u32::MAX),
        seconds: u32::try_from(seconds).unwrap_or(u32::MAX),
    };
    let mut told = client.probe_from(request).await.map_err(wire::refused)?.into_inner();
    let mut heard: BTreeMap<String, Heard> = args
        .from
        .iter()
        .map(|node| (node.to_string(), Heard::default()))
        .collect();
    // Strips of several would run into one another.
    let live = heard.len() == 1 && context.format == Format::Table;
    let mut strip = Strip::default();
    loop {
        let next = tokio::select! {
            next = told.message() => next,
            // Where there are no signals, time ends it.
            Ok(()) = tokio::signal::ctrl_c() => break,
        };
        match next.map_err(wire::refused)? {
            Some(v1::ProbeFromReply { node, said }) => {
                let seen = |number: u64, call: &_| {
                    if live {
                        output::text(&strip.takes(number, call));
                    }
                };
                heard.entry(node).or_default().take(said, seen);
            }
            None => break,
        }
    }
    drop(told);
    let (mut measured, mut failed) = (BTreeMap::new(), BTreeMap::new());
    for (node, heard) in heard {
        let (seen, why) = heard.measured(&node, args);
        measured.extend(seen.map(|seen| (node.clone(), seen)));
        failed.extend(why.map(|why| (node, why)));
    }
    match context.format {
        Format::Table => {
            output::text(strip.ends());
            for seen in measured.values() {
                output::text(&format!("\n{seen}"));
            }
            for (node, why) in &failed {
                output::text(&format!("\n{node} does not call (any more): {why}\n"));
            }
        }
        Format::Json => output::json(&serde_json::json!({ "measured_from": measured, "failed": failed })),
    }
    Ok(ends(&measured, &failed))
}

fn ends(measured: &BTreeMap<String, Measured>, failed: &BTreeMap<String, String>) -> ExitCode {
    let amiss = |seen: &Measured| !seen.gaps.is_empty() || seen.lost();
    if !failed.is_empty() {
        ExitCode::Unreachable
    } else if measured.values().any(amiss) {
        ExitCode::Degraded
    } else {
        ExitCode::Done
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(line: &str) -> Args {
        Line::try_parse_from(line.split(' ')).unwrap().args
    }

    fn calls(began: Option<i64>, misses: &[&str]) -> Option<Said> {
        let call = |(number, miss): (u64, &&str)| v1::ProbeCall {
            number,
            at_micros: number * 100_000,
            took_micros: 2000,
            miss: (*miss).to_owned(),
            told: None,
        };
        Some(Said::Calls(v1::ProbeCalls {
            began: began.map(|unix_micros| v1::Time { unix_micros }),
            address: "192.0.2.7".to_owned(),
            calls: (0..).zip(misses).map(call).collect(),
        }))
    }

    #[test]
    fn each_node_is_told_by_its_name_and_its_own_clock() {
        let args = args("probe tcp:192.0.2.7:22 --from hk1/prox1,hk1/prox2");
        assert_eq!(args.from.len(), 2);
        let mut heard = Heard::default();
        heard.take(calls(Some(1_764_300_000_000_000), &[]), |_, _| ());
        let misses = ["", "", "silent", "refused", "", "", "", "", ""];
        let mut count = 0;
        heard.take(calls(None, &misses), |_, _| count += 1);
        let (measured, failed) = heard.measured("hk1/prox2", &args);
        let measured = measured.unwrap();
        assert_eq!((count, failed, measured.gaps.len()), (9, None, 1));
        assert_eq!(measured.began_unix_ms, 1_764_300_000_000);
        let text = measured.to_string();
        assert!(text.contains("Measured from hk1/prox2 at tcp:192.0.2.7:22"), "{text}");
        let all = BTreeMap::from([("hk1/prox2".to_owned(), measured)]);
        assert_eq!(ends(&all, &BTreeMap::new()), ExitCode::Degraded);
        assert_eq!(ends(&BTreeMap::new(), &BTreeMap::new()), ExitCode::Done);
    }

    #[test]
    fn a_node_that_never_called_is_no_node_that_heard_nothing() {
        let args = args("probe icmp:192.0.2.7 --from hk1/prox1");
        let mut heard = Heard::default();
        heard.take(Some(Said::Failed("it is off".to_owned())), |_, _| ());
        let (measured, failed) = heard.measured("hk1/prox1", &args);
        assert_eq!((measured, failed.as_deref()), (None, Some("it is off")));
        let failed = BTreeMap::from([("hk1/prox1".to_owned(), "it is off".to_owned())]);
        assert_eq!(ends(&BTreeMap::new(), &failed), ExitCode::Unreachable);
    }
}
