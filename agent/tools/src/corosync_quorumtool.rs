//! `corosync-quorumtool`: votes and quorum.

use quorate_exec::{Exit, Invocation, Tools};
use quorate_model::observation::cluster::Votes;

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

/// Reads the votes. The list of members is left to .members, which also names those that are away.
///
/// # Errors
/// When one of the figures is missing or none.
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
    Ok(Votes {
        expected: figure("Expected votes:")?,
        highest_expected: figure("Highest expected:")?,
        total: figure("Total votes:")?,
        quorum: figure("Quorum:")?,
        quorate,
        flags: line("Flags:")?.1.split_whitespace().map(str::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
