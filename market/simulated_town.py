"""Everyone at a simulated market: the institutions with the keys of its folder, banks and owners with keys of their
own, money on the table, meters on the grid.

Keys of owners and banks are kept in ``people/``, so that someone can log in as any of them afterwards.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path

import aiohttp
from cryptography.hazmat.primitives.asymmetric import ec

from data.units import MICRO_PER_FEN
from market import institutions
from market.client import Client, jwk_of
from market.institutions import Deposit, GridNode, Newcomer, NewMeter
from market.neighbourhood import Neighbourhood, Owner
from market.profiles import Lots
from market.tariff import Bank, Tariff
from market.trader import Trader, wants_of
from settlement import signatures

AT_ONCE = 12
"""How many members talk to the market at the same time, where the order does not matter."""

LEAST_ESCROW_FEN = 1000
FUND_MEMBER = 0
CYCLES_AT_ONCE = 1
"""How many cycles wait for the end of their dispute windows at one time: only one day is traded."""

ROLES = {"household": ("consumer", "producer"), "business": ("consumer", "producer"), "plant": ("producer", "consumer")}


@dataclass
class Desk:
    """One owner at the market."""

    owner: Owner
    client: Client
    trader: Trader
    import_lots: int
    export_lots: int

    @property
    def member(self) -> int:
        assert self.client.member is not None, "an owner trades after its registration"
        return self.client.member


@dataclass
class Town:
    """Everyone at one market, on one day of one neighbourhood."""

    neighbourhood: Neighbourhood
    day: date
    seed: int
    operator: Client
    custodian: Client
    meter_operator: Client
    banks: list[tuple[Bank, Client]] = field(default_factory=list)
    desks: list[Desk] = field(default_factory=list)
    held_micro: int = 0  # by the custodian

    @property
    def tariff(self) -> Tariff:
        return self.neighbourhood.tariff

    @property
    def rows(self) -> slice:
        """The day's rows in the profiles."""
        return self.neighbourhood.profiles.slots_of(self.day, self.tariff.time_zone)

    @property
    def slots_s(self) -> Lots:
        return self.neighbourhood.profiles.slots_s[self.rows]

    def client_of(self, member: int) -> Client:
        """The client of an owner or a bank."""
        return self._clients()[member]

    def _clients(self) -> dict[int, Client]:
        return {desk.member: desk.client for desk in self.desks} | {
            client.member: client for _, client in self.banks if client.member is not None
        }


def open_town(
    http: aiohttp.ClientSession, server: str, folder: Path, neighbourhood: Neighbourhood, *, day: date, seed: int
) -> Town:
    """A town whose institutions speak with the keys in ``folder/keys``; nobody else is there yet."""

    def institution(role: str, member: int) -> Client:
        key = signatures.private_from_pem((folder / "keys" / f"{role}.pem").read_bytes())
        return Client(http, server, member, key)

    return Town(
        neighbourhood,
        day,
        seed,
        operator=institution("operator", 1),
        custodian=institution("custodian", 4),
        meter_operator=institution("meter_operator", 3),
    )


async def register(town: Town, people: Path) -> None:
    """Register and admit all owners and banks, each with a key of its own."""
    operator = town.operator
    banks = [(bank, _stranger(operator, people, f"bank-{n}")) for n, bank in enumerate(town.tariff.banks, start=1)]
    owners = [
        (owner, _stranger(operator, people, f"owner-{n}")) for n, owner in enumerate(town.neighbourhood.owners, start=1)
    ]
    newcomers = [_newcomer(bank.name, "bank", ("bank",), client) for bank, client in banks]
    newcomers += [_newcomer(owner.name, owner.kind, ROLES[owner.kind], client) for owner, client in owners]
    members = await institutions.admit(operator, newcomers)
    for (_, client), member in zip([*banks, *owners], members, strict=True):
        client.member = member
    town.banks = banks
    town.desks = [_desk(town, owner, client) for owner, client in owners]


def _stranger(operator: Client, people: Path, name: str) -> Client:
    people.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = signatures.new_private_key()
    path = people / f"{name}.pem"
    path.touch(mode=0o600)
    path.write_bytes(signatures.private_to_pem(key))
    return Client(operator.http, operator.server, None, key)


def _newcomer(name: str, kind: str, roles: tuple[str, ...], client: Client) -> Newcomer:
    assert isinstance(client.key, ec.EllipticCurvePrivateKey)
    return Newcomer(name, kind, roles, jwk_of(client.key), record="simulated; nothing was checked")


