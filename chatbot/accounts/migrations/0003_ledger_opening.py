"""What was spent before there was a ledger, as an entry for each person and month."""

from typing import Any
from uuid import uuid5

from django.db import migrations

BATCH = 1000
# The most that a column of an entry holds.
MOST = 2**31 - 1


def open_ledger(apps: Any, schema_editor: Any) -> None:
    """Repeating it adds nothing: an entry's source follows from the person and the month."""
    BudgetPeriod = apps.get_model("accounts", "BudgetPeriod")
    LedgerEntry = apps.get_model("accounts", "LedgerEntry")
    entries = []
    spent = BudgetPeriod.objects.filter(spent__gt=0).select_related("user")
    for period in spent.iterator(chunk_size=BATCH):
        entries += [
            LedgerEntry(
                user_id=period.user_id,
                plan=period.user.plan,
                purpose="opening",
                source=uuid5(period.user_id, period.month.isoformat()),
                number=number,
                model="",
                provider="",
                input_tokens=min(MOST, period.spent - begin),
                cache_read_tokens=0,
                cache_write_tokens=0,
                output_tokens=0,
                cost_micros=0,
                is_metered=False,
                ending="finished",
                month=period.month,
            )
            for number, begin in enumerate(range(0, period.spent, MOST))
        ]
        if len(entries) >= BATCH:
            LedgerEntry.objects.bulk_create(entries, ignore_conflicts=True)
            entries = []
    LedgerEntry.objects.bulk_create(entries, ignore_conflicts=True)


class Migration(migrations.Migration):

    dependencies = [
        ("accounts", "0002_ledger"),
    ]

    operations = [
        migrations.RunPython(open_ledger, migrations.RunPython.noop),
    ]
