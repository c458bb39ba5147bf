"""What the institutions of a market send: the operator its members, grid and clock, the custodian money, the meter
operator readings, a bank credit limits. Each act is signed by the key of the role that does it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from data.units import format_energy, format_instant, format_money, parse_instant_s
from market.client import Client
from settlement import acts, custody_acts
from settlement.acts import Mint
from settlement.jwk import Jwk
from settlement.keccak import keccak
from settlement.reading_leaf import reading_leaf, signing_digest

T = TypeVar("T")

MEMBERS_AT_ONCE = 100
NODES_AT_ONCE = 1000
DEPOSITS_AT_ONCE = 100
READINGS_AT_ONCE = 4000

POLL_S = 0.2


class Newcomer(NamedTuple):
    """Someone to be admitted; ``record`` is what the operator checked."""

    name: str
    kind: str
    roles: tuple[str, ...]
    public_key: Jwk
    record: str


class GridNode(NamedTuple):
    """A node as ``POST /v1/grid`` takes it; limits in kW as text, None is no limit."""

    node: str
    parent: str | None
    level: str
    export_kw: str | None
    import_kw: str | None


class NewMeter(NamedTuple):
    """A meter as ``POST /v1/meters`` takes it."""

    meter: str
    parent: str
    member: int
    kind: str
    export_kw: str
    import_kw: str


class Deposit(NamedTuple):
    """Money that reached the custodian for a member, under the bank's own reference."""

    member: int
    amount_micro: int
    reference: str
    to_escrow: bool


class Reading(NamedTuple):
    meter: str
    slot_s: int
    export_lots: int
    import_lots: int


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


async def admit(operator: Client, newcomers: Sequence[Newcomer]) -> list[int]:
    """Register and admit, in order; the members' ids."""
    ids: list[int] = []
    for some in chunks(newcomers, MEMBERS_AT_ONCE):
        answer = await operator.post("/v1/members/batch", {"members": [each._asdict() for each in some]})
        ids += [int(item["member"]) for item in answer["items"]]
    return ids


async def connect(operator: Client, nodes: Sequence[GridNode], meters: Sequence[NewMeter]) -> None:
    """The grid, parents first, then the meters."""
    for some_nodes in chunks(nodes, NODES_AT_ONCE):
        await operator.post("/v1/grid", {"nodes": [each._asdict() for each in some_nodes]})
    for some_meters in chunks(meters, NODES_AT_ONCE):
        await operator.post("/v1/meters", {"meters": [each._asdict() for each in some_meters]})


async def deposit(custodian: Client, deposits: Sequence[Deposit]) -> None:
    """Tell the market of money received. The chain hears of it a little later; see ``until_idle``."""
    domain = (await custodian.facts()).domain("Cash")
    for some in chunks(deposits, DEPOSITS_AT_ONCE):
        mints = [Mint(each.member, each.amount_micro, reference_hash(each.reference), each.to_escrow) for each in some]
        rows = [each._asdict() | {"amount": format_money(each.amount_micro)} for each in some]
        for row in rows:
            del row["amount_micro"]
        signature = custodian.sign(acts.mint_many_digest(domain, mints))
        await custodian.post("/v1/deposits", {"deposits": rows, "signature": signature})


async def attest_balance(custodian: Client, balance_micro: int) -> None:
    """Say what the custodian holds for the market now; due at least every 36 hours of the market's clock."""
    now: str = (await custodian.get("/v1/clock"))["now"]
    digest = custody_acts.attest_balance_digest(
        (await custodian.facts()).domain("Cash"), parse_instant_s(now), balance_micro
    )
    body = {"balance": format_money(balance_micro), "as_of": now, "signature": custodian.sign(digest)}
    await custodian.post("/v1/custody/balance", body)


def reference_hash(reference: str) -> bytes:
    """A bank's own reference as the chain knows it: it gives away nothing, and is used once."""
    return keccak(reference.encode())


async def set_credit_limits(bank: Client, limits_micro: Sequence[tuple[int, int]]) -> None:
    """How much each member may owe for energy bought on terms: (member, limit)."""
    rows = [{"member": member, "limit": format_money(limit_micro)} for member, limit_micro in limits_micro]
    await bank.post("/v1/credit-limits", {"limits": rows})


async def report_readings(meter_operator: Client, readings: Sequence[Reading]) -> AsyncIterator[list[dict[str, Any]]]:
    """Send what the meters measured, some thousands under one signature; what became of each, part by part."""
    domain = (await meter_operator.facts()).domain("Clearing")
    assert meter_operator.member is not None, "readings are signed by a member"
    for some in chunks(readings, READINGS_AT_ONCE):
        digest = signing_digest(domain, meter_operator.member, [reading_leaf(*each) for each in some])
        rows = [
            {
                "meter": each.meter,
                "slot": format_instant(each.slot_s),
                "export": format_energy(each.export_lots),
                "import": format_energy(each.import_lots),
            }
            for each in some
        ]
        answer = await meter_operator.post("/v1/readings", {"readings": rows, "signature": meter_operator.sign(digest)})
        yield answer["results"]


async def move_clock(operator: Client, now_s: int) -> None:
    """Put the market's clock forward; the gates that this passes are closed when it returns."""
    await operator.post("/v1/clock", {"now": format_instant(now_s)})


class StuckError(Exception):
    """Settlement cannot go on by itself; the message says what it met."""


async def until_idle(
    operator: Client, *, patience_s: float = 300.0, tell: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Wait until the market has nothing left to do at its present time; its last status.

    ``tell`` hears what is being waited for. Raises StuckError when settlement has stopped, when the checker refuses a
    draft, or when patience ends.
    """
    give_up = asyncio.get_running_loop().time() + patience_s
    while True:
        status: dict[str, Any] = await operator.get("/v1/status")
        waiting = _waiting_for(status)
        if status["idle"]:
            return status
        if tell is not None:
            tell(waiting)
        if asyncio.get_running_loop().time() > give_up:
            raise StuckError(f"the market did not come to rest in {patience_s:.0f} s: {waiting}")
        await asyncio.sleep(POLL_S)


def _waiting_for(status: dict[str, Any]) -> str:
    """What a status says is under way. Raises StuckError."""
    if status["settlement"] == "stopped":
        raise StuckError("settlement has stopped on a fault; the server's log tells")
    drafts = [(f"{kind} {each[kind]}", each["state"]) for kind in ("cycle", "period") for each in status[f"{kind}s"]]
    refused = [name for name, state in drafts if state == "refused"]
    if refused:
        raise StuckError(f"the checker refuses {', '.join(refused)}; its log tells why")
    open_drafts = [f"{name} is {state}" for name, state in drafts if state not in ("applied", "issued", "proposed")]
    sending = [f"{status['outbox_waiting']} acts on their way to the chain"] if status["outbox_waiting"] else []
    return ", ".join(open_drafts + sending) or "settlement is computing"
