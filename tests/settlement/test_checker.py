"""The checker signs what it has computed to the same bytes, and refuses everything else by name."""

import copy
import functools
import json
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from data.database import reading
from data.units import parse_instant_s
from settlement import (
    acts,
    checker,
    cycle,
    cycle_store,
    drafting,
    hexjson,
    publish_cycle_store,
    publish_readings_store,
    publish_store,
    signatures,
)
from settlement.checker import Checker, ContradictionError, PeriodVerdict, run
from settlement.checker_client import MarketClient, MarketRefusedError, MarketUnreachableError
from settlement.contradiction import Contradiction
from settlement.cycle_outcome import CycleInputs, SlotInputs, compute
from settlement.examine_cycle import CycleExaminer, Parties, record_of, slot_trade_of
from settlement.examine_readings import final_of
from settlement.hexjson import Hex
from settlement.intents import LOGIN, Domain
from settlement.journal_replay import JournalReplay
from settlement.jwk import to_jwk
from settlement.keys import KeyHistory
from settlement.officer import Officer
from settlement.published import PublishedKey, PublishedLines, PublishedSlot, Verdict
from settlement.trade_leaf import trade_leaf
from tests.settlement.copied_cycle import CopiedCycle, copy_of, of_document
from tests.settlement.settlement_world import (
    CHECKER,
    DAY,
    DOMAIN,
    ENGINE_RULES,
    METER_OPERATOR,
    OPERATOR,
    RULES,
    World,
    a_day_of_trading,
    after_window,
    key_of,
    new_world,
)

