"""States in which a drive cannot be erased by overwriting: what each is, and what a person can do about it."""

from eraser.domain.drive import Condition, Drive
from eraser.errors import Refused

# In the order in which a person should hear of them.
_EXPLAINED = {
    Condition.BOOT_PARTITION: (
        "it is a boot partition of an eMMC and not the drive",
        "Name the whole eMMC; its boot partitions need its own commands.",
    ),
    Condition.NO_MEDIUM: ("there is no medium in it", "Insert one and identify the drive again."),
    Condition.ZERO_CAPACITY: (
        "it says that it has no capacity",
        "Power-cycle it, or try another cable or bay; if it says so again, its electronics are defective and it goes to "
        "destruction.",
    ),
    Condition.AMBIGUOUS_IDENTITY: (
        "another drive bears the same world-wide name with another serial number, so neither can be told for sure",
        "Take the other one out, and plan again.",
    ),
    Condition.SECURITY_LOCKED: (
        "ATA security has locked it",
        "Unlock it with its password (`hdparm --security-unlock`), or erase it by its own firmware (SECURITY ERASE UNIT, "
        "or SANITIZE where it accepts that locked), or destroy it.",
    ),
    Condition.OPAL_LOCKED: (
        "TCG Opal has locked it or a range of it",
        "Unlock it, or revert it with the PSID printed on its label, or destroy it.",
    ),
    Condition.READ_ONLY: (
        "it is read-only",
        "Move its write-protect switch, or make the device or file writable (`blockdev --setrw`, `chmod`); a drive that "
        "makes itself read-only is worn out and goes to destruction.",
    ),
    Condition.ZONED: (
        "it is zoned and must be written zone by zone",
        "Erase it by its own SANITIZE command, or destroy it; overwriting zoned drives is not supported.",
    ),
}


def explain(condition: Condition, drive: Drive) -> tuple[str, str]:
    """What is wrong with this drive, and the remedy."""
    what, remedy = _EXPLAINED[condition]
    if condition is Condition.AMBIGUOUS_IDENTITY and drive.namesakes:
        what = what.replace("another drive", f"another drive ({', '.join(drive.namesakes)})", 1)
    return what, remedy


def refuse_unfit(drive: Drive, subject: str = "") -> None:
    """Raises Refused with the first condition that stands in the way; the reason is the condition's word.

    `subject` is what to call the drive, its path where nothing is said.
    """
    for condition in _EXPLAINED:
        is_empty = condition is Condition.ZERO_CAPACITY and drive.geometry.capacity_bytes <= 0
        if condition in drive.conditions or (is_empty and not drive.conditions):
            what, remedy = explain(condition, drive)
            raise Refused(condition.value, what, subject=subject or drive.path, remedy=remedy)
