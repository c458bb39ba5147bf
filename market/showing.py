"""``jinsha settings``: every setting, its value, where that comes from, and what it means. Secrets are not shown."""

import argparse
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from market import config, settings
from market.settings import Given, Setting, SettingsError, start_of, table

_USUAL = ("text", "a URL", *(f"a whole number from {least} to 1,000,000,000" for least in (0, 1)))
"""Goes without saying in a document."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", help="a market's folder (default: JINSHA_FOLDER, or none: the defaults)")


def run(arguments: argparse.Namespace) -> int:
    """Print the table. Exit code 0, or 2 when a setting is not what it should be."""
    try:
        given = {**settings.from_environment(os.environ), **settings.from_options({"folder": arguments.folder})}
        folder = start_of(given).folder
        raw = config.read_file(Path(folder)) if folder is not None else {}
        if folder is not None:
            config.load(Path(folder), given)
    except SettingsError as error:
        sys.stderr.write(f"jinsha settings: {error}\n")
        return 2
    sys.stdout.write("\n".join(lines(given, raw)) + "\n")
    return 0


def lines(given: Mapping[str, Given], raw: Mapping[str, Any]) -> Iterable[str]:
    """One paragraph for each setting: name, value and source; its variable and what it means."""
    for setting in table():
        value, source = _in_force(setting, given, raw)
        yield f"{setting.name} = {_shown(setting, value)}  ({source})"
        yield f"    {setting.variable}: {setting.meaning}; {setting.expected}"


def _in_force(setting: Setting, given: Mapping[str, Given], raw: Mapping[str, Any]) -> Given:
    from_file = raw.get(setting.section, {}) if setting.section else {}
    if setting.name in given:
        return given[setting.name]
    if setting.field in from_file:
        return Given(from_file[setting.field], "market.toml")
    return Given(setting.default, "default")


def _shown(setting: Setting, value: object) -> str:
    if value is None:
        return "not set"
    return "set, not shown" if setting.is_secret else msgspec.json.encode(value).decode()


def markdown() -> str:
    """The table for `docs/operating.md`."""
    rows = ["| setting | variable | default | meaning |", "|---|---|---|---|"]
    for setting in table():
        default = "" if setting.default is None else f"`{msgspec.json.encode(setting.default).decode()}`"
        allowed = "" if setting.expected in _USUAL else f"; {setting.expected}"
        rows.append(f"| `{setting.name}` | `{setting.variable}` | {default} | {setting.meaning}{allowed} |")
    return "\n".join(rows)