MEMBERS_DOMAIN = Domain(DOMAIN.chain_id, b"\x09" * 20, DOMAIN.salt)
OFFICER = Officer(CHECKER, key_of(CHECKER))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A market with one drafted cycle."""
    return drafted_world(tmp_path_factory.mktemp("world"))


def drafted_world(folder: Path) -> World:
    world = new_world(folder)
    a_day_of_trading(world)
    now_s = after_window(DAY)
    world.commit(now_s, at_once=True)
    assert drafting.draft_due(world.database, now_s, rules=RULES, domain=DOMAIN, operator=world.operator) == 1
    return world


def published(world: World) -> CopiedCycle:
    with reading(world.database) as connection:
        return copy_of(connection, 1, RULES)


def officers() -> KeyHistory:
    return KeyHistory(
        PublishedKey(member, 0, None, to_jwk(signatures.public_key(key_of(member)))) for member in (OPERATOR, CHECKER)
    )


def examiner(world: World) -> CycleExaminer:
    replay = JournalReplay(ENGINE_RULES, DOMAIN, OPERATOR, officers())
    with reading(world.database) as connection:
        assert [found for link in publish_store.all_links(connection) if (found := replay.add(link))] == []
    parties = Parties(OPERATOR, CHECKER, frozenset({METER_OPERATOR}), officers())
    return CycleExaminer(RULES, DOMAIN, parties, replay)


# ----------------------------------------------------------------------------------------- what it finds


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*at, key))
    elif value is not None:
        yield at


def tampered(document: Any, at: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    document = copy.deepcopy(document)
    place = functools.reduce(lambda inner, key: inner[key], at[:-1], document)
    place[at[-1]] = change(place[at[-1]])
    return document


def another(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return value[:-1] + ("0" if value[-1:] != "0" else "1")


def is_free(at: tuple[Any, ...]) -> bool:
    """What decides nothing: the state, and of meters, keys and readings what this cycle did not use."""
    if at == ("cycle", "state"):
        return True
    if "keys" in at:
        return at[-1] == "from_sequence"
    if "meters" in at:
        return at[-1] in (3, 4)  # capacities: no reading of this day is near them
    return "readings" in at and at[-1] == 6  # when a reading was received: a second more is still in time


def test_the_true_cycle_holds(world: World) -> None:
    examining, copied = examiner(world), published(world)
    assert examining.examine(copied.cycle, copied) is None
    assert (examining.cycle, examining.days) == (1, {1: "2026-07-01"})
    assert {settled.record.common.trade_id for settled in examining.settled} == {1, 2, 3}


def test_every_single_value_of_a_published_cycle_matters(world: World) -> None:
    document = published(world).document()
    examining = examiner(world)
    unseen = []
    for at in places(document):
        try:
            wrong = of_document(tampered(document, at, another))
        except msgspec.ValidationError:
            continue
        if not is_free(at) and examining.examine(wrong.cycle, wrong) is None:
            unseen.append(at)
            examining = examiner(world)
    assert not unseen


def test_each_single_wrong_delta_is_named_by_its_account(world: World) -> None:
    document = published(world).document()
    examining, parts = examiner(world), document["cycle"]["parts"]
    deltas = [(part, place) for part, deltas in enumerate(parts) for place in range(len(deltas))]
    assert len(deltas) == 4
    for part, place in deltas:
        account, amount_micro = parts[part][place]
        wrong = of_document(tampered(document, ("cycle", "parts", part, place, 1), lambda amount: amount + 1))
        assert examining.examine(wrong.cycle, wrong) == Contradiction(
            "cycles",
            "1",
            f"parts, delta of account {account}",
            f"stated {amount_micro + 1}, computed {amount_micro}",
        )


@pytest.mark.parametrize(
    "at",
    [
        ("lines",),
        ("cycle", "parts"),
        ("cycle", "slots"),
        ("slots", 0, "trades"),
        ("slots", 0, "orders"),
        ("slots", 0, "order_signatures"),
        ("slots", 0, "deliveries"),
        ("slots", 0, "readings"),
        ("slots", 1, "estimates"),
        ("signed",),
    ],
    ids=lambda at: at[-1],
)
def test_a_row_left_out_or_doubled_is_seen(world: World, at: tuple[Any, ...]) -> None:
    document = published(world).document()
    for change, more in ((lambda rows: rows[:-1], False), (lambda rows: rows + rows[-1:], True)):
        wrong = of_document(tampered(document, at, change))
        is_harmless = more and at[-1] in ("orders", "order_signatures", "signed")
        assert (examiner(world).examine(wrong.cycle, wrong) is None) == is_harmless


def without_the_last_trade(copied: CopiedCycle, operator: Officer) -> CopiedCycle:
    """A cycle that is right in itself, and signed, and keeps silent about one trade."""
    found = copied.cycle
    slots = [*copied.slots]
    last = max(place for place, slot in enumerate(slots) if slot.trades)
    slots[last] = msgspec.structs.replace(slots[last], trades=slots[last].trades[:-1])
    inputs = CycleInputs(
        cycle=1,
        day=DAY,
        start_s=found.start_s,
        end_s=found.end_s,
        salt=found.salt,
        slots=[inputs_of(slot) for slot in slots],
        late=[],
        owners={meter.node: meter.member for meter in found.meters},
        debts=[],
    )
    outcome = compute(inputs, RULES)
    totals = outcome.totals
    proposal = cycle.proposal_of(1, found.start_s, found.end_s, totals)
    delivered = {each.trade_id: each for each in outcome.deliveries}
    slots = [
        msgspec.structs.replace(slot, deliveries=tuple(delivered[trade.trade_id] for trade in slot.trades))
        for slot in slots
    ]
    lying = msgspec.structs.replace(
        found,
        trades_root=Hex(totals.trades_root),
        readings_root=Hex(totals.readings_root),
        statements_root=Hex(totals.statements_root),
        parts=tuple(part.deltas for part in totals.parts),
        parts_hash=Hex(acts.parts_hash(proposal.parts)),
        operator_signature=Hex(operator.approve(acts.propose_digest(DOMAIN, proposal)).signature),
    )
    return msgspec.structs.replace(copied, cycle=lying, slots=tuple(slots), lines_=tuple(outcome.lines))


def inputs_of(slot: PublishedSlot) -> SlotInputs:
    orders = {order.order_id: order for order in slot.orders}
    return SlotInputs(
        slot.slot_s,
        [slot_trade_of(trade) for trade in slot.trades],
        [trade_leaf(record_of(trade, orders)) for trade in slot.trades],
        {node: kept.reading for node, kept in final_of(slot.slot_s, slot.readings, RULES.cut_s(DAY)).items()},
    )


def test_a_trade_that_the_operator_keeps_silent_about_is_missed(world: World) -> None:
    lying = without_the_last_trade(published(world), world.operator)
    assert examiner(world).examine(lying.cycle, lying) == Contradiction(
        "cycles", "1", "trades", "trade 2 is missing or too much"
    )


def signed_again(document: dict[str, Any], operator: Officer) -> CopiedCycle:
    """A doctored cycle over which the operator has signed whatever it states now."""
    found = of_document(document).cycle
    parts = [
        acts.part(found.cycle, index, [acts.Delta(*delta) for delta in part]) for index, part in enumerate(found.parts)
    ]
    roots = (found.trades_root, found.readings_root, found.statements_root)
    digest = acts.propose_digest(DOMAIN, acts.Proposal(found.cycle, found.start_s, found.end_s, *roots, parts))
    document["cycle"] |= {
        "parts_hash": acts.parts_hash(parts).hex(),
        "operator_signature": operator.approve(digest).signature.hex(),
    }
    return of_document(document)


def single_things(document: dict[str, Any]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Every line, delivery, estimate, delta and root of a published cycle: what it is, and a place in it to change."""
    for place in range(len(document["lines"])):
        for field in (1, 6, 8):
            yield "statement line", ("lines", place, field)
    for number, slot in enumerate(document["slots"]):
        for place in range(len(slot["deliveries"])):
            for field in (1, 2):
                yield "delivery", ("slots", number, "deliveries", place, field)
        for place in range(len(slot["estimates"])):
            for field in (1, 2):
                yield "estimate", ("slots", number, "estimates", place, field)
    for part, deltas in enumerate(document["cycle"]["parts"]):
        for place in range(len(deltas)):
            yield "parts, delta of account", ("cycle", "parts", part, place, 1)
    for name in ("trades_root", "readings_root", "statements_root"):
        yield name, ("cycle", name)


