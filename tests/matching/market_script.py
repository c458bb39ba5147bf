"""Market days as text, so that a test reads like the page of rules::

    A2 sells 1.00 @ 0.40                -> rests
    B1 sells 1.00 @ 0.38                -> rests
    A1 buys 1.50 @ 0.45                 -> 1.00 A2>A1* 0.40/0.42 transformer; 0.50 B1>A1* 0.38/0.43 feeder

What stands behind the arrow is all that happened, in order: trades (quantity, seller>buyer with a star at the taker,
seller's price/buyer's price, distance), refusals, ends, and whether the order rests. A line that begins with
``->`` or ``;`` goes on with the one before. The grid is that of the worked
examples, with one meter right under feeder F and one right under the substation:

    S > F > A > A1 A2 A3 A4     S > F > B > B1 B2 B3 B4     S > G > C > C1 C2 C3 C4     F > F9     S > S9

Commands, with what may follow an order: ``x: A1 buys 1 @ 0.4 ioc reach feeder terms 30 in s2 for Zhang`` (order id x,
slot s2, member Zhang), ``basket ORDER | ORDER``, ``cancel x``, ``amend x to 0.50 @ 0.41``, ``close s1``,
``limit B export 1.00 import none in s1``. Without a name an order is called like its meter, and so is its member.
"""

import re
from collections.abc import Callable, Iterator

from data.units import format_energy, format_price, parse_energy_lots, parse_price_ticks
from matching.fast import FastEngine
from matching.order import (
    BAD_PRICE_TICKS,
    BAD_QUANTITY_LOTS,
    Accepted,
    Amend,
    Amended,
    Basket,
    Cancel,
    Capacity,
    Close,
    Closed,
    Command,
    Connect,
    Event,
    Level,
    Limited,
    New,
    Rejected,
    Removed,
    Rules,
    Side,
    Tif,
    Traded,
)
from matching.reference import ReferenceEngine

EngineType = type[ReferenceEngine] | type[FastEngine]
ENGINES: dict[str, EngineType] = {"reference": ReferenceEngine, "compiled": FastEngine}

RULES = Rules(fee_ticks=(200, 500, 1100))

_TREE = {"S": ("", Level.SUBSTATION)}
_TREE |= {"F": ("S", Level.FEEDER), "G": ("S", Level.FEEDER)}
_TREE |= {"A": ("F", Level.TRANSFORMER), "B": ("F", Level.TRANSFORMER), "C": ("G", Level.TRANSFORMER)}
_TREE |= {f"{area}{number}": (area, Level.METER) for area in "ABC" for number in "1234"}
_TREE |= {"F9": ("F", Level.METER), "S9": ("S", Level.METER)}
NODES = {name: number for number, name in enumerate(_TREE)}
GRID = [Connect(NODES[name], NODES.get(parent, -1), level) for name, (parent, level) in _TREE.items()]

_ORDER = re.compile(
    r"(?:(?P<id>\w+): )?(?P<meter>\w+) (?P<side>buys|sells) (?P<quantity>\S+) @ (?P<price>\S+)(?P<options>.*)"
)
_OPTION = re.compile(
    r" (?:(?P<tif>ioc|fok|gtc)|reach (?P<reach>\w+)|terms (?P<terms>\d+)|in (?P<slot>\w+)|for (?P<member>\w+))"
)
_AMEND = re.compile(r"amend (?P<id>\w+)(?: to (?P<quantity>\S+))?(?: @ (?P<price>\S+))?")
_LIMIT = re.compile(r"limit (?P<node>\w+) export (?P<export>\S+) import (?P<import>\S+)(?: in (?P<slot>\w+))?")


