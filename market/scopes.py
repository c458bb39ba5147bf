"""Roles of members, and scopes of tokens: which role allows which scope."""

from collections.abc import Iterable
from typing import Literal, get_args

ROLES = (
    "producer",
    "consumer",
    "bank",
    "insurer",
    "grid_company",
    "meter_operator",
    "custodian",
    "checker",
    "operator",
    "regulator",
    "governance",
    "analyst",
)
OPEN_ROLES = frozenset({"producer", "consumer", "bank", "insurer", "analyst"})
"""Roles that a newcomer may ask for; the others are given at genesis or by governance."""

Scope = Literal["read", "trade", "money", "finance", "office", "identity"]
"""What a token may do: see what its member may see; place and cancel orders; move money; owe, sell and lend; act in
an institution's office; manage keys, factors and sessions."""

SCOPES: frozenset[Scope] = frozenset(get_args(Scope))

FOR_ADMITTED: frozenset[Scope] = frozenset({"money", "office"})
"""Scopes of admitted members alone. Whoever is suspended still sees, cancels, changes its key, and pays its debts."""

_EVERYONE: tuple[Scope, ...] = ("read", "identity")
_OFFICE: tuple[Scope, ...] = (*_EVERYONE, "office")
_OF_ROLE: dict[str, tuple[Scope, ...]] = {
    "producer": (*_EVERYONE, "trade", "money", "finance"),
    "consumer": (*_EVERYONE, "trade", "money", "finance"),
    "bank": (*_EVERYONE, "money", "finance"),
    "insurer": (*_EVERYONE, "finance"),
    "grid_company": (*_OFFICE, "money"),
    "meter_operator": _OFFICE,
    "custodian": _OFFICE,
    "checker": _OFFICE,
    "operator": _OFFICE,
    "regulator": _OFFICE,
    "governance": _OFFICE,
    "analyst": _EVERYONE,
}


def scopes_of(roles: Iterable[str]) -> frozenset[Scope]:
    """All that holders of these roles may have their tokens do."""
    return frozenset(scope for role in roles for scope in _OF_ROLE[role])


def kept_scopes(names: Iterable[str]) -> frozenset[Scope]:
    """Scopes as they were kept; a name that is no scope any more grants nothing."""
    known = set(names)
    return frozenset(scope for scope in SCOPES if scope in known)
