//! ZFS pools that are imported.

use std::collections::BTreeMap;

use quorate_model::facet::{Facet, Unknown, UnknownKind};
use quorate_model::observation::Pool;
use quorate_model::observation::pools::import_unit;
use quorate_model::{ByteSize, Timestamp};
use quorate_tools::zpool_get::Properties;
use quorate_tools::{zfs_get, zfs_list, zpool, zpool_get, zpool_status};

use super::finished;
use crate::host::{Host, ReadError, complaint, text, unparsable};

/// Observes the pools. A zpool that is installed and does not answer makes them unknown; where it is not installed, or the kernel's part
/// of ZFS is not loaded, there are none.
pub(super) async fn observe(host: &Host) -> Result<Vec<Pool>, Unknown> {
    if host.tools().find(zpool::NAME).is_err() {
        return Ok(Vec::new());
    }
    let (status, properties) = tokio::join!(
        host.run(zpool_status::status(host.tools())),
        host.run(zpool_get::of_pools(host.tools())),
    );
    let status = status?;
    if !status.exit.is_success() {
        if zpool::says_no_module(&status.stderr_text()) {
            return Ok(Vec::new());
        }
        return Err(complaint(zpool::NAME, &status));
    }
    let properties = properties?;
    if !properties.exit.is_success() {
        return Err(complaint(zpool::NAME, &properties));
    }
    let pools = zpool_status::read(&text(zpool::NAME, &status)?).map_err(unparsable)?;
    let properties = zpool_get::read(&text(zpool::NAME, &properties)?).map_err(unparsable)?;
    // Of one that can't be opened zfs has no datasets, and complains.
    let known = |pool: &zpool_status::Status| {
        let properties = properties.get(&pool.name);
        properties.is_some_and(|properties| properties.needed("size").is_ok_and(|size| size > 0))
    };
    let names: Vec<&str> = pools
        .iter()
        .filter(|pool| known(pool))
        .map(|pool| pool.name.as_str())
        .collect();
    let (datasets, volumes) = tokio::join!(datasets(host, &names), volumes(host, &names));
    let of = |pool: zpool_status::Status| {
        let properties = properties.get(&pool.name).cloned().unwrap_or_default();
        let dataset = datasets.get(&pool.name).cloned().unwrap_or_default();
        let of_pool = |volume: &&String| volume.split('/').next() == Some(pool.name.as_str());
        let volumes = volumes
            .clone()
            .map(|all| all.iter().filter(of_pool).cloned().collect::<Vec<String>>());
        let volumes = if known(&pool) {
            finished(host, volumes)
        } else {
            Facet::unknown(UnknownKind::Failed, "the pool can't be opened")
        };
        let scrubbed = scrub_scheduled(host, &pool.name);
        let imported = import_enabled(host, &pool.name);
        with(pool, &properties, &dataset, (scrubbed, imported)).map(|pool| Pool { volumes, ..pool })
    };
    pools.into_iter().map(of).collect::<Result<_, _>>().map_err(unparsable)
}

/// By pool; where zfs does not answer, a pool is no less seen.
async fn datasets(host: &Host, pools: &[&str]) -> BTreeMap<String, BTreeMap<String, String>> {
    if pools.is_empty() {
        return BTreeMap::new();
    }
    let answer = host.ask(zfs_get::of_datasets(host.tools(), pools)).await;
    answer.map(|stdout| zfs_get::read(&stdout)).unwrap_or_default()
}

/// Guests' volumes in all of these pools, and what is kept of them.
async fn volumes(host: &Host, pools: &[&str]) -> Result<Vec<String>, Unknown> {
    if pools.is_empty() {
        return Ok(Vec::new());
    }
    let answer = host.ask(zfs_list::of_pools(host.tools(), pools)).await?;
    Ok(zfs_list::volumes(&answer))
}

/// Debian's cron job, which scrubs every pool that has no word against it.
const CRON: &str = "/etc/cron.d/zfsutils-linux";
const TIMERS: &str = "/etc/systemd/system/timers.target.wants";

