//! What a signature or a partition's type says about who holds the device.

use quorate_model::observation::disks::HolderKind;

/// lsblk's word for an LVM physical volume.
pub(super) const LVM: &str = "LVM2_member";

/// libblkid's names of file systems that are met on servers' disks.
const FILE_SYSTEMS: [&str; 29] = [
    "ext2", "ext3", "ext4", "xfs", "btrfs", "bcachefs", "vfat", "exfat", "ntfs", "f2fs", "iso9660", "udf", "squashfs",
    "erofs", "reiserfs", "reiser4", "jfs", "hfs", "hfsplus", "apfs", "nilfs2", "ocfs2", "gfs2", "minix", "ufs", "VMFS",
    "ReFS", "romfs", "cramfs",
];

/// By lsblk's FSTYPE.
pub(super) fn holder(fstype: &str) -> HolderKind {
    match fstype {
        LVM | "LVM1_member" => HolderKind::Lvm,
        "zfs_member" => HolderKind::Zfs,
        "crypto_LUKS" => HolderKind::Luks,
        "mpath_member" => HolderKind::Multipath,
        "bcache" => HolderKind::Bcache,
        "swap" | "swsuspend" => HolderKind::Swap,
        "ceph_bluestore" => HolderKind::CephOsd,
        // linux_raid_member, isw_raid_member, ddf_raid_member …
        raid if raid.ends_with("_raid_member") => HolderKind::Md,
        known if FILE_SYSTEMS.contains(&known) => HolderKind::FileSystem,
        _ => HolderKind::OtherSignature,
    }
}

/// Types of GPT and MBR partitions whose owner may have left no signature that lsblk shows. udev's database lags: a
/// partition of a ZFS pool was seen there without any.
const PARTITION_TYPES: [(&str, HolderKind); 12] = [
    // Solaris /usr and Apple ZFS, both used by OpenZFS.
    ("6a898cc3-1dd2-11b2-99a6-080020736631", HolderKind::Zfs),
    ("516e7cba-6ecf-11d6-8ff8-00022d09712b", HolderKind::Zfs),
    ("e6d6d379-f507-44c2-a23c-238f2a3df928", HolderKind::Lvm),
    ("0x8e", HolderKind::Lvm),
    ("a19d880f-05fc-4d3b-a006-743f0f84911e", HolderKind::Md),
    ("0xfd", HolderKind::Md),
    // ceph-disk's OSD, journal, block, block.db, block.wal
    ("4fbd7e29-9d25-41b8-afd0-062c0ceff05d", HolderKind::CephOsd),
    ("45b0969e-9b03-4f30-b4c6-b4b80ceff106", HolderKind::CephOsd),
    ("cafecafe-9b03-4f30-b4c6-b4b80ceff106", HolderKind::CephOsd),
    ("30cd0809-c2b2-499c-8879-2d6b78529876", HolderKind::CephOsd),
    ("5ce17fce-4087-4169-b7ff-056cc58473f9", HolderKind::CephOsd),
    ("ca7d7ccb-63ed-4c53-861c-1742536059cc", HolderKind::Luks),
];

/// By lsblk's PARTTYPE.
pub(super) fn holder_of_type(parttype: &str) -> Option<HolderKind> {
    let found = PARTITION_TYPES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(parttype));
    found.map(|(_, kind)| *kind)
}
