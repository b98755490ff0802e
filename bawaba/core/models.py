"""Facts about this installation itself."""

from __future__ import annotations

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from bawaba.core.database import Base


class InstallFact(Base):
    """One fact by name, such as the steady clock's offset on this boot."""

    __tablename__ = "install_fact"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[str] = mapped_column(String(500))
