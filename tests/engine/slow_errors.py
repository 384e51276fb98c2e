"""A fault that the lab lacks. Imported by the process that plays the drive: nothing heavy here."""

import errno
import os
import time
from dataclasses import dataclass

from tests.lab.behaviours import Behaviour
from tests.lab.regions import Region, touches


@dataclass
class SlowErrors(Behaviour):
    """Writes that touch `region` fail, each after `seconds` of the drive's own attempts."""

    region: Region
    seconds: float

    def write(self, offset: int, data: bytes) -> int:
        if touches(self.region, self, offset, offset + len(data)):
            time.sleep(self.seconds)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self.below.write(offset, data)
