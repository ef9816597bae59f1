//! `corosync-quorumtool`: votes and quorum.

use quorate_exec::{Exit, Invocation, Tools};
use quorate_model::observation::cluster::{VoteRow, Votes};

use crate::{CallError, ParseError};

/// Its name.
pub const NAME: &str = "corosync-quorumtool";

/// Asks for the status (`-s`) with addresses (`-i`) and hexadecimal ids (`-H`): what `pvecm status` runs.
///
/// # Errors
/// When it is not installed.
pub fn status(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.arg("-siH").build()?)
}

/// Whether the report is whole: 0 says quorate, 2 not quorate. 1 says that corosync does not run.
#[must_use]
pub fn reported(exit: Exit) -> bool {
    matches!(exit, Exit::Code(0 | 2))
}

/// Reads the votes and the table of those present; .members also names those that are away.
///
/// # Errors
/// When one of the figures is missing or none, or a row of the table is none.
pub fn read(stdout: &str) -> Result<Votes, ParseError> {
    let line = |label: &str| {
        let line = stdout
            .lines()
            .find_map(|line| Some((line, line.trim_start().strip_prefix(label)?.trim())));
        line.ok_or_else(|| ParseError::missing(NAME, format!("`{label}` is missing")))
    };
    let figure = |label: &str| {
        let (line, value) = line(label)?;
        // `Quorum:           2 Activity blocked`
        let first = value.split_whitespace().next().unwrap_or_default();
        first
            .parse::<u32>()
            .map_err(|_| ParseError::at(NAME, line, "expected a number"))
    };
    let quorate = match line("Quorate:")? {
        (_, "Yes") => true,
        (_, "No") => false,
        (line, _) => return Err(ParseError::at(NAME, line, "neither Yes nor No")),
    };
    let (rows, device) = table(stdout)?;
    Ok(Votes {
        expected: figure("Expected votes:")?,
        highest_expected: figure("Highest expected:")?,
        total: figure("Total votes:")?,
        quorum: figure("Quorum:")?,
        quorate,
        flags: line("Flags:")?.1.split_whitespace().map(str::to_owned).collect(),
        rows,
        device,
    })
}

