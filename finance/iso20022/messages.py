"""A message in and out: parsed and checked, or built and checked; and the amounts that are in all of them."""

from lxml import etree

from data.units import FEN_DECIMALS, UnitError, format_steps, parse_money_fen
from finance.iso20022.shapes import MESSAGES, SHAPES
from finance.iso20022.structure import check
from finance.iso20022.xml import MessageError, Writer, namespace_of, parse

CURRENCY = "CNY"


def open_message(data: bytes, *namespaces: str) -> etree._Element:
    """The message inside ``Document``, of one of these namespaces, checked. Raises MessageError."""
    root = parse(data)
    namespace = namespace_of(root)
    if namespace not in namespaces:
        raise MessageError("unknown_message", f"expected {' or '.join(namespaces)}, not {namespace[:80] or 'none'}")
    check(root, MESSAGES[namespace], SHAPES)
    return root[0]


def kind_of(data: bytes) -> str:
    """The namespace of any message that is known here, checked against its table. Raises MessageError."""
    return namespace_of(open_message(data, *MESSAGES))


def finished(writer: Writer) -> bytes:
    """A message that was built, as a file. That it breaks its own table is a bug, or text that fits no message.

    Raises MessageError for the latter: a name with too many characters, an empty reference.
    """
    check(writer.root, MESSAGES[namespace_of(writer.root)], SHAPES)
    return writer.done()


def amount_text(amount_fen: int) -> str:
    """Fen as messages write CNY: two decimals."""
    assert amount_fen >= 0
    return format_steps(amount_fen, FEN_DECIMALS)


def amount_fen(element: etree._Element, path: str) -> int:
    """An amount in CNY of whole fen. Raises MessageError ``bad_content``."""
    currency = element.get("Ccy", CURRENCY)
    if currency != CURRENCY:
        raise MessageError("bad_content", f"expected {CURRENCY}, not {currency}", path)
    try:
        return parse_money_fen((element.text or "").lstrip("+"))
    except UnitError as error:
        raise MessageError("bad_content", str(error), path) from error


def expect_sum(said: etree._Element | None, sum_fen: int, path: str) -> None:
    """A control sum, where there is one, is the sum. Raises MessageError ``bad_content``."""
    if said is not None and amount_fen(said, path) != sum_fen:
        raise MessageError("bad_content", f"says {said.text}, the amounts come to {amount_text(sum_fen)}", path)


def expect_count(said: etree._Element | None, count: int, path: str) -> None:
    """A number of transactions, where there is one, is how many there are. Raises MessageError ``bad_content``."""
    if said is not None and int(said.text or "0") != count:
        raise MessageError("bad_content", f"says {said.text}, there are {count}", path)


def plain(text: str, longest: int) -> str:
    """A text for people, cut to what a message bears and without characters that XML has not.

    For names and descriptions; references are never cut.
    """
    return "".join(each for each in " ".join(text.split()) if each.isprintable())[:longest]
