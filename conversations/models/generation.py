from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from chatbot.core.ids import uuid7
from conversations.models.conversation import Conversation


class State(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    STOPPED = "stopped"
    HALTED = "halted"
    FAILED = "failed"


ACTIVE_STATES = (State.QUEUED, State.RUNNING)
ENDED_STATES = (State.COMPLETED, State.STOPPED, State.HALTED, State.FAILED)


class Screening(models.TextChoices):
    """What was found in the message that is answered."""

    CLEAN = ""
    FLAGGED = "flagged"
    SUPPORT = "support", "answered with support"


class Generation(models.Model):
    """The series of attempts that answers one message.

    `attempt` is the fencing token: whoever holds a lower one can no longer write anything.
    The queued row is itself the outbox: a worker finds it even when its wake-up was lost.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Its unique constraint with the answer's seq is the index. Beside one of the conversation alone
    # the database would at times read all answers of a conversation for the few of a page.
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="generations", db_index=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="generations"
    )
    answer_seq = models.PositiveIntegerField()
    answer_id = models.UUIDField(editable=False)
    state = models.CharField(max_length=9, choices=State, default=State.QUEUED)
    attempt = models.PositiveIntegerField(default=0)
    charged_attempt = models.PositiveIntegerField(
        default=0, help_text="the last attempt whose calls were charged when it was handed over"
    )
    claims = models.PositiveSmallIntegerField(
        default=0, help_text="workers that took it and did not hand it back"
    )
    due = models.DateTimeField(
        default=timezone.now, editable=False, help_text="the place in line: see places.due_at"
    )
    last_seq = models.PositiveIntegerField(
        default=0, help_text="seq of the terminal event within the last attempt"
    )
    screening = models.CharField(
        max_length=8, blank=True, choices=Screening, default=Screening.CLEAN, db_default=""
    )
    lease_owner = models.CharField(max_length=80, blank=True)
    lease_until = models.DateTimeField(null=True)
    stop_requested = models.BooleanField(default=False)
    idempotency_key = models.CharField(max_length=200)
    request_digest = models.CharField(max_length=64, help_text="keyed hash of the request")
    requested_model = models.CharField(max_length=64)
    # Processes of the release before insert rows without it.
    routed_model = models.CharField(
        max_length=64, blank=True, default="", db_default="", help_text="chosen on acceptance"
    )
    model = models.CharField(max_length=64, blank=True)
    provider = models.CharField(max_length=32, blank=True)
    route_reason = models.CharField(max_length=80, blank=True)
    input_tokens = models.PositiveIntegerField(default=0)
    cached_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)
    cost_micros = models.PositiveBigIntegerField(default=0, help_text="millionths of a dollar")
    first_token_ms = models.PositiveIntegerField(null=True)
    stop_reason = models.CharField(max_length=32, blank=True)
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.CharField(max_length=200, blank=True, help_text="safe to show")
    budget_month = models.DateField()
    reserved_tokens = models.PositiveIntegerField(default=0)
    max_output = models.PositiveIntegerField(
        null=True,
        help_text="the longest answer there was budget for, in tokens; see reserve_tokens",
    )
    created = models.DateTimeField(default=timezone.now, editable=False)
    finished = models.DateTimeField(null=True)
    search_due = models.BooleanField(
        default=True,
        db_default=True,
        editable=False,
        help_text="its question and answer are not in the search index yet",
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=State.values), name="generation_state"
            ),
            models.UniqueConstraint(
                fields=["conversation"],
                condition=models.Q(state__in=ACTIVE_STATES),
                name="generation_one_active",
            ),
            models.UniqueConstraint(
                fields=["user", "idempotency_key"], name="generation_idempotency"
            ),
            models.UniqueConstraint(
                fields=["conversation", "answer_seq"], name="generation_one_per_answer"
            ),
        ]
        indexes = [
            models.Index(
                fields=["due", "id"],
                condition=models.Q(state=State.QUEUED),
                name="generation_queue",
            ),
            models.Index(
                fields=["lease_until"],
                condition=models.Q(state=State.RUNNING),
                name="generation_leases",
            ),
            models.Index(
                fields=["user"],
                condition=models.Q(state__in=ACTIVE_STATES),
                name="generation_active_of_user",
            ),
            models.Index(
                fields=["-finished"],
                condition=models.Q(state=State.COMPLETED),
                name="generation_recent",
            ),
            # Nothing is added to it before an answer has ended.
            models.Index(
                fields=["finished"],
                condition=models.Q(search_due=True, state__in=ENDED_STATES),
                name="generation_search_due",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE_STATES
