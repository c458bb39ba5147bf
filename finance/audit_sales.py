"""What the audit asks of selling: auctions, bids and programs are what the chain's events, outbox and signatures say.

Auctions are folded anew from the events by the rules that the mirror follows too (``auction.py``). A program is what
its bank signed: root, digest and signature follow from its rows and columns, what was drawn from the events.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row

from data.units import UnitError, floor_fen
from finance import auction_store, program_store
from finance.auction import Auction, auctions_in
from finance.offer import parse_rate_ppm
from finance.program import root_of
from finance.programs import PriceKept, chain_program
from settlement import abi, sale_acts, signatures
from settlement import store as settlement_store
from settlement.audit_scene import Scene, Step, Tick
from settlement.chain import ChainEvent
from settlement.compile import compiled
from settlement.contradiction import Contradiction, differs
from settlement.sale_acts import PriceRow


def steps(scene: Scene) -> list[Step]:
    """The steps after those of ``audit_acts.py``."""
    auctions, programs = auction_store.acts(scene.connection), program_store.all_programs(scene.connection)
    return [
        Step("auctions and bids against the chain", "auctions", len(auctions), _auctions),
        Step("programs, their tables and signatures", "programs", len(programs), _programs),
    ]


# -------------------------------------------------------------------------------------------------- auctions


def _auctions(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    said, kept = auctions_in(_mirrored(scene)), auction_store.all_auctions(scene.connection)
    for number in sorted(said.keys() ^ kept.keys()):
        yield Contradiction("auctions", str(number), "auction", "it is on the chain and not here, or the other way")
    for number in sorted(said.keys() & kept.keys()):
        yield from _same_auction(kept[number], said[number])
        tick(1)
    for row in auction_store.acts(scene.connection):
        yield from _auction_act(row)
    placed = {(auction.auction, bid.bank) for auction in said.values() for bid in auction.bids}
    for row in auction_store.bid_acts(scene.connection):
        yield from _bid_act(row, (row.auction, row.bank) in placed)


def _mirrored(scene: Scene) -> list[ChainEvent]:
    upto = settlement_store.last_mirrored_block(scene.connection)
    return [event for event in scene.events if event.contract == "Sales" and event.block <= upto]


def _same_auction(kept: Auction, said: Auction) -> Iterator[Contradiction]:
    for column in Auction.__dataclass_fields__.keys() - {"bids"}:
        stated, computed = getattr(kept, column), getattr(said, column)
        if stated != computed:
            yield differs("auctions", kept.auction, column, stated=stated, computed=computed)
    ours = {bid.bank: bid for bid in kept.bids}
    theirs = {bid.bank: bid for bid in said.bids}
    for bank in sorted(ours.keys() | theirs.keys()):
        if ours.get(bank) != theirs.get(bank):
            both = {"stated": ours.get(bank), "computed": theirs.get(bank)}
            yield differs("auction_bids", f"{kept.auction}/{bank}", "bid, place, proceeds_fen, bond", **both)


_AUCTION_ACTS = ("Sales.award", "Sales.lapse", "Sales.settle_auction", "Sales.cancel_auction")


def _auction_act(row: Row[Any]) -> Iterator[Contradiction]:
    """What is on its way for an auction is a call about it."""
    if (row.act_outbox is None) != (row.act_s is None):
        yield Contradiction("auctions", str(row.auction), "act_outbox, act_s", "do not belong together")
    elif row.act_outbox is not None:
        named = _called(row).get("auction") if row.act_kind in _AUCTION_ACTS else None
        if named != row.auction:
            yield Contradiction("auctions", str(row.auction), "act_outbox", "is not an act on this auction")


def _bid_act(row: Row[Any], is_placed: bool) -> Iterator[Contradiction]:
    """A bid on its way is what its call carries; one that is there has at most its reveal on the way."""
    key = f"{row.auction}/{row.bank}"
    if not is_placed and (row.place, row.proceeds_fen, row.bond) != (None, None, "sent"):
        yield Contradiction("auction_bids", key, "place, proceeds_fen, bond", "the chain knows no such bid")
    if row.act_outbox is None:
        if not is_placed:
            yield Contradiction("auction_bids", key, "act_outbox", "nothing brings it to the chain")
        return
    called = _called(row) if row.act_kind in ("Sales.commit_bid", "Sales.reveal_bid") else {}
    is_meant = (called.get("auction"), called.get("bank")) == (row.auction, row.bank)
    if not is_meant or (not is_placed and called.get("bid") != row.bid):
        yield Contradiction("auction_bids", key, "act_outbox", "is not what brings this bid to the chain")


def _called(row: Row[Any]) -> dict[str, Any]:
    return abi.arguments(compiled()["Sales"], row.act_call)


# -------------------------------------------------------------------------------------------------- programs


def _programs(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    tables: dict[int, list[Row[Any]]] = {}
    for row in program_store.all_rows(scene.connection):
        tables.setdefault(row.program, []).append(row)
    events = _mirrored(scene)
    drawn = {event.arguments["program"]: event.arguments["drawn"] for event in events if event.event == "Drawn"}
    over = {
        (event.arguments["bank"], event.arguments["nonce"]) for event in events if event.event == "ProgramCancelled"
    }
    for program in program_store.all_programs(scene.connection):
        yield from _table(program, tables.pop(program.program, []))
        yield from _signature(scene, program)
        drawn_fen = floor_fen(int(drawn.get(program.digest, 0)))
        if program.drawn_fen != drawn_fen:
            yield differs("programs", program.program, "drawn_fen", stated=program.drawn_fen, computed=drawn_fen)
        signed = "drafted" if program.signature is None else "open"
        state = "cancelled" if (program.bank, program.nonce) in over else signed
        if program.state != state:
            yield differs("programs", program.program, "state", stated=program.state, computed=state)
        yield from _cancellation(program)
        tick(1)
    for number in tables:
        yield Contradiction("program_rows", str(number), "program", "there is no such program")


def _table(program: Row[Any], rows: Sequence[Row[Any]]) -> Iterator[Contradiction]:
    """The rows are numbered through, of the bank's prices, and what the root says."""
    key = str(program.program)
    if [row.place for row in rows] != list(range(1, len(rows) + 1)):
        yield Contradiction("program_rows", key, "place", "they are not numbered through")
    if root_of([PriceRow(row.debtor, row.max_days, row.rate_ppm) for row in rows]) != program.root:
        yield Contradiction("programs", key, "root", "it is not that of the rows")
    try:
        prices = msgspec.json.decode(program.prices, type=list[PriceKept])
        priced = {(each.max_days, parse_rate_ppm(each.rate)) for each in prices}
    except (msgspec.DecodeError, UnitError):
        priced = set()
    if not priced or not {(row.max_days, row.rate_ppm) for row in rows} <= priced:
        yield Contradiction("programs", key, "prices", "a row is priced otherwise")


def _signature(scene: Scene, program: Row[Any]) -> Iterator[Contradiction]:
    """The digest follows from the columns; a signature is the bank's over it."""
    key = str(program.program)
    if sale_acts.program_digest(scene.chain.domain("Sales"), chain_program(program)) != program.digest:
        yield Contradiction("programs", key, "digest", "it is not what these terms come to")
    elif program.signature is not None and not any(
        signatures.is_signed(each, program.digest, program.signature) for each in scene.keys.all_of(program.bank)
    ):
        yield Contradiction("programs", key, "signature", f"it is not that of bank {program.bank}")


def _cancellation(program: Row[Any]) -> Iterator[Contradiction]:
    if program.act_outbox is None:
        return
    called = _called(program) if program.act_kind == "Sales.cancel_program" else {}
    if (called.get("bank"), called.get("program")) != (program.bank, program.nonce):
        yield Contradiction("programs", str(program.program), "act_outbox", "it does not cancel this program")
