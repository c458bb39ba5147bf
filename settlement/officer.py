"""Who signs for a role: the operator, or the checker."""

from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec

from settlement import signatures
from settlement.acts import Approval


class Officer(NamedTuple):
    """A member that holds a role, with its private key."""

    member: int
    key: ec.EllipticCurvePrivateKey

    def approve(self, digest: bytes) -> Approval:
        """The signature over an act's 32-byte digest, as the contracts take it."""
        return Approval(self.member, signatures.sign(self.key, digest))
