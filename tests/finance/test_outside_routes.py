"""Registry, tax invoice, notice and bank files over real HTTP: what is answered, to whom, and what is refused."""

from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import tables
from data.database import reading
from data.units import format_instant
from finance import registry
from finance.fapiao import FapiaoFolder, Verdict
from finance.iso20022 import assignment, camt_054, pain_001
from finance.iso20022.assignment import Kind
from finance.iso20022.camt_054 import Entry, Notification
from finance.outside import Outside, party_of
from finance.references import Quoted, member_reference, quoted_in, receivable_reference
from finance.registry import Form, Named, Registration, SearchCertificate
from finance.registry_folder import RegistryFolder, Request
from market import withdrawal_store
from market.withdrawal_store import Withdrawal
from tests.finance.ledger import ACCOUNT as COLLECTION
from tests.finance.ledger import BANK, CHAIN_ID, FACTORY, HOME, OTHER_BANK, PLANT
from tests.finance.test_finance_routes import Served, issued, ledger, served  # noqa: F401 - fixtures
from tests.finance.test_iso20022 import LAUGHS
from tests.settlement.settlement_world import CUSTODIAN, OPERATOR

Json = dict[str, Any]
PLANT_CO = {"legal_name": "上堰水电站有限公司", "code": "91110000600037341L"}
BANK_CO = {"legal_name": "闽江银行", "code": "91350211M000100Y46"}
ACCOUNT = {"account": "6217000000000002", "bank_name": "建设银行", "bank_code": "105100000017"}
INVOICE: Json = {
    "number": "26352000000000000017",
    "issued": "2026-07-02",
    "net": "0.62",
    "tax": "0.08",
    "total": "0.70",
    "seller": {"name": PLANT_CO["legal_name"], "code": PLANT_CO["code"]},
    "buyer": {"name": "A2"},
}


async def test_particulars_are_checked_kept_and_shown_to_few(served: Served) -> None:  # noqa: F811
    assert (await served.call(PLANT, "GET", "/v1/particulars"))[0] == 404
    given = await served.post(PLANT, "/v1/particulars", PLANT_CO | ACCOUNT, 201)
    assert (given["particulars"], given["confirmed"]) == (PLANT_CO | ACCOUNT, None)
    assert quoted_in(given["reference"], CHAIN_ID) == Quoted(False, PLANT)
    assert await served.get(PLANT, "/v1/particulars") == given
    assert await served.get(OPERATOR, f"/v1/particulars?member={PLANT}") == given
    assert (await served.call(BANK, "GET", f"/v1/particulars?member={PLANT}"))[0] == 403
    for wrong, name in [
        ({"code": "91110000600037341M"}, "code"),
        ({"legal_name": " "}, "legal_name"),
        ({"account": "12 34"}, "account"),
        ({"bank_name": ""}, "bank_name"),
        ({"bank_code": "10510000001"}, "bank_code"),
    ]:
        status, answer = await served.call(PLANT, "POST", "/v1/particulars", PLANT_CO | ACCOUNT | wrong)
        assert (status, answer["code"], answer["field"]) == (422, "bad_particulars", name)
    confirming = {"member": PLANT, **PLANT_CO}
    assert (await served.call(PLANT, "POST", "/v1/particulars/confirmation", confirming))[0] == 403
    other = confirming | {"legal_name": "另一家"}
    assert (await served.post(OPERATOR, "/v1/particulars/confirmation", other, 409))["code"] == "changed_meanwhile"
    confirmed = await served.post(OPERATOR, "/v1/particulars/confirmation", confirming, 200)
    assert confirmed["confirmed"] == format_instant(served.ledger.now_s)
    again = await served.post(PLANT, "/v1/particulars", PLANT_CO | {"legal_name": "从未抵押过的电站"}, 201)
    assert again["confirmed"] is None
    with reading(served.ledger.database) as connection:
        assert party_of(connection, PLANT) == Named(*PLANT_CO.values())  # a name of its own choosing finds nothing


async def known_as(served: Served, member: int, particulars: Json) -> None:  # noqa: F811
    """The member gives its particulars, and the operator confirms them."""
    await served.post(member, "/v1/particulars", particulars, 201)
    said = {name: particulars[name] for name in ("legal_name", "code")}
    await served.post(OPERATOR, "/v1/particulars/confirmation", {"member": member, **said}, 200)


