# pragma version 0.4.3
"""
@title What a contract does with a signed intent: its digest, its nonce, its deadline
@notice Digests are those of `settlement/intents.py`, to the letter.
"""

struct Approval:
    member: uint256
    r: uint256
    s: uint256


# a key that a member had before, and the second since which it held; the first key of a member holds from 0
struct FormerKey:
    x: uint256
    y: uint256
    from_s: uint256

# a member's former keys, the oldest first; `before` is the rolling hash of those that are left out at the front
struct KeyHistory:
    before: bytes32
    former: DynArray[FormerKey, 64]


DOMAIN_TYPE: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)"
)
NAME: constant(bytes32) = keccak256("Jinsha")
VERSION: constant(bytes32) = keccak256("1")

SALT: immutable(bytes32)

# member -> word -> 256 flags: nonces are used in any order, each once
used_nonces: HashMap[uint256, HashMap[uint256, uint256]]


@deploy
def __init__(salt: bytes32):
    """
    @param salt 32 random genesis bytes, so that nothing replays on a sister network
    """
    SALT = salt


@internal
@view
def _digest(struct_hash: bytes32) -> bytes32:
    """
    @notice The 32 bytes that are signed
    @dev The chain id is read at each call: after a fork of the network old intents hold on one side only.
    """
    return self._digest_for(self, struct_hash)


@internal
@view
def _digest_for(verifier: address, struct_hash: bytes32) -> bytes32:
    """
    @notice The 32 bytes that are signed for another contract of the same genesis
    """
    separator: bytes32 = keccak256(abi_encode(DOMAIN_TYPE, NAME, VERSION, chain.id, verifier, SALT))
    return keccak256(concat(x"1901", separator, struct_hash))


@internal
@view
def _check_deadline(deadline: uint256):
    assert block.timestamp <= deadline, "deadline_passed"


@internal
def _use_nonce(member: uint256, nonce: uint256):
    word: uint256 = nonce >> 8
    flag: uint256 = 1 << (nonce & 255)
    flags: uint256 = self.used_nonces[member][word]
    assert flags & flag == 0, "nonce_used"
    self.used_nonces[member][word] = flags | flag
