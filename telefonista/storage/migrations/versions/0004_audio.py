"""voice messages"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from telefonista.storage import types

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "audio",
        sa.Column("chamada_id", _ID, autoincrement=False, nullable=False),
        sa.Column("conta_id", _ID, nullable=False),
        sa.Column("url_audio", sa.String(length=2000), nullable=False),
        sa.Column("arquivo", sa.String(length=64), nullable=False),
        sa.Column("duracao_ms", sa.Integer(), nullable=False),
        sa.Column("resposta_usuario", sa.Boolean(), nullable=False),
        sa.Column("resposta", sa.String(length=80), nullable=True),
        sa.Column("na_fila", sa.Boolean(), nullable=False),
        sa.Column("quando", types.Instant(timezone=True), nullable=False),
        sa.Column("tronco_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["chamada_id"], ["chamada.id"], name=op.f("fk_audio_chamada_id_chamada")),
        sa.ForeignKeyConstraint(["conta_id"], ["conta.id"], name=op.f("fk_audio_conta_id_conta")),
        sa.PrimaryKeyConstraint("chamada_id", name=op.f("pk_audio")),
    )
    op.create_index(
        "ix_audio_fila", "audio", ["na_fila", "conta_id", "tronco_id", "quando", "chamada_id"], unique=False
    )


def downgrade() -> None:
    op.drop_index("ix_audio_fila", "audio")
    op.drop_table("audio")
