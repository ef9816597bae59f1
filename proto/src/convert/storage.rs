//! Storages as they are to be defined.

use std::collections::BTreeSet;

use quorate_model::NodeName;
use quorate_model::storage::{Content, Property, StorageDefinition, StorageKind};

use super::{ConvertError, Wire, field};
use crate::v1;

message!(
    StorageDefinition = v1::StorageDefinition {
        name,
        kind,
        properties,
        content,
        nodes
    }
);
wrapped!(BTreeSet<NodeName> = v1::StorageNodes { names });
choice!(
    StorageKind = v1::storage_definition::Kind {
        Zfspool,
        Dir,
        Nfs,
        Pbs,
        Rbd,
    }
);
choice!(
    Content = v1::storage_definition::Content {
        Images,
        Rootdir,
        Vztmpl,
        Iso,
        Backup,
        Snippets,
        Import,
    }
);

impl Wire<String> for Property {
    fn into_wire(self) -> String {
        self.as_str().to_owned()
    }
    fn from_wire(wire: String) -> Result<Self, ConvertError> {
        wire.parse()
            .map_err(|_| ConvertError::new(format!("is no property of a storage: `{wire}`")))
    }
}
