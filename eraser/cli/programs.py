"""`eraser programs`: every program and standard, what each writes, where it comes from and how long it takes."""

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_never

import click

from eraser.cli.quantities import human_size, parse_size, parse_speed, quantity
from eraser.domain.catalogue import PROGRAMS, STANDARDS, Standard, normalised, program_named, standard_named
from eraser.domain.estimate import Estimate, estimate
from eraser.domain.pattern import ComplementOf, Constant, PatternSpec, RandomByte, RandomStream
from eraser.domain.program import PassSpec, Program, Verification
from eraser.errors import UsageError

MAX_PROGRAM_FILE_BYTES = 1 << 20
WIDTH = 80
LEGEND = (
    "Passes: R a fresh random stream, r one random byte repeated, ~n the complement of pass n, < from the drive's end "
    "to its beginning, v read back before the next pass."
)


@click.command("programs")
@click.argument("name", required=False)
@click.option("--program-file", type=click.Path(path_type=Path), help="Show the program in this TOML file instead.")
@click.option("--size", callback=quantity(parse_size), default="20TB", show_default=True, help="Capacity of the drive.")
@click.option(
    "--speed",
    callback=quantity(parse_speed),
    default="200MB/s",
    show_default=True,
    help="How fast it writes and reads.",
)
@click.option(
    "--verify",
    "verification",
    type=click.Choice([item.value for item in Verification]),
    default=Verification.FULL.value,
    show_default=True,
    help="How it is read back at the end.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, one line a program or standard.")
def programs_command(
    name: str | None, program_file: Path | None, size: int, speed: int, verification: str, as_json: bool
) -> None:
    """List the programs and standards that `erase --standard` takes; with NAME, one of them in full.

    Hours are for the size and speed given, read back as --verify says and never less than the program's source asks.
    """
    programs: list[Program]
    standards: list[Standard]
    cost = _Cost(size, speed, Verification(verification))
    if program_file is not None:
        if name is not None:
            raise click.UsageError("Give a NAME or --program-file, not both.")
        programs, standards, is_one = [_from_file(program_file)], [], True
    elif name is not None:
        (programs, standards), is_one = _named(name), True
    else:
        programs, standards, is_one = list(PROGRAMS), list(STANDARDS), False
    if as_json:
        for form in (*(cost.form(item) for item in programs), *(_standard_form(item) for item in standards)):
            click.echo(json.dumps(form))
    elif is_one:
        parts = [*map(_standard_text, standards), *(_program_text(item, cost) for item in programs)]
        click.echo("\n\n".join([*parts, "\n".join(_wrapped(LEGEND))]))
    else:
        click.echo("\n".join(_table(programs, standards, cost)))


class _Cost:
    """What programs cost on the drive asked about."""

    def __init__(self, size_bytes: int, bytes_per_second: int, verification: Verification) -> None:
        self.size_bytes = size_bytes
        self.bytes_per_second = bytes_per_second
        self.verification = verification

    def read_back(self, program: Program) -> Verification:
        """What was asked for, or more where the program's source asks for more."""
        strength = list(Verification)
        return max(self.verification, program.required_verification, key=strength.index)

    def of(self, program: Program) -> Estimate:
        return estimate(
            program,
            self.read_back(program),
            capacity_bytes=self.size_bytes,
            write_bytes_per_second=self.bytes_per_second,
        )

    def form(self, program: Program) -> dict[str, Any]:
        cost = self.of(program)
        return {
            "kind": "program",
            "name": program.name,
            "title": program.title,
            "aliases": list(program.aliases),
            "passes": [_pass_form(item) for item in program.passes],
            "shuffled": list(program.shuffled) if program.shuffled else None,
            "bytes_written_per_byte": cost.written_per_byte,
            "least_verification": program.required_verification.value,
            "standing": program.standing.value,
            "source": program.source,
            "note": program.note,
            "estimate": {
                "size_bytes": self.size_bytes,
                "bytes_per_second": self.bytes_per_second,
                "verification": self.read_back(program).value,
                "bytes_written": cost.bytes_written,
                "bytes_read": cost.bytes_read,
                "hours": round(cost.hours, 2),
            },
        }


def _from_file(path: Path) -> Program:
    from eraser.domain.custom_program import parse_custom_program

    try:
        with path.open("rb") as file:
            content = file.read(MAX_PROGRAM_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"the program file cannot be read: {error.strerror}", subject=str(path)) from error
    if len(content) > MAX_PROGRAM_FILE_BYTES:
        raise UsageError("it is too long for a program", subject=str(path), remedy="At most 1 MiB is read.")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"byte {error.start} is no UTF-8", subject=str(path), remedy="Save it as UTF-8.") from None
    return parse_custom_program(text, subject=str(path))


