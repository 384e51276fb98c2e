"""The quick `replace` is `dataclasses.replace`."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eraser.domain.changed import replace
from eraser.domain.job import JobState, PassState
from eraser.domain.pattern import AesCtrStream
from tests.domain.strategies import values_of


@given(values_of(PassState), values_of(PassState), st.sets(st.sampled_from(dataclasses.fields(PassState))))
def test_it_changes_what_it_is_told_and_nothing_else(
    value: PassState, other: PassState, changed: set[dataclasses.Field[Any]]
) -> None:
    before = dataclasses.astuple(value)
    changes = {item.name: getattr(other, item.name) for item in changed}
    assert replace(value, **changes) == dataclasses.replace(value, **changes)
    assert dataclasses.astuple(value) == before


@given(values_of(JobState))
def test_a_copy_is_equal_and_another_one(value: JobState) -> None:
    copy = replace(value)
    assert copy == value
    assert copy is not value
    assert hash(copy) == hash(value)


def test_a_field_that_is_not_there_is_an_error() -> None:
    with pytest.raises(TypeError, match="nonsense"):
        replace(PassState(1), nonsense=1)


def test_a_value_that_checks_itself_is_checked_again() -> None:
    with pytest.raises(Exception, match="32"):
        replace(AesCtrStream(bytes(32)), seed=b"")
