"""A seller lets a bank see what is not for sale, for a time, and takes it back; nobody else sees more by it."""

from pathlib import Path

from finance import telling
from market.client import Client
from market.clock import ManualClock
from tests.finance.many import add_rows, id_of, row_of
from tests.market.world import open_market


async def test_a_bank_sees_by_consent_until_it_ends(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        plant, factory = await world.newcomer("plant"), await world.newcomer("factory")
        bank, rival = await world.newcomer("bank", "bank"), await world.newcomer("rival", "bank")
        with world.context.database.begin() as connection:
            parties = {"creditor": plant.member, "debtor": factory.member}
            add_rows(connection, [row_of(number, number, **parties) for number in (1, 2)])
        one, path = id_of(1).hex(), f"/v1/receivables/{id_of(1).hex()}"
        body = {"bank": bank.member, "until": "2026-07-03T00:00:00Z"}
        for person, changed, code in (
            (plant, {"bank": factory.member}, "not_a_bank"),
            (plant, {"until": "2026-07-01T00:00:00Z"}, "bad_time"),
            (plant, {"until": "2028-07-01T00:00:00Z"}, "bad_time"),
            (factory, {"receivable": one}, "not_found"),
            (plant, {"receivable": "00" * 32}, "not_found"),
        ):
            assert (await person.post("/v1/consents", body | changed)).code == code
        assert (await bank.get(path)).status == 404
        granted = await plant.post("/v1/consents", body | {"receivable": one})
        assert granted.status == 201, granted
        assert (await bank.get(path)).status == 200
        assert [each["number"] for each in (await bank.get("/v1/receivables")).body["items"]] == [1]
        assert (await rival.get(path)).status == 404
        for_all = await plant.post("/v1/consents", body)
        assert [each["number"] for each in (await bank.get("/v1/receivables")).body["items"]] == [1, 2]
        assert (await bank.delete(f"/v1/consents/{for_all.body['consent']}")).status == 404
        withdrawn = await plant.delete(f"/v1/consents/{for_all.body['consent']}")
        assert withdrawn.body["withdrawn"] == "2026-07-01T00:00:00Z"
        assert (await plant.delete(f"/v1/consents/{for_all.body['consent']}")).body == withdrawn.body
        assert [each["number"] for each in (await bank.get("/v1/receivables")).body["items"]] == [1]
        assert isinstance(world.context.clock, ManualClock)
        world.context.clock.move_to(world.context.clock.now_s() + 2 * 86_400)
        assert (await bank.get("/v1/receivables")).body["items"] == []
        kept = [(await person.get("/v1/consents")).body["items"] for person in (plant, bank, rival)]
        assert kept == [[granted.body, withdrawn.body]] * 2 + [[]]
        assert telling.tell_due(world.context.database, 0)
        heard = (await bank.get("/v1/events?kind=consent")).body["items"]
        assert [(each["subject"], each["after"]) for each in heard] == [(1, "granted"), (2, "withdrawn")]
        client = Client(world.http, world.server, bank.member, bank.key)
        assert await client.events(limit="1") == (heard, 2)
        assert await client.events(2, kind="consent") == ([], 2)
        first, cursor = await client.page("/v1/consents", limit="1")
        assert cursor is not None
        assert (first, await client.page("/v1/consents", cursor)) == ([granted.body], ([withdrawn.body], None))
