//! Node certificates are renewed from two thirds of their life on, over the channel that the old one still opens.

use std::sync::Arc;
use std::time::Duration;

use quorate_identity::{Certificate, IssuingCa, Role, public_key_of};
use quorate_proto::v1;

use super::Fleet;
use super::call::within;
use super::peer::Peer;
use crate::ca::Ca;
use crate::trust::{self, sentence};

/// How often certificates are looked at. A third of their life is left for trying.
const EVERY: Duration = Duration::from_secs(15 * 60);

/// Renews for ever what is due. Whoever started it cancels it.
pub(crate) async fn keep_renewed(fleet: Arc<Fleet>, ca: Arc<Ca>) {
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tick.tick().await;
        for peer in fleet.peers() {
            let due = fleet
                .registry
                .node(&peer.name)
                .and_then(|node| node.certificates.last().cloned());
            if due.is_some_and(|issued| trust::unix_seconds(&fleet.clock) >= issued.renewal_due_at) {
                let now = ca.now();
                match renew(&fleet, &peer, &now.issuing, now.roots.certificates()).await {
                    Ok(()) => tracing::info!(node = %peer.name, "certificate renewed"),
                    // What is not reached now is reached a quarter of an hour later; status shows the end of validity.
                    Err(reason) => tracing::warn!(node = %peer.name, reason, "can't renew the certificate yet"),
                }
            }
        }
    }
}

/// Gives a node a new certificate, and these roots to trust from then on.
pub(crate) async fn renew(
    fleet: &Fleet,
    peer: &Peer,
    issuing: &IssuingCa,
    roots: &[Certificate],
) -> Result<(), String> {
    let request = v1::RenewalRequestRequest {};
    let reply = within(peer.quick(), &peer.name, peer.client().renewal_request(request))
        .await
        .map_err(|error| error.to_string())?;
    let key = public_key_of(&reply.csr_der).map_err(|error| sentence(&error))?;
    let role: Role = fleet.role(&peer.name)?;
    let now = trust::unix_seconds(&fleet.clock);
    let chain = issuing.sign(&role, &key, now).map_err(|error| sentence(&error))?;
    let leaf = chain.first().ok_or("the issuing CA gave nothing")?;
    // In the books before it leaves: what may be out there must be known, so that it can be revoked.
    fleet
        .registry
        .issued(&peer.name, leaf, now)
        .map_err(|error| sentence(&error))?;
    let request = v1::InstallCertificateRequest {
        chain_der: chain.iter().map(|certificate| certificate.der().to_vec()).collect(),
        roots_der: roots.iter().map(|certificate| certificate.der().to_vec()).collect(),
    };
    within(peer.quick(), &peer.name, peer.client().install_certificate(request))
        .await
        .map(drop)
        .map_err(|error| error.to_string())
}
