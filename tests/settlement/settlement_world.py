"""A small market in a real database: signed orders through the real engine, signed readings, a journal with receipts.

The rows are those that the sequencer writes, written here by hand so that settlement is tested without a server.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Engine as Database
from sqlalchemy import insert, update

from data import tables
from data.database import open_database
from data.schema import bring_forward
from matching.engine import Engine
from matching.order import (
    Accepted,
    Close,
    Command,
    Connect,
    Level,
    New,
    Removed,
    Rules,
    Side,
    Tif,
    Traded,
    encode_commands,
)
from settlement import calendar, commitments, merkle, readings, signatures
from settlement.acts import Approval, Role
from settlement.intents import RECEIPT, Domain, OrderIntent
from settlement.journal import GENESIS_HEAD, next_head
from settlement.meters import Submitted, Verdict
from settlement.officer import Officer
from settlement.reading_leaf import reading_leaf, signing_digest
from settlement.rules import SettlementRules
from settlement.trade_leaf import batch_digest
from tests.databases import made

OPERATOR, CHECKER, METER_OPERATOR, CUSTODIAN, GRID = 1, 2, 3, 4, 5
INSTITUTIONS = (OPERATOR, CHECKER, METER_OPERATOR, CUSTODIAN, GRID, 6, 7)
ROLES = dict(zip(INSTITUTIONS, (role.name.lower() for role in Role if role.name), strict=False))
DOMAIN = Domain(chain_id=7, contract=b"\x01" * 20, salt=b"\x02" * 32)
ENGINE_RULES = Rules(fee_ticks=(200, 500, 1_100))
RULES = SettlementRules(
    time_zone="Asia/Shanghai",
    slot_minutes=60,
    retail_ticks=5_224,
    feed_in_ticks=3_000,
    shortfall_ticks=6_000,
    grid_company=GRID,
    reading_deadline_s=3_600,
    correction_window_s=3_600,
)
DAY = date(2026, 7, 1)
HOUR = 3_600
NODES = [
    ("S", None, 3),
    ("F", 0, 2),
    ("T1", 1, 1),
    ("T2", 1, 1),
    ("A1", 2, 0),
    ("A2", 2, 0),
    ("B1", 3, 0),
    ("B2", 3, 0),
]
OWNERS = {"A1": 100, "A2": 101, "B1": 102, "B2": 103}
CAPACITY_LOTS = 1_000


@cache
def key_of(member: int) -> ec.EllipticCurvePrivateKey:
    return signatures.new_private_key()


def start_of(day: date, hour: int = 0) -> int:
    return calendar.start_of(day, RULES.time_zone) + hour * HOUR


def after_window(day: date) -> int:
    """When the readings of a day are final."""
    return calendar.bounds(day, RULES.time_zone)[1] + RULES.window_s


@dataclass(frozen=True)
class Wish:
    """An order in words: ``Wish("A1", "buy", 12, 100, 4_500)`` is for the slot at 12:00."""

    meter: str
    side: str
    hour: int
    lots: int
    ticks: int
    terms: int = 0
    day: date = DAY


@dataclass
class World:
    database: Database
    domain: Domain = DOMAIN
    rules: SettlementRules = RULES
    engine: Engine = field(default_factory=lambda: Engine(ENGINE_RULES))
    head: bytes = GENESIS_HEAD
    batch: int = 0
    orders: int = 0
    trades: int = 0
    signed: int = 0
    nodes: dict[str, int] = field(default_factory=dict)
    changed_keys: dict[int, ec.EllipticCurvePrivateKey] = field(default_factory=dict)

    @property
    def operator(self) -> Officer:
        return Officer(OPERATOR, key_of(OPERATOR))

    # ------------------------------------------------------------------------------------------- people, grid

    def populate(self) -> None:
        with self.database.begin() as connection:
            for member in (*INSTITUTIONS, *OWNERS.values()):
                kind = "institution" if member in INSTITUTIONS else "household"
                roles = f'["{ROLES[member]}"]' if member in INSTITUTIONS else "[]"
                row = {"member_id": member, "name": f"m{member}", "kind": kind, "roles": roles, "status": "admitted"}
                connection.execute(insert(tables.members), {**row, "registered_s": 0, "credit_limit_micro": 0})
                key = signatures.public_key(key_of(member))
                point = {"x": key.x.to_bytes(32, "big"), "y": key.y.to_bytes(32, "big")}
                connection.execute(insert(tables.member_keys), {"member_id": member, "from_sequence": 0, **point})
            commands: list[Command] = []
            for node, (name, parent, level) in enumerate(NODES):
                self.nodes[name] = node
                limit_kw, lots = (f"{CAPACITY_LOTS // 100}.00", CAPACITY_LOTS) if name in OWNERS else (None, None)
                place = {"node_id": node, "name": name, "parent_id": parent, "level": level}
                place["connected_s"] = start_of(DAY) - 86_400
                connection.execute(insert(tables.nodes), {**place, "export_kw": limit_kw, "import_kw": limit_kw})
                commands.append(Connect(node, -1 if parent is None else parent, Level(level), lots, lots))
            for name, member in OWNERS.items():
                capacity = {"export_lots": CAPACITY_LOTS, "import_lots": CAPACITY_LOTS}
                row = {"node_id": self.nodes[name], "member_id": member, "kind": "household", **capacity}
                connection.execute(insert(tables.meters), row)
            self._record(connection, commands, start_of(DAY) - 86_400)

    # ------------------------------------------------------------------------------------------------ trading

    def place(self, *wishes: Wish, now_s: int | None = None) -> None:
        """Orders of one batch; those of one member are signed together."""
        now_s = start_of(wishes[0].day) - 6 * HOUR if now_s is None else now_s
        commands: list[Command] = []
        with self.database.begin() as connection:
            for member in sorted({OWNERS[wish.meter] for wish in wishes}):
                commands += self._sign(connection, member, [w for w in wishes if OWNERS[w.meter] == member], now_s)
            self._record(connection, commands, now_s)

    def close(self, *hours: int, day: date = DAY) -> None:
        """Close the gates of some slots."""
        with self.database.begin() as connection:
            commands: list[Command] = [Close(start_of(day, hour)) for hour in hours]
            self._record(connection, commands, start_of(day, max(hours)) - 300)

    def _sign(self, connection: Any, member: int, wishes: list[Wish], now_s: int) -> list[Command]:
        self.signed += 1
        rows, commands = [], []
        for index, wish in enumerate(wishes):
            self.orders += 1
            side = Side.BUY if wish.side == "buy" else Side.SELL
            slot_s, reach = start_of(wish.day, wish.hour), Level.SUBSTATION
            intent = OrderIntent(
                member, f"o{self.orders}", wish.meter, side, slot_s, wish.lots, wish.ticks, reach, wish.terms,
                Tif.GTC, "", now_s + HOUR,
            )  # fmt: skip
            node = self.nodes[wish.meter]
            commands.append(
                New(self.orders, member, node, side, slot_s, wish.lots, wish.ticks, Tif.GTC, reach, wish.terms)
            )
            rows.append(
                {
                    "order_id": self.orders,
                    "member_id": member,
                    "client_order_id": intent.client_order_id,
                    "sequence": 0,
                    "node_id": node,
                    "side": side,
                    "slot_s": slot_s,
                    "quantity_lots": wish.lots,
                    "price_ticks": wish.ticks,
                    "tif": Tif.GTC,
                    "reach": reach,
                    "terms_days": wish.terms,
                    "replaces": "",
                    "deadline_s": intent.deadline,
                    "state": "open",
                    "remaining_lots": wish.lots,
                    "changed_sequence": 0,
                    "received_s": now_s,
                    "digest": intent.digest(self.domain),
                    "signature_id": self.signed,
                    "leaf_index": index,
                }
            )
        leaves = [merkle.leaf(row["digest"]) for row in rows]
        batch = len(rows) > 1
        root = merkle.root(leaves) if batch else rows[0]["digest"]
        digest = batch_digest(self.domain, member, root, len(rows), basket=False) if batch else root
        connection.execute(
            insert(tables.signatures),
            {
                "signature_id": self.signed,
                "member_id": member,
                "kind": "batch" if batch else "order",
                "root": root,
                "leaves": b"".join(leaves) if batch else b"",
                "count": len(rows),
                "basket": False,
                "signature": signatures.sign(self.changed_keys.get(member) or key_of(member), digest),
            },
        )
        connection.execute(insert(tables.orders), rows)
        return commands

    def _record(self, connection: Any, commands: list[Command], now_s: int) -> None:
        first = self.engine.sequence + 1
        events = self.engine.apply(commands)
        self.batch, last, payload = self.batch + 1, self.engine.sequence, encode_commands(commands)
        salt = os.urandom(32)
        head = next_head(
            self.head,
            batch=self.batch,
            first_sequence=first,
            last_sequence=last,
            recorded_s=now_s,
            commands=payload,
            salt=salt,
        )
        receipt = RECEIPT.digest(self.domain, {"sequence": last, "journalHead": head})
        connection.execute(
            insert(tables.journal),
            {
                "batch": self.batch,
                "first_sequence": first,
                "last_sequence": last,
                "recorded_s": now_s,
                "previous_head": self.head,
                "commands": payload,
                "head": head,
                "signature": signatures.sign(key_of(OPERATOR), receipt),
                "salt": salt,
            },
        )
        self.head = head
        for event in events:
            self._follow(connection, event, now_s)

    def _follow(self, connection: Any, event: Any, now_s: int) -> None:
        orders = tables.orders
        if isinstance(event, Accepted):
            change = {"sequence": event.sequence, "changed_sequence": event.sequence}
            connection.execute(update(orders).where(orders.c.order_id == event.order_id).values(change))
        elif isinstance(event, Removed):
            change = {"state": event.ended.code, "changed_sequence": event.sequence}
            connection.execute(update(orders).where(orders.c.order_id == event.order_id).values(change))
        elif isinstance(event, Traded):
            self._trade(connection, event, now_s)

    def _trade(self, connection: Any, event: Traded, now_s: int) -> None:
        self.trades += 1
        orders = tables.orders
        sides = []
        for order_id in (event.buy_order, event.sell_order):
            row = connection.execute(orders.select().where(orders.c.order_id == order_id)).one()
            left = row.remaining_lots - event.quantity_lots
            change = {
                "remaining_lots": left,
                "state": "open" if left else "filled",
                "changed_sequence": event.sequence,
            }
            connection.execute(update(orders).where(orders.c.order_id == order_id).values(change))
            sides.append(row)
        buy, sell = sides
        connection.execute(
            insert(tables.trades),
            {
                "trade_id": self.trades,
                "sequence": event.sequence,
                "slot_s": event.slot,
                "buy_order": event.buy_order,
                "sell_order": event.sell_order,
                "buyer": buy.member_id,
                "seller": sell.member_id,
                "buy_node": buy.node_id,
                "sell_node": sell.node_id,
                "quantity_lots": event.quantity_lots,
                "seller_price_ticks": event.seller_price_ticks,
                "buyer_price_ticks": event.buyer_price_ticks,
                "taker": event.taker,
                "level": event.level,
                "terms_days": buy.terms_days,
                "traded_s": now_s,
                "salts": os.urandom(96),
                "buy_filled_before_lots": buy.quantity_lots - buy.reduced_lots - buy.remaining_lots,
                "sell_filled_before_lots": sell.quantity_lots - sell.reduced_lots - sell.remaining_lots,
            },
        )

    # --------------------------------------------------------------------------------------- metering, chain

    def meter(self, *rows: tuple[str, int, int, int], day: date = DAY, now_s: int | None = None) -> list[Verdict]:
        """Readings (meter, hour, exported lots, imported lots), sent at the end of the day."""
        now_s = start_of(day, 24) if now_s is None else now_s
        sent = [Submitted(name, start_of(day, hour), export, imported) for name, hour, export, imported in rows]
        return self.send_readings(sent, now_s)

    def send_readings(self, sent: Iterable[Submitted], now_s: int) -> list[Verdict]:
        sent = list(sent)
        digest = signing_digest(self.domain, METER_OPERATOR, [reading_leaf(*each) for each in sent])
        signature = signatures.sign(key_of(METER_OPERATOR), digest)
        with self.database.begin() as connection:
            batch = readings.batch_of(sent, signer=METER_OPERATOR, signature=signature)
            return readings.record(connection, batch, now_s=now_s, rules=self.rules)

    def commit(self, now_s: int, *, at_once: bool = False) -> int | None:
        with self.database.begin() as connection:
            return commitments.commit_due(
                connection, now_s, rules=self.rules, domain=self.domain, operator=self.operator, at_once=at_once
            )


def new_world(folder: Path, domain: Domain = DOMAIN) -> World:
    """A populated market in a fresh database."""
    database = open_database(made(folder))
    bring_forward(database)
    world = World(database, domain)
    world.populate()
    return world


def a_day_of_trading(world: World, day: date = DAY) -> None:
    """Trades of every kind: prepaid and on terms, one seller short, one meter silent, one order untraded."""
    world.place(
        Wish("A2", "sell", 10, 300, 4_000, 60, day),
        Wish("B1", "sell", 10, 200, 3_900, 60, day),
        Wish("B1", "sell", 11, 200, 3_900, 60, day),
        Wish("B2", "sell", 11, 50, 5_200, 0, day),
    )
    world.place(
        Wish("A1", "buy", 10, 250, 4_800, 0, day),
        Wish("B2", "buy", 10, 200, 4_900, 30, day),
        Wish("A1", "buy", 11, 150, 4_800, 30, day),
    )
    world.close(10, 11, day=day)
    world.meter(
        ("A1", 10, 0, 260), ("A2", 10, 230, 0), ("B1", 10, 205, 0), ("B2", 10, 0, 190),
        ("A1", 11, 0, 150), ("A2", 11, 40, 0), ("B2", 11, 0, 12), ("A2", 23, 0, 5),
        day=day,
    )  # fmt: skip


def checker_approval(digest: bytes) -> Approval:
    return Officer(CHECKER, key_of(CHECKER)).approve(digest)
