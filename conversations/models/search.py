from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.lookups import Lookup

from conversations.models.conversation import Conversation

# The title of a conversation has no place among its messages, which begin at 1.
TITLE_SEQ = 0


class TermsField(models.Field):  # type: ignore[type-arg]  # not generic when it runs
    """Blind terms: an array with a GIN index on PostgreSQL, words of a full-text index on SQLite.

    The indexes are made by the migration. Only `match` and `match_each` compare it, and nothing reads
    it.
    """

    def db_type(self, connection: Any) -> str:
        return "integer[]" if connection.vendor == "postgresql" else "text"

    def get_placeholder(self, value: Any, compiler: Any, connection: Any) -> str:
        return "%s::integer[]" if connection.vendor == "postgresql" else "%s"

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        return value if connection.vendor == "postgresql" else " ".join(map(_as_word, value))


def _as_word(term: int) -> str:
    return f"{term & 0xFFFFFFFF:08x}"


@TermsField.register_lookup
class TermsMatch(Lookup):
    """`terms__match=(all_of, any_of)`: has all the first terms and, if there are any, one of the
    others."""

    lookup_name = "match"
    prepare_rhs = False

    def get_db_prep_lookup(self, value: Any, connection: Any) -> Any:
        return "%s", [value]

    def read(self, column: str) -> str:
        """Return what PostgreSQL compares."""
        return column

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        column, parameters = self.process_lhs(compiler, connection)
        column = self.read(column)
        both = zip(("@>", "&&"), self.rhs, strict=True)
        conditions = [(f"{column} {sign} %s::integer[]", terms) for sign, terms in both if terms]
        values = [value for _, terms in conditions for value in (*parameters, terms)]
        return " AND ".join(condition for condition, _ in conditions), values

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        all_of, any_of = ([f'"{_as_word(term)}"' for term in terms] for terms in self.rhs)
        if any_of:
            all_of.append(f"({' OR '.join(any_of)})")
        table = compiler.quote_name_unless_alias(self.lhs.alias)
        found = "SELECT rowid FROM conversations_searchwords WHERE conversations_searchwords MATCH"
        return f'{table}."id" IN ({found} %s)', [" AND ".join(all_of)]


@TermsField.register_lookup
class TermsMatchEach(TermsMatch):
    """The same, for rows that are few already: each is looked at.

    PostgreSQL cannot know how often words come together. It would rather read the index for all that
    have them, which may be half of what somebody wrote, than look at some hundred rows.
    """

    lookup_name = "match_each"

    def read(self, column: str) -> str:
        # What is no column has no index.
        return f"({column} || '{{}}'::integer[])"


class SearchEntry(models.Model):
    """What of one message, or title, can be searched: keyed hashes of its words."""

    id = models.BigAutoField(primary_key=True)
    # The owner of the conversation, again, so that a search never has to look there.
    user_id = models.UUIDField(editable=False)
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    seq = models.PositiveIntegerField(help_text="of the message; 0 is the title")
    at = models.DateTimeField(help_text="when the message was written")
    terms = TermsField(editable=False)

    class Meta:
        verbose_name_plural = "search entries"
        constraints = [
            models.UniqueConstraint(fields=["conversation", "seq"], name="search_entry_once"),
        ]
        indexes = [models.Index(fields=["user_id", "at"], name="search_entry_by_time")]

    def __str__(self) -> str:
        return f"{self.conversation_id}/{self.seq}"
