"""A page in a real Chromium, headless: what it shows, what its console says, what it asks for."""

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("CI") != "true", reason="needs Chromium (Debian: apt install chromium)"
)


class Shown(NamedTuple):
    """``console`` are its lines; ``requested`` all addresses that were asked for, ``by_page`` those for the page."""

    dom: str
    console: list[str]
    requested: set[str]
    by_page: set[str]


async def show(url: str, folder: Path, *more: str) -> Shown:
    """Open a page; ``folder`` takes the browser's profile, ``more`` are further switches."""
    assert CHROMIUM is not None
    log = folder / "netlog.json"
    browser = await asyncio.create_subprocess_exec(
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--virtual-time-budget=2000",
        "--enable-logging=stderr",
        f"--log-net-log={log}",
        f"--user-data-dir={folder / 'profile'}",
        *more,
        "--dump-dom",
        url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    dom, said = await asyncio.wait_for(browser.communicate(), 120)
    console = [line for line in said.decode(errors="replace").splitlines() if "CONSOLE" in line]
    events = [event["params"] for event in json.loads(log.read_text("utf-8"))["events"] if "params" in event]
    origin = "/".join(url.split("/")[:3])
    by_page = {each["url"] for each in events if each.get("initiator") == origin and "url" in each}
    return Shown(dom.decode(), console, {str(each["url"]) for each in events if "url" in each}, by_page)
