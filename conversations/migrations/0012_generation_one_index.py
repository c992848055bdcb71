import django.db.models.deletion
from django.db import migrations, models

# As Django names the index of this foreign key.
INDEX = "conversations_generation_conversation_id_1c333132"


def _concurrently(schema_editor):
    return "CONCURRENTLY" if schema_editor.connection.vendor == "postgresql" else ""


def drop_index(apps, schema_editor):
    schema_editor.execute(f"DROP INDEX {_concurrently(schema_editor)} IF EXISTS {INDEX}")


def make_index(apps, schema_editor):
    schema_editor.execute(
        f"CREATE INDEX {_concurrently(schema_editor)} IF NOT EXISTS {INDEX} "
        "ON conversations_generation (conversation_id)"
    )


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('conversations', '0011_history_reads'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            # Django would drop every index of this column alone on PostgreSQL, and so the unique
            # one too that lets a conversation have one active generation.
            database_operations=[migrations.RunPython(drop_index, make_index)],
            state_operations=[
                migrations.AlterField(
                    model_name='generation',
                    name='conversation',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='generations', to='conversations.conversation'),
                ),
            ],
        ),
    ]
