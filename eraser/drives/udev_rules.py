"""Rules for udev that keep the drives in the bays to ourselves: nothing mounts, assembles or probes them.

Most drives that are pulled out of servers are members of something, and a host that assembles it claims the drive.
Pure: text from the map. Each property is set because of a rule that reads it; the sources are of Debian 12.
"""

from collections.abc import Iterator, Mapping

from eraser.domain.bay import Bay, BayMap, PlaceKind, PlacePattern
from eraser.drives.place import LAB_PREFIX

FILE_NAME = "60-eraser-bays.rules"
"""Behind 60-block (which asks for a watch), before 60-multipath, 60-persistent-storage (blkid), 64-md-raid-assembly,
64-btrfs, 69-bcache, 69-lvm, 80-udisks2 and 99-systemd: udev takes the files in the order of their names."""

PROPERTY = "ERASER_BAY"
"""A device property with the bay's name, on the drive and its partitions."""

_HEAD = f"""\
# Written by `eraser bays rules`: write it anew when the map of the bays changes.
# Install as /etc/udev/rules.d/{FILE_NAME}, then: udevadm control --reload && udevadm trigger -s block
# Nothing on this host mounts, assembles or looks into the drives of these bays any more.

SUBSYSTEM!="block", GOTO="eraser_bays_end"
ACTION=="remove", GOTO="eraser_bays_end"

# A partition is in the bay of its drive.
ENV{{DEVTYPE}}=="partition", IMPORT{{parent}}="{PROPERTY}"
ENV{{DEVTYPE}}!="disk", GOTO="eraser_bays_known"

# 60-persistent-storage.rules asks for the path only later; with the same conditions.
DEVPATH!="*/virtual/*", IMPORT{{builtin}}="path_id"
SUBSYSTEMS=="nvme-subsystem", IMPORT{{builtin}}="path_id"
"""

_TAIL = f"""\
LABEL="eraser_bays_known"
ENV{{{PROPERTY}}}!="?*", GOTO="eraser_bays_end"

# Desktop automounters. Source: udisks(8), "Device information".
ENV{{UDISKS_IGNORE}}="1", ENV{{UDISKS_AUTO}}="0"

# No device unit, so no mount unit waits for it (systemd.device(5)); 64-md-raid-assembly.rules and 64-btrfs.rules pass it
# over as well.
ENV{{SYSTEMD_READY}}="0"

# 60-persistent-storage.rules then does not run blkid: without ID_FS_TYPE there is no member of a RAID, a volume group, a
# pool or a btrfs for 64-md-raid-assembly, 69-lvm, zfs and 64-btrfs to take up. Nor is the content looked at.
ENV{{UDEV_DISABLE_PERSISTENT_STORAGE_BLKID_FLAG}}="1"

# 69-lvm.rules and 69-bcache.rules end here; without it the latter would run probe-bcache.
ENV{{DM_UDEV_DISABLE_OTHER_RULES_FLAG}}="1"

# 60-multipath.rules asks for this word of the kernel's command line and then does not call multipath -u.
# (DM_MULTIPATH_DEVICE_PATH is not set: it says that a drive is a path, and multipathd would believe it.)
ENV{{nompath}}="1"

# 60-block.rules asks for a new look after each writer: that would be after each of our passes. Source: udev(7), OPTIONS.
OPTIONS+="nowatch"

LABEL="eraser_bays_end"

# What does not go by udev's rules has settings of its own:
#   multipathd      /etc/multipath/conf.d/eraser.conf:  blacklist {{ property "^{PROPERTY}$" }}
#   mdadm at boot   /etc/mdadm/mdadm.conf:              AUTO -all
#   ZFS at boot     systemctl disable zfs-import-scan.service
"""


def rules(bay_map: BayMap, slot_addresses: Mapping[str, str]) -> str:
    """The file's text. `slot_addresses` has the PCI address (without function) of each PCIe slot of this machine."""
    lines = [line for bay in bay_map.bays for line in _bay_rules(bay, slot_addresses)]
    return "\n".join([_HEAD, *lines, "", _TAIL])


def _bay_rules(bay: Bay, slot_addresses: Mapping[str, str]) -> Iterator[str]:
    for pattern in bay.places:
        conditions = list(_conditions(pattern, slot_addresses))
        if not conditions:
            yield f"# {bay.name}: there is no PCIe slot {pattern.pattern} on this machine"
        for condition in conditions:
            yield f'{condition}, ENV{{{PROPERTY}}}="{bay.name}"'


def _conditions(pattern: PlacePattern, slot_addresses: Mapping[str, str]) -> Iterator[str]:
    if pattern.kind is PlaceKind.PCI_SLOT:
        for slot, address in sorted(slot_addresses.items()):
            if pattern.overlaps(PlacePattern(PlaceKind.PCI_SLOT, slot)):
                yield f'ENV{{ID_PATH}}=="pci-{address}.*-nvme-*"'
        return
    paths = pattern.paths()
    if paths[0].startswith(LAB_PREFIX):
        yield f'KERNEL=="{paths[0].removeprefix(LAB_PREFIX)}"'
    else:
        yield f'ENV{{ID_PATH}}=="{"|".join(paths)}"'
