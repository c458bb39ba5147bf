"""The root of leaves that come one by one is the root of them all, and each of them is proved under it."""

from hypothesis import given
from hypothesis import strategies as st

from settlement import merkle


@given(st.integers(0, 200))
def test_a_stream_has_the_root_of_all_its_leaves_at_every_moment(count: int) -> None:
    leaves = [merkle.leaf(bytes([place])) for place in range(count)]
    stream = merkle.RootStream()
    for place, leaf in enumerate(leaves):
        assert stream.root() == merkle.root(leaves[:place])
        stream.add(leaf)
    assert stream.root() == merkle.root(leaves)


@given(st.integers(1, 200), st.data())
def test_a_path_leads_to_the_root_of_the_stream(count: int, data: st.DataObject) -> None:
    leaves = [merkle.leaf(bytes([place])) for place in range(count)]
    stream, index = merkle.RootStream(), data.draw(st.integers(0, count - 1))
    for leaf in leaves:
        stream.add(leaf)
    assert merkle.climb(leaves[index], merkle.path(leaves, index)) == stream.root()
