//! Writing PEM. Reading is done by `rustls-pki-types`.

use data_encoding::BASE64;
use zeroize::Zeroizing;

pub(crate) const CERTIFICATE: &str = "CERTIFICATE";
pub(crate) const PRIVATE_KEY: &str = "PRIVATE KEY";

/// One PEM section. The text is wiped when dropped, since it may be a key.
pub(crate) fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(BASE64.encode(der));
    // Sized beforehand: a string that grows leaves copies of a key behind.
    let mut text = Zeroizing::new(String::with_capacity(
        body.len() + body.len() / 64 + 2 * label.len() + 40,
    ));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    for (index, character) in body.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text.push_str("\n-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}
