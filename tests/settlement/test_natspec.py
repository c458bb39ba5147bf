"""Whoever reads a contract finds, over every external function, what it does, what it takes and why it reverts."""

import re
from pathlib import Path

import pytest

from settlement.compile import CODE_SIZE_CAP, SOURCES
from tests.settlement.contract_bench import Bench

_FUNCTION = re.compile(
    r'^@external\n(?:@\w+\n)*def (?P<name>\w+)\((?P<takes>.*?)\)(?: -> .+?)?:\n    """\n(?P<doc>.*?)    """\n'
    r"(?P<body>(?:(?:    [^\n]*)?\n)*)",
    re.MULTILINE | re.DOTALL,
)


@pytest.mark.parametrize("source", sorted(SOURCES.glob("*.vy")), ids=lambda source: source.stem)
def test_every_external_function_says_what_it_does_what_it_takes_and_why_it_reverts(source: Path) -> None:
    text = source.read_text()
    found = list(_FUNCTION.finditer(text))
    assert "@title" in text.split('"""')[1]
    assert len(found) == len(re.findall("^@external$", text, re.MULTILINE)), "one has no words over it"
    for each in found:
        doc = each["doc"]
        assert "@notice" in doc, each["name"]
        taken = re.findall(r"(\w+): (?:[\w.]+)", each["takes"])
        assert re.findall(r"@param (\w+)", doc) == taken, each["name"]
        reasons = set(re.findall(r'assert[^"]*"(\w+)"', each["body"]))
        assert reasons <= set(re.findall(r"\w+", doc)), f"{each['name']}: {reasons}"


def test_every_contract_can_be_deployed() -> None:
    bench = Bench()
    sizes = {name: len(bench.machine.account(address).code) for name, address in bench.addresses.items()}
    assert all(0 < size <= CODE_SIZE_CAP for size in sizes.values()), sizes
