//! `corosync-cfgtool -n`: the state of every link to every other member.

use quorate_exec::{Invocation, Tools};
use quorate_model::observation::cluster::Link;

use crate::{CallError, ParseError};

/// Its name.
pub const NAME: &str = "corosync-cfgtool";

/// Asks for the links by node. A node with no link at all is missing from the answer: that it should be there only the
/// configuration tells.
///
/// # Errors
/// When it is not installed.
pub fn nodes(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.arg("-n").build()?)
}

/// Reads the links:
/// ```text
/// Local node ID 1, transport knet
/// nodeid: 2 reachable
///    LINK: 0 udp (10.77.0.1->10.77.0.2) enabled connected mtu: 1397
/// ```
///
/// # Errors
/// When a line has none of these shapes.
pub fn read(stdout: &str) -> Result<Vec<Link>, ParseError> {
    let mut peer = None;
    let mut links = Vec::new();
    let mut lines = stdout.lines().map(str::trim).filter(|line| !line.is_empty());
    match lines.next() {
        Some(line) if line.starts_with("Local node ID ") => {}
        Some(line) => return Err(ParseError::at(NAME, line, "expected `Local node ID …`")),
        None => return Err(ParseError::missing(NAME, "printed nothing")),
    }
    for line in lines {
        let bad = |what| ParseError::at(NAME, line, what);
        if let Some(rest) = line.strip_prefix("nodeid:") {
            let id = rest.split_whitespace().next().and_then(|id| id.parse().ok());
            peer = Some(id.ok_or_else(|| bad("expected a node's id"))?);
        } else if let Some(rest) = line.strip_prefix("LINK:") {
            let peer = peer.ok_or_else(|| bad("a link without a node"))?;
            links.push(link(peer, rest).ok_or_else(|| bad("expected `LINK: N udp (A->B) …`"))?);
        } else {
            return Err(bad("neither a node nor a link"));
        }
    }
    Ok(links)
}

fn link(peer: u32, text: &str) -> Option<Link> {
    let (before, rest) = text.split_once('(')?;
    let (addresses, after) = rest.split_once(')')?;
    let (local, remote) = addresses.split_once("->")?;
    let words: Vec<&str> = after.split_whitespace().collect();
    let mtu = match words.iter().position(|word| *word == "mtu:") {
        Some(at) => Some(words.get(at + 1)?.parse().ok()?),
        None => None,
    };
    Some(Link {
        peer,
        number: before.split_whitespace().next()?.parse().ok()?,
        local: local.trim().to_owned(),
        remote: remote.trim().to_owned(),
        enabled: words.contains(&"enabled"),
        connected: words.contains(&"connected"),
        mtu,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let show = |link: Link| {
            let state = if link.connected { "connected" } else { "down" };
            format!(
                "{}/{} {}->{} {state} {:?}",
                link.peer, link.number, link.local, link.remote, link.mtu
            )
        };
        read(text).unwrap().into_iter().map(show).collect()
    }

    #[test]
    fn links_to_all_peers() {
        assert_eq!(
            nodes(&Tools::imagined()).unwrap().to_string(),
            "/usr/bin/corosync-cfgtool -n"
        );
        let wanted = [
            "2/0 10.77.0.1->10.77.0.2 connected Some(1397)",
            "3/0 10.77.0.1->10.77.0.3 connected Some(1397)",
        ];
        assert_eq!(shown(fixture!("corosync-cfgtool/3.1.7/three-nodes.out")), wanted);
        assert_eq!(shown(fixture!("corosync-cfgtool/3.1.7/one-node.out")).len(), 0);
        assert_eq!(shown(fixture!("corosync-cfgtool/3.1.7/isolated.out")).len(), 0);
    }

    #[test]
    fn a_cut_link_is_enabled_but_not_connected() {
        let wanted = [
            "2/0 10.77.0.1->10.77.0.2 connected Some(1397)",
            "2/1 10.78.0.1->10.78.0.2 connected Some(1397)",
            "3/0 10.77.0.1->10.77.0.3 connected Some(1397)",
            "3/1 10.78.0.1->10.78.0.3 down Some(1397)",
        ];
        assert_eq!(shown(fixture!("corosync-cfgtool/3.1.7/link1-cut.out")), wanted);
        assert!(
            read(fixture!("corosync-cfgtool/3.1.7/link1-cut.out"))
                .unwrap()
                .iter()
                .all(|link| link.enabled)
        );
    }

    #[test]
    fn a_node_that_lost_one_link_still_has_the_other() {
        let links = read(fixture!("corosync-cfgtool/3.1.7/link0-cut-to-all.out")).unwrap();
        let states: Vec<_> = links.iter().map(|l| (l.peer, l.number, l.connected)).collect();
        assert_eq!(states, [(1, 0, false), (1, 1, true), (2, 0, false), (2, 1, true)]);
    }

    #[test]
    fn lines_of_another_shape_are_errors() {
        assert!(read("").is_err());
        assert!(read("Could not initialize").is_err());
        assert!(read("Local node ID 1, transport knet\nLINK: 0 udp (a->b) enabled\n").is_err());
        let error = read("Local node ID 1, transport knet\nnodeid: 2 reachable\n   LINK: x udp (a->b)\n").unwrap_err();
        assert_eq!(error.line.as_deref(), Some("LINK: x udp (a->b)"));
        assert!(read("Local node ID 1, transport knet\nodd\n").is_err());
    }
}
