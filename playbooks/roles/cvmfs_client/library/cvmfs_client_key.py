#!/usr/bin/python
"""Ansible module: fetch OpenPGP keys, and keep those whose fingerprints are known, whoever answered at the address."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # Ansible has no type hints
from ansible.module_utils.urls import open_url  # type: ignore[import-untyped]  # as above

DOCUMENTATION = r"""
module: cvmfs_client_key
short_description: Fetch OpenPGP keys and keep those that are trusted
description:
  - Changes nothing on the host. What comes back is armoured, for apt and for rpm.
  - With apt the file is fetched by apt's own helper, so by the proxy that apt uses.
  - Fingerprints are reckoned here, so that no host needs gpg for it.
options:
  url:
    description: Where the keys are, armoured or not.
    type: str
    required: true
  fingerprints:
    description: The primary keys to keep. Each of them must be there.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: [lading]
"""

EXAMPLES = r"""
- name: Fetch the keys that sign packages
  cvmfs_client_key:
    url: http://mirror.site.example/cvmrepo/apt/cernvm.gpg
    fingerprints: [FD80468D49B3B24C341741FC8CE0A76C497EA957]
"""

RETURN = r"""
armoured:
  description: The keys, one after the other.
  returned: always
  type: str
"""

HELPER = "/usr/lib/apt/apt-helper"
PUBLIC_KEY = 6
BEGIN, END = "-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----END PGP PUBLIC KEY BLOCK-----"


def dearmoured(data: bytes) -> bytes:
    """Return a file of keys in binary, whichever of the two forms it has."""
    if BEGIN.encode() not in data:
        return data
    blocks = re.findall(f"{BEGIN}(.*?){END}", data.decode("ascii", "replace"), re.DOTALL)
    bodies = (re.split(r"\r?\n[ \t]*\r?\n", block, maxsplit=1)[-1] for block in blocks)
    # A line that begins with '=' is the checksum of what stands before it.
    lines = ([line for line in body.split() if not re.fullmatch("=[A-Za-z0-9+/]{4}", line)] for body in bodies)
    return b"".join(base64.b64decode("".join(line)) for line in lines)


def packets(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield tag, start, end and body of each packet (RFC 4880, section 4.2).

    Raises:
        ValueError: this is no OpenPGP data, or a packet without a definite length, which keys never are.
    """
    position = 0
    while position < len(data):
        start, head = position, data[position]
        if not head & 0x80:
            raise ValueError("the file holds something other than OpenPGP packets")
        first = data[position + 1] if position + 1 < len(data) else 0
        if head & 0x40:
            tag = head & 0x3F
            if first < 192:
                length, width = first, 1
            elif first < 224:
                length, width = ((first - 192) << 8) + data[position + 2] + 192, 2
            elif first == 255:
                length, width = int.from_bytes(data[position + 2 : position + 6], "big"), 5
            else:
                raise ValueError("a packet has no definite length")
        else:
            tag, kind = (head >> 2) & 0x0F, head & 3
            if kind == 3:
                raise ValueError("a packet has no definite length")
            width = 1 << kind
            length = int.from_bytes(data[position + 1 : position + 1 + width], "big")
        body = position + 1 + width
        position = body + length
        if position > len(data):
            raise ValueError("the file ends in the middle of a packet")
        yield tag, start, position, data[body:position]


def keys(data: bytes) -> dict[str, bytes]:
    """Return fingerprint to key, each with its user ids, subkeys and signatures.

    Raises:
        ValueError: the data is damaged, or a key is of a version before 4.
    """
    found: dict[str, bytes] = {}
    current = ""
    for tag, start, end, body in packets(data):
        if tag == PUBLIC_KEY:
            if body[:1] != b"\x04":
                raise ValueError("a key is not of version 4")
            # RFC 4880, section 12.2.
            head = b"\x99" + len(body).to_bytes(2, "big")
            current = hashlib.sha1(head + body).hexdigest().upper()  # noqa: S324 - it is how fingerprints are defined
            found[current] = b""
        if not current:
            raise ValueError("the file does not begin with a public key")
        found[current] += data[start:end]
    return found


def armoured(data: bytes) -> str:
    """Return a key as text, with the checksum that older programs ask for (RFC 4880, section 6)."""
    checksum = 0xB704CE
    for octet in data:
        checksum ^= octet << 16
        for _ in range(8):
            checksum <<= 1
            if checksum & 0x1000000:
                checksum ^= 0x1864CFB
    text = base64.b64encode(data).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    tail = base64.b64encode((checksum & 0xFFFFFF).to_bytes(3, "big")).decode()
    return "\n".join([BEGIN, "", *lines, f"={tail}", END]) + "\n"


def trusted(data: bytes, fingerprints: list[str]) -> str:
    """Return the keys with these fingerprints, armoured as one block.

    Raises:
        ValueError: one is not there, or the data is no keys at all.
    """
    found = keys(dearmoured(data))
    if missing := [one for one in fingerprints if one not in found]:
        raise ValueError(f"it has no key {', '.join(missing)}, but {', '.join(found) or 'none at all'}")
    return armoured(b"".join(found[one] for one in fingerprints))


def fetch(module: AnsibleModule, url: str) -> bytes:
    """Return what is at an address."""
    if url.startswith("file://") or not os.path.exists(HELPER):
        answer: bytes = open_url(url, timeout=30).read()
        return answer
    folder = tempfile.mkdtemp(dir=module.tmpdir)
    try:
        target = os.path.join(folder, "keys")
        code, out, err = module.run_command([HELPER, "-o", "APT::Sandbox::User=root", "download-file", url, target])
        if code != 0:
            module.fail_json(msg=f"The keys at '{url}' could not be fetched: {(err or out).strip()[-300:]}")
        with open(target, "rb") as handle:
            return handle.read()
    finally:
        shutil.rmtree(folder)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "fingerprints": {"type": "list", "elements": "str", "required": True, "no_log": False},
        },
        supports_check_mode=True,
    )
    url = module.params["url"]
    try:
        text = trusted(fetch(module, url), module.params["fingerprints"])
    except (OSError, ValueError) as error:
        module.fail_json(msg=f"The keys at '{url}' are not those that are trusted: {error}. Nothing was changed.")
    module.exit_json(changed=False, armoured=text)


if __name__ == "__main__":
    main()
