"""Keys that change on the chain: a recovery is completed once its seven days are over, and every change is followed.

The chain's word is the last one on a member's key: a recovery, a change that a member sent past the operator, or one of
ours that the chain refused. The market's own change, while it is on its way, is left alone.
"""

import logging
from collections.abc import Callable

from sqlalchemy import Engine

from data.database import reading
from market import key_recovery_store
from market.config import INSTITUTIONS
from market.context import Context
from market.logs import log
from market.rotation import FollowKey
from settlement import outbox, recovery_acts
from settlement.signatures import PublicKey

AFTER_S = 60
"""A network's clock may be so far behind the market's."""

OnKey = Callable[[int, PublicKey, PublicKey], None]
"""(member, key here, key on the chain)"""


def look(database: Engine, now_s: int, on_key: OnKey) -> bool:
    """Complete what is due; ``on_key`` hears of keys that are others on the chain. Whether something was queued."""
    with reading(database) as connection:
        keys = key_recovery_store.on_chain(connection)
        changed = key_recovery_store.behind(connection, keys.live)
    for member, (here, there) in sorted(changed.items()):
        on_key(member, here, there)
    due = [member for member, each in sorted(keys.pending.items()) if now_s > each.vetoable_until_s + AFTER_S]
    if not due:
        return False
    with database.begin() as connection:
        calls = [recovery_acts.recover_key(member) for member in due]
        calls = [call for call in calls if not key_recovery_store.is_under_way(connection, call.data)]
        for call in calls:
            outbox.put(connection, call)
    return bool(calls)


async def follow(context: Context, member: int, here: PublicKey, there: PublicKey) -> None:
    """Let the market have the key that the chain has; all that the old one opened ends."""
    if member in INSTITUTIONS.values():  # the operator's own receipts hang on what market.toml says
        log(logging.ERROR, "institution_key_changed", member=member)
        return
    known = context.directory.with_key(there)
    if known is not None and known.member_id != member:
        log(logging.ERROR, "key_of_another", member=member, other=known.member_id)
        return
    if (await context.sequencer.submit(FollowKey(member, here, there))).answer:
        context.directory.set_key(member, there, keeps_api_keys=False)
        log(logging.WARNING, "key_followed", member=member)
