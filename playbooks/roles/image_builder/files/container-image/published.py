"""A published image: what its manifest says of it, by whom that is signed, and whether it is still so."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

from contents import difference, listing
from layout import Layout
from words import Refused, read_json, sha256

REASONS = {
    "BADSIG": "it was changed after it was signed",
    "NO_PUBKEY": "the key is not in the keyring",
    "EXPKEYSIG": "the key has expired",
    "EXPSIG": "the signature has expired",
    "REVKEYSIG": "the key was revoked",
}
NAMED = 5
"""Of many files that differ so many are named."""


def forms(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    """Return digests and sizes of an image's forms as they lie there now; building and verifying both ask this.

    Raises:
        Refused: a file is missing, or the OCI layout is not whole.
    """
    layout = Layout(folder / "oci")
    tree, sif, sbom = folder / "tree.mtree", folder / f"{name}.sif", folder / "sbom.spdx.json"
    for file in (tree, sif, sbom):
        if not file.is_file():
            raise Refused(f"'{file}' is missing.")
    sizes = re.findall(rb" type=file mode=\d+ size=(\d+) ", tree.read_bytes())
    return {
        "oci": {
            "digest": layout.digest,
            "config": layout.config_digest,
            "layers": [digest for digest, _ in layout.layers],
            "index": f"sha256:{sha256(folder / 'oci/index.json')}",
            "size": layout.size,
        },
        "tree": {
            "digest": f"sha256:{sha256(tree)}",
            "files": len(sizes),
            "size": sum(map(int, sizes)),
        },
        "sif": {"digest": f"sha256:{sha256(sif)}", "size": sif.stat().st_size},
        "sbom": {"digest": f"sha256:{sha256(sbom)}", "packages": _packages(sbom)},
    }


def move(new: Path, place: Path, aside: Path, keyring: Path) -> None:
    """Move a finished version to its place; what lies there and is something else goes aside.

    The same content may lie there, of another definition. Containers run from its tree, so tree and layout stay as
    they are; with the SIF file, whose head differs, comes a manifest that fits it.
    """
    if not place.exists():
        new.rename(place)
    elif _same_content(new, place, keyring):
        for path in sorted(new.iterdir()):
            if not path.is_dir():
                path.replace(place / path.name)
    else:
        place.rename(aside)
        new.rename(place)


def _same_content(new: Path, place: Path, keyring: Path) -> bool:
    try:
        said: Any = verify(place, keyring)
    except Refused:
        return False
    built: Any = read_json(new / "manifest.json")
    return all(said[form] == built[form] for form in ("oci", "tree"))


def _packages(sbom: Path) -> int:
    try:
        return len(read_json(sbom)["packages"])
    except (LookupError, TypeError):
        raise Refused(f"'{sbom}' has no list of packages.") from None


def verify(folder: Path, keyring: Path) -> dict[str, Any]:
    """Return the manifest of a published image that is signed, and of which every form is as the manifest says.

    Raises:
        Refused: no valid key of the keyring has signed it, or something differs, with its name.
    """
    manifest = folder / "manifest.json"
    for file in (manifest, folder / "manifest.json.asc", keyring):
        if not file.is_file():
            raise Refused(f"'{file}' is missing.")
    _refuse_signature(manifest, keyring)
    said: Any = read_json(manifest)
    if not isinstance(said, dict) or not {"name", "version", "definition"} <= set(said):
        raise Refused(f"'{manifest}' is signed, and is no manifest of an image.")
    for form, found in forms(folder, said["name"]).items():
        for key, value in found.items():
            promised = said.get(form, {}).get(key)
            if promised != value:
                raise Refused(f"{folder}: {form}: {key} is {value}, and the manifest says {promised}.")
    # The listing is the signed one by now, so whatever differs from it lies in the tree.
    wrong = difference((folder / "tree.mtree").read_text(encoding="utf-8"), listing(folder / "tree"))
    if wrong:
        more = f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
        raise Refused(f"{folder}/tree is not as it was built: {', '.join(wrong[:NAMED])}{more}.")
    return said


def _refuse_signature(file: Path, keyring: Path) -> None:
    """Refuse what gpgv does not call GOODSIG, which it says of keys alone that are neither expired nor revoked.

    Words: https://github.com/gpg/gnupg/blob/gnupg-2.4.7/doc/DETAILS
    """
    command = ["gpgv", "--status-fd", "1", "--keyring", str(keyring.resolve()), f"{file}.asc", str(file)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise Refused("'gpgv' is not installed.") from None
    lines = [line.split(" ", 2) for line in done.stdout.split("\n") if line.startswith("[GNUPG:] ")]
    words = {line[1]: line[-1] for line in lines}
    if done.returncode == 0 and "GOODSIG" in words and "VALIDSIG" in words:
        return
    reason = next((f"{why} ({words[word]})" for word, why in REASONS.items() if word in words), done.stderr.strip())
    raise Refused(f"The signature of '{file}' is refused: {reason}.")
