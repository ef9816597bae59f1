//! Who is who in a fleet, and how that is proved.
//!
//! A fleet has one root CA, whose key may be kept offline, and an online issuing CA that may sign certificates of
//! nodes and of nothing else. What a peer *is* stands in its certificate as a URI name
//! (`quorate://FLEET/node/CLUSTER/prox1`, see [`Role`]); what TLS verifies is a DNS name, so that an address may change
//! without a new certificate and no verifier of our own is needed.
//!
//! Everything that knows about certificates, keys and TLS settings is in this crate; others see a [`Peer`], a stream
//! and, when a handshake fails, a [`Refusal`] that says why in an administrator's words.
//!
//! The current time is always given by the caller ([`TimeSource`]), never read here.

mod bootstrap;
mod bundle;
mod ca;
mod certificate;
mod chain;
mod csr;
mod custody;
mod files;
mod fingerprint;
mod issue;
mod key;
mod names;
mod passphrase;
mod pem;
mod revocation;
mod role;
mod sealed;
mod signed;
mod store;
mod time;
mod tls;
mod token;

#[cfg(test)]
mod tests;

pub use bootstrap::{BootstrapError, EnrolmentTls, FirstContact, fetch_root};
pub use bundle::{BundleError, OperatorBundle};
pub use ca::{CaError, IssuingCa, RootCa};
pub use certificate::{Certificate, CertificateError};
pub use chain::{Identity, IdentityError, IssuedBy, LeafError, Peer, Roots, RootsError};
pub use csr::{CsrError, MAX_CSR, PublicKey, make_key_and_csr, public_key_of};
pub use custody::{CustodyError, check_custody};
pub use files::{
    FileError, MAX_SIZE, create_private_dir, read_file, read_secret_file, write_file, write_private_file,
    write_secret_file,
};
pub use fingerprint::{Fingerprint, FingerprintError, Serial};
pub use key::{KeyError, PrivateKey};
pub use names::{Name, NameError};
pub use passphrase::Passphrase;
pub use revocation::{Revocation, RevocationError, RevocationList};
pub use role::{Role, RoleError, Scope};
pub use sealed::{SealError, seal, unseal};
pub use signed::{Accepted, Signable, SignatureError, signer};
pub use store::{CoordinatorStore, NodeStore, StoreError};
pub use time::{TimeSource, UnixSeconds, describe_duration};
pub use tls::{
    ClientStream, ClientTls, Material, MaterialError, PeerComplaint, Proof, Refusal, ServerStream, ServerTls,
    ServiceTls, ServiceTlsError, UnverifiedTls,
};
pub use token::{StoredToken, Token, TokenError};
