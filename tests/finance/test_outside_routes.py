"""Registry, tax invoice, notice and bank files over real HTTP: what is answered, to whom, and what is refused."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from data.units import format_instant
from finance import registry
from finance.fapiao import FapiaoFolder, Verdict
from finance.outside import Outside
from finance.registry import Form, Named, Registration, SearchCertificate
from finance.registry_folder import RegistryFolder
from tests.finance.ledger import BANK, FACTORY, HOME, OTHER_BANK, PLANT
from tests.finance.test_finance_routes import Served, issued, ledger, served  # noqa: F401 - fixtures
from tests.settlement.settlement_world import OPERATOR

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
    assert given["particulars"] == PLANT_CO | ACCOUNT
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


async def test_an_invoice_is_recorded_once_matches_the_face_and_is_verified(
    served: Served,  # noqa: F811
    tmp_path: Path,
) -> None:
    name = (await served.ids(FACTORY))[0]
    other = next(each for each in await served.ids(PLANT) if each != name)
    path = f"/v1/receivables/{name}/fapiao"
    assert (await served.get(PLANT, "/v1/market"))["fapiao_need"] == "no"
    served.context.outside = Outside(fapiao=FapiaoFolder(tmp_path), fapiao_need="verified")
    await served.post(PLANT, "/v1/particulars", PLANT_CO, 201)
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
    await served.post(PLANT, "/v1/particulars", PLANT_CO, 201)
    await served.post(BANK, "/v1/particulars", BANK_CO, 201)
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
    assert (await served.call(PLANT, "GET", path))[1]["code"] == "missing_parameter"
    rival = replace_secured(form, "隔壁银行")
    (tmp_path / "registrations" / "2.json").write_bytes(
        msgspec.json.encode(Registration(number="N0000002", registered_at=now, form=rival))
    )
    barred = (await served.get(BANK, path))["barred"]
    assert barred["code"] == "registry_conflict" and "N0000002" in barred["detail"]


def replace_secured(form: Form, name: str) -> Form:
    return msgspec.structs.replace(form, secured=(Named(name),), receivables=(), invoices=())