def test_one_wrong_thing_is_named_although_the_operator_signed_all_of_it(world: World) -> None:
    document = published(world).document()
    examining, seen = examiner(world), set()
    for kind, at in single_things(document):
        lie = signed_again(tampered(document, at, another), world.operator)
        found = examining.examine(lie.cycle, lie)
        assert found is not None, at
        assert found.column.startswith(kind), (at, found)
        seen.add(kind)
    assert len(seen) == 7, seen
    true = of_document(document)
    assert examining.examine(true.cycle, true) is None


def test_money_moved_from_one_account_to_another_in_sum_right_is_refused(world: World) -> None:
    document = published(world).document()
    part = document["cycle"]["parts"][0]
    part[0][1], part[1][1] = part[0][1] + 5, part[1][1] - 5
    lie = signed_again(document, world.operator)
    found = examiner(world).examine(lie.cycle, lie)
    assert found is not None
    assert found.column == f"parts, delta of account {part[0][0]}"


def test_a_cycle_out_of_turn_is_no_cycle(world: World) -> None:
    copied, examining = published(world), examiner(world)
    assert examining.examine(copied.cycle, copied) is None
    again = examining.examine(copied.cycle, copied)
    assert again == Contradiction("cycles", "1", "cycle", "stated 1, computed 2")


# ---------------------------------------------------------------------------------------- what it does


