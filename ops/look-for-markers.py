#!/usr/bin/env python3
"""Reads the simulated rack's drives after a run, without anything of eraser: what is left of the customers' records?

    look-for-markers.py DATA_FOLDER

Exit status 1 when a drive that passed still has a record on it, or when nothing passed.
"""

import json
import mmap
import sys
from collections import Counter
from pathlib import Path

MARKER = b"SIMULATED CUSTOMER RECORD"


def records(image: Path) -> int:
    """How many are on it."""
    with image.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        count, at = 0, content.find(MARKER)
        while at >= 0:
            count, at = count + 1, content.find(MARKER, at + len(MARKER))
        return count


def main(data: Path) -> int:
    """Counts, and says what was found."""
    certificates = [json.loads(path.read_text())["certificate"] for path in (data / "certificates").glob("*.json")]
    outcomes = {item["drive"]["identity"]["serial"]: item["outcome"] for item in certificates}
    images = sorted((data / "drives").glob("*.img"))
    passed = [image for image in images if outcomes.get(image.stem) == "passed"]
    others = [image for image in images if outcomes.get(image.stem) != "passed"]
    left = sum(map(records, passed))
    still = sum(records(image) > 0 for image in others)
    said = Counter(outcomes.values())
    print(f"Certificates:                {said['passed']} passed, {said['failed']} failed")
    print(f"Records on the {len(passed):3} passed:    {left}")
    print(
        f"The other {len(others):3} drives:        {still} of them still have records; no certificate says that they passed"
    )
    return 0 if passed and left == 0 else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
