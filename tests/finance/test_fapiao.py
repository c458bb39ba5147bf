"""The tax invoice: its form, the face that it must match, the tax office's word, and that a number is used once."""

from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from finance.fapiao import Fapiao, FapiaoFolder, Owed, Verdict, judge, refusal_of
from finance.outside import Outside
from finance.registry import Named, RegistryError

SELLER, BUYER = Named("上堰水电站有限公司", "91110000600037341L"), Named("下游铸造厂")
SAID = Fapiao("26352000000000000017", date(2026, 7, 3), 62, 8, 70, SELLER, BUYER)
OWED = Owed(70, date(2026, 7, 1), SELLER, BUYER)
TODAY = date(2026, 7, 5)
VERDICT = Verdict(
    number=SAID.number,
    issued="2026-07-03",
    total="0.70",
    seller=SELLER,
    buyer=BUYER,
    status="valid",
    checked_at="2026-07-04T00:00:00Z",
)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({}, None),
        ({"number": "2635200000000000001"}, "bad_fapiao"),
        ({"number": "263520000000000000170"}, "bad_fapiao"),
        ({"number": "2635200000000000001a"}, "bad_fapiao"),
        ({"number": "２６352000000000000017"}, "bad_fapiao"),
        ({"number": "26002000000000000017"}, "bad_fapiao"),
        ({"number": "25352000000000000017"}, "bad_fapiao"),
        ({"issued": date(2026, 6, 30)}, "bad_fapiao"),
        ({"issued": date(2026, 7, 6)}, "bad_fapiao"),
        ({"net_fen": 61}, "fapiao_amount"),
        ({"net_fen": 63, "total_fen": 71}, "fapiao_amount"),
        ({"net_fen": 78, "tax_fen": -8}, "fapiao_amount"),
        ({"net_fen": 0, "tax_fen": 70}, "fapiao_amount"),
        ({"net_fen": 70, "tax_fen": 0}, None),
        ({"seller": Named("别人", "91110000600037341L")}, None),
        ({"seller": Named("上堰水电站有限公司", "91350211M000100Y46")}, "fapiao_party"),
        ({"buyer": Named("别的厂")}, "fapiao_party"),
    ],
)
def test_an_invoice_is_that_of_its_receivable(changed: dict[str, Any], code: str | None) -> None:
    refusal = refusal_of(SAID._replace(**changed), OWED, TODAY)
    assert (None if refusal is None else refusal.code) == code


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({}, "verified"),
        ({"status": "void"}, "refused"),
        ({"status": "red"}, "refused"),
        ({"total": "0.71"}, "refused"),
        ({"issued": "2026-07-04"}, "refused"),
        ({"number": "26352000000000000018"}, "refused"),
        ({"seller": Named("别人")}, "refused"),
        ({"buyer": Named("别人")}, "refused"),
    ],
)
def test_the_tax_office_has_the_last_word(changed: dict[str, Any], state: str) -> None:
    verdict = msgspec.structs.replace(VERDICT, **changed)
    found, reason = judge(SAID, verdict)
    assert (found, bool(reason)) == (state, state == "refused")


def test_the_folder_answers_for_a_number(tmp_path: Path) -> None:
    checks = Outside(fapiao=FapiaoFolder(tmp_path))
    assert checks.judge(SAID) == Outside().judge(SAID) == ("unverified", "")
    (tmp_path / f"{SAID.number}.json").write_bytes(msgspec.json.encode(VERDICT))
    assert checks.judge(SAID) == ("verified", "")
    (tmp_path / f"{SAID.number}.json").write_bytes(b"{}")
    with pytest.raises(RegistryError):
        checks.judge(SAID)
