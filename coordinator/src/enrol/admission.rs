//! Whether a token lets its bearer in: pure, so that every refusal can be seen at a glance.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use quorate_identity::Token;
use quorate_model::{Code, Finding, NodeRef, Timestamp};

use crate::fleet::registry::{Node, State};

/// Who knocks.
#[derive(Debug)]
pub(super) struct Knock<'a> {
    /// The token, if it was one at all.
    pub(super) token: Option<&'a Token>,
    /// What the server calls itself.
    pub(super) hostname: &'a str,
    /// From where.
    pub(super) from: IpAddr,
    /// When.
    pub(super) at: Timestamp,
}

/// The answer to a knock that does not open.
#[derive(Debug, PartialEq)]
pub(super) struct Refused {
    /// Why.
    pub(super) finding: Finding,
    /// The node whose token was used a second time.
    pub(super) freeze: Option<NodeRef>,
}

/// Finds the node that a token invites.
pub(super) fn admit(nodes: &BTreeMap<NodeRef, Node>, knock: &Knock<'_>) -> Result<NodeRef, Box<Refused>> {
    let refused = |code, subject: &str, message: String, next: String| {
        Err(Box::new(Refused {
            finding: Finding::new(code, subject, message, next),
            freeze: None,
        }))
    };
    let from = canonical(knock.from);
    // All are compared, and each takes its full time: where a match stands can't be told from outside.
    let found = knock.token.and_then(|token| {
        let matches = |node: &Node| node.invitation.as_ref().is_some_and(|i| i.token.matches(token));
        nodes.iter().fold(
            None,
            |found, (name, node)| if matches(node) { Some((name, node)) } else { found },
        )
    });
    let Some((name, node, invitation)) = found.and_then(|(name, node)| Some((name, node, node.invitation.as_ref()?)))
    else {
        return refused(
            Code::TokenUnknown,
            &from.to_string(),
            "no invitation here has this token".to_owned(),
            "check that it was copied whole and is the newest; for a new one: quorate node invite".to_owned(),
        );
    };
    let subject = name.to_string();
    let again = format!("quorate node invite {name} --address {}", node.address.ip());
    if let (Some(claim), State::Enrolled | State::Frozen { .. }) = (&invitation.claim, &node.state) {
        let message = format!(
            "the token of {name} was used from {} at {} and is now used again from {from}: {name} is frozen",
            claim.from, claim.at
        );
        let next = format!("find out who has the token; then: quorate node remove {name}; and invite it anew");
        let finding = Finding::new(Code::TokenUsed, subject, message, next);
        return Err(Box::new(Refused {
            finding,
            freeze: Some(name.clone()),
        }));
    }
    if invitation.expires_at <= knock.at {
        return refused(
            Code::TokenExpired,
            &subject,
            format!("the token of {name} expired at {}", invitation.expires_at),
            again,
        );
    }
    if knock.hostname != name.node.as_str() {
        return refused(
            Code::TokenWrongName,
            &subject,
            format!(
                "the token is for a server named {}, this one calls itself {}",
                name.node,
                shown(knock.hostname)
            ),
            format!("run it on {}; or invite this one under its own name", name.node),
        );
    }
    if from != canonical(node.address.ip()) {
        return refused(
            Code::TokenWrongAddress,
            &subject,
            format!("the token is for {}, but it came from {from}", node.address.ip()),
            format!("if {from} is {name}: quorate node invite {name} --address {from}"),
        );
    }
    Ok(name.clone())
}

/// An IPv4 address may come in as an IPv6 one.
fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => Ipv6Addr::to_canonical(&v6),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// A stranger's text, cut to what may stand in a message.
fn shown(text: &str) -> String {
    let plain: String = text.chars().take(63).filter(|c| c.is_ascii_graphic()).collect();
    format!("`{plain}`")
}

#[cfg(test)]
mod tests {
    use quorate_identity::{Name, RootCa};

    use super::*;
    use crate::fleet::registry::{Claim, Invitation};

    struct Case {
        token: Token,
        other: Token,
        nodes: BTreeMap<NodeRef, Node>,
    }

    const NOW: Timestamp = Timestamp(1_000);

    fn case() -> Case {
        let root = RootCa::create(&Name::parse("home").unwrap(), 1_800_000_000).unwrap();
        let token = || Token::generate(root.certificate()).unwrap();
        let (mine, other) = (token(), token());
        let node = |token: &Token| Node {
            address: "192.0.2.11:7443".parse().unwrap(),
            state: State::Invited,
            since: Timestamp(0),
            invitation: Some(Invitation {
                token: token.stored(),
                expires_at: Timestamp(2_000),
                claim: None,
            }),
            certificates: Vec::new(),
        };
        let nodes = BTreeMap::from([
            ("hk1/prox0".parse().unwrap(), node(&token())),
            ("hk1/prox1".parse().unwrap(), node(&mine)),
            ("hk1/prox2".parse().unwrap(), node(&token())),
        ]);
        Case {
            token: mine,
            other,
            nodes,
        }
    }

    impl Case {
        fn knock(&self, hostname: &str, from: &str, at: Timestamp) -> Result<NodeRef, Box<Refused>> {
            let knock = Knock {
                token: Some(&self.token),
                hostname,
                from: from.parse().unwrap(),
                at,
            };
            admit(&self.nodes, &knock)
        }

        fn mine(&mut self) -> &mut Node {
            self.nodes.get_mut(&"hk1/prox1".parse().unwrap()).unwrap()
        }
    }

    #[test]
    fn the_right_token_from_the_right_place_opens() {
        assert_eq!(
            case().knock("prox1", "192.0.2.11", NOW).unwrap().to_string(),
            "hk1/prox1"
        );
        assert!(case().knock("prox1", "::ffff:192.0.2.11", NOW).is_ok());
    }

    #[test]
    fn every_refusal_has_its_own_code() {
        let c = case();
        let code = |result: Result<NodeRef, Box<Refused>>| result.unwrap_err().finding.code;
        assert_eq!(
            code(c.knock("prox1", "192.0.2.11", Timestamp(2_000))),
            Code::TokenExpired
        );
        assert_eq!(code(c.knock("prox2", "192.0.2.11", NOW)), Code::TokenWrongName);
        assert_eq!(code(c.knock("prox1", "192.0.2.12", NOW)), Code::TokenWrongAddress);
        for token in [Some(&c.other), None] {
            let knock = Knock {
                token,
                hostname: "prox1",
                from: "192.0.2.11".parse().unwrap(),
                at: NOW,
            };
            assert_eq!(code(admit(&c.nodes, &knock)), Code::TokenUnknown);
        }
    }

    #[test]
    fn a_second_claim_freezes_whoever_makes_it_and_whenever() {
        let mut c = case();
        let node = c.mine();
        node.state = State::Enrolled;
        node.invitation.as_mut().unwrap().claim = Some(Claim {
            at: Timestamp(5),
            from: "192.0.2.11".parse().unwrap(),
        });
        for (hostname, from, at) in [("prox1", "192.0.2.11", NOW), ("evil", "203.0.113.9", Timestamp(9_999))] {
            let refused = c.knock(hostname, from, at).unwrap_err();
            assert_eq!(refused.finding.code, Code::TokenUsed);
            assert_eq!(refused.freeze, Some("hk1/prox1".parse().unwrap()));
        }
    }

    #[test]
    fn a_strangers_text_can_not_write_our_log() {
        let message = case()
            .knock("a\nb\u{1b}[31m", "192.0.2.11", NOW)
            .unwrap_err()
            .finding
            .message;
        assert!(message.chars().all(|c| !c.is_control()), "{message:?}");
    }
}
