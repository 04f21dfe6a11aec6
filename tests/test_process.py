"""Children: their output, their limits, and that none outlives its run."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from lading.errors import LabError
from lading.janitor import marked_processes
from lading.process import RUN_MARK, Janitor, TimedOut, ended_by_signals, marked, run
from tests.processes import assert_ends


def test_a_failure_names_the_command_ready_to_paste() -> None:
    with pytest.raises(LabError, match="'sh' ended with 3: oh no") as caught:
        run(["sh", "-c", "echo 'oh no' >&2; exit 3"])
    assert "sh -c 'echo '\"'\"'oh no'\"'\"' >&2; exit 3'" in (caught.value.hint or "")


def test_a_missing_program_is_told_as_such() -> None:
    with pytest.raises(LabError, match="'no-such-program' is not installed"):
        run(["no-such-program"])


def test_a_program_that_takes_too_long_is_stopped_with_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(TimedOut, match="did not end within"):
        run(["sh", "-c", f"sleep 60 & echo $! > {pid_file}; wait"], timeout=0.5)
    assert_ends(int(pid_file.read_text()))


def test_output_that_is_no_text_is_kept_readable() -> None:
    assert run(["printf", r"a\377b"]).stdout == "a\N{REPLACEMENT CHARACTER}b"


def test_a_log_takes_the_output(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(LabError) as caught:
        run(["sh", "-c", "echo out; echo err >&2; exit 1"], log=log)
    assert log.read_text() == "out\nerr\n"
    assert str(log) in (caught.value.hint or "")


def test_the_mark_of_a_run_stays_in_a_scrubbed_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUN_MARK, "abc")
    monkeypatch.setenv("SECRET", "token")
    assert marked({"A": "1"}) == {"A": "1", RUN_MARK: "abc"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_janitor_cleans_up_after_an_engine_that_was_killed(number: signal.Signals, tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    engine = f"""
import os, subprocess, sys, time
from pathlib import Path
from lading.process import Janitor, spawn
os.environ["{RUN_MARK}"] = "test-{number}-{os.getpid()}"
janitor = Janitor(os.environ["{RUN_MARK}"], [Path({str(folder)!r})])
spawn(["sh", "-c", "setsid sleep 300 & exec sleep 300"], log=Path({str(tmp_path / "log")!r}))
print("started", flush=True)
time.sleep(300)
"""
    with subprocess.Popen([sys.executable, "-c", engine], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(number)
    deadline = time.monotonic() + 20
    while (folder.exists() or marked_processes(f"test-{number}-{os.getpid()}")) and time.monotonic() < deadline:
        time.sleep(0.02)  # the janitor is nobody's child by now: there is nothing to wait for
    assert not folder.exists()
    assert marked_processes(f"test-{number}-{os.getpid()}") == []


def test_a_dismissed_janitor_leaves_everything(tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    Janitor("nobody", [folder]).dismiss()
    assert folder.exists()
    Janitor("nobody", [folder]).clean()
    assert not folder.exists()


def test_sigterm_leaves_every_with_block_in_order() -> None:
    order: list[str] = []
    with ExitStack() as outer:
        outer.enter_context(pytest.raises(KeyboardInterrupt, match="SIGTERM"))
        outer.enter_context(ended_by_signals())
        outer.callback(order.append, "left")
        signal.raise_signal(signal.SIGTERM)
    assert order == ["left"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
