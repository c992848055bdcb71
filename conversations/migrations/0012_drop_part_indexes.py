from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# As Django names the indexes of these foreign keys. Each is the beginning of another index.
INDEXES = {
    "conversations_generation_conversation_id_1c333132": "conversations_generation (conversation_id)",
    "conversations_conversation_user_id_c3e4e6ca": "conversations_conversation (user_id)",
}


def _concurrently(schema_editor: Any) -> str:
    return "CONCURRENTLY" if schema_editor.connection.vendor == "postgresql" else ""


def drop_indexes(apps: Any, schema_editor: Any) -> None:
    for name in INDEXES:
        schema_editor.execute(f"DROP INDEX {_concurrently(schema_editor)} IF EXISTS {name}")


def make_indexes(apps: Any, schema_editor: Any) -> None:
    for name, place in INDEXES.items():
        schema_editor.execute(
            f"CREATE INDEX {_concurrently(schema_editor)} IF NOT EXISTS {name} ON {place}"
        )


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('conversations', '0011_history_reads'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            # Django would drop every index of such a column alone on PostgreSQL, and so the unique
            # one too that lets a conversation have one active generation.
            database_operations=[migrations.RunPython(drop_indexes, make_indexes)],
            state_operations=[
                migrations.AlterField(
                    model_name='generation',
                    name='conversation',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='generations', to='conversations.conversation'),
                ),
                migrations.AlterField(
                    model_name='conversation',
                    name='user',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='conversations', to=settings.AUTH_USER_MODEL),
                ),
            ],
        ),
    ]
