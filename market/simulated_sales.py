"""The two ways to sell beside direct offers, once each: an auction among all banks, and a draw on a bank's program.

A bank's salt is made here, by the bank's own program, and is sent to nobody before the close.
"""

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any

from data.units import (
    MICRO_PER_FEN,
    SECONDS_PER_HOUR,
    format_instant,
    format_money,
    parse_instant_s,
    parse_money_fen,
)
from finance.calendar import DayCount, days_between
from finance.credit.ratings import RATINGS
from finance.offer import Quote, advance_fen_floor, parse_rate_ppm, terms_of
from finance.program import MOST_DAYS, root_of
from market import institutions
from market.client import Client, RefusedError, new_nonce
from market.institutions import POLL_S, StuckError
from market.simulated_finance import LATE_RATE, PATIENCE_S, Owed, deadline_of, registration_of, signed, until
from market.simulated_town import Town
from market.simulated_trading import Step
from market.tariff import Bank
from settlement import sale_acts
from settlement.calendar import day_of
from settlement.sale_acts import Drawing, Opening, PriceRow, Program

BOND_PPM = 10_000
"""ASSUMPTION: sellers ask for a bond of 1 % of the advance."""

BIDDING_S = SECONDS_PER_HOUR
PROGRAM_DAYS = 30


async def sell_two(town: Town, listed: Sequence[Owed], step: Step) -> list[Owed]:
    """The most valuable receivable goes by auction, the next by program; returns those that are left for offers."""
    by_value = sorted(listed, key=lambda owed: -owed.face_fen)
    financed = 0
    if by_value and town.banks:
        financed += await _auction(town, by_value[0], step)
    if len(by_value) > 1 and town.banks:
        financed += await _program(town, by_value[1], step)
    await until(town, "financed", financed)
    return by_value[2:]


# -------------------------------------------------------------------------------------------------- an auction


async def _auction(town: Town, owed: Owed, step: Step) -> int:
    """Opened by the seller, bid in by all banks, awarded by the market, paid by the winner; how many were sold."""
    now_s = await deadline_of(town, 0)
    number = await _open(town, owed, now_s + BIDDING_S)
    bids = [await _commit(town, owed, number, bank, client) for bank, client in town.banks]
    await institutions.until_idle(town.operator, patience_s=PATIENCE_S)
    step(0, f"auction {number}: {len(bids)} hidden bids")
    await institutions.move_clock(town.operator, now_s + BIDDING_S)
    for client, proceeds_fen, salt in bids:
        body = {"bank": client.member, "proceeds": format_money(proceeds_fen * MICRO_PER_FEN), "salt": salt.hex()}
        await client.post(f"/v1/auctions/{number}/reveal", body)
    await institutions.until_idle(town.operator, patience_s=PATIENCE_S)
    await institutions.move_clock(town.operator, now_s + BIDDING_S + sale_acts.REVEAL_S)
    seller = town.client_of(owed.creditor)
    auction = await _awarded(seller, number)
    winner, nonce, deadline_s = town.client_of(auction["winner"]), new_nonce(), await deadline_of(town)
    registration = registration_of(f"auction {number}")
    domain = (await winner.facts()).domain("Sales")
    digest = sale_acts.settle_auction_digest(
        domain, number, int(auction["winner"]), registration, nonce=nonce, deadline_s=deadline_s
    )
    body = {"registration": registration.hex()} | signed(winner, digest, nonce, deadline_s)
    await winner.post(f"/v1/auctions/{number}/settle", body)
    step(1, f"auction {number}: {auction['proceeds']} CNY to the seller")
    return 1


async def _open(town: Town, owed: Owed, closes_s: int) -> int:
    client, nonce, deadline_s = town.client_of(owed.creditor), new_nonce(), await deadline_of(town)
    advance_rate = min((bank.advance_rate for bank, _ in town.banks), key=parse_rate_ppm)
    advance_fen = advance_fen_floor(owed.face_fen, parse_rate_ppm(advance_rate))
    minimum_fen, bond_fen = advance_fen * 9 // 10, max(1, advance_fen * BOND_PPM // 10**6)
    opening = Opening(
        owed.id,
        owed.creditor,
        parse_rate_ppm(advance_rate),
        advance_fen * MICRO_PER_FEN,
        minimum_fen * MICRO_PER_FEN,
        bond_fen * MICRO_PER_FEN,
        0,
        parse_rate_ppm(LATE_RATE),
        360,
        True,
        closes_s,
        nonce,
        deadline_s,
    )
    digest = sale_acts.open_auction_digest((await client.facts()).domain("Sales"), opening)
    body = {
        "receivable": owed.receivable,
        "advance_rate": advance_rate,
        "year_days": "360",
        "costs": "0",
        "late_rate": LATE_RATE,
        "recourse": True,
        "minimum": format_money(minimum_fen * MICRO_PER_FEN),
        "bond": format_money(bond_fen * MICRO_PER_FEN),
        "closes": format_instant(closes_s),
    }
    await client.post("/v1/auctions", body | signed(client, digest, nonce, deadline_s))
    await institutions.until_idle(town.operator, patience_s=PATIENCE_S)
    (auction,) = await client.items("/v1/auctions", receivable=owed.receivable, state="open")
    return int(auction["auction"])


