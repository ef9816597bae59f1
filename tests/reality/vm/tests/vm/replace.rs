//! A disk in another one's place, as `quorate zfs replace` plans it and the agent does it.

use quorate_model::observation::Observation;
use quorate_model::operation::Action;
use quorate_model::wish::{DiskReplacement, Wish};

use crate::fleet::NODE;
use crate::planning::{only_action, plan_with};

/// Puts a new disk in the place of one that is gone, which may be called as the pool calls it.
pub(crate) fn planned(seen: &Observation, pools: &str, old: &str, new: &str) -> Action {
    let wish = Wish {
        replace_disk: Some(DiskReplacement {
            node: NODE.parse().unwrap(),
            pool: "data_zfs".parse().unwrap(),
            old: old.to_owned(),
            with: Some(new.parse().unwrap()),
        }),
        ..Wish::default()
    };
    let action = only_action(&plan_with(seen, pools, &wish));
    assert!(matches!(action, Action::ReplaceDisk { .. }), "{action:#?}");
    action
}
