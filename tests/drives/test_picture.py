"""One look for many who ask: never one that began before the question."""

import threading
from collections.abc import Callable

import pytest

from eraser.drives.picture import SharedLook
from tests.lab.loop import wait_until

DEADLINE_SECONDS = 20


class Looks:
    """A look that tells when it has begun and goes on until it is let; each sees its own number."""

    def __init__(self) -> None:
        self.begun = 0
        self.has_begun = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)

    def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        self.has_begun.release()
        assert self.may_end.acquire(timeout=DEADLINE_SECONDS)
        return number


def asking(look: Callable[[], int], answers: list[int]) -> threading.Thread:
    thread = threading.Thread(target=lambda: answers.append(look()))
    thread.start()
    return thread


def test_who_asks_while_a_look_is_under_way_gets_the_next_one():
    looks = Looks()
    shared = SharedLook(looks)
    first: list[int] = []
    leader = asking(shared, first)
    assert looks.has_begun.acquire(timeout=DEADLINE_SECONDS)
    second: list[int] = []
    follower = asking(shared, second)
    looks.may_end.release(2)
    for thread in (leader, follower):
        thread.join(DEADLINE_SECONDS)
    assert (first, second) == ([1], [2])


def test_who_asks_one_after_the_other_never_gets_an_earlier_look():
    looks = Looks()
    shared = SharedLook(looks)
    looks.may_end.release(3)
    assert [shared(), shared(), shared()] == [1, 2, 3]


def test_all_who_ask_while_a_look_is_under_way_share_the_next_one():
    looks = Looks()
    shared = SharedLook(looks)
    leader = asking(shared, [])
    assert looks.has_begun.acquire(timeout=DEADLINE_SECONDS)
    answers: list[int] = []
    followers = [asking(shared, answers) for _ in range(8)]
    wait_until(lambda: shared.waiting == 8, "all to have asked")
    looks.may_end.release(2)
    for thread in (leader, *followers):
        thread.join(DEADLINE_SECONDS)
    assert answers == [2] * 8


def test_a_look_that_does_not_return_keeps_nobody_else():
    looks = Looks()
    shared = SharedLook(looks, patience_seconds=0.01)
    leader = asking(shared, [])
    assert looks.has_begun.acquire(timeout=DEADLINE_SECONDS)
    other: list[int] = []
    follower = asking(shared, other)
    assert looks.has_begun.acquire(timeout=DEADLINE_SECONDS), "it has to look by itself"
    looks.may_end.release(2)
    for thread in (leader, follower):
        thread.join(DEADLINE_SECONDS)
    assert other == [2]


def test_all_who_ask_within_a_moment_share_the_first_look():
    looks = Looks()
    looks.may_end.release(8)
    shared = SharedLook(looks, patience_seconds=DEADLINE_SECONDS, gather_seconds=0.5)
    answers: list[int] = []
    threads = [asking(shared, answers) for _ in range(8)]
    for thread in threads:
        thread.join(DEADLINE_SECONDS)
    assert answers == [1] * 8


def test_a_look_that_fails_is_nobodys_answer():
    answers = iter([OSError("a folder went away"), None])

    def look() -> str:
        if error := next(answers):
            raise error
        return "seen"

    shared = SharedLook(look)
    with pytest.raises(OSError, match="went away"):
        shared()
    assert shared() == "seen"
