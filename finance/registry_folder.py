"""The registry as a folder of JSON files, into which a clerk puts what the web site returned.

::

    searches/*.json        SearchCertificate, one file for each search
    registrations/*.json   Registration, one file for each number, kept as it stands now
    requests/*.json        what the market would have registered, amended or cancelled: the clerk's work list

Files are read anew each time; one that can not be read is an outage by its name, not a registration less.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from finance.registry import (
    Form,
    Found,
    Named,
    Receipt,
    Registration,
    RegistryError,
    SearchCertificate,
    same_party,
)

MOST_BYTES = 2**20
"""The largest file that is read."""

T = TypeVar("T")


class Request(msgspec.Struct, frozen=True):
    """One thing for the clerk to do at the web site; ``number`` is of what is amended or cancelled."""

    what: Literal["register", "amend", "cancel"]
    reference: str
    number: str = ""
    form: Form | None = None


@dataclass(frozen=True, slots=True)
class RegistryFolder:
    """``folder`` must exist; its three folders need not."""

    folder: Path

    def search(self, grantor: Named) -> Found | None:
        """The newest search for a party, with every registration by it that is in the folder."""
        searches = [each for each in self._read("searches", SearchCertificate) if same_party(each.grantor, grantor)]
        if not searches:
            return None
        newest = max(searches, key=lambda each: each.searched_at)
        registrations = [
            each
            for each in self._read("registrations", Registration)
            if each.number in newest.found or any(same_party(party, grantor) for party in each.form.grantors)
        ]
        return Found(newest, tuple(registrations))

    def certificate(self, number: str) -> Registration | None:
        """A registration by its number."""
        return next((each for each in self._read("registrations", Registration) if each.number == number), None)

    def register(self, form: Form, reference: str) -> Receipt | None:
        """Ask the clerk to register; None, for the number comes with the certificate."""
        self._ask(Request("register", reference, form=form))
        return None

    def amend(self, receipt: Receipt, form: Form) -> None:
        """Ask the clerk to amend; the amendment code is the clerk's and is written nowhere."""
        self._ask(Request("amend", f"amend-{receipt.number}", receipt.number, form))

    def cancel(self, receipt: Receipt) -> None:
        """Ask the clerk to cancel, as is due within ten working days after what it secures has ended."""
        self._ask(Request("cancel", f"cancel-{receipt.number}", receipt.number))

    def _ask(self, request: Request) -> None:
        folder = self.folder.joinpath("requests")
        try:
            folder.mkdir(exist_ok=True)
            folder.joinpath(f"{request.reference}.json").write_bytes(msgspec.json.format(msgspec.json.encode(request)))
        except OSError as error:
            raise RegistryError(f"{folder}: {error}") from error

    def _read(self, kind: str, form: type[T]) -> Iterator[T]:
        for path in sorted(self.folder.joinpath(kind).glob("*.json")):
            yield read_document(path, form)


def read_document(path: Path, form: type[T]) -> T:
    """One file as a value. Raises RegistryError."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise RegistryError(f"{path.name} has more than {MOST_BYTES} bytes")
        return msgspec.json.decode(path.read_bytes(), type=form)
    except (OSError, msgspec.MsgspecError) as error:
        raise RegistryError(f"{path.name}: {error}") from error