def _desk(town: Town, owner: Owner, client: Client) -> Desk:
    profiles = town.neighbourhood.profiles
    places = {meter: place for place, meter in enumerate(profiles.meters)}
    wants = []
    totals = [0, 0]
    for meter in owner.meters:
        place = places[meter.meter]
        energy = profiles.export_lots[town.rows, place], profiles.import_lots[town.rows, place]
        wants += wants_of(meter, place, town.slots_s, energy, tariff=town.tariff, seed=town.seed)
        totals = [total + int(lots.sum()) for total, lots in zip(totals, energy, strict=True)]
    assert client.member is not None
    return Desk(owner, client, Trader(client.member, wants), export_lots=totals[0], import_lots=totals[1])


async def connect(town: Town) -> None:
    """The grid with the share of its ratings that the grid company releases, and the meters on it."""
    nodes = [
        GridNode(
            node.node,
            node.parent,
            node.level.name.lower(),
            released_kw(node.export_kw, town.tariff),
            released_kw(node.import_kw, town.tariff),
        )
        for node in town.neighbourhood.nodes
    ]
    members = {desk.owner.name: desk.member for desk in town.desks}
    meters = [
        NewMeter(meter.meter, meter.parent, members[meter.owner], meter.kind, meter.export_kw, meter.import_kw)
        for meter in town.neighbourhood.meters
    ]
    await institutions.connect(town.operator, nodes, meters)


def released_kw(rating_kw: str | None, tariff: Tariff) -> str | None:
    """The share of a rating that the market may use, exact: both are decimals."""
    if rating_kw is None:
        return None
    return f"{(Decimal(rating_kw) * tariff.released_share_bp / 10_000).normalize():f}"


async def fund(town: Town) -> None:
    """Escrow for all owners, credit for those on terms, cash for the banks, something in the guarantee fund, and the
    operator's bond for every cycle that may be open at once.
    """
    tariff = town.tariff
    deposits = [
        Deposit(desk.member, escrow_fen_ceil(desk, tariff) * MICRO_PER_FEN, f"escrow {desk.owner.name}", True)
        for desk in town.desks
    ]
    deposits += [
        Deposit(client.member or 0, bank.funds_fen * MICRO_PER_FEN, f"funds {bank.name}", False)
        for bank, client in town.banks
    ]
    if tariff.guarantee_fund_fen:
        deposits.append(Deposit(FUND_MEMBER, tariff.guarantee_fund_fen * MICRO_PER_FEN, "guarantee fund", True))
    if tariff.operator_bond_fen:
        assert town.operator.member is not None, "institutions are members from genesis"
        bonds_micro = CYCLES_AT_ONCE * tariff.operator_bond_fen * MICRO_PER_FEN
        deposits.append(Deposit(town.operator.member, bonds_micro, "bonds of the operator", True))
    town.held_micro += sum(deposit.amount_micro for deposit in deposits)
    await institutions.deposit(town.custodian, deposits)
    limits = [(desk.member, credit_micro(desk, tariff)) for desk in town.desks if _buys_on_terms(desk)]
    if limits:
        _, lender = town.banks[0]
        await institutions.set_credit_limits(lender, limits)


def _buys_on_terms(desk: Desk) -> bool:
    return desk.import_lots > 0 and any(meter.terms_days for meter in desk.owner.meters)


def escrow_fen_ceil(desk: Desk, tariff: Tariff) -> int:
    """So many days of all purchases at retail and all sales missed at the shortfall price, at least ten yuan."""
    day_micro = desk.import_lots * tariff.retail_ticks + desk.export_lots * tariff.shortfall_ticks
    return max(LEAST_ESCROW_FEN, -(-day_micro * tariff.escrow_days // MICRO_PER_FEN))


def credit_micro(desk: Desk, tariff: Tariff) -> int:
    """So many days of all purchases at retail."""
    return desk.import_lots * tariff.retail_ticks * tariff.credit_days


async def log_in(clients: Sequence[Client]) -> None:
    """Open everyone's session, some at a time. The facts of the market are asked for once."""
    facts = await clients[0].facts()
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(client: Client) -> None:
        async with turn:
            client.know(facts)
            await client.log_in()

    await asyncio.gather(*(one(client) for client in clients))
