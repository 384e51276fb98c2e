"""Serves the API on the station's own event loop: over TCP for monitors, over a Unix socket for the `eraser` command."""

import asyncio
import contextlib
import errno
import resource
import socket
import stat
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from fastapi import APIRouter, FastAPI

from eraser.console.accounts import Reception
from eraser.console.app import create_app
from eraser.console.connection import Connection
from eraser.console.desk import Desk
from eraser.console.events import MAX_CLIENTS, Broadcast
from eraser.console.metrics import MetricsPage
from eraser.console.orders import Books
from eraser.console.passwords import GuessLimit, Passwords
from eraser.console.recognising import Door
from eraser.console.wall import Wall
from eraser.errors import EraserError, UsageError
from eraser.ledger.accounts import Accounts
from eraser.rack.view import StationPort

GRACEFUL_SECONDS = 2
"""What is still being answered then is cut off: the station stops within 10 s, and an open stream never ends by itself."""
MAX_CONNECTIONS = MAX_CLIENTS + 200
"""Of each socket; more are told 503."""
MAX_HEAD_BYTES = 16 * 1024
SOCKET_MODE = 0o660
"""Its owner and its group may look; who may give orders is decided by credentials."""


@contextlib.asynccontextmanager
async def serve_http(
    station: StationPort,
    *,
    listen: str | None,
    socket: Path | None,
    desk: Desk | None = None,
    pages: APIRouter | None = None,
    accounts: Accounts | None = None,
    books: Books | None = None,
    wall: Wall | None = None,
    is_demo: bool = False,
    trusted_proxies: Sequence[str] = (),
) -> AsyncIterator[FastAPI]:
    """Serves while it is entered, on `HOST:PORT` and on a Unix socket, either of which may be None. `is_demo`: the station is a
    simulated one, and whoever asks from this host is its demo user. Whoever asks through one of `trusted_proxies` (addresses or
    networks) is known by what that says of them. Without `accounts` (and `books`) nobody can sign in. Gives
    the application.

    Answers when it is entered; has stopped, at most some 2 s later, when it is left. Installs no signal handler. Raises
    UsageError, before anything is served, for an address that cannot be had.
    """
    metrics = MetricsPage(station.snapshot)
    wall = wall or Wall(station.snapshot)
    events = Broadcast(station.snapshot, beside=wall.line)
    door = Door(accounts, is_demo=is_demo)
    reception = None
    if accounts is not None and books is not None:
        reception = Reception(accounts, books, door, Passwords(), GuessLimit())
    app = create_app(
        station,
        metrics,
        desk,
        recognise=door,
        events=events,
        pages=pages,
        reception=reception,
        alarms=wall.alarms,
    )
    with contextlib.ExitStack() as opened:
        listeners = []
        if listen is not None:
            listeners.append(opened.enter_context(_tcp_socket(listen)))
            app.state.port = listeners[0].getsockname()[1]  # port 0 is any that is free
        if socket is not None:
            listeners.append(opened.enter_context(_unix_socket(socket)))
        # One server for each: those who crowd the one must not shut the others out.
        servers = [_Server(_config(app, trusted_proxies)) for _ in listeners]
        tasks = [
            asyncio.create_task(server.serve(sockets=[listener]))
            for server, listener in zip(servers, listeners, strict=True)
        ]
        beside = [asyncio.create_task(metrics.keep_fresh()), asyncio.create_task(events.run())]
        beside.append(asyncio.create_task(wall.run()))
        try:
            for server, serving in zip(servers, tasks, strict=True):
                await _until_serving(server, serving)
            yield app
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            if reception is not None:
                reception.passwords.close()
            events.close()
            for server in servers:
                server.should_exit = True
            await asyncio.gather(*tasks)


async def _until_serving(server: "_Server", task: asyncio.Task[None]) -> None:
    ready = asyncio.create_task(server.is_serving.wait())
    await asyncio.wait((ready, task), return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    if task.done():
        task.result()


def _config(app: FastAPI, trusted_proxies: Sequence[str]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=bool(
            trusted_proxies
        ),  # at the Unix socket the kernel vouches for who asks, and nothing else counts
        forwarded_allow_ips=list(trusted_proxies),
        server_header=False,
        limit_concurrency=min(MAX_CONNECTIONS, _files_to_spare()),
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )


def _files_to_spare() -> int:
    """Half of what this process may open: the other half is for drives, certificates and the ledger."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < (wanted := min(hard, 4 * MAX_CONNECTIONS)):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2


class _Server(uvicorn.Server):
    """uvicorn on somebody else's loop: the station catches the signals, and is told when connections are taken."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_serving = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_serving.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.contextmanager
def _tcp_socket(listen: str) -> Iterator[socket.socket]:
    try:
        address = urlsplit(f"//{listen}")
        host, port = address.hostname, address.port
    except ValueError:
        host = port = None
    if host is None or port is None:
        raise UsageError(
            "it is no HOST:PORT", subject=listen, remedy="Write one, such as 127.0.0.1:8080 or [::1]:8080."
        )
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _cannot_listen(listen, error) from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(place)
            listener.listen()
        except OSError as error:
            raise _cannot_listen(listen, error) from error
        yield listener


@contextlib.contextmanager
def _unix_socket(path: Path) -> Iterator[socket.socket]:
    _make_way(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        # Nobody can connect before `listen`, so nobody is let in by the mode that the socket is born with.
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            listener.bind(str(path))
            path.chmod(SOCKET_MODE)
            listener.listen()
        except OSError as error:
            raise _cannot_listen(str(path), error) from error
        ours = path.stat().st_ino
        try:
            yield listener
        finally:
            with contextlib.suppress(OSError):
                if path.stat().st_ino == ours:  # else another station has taken the place
                    path.unlink()


def _make_way(path: Path) -> None:
    """Removes the socket of a station that died. Raises UsageError for one that lives, and for what is no socket."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return  # nothing is there, or `bind` says why it cannot be
    if not stat.S_ISSOCK(mode):
        raise UsageError("it is there and is no socket", subject=str(path), remedy="Name another place.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:  # nobody listens any more
            path.unlink(missing_ok=True)
            return
        except (
            TimeoutError,
            BlockingIOError,
        ):  # somebody does, and is too busy to answer (EAGAIN: its backlog is full)
            pass
        except OSError as error:
            raise _cannot_listen(str(path), error) from error
    raise UsageError("a station is there already", subject=str(path), remedy="Stop it, or name another place.")


def _cannot_listen(place: str, error: OSError) -> EraserError:
    if error.errno == errno.EADDRINUSE:
        return UsageError(
            "another program listens there already", subject=place, remedy="Stop it, or choose another port: --listen."
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return UsageError(
            "this user may not listen there", subject=place, remedy="Choose another place, or run as root."
        )
    why = error.strerror or str(error)
    return UsageError(f"nobody can listen there: {why}", subject=place, remedy="Name an address of this host.")
