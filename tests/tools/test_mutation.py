"""Mutants are woven as they are written, and the list of broken rules still fits the code that it breaks."""

from textwrap import dedent

import pytest

from tools.mutation import ROOT, SUITES, Mutant, parse_mutants, read_mutants
from tools.weaving import WeavingError, weave

ORIGINAL = dedent('''
    """A module."""

    def total(numbers):
        found = []
        for number in numbers:
            if number > 2:
                found.append(number)
            else:
                found.append(0)
        return sum(found)
''')
NUMBERS = (1, 2, 3, 4)
CHANGES = {
    1: ("number > 2", "number > 1"),
    2: ("found.append(number)", "found.append(2 * number)"),
    3: ("found.append(0)", "pass"),
    4: ("return sum(found)", "found.append(100)\n    return sum(found)"),
    5: ("        if number > 2:\n            found.append(number)\n        else:\n", "        if True:\n"),
    6: ("for number in numbers:", "for number in numbers[1:]:"),
    7: ("    found = []\n    for", "    found = [1000]\n    for"),
}


def total_of(text: str, chosen: int) -> int:
    names: dict[str, object] = {"chosen": lambda: chosen}
    exec(text, names)
    return names["total"](NUMBERS)  # type: ignore[operator,no-any-return]


def test_every_mutant_does_in_the_woven_text_what_it_does_alone():
    mutants = {number: ORIGINAL.replace(old, new) for number, (old, new) in CHANGES.items()}
    woven = weave(ORIGINAL, mutants, "")
    alone = {0: total_of(ORIGINAL, 0)} | {number: total_of(text, 0) for number, text in mutants.items()}
    assert {number: total_of(woven, number) for number in alone} == alone
    assert len(set(alone.values())) > 5, "mutants that do the same prove little"


@pytest.mark.parametrize("mutant", [ORIGINAL, ORIGINAL.replace("def total", "def sum_of"), "def total(:"])
def test_what_is_no_change_of_a_function_is_refused(mutant: str):
    with pytest.raises(WeavingError):
        weave(ORIGINAL, {1: mutant}, "")


def test_an_entry_is_a_rule_a_file_and_two_texts():
    text = "# why\n\na rule: with a colon: file.py\n- one\n-   two\n+ three\n\n# part\n\nanother: x.py\n- it\n"
    assert list(parse_mutants(text)) == [
        Mutant("a rule: with a colon", "file.py", "one\n  two", "three"),
        Mutant("another", "x.py", "it", ""),
    ]


@pytest.mark.parametrize("suite", SUITES)
def test_every_mutant_can_be_made(suite: str):
    mutants = read_mutants(suite)
    assert len(mutants) > 80
    assert len({mutant.rule for mutant in mutants}) == len(mutants)
    for mutant in mutants:
        mutant.made_of((ROOT / "matching" / mutant.file).read_text())
