//! The calls to one node with which the network is measured.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use quorate_model::measurement::PairMeasurement;
use quorate_model::{Facet, Unknown, UnknownKind};
use quorate_proto::{Wire, field, limits, v1};

use super::Peer;
use super::call::within;

/// A node's open end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Echo {
    pub(crate) port: u16,
    pub(crate) mtu: u32,
}

/// By link: this node's address, and the addresses at the other ends.
pub(crate) type EchoLinks = BTreeMap<u8, (IpAddr, BTreeSet<IpAddr>)>;

impl Peer {
    /// Opens a node's ends of links for a while.
    pub(crate) async fn open_echo(
        &self,
        key: &[u8],
        lasts: Duration,
        links: &EchoLinks,
    ) -> Result<BTreeMap<u8, Result<Echo, Unknown>>, Unknown> {
        let link = |(number, (local, peers)): (&u8, &(IpAddr, BTreeSet<IpAddr>))| v1::EchoLink {
            link: (*number).into(),
            local: local.to_string(),
            peers: peers.iter().map(ToString::to_string).collect(),
        };
        let request = v1::OpenEchoRequest {
            key: key.to_vec(),
            seconds: u32::try_from(lasts.as_secs()).unwrap_or(u32::MAX),
            links: links.iter().map(link).collect(),
        };
        let call = within(limits::ECHO_TIMEOUT, &self.name, self.client().open_echo(request)).await;
        let reply = call.map_err(|error| error.unknown())?;
        let read = |socket: v1::EchoSocket| {
            let state = match socket.state {
                Some(v1::echo_socket::State::Ready(ready)) => Ok(Echo {
                    port: field("port", ready.port)?,
                    mtu: ready.mtu,
                }),
                Some(v1::echo_socket::State::Unknown(unknown)) => Err(Unknown::from_wire(unknown)?),
                None => Err(Unknown::new(UnknownKind::Failed, "the agent does not say why")),
            };
            Ok((field("link", socket.link)?, state))
        };
        let sockets = reply.sockets.into_iter().map(read).collect::<Result<_, _>>();
        sockets.map_err(|error: quorate_proto::ConvertError| garbled(&error))
    }

    /// Has a node measure the way to others: link, address, port. In the order of the targets.
    pub(crate) async fn measure(
        &self,
        key: &[u8],
        targets: &[(u8, IpAddr, u16)],
        packets: u32,
        every: Duration,
    ) -> Result<Vec<Facet<PairMeasurement>>, Unknown> {
        let target = |(link, remote, port): &(u8, IpAddr, u16)| v1::EchoTarget {
            link: (*link).into(),
            remote: remote.to_string(),
            port: (*port).into(),
        };
        let request = v1::MeasureRequest {
            key: key.to_vec(),
            targets: targets.iter().map(target).collect(),
            packets,
            interval_micros: u32::try_from(every.as_micros()).unwrap_or(u32::MAX),
        };
        let deadline = every.saturating_mul(packets) + limits::ECHO_TIMEOUT;
        let call = within(deadline, &self.name, self.client().measure(request)).await;
        let reply = call.map_err(|error| error.unknown())?;
        let measured: Vec<Facet<PairMeasurement>> =
            field("measured", reply.measured).map_err(|error| garbled(&error))?;
        if measured.len() != targets.len() {
            let reason = format!("the agent answered {} of {} questions", measured.len(), targets.len());
            return Err(Unknown::new(UnknownKind::Unparsable, reason));
        }
        Ok(measured)
    }

    /// Ends it before its time. Whom this does not reach ends by himself.
    pub(crate) async fn close_echo(&self, key: &[u8]) {
        let request = v1::CloseEchoRequest { key: key.to_vec() };
        within(limits::ECHO_TIMEOUT, &self.name, self.client().close_echo(request))
            .await
            .ok();
    }
}

fn garbled(error: &quorate_proto::ConvertError) -> Unknown {
    Unknown::new(
        UnknownKind::Unparsable,
        format!("the answer can't be understood: {error}"),
    )
}