class DirectMarket(MarketClient):
    """The market's side of the wire, answered from the database without a server."""

    def __init__(self, world: World, change: Callable[[str, Any], Any] = lambda _, document: document) -> None:
        super().__init__("http://market", OFFICER)
        self.world, self.change = world, change
        self.nonce = b"\x05" * 32
        self.verdicts: list[Verdict] = []
        self.periods: list[dict[str, Any]] = []
        self.pages: dict[str, dict[str, Any]] = {}

    def _send(self, method: str, path: str, body: bytes | None) -> bytes:
        if path == "/v1/market":
            return json.dumps(self.market()).encode()
        if path == "/v1/sessions/challenge":
            return json.dumps({"nonce": self.nonce.hex(), "expires": "2026-07-01T00:00:00Z"}).encode()
        if path == "/v1/sessions":
            return self._session(body or b"")
        if self._token != "token":
            raise MarketRefusedError(401, "not_logged_in", "log in")
        if method == "POST":
            verdict = msgspec.json.decode(body or b"", type=Verdict)
            self.verdicts.append(verdict)
            return b"{}"
        document = json.loads(json.dumps(self._read(path)))
        return json.dumps(self.change(path, document)).encode()

    def _session(self, body: bytes) -> bytes:
        sent = json.loads(body)
        digest = LOGIN.digest(MEMBERS_DOMAIN, {"member": CHECKER, "nonce": self.nonce})
        key = signatures.public_key(key_of(CHECKER))
        if not signatures.is_signed(key, digest, bytes.fromhex(sent["signature"])):
            raise MarketRefusedError(401, "bad_login", "no")
        return b'{"token": "token"}'

    def _read(self, path: str) -> Any:
        with reading(self.world.database) as connection:
            if path == "/v1/cycles":
                rows = cycle_store.cycles_in(connection)
                cycles = [{"cycle": row.cycle, "round": row.round, "state": row.state} for row in rows]
                return {"items": cycles, "next": None}
            if path == "/v1/periods":
                return {"items": [{"period": period["period"]} for period in self.periods]}
            if path.startswith("/v1/periods/"):
                return self.pages.get(path) or self.periods[int(path.rsplit("/", 1)[1]) - 1]
            if path.startswith("/v1/cycles/"):
                return hexjson.dump(self._cycle(connection, *path.removeprefix("/v1/cycles/").split("/")))
            if path.startswith("/v1/journal?after="):
                return hexjson.dump(publish_store.journal_after(connection, int(path.split("=")[1]), limit=2))
            assert path.startswith("/v1/readings/signatures/")
            return hexjson.dump(publish_readings_store.signed_readings(connection, int(path.rsplit("/", 1)[1])))

    @staticmethod
    def _cycle(connection: Connection, number: str, page: str = "") -> object:
        if page.startswith("slots?slot="):
            return publish_cycle_store.published_slot(connection, int(number), parse_instant_s(page.split("=")[1]))
        if page.startswith("lines?after="):
            return PublishedLines(tuple(cycle_store.lines_of(connection, int(number), int(page.split("=")[1]), 5)))
        assert not page
        return publish_cycle_store.published_cycle(connection, int(number), RULES)

    def market(self) -> dict[str, Any]:
        return {
            "slot_minutes": 60,
            "time_zone": "Asia/Shanghai",
            "chain_id": DOMAIN.chain_id,
            "contracts": {"Clearing": DOMAIN.contract.hex(), "Members": "09" * 20, "Receivables": "08" * 20},
            "salt": DOMAIN.salt.hex(),
            "fees": {"transformer": "0.02", "feeder": "0.05", "substation": "0.11"},
            "floor": "0",
            "cap": "2",
            "terms": [0, 30, 60],
            "prices": {"retail": "0.5224", "feed_in": "0.3", "shortfall": "0.6"},
            "members": {"operator": OPERATOR, "checker": CHECKER, "meter_operator": METER_OPERATOR, "grid_company": 5},
            "reading_deadline_s": 3_600,
            "correction_window_s": 3_600,
            "operator_key": hexjson.dump(to_jwk(signatures.public_key(key_of(OPERATOR)))),
            "more": "than a checker needs",
        }


def test_it_signs_a_true_draft_so_that_the_operator_can_propose_it(tmp_path: Path) -> None:
    world = drafted_world(tmp_path)
    market = DirectMarket(world)
    checking = Checker(market, OFFICER, None)
    assert checking.step() is True
    (verdict,) = market.verdicts
    with world.database.begin() as connection:
        row = cycle_store.cycle(connection, 1)
        assert row is not None
        signature = bytes.fromhex(verdict.signature)
        digest = acts.propose_digest(DOMAIN, cycle.stated_proposal(row))
        assert signatures.is_signed(signatures.public_key(key_of(CHECKER)), digest, signature)
        cycle_store.set_cycle(connection, 1, state="signed", checker_signature=signature)
    assert checking.step() is False
    again = DirectMarket(world)
    assert Checker(again, OFFICER, None).step() is True, "a new process examines the past"
    assert again.verdicts == [], "and does not sign it again"


def test_it_refuses_a_wrong_draft_with_the_reason_and_stops(world: World) -> None:
    def lie(path: str, document: Any) -> Any:
        return tampered(document, ("parts", 0, 0, 1), another) if path == "/v1/cycles/1" else document

    market = DirectMarket(world, lie)
    with pytest.raises(ContradictionError, match="delta of account"):
        Checker(market, OFFICER, None).step()
    (verdict,) = market.verdicts
    assert not verdict.signature
    assert "delta of account" in verdict.refusal


