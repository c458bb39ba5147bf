# pragma version 0.4.3
"""
@title Keys: the live key of each member, and proof of what a former one signed
@notice Of former keys a rolling hash is kept, so that storage does not grow with them: whoever proves an old signature
        gives the keys, and they are hashed again.
"""

import eip712
import p256

uses: p256

struct Key:
    x: uint256
    y: uint256


event KeyRotated:
    member: indexed(uint256)
    x: uint256
    y: uint256
    from_s: uint256


# market and chain take a change of keys at slightly different times: by so much a key holds earlier and longer
KEY_CHANGE_GRACE_S: constant(uint256) = 600
# so few changes in so long that 64 former keys always reach back further, whatever a member does to its keys
MAX_KEY_CHANGES: constant(uint256) = 24
KEY_CHANGES_WINDOW_S: constant(uint256) = 90 * 86_400
LOW_64: constant(uint256) = 2**64 - 1

live: HashMap[uint256, Key]
# changes in the window << 128 | start of the window << 64 | second since which the live key holds
key_times: HashMap[uint256, uint256]
# a rolling hash of the member's former keys, the oldest first
former_keys_of: public(HashMap[uint256, bytes32])


@external
@view
def key_of(member: uint256) -> Key:
    """
    @notice The live key, (0, 0) for nobody
    @param member Whose key it is
    """
    return self.live[member]


@external
@view
def key_since(member: uint256) -> uint256:
    """
    @notice The second since which the live key holds, 0 for a member's first
    @param member Whose key it is
    """
    return self.key_times[member] & LOW_64


@external
@view
def was_signed(
    member: uint256, digest: bytes32, r: uint256, s: uint256, at_s: uint256, history: eip712.KeyHistory
) -> bool:
    """
    @notice Whether a key that was the member's at a time signed the digest
    @dev Reverts: wrong_key_history. A key counts 600 s earlier and longer than it held.
    @param member Who is said to have signed
    @param digest 32 bytes
    @param r The signature, and
    @param s its other half
    @param at_s Seconds since the epoch
    @param history The member's former keys, back to the one that held at that time; older ones as a hash
    """
    former_keys: bytes32 = history.before
    for key: eip712.FormerKey in history.former:
        former_keys = self._and_former(former_keys, key)
    assert former_keys == self.former_keys_of[member], "wrong_key_history"
    live: Key = self.live[member]
    last: eip712.FormerKey = eip712.FormerKey(x=live.x, y=live.y, from_s=self.key_times[member] & LOW_64)
    if last.x == 0:
        return False
    count: uint256 = len(history.former)
    for place: uint256 in range(65):
        if place > count:
            break
        key: eip712.FormerKey = last
        if place < count:
            key = history.former[place]
            next_s: uint256 = last.from_s
            if place + 1 < count:
                next_s = history.former[place + 1].from_s
            if at_s > next_s + KEY_CHANGE_GRACE_S:
                continue
        if at_s + KEY_CHANGE_GRACE_S < key.from_s:
            return False
        if p256._is_valid(digest, r, s, key.x, key.y):
            return True
    return False


@external
@view
def is_signed(member: uint256, digest: bytes32, r: uint256, s: uint256) -> bool:
    """
    @notice Whether the member's live key signed the digest
    @param member Who is said to have signed
    @param digest 32 bytes
    @param r The signature, and
    @param s its other half
    """
    return self._is_signed(member, digest, r, s)


@internal
def _change_key(member: uint256, x: uint256, y: uint256, max_changes: uint256):
    """
    @dev The live key becomes a former one; every change counts, and at most so many are let through in a window.
    """
    key: Key = self.live[member]
    times: uint256 = self.key_times[member]
    self.former_keys_of[member] = self._and_former(
        self.former_keys_of[member], eip712.FormerKey(x=key.x, y=key.y, from_s=times & LOW_64)
    )
    window_s: uint256 = (times >> 64) & LOW_64
    changes: uint256 = times >> 128
    if changes == 0 or block.timestamp >= window_s + KEY_CHANGES_WINDOW_S:
        window_s = block.timestamp
        changes = 0
    assert changes < max_changes, "too_many_changes"
    self.key_times[member] = (changes + 1) << 128 | window_s << 64 | block.timestamp
    self.live[member] = Key(x=x, y=y)
    log KeyRotated(member=member, x=x, y=y, from_s=block.timestamp)


@internal
@pure
def _and_former(former_keys: bytes32, key: eip712.FormerKey) -> bytes32:
    return keccak256(abi_encode(former_keys, key.x, key.y, key.from_s))


@internal
@view
def _is_signed(member: uint256, digest: bytes32, r: uint256, s: uint256) -> bool:
    key: Key = self.live[member]
    return key.x != 0 and p256._is_valid(digest, r, s, key.x, key.y)
