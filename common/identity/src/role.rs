//! What the holder of a certificate is, and the two names that say so.

use std::collections::BTreeSet;
use std::fmt;

use crate::chain::IssuedBy;
use crate::names::{Name, NameError};

/// Every DNS name of Quorate's certificates ends so. `.internal` is reserved for private use and never resolves in
/// public DNS; nobody looks these names up anyway.
const DOMAIN: &str = "quorate.internal";
const SCHEME: &str = "quorate://";

/// What the holder of a certificate is in its fleet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The coordinator: commands the agents, serves the operators.
    Coordinator,
    /// A server's agent.
    Node {
        /// The cluster that the node belongs to, or is to belong to.
        cluster: Name,
        /// The node's name in it.
        node: Name,
    },
    /// A person or program that may change things.
    Operator {
        /// Who.
        name: Name,
        /// Where.
        scope: Scope,
    },
    /// A person or program that may only look.
    Viewer {
        /// Who.
        name: Name,
        /// Where.
        scope: Scope,
    },
}

/// Of what somebody may see and change anything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Scope {
    /// The whole fleet.
    #[default]
    Fleet,
    /// These clusters, at least one.
    Clusters(BTreeSet<Name>),
}

impl Scope {
    /// These clusters; none named: the whole fleet.
    #[must_use]
    pub fn of(clusters: impl IntoIterator<Item = Name>) -> Self {
        let clusters: BTreeSet<Name> = clusters.into_iter().collect();
        if clusters.is_empty() {
            Self::Fleet
        } else {
            Self::Clusters(clusters)
        }
    }

    /// Is this cluster in it?
    #[must_use]
    pub fn holds(&self, cluster: &str) -> bool {
        match self {
            Self::Fleet => true,
            Self::Clusters(clusters) => clusters.iter().any(|name| name.as_str() == cluster),
        }
    }

    /// As the last part of a URI name. Commas stand in no name.
    fn uri_part(&self) -> String {
        match self {
            Self::Fleet => String::new(),
            Self::Clusters(clusters) => {
                let names: Vec<&str> = clusters.iter().map(Name::as_str).collect();
                format!("/{}", names.join(","))
            }
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fleet => f.pad("the whole fleet"),
            Self::Clusters(clusters) => {
                let names: Vec<&str> = clusters.iter().map(Name::as_str).collect();
                f.pad(&names.join(", "))
            }
        }
    }
}

impl Role {
    /// The URI name of the certificate, e.g. `quorate://FLEET/node/hk1/prox1`.
    #[must_use]
    pub fn uri(&self, fleet: &Name) -> String {
        match self {
            Self::Coordinator => format!("{SCHEME}{fleet}/coordinator"),
            Self::Node { cluster, node } => format!("{SCHEME}{fleet}/node/{cluster}/{node}"),
            Self::Operator { name, scope } => format!("{SCHEME}{fleet}/operator/{name}{}", scope.uri_part()),
            Self::Viewer { name, scope } => format!("{SCHEME}{fleet}/viewer/{name}{}", scope.uri_part()),
        }
    }

    /// The DNS name that a client verifies, whatever address it dials. `None` for roles that never serve.
    #[must_use]
    pub fn dns_name(&self, fleet: &Name) -> Option<String> {
        match self {
            Self::Coordinator => Some(format!("coordinator.{fleet}.{DOMAIN}")),
            Self::Node { cluster, node } => Some(format!("{node}.{cluster}.{}", node_domain(fleet))),
            Self::Operator { .. } | Self::Viewer { .. } => None,
        }
    }

    /// The CA that alone may give this role.
    #[must_use]
    pub fn signer(&self) -> IssuedBy {
        match self {
            Self::Node { .. } => IssuedBy::Issuing,
            Self::Coordinator | Self::Operator { .. } | Self::Viewer { .. } => IssuedBy::Root,
        }
    }

    /// May the holder open connections to others? A node never does.
    #[must_use]
    pub fn connects(&self) -> bool {
        !matches!(self, Self::Node { .. })
    }

