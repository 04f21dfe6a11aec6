"""Whether guests really run under KVM here, found by running one.

A device that is there, opens and makes a VM proves nothing: on some machines guests die in their first instructions.
Only a first line on a guest's console settles it.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lading import process
from lading.errors import LabError
from lading.lab.deadline import Deadline
from lading.lab.image import GuestImage, digest
from lading.lab.machine import QEMU, Accelerator, qemu_version
from lading.lab.workspace import Workspace

# A guest under a working KVM prints its first line within a second.
PROBE_SECONDS = 15


@dataclass(frozen=True)
class Verdict:
    """The accelerator that is used, and in one sentence why."""

    accelerator: Accelerator
    reason: str


def find_accelerator(workspace: Workspace, image: GuestImage, asked: Literal["auto", "kvm", "tcg"]) -> Verdict:
    """Return the accelerator to use. What was found is kept until the machine boots again or QEMU changes.

    Raises:
        LabError: `kvm` is asked for and guests do not run under it.
    """
    if asked == "tcg":
        return Verdict("tcg", "Asked for.")
    reason = _why_not_kvm(workspace, image)
    if reason is None:
        return Verdict("kvm", "A guest reached its console under KVM.")
    if asked == "kvm":
        raise LabError(f"KVM was asked for, but guests do not run under it here: {reason}", hint="Use --accel tcg.")
    return Verdict("tcg", f"Guests do not run under KVM here: {reason}")


def _why_not_kvm(workspace: Workspace, image: GuestImage) -> str | None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    fact = workspace.folder("facts") / f"kvm-{digest([qemu_version(), image.key, boot])}.json"
    if fact.exists():
        found: str | None = json.loads(fact.read_text())
        return found
    reason = probe(workspace, image)
    temporary = workspace.tmp / fact.name
    temporary.write_text(json.dumps(reason))
    temporary.replace(fact)
    return reason


def probe(workspace: Workspace, image: GuestImage) -> str | None:
    """Run a guest's kernel under KVM; return None if it printed something, else one sentence on what happened."""
    if not Path("/dev/kvm").exists():
        return "there is no '/dev/kvm'."
    serial, log = workspace.tmp / "probe.serial", workspace.tmp / "probe.log"
    words = [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "q35,accel=kvm",
             "-cpu", "max", "-m", "256M", "-kernel", str(image.kernel), "-append", "console=ttyS0 panic=-1",
             "-chardev", f"file,id=console,path={serial}", "-serial", "chardev:console"]  # fmt: skip
    qemu = process.spawn(words, log=log)
    try:
        return _watch(qemu, serial, log)
    finally:
        qemu.kill()
        qemu.wait()


def _watch(qemu: "subprocess.Popen[bytes]", serial: Path, log: Path) -> str | None:
    deadline = Deadline.after(PROBE_SECONDS)
    while not deadline.passed():
        try:
            qemu.wait(timeout=0.1)
        except subprocess.TimeoutExpired:
            if serial.exists() and serial.stat().st_size > 0:
                return None
            if "internal error" in log.read_text(errors="replace"):
                break
            continue
        break
    told = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"'{told[0].strip()}'." if told else f"a guest printed nothing within {PROBE_SECONDS} s."
