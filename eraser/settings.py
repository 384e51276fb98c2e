"""Where the station keeps what outlives a command. Only paths: nothing is made here, the environment is passed in.

What can be configured beyond these is in `eraser.configuration`, which takes longer to load.
"""

from collections.abc import Mapping
from pathlib import Path

from eraser.errors import UsageError


def data_dir(environ: Mapping[str, str]) -> Path:
    """The station's own folder: `$XDG_DATA_HOME/eraser`, else `$HOME/.local/share/eraser`.

    Source: XDG Base Directory Specification; relative values are ignored, as it says. Raises UsageError when neither is
    set.
    """
    for value, below in ((environ.get("XDG_DATA_HOME"), "eraser"), (environ.get("HOME"), ".local/share/eraser")):
        if value and Path(value).is_absolute():
            return Path(value) / below
    raise UsageError(
        "there is no place for the station's data: neither XDG_DATA_HOME nor HOME is an absolute path",
        remedy="Set XDG_DATA_HOME to a folder that outlives this command.",
    )


def keys_dir(environ: Mapping[str, str]) -> Path:
    """Signing keys and the public keys that this station trusts."""
    return data_dir(environ) / "keys"


def certificates_dir(environ: Mapping[str, str]) -> Path:
    """Certificates, unless the command names another folder."""
    return data_dir(environ) / "certificates"


def journal_dir(environ: Mapping[str, str]) -> Path:
    """The journals of all jobs."""
    return data_dir(environ) / "journal"


CONFIG_FILE = Path("/etc/eraser/eraser.toml")


def config_file(environ: Mapping[str, str]) -> Path:
    """The station's configuration: `$ERASER_CONFIG`, else /etc/eraser/eraser.toml, whether it is there or not."""
    return Path(environ.get("ERASER_CONFIG") or CONFIG_FILE)


SOCKET_FILE = Path("/run/eraser/eraser.sock")


def socket_file(environ: Mapping[str, str]) -> Path:
    """Where a station of this host answers, as the station itself reads it: `$ERASER_HTTP__SOCKET`, else what its configuration
    file says, else the usual place. A file that this user cannot read, or that is being written, says nothing.
    """
    if given := environ.get("ERASER_HTTP__SOCKET"):
        return Path(given)
    import tomllib

    try:
        http = tomllib.loads(config_file(environ).read_text()).get("http")
    except (OSError, ValueError):
        http = None
    said = http.get("socket") if isinstance(http, dict) else None
    return Path(said) if said and isinstance(said, str) else SOCKET_FILE
