"""What a bank takes home: its portfolio and the receivables that it may see, as JSON and as files that say the same."""

import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet
import pytest

from finance import listing_store
from tests.finance.many import add_part, add_rows, id_of, row_of
from tests.market.world import Person, World, open_market


async def file(world: World, person: Person, path: str) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {person.token}"}
    async with world.http.get(f"{world.server}{path}", headers=headers) as answer:
        return answer.status, await answer.read()


async def test_a_bank_takes_home_what_it_may_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing_store, "CHUNK", 2)
    async with open_market(tmp_path) as world:
        plant, factory = await world.newcomer("plant"), await world.newcomer("factory")
        bank, rival = await world.newcomer("bank", "bank"), await world.newcomer("rival", "bank")
        with world.context.database.begin() as connection:
            parties = {"creditor": plant.member, "debtor": factory.member}
            sold = {"state": "financed", "advance_fen": 9_000, "proceeds_fen": 8_900}
            rows = [
                row_of(1, 1, **parties),
                row_of(2, 2, **parties, state="listed", source="pv"),
                row_of(3, 3, **parties, **sold, holder=bank.member),
                row_of(4, 4, **parties, **sold, holder=bank.member, paid_fen=1_000, due_day="2026-05-01"),
                row_of(5, 5, **parties, **sold, holder=rival.member),
            ]
            add_rows(connection, rows)
            for number, owner, open_fen in ((3, bank, 9_000), (4, bank, 8_000), (5, rival, 9_000)):
                add_part(connection, number, owner.member, open_fen, number)
            add_part(connection, 1, rival.member, 1_000, 1, claim=0, pledgee=bank.member)
        shown = (await bank.get("/v1/portfolio")).body
        assert (shown["exposure"], shown["receivables"], shown["written_off"]) == ("170.00", 2, "0.00")
        assert {each["name"]: each["amount"] for each in shown["by_age"] if each["receivables"]} == {
            "current": "90.00",
            "61-90 days late": "80.00",
        }
        tables: list[Any] = []
        for form in ("csv", "parquet"):
            status, content = await file(world, bank, f"/v1/portfolio?format={form}")
            assert status == 200
            tables.append(_table(form, content))
        for table in tables:
            by_age = {row["name"]: row["amount_cny"] for row in table if row["dimension"] == "age"}
            assert by_age["61-90 days late"] == Decimal("80.00")
            assert next(row for row in table if row["dimension"] == "exposure")["receivables"] == 2
        assert (await plant.get("/v1/portfolio")).code == "forbidden"
        for form in ("csv", "parquet"):
            status, content = await file(world, bank, f"/v1/exports/receivables?format={form}")
            assert status == 200
            table = _table(form, content)
            assert [row["number"] for row in table] == [1, 2, 3, 4]
            assert [row["receivable"] for row in table] == [id_of(number).hex() for number in (1, 2, 3, 4)]
            assert {row["face_cny"] for row in table} == {Decimal("100.00")}
        status, content = await file(world, bank, "/v1/exports/receivables?format=csv&source=pv")
        assert [row["number"] for row in _table("csv", content)] == [2]
        assert (await file(world, bank, "/v1/exports/receivables?names=true"))[0] == 400
        assert (await file(world, bank, "/v1/exports/trades"))[0] == 403
        assert (await file(world, plant, "/v1/exports/receivables"))[0] == 403


def _table(form: str, content: bytes) -> list[dict[str, Any]]:
    if form == "parquet":
        return pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist()
    money = {name: pyarrow.decimal128(18, 2) for name in ("amount_cny", "face_cny")}
    return pyarrow.csv.read_csv(
        io.BytesIO(content), convert_options=pyarrow.csv.ConvertOptions(column_types=money)
    ).to_pylist()
