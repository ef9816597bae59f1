//! What each kind of certificate looks like: validity, names, purposes. The one place with rcgen settings.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    KeyUsagePurpose, NameConstraints, SanType, SerialNumber, date_time_ymd,
};

use crate::key::{KeyError, random};
use crate::names::Name;
use crate::role::{Role, issuing_uri, node_domain, root_uri};
use crate::time::UnixSeconds;

/// Certificates start this much before they are made, since the clock of whoever checks them may be behind. Clocks that are minutes apart are borne
/// everywhere else (PVE's own tickets bear five minutes), so that five minutes here would be an edge that moves with the delay of a request; an hour is
/// one that is met only by a clock that is wrong altogether, such as one in another time zone. It gives nobody anything: a certificate that counts an
/// hour earlier did not exist then, and one that is revoked is refused whatever its dates. Its end stays where it is.
pub(crate) const BACKDATE: u64 = 60 * 60;
const DAY: u64 = 86_400;
/// Life of the root and of the issuing CA.
pub(crate) const CA_LIFE: u64 = 3_653 * DAY;
/// Life of a node's certificate.
pub(crate) const NODE_LIFE: u64 = 90 * DAY;
/// Life of a coordinator's, an operator's or a viewer's certificate.
pub(crate) const LEAF_LIFE: u64 = 365 * DAY;

/// Why the parameters of a certificate could not be put together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the certificate could not be written")]
    Encoding(#[from] rcgen::Error),
}

/// The root CA. At most one CA may stand between it and a leaf.
pub(crate) fn root(fleet: &Name, now: UnixSeconds) -> Result<CertificateParams, ProfileError> {
    let mut params = base(fleet, "Quorate root", &root_uri(fleet), now, now + CA_LIFE)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// The issuing CA: no further CA below it, and DNS names only within the nodes' subtree.
///
/// It carries no extended key usage, although it signs servers only: TLS would then refuse a command certificate forged
/// with its key as "wrong purpose", and the finding would not say that the issuing CA's key is in wrong hands.
pub(crate) fn issuing(fleet: &Name, now: UnixSeconds, end: UnixSeconds) -> Result<CertificateParams, ProfileError> {
    let mut params = base(fleet, "Quorate issuing", &issuing_uri(fleet), now, end)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // rcgen marks the constraint critical. It binds DNS names; URI names beside them are left to the check of the role.
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName(node_domain(fleet))],
        excluded_subtrees: Vec::new(),
    });
    Ok(params)
}

/// The certificate of a role. `issuer_end`: no certificate outlives its issuer.
pub(crate) fn leaf(
    fleet: &Name,
    role: &Role,
    now: UnixSeconds,
    issuer_end: UnixSeconds,
) -> Result<CertificateParams, ProfileError> {
    let life = if matches!(role, Role::Node { .. }) {
        NODE_LIFE
    } else {
        LEAF_LIFE
    };
    let mut params = base(
        fleet,
        role.short_name(),
        &role.uri(fleet),
        now,
        issuer_end.min(now + life),
    )?;
    if let Some(dns) = role.dns_name(fleet) {
        params.subject_alt_names.push(SanType::DnsName(dns.try_into()?));
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    if role.serves() {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    if role.connects() {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
    }
    Ok(params)
}

fn base(
    fleet: &Name,
    common_name: &str,
    uri: &str,
    now: UnixSeconds,
    end: UnixSeconds,
) -> Result<CertificateParams, ProfileError> {
    let epoch = date_time_ymd(1970, 1, 1);
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, fleet.as_str());
    subject.push(DnType::CommonName, common_name);

    let mut params = CertificateParams::default();
    params.not_before = epoch + Duration::from_secs(now.saturating_sub(BACKDATE));
    params.not_after = epoch + Duration::from_secs(end);
    params.serial_number = Some(SerialNumber::from_slice(&serial()?));
    params.distinguished_name = subject;
    params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// 128 random bits. The first two are fixed to 01, so that the number is positive and always 16 bytes long.
fn serial() -> Result<[u8; 16], KeyError> {
    let mut bytes: [u8; 16] = random()?;
    if let Some(first) = bytes.first_mut() {
        *first = *first & 0x3f | 0x40;
    }
    Ok(bytes)
}
