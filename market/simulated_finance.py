"""After the day: the cycle settles, receivables are born, acknowledged, sold to the better of the banks, and repaid.

Sellers sell what is worth the trouble: small receivables wait for their due day.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any

from data.units import (
    MICRO_PER_FEN,
    SECONDS_PER_HOUR,
    format_instant,
    format_money,
    parse_instant_s,
    parse_money_fen,
)
from finance.calendar import DayCount
from finance.offer import OfferError, Quote, Terms, parse_rate_ppm, terms_of
from finance.period import Billing
from market import institutions
from market.client import Client, RefusedError, new_nonce
from market.institutions import POLL_S, Deposit, StuckError
from market.simulated_town import AT_ONCE, Town
from market.simulated_trading import Step
from market.tariff import Bank, Tariff
from settlement import receivable_acts, sale_acts
from settlement.calendar import bounds, day_of, start_of
from settlement.keccak import keccak
from settlement.sale_acts import Offer

ACKNOWLEDGED_AT_ONCE = 100
LEAST_SOLD_FEN = 5000
"""ASSUMPTION: below 50 yuan nobody asks a bank."""

LATE_RATE = "0.06"
"""ASSUMPTION: what banks charge a year on an advance that is paid late."""

VALID_S = 24 * SECONDS_PER_HOUR
"""How long a signed act of finance holds, on the market's clock."""

PAYING_HOUR = 10
PATIENCE_S = 300.0


@dataclass
class Finance:
    """What came of the receivables; money in fen."""

    offers: int = 0
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Owed:
    """A receivable as the market lists it."""

    receivable: str
    creditor: int
    debtor: int
    face_fen: int
    due_day: date
    state: str

    @property
    def id(self) -> bytes:
        return bytes.fromhex(self.receivable)


def owed_of(item: dict[str, Any]) -> Owed:
    return Owed(
        receivable=item["receivable"],
        creditor=int(item["creditor"]),
        debtor=int(item["debtor"]),
        face_fen=parse_money_fen(item["face"]),
        due_day=date.fromisoformat(item["due_day"]),
        state=item["state"],
    )


# ----------------------------------------------------------------------------------------- the cycle and period


async def settle(town: Town, step: Callable[[str], None]) -> None:
    """Readings are final, the cycle is proposed and co-signed, nobody disputes it, it is applied, the period closes.

    Raises StuckError when the checker refuses, or when it is not applied in the end.
    """
    for now_s, note in milestones(town.tariff, town.day):
        step(note)
        await institutions.move_clock(town.operator, now_s)
        await institutions.attest_balance(town.custodian, town.held_micro)
        await institutions.until_idle(town.operator, patience_s=PATIENCE_S, tell=partial(_tell, step, note))
    cycles = await town.operator.items("/v1/cycles")
    if [cycle["state"] for cycle in cycles if cycle["day"] == town.day.isoformat()] != ["applied"]:
        raise StuckError(f"the cycle of {town.day} was not applied: {cycles}")
    step("the cycle is applied, the billing period closed")


def milestones(tariff: Tariff, day: date) -> list[tuple[int, str]]:
    """When settlement of a day and its billing period goes on, in seconds, and what happens then.

    Debts that fall due on the period's last day have a cycle of their own, which is applied before the period closes.
    """
    found = []
    for last in sorted({day, Billing(tariff.billing_period).last_day(day)}):
        _, end_s = bounds(last, tariff.time_zone)
        final_s = end_s + (tariff.reading_deadline_hours + tariff.correction_window_hours) * SECONDS_PER_HOUR
        applied_s = final_s + tariff.dispute_window_hours * SECONDS_PER_HOUR + 60
        found += [(final_s, f"readings of {last} are final"), (applied_s, f"nobody disputed {last}")]
    return found


def _tell(step: Callable[[str], None], note: str, waiting: str) -> None:
    step(f"{note}: {waiting}")


# ------------------------------------------------------------------------------------------------- receivables


async def receivables(town: Town, state: str) -> list[Owed]:
    """All receivables in a state, as the operator sees them."""
    return [owed_of(item) for item in await town.operator.items("/v1/receivables", state=state)]


async def until(town: Town, state: str, count: int) -> list[Owed]:
    """Wait until so many receivables are in a state: the chain has the last word."""
    give_up = asyncio.get_running_loop().time() + PATIENCE_S
    while True:
        found = await receivables(town, state)
        if len(found) >= count:
            return found
        if asyncio.get_running_loop().time() > give_up:
            raise StuckError(f"only {len(found)} of {count} receivables are {state} after {PATIENCE_S:.0f} s")
        await asyncio.sleep(POLL_S)