fn scrub_scheduled(host: &Host, pool: &str) -> Option<bool> {
    let cron = match host.root().read_text(CRON) {
        Ok(text) => text
            .lines()
            .any(|line| !line.trim_start().starts_with('#') && line.contains("zfs-linux/scrub")),
        Err(ReadError::NotFound { .. }) => false,
        Err(_) => return None,
    };
    let timers = match host.root().read_dir(TIMERS) {
        Ok(names) => names,
        Err(ReadError::NotFound { .. }) => Vec::new(),
        Err(_) => return None,
    };
    // systemctl takes a hyphen of an instance's name as it is, which is what ZFS's unit needs; systemd-escape writes it in another way.
    let instances = [pool.to_owned(), pool.replace('-', "\\x2d")];
    let of_pool = |name: &String| {
        instances
            .iter()
            .any(|instance| name.ends_with(&format!("@{instance}.timer")))
    };
    let timer = |name: &String| name.starts_with("zfs-scrub-") && of_pool(name);
    Some(cron || timers.iter().any(timer))
}

/// Where systemd keeps what OpenZFS brings along, and what wants to be started when pools are imported.
const UNITS: [&str; 2] = ["/lib/systemd/system", "/usr/lib/systemd/system"];
const IMPORTED: &str = "/etc/systemd/system/zfs-import.target.wants";

/// PVE enables the unit for each pool that it makes, if this OpenZFS has one.
fn import_enabled(host: &Host, pool: &str) -> Option<bool> {
    let wanted = match host.root().read_dir(IMPORTED) {
        Ok(names) => names.contains(&import_unit(pool)),
        Err(ReadError::NotFound { .. }) => false,
        Err(_) => return None,
    };
    let is_there = |folder: &&str| {
        host.root()
            .exists(&format!("{folder}/zfs-import@.service"))
            .unwrap_or(false)
    };
    if wanted {
        Some(true)
    } else {
        UNITS.iter().any(is_there).then_some(false)
    }
}

fn with(
    status: zpool_status::Status,
    properties: &Properties,
    dataset: &BTreeMap<String, String>,
    (scrub_scheduled, import_enabled): (Option<bool>, Option<bool>),
) -> Result<Pool, quorate_tools::ParseError> {
    let zpool_status::Status {
        name,
        state,
        complaint,
        data_errors,
        scan,
        vdevs,
    } = status;
    Ok(Pool {
        name,
        state,
        complaint,
        data_errors,
        scan,
        vdevs,
        size: ByteSize(properties.needed("size")?),
        allocated: ByteSize(properties.needed("allocated")?),
        fragmentation: properties.number("fragmentation"),
        ashift: properties.number("ashift"),
        autotrim: properties.switch("autotrim"),
        compression: dataset.get(zfs_get::COMPRESSION).cloned(),
        scrub_scheduled,
        import_enabled,
        created: dataset
            .get(zfs_get::CREATION)
            .and_then(|text| text.parse().ok())
            .map(Timestamp::from_seconds),
        volumes: Facet::not_asked(),
    })
}

#[cfg(test)]
mod tests {
    use quorate_exec::Exit;
    use quorate_exec::scripted::Call;
    use quorate_model::observation::pools::VdevState;

    use super::super::testing::{Fake, fixture};
    use super::*;

    fn status(answer: &str) -> Call {
        Call::of(["/usr/bin/zpool", "status", "-Pp"]).prints(answer)
    }

    fn get(answer: &str) -> Call {
        let properties = "size,allocated,fragmentation,ashift,autotrim";
        Call::of(["/usr/bin/zpool", "get", "-Hp", properties]).prints(answer)
    }

    #[tokio::test]
    async fn a_pool_has_its_room_and_its_health() {
        let fake = Fake::new();
        let calls = [
            status(fixture!("zpool-status/2.1.11/repaired.out")),
            get(fixture!("zpool-get/2.1.11/one-pool.out")),
            Call::of([
                "/usr/bin/zfs",
                "get",
                "-Hp",
                "-o",
                "name,property,value",
                "compression,creation",
                "tank",
            ])
            .prints("tank\tcompression\tlz4\ntank\tcreation\t1785000000\n"),
            Call::of([
                "/usr/bin/zfs",
                "list",
                "-Hp",
                "-o",
                "name",
                "-t",
                "filesystem,volume",
                "-r",
                "tank",
            ])
            .prints("tank\ntank/vm-100-disk-0\ntanker/vm-101-disk-0\n"),
        ];
        let pools = observe(&fake.host(calls)).await.unwrap();
        let [pool] = pools.as_slice() else { panic!("{pools:?}") };
        assert_eq!(
            (pool.name.as_str(), pool.state, pool.fill()),
            ("tank", VdevState::Online, 0)
        );
        assert_eq!(
            (pool.size, pool.ashift, pool.autotrim),
            (ByteSize(503_316_480), Some(12), Some(true))
        );
        assert_eq!(pool.compression.as_deref(), Some("lz4"));
        assert_eq!(pool.volumes.get().unwrap(), &["tank/vm-100-disk-0"]);
        assert_eq!(pool.created, Some(Timestamp::from_seconds(1_785_000_000)));
        assert_eq!(pool.scrub_scheduled, Some(false));
        assert_eq!(pool.leaves().nth(1).unwrap().health.errors.unwrap().checksum, 273);
    }

