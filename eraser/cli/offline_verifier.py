"""`eraser-verify.pyz`: what `eraser certificate verify` says, for whoever has nothing but Python and `cryptography`.

Same options, same answers, same exit status. Built by `make verifier` from these very modules.
"""

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from eraser.certificates.checking import check_all
from eraser.certificates.holding import held
from eraser.certificates.keys import AUDIT_FOLDER, load_all, load_pdf_keys, station_keys
from eraser.errors import EraserError, ExitStatus
from eraser.settings import keys_dir


def main() -> None:
    """Prints a line a file. Exit status: the highest of all files."""
    try:
        sys.exit(_verify(_parser().parse_args()))
    except EraserError as error:
        print(f"eraser: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(ExitStatus.INTERRUPTED)
    except KeyboardInterrupt:
        sys.exit(ExitStatus.INTERRUPTED)


def _verify(given: argparse.Namespace) -> int:
    trusted = load_all(given.keys) if given.keys else station_keys(keys_dir(os.environ))
    is_own = not given.keys and not given.audit_keys
    audit_keys = station_keys(keys_dir(os.environ) / AUDIT_FOLDER) if is_own else load_all(given.audit_keys)
    holding = held(
        trusted,
        given.log_key,
        given.witness_key,
        given.drive,
        given.checkpoint,
        given.update,
        given.restart,
        given.receipt,
        given.code,
        audit_keys,
    )
    holding = replace(holding, pdf_keys=load_pdf_keys(given.keys))
    checks = check_all(given.files, holding)
    for check in checks:
        print(json.dumps(check.summary()) if given.json else check.sentence())
    return max(check.exit_status for check in checks)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="eraser-verify",
        allow_abbrev=False,
        description="Check that certificates are genuine, unaltered and free of contradiction; of bundles also that the "
        "log has them. Genuine does not mean passed.",
        epilog="Exit status: 0 genuine; 4 not to be believed; 5 signed with a key that is not trusted here; 2 wrong usage.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--keys", action="append", default=[], type=Path, metavar="PATH", help="public keys to trust")
    parser.add_argument(
        "--audit-keys", action="append", default=[], type=Path, metavar="PATH", help="auditors' public keys"
    )
    parser.add_argument(
        "--log-key", action="append", default=[], metavar="KEY", help="the log's public key, or its file"
    )
    parser.add_argument("--witness-key", action="append", default=[], metavar="KEY", help="a witness's, or its file")
    parser.add_argument("--drive", default="", metavar="SERIAL", help="the drive in the hand: serial number or WWN")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="one that you hold of the log")
    parser.add_argument("--update", action="append", default=[], type=Path, metavar="FILE", help="how the log grew")
    parser.add_argument(
        "--restart", action="append", default=[], type=Path, metavar="FILE", help="bundle of the log's record"
    )
    parser.add_argument("--receipt", type=Path, metavar="FILE", help="a customer's, as JSON: is it theirs?")
    parser.add_argument("--code", default="", metavar="CODE", help="the receipt's, where FILE has the details alone")
    parser.add_argument("--json", action="store_true", help="one JSON object a file")
    return parser