    /// May the holder answer connections?
    #[must_use]
    pub fn serves(&self) -> bool {
        matches!(self, Self::Coordinator | Self::Node { .. })
    }

    /// The holder's own name, for a certificate's common name.
    pub(crate) fn short_name(&self) -> &str {
        match self {
            Self::Coordinator => "coordinator",
            Self::Node { node: name, .. } | Self::Operator { name, .. } | Self::Viewer { name, .. } => name.as_str(),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coordinator => f.write_str("coordinator"),
            Self::Node { cluster, node } => write!(f, "node {cluster}/{node}"),
            Self::Operator { name, .. } => write!(f, "operator {name}"),
            Self::Viewer { name, .. } => write!(f, "viewer {name}"),
        }
    }
}

/// The DNS subtree that holds every node of a fleet, and nothing else.
pub(crate) fn node_domain(fleet: &Name) -> String {
    format!("node.{fleet}.{DOMAIN}")
}

/// The URI name of a fleet's root CA.
pub(crate) fn root_uri(fleet: &Name) -> String {
    format!("{SCHEME}{fleet}/root")
}

/// The URI name of a fleet's issuing CA.
pub(crate) fn issuing_uri(fleet: &Name) -> String {
    format!("{SCHEME}{fleet}/issuing")
}

/// Is this URI meant for us? Schemes are compared without case, so that `QUORATE://` cannot slip past the rule of one
/// such name a certificate.
pub(crate) fn is_quorate_uri(uri: &str) -> bool {
    uri.get(..SCHEME.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(SCHEME))
}

/// The meaning of a `quorate://` URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    Root,
    Issuing,
    Leaf(Role),
}

/// Why a `quorate://` URI has no meaning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// The path after the fleet is none that this version knows.
    #[error("{uri:?} names no role that this version knows")]
    Unknown {
        /// The whole URI.
        uri: String,
    },
    /// A part of the path is not a name.
    #[error("{uri:?} holds a malformed name")]
    BadName {
        /// The whole URI.
        uri: String,
        /// What is wrong with the name.
        source: NameError,
    },
}

/// Reads a `quorate://` URI. Exactly the texts that [`Role::uri`], [`root_uri`] and [`issuing_uri`] write are accepted.
pub(crate) fn parse_uri(uri: &str) -> Result<(Name, Holder), RoleError> {
    let unknown = || RoleError::Unknown { uri: uri.to_owned() };
    let name = |text: &str| {
        Name::parse(text).map_err(|source| RoleError::BadName {
            uri: uri.to_owned(),
            source,
        })
    };

    let parts: Vec<&str> = uri.strip_prefix(SCHEME).ok_or_else(unknown)?.split('/').collect();
    let (fleet, path) = parts.split_first().ok_or_else(unknown)?;
    let holder = match *path {
        ["root"] => Holder::Root,
        ["issuing"] => Holder::Issuing,
        ["coordinator"] => Holder::Leaf(Role::Coordinator),
        ["node", cluster, node] => Holder::Leaf(Role::Node {
            cluster: name(cluster)?,
            node: name(node)?,
        }),
        ["operator", who, ref scope @ ..] => Holder::Leaf(Role::Operator {
            name: name(who)?,
            scope: parse_scope(scope, name, unknown)?,
        }),
        ["viewer", who, ref scope @ ..] => Holder::Leaf(Role::Viewer {
            name: name(who)?,
            scope: parse_scope(scope, name, unknown)?,
        }),
        _ => return Err(unknown()),
    };
    Ok((name(fleet)?, holder))
}

