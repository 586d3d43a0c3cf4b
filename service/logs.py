"""How the service logs: one line an event, for people or for machines."""

from __future__ import annotations

import logging.config

from pythonjsonlogger.core import RESERVED_ATTRS

from service.settings import Settings


def configure_logging(settings: Settings) -> None:
    """Everything to stderr at the asked level; uvicorn's own handlers give way to ours."""
    level = settings.log_level.upper()
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "console": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"},
                "json": {
                    "()": "pythonjsonlogger.json.JsonFormatter",
                    "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
                    # uvicorn's copy of the message, with the terminal's colours in it.
                    "reserved_attrs": [*RESERVED_ATTRS, "color_message"],
                },
            },
            "handlers": {
                "stderr": {"class": "logging.StreamHandler", "formatter": settings.log_format, "level": level}
            },
            "root": {"handlers": ["stderr"], "level": level},
            # A line a request would be most of what is written; the proxy in front keeps one already. Of units we say
            # ourselves how they ended.
            "loggers": {"uvicorn.access": {"level": "WARNING"}, "arq": {"level": "WARNING"}},
        }
    )
