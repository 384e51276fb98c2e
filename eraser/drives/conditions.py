"""States in which a drive cannot be erased by overwriting: how each is seen, and what a person can do about it."""

from eraser.domain.drive import Condition, Drive
from eraser.drives.identity import Findings
from eraser.drives.sysfs import BlockDevice
from eraser.errors import Refused

_WHAT: dict[Condition, tuple[str, str]] = {
    Condition.READ_ONLY: (
        "it is read-only",
        "Move its write-protect switch, or make the device or file writable (`blockdev --setrw`, `chmod`).",
    ),
    Condition.ZERO_CAPACITY: (
        "it reports a capacity of zero",
        "Try another cable or bay; a drive that stays so cannot be erased here and has to be destroyed.",
    ),
    Condition.NO_MEDIUM: ("there is no medium in it", "Insert one, or name another device."),
    Condition.SECURITY_LOCKED: (
        "it is locked by an ATA password",
        "Unlock it with its password (`hdparm --security-unlock`), or destroy it.",
    ),
    Condition.OPAL_LOCKED: (
        "it is a self-encrypting drive and locked (TCG Opal)",
        "Unlock it, or revert it with the PSID printed on its label, or destroy it.",
    ),
    Condition.ZONED: (
        "it is a zoned drive, which cannot be overwritten sector by sector",
        "Erase it by its own sanitize command, or destroy it.",
    ),
    Condition.BOOT_PARTITION: (
        "it is a boot area of an eMMC, which is no drive of its own",
        "Name the eMMC's whole device; its boot areas need commands of their own.",
    ),
}


def conditions_of(device: BlockDevice, found: Findings) -> tuple[Condition, ...]:
    """Every state that stands in the way, in the order in which a person should look at them."""
    size = device.integer("size")
    states = {
        Condition.BOOT_PARTITION: device.name.startswith("mmcblk") and ("boot" in device.name or "rpmb" in device.name),
        Condition.NO_MEDIUM: size == 0 and device.text("removable") == "1",
        Condition.ZERO_CAPACITY: size == 0 and device.text("removable") != "1",
        Condition.SECURITY_LOCKED: found.security_locked,
        Condition.OPAL_LOCKED: found.opal_locked,
        Condition.READ_ONLY: device.text("ro") == "1",
        Condition.ZONED: device.text("queue/zoned") not in ("", "none"),
    }
    return tuple(condition for condition, there in states.items() if there)


def explain(condition: Condition) -> tuple[str, str]:
    """What is wrong, and the remedy."""
    return _WHAT[condition]


def refuse_unfit(drive: Drive) -> None:
    """Raises Refused with the first condition that stands in the way; the reason is the condition's word."""
    for condition in drive.conditions:
        what, remedy = explain(condition)
        raise Refused(condition.value, what, subject=drive.path, remedy=remedy)
