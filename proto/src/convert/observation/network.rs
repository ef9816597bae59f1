//! Interfaces, addresses, and the node's own name.

use quorate_model::observation::network::{
    AddressState, Interface, InterfaceAddress, InterfaceKind, NameResolution, Network,
};

use super::{ConvertError, Wire, field};
use crate::v1;

facet!(Network = v1::NetworkFacet: v1::network_facet::State);
message!(
    Network = v1::Network {
        interfaces,
        own_name,
        names
    }
);
choice!(
    InterfaceKind = v1::interface::Kind {
        Physical,
        Bridge,
        Bond,
        Vlan,
        Other
    }
);
message!(
    Interface = v1::Interface {
        name,
        kind,
        mac,
        mtu,
        up,
        carrier,
        speed_mbps,
        duplex,
        master,
        parent,
        addresses
    }
);
choice!(
    AddressState = v1::interface_address::State {
        Usable,
        Temporary,
        Deprecated,
        Tentative,
        Duplicate
    }
);
message!(InterfaceAddress = v1::InterfaceAddress { address, prefix, state });
facet!(NameResolution = v1::NameResolutionFacet: v1::name_resolution_facet::State);
message!(NameResolution = v1::NameResolution { name, addresses, back });
