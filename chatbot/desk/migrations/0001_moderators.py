"""The group whose members work at the moderators' desk."""

from typing import Any

from django.db import migrations

NAME = "Moderators"
# Permissions are made after the last migration; those that the group needs are made here already,
# as they will be found then.
PERMISSIONS = {
    "moderationevent": [
        ("view_moderationevent", "Can view moderation event"),
        ("change_moderationevent", "Can change moderation event"),
    ],
    "policyversion": [
        ("view_policyversion", "Can view policy version"),
        ("add_policyversion", "Can add policy version"),
    ],
}


def make_group(apps: Any, schema_editor: Any) -> None:
    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    ContentType = apps.get_model("contenttypes", "ContentType")
    group, _ = Group.objects.get_or_create(name=NAME)
    for model, permissions in PERMISSIONS.items():
        kind, _ = ContentType.objects.get_or_create(app_label="moderation", model=model)
        for codename, words in permissions:
            found, _ = Permission.objects.get_or_create(
                content_type=kind, codename=codename, defaults={"name": words}
            )
            group.permissions.add(found)


class Migration(migrations.Migration):
    dependencies = [
        ("moderation", "0001_desk"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(make_group, migrations.RunPython.noop)]
