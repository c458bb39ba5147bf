"""The checker: a process of its own, with its own key, that computes everything again before it signs.

It reads over HTTP what the operator publishes: the journal, which it replays through an engine of its own, the signed
orders and readings, and each proposed cycle and billing period. What is wrong in a single delta is refused, with the
reason; the process then ends with exit code 1, for a market with a contradiction in it wants a person. With
``keep_going`` it stays and refuses on. Only a proposal that it has computed to the same bytes gets its signature.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from data.units import UnitError, format_instant, parse_price_ticks
from matching.order import Rules
from settlement import hexjson
from settlement.chain import ChainUnavailableError
from settlement.checker_client import MarketClient, MarketRefusedError, MarketUnreachableError
from settlement.contradiction import Contradiction
from settlement.delivery import Line
from settlement.examine_cycle import CycleExaminer, Parties, nothing_struck, signed_digest
from settlement.intents import Domain
from settlement.journal_replay import JournalReplay
from settlement.jwk import Jwk, from_jwk, to_jwk
from settlement.keys import KeyHistory
from settlement.officer import Officer
from settlement.published import (
    PublishedCycle,
    PublishedJournal,
    PublishedKey,
    PublishedLines,
    PublishedSlot,
    SignedReadings,
    Verdict,
)
from settlement.rules import SettlementRules
from settlement.signatures import public_key
from settlement.struck import struck_at

RETRY_S = 2.0
_UNSIGNED = ("drafted", "refused")
_log = logging.getLogger("jinsha.checker")


class PeriodVerdict(NamedTuple):
    """What an examiner of billing periods found: a contradiction, or the 32 bytes to sign."""

    found: Contradiction | None
    digest: bytes


VerifyPeriod = Callable[[Iterable[bytes], CycleExaminer, Domain], PeriodVerdict]
"""Examines the pages of ``GET /v1/periods/{n}``, one period after another from the first.

It is given the cycles examined so far (``settled``, ``days``) and the domain of Receivables. What finance adds to
settlement is handed in from above, so that settlement need not know finance.
"""


class _PeriodPage(msgspec.Struct):
    """What the checker itself needs of a page of a period."""

    state: str
    next: str | None = None


class _Market(msgspec.Struct):
    """What the checker needs of ``GET /v1/market``."""

    slot_minutes: int
    time_zone: str
    chain_id: int
    contracts: dict[str, str]
    salt: str
    fees: dict[str, str]
    floor: str
    cap: str
    terms: tuple[int, ...]
    prices: dict[str, str]
    members: dict[str, int]
    reading_deadline_s: int
    correction_window_s: int
    operator_key: Jwk

    def domain(self, contract: str) -> Domain:
        return Domain(self.chain_id, bytes.fromhex(self.contracts[contract]), bytes.fromhex(self.salt))

    def engine_rules(self) -> Rules:
        transformer, feeder, substation = (
            parse_price_ticks(self.fees[level]) for level in ("transformer", "feeder", "substation")
        )
        floor_ticks, cap_ticks = parse_price_ticks(self.floor), parse_price_ticks(self.cap)
        return Rules((transformer, feeder, substation), floor_ticks, cap_ticks, self.terms)

    def settlement_rules(self) -> SettlementRules:
        return SettlementRules(
            time_zone=self.time_zone,
            slot_minutes=self.slot_minutes,
            retail_ticks=parse_price_ticks(self.prices["retail"]),
            feed_in_ticks=parse_price_ticks(self.prices["feed_in"]),
            shortfall_ticks=parse_price_ticks(self.prices["shortfall"]),
            grid_company=self.members["grid_company"],
            reading_deadline_s=self.reading_deadline_s,
            correction_window_s=self.correction_window_s,
        )


class ContradictionError(Exception):
    """The market contradicts itself; carries the contradiction."""

    def __init__(self, found: Contradiction) -> None:
        super().__init__(str(found))
        self.found = found


class CycleFellError(Exception):
    """A cycle that was examined fell in a dispute: everything is examined anew, for what followed from it is void."""


class _PulledCycle:
    """A cycle's slots and lines over HTTP, a page at a time, as the examiner asks for them."""

    def __init__(self, client: MarketClient, number: int) -> None:
        self._client, self._at = client, f"/v1/cycles/{number}"

    def slot(self, slot_s: int) -> PublishedSlot:
        return hexjson.load(self._client.get(f"{self._at}/slots?slot={format_instant(slot_s)}"), PublishedSlot)

    def lines(self, after: int) -> Sequence[Line]:
        return hexjson.load(self._client.get(f"{self._at}/lines?after={after}"), PublishedLines).lines

    def reading_signature(self, signature_id: int) -> SignedReadings | None:
        return hexjson.load(self._client.get(f"/v1/readings/signatures/{signature_id}"), SignedReadings)


