"""What a benchmark found: our figure, a peer's, their ratio and the ratio that we want; and the table of all of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from statistics import median

from pytest_benchmark.fixture import BenchmarkFixture


class Better(Enum):
    """Which way a ratio should go."""

    HIGHER = "≥"
    LOWER = "≤"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One row of the table. `ratio` is ours to the peer's."""

    what: str
    ours: float
    peer: str
    theirs: float
    unit: str
    target: float | None = None
    """The ratio wanted, or None where the row only informs."""
    better: Better = Better.HIGHER
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs if self.theirs else float("nan")

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.ratio >= self.target if self.better is Better.HIGHER else self.ratio <= self.target


TABLE: list[Comparison] = []
"""All comparisons of this run, in the order they were made."""


def record(benchmark: BenchmarkFixture, *comparisons: Comparison) -> None:
    """Puts them into the table, on the terminal and into the benchmark's own record."""
    for comparison in comparisons:
        TABLE.append(comparison)
        form = asdict(comparison) | {
            "better": comparison.better.value,
            "ratio": comparison.ratio,
            "met": comparison.is_met,
        }
        benchmark.extra_info[f"{comparison.what} / {comparison.peer}"] = form
        print(f"{comparison.what}: {comparison.ratio:.2f} of {comparison.peer}")


def markdown(comparisons: Sequence[Comparison]) -> str:
    """The table, as `docs/performance.md` shows it."""
    lines = ["| what | ours | peer | theirs | ratio | target | met |", "|---|---|---|---|---|---|---|"]
    for item in comparisons:
        target = f"{item.better.value} {item.target:g}" if item.target is not None else "none"
        met = {True: "yes", False: "**no**", None: ""}[item.is_met]
        what = f"{item.what} ({item.note})" if item.note else item.what
        lines.append(
            f"| {what} | {item.ours:.3g} {item.unit} | {item.peer} | {item.theirs:.3g} {item.unit} | {item.ratio:.2f} | "
            f"{target} | {met} |"
        )
    return "\n".join(lines)


def middle(values: Sequence[float]) -> float:
    """The median; not a number when nothing was measured."""
    return median(values) if values else float("nan")
