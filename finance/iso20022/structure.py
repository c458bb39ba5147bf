"""Does a message have the structure that ISO 20022 gives it? A table says which elements, in which order, how often.

The tables (``shapes.py``) are text, indented by two spaces, one element a line::

    CdtTrfTxInf +              one or more (* any number, ? at most one, nothing: exactly one)
      PmtId
        EndToEndId Max35Text   a text of that type
      Amt
        | InstdAmt Amount      of neighbours that begin with | there is exactly one
        | EqvtAmt ...          ... takes whatever is in it: nobody here reads that
      Cdtr ? @Party            the elements of the table ``Party``

The types are those of the message definition reports, as patterns and bounds.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import NamedTuple, NoReturn

from lxml import etree

from finance.iso20022.xml import MessageError

ANYTHING = "..."
_MOST = {"": 1, "?": 1, "*": None, "+": None}
_LINE = re.compile(r"(?P<indent> *)(?P<choice>\| )?(?P<name>\w+)(?: (?P<often>[?*+]))?(?: (?P<kind>\S+))?")
_SCHEMA_LOCATION = "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"


@dataclass(frozen=True, slots=True)
class Node:
    """An element: its type, or the particles in it; an empty type and no particles is an empty element."""

    name: str
    kind: str
    particles: tuple["Particle", ...] = ()


class Particle(NamedTuple):
    """One place in a sequence: an element, or one of several; ``most`` None is any number."""

    nodes: Mapping[str, Node]
    least: int
    most: int | None


Shapes = Mapping[str, tuple[Particle, ...]]


# ---------------------------------------------------------------------------------------------------- tables


class _Line(NamedTuple):
    depth: int
    is_choice: bool
    node: Node
    often: str


def read_table(text: str) -> tuple[Particle, ...]:
    """A table as particles. Asserts that it is well formed: it is our own."""
    lines = []
    for number, line in enumerate(text.strip("\n").splitlines()):
        found = _LINE.fullmatch(line.rstrip())
        assert found is not None and len(found["indent"]) % 2 == 0, f"line {number + 1}: {line!r}"
        node = Node(found["name"], found["kind"] or "")
        lines.append(_Line(len(found["indent"]) // 2, bool(found["choice"]), node, found["often"] or ""))
    particles, rest = _read_level(lines, 0)
    assert not rest, f"{rest[0].node.name} is indented too little"
    return particles


def _read_level(lines: Sequence[_Line], depth: int) -> tuple[tuple[Particle, ...], Sequence[_Line]]:
    particles: list[Particle] = []
    before_was_choice = False
    while lines and lines[0].depth == depth:
        line, rest = lines[0], lines[1:]
        children, lines = _read_level(rest, depth + 1)
        node = replace(line.node, particles=children)
        if line.is_choice and before_was_choice:
            particles[-1] = particles[-1]._replace(nodes={**particles[-1].nodes, node.name: node})
        else:
            least = 0 if line.often in ("?", "*") else 1
            particles.append(Particle({node.name: node}, least, _MOST[line.often]))
        before_was_choice = line.is_choice
    return tuple(particles), lines


# ----------------------------------------------------------------------------------------------------- types


def _pattern(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.ASCII)
    return lambda text: compiled.fullmatch(text) is not None


def _decimal(total_digits: int, fraction_digits: int, *, signed: bool) -> Callable[[str], bool]:
    compiled = re.compile(rf"{'[+-]?' if signed else '[+]?'}(\d+)(?:\.(\d*))?", re.ASCII)

    def holds(text: str) -> bool:
        found = compiled.fullmatch(text)
        if found is None:
            return False
        whole, fraction = found[1].lstrip("0"), (found[2] or "").rstrip("0")
        return len(fraction) <= fraction_digits and len(whole) + len(fraction) <= total_digits

    return holds


def _is_date(text: str) -> bool:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d(Z|[+-]\d\d:\d\d)?", text, re.ASCII):
        return False
    return _exists(date.fromisoformat, text[:10])


def _is_date_time(text: str) -> bool:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?", text, re.ASCII):
        return False
    return _exists(datetime.fromisoformat, text[:19])


def _exists(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


AMOUNTS = frozenset({"Amount"})
"""Types of elements that have a currency."""

TYPES: Mapping[str, Callable[[str], bool]] = {
    "Amount": _decimal(18, 5, signed=False),
    "DecimalNumber": _decimal(18, 17, signed=True),
    "PercentageRate": _decimal(11, 10, signed=True),
    "BaseOneRate": _decimal(11, 10, signed=True),
    "Max15NumericText": _pattern("[0-9]{1,15}"),
    "ISODate": _is_date,
    "ISODateTime": _is_date_time,
    "Indicator": _pattern("true|false|1|0"),
    "CreditDebitCode": _pattern("CRDT|DBIT"),
    "PaymentMethod3Code": _pattern("CHK|TRF|TRA"),
    "ChargeBearerType1Code": _pattern("DEBT|CRED|SHAR|SLEV"),
    "Priority2Code": _pattern("HIGH|NORM"),
    "CountryCode": _pattern("[A-Z]{2}"),
    "CurrencyCode": _pattern("[A-Z]{3}"),
    "BIC": _pattern("[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?"),
    "IBAN2007Identifier": _pattern("[A-Z]{2}[0-9]{2}[a-zA-Z0-9]{1,30}"),
    "UUIDv4Identifier": _pattern("[a-f0-9]{8}-[a-f0-9]{4}-4[a-f0-9]{3}-[89ab][a-f0-9]{3}-[a-f0-9]{12}"),
    "ID": _pattern(r"[A-Za-z_][A-Za-z0-9_.-]*"),
    "IDREF": _pattern(r"[A-Za-z_][A-Za-z0-9_.-]*"),
}
_LENGTHS = re.compile(r"Max(\d+)Text|External(\d+)Code")


def is_of_type(kind: str, text: str) -> bool:
    """Whether a text is of a simple type of the tables."""
    length = _LENGTHS.fullmatch(kind)
    if length is not None:
        return 1 <= len(text) <= int(length[1] or length[2])
    return TYPES[kind](text)


# -------------------------------------------------------------------------------------------------- checking


def check(root: etree._Element, particles: tuple[Particle, ...], shapes: Shapes) -> None:
    """Whether a document holds what the table of its message says. Raises MessageError ``bad_structure``."""
    _Check(etree.QName(root).namespace or "", shapes).document(root, particles)


@dataclass
class _Check:
    namespace: str
    shapes: Shapes
    identifiers: set[str] = field(default_factory=set)
    references: dict[str, str] = field(default_factory=dict)

    def document(self, root: etree._Element, particles: tuple[Particle, ...]) -> None:
        if etree.QName(root).localname != "Document":
            _refuse("a message begins with Document", "/")
        self._attributes(root, "Document", {_SCHEMA_LOCATION})
        self._sequence(root, particles, "Document")
        for name, path in self.references.items():
            if name not in self.identifiers:
                _refuse(f"nothing in the message is called {name[:40]!r}", path)

    def _sequence(self, element: etree._Element, particles: tuple[Particle, ...], path: str) -> None:
        if (element.text or "").strip() or any((child.tail or "").strip() for child in element):
            _refuse("there is text between elements", path)
        children = list(element)
        names = [self._name(child, path) for child in children]
        at = 0
        for particle in particles:
            count = 0
            while at < len(children) and count != particle.most and names[at] in particle.nodes:
                self._element(children[at], particle.nodes[names[at]], f"{path}/{names[at]}")
                at, count = at + 1, count + 1
            if count < particle.least:
                _refuse(f"expected {' or '.join(particle.nodes)}", path)
        if at < len(children):
            _refuse(f"{names[at]} does not belong here", path)

    def _name(self, element: etree._Element, path: str) -> str:
        namespace, _, name = str(element.tag).rpartition("}")
        if namespace != f"{{{self.namespace}":
            _refuse(f"{name} is of another namespace", path)
        return name

    def _element(self, element: etree._Element, node: Node, path: str) -> None:
        if node.kind == ANYTHING:
            self.identifiers.update(each.text or "" for each in element.iter(f"{{{self.namespace}}}Id"))
            return
        self._attributes(element, path, {"Ccy"} if node.kind in AMOUNTS else set())
        if node.kind.startswith("@"):
            self._sequence(element, self.shapes[node.kind[1:]], path)
        elif node.kind:
            self._text(element, node.kind, path)
        else:
            self._sequence(element, node.particles, path)

    def _text(self, element: etree._Element, kind: str, path: str) -> None:
        text = element.text or ""
        if len(element) or not is_of_type(kind, text):
            _refuse(f"{text[:40]!r} is no {kind}", path)
        if kind == "ID":
            if text in self.identifiers:
                _refuse(f"{text[:40]!r} stands twice", path)
            self.identifiers.add(text)
        if kind == "IDREF":
            self.references[text] = path
        if kind in AMOUNTS and not is_of_type("CurrencyCode", element.get("Ccy", "")):
            _refuse("an amount has a currency", path)

    def _attributes(self, element: etree._Element, path: str, allowed: set[str]) -> None:
        for name in element.attrib:
            if str(name) not in allowed:
                _refuse(f"attribute {str(name)[:60]} does not belong here", path)


def _refuse(reason: str, path: str) -> NoReturn:
    raise MessageError("bad_structure", reason, path)
