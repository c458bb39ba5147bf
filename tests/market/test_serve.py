"""``jinsha init`` and ``jinsha serve`` as processes, with the embedded chain: start, stop, crash, start again."""

import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from data.database import open_database, sqlite_url
from data.schema import bring_forward
from market import config
from market.client import Client
from market.initialising import initialise
from market.institutions import Deposit, GridNode, Newcomer, NewMeter, admit, connect, deposit, move_clock, until_idle
from market.main import main
from market.tariff import read_tariff
from settlement import signatures
from settlement.jwk import to_jwk
from settlement.signatures import public_key
from tests.market.processes import ROOT, ended, institution, serving
from tests.market.world import Person, order


async def test_a_market_lives_through_stops_and_crashes(tmp_path: Path) -> None:
    folder = tmp_path / "market"
    assert (await ended("init", str(folder), "--from", "data/sample"))[0] == 0
    async with serving(folder) as (process, address), aiohttp.ClientSession() as http:
        people, orders = await _begin(http, address, folder)
        code, why = await ended("serve", str(folder), "--port", "0")
        assert (code, "another server" in why) == (2, True)
        process.kill()
        await process.wait()
    async with serving(folder) as (process, address), aiohttp.ClientSession() as http:
        operator = institution(http, address, folder, "operator")
        assert (await operator.get("/v1/clock"))["now"] == "2026-07-01T01:00:00Z"
        seller = Client(http, address, people[1].member, people[1].key)
        await seller.log_in()
        assert {each.client_order_id: each.state for each in await seller.orders()} == {"s1": "filled", "s2": "open"}
        account = await seller.get("/v1/account")
        assert account["escrow"] == "100.000000"
        await move_clock(operator, 1782867600 + 3600 * 12)
        await until_idle(operator, patience_s=120)
        buyer = Client(http, address, people[0].member, people[0].key)
        await buyer.log_in()
        (trade,) = await buyer.items("/v1/trades")
        proof = await buyer.get(f"/v1/trades/{trade['trade']}/proof")
        assert proof["order"]["intent"]["client_order_id"] == "b1" and orders
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    code, last = await ended("audit", str(folder))
    assert code == 0, last


async def _begin(http: aiohttp.ClientSession, address: str, folder: Path) -> tuple[list[Client], Any]:
    """Two members with a meter each and money on the chain; they trade."""
    operator, custodian = (institution(http, address, folder, role) for role in ("operator", "custodian"))
    people = [Client(http, address, None, signatures.new_private_key()) for _ in range(2)]
    newcomers = [
        Newcomer(f"p{n}", "household", ("consumer", "producer"), to_jwk(public_key(client.key)), "seen")
        for n, client in enumerate(people)
        if client.key is not None
    ]
    await operator.log_in()
    for client, member in zip(people, await admit(operator, newcomers), strict=True):
        client.member = member
        await client.log_in()
    nodes = [GridNode("S", None, "substation", None, None), GridNode("T", "S", "transformer", "40", "40")]
    meters = [NewMeter(f"m{n}", "T", client.member or 0, "pv", "40", "40") for n, client in enumerate(people)]
    await connect(operator, nodes, meters)
    await deposit(custodian, [Deposit(c.member or 0, 100_000_000, f"R{c.member}", True) for c in people])
    await until_idle(operator, patience_s=120)
    terms = [
        (1, order("s1", "m1", "sell", "1.00", "0.42", terms=30)),
        (1, order("s2", "m1", "sell", "1.00", "0.43", "2026-07-01T12:00:00Z")),
        (0, order("b1", "m0", "buy", "1.00", "0.48")),
    ]
    facts = await operator.facts()
    for who, fields in terms:
        member, key = people[who].member, people[who].key
        assert member is not None and key is not None
        placed, receipt = await people[who].place(Person(None, member, key).intent(fields))  # type: ignore[arg-type]
        assert receipt is not None, placed
    await move_clock(operator, 1782867600)
    return people, facts


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('retail = "0.5224"', 'retail = "0.5"', "prices"),
        ('retail = "0.5224"', 'retail = "0.1"', "floor <= feed_in <= retail <= shortfall"),
        ('retail = "0.5224"', "retail = 0.5224", "prices.retail"),
        ('retail = "0.5224"', 'retail = "dear"', "prices.retail"),
        ('retail = "0.5224"', "", "retail"),
        ('time_zone = "Asia/Shanghai"', 'time_zone = "Asia/Nowhere"', "Nowhere"),
        ("slot_minutes = 15", "slot_minutes = 17", "slot_minutes"),
        ("terms = [0,30,60]", "terms = [30,0]", "terms"),
        ("terms = [0,30,60]", "terms = [0,30,182]", "182 days may end after six months"),
        ("\n[fees]\n", "\n[fees]\nsurprise = 1\n", "surprise"),
        ("\n[fees]\n", "\n[fees\n", "market.toml"),
        ('crv = "P-256"', 'crv = "P-384"', "institutions.operator"),
    ],
)
def test_an_odd_config_is_told_by_name(tmp_path: Path, old: str, new: str, said: str) -> None:
    terms = initialise(tmp_path, read_tariff(ROOT / "data/sample/tariff.toml"), 1)
    file = tmp_path / "market.toml"
    text = file.read_text("utf-8")
    assert config.load(tmp_path) == terms and old in text
    assert (terms.operator_bond_micro, terms.challenge_bond_micro) == (1_000_000_000, 10_000_000)
    file.write_text(text.replace(old, new, 1), "utf-8")
    if said == "prices":  # fine by itself; but not what the market began with
        assert config.load(tmp_path) != terms
        return
    with pytest.raises(config.ConfigError, match=said.replace("[", r"\[")):
        config.load(tmp_path)


@pytest.mark.parametrize(
    "case",
    [
        (["serve", "nothing"], 2, "jinsha init"),
        (["audit", "nothing"], 2, "jinsha init"),
        (["init", "market", "--from", "nothing"], 2, "tariff.toml"),
        (["init", ".", "--from", str(ROOT / "data/sample")], 2, "exists already"),
        (["checker", "--server", "http://127.0.0.1:1", "--key", "nothing"], 2, "nothing"),
        (["nonsense"], 2, "invalid choice"),
        ([], 2, "COMMAND"),
    ],
)
def test_commands_explain_themselves(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    case: tuple[list[str], int, str],
) -> None:
    arguments, code, said = case
    monkeypatch.chdir(tmp_path)
    (tmp_path / "market.toml").touch()
    try:
        ended_with = main(arguments)
    except SystemExit as end:
        ended_with = int(end.code or 0)
    assert ended_with == code
    assert said in capsys.readouterr().err


def test_a_database_of_a_newer_release_is_not_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    initialise(tmp_path, read_tariff(ROOT / "data/sample/tariff.toml"), 7)
    database = open_database(sqlite_url(tmp_path / "market.db"))
    bring_forward(database)
    with database.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.dispose()
    assert main(["serve", str(tmp_path)]) == 2
    assert "a newer release has served it" in capsys.readouterr().err
