from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connections, transaction

from chatbot.accounts.models import Plan, User
from chatbot.accounts.people import create_person

PASSWORD = "correct horse battery"


@pytest.mark.django_db
def test_a_created_person_has_a_verified_address() -> None:
    person = create_person(" Ada@Example.ORG ", PASSWORD)
    assert person.email == "ada@example.org"
    assert person.check_password(PASSWORD)
    assert (person.plan, person.is_staff, person.is_superuser) == (Plan.FREE, False, False)
    address = EmailAddress.objects.get(user=person)
    assert (address.email, address.verified, address.primary) == ("ada@example.org", True, True)


@pytest.mark.django_db
def test_without_a_password_nobody_signs_in() -> None:
    assert not create_person("ada@example.org", None).has_usable_password()


@pytest.mark.django_db
@pytest.mark.parametrize("email", ["", "ada", "ada@", "@example.org", "a b@example.org"])
def test_a_bad_address_is_refused(email: str) -> None:
    with pytest.raises(ValidationError):
        create_person(email, PASSWORD)


@pytest.mark.django_db
@pytest.mark.parametrize("password", ["short", "password123", "ada.lovelace"])
def test_a_weak_password_is_refused(password: str) -> None:
    with pytest.raises(ValidationError):
        create_person("ada.lovelace@example.org", password)
    assert not User.objects.exists()


@pytest.mark.django_db
def test_an_address_in_use_is_refused_in_any_case() -> None:
    create_person("ada@example.org", PASSWORD)
    with pytest.raises(ValidationError, match="already registered"):
        create_person("ADA@example.org", PASSWORD)
    assert User.objects.count() == 1
    assert EmailAddress.objects.count() == 1


@pytest.mark.django_db
def test_the_database_itself_refuses_an_address_in_another_case() -> None:
    person = create_person("ada@example.org", PASSWORD)
    twin = User(email="ADA@example.org", password="!")
    with pytest.raises(IntegrityError), transaction.atomic():
        twin.save()
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=person.pk).update(plan="gold")


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_gets_the_address() -> None:
    together = threading.Barrier(4, timeout=30)

    def create(number: int) -> bool:
        try:
            together.wait()
            create_person("ada@example.org", None)
        except ValidationError:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(create, range(4))) == [False, False, False, True]
    assert EmailAddress.objects.count() == 1
