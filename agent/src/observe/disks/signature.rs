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
        "zfs_member" => HolderKind::ZfsLabel,
        "crypto_LUKS" => HolderKind::Luks,
        "mpath_member" => HolderKind::Multipath,
        "bcache" => HolderKind::Bcache,
        // Metadata on the device itself; `drbdmanage_control_volume`, `drbdproxy_datalog` are of the same family.
        drbd if drbd.starts_with("drbd") => HolderKind::Drbd,
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
const PARTITION_TYPES: [(&str, HolderKind); 23] = [
    // Solaris /usr and Apple ZFS, both used by OpenZFS.
    ("6a898cc3-1dd2-11b2-99a6-080020736631", HolderKind::ZfsLabel),
    ("516e7cba-6ecf-11d6-8ff8-00022d09712b", HolderKind::ZfsLabel),
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
    ("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", HolderKind::Swap),
    ("0x82", HolderKind::Swap),
    // LDM has no signature that libblkid knows: its database lies in a partition of its own, or at the end of an MBR disk.
    ("5808c8aa-7e8f-42e0-85d2-e1e90434cfb3", HolderKind::Ldm),
    ("af9b60a0-1431-4f62-bc68-3311714a69ad", HolderKind::Ldm),
    ("0x42", HolderKind::Ldm),
    ("c12a7328-f81f-11d2-ba4b-00a0c93ec93b", HolderKind::Boot),
    ("0xef", HolderKind::Boot),
    ("21686148-6449-6e6f-744e-656564454649", HolderKind::Boot),
    ("9e1a2d38-c612-4316-aa26-8b49521e5a8b", HolderKind::Boot),
    ("0x41", HolderKind::Boot),
    ("bc13c2ff-59e6-4262-a352-b275fd6f7172", HolderKind::Boot),
];

/// By lsblk's PARTTYPE.
pub(super) fn holder_of_type(parttype: &str) -> Option<HolderKind> {
    let found = PARTITION_TYPES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(parttype));
    found.map(|(_, kind)| *kind)
}

/// What a partition is that a server boots from. By lsblk's PARTTYPE.
pub(super) fn boot_partition(parttype: &str) -> &'static str {
    match parttype.to_ascii_lowercase().as_str() {
        "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" | "0xef" => "EFI system partition",
        "21686148-6449-6e6f-744e-656564454649" => "BIOS boot partition",
        "bc13c2ff-59e6-4262-a352-b275fd6f7172" => "/boot",
        _ => "PReP boot partition",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of libblkid 2.36 to 2.41, which PVE 7 to 9 have.
    #[test]
    fn libblkids_words_tell_by_whom_a_disk_is_held() {
        for (word, kind) in [
            ("LVM2_member", HolderKind::Lvm),
            ("zfs_member", HolderKind::ZfsLabel),
            ("crypto_LUKS", HolderKind::Luks),
            ("mpath_member", HolderKind::Multipath),
            ("bcache", HolderKind::Bcache),
            ("bcachefs", HolderKind::FileSystem),
            ("drbd", HolderKind::Drbd),
            ("drbdmanage_control_volume", HolderKind::Drbd),
            ("linux_raid_member", HolderKind::Md),
            ("isw_raid_member", HolderKind::Md),
            ("ddf_raid_member", HolderKind::Md),
            ("swap", HolderKind::Swap),
            ("ceph_bluestore", HolderKind::CephOsd),
            ("ext4", HolderKind::FileSystem),
            ("btrfs", HolderKind::FileSystem),
            // Whatever nobody here knows holds it all the same.
            ("BitLocker", HolderKind::OtherSignature),
            ("stratis", HolderKind::OtherSignature),
            ("VMFS_volume_member", HolderKind::OtherSignature),
            ("DM_verity_hash", HolderKind::OtherSignature),
            ("a word of next year", HolderKind::OtherSignature),
        ] {
            assert_eq!(holder(word), kind, "{word}");
        }
    }

    #[test]
    fn a_partitions_type_tells_where_no_signature_does() {
        assert_eq!(holder_of_type("0x42"), Some(HolderKind::Ldm));
        assert_eq!(
            holder_of_type("AF9B60A0-1431-4F62-BC68-3311714A69AD"),
            Some(HolderKind::Ldm)
        );
        assert_eq!(
            holder_of_type("21686148-6449-6E6F-744E-656564454649"),
            Some(HolderKind::Boot)
        );
        assert_eq!(holder_of_type("0fc63daf-8483-4772-8e79-3d69d8477de4"), None);
        assert_eq!(
            boot_partition("C12A7328-F81F-11D2-BA4B-00A0C93EC93B"),
            "EFI system partition"
        );
    }
}
