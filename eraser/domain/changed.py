"""A frozen value with a few fields changed: what `dataclasses.replace` does, three times as fast.

A job's state is made anew with each event, and `eraser ledger check` replays millions of them.
"""

import dataclasses
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")
_Copy = Callable[..., Any]


def replace(value: T, **changes: Any) -> T:
    """Like `dataclasses.replace`. Raises TypeError for a field that is not there."""
    cls: Any = type(value)
    copied: T = _copier(cls, tuple(changes))(value, *changes.values())
    return copied


@cache
def _copier(cls: Any, changed: tuple[str, ...]) -> _Copy:
    """What copies a value with just these fields changed. As `dataclasses` does it, a line of source for each field; but each
    is set by its slot, which knows nothing of being frozen.
    """
    names = [item.name for item in dataclasses.fields(cls)]
    if unknown := set(changed) - set(names):
        raise TypeError(f"{cls.__name__} has no field {', '.join(sorted(unknown))}")
    if hasattr(cls, "__post_init__") or not hasattr(cls, "__slots__"):
        # It looks at its fields when it is made.
        return lambda value, *new: dataclasses.replace(value, **dict(zip(changed, new, strict=True)))
    scope: dict[str, Any] = {f"set_{name}": getattr(cls, name).__set__ for name in names}
    scope |= {"new": object.__new__, "cls": cls}
    lines = [f" set_{name}(made, {f'new_{name}' if name in changed else f'value.{name}'})" for name in names]
    source = "\n".join(
        [
            f"def copy(value, {', '.join(f'new_{name}' for name in changed)}):",
            " made = new(cls)",
            *lines,
            " return made",
        ]
    )
    exec(source, scope)
    copy: _Copy = scope["copy"]
    return copy
