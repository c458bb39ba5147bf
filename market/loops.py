"""The event loop that servers run on."""

import asyncio


def new_loop() -> asyncio.Runner:
    """uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)
