# pragma version 0.4.3
"""
@title Migration: what a contract holds, part by part, to the contract that takes its place
@notice The old contract closes for good when its first part is sealed. A part is a list of rows with ascending accounts;
        its hash goes into a rolling root on the old side, and into the same root on the new side, which lets in no
        other part and opens only when the roots are the same.
"""

interface IPredecessor:
    def sealed_part(part_index: uint256) -> bytes32: view
    def seal() -> Seal: view
    def successor() -> address: view

# how far a contract has been sealed, or imported
struct Seal:
    root: bytes32
    part_count: uint256
    is_complete: bool


event PartSealed:
    part_index: uint256
    part_hash: bytes32
    root: bytes32

event SealCompleted:
    root: bytes32
    part_count: uint256

event PartImported:
    part_index: uint256
    root: bytes32

event Opened:
    root: bytes32


IMPORTING: constant(uint256) = 0
OPEN: constant(uint256) = 1
CLOSED: constant(uint256) = 2

SEAL_PART: constant(bytes32) = keccak256("SealPart(uint256 index,bool afresh,bytes32 accountsHash)")

PREDECESSOR: immutable(address)

# 0 taking over from a predecessor, 1 open, 2 closed for good
state: public(uint256)
seal: public(Seal)
sealed_part: public(HashMap[uint256, bytes32])
imported: public(Seal)
# the index that governance's next list of accounts must carry
next_seal: public(uint256)
# the lowest account that the next part may begin with
next_account: uint256


@deploy
def __init__(predecessor: address):
    """
    @param predecessor The contract whose place this one takes, none for the first
    """
    PREDECESSOR = predecessor
    if predecessor == empty(address):
        self.state = OPEN


@internal
@view
def _check_open():
    assert self.state == OPEN, "closed"


@internal
@pure
def _seal_content(index: uint256, afresh: bool, accounts_hash: bytes32) -> bytes32:
    """
    @dev What governance signs for a list of accounts.
    """
    return keccak256(abi_encode(SEAL_PART, index, afresh, accounts_hash))


@internal
def _begin_part(index: uint256, afresh: bool) -> uint256:
    """
    @dev Nothing is open any more. `afresh` forgets the parts before: their lists were wrong. Returns the lowest account.
    """
    assert index == self.next_seal, "index_out_of_order"
    assert self.state != IMPORTING, "closed"
    assert not self.seal.is_complete, "sealed"
    self.next_seal = index + 1
    self.state = CLOSED
    if afresh:
        self.seal = empty(Seal)
        self.next_account = 0
    return self.next_account


@internal
def _seal_part(part_hash: bytes32, next_account: uint256):
    self.next_account = next_account
    part_index: uint256 = self.seal.part_count
    root: bytes32 = keccak256(concat(self.seal.root, part_hash))
    self.sealed_part[part_index] = part_hash
    self.seal = Seal(root=root, part_count=part_index + 1, is_complete=False)
    log PartSealed(part_index=part_index, part_hash=part_hash, root=root)


@internal
def _complete_seal():
    assert self.seal.part_count != 0, "not_sealed"
    assert not self.seal.is_complete, "sealed"
    self.seal.is_complete = True
    log SealCompleted(root=self.seal.root, part_count=self.seal.part_count)


@internal
def _import_part(part_index: uint256, part_hash: bytes32):
    """
    @dev The predecessor's next part and no other; whoever sends it.
    """
    assert self.state == IMPORTING, "not_importing"
    assert part_index == self.imported.part_count, "part_out_of_order"
    assert part_hash != empty(bytes32), "wrong_part"
    assert staticcall IPredecessor(PREDECESSOR).sealed_part(part_index) == part_hash, "wrong_part"
    root: bytes32 = keccak256(concat(self.imported.root, part_hash))
    self.imported = Seal(root=root, part_count=part_index + 1, is_complete=False)
    log PartImported(part_index=part_index, root=root)


@internal
def _open():
    """
    @dev The predecessor named this contract, is sealed, and both roots are the same.
    """
    assert self.state == IMPORTING, "not_importing"
    predecessor: IPredecessor = IPredecessor(PREDECESSOR)
    assert staticcall predecessor.successor() == self, "not_the_successor"
    sealed: Seal = staticcall predecessor.seal()
    assert sealed.is_complete, "not_sealed"
    assert sealed.root == self.imported.root and sealed.part_count == self.imported.part_count, "wrong_root"
    self.imported.is_complete = True
    self.state = OPEN
    log Opened(root=sealed.root)
