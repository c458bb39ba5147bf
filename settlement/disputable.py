"""What a side of a trade is given to challenge it with: the JSON of ``GET /v1/trades/{trade}/challenge``."""

import msgspec

from matching.order import Side
from settlement.dispute_acts import Opening
from settlement.hexjson import Hex
from settlement.trade_leaf import Common, Half, JsonPath, ProofDomain


class Disputable(msgspec.Struct, frozen=True):
    """A trade with all that its side needs to challenge it, through the market or past it.

    What is signed is ``Challenge(member, cycle, leaf, nonce, deadline)`` in ``domain``, that of Disputes; the leaf
    follows from the other fields, and ``path`` leads from it to the cycle's trades root on the chain.
    """

    domain: ProofDomain
    cycle: int
    disputable_until_s: int
    bond_micro: int
    challenge: Hex
    leaf: Hex
    common: Common
    common_salt: Hex
    side: int
    half: Half
    half_salt: Hex
    other_half: Hex
    path: JsonPath

    def opening(self) -> Opening:
        """As the chain wants it."""
        return Opening(
            self.common,
            self.common_salt,
            Side(self.side),
            self.half,
            self.half_salt,
            self.other_half,
            [(on_left, bytes(sibling)) for on_left, sibling in self.path],
        )