async def test_an_invoice_is_recorded_once_matches_the_face_and_is_verified(
    served: Served,  # noqa: F811
    tmp_path: Path,
) -> None:
    name = (await served.ids(FACTORY))[0]
    other = next(each for each in await served.ids(PLANT) if each != name)
    path = f"/v1/receivables/{name}/fapiao"
    assert (await served.get(PLANT, "/v1/market"))["fapiao_need"] == "no"
    served.context.outside = Outside(fapiao=FapiaoFolder(tmp_path), fapiao_need="verified")
    await known_as(served, PLANT, PLANT_CO)
    assert (await served.post(FACTORY, path, INVOICE, 403))["code"] == "not_a_party"
    assert (await served.post(PLANT, path, INVOICE | {"total": "0.71"}, 422))["code"] == "fapiao_amount"
    assert (await served.post(PLANT, path, INVOICE | {"buyer": {"name": "B1"}}, 422))["code"] == "fapiao_party"
    buyer = {
        "name": (await served.get(PLANT, f"/v1/receivables/{name}/registration?bank={BANK}"))["form"]["debtors"][0][
            "name"
        ]
    }
    invoice = INVOICE | {"buyer": buyer}
    first = await served.post(PLANT, path, invoice, 201)
    assert first["state"] == "unverified"
    assert (await served.post(PLANT, path, invoice | {"net": "0.61", "tax": "0.09"}, 409))["code"] == "fapiao_used"
    status, answer = await served.call(PLANT, "POST", f"/v1/receivables/{other}/fapiao", invoice)
    assert status in (409, 422) and answer["code"] in ("fapiao_used", "fapiao_amount", "fapiao_party")
    await served.acknowledge(name)
    with pytest.raises(AssertionError, match="fapiao_not_verified"):
        await served.list_for_sale(name)
    verdict = Verdict(
        number=invoice["number"],
        issued=invoice["issued"],
        total="0.70",
        seller=Named(PLANT_CO["legal_name"], PLANT_CO["code"]),
        buyer=Named(buyer["name"]),
        status="valid",
        checked_at="2026-07-03T00:00:00Z",
    )
    file = tmp_path / f"{invoice['number']}.json"
    file.write_bytes(msgspec.json.encode(verdict))
    assert (await served.post(PLANT, path, invoice, 201))["state"] == "verified"
    assert (await served.get(FACTORY, f"/v1/receivables/{name}"))["receivable"]["fapiao"] == {
        "number": invoice["number"],
        "state": "verified",
    }
    evidence = await served.get(FACTORY, f"/v1/receivables/{name}/evidence")
    assert (evidence["invoice"]["number"], evidence["invoice"]["total_fen"]) == (invoice["number"], 70)
    file.write_bytes(msgspec.json.encode(msgspec.structs.replace(verdict, status="red")))
    with pytest.raises(AssertionError, match="fapiao_not_verified"):
        await served.list_for_sale(name)  # reversed after it was verified
    second = await served.post(PLANT, path, invoice | {"number": "26352000000000000018"}, 201)
    assert (second["number"], second["state"]) == ("26352000000000000018", "unverified")
    assert (await served.post(PLANT, path, invoice, 409))["code"] == "fapiao_used"
    assert (await served.call(HOME, "GET", path))[0] == 404


