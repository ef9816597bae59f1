//! What corosync logs of links, members and quorum. For links this is the only source that tells at once: some six seconds before any
//! membership changes.
//!
//! Source: kronosnet's libknet (links.c, threads_rx.c), corosync's exec/vsf_quorum.c and exec/votequorum.c; seen live with 3.1.7.

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Logged {
    /// A link to a host is down.
    LinkDown {
        /// The other end's node id.
        host: u32,
        /// Which link.
        link: u8,
    },
    /// A link to a host is up.
    LinkUp {
        /// The other end's node id.
        host: u32,
        /// Which link.
        link: u8,
    },
    /// These node ids have left the membership.
    Left(Vec<u32>),
    /// These node ids have joined it.
    Joined(Vec<u32>),
    /// Quorum is lost here.
    QuorumLost,
    /// Quorum is there again.
    QuorumBack,
}

/// Reads one message, with or without the blanks and the part's name in brackets before it. `None`: it is about something else.
#[must_use]
pub fn read(message: &str) -> Option<Logged> {
    let message = message.trim();
    let (part, text) = message.strip_prefix('[')?.split_once(']')?;
    let text = text.trim();
    match part.trim() {
        "KNET" => link(text),
        "QUORUM" => quorum(text),
        _ => None,
    }
}

/// `link: host: 3 link: 0 is down`, `rx: host: 3 link: 0 is up`.
fn link(text: &str) -> Option<Logged> {
    let about = text
        .strip_prefix("link: host: ")
        .or_else(|| text.strip_prefix("rx: host: "))?;
    let (host, rest) = about.split_once(" link: ")?;
    let (link, state) = rest.split_once(" is ")?;
    let (host, link) = (host.parse().ok()?, link.parse().ok()?);
    match state {
        "down" => Some(Logged::LinkDown { host, link }),
        "up" => Some(Logged::LinkUp { host, link }),
        _ => None,
    }
}

fn quorum(text: &str) -> Option<Logged> {
    match text {
        "This node is within the primary component and will provide service." => return Some(Logged::QuorumBack),
        "This node is within the non-primary component and will NOT provide any services." => {
            return Some(Logged::QuorumLost);
        }
        _ => {}
    }
    if let Some(list) = text.strip_prefix("Sync left[") {
        return ids(list).map(Logged::Left);
    }
    ids(text.strip_prefix("Sync joined[")?).map(Logged::Joined)
}

/// `2]: 1 2`: as many as were announced. A long list is cut by corosync into several lines; the first counts.
fn ids(text: &str) -> Option<Vec<u32>> {
    let (_, list) = text.split_once("]: ")?;
    list.split_whitespace().map(|id| id.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_corosync_has_logged_of_a_cut() {
        let found: Vec<_> = fixture!("corosync-log/3.1.7/cut-and-back.log")
            .lines()
            .filter_map(read)
            .collect();
        assert_eq!(
            found,
            [
                Logged::LinkDown { host: 2, link: 0 },
                Logged::LinkDown { host: 1, link: 0 },
                Logged::Left(vec![1, 2]),
                Logged::QuorumLost,
                Logged::LinkUp { host: 2, link: 0 },
                Logged::LinkUp { host: 1, link: 0 },
                Logged::Joined(vec![1, 2]),
                Logged::QuorumBack,
            ]
        );
    }

    #[test]
    fn other_messages_are_none_of_them() {
        for other in [
            "",
            "[KNET  ] host: host: 3 has no active links",
            "[KNET  ] link: Resetting MTU for link 0 because host 3 joined",
            "[KNET  ] link: host: x link: 0 is down",
            "[QUORUM] Members[2]: 1 2",
            "[QUORUM] Sync left[1]: three",
            "[TOTEM ] link: host: 3 link: 0 is down",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
