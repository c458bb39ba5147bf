"""Random commands on a small, tight grid, where orders meet, links are full and ids are used twice, all the time.

Prices, fees and quantities are small numbers, so that ties, crossed books and exact fits are common.
"""

import random

from hypothesis import strategies as st

from matching.order import Amend, Basket, Cancel, Capacity, Close, Command, Connect, Level, New, Rules, Side, Tif

RULES = Rules(fee_ticks=(1, 2, 4), floor_ticks=0, cap_ticks=20, terms_days=(0, 30))

_METERS = range(6, 15)  # 6-8 under 3, 9-10 under 4, 11-12 under 5; 13 under feeder 1, 14 under the substation
_FAR = (11, 12, 14)  # beyond the reach of those who trade within feeder 1
LINKS = range(1, 15)
GRID: list[Command] = [
    Connect(0, -1, Level.SUBSTATION),
    Connect(1, 0, Level.FEEDER, 9, 9),
    Connect(2, 0, Level.FEEDER),
    Connect(3, 1, Level.TRANSFORMER, 4, 2),
    Connect(4, 1, Level.TRANSFORMER, 0, None),
    Connect(5, 2, Level.TRANSFORMER, None, 3),
    *(Connect(meter, 3, Level.METER) for meter in (6, 7, 8)),
    Connect(9, 4, Level.METER),
    Connect(10, 4, Level.METER),
    Connect(11, 5, Level.METER),
    Connect(12, 5, Level.METER, 3, 3),
    Connect(13, 1, Level.METER),
    Connect(14, 0, Level.METER),
]

_limits = st.one_of(st.none(), st.integers(0, 6))
_slots = st.sampled_from((1, 1, 1, 2))


def _orders(order_ids: st.SearchStrategy[int]) -> st.SearchStrategy[New]:
    return st.builds(
        New,
        order_id=order_ids,
        member=st.integers(0, 5),
        meter=st.sampled_from((*_METERS, *_METERS, 3, -1)),
        side=st.sampled_from(Side),
        slot=_slots,
        quantity_lots=st.sampled_from((1, 2, 3, 4, 5, 6, 7, 8, 9, 0)),
        price_ticks=st.sampled_from((*range(6, 15), *range(6, 15), 0, 20, 21, -1)),
        tif=st.sampled_from((Tif.GTC, Tif.GTC, Tif.GTC, Tif.IOC, Tif.FOK)),
        reach=st.sampled_from((Level.SUBSTATION, Level.SUBSTATION, Level.FEEDER, Level.TRANSFORMER)),
        terms_days=st.sampled_from((0, 0, 0, 30, 7)),
    )


_order_ids = st.integers(1, 60)
_basket_legs = st.lists(_orders(_order_ids), min_size=1, max_size=3)
_others = (
    st.builds(Basket, legs=_basket_legs.map(tuple)),
    st.builds(Cancel, _order_ids),
    st.builds(Amend, _order_ids, st.one_of(st.none(), st.integers(0, 9)), st.one_of(st.none(), st.integers(5, 21))),
    st.builds(Capacity, st.sampled_from(LINKS), st.one_of(st.none(), _slots), _limits, _limits),
    st.builds(Close, st.sampled_from((2, 3))),
)
_commands = st.one_of(*(_orders(_order_ids),) * 6, *_others)

streams: st.SearchStrategy[list[Command]] = st.lists(_commands, min_size=1, max_size=40)
"""Short streams that Hypothesis can shrink to the few commands that matter."""


def long_stream(seed: int, length: int) -> list[Command]:
    """A longer stream, in which most orders are good and books grow: what short ones do not reach."""
    dice = random.Random(seed)
    commands: list[Command] = []
    last_id = 0
    while len(commands) < length:
        command = _draw(dice, last_id)
        last_id += sum(1 for leg in getattr(command, "legs", (command,)) if isinstance(leg, New))
        commands.append(command)
    return [*commands, *map(Close, (2, 1, 3, 1))]


def _draw(dice: random.Random, last_id: int) -> Command:
    recent_id = max(1, last_id - dice.randint(0, 40))
    match dice.choices(("new", "basket", "cancel", "amend", "limit"), (78, 8, 4, 8, 2))[0]:
        case "basket":
            return Basket(tuple(_draw_order(dice, last_id + n, small=True) for n in range(1, dice.randint(2, 4))))
        case "cancel":
            return Cancel(recent_id)
        case "amend":
            return Amend(recent_id, dice.choice((None, 1, 2, 5, 9)), dice.choice((None, None, *range(6, 15))))
        case "limit":
            limits = [dice.choice((None, 0, 0, 1, 2, 3, 5)) for _ in range(2)]
            return Capacity(dice.choice(LINKS), dice.choice((None, 1, 2, 3)), *limits)
        case _:
            return _draw_order(dice, last_id + 1, small=False)


def _draw_order(dice: random.Random, order_id: int, *, small: bool) -> New:
    """Cheap sellers far away and choosy ones at hand: flows cross, so that held orders get room without a command."""
    tif = dice.choice((Tif.GTC, Tif.GTC, Tif.GTC, Tif.GTC, Tif.GTC, Tif.IOC, Tif.FOK))
    side, meter = dice.choice((Side.BUY, Side.SELL)), dice.choice((*_METERS, 9, 9, 10, 10, 11))
    is_far, is_keen = meter in _FAR, small or tif is not Tif.GTC
    lowest, highest = ((0, 6) if is_far else (6, 12)) if side is Side.SELL else (6, 14)
    return New(
        order_id=order_id,
        member=dice.randint(0, 29),
        meter=meter,
        side=side,
        slot=dice.choice((1, 1, 1, 1, 2, 3)),
        quantity_lots=dice.randint(1, 2 if is_keen else 9),
        price_ticks=dice.randint(lowest, highest) if not is_keen else 15 if side is Side.BUY else 0,
        tif=tif,
        reach=Level.SUBSTATION if is_far else dice.choice((Level.SUBSTATION, *[Level.FEEDER] * 3, Level.TRANSFORMER)),
        terms_days=30 if side is Side.SELL else dice.choice((0, 0, 30)),
    )