async def _commit(town: Town, owed: Owed, number: int, bank: Bank, client: Client) -> tuple[Client, int, bytes]:
    """A bank's hidden bid; what it will show later stays with the bank."""
    assert client.member is not None
    auction = (await client.get(f"/v1/auctions/{number}"))["auction"]
    today = day_of(await deadline_of(town, 0), town.tariff.time_zone)
    rates = parse_rate_ppm(auction["advance_rate"]), parse_rate_ppm(bank.rate)
    quote = Quote(*rates, DayCount(str(bank.days_basis)), bank.fee_fen)
    proceeds_fen = terms_of(owed.face_fen, quote, days_between(today, owed.due_day)).proceeds_fen
    salt, nonce, deadline_s = secrets.token_bytes(32), new_nonce(), await deadline_of(town)
    bid = sale_acts.bid_hash(number, client.member, proceeds_fen * MICRO_PER_FEN, salt)
    domain = (await client.facts()).domain("Sales")
    digest = sale_acts.commit_bid_digest(domain, number, client.member, bid, nonce=nonce, deadline_s=deadline_s)
    await client.post(f"/v1/auctions/{number}/bids", {"bid": bid.hex()} | signed(client, digest, nonce, deadline_s))
    return client, proceeds_fen, salt


async def _awarded(seller: Client, number: int) -> dict[str, Any]:
    """Wait until the market has awarded an auction whose hour is over."""
    give_up = asyncio.get_running_loop().time() + PATIENCE_S
    while True:
        auction: dict[str, Any] = (await seller.get(f"/v1/auctions/{number}"))["auction"]
        if auction["state"] == "awarded":
            return auction
        if auction["state"] != "open" or asyncio.get_running_loop().time() > give_up:
            raise StuckError(f"auction {number} is {auction['state']}")
        await asyncio.sleep(POLL_S)


# -------------------------------------------------------------------------------------------------- a program


async def _program(town: Town, owed: Owed, step: Step) -> int:
    """The first bank prices every rating alike, and one seller draws; how many were sold: none if nobody is rated."""
    bank, client = town.banks[0]
    program = await _draft(town, owed, bank, client)
    if program is None:
        step(0, "no program: nobody is rated yet")
        return 0
    seller, nonce, deadline_s = town.client_of(owed.creditor), new_nonce(), await deadline_of(town)
    fitting = (await seller.get(f"/v1/receivables/{owed.receivable}/programs"))["programs"]
    if not fitting:
        step(0, "no program fits")
        return 0
    minimum_micro = parse_money_fen(fitting[0]["proceeds"]) * MICRO_PER_FEN
    domain = (await seller.facts()).domain("Sales")
    drawing = Drawing(owed.id, minimum_micro, nonce, deadline_s)
    digest = sale_acts.draw_digest(domain, program, owed.creditor, drawing)
    body = {"receivable": owed.receivable, "minimum": format_money(minimum_micro)}
    path = f"/v1/programs/{fitting[0]['program']}/draws"
    await seller.post(path, body | signed(seller, digest, nonce, deadline_s))
    step(1, f"a program pays {fitting[0]['proceeds']} CNY at once")
    return 1


async def _draft(town: Town, owed: Owed, bank: Bank, client: Client) -> Program | None:
    """Drafted by the market, read row by row and signed by the bank."""
    expires_s = await deadline_of(town, PROGRAM_DAYS * 24 * SECONDS_PER_HOUR)
    nonce, registration = new_nonce(), registration_of(f"program of {bank.name}")
    body = {
        "advance_rate": bank.advance_rate,
        "year_days": "360",
        "prices": [{"rating": rating, "max_days": MOST_DAYS, "rate": bank.rate} for rating in RATINGS],
        "limit": format_money(10 * owed.face_fen * MICRO_PER_FEN),
        "fee": format_money(bank.fee_fen * MICRO_PER_FEN),
        "costs": "0",
        "late_rate": LATE_RATE,
        "recourse": True,
        "registration": registration.hex(),
        "nonce": nonce,
        "deadline": format_instant(expires_s),
    }
    try:
        drafted = (await client.post("/v1/programs", body))["program"]
    except RefusedError as error:
        if error.refused.code == "no_rows":
            return None
        raise
    rows = await client.items(f"/v1/programs/{drafted['program']}/rows")
    assert client.member is not None
    program = Program(
        client.member,
        root_of([PriceRow(int(row["debtor"]), int(row["max_days"]), parse_rate_ppm(row["rate"])) for row in rows]),
        parse_rate_ppm(bank.advance_rate),
        10 * owed.face_fen * MICRO_PER_FEN,
        bank.fee_fen * MICRO_PER_FEN,
        0,
        parse_rate_ppm(LATE_RATE),
        360,
        True,
        registration,
        nonce,
        parse_instant_s(drafted["deadline"]),
    )
    digest = sale_acts.program_digest((await client.facts()).domain("Sales"), program)
    await client.post(f"/v1/programs/{drafted['program']}/sign", {"signature": client.sign(digest)})
    return program
