"""The audit of a true market finds nothing; of a market in which anything was changed it finds what."""

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from settlement import audit
from settlement.audit import AuditResult
from tests.settlement.chained_world import ChainedWorld, audit_terms, settled_world


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChainedWorld]:
    with settled_world(tmp_path_factory.mktemp("settled")) as world:
        yield world


def run(world: ChainedWorld, **options: bool) -> tuple[AuditResult, str]:
    said = io.StringIO()
    result = audit.run(
        world.url, world.chain_file, audit_terms(), seed=7, console=Console(file=said, width=120), **options
    )
    return result, said.getvalue()


def test_a_true_market_holds_and_the_audit_says_what_it_checked(settled: ChainedWorld) -> None:
    result, said = run(settled)
    assert result.contradiction is None, said
    assert result.exit_code == 0
    assert "UNWITNESSED" in said
    print(said)
