//! Membership, votes, links.

use quorate_model::observation::cluster::{
    Cluster, ConfiguredNode, Link, LinkLatency, LinkPings, LocalConfig, Member, MemberNode, Membership,
    MembershipChange, Pmxcfs, QdeviceConfig, QuorumChange, RunningVersion, Totem, VoteRow, Votes,
};

use super::{ConvertError, Wire, field};
use crate::v1;

facet!(Cluster = v1::ClusterFacet: v1::cluster_facet::State);
message!(
    Cluster = v1::Cluster {
        membership,
        pmxcfs,
        authkey_present,
        local_config_present,
        local_config,
        config_lock_age,
        changes,
    }
);
message!(
    MembershipChange = v1::MembershipChange {
        at,
        joined,
        left,
        quorum
    }
);
choice!(QuorumChange = v1::membership_change::Quorum { Gained, Lost });
facet!(Option<LocalConfig> = v1::LocalConfigFacet: v1::local_config_facet::State);
wrapped!(Option<LocalConfig> = v1::MaybeLocalConfig { value });
message!(
    LocalConfig = v1::LocalConfig {
        cluster,
        version,
        nodes
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
        interfaces,
        qdevice,
        running_versions,
        votes,
        links,
        latencies,
        totem,
    }
);
facet!(Totem = v1::TotemFacet: v1::totem_facet::State);
message!(
    Totem = v1::Totem {
        token,
        consensus,
        pings
    }
);
message!(
    LinkPings = v1::LinkPings {
        link,
        interval,
        timeout
    }
);
message!(QdeviceConfig = v1::QdeviceConfig { host, algorithm, votes });
wrapped!(Option<u8> = v1::LinkDefinition { priority });
facet!(Vec<RunningVersion> = v1::RunningVersionsFacet: v1::running_versions_facet::State);
list!(RunningVersion = v1::RunningVersions { versions });
message!(RunningVersion = v1::RunningVersion { id, version });
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
        flags,
        rows,
        device,
    }
);
message!(VoteRow = v1::VoteRow { id, votes, qdevice });
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
facet!(Vec<LinkLatency> = v1::LinkLatenciesFacet: v1::link_latencies_facet::State);
list!(LinkLatency = v1::LinkLatencies { latencies });
message!(
    LinkLatency = v1::LinkLatency {
        peer,
        number,
        average,
        longest,
        shortest,
        samples
    }
);
