# pragma version 0.4.3
"""
@title ECDSA P-256 over SHA-256, low s only
@notice Verified by P256VERIFY (EIP-7951, precompile 0x100) or by a contract of the same interface.
"""

# (order of the group - 1) / 2, FIPS 186-5
HALF_ORDER: constant(uint256) = 57896044605178124381348723474703786764998477612067880171211129530534256022184

VERIFIER: immutable(address)


@deploy
def __init__(verifier: address):
    """
    @param verifier 0x100 where the network has P256VERIFY, otherwise a contract that answers as it does
    """
    VERIFIER = verifier


@internal
@view
def _is_valid(digest: bytes32, r: uint256, s: uint256, x: uint256, y: uint256) -> bool:
    """
    @notice Whether (r, s) is the key's signature over SHA-256 of the digest
    @dev A high s is refused: it would make a second valid signature out of any first.
    """
    if s > HALF_ORDER:
        return False
    success: bool = False
    answer: Bytes[32] = b""
    success, answer = raw_call(
        VERIFIER,
        concat(
            sha256(digest),
            convert(r, bytes32),
            convert(s, bytes32),
            convert(x, bytes32),
            convert(y, bytes32),
        ),
        max_outsize=32,
        is_static_call=True,
        revert_on_failure=False,
    )
    return success and len(answer) == 32 and convert(answer, uint256) == 1
