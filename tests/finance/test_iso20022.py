"""ISO 20022 files: structure, exact totals, what strangers send, and that what is written is read back."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from finance.iso20022 import assignment, camt_054, pain_001
from finance.iso20022.assignment import Assignment, Item, Kind, Partner
from finance.iso20022.camt_054 import Entry, Notification
from finance.iso20022.messages import kind_of
from finance.iso20022.pain_001 import Account, Payment, PaymentOrder
from finance.iso20022.structure import is_of_type
from finance.iso20022.xml import MOST_BYTES, MessageError
from market.main import main

PAYER = Account("金沙托管户", "6222000000000001", "102100099996", "工商银行")
PAYEE = Account("王芳", "6217000000000002", "105100000017", "建设银行")
ORDER = PaymentOrder(
    "M1",
    datetime(2026, 7, 5, 8, 0, 1),
    date(2026, 7, 6),
    PAYER,
    (Payment("jinsha-1-withdrawal-1", 12_345, PAYEE, "提现"), Payment("jinsha-1-withdrawal-2", 1, PAYEE, "提现")),
)
SOLD = Assignment(
    Kind.NOTIFICATION,
    "L1",
    date(2026, 7, 5),
    Partner("100", "上堰水电站", "91110000600037341L"),
    Partner("104", "闽江银行"),
    Partner("101", "铸造厂"),
    "6222000000000001",
    (Item("RF18539007547034", date(2026, 7, 2), date(2026, 8, 31), 60, 10, 70, "26352000000000000017", "abc"),),
    63,
)
ENTRY = Entry("6222", "B1", 7_000, True, "BOOK", date(2026, 7, 6), "铸造厂", ("RF18539007547034", "电费"))
NEWS = Notification("N1", datetime(2026, 7, 6, 9, 0), (ENTRY,))

READERS: dict[str, Callable[[bytes], object]] = {
    "pain.001.001.09": pain_001.read,
    "camt.054.001.08": camt_054.read,
    "tsin.006.001.01": assignment.read,
    "tsin.008.001.01": assignment.read,
}


def files() -> dict[str, bytes]:
    return {
        "pain.001.001.09": pain_001.build(ORDER),
        "camt.054.001.08": camt_054.build(NEWS),
        "tsin.006.001.01": assignment.build(replace(SOLD, kind=Kind.REQUEST)),
        "tsin.008.001.01": assignment.build(SOLD),
    }


def paths(data: bytes) -> list[str]:
    """Every element of a file in order, by its path, with its text."""
    found = []

    def walk(element: Any, above: str) -> None:
        path = f"{above}{etree.QName(element).localname}"
        text = (element.text or "").strip()
        found.append(f"{path} {text}".strip())
        for child in element:
            walk(child, f"{path}/")

    walk(etree.fromstring(data)[0], "")
    return found


def code_of(read: Callable[[bytes], object], data: bytes) -> str:
    with pytest.raises(MessageError) as error:
        read(data)
    return error.value.code


# ------------------------------------------------------------------------------------------------- structure


def test_a_payment_order_is_what_the_standard_says_element_by_element() -> None:
    root = etree.fromstring(pain_001.build(ORDER))
    assert root.tag == "{urn:iso:std:iso:20022:tech:xsd:pain.001.001.09}Document"
    listed = paths(pain_001.build(ORDER))
    top = "CstmrCdtTrfInitn"
    assert listed[:20] == [
        top,
        f"{top}/GrpHdr",
        f"{top}/GrpHdr/MsgId M1",
        f"{top}/GrpHdr/CreDtTm 2026-07-05T08:00:01Z",
        f"{top}/GrpHdr/NbOfTxs 2",
        f"{top}/GrpHdr/CtrlSum 123.46",
        f"{top}/GrpHdr/InitgPty",
        f"{top}/GrpHdr/InitgPty/Nm 金沙托管户",
        f"{top}/PmtInf",
        f"{top}/PmtInf/PmtInfId M1",
        f"{top}/PmtInf/PmtMtd TRF",
        f"{top}/PmtInf/BtchBookg false",
        f"{top}/PmtInf/NbOfTxs 2",
        f"{top}/PmtInf/CtrlSum 123.46",
        f"{top}/PmtInf/ReqdExctnDt",
        f"{top}/PmtInf/ReqdExctnDt/Dt 2026-07-06",
        f"{top}/PmtInf/Dbtr",
        f"{top}/PmtInf/Dbtr/Nm 金沙托管户",
        f"{top}/PmtInf/DbtrAcct",
        f"{top}/PmtInf/DbtrAcct/Id",
    ]
    transfer = f"{top}/PmtInf/CdtTrfTxInf"
    at = listed.index(transfer)
    assert [line for line in listed[at:] if line.count("/") == 3][:6] == [
        f"{transfer}/PmtId",
        f"{transfer}/Amt",
        f"{transfer}/CdtrAgt",
        f"{transfer}/Cdtr",
        f"{transfer}/CdtrAcct",
        f"{transfer}/RmtInf",
    ]
    amount = root.find(".//{*}InstdAmt")
    assert amount is not None and (amount.text, dict(amount.attrib)) == ("123.45", {"Ccy": "CNY"})


def test_an_assignment_is_what_the_standard_says_element_by_element() -> None:
    listed = paths(assignment.build(SOLD))
    top = "InvcAssgnmtNtfctn"
    heads = [
        line.split("/")[2].split()[0] for line in listed if line.startswith(f"{top}/Hdr/") and line.count("/") == 2
    ]
    assert heads == ["LttrIdr", "Dt", "Orgtr", "PmryRcpt", "AuthstnUsr", "OthrPty", "AssoctdDoc"]
    item = [line.removeprefix(f"{top}/NtfctnList/") for line in listed if line.startswith(f"{top}/NtfctnList/")]
    assert [line for line in item if "/" not in line] == [
        "Idr L1",
        "IsseDt 2026-07-05",
        "Assgne BANK",
        "Assgnr SELLER",
        "NtfctnInf",
        "FinItm",
        "ItmCnt 1",
        "CtrlSum 0.70",
        "TtlReqFincg",
    ]
    assert [line.removeprefix("FinItm/") for line in item if line.count("/") == 1 and line.startswith("FinItm")] == [
        "ItmCntxt",
        "FinDocRef INVOICE1",
        "CdtDbtInd DBIT",
        "TtlAmt",
        "DueAmt 0.70",
        "AddtlInf abc",
    ]
    assert listed[-3:] == [f"{top}/NtfctnCnt 1", f"{top}/ItmCnt 1", f"{top}/CtrlSum 0.70"]


@pytest.mark.parametrize("name", sorted(READERS))
def test_every_message_is_known_by_its_namespace(name: str) -> None:
    data = files()[name]
    assert kind_of(data) == f"urn:iso:std:iso:20022:tech:xsd:{name}"
    for other, read in READERS.items():
        if other[:4] != name[:4]:
            assert code_of(read, data) == "unknown_message"


@pytest.mark.parametrize("name", sorted(READERS))
def test_every_element_that_must_be_there_is_missed_and_none_may_be_renamed_or_out_of_order(name: str) -> None:
    data, read = files()[name], READERS[name]
    count = sum(1 for _ in etree.fromstring(data).iter())
    optional = 0
    for at in range(1, count):
        root = etree.fromstring(data)
        element = list(root.iter())[at]
        following = element.getnext()
        if following is not None and following.tag != element.tag:
            following.addnext(element)
            assert code_of(read, etree.tostring(root)) == "bad_structure"
        root = etree.fromstring(data)
        element = list(root.iter())[at]
        element.tag = f"{element.tag}X"
        assert code_of(read, etree.tostring(root)) == "bad_structure"
        parent = element.getparent()
        assert parent is not None
        parent.remove(element)
        try:
            read(etree.tostring(root))
            optional += 1
        except MessageError as error:
            assert error.code in ("bad_structure", "bad_content")
    assert 0 < optional < count // 2


@pytest.mark.parametrize(
    ("name", "old", "new", "code"),
    [
        ("pain.001.001.09", b"<MsgId>M1<", b"<MsgId>" + b"M" * 36 + b"<", "bad_structure"),
        ("pain.001.001.09", b"<MsgId>M1<", b"<MsgId><", "bad_structure"),
        ("pain.001.001.09", b">123.45<", b">123.456789<", "bad_structure"),
        ("pain.001.001.09", b">123.45<", b">123.451<", "bad_content"),
        ("pain.001.001.09", b">123.45<", b">-123.45<", "bad_structure"),
        ("pain.001.001.09", b">123.45<", b">1e2<", "bad_structure"),
        ("pain.001.001.09", b">123.45<", b">NaN<", "bad_structure"),
        ("pain.001.001.09", b'Ccy="CNY">123', b'Ccy="USD">123', "bad_content"),
        ("pain.001.001.09", b' Ccy="CNY">123', b">123", "bad_structure"),
        ("pain.001.001.09", b"<NbOfTxs>2<", b"<NbOfTxs>3<", "bad_content"),
        ("pain.001.001.09", b"<CtrlSum>123.46<", b"<CtrlSum>123.45<", "bad_content"),
        ("pain.001.001.09", b"2026-07-06<", b"2026-02-30<", "bad_structure"),
        ("pain.001.001.09", b"<GrpHdr>", b"<GrpHdr>hello", "bad_structure"),
        ("pain.001.001.09", b"<GrpHdr>", b'<GrpHdr a="1">', "bad_structure"),
        ("camt.054.001.08", b">CRDT<", b">CREDIT<", "bad_structure"),
        ("camt.054.001.08", b"<Sum>70.00<", b"<Sum>70.01<", "bad_content"),
        ("camt.054.001.08", b"<NbOfNtries>1<", b"<NbOfNtries>0<", "bad_content"),
        ("tsin.008.001.01", b"<Assgne>BANK<", b"<Assgne>NOBODY<", "bad_structure"),
        ("tsin.008.001.01", b"<Id>USER<", b"<Id>BANK<", "bad_structure"),
        ("tsin.008.001.01", b">DBIT<", b">CRDT<", "bad_content"),
        ("tsin.008.001.01", b'"CNY">0.60<', b'"CNY">0.61<', "bad_content"),
        ("tsin.008.001.01", b"<ItmCnt>1<", b"<ItmCnt>2<", "bad_content"),
    ],
)
def test_what_breaks_the_rules_is_refused(name: str, old: bytes, new: bytes, code: str) -> None:
    data = files()[name]
    assert old in data
    assert code_of(READERS[name], data.replace(old, new)) == code


def test_types_have_the_bounds_of_the_standard() -> None:
    assert is_of_type("Amount", "1234567890123.12345") and not is_of_type("Amount", "12345678901234.12345")
    assert is_of_type("Amount", "0") and is_of_type("Amount", "001.50000000") and not is_of_type("Amount", ".5")
    assert is_of_type("Max15NumericText", "9" * 15) and not is_of_type("Max15NumericText", "9" * 16)
    assert is_of_type("Max35Text", "用" * 35) and not is_of_type("Max35Text", "用" * 36)
    assert is_of_type("ISODateTime", "2026-07-05T08:00:00.123+08:00") and not is_of_type("ISODateTime", "2026-07-05")
    assert is_of_type("BIC", "ICBKCNBJ") and not is_of_type("BIC", "ICBKCNB")
    assert not is_of_type("Max15NumericText", "１２")  # full width


# ------------------------------------------------------------------------------------------------- strangers

LAUGHS = b"""<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.054.001.08">&c;</Document>"""
OUTSIDE = b"""<?xml version="1.0"?><!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><Document>&x;</Document>"""


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (LAUGHS, "document_type"),
        (OUTSIDE, "document_type"),
        (OUTSIDE.decode().encode("utf-16"), "bad_xml"),
        (OUTSIDE.replace(b'"1.0"?', b'"1.0" encoding="UTF-7"?'), "bad_xml"),
        (b"<Document", "bad_xml"),
        (b"", "bad_xml"),
        (b"<a>&unknown;</a>", "bad_xml"),
        (b"<a>\x00</a>", "bad_xml"),
        (b"<a>" * 10_000, "bad_xml"),
        (b"<Document/>", "unknown_message"),
        (b" " * (MOST_BYTES + 1), "too_large"),
        (b'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.054.001.08"/>', "bad_structure"),
    ],
)
def test_what_is_dangerous_or_no_message_is_refused(data: bytes, code: str) -> None:
    assert code_of(kind_of, data) == code


