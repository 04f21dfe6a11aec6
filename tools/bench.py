"""Measure what the lab promises, in one run on this machine: `make bench`, or with ARGS=--lab without the proofs.

The vocabulary's lint and cards are measured first; with ARGS=--words they alone. ARGS=--starts and ARGS=--shared
measure what pages show of the starts of containers, and nothing else (`tools.bench_starts`, `tools.bench_shared`).

A cold boot and restores of the same guest first, then a full proof of one path with warm caches, then the same
again with nothing changed. Anything else that keeps the machine busy shows in the numbers.
"""

import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lading.lab.guest import Guest
from lading.lab.image import GuestImage
from lading.lab.lab import Lab, opened_lab
from lading.lab.machine import Machine, describe
from lading.lab.snapshot import Snapshot
from lading.lab.workspace import opened_workspace
from lading.process import ended_by_signals
from lading.project import find_catalogue
from lading.recipe.platforms import load_platforms
from tools import bench_shared, bench_starts, bench_words

PLATFORM: Final = "debian13"
PATH: Final = "apptainer-unprivileged"
RESTORES: Final = 5
LADING: Final = str(Path(sys.executable).with_name("lading"))


@dataclass(frozen=True)
class Measure:
    """One line of the report: seconds, and what was promised (at most so many, or so many times faster than a boot)."""

    title: str
    seconds: float
    at_most: float | None = None
    times_faster: float | None = None

    def kept(self, boot: float) -> bool:
        """Tell whether the promise was kept, given the seconds of a cold boot."""
        if self.at_most is not None and self.seconds > self.at_most:
            return False
        return self.times_faster is None or boot / self.seconds >= self.times_faster

    def line(self, boot: float) -> str:
        """Return the measure as a line, with the promise where there is one."""
        says = ""
        if self.times_faster is not None:
            says = f"{boot / self.seconds:5.1f} × faster than the boot; promised: {self.times_faster:.0f} ×"
        if self.at_most is not None:
            says = f"promised: at most {self.at_most:.0f} s"
        return f"{self.title:44} {self.seconds:7.2f} s  {says}{'' if self.kept(boot) else '  NOT KEPT'}".rstrip()


def measure_boot(lab: Lab, spec: Machine, image: GuestImage, folder: Path) -> float:
    """Return the seconds from nothing to the first command through ssh."""
    started = time.monotonic()
    with Guest("boot", spec, image, lab.workspace, folder / "boot") as guest:
        guest.make_disk()
        guest.start_cold()
        return time.monotonic() - started


def measure_restore(lab: Lab, spec: Machine, image: GuestImage, found: Snapshot, folder: Path) -> tuple[float, float]:
    """Return the seconds to the first command over the root channel, and to the first through ssh."""
    started = time.monotonic()
    with Guest("restore", spec, image, lab.workspace, folder) as guest:
        guest.restore(found.memory, found.disk)
        channel = time.monotonic() - started
        guest.wait_for_ssh()
        return channel, time.monotonic() - started


def measure_lab() -> list[Measure]:
    """Boot a guest once and restore it several times; the middle one of these counts."""
    platform = load_platforms(find_catalogue())[PLATFORM]
    with ended_by_signals(), opened_workspace() as workspace, opened_lab(workspace) as lab:
        folder = workspace.new_run_folder("bench")
        image = lab.image(PLATFORM, platform)
        verdict = lab.accelerator(image)
        print(f"Guests of '{PLATFORM}' run under {verdict.accelerator}: {verdict.reason}", flush=True)
        spec = describe(image, verdict.accelerator)
        found = lab.snapshot(spec, image, folder)
        boot = measure_boot(lab, spec, image, folder)
        restores = [measure_restore(lab, spec, image, found, folder / f"restore-{n}") for n in range(RESTORES)]
    channel, ssh = (statistics.median(times) for times in zip(*restores, strict=True))
    return [
        Measure("cold boot to the first ssh command", boot),
        Measure("restore to the first command over the channel", channel, times_faster=25),
        Measure("restore to the first ssh command", ssh, times_faster=8),
    ]


def measure_verify() -> list[Measure]:
    """Prove a path anew, then ask again."""
    anew = _seconds([LADING, "verify", PATH, "--force"])
    again = _seconds([LADING, "verify", PATH])
    return [
        Measure("full proof, warm", anew, at_most=6 * 60),
        Measure("the same with nothing changed", again, at_most=5),
    ]


def _seconds(argv: list[str]) -> float:
    started = time.monotonic()
    if rc := subprocess.run(argv, check=False, stdin=subprocess.DEVNULL).returncode:
        sys.exit(rc)
    return time.monotonic() - started


def main(arguments: list[str]) -> int:
    """Measure, print, and end with 1 if a promise was not kept."""
    if "--starts" in arguments:
        return bench_starts.main()
    if "--shared" in arguments:
        return bench_shared.main()
    words_well = "--lab" in arguments or bench_words.main() == 0
    if "--words" in arguments:
        return 0 if words_well else 1
    measures = measure_lab()
    if "--lab" not in arguments:
        measures += measure_verify()
    boot = measures[0].seconds
    print("", *(measure.line(boot) for measure in measures), sep="\n")
    return 0 if words_well and all(measure.kept(boot) for measure in measures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
