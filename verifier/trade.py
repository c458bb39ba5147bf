"""One trade, from the member's signature over its order to the block of the chain that commits to it.

``leaf = keccak256(0x00 || common || buyer's half || seller's half)``, each of the three salted; of the other side only
the hash is in the file. The leaf stands under the trade root of a commitment, the commitment in the chain's event
``Committed``. The key that signed the order is the one that ``Members`` named for that time.
"""

import base64
import re
from typing import Any, NamedTuple

from verifier.chain import Known, contract_address, read_event
from verifier.document import Fields
from verifier.hashes import climb, keccak, leaf, signed_word, word
from verifier.keys import read_history
from verifier.report import Report
from verifier.signing import Domain, Key, Order, batch_digest, is_signed

KIND = "trade_proof"
BUY, SELL = 1, 2
FIELDS = (
    "kind",
    "version",
    "domain",
    "deployer",
    "side",
    "common",
    "common_salt",
    "half",
    "half_salt",
    "other_half",
    "path",
    "commitment",
    "committed",
    "order",
    "key_events",
)
_COMMON = ("trade_id", "sequence", "slot_s", "quantity_lots", "terms_days", "taker", "level", "traded_s")
_HALF = ("order_digest", "member", "meter", "price_ticks", "placed_s", "filled_before_lots")
_COMMITMENT = ("number", "previous", "journal_head", "trade_root", "trade_count")
_ORDER = ("intent", "key", "signature", "count", "basket", "path")
_COMMITTED = "Committed(uint256,bytes32,bytes32,bytes32,bytes32,uint256)"
MAX_CONTRACTS = 10
_CLOCKS_APART_S = 600
_B64URL_32 = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


class Common(NamedTuple):
    """What both sides know of a trade."""

    trade_id: int
    sequence: int
    slot_s: int
    quantity_lots: int
    terms_days: int
    taker: int
    level: int
    traded_s: int


class Half(NamedTuple):
    """One side's terms."""

    order_digest: bytes
    member: int
    meter: str
    price_ticks: int
    placed_s: int
    filled_before_lots: int


class Trade(NamedTuple):
    """A trade as one side shows it, read but not verified; ``leaf`` follows from what is shown.

    ``contracts`` are the addresses of the deployer's first contracts.
    """

    domain: Domain
    contracts: tuple[bytes, ...]
    side: int
    common: Common
    half: Half
    leaf: bytes
    other_half: bytes
    trade_root: bytes

    @property
    def members(self) -> bytes:
        """The contract Members: the first."""
        return self.contracts[0]


def verify_trade(value: Any, place: str, report: Report, known: Known) -> Trade:
    """Verify a trade's proof; what it says. Raises MalformedError."""
    fields = Fields(value, place, FIELDS)
    if fields.raw("kind") != KIND:
        fields.refuse("kind", f"expected {KIND}")
    fields.number("version", 1, 1)
    trade = _read(fields)
    _show(report, trade)
    _verify_contracts(fields, report, trade)
    path = fields.path("path")
    number = _verify_commitment(fields, report, known, trade)
    holds = climb(trade.leaf, path) == trade.trade_root
    report.check("trade_under_root", holds, trade=trade.common.trade_id, commitment=number)
    order = fields.fields("order", *_ORDER)
    intent = read_order(order)
    _verify_allowed(report, trade, intent)
    key = read_key(order)
    _verify_signature(order, report, trade, intent, key)
    _verify_key(fields, report, known, trade, key)
    report.show("other_side_hidden", hash=trade.other_half.hex())
    return trade


# ------------------------------------------------------------------------------------------------------- reading


