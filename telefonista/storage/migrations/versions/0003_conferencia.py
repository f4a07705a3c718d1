"""whose call a chamada is; rooms and who is in them"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from telefonista.storage import types

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "conferencia",
        sa.Column("id", _ID, nullable=False),
        sa.Column("conta_id", _ID, nullable=False),
        sa.Column("data_criacao", types.Instant(timezone=True), nullable=False),
        sa.Column("encerrada_em", types.Instant(timezone=True), nullable=True),
        sa.Column("pin", sa.String(length=12), nullable=True),
        sa.Column("numero_destino", sa.String(length=40), nullable=True),
        sa.Column("url_conferencia", sa.String(length=2000), nullable=True),
        sa.Column("gravar_conferencia", sa.Boolean(), nullable=False),
        sa.Column("resposta_usuario", sa.Boolean(), nullable=False),
        sa.Column("resposta", sa.String(length=80), nullable=True),
        sa.ForeignKeyConstraint(["conta_id"], ["conta.id"], name=op.f("fk_conferencia_conta_id_conta")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conferencia")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_conferencia_conta_criacao", "conferencia", ["conta_id", "data_criacao", "id"], unique=False)
    op.create_index("ix_conferencia_abertas", "conferencia", ["encerrada_em"], unique=False)
    op.create_table(
        "participante",
        sa.Column("chamada_id", _ID, autoincrement=False, nullable=False),
        sa.Column("conferencia_id", _ID, nullable=False),
        sa.Column("mudo", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["chamada_id"], ["chamada.id"], name=op.f("fk_participante_chamada_id_chamada")),
        sa.ForeignKeyConstraint(
            ["conferencia_id"], ["conferencia.id"], name=op.f("fk_participante_conferencia_id_conferencia")
        ),
        sa.PrimaryKeyConstraint("chamada_id", name=op.f("pk_participante")),
    )
    op.create_index("ix_participante_conferencia", "participante", ["conferencia_id", "chamada_id"], unique=False)
    # Added in place: a batch would copy a table of millions.
    op.add_column("chamada", sa.Column("recurso", sa.String(length=12), server_default="chamada", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("chamada", schema=None) as batch_op:
        batch_op.drop_column("recurso")
    op.drop_index("ix_participante_conferencia", "participante")
    op.drop_table("participante")
    op.drop_index("ix_conferencia_abertas", "conferencia")
    op.drop_index("ix_conferencia_conta_criacao", "conferencia")
    op.drop_table("conferencia")
