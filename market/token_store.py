"""SQL of tokens: sessions, and API keys for machines."""

from collections.abc import Mapping, Sequence
from ipaddress import ip_network

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from data.tables import api_keys, sessions
from market.identity import Directory
from market.scopes import kept_scopes
from market.tokens import ApiKey, Session


def fill(connection: Connection, directory: Directory) -> None:
    """Let the directory know all tokens in force; it knows their members already."""
    for session in read_sessions(connection, directory.now_s()):
        directory.keep(session)
    for row in connection.execute(select(api_keys)):
        directory.keep_api_key(
            ApiKey(
                key_hash=row.key_hash,
                member_id=row.member_id,
                api_key_id=row.api_key_id,
                name=row.name,
                scopes=kept_scopes(_strings(row.scopes)),
                networks=tuple(ip_network(text) for text in _strings(row.networks)),
                created_s=row.created_s,
                expires_s=row.expires_s,
            )
        )
        if row.used_s is not None:
            directory.used_s[row.key_hash] = row.used_s


def read_sessions(connection: Connection, now_s: int) -> list[Session]:
    """Sessions in force."""
    rows = connection.execute(select(sessions).where(sessions.c.expires_s > now_s))
    return [
        Session(
            token_hash=row.token_hash,
            member_id=row.member_id,
            expires_s=row.expires_s,
            scopes=kept_scopes(_strings(row.scopes)),
            opened_s=row.opened_s,
            session_id=row.session_id,
            fresh_until_s=row.fresh_until_s,
        )
        for row in rows
    ]


def add_session(connection: Connection, session: Session, now_s: int) -> None:
    """Keep a session; those that have expired go."""
    connection.execute(delete(sessions).where(sessions.c.expires_s <= now_s))
    connection.execute(insert(sessions).values(vars(session) | {"scopes": _json(sorted(session.scopes))}))


def set_fresh(connection: Connection, session: Session) -> None:
    """Its second factor was shown."""
    connection.execute(
        update(sessions).where(sessions.c.token_hash == session.token_hash).values(fresh_until_s=session.fresh_until_s)
    )


def end_sessions(connection: Connection, ended: Sequence[Session]) -> None:
    for session in ended:
        connection.execute(delete(sessions).where(sessions.c.token_hash == session.token_hash))


def add_api_key(connection: Connection, api_key: ApiKey) -> None:
    connection.execute(
        insert(api_keys).values(
            key_hash=api_key.key_hash,
            api_key_id=api_key.api_key_id,
            member_id=api_key.member_id,
            name=api_key.name,
            scopes=_json(sorted(api_key.scopes)),
            networks=_json([str(network) for network in api_key.networks]),
            created_s=api_key.created_s,
            expires_s=api_key.expires_s,
        )
    )


def revoke_api_keys(connection: Connection, revoked: Sequence[ApiKey]) -> None:
    for api_key in revoked:
        connection.execute(delete(api_keys).where(api_keys.c.key_hash == api_key.key_hash))


def set_used(connection: Connection, used_s: Mapping[bytes, int]) -> None:
    """When API keys were last used, by hash."""
    if used_s:
        connection.execute(
            update(api_keys).where(api_keys.c.key_hash == bindparam("at_hash")).values(used_s=bindparam("at_used_s")),
            [{"at_hash": key_hash, "at_used_s": at_s} for key_hash, at_s in used_s.items()],
        )


def _json(values: Sequence[str]) -> str:
    return msgspec.json.encode(values).decode()


def _strings(text: str) -> list[str]:
    return msgspec.json.decode(text, type=list[str])
