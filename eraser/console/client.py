"""Asks a running station, through its Unix socket. Loads nothing beyond the standard library."""

import http.client
import json
import re
import socket
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from eraser.console.forms import read_station
from eraser.console.problems import error_of
from eraser.domain.json_form import to_json
from eraser.domain.lot import Lot, TagBinding
from eraser.errors import EraserError, Refused, UsageError
from eraser.rack.view import StationSnapshot

TIMEOUT_SECONDS = 10.0
_NEXT = re.compile(r'<([^>]*)>; rel="next"')


class NoStation(UsageError):
    """Nobody answers at the socket."""

    code = "no-station"


class StationClient:
    """One call, one connection. Every call raises NoStation where none answers, and what the station raises."""

    def __init__(self, socket_path: Path, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._path = socket_path
        self._timeout_seconds = timeout_seconds

    def snapshot(self) -> StationSnapshot:
        """The whole station, now."""
        return read_station(self.station())

    def station(self) -> dict[str, Any]:
        """The same as the JSON that it came in."""
        answer = self._ask("GET", "/api/v1/station")
        assert isinstance(answer, dict)
        return answer

    def start(self, bay: str, standard: str, seen: str) -> None:
        """Begins to erase the drive that was seen in the bay: `seen` is the snapshot's `sighting`. Without a standard as its
        lot says.
        """
        self._order(bay, "start", ({"standard": standard} if standard else {}) | {"sighting": seen})

    def pause(self, bay: str, seen: str | None = None) -> None:
        """Lets the drive rest at a checkpoint."""
        self._order(bay, "pause", _seen(seen))

    def resume(self, bay: str, seen: str | None = None) -> None:
        """Goes on after a pause, an interruption or a cancel."""
        self._order(bay, "resume", _seen(seen))

    def cancel(self, bay: str, seen: str | None = None) -> None:
        """Stops the job: it goes on only when somebody says so."""
        self._order(bay, "cancel", _seen(seen))

    def locate(self, bay: str, seen: str | None = None) -> None:
        """Shows for a while which slot it is."""
        self._order(bay, "locate", _seen(seen))

    def retry(self, bay: str, seen: str) -> None:
        """Begins anew with a drive that was refused or has failed; an interrupted job goes on."""
        self._order(bay, "retry", _seen(seen))

    def maintain(self, bay: str, *, on: bool) -> None:
        """Takes the bay out of use, or back into it."""
        self._order(bay, "maintenance", {"on": on})

    def drain(self, *, on: bool) -> None:
        """Lets no new job begin, or lets them again."""
        self._ask("POST", "/api/v1/drain", {"on": on})

    # ---- the desk. `operator` is for root alone; empty: whoever asks.

    def lots(self) -> list[dict[str, Any]]:
        """All lots, as in `read_lot`."""
        return self._all("/api/v1/lots?limit=1000")

    def lot(self, lot_id: str) -> dict[str, Any]:
        """One, with what has come of it."""
        return self._object("GET", f"/api/v1/lots/{_quoted(lot_id)}")

    def add_lot(self, lot: Lot, operator: str = "") -> int:
        """Makes it; its revision."""
        body = to_json(lot) | {"operator": operator}
        return int(self._object("POST", "/api/v1/lots", body)["revision"])

    def change_lot(self, lot: Lot, operator: str = "") -> int:
        """Replaces what is said of it; its new revision."""
        body = to_json(lot) | {"operator": operator}
        del body["lot_id"]
        return int(self._object("PUT", f"/api/v1/lots/{_quoted(lot.lot_id)}", body)["revision"])

    def open_lot(self, lot_id: str, bays: Sequence[str] = (), operator: str = "") -> None:
        """Lets these bays, or all, take it in."""
        self._object("POST", f"/api/v1/lots/{_quoted(lot_id)}/open", {"bays": list(bays), "operator": operator})

    def close_lot(self, lot_id: str, operator: str = "") -> None:
        """Lets nothing more come with it."""
        self._object("POST", f"/api/v1/lots/{_quoted(lot_id)}/close", {"operator": operator})

    def bind_tag(self, binding: TagBinding, operator: str = "") -> None:
        """Lets the tag mean a drive or the next drive of a bay."""
        self._object("POST", "/api/v1/tags", to_json(binding) | {"operator": operator})

    def custody(self, drive: str) -> dict[str, Any]:
        """A drive's chain of custody, as in `read_drive`; by serial number, world-wide name or tag."""
        return self._object("GET", f"/api/v1/custody?drive={_quoted(drive)}")

    def record(self, drive: str, event: Mapping[str, str], operator: str = "") -> dict[str, Any]:
        """Writes down what happened to it; what is on record then."""
        return self._object("POST", "/api/v1/custody", {"drive": drive, "event": dict(event), "operator": operator})

    def withdraw(self, certificate_id: str, reason: str, digest: bytes = b"", operator: str = "") -> dict[str, Any]:
        """Takes a certificate back; what that meant, as in `read_withdrawal`."""
        body = {"reason": reason, "digest": digest.hex(), "operator": operator}
        return self._object("POST", f"/api/v1/certificates/{_quoted(certificate_id)}/withdrawal", body)

    def control(self) -> dict[str, Any]:
        """The positive control, as in `read_control`."""
        return self._object("GET", "/api/v1/control")

    def run_control(self) -> None:
        """Lets both controls be run now."""
        self._object("POST", "/api/v1/control")

    # ---- who may come in

    def accounts(self) -> list[dict[str, Any]]:
        """All accounts, by name."""
        return self._all("/api/v1/accounts")

    def add_account(self, name: str, roles: Sequence[str], language: str = "") -> dict[str, Any]:
        """Makes it; `link` in the answer is where its password is set, once."""
        return self._object("POST", "/api/v1/accounts", {"name": name, "roles": list(roles), "language": language})

    def change_account(
        self,
        name: str,
        *,
        roles: Sequence[str] | None = None,
        is_disabled: bool | None = None,
        language: str | None = None,
    ) -> dict[str, Any]:
        """What is None stays; the account as it is then."""
        said = {"roles": list(roles) if roles is not None else None, "is_disabled": is_disabled, "language": language}
        body = {key: value for key, value in said.items() if value is not None}
        return self._object("PATCH", f"/api/v1/accounts/{_quoted(name)}", body)

    def reset_account(self, name: str) -> dict[str, Any]:
        """Ends its password and sessions; `link` in the answer is where another is set, once."""
        return self._object("POST", f"/api/v1/accounts/{_quoted(name)}/reset")

    def tokens(self) -> list[dict[str, Any]]:
        """All tokens, without their secrets."""
        return self._all("/api/v1/tokens")

    def add_token(self, label: str, scopes: Sequence[str], *, is_wall: bool = False, days: int = 365) -> dict[str, Any]:
        """`token` in the answer is its secret, which is shown this once."""
        body = {"label": label, "scopes": list(scopes), "is_wall": is_wall, "days": days}
        return self._object("POST", "/api/v1/tokens", body)

    def end_token(self, token_id: str) -> None:
        """It opens nothing any more."""
        self._ask("DELETE", f"/api/v1/tokens/{_quoted(token_id)}")

    def trail(self, name: str = "") -> list[dict[str, Any]]:
        """What people and programs did, the oldest first; of one person where a name is given."""
        return self._all(f"/api/v1/trail?name={_quoted(name)}")

    def _all(self, target: str) -> list[dict[str, Any]]:
        """All pages of a list."""
        found: list[dict[str, Any]] = []
        following: str = target
        while following:
            answer, following = self._ask_page(following)
            assert isinstance(answer, list)
            found += answer
        return found

    def _object(self, method: str, target: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        answer = self._ask(method, target, body)
        assert isinstance(answer, dict)
        return answer

    def _order(self, bay: str, order: str, body: Mapping[str, Any] | None = None) -> None:
        self._ask("POST", f"/api/v1/bays/{_quoted(bay)}/{order}", body)

    def _ask(self, method: str, target: str, body: Mapping[str, Any] | None = None) -> Any:
        content, _ = self._answered(method, target, body)
        return content

    def _ask_page(self, target: str) -> tuple[Any, str]:
        content, headers = self._answered("GET", target, None)
        link = _NEXT.match(headers.get("link", ""))
        return content, link[1] if link else ""

    def _answered(self, method: str, target: str, body: Mapping[str, Any] | None) -> tuple[Any, Mapping[str, str]]:
        connection = _UnixConnection(self._path, self._timeout_seconds)
        headers = {"content-type": "application/json"} if body is not None else {}
        try:
            connection.request(method, target, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._no_answer(error) from error
        finally:
            connection.close()
        try:
            form = json.loads(content) if content else None
        except ValueError:
            form = {"detail": content.decode(errors="replace")[:200], "status": answer.status}
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise error_of(form or {"status": answer.status})
        return form, {name.lower(): value for name, value in answer.getheaders()}

    def _no_answer(self, error: Exception) -> EraserError:
        place = str(self._path)
        match error:
            case PermissionError():
                return Refused(
                    "permission",
                    "this user may not ask the station",
                    subject=place,
                    remedy="Ask as root (sudo), or join the group that owns the socket.",
                )
            case TimeoutError() | BlockingIOError():  # EAGAIN: too many wait already
                return EraserError(
                    f"the station did not answer within {self._timeout_seconds:g} s",
                    subject=place,
                    remedy="See its log; `eraser drives` works without it.",
                )
            case FileNotFoundError() | ConnectionRefusedError() | NotADirectoryError():
                return NoStation(
                    "no station answers there",
                    subject=place,
                    remedy="`eraser serve` runs one; --socket names another's.",
                )
        return EraserError(f"the station did not answer: {error!r}", subject=place, remedy="See its log.")


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _seen(sighting: str | None) -> dict[str, Any] | None:
    return {"sighting": sighting} if sighting is not None else None


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_seconds: float) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
