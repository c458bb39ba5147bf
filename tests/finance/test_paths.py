"""A leaf's proof in its block, and the block's in the tree over the blocks, are its proof in the whole tree."""

from hypothesis import given
from hypothesis import strategies as st

from finance.paths import roots_of_blocks
from settlement import merkle
from settlement.keccak import keccak


@given(count=st.integers(1, 70), size=st.sampled_from([1, 2, 4, 8, 16]), chosen=st.integers(0))
def test_a_path_through_a_block_is_a_path(count: int, size: int, chosen: int) -> None:
    leaves = [keccak(bytes([place])) for place in range(count)]
    block, place = divmod(chosen % count, size)
    within = leaves[block * size : (block + 1) * size]
    path = merkle.path(within, place) + merkle.path(roots_of_blocks(leaves, size), block)
    assert path == merkle.path(leaves, chosen % count)
