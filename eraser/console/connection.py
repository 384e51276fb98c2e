"""One HTTP connection: uvicorn's, which also knows who is at the other end of a Unix socket, and waits for nobody forever."""

import asyncio
import socket
import struct
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 10.0
"""A request whose head has not come whole by then is given up. uvicorn itself would wait for it without end."""

_UCRED = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid


class Connection(H11Protocol):
    """Each request's state tells `peer_uid`: the uid of the process that opened the connection, None over TCP; `abort`
    drops the connection with all that is still to be sent.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # uvicorn copies it into the state of each request; what came from elsewhere must not stay in it.
        uid = peer_uid(transport.get_extra_info("socket"))
        self.app_state = {**self.app_state, "peer_uid": uid, "abort": transport.abort}
        self._await_head()

    def data_received(self, data: bytes) -> None:
        self._await_head()
        super().data_received(data)
        if self._is_in_request():
            self._stop_waiting()

    def on_response_complete(self) -> None:
        self._stop_waiting()  # from here on uvicorn's own keep-alive limit counts
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _is_in_request(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_head(self) -> None:
        """The time runs from the first byte on: one that comes now and then does not prolong it."""
        if self._deadline is None and not self._is_in_request():
            self._deadline = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def peer_uid(connection: socket.socket | None) -> int | None:
    """The uid at the other end when it connected (SO_PEERCRED, unix(7)); None where the kernel vouches for nobody."""
    if connection is None or connection.family != socket.AF_UNIX:
        return None
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _, uid, _ = _UCRED.unpack(credentials)
    return int(uid)
