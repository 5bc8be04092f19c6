"""A site that is django-helpdesk and nothing else: python helpdesk_site.py FOLDER PORT.

Runs in an environment of its own (.venv-helpdesk), so it may not import anything of the project.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.urls import include, path

USER = PASSWORD = "reader"


def configure(folder: Path) -> None:
    """The settings that django-helpdesk asks for, and a database in the folder."""
    processors = ("debug", "request")
    processors = [f"django.template.context_processors.{name}" for name in processors]
    templates = {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                *processors,
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
    settings.configure(
        SECRET_KEY="not secret",
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.sites",
            "django.contrib.messages",
            "django.contrib.humanize",
            "rest_framework",
            "helpdesk",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(folder / "helpdesk.db"),
                "OPTIONS": {"timeout": 60, "init_command": "PRAGMA synchronous = OFF"},
            }
        },
        # every request logs in anew, and the usual hash takes long on purpose
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        EMAIL_BACKEND="django.core.mail.backends.dummy.EmailBackend",
        TEMPLATES=[templates],
        SITE_ID=1,
        USE_TZ=True,
        TIME_ZONE="UTC",
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        HELPDESK_ACTIVATE_API_ENDPOINT=True,
        HELPDESK_TEAMS_MODE_ENABLED=False,
    )
    django.setup()


def fill() -> None:
    """Tables, a queue and somebody who may read and write everything."""
    from django.contrib.auth import get_user_model
    from helpdesk.models import Queue

    call_command("migrate", verbosity=0)
    get_user_model().objects.create_superuser(USER, "reader@acme.test", PASSWORD)
    Queue.objects.create(title="Support", slug="support")


urlpatterns: list[Any] = []

if __name__ == "__main__":
    configure(Path(sys.argv[1]))
    fill()
    urlpatterns.append(path("", include("helpdesk.urls", namespace="helpdesk")))
    call_command("runserver", f"127.0.0.1:{sys.argv[2]}", use_reloader=False)
