"""What the audit asks of finance beside amounts and states: numbers, signatures, histories' words, acts, offers' ends.

All of it is said a second time somewhere: by the chain's events, by the calls in the outbox, by the calendar.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Row

from finance import mirror, period_store, store
from finance.listing import DRAFTED
from finance.offers import chain_offer
from finance.position import OF_RECEIVABLES
from finance.receivable import Act, State
from finance.reorganisation import GIVEN_UP
from settlement import abi, receivable_acts, signatures
from settlement import store as settlement_store
from settlement.audit_scene import Scene, Step, Tick
from settlement.chain import ChainEvent
from settlement.compile import compiled
from settlement.contradiction import Contradiction, differs
from settlement.merkle import EMPTY_ROOT
from settlement.receivable_acts import ChainState

FUNCTIONS = {
    Act.ACKNOWLEDGE: ("acknowledge_many", "acknowledge_proven"),
    Act.LIST: ("set_listed",),
    Act.WITHDRAW: ("set_listed",),
    Act.FREEZE: ("set_frozen",),
    Act.AUCTION: ("open_auction",),
    Act.FINANCE: ("finance", "draw"),
    **{act: (f"{act.value}_part",) for act in (Act.SPLIT, Act.TRANSFER, Act.PLEDGE, Act.RELEASE)},
    Act.MERGE: ("merge_parts",),
    **{
        act: (act.value,)
        for act in (
            *(Act.REJECT, Act.CANCEL, Act.REPAY, Act.DISPUTE, Act.WITHDRAW_DISPUTE, Act.CONCEDE, Act.DECIDE),
            *(Act.COMPENSATE, Act.DEMAND, Act.BUY_BACK, Act.DECLARE_DEFAULT, Act.WRITE_OFF),
        )
    },
}
"""The functions that carry each act: of Sales when it is sold, else of Receivables."""

_OPEN = (ChainState.ISSUED, ChainState.ACKNOWLEDGED, ChainState.LISTED, ChainState.RESERVED)
"""Where a receivable can still be sold."""


def steps(scene: Scene) -> list[Step]:
    """The steps after those of ``audit.py``."""
    periods, history = period_store.periods_in(scene.connection), store.history_rows(scene.connection)
    offers = store.all_offers(scene.connection)
    return [
        Step("signatures over billing periods", "periods", len(periods), _periods),
        Step("receivables' histories and acts", "changes", len(history), _histories),
        Step("how offers ended", "offers", len(offers), _offers),
    ]


# -------------------------------------------------------------------------------------------------- periods


def _periods(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    """The operator's word over each, and the checker's from the moment that it is signed."""
    domain = scene.chain.domain("Receivables")
    for row in period_store.periods_in(scene.connection):
        tick(1)
        if row.root == EMPTY_ROOT:
            yield from _unsigned(row)
            continue
        digest = receivable_acts.issue_period_digest(domain, row.period, row.root, period_store.count_of(row))
        for role in ("operator", "checker"):
            signature = getattr(row, f"{role}_signature")
            keys = scene.keys.all_of(getattr(scene.terms, role))
            is_due = role == "operator" or row.state not in ("drafted", "refused")
            is_true = signature is not None and any(signatures.is_signed(key, digest, signature) for key in keys)
            if is_true != (signature is not None or is_due):
                yield Contradiction("periods", str(row.period), f"{role}_signature", f"is not the {role}'s over it")
        if (row.refusal is not None) != (row.state == "refused"):
            yield Contradiction("periods", str(row.period), "refusal", f"is there, or not, and it is {row.state}")


def _unsigned(row: Row[Any]) -> Iterator[Contradiction]:
    """A period without receivables goes nowhere: nobody signs it."""
    if (row.operator_signature, row.checker_signature, row.refusal) != (b"", None, None):
        yield Contradiction("periods", str(row.period), "operator_signature", "there is nothing in it to be signed")


# ------------------------------------------------------------------------------------------------ histories


def _histories(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    rows = store.all_acts(scene.connection)
    for number, row in enumerate(rows, start=1):
        if row.number != number:
            yield differs("receivables", row.receivable_id.hex(), "number", stated=row.number, computed=number)
        yield from _act(row)
    by_id = {row.receivable_id: row for row in rows}
    latest = dict.fromkeys(by_id, 0)
    words = _words(scene)
    for number, change in enumerate(store.history_rows(scene.connection), start=1):
        if change.change != number:
            yield differs("receivable_history", change.change, "change", stated=change.change, computed=number)
        receivable = by_id.get(change.receivable_id)
        if receivable is None:
            yield Contradiction("receivable_history", str(number), "receivable_id", "there is no such receivable")
            continue
        if change.block is None:
            yield from _taken_back(change)
        else:
            yield from _worded(change, words.get((change.block, change.log_index)))
        latest[change.receivable_id] = number
        tick(1)
    for receivable_id, number in latest.items():
        if by_id[receivable_id].change != number:
            stated = by_id[receivable_id].change
            yield differs("receivables", receivable_id.hex(), "change", stated=stated, computed=number)


def _words(scene: Scene) -> dict[tuple[int, int], str]:
    """What a history says of each change of the chain, where the chain gives the words."""
    found: dict[tuple[int, int], str] = {}
    said: dict[tuple[bytes, object], str] = {}
    for event in scene.events:
        at = (event.block, event.log_index)
        if (event.contract, event.event) == ("Receivables", "PeriodIssued"):
            found[at] = mirror.issued_words(int(event.arguments["period"]))
        if event.contract not in OF_RECEIVABLES or event.event not in mirror.TOLD:
            continue
        place = (event.transaction_hash, event.arguments["receivable"])
        words = mirror.words_of(event)
        if words is not None:
            said[place] = words
        change = mirror.change_of(event, "", said.get(place, ""))
        if change is not None and not (event.event == "Changed" and event.arguments["after"] in mirror.REASONED):
            found[at] = change["reason"]
    return found


def _worded(change: Row[Any], words: str | None) -> Iterator[Contradiction]:
    if words is not None and change.reason != words:
        yield differs("receivable_history", change.change, "reason", stated=change.reason, computed=words)


def _taken_back(change: Row[Any]) -> Iterator[Contradiction]:
    """What the chain does not say: that it gave up a block in which it had said something."""
    key = str(change.change)
    if change.reason != GIVEN_UP:
        yield Contradiction("receivable_history", key, "reason", "is nothing that the market writes by itself")
    if not {change.before, change.after} <= {*State, DRAFTED} or change.part is not None:
        yield Contradiction("receivable_history", key, "part, before, after", "is no state that was taken back")
    if change.actor != mirror.NOBODY or change.log_index is not None:
        yield Contradiction("receivable_history", key, "actor, log_index", "nobody did it")


_GIVES_REASON = (Act.REJECT, Act.CANCEL, Act.DISPUTE)


def _act(row: Row[Any]) -> Iterator[Contradiction]:
    """What is on its way for a receivable, and the call that carries it."""
    key = row.receivable_id.hex()
    if (row.act is None) != (row.act_outbox is None) or (row.act_reason is not None and row.act not in _GIVES_REASON):
        yield Contradiction("receivables", key, "act, act_outbox, act_reason", "do not belong together")
    elif row.act is not None:
        contract, _, function = row.act_kind.partition(".")
        expected = "Sales" if row.act in (Act.FINANCE, Act.AUCTION) else "Receivables"
        if row.act not in set(Act) or contract != expected or function not in FUNCTIONS.get(Act(row.act), ()):
            yield Contradiction("receivables", key, "act, act_outbox", "is not what the call does")
            return
        called = abi.arguments(compiled()[contract], row.act_call)
        named = called.get("receivables") or [each[0] for each in called.get("proven", ())]
        named = named or [called.get("receivable") or _sold_by(called)]
        if row.receivable_id not in named or called.get("listed", row.act == Act.LIST) != (row.act == Act.LIST):
            yield Contradiction("receivables", key, "act, act_outbox", "is an act on another one")


def _sold_by(called: Mapping[str, Any]) -> bytes:
    """The receivable that an offer, an auction or a draw is about: the first field of each."""
    name = next(each for each in ("offer", "opening", "drawing") if each in called)
    receivable_id: bytes = called[name][0]
    return receivable_id


# --------------------------------------------------------------------------------------------------- offers


def _offers(scene: Scene, tick: Tick) -> Iterator[Contradiction]:
    upto = settlement_store.last_mirrored_block(scene.connection)
    rows = store.all_offers(scene.connection)
    ends = _ends(rows, (event for event in scene.events if event.block <= upto))
    for number, row in enumerate(rows, start=1):
        if row.offer_id != number:
            yield differs("offers", row.offer_id, "offer_id", stated=row.offer_id, computed=number)
        if row.state != ends[row.offer_id]:
            yield differs("offers", row.offer_id, "state", stated=row.state, computed=ends[row.offer_id])
        tick(1)


def _ends(rows: Sequence[Row[Any]], events: Iterable[ChainEvent]) -> Mapping[int, str]:
    """Open, accepted or lapsed, for each offer: the oldest with the figures that the chain took is the accepted one."""
    found = {row.offer_id: "open" for row in rows}
    for event in events:
        if (event.contract, event.event) == ("Sales", "Financed"):
            taken = tuple(event.arguments[name] for name in ("receivable", "bank", "advance", "proceeds"))
            same = [row.offer_id for row in rows if found[row.offer_id] == "open" and _figures(row) == taken]
            found.update(dict.fromkeys(same[:1], "accepted"))
        elif (event.contract, event.event) == ("Receivables", "Changed") and event.arguments["after"] not in _OPEN:
            of_it = [row.offer_id for row in rows if row.receivable_id == event.arguments["receivable"]]
            found.update({offer_id: "lapsed" for offer_id in of_it if found[offer_id] == "open"})
    return found


def _figures(row: Row[Any]) -> tuple[object, ...]:
    offer = chain_offer(row)
    return offer.receivable_id, offer.bank, offer.advance_micro, offer.proceeds_micro