    #[test]
    fn what_scrubs_a_pool_is_debian_s_cron_job_or_a_timer() {
        let fake = Fake::new();
        let scheduled = |pool: &str| scrub_scheduled(&fake.host([]), pool);
        assert_eq!(scheduled("tank"), Some(false));
        fake.put(
            "/etc/systemd/system/timers.target.wants/zfs-scrub-monthly@data\\x2dzfs.timer",
            "[Timer]\n",
        );
        // As `systemctl enable zfs-scrub-weekly@vm-zfs.timer` makes it.
        fake.put(
            "/etc/systemd/system/timers.target.wants/zfs-scrub-weekly@vm-zfs.timer",
            "[Timer]\n",
        );
        assert_eq!((scheduled("data-zfs"), scheduled("tank")), (Some(true), Some(false)));
        assert_eq!((scheduled("vm-zfs"), scheduled("zfs")), (Some(true), Some(false)));
        let job = "24 0 8-14 * * root if [ $(date +\\%w) -eq 0 ] && [ -x /usr/lib/zfs-linux/scrub ]; then /usr/lib/zfs-linux/scrub; fi\n";
        fake.put("/etc/cron.d/zfsutils-linux", &format!("# {job}"));
        assert_eq!(scheduled("tank"), Some(false), "a comment does nothing");
        fake.put("/etc/cron.d/zfsutils-linux", job);
        assert_eq!(scheduled("tank"), Some(true));
    }

    #[test]
    fn a_pool_is_imported_at_boot_where_its_unit_is_wanted() {
        let fake = Fake::new();
        let enabled = |pool: &str| import_enabled(&fake.host([]), pool);
        assert_eq!(enabled("tank"), None, "this OpenZFS has no such unit");
        fake.put("/lib/systemd/system/zfs-import@.service", "[Unit]\n");
        assert_eq!(enabled("tank"), Some(false));
        let unit = "/etc/systemd/system/zfs-import.target.wants/zfs-import@data\\x2dzfs.2.service";
        fake.link("/lib/systemd/system/zfs-import@.service", unit);
        assert_eq!((enabled("data-zfs.2"), enabled("tank")), (Some(true), Some(false)));
    }

    #[tokio::test]
    async fn a_pool_that_can_not_be_opened_is_shown_without_its_room() {
        let fake = Fake::new();
        let text = "  pool: dead\n state: UNAVAIL\nstatus: One or more devices could not be opened.\nconfig:\n\n\
                    \tNAME         STATE     READ WRITE CKSUM\n\
                    \tdead         UNAVAIL      0     0     0  insufficient replicas\n\
                    \t  /dev/sdb1  UNAVAIL      0     0     0  cannot open\n";
        let room = "dead\tsize\t-\t-\ndead\tallocated\t-\t-\ndead\tfragmentation\t-\t-\n";
        let pools = observe(&fake.host([status(text), get(room)])).await.unwrap();
        assert_eq!((pools[0].state, pools[0].size), (VdevState::Unavail, ByteSize(0)));
        assert_eq!((pools[0].fill(), pools[0].data_errors), (0, None));
    }

    #[tokio::test]
    async fn without_zfs_there_are_none_and_a_zpool_that_fails_leaves_them_unknown() {
        let fake = Fake::new();
        assert_eq!(observe(&fake.bare()).await.unwrap(), []);
        let no_module = |call: Call| {
            call.exits(Exit::Code(1))
                .complains(fixture!("zpool/2.1.11/no-module.err"))
        };
        let calls = [no_module(status("")), no_module(get(""))];
        assert_eq!(observe(&fake.host(calls)).await.unwrap(), []);
        let broken = status("")
            .exits(Exit::Code(1))
            .complains("internal error: out of memory\n");
        let unknown = observe(&fake.host([broken, get("")])).await.unwrap_err();
        assert!(unknown.reason.contains("out of memory"), "{unknown:?}");
        // A pool of which nothing is known but its name is not a pool without room.
        let calls = [status(fixture!("zpool-status/2.1.11/mirror.out")), get("")];
        assert!(observe(&fake.host(calls)).await.is_err());
    }
}
