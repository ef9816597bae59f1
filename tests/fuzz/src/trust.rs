//! Certificates, keys, tokens, lists of revocations, sealed files.

use std::fmt::Debug;

use quorate_identity::{
    Certificate, Fingerprint, Identity, Name, OperatorBundle, Passphrase, PrivateKey, RevocationList, Role, RootCa,
    Roots, Serial, StoredToken, Token, make_key_and_csr, public_key_of, unseal,
};

use crate::{Target, Told, streams, text};

/// What a passphrase is stretched with at most here: what a file may ask for takes seconds, and the fuzzer's time is short.
const MOST_WORK: u8 = 4;

fn told<T: Debug + 'static, E: std::fmt::Display>(read: Result<T, E>) -> Told {
    Box::new(read.map_err(|error| error.to_string()))
}

pub(crate) const TARGETS: &[Target] = &[
    Target::new("certificate-der", |bytes| {
        let read = Certificate::from_der(bytes);
        if let Ok(certificate) = &read {
            let again = Certificate::all_from_pem(&certificate.to_pem()).map(|all| all.len());
            assert!(matches!(again, Ok(1)), "{again:?}");
        }
        told(read.map(|certificate| {
            let dates = (
                certificate.not_before(),
                certificate.not_after(),
                certificate.renewal_due_at(),
            );
            (certificate.serial().clone(), certificate.fingerprint(), dates)
        }))
    }),
    Target::new("certificate-pem", |bytes| {
        told(Certificate::all_from_pem(&text(bytes)).map(|all| all.len()))
    }),
    Target::new("csr", |bytes| told(public_key_of(bytes).map(|_| "a key"))),
    Target::new("fingerprint", |bytes| {
        let read = text(bytes).parse::<Fingerprint>();
        if let Ok(fingerprint) = &read {
            assert_eq!(
                fingerprint.to_string().parse::<Fingerprint>().as_ref().ok(),
                Some(fingerprint)
            );
        }
        told(read)
    }),
    Target::both("identity", |bytes| {
        let (chain, key) = streams(bytes);
        told(Identity::from_pem(&chain, &key).map(|identity| identity.role().clone()))
    }),
    Target::new("name", |bytes| told(Name::parse(&text(bytes)))),
    Target::new("operator-bundle", |bytes| {
        told(OperatorBundle::from_pem(&text(bytes)).map(|bundle| bundle.identity().role().clone()))
    }),
    Target::new("private-key", |bytes| {
        told(PrivateKey::from_pem(&text(bytes)).map(|_| "a key"))
    }),
    Target::json("revocation-list", |bytes| {
        let read = serde_json::from_slice::<RevocationList>(bytes);
        if let Ok(list) = &read {
            let again = serde_json::to_vec(list).and_then(|text| serde_json::from_slice::<RevocationList>(&text));
            assert_eq!(again.ok().map(|again| again.digest()), Some(list.digest()));
        }
        told(read)
    }),
    Target::new("roots", |bytes| {
        told(Roots::from_pem(&text(bytes)).map(|roots| roots.certificates().len()))
    }),
    Target::new("sealed", sealed),
    Target::new("serial", |bytes| told(text(bytes).parse::<Serial>())),
    Target::json("stored-token", |bytes| {
        told(serde_json::from_slice::<StoredToken>(bytes))
    }),
    Target::new("token", |bytes| {
        let read = text(bytes).parse::<Token>();
        if let Ok(token) = &read {
            assert!(token.stored().matches(token));
            assert!(token.to_text().parse::<Token>().is_ok(), "what is shown is taken");
        }
        told(read.map(|token| token.root()))
    }),
];

/// Seeds that hold keys: made when they are needed, since keys lie in no repository.
pub(crate) fn made(name: &str) -> Vec<Vec<u8>> {
    // The replay misses what could not be made, and says so.
    certificates(name).unwrap_or_default()
}

fn certificates(name: &str) -> Result<Vec<Vec<u8>>, Box<dyn std::error::Error>> {
    const NOW: u64 = 1_795_345_772;
    let root = RootCa::create(&Name::parse("home")?, NOW)?;
    let anna = || {
        root.issue(
            &Role::Operator {
                name: Name::parse("anna")?,
                scope: quorate_identity::Scope::default(),
            },
            NOW,
        )
        .map_err(Box::<dyn std::error::Error>::from)
    };
    let roots = || Roots::new(vec![root.certificate().clone()]);
    let chain = |identity: &Identity| format!("{}\0{}", identity.chain_pem(), identity.key().to_pem().as_str());
    Ok(match name {
        "certificate-der" => vec![root.certificate().der().to_vec(), anna()?.certificate().der().to_vec()],
        "certificate-pem" | "roots" => vec![roots()?.to_pem().into_bytes()],
        "csr" => vec![make_key_and_csr()?.1],
        "identity" => vec![chain(&anna()?).into_bytes()],
        "operator-bundle" => vec![OperatorBundle::new(anna()?, roots()?)?.to_pem().as_bytes().to_vec()],
        "private-key" => vec![PrivateKey::generate()?.to_pem().as_bytes().to_vec()],
        "token" => vec![Token::generate(root.certificate())?.to_text().as_bytes().to_vec()],
        _ => Vec::new(),
    })
}

fn sealed(bytes: &[u8]) -> Told {
    // `-> scrypt SALT WORK`
    let work = text(bytes)
        .lines()
        .nth(1)
        .and_then(|line| line.rsplit(' ').next()?.parse::<u8>().ok());
    if work.is_some_and(|work| work > MOST_WORK) {
        return Box::new("asks for more work than there is time for");
    }
    let Some(passphrase) = Passphrase::new("correct horse battery".to_owned().into()) else {
        return Box::new("no passphrase");
    };
    told(unseal(bytes, &passphrase).map(|plain| plain.len()))
}
