//! All suites in one program: each further test program would link tonic, rustls and sled again.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests; a panic is the report"
)]
#![expect(clippy::print_stdout, reason = "shown only of a test that fails: which seed it was")]

mod abuse;
mod backups_of_guests;
mod canary;
mod cli;
mod clocks;
mod crash;
mod crash_life;
mod crash_points;
mod crash_seeds;
mod databases;
mod disks;
mod drills;
mod e2e;
mod faults;
mod guests;
mod guide;
mod guide_guests;
mod guide_install;
mod guide_life;
mod guide_trust;
mod hold;
mod life_adopt;
mod life_files;
mod life_freeze;
mod life_ha;
mod life_joins;
mod life_links;
mod life_members;
mod life_preflight;
mod life_votes;
mod life_votes_away;
mod life_votes_joins;
mod losses;
mod matrix;
mod membership;
mod misfortune;
mod network;
mod owner;
mod partitions;
mod pools;
mod pools_later;
mod pools_misfortune;
mod protection;
mod recover;
mod recovery;
mod replication;
mod secrets;
mod security;
mod spec;
mod storages;
mod trust;
mod twice;
mod twice_guests;
mod upgrade;
mod watched;
