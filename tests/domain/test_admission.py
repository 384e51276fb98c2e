"""Who may begin: limits, order, fairness, and that everybody's turn comes."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraser.domain.admission import (
    LEAST_BYTES_PER_SECOND,
    MAX_OVERTAKEN,
    Applicant,
    Needs,
    Want,
    admit,
    shares,
)
from eraser.domain.bay import BandwidthDomain, BayName, PowerDomain

LINK = BandwidthDomain("link", max_active_drives=3, max_bytes_per_second=100_000_000)
HUB = BandwidthDomain("hub", max_active_drives=2, max_bytes_per_second=40_000_000, within="link")
SLOW_HUB = BandwidthDomain("slow-hub", max_bytes_per_second=25_000_000, within="link")
FREE = BandwidthDomain("free")
CHAINS = ((), (LINK,), (HUB, LINK), (SLOW_HUB, LINK), (FREE,))
SHELF = PowerDomain("shelf", stagger_seconds=8, max_spinning_up=2)
ALL = (LINK, HUB, SLOW_HUB, FREE)


def bay(number: int) -> BayName:
    return BayName(f"A{number:03}")


def waiting(number: int, *domains: BandwidthDomain, **more: object) -> Applicant:
    power = more.pop("power", None)
    return replace(Applicant(Needs(bay(number), domains, power), arrived=float(number)), **more)  # type: ignore[arg-type]


@st.composite
def crowds(draw: st.DrawFn) -> tuple[list[Applicant], list[Needs], dict[str, list[float]]]:
    count = draw(st.integers(0, 14))
    applicants = [
        Applicant(
            Needs(bay(number), draw(st.sampled_from(CHAINS)), draw(st.sampled_from([None, SHELF]))),
            arrived=draw(st.integers(0, 9)),
            deadline=draw(st.sampled_from([float("inf"), 50.0, 100.0])),
            customer_waits=draw(st.booleans()),
            overtaken=draw(st.integers(0, MAX_OVERTAKEN)),
        )
        for number in range(count)
    ]
    already = admit(applicants[: count // 2], [], {}, 90.0)
    running = [item.needs for item in applicants if item.bay in already.admitted]
    spun_up = [item for item in running if item.power is not None]
    return applicants[count // 2 :], running, {"shelf": [90.0 for _ in spun_up]}


@given(crowds(), st.sampled_from([90.0, 97.0, 98.0]))
def test_no_limit_is_ever_passed(
    crowd: tuple[list[Applicant], list[Needs], dict[str, list[float]]], now: float
) -> None:
    applicants, running, spin_ups = crowd
    decision = admit(applicants, running, spin_ups, now)
    begun = [item.needs for item in applicants if item.bay in decision.admitted]
    everybody = [*running, *begun]
    rates = shares(everybody)
    for domain in ALL:
        members = [needs.bay for needs in everybody if domain in needs.domains]
        if domain.max_active_drives is not None:
            assert len(members) <= domain.max_active_drives
        if domain.max_bytes_per_second is not None:
            assert all(rates[name] > 0 for name in members)
            assert sum(rates[name] for name in members) <= domain.max_bytes_per_second
            assert len(members) <= 1 or domain.max_bytes_per_second // len(members) >= LEAST_BYTES_PER_SECOND
    spinning = [time for time in spin_ups["shelf"] if time + SHELF.stagger_seconds > now]
    assert len(spinning) + sum(needs.power is SHELF for needs in begun) <= max(SHELF.max_spinning_up, len(spinning))


@given(crowds(), st.randoms(use_true_random=False))
def test_the_decision_does_not_depend_on_the_order_of_the_question(
    crowd: tuple[list[Applicant], list[Needs], dict[str, list[float]]], chance: random.Random
) -> None:
    applicants, running, spin_ups = crowd
    shuffled = chance.sample(applicants, len(applicants))
    assert admit(shuffled, running, spin_ups, 95.0) == admit(applicants, running, spin_ups, 95.0)


@given(crowds())
def test_everyone_either_begins_or_is_told_what_it_waits_for(
    crowd: tuple[list[Applicant], list[Needs], dict[str, list[float]]],
) -> None:
    applicants, running, spin_ups = crowd
    decision = admit(applicants, running, spin_ups, 95.0)
    assert {*decision.admitted, *decision.waiting} == {item.bay for item in applicants}
    assert not {*decision.admitted} & {*decision.waiting}
    assert all(str(reason.saying).startswith("waits ") for reason in decision.waiting.values())


@given(crowds())
def test_whoever_shares_all_with_one_of_lower_rank_goes_first(
    crowd: tuple[list[Applicant], list[Needs], dict[str, list[float]]],
) -> None:
    applicants, running, spin_ups = crowd
    applicants = [replace(item, overtaken=0) for item in applicants]
    admitted = admit(applicants, running, spin_ups, 95.0).admitted
    for one in applicants:
        for other in applicants:
            is_before = (not one.customer_waits, one.deadline, one.arrived, one.bay) < (
                not other.customer_waits,
                other.deadline,
                other.arrived,
                other.bay,
            )
            if is_before and replace(one.needs, bay=other.bay) == other.needs and other.bay in admitted:
                # Fewer are waiting than it takes to be overtaken too often in one round.
                assert one.bay in admitted


@given(st.integers(0, 1000), st.booleans())
def test_nobody_starves_however_many_customers_wait(seed: int, needs_the_outer_domain: bool) -> None:
    chance = random.Random(seed)
    victim = waiting(0, *((LINK,) if needs_the_outer_domain else (HUB, LINK)))
    crowd: dict[str, Applicant] = {victim.bay: victim}
    running: list[Needs] = []
    number = later_ones = 0
    for step in range(400):
        while len(crowd) < 6:
            number += 1
            arrived = waiting(number, *chance.choice(CHAINS[1:4]), customer_waits=True)
            crowd[arrived.bay] = arrived
        decision = admit(list(crowd.values()), running, {}, float(step))
        for name in decision.admitted:
            running.append(crowd.pop(name).needs)
            later_ones += 1
        if victim.bay in decision.admitted:
            break
        crowd = {name: replace(item, overtaken=decision.overtaken[item.bay]) for name, item in crowd.items()}
        assert crowd[victim.bay].overtaken <= MAX_OVERTAKEN
        if running:
            running.pop(chance.randrange(len(running)))
    else:
        pytest.fail("its turn never came")
    assert later_ones <= MAX_OVERTAKEN + 3 + 1


def test_a_waiting_customer_goes_before_a_deadline_and_a_deadline_before_who_came_first() -> None:
    one = replace(LINK, max_active_drives=1)
    crowd = [waiting(1, one), waiting(2, one, deadline=50.0), waiting(3, one, customer_waits=True)]
    order = []
    while crowd:
        (first,) = admit(crowd, [], {}, 10.0).admitted
        order.append(first)
        crowd = [item for item in crowd if item.bay != first]
    assert order == [bay(3), bay(2), bay(1)]


def test_a_full_inner_domain_keeps_nobody_waiting_outside_it() -> None:
    running = [Needs(bay(8), (HUB, LINK)), Needs(bay(9), (HUB, LINK))]
    decision = admit([waiting(1, HUB, LINK), waiting(2, LINK), waiting(3)], running, {}, 10.0)
    assert decision.admitted == (bay(2), bay(3))
    assert decision.waiting[bay(1)].want is Want.DRIVES
    assert decision.waiting[bay(1)].saying.english == "waits for one of the 2 active drives of hub to end (at most 2)"


def test_drives_on_one_supply_spin_up_one_after_the_other() -> None:
    crowd = [waiting(number, power=SHELF) for number in range(3)]
    decision = admit(crowd, [], {"shelf": [1.0]}, 10.0)
    assert decision.admitted == (bay(0), bay(1))
    assert decision.waiting[bay(2)].want is Want.POWER
    assert decision.look_again == 18.0
    assert admit(crowd[2:], [], {"shelf": [1.0, 10.0, 10.0]}, 18.0).admitted == (bay(2),)


def test_what_a_full_domain_leaves_goes_to_its_neighbours() -> None:
    link = replace(LINK, max_active_drives=None, max_bytes_per_second=90)
    hub = replace(HUB, max_bytes_per_second=20)
    running = [Needs(bay(1), (hub, link)), Needs(bay(2), (hub, link)), Needs(bay(3), (link,)), Needs(bay(4))]
    assert shares(running) == {bay(1): 10, bay(2): 10, bay(3): 70, bay(4): 0}