def _read(fields: Fields) -> Trade:
    domain = read_domain(fields)
    common, half = _read_common(fields), _read_half(fields)
    side = fields.number("side", BUY, SELL)
    own, other = _salted_half(fields.hex("half_salt", 32), half), fields.hex("other_half", 32)
    shown = keccak(fields.hex("common_salt", 32) + b"".join(word(number) for number in common))
    halves = own + other if side == BUY else other + own
    return Trade(
        domain=domain,
        contracts=contracts_of(fields),
        side=side,
        common=common,
        half=half,
        leaf=leaf(shown + halves),
        other_half=other,
        trade_root=fields.fields("commitment", *_COMMITMENT).hex("trade_root", 32),
    )


def contracts_of(fields: Fields) -> tuple[bytes, ...]:
    """The addresses of the first contracts of the account in the field ``deployer``."""
    return tuple(contract_address(fields.hex("deployer", 20), nonce) for nonce in range(MAX_CONTRACTS))


def read_domain(fields: Fields) -> Domain:
    """The field ``domain``: chain, the contract Clearing, the market's salt."""
    found = fields.fields("domain", "chain_id", "contract", "salt")
    return Domain(found.number("chain_id"), found.hex("contract", 20), found.hex("salt", 32))


def _read_common(fields: Fields) -> Common:
    found = fields.fields("common", *_COMMON)
    return Common(*(found.number(name) for name in _COMMON))


def _read_half(fields: Fields) -> Half:
    found = fields.fields("half", *_HALF)
    return Half(
        found.hex("order_digest", 32),
        found.number("member"),
        _text(found, "meter"),
        found.number("price_ticks", -(2**63), 2**63 - 1),
        found.number("placed_s"),
        found.number("filled_before_lots"),
    )


def _salted_half(salt: bytes, half: Half) -> bytes:
    hidden = (
        half.order_digest,
        word(half.member),
        keccak(half.meter.encode()),
        signed_word(half.price_ticks),
        word(half.placed_s),
        word(half.filled_before_lots),
    )
    return keccak(salt + b"".join(hidden))


def _text(fields: Fields, name: str) -> str:
    """Text that has an encoding: half a surrogate pair has none."""
    text = fields.text(name)
    try:
        text.encode()
    except UnicodeEncodeError:
        fields.refuse(name, "expected text")
    return text


def read_order(order: Fields) -> Order:
    """The field ``intent`` of a signed order."""
    names = Order._fields
    found = order.fields("intent", *names)
    return Order(
        member=found.number("member"),
        client_order_id=_text(found, "client_order_id"),
        meter=_text(found, "meter"),
        side=found.number("side", 0, 255),
        slot=found.number("slot"),
        quantity_lots=found.number("quantity_lots"),
        price_ticks=found.number("price_ticks", -(2**63), 2**63 - 1),
        reach=found.number("reach", 0, 255),
        terms_days=found.number("terms_days", 0, 65_535),
        tif=found.number("tif", 0, 255),
        replaces=_text(found, "replaces"),
        deadline=found.number("deadline"),
    )


def read_key(fields: Fields, name: str = "key") -> Key:
    """A public key as RFC 7517 writes it, with x and y of 32 bytes."""
    found = fields.fields(name, "kty", "crv", "x", "y")
    if (found.raw("kty"), found.raw("crv")) != ("EC", "P-256"):
        found.refuse("crv", "expected a key on P-256")
    return Key(*(_coordinate(found, each) for each in ("x", "y")))


def _coordinate(fields: Fields, name: str) -> int:
    text = fields.text(name)
    if not _B64URL_32.fullmatch(text):
        fields.refuse(name, "expected 32 bytes in base64url")
    number = base64.urlsafe_b64decode(f"{text}=")
    if base64.urlsafe_b64encode(number).decode().rstrip("=") != text:
        fields.refuse(name, "has bits set beyond its 32 bytes")
    return int.from_bytes(number, "big")


# ------------------------------------------------------------------------------------------------------ verifying


def _verify_contracts(fields: Fields, report: Report, trade: Trade) -> None:
    """Clearing, which the member's signature names, and Members, which names keys, were made by one account."""
    holds = trade.domain.contract in trade.contracts
    report.check("contracts_of_one_account", holds, account=fields.hex("deployer", 20).hex())


