"""A bank keeps its criteria over HTTP and has receivables held against them and its live book."""

from pathlib import Path

from tests.finance.many import add_part, add_rows, id_of, row_of
from tests.market.world import open_market


async def test_a_bank_keeps_criteria_and_checks_against_them(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        plant, factory = await world.newcomer("plant"), await world.newcomer("factory")
        shop, bank = await world.newcomer("shop"), await world.newcomer("bank", "bank")
        with world.context.database.begin() as connection:
            listed = {"creditor": plant.member, "state": "listed"}
            debts = {1: (factory, 10_000), 2: (factory, 10_000), 3: (shop, 5_000), 4: (factory, 10_000)}
            rows = [row_of(n, n, **listed, debtor=who.member, face_fen=fen) for n, (who, fen) in debts.items()]
            held = {"state": "financed", "holder": bank.member, "advance_fen": 10_000, "face_fen": 12_000}
            add_rows(connection, [*rows, row_of(9, 9, creditor=plant.member, debtor=shop.member, **held)])
            add_part(connection, 9, bank.member, 10_000, 9)
        assert (await plant.get("/v1/criteria")).code == "forbidden"
        assert (await bank.get("/v1/criteria")).body["version"] == 0
        for body, code in (
            ({"rating_at_least": "A+"}, "bad_rating"),
            ({"debtor_share": "1.1"}, "bad_rate"),
            ({"face_from": "2", "face_to": "1"}, "bad_range"),
            ({"tenor_from_days": 2, "tenor_to_days": 1}, "bad_range"),
            ({"face_from": "0.001"}, "bad_amount"),
        ):
            assert (await bank.put("/v1/criteria", body)).code == code
        asked = {"debtor_share": "0.6", "sources": ["hydro"], "tenor_to_days": 90}
        kept = await bank.put("/v1/criteria", asked)
        assert kept.status == 200, kept
        assert (kept.body["version"], kept.body["debtor_share"]) == (1, "0.600000")
        assert (await bank.put("/v1/criteria", asked)).body["version"] == 1
        assert (await bank.get("/v1/criteria")).body == kept.body
        ids = [id_of(n).hex() for n in (1, 2, 3, 4)]
        checked = (await bank.post("/v1/criteria/check", {"receivables": ids})).body
        assert [each["eligible"] for each in checked["receivables"]] == [True, False, True, True]
        (failure,) = checked["receivables"][1]["failures"]
        assert failure == {
            "code": "debtor_concentration",
            "wanted": "at most 0.600000 of the book",
            "found": "0.666667",
        }
        alone = await bank.get(f"/v1/receivables/{ids[1]}/eligibility")
        assert alone.body == {"receivable": ids[1], "eligible": True, "failures": []}
        assert (await bank.post("/v1/criteria/check", {"receivables": ["00" * 32]})).code == "not_found"
        assert (await bank.put("/v1/criteria", {"rating_at_least": "A"})).body["version"] == 2
        (failure,) = (await bank.get(f"/v1/receivables/{ids[0]}/eligibility")).body["failures"]
        assert failure["code"] == "rating_missing"
