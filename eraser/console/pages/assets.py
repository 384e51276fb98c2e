"""Style sheets, scripts and symbols of the pages. All of them are in memory, and nothing else can be asked for.

Their address bears a digest of them all, so that a browser keeps them for good and never mixes two versions; scripts and styles
name each other by relative addresses, which keep it.
"""

import hashlib
from functools import cache
from http import HTTPStatus
from pathlib import Path

from starlette.responses import Response

FOLDER = Path(__file__).parent.parent / "static"
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@cache
def assets() -> dict[str, bytes]:
    """Their contents by name, which may have folders in it."""
    return {
        str(path.relative_to(FOLDER)): path.read_bytes()
        for path in sorted(FOLDER.rglob("*"))
        if path.suffix in _MEDIA_TYPES
    }


@cache
def version() -> str:
    """The digest of all of them."""
    digest = hashlib.sha256()
    for name, content in assets().items():
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def address_of(name: str) -> str:
    """Where a page finds it. Raises KeyError for one that there is not."""
    assets()[name]
    return f"/static/{version()}/{name}"


def asset_response(asked_version: str, name: str) -> Response:
    """The answer to who asks for it; also under the digest of another version, but then not for good."""
    content = assets().get(name)
    if content is None:
        return Response("", status_code=HTTPStatus.NOT_FOUND)
    keeps = "public, max-age=31536000, immutable" if asked_version == version() else "no-cache"
    headers = {"cache-control": keeps, "x-content-type-options": "nosniff"}
    return Response(content, media_type=_MEDIA_TYPES[Path(name).suffix], headers=headers)