FROM_A_BANK = """<?xml version="1.0" encoding="UTF-8"?>
<!-- the bank's own remarks -->
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.054.001.08" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:schemaLocation="urn:iso:std:iso:20022:tech:xsd:camt.054.001.08 camt.054.001.08.xsd">
<BkToCstmrDbtCdtNtfctn>
 <GrpHdr><MsgId>X-7</MsgId><CreDtTm>2026-07-06T18:00:00.5+08:00</CreDtTm></GrpHdr>
 <Ntfctn>
  <Id>X-7-1</Id>
  <Acct><Id><Othr><Id>6222</Id></Othr></Id><Ccy>CNY</Ccy></Acct>
  <Ntry>
   <Amt Ccy="CNY">30</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
   <BookgDt><DtTm>2026-07-06T17:00:00+08:00</DtTm></BookgDt><AcctSvcrRef>E1</AcctSvcrRef>
   <BkTxCd><Prtry><Cd>C1</Cd></Prtry></BkTxCd>
   <NtryDtls><Btch><NbOfTxs>2</NbOfTxs></Btch>
    <TxDtls><Refs><AcctSvcrRef>T1</AcctSvcrRef><EndToEndId>NOTPROVIDED</EndToEndId></Refs>
     <Amt Ccy="CNY">10.5</Amt><CdtDbtInd>CRDT</CdtDbtInd>
     <RltdPties><Dbtr><Pty><Nm>铸造厂</Nm></Pty></Dbtr></RltdPties>
     <RmtInf><Strd><CdtrRefInf><Ref>RF18539007547034</Ref></CdtrRefInf></Strd></RmtInf></TxDtls>
    <TxDtls><Refs><AcctSvcrRef>T2</AcctSvcrRef></Refs><Amt Ccy="CNY">19.50</Amt></TxDtls>
   </NtryDtls>
  </Ntry>
  <Ntry><Amt Ccy="CNY">5</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><NtryRef/></Ntry>
 </Ntfctn>
</BkToCstmrDbtCdtNtfctn>
</Document>"""


