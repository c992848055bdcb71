from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from chatbot.accounts.models import LedgerEntry


@pytest.mark.django_db
def test_a_database_that_is_in_use_is_never_filled():
    with pytest.raises(CommandError, match="empty PostgreSQL"):
        call_command("bench_costs", answers=1, days=1, people=1)
    assert not LedgerEntry.objects.exists()