async def test_the_registration_of_a_sale_comes_filled_in_and_is_recorded(
    served: Served,  # noqa: F811
    tmp_path: Path,
) -> None:
    name = (await served.ids(FACTORY))[0]
    path = f"/v1/receivables/{name}/registration"
    await known_as(served, PLANT, PLANT_CO)
    await known_as(served, BANK, BANK_CO)
    await served.acknowledge(name)
    without = await served.get(PLANT, f"{path}?bank={BANK}")
    assert (without["has_registry"], without["search"], without["barred"]) == (False, None, None)
    assert (await served.get(PLANT, "/v1/market"))["has_registry"] is False
    served.context.outside = Outside(RegistryFolder(tmp_path))
    assert (await served.get(PLANT, f"{path}?bank={BANK}"))["barred"]["code"] == "registry_search_missing"
    with pytest.raises(AssertionError, match="registry_search_missing"):
        await served.list_for_sale(name)
    for folder in ("searches", "registrations"):
        (tmp_path / folder).mkdir()
    now = format_instant(served.ledger.now_s)
    search = SearchCertificate(number="S0000001", searched_at=now, grantor=Named(*PLANT_CO.values()))
    (tmp_path / "searches" / "1.json").write_bytes(msgspec.json.encode(search))
    await served.list_for_sale(name)
    answer = await served.get(BANK, path)
    assert answer["search"] == {"number": "S0000001", "searched": now, "found": []}
    form = msgspec.convert(answer["form"], Form)
    assert form.grantors == (Named(*PLANT_CO.values()),) and form.secured == (Named(*BANK_CO.values()),)
    assert (form.amount, form.receivables, form.business) == ("0.70", (name,), "factoring")
    said = {"number": "N0000001", "expires": "2027-01-31"}
    assert (await served.post(BANK, path, said, 422))["code"] == "registration_unknown"
    found = Registration(number="N0000001", registered_at=now, form=form)
    (tmp_path / "registrations" / "1.json").write_bytes(msgspec.json.encode(found))
    assert (await served.post(BANK, path, said | {"expires": "2099-01-01"}, 422))["code"] == "registration_mismatch"
    assert (await served.post(OTHER_BANK, path, said, 422))["code"] == "registration_mismatch"
    recorded = await served.post(BANK, path, said, 201)
    assert recorded["hash"] == registry.registration_hash("N0000001").hex()
    assert await served.post(BANK, path, said, 201) == recorded
    assert (await served.post(BANK, path, said | {"expires": "2027-01-30"}, 409))["code"] == "registration_used"
    assert (await served.get(BANK, path))["recorded"] == [recorded]
    assert (await served.call(FACTORY, "GET", f"{path}?bank={BANK}"))[0] == 403
    assert (await served.call(PLANT, "GET", path))[1]["code"] == "bank_needed"
    asked = await served.post(BANK, f"{path}/request", {}, 202)
    assert asked["number"] is None
    written = msgspec.json.decode((tmp_path / "requests" / f"{asked['reference']}.json").read_bytes(), type=Request)
    assert (written.what, written.form) == ("register", form)
    kept = await served.get(BANK, "/v1/registrations")
    assert kept["items"] == [{"receivable": name, "registration": recorded, "to_cancel": False}]
    assert (await served.get(OTHER_BANK, "/v1/registrations"))["items"] == []
    gone = "/v1/registrations/N0000001/cancellation"
    assert (await served.post(OTHER_BANK, gone, {"amendment_code": "7"}, 404))["code"] == "not_found"
    await served.post(BANK, gone, {"amendment_code": "secret"}, 202)  # it did not buy it in the end
    assert "secret" not in (tmp_path / "requests" / "cancel-N0000001.json").read_text("utf-8")
    rival = replace_secured(form, "隔壁银行")
    (tmp_path / "registrations" / "2.json").write_bytes(
        msgspec.json.encode(Registration(number="N0000002", registered_at=now, form=rival))
    )
    barred = (await served.get(BANK, path))["barred"]
    assert barred["code"] == "registry_conflict" and "N0000002" in barred["detail"]


def replace_secured(form: Form, name: str) -> Form:
    return msgspec.structs.replace(form, secured=(Named(name),), receivables=(), invoices=())


# ------------------------------------------------------------------------------------- notice and bank files


@pytest.fixture
def opened(served: Served) -> Served:  # noqa: F811
    """The market with a custodian at work."""
    directory = served.context.directory
    directory.members[CUSTODIAN] = replace(directory.members[CUSTODIAN], roles=frozenset({"custodian"}))
    return served


async def raw(served: Served, member: int, method: str, path: str, data: bytes | None = None) -> tuple[int, bytes, Any]:  # noqa: F811
    if member not in served.tokens:
        await served.call(member, "GET", "/v1/receivables")
    headers = {"Authorization": f"Bearer {served.tokens[member]}", "Content-Type": "application/xml"}
    async with served.http.request(method, served.server + path, data=data, headers=headers) as response:
        return response.status, await response.read(), response.headers


async def sell(served: Served, name: str) -> None:  # noqa: F811
    await served.acknowledge(name)
    await served.list_for_sale(name)
    (item,) = (await served.get(BANK, "/v1/receivables?state=listed"))["items"]
    await served.accept((await served.offer(BANK, item))["offer"])
    served.ledger.sync()


