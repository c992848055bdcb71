"""Settings that every way of running shares; values come from the environment."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static

from chatbot import env

BASE_DIR = Path(__file__).resolve().parent.parent.parent
DATA_DIR = Path(env.text("DATA_DIR", str(BASE_DIR / "var"))).expanduser()

DEBUG = False
HOST = env.text("HOST", "127.0.0.1")
PORT = env.number("PORT", 8000, most=65_535)
ALLOWED_HOSTS = env.names("ALLOWED_HOSTS", [])
CSRF_TRUSTED_ORIGINS = env.names("CSRF_TRUSTED_ORIGINS", [])

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "channels",
    "csp",
    "ninja",
    "chatbot.core",
    "chatbot.audit",
    "chatbot.accounts",
    "moderation",
    "conversations",
    "chatbot.desk",
]

MIDDLEWARE = [
    # The API goes no further down than this.
    "chatbot.lane.ApiLane",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "chatbot.accounts.visitors.VisitorLimit",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "chatbot.urls"
ASGI_APPLICATION = "chatbot.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- stores -----------------------------------------------------------------------------------

DATABASE_URL = env.text("DATABASE_URL")
REDIS_URL = env.url("REDIS_URL", "redis", "rediss", "unix")
EVENT_LOG_CLUSTER = env.names("EVENT_LOG_CLUSTER", [])
# Where a log lies follows from this number: it is the same in every process.
EVENT_LOG_CLUSTER_LANES = env.number("EVENT_LOG_CLUSTER_LANES", 3, least=1, most=256)
if EVENT_LOG_CLUSTER:
    env.check_cluster("EVENT_LOG_CLUSTER", EVENT_LOG_CLUSTER)
    if not REDIS_URL:
        raise ImproperlyConfigured("Set REDIS_URL: EVENT_LOG_CLUSTER holds the event log alone.")
DATABASE_THREADS = env.number("DATABASE_THREADS", 8, least=1)
# SQLite's writers wait for each other longer than this; see SQLITE_OPTIONS.
DATABASE_TIMEOUT_S = env.seconds("DATABASE_TIMEOUT_S", 10 if DATABASE_URL else 60)

SQLITE_OPTIONS = {
    # IMMEDIATE takes the write lock at BEGIN: two writers wait for each other instead of one
    # failing when its read turns into a write.
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": (
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA secure_delete=ON;"
    ),
}

# Values travel apart from the statement, which the server then plans once per connection: half of
# its time for a message was parsing and planning. A pooler that does not know prepared statements
# (PgBouncer before 1.21, in transaction mode) needs DATABASE_PREPARE=false.
BINDING: dict[str, Any] = {
    "server_side_binding": True,
    "prepare_threshold": 3 if env.flag("DATABASE_PREPARE", True) else None,
}

# A connection held by a stream would be one fewer for everybody: the pool lends them. It does not
# go on by itself where connecting failed, with longer and longer pauses: chatbot.core.postgresql
# asks again.
POOL = {"min_size": 1, "max_size": DATABASE_THREADS + 4, "timeout": 0.3, "reconnect_timeout": 0}
# Seconds (and milliseconds) until a host that only swallows packets counts as away.
PATIENCE = {
    "connect_timeout": 3,
    "tcp_user_timeout": 5_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
}


def database_settings(url: str) -> dict[str, Any]:
    """Return Django's settings for SQLite in the data folder, or for `url`."""
    if not url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATA_DIR / "db.sqlite3",
            "OPTIONS": SQLITE_OPTIONS,
        }
    parsed = env.database(url)
    if parsed["ENGINE"].endswith("postgresql"):
        parsed["ENGINE"] = "chatbot.core.postgresql"
        parsed["OPTIONS"] = {**BINDING, **PATIENCE, **parsed.get("OPTIONS", {}), "pool": POOL}
    return parsed


