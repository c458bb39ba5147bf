"""What the registry shows, and what bars a sale: rules on values, the folder, and frauds tried in a real book."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from data.units import format_instant, parse_instant_s
from finance import outside, registry, registry_store, store
from finance.book import RefusedError
from finance.fapiao import Verdict
from finance.outside import Outside
from finance.registry import (
    Exempt,
    Form,
    Found,
    Named,
    Registration,
    RegistryError,
    Release,
    Said,
    SearchCertificate,
    Subject,
    mismatch,
    refusal_of,
)
from finance.registry_folder import RegistryFolder
from settlement import receivable_acts
from tests.finance.ledger import BANK, FACTORY, PLANT, Ledger, a_day_on_terms

NOW_S = parse_instant_s("2026-07-05T08:00:00Z")
PLANT_CO, FACTORY_CO = Named("上堰水电站有限公司", "91110000600037341L"), Named("下游铸造厂")
BANK_CO, RIVAL = Named("闽江银行"), Named("隔壁银行")
SUBJECT = Subject("ab" * 32, PLANT_CO, FACTORY_CO, "2026-07-01", "2026-07-01", "26352000000000000017")


def form(**changed: Any) -> Form:
    values: dict[str, Any] = {
        "business": "factoring",
        "grantors": (PLANT_CO,),
        "secured": (RIVAL,),
        "description": "全部应收账款",
        "term_months": 12,
    }
    return Form(**values | changed)


def registered(number: str = "0123456789", at: str = "2026-06-01T00:00:00Z", **changed: Any) -> Registration:
    top = {name: changed.pop(name) for name in ("cancelled_at", "releases") if name in changed}
    return Registration(number=number, registered_at=at, form=form(**changed), **top)


def searched(*found: Registration, at_s: int = NOW_S - 60) -> Found:
    numbers = tuple(each.number for each in found)
    search = SearchCertificate(number="S0000001", searched_at=format_instant(at_s), grantor=PLANT_CO, found=numbers)
    return Found(search, found)


def code_of(found: Found | None, buyer: Named | None = None, subject: Subject = SUBJECT) -> str | None:
    refusal = refusal_of(found, subject, NOW_S, Exempt(buyer))
    return None if refusal is None else refusal.code


@pytest.mark.parametrize(
    ("changed", "bars"),
    [
        ({}, True),  # of all receivables
        ({"business": "receivable_pledge"}, True),
        ({"business": "chattel"}, False),
        ({"grantors": (Named("另一家电站"),)}, False),
        ({"grantors": (Named("改了名字", PLANT_CO.code),)}, True),
        ({"grantors": (Named("上堰水电站 有限公司"),)}, True),
        ({"debtors": (FACTORY_CO,)}, True),
        ({"debtors": (Named("别的工厂"),)}, False),
        ({"last_day": "2026-06-30"}, False),
        ({"first_day": "2026-06-01", "last_day": "2026-07-01"}, True),
        ({"first_day": "2026-07-02"}, False),
        ({"invoices": ("26352000000000000017",)}, True),
        ({"invoices": ("26352000000000000018",)}, False),
        ({"invoices": ("26352000000000000017",), "debtors": (Named("别的工厂"),)}, True),
        ({"receivables": ("ab" * 32,)}, True),
        ({"receivables": ("cd" * 32,)}, False),
        ({"cancelled_at": "2026-07-05T07:59:59Z"}, False),
        ({"cancelled_at": "2026-07-05T08:00:01Z"}, True),
        ({"term_months": 1}, True),
        ({"releases": (Release("ab" * 32, "2026-07-05T07:00:00Z"),)}, False),
        ({"releases": (Release("26352000000000000017", "2026-07-05T07:00:00Z"),)}, False),
        ({"releases": (Release("cd" * 32, "2026-07-05T07:00:00Z"),)}, True),
    ],
)
def test_a_conflicting_pledge_in_the_registry(changed: dict[str, Any], bars: bool) -> None:
    found = searched(registered(at="2026-06-05T08:00:01Z", **changed))
    refusal = refusal_of(found, SUBJECT, NOW_S)
    assert (refusal is not None) == bars
    if refusal is not None:
        assert refusal.code == "registry_conflict" and "0123456789" in refusal.reason


def test_a_term_of_a_month_ends_where_the_next_has_fewer_days() -> None:
    short = registered(at="2026-01-31T08:00:00Z", term_months=1)
    assert format_instant(registry.ends_s(short)) == "2026-02-28T08:00:00Z"
    assert registry.last_day(short) == date(2026, 2, 27)


def test_a_search_must_be_there_fresh_and_complete() -> None:
    assert code_of(None) == "registry_search_missing"
    assert code_of(searched(at_s=NOW_S - 86_399)) is None
    assert code_of(searched(at_s=NOW_S - 86_400)) == "registry_search_stale"
    assert code_of(searched(at_s=NOW_S + 1)) == "registry_search_stale"
    whole = searched(registered(business="lease"))
    assert code_of(whole) is None
    assert code_of(Found(whole.search, ())) == "registry_search_incomplete"


def test_an_invoice_that_is_not_known_yet_does_not_tell_a_pledge_apart() -> None:
    other = searched(registered(invoices=("26352000000000000018",)))
    assert code_of(other) is None
    assert code_of(other, subject=SUBJECT._replace(invoice=None)) == "registry_conflict"


def test_the_buyers_own_registration_bars_nobody_but_others() -> None:
    own = searched(registered(secured=(BANK_CO,)))
    assert code_of(own) == code_of(own, RIVAL) == "registry_conflict"
    assert code_of(own, BANK_CO) is None
    assert code_of(searched(registered(secured=(BANK_CO, RIVAL))), BANK_CO) == "registry_conflict"
    sold = searched(registered(secured=(RIVAL,)))  # what is left of it may be pledged to another
    assert refusal_of(sold, SUBJECT, NOW_S, Exempt(BANK_CO, registry.registration_hash("0123456789"))) is None
    assert refusal_of(sold, SUBJECT, NOW_S, Exempt(BANK_CO, registry.registration_hash("9876543210"))) is not None


def test_a_certificate_must_be_of_the_sale_that_it_is_recorded_for() -> None:
    mine = registered(secured=(BANK_CO,), receivables=(SUBJECT.receivable,))
    said = Said("0123456789", BANK_CO, date(2027, 5, 31))
    assert mismatch(mine, SUBJECT, said, NOW_S) is None
    wrong = [
        (registered(secured=(BANK_CO,), cancelled_at="2026-07-01T00:00:00Z"), said),
        (mine, said._replace(secured=RIVAL)),
        (registered(secured=(BANK_CO,), receivables=("cd" * 32,)), said),
        (mine, said._replace(last_day=date(2027, 6, 1))),
    ]
    assert all(mismatch(found, SUBJECT, words, NOW_S) is not None for found, words in wrong)


# ------------------------------------------------------------------------------------------------ the folder


def put(folder: Path, kind: str, name: str, document: Any) -> None:
    (folder / kind).mkdir(exist_ok=True)
    (folder / kind / f"{name}.json").write_bytes(msgspec.json.encode(document))


def test_the_folder_answers_with_what_a_clerk_put_there(tmp_path: Path) -> None:
    folder = RegistryFolder(tmp_path)
    assert folder.search(PLANT_CO) is None
    pledge = registered(secured=(RIVAL,))
    put(tmp_path, "registrations", "pledge", pledge)
    put(tmp_path, "searches", "old", searched(at_s=NOW_S - 90_000).search)
    put(tmp_path, "searches", "new", searched(at_s=NOW_S).search)
    found = folder.search(PLANT_CO)
    assert found is not None and found.search.searched_at == "2026-07-05T08:00:00Z"
    assert found.registrations == (pledge,)  # though the search did not show it
    assert folder.certificate("0123456789") == pledge
    assert folder.search(FACTORY_CO) is None


def test_the_clerk_is_told_what_to_do_at_the_web_site(tmp_path: Path) -> None:
    folder = RegistryFolder(tmp_path)
    receipt = registry.Receipt("0123456789", "secret-code")
    assert folder.register(form(), "r1") is None
    folder.amend(receipt, form(term_months=24))
    folder.cancel(receipt)
    asked = {path.stem: path.read_text("utf-8") for path in (tmp_path / "requests").iterdir()}
    assert set(asked) == {"r1", "amend-0123456789", "cancel-0123456789"}
    assert not any("secret-code" in text for text in asked.values())


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"{}",
        msgspec.json.encode(searched().search).replace(b"2026-07-05T07:59:00Z", b"yesterday"),
        msgspec.json.encode(searched().search).replace(b"S0000001", b"S/../1"),
        b" " * (2**20 + 1),
    ],
)
def test_a_file_that_can_not_be_read_is_an_outage(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "searches").mkdir()
    (tmp_path / "searches" / "odd.json").write_bytes(content)
    with pytest.raises(RegistryError, match=r"odd\.json"):
        RegistryFolder(tmp_path).search(PLANT_CO)


# -------------------------------------------------------------------------------------------------- the book


def listed_again(ledger: Ledger, checks: Outside, receivable_id: bytes) -> None:
    """The plant asks to list; raises RefusedError."""

    def digest_of(**terms: int) -> bytes:
        return receivable_acts.set_listed_digest(ledger.domain, receivable_id, PLANT, True, **terms)

    word = ledger.word(PLANT, digest_of)
    with ledger.database.begin() as connection:
        book = replace(ledger.book, outside=checks)
        book.list_for_sale(connection, word, receivable_id, now_s=ledger.now_s)


def refused(act: Callable[[], None]) -> str:
    with pytest.raises(RefusedError) as error:
        act()
    return error.value.code


def test_a_conflicting_pledge_before_listing_one_released_and_one_that_appears_before_the_sale(
    ledger: Ledger, tmp_path: Path
) -> None:
    a_day_on_terms(ledger)
    ledger.issue()
    with ledger.database.begin() as connection:
        for member, party in ((PLANT, PLANT_CO), (BANK, BANK_CO)):
            registry_store.add_particulars(
                connection,
                member,
                legal_name=party.name,
                code=party.code,
                account="",
                bank_name="",
                bank_code="",
                given_s=0,
                confirmed_s=0,
            )
        row = next(row for row in store.all_receivables(connection) if row.debtor == FACTORY)
    receivable_id = row.receivable_id
    ledger.acknowledge(FACTORY, receivable_id)
    ledger.sync()
    folder = tmp_path / "registry"
    folder.mkdir()
    checks = Outside(RegistryFolder(folder))

    def ask() -> None:
        listed_again(ledger, checks, receivable_id)

    def for_sale() -> str | None:
        with ledger.database.connect() as connection:
            barred = checks.sale_refusal(connection, row, BANK, registry.registration_hash("N0000001"), ledger.now_s)
        return None if barred is None else barred.code

    assert refused(ask) == "registry_search_missing"
    put(folder, "searches", "1", searched(at_s=ledger.now_s - 3_600).search)
    pledge = registered(at=format_instant(ledger.now_s - 86_400 * 30))
    put(folder, "registrations", "pledge", pledge)
    assert refused(ask) == "registry_conflict"
    released = msgspec.structs.replace(
        pledge, releases=(Release(receivable_id.hex(), format_instant(ledger.now_s - 1)),)
    )
    put(folder, "registrations", "pledge", released)
    ask()
    ledger.sync()

    with ledger.database.begin() as connection:
        filled = outside.form_of(connection, row, BANK, 9)
        assert filled.grantors == (PLANT_CO,) and filled.secured == (BANK_CO,)
        assert filled.receivables == (receivable_id.hex(),) and filled.amount in filled.description
    assert for_sale() == "registration_missing"
    with ledger.database.begin() as connection:
        registry_store.add_registration(
            connection,
            number="N0000001",
            registration_hash=registry.registration_hash("N0000001"),
            receivable_id=receivable_id,
            party=BANK,
            expires_day=row.due_day,
            recorded_s=ledger.now_s,
        )
    assert for_sale() is None
    put(folder, "registrations", "between", registered("N9999999", format_instant(ledger.now_s - 5)))
    assert for_sale() == "registry_conflict"  # it appeared between listing and sale
    (folder / "registrations" / "between.json").unlink()
    ledger.now_s += 86_400
    assert for_sale() == "registry_search_stale"
    (folder / "searches" / "1.json").write_bytes(b"")
    assert for_sale() == "registry_unavailable"


def test_the_files_that_operators_are_shown_can_be_read() -> None:
    page = Path(__file__).parents[2].joinpath("docs", "operating.md").read_text("utf-8")
    section = page[page.index("## Registry and tax office") : page.index("## When something fails")]
    blocks = re.findall(r"```json\n(.*?)```", section, re.DOTALL)
    kinds: tuple[Any, ...] = (SearchCertificate, Registration, Verdict)
    search, found, _ = (msgspec.json.decode(block, type=kind) for block, kind in zip(blocks, kinds, strict=True))
    assert search.found == (found.number,)
    assert code_of(Found(search, (found,)), subject=SUBJECT._replace(first_day="2026-06-30")) is None
