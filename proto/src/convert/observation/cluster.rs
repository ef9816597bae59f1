//! Membership, votes, links.

use quorate_model::observation::cluster::{
    Cluster, ConfiguredNode, Link, Member, MemberNode, Membership, Pmxcfs, Votes,
};

use super::{ConvertError, Wire, field};
use crate::v1;

facet!(Cluster = v1::ClusterFacet: v1::cluster_facet::State);
message!(
    Cluster = v1::Cluster {
        membership,
        pmxcfs,
        authkey_present,
        local_config_present
    }
);
choice!(
    Pmxcfs = v1::cluster::Pmxcfs {
        Writable,
        ReadOnly,
        NotMounted
    }
);
oneof!(Membership = v1::Membership [membership: v1::membership::Membership] {
    standalone: Standalone {} = v1::Standalone,
} holding { member: Member });
message!(
    Member = v1::Member {
        cluster,
        running_version,
        file_version,
        quorate,
        nodes,
        configured,
        qdevice,
        votes,
        links,
    }
);
message!(
    MemberNode = v1::MemberNode {
        name,
        id,
        online,
        address
    }
);
message!(
    ConfiguredNode = v1::ConfiguredNode {
        name,
        id,
        votes,
        addresses
    }
);
facet!(Votes = v1::VotesFacet: v1::votes_facet::State);
message!(
    Votes = v1::Votes {
        expected,
        highest_expected,
        total,
        quorum,
        quorate,
        flags
    }
);
facet!(Vec<Link> = v1::LinksFacet: v1::links_facet::State);
list!(Link = v1::Links { links });
message!(
    Link = v1::Link {
        peer,
        number,
        local,
        remote,
        enabled,
        connected,
        mtu
    }
);
