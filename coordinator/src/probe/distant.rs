//! Calls that a node made, as they come over the wire.

use std::time::Duration;

use quorate_probe::Ended;
use quorate_proto::v1;
use quorate_tally::Answer;

use super::call::Outcome;

/// A call, and its number.
///
/// # Errors
/// It can't be understood.
pub(crate) fn call(wire: v1::ProbeCall) -> Result<(u64, Ended<Outcome>), String> {
    let at = Duration::from_micros(wire.at_micros);
    let answer = match wire.miss.as_str() {
        "" => Ok(wire.told.map(|told| Answer {
            number: told.number,
            time_ms: told.time_ms,
            resumed: told.resumed,
            run: told.run,
            host: told.host,
            boot: told.boot,
        })),
        miss => Err(miss
            .parse()
            .map_err(|error: quorate_probe::BadMiss| error.to_string())?),
    };
    let ended = Ended {
        at,
        ended: at.saturating_add(Duration::from_micros(wire.took_micros)),
        outcome: Outcome { answer, row: None },
    };
    Ok((wire.number, ended))
}

#[cfg(test)]
mod tests {
    use quorate_probe::Miss;

    use super::*;

    #[test]
    fn a_call_is_what_the_node_saw() {
        let answered = v1::ProbeCall {
            number: 7,
            at_micros: 700_000,
            took_micros: 2000,
            told: Some(v1::TallyAnswer {
                number: 4711,
                host: "canary".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let (number, ended) = call(answered.clone()).unwrap();
        assert_eq!((number, ended.ended), (7, Duration::from_micros(702_000)));
        assert_eq!(ended.outcome.answer.unwrap().unwrap().number, 4711);
        let with = |miss: &str| {
            call(v1::ProbeCall {
                miss: miss.to_owned(),
                ..answered.clone()
            })
        };
        assert_eq!(with("status:503").unwrap().1.outcome.answer, Err(Miss::Status(503)));
        assert!(with("tired").unwrap_err().contains("`tired`"));
    }
}
