"""Makes ``.venv``: Python 3.11 or 3.12, every package at the version in ``constraints.txt``, jinsha itself editable.

Any Python from 3.8 on can run this file, with nothing installed. Where there is no working Python 3.11 or 3.12, ``uv``
is installed from PyPI into ``.uv/`` and provides 3.12 there. ``.venv/ready`` is the mark that make looks at;
``.venv/install.log`` holds all that pip said.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
UV = ROOT / ".uv"
LOG = VENV / "install.log"
READY = VENV / "ready"

CANDIDATES = ("python3.12", "python3.11", "python3", "python")
FITS = "import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))"
WHERE = "import sys; print(sys.executable, '.'.join(map(str, sys.version_info[:3])))"
EXTRAS = ".[dev,postgresql]"


class EnvironmentFailedError(Exception):
    """The environment could not be made; the message says what to do."""


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def fits(python: str) -> bool:
    """Whether this command runs, is 3.11 or 3.12, and can make virtual environments (a shim may exist and fail)."""
    try:
        return subprocess.run([python, "-c", FITS], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def run(command: list[str], otherwise: str) -> str:
    """The standard output of a command; raises EnvironmentFailedError with its last words and ``otherwise``."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    if done.returncode != 0:
        raise EnvironmentFailedError(
            f"{' '.join(command)} failed:\n{(done.stderr or done.stdout)[-1500:]}\n{otherwise}"
        )
    return done.stdout.strip()


def python_from_uv() -> str:
    """The path of a Python 3.12 that uv brings into ``.uv/``. Raises EnvironmentFailedError."""
    say("no working Python 3.11 or 3.12 here: uv provides 3.12, into .uv/")
    uv = UV / "bin" / "uv"
    if not uv.exists():
        hint = "Install Python 3.11 or 3.12 (with its venv module), or the venv module of this Python, and try again."
        run([sys.executable, "-m", "venv", str(UV)], hint)
        run([str(UV / "bin" / "python"), "-m", "pip", "install", "--quiet", "uv"], hint)
    hint = "Install Python 3.11 or 3.12 by hand and try again."
    folder = str(UV / "python")
    run([str(uv), "python", "install", "3.12", "--install-dir", folder], hint)
    found = sorted((UV / "python").glob("cpython-3.12*/bin/python3.12"))
    if not found:
        raise EnvironmentFailedError(f"uv left no Python 3.12 in {folder}. {hint}")
    return str(found[-1])


def choose_python() -> str:
    """A command that is Python 3.11 or 3.12. Raises EnvironmentFailedError."""
    return next((python for python in CANDIDATES if fits(python)), "") or python_from_uv()


def make_venv() -> Path:
    """The Python of ``.venv``, made anew unless the one that is there still works. Raises EnvironmentFailedError."""
    python = VENV / "bin" / "python"
    if fits(str(python)):
        return python
    chosen = choose_python()
    shutil.rmtree(VENV, ignore_errors=True)
    run([chosen, "-m", "venv", str(VENV)], "Is the venv module of this Python installed?")
    return python


def install(python: Path) -> None:
    """Install everything, counting packages aloud. Raises EnvironmentFailedError with pip's last words."""
    expected = len((ROOT / "constraints.txt").read_text().split())
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    command += ["-c", "constraints.txt", "-e", EXTRAS]
    started, seen, live = time.monotonic(), 0, sys.stdout.isatty()
    with (
        LOG.open("w") as log,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip,
    ):
        assert pip.stdout is not None
        for line in pip.stdout:
            log.write(line)
            if line.startswith(("Collecting ", "Requirement already satisfied: ")):
                seen = min(seen + 1, expected)
                text = f"  package {seen} of about {expected}, {time.monotonic() - started:.0f} s"
                if live:
                    sys.stdout.write("\r" + text)
                    sys.stdout.flush()
                elif seen % 20 == 0:
                    say(text)
            elif line.startswith("Installing collected packages"):
                say(("\r" if live else "") + "  all here, now unpacking             ")
    if pip.returncode != 0:
        tail = "".join(LOG.read_text().splitlines(keepends=True)[-25:])
        raise EnvironmentFailedError(f"pip failed; all it said is in .venv/install.log, the end is:\n{tail}")
    say(f"environment ready after {time.monotonic() - started:.0f} s")


def main() -> int:
    try:
        python = make_venv()
        say("making .venv with Python " + run([str(python), "-c", WHERE], "").split()[-1])
        install(python)
    except EnvironmentFailedError as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    READY.write_text("made from pyproject.toml and constraints.txt\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
