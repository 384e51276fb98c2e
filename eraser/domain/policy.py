"""Policy: a standard, a level and a drive give a plan, or a refusal that says why and what to do about it."""

from typing import NoReturn

from eraser.domain.catalogue import Standard, standard_named
from eraser.domain.chance import shuffled
from eraser.domain.conditions import refuse_unfit
from eraser.domain.drive import Drive, Media, SerialSource, Transport, is_recognisable
from eraser.domain.pattern import RandomBytes, draw
from eraser.domain.plan import DEFAULT_HASH_EXTENT_BYTES, Level, Plan, PlannedPass
from eraser.domain.program import PassSpec, Program, Standing, Verification
from eraser.errors import Refused

_STRENGTH = (Verification.NONE, Verification.SAMPLED, Verification.FULL)
"""From the weakest up."""

_PURGE_REMEDY = {
    Transport.SATA: "ATA SANITIZE (block erase, crypto scramble or overwrite) or an enhanced SECURITY ERASE UNIT",
    Transport.SAS: "SCSI SANITIZE (block erase, cryptographic erase or overwrite)",
    Transport.NVME: "NVMe Sanitize (block erase, crypto erase or overwrite)",
    Transport.USB: (
        "a sanitize command, for which the drive has to be taken out of its enclosure where the "
        "bridge does not pass it on"
    ),
}
_PURGE_REMEDY_ELSE = "a sanitize command of the drive itself, which this path does not offer"


def make_plan(
    drive: Drive,
    standard_name: str,
    *,
    random_bytes: RandomBytes,
    level: Level | None = None,
    verification: Verification | None = None,
    hashing: bool = True,
    custom: Program | None = None,
) -> Plan:
    """The plan for this drive, every pattern drawn from `random_bytes`. A `custom` program takes the place of the
    named one.

    Without a level it is the standard's; without a verification it is full. Raises UsageError for a name that nobody
    knows, Refused where the drive's state, the level or the verification asked for cannot be had.
    """
    asked = custom if custom is not None else standard_named(standard_name)
    program = asked.choose(drive) if isinstance(asked, Standard) else asked
    refuse_unfit(drive, drive.label)
    level_asked = level or (asked.level if isinstance(asked, Standard) else Level.CLEAR)
    if level_asked is Level.PURGE:
        _refuse_purge(drive)
    chosen = verification or Verification.FULL
    _refuse_weak_verification(program, chosen, drive)
    hashes = hashing and chosen is Verification.FULL
    return Plan(
        standard=asked.name,
        program=program.name,
        title=program.title,
        source=program.source,
        standing=program.standing,
        claim=claim(program),
        level_asked=level_asked,
        level_reached=Level.CLEAR,
        passes=_planned(program, random_bytes),
        verification=chosen,
        hash_extent_bytes=DEFAULT_HASH_EXTENT_BYTES if hashes else 0,
        needs_markers=program.needs_markers(chosen),
        notes=_notes(drive, asked, program, chosen, hashing and not hashes),
    )


def claim(program: Program) -> str:
    """What a certificate may say of the program: *complies with* only where its text is in force and was seen."""
    match program.standing:
        case Standing.CURRENT:
            return f"Complies with {program.source}."
        case Standing.WITHDRAWN:
            return (
                f"Pattern of {program.title} ({program.source}), which is no longer in force. No compliance is claimed."
            )
        case Standing.SECONDARY_SOURCE:
            return (
                f"Pattern of {program.title} ({program.source}), known from secondary sources. No compliance "
                f"is claimed."
            )
        case Standing.FOLKLORE:
            return (
                f"Pattern that goes by the name of {program.title}. No standard contains it and no compliance "
                f"is claimed."
            )
        case Standing.OWN:
            return (
                f"Overwritten by the program {program.name} ({program.title}). No standard is behind it and no "
                f"compliance is claimed."
            )


def _refuse_purge(drive: Drive) -> NoReturn:
    # NIST SP 800-88 Rev. 1 App. A and IEEE 2883: writes by the host reach addresses, not spare, remapped or retired
    # blocks.
    needed = _PURGE_REMEDY.get(drive.transport, _PURGE_REMEDY_ELSE)
    raise Refused(
        "no-method",
        "overwriting by the host never counts as purge",
        subject=drive.label,
        remedy=f"Purge would need {needed}. Ask for the level clear, or send the drive to destruction.",
    )


