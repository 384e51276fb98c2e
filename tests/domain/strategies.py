"""Any value of the domain, made from the dataclasses themselves: a new field or event is tested without being named."""

import inspect
import types
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from eraser.domain import drive, events, evidence, pattern, plan, program
from eraser.domain.json_form import MAX_INTEGER, MAX_NANOSECONDS, Nanoseconds

INTEGERS = st.integers(-MAX_INTEGER, MAX_INTEGER)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
CONSTANTS = st.binary(min_size=1, max_size=pattern.MAX_CONSTANT_BYTES).map(pattern.Constant)
STREAMS = st.binary(min_size=32, max_size=32).map(pattern.AesCtrStream)

NOT_JOURNALLED = {program.Program, program.PassSpec}
"""Programs reach the journal as plans, with every pattern drawn; they have no JSON form that anybody reads."""


def dataclasses_of_the_domain() -> list[type]:
    """Every frozen value that may stand in a journal or a certificate."""
    found = {
        item
        for module in (drive, events, evidence, pattern, plan, program)
        for item in vars(module).values()
        if inspect.isclass(item) and is_dataclass(item) and item.__module__.startswith("eraser.domain")
    }
    return sorted(found - NOT_JOURNALLED, key=lambda item: item.__name__)


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Values that the type hint allows."""
    simple: dict[Any, st.SearchStrategy[Any]] = {
        Nanoseconds: st.integers(0, MAX_NANOSECONDS),
        pattern.Constant: CONSTANTS,
        pattern.AesCtrStream: STREAMS,
        int: INTEGERS,
        str: TEXTS,
        bool: st.booleans(),
        bytes: st.binary(max_size=40),
        types.NoneType: st.none(),
    }
    if hint in simple:
        return simple[hint]
    arguments = get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return st.one_of([values_of(argument) for argument in arguments])
    if get_origin(hint) is tuple:
        return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
    if issubclass(hint, Enum):
        return st.sampled_from(hint)
    hints = get_type_hints(hint)
    return st.builds(hint, **{item.name: values_of(hints[item.name]) for item in fields(hint)})
