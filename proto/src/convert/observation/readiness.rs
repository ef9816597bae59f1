//! Services, packages, free space, keys.

use std::collections::BTreeMap;

use quorate_model::ids::SshPublicKey;
use quorate_model::observation::readiness::{AdmittedKey, PackageState, Readiness, Repository, ServiceState};

use super::{ConvertError, Wire, field};
use crate::v1;

facet!(Readiness = v1::ReadinessFacet: v1::readiness_facet::State);
message!(
    Readiness = v1::Readiness {
        services,
        packages,
        updates,
        repositories,
        free,
        root_key,
        host_keys,
        admitted,
        fetch,
    }
);
facet!(ServiceState = v1::ServiceStateFacet: v1::service_state_facet::State);
message!(
    ServiceState = v1::ServiceState {
        load,
        active,
        sub,
        enabled
    }
);
facet!(BTreeMap<String, PackageState> = v1::PackagesFacet: v1::packages_facet::State);
wrapped!(BTreeMap<String, PackageState> = v1::Packages { packages });
message!(PackageState = v1::PackageState { installed, candidate });
facet!(Vec<Repository> = v1::RepositoriesFacet: v1::repositories_facet::State);
list!(Repository = v1::Repositories { repositories });
message!(
    Repository = v1::Repository {
        file,
        uri,
        suite,
        components
    }
);
facet!(Option<SshPublicKey> = v1::RootKeyFacet: v1::root_key_facet::State);
wrapped!(Option<SshPublicKey> = v1::MaybeRootKey { value });
facet!(Vec<AdmittedKey> = v1::AdmittedKeysFacet: v1::admitted_keys_facet::State);
list!(AdmittedKey = v1::AdmittedKeys { keys });
message!(AdmittedKey = v1::AdmittedKey { cluster, key, until });
