//! TLS to somebody else's service, for the rows that a probe writes into a database: with nobody's certificate looked at, or with one that a
//! given CA has issued. Nothing of the fleet is ever said over such a connection, and none of its certificates is shown.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::ClientStream;
use super::material::{MaterialError, provider};
use super::unverified::Anybody;
use crate::certificate::Certificate;
use crate::time::TimeSource;

/// What the other end's certificate has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Whatever it is.
    Nothing,
    /// One of these, or one that one of these has issued, whatever name it is for.
    Authority(Vec<Certificate>),
    /// The same, and for the name or address that is called.
    AuthorityAndName(Vec<Certificate>),
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum ServiceTlsError {
    /// The connection below broke.
    #[error("the connection broke before TLS was agreed")]
    Network(#[source] io::Error),
    /// The two ends found no way, or the certificate is not what it has to be: as the TLS library says it.
    #[error("{0}")]
    Refused(String),
}

/// Makes TLS connections to one service. Versions 1.2 and 1.3.
#[derive(Debug, Clone)]
pub struct ServiceTls(Arc<ClientConfig>);

impl ServiceTls {
    /// Asks for this proof, at the times that `time` tells.
    ///
    /// # Errors
    /// One of the certificates is none that anything can be proved by.
    pub fn new(proof: Proof, time: TimeSource) -> Result<Self, MaterialError> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        let verifier: Arc<dyn ServerCertVerifier> = match proof {
            Proof::Nothing => Arc::new(Anybody(algorithms)),
            Proof::Authority(trusted) => Arc::new(Issued::new(trusted, false, algorithms)?),
            Proof::AuthorityAndName(trusted) => Arc::new(Issued::new(trusted, true, algorithms)?),
        };
        let mut config = ClientConfig::builder_with_details(provider(), Arc::new(time))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        // Each probe is a caller of its own, and a resumed session would skip the look at the certificate.
        config.resumption = Resumption::disabled();
        Ok(Self(Arc::new(config)))
    }

    /// Shakes hands over a connection. `host`: the name or address under which it was called. How long it may take is the caller's.
    ///
    /// # Errors
    /// There is no handshake.
    pub async fn connect<S>(&self, stream: S, host: &str) -> Result<ClientStream<S>, ServiceTlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| ServiceTlsError::Refused(format!("`{host}` is no name that a certificate could be for")))?;
        let shaken = TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await;
        shaken.map_err(
            |error| match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
                Some(said) => ServiceTlsError::Refused(said.to_string()),
                None => ServiceTlsError::Network(error),
            },
        )
    }
}

/// Takes a certificate that is one of the given ones, or that one of those has issued.
#[derive(Debug)]
struct Issued {
    given: Vec<Certificate>,
    roots: RootCertStore,
    name_counts: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Issued {
    fn new(
        given: Vec<Certificate>,
        name_counts: bool,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<Self, MaterialError> {
        let mut roots = RootCertStore::empty();
        for certificate in &given {
            roots.add(certificate.to_tls())?;
        }
        Ok(Self {
            given,
            roots,
            name_counts,
            algorithms,
        })
    }

    /// A certificate that issued itself is made as a CA's by most recipes, and no library takes a CA's certificate for a server's. Who names
    /// exactly this one means it: that it is the same, and is valid now, is enough.
    fn is_given(&self, shown: &CertificateDer<'_>, now: UnixTime) -> Option<Result<(), Error>> {
        let given = self.given.iter().find(|given| given.der() == shown.as_ref())?;
        let judged = if now.as_secs() < given.not_before() {
            Err(CertificateError::NotValidYet)
        } else if now.as_secs() > given.not_after() {
            Err(CertificateError::Expired)
        } else {
            Ok(())
        };
        Some(judged.map_err(Error::from))
    }
}

impl ServerCertVerifier for Issued {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = ParsedCertificate::try_from(end_entity)?;
        match self.is_given(end_entity, now) {
            Some(judged) => judged?,
            None => {
                verify_server_cert_signed_by_trust_anchor(&shown, &self.roots, intermediates, now, self.algorithms.all)?
            }
        }
        if self.name_counts {
            verify_server_name(&shown, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