class Checker:
    """One checker at one market. ``step`` does all there is to do now; it remembers what it has examined.

    ``chain_url`` is a node that it asks which trades were struck; without one it lets no trade be left out.
    """

    def __init__(
        self,
        client: MarketClient,
        officer: Officer,
        verify_period: VerifyPeriod | None,
        chain_url: str | None = None,
    ) -> None:
        market = msgspec.convert(client.get_json("/v1/market"), _Market)
        self._client, self._officer, self._verify_period = client, officer, verify_period
        self._clearing, self._receivables = market.domain("Clearing"), market.domain("Receivables")
        client.log_in_at(market.domain("Members"))
        operator = market.members["operator"]
        keys = KeyHistory(
            [
                PublishedKey(operator, 0, None, to_jwk(from_jwk(market.operator_key))),
                PublishedKey(officer.member, 0, None, to_jwk(public_key(officer.key))),
            ]
        )
        parties = Parties(operator, officer.member, frozenset({market.members["meter_operator"]}), keys)
        self._replay = JournalReplay(market.engine_rules(), self._clearing, operator, keys)
        struck = struck_at(chain_url, market.domain("Disputes").contract) if chain_url else nothing_struck
        rules = market.settlement_rules()
        self._examiner = CycleExaminer(rules, self._clearing, parties, self._replay, struck)
        self._rounds: dict[int, int] = {}
        self._period = 0

    def step(self) -> bool:
        """Examine what is new, sign what holds. Whether there was something new.

        Raises ContradictionError at the first contradiction, after it was posted where it can be, and CycleFellError:
        then this one is of no more use.
        """
        worked = self._cycles()
        if self._verify_period is not None:
            numbers = sorted(item["period"] for item in self._client.get_json("/v1/periods")["items"])
            for number in (each for each in numbers if each > self._period):
                self._billing_period(number)
                worked = True
        return worked

    def _cycles(self) -> bool:
        items = self._client.get_json("/v1/cycles")["items"]
        rounds = {item["cycle"]: item["round"] for item in items if item["state"] != "void"}
        if any(rounds.get(number) != known for number, known in self._rounds.items()):
            raise CycleFellError
        fresh = [number for number in sorted(rounds) if number > self._examiner.cycle]
        for number in fresh:
            self._cycle(number)
            self._rounds[number] = rounds[number]
        return bool(fresh)

    def _cycle(self, number: int) -> None:
        cycle = hexjson.load(self._client.get(f"/v1/cycles/{number}"), PublishedCycle)
        found = self._follow_journal() or self._examiner.examine(cycle, _PulledCycle(self._client, number))
        self._answer(f"/v1/cycles/{number}", cycle.state, found, signed_digest(cycle, self._clearing))

    def _billing_period(self, number: int) -> None:
        assert self._verify_period is not None
        path = f"/v1/periods/{number}"
        pages = [self._client.get(path)]
        state = msgspec.json.decode(pages[0], type=_PeriodPage).state
        while after := msgspec.json.decode(pages[-1], type=_PeriodPage).next:
            pages.append(self._client.get(f"{path}?after={after}"))
        verdict = self._verify_period(pages, self._examiner, self._receivables)
        self._answer(path, state, verdict.found, verdict.digest)
        self._period = number

    def _follow_journal(self) -> Contradiction | None:
        while True:
            page = hexjson.load(self._client.get(f"/v1/journal?after={self._replay.batch}"), PublishedJournal)
            for link in page.links:
                found = self._replay.add(link)
                if found is not None:
                    return found
            if not page.links or self._replay.batch >= page.last_batch:
                return None

    def _answer(self, path: str, state: str, found: Contradiction | None, digest: bytes) -> None:
        if found is not None:
            _say(logging.ERROR, "refused", path=path, why=str(found))
            if state in _UNSIGNED:
                self._client.post(f"{path}/signature", Verdict(refusal=str(found)))
            raise ContradictionError(found)
        if state in _UNSIGNED:
            signature = self._officer.approve(digest).signature
            self._client.post(f"{path}/signature", Verdict(signature=signature.hex()))
            _say(logging.INFO, "signed", path=path)
        else:
            _say(logging.INFO, "holds", path=path, state=state)


def run(
    server_url: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    member: int = 2,
    poll_s: float = 1.0,
    keep_going: bool = False,
    chain_url: str | None = None,
    verify_period: VerifyPeriod | None = None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> int:
    """Check a market until stopped. Exit code: 0 when stopped, 1 at a contradiction, 2 when the market refuses us.

    An outage is waited for. ``is_stopped`` is asked between steps, at least every ``poll_s`` seconds.
    """
    officer = Officer(member, key)
    checker: Checker | None = None
    while not is_stopped():
        try:
            if checker is None:
                checker = Checker(MarketClient(server_url, officer), officer, verify_period, chain_url)
                _say(logging.INFO, "checking", server=server_url, member=member)
            if not checker.step():
                time.sleep(poll_s)
        except CycleFellError:
            _say(logging.WARNING, "cycle_fell")
            checker = None
        except (MarketUnreachableError, ChainUnavailableError) as error:
            _say(logging.WARNING, "waiting", why=str(error))
            time.sleep(RETRY_S)
        except ContradictionError:
            if not keep_going:
                return 1
            time.sleep(max(poll_s, RETRY_S))
        except (MarketRefusedError, msgspec.DecodeError, UnitError, ValueError, KeyError) as error:
            _say(logging.ERROR, "cannot_check", why=f"{type(error).__name__}: {error}")
            return 2
    return 0


def _say(level: int, event: str, **fields: Any) -> None:
    _log.log(level, event, extra={"fields": fields})
