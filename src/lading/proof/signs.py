"""What a host tells of itself when a stage has failed, kept beside the run's other logs: guests are thrown away."""

from collections.abc import Mapping

from lading.errors import LabError
from lading.lab.guest import Guest

FILE = "signs.txt"
PATIENCE = 60.0
SCRIPT = """
uptime; free -m; df -h / /tmp
for unit in $(systemctl list-units --state=failed --plain --no-legend | cut -d ' ' -f 1); do
    systemctl show --property=Id,Result,ExecMainCode,ExecMainStatus,StatusErrno,ActiveEnterTimestamp "$unit"
    systemctl show --property=ExecMainStartTimestamp,ExecMainExitTimestamp,InactiveEnterTimestamp "$unit"
    systemctl status --no-pager --full --lines=20 "$unit"
done
systemctl list-jobs --no-pager
journalctl --boot --no-pager --lines=200
dmesg | tail -n 60
"""


def keep_signs(guests: Mapping[str, Guest]) -> None:
    """Write each guest's failed units and last messages into its folder; one that does not answer has none."""
    for guest in guests.values():
        try:
            told = guest.ask(SCRIPT, PATIENCE, check=False).output
        except LabError as error:
            told = f"{error.message}\n"
        (guest.folder / FILE).write_text(told)
