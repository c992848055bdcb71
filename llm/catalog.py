"""What is known of the models: values that `catalog_file` reads and checks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal, get_args

from llm.tokens import TOKEN_MARGIN, UNKNOWN, Scale

# The one provider that is no endpoint of the catalogue: the server this installation runs.
LOCAL = "local"
# What is no model, but leaves the choice to the router.
AUTO = "auto"
# What the API takes for the name of a model, and what a column of the ledger holds.
MODEL_NAME = r"[A-Za-z0-9._-]{1,64}"
LONGEST_ENDPOINT_NAME = 32

Protocol = Literal["anthropic", "openai"]
Tier = Literal["fast", "smart"]
Continuation = Literal["prefill", "user_turn", "restart"]
LimitField = Literal["max_completion_tokens", "max_tokens"]
LimitsPer = Literal["endpoint", "model"]
# What a model's calls share with each other, or an endpoint's do; see `llm.admission.lanes`.
LANE_LIMITS = ("max_concurrency", "requests_per_minute", "tokens_per_minute")
Thinking = Literal["disabled", "between_tools", "adaptive"]
# The same as `chatbot.accounts.models.Plan`, which this package does not know.
Plan = Literal["free", "pro"]
PLANS: tuple[str, ...] = get_args(Plan)


class CatalogError(ValueError):
    """The catalogue is wrong; each line of the message names a model or endpoint and a fault."""

    @property
    def faults(self) -> list[str]:
        return str(self).splitlines()


@dataclass(frozen=True, slots=True)
class Price:
    """Micro-dollars per million tokens."""

    input: int
    output: int
    cache_write: int
    cache_read: int


FREE = Price(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """A server of models: its protocol, address, and the settings that hold its key and address.

    Without a `key_setting` it needs no key. `url_setting` names a setting that replaces `base_url`.
    `limit_field` is what it calls the longest answer: OpenAI's reasoning models refuse the older
    `max_tokens`, other servers may know nothing else.

    `max_concurrency`, `requests_per_minute` and `tokens_per_minute` are its limits where they are
    known; `limits_per` says whether all its models share them or each one has as much.
    """

    name: str
    protocol: Protocol
    base_url: str = ""
    key_setting: str = ""
    url_setting: str = ""
    limit_field: LimitField = "max_completion_tokens"
    limits_per: LimitsPer = "endpoint"
    max_concurrency: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model: what it is called, what fits into it and what it costs.

    `answer_tokens` is the longest answer we ask for; `max_output` the longest it could give.
    Prompts of more than `long_prompt_above` tokens cost `long_price` throughout. A model without a
    price is refused unless it is `free`. Prompts shorter than `min_cacheable_tokens` are not cached.

    `continuation` is how a started answer is taken up again: from a last turn of the model's own
    (`prefill`), at the wish of a user's turn (`user_turn`), or from the beginning (`restart`).
    Models of one `tokenizer` split text in the same way and learn of it together, from `token_scale`
    on (see `llm.tokens`); one that names none is alone.
    `fallbacks` are the names of models to ask when this one fails, best first. `plans` are those
    of the people who may use it. One that `takes_notes` can be trusted to sum up a conversation. A model with limits of its own (see `EndpointSpec`) shares none
    with others.
    """

    name: str
    display_name: str
    provider: str
    model_id: str
    tier: Tier
    context_window: int
    max_output: int
    answer_tokens: int
    continuation: Continuation
    price: Price
    prices_read: date | None = None
    free: bool = False
    thinking: Thinking | None = None
    caches_prompts: bool = False
    min_cacheable_tokens: int = 0
    takes_notes: bool = True
    fallbacks: tuple[str, ...] = ()
    plans: tuple[str, ...] = PLANS
    tokenizer: str = ""
    token_scale: Scale = UNKNOWN
    long_prompt_above: int | None = None
    long_price: Price | None = None
    max_concurrency: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None

    @property
    def is_local(self) -> bool:
        return self.provider == LOCAL

    @property
    def family(self) -> str:
        """Return the name of the models that split text as this one does."""
        return self.tokenizer or f"{self.provider}/{self.model_id}"

    @property
    def fitting_scale(self) -> Scale:
        """Return the scale by which a text takes rather more room than it needs."""
        return self.token_scale.widen(TOKEN_MARGIN)

    @property
    def continues(self) -> bool:
        """Whether it goes on from a last turn of its own; the others may refuse such a turn."""
        return self.continuation == "prefill"


@dataclass(frozen=True, slots=True)
class Catalog:
    """All models and endpoints in the file's order, and the names of the defaults.

    `default_fast`, which may be missing, is the fast model that `auto` prefers.
    """

    models: tuple[ModelSpec, ...]
    endpoints: tuple[EndpointSpec, ...]
    default_hosted: str
    default_local: str
    default_fast: str = ""

    def find(self, name: str) -> ModelSpec | None:
        return next((spec for spec in self.models if spec.name == name), None)

    def find_endpoint(self, name: str) -> EndpointSpec | None:
        return next((spec for spec in self.endpoints if spec.name == name), None)
