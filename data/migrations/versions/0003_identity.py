"""What second factors, API keys and a change of keys need."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    _tokens()
    _factors()
    _keys()
    _decisions()


def _tokens() -> None:
    """Sessions of the release before end: they last an hour, and their scopes meant something else."""
    op.drop_table("sessions")
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("session_id", sa.String(length=16), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("opened_s", sa.BigInteger(), nullable=False),
        sa.Column("expires_s", sa.BigInteger(), nullable=False),
        sa.Column("fresh_until_s", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["members.member_id"], name="fk_sessions_member_id"),
        sa.PrimaryKeyConstraint("token_hash", name="pk_sessions"),
        sa.UniqueConstraint("session_id", name="uq_sessions_session_id"),
    )
    op.create_table(
        "api_keys",
        sa.Column("key_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("api_key_id", sa.String(length=16), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("networks", sa.Text(), nullable=False),
        sa.Column("created_s", sa.BigInteger(), nullable=False),
        sa.Column("expires_s", sa.BigInteger()),
        sa.Column("used_s", sa.BigInteger()),
        sa.ForeignKeyConstraint(["member_id"], ["members.member_id"], name="fk_api_keys_member_id"),
        sa.PrimaryKeyConstraint("key_hash", name="pk_api_keys"),
        sa.UniqueConstraint("api_key_id", name="uq_api_keys_api_key_id"),
    )
    op.create_index("ix_api_keys_member_id", "api_keys", ["member_id"])


def _factors() -> None:
    op.create_table(
        "factors",
        sa.Column("factor_id", sa.String(length=16), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("created_s", sa.BigInteger(), nullable=False),
        sa.Column("used_s", sa.BigInteger()),
        sa.ForeignKeyConstraint(["member_id"], ["members.member_id"], name="fk_factors_member_id"),
        sa.PrimaryKeyConstraint("factor_id", name="pk_factors"),
    )
    op.create_index("ix_factors_member_id", "factors", ["member_id"])
    op.create_table(
        "recovery_codes",
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("mark", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["members.member_id"], name="fk_recovery_codes_member_id"),
        sa.PrimaryKeyConstraint("member_id", "mark", name="pk_recovery_codes"),
    )


def _keys() -> None:
    """Keys are numbered: one may be changed twice before the next order."""
    with op.batch_alter_table("member_keys") as keys:
        keys.add_column(sa.Column("number", sa.SmallInteger(), nullable=False, server_default="1"))
        keys.add_column(sa.Column("rotated_s", sa.BigInteger()))
        keys.add_column(sa.Column("nonce", sa.BigInteger()))
        keys.add_column(sa.Column("deadline_s", sa.BigInteger()))
        keys.add_column(sa.Column("signature", sa.LargeBinary(length=64)))
        keys.add_column(sa.Column("outbox_id", sa.BigInteger()))
        keys.create_foreign_key("fk_member_keys_outbox_id", "outbox", ["outbox_id"], ["outbox_id"])
        keys.drop_constraint("pk_member_keys", type_="primary")
        keys.create_primary_key("pk_member_keys", ["member_id", "number"])


def _decisions() -> None:
    """The record of an admission moves to a table of decisions; a suspended member was one that is frozen."""
    op.create_table(
        "member_decisions",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("decision", sa.String(length=20), nullable=False),
        sa.Column("decided_s", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("checked", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["members.member_id"], name="fk_member_decisions_member_id"),
        sa.PrimaryKeyConstraint("number", name="pk_member_decisions"),
    )
    op.create_index("ix_member_decisions_member_id", "member_decisions", ["member_id"])
    op.add_column("members", sa.Column("frozen", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute(
        """
        INSERT INTO member_decisions (number, member_id, decision, decided_s, decided_by, note, checked)
        SELECT row_number() OVER (ORDER BY member_id), member_id, 'admitted', admitted_s, 1, admission_record, '[]'
        FROM members WHERE admission_record IS NOT NULL AND admitted_s IS NOT NULL
        """
    )
    op.execute("UPDATE members SET frozen = (1 = 1), status = 'admitted' WHERE status = 'suspended'")
    op.drop_column("members", "admission_record")
