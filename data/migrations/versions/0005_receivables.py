"""A receivable's whole life: its fractions, what it adds when late, disputes."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Each part adds its own tables and columns."""
    _figures()
    _parts()
    _calendar()


def _figures() -> None:
    """Nothing was sold with costs, interest or recourse before; nothing was claimed on the chain trade by trade."""
    for name, kind, default in (
        ("costs_due_fen", sa.BigInteger(), "0"),
        ("interest_due_fen", sa.BigInteger(), "0"),
        ("accrued_day", sa.String(10), ""),
        ("late_rate_ppm", sa.BigInteger(), "0"),
        ("year_days", sa.SmallInteger(), "360"),
        ("with_recourse", sa.Boolean(), sa.false()),
        ("bought_back", sa.Boolean(), sa.false()),
        ("frozen", sa.Boolean(), sa.false()),
        ("claimed_count", sa.BigInteger(), "0"),
        ("complete", sa.Boolean(), sa.false()),
        ("marked_s", sa.BigInteger(), "0"),
    ):
        op.add_column("receivables", sa.Column(name, kind, nullable=False, server_default=default))
    op.add_column("receivables", sa.Column("registration", sa.LargeBinary(32)))
    op.execute("UPDATE receivables SET accrued_day = due_day")


def _parts() -> None:
    """What a bank financed becomes two parts, what nobody did one; paid from the holder's claim on."""
    op.create_table(
        "receivable_parts",
        sa.Column("receivable_id", sa.LargeBinary(32), nullable=False),
        sa.Column("part", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("claim", sa.SmallInteger(), nullable=False),
        sa.Column("owner", sa.BigInteger(), nullable=False),
        sa.Column("open_fen", sa.BigInteger(), nullable=False),
        sa.Column("pledgee", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["receivable_id"], ["receivables.receivable_id"], name="fk_receivable_parts_receivable_id"
        ),
        sa.PrimaryKeyConstraint("receivable_id", "part", name="pk_receivable_parts"),
    )
    op.create_index("ix_receivable_parts_owner_change", "receivable_parts", ["owner", "change"])
    op.create_index("ix_receivable_parts_pledgee_change", "receivable_parts", ["pledgee", "change"])
    paid_on_advance = "CASE WHEN paid_fen < advance_fen THEN paid_fen ELSE advance_fen END"
    carry = "INSERT INTO receivable_parts (receivable_id, part, claim, owner, open_fen, pledgee, change) SELECT "
    on_chain = f"FROM receivables WHERE on_chain = {_truth()}"
    op.execute(
        f"{carry} receivable_id, 1, 1, holder, advance_fen - ({paid_on_advance}), 0, change {on_chain}"
        " AND advance_fen > 0"
    )
    op.execute(
        f"{carry} receivable_id, CASE WHEN advance_fen > 0 THEN 2 ELSE 1 END, 0, creditor, "
        f"CASE WHEN state = 'rejected' THEN 0 ELSE face_fen - advance_fen - paid_fen + ({paid_on_advance}) END, "
        f"0, change {on_chain} AND advance_fen < face_fen"
    )


def _truth() -> str:
    return "true" if op.get_bind().dialect.name == "postgresql" else "1"


def _calendar() -> None:
    """Due and overdue are what the chain says from now on; what the calendar wrote into histories stays there."""
    op.add_column("receivable_history", sa.Column("part", sa.BigInteger()))
