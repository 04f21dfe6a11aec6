"""Write `requirements.lock` anew: every package that lading, its site and its tools need, with versions and hashes.

The lock names no package index, so that it works with everybody's. It serves every Python from 3.11 on.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
LOCK: Final = ROOT / "requirements.lock"
HEADER: Final = "# Written by 'make lock' from pyproject.toml; 'make setup' installs it with pip --require-hashes.\n"
FURTHER_PLACES: Final = ("UV_FIND_LINKS", "UV_EXTRA_INDEX_URL")
COMPILE: Final = (
    "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--all-extras", "--upgrade",
    "--generate-hashes", "--no-annotate", "--no-header", "--no-config",
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Resolve, and replace the lock once that worked.

    Addresses of package indexes come from the environment of whoever runs this; variables that would add further
    places to look are left out, since the lock must stand on what everybody can reach.
    """
    environment = {key: value for key, value in os.environ.items() if key not in FURTHER_PLACES}
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "requirements.lock"
        words = [str(ROOT / ".venv/bin/uv"), *COMPILE, *arguments, "--output-file", str(made), "pyproject.toml"]
        done = subprocess.run(words, cwd=ROOT, env=environment, check=False)
        if done.returncode:
            return done.returncode
        LOCK.write_text(HEADER + made.read_text())
    print(f"'{LOCK.name}' is written; 'make setup' installs it.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
