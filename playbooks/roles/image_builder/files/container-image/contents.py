"""What an image holds: the listing of its tree, and the packages in it."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from urllib.parse import quote

from words import as_date, sha256

PLAIN = set(range(0x21, 0x7F)) - set(b"\\#=")
FIELD = re.compile(r"^([A-Za-z0-9-]+): *(.*)$", re.MULTILINE)
IDENTITY = ("Package", "Architecture", "Version")
NOTHING = "NOASSERTION"


def listing(tree: Path) -> str:
    """Return what lies in a tree, entry by entry, as mtree(5) writes it. Owners and times are left out."""
    lines = ["#mtree"]
    for folder, folders, files in os.walk(tree):
        folders.sort()
        entries = sorted(Path(folder, name) for name in [*folders, *files])
        lines += [f"./{_encoded(path.relative_to(tree))} {_described(path)}" for path in entries]
    return "\n".join(lines) + "\n"


def _described(path: Path) -> str:
    status = path.lstat()
    mode = f"mode={stat.S_IMODE(status.st_mode):04o}"
    if stat.S_ISLNK(status.st_mode):
        return f"type=link link={_encoded(path.readlink())}"
    if stat.S_ISDIR(status.st_mode):
        return f"type=dir {mode}"
    if stat.S_ISREG(status.st_mode):
        return f"type=file {mode} size={status.st_size} sha256digest={sha256(path)}"
    return f"type=other {mode}"


def _encoded(path: Path) -> str:
    r"""Return a path with what is no plain character as `\` and three octal digits."""
    return "".join(chr(byte) if byte in PLAIN else f"\\{byte:03o}" for byte in os.fsencode(path))


def difference(listed: str, found: str) -> list[str]:
    """Return the names that two listings tell differently, sorted."""
    known, seen = (
        dict(line.split(" ", 1) for line in text.splitlines() if not line.startswith("#")) for text in (listed, found)
    )
    return sorted(name for name in {*known, *seen} if known.get(name) != seen.get(name))


def packages(tree: Path) -> list[dict[str, str]]:
    """Return the fields of each Debian package in a tree, by dpkg's own records.

    `status.d` has a file for each package of an image that was unpacked and not installed; scanners read both.
    """
    status, folder = tree / "var/lib/dpkg/status", tree / "var/lib/dpkg/status.d"
    own = tree.resolve()  # a link in the tree may lead to this host's own packages
    files = [file for file in (*folder.glob("*"), status) if file.is_file() and own in file.resolve().parents]
    texts = [text for file in files for text in re.split(r"\n\n+", file.read_text(encoding="utf-8", errors="replace"))]
    found = [dict(FIELD.findall(text)) for text in texts]
    known = {
        tuple(fields[key] for key in IDENTITY): fields
        for fields in found
        if set(IDENTITY) <= set(fields) and fields.get("Status", "installed").split()[-1:] == ["installed"]
    }
    return [known[identity] for identity in sorted(known)]


def sbom(name: str, version: str, epoch: int, found: list[dict[str, str]]) -> dict[str, object]:
    """Return a list of packages as SPDX 2.3: https://spdx.github.io/spdx-spec/v2.3/."""
    entries = [_spdx_package(number, fields) for number, fields in enumerate(found, 1)]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"{name}-{version}",
        "documentNamespace": f"https://spdx.org/spdxdocs/{name}-{version}",
        "creationInfo": {"created": as_date(epoch), "creators": ["Tool: container-image"]},
        "packages": entries,
        "relationships": [
            {
                "spdxElementId": "SPDXRef-DOCUMENT",
                "relationshipType": "DESCRIBES",
                "relatedSpdxElement": described,
            }
            for described in [entry["SPDXID"] for entry in entries] or [NOTHING]
        ],
    }


def _spdx_package(number: int, fields: dict[str, str]) -> dict[str, object]:
    name, version, architecture = (fields[key] for key in ("Package", "Version", "Architecture"))
    # A purl escapes all but these: https://github.com/package-url/purl-spec
    purl = f"pkg:deb/debian/{quote(name, safe=':')}@{quote(version, safe=':')}?arch={architecture}"
    checksums = [{"algorithm": "SHA256", "checksumValue": fields["SHA256"]}] if "SHA256" in fields else []
    return {
        "SPDXID": f"SPDXRef-{number}-" + re.sub(r"[^A-Za-z0-9.-]", "-", name),
        "name": name,
        "versionInfo": version,
        "supplier": f"Organization: {fields['Maintainer']}" if "Maintainer" in fields else NOTHING,
        "downloadLocation": NOTHING,
        "filesAnalyzed": False,
        "licenseConcluded": NOTHING,
        "licenseDeclared": NOTHING,
        "copyrightText": NOTHING,
        "checksums": checksums,
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": purl,
            }
        ],
    }
