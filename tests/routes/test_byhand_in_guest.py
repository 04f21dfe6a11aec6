"""The route by hand on a real guest: its shells go through ssh, as root and as an ordinary user."""

import time
from pathlib import Path

import pytest

from lading.errors import PathFailed
from lading.lab.guest import Guest
from lading.page.model import Page
from lading.page.read import read_page
from lading.routes.byhand import ByHandRoute
from tests.lab.conftest import debian13, guest, image, lab

__all__ = ["debian13", "guest", "image", "lab"]

pytestmark = pytest.mark.vm

FILE = "docs/paths/compute/sample.md"
HEAD = "# Sample\n\n/// proof | sample\n\n## Install\n"
GOOD = (
    HEAD
    + """
```{ .console }
# cat > /etc/greeting <<'END'
> hello
>   there, $USER
> END
# word=kept; cd /etc
# echo $word; cat greeting
kept
hello
  there, $USER
$ id --user --name; pwd; echo "[$word]"; echo "$LC_ALL $COLUMNS $TERM"
alice
/home/alice
[]
C.UTF-8 80 dumb
$ touch made
```

```{ .console exit=2 }
$ ls /root
ls: cannot open directory '/root': Permission denied
```

```{ .file path=/etc/sysctl.d/90-sample.conf mode=0600 }
kernel.printk_ratelimit = 7
```

```{ .console until=60s }
# systemd-run --quiet --on-active=2 touch /run/later; ls /run/later
/run/later
```

## Configure

```{ .console reboot }
# systemctl reboot
```

```{ .console }
# echo "[$word]"; pwd; sysctl kernel.printk_ratelimit; stat --format=%a%U /etc/sysctl.d/90-sample.conf
[]
/root
kernel.printk_ratelimit = 7
600root
$ stat --format=%U made
alice
```

## Undo

```{ .console timeout=5s }
# (sleep 6000; true) & sleep 6000
```
"""
)

WRONG = [
    (["# hostname", "worker2"], "", "'hostname' on 'worker1' printed something else than the page says.", "+worker1"),
    (["# grep --color=always worker1 /etc/hostname", "worker1"], "", "'grep --color=always", "--color=never"),
    (["$ exit 4"], "", "'exit 4' on 'worker1' ended the shell itself (exit 4)", "Log: "),
    (["$ true"], "user=bob", "No shell of 'bob' could be had on 'worker1'.", "user bob does not exist"),
]


def read(text: str) -> Page:
    return read_page(text, FILE, root=Path(), hosts=["worker1"], platforms=["debian13"])


def typing(text: str, guest: Guest, folder: Path) -> ByHandRoute:
    return ByHandRoute(read(text), {"worker1": guest}, "debian13", folder, timeout=60)


def test_a_page_is_typed_across_a_reboot_and_what_hangs_is_stopped(guest: Guest, tmp_path: Path) -> None:
    before = guest.boot_id()
    with typing(GOOD, guest, tmp_path) as route:
        assert route.type("install") == "7 commands typed, 1 files written"
        assert route.type("configure") == "3 commands typed, 0 files written"
        assert guest.boot_id() != before
        started = time.monotonic()
        with pytest.raises(PathFailed, match=f"{FILE}:[0-9]+: '.*sleep 6000' on 'worker1' did not end within 5 s"):
            route.type("undo")
        assert time.monotonic() - started < 60
    left = guest.ask("pgrep --full '^sleep 6000'", check=False).output.strip()
    assert left == "", "what hung still runs in the guest"


def test_what_is_not_as_the_page_says_names_page_and_line(guest: Guest, tmp_path: Path) -> None:
    guest.ask("userdel bob")
    for lines, options, message, hint in WRONG:
        text = "\n".join([HEAD, f"```{{ .console {options} }}", *lines, "```", ""])
        with typing(text, guest, tmp_path) as route, pytest.raises(PathFailed) as failed:
            route.type("install")
        assert failed.value.message.startswith(f"{FILE}:8: {message}")
        assert hint in f"{failed.value.message}{failed.value.hint}"