async def acknowledge(town: Town, step: Step) -> list[Owed]:
    """Every debtor acknowledges all it owes, up to a hundred under one signature."""
    issued = await receivables(town, "issued")
    by_debtor: defaultdict[int, list[Owed]] = defaultdict(list)
    for owed in issued:
        by_debtor[owed.debtor].append(owed)
    deadline_s = await deadline_of(town)
    for debtor, all_owed in by_debtor.items():
        for some in institutions.chunks(all_owed, ACKNOWLEDGED_AT_ONCE):
            await _acknowledge(town.client_of(debtor), some, deadline_s)
            step(len(some), f"{len(issued)} receivables of {len(by_debtor)} debtors")
    return await until(town, "acknowledged", len(issued))


async def _acknowledge(client: Client, owed: Sequence[Owed], deadline_s: int) -> None:
    assert client.member is not None
    facts, nonce = await client.facts(), new_nonce()
    domain, collection = facts.domain("Receivables"), bytes.fromhex(facts.collection_account.hash)
    digest = receivable_acts.acknowledge_many_digest(
        domain, client.member, [each.id for each in owed], collection, nonce=nonce, deadline_s=deadline_s
    )
    body = {"receivables": [each.receivable for each in owed]}
    await client.post("/v1/receivables/acknowledge", body | signed(client, digest, nonce, deadline_s))


async def put_up(town: Town, acknowledged: Sequence[Owed], step: Step) -> list[Owed]:
    """Sellers list what is worth selling."""
    worth = [owed for owed in acknowledged if owed.face_fen >= LEAST_SOLD_FEN]
    deadline_s = await deadline_of(town)

    async def one(owed: Owed) -> None:
        client, nonce = town.client_of(owed.creditor), new_nonce()
        domain = (await client.facts()).domain("Receivables")
        digest = receivable_acts.set_listed_digest(
            domain, owed.id, owed.creditor, True, nonce=nonce, deadline_s=deadline_s
        )
        path = f"/v1/receivables/{owed.receivable}/list"
        await client.post(path, signed(client, digest, nonce, deadline_s))
        step(1, f"{len(worth)} of {len(acknowledged)} receivables are worth selling")

    await _each(worth, one)
    return await until(town, "listed", len(worth))


async def bid(town: Town, listed: Sequence[Owed], finance: Finance, step: Step) -> None:
    """Every bank offers on everything that is listed."""
    deadline_s = await deadline_of(town)
    today = day_of(deadline_s - VALID_S, town.tariff.time_zone)

    async def one(task: tuple[Owed, Bank, Client]) -> None:
        owed, bank, client = task
        try:
            await _offer(client, bank, owed, today=today, deadline_s=deadline_s)
            finance.offers += 1
        except OfferError as error:
            finance.refused[error.code] += 1
        except RefusedError as error:
            finance.refused[error.refused.code] += 1
        step(1, f"{finance.offers} offers of {len(town.banks)} banks")

    await _each([(owed, bank, client) for owed in listed for bank, client in town.banks], one)


def terms_offered(owed: Owed, bank: Bank, today: date) -> Terms:
    """What a bank's quote comes to on a receivable. Raises OfferError."""
    quote = Quote(
        parse_rate_ppm(bank.advance_rate), parse_rate_ppm(bank.rate), DayCount(str(bank.days_basis)), bank.fee_fen
    )
    return terms_of(owed.face_fen, quote, quote.day_count.days(today, owed.due_day))


async def _offer(client: Client, bank: Bank, owed: Owed, *, today: date, deadline_s: int) -> None:
    assert client.member is not None
    terms, nonce = terms_offered(owed, bank, today), new_nonce()
    offer = Offer(
        owed.id,
        client.member,
        parse_rate_ppm(bank.advance_rate),
        terms.advance_fen * MICRO_PER_FEN,
        terms.proceeds_fen * MICRO_PER_FEN,
        0,
        parse_rate_ppm(LATE_RATE),
        DayCount(str(bank.days_basis)).year_days,
        True,
        registration_of(f"offer {client.member} {nonce}"),
        nonce,
        deadline_s,
    )
    digest = sale_acts.offer_digest((await client.facts()).domain("Sales"), offer)
    body = {
        "receivable": owed.receivable,
        "advance_rate": bank.advance_rate,
        "rate": bank.rate,
        "days_basis": str(bank.days_basis),
        "fee": format_money(bank.fee_fen * MICRO_PER_FEN),
        "late_rate": LATE_RATE,
        "recourse": True,
        "registration": offer.registration.hex(),
    }
    await client.post("/v1/offers", body | signed(client, digest, nonce, deadline_s))


async def sell(town: Town, listed: Sequence[Owed], step: Step) -> list[Owed]:
    """Every seller takes the offer that costs it least for its money."""
    deadline_s = await deadline_of(town)
    before, sold = len(await receivables(town, "financed")), 0

    async def one(owed: Owed) -> None:
        nonlocal sold
        client = town.client_of(owed.creditor)
        offers = await client.items("/v1/offers", receivable=owed.receivable, state="open")
        if not offers:
            return
        best = min(offers, key=lambda offer: (parse_rate_ppm(offer["yearly_cost"]), offer["offer"]))
        await _accept(client, best, deadline_s)
        sold += 1
        step(1, f"{sold} receivables sold")

    await _each(listed, one)
    return await until(town, "financed", before + sold)


