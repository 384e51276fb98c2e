"""What is read back before an interrupted job goes on, and that nothing which was changed meanwhile escapes it."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraser.domain.drive import Geometry
from eraser.domain.events import (
    ActivitySeen,
    Checkpoint,
    JobEvent,
    JobInterrupted,
    JobQueued,
    MarkersChecked,
    MarkersStarted,
    PassEnded,
    PassStarted,
    ProgramRestarted,
    SightBegan,
)
from eraser.domain.evidence import BadExtent, EndReason, Extent, FlushProof, MarkersEvidence, Operation
from eraser.domain.job import JobState, unchecked_bytes
from eraser.domain.pattern import AesCtrStream, Constant, Pattern
from eraser.domain.plan import PlannedPass
from eraser.domain.resumption import (
    BeginAgain,
    GoOn,
    HoldsEither,
    HoldsPass,
    are_distinct,
    holds,
    resumption,
)
from eraser.errors import JournalError
from tests.domain.jobs import DRIVE, SECTOR, a_plan, a_report, an_activity, cut_short, folded, planned, some_markers

FLUSHED = FlushProof.KERNEL_SENT


def stopped(
    number: int,
    position: int,
    *,
    passes: int = 3,
    reverse: bool = False,
    capacity: int = 16 * SECTOR,
    patterns: tuple[Pattern, ...] = (),
    proof: FlushProof = FlushProof.KERNEL_SENT,
) -> JobState:
    """A job whose host died in a pass at a checkpoint; at `capacity` the pass is complete."""
    drawn = patterns or tuple(AesCtrStream(bytes([index]) * 32) for index in range(passes))
    plan = a_plan(passes=tuple(PlannedPass(pattern, reverse=reverse, verify=False) for pattern in drawn))
    events: list[JobEvent] = [
        *planned(plan, replace(DRIVE, geometry=Geometry(capacity, SECTOR, SECTOR))),
        SightBegan("boot"),
    ]
    for earlier in range(1, number):
        events += (PassStarted(earlier, 0), PassEnded(earlier, a_report(0, capacity)))
    events.append(PassStarted(number, 0))
    if position == capacity:
        events.append(PassEnded(number, a_report(0, capacity, flush_proof=proof)))
    elif position:
        events.append(Checkpoint(number, position, proof, ()))
    return folded(events)


# ---- which places are read back


@pytest.mark.parametrize("reverse", [False, True])
def test_the_checks_are_what_the_rule_says_for_every_pass_position_and_window(reverse):
    sectors = 12
    for passes, position, window in itertools.product((1, 2, 3), range(sectors + 1), range(1, sectors + 2)):
        for number in range(1, passes + 1):
            state = stopped(number, position * SECTOR, passes=passes, reverse=reverse, capacity=sectors * SECTOR)
            decision = resumption(state, window * SECTOR)
            assert isinstance(decision, GoOn)
            found: dict[int, set[int]] = {}
            for check in decision.checks:
                allowed = {check.pass_number}
                if isinstance(check, HoldsEither):
                    allowed.add(check.earlier_number)
                first, end = check.extent.offset_bytes // SECTOR, check.extent.end_bytes // SECTOR
                for sector in range(first, end):
                    place = sectors - 1 - sector if reverse else sector
                    assert place not in found, "a sector is checked once"
                    found[place] = allowed
            is_last, is_complete = number == passes, position == sectors
            for place in range(sectors):
                if place < position:
                    expected = None if is_last else {number}
                elif number == 1:
                    expected = None
                elif place < position + window and not is_complete:
                    expected = {number, number - 1}
                else:
                    expected = {number - 1}
                assert found.get(place) == expected


@pytest.mark.parametrize("reverse", [False, True])
@given(data=st.data())
def test_every_check_lies_on_whole_sectors_and_all_of_them_are_what_the_fold_asks_for(
    reverse: bool, data: st.DataObject
):
    capacity = data.draw(st.integers(1, 40 * SECTOR), label="capacity")
    sectors = -(-capacity // SECTOR)
    done = data.draw(st.integers(0, sectors), label="sectors done")
    # A reverse pass begins with what is left of the last sector.
    odd = capacity % SECTOR or SECTOR
    position = min(capacity, done * SECTOR) if not reverse else (odd + (done - 1) * SECTOR if done else 0)
    number = data.draw(st.integers(1, 3), label="pass")
    state = stopped(number, position, reverse=reverse, capacity=capacity)
    decision = resumption(state, data.draw(st.integers(1, 50 * SECTOR), label="window"))
    assert isinstance(decision, GoOn)
    for check in decision.checks:
        assert check.extent.length_bytes > 0
        assert check.extent.offset_bytes % SECTOR == 0
        assert check.extent.end_bytes % SECTOR == 0 or check.extent.end_bytes == capacity
    total = sum(check.extent.length_bytes for check in decision.checks)
    assert total == unchecked_bytes(state.passes, capacity)


def test_a_job_that_has_not_begun_a_pass_needs_no_check():
    plan = a_plan()
    assert resumption(folded((*planned(plan), SightBegan("boot"))), SECTOR) == GoOn(())


def markers_before_a_return(markers: MarkersEvidence) -> JobState:
    """Nothing but markers was written when the drive left our sight."""
    events = (MarkersStarted(markers.seed), MarkersChecked(markers), JobInterrupted("gone"))
    return folded((*planned(a_plan(needs_markers=True)), SightBegan("boot"), *events))


def test_markers_alone_are_written_anew_after_a_return():
    """Nothing on the drive shows that it is the one which kept them: its twin, which keeps nothing, says the same of itself."""
    assert isinstance(resumption(markers_before_a_return(some_markers()), SECTOR), BeginAgain)


def test_markers_that_differed_stay_on_record():
    good = some_markers()
    differing = replace(good, read_back=replace(good.read_back, mismatched_sectors=1))
    assert resumption(markers_before_a_return(differing), SECTOR) == GoOn(())


def test_a_job_without_a_plan_cant_be_resumed():
    with pytest.raises(JournalError):
        resumption(folded((JobQueued("1", "/dev/sdz", "random", ""),)), SECTOR)


@pytest.mark.parametrize("position", [SECTOR, 16 * SECTOR])
def test_where_no_flush_was_sent_the_program_begins_again(position):
    state = stopped(2, position, proof=FlushProof.ASSUMED)
    assert isinstance(resumption(state, SECTOR), BeginAgain)


@pytest.mark.parametrize("why", [EndReason.GONE, EndReason.CANCELLED])
def test_a_drive_with_bad_sectors_is_written_to_its_end_without_checks(why):
    bad = BadExtent(Extent(0, SECTOR), Operation.WRITE, 5)
    report = cut_short(4 * SECTOR, why=why, bad_extents=(bad,), bad_bytes=SECTOR)
    state = folded((*planned(a_plan()), SightBegan("boot"), PassStarted(1, 0), PassEnded(1, report)))
    assert resumption(state, SECTOR) == GoOn(())


@pytest.mark.parametrize("begun", [(), (PassStarted(1, 0), PassEnded(1, cut_short(SECTOR)))])
def test_where_somebody_else_wrote_before_an_interruption_the_program_begins_again(begun):
    activity = ActivitySeen(replace(an_activity(), sectors_written_seen=99))
    state = folded((*planned(a_plan()), SightBegan("boot"), *begun, activity, JobInterrupted("asked to")))
    assert isinstance(resumption(state, SECTOR), BeginAgain)
    again = (SightBegan("boot"), ProgramRestarted("somebody else"))
    assert not folded(
        (*planned(a_plan()), SightBegan("boot"), *begun, activity, JobInterrupted("asked to"), *again)
    ).had_outsiders


def test_what_the_counters_told_before_a_crash_is_not_forgotten():
    activity = ActivitySeen(replace(an_activity(), sectors_written_seen=99))
    begun = (*planned(a_plan()), SightBegan("boot"), PassStarted(1, 0), PassEnded(1, cut_short(SECTOR)), activity)
    assert isinstance(resumption(folded(begun), SECTOR), BeginAgain)
    assert folded((*begun, SightBegan("boot"))).had_outsiders


# ---- which patterns can be told apart by counts

LONG = bytes(range(256)) * 4


@pytest.mark.parametrize(
    ("one", "other", "shortest", "expected"),
    [
        (AesCtrStream(bytes(32)), AesCtrStream(b"\x01" * 32), SECTOR, True),
        (AesCtrStream(bytes(32)), AesCtrStream(bytes(32)), SECTOR, False),
        (AesCtrStream(bytes(32)), Constant(b"\x00"), SECTOR, True),
        (AesCtrStream(bytes(32)), Constant(b"\x00"), 1, False),
        (Constant(b"\x00"), Constant(b"\xff"), SECTOR, True),
        (Constant(b"\x00"), Constant(b"\xff"), 1, True),
        (Constant(b"\x00"), Constant(b"\x00"), SECTOR, False),
        (Constant(b"\x00"), Constant(b"\x00\x00"), SECTOR, False),
        (Constant(b"\x00\x01"), Constant(b"\x00\x01\x00\x01"), SECTOR, False),
        (Constant(b"\x92\x49\x24"), Constant(b"\x49\x24\x92"), SECTOR, True),
        (Constant(b"\x92\x49\x24"), Constant(b"\x55"), SECTOR, True),
        # They agree in the first sector and differ in the second.
        (Constant(LONG), Constant(LONG[:SECTOR] + bytes(SECTOR)), SECTOR, False),
        (Constant(LONG), Constant(LONG[:SECTOR] + bytes(SECTOR)), 4096, True),
    ],
)
def test_patterns_are_distinct_only_where_no_sector_can_hold_both(one, other, shortest, expected):
    assert are_distinct(one, other, shortest) is are_distinct(other, one, shortest) is expected


@given(
    st.lists(st.binary(min_size=1, max_size=4), min_size=2, max_size=2),
    st.integers(1, 8),
    st.integers(0, 64),
)
def test_distinct_constants_differ_in_every_sector(constants: list[bytes], sector: int, index: int):
    one, other = (Constant(item) for item in constants)
    if are_distinct(one, other, sector):
        start = index * sector
        first, second = ((item.data * (start + sector))[start : start + sector] for item in (one, other))
        assert first != second


# ---- what the counts say


@pytest.mark.parametrize("are_different", [True, False])
def test_counts_never_hide_a_changed_sector(are_different):
    """Brute force: every content of six sectors, of this pass, the earlier one (or both, where they agree) or others."""
    this, earlier = "this", "earlier" if are_different else "this"
    check = HoldsEither(Extent(0, 6 * SECTOR), 2, 1, are_distinct=are_different)
    for content in itertools.product({this, earlier, "other"}, repeat=6):
        mismatched = sum(sector != this for sector in content)
        mismatched_earlier = sum(sector != earlier for sector in content)
        changed = content.count("other")
        found = holds(check, 6, mismatched, mismatched_earlier)
        assert (found > 0) == (changed > 0)
        assert found >= changed


def test_where_some_sectors_look_alike_counts_that_can_hide_a_change_are_not_believed():
    """Constants of 4,096 bytes may agree in one sector of eight and differ in the next."""
    check = HoldsEither(Extent(0, 6 * SECTOR), 2, 1, are_distinct=False)
    for content in itertools.product(("this", "earlier", "both", "other"), repeat=6):
        mismatched = sum(sector in ("earlier", "other") for sector in content)
        mismatched_earlier = sum(sector in ("this", "other") for sector in content)
        if "other" in content:
            assert holds(check, 6, mismatched, mismatched_earlier) > 0


def test_a_pass_is_held_where_nothing_differs():
    check = HoldsPass(Extent(0, SECTOR), 1)
    assert [holds(check, 5, mismatched, 0) for mismatched in range(3)] == [0, 1, 2]


# ---- on an array

SECTORS = 12
PATTERNS = {"a": Constant(b"\x00"), "b": Constant(b"\xff"), "c": AesCtrStream(bytes(32))}


@given(
    names=st.lists(st.sampled_from("abc"), min_size=1, max_size=4),
    reverse=st.booleans(),
    cut=st.integers(0, 4 * SECTORS),
    sent=st.integers(0, 2**4 - 1),
    changes=st.dictionaries(st.integers(0, SECTORS - 1), st.just("other"), max_size=3),
)
def test_what_was_changed_out_of_sight_is_noticed_or_gets_all_passes(names, reverse, cut, sent, changes):
    """A drive is written, cut off somewhere, with any part of the window behind already sent, and changed by others.

    Harmless without being noticed is only what all passes still overwrite (in pass 1, behind the checkpoint), and what lies
    before the checkpoint of the last pass: the final verification reads that.
    """
    number, position = min(len(names), 1 + cut // SECTORS), cut % SECTORS if cut < len(names) * SECTORS else SECTORS
    window = 4
    array = ["old"] * SECTORS
    for index in range(1, number):
        array = [names[index - 1]] * SECTORS
    for step in range(SECTORS):
        if step < position or (step < position + window and sent >> (step - position) & 1):
            array[SECTORS - 1 - step if reverse else step] = names[number - 1]
    for place, value in changes.items():
        array[place] = value
    patterns = tuple(PATTERNS[name] for name in names)
    state = stopped(number, position * SECTOR, reverse=reverse, capacity=SECTORS * SECTOR, patterns=patterns)
    decision = resumption(state, window * SECTOR)
    assert isinstance(decision, GoOn)

    def differing(extent: Extent, of: int) -> int:
        cells = array[extent.offset_bytes // SECTOR : extent.end_bytes // SECTOR]
        return sum(cell != names[of - 1] for cell in cells)

    noticed = 0
    for check in decision.checks:
        earlier = differing(check.extent, check.earlier_number) if isinstance(check, HoldsEither) else 0
        noticed += holds(
            check, check.extent.length_bytes // SECTOR, differing(check.extent, check.pass_number), earlier
        )
    steps = {SECTORS - 1 - place if reverse else place for place in changes}
    harmless = {
        step for step in steps if (step >= position and number == 1) or (step < position and number == len(names))
    }
    if steps - harmless:
        assert noticed
    if not changes and (number == 1 or names[number - 1] != names[number - 2]):
        assert not noticed, "an honest drive is never begun again"