DATABASES = {"default": database_settings(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# SQLite leaves out what an index carries besides its keys; only PostgreSQL reads that.
SILENCED_SYSTEM_CHECKS = ["models.W040"]

if REDIS_URL:
    CACHES: dict[str, Any] = {
        "default": {"BACKEND": "chatbot.core.cache.FallbackCache", "LOCATION": REDIS_URL},
    }
    # It is Redis underneath, which the check cannot see.
    SILENCED_SYSTEM_CHECKS += ["django_ratelimit.W001"]
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
# Over Redis where there is one. The layer that Channels has for one process drops notices unsaid
# where a reader is slow, and puts it out of its group for good.
CHANNEL_LAYERS = {"default": {"BACKEND": "chatbot.core.channel_layer.PatientChannelLayer"}}

# --- encryption -------------------------------------------------------------------------------

SECRET_KEY = ""
KEYRING = ""

# --- people -----------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "chat"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
VERIFICATIONS = ("mandatory", "optional", "none")
ACCOUNT_EMAIL_VERIFICATION = env.choice("EMAIL_VERIFICATION", "optional", *VERIFICATIONS)
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_ADAPTER = "chatbot.accounts.addresses.AccountAdapter"
# A school may sign up at once, from one address.
SIGN_UPS_PER_MINUTE = env.number("SIGN_UPS_PER_MINUTE", 20, least=1)
ACCOUNT_RATE_LIMITS = {"signup": f"{SIGN_UPS_PER_MINUTE}/m/ip"}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "Parley"
MFA_ADAPTER = "chatbot.accounts.mfa.SealedSecretsAdapter"
EMAIL_URL = env.text("EMAIL_URL", "consolemail://")
vars().update(env.email(EMAIL_URL))
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "Parley <parley@localhost>")

# --- models and limits ------------------------------------------------------------------------

ANTHROPIC_API_KEY = env.text("ANTHROPIC_API_KEY")
ANTHROPIC_BASE_URL = env.url("ANTHROPIC_BASE_URL", "https", "http")
OPENAI_API_KEY = env.text("OPENAI_API_KEY")
OPENAI_BASE_URL = env.url("OPENAI_BASE_URL", "https", "http")
MODELS_FILE = env.text("MODELS_FILE")
LOCAL_MODEL = env.flag("LOCAL_MODEL", True)
LOCAL_MODEL_FILE = env.text("LOCAL_MODEL_FILE")
LOCAL_MODEL_URL = env.url("LOCAL_MODEL_URL", "https", "http")
LOCAL_MODEL_API_KEY = env.text("LOCAL_MODEL_API_KEY")
_CACHE_HOME = Path(env.text("XDG_CACHE_HOME", "~/.cache")).expanduser()
MODEL_CACHE_DIR = Path(env.text("MODEL_CACHE_DIR", str(_CACHE_HOME / "chatbot" / "models")))
FIRST_TOKEN_TIMEOUT_S = env.seconds("FIRST_TOKEN_TIMEOUT_S", 60)
# While another model could answer, that is asked after so long without a first token.
FALLBACK_AFTER_S = env.seconds("FALLBACK_AFTER_S", 10)
TOKEN_TIMEOUT_S = env.seconds("TOKEN_TIMEOUT_S", 20)
GENERATION_CONCURRENCY = env.number("GENERATION_CONCURRENCY", 4, least=1)
# Long enough to outlive a pause of the worker, short enough to wait for another to take over.
GENERATION_LEASE_S = env.seconds("GENERATION_LEASE_S", 15)
# Beyond either, a message is refused before anything is written: nobody would wait so long.
QUEUE_LIMIT = env.number("QUEUE_LIMIT", 1_000, least=1)
QUEUE_PATIENCE_S = env.seconds("QUEUE_PATIENCE_S", 120)
DRAIN_GRACE_S = env.seconds("DRAIN_GRACE_S", 20)
# After its terminal event a log is kept this long for readers that come back to it.
EVENT_LOG_RETENTION_S = env.seconds("EVENT_LOG_RETENTION_S", 15 * 60)
# Longer than most people think before they go on; afterwards the database is asked once.
CONTEXT_CACHE_S = env.seconds("CONTEXT_CACHE_S", 15 * 60)
# Of larger windows so much is used: what a turn costs and how long it takes do not grow with them.
# Any message that is short enough to be sent fits.
CONTEXT_TOKENS = env.number("CONTEXT_TOKENS", 48_000, least=1_000)
# Nothing is erased unasked, unless the operator says when. At most a century: dates end somewhere.
RETENTION_DAYS = env.number("RETENTION_DAYS", 0, most=36_500)
SYSTEM_PROMPT = env.text("SYSTEM_PROMPT", "You are a helpful assistant. Answer clearly.")

BUDGET_TOKENS = {
    "free": env.number("FREE_BUDGET_TOKENS", 1_000_000),
    "pro": env.number("PRO_BUDGET_TOKENS", 20_000_000),
}
SENDS_PER_MINUTE = {
    "free": env.number("FREE_SENDS_PER_MINUTE", 20, least=1),
    "pro": env.number("PRO_SENDS_PER_MINUTE", 60, least=1),
}
SENDS_PER_DAY = {
    "free": env.number("FREE_SENDS_PER_DAY", 500, least=1),
    "pro": env.number("PRO_SENDS_PER_DAY", 5_000, least=1),
}
# All that is no send: a page that is opened makes four, a device that comes back one per answer.
REQUESTS_PER_MINUTE = env.number("REQUESTS_PER_MINUTE", 600, least=1)
# What one address may post before it is signed in; a school or an office may have one for all.
SIGN_INS_PER_MINUTE = env.number("SIGN_INS_PER_MINUTE", 60, least=1)
SIGN_INS_PER_DAY = env.number("SIGN_INS_PER_DAY", 2_000, least=1)
RATE_LIMIT_WITHOUT_REDIS = env.choice("RATE_LIMIT_WITHOUT_REDIS", "local", "local", "refuse")

TRUSTED_PROXIES = env.names("TRUSTED_PROXIES", [])
env.check_proxies("TRUSTED_PROXIES", TRUSTED_PROXIES)
# Its own defaults: to look up a setting that is not there costs several times what it is for.
RATELIMIT_CACHE_PREFIX = "rl:"
RATELIMIT_HASH_ALGORITHM = hashlib.sha256
RATELIMIT_IP_META_KEY = "chatbot.accounts.addresses.address_of"

# --- web --------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "chatbot.core.static.ModuleManifestStorage"},
}
# 32,000 characters, each as two escaped surrogates in JSON, and the braces around them.
MAX_BODY_BYTES = 512 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES

