"""Many mutants woven into one text, with a switch at every place that one of them changes.

Code that takes long to compile is then compiled once for all of them. Statements are compared as syntax trees: what a
mutant changes is the least run of statements of one block that tells it from the original.
"""

import ast
import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

BLOCKS = ("body", "orelse", "finalbody")


class WeavingError(ValueError):
    """A mutant is no text of Python, or differs from the original outside of functions or not at all."""


@dataclass(frozen=True)
class Change:
    """Mutant ``number`` has ``statements`` where the block at ``path`` has those from ``start`` to ``end``."""

    number: int
    path: tuple[tuple[int, str], ...]  # (statement, its block), from the module down
    start: int
    end: int
    statements: list[ast.stmt]

    def below(self) -> "Change":
        return Change(self.number, self.path[1:], self.start, self.end, self.statements)


def weave(original: str, mutants: Mapping[int, str], import_switch: str) -> str:
    """The original with every mutant in it: ``chosen()``, as imported by ``import_switch``, says which runs, 0: none.

    Raises WeavingError.
    """
    module = ast.parse(original)
    changes = []
    for number, text in mutants.items():
        try:
            change = _change(number, module.body, ast.parse(text).body)
        except SyntaxError as error:
            raise WeavingError(f"mutant {number}: {error}") from error
        if not _is_in_function(module, change):
            raise WeavingError(f"mutant {number} changes nothing, or no function")
        changes.append(change)
    module.body = [*module.body[:1], *ast.parse(import_switch).body, *_woven(module.body, changes)[1:]]
    return ast.unparse(ast.fix_missing_locations(module))


def _change(number: int, old: list[ast.stmt], new: list[ast.stmt]) -> Change:
    start, most = 0, min(len(old), len(new))
    while start < most and _same(old[start], new[start]):
        start += 1
    tail = 0
    while tail < most - start and _same(old[-1 - tail], new[-1 - tail]):
        tail += 1
    end, statements = len(old) - tail, new[start : len(new) - tail]
    if end - start == 1 and len(statements) == 1:
        block = _only_block_that_differs(old[start], statements[0])
        if block:
            inner = _change(number, getattr(old[start], block), getattr(statements[0], block))
            return Change(number, ((start, block), *inner.path), inner.start, inner.end, inner.statements)
    return Change(number, (), start, end, statements)


def _only_block_that_differs(one: ast.stmt, other: ast.stmt) -> str:
    """The name of the block in which alone two statements differ; empty if they differ elsewhere."""
    if type(one) is not type(other):
        return ""
    differing = [name for name in one._fields if not _same(getattr(one, name), getattr(other, name))]
    return differing[0] if len(differing) == 1 and differing[0] in BLOCKS else ""


def _same(one: object, other: object) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, ast.AST) and isinstance(other, ast.AST):
        return ast.dump(one) == ast.dump(other)
    return one == other


def _is_in_function(module: ast.Module, change: Change) -> bool:
    block: list[ast.stmt] = module.body
    is_in_function = False
    for at, name in change.path:
        is_in_function = is_in_function or isinstance(block[at], ast.FunctionDef)
        block = getattr(block[at], name)
    return is_in_function and (change.start < change.end or bool(change.statements))


def _woven(block: list[ast.stmt], changes: Iterable[Change]) -> list[ast.stmt]:
    changes = list(changes)
    here = sorted((change for change in changes if not change.path), key=lambda change: change.start)
    woven: list[ast.stmt] = []
    at = 0
    while at < len(block) or here:
        if not here or here[0].start > at:
            woven.append(_woven_statement(block[at], at, changes))
            at += 1
            continue
        together: list[Change] = []
        end = here[0].end
        while here and (here[0].start < end or not together):
            together.append(here.pop(0))
            end = max(end, together[-1].end)
        switch = [_woven_statement(block[each], each, changes) for each in range(at, end)] or [ast.Pass()]
        for change in together:
            instead = [*block[at : change.start], *change.statements, *block[change.end : end]] or [ast.Pass()]
            is_chosen = ast.parse(f"chosen() == {change.number}", mode="eval").body
            switch = [ast.If(is_chosen, copy.deepcopy(instead), switch)]
        woven += switch
        at = end
    return woven


def _woven_statement(statement: ast.stmt, at: int, changes: Iterable[Change]) -> ast.stmt:
    deeper = [change for change in changes if change.path and change.path[0][0] == at]
    woven = copy.deepcopy(statement)
    for name in {change.path[0][1] for change in deeper}:
        inner = [change.below() for change in deeper if change.path[0][1] == name]
        setattr(woven, name, _woven(getattr(statement, name), inner))
    return woven
