"""How logs are named and written in Redis."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from uuid import uuid4

from chatbot.core.redis import Place
from conversations.eventlog.base import StreamKey

# A log that nobody ended, as when all workers are gone, is not kept forever. Each append counts
# anew, and a log that expired while its answer lives is one more lost log.
ACTIVE_S = 3600

OK = b"ok"
FENCED = b"fenced"
LOST = b"lost"

# Redis itself refuses an id that does not grow, but takes gaps, and forgets with a key what was
# in it. So the append looks at the tail first: one step, because nothing runs beside a script.
# KEYS[1] log; ARGV attempt, seq of the first event, milliseconds to live, events...
APPEND = """
local attempt, first = tonumber(ARGV[1]), tonumber(ARGV[2])
local tail = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local tail_attempt, tail_seq = 0, 0
if #tail > 0 then
  local a, s = string.match(tail[1][1], '^(%d+)%-(%d+)$')
  tail_attempt, tail_seq = tonumber(a), tonumber(s)
end
if attempt < tail_attempt then return 'fenced' end
local expected = 1
if attempt == tail_attempt then expected = tail_seq + 1 end
if first > expected then return 'lost' end
for i = 4 + expected - first, #ARGV do
  redis.call('XADD', KEYS[1], attempt .. '-' .. (first + i - 4), 'e', ARGV[i])
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 'ok'
"""
APPEND_SHA = hashlib.sha1(APPEND.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Lane:
    """Where logs are kept that are read and written together: a server, or a cluster's slot.

    A cluster refuses a command on several keys unless one hash tag puts them all into one slot
    (CROSSSLOT, see the cluster specification of Redis), wherever the slots may be.
    """

    place: Place | None = None
    tag: str = ""
    # How many lanes there are.
    count: int = 1

    def log_name(self, key: StreamKey) -> str:
        """Return the key of a log; the braces hold what decides the slot."""
        if self.tag:
            return f"log:{{{self.tag}}}:{key.conversation_id}:{key.generation_id}"
        return f"log:{{{key.conversation_id}}}:{key.generation_id}"

    def doorbell_name(self) -> str:
        """Return a key that nobody else has, for waking a reader."""
        return f"readers:{{{self.tag}}}:{uuid4().hex}" if self.tag else f"readers:{uuid4().hex}"
