"""Bearer tokens: 256 random bits, shown once, kept as a hash.

A plain SHA-256 is enough for a secret with this much entropy: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import secrets

from django.db import DEFAULT_DB_ALIAS, connection

from chatbot.accounts.models import ApiToken, User

PREFIX = "parley_"

# Written out, because it is asked for on every request: the ORM takes longer to build it than
# PostgreSQL to answer it.
_COLUMNS = [field.get_col(User._meta.db_table) for field in User._meta.concrete_fields]
_NAMES = [field.attname for field in User._meta.concrete_fields]
_OWNER = f"""
    SELECT {", ".join(f"person.{column.target.column}" for column in _COLUMNS)}
    FROM {ApiToken._meta.db_table} AS token
    JOIN {User._meta.db_table} AS person ON person.id = token.user_id
    WHERE token.digest = %s AND person.is_active
"""  # noqa: S608 - Only names of our own tables and columns are put in.


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def create_token(user: User, *, label: str = "") -> str:
    """Make a token and return it; it cannot be read again."""
    token = PREFIX + secrets.token_urlsafe(32)
    ApiToken.objects.create(user=user, digest=_digest(token), label=label)
    return token


def is_token(text: str) -> bool:
    """Say whether this could be a token; what could not is refused without a query."""
    return text.startswith(PREFIX) and text.isascii()


def find_user_by_token(token: str) -> User | None:
    if not is_token(token):
        return None
    with connection.cursor() as cursor:
        cursor.execute(_OWNER, [_digest(token)])
        row = cursor.fetchone()
    if row is None:
        return None
    compiler = User.objects.all().query.get_compiler(DEFAULT_DB_ALIAS)
    [values] = compiler.apply_converters([row], compiler.get_converters(_COLUMNS))
    return User.from_db(DEFAULT_DB_ALIAS, _NAMES, values)
