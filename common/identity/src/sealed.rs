//! Files under a passphrase, in the format of age version 1 (age-encryption.org/v1, with its `scrypt` recipient): what is
//! sealed here can be opened with `age --decrypt` on any machine, also if this program is lost.
//!
//! ```text
//! passphrase ──scrypt──▶ wrapping key ──opens──▶ file key ──HKDF──▶ key of the header's HMAC
//!                                                         └──HKDF──▶ payload key: ChaCha20-Poly1305 in chunks of 64 KiB,
//!                                                                    each with its number and whether it is the last
//! ```
//!
//! The primitives are ring's and the scrypt crate's; here is only how they are put together.

use data_encoding::BASE64_NOPAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::{hkdf, hmac};
use zeroize::Zeroizing;

use crate::key::random;
use crate::passphrase::Passphrase;

const VERSION: &str = "age-encryption.org/v1";
const LABEL: &[u8] = b"age-encryption.org/v1/scrypt";

/// scrypt's N = 2^17, r = 8, p = 1: 128 MiB and about half a second, each time that somebody guesses.
const WORK: u8 = 17;

/// What others may have chosen: a gigabyte. More would be an attack on whoever opens the file.
const MOST_WORK: u8 = 20;

const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
const FILE_KEY: usize = 16;

/// Why something can't be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The system gave no random bytes.
    #[error("the system's random source failed")]
    Random,
    /// Not such a file, or sealed in another way.
    #[error("it is not a file that is sealed with a passphrase: {0}")]
    NotSealed(&'static str),
    /// The passphrase does not open it.
    #[error("the passphrase does not open it")]
    WrongPassphrase,
    /// Opened, but not what was sealed.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
}

/// Seals bytes under a passphrase. Takes about half a second, on purpose.
///
/// # Errors
/// The system's random source failed.
pub fn seal(plain: &[u8], passphrase: &Passphrase) -> Result<Vec<u8>, SealError> {
    seal_with(plain, passphrase, WORK)
}

fn seal_with(plain: &[u8], passphrase: &Passphrase, work: u8) -> Result<Vec<u8>, SealError> {
    let file_key = Zeroizing::new(random::<FILE_KEY>().map_err(|_| SealError::Random)?);
    let salt: [u8; 16] = random().map_err(|_| SealError::Random)?;
    let nonce: [u8; 16] = random().map_err(|_| SealError::Random)?;
    let mut wrapped = file_key.to_vec();
    wrapping_key(passphrase, &salt, work)?
        .seal_in_place_append_tag(nonce_of(0, false), Aad::empty(), &mut wrapped)
        .map_err(|_| SealError::Random)?;
    let header = format!(
        "{VERSION}\n-> scrypt {} {work}\n{}\n---",
        BASE64_NOPAD.encode(&salt),
        BASE64_NOPAD.encode(&wrapped)
    );
    let mac = hmac::sign(&mac_key(&file_key)?, header.as_bytes());
    let mut sealed = format!("{header} {}\n", BASE64_NOPAD.encode(mac.as_ref())).into_bytes();
    sealed.extend(nonce);
    let key = payload_key(&file_key, &nonce)?;
    let chunks = plain.len().div_ceil(CHUNK).max(1);
    for number in 0..chunks {
        let start = number * CHUNK;
        let end = plain.len().min(start + CHUNK);
        let mut chunk = plain.get(start..end).unwrap_or_default().to_vec();
        key.seal_in_place_append_tag(nonce_of(number, number + 1 == chunks), Aad::empty(), &mut chunk)
            .map_err(|_| SealError::Random)?;
        sealed.extend(chunk);
    }
    Ok(sealed)
}

/// Opens what was sealed, whole or not at all. Takes about half a second, on purpose.
///
/// # Errors
/// It is no such file, the passphrase is wrong, or it is damaged.
pub fn unseal(sealed: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let header = Header::read(sealed)?;
    let mut wrapped = Zeroizing::new(header.wrapped.clone());
    let file_key = wrapping_key(passphrase, &header.salt, header.work)?
        .open_in_place(nonce_of(0, false), Aad::empty(), &mut wrapped)
        .map_err(|_| SealError::WrongPassphrase)?;
    let file_key: Zeroizing<[u8; FILE_KEY]> = Zeroizing::new(
        (&*file_key)
            .try_into()
            .map_err(|_| SealError::NotSealed("its key has another length"))?,
    );
    hmac::verify(&mac_key(&file_key)?, header.signed, &header.mac)
        .map_err(|_| SealError::Damaged("its header was changed"))?;
    let (nonce, body) = header
        .rest
        .split_first_chunk::<16>()
        .ok_or(SealError::Damaged("it is cut short"))?;
    let key = payload_key(&file_key, nonce)?;
    let mut plain = Zeroizing::new(Vec::with_capacity(body.len()));
    let chunks: Vec<&[u8]> = body.chunks(CHUNK + TAG).collect();
    if chunks.is_empty() {
        return Err(SealError::Damaged("it is cut short"));
    }
    for (number, chunk) in chunks.iter().enumerate() {
        let mut chunk = Zeroizing::new(chunk.to_vec());
        let opened = key
            .open_in_place(nonce_of(number, number + 1 == chunks.len()), Aad::empty(), &mut chunk)
            .map_err(|_| SealError::Damaged("a part of it was changed, or its end is missing"))?;
        plain.extend_from_slice(opened);
    }
    Ok(plain)
}

struct Header<'a> {
    salt: [u8; 16],
    work: u8,
    wrapped: Vec<u8>,
    /// What the HMAC covers.
    signed: &'a [u8],
    mac: Vec<u8>,
    rest: &'a [u8],
}

