"""indexes that answer the report of chamadas by themselves"""

from collections.abc import Sequence

from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_index("ix_chamada_relatorio", "chamada", ["conta_id", "recurso", "data_criacao", "id"], unique=False)
    op.drop_index("ix_chamada_conta_criacao", "chamada")
    op.create_index("ix_perna_numero", "perna", ["e164", "papel", "chamada_id"], unique=False)
    op.drop_index("ix_perna_e164", "perna")


def downgrade() -> None:
    op.create_index("ix_perna_e164", "perna", ["e164"], unique=False)
    op.drop_index("ix_perna_numero", "perna")
    op.create_index("ix_chamada_conta_criacao", "chamada", ["conta_id", "data_criacao", "id"], unique=False)
    op.drop_index("ix_chamada_relatorio", "chamada")
