from django.db import migrations, models

from chatbot.core.constraining import AddCheckForNew


class Migration(migrations.Migration):
    """Goes forward only, once there are verdicts; the code before it runs on the new check too."""

    dependencies = [
        ('accounts', '0006_old_suspensions'),
    ]

    operations = [
        migrations.AlterField(
            model_name='ledgerentry',
            name='purpose',
            field=models.CharField(choices=[('answer', 'Answer'), ('title', 'Title'), ('summary', 'Summary'), ('verdict', 'Verdict'), ('opening', 'spent before there was a ledger')], default='answer', max_length=8),
        ),
        migrations.RemoveConstraint(
            model_name='ledgerentry',
            name='ledger_purpose',
        ),
        AddCheckForNew(
            model_name='ledgerentry',
            constraint=models.CheckConstraint(condition=models.Q(('purpose__in', ['answer', 'title', 'summary', 'verdict', 'opening'])), name='ledger_purpose'),
        ),
    ]
