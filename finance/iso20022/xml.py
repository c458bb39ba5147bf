"""XML from strangers, and XML for them. Nothing is fetched, no entity is expanded, no DTD is read.

A document type is refused before anything is parsed: with it go external entities and billion laughs. The text must
be UTF-8, so that nothing hides in another encoding; the size is bounded.
"""

import re
from functools import lru_cache

from lxml import etree

MOST_BYTES = 4 * 2**20
"""The largest message that is read: some ten thousand entries."""

_DECLARATION = re.compile(r"\s*<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']", re.ASCII)
_FORBIDDEN = ("<!DOCTYPE", "<!ENTITY")


class MessageError(Exception):
    """A message that is not taken. ``code`` is stable: ``too_large``, ``bad_xml``, ``document_type``,
    ``unknown_message``, ``bad_structure``, ``bad_content``; ``path`` says where."""

    def __init__(self, code: str, reason: str, path: str = "") -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.code = code
        self.path = path


def parse(data: bytes) -> etree._Element:
    """The root of a document. Raises MessageError."""
    if len(data) > MOST_BYTES:
        raise MessageError("too_large", f"a message has at most {MOST_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MessageError("bad_xml", "a message is UTF-8") from error
    declared = _DECLARATION.match(text)
    if declared is not None and declared[1].lower() not in ("utf-8", "us-ascii", "ascii"):
        raise MessageError("bad_xml", f"a message is UTF-8, not {declared[1]}")
    if any(word in text for word in _FORBIDDEN):
        raise MessageError("document_type", "a message has no document type and no entities")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise MessageError("bad_xml", str(error)) from error


def namespace_of(root: etree._Element) -> str:
    """The namespace of a document; empty: none."""
    return etree.QName(root).namespace or ""


class Writer:
    """Builds a document of one namespace: ``writer.put(parent, "Amt", "InstdAmt", text="1.00", Ccy="CNY")``."""

    def __init__(self, namespace: str, message: str) -> None:
        self._namespace = namespace
        self.root = etree.fromstring(f'<Document xmlns="{namespace}"/>')
        self.message = self.put(self.root, message)

    def put(self, parent: etree._Element, *names: str, text: str | None = None, **attributes: str) -> etree._Element:
        """New elements, each in the one before; the last has the text and the attributes. Returns the last."""
        element = parent
        for name in names:
            element = etree.SubElement(element, f"{{{self._namespace}}}{name}")
        element.text = text
        for name, value in attributes.items():
            element.set(name, value)
        return element

    def done(self) -> bytes:
        """The document as a file."""
        return etree.tostring(self.root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def text_at(element: etree._Element, path: str) -> str | None:
    """The text at a path such as ``Refs/EndToEndId`` below an element of the same namespace; None: it is not there."""
    found = find(element, path)
    return None if found is None else found.text


def find(element: etree._Element, path: str) -> etree._Element | None:
    """The first element at a path."""
    return element.find(_path(_space(element), path))


def find_all(element: etree._Element, path: str) -> list[etree._Element]:
    """Every element at a path, in order."""
    return element.findall(_path(_space(element), path))


def _space(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[0]


@lru_cache(maxsize=1_000)
def _path(space: str, path: str) -> str:
    return "/".join(f"{space}}}{name}" for name in path.split("/"))
