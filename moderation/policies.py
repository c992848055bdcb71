"""The policy that holds: the newest that moderators published, felt in every process in seconds."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from django.db import IntegrityError, transaction

from chatbot.audit.log import record
from chatbot.core.db import db_call
from chatbot.core.following import follow
from moderation.errors import BadPolicy
from moderation.models import PolicyVersion
from moderation.policy import Policy, default_policy, parse_policy

logger = logging.getLogger(__name__)

# A change is felt within this, and costs each process one small query as often.
REFRESH_S = 1.0
# Two moderators who publish at once take neighbouring numbers.
MAX_TRIES = 5

_current: Policy | None = None


def current_policy() -> Policy:
    """Return the policy as this process knows it: see `follow_policy`."""
    return _current or default_policy()


def set_policy(policy: Policy | None) -> None:
    """Use another policy in this process; None is the shipped one."""
    global _current
    _current = policy


def newest_version() -> PolicyVersion | None:
    return PolicyVersion.objects.order_by("-version").first()


def read_policy() -> Policy:
    """Return the newest policy that was published and can be followed, or the shipped one."""
    newest = newest_version()
    if newest is None:
        return default_policy()
    try:
        return parse_policy(newest.data, version=newest.version)
    except BadPolicy:
        # It was checked when it was published, by a release that knew more or less than this one.
        logger.exception("Policy %s cannot be followed by this release", newest.version)
        return current_policy()


def publish(data: Mapping[str, Any], *, author: str, note: str) -> PolicyVersion:
    """Make a policy the one that holds from now on, and note it in the audit log.

    Raises BadPolicy; then nothing is changed.
    """
    for _ in range(MAX_TRIES):
        earlier = newest_version()
        version = earlier.version + 1 if earlier else 1
        parse_policy(data, version=version)
        try:
            with transaction.atomic():
                new = PolicyVersion.objects.create(
                    version=version, author=author, note=note, data=dict(data)
                )
                record(
                    author,
                    "policy.published",
                    f"moderation.policy/{version}",
                    note=note,
                    before=earlier.data if earlier else None,
                    after=dict(data),
                )
        except IntegrityError:
            continue
        return new
    raise BadPolicy("Others are publishing policies at this moment. Look at theirs first.")


async def follow_policy(*, every_s: float = REFRESH_S) -> None:
    """Keep this process's policy the newest, until cancelled."""
    await follow(partial(db_call, read_policy), _use, what="The moderation policy", every_s=every_s)


def _use(policy: Policy) -> None:
    set_policy(policy)
    logger.info("Moderation policy %s holds", policy.version)