def _refuse_weak_verification(program: Program, chosen: Verification, drive: Drive) -> None:
    required = program.required_verification
    if _STRENGTH.index(chosen) < _STRENGTH.index(required):
        raise Refused(
            "verification-too-weak",
            f"the program {program.name} asks for {required.value} verification and {chosen.value} was asked for",
            subject=drive.label,
            remedy=f"Ask for {required.value} verification, or for a program that needs less.",
        )


def _planned(program: Program, random_bytes: RandomBytes) -> tuple[PlannedPass, ...]:
    specs = _ordered(program, random_bytes)
    patterns = draw(tuple(spec.pattern for spec in specs), random_bytes)
    last = len(specs)
    return tuple(
        # The last pass is read back by the plan's verification, which then is full: not twice.
        PlannedPass(pattern, spec.reverse, spec.verify and number < last)
        for number, (spec, pattern) in enumerate(zip(specs, patterns, strict=True), start=1)
    )


def _ordered(program: Program, random_bytes: RandomBytes) -> tuple[PassSpec, ...]:
    if program.shuffled is None:
        return program.passes
    first, last = program.shuffled
    stretch = shuffled(program.passes[first - 1 : last], random_bytes)
    return (*program.passes[: first - 1], *stretch, *program.passes[last:])


def _notes(
    drive: Drive, asked: Standard | Program, program: Program, verification: Verification, hashing_dropped: bool
) -> tuple[str, ...]:
    notes = [*_notes_on_reach(drive), *_notes_on_identity(drive), *_notes_on_standard(drive, asked, program)]
    if verification is Verification.NONE:
        notes.append("Nothing is read back: what the drive holds afterwards is not known, only what was sent to it.")
    elif program.needs_markers(verification):
        notes.append("What is read back repeats itself and cannot tell one address from another.")
    if program.needs_markers(verification):
        notes.append("Distinct markers are written and read back first, to see that the drive keeps what it is given.")
    if verification is Verification.SAMPLED:
        notes.append(
            "Sampled places are read back, about 10 %; for the rest the evidence gives a bound and no certainty."
        )
    if hashing_dropped:
        notes.append("No hashes are kept: the extents are not read in full.")
    return tuple(notes)


def _notes_on_reach(drive: Drive) -> list[str]:
    notes = []
    geometry = drive.geometry
    if geometry.hidden_bytes or geometry.hidden_areas:
        areas = f" ({', '.join(geometry.hidden_areas)})" if geometry.hidden_areas else ""
        how_much = f"{geometry.hidden_bytes} bytes" if geometry.hidden_bytes else "A part of unknown size"
        notes.append(
            f"{how_much} of the drive{areas} cannot be addressed and stay unwritten: never passed. Remove the "
            f"hidden area first."
        )
    if geometry.hidden_areas_unknown:
        notes.append(
            f"Whether the drive hides an area ({', '.join(geometry.hidden_areas_unknown)}) is unknown, since it could "
            f"not be asked: such an area would stay unwritten."
        )
    if drive.is_virtual:
        notes.append(
            "This is a file or a virtual drive: only what can be addressed in it now is overwritten, not what "
            "lies beneath."
        )
    elif drive.media is Media.FLASH:
        notes.append(
            "Flash behind a translation layer: overwriting reaches what can be addressed, not spare, remapped or "
            "retired blocks. "
            "Clear at most."
        )
    elif drive.media is Media.UNKNOWN:
        notes.append(
            "It is not known whether this is flash; if it is, spare, remapped or retired blocks are not reached. "
            "Clear at most."
        )
    return notes


def _notes_on_identity(drive: Drive) -> list[str]:
    notes = []
    if drive.identity.serial and drive.identity.serial_source is SerialSource.ENCLOSURE:
        notes.append("The serial number is the enclosure's and says nothing about the drive inside.")
    if not is_recognisable(drive):
        notes.append(
            "The drive has no serial number or world-wide name of its own: the certificate cannot be tied to it "
            "by that."
        )
    return notes


def _notes_on_standard(drive: Drive, asked: Standard | Program, program: Program) -> list[str]:
    notes = []
    removable_flash = drive.transport in (Transport.USB, Transport.MMC) and drive.media is not Media.MAGNETIC
    if program.name == "nist-800-88-clear" and removable_flash:
        notes.append(
            "NIST SP 800-88 Rev. 1 asks for at least two passes on USB sticks and memory cards, a pattern and "
            "its complement: "
            "nist-800-88-clear-usb writes these. Rev. 2 is content with one."
        )
    if isinstance(asked, Standard) and len(asked.programs) > 1 and drive.media is Media.UNKNOWN:
        notes.append(f"The medium is unknown and taken for magnetic, which {asked.title} treats more strictly.")
    return notes
