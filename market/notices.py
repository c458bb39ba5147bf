"""The notice of assignment: one printable HTML page that tells a debtor who owns its debt now and where to pay.

Civil Code of the PRC, article 546: an assignment has no effect on a debtor who was not notified; article 764: a factor
that notifies shows that it is one, and its papers. The debtor signed the account's hash with its acknowledgement; this
page is the same said in words.
"""

from collections.abc import Mapping
from datetime import date, datetime
from importlib.resources import files
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from data.units import FEN_DECIMALS, format_steps
from market.config import CollectionAccount
from market.openapi.page import Page, digest
from market.statement_words import Language

_WORDS: Mapping[str, tuple[str, str]] = {
    "title": ("债权转让通知书", "Notice of assignment"),
    "to": ("致债务人", "To the debtor"),
    "seller": ("债权人(转让人)", "Creditor (assignor)"),
    "holder": ("受让人(保理人)", "Assignee (factor)"),
    "code": ("统一社会信用代码/证件号码", "Unified social credit code or identity number"),
    "told": (
        "兹通知贵方:转让人因向贵方售电而享有的下列应收账款,已转让给受让人。受让人以保理人身份受让该债权。",
        "You are hereby notified that the receivable below, which the assignor holds against you for electricity "
        "delivered, has been assigned to the assignee, which takes it as a factor.",
    ),
    "what": ("转让的应收账款", "The receivable assigned"),
    "number": ("编号", "Number"),
    "receivable": ("链上标识", "Identifier on the chain"),
    "period": ("供电期间", "Delivered from, to"),
    "issued": ("账单日", "Issued"),
    "due": ("到期日", "Due"),
    "face": ("金额(元)", "Amount (CNY)"),
    "open": ("尚未支付(元)", "Still open (CNY)"),
    "invoice": ("数电发票号码", "Tax invoice"),
    "registration": ("中登网登记证明编号", "Number in the registry (中登网)"),
    "none": ("无", "none"),
    "where": ("付款账户", "Where to pay"),
    "account_name": ("户名", "Account name"),
    "account": ("账号", "Account"),
    "bank": ("开户行", "Bank"),
    "reference": ("付款附言(必填)", "Reference to quote"),
    "cash": (
        "在本市场内以贵方账户资金支付(POST /v1/receivables/{receivable}/repay)。",
        "Out of your cash in this market (POST /v1/receivables/{receivable}/repay).",
    ),
    "only": (
        "自收到本通知起,请仅向上述账户付款。向转让人或其他任何账户付款,不能免除贵方的付款义务。",
        "From the receipt of this notice, pay to this account only. Payment to the assignor or to any other account "
        "does not discharge you.",
    ),
    "signed": (
        "贵方确认该应收账款时,已以电子签名确认上述收款账户,并放弃对受让人的抗辩。收款账户摘要",
        "When you acknowledged the receivable you signed for this account, and waived your defences against an "
        "assignee. Hash of the account",
    ),
    "law": (
        "依据《中华人民共和国民法典》第五百四十六条、第七百六十四条。",
        "Civil Code of the People's Republic of China, articles 546 and 764.",
    ),
    "made": ("出具时间", "Made at"),
}


class Party(NamedTuple):
    """A party with its number here, its legal name and its code (empty: not given)."""

    member: int
    name: str
    code: str


class Notice(NamedTuple):
    """All that is on the page; amounts in fen."""

    number: int
    receivable: str
    seller: Party
    holder: Party
    debtor: Party
    first_day: str
    last_day: str
    issued: date
    due: date
    face_fen: int
    open_fen: int
    invoice: str
    registration: str
    account: CollectionAccount
    reference: str
    made: datetime


def page_of(notice: Notice, language: Language) -> Page:
    """The page, with the policy that it is served under: its own style and nothing else."""
    style = files("market").joinpath("pages", "statement.css").read_text("utf-8")
    pages = Environment(loader=PackageLoader("market", "pages"), autoescape=True, undefined=StrictUndefined)
    place = 0 if language == Language.CHINESE else 1
    html = pages.get_template("notice.html.j2").render(
        notice=notice,
        language=language,
        words=lambda name: _WORDS[name][place],
        money=lambda fen: format_steps(fen, FEN_DECIMALS),
        style=Markup(style),
    )
    policy = (
        f"default-src 'none'; style-src '{digest(style)}'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return Page(html.encode(), policy)
