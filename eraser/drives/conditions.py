"""How the states are seen in which a drive cannot be erased by overwriting."""

from eraser.domain.drive import Condition
from eraser.drives.identity import Findings
from eraser.drives.sysfs import BlockDevice


def conditions_of(device: BlockDevice, found: Findings, *, has_namesakes: bool = False) -> tuple[Condition, ...]:
    """Every state that stands in the way. `has_namesakes` where another drive bears its world-wide name."""
    size = device.integer("size")
    states = {
        Condition.BOOT_PARTITION: device.name.startswith("mmcblk") and ("boot" in device.name or "rpmb" in device.name),
        Condition.NO_MEDIUM: size == 0 and device.text("removable") == "1",
        Condition.ZERO_CAPACITY: size == 0 and device.text("removable") != "1",
        Condition.AMBIGUOUS_IDENTITY: has_namesakes,
        Condition.SECURITY_LOCKED: found.security_locked,
        Condition.OPAL_LOCKED: found.opal_locked,
        Condition.READ_ONLY: device.text("ro") == "1",
        Condition.ZONED: device.text("queue/zoned") not in ("", "none"),
    }
    return tuple(condition for condition, there in states.items() if there)
