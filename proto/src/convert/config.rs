//! What holds a cluster up, and what an operator says beside its file.

use quorate_model::canary::NewCanary;
use quorate_model::maintenance::MaintenanceWindow;
use quorate_model::moves::Moves;
use quorate_model::release::InvalidRelease;
use quorate_model::wish::{AgentUpgrade, DiskReplacement};
use quorate_model::{Frozen, Hold, Release, Wish};

use super::{ConvertError, Wire, field};
use crate::v1;

message!(Hold = v1::Hold { frozen, windows });
message!(Frozen = v1::Frozen { by, since, reason });
message!(
    Wish = v1::Wish {
        remove,
        is_off,
        undo_join,
        replace,
        destroy,
        destroy_replicas,
        replace_disk,
        passwords,
        upgrade,
        moves,
        only,
        until
    }
);
oneof!(Moves = v1::Moves [what: v1::moves::What] {
    migrate: Migrate { guest, target } = v1::moves::Migrate,
    drain: Drain { node, stop } = v1::moves::Drain,
    undrain: Undrain { node } = v1::moves::Undrain,
    reboot: Reboot { nodes, stop } = v1::moves::Reboot,
    resolve: Resolve { guest, node, keep } = v1::moves::Resolve,
    remove_canary: RemoveCanary { guest, destroy } = v1::moves::RemoveCanary,
    recover: Recover { lost, guests, expected_votes, seen_off, bmc, confirm } = v1::moves::Recover,
    clear_canary: ClearCanary { guest } = v1::moves::ClearCanary,
} holding { create_canary: CreateCanary });
message!(
    NewCanary = v1::NewCanary {
        guest,
        node,
        source,
        storage,
        bridge,
        vlan,
        address,
        memory,
        program
    }
);
message!(DiskReplacement = v1::DiskReplacement { node, pool, old, with });

message!(
    AgentUpgrade = v1::AgentUpgrade {
        version,
        package,
        size,
        nodes
    }
);

impl Wire<String> for Release {
    fn into_wire(self) -> String {
        self.to_string()
    }
    fn from_wire(wire: String) -> Result<Self, ConvertError> {
        wire.parse()
            .map_err(|error: InvalidRelease| ConvertError::new(error.to_string()))
    }
}

impl Wire<String> for MaintenanceWindow {
    fn into_wire(self) -> String {
        self.to_string()
    }
    fn from_wire(wire: String) -> Result<Self, ConvertError> {
        wire.parse()
            .map_err(|error: quorate_model::maintenance::InvalidWindow| ConvertError::new(error.to_string()))
    }
}
