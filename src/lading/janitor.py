"""The janitor's program: waits for the end of its input, then kills a run's processes and removes its folders.

It runs with Python's `-I -S` and imports nothing of ours, so that it starts at once and needs no installed package.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time


def marked_processes(run_id: str) -> list[int]:
    """Return the processes whose environment carries the run's mark."""
    mark = f"LADING_RUN={run_id}".encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
                if mark in file.read().split(b"\0"):
                    found.append(int(name))
    return found


def kill_marked(run_id: str) -> None:
    """Kill them until none is left: a process may start another while we look."""
    deadline = time.monotonic() + 20
    while (processes := [pid for pid in marked_processes(run_id) if not _is_zombie(pid)]) and (
        time.monotonic() < deadline
    ):
        for pid in processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)  # until they vanish from /proc: not being their parent, we cannot wait for them


def _is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return True


def remove(path: str) -> None:
    """Remove a file or a folder with all that is in it."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
        if os.path.exists(path):
            # An image build that was killed leaves files of its user namespace's users; only such a root removes them.
            subprocess.run(["unshare", "--user", "--map-auto", "--map-root-user", "rm", "-rf", "--", path], check=False)
    elif os.path.lexists(path):
        os.unlink(path)


def main() -> None:
    """Wait for the engine, then clean up unless it said 'keep'."""
    run_id, *folders = sys.argv[1:]
    if sys.stdin.read() == "keep\n":
        return
    kill_marked(run_id)
    for folder in folders:
        remove(folder)


if __name__ == "__main__":
    main()