async def _accept(client: Client, offer: dict[str, Any], deadline_s: int) -> None:
    assert client.member is not None
    nonce, taken = new_nonce(), offer_of(offer)
    domain = (await client.facts()).domain("Sales")
    digest = sale_acts.acceptance_digest(domain, taken, client.member, nonce=nonce, deadline_s=deadline_s)
    await client.post(f"/v1/offers/{offer['offer']}/accept", signed(client, digest, nonce, deadline_s))


def offer_of(item: dict[str, Any]) -> Offer:
    """An offer as the market shows it, as its bank signed it."""
    return Offer(
        bytes.fromhex(item["receivable"]),
        int(item["bank"]),
        parse_rate_ppm(item["advance_rate"]),
        parse_money_fen(item["advance"]) * MICRO_PER_FEN,
        parse_money_fen(item["proceeds"]) * MICRO_PER_FEN,
        parse_money_fen(item["costs"]) * MICRO_PER_FEN,
        parse_rate_ppm(item["late_rate"]),
        DayCount(item["days_basis"]).year_days,
        bool(item["recourse"]),
        bytes.fromhex(item["registration"]),
        int(item["nonce"]),
        parse_instant_s(item["deadline"]),
    )


def registration_of(number: str) -> bytes:
    """How a sale names the number that the registry gave it."""
    return keccak(number.encode())


# --------------------------------------------------------------------------------------------------- maturity


async def repay(town: Town, step: Step) -> None:
    """Due day after due day: debtors bring money to the custodian and repay all that is due."""
    outstanding = [owed for state in ("financed", "listed", "acknowledged") for owed in await receivables(town, state)]
    repaid = len(await receivables(town, "settled"))
    for due_day in sorted({owed.due_day for owed in outstanding}):
        due = [owed for owed in outstanding if owed.due_day == due_day]
        opening_s = start_of(due_day, town.tariff.time_zone)
        await institutions.move_clock(town.operator, opening_s + PAYING_HOUR * SECONDS_PER_HOUR)
        await _bring_money(town, due, due_day)
        deadline_s = await deadline_of(town)

        async def one(owed: Owed, due_day: date = due_day, deadline_s: int = deadline_s) -> None:
            await _repay(town.client_of(owed.debtor), owed, deadline_s)
            step(1, f"{due_day}: due and paid")

        await _each(due, one)
        repaid += len(due)
        await until(town, "settled", repaid)
    await institutions.until_idle(town.operator, patience_s=PATIENCE_S)


async def _bring_money(town: Town, due: Sequence[Owed], due_day: date) -> None:
    sums_fen: Counter[int] = Counter()
    for owed in due:
        sums_fen[owed.debtor] += owed.face_fen
    deposits = [
        Deposit(debtor, sum_fen * MICRO_PER_FEN, f"due {due_day} {debtor}", False)
        for debtor, sum_fen in sorted(sums_fen.items())
    ]
    town.held_micro += sum(deposit.amount_micro for deposit in deposits)
    await institutions.attest_balance(town.custodian, town.held_micro)
    await institutions.deposit(town.custodian, deposits)
    await institutions.until_idle(town.operator, patience_s=PATIENCE_S)


async def _repay(client: Client, owed: Owed, deadline_s: int) -> None:
    nonce, amount_micro = new_nonce(), owed.face_fen * MICRO_PER_FEN
    domain = (await client.facts()).domain("Receivables")
    digest = receivable_acts.repay_digest(
        domain, owed.id, owed.debtor, amount_micro, nonce=nonce, deadline_s=deadline_s
    )
    body = {"amount": format_money(amount_micro)}
    path = f"/v1/receivables/{owed.receivable}/repay"
    await client.post(path, body | signed(client, digest, nonce, deadline_s))


# ------------------------------------------------------------------------------------------------------ shared


def signed(client: Client, digest: bytes, nonce: int, deadline_s: int) -> dict[str, Any]:
    return {"nonce": nonce, "deadline": format_instant(deadline_s), "signature": client.sign(digest)}


async def deadline_of(town: Town, valid_s: int = VALID_S) -> int:
    """A day from now on the market's clock, or so many seconds."""
    return parse_instant_s((await town.operator.get("/v1/clock"))["now"]) + valid_s


async def _each(items: Sequence[Any], act: Callable[[Any], Any]) -> None:
    """``act`` on every item, some at a time; the first failure ends it."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(item: Any) -> None:
        async with turn:
            await act(item)

    tasks = [asyncio.create_task(one(item)) for item in items]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
