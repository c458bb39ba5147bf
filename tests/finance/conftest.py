"""The ledger that the book's tests start from."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.finance.ledger import Ledger, new_chain_file, open_ledger


@pytest.fixture(scope="session")
def chain_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_chain_file(tmp_path_factory.mktemp("chain"))


@pytest.fixture
def ledger(tmp_path: Path, chain_file: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path, chain_file) as opened:
        yield opened
