"""A private network segment: it joins the guests of one track to each other, and to nothing else.

It is a switch of the engine's own (`lading.lab.switch`) behind a Unix socket in the run's private folder, so it needs
neither root nor a tap device, and no other user of this machine reaches it. It ends with the run, however that ends.
"""

import secrets
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lading.errors import LabError
from lading.lab.switch import Switch
from lading.lab.workspace import Workspace

NETWORK = "10.99.0"
PREFIX = 24
FIRST = 11
DOMAIN = "site.example"
# The kernel counts network cards in the order of their slots, and without predictable names calls them so.
INTERFACE = "eth1"
# The name by which the list of ignored items knows it for the laboratory's own.
NETWORK_FILE = "/etc/systemd/network/10-lading-lab-segment.network"


@dataclass(frozen=True)
class Place:
    """A host's place on a segment; `socket` is the switch's, `addresses` are those of all hosts."""

    host: str
    socket: Path
    addresses: Mapping[str, str]

    @property
    def address(self) -> str:
        """The host's own address."""
        return self.addresses[self.host]

    @property
    def mac(self) -> str:
        """The card's address: the same in each run, so that neighbours know the host again after its reboot."""
        return "52:54:00:99:00:" + f"{int(self.address.rpartition('.')[2]):02x}"

    def hosts_file(self) -> str:
        """Return what /etc/hosts says of the segment: the full name first, which is what `hostname -f` prints."""
        return "\n".join(f"{address} {name}.{DOMAIN} {name}" for name, address in self.addresses.items())

    def configuring(self) -> str:
        """Return the script that configures the card, whether it is there yet or not.

        It is a file for systemd-networkd, so that the network is there early in a boot, as it is on a site's hosts.
        """
        return f"""cat > {NETWORK_FILE} <<'END'
[Match]
MACAddress={self.mac}
[Network]
Address={self.address}/{PREFIX}
LinkLocalAddressing=no
IPv6AcceptRA=no
END
networkctl reload
"""

    def waiting(self) -> str:
        """Return the script that waits until the card has its address."""
        return f"""set -e
udevadm wait --timeout=60 /sys/class/net/{INTERFACE}
/usr/lib/systemd/systemd-networkd-wait-online --interface={INTERFACE} --timeout=60
"""


@dataclass
class Segment:
    """A segment that runs, with a place for each host."""

    places: Mapping[str, Place]
    switch: Switch
    thread: threading.Thread = field(repr=False)

    def require_health(self) -> None:
        """Tell a broken segment from a failed path.

        Raises:
            LabError: frames were lost that no network would lose.
        """
        if not self.thread.is_alive():
            raise LabError("The guests' private network broke; the engine's own output says why.")
        if self.switch.garbage:
            raise LabError("A guest's QEMU sent what is no frame, and was cut off from the private network.")


@contextmanager
def opened_segment(workspace: Workspace, hosts: Sequence[str]) -> Iterator[Segment]:
    """Yield a segment with a place for each host: 10.99.0.11 for the first, and so on.

    Raises:
        LabError: there are more hosts than addresses, or the socket can't be made.
    """
    if FIRST + len(hosts) > 255:
        raise LabError(f"A private network has room for {255 - FIRST} hosts, not for {len(hosts)}.")
    path = workspace.sockets / f"segment-{secrets.token_hex(4)}"
    addresses = {name: f"{NETWORK}.{number}" for number, name in enumerate(hosts, FIRST)}
    places = {name: Place(name, path, addresses) for name in hosts}
    with ExitStack() as stack:
        switch = stack.enter_context(Switch())
        switch.listen(stack.enter_context(_listening(path)))
        stack.callback(path.unlink)
        yield Segment(places, switch, stack.enter_context(_running(switch)))


def _listening(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(path))
        listener.listen()
    except OSError as error:  # a path of more than 107 bytes among them
        listener.close()
        raise LabError(f"The private network's socket '{path}' can't be made: {error}.") from error
    return listener


@contextmanager
def _running(switch: Switch) -> Iterator[threading.Thread]:
    """Run the switch in a thread while the block runs."""
    thread = threading.Thread(target=switch.run, name="segment", daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        switch.stop()
        thread.join()
