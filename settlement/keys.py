"""Which key a member signed with when: old evidence is checked with the key of its day."""

from collections import defaultdict
from collections.abc import Iterable

from settlement.jwk import from_jwk
from settlement.published import PublishedKey
from settlement.signatures import PublicKey


class KeyHistory:
    """The keys of members by sequence, half-open: ``from_sequence <= sequence < to_sequence``."""

    def __init__(self, keys: Iterable[PublishedKey]) -> None:
        """Raises ValueError when a key is no point on P-256."""
        self._of: defaultdict[int, list[tuple[int, int | None, PublicKey]]] = defaultdict(list)
        for key in keys:
            self._of[key.member].append((key.from_sequence, key.to_sequence, from_jwk(key.key)))

    def at(self, member: int, sequence: int) -> PublicKey | None:
        """The key a member signed with at this point of the journal; None when it had none."""
        for from_sequence, to_sequence, key in self._of.get(member, ()):
            if from_sequence <= sequence and (to_sequence is None or sequence < to_sequence):
                return key
        return None

    def all_of(self, member: int) -> list[PublicKey]:
        """Every key a member ever had, oldest first."""
        return [key for _, _, key in self._of.get(member, ())]