async def test_a_sold_receivable_is_told_to_its_debtor_on_paper_and_to_banks_as_files(opened: Served) -> None:
    name = (await opened.ids(FACTORY))[0]
    base = f"/v1/receivables/{name}"
    await known_as(opened, PLANT, PLANT_CO)
    for path in ("notice", "assignment_notification"):
        assert msgspec.json.decode((await raw(opened, PLANT, "GET", f"{base}/{path}"))[1])["code"] == "not_sold"
    asked = assignment.read((await raw(opened, PLANT, "GET", f"{base}/financing_request?bank={BANK}"))[1])[0]
    assert (asked.kind, asked.seller.name, asked.seller.tax_id) == (Kind.REQUEST, *PLANT_CO.values())
    assert (asked.bank.number, asked.asked_fen, asked.items[0].total_fen) == (str(BANK), 0, 70)
    await sell(opened, name)
    status, file, headers = await raw(opened, FACTORY, "GET", f"{base}/assignment_notification")
    assert (status, headers["Content-Type"]) == (200, "application/xml; charset=utf-8")
    (told,) = assignment.read(file)
    number = (await opened.get(FACTORY, base))["receivable"]["number"]
    assert (told.kind, told.account, told.asked_fen) == (Kind.NOTIFICATION, COLLECTION.number, 63)
    assert told.items[0].reference == receivable_reference(CHAIN_ID, number)
    for member in (FACTORY, PLANT, BANK, OPERATOR):
        status, page, headers = await raw(opened, member, "GET", f"{base}/notice")
        assert status == 200 and headers["Content-Type"].startswith("text/html")
        for words in (
            "债权转让通知书",
            PLANT_CO["legal_name"],
            COLLECTION.number,
            told.items[0].reference,
            name,
            "0.70",
        ):
            assert words in page.decode()
        assert COLLECTION.hash.hex() in page.decode() and "不能免除" in page.decode()
    english = (await raw(opened, FACTORY, "GET", f"{base}/notice?language=en"))[1].decode()
    assert "does not discharge" in english and "<script" not in english
    for member in (HOME, OTHER_BANK):
        assert (await raw(opened, member, "GET", f"{base}/notice"))[0] == 404
    assert (await raw(opened, FACTORY, "GET", f"{base}/notice?language=fr"))[0] == 400


async def test_what_came_in_is_matched_once_and_the_rest_is_told_with_its_reason(opened: Served) -> None:
    name = (await opened.ids(FACTORY))[0]
    item = (await opened.get(FACTORY, f"/v1/receivables/{name}"))["receivable"]
    debt, member = receivable_reference(CHAIN_ID, item["number"]), member_reference(CHAIN_ID, HOME)
    with opened.ledger.database.begin() as connection:
        minted = {"member_id": HOME, "to_escrow": False, "outbox_id": 1}
        connection.execute(
            tables.deposits.insert(),
            [
                {"reference": "B3", "amount_micro": 10_000_000, **minted},
                {"reference": "B4", "amount_micro": 9_990_000, **minted},
            ],
        )

    def entry(reference: str, amount_fen: int, *quoted: str, **changed: Any) -> Entry:
        day = date.fromisoformat("2026-07-06")
        return replace(Entry(COLLECTION.number, reference, amount_fen, True, "BOOK", day, "甲", quoted), **changed)

    sent = [
        (entry("B1", 70, "x", f"电费 {debt[:4]} {debt[4:]}"), "expected", "", FACTORY),
        (entry("B2", 500, member.lower()), "expected", "", HOME),
        (entry("B3", 1_000, debt), "deposited", "", None),
        (entry("B4", 1_000), "unmatched", "amount_differs", None),
        (entry("B5", 71, debt), "unmatched", "more_than_open", None),
        (entry("B6", 70, f"{debt[:-1]}{'1' if debt[-1] != '1' else '2'}"), "unmatched", "no_reference", None),
        (entry("B7", 70, receivable_reference(CHAIN_ID, 999)), "unmatched", "unknown_reference", None),
        (entry("B8", 70, receivable_reference(CHAIN_ID + 1, item["number"])), "unmatched", "no_reference", None),
        (entry("B9", 70, debt, is_credit=False), "not_money", "", None),
        (entry("B10", 70, debt, status="PDNG"), "not_money", "", None),
        (entry("B11", 70, debt, is_reversal=True), "not_money", "", None),
        (entry("B1", 70, debt), "taken_before", "", None),
    ]
    file = camt_054.build(Notification("N1", datetime(2026, 7, 6, 9), tuple(each[0] for each in sent)))
    path = "/v1/custody/credits"
    assert (await raw(opened, PLANT, "POST", path, file))[0] == 403
    status, answer, _ = await raw(opened, CUSTODIAN, "POST", path, file)
    shown = msgspec.json.decode(answer)
    assert (status, shown["message"]) == (200, "N1")
    found = [
        (e["state"], e["reason"], None if e["deposit"] is None else e["deposit"]["member"]) for e in shown["items"]
    ]
    assert found == [(state, reason, whom) for _, state, reason, whom in sent]
    assert shown["items"][0]["deposit"] == {"member": FACTORY, "amount": "0.70", "reference": "B1"}
    assert shown["items"][0]["receivable"] == name
    again = msgspec.json.decode((await raw(opened, CUSTODIAN, "POST", path, file))[1])
    assert {each["state"] for each in again["items"]} == {"taken_before", "not_money"}
    kept = (await opened.get(CUSTODIAN, "/v1/custody/entries?limit=5"))["items"]
    assert [(each["reference"], each["state"]) for each in kept] == [(e.reference, s) for e, s, _, _ in sent[:5]]
    elsewhere = camt_054.build(Notification("N2", datetime(2026, 7, 6), (replace(sent[0][0], account="777777"),)))
    other = msgspec.json.decode((await raw(opened, CUSTODIAN, "POST", path, elsewhere))[1])
    assert other["items"][0]["reason"] == "other_account"
    for body, expected in [
        (b"<x", (400, "bad_xml")),
        (LAUGHS, (400, "document_type")),
        (b"<x/>", (422, "unknown_message")),
    ]:
        status, answer, _ = await raw(opened, CUSTODIAN, "POST", path, body)
        assert (status, msgspec.json.decode(answer)["code"]) == expected


