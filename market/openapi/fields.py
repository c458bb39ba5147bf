"""How values are written in JSON, for whoever reads the OpenAPI document.

These say what a text looks like; what it comes to is decided where it is read (``market/wire.py``), so none of them
costs anything when a body is read. Names that end in ``Given`` are for what is sent: more than one spelling is taken
there (``1.5`` and ``1.50``); what is answered has one.
"""

from typing import Annotated, Any

from msgspec import Meta

from market.wire import PAGE_LIMIT


def text(description: str, pattern: str, example: str, **more: Any) -> Meta:
    """A text of a pattern that the document shows and that nothing checks while a body is read."""
    return Meta(description=description, examples=[example], extra_json_schema={"pattern": pattern, **more})


def choice(*words: str) -> Meta:
    """A text out of a few words."""
    return Meta(extra_json_schema={"enum": list(words)})


def _hex(size: int) -> Meta:
    return text(f"{size} bytes as lower-case hex, without 0x", f"^[0-9a-f]{{{2 * size}}}$", "0f" * size)


_DAY = r"(19[6-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"

Energy = Annotated[str, text("kWh", r"^-?[0-9]+\.[0-9]{2}$", "1.25")]
Price = Annotated[str, text("CNY/kWh", r"^-?[0-9]+\.[0-9]{4}$", "0.4500")]
Money = Annotated[str, text("CNY", r"^-?[0-9]+\.[0-9]{6}$", "12.500000")]
Fen = Annotated[str, text("CNY, in whole fen", r"^-?[0-9]+\.[0-9]{2}$", "12.50")]
Rate = Annotated[str, text("A share, or a yearly rate: 0.05 is 5 %", r"^-?[0-9]+(\.[0-9]+)?$", "0.05")]
Decimal = Annotated[str, text("A decimal", r"^-?[0-9]+(\.[0-9]+)?$", "0.55")]

EnergyGiven = Annotated[str, text("kWh, in steps of 0.01", r"^[0-9]{1,12}(\.[0-9]{1,2}0{0,10})?$", "1.25")]
PriceGiven = Annotated[str, text("CNY/kWh, in steps of 0.0001", r"^-?[0-9]{1,12}(\.[0-9]{1,4}0{0,8})?$", "0.45")]
MoneyGiven = Annotated[str, text("CNY, in steps of 0.000001", r"^[0-9]{1,12}(\.[0-9]{1,6}0{0,6})?$", "12.5")]
FenGiven = Annotated[str, text("CNY, in whole fen", r"^[0-9]{1,12}(\.[0-9]{1,2}0{0,10})?$", "12.5")]
RateGiven = Annotated[str, text("A share, or a yearly rate: 0.05 is 5 %", r"^[0-9]{1,12}(\.[0-9]{1,12})?$", "0.05")]
Power = Annotated[str, text("kW", r"^[0-9]{1,12}(\.[0-9]{1,12})?$", "40")]

Instant = Annotated[
    str,
    text("RFC 3339, in UTC", rf"^{_DAY}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$", "2026-07-01T10:15:00Z"),
]
Day = Annotated[str, text("A day where the market is", rf"^{_DAY}$", "2026-07-01")]

Month = Annotated[str, text("A month where the market is", r"^[2-9][0-9]{3}-(0[1-9]|1[0-2])$", "2026-07")]

Hash = Annotated[str, _hex(32)]
Signature = Annotated[str, _hex(64)]
Address = Annotated[str, _hex(20)]

Limit = Annotated[int, Meta(ge=1, le=PAGE_LIMIT, description="The most items to answer with")]
Cursor = Annotated[str, text("``next`` of the page before", "^c[0-9a-f]{1,15}$", "c2a")]
PAGE: dict[str, Any] = {"limit": Limit, "cursor": Cursor}
"""The query of every list."""

Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""A number in a path or query."""
