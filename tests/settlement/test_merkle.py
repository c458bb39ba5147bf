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


@given(st.integers(1, 40), st.data())
def test_whole_subtrees_and_the_rest_to_their_right_lead_to_the_root(count: int, data: st.DataObject) -> None:
    leaves = [merkle.leaf(bytes([place])) for place in range(count)]
    first = data.draw(st.integers(1, count))
    tops, start = {}, 0
    for height in reversed(range(7)):
        if first >> height & 1:
            tops[height] = merkle.root(leaves[start : start + (1 << height)])
            start += 1 << height
    rest, root = merkle.rest(leaves, first), b""
    for height in range(7):
        if root and height in tops:
            root = merkle.node(tops[height], root)
            continue
        root = root or tops.get(height, b"")
        if root and rest:
            root = merkle.node(root, rest.pop(0))
    assert (root, rest) == (merkle.root(leaves), [])
