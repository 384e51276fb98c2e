"""The installed `eraser`, loaded once and forked for each call: `ready_made.py JSON`, then one call a line on stdin.

A test that kills a server twenty times would else wait for its libraries to load twenty times. JSON names fields of `Tuning`,
for which there is no option on purpose. All else is as it is installed. A line of stdin is {"words": [...], "log": PATH};
answered by "pid N" when it runs and "status N" when it has ended.
"""

import ctypes
import functools
import importlib
import json
import os
import pkgutil
import signal
import sys

import eraser
from eraser.cli import main
from eraser.engine import tuning

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def load_all() -> None:
    """Import everything of `eraser` that can be imported without being run."""
    for module in pkgutil.walk_packages(eraser.__path__, "eraser."):
        if not module.name.startswith("eraser.ledger.migrations"):
            importlib.import_module(module.name)


def serve_one(words: list[str], log: str) -> int:
    """The exit status of a child that runs the command with `words`."""
    pid = os.fork()
    if pid == 0:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.argv = ["eraser", *words]
        main.main()
        os._exit(0)
    print("pid", pid, flush=True)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run(changes: dict[str, float]) -> None:
    """Serve calls until stdin ends."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    load_all()
    # `tuning_for` starts from its defaults.
    tuning.Tuning = functools.partial(tuning.Tuning, **changes)  # type: ignore[misc, assignment]
    print("ready", flush=True)
    for line in sys.stdin:
        call = json.loads(line)
        print("status", serve_one(call["words"], call["log"]), flush=True)


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
