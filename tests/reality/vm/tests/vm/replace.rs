//! A disk in another one's place.
//!
//! By `zpool replace` in the machine, as an administrator does it: the product's own action is to stand here, in the place of [`by_hand`].

use quorate_reality::guest::Guest;

/// Puts a new disk in the place of one that is gone.
pub(crate) async fn by_hand(guest: &Guest, pool: &str, old: &str, new: &str) {
    let new = format!("/dev/disk/by-id/{new}");
    guest.ok(&["zpool", "replace", pool, old, &new]).await;
}
