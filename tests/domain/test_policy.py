"""Policy: which plan a standard and a drive give, and every refusal with its own reason and remedy."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

from eraser.domain.catalogue import PROGRAMS, STANDARDS, program_named
from eraser.domain.drive import Condition, Drive, Geometry, Identity, Media, SerialSource, Transport
from eraser.domain.json_form import from_json, to_json
from eraser.domain.pattern import AesCtrStream, Constant, RandomBytes, RandomStream
from eraser.domain.plan import Level, Plan
from eraser.domain.policy import claim, make_plan
from eraser.domain.program import PassSpec, Program, Standing, Verification
from eraser.errors import ExitStatus, Refused, UsageError
from tests.domain.builders import GEOMETRY, IDENTITY, a_drive, seeded_chance

MAGNETIC = a_drive()
SSD = a_drive(media=Media.FLASH, transport=Transport.NVME)
STICK = a_drive(media=Media.FLASH, transport=Transport.USB)


def plan_for(
    drive: Drive = MAGNETIC,
    standard: str = "random",
    *,
    level: Level | None = None,
    verification: Verification | None = None,
    hashing: bool = True,
    chance: RandomBytes | None = None,
    custom: Program | None = None,
) -> Plan:
    return make_plan(
        drive,
        standard,
        level=level,
        verification=verification,
        hashing=hashing,
        random_bytes=chance or seeded_chance(),
        custom=custom,
    )


def said(plan: Plan) -> str:
    return "\n".join(plan.notes)


def test_a_plan_has_its_patterns_drawn_and_verifies_and_hashes_in_full() -> None:
    plan = plan_for(standard="dod-short")
    assert (plan.standard, plan.program) == ("dod-5220.22-m", "dod-5220.22-m")
    assert [type(item.pattern) for item in plan.passes] == [Constant, Constant, AesCtrStream]
    assert plan.verification is Verification.FULL
    assert plan.hash_extent_bytes == 1 << 30
    assert (plan.level_asked, plan.level_reached) == (Level.CLEAR, Level.CLEAR)
    assert not plan.needs_markers
    assert plan.notes == ()
    assert from_json(Plan, to_json(plan)) == plan


def test_two_jobs_never_share_a_seed() -> None:
    chance = seeded_chance()
    plans = [plan_for(standard="pfitzner-33", chance=chance) for _ in range(4)]
    seeds = [item.pattern.seed for plan in plans for item in plan.passes if isinstance(item.pattern, AesCtrStream)]
    assert len(set(seeds)) == 4 * 33


@pytest.mark.parametrize("program", [*PROGRAMS, *STANDARDS], ids=lambda item: item.name)
@pytest.mark.parametrize(
    "drive", [MAGNETIC, SSD, STICK, a_drive(media=Media.UNKNOWN)], ids=["disk", "ssd", "usb", "unknown"]
)
def test_no_overwriting_of_any_drive_reaches_purge(program: Program, drive: Drive) -> None:
    assert plan_for(drive, program.name).level_reached is Level.CLEAR
    with pytest.raises(Refused) as caught:
        plan_for(drive, program.name, level=Level.PURGE)
    assert caught.value.reason == "no-method"
    assert caught.value.exit_status is ExitStatus.REFUSED


@pytest.mark.parametrize(
    ("transport", "needed"),
    [
        (Transport.SATA, "ATA SANITIZE"),
        (Transport.SAS, "SCSI SANITIZE"),
        (Transport.NVME, "NVMe Sanitize"),
        (Transport.USB, "taken out of its enclosure"),
        (Transport.IMAGE, "does not offer"),
    ],
)
def test_the_refusal_of_purge_says_what_it_would_need(transport: Transport, needed: str) -> None:
    with pytest.raises(Refused) as caught:
        plan_for(a_drive(transport=transport), level=Level.PURGE)
    assert needed in caught.value.remedy


def test_every_condition_is_refused_with_its_own_reason_and_remedy() -> None:
    reasons, remedies = set(), set()
    for condition in Condition:
        with pytest.raises(Refused) as caught:
            plan_for(a_drive(conditions=(condition,)))
        assert caught.value.reason == condition.value
        assert caught.value.subject == "Spinner 1000 S3R1AL"
        reasons.add(caught.value.reason)
        remedies.add(caught.value.remedy)
    assert len(reasons) == len(remedies) == len(Condition)
    assert "" not in remedies


def test_a_plan_says_which_hidden_areas_are_unknown() -> None:
    unknown = a_drive(geometry=replace(GEOMETRY, hidden_areas_unknown=("hpa", "dco")))
    assert "(hpa, dco) is unknown" in said(plan_for(unknown))
    assert "unknown" not in said(plan_for())


def test_a_drive_without_capacity_is_refused_though_nobody_noted_the_condition() -> None:
    with pytest.raises(Refused) as caught:
        plan_for(a_drive(geometry=Geometry(0, 512, 512)))
    assert caught.value.reason == "zero-capacity"


def test_a_refused_job_draws_nothing() -> None:
    def no_chance(length: int) -> bytes:
        raise AssertionError("chance was asked")

    with pytest.raises(Refused):
        plan_for(a_drive(conditions=(Condition.ZONED,)), chance=no_chance)


@pytest.mark.parametrize(
    ("program", "weak", "needed"),
    [
        ("dod-5220.22-m", Verification.SAMPLED, "full"),
        ("dod-5220.22-m", Verification.NONE, "full"),
        ("nist-800-88-clear", Verification.NONE, "sampled"),
        ("gb-46864-2025", Verification.NONE, "sampled"),
    ],
)
def test_verification_weaker_than_the_program_asks_is_refused(program: str, weak: Verification, needed: str) -> None:
    with pytest.raises(Refused) as caught:
        plan_for(standard=program, verification=weak)
    assert caught.value.reason == "verification-too-weak"
    assert needed in caught.value.remedy
    assert plan_for(standard=program, verification=Verification(needed)).verification.value == needed


def test_less_than_full_verification_is_noted_and_keeps_no_hashes() -> None:
    sampled = plan_for(verification=Verification.SAMPLED)
    assert sampled.hash_extent_bytes == 0
    assert "Sampled places" in said(sampled)
    assert "No hashes are kept" in said(sampled)
    nothing = plan_for(verification=Verification.NONE, hashing=False)
    assert "Nothing is read back" in said(nothing)
    assert "hashes" not in said(nothing)
    assert plan_for(hashing=False).hash_extent_bytes == 0


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_markers_come_first_where_nothing_that_is_read_back_can_tell_addresses_apart(program: Program) -> None:
    plan = plan_for(standard=program.name)
    assert plan.needs_markers == (not isinstance(plan.passes[-1].pattern, AesCtrStream))
    assert plan.needs_markers == ("markers" in said(plan))


def test_a_random_pass_that_is_overwritten_unread_spares_no_markers() -> None:
    """A drive that answers zeros to everything would pass otherwise: two random passes, and zeros which alone are read."""
    full = Verification.FULL
    assert program_named("nnsa").needs_markers(full)
    unread = PassSpec(RandomStream())
    last = PassSpec(Constant(b"\0"))
    assert Program("p", "p", (unread, last), "", Standing.OWN).needs_markers(full)
    assert not Program("p", "p", (replace(unread, verify=True), last), "", Standing.OWN).needs_markers(full)


def test_markers_come_first_where_nothing_is_read_back_unless_a_random_pass_is_before_the_last() -> None:
    plan = plan_for(verification=Verification.NONE)
    assert isinstance(plan.passes[-1].pattern, AesCtrStream)
    assert plan.needs_markers
    assert "markers" in said(plan)
    assert not plan_for(verification=Verification.SAMPLED).needs_markers
    passes = (PassSpec(RandomStream(), verify=True), PassSpec(Constant(b"\0")))
    assert not Program("p", "p", passes, "", Standing.OWN).needs_markers(Verification.NONE)


def test_flash_is_noted_as_clear_at_most() -> None:
    assert "Clear at most" in said(plan_for(SSD))
    assert "Clear at most" in said(plan_for(a_drive(media=Media.UNKNOWN)))
    assert "Clear at most" not in said(plan_for(MAGNETIC))
    assert "what lies beneath" in said(plan_for(a_drive(transport=Transport.IMAGE, media=Media.UNKNOWN)))


@pytest.mark.parametrize(
    ("native", "areas", "expected"),
    [
        (GEOMETRY.capacity_bytes + 512, ("hpa", "dco"), "512 bytes of the drive (hpa, dco)"),
        (GEOMETRY.capacity_bytes + 4096, (), "4096 bytes of the drive cannot"),
        (None, ("ama",), "A part of unknown size of the drive (ama)"),
    ],
)
def test_hidden_bytes_are_planned_for_and_noted_never_passed(
    native: int | None, areas: tuple[str, ...], expected: str
) -> None:
    geometry = replace(GEOMETRY, native_capacity_bytes=native, hidden_areas=areas)
    plan = plan_for(a_drive(geometry=geometry))
    assert expected in said(plan)
    assert "never passed" in said(plan)
    assert "never passed" not in said(plan_for(a_drive(geometry=replace(GEOMETRY, native_capacity_bytes=1))))


def test_a_drive_without_a_serial_of_its_own_is_noted() -> None:
    assert "no serial number" in said(plan_for(a_drive(identity=Identity())))
    enclosure = replace(IDENTITY, serial_source=SerialSource.ENCLOSURE)
    assert "the enclosure's" in said(plan_for(a_drive(identity=enclosure)))
    assert "no serial number" in said(plan_for(a_drive(identity=enclosure)))
    by_name = replace(enclosure, wwn="5000c500a1b2c3d4")
    assert "no serial number" not in said(plan_for(a_drive(identity=by_name)))


def test_nist_asks_for_two_passes_on_usb_flash_and_the_plan_says_so() -> None:
    assert "nist-800-88-clear-usb" in said(plan_for(STICK, "nist-800-88-clear"))
    assert "nist-800-88-clear-usb" in said(plan_for(a_drive(transport=Transport.USB, media=Media.UNKNOWN), "nist"))
    for drive, standard in ((SSD, "nist"), (a_drive(transport=Transport.USB), "nist"), (STICK, "random")):
        assert "nist-800-88-clear-usb" not in said(plan_for(drive, standard))


def test_a_standard_plans_by_the_medium_and_keeps_its_own_name() -> None:
    magnetic, flash = plan_for(MAGNETIC, "gb-46864-2025"), plan_for(SSD, "gb-46864-2025")
    assert (magnetic.standard, flash.standard) == ("gb-46864-2025", "gb-46864-2025")
    assert (magnetic.program, flash.program) == ("gb-46864-2025-magnetic", "gb-46864-2025-semiconductor")
    assert len(magnetic.passes) == 3
    unknown = plan_for(a_drive(media=Media.UNKNOWN), "gb-46864-2025")
    assert unknown.program == "gb-46864-2025-magnetic"
    assert "taken for magnetic" in said(unknown)


def test_gutmanns_middle_passes_come_in_an_order_drawn_anew() -> None:
    chance = seeded_chance()
    fixed = [item.pattern for item in program_named("gutmann-35").passes]
    orders = []
    for _ in range(20):
        passes = [item.pattern for item in plan_for(standard="gutmann-35", chance=chance).passes]
        assert all(isinstance(pattern, AesCtrStream) for pattern in passes[:4] + passes[31:])
        assert Counter(passes[4:31]) == Counter(fixed[4:31])
        orders.append(tuple(passes[4:31]))
    assert len(set(orders)) == 20


@pytest.mark.parametrize("standing", Standing)
def test_only_a_current_standard_is_complied_with(standing: Standing) -> None:
    program = replace(program_named("random"), standing=standing, source="Standard X §1")
    assert claim(program).startswith("Complies with Standard X §1") == (standing is Standing.CURRENT)
    assert ("No standard" in claim(program) or "no compliance is claimed" in claim(program).lower()) == (
        standing is not Standing.CURRENT
    )


def test_no_plan_of_the_catalogue_claims_compliance() -> None:
    assert not [program.name for program in PROGRAMS if "omplies with" in plan_for(standard=program.name).claim]


def test_a_custom_program_takes_the_place_of_the_named_one() -> None:
    passes = (PassSpec(RandomStream(), reverse=True, verify=True), PassSpec(Constant(b"ab"), verify=True))
    custom = Program("mine", "Mine", passes, source="own", standing=Standing.OWN)
    plan = plan_for(standard="whatever", custom=custom)
    assert (plan.standard, plan.program) == ("mine", "mine")
    assert [(item.reverse, item.verify) for item in plan.passes] == [(True, True), (False, False)]
    with pytest.raises(Refused, match="asks for full verification"):
        plan_for(custom=custom, verification=Verification.SAMPLED)


def test_an_unknown_standard_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        plan_for(standard="shred")


def test_planning_loads_no_numpy() -> None:
    code = "import sys, eraser.domain.policy, eraser.domain.custom_program; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
