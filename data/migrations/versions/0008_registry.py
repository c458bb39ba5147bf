"""What others know of a receivable: registry, tax invoices, bank messages."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    _particulars()
    _registrations()
    _fapiao()
    _bank_entries()


def _particulars() -> None:
    op.create_table(
        "particulars",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("legal_name", sa.String(length=140), nullable=False),
        sa.Column("code", sa.String(length=18), nullable=False),
        sa.Column("account", sa.String(length=34), nullable=False),
        sa.Column("bank_name", sa.String(length=140), nullable=False),
        sa.Column("bank_code", sa.String(length=12), nullable=False),
        sa.Column("given_s", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_s", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["member_id"], ["members.member_id"], name="fk_particulars_member_id"),
        sa.PrimaryKeyConstraint("number", name="pk_particulars"),
    )
    op.create_index("ix_particulars_member_id", "particulars", ["member_id"])


def _registrations() -> None:
    op.create_table(
        "registrations",
        sa.Column("number", sa.String(length=40), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("registration_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("receivable_id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("party", sa.BigInteger(), nullable=False),
        sa.Column("expires_day", sa.String(length=10), nullable=False),
        sa.Column("recorded_s", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["receivable_id"], ["receivables.receivable_id"], name="fk_registrations_receivable_id"
        ),
        sa.ForeignKeyConstraint(["party"], ["members.member_id"], name="fk_registrations_party"),
        sa.PrimaryKeyConstraint("number", name="pk_registrations"),
        sa.UniqueConstraint("place", name="uq_registrations_place"),
        sa.UniqueConstraint("registration_hash", name="uq_registrations_registration_hash"),
    )
    op.create_index("ix_registrations_receivable_id", "registrations", ["receivable_id"])


def _fapiao() -> None:
    op.create_table(
        "fapiao",
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("receivable_id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("issue_day", sa.String(length=10), nullable=False),
        sa.Column("net_fen", sa.BigInteger(), nullable=False),
        sa.Column("tax_fen", sa.BigInteger(), nullable=False),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.Column("seller_name", sa.String(length=140), nullable=False),
        sa.Column("seller_code", sa.String(length=20), nullable=False),
        sa.Column("buyer_name", sa.String(length=140), nullable=False),
        sa.Column("buyer_code", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("recorded_s", sa.BigInteger(), nullable=False),
        sa.Column("verified_s", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["receivable_id"], ["receivables.receivable_id"], name="fk_fapiao_receivable_id"),
        sa.PrimaryKeyConstraint("number", name="pk_fapiao"),
    )
    op.create_index("ix_fapiao_receivable_id", "fapiao", ["receivable_id"])


def _bank_entries() -> None:
    op.create_table(
        "bank_entries",
        sa.Column("entry", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("account", sa.String(length=34), nullable=False),
        sa.Column("reference", sa.String(length=80), nullable=False),
        sa.Column("message", sa.String(length=35), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("booked_day", sa.String(length=10), nullable=False),
        sa.Column("payer", sa.String(length=140), nullable=False),
        sa.Column("quoted", sa.Text(), nullable=False),
        sa.Column("receivable_id", sa.LargeBinary(length=32), nullable=True),
        sa.Column("taken_s", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["receivable_id"], ["receivables.receivable_id"], name="fk_bank_entries_receivable_id"),
        sa.PrimaryKeyConstraint("entry", name="pk_bank_entries"),
        sa.UniqueConstraint("account", "reference", name="uq_bank_entries_account_reference"),
    )
