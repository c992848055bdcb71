from django.db import migrations, models

from chatbot.core.indexing import AddIndexOnline


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('conversations', '0014_screening'),
    ]

    operations = [
        AddIndexOnline(
            model_name='conversation',
            index=models.Index(fields=['updated'], name='conversation_by_age'),
        ),
    ]