async def test_the_custodian_is_told_what_to_pay(opened: Served) -> None:
    path = "/v1/custody/payments?day=2026-07-06"
    assert (await raw(opened, CUSTODIAN, "GET", path))[0] == 404
    await known_as(opened, PLANT, PLANT_CO | ACCOUNT)
    deadline_s = opened.ledger.now_s + 3_600
    wanted = [(1, PLANT, 1_230_000, deadline_s), (2, HOME, 10_000, deadline_s), (3, PLANT, 10_001, deadline_s)]
    wanted += [(4, PLANT, 20_000, opened.ledger.now_s), (5, PLANT, 40_000, deadline_s)]
    with opened.ledger.database.begin() as connection:
        for number, member, amount_micro, until_s in wanted:
            row = Withdrawal(
                number, member, "cash", amount_micro, number, until_s, b"", 0, "signed", 0, payable_micro=amount_micro
            )
            withdrawal_store.add(connection, replace(row, payout_deadline_s=until_s))
    status, file, headers = await raw(opened, CUSTODIAN, "GET", path)
    assert (status, headers["Left-Out"]) == (200, "2,3")
    (order,) = pain_001.read(file)
    assert (order.payer.number, order.day) == (COLLECTION.number, date.fromisoformat("2026-07-06"))
    assert [(each.reference, each.amount_fen, each.payee.number) for each in order.payments] == [
        (f"jinsha-{CHAIN_ID}-withdrawal-1", 123, ACCOUNT["account"]),
        (f"jinsha-{CHAIN_ID}-withdrawal-5", 4, ACCOUNT["account"]),
    ]
    assert pain_001.read((await raw(opened, CUSTODIAN, "GET", path))[1])[0].message == order.message
    assert (await raw(opened, PLANT, "GET", path))[0] == 403
    assert (await raw(opened, CUSTODIAN, "GET", "/v1/custody/payments?day=2026-02-30"))[0] == 422


@given(st.integers(1, 2**31), st.integers(1, 10**9), st.booleans())
def test_a_reference_is_found_in_what_a_payer_wrote_and_a_slip_is_not(chain: int, number: int, is_debt: bool) -> None:
    reference = (receivable_reference if is_debt else member_reference)(chain, number)
    assert len(reference) <= 25
    grouped = " ".join(reference[at : at + 4] for at in range(0, len(reference), 4))
    for text in (reference, f"电费 {reference.lower()} 7月", grouped):
        assert quoted_in(text, chain) == Quoted(is_debt, number)
    assert quoted_in(reference, chain + 1) is None
    slipped = reference[:-1] + str((int(reference[-1]) + 1) % 10)
    assert quoted_in(slipped, chain) is None
