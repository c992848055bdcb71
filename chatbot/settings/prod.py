"""Production: every secret and address is given, TLS everywhere."""

from __future__ import annotations

from chatbot import env
from chatbot.settings.base import *  # noqa: F403
from chatbot.settings.base import VERIFICATIONS, database_settings

SECRET_KEY = env.required("SECRET_KEY")
KEYRING = env.required("KEYRING")
ALLOWED_HOSTS = env.names("ALLOWED_HOSTS", []) or [env.required("ALLOWED_HOSTS")]
DATABASES = {"default": database_settings(env.required("DATABASE_URL"))}

SECURE_SSL_REDIRECT = env.flag("SECURE_SSL_REDIRECT", True)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = env.number("SECURE_HSTS_SECONDS", 31_536_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
ACCOUNT_EMAIL_VERIFICATION = env.choice("EMAIL_VERIFICATION", "mandatory", *VERIFICATIONS)
