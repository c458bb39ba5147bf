"""Which trades the chain has struck, asked of any of its nodes by whoever does not believe the operator."""

from collections.abc import Collection

from settlement.examine_cycle import StruckLeaves
from settlement.jsonrpc import HttpPost, JsonRpc
from settlement.keccak import keccak

_STRUCK = "0x" + keccak(b"Struck(uint256,bytes32,uint256)").hex()


def struck_at(url: str, disputes: bytes) -> StruckLeaves:
    """Asks the node at ``url`` for the events of the contract at ``disputes``, each time anew.

    What it returns raises ChainUnavailableError, ChainRefusedError.
    """
    rpc = JsonRpc(HttpPost(url))
    wanted = {"fromBlock": "0x0", "toBlock": "latest", "address": "0x" + disputes.hex(), "topics": [_STRUCK]}

    def ask() -> Collection[bytes]:
        logs = [log for log in rpc.ask("eth_getLogs", wanted) if log["topics"][0] == _STRUCK]
        return frozenset(bytes.fromhex(log["data"][2:66]) for log in logs)

    return ask
