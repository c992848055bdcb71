from __future__ import annotations

from django.db.models import Model


def name_of(row: Model) -> str:
    """Return what a row is called in the audit log: its kind and its key."""
    return f"{row._meta.model_name}:{row.pk}"
