"""Typed identifiers: a member can not be passed where a meter belongs."""

from typing import NewType

MemberId = NewType("MemberId", int)
"""Fixed at admission, never reused; the only name a member has on the chain."""

NodeId = NewType("NodeId", int)
"""A node of the grid tree, in order of connection; meters are nodes too."""

OrderId = NewType("OrderId", int)
"""Given by the market; a member knows its order by the ``client_order_id`` it chose."""

TradeId = NewType("TradeId", int)
"""1, 2, 3 ... in the order of trades."""

Sequence = NewType("Sequence", int)
"""The ordinal of a command in the journal; priority in time means the lower sequence."""

SlotStart = NewType("SlotStart", int)
"""A delivery slot, named by its start in seconds since the epoch, UTC."""
