"""A stranger with a copy of the chain's file: what can be found in it, as text, as hash, as number."""

import base64
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import msgspec
from ethereum.forks.osaka.transactions import FeeMarketTransaction, decode_transaction
from ethereum_types.bytes import Bytes

from settlement.chain_store import ChainReader
from settlement.keccak import keccak


class Stranger:
    """``raw`` is every byte there is, ``words`` every number of 32 or 8 bytes in calls, events and storage."""

    def __init__(self, file: Path) -> None:
        beside = [path for path in file.parent.glob(f"{file.name}*") if not path.name.endswith(".lock")]
        reader = ChainReader(file)
        blocks = [stored.decode() for stored in reader.blocks()]
        state = reader.state()
        reader.close()
        # once as the file lies on the disk, once whole: a page of the file may end in the middle of a word
        self.raw = b"".join(path.read_bytes() for path in beside)
        self.raw += b"".join(msgspec.msgpack.encode(block) for block in blocks)
        self.words: set[int] = set()
        for block in blocks:
            for each in block.transactions:
                sent = decode_transaction(Bytes(each))
                assert isinstance(sent, FeeMarketTransaction)
                if sent.to:
                    self.raw += bytes(sent.data)
                    self._take(bytes(sent.data)[4:])
            for receipt in block.receipts:
                for entry in receipt.logs:
                    self._take(b"".join(entry.topics))
                    self._take(entry.data)
        for slot in state.storage:
            self._take(slot.value)

    def _take(self, data: bytes) -> None:
        for at in range(0, len(data), 32):
            word = data[at : at + 32]
            self.words |= {int.from_bytes(word, "big"), int.from_bytes(word, "big", signed=True)}
            self.words |= {int.from_bytes(word[part : part + 8], "big") for part in range(0, len(word), 8)}
            self.words.add(int.from_bytes(word, "little"))

    def finds_text(self, text: str) -> list[str]:
        """How a text is there: the names of the encodings in which it was found."""
        return [name for name, encoded in _encodings(text) if encoded in self.raw]

    def finds_number(self, number: int) -> bool:
        """Whether a number stands anywhere as a word, or as a quarter of one, in either order of bytes."""
        return number in self.words or -number in self.words


def _encodings(text: str) -> Iterator[tuple[str, bytes]]:
    for name in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "gb18030", "big5"):
        try:
            encoded = text.encode(name)
        except UnicodeEncodeError:
            continue
        yield name, encoded
        yield f"hex of {name}", encoded.hex().encode()
        yield f"capital hex of {name}", encoded.hex().upper().encode()
        yield f"base64 of {name}", base64.b64encode(encoded).rstrip(b"=")[:-1]
        for hashed in (keccak(encoded), sha256(encoded).digest()):
            yield f"hash of {name}", hashed
    yield "small letters", text.lower().encode()
    yield "capitals", text.upper().encode()
