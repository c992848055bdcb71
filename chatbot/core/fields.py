"""The database column that holds ciphertext."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import FieldError
from django.db import models

_SAFE_LOOKUPS = frozenset({"isnull"})


class SealedField(models.BinaryField):  # type: ignore[type-arg]  # not generic when it runs
    """Bytes made by `core.crypto`; a query that would compare them is refused.

    Ciphertext of equal texts differs, so a filter on it would find nothing, silently.
    """

    def get_lookup(self, lookup_name: str) -> Any:
        if lookup_name not in _SAFE_LOOKUPS:
            raise FieldError(f"{self.name} is sealed and cannot be filtered by {lookup_name}.")
        return super().get_lookup(lookup_name)
