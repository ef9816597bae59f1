//! Services, packages, free space, keys.

use proptest::prelude::*;
use quorate_model::ids::SshPublicKey;
use quorate_model::observation::readiness::{AdmittedKey, PackageState, Readiness, Repository, ServiceState};

use super::types::{cluster, facet, size, time};
use super::{by_text, maybe, some, text};

prop_compose! {
    pub(super) fn readiness()(
        services in by_text(facet(service())),
        packages in facet(by_text(
            (maybe(text()), maybe(text())).prop_map(|(installed, candidate)| PackageState { installed, candidate }),
        )),
        updates in facet(any::<u32>()),
        repositories in facet(some(repository())),
        free in by_text(facet(size())),
        root_key in facet(maybe(key())),
        host_keys in facet(prop::collection::btree_set(key(), 0..4)),
        (admitted, fetch) in (facet(some(admitted())), facet(some(text()))),
    ) -> Readiness {
        Readiness { services, packages, updates, repositories, free, root_key, host_keys, admitted, fetch }
    }
}

prop_compose! {
    pub(super) fn service()((load, active, sub, enabled) in (text(), text(), text(), text())) -> ServiceState {
        ServiceState { load, active, sub, enabled }
    }
}

prop_compose! {
    fn repository()((file, uri, suite) in (text(), text(), text()), components in some(text())) -> Repository {
        Repository { file, uri, suite, components }
    }
}

fn key() -> impl Strategy<Value = SshPublicKey> {
    "(ssh-rsa|ssh-ed25519|ecdsa-sha2-nistp256) AAAA[a-zA-Z0-9+/]{32,48}={0,2}"
        .prop_filter_map("breaks the type's rules", |text| SshPublicKey::new(text).ok())
}

prop_compose! {
    fn admitted()(cluster in cluster(), key in key(), until in time()) -> AdmittedKey {
        AdmittedKey { cluster, key, until }
    }
}