/// The rows, and the QDevice's votes, whose row has the id 0. The Qdevice column is there while corosync knows of a device,
/// and stays after its removal until corosync is restarted.
fn table(stdout: &str) -> Result<(Vec<VoteRow>, Option<u32>), ParseError> {
    let is_head = |line: &&str| {
        let mut words = line.split_whitespace();
        (words.next(), words.next()) == (Some("Nodeid"), Some("Votes"))
    };
    let mut lines = stdout.lines().skip_while(|line| !is_head(line));
    let head = lines
        .next()
        .ok_or_else(|| ParseError::missing(NAME, "the table of members is missing"))?;
    let with_device = head.split_whitespace().nth(2) == Some("Qdevice");
    let (mut rows, mut device) = (Vec::new(), None);
    for line in lines.take_while(|line| !line.trim().is_empty()) {
        let bad = |what| ParseError::at(NAME, line, what);
        let mut words = line.split_whitespace();
        let id = words.next().unwrap_or_default();
        let id = match id.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => id.parse(),
        };
        let id = id.map_err(|_| bad("expected a node's id"))?;
        let votes = words.next().and_then(|votes| votes.parse().ok());
        let votes = votes.ok_or_else(|| bad("expected a number of votes"))?;
        if id == 0 {
            device = Some(votes);
            continue;
        }
        let qdevice = match words.next() {
            Some(flags) if with_device => Some(flags.to_owned()),
            Some(_) => None,
            None => return Err(bad("a row without a name")),
        };
        rows.push(VoteRow { id, votes, qdevice });
    }
    Ok((rows, device))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u32, qdevice: Option<&str>) -> VoteRow {
        VoteRow {
            id,
            votes: 1,
            qdevice: qdevice.map(str::to_owned),
        }
    }

    #[test]
    fn the_qdevices_column_and_row() {
        let table = |text: &str| {
            let votes = read(text).unwrap();
            (votes.rows, votes.device)
        };
        let both = |flags| vec![row(1, Some(flags)), row(2, Some(flags))];
        let healthy = fixture!("corosync-quorumtool/3.1.7/qdevice.out");
        assert_eq!(table(healthy), (both("A,V,NMW"), Some(1)));
        // qnetd does not answer.
        let away = fixture!("corosync-quorumtool/3.1.7/qdevice-away.out");
        assert_eq!(table(away), (both("A,NV,NMW"), Some(0)));
        // A third node joined, which has no daemon of the device.
        let third = |flags, more| [both(flags), vec![row(3, Some(more))]].concat();
        let joined = fixture!("corosync-quorumtool/3.1.7/qdevice-third-node.out");
        assert_eq!(table(joined), (third("A,V,NMW", "NR"), Some(1)));
        let joined = fixture!("corosync-quorumtool/3.1.7/qdevice-third-node-itself.out");
        assert_eq!(table(joined), (third("A,V,NMW", "NR"), Some(0)));
        // Column and row stay when it is gone.
        let removed = fixture!("corosync-quorumtool/3.1.7/qdevice-removed.out");
        assert_eq!(table(removed), (third("NR", "NA,NV,NMW"), Some(0)));
    }

    #[test]
    fn an_odd_row_is_an_error() {
        let text = fixture!("corosync-quorumtool/3.1.7/qdevice.out");
        for (from, to) in [
            ("0x00000002          1", "0x00000002          one"),
            ("0x00000002", "prox2"),
            ("1    A,V,NMW 10.77.0.5", "1"),
            ("Nodeid", "Node"),
        ] {
            assert!(read(&text.replace(from, to)).is_err(), "{to}");
        }
    }

    #[test]
    fn three_nodes_with_quorum() {
        assert_eq!(
            status(&Tools::imagined()).unwrap().to_string(),
            "/usr/bin/corosync-quorumtool -siH"
        );
        let votes = read(fixture!("corosync-quorumtool/3.1.7/three-nodes.out")).unwrap();
        let wanted = Votes {
            expected: 3,
            highest_expected: 3,
            total: 3,
            quorum: 2,
            quorate: true,
            flags: vec!["Quorate".to_owned()],
            rows: [1, 2, 3].map(|id| row(id, None)).into(),
            device: None,
        };
        assert_eq!(votes, wanted);
        assert_eq!(
            read(fixture!("corosync-quorumtool/3.1.7/one-node.out")).unwrap().total,
            1
        );
        assert_eq!(
            read(fixture!("corosync-quorumtool/3.1.7/majority.out")).unwrap().total,
            2
        );
    }

    #[test]
    fn without_quorum_the_figure_has_words_behind_it() {
        let votes = read(fixture!("corosync-quorumtool/3.1.7/not-quorate.out")).unwrap();
        assert_eq!(
            (votes.total, votes.quorum, votes.quorate, votes.flags.len()),
            (1, 2, false, 0)
        );
        assert!(reported(Exit::Code(2)) && reported(Exit::Code(0)) && !reported(Exit::Code(1)));
    }

    #[test]
    fn a_qdevice_shows_in_the_flags() {
        let votes = read(fixture!("corosync-quorumtool/3.1.7/qdevice.out")).unwrap();
        assert_eq!(
            (votes.expected, votes.total, votes.flags.join(" ")),
            (3, 3, "Quorate Qdevice".to_owned())
        );
        assert_eq!(
            read(fixture!("corosync-quorumtool/3.1.7/qdevice-away.out"))
                .unwrap()
                .total,
            2
        );
    }

    #[test]
    fn a_qdevice_that_does_not_vote_for_us_is_no_quorum() {
        let votes = read(fixture!("corosync-quorumtool/3.1.7/qdevice-not-quorate.out")).unwrap();
        assert_eq!(
            (votes.expected, votes.total, votes.quorate, votes.flags.join(" ")),
            (3, 1, false, "Qdevice".to_owned())
        );
    }

    #[test]
    fn a_missing_or_odd_figure_is_an_error() {
        let text = fixture!("corosync-quorumtool/3.1.7/three-nodes.out");
        let error = read(&text.replace("Total votes:      3", "Total votes:      ?")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "corosync-quorumtool: expected a number: `Total votes:      ?`"
        );
        let error = read(&text.replace("Highest expected", "Lowest")).unwrap_err();
        assert_eq!(error.to_string(), "corosync-quorumtool: `Highest expected:` is missing");
        assert!(read(&text.replace("Quorate:          Yes", "Quorate:          Perhaps")).is_err());
        assert!(read("").is_err());
    }
}