def test_a_forged_receipt_in_the_journal_is_refused(world: World) -> None:
    def lie(path: str, document: Any) -> Any:
        return tampered(document, ("links", 0, 7), another) if path.startswith("/v1/journal") else document

    market = DirectMarket(world, lie)
    with pytest.raises(ContradictionError, match="journal 1, signature"):
        Checker(market, OFFICER, None).step()
    assert market.verdicts[0].refusal


def test_periods_are_examined_by_what_was_handed_in(world: World) -> None:
    market = DirectMarket(world)
    market.periods = [{"period": 1, "state": "drafted", "next": "1.2.3.4"}, {"period": 2, "state": "issued"}]
    market.pages = {"/v1/periods/1?after=1.2.3.4": {"period": 1, "state": "drafted", "next": None}}
    seen = []

    def verify(pages: Iterable[bytes], examined: CycleExaminer, domain: Domain) -> PeriodVerdict:
        seen.append(([json.loads(page)["period"] for page in pages], examined.cycle, domain.contract))
        return PeriodVerdict(None, b"\x07" * 32)

    Checker(market, OFFICER, verify).step()
    assert seen == [([1, 1], 1, b"\x08" * 20), ([2], 1, b"\x08" * 20)]
    signature = bytes.fromhex(market.verdicts[1].signature)
    assert signatures.is_signed(signatures.public_key(key_of(CHECKER)), b"\x07" * 32, signature)
    assert len(market.verdicts) == 2, "an issued period needs no signature"

    def object_to(pages: Iterable[bytes], examined: CycleExaminer, domain: Domain) -> PeriodVerdict:
        return PeriodVerdict(Contradiction("periods", "1", "root", "is another"), b"\x07" * 32)

    with pytest.raises(ContradictionError, match="periods 1, root: is another"):
        Checker(market, OFFICER, object_to).step()
    assert market.verdicts[-1].refusal == "periods 1, root: is another"


# --------------------------------------------------------------------------------------------- the process


@pytest.fixture
def server() -> Iterator[tuple[str, list[tuple[int, bytes]]]]:
    """An HTTP server that gives prepared answers, in order."""
    answers: list[tuple[int, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=serving.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}", answers
    serving.shutdown()
    thread.join()
    serving.server_close()


def test_refusals_and_outages_are_told_apart(server: tuple[str, list[tuple[int, bytes]]]) -> None:
    url, answers = server
    client = MarketClient(url, OFFICER)
    answers += [(200, b"{}"), (404, b'{"code": "not_found", "detail": "no"}'), (503, b""), (500, b"<html>")]
    assert client.get("/v1/x") == b"{}"
    with pytest.raises(MarketRefusedError, match="404 not_found: no"):
        client.get("/v1/x")
    with pytest.raises(MarketUnreachableError):
        client.get("/v1/x")
    with pytest.raises(MarketRefusedError, match="500 unknown"):
        client.get("/v1/x")
    with pytest.raises(MarketUnreachableError):
        MarketClient("http://127.0.0.1:1", OFFICER).get("/v1/x")


def test_the_exit_code_says_how_it_ended(
    server: tuple[str, list[tuple[int, bytes]]], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, answers = server
    answers.append((200, b'{"slot_minutes": "sixty"}'))
    assert run(url, key_of(CHECKER)) == 2
    assert run(url, key_of(CHECKER), is_stopped=lambda: True) == 0

    def lie(path: str, document: Any) -> Any:
        return tampered(document, ("lines", 0, 8), lambda amount: amount + 1) if "lines?" in path else document

    market = DirectMarket(world, lie)
    monkeypatch.setattr(checker, "MarketClient", lambda *_: market)
    monkeypatch.setattr(checker, "RETRY_S", 0.0)
    assert run(url, key_of(CHECKER)) == 1
    stops = iter([False, False, True])
    assert run(url, key_of(CHECKER), keep_going=True, poll_s=0.0, is_stopped=lambda: next(stops)) == 0
    assert len(market.verdicts) == 3, "refused once, and twice more while it keeps going"
    assert not any(verdict.signature for verdict in market.verdicts)
