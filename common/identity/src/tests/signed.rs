//! Signatures of documents that are kept.

use super::lab::{Fleet, NOW, Signer, node, operator};
use crate::signed::{Accepted, Signable, SignatureError, signer};
use crate::{CoordinatorStore, Identity, Passphrase, RevocationList, Role, Roots};

const WHAT: Signable<'_> = Signable {
    kind: "quorate drill record",
    content: "85042e29",
};

fn checked(what: Signable<'_>, signature: &str, chain: &str, roots: &[Roots], at: u64) -> Result<Role, SignatureError> {
    let accepted = Accepted {
        roots,
        revocations: &RevocationList::default(),
    };
    signer(what, signature, chain, accepted, at).map(|peer| peer.role)
}

#[test]
fn whoever_signed_is_known_as_long_as_the_certificate_is_beside_it() {
    let fleet = Fleet::new();
    let roots = [fleet.roots()];
    let (first, renewed) = (fleet.identity(&Role::Coordinator), fleet.identity(&Role::Coordinator));
    for identity in [&first, &renewed] {
        let signature = identity.sign(WHAT).unwrap();
        assert_eq!(
            checked(WHAT, &signature, &identity.chain_pem(), &roots, NOW),
            Ok(Role::Coordinator)
        );
    }
    let by_node = fleet.identity(&node("prox1"));
    let signature = by_node.sign(WHAT).unwrap();
    assert_eq!(
        checked(WHAT, &signature, &by_node.chain_pem(), &roots, NOW),
        Ok(node("prox1")),
        "who may have signed it is the caller's question"
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let fleet = Fleet::new();
    let roots = [fleet.roots()];
    let (one, other) = (fleet.identity(&Role::Coordinator), fleet.identity(&operator()));
    let (signature, chain) = (one.sign(WHAT).unwrap(), one.chain_pem());
    let seen = |what, signature: &str, chain: &str| checked(what, signature, chain, &roots, NOW).unwrap_err();
    let altered = Signable {
        content: "85042e2a",
        ..WHAT
    };
    let of_another_kind = Signable {
        kind: "quorate audit",
        ..WHAT
    };
    assert_eq!(seen(altered, &signature, &chain), SignatureError::Wrong);
    assert_eq!(seen(of_another_kind, &signature, &chain), SignatureError::Wrong);
    assert_eq!(seen(WHAT, &signature, &other.chain_pem()), SignatureError::Wrong);
    for broken in ["", "AAAA", "no base64!"] {
        assert_eq!(seen(WHAT, broken, &chain), SignatureError::Wrong);
    }
    assert!(matches!(seen(WHAT, &signature, ""), SignatureError::Certificate(_)));
}

#[test]
fn whoever_is_not_of_this_fleet_does_not_count() {
    let (ours, theirs) = (Fleet::new(), Fleet::new());
    let stranger = theirs.identity(&Role::Coordinator);
    let signature = stranger.sign(WHAT).unwrap();
    let seen = |roots: &[Roots]| checked(WHAT, &signature, &stranger.chain_pem(), roots, NOW);
    assert!(matches!(seen(&[ours.roots()]), Err(SignatureError::NotOurs { .. })));
    assert!(matches!(seen(&[]), Err(SignatureError::NotOurs { .. })));
    // After an exchange of the CA what the former one gave still counts.
    assert_eq!(seen(&[ours.roots(), theirs.roots()]), Ok(Role::Coordinator));

    // The online CA's key gives nobody that role.
    let forged = ours.forge(&Role::Coordinator, Signer::Issuing, |_| {});
    let forged = Identity::new(forged.chain, forged.key).unwrap();
    let signature = forged.sign(WHAT).unwrap();
    let seen = checked(WHAT, &signature, &forged.chain_pem(), &[ours.roots()], NOW);
    assert!(matches!(seen, Err(SignatureError::NotOurs { .. })), "{seen:?}");
}

#[test]
fn a_certificate_counts_for_its_time_and_until_it_is_revoked() {
    let fleet = Fleet::new();
    let roots = [fleet.roots()];
    let identity = fleet.identity(&Role::Coordinator);
    let (signature, chain) = (identity.sign(WHAT).unwrap(), identity.chain_pem());
    let at = |at| checked(WHAT, &signature, &chain, &roots, at);
    assert_eq!(at(identity.certificate().not_after()), Ok(Role::Coordinator));
    assert_eq!(at(identity.certificate().not_after() + 1), Err(SignatureError::NotThen));
    assert_eq!(
        at(identity.certificate().not_before() - 1),
        Err(SignatureError::NotThen)
    );

    let mut revocations = RevocationList::default();
    revocations.revoke_certificate(identity.certificate(), NOW + 10);
    let accepted = Accepted {
        roots: &roots,
        revocations: &revocations,
    };
    let seen = |at| signer(WHAT, &signature, &chain, accepted, at);
    assert!(seen(NOW + 9).is_ok(), "signed before it was revoked");
    assert!(matches!(seen(NOW + 10), Err(SignatureError::NotOurs { .. })));
}

#[test]
fn roots_that_are_trusted_no_longer_are_kept_for_what_was_signed_under_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = CoordinatorStore::new(dir.path());
    let (old, new) = (Fleet::new(), Fleet::new());
    let passphrase = Passphrase::new("correct horse".to_owned().into()).unwrap();
    let identity = old.identity(&Role::Coordinator);
    store.create(&old.root, &passphrase, &old.issuing, &identity).unwrap();
    let both = Roots::new([new.roots().certificates(), old.roots().certificates()].concat()).unwrap();
    store.save_roots(&both).unwrap();
    assert_eq!(store.former_roots().unwrap(), [], "both are trusted");
    for _ in 0..2 {
        store.save_roots(&new.roots()).unwrap();
        assert_eq!(store.former_roots().unwrap(), [old.roots()]);
        assert_eq!(store.roots().unwrap(), new.roots());
    }
    let newest = Fleet::new();
    store.save_roots(&newest.roots()).unwrap();
    assert_eq!(store.former_roots().unwrap(), [old.roots(), new.roots()]);
}
