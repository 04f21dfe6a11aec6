"""Ssh into guests: one configuration file for Ansible, the checks and people, with the host key pinned."""

from dataclasses import dataclass
from pathlib import Path

from lading import process
from lading.lab.deadline import Deadline
from lading.lab.image import GuestImage
from lading.process import Completed, TimedOut

ALIAS = "lading-guest"
# One try, handshake included. An emulated handshake takes about a second; a guest under load, several.
TRY_SECONDS = 20


@dataclass(frozen=True)
class Ssh:
    """An ssh configuration that knows one host."""

    config: Path
    host: str

    def argv(self, *command: str) -> list[str]:
        """Return the command line that runs `command` in the guest."""
        return ["ssh", "-F", str(self.config), self.host, *command]

    def run(self, command: str, timeout: float) -> Completed:
        """Run a shell line in the guest; the caller looks at the exit code (255: ssh itself failed)."""
        return process.run(self.argv("--", command), timeout=timeout, check=False)

    def answers(self, deadline: Deadline) -> bool:
        """Tell whether a new connection can run a command now; a hanging handshake counts as no."""
        try:
            argv = ["ssh", "-F", str(self.config), "-o", "ControlPath=none", self.host, "--", "true"]
            return process.run(argv, timeout=min(TRY_SECONDS, max(0.1, deadline.left())), check=False).rc == 0
        except TimedOut:
            return False


def write_config(folder: Path, control: Path, image: GuestImage, host: str, port: int) -> Ssh:
    """Write the configuration into `folder`; `control` is a short path for the shared connection's socket."""
    known = folder / "known_hosts"
    known.write_text(f"{ALIAS} {image.host_key}\n")
    config = folder / "ssh_config"
    config.write_text(
        f"Host {host}\n"
        f"  HostName 127.0.0.1\n  Port {port}\n  User root\n  HostKeyAlias {ALIAS}\n"
        f"  IdentityFile {image.ssh_key}\n  IdentitiesOnly yes\n  IdentityAgent none\n"
        f"  UserKnownHostsFile {known}\n  StrictHostKeyChecking yes\n  LogLevel ERROR\n  ConnectTimeout {TRY_SECONDS}\n"
        f"  ControlMaster auto\n  ControlPath {control}\n  ControlPersist 120\n"
        f"  Compression no\n  GSSAPIAuthentication no\n  ServerAliveInterval 30\n  ServerAliveCountMax 10\n"
    )
    return Ssh(config, host)
