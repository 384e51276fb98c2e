"""How the kernel names what content lies in: block devices and files."""

from typing import NamedTuple


class BlockNumber(NamedTuple):
    """A block device by its number."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> "BlockNumber":
        """From `major:minor`. Raises ValueError for anything else."""
        major, minor = text.strip().split(":")
        return cls(int(major), int(minor))


class FileNumber(NamedTuple):
    """A file by the number of its file system and its inode."""

    device: int
    inode: int

    @property
    def name(self) -> str:
        """As the beginning of an image's serial number: `file-<device>-<inode>`, both hex."""
        return f"file-{self.device:x}-{self.inode:x}"
