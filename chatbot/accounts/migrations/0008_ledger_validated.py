from django.db import migrations

from chatbot.core.constraining import ValidateCheck


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0007_ledger_verdicts'),
    ]

    operations = [
        ValidateCheck(model_name='ledgerentry', name='ledger_purpose'),
    ]
