"""Whoever is suspended already has a suspension that says so, and may appeal it."""

from typing import Any

from django.db import migrations

BATCH = 1000


def write_down(apps: Any, schema_editor: Any) -> None:
    """Repeating it adds nothing: a person has one suspension at a time."""
    User = apps.get_model("accounts", "User")
    Suspension = apps.get_model("accounts", "Suspension")
    suspended = User.objects.filter(suspended_at__isnull=False)
    rows = []
    for pk, since in suspended.values_list("pk", "suspended_at").iterator(chunk_size=BATCH):
        rows.append(Suspension(user_id=pk, created=since, reason="", by="system"))
        if len(rows) == BATCH:
            Suspension.objects.bulk_create(rows, ignore_conflicts=True)
            rows = []
    Suspension.objects.bulk_create(rows, ignore_conflicts=True)


class Migration(migrations.Migration):

    dependencies = [
        ("accounts", "0005_suspensions"),
    ]

    operations = [
        migrations.RunPython(write_down, migrations.RunPython.noop),
    ]
