"""An OCI layout, looked at before anybody unpacks it.

Format: https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
"""

from __future__ import annotations

import gzip
import re
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from words import Refused, read_json, sha256

INDEX = "application/vnd.oci.image.index.v1+json"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
ZSTD = b"\x28\xb5\x2f\xfd"
GZIP = b"\x1f\x8b"
MOST_LINKS = 40
"""So many in one path follows Linux too."""

Links = dict[PurePosixPath, PurePosixPath]


class Layout:
    """The one image of a layout; every blob of it has proven to be what it is called.

    Raises:
        Refused: it is no layout of one image, or a blob is missing or has another content than its name says.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / "oci-layout").is_file() or not (folder / "index.json").is_file():
            raise Refused(f"'{folder}' is no OCI layout: it has no 'oci-layout' or no 'index.json'.")
        try:
            self._read()
        except (AttributeError, LookupError, TypeError) as error:
            raise Refused(
                f"'{folder}' is no OCI layout: what it says of its image has another form ({error})."
            ) from None

    def _read(self) -> None:
        if read_json(self.folder / "oci-layout")["imageLayoutVersion"] != "1.0.0":
            raise Refused(f"'{self.folder}/oci-layout' names another version of the format than 1.0.0.")
        entries = read_json(self.folder / "index.json").get("manifests", [])
        if len(entries) != 1 or entries[0].get("mediaType") == INDEX:
            named = f"names {len(entries)} images, or an index of some"
            raise Refused(f"'{self.folder}/index.json' {named}; name one image.")
        self.digest: str = entries[0]["digest"]
        manifest = read_json(self._blob(self.digest, "manifest"))
        self.config_digest: str = manifest["config"]["digest"]
        config = read_json(self._blob(self.config_digest, "config"))
        self.created = str(config.get("created") or "1970-01-01T00:00:00Z")
        # Not by digest: the same layer may come twice, with another between.
        self.layers = [(str(layer["digest"]), self._blob(layer["digest"], "layer")) for layer in manifest["layers"]]

    @property
    def size(self) -> int:
        """All its files together, in bytes."""
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())

    def _blob(self, digest: str, kind: str) -> Path:
        if not DIGEST.fullmatch(str(digest)):
            raise Refused(f"'{self.folder}' names its {kind} '{digest}', which is no SHA-256 digest.")
        file = self.folder / "blobs/sha256" / digest.partition(":")[2]
        if not file.is_file():
            raise Refused(f"The {kind} {digest} is missing in '{self.folder}'.")
        found = sha256(file)
        if found != digest.partition(":")[2]:
            raise Refused(f"The {kind} {digest} in '{self.folder}' was changed: its content has sha256:{found}.")
        return file

    def refuse_unsafe_layers(self) -> None:
        """Refuse layers that would write outside the tree they are unpacked into, or put device files there.

        Raises:
            Refused: with the name of the layer and of the entry.
        """
        links: Links = {}
        for digest, file in self.layers:
            with file.open("rb") as raw:
                magic = raw.read(4)
            if magic == ZSTD:
                raise Refused(f"The layer {digest} is packed with zstd, which cannot be looked into here; use gzip.")
            try:
                with (
                    gzip.open(file) if magic.startswith(GZIP) else file.open("rb") as packed,
                    tarfile.open(fileobj=packed, mode="r|", tarinfo=_Member) as archive,
                ):
                    for member in archive:
                        _refuse_member(f"The layer {digest} holds '{member.name}'", member, links)
                    while packed.read(1 << 20):  # at the end of what is packed comes its checksum
                        pass
            except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, ValueError) as error:
                raise Refused(f"The layer {digest} cannot be read: {error}.") from None


class _Member(tarfile.TarInfo):
    """An entry. Where there is none, tarfile by itself would see the archive's end, and other programs go on."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            # Of the kinds of this error these two say that the archive ends here; tarfile's type hints have none.
            if type(error).__name__ in ("EmptyHeaderError", "EOFHeaderError"):
                raise
            raise tarfile.ReadError(str(error)) from None


def _refuse_member(where: str, member: tarfile.TarInfo, links: Links) -> None:
    """Judge one entry. `links` holds the symbolic links so far, by where they lie, and where each leads."""
    path, target = PurePosixPath(member.name), PurePosixPath(member.linkname)
    # '.wh.x' tells whoever unpacks to remove 'x'; these two would be '.' and '..'. The tree's root is a folder.
    own = path.parts or member.isdir()
    if path.is_absolute() or ".." in path.parts or path.name in (".wh..", ".wh...") or not own:
        raise Refused(f"{where}, which leads out of the image.")
    if member.isdev():
        raise Refused(f"{where}, which is a device file or a pipe.")
    if member.islnk():
        if target.is_absolute() or ".." in target.parts:
            raise Refused(f"{where}, a hard link to '{member.linkname}', which leads out of the image.")
        _place(target, links, f"{where}, a hard link to what is")
    place = _place(path, links, where)
    links.pop(place, None)
    if member.issym():
        links[place] = target


def _place(path: PurePosixPath, links: Links, where: str) -> PurePosixPath:
    """Return where an entry comes to lie when the links so far are followed.

    Raises:
        Refused: one of them leads out of a tree that is not the root of everything.
    """
    folder, link, left, followed = PurePosixPath(), path, list(path.parts), 0
    while len(left) > 1:
        part = left.pop(0)
        out = part == ".." and not folder.parts
        folder = folder.parent if part == ".." else folder / part
        if folder in links:
            link, followed = folder, followed + 1
            out = links[link].is_absolute() or followed > MOST_LINKS
            folder, left = folder.parent, [*links[link].parts, *left]
        if out:
            raise Refused(f"{where} below '{link}', a link to '{links[link]}', which leads out of the image.")
    return folder.joinpath(*left)
