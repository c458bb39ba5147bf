"""What was found, line by line: what holds, what does not, and what was only believed."""

from enum import Enum
from typing import NamedTuple

from verifier.words import sentence


class Status(Enum):
    """How a line ends."""

    HOLDS = "holds"
    FAILS = "fails"
    BELIEVED = "believed"
    SHOWN = "shown"


class Finding(NamedTuple):
    """One line; ``code`` names its sentence in ``words.py``, ``details`` fill it."""

    status: Status
    code: str
    details: dict[str, object]

    def text(self, language: str) -> str:
        return sentence(language, self.code, self.details)


class Report:
    """The lines so far."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def check(self, code: str, holds: bool, **details: object) -> bool:
        """A line that holds or does not; returns which."""
        self.findings.append(Finding(Status.HOLDS if holds else Status.FAILS, code, details))
        return holds

    def believe(self, code: str, **details: object) -> None:
        """A line that the file alone can not prove."""
        self.findings.append(Finding(Status.BELIEVED, code, details))

    def show(self, code: str, **details: object) -> None:
        """A line that says what the proof is about."""
        self.findings.append(Finding(Status.SHOWN, code, details))

    @property
    def holds(self) -> bool:
        return all(each.status != Status.FAILS for each in self.findings)