class Market:
    """An engine with names for its numbers."""

    def __init__(self, engine_type: EngineType) -> None:
        self.engine = engine_type(RULES)
        self.engine.apply(GRID)
        self.order_ids: dict[str, int] = {}
        self.members: dict[str, int] = {}

    def play(self, script: str) -> "Market":
        """Every line of the script, each with exactly the outcome behind its arrow."""
        for line in filter(None, map(str.strip, re.sub(r"\s*\n\s*(?=;|->)", "", script).splitlines())):
            text, _, expected = (part.strip() for part in line.partition("->"))
            happened = "; ".join(self._tell(self.parse(text)))
            assert happened == re.sub(r"\s+", " ", expected), (
                f"{text}\n    expected: {expected}\n    happened: {happened}"
            )
        return self

    def parse(self, text: str) -> Command:
        text = re.sub(r"\s+", " ", text)
        verb, _, rest = text.partition(" ")
        match verb:
            case "basket":
                return Basket(tuple(self._order(leg.strip()) for leg in rest.split("|")))
            case "cancel":
                return Cancel(self._order_id(rest))
            case "close":
                return Close(_slot(rest))
            case "amend":
                found = _match(_AMEND, text)
                quantity, price = found["quantity"], found["price"]
                return Amend(
                    self._order_id(found["id"]),
                    None if quantity is None else _quantity_lots(quantity),
                    None if price is None else _price_ticks(price),
                )
            case "limit":
                found = _match(_LIMIT, text)
                limits = [
                    None if found[way] == "none" else parse_energy_lots(found[way]) for way in ("export", "import")
                ]
                return Capacity(NODES[found["node"]], found["slot"] and _slot(found["slot"]), *limits)
            case _:
                return self._order(text)

    def _order(self, text: str) -> New:
        found = _match(_ORDER, text)
        options = {"tif": "gtc", "reach": "substation", "terms": "0", "slot": "s1", "member": found["meter"]}
        assert not _OPTION.sub("", found["options"]), f"what is {found['options']!r}?"
        for option in _OPTION.finditer(found["options"]):
            options |= {name: value for name, value in option.groupdict().items() if value}
        return New(
            order_id=self._order_id(found["id"] or found["meter"]),
            member=self.members.setdefault(options["member"], len(self.members)),
            meter=NODES.get(found["meter"], -1),
            side=Side.BUY if found["side"] == "buys" else Side.SELL,
            slot=_slot(options["slot"]),
            quantity_lots=_quantity_lots(found["quantity"]),
            price_ticks=_price_ticks(found["price"]),
            tif=Tif[options["tif"].upper()],
            reach=Level[options["reach"].upper()],
            terms_days=int(options["terms"]),
        )

    def _order_id(self, name: str) -> int:
        return self.order_ids.setdefault(name, len(self.order_ids) + 1)

    def _tell(self, command: Command) -> Iterator[str]:
        names = {number: name for name, number in self.order_ids.items()}
        events = self.engine.apply([command])
        told = [words for event in events if (words := self._tell_event(event, names))]
        yield from told
        entered = isinstance(command, New | Amend) and not isinstance(events[0], Rejected)
        order = self.engine.open_order(command.order_id) if entered else None
        if order:
            whole = order.remaining_lots == command.quantity_lots
            yield "rests" if whole else f"rests {format_energy(order.remaining_lots)}"
        elif not told:
            yield "nothing"

    def _tell_event(self, event: Event, names: dict[int, str]) -> str:
        told = ""
        match event:
            case Traded():
                seller, buyer = names[event.sell_order], names[event.buy_order]
                parties = f"{seller}>{buyer}*" if event.taker == Side.BUY else f"{seller}*>{buyer}"
                prices = f"{_short(event.seller_price_ticks)}/{_short(event.buyer_price_ticks)}"
                told = f"{format_energy(event.quantity_lots)} {parties} {prices} {event.level.name.lower()}"
            case Rejected():
                told = f"{names[event.order_id]} refused {event.reason.code}"
            case Removed():
                told = f"{names[event.order_id]} ends {event.ended.code} {format_energy(event.remaining_lots)}"
            case Amended():
                place = "new place" if event.priority_sequence == event.sequence else "same place"
                told = f"{format_energy(event.remaining_lots)} @ {_short(event.price_ticks)} {place}"
            case Closed():
                told = "closed"
            case Limited():
                told = "limited"
            case _:
                assert isinstance(event, Accepted), f"no words for {event}"
        return told


Play = Callable[[str], Market]
"""A script on a market of its own."""


def _match(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    found = pattern.fullmatch(text)
    assert found, f"not understood: {text!r}"
    return found


def _slot(name: str) -> int:
    return int(name.removeprefix("s"))


def _quantity_lots(text: str) -> int:
    return BAD_QUANTITY_LOTS if text == "bad" else parse_energy_lots(text)


def _price_ticks(text: str) -> int:
    return BAD_PRICE_TICKS if text == "bad" else parse_price_ticks(text)


def _short(price_ticks: int) -> str:
    text = format_price(price_ticks)
    return text[:-2] if text.endswith("00") else text