def test_a_batch_is_read_transaction_by_transaction() -> None:
    good = FROM_A_BANK.replace("<NtryRef/>", "<AcctSvcrRef>E2</AcctSvcrRef><BkTxCd/>")
    news = camt_054.read(good.encode())
    assert (news.message, news.made) == ("X-7", datetime(2026, 7, 6, 18))
    day = date(2026, 7, 6)
    assert news.entries == (
        Entry("6222", "T1", 1_050, True, "BOOK", day, "铸造厂", ("RF18539007547034",)),
        Entry("6222", "T2", 1_950, True, "BOOK", day, "", ()),
        Entry("6222", "E2", 500, False, "BOOK", None, "", ()),
    )
    assert [entry.is_money for entry in news.entries] == [True, True, False]
    for odd, code in [
        (good.replace("19.50", "19.51"), "bad_content"),
        (good.replace('<Amt Ccy="CNY">19.50</Amt>', ""), "bad_content"),
        (good.replace("<AcctSvcrRef>E2</AcctSvcrRef>", ""), "bad_content"),
        (FROM_A_BANK, "bad_structure"),
    ]:
        assert code_of(camt_054.read, odd.encode()) == code


# ----------------------------------------------------------------------------------------------- round trips

texts = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=35)
fen = st.integers(1, 10**12)
days = st.dates(date(2020, 1, 1), date(2099, 12, 31))
moments = st.datetimes(datetime(2020, 1, 1), datetime(2099, 12, 31)).map(lambda each: each.replace(microsecond=0))
accounts = st.builds(Account, texts, texts.map(lambda text: text[:34]), texts, texts)
orders = st.builds(
    PaymentOrder,
    texts,
    moments,
    days,
    accounts,
    st.lists(st.builds(Payment, texts, fen, accounts, texts), min_size=1, max_size=3).map(tuple),
)
entries = st.builds(
    Entry,
    st.just("6222"),
    texts,
    fen,
    st.booleans(),
    st.sampled_from(["BOOK", "PDNG"]),
    st.none() | days,
    st.just("") | texts,
    st.lists(texts.filter(lambda text: text != "NOTPROVIDED"), unique=True, min_size=1, max_size=3).map(tuple),
    st.booleans(),
)
partners = st.builds(Partner, texts, texts, st.just("") | texts)
items = st.builds(Item, texts, days, days, fen, fen, fen, st.just("") | texts, st.just("") | texts)
assignments = st.builds(
    Assignment,
    st.sampled_from(Kind),
    texts,
    days,
    partners,
    partners,
    partners,
    texts.map(lambda text: text[:34]),
    st.lists(items, min_size=1, max_size=3).map(tuple),
    st.integers(0, 10**12),
)


