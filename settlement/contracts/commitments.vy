# pragma version 0.4.3
"""
@title Commitments: the market's journal and trades, bound under one rolling hash
@notice What is bound is in the events; here is only the last of them.
"""

import eip712
import migration

uses: eip712
uses: migration

interface IMembers:
    def has_approvals(role: uint256, digest: bytes32, approvals: DynArray[eip712.Approval, 5]) -> bool: view


event Committed:
    index: indexed(uint256)
    previous: bytes32
    commitment: bytes32
    journal_head: bytes32
    trade_root: bytes32
    trade_count: uint256


OPERATOR: constant(uint256) = 1

COMMIT: constant(bytes32) = keccak256(
    "Commit(uint256 index,bytes32 previous,bytes32 journalHead,bytes32 tradeRoot,uint256 tradeCount)"
)

MEMBERS: immutable(IMembers)

commit_index: public(uint256)
commitment: public(bytes32)


@deploy
def __init__(members: address):
    """
    @param members Who may sign for the operator
    """
    MEMBERS = IMembers(members)


@external
def commit(
    index: uint256,
    previous: bytes32,
    journal_head: bytes32,
    trade_root: bytes32,
    trade_count: uint256,
    approvals: DynArray[eip712.Approval, 5],
):
    """
    @notice Bind the journal's head and the root of new trades; approved by the operator
    @dev Reverts: closed, commit_out_of_order, wrong_previous, approvals_missing.
    @param index 1, 2, 3 ...
    @param previous The commitment before, 32 zero bytes for the first
    @param journal_head The journal's
    @param trade_root Root of the trades since the last
    @param trade_count How many they are
    @param approvals The operator's
    """
    migration._check_open()
    assert index == self.commit_index + 1, "commit_out_of_order"
    assert previous == self.commitment, "wrong_previous"
    content: bytes32 = keccak256(abi_encode(COMMIT, index, previous, journal_head, trade_root, trade_count))
    assert staticcall MEMBERS.has_approvals(OPERATOR, eip712._digest(content), approvals), "approvals_missing"
    commitment: bytes32 = keccak256(abi_encode(previous, index, journal_head, trade_root, trade_count))
    self.commit_index = index
    self.commitment = commitment
    log Committed(
        index=index,
        previous=previous,
        commitment=commitment,
        journal_head=journal_head,
        trade_root=trade_root,
        trade_count=trade_count,
    )