impl<'a> Header<'a> {
    fn read(sealed: &'a [u8]) -> Result<Self, SealError> {
        let bad = SealError::NotSealed;
        let mut from = 0;
        let mut line = || {
            let rest = sealed.get(from..).unwrap_or_default();
            // No line of a header with one scrypt recipient is anywhere near as long.
            let end = rest.iter().take(200).position(|byte| *byte == b'\n')?;
            let text = std::str::from_utf8(rest.get(..end)?).ok()?;
            from += end + 1;
            Some((text, from))
        };
        let (version, _) = line().ok_or(bad("it does not begin as one"))?;
        if version != VERSION {
            return Err(bad("it does not begin as one"));
        }
        let (stanza, _) = line().ok_or(bad("its header is cut short"))?;
        let mut words = stanza
            .strip_prefix("-> scrypt ")
            .ok_or(bad("it needs a key"))?
            .split(' ');
        let (salt, work) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let salt = BASE64_NOPAD
            .decode(salt.as_bytes())
            .ok()
            .and_then(|salt| salt.try_into().ok());
        let work = work.parse::<u8>().ok().filter(|work| (1..=MOST_WORK).contains(work));
        let (body, _) = line().ok_or(bad("its header is cut short"))?;
        let (end, rest) = line().ok_or(bad("its header is cut short"))?;
        let mac = end.strip_prefix("--- ").ok_or(bad("it has several recipients"))?;
        let decode = |text: &str| {
            BASE64_NOPAD
                .decode(text.as_bytes())
                .map_err(|_| bad("its header can't be read"))
        };
        Ok(Self {
            salt: salt.ok_or(bad("its header can't be read"))?,
            work: work.ok_or(bad("it asks for too much work"))?,
            wrapped: decode(body)?,
            signed: sealed.get(..rest - end.len() - 1 + 3).unwrap_or_default(),
            mac: decode(mac)?,
            rest: sealed.get(rest..).unwrap_or_default(),
        })
    }
}

fn wrapping_key(passphrase: &Passphrase, salt: &[u8; 16], work: u8) -> Result<LessSafeKey, SealError> {
    let params = scrypt::Params::new(work, 8, 1, 32).map_err(|_| SealError::NotSealed("it asks for too much work"))?;
    let mut key = Zeroizing::new([0; 32]);
    let salt = [LABEL, salt].concat();
    scrypt::scrypt(passphrase.as_bytes(), &salt, &params, &mut *key)
        .map_err(|_| SealError::NotSealed("its key can't be made"))?;
    cipher(&key)
}

fn payload_key(file_key: &[u8; FILE_KEY], nonce: &[u8; 16]) -> Result<LessSafeKey, SealError> {
    cipher(&*derive(file_key, nonce, b"payload")?)
}

fn mac_key(file_key: &[u8; FILE_KEY]) -> Result<hmac::Key, SealError> {
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &*derive(file_key, &[], b"header")?))
}

fn derive(file_key: &[u8; FILE_KEY], salt: &[u8], info: &[u8]) -> Result<Zeroizing<[u8; 32]>, SealError> {
    let mut key = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(file_key)
        .expand(&[info], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut *key))
        .map_err(|_| SealError::NotSealed("its key can't be made"))?;
    Ok(key)
}

fn cipher(key: &[u8; 32]) -> Result<LessSafeKey, SealError> {
    UnboundKey::new(&CHACHA20_POLY1305, key)
        .map(LessSafeKey::new)
        .map_err(|_| SealError::NotSealed("its key can't be made"))
}

/// Eleven bytes of the chunk's number, and one that says whether it is the last.
fn nonce_of(number: usize, last: bool) -> Nonce {
    let mut bytes = [0; 12];
    let counted = (number as u64).to_be_bytes();
    for (place, byte) in bytes.iter_mut().skip(3).zip(counted) {
        *place = byte;
    }
    if let Some(flag) = bytes.last_mut() {
        *flag = u8::from(last);
    }
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.to_owned().into()).unwrap()
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        seal_with(plain, &passphrase("correct horse battery"), 2).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_again_at_every_length() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let plain: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let opened = unseal(&sealed(&plain), &passphrase("correct horse battery")).unwrap();
            assert_eq!(*opened, plain, "{length}");
        }
    }

    #[test]
    fn no_changed_bit_no_cut_and_no_other_passphrase_opens_it() {
        let whole = sealed(b"the fleet's keys");
        assert!(matches!(
            unseal(&whole, &passphrase("wrong")),
            Err(SealError::WrongPassphrase)
        ));
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(
                unseal(&damaged, &passphrase("correct horse battery")).is_err(),
                "bit {bit}"
            );
        }
        for length in 0..whole.len() {
            assert!(
                unseal(&whole[..length], &passphrase("correct horse battery")).is_err(),
                "cut at {length}"
            );
        }
        let long = sealed(&vec![7; 3 * CHUNK]);
        let chunk = CHUNK + TAG;
        assert!(
            unseal(&long[..long.len() - chunk], &passphrase("correct horse battery")).is_err(),
            "a whole chunk"
        );
    }

    /// Made by the age library for Rust, version 0.11.5, with work factor 2.
    #[test]
    fn files_of_others_open() {
        let file = include_bytes!("tests/sealed.age");
        let opened = unseal(file, &passphrase("correct horse battery")).unwrap();
        assert_eq!(*opened, b"sealed by another program\n".to_vec());
    }

    #[test]
    fn what_asks_for_too_much_work_is_not_even_tried() {
        let text = String::from_utf8_lossy(&sealed(b"x")).into_owned();
        let greedy = text.replacen(" 2\n", " 30\n", 1);
        assert!(matches!(
            unseal(greedy.as_bytes(), &passphrase("correct horse battery")),
            Err(SealError::NotSealed("it asks for too much work"))
        ));
    }
}