def _verify_commitment(fields: Fields, report: Report, known: Known, trade: Trade) -> int:
    stated = fields.fields("commitment", *_COMMITMENT)
    number, count = stated.number("number"), stated.number("trade_count")
    roots = [stated.hex(name, 32) for name in ("previous", "journal_head", "trade_root")]
    event = read_event(fields.raw("committed"), f"{fields.place}.committed".lstrip("."), report, known)
    if event is None:
        return number
    own = keccak(roots[0] + word(number) + roots[1] + roots[2] + word(count))
    expected = [number, *(int.from_bytes(each, "big") for each in (roots[0], own, roots[1], roots[2])), count]
    found = event.arguments(_COMMITTED, indexed=1)
    holds = event.address == trade.domain.contract and found == expected
    report.check("chain_says_commitment", holds, commitment=number, block=event.block, when=event.block_s)
    in_time = trade.common.traded_s <= event.block_s + _CLOCKS_APART_S
    report.check("traded_before_block", in_time, when=event.block_s)
    return number


def _verify_allowed(report: Report, trade: Trade, order: Order) -> None:
    """Whether the order allows the trade: who, where, when, at which price, how far, on which terms."""
    common, half, is_buy = trade.common, trade.half, trade.side == BUY
    report.check("order_is_of_trade", order.digest(trade.domain) == half.order_digest)
    report.check("order_side", order.side == trade.side)
    report.check("order_member", order.member == half.member, member=order.member)
    report.check("order_meter", order.meter == half.meter, meter=order.meter)
    report.check("order_slot", order.slot == common.slot_s, when=order.slot)
    within = half.price_ticks <= order.price_ticks if is_buy else half.price_ticks >= order.price_ticks
    report.check("order_price", within, price=half.price_ticks, limit=order.price_ticks)
    filled = half.filled_before_lots + common.quantity_lots
    holds = common.quantity_lots > 0 and filled <= order.quantity_lots
    report.check("order_quantity", holds, filled=filled, quantity=order.quantity_lots)
    report.check("order_reach", 1 <= common.level <= order.reach)
    terms = common.terms_days == order.terms_days if is_buy else common.terms_days <= order.terms_days
    report.check("order_terms", terms, days=common.terms_days)
    report.check("order_time", half.placed_s < order.deadline and half.placed_s <= common.traded_s)


def _verify_signature(fields: Fields, report: Report, trade: Trade, order: Order, key: Key) -> None:
    count, basket, path = fields.number("count"), fields.flag("basket"), fields.path("path")
    signature = fields.hex("signature", 64)
    digest = order.digest(trade.domain)
    if count:
        digest = batch_digest(trade.domain, order.member, climb(leaf(digest), path), count, basket=basket)
    elif path or basket:
        fields.refuse("path", "an order signed by itself has neither path nor basket")
    report.check("order_signed", is_signed(key, digest, signature), member=order.member)


def _verify_key(fields: Fields, report: Report, known: Known, trade: Trade, key: Key) -> None:
    """The key of the day: of those that the chain names for the member, one that held when the order was taken."""
    member, placed_s = trade.half.member, trade.half.placed_s
    history = read_history(list(fields.items("key_events")), member, trade.members, report, known)
    if history is None:
        return
    report.check("key_of_the_day", history.holds(key, placed_s), member=member, when=placed_s, block=history.block)
    report.believe("no_key_left_out", member=member, block=history.block)


def _show(report: Report, trade: Trade) -> None:
    common, half = trade.common, trade.half
    report.show(
        "trade_buy" if trade.side == BUY else "trade_sell",
        trade=common.trade_id,
        member=half.member,
        meter=half.meter,
        when=common.slot_s,
        energy=common.quantity_lots,
        price=half.price_ticks,
    )
