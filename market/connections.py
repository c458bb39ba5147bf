"""The application of a context behind its doors (``market/doors.py``), and room for as many connections as it takes."""

import resource
from typing import Any, cast

from aiohttp import web

from market import app
from market.config import ConfigError
from market.context import Context
from market.doors import Doors

SPARE_FILES = 256
"""Open files beside connections: database, log, the chain's process."""


class Runner(web.AppRunner):
    """Runs the application of a context behind doors."""

    def __init__(self, context: Context, **kwargs: Any) -> None:
        self._context = context
        self._doors: Doors | None = None
        super().__init__(app.build(context), access_log=None, **kwargs)

    @property
    def server(self) -> web.Server | None:
        """What a site calls for each connection."""
        made = super().server
        if made is None:
            return None
        if self._doors is None:
            self._doors = Doors(made, self._context.config.server, self._context.metrics)
        return cast(web.Server, self._doors)


def make_room(connections: int) -> None:
    """Let this process open so many connections. Raises ConfigError when it may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + SPARE_FILES
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ConfigError(
            f"server.connections: {connections} need {needed} open files, and this process may have {hard}; "
            "raise that limit (LimitNOFILE, ulimit -n) or set fewer connections"
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
