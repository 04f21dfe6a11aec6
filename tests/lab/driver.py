"""What the tests of killed and of parallel runs start as a process of their own: get a guest, say so, hold it."""

import sys
import tempfile
import time
from pathlib import Path

from lading.lab.lab import opened_lab
from lading.lab.workspace import opened_workspace
from lading.process import ended_by_signals
from lading.project import find_catalogue
from lading.recipe.platforms import load_platforms


def main() -> None:
    """Print `run ID`, then `ready` once the guest has run a command, then hold it for the seconds given."""
    with ended_by_signals(), tempfile.TemporaryDirectory() as folder, opened_workspace() as workspace:
        print(f"run {workspace.run_id}", flush=True)
        with opened_lab(workspace) as lab:
            platform = load_platforms(find_catalogue(start=Path(__file__).parent))["debian13"]
            with lab.guest("worker1", lab.image("debian13", platform), Path(folder)) as guest:
                assert guest.ssh.run("hostname", 60).stdout == "worker1\n"
                print("ready", flush=True)
                time.sleep(float(sys.argv[1]))  # holds the guest until the test kills this run


if __name__ == "__main__":
    main()
