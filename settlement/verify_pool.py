"""Thousands of signatures on all cores: processes, for OpenSSL holds the interpreter's lock while it verifies."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context

from settlement import second_verifier, signatures
from settlement.contradiction import Contradiction
from settlement.examine_orders import SignatureCheck

PIECE = 500
WORTH_PROCESSES = 2_000
"""Below so many, starting processes costs more than they save."""

_Bare = tuple[signatures.PublicKey, bytes, bytes]


def first_bad(checks: Sequence[SignatureCheck], *, second: bool = False) -> Iterator[int | Contradiction]:
    """Verify every check; yields how many were done, piece by piece, and the contradictions found.

    ``second`` verifies with ``second_verifier`` instead.
    """
    pieces = [checks[start : start + PIECE] for start in range(0, len(checks), PIECE)]
    for piece, bad in zip(pieces, _verdicts(pieces, second=second), strict=True):
        yield from (piece[index].otherwise for index in bad)
        yield len(piece)


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _verdicts(pieces: Sequence[Sequence[SignatureCheck]], *, second: bool) -> Iterator[list[int]]:
    bare = ([check[:3] for check in piece] for piece in pieces)
    worth = WORTH_PROCESSES // 20 if second else WORTH_PROCESSES
    cores = usable_cores()
    if cores == 1 or sum(map(len, pieces)) < worth:
        yield from (_bad_among(piece, second) for piece in bare)
        return
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        yield from _in_order(pool, bare, second, ahead=4 * cores)


def _in_order(
    pool: ProcessPoolExecutor, pieces: Iterable[list[_Bare]], second: bool, ahead: int
) -> Iterator[list[int]]:
    """Answers in the order of the pieces, with no more than ``ahead`` of them under way."""
    waiting: list[Future[list[int]]] = []
    coming = iter(pieces)
    while True:
        waiting += [pool.submit(_bad_among, piece, second) for piece in islice(coming, ahead - len(waiting))]
        if not waiting:
            return
        yield waiting.pop(0).result()


def _bad_among(piece: Sequence[_Bare], second: bool) -> list[int]:
    is_signed = second_verifier.is_signed if second else signatures.is_signed
    return [index for index, each in enumerate(piece) if not is_signed(*each)]
