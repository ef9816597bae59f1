//! The certificate that a node's API shows, for the one thing that a joining server needs of it.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};

use crate::ParseError;

const NAME: &str = "the certificate of the API";

/// Files below a node's folder that hold it: the first one that exists is shown. Source: what
/// `pve_fp` of PVE's join information is made of.
pub const FILES: [&str; 2] = ["pveproxy-ssl.pem", "pve-ssl.pem"];

/// SHA-256 of the first certificate in such a file, which is the node's own: 32 pairs of hexadecimal digits with colons, as PVE writes
/// it and takes it.
///
/// # Errors
/// There is no certificate in it.
pub fn fingerprint(pem: &str) -> Result<String, ParseError> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes());
    let der = der.map_err(|_| ParseError::missing(NAME, "no PEM section \"BEGIN CERTIFICATE\" that can be read"))?;
    let pairs: Vec<String> = Sha256::digest(&der).iter().map(|byte| format!("{byte:02X}")).collect();
    Ok(pairs.join(":"))
}

/// 32 pairs of hexadecimal digits, parted by colons: what `pvecm add --fingerprint` accepts.
#[must_use]
pub fn is_fingerprint(text: &str) -> bool {
    let pair = |pair: &str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split(':').count() == 32 && text.split(':').all(pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = fixture!("openssl/3.0/node.pem");

    #[test]
    fn it_is_what_openssl_prints() {
        let printed = fixture!("openssl/3.0/node-fingerprint.out").trim_end();
        let expected = printed.strip_prefix("sha256 Fingerprint=").unwrap();
        assert_eq!(fingerprint(NODE).unwrap(), expected);
        assert!(is_fingerprint(expected));
        // Whatever stands around it, and whoever signed it: the first one is the node's own.
        let chain =
            format!("subject=CN = prox1\n{NODE}\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        assert_eq!(fingerprint(&chain).unwrap(), expected);
    }

    #[test]
    fn what_holds_none_is_an_error_that_shows_nothing_of_it() {
        let key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
        for text in ["", "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n", key] {
            let error = fingerprint(text).unwrap_err().to_string();
            assert!(
                error.contains("no PEM section") && !error.contains("c2VjcmV0"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_fingerprint_is_32_pairs() {
        let good = ["0f"; 32].join(":");
        assert!(is_fingerprint(&good));
        for bad in [
            "",
            "0f",
            &good.replace(':', ""),
            &good.replace("0f", "0g"),
            &format!("{good}:0f"),
        ] {
            assert!(!is_fingerprint(bad), "{bad}");
        }
    }
}