CONTENT_SECURITY_POLICY = {
    "EXCLUDE_URL_PREFIXES": ["/admin/", "/api/v1/docs"],
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        # The code that a person scans to set up two-factor sign-in is a data: image.
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    },
}
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "chatbot.failed.answer_forged"

# The page's green, in the steps that the admin's theme has: lightness and chroma.
_GREENS = {
    "50": "97.5% .013", "100": "94.5% .03", "200": "89% .055", "300": "81% .08",
    "400": "70% .095", "500": "60% .1", "600": "50% .09", "700": "43% .078",
    "800": "36% .064", "900": "31% .052", "950": "23% .04",
}  # fmt: skip
UNFOLD = {
    "SITE_TITLE": "Parley",
    "SITE_HEADER": "Parley",
    "SITE_SYMBOL": "forum",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("favicon.svg")}
    ],
    "COLORS": {"primary": {step: f"oklch({green} 178)" for step, green in _GREENS.items()}},
    "SIDEBAR": {"navigation": "chatbot.accounts.navigation.list_links"},
}

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

# --- periodic work and logs -------------------------------------------------------------------

CELERY_BROKER_URL = REDIS_URL or "memory://"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_BEAT_SCHEDULE = {
    # What nobody could be told of, and what a task worker died of.
    "do what was left": {"task": "conversations.sweep_chores", "schedule": 30.0},
    "clear expired sessions": {"task": "accounts.clear_expired_sessions", "schedule": 3600.0},
    "count costs": {"task": "accounts.count_costs", "schedule": 60.0},
    "review costs": {"task": "accounts.review_costs", "schedule": 3600.0},
    # What was screened out reaches moderators, and counts against a person.
    "write moderation events": {"task": "conversations.write_moderation_events", "schedule": 2.0},
    # Little at a time, so that it holds up nothing: about ten conversations a second.
    "erase what is too old": {"task": "conversations.expire", "schedule": 10.0},
    # What was said can be found some seconds later.
    "index messages": {"task": "conversations.index_messages", "schedule": 3.0},
}

# Where the digest of each new audit entry is appended, beside the service's log.
AUDIT_HEADS_FILE = env.text("AUDIT_HEADS_FILE")

# docs/moderation.md: the second tier, and who is asked about what was flagged.
MODERATION_TIER2 = env.choice("MODERATION_TIER2", "auto", "auto", "off")
MODERATION_JUDGE_URL = env.url("MODERATION_JUDGE_URL", "https", "http")
MODERATION_JUDGE_KEY = env.text("MODERATION_JUDGE_KEY")
MODERATION_JUDGE_MODEL = env.text("MODERATION_JUDGE_MODEL")
# How many characters of an answer wait until what follows them was judged too.
MODERATION_HOLD_BACK = env.number("MODERATION_HOLD_BACK", 80, most=160)
env.check_hold_back("MODERATION_HOLD_BACK", MODERATION_HOLD_BACK)

LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "structlog.stdlib.ProcessorFormatter",
            "processors": "ext://chatbot.core.logging.LINE",
            "foreign_pre_chain": "ext://chatbot.core.logging.FOREIGN",
        },
    },
    "filters": {
        "exceptions": {
            "()": "django.utils.log.CallbackFilter",
            "callback": "ext://chatbot.core.logging.has_exception",
        },
        "news": {
            "()": "django.utils.log.CallbackFilter",
            "callback": "ext://chatbot.core.logging.is_news",
        },
        "untraced": {
            "()": "django.utils.log.CallbackFilter",
            "callback": "ext://chatbot.core.logging.without_trace",
        },
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "django.request": {"level": "ERROR", "filters": ["exceptions"]},
        # Whoever scans for hosts writes these lines: each says the name, none where it was found.
        "django.security.DisallowedHost": {"filters": ["untraced"]},
        "psycopg.pool": {"level": "WARNING", "filters": ["news"]},
        "daphne": {"level": "WARNING"},
        "httpx2": {"level": "WARNING"},
    },
}
