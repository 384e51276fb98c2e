"""Opening a PDF that anybody may have handed in: in a process of its own, with little memory and little time.

A PDF is a program for its reader: a few kilobytes of it may unfold to gigabytes. What becomes of that process becomes of no
drive. `python -m eraser.certificates.pdf_opening KEYS_FOLDER` reads the PDF on its input and answers one line of JSON.
"""

import asyncio
import base64
import json
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from eraser.certificates import errors
from eraser.certificates.checking import OpenedPdf
from eraser.certificates.errors import MalformedError
from eraser.errors import CertificateError

MAX_MEMORY_BYTES = 1024**3
"""Of addresses; drawing a page once more takes 400 MB of them, most of it fonts that are only mapped."""
MAX_CPU_SECONDS = 20
MAX_SECONDS = 40.0

_ERRORS = {
    kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CertificateError)
}


async def open_apart(file: bytes, keys_folder: Path) -> OpenedPdf:
    """What `pdf.checking.open_pdf` says of the file under the station's own keys; raises the same.

    MalformedError too for a file that takes more memory or time than any page of ours.
    """
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-m", __name__, str(keys_folder)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(MAX_SECONDS):
            out, _ = await child.communicate(file)
    except TimeoutError:
        out = b""
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    return _answer(out)


def _answer(out: bytes) -> OpenedPdf:
    try:
        told: dict[str, Any] = json.loads(out)
    except ValueError:
        raise MalformedError("it takes more memory or time to read than any page of ours") from None
    if (code := told.get("error")) is not None:
        raise _ERRORS.get(code, MalformedError)(str(told["what"]), remedy=str(told["remedy"]))
    document = base64.b64decode(told["document"])
    return OpenedPdf(document, str(told["key_id"]), bool(told["is_redrawn"]), is_lot=bool(told["is_lot"]))


def main(keys_folder: str) -> None:
    """The process."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    from eraser.certificates.pdf.checking import open_pdf
    from eraser.certificates.pdf.signing import station_pdf_keys

    try:
        opened = open_pdf(sys.stdin.buffer.read(), station_pdf_keys(Path(keys_folder)))
    except CertificateError as error:
        answer: dict[str, Any] = {"error": error.code, "what": error.what, "remedy": error.remedy}
    else:
        document = base64.b64encode(opened.document).decode()
        answer = {"document": document, "key_id": opened.key_id}
        answer |= {"is_redrawn": opened.is_redrawn, "is_lot": opened.is_lot}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
