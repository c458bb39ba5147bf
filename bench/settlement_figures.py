"""What a section of ``bench_settlement.py`` gives back, and the table of all of them: what was missed first."""

from collections.abc import Callable, Iterator
from typing import NamedTuple


class Figure(NamedTuple):
    """One measured number, and what it was to be: at most or at least ``goal``; None: no goal, it is only told."""

    what: str
    value: float
    unit: str
    goal: float | None = None
    is_floor: bool = False

    @property
    def is_missed(self) -> bool:
        if self.goal is None:
            return False
        return self.value < self.goal if self.is_floor else self.value > self.goal


Say = Callable[[str], None]
"""Told what is being done now."""

Section = Callable[[Say], Iterator[Figure]]


def table(figures: dict[str, list[Figure]], failed: dict[str, str]) -> str:
    """Everything as Markdown. ``failed`` are sections that broke off, with why."""
    rows = [(name, figure) for name, found in figures.items() for figure in found]
    rows.sort(key=lambda row: (not row[1].is_missed, row[1].goal is None))
    missed, wanted = sum(figure.is_missed for _, figure in rows), sum(figure.goal is not None for _, figure in rows)
    lines = [f"# Settlement: {missed} of {wanted} goals missed", ""]
    lines += [f"**{name} broke off**: {why}" for name, why in failed.items()]
    lines += ["| section | what | found | wanted | |", "|---|---|---:|---:|---|"]
    return "\n".join([*lines, *(_row(name, figure) for name, figure in rows)])


def _row(name: str, figure: Figure) -> str:
    found = f"{shown(figure.value)} {figure.unit}".strip()
    if figure.goal is None:
        return f"| {name} | {figure.what} | {found} | | |"
    bound = "≥" if figure.is_floor else "≤"
    verdict = "**missed**" if figure.is_missed else "reached"
    return f"| {name} | {figure.what} | {found} | {bound} {shown(figure.goal)} | {verdict} |"


def shown(value: float) -> str:
    """A number to three places at least, with commas where it is large."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3f}"
