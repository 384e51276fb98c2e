"""make verifier: the offline verifier as one file, `dist/eraser-verify.pyz`, of the installed package's own modules.

    python ops/build-verifier.py dist/eraser-verify.pyz

Only what it imports is in it, and rfc8785, which is pure Python, with the licences of both. The same sources give the same
bytes.
"""

import sys
import zipfile
from importlib.metadata import files
from importlib.util import find_spec
from modulefinder import ModuleFinder
from pathlib import Path

ENTRY = "eraser.cli.offline_verifier"
PACKED = ("eraser", "rfc8785")
# What is not packed need not be looked through.
ELSEWHERE = ["cryptography"]

MAIN = """\
import sys

if sys.version_info < (3, 11):
    sys.exit("eraser-verify needs Python 3.11 or newer")
try:
    import cryptography
except ImportError:
    sys.stderr.write("eraser-verify needs the package `cryptography`: python3 -m pip install cryptography\\n")
    sys.exit(2)
from eraser.cli.offline_verifier import main

main()
"""


def modules() -> dict[str, Path]:
    """The file of each packed module, by its place in the archive."""
    finder = ModuleFinder(excludes=ELSEWHERE)
    finder.import_hook(ENTRY)
    found = {}
    for name, module in finder.modules.items():
        top = name.partition(".")[0]
        if top in PACKED and module.__file__ is not None:
            root = Path(str(find_spec(top).origin)).parent.parent
            path = Path(module.__file__)
            found[path.relative_to(root).as_posix()] = path
    return found


def licences() -> dict[str, bytes]:
    """Of what is packed."""
    return {
        f"licences/{top}/{path.name}": Path(str(path.locate())).read_bytes()
        for top in PACKED
        for path in files(top) or []
        if path.name.startswith("LICENSE")
    }


def build(target: Path) -> None:
    """Writes the archive."""
    contents = (
        licences() | {place: path.read_bytes() for place, path in modules().items()} | {"__main__.py": MAIN.encode()}
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for place in sorted(contents):
                archive.writestr(zipfile.ZipInfo(place), contents[place], zipfile.ZIP_DEFLATED)
    target.chmod(0o755)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
