"""What curl can not do: log a member in, and sign an order. Both go to standard output, ready for curl.

python docs/examples/sign.py token --member 102 --key build/demo/people/owner-1.pem
python docs/examples/sign.py order --member 102 --key build/demo/people/owner-1.pem --meter LV5.220-Load-48
    --side buy --slot 2026-08-31T04:00:00Z --quantity 1.50 --price 0.4500
"""

import argparse
import json
import sys
import urllib.request
from pathlib import Path
from typing import Any
from uuid import uuid4

from data.units import format_instant, parse_energy_lots, parse_instant_s, parse_price_ticks
from matching.order import Level, Side, Tif
from settlement.intents import LOGIN, Domain, OrderIntent
from settlement.signatures import private_from_pem, sign


def ask(address: str, body: dict[str, Any] | None = None) -> Any:
    payload = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, payload, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def domain_of(server: str, contract: str) -> Domain:
    """Where a signature holds: this chain, this contract, this market's genesis."""
    market = ask(f"{server}/v1/market")
    return Domain(market["chain_id"], bytes.fromhex(market["contracts"][contract]), bytes.fromhex(market["salt"]))


def token(given: argparse.Namespace) -> str:
    """A bearer token for a signature over the market's nonce."""
    nonce = ask(f"{given.server}/v1/sessions/challenge", {"member": given.member})["nonce"]
    values = {"member": given.member, "nonce": bytes.fromhex(nonce)}
    signature = sign(private_from_pem(given.key.read_bytes()), LOGIN.digest(domain_of(given.server, "Members"), values))
    session = ask(f"{given.server}/v1/sessions", {"member": given.member, "nonce": nonce, "signature": signature.hex()})
    return str(session["token"])


def order(given: argparse.Namespace) -> str:
    """The body of POST /v1/orders. The order may be taken until its slot starts."""
    client_order_id = given.id or uuid4().hex
    slot_s = parse_instant_s(given.slot)
    intent = OrderIntent(
        member=given.member,
        client_order_id=client_order_id,
        meter=given.meter,
        side=Side[given.side.upper()],
        slot=slot_s,
        quantity_lots=parse_energy_lots(given.quantity),
        price_ticks=parse_price_ticks(given.price),
        reach=Level.SUBSTATION,
        terms_days=given.terms,
        tif=Tif.GTC,
        replaces="",
        deadline=slot_s,
    )
    digest = intent.digest(domain_of(given.server, "Clearing"))
    body = {
        "client_order_id": client_order_id,
        "meter": given.meter,
        "side": given.side,
        "slot": given.slot,
        "quantity": given.quantity,
        "price": given.price,
        "terms": given.terms,
        "deadline": format_instant(slot_s),
        "signature": sign(private_from_pem(given.key.read_bytes()), digest).hex(),
    }
    return json.dumps(body)


def main() -> None:
    parser = argparse.ArgumentParser(description="sign for curl")
    parser.add_argument("what", choices=("token", "order"))
    parser.add_argument("--server", default="http://127.0.0.1:8420")
    parser.add_argument("--member", type=int, required=True)
    parser.add_argument("--key", type=Path, required=True, help="PEM file of the member's private key")
    parser.add_argument("--meter")
    parser.add_argument("--side", choices=("buy", "sell"))
    parser.add_argument("--slot", help="start of the slot, 2026-07-01T10:15:00Z")
    parser.add_argument("--quantity", help="kWh")
    parser.add_argument("--price", help="CNY/kWh at your own meter")
    parser.add_argument("--terms", type=int, default=0, help="days after which a buyer pays")
    parser.add_argument("--id", help="your own id of the order; made up when left out")
    given = parser.parse_args()
    if given.what == "order" and None in (given.meter, given.side, given.slot, given.quantity, given.price):
        parser.error("an order needs --meter, --side, --slot, --quantity and --price")
    sys.stdout.write((token(given) if given.what == "token" else order(given)) + "\n")


if __name__ == "__main__":
    main()
