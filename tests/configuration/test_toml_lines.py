from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from eraser.configuration.toml_lines import line_of, lines_of

TEXT = '''\
# a comment with [brackets]
data = "/x"
[http]
listen = "a" # trailing
"quoted key" = 1
nested.key = 2
list = [
  "[[bays]]",   # not a table
  { name = "x = y" },
]
after = """
[http]
listen = "in a string"
"""
last = 3

[[bays]]
name = "A1"

[[bays]]
name = "A2"
[bays.position]
row = 1
[[bays.deep]]
x = 1
[[bays.deep]]
x = 2
'''


def test_each_key_has_the_line_on_which_a_person_finds_it() -> None:
    tomllib.loads(TEXT)
    lines = lines_of(TEXT)
    assert lines[("data",)] == 2
    assert lines[("http",)] == 3
    assert lines[("http", "listen")] == 4
    assert lines[("http", "quoted key")] == 5
    assert lines[("http", "nested", "key")] == 6
    assert lines[("http", "list")] == 7
    assert lines[("http", "after")] == 11
    assert lines[("http", "last")] == 15
    assert lines[("bays", 0, "name")] == 18
    assert lines[("bays", 1)] == 20
    assert lines[("bays", 1, "position", "row")] == 23
    assert lines[("bays", 1, "deep", 1, "x")] == 27


def test_what_has_no_line_has_that_of_what_holds_it() -> None:
    lines = lines_of(TEXT)
    assert line_of(lines, ("http", "list", 1, "name")) == 7
    assert line_of(lines, ("bays", 1, "missing")) == 20
    assert line_of(lines, ("nothing",)) is None


@given(st.text(alphabet="[]{}=\"'#.\n ab1", max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    assert all(0 < line <= text.count("\n") + 1 for line in lines_of(text).values())