@settings(max_examples=15, deadline=None)
@given(orders, st.lists(entries, min_size=1, max_size=3), assignments)
def test_what_is_written_is_read_back(order: PaymentOrder, some: list[Entry], sold: Assignment) -> None:
    assert pain_001.read(pain_001.build(order)) == [order]
    news = Notification("N", datetime(2026, 7, 6), tuple(some))
    assert camt_054.read(camt_054.build(news)) == news
    assert assignment.read(assignment.build(sold)) == [sold]


def test_a_text_that_does_not_fit_is_refused_and_never_cut_when_it_is_a_reference() -> None:
    long = replace(ORDER, payments=(replace(ORDER.payments[0], reference="r" * 36),))
    with pytest.raises(MessageError, match="EndToEndId"):
        pain_001.build(long)
    named = assignment.build(replace(SOLD, seller=Partner("1", "名" * 200)))
    assert assignment.read(named)[0].seller.name == "名" * 140


def test_the_command_says_what_is_in_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, data in files().items():
        (tmp_path / name).write_bytes(data)
    assert main(["iso20022", "check", *(str(tmp_path / name) for name in sorted(files()))]) == 0
    assert [line.partition(": ")[2] for line in capsys.readouterr().out.splitlines()] == [
        "camt.054.001.08, 1 credits, 70.00 CNY",
        "pain.001.001.09, 2 payments, 123.46 CNY",
        "tsin.006.001.01, 1 receivables, 0.70 CNY",
        "tsin.008.001.01, 1 receivables, 0.70 CNY",
    ]
    (tmp_path / "odd").write_bytes(files()["camt.054.001.08"].replace(b"CRDT", b"X"))
    assert main(["iso20022", "check", str(tmp_path / "odd")]) == 1
    assert "CdtDbtInd" in capsys.readouterr().out
    assert main(["iso20022", "check", str(tmp_path / "none")]) == 2
