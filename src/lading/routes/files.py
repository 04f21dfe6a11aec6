"""A file as a page's reader makes it: with an editor, as root, in a folder that is there."""

import base64
import shlex

from lading.lab.guest import Guest

NO_FOLDER = 20
NOT_A_FILE = 21
WRITING_SECONDS = 6


def write_file(guest: Guest, path: str, content: str, mode: str) -> str | None:
    """Write a file at once as root with that mode; return why it could not be, or None.

    A symbolic link is followed, as editors do.
    """
    answer = guest.ask(_script(path, content, mode), WRITING_SECONDS, check=False)
    if answer.rc == NO_FOLDER:
        folder = path.rpartition("/")[0] or "/"
        return (
            f"There is no folder '{folder}' on '{guest.name}', and an editor makes none: the page must make it first."
        )
    if answer.rc == NOT_A_FILE:
        return f"'{path}' on '{guest.name}' is there and is not a file."
    if answer.rc != 0:
        return f"'{path}' could not be written on '{guest.name}' (exit {answer.rc}): {answer.output.strip()}"
    return None


def _script(path: str, content: str, mode: str) -> str:
    encoded = base64.b64encode(content.encode()).decode()
    # In the folder itself, since only there a rename replaces at once, and gets the right security context.
    return f"""set -e
path=$(readlink -f -- {shlex.quote(path)}) || exit {NO_FOLDER}
[ -d "${{path%/*}}/" ] || exit {NO_FOLDER}
[ ! -e "$path" ] || [ -f "$path" ] || exit {NOT_A_FILE}
new=$(mktemp -- "${{path%/*}}/.lading.XXXXXXXX")
trap 'rm -f -- "$new"' EXIT
base64 -d > "$new" <<'END'
{encoded}
END
chown root:root -- "$new"
chmod {shlex.quote(mode)} -- "$new"
sync -- "$new"
mv -T -- "$new" "$path"
"""
