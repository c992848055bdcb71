import django.db.models.expressions
import django.db.models.functions.comparison
import django.db.models.lookups
from django.db import migrations, models

from chatbot.core.indexing import AddIndexOnline, RemoveIndexOnline


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('conversations', '0010_memory'),
    ]

    operations = [
        AddIndexOnline(
            model_name='conversation',
            index=models.Index(fields=['user', '-pinned', '-updated', '-id'], name='conversation_pinned_first'),
        ),
        AddIndexOnline(
            model_name='message',
            index=models.Index(condition=models.Q(django.db.models.lookups.LessThan(django.db.models.functions.comparison.Coalesce('parent_seq', 0), django.db.models.expressions.CombinedExpression(models.F('seq'), '-', models.Value(1)))), fields=['conversation', 'seq'], include=('parent_seq',), name='message_forks'),
        ),
        RemoveIndexOnline(
            model_name='conversation',
            name='conversation_newest_first',
        ),
    ]