def _named(name: str) -> tuple[list[Program], list[Standard]]:
    """The program of this name; or the standard, with the programs that it chooses from."""
    found = standard_named(name)
    if isinstance(found, Program):
        return [found], []
    programs = list(found.programs)
    if any(normalised(name) == normalised(known) for item in PROGRAMS for known in (item.name, *item.aliases)):
        programs = list(dict.fromkeys((program_named(name), *programs)))
    return programs, [found]


def _notation(spec: PatternSpec) -> str:
    match spec:
        case Constant(data):
            text = data.hex().upper()
            return text if len(text) <= 32 else f"{text[:28]}… ({len(data)} bytes)"
        case RandomStream():
            return "R"
        case RandomByte():
            return "r"
        case ComplementOf(number):
            return f"~{number}"
        case _:
            assert_never(spec)


def _pass_notation(item: PassSpec) -> str:
    return f"{_notation(item.pattern)}{'<' if item.reverse else ''}{'v' if item.verify else ''}"


def _passes_notation(program: Program) -> str:
    """`FF 00 5xR`: passes in their order, equal neighbours counted."""
    runs: list[tuple[str, int]] = []
    for word in map(_pass_notation, program.passes):
        if runs and runs[-1][0] == word and word in ("R", "r"):
            runs[-1] = (word, runs[-1][1] + 1)
        else:
            runs.append((word, 1))
    return " ".join(word if count == 1 else f"{count}x{word}" for word, count in runs)


def _pass_form(item: PassSpec) -> dict[str, Any]:
    form: dict[str, Any] = {"pattern": item.pattern.kind, "reverse": item.reverse, "verify": item.verify}
    match item.pattern:
        case Constant(data):
            form["data"] = data.hex()
        case ComplementOf(number):
            form["pass_number"] = number
    return form


def _table(programs: list[Program], standards: list[Standard], cost: _Cost) -> Iterator[str]:
    size, speed = human_size(cost.size_bytes), human_size(cost.bytes_per_second)
    yield f"Hours on a drive of {size} at {speed}/s, verification {cost.verification.value}"
    yield ""
    yield f"{'PROGRAM':<27}  PASSES  WRITES  READ BACK  {'STANDING':<16}  {'HOURS':>6}"
    for program in programs:
        needs = cost.of(program)
        yield (
            f"{program.name:<27}  {needs.passes:>6}  {f'{needs.written_per_byte}x':>6}  "
            f"{program.required_verification.value:<9}  {program.standing.value:<16}  {needs.hours:>6.1f}"
        )
        yield from _wrapped(_passes_notation(program), "    ")
        yield from _wrapped(program.source, "    ")
    yield ""
    yield "STANDARD"
    for standard in standards:
        yield f"{standard.name:<27}  {standard.title}, level {standard.level.value}"
        yield from _wrapped(standard.choice, "    ")
    yield ""
    yield from _wrapped(
        f"WRITES: bytes written for each byte of the drive. READ BACK: the least that the source asks. {LEGEND}"
    )


def _program_text(program: Program, cost: _Cost) -> str:
    needs = cost.of(program)
    reads = cost.read_back(program).value
    rows = [
        ("Program", f"{program.name}: {program.title}"),
        ("Also called", ", ".join(program.aliases)),
        ("Standing", program.standing.value),
        ("Source", program.source),
        ("Passes", f"{needs.passes}: {_passes_notation(program)}"),
        ("Order", _order(program)),
        ("Writes", f"{needs.written_per_byte} bytes for each byte of the drive"),
        ("Reads back", f"at least: {program.required_verification.value}"),
        (
            "Takes",
            f"{needs.hours:.1f} hours on {human_size(cost.size_bytes)} at {human_size(cost.bytes_per_second)}/s, "
            f"verification {reads}",
        ),
        ("Note", program.note),
    ]
    return _rows(rows)


def _order(program: Program) -> str:
    if program.shuffled is None:
        return ""
    first, last = program.shuffled
    return f"passes {first} to {last} come in an order that each job draws anew"


def _standard_text(standard: Standard) -> str:
    return _rows(
        [
            ("Standard", f"{standard.name}: {standard.title}"),
            ("Also called", ", ".join(standard.aliases)),
            ("Level", standard.level.value),
            ("Chooses", standard.choice),
        ]
    )


def _standard_form(standard: Standard) -> dict[str, Any]:
    return {
        "kind": "standard",
        "name": standard.name,
        "title": standard.title,
        "aliases": list(standard.aliases),
        "level": standard.level.value,
        "programs": [program.name for program in standard.programs],
        "choice": standard.choice,
    }


def _rows(rows: list[tuple[str, str]]) -> str:
    lines: list[str] = []
    for name, text in rows:
        if text:
            lines += textwrap.wrap(text, WIDTH, initial_indent=f"{name:<13}", subsequent_indent=" " * 13)
    return "\n".join(lines)


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent)