/// No part is the whole fleet; one names clusters, each once and in order, so that a scope has one text.
fn parse_scope(
    parts: &[&str],
    name: impl Fn(&str) -> Result<Name, RoleError>,
    unknown: impl Fn() -> RoleError,
) -> Result<Scope, RoleError> {
    match parts {
        [] => Ok(Scope::Fleet),
        [clusters] => {
            let names = clusters.split(',').map(name).collect::<Result<Vec<_>, _>>()?;
            if names.is_sorted_by(|one, next| one < next) {
                Ok(Scope::of(names))
            } else {
                Err(unknown())
            }
        }
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn roles() -> impl Strategy<Value = Role> {
        let name = || "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?".prop_map(|text| Name::parse(&text).unwrap());
        prop_oneof![
            Just(Role::Coordinator),
            (name(), name()).prop_map(|(cluster, node)| Role::Node { cluster, node }),
            (name(), proptest::collection::vec(name(), 0..4)).prop_map(|(name, clusters)| Role::Operator {
                name,
                scope: Scope::of(clusters),
            }),
            name().prop_map(|name| Role::Viewer {
                name,
                scope: Scope::Fleet,
            }),
        ]
    }

    proptest! {
        #[test]
        fn a_role_survives_its_uri(role in roles()) {
            let fleet = name("home");
            prop_assert_eq!(parse_uri(&role.uri(&fleet)).unwrap(), (fleet, Holder::Leaf(role)));
        }

        #[test]
        fn only_what_we_write_is_read(text in "[qQ]uorate://[a-zA-Z0-9/.,%-]{0,30}") {
            if let Ok((fleet, holder)) = parse_uri(&text) {
                let written = match holder {
                    Holder::Root => root_uri(&fleet),
                    Holder::Issuing => issuing_uri(&fleet),
                    Holder::Leaf(role) => role.uri(&fleet),
                };
                prop_assert_eq!(written, text);
            }
        }
    }

    #[test]
    fn names_are_as_promised() {
        let fleet = name("home");
        let node = Role::Node {
            cluster: name("hk1"),
            node: name("prox1"),
        };
        assert_eq!(node.uri(&fleet), "quorate://home/node/hk1/prox1");
        assert_eq!(node.dns_name(&fleet).unwrap(), "prox1.hk1.node.home.quorate.internal");
        assert_eq!(Role::Coordinator.uri(&fleet), "quorate://home/coordinator");
        assert_eq!(
            Role::Coordinator.dns_name(&fleet).unwrap(),
            "coordinator.home.quorate.internal"
        );
        assert_eq!(
            Role::Operator {
                name: name("anna"),
                scope: Scope::Fleet
            }
            .uri(&fleet),
            "quorate://home/operator/anna"
        );
        assert_eq!(
            Role::Viewer {
                name: name("tv"),
                scope: Scope::Fleet
            }
            .dns_name(&fleet),
            None
        );
    }

    #[test]
    fn no_role_hides_in_odd_spellings() {
        let two = Role::Operator {
            name: name("anna"),
            scope: Scope::of([name("hk2"), name("hk1")]),
        };
        assert_eq!(two.uri(&name("home")), "quorate://home/operator/anna/hk1,hk2");
        for odd in [
            "quorate://home/operator/anna/hk2,hk1",
            "quorate://home/operator/anna/hk1,hk1",
            "quorate://home/operator/anna/hk1/hk2",
            "quorate://home/Coordinator",
            "quorate://home/coordinator/",
            "quorate://home//coordinator",
            "quorate://home/node/hk1",
            "quorate://home/node/hk1/prox1/x",
            "quorate://home/admin/anna",
            "quorate://home",
            "QUORATE://home/coordinator",
        ] {
            assert!(matches!(parse_uri(odd), Err(RoleError::Unknown { .. })), "{odd}");
            assert!(is_quorate_uri(odd), "{odd} must count as one of our names");
        }
        assert!(matches!(
            parse_uri("quorate://home/operator/"),
            Err(RoleError::BadName { .. })
        ));
        assert!(matches!(
            parse_uri("quorate://home/operator/anna/"),
            Err(RoleError::BadName { .. })
        ));
        assert!(matches!(
            parse_uri("quorate://ho.me/coordinator"),
            Err(RoleError::BadName { .. })
        ));
    }
}
