"""Follow a book, and the market's trades, as they change; with a key, place an order on the same stream.

python docs/examples/stream.py --slot 2026-08-31T04:00:00Z --meter LV5.220-Load-48
python docs/examples/stream.py --slot 2026-08-31T04:00:00Z --meter LV5.220-Load-48 --member 102
    --key build/demo/people/owner-1.pem --buy 1.50 --price 0.4500

Lost connections are opened again, and a book that missed something is brought anew: none of that is done here.
"""

import argparse
import sys
from pathlib import Path
from uuid import uuid4

from data.units import parse_energy_lots, parse_instant_s, parse_price_ticks
from market.client import BookChanged, LocalBook, Placed, SyncClient, SyncStream, Traded
from matching.order import Level, Side, Tif
from settlement.intents import OrderIntent
from settlement.signatures import private_from_pem


def show(book: LocalBook) -> None:
    """The best of each side: what this meter would pay, and what it would get."""
    asks, bids = (
        f"{quotes[0].quantity} kWh at {quotes[0].price}" if quotes else "nothing" for quotes in (book.asks, book.bids)
    )
    sys.stdout.write(f"book {book.number}: to buy {asks}, to sell {bids}\n")


def buy(stream: SyncStream, given: argparse.Namespace) -> None:
    slot_s = parse_instant_s(given.slot)
    intent = OrderIntent(
        member=given.member,
        client_order_id=uuid4().hex,
        meter=given.meter,
        side=Side.BUY,
        slot=slot_s,
        quantity_lots=parse_energy_lots(given.buy),
        price_ticks=parse_price_ticks(given.price),
        reach=Level.SUBSTATION,
        terms_days=0,
        tif=Tif.GTC,
        replaces="",
        deadline=slot_s,
    )
    outcome, _ = stream.place(intent)
    told = f"{outcome.state}, {outcome.remaining} kWh left" if isinstance(outcome, Placed) else outcome.code
    sys.stdout.write(f"order: {told}\n")


def follow(stream: SyncStream, given: argparse.Namespace) -> None:
    show(stream.book(parse_instant_s(given.slot), given.meter))
    stream.trades()
    if given.buy:
        buy(stream, given)
    seen = 0
    for event in stream:
        match event:
            case BookChanged(book):
                show(book)
            case Traded(trades):
                seen += len(trades)
                for trade in trades:
                    sys.stdout.write(f"trade {trade.trade}: {trade.quantity} kWh at {trade.seller_price}\n")
        sys.stdout.flush()
        if given.trades and seen >= given.trades:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="http://127.0.0.1:8420")
    parser.add_argument("--slot", required=True)
    parser.add_argument("--meter", required=True)
    parser.add_argument("--member", type=int)
    parser.add_argument("--key", type=Path, help="a PEM file; without it nothing can be bought")
    parser.add_argument("--buy", help="kWh")
    parser.add_argument("--price", help="CNY/kWh, fees inside")
    parser.add_argument("--trades", type=int, default=0, help="end after so many; by default go on")
    given = parser.parse_args()
    key = private_from_pem(given.key.read_bytes()) if given.key else None
    with SyncClient(given.server, given.member, key) as client, client.stream() as stream:
        follow(stream, given)


if __name__ == "__main__":
    main()
