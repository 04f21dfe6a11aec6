"""What tests of roles share: loading their modules and programs, and a folder that looks like an image."""

from __future__ import annotations

import importlib
import importlib.util
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

ROLES = Path(__file__).parents[2] / "playbooks" / "roles"


def load(path: Path, name: str) -> ModuleType:
    """Import one file under a name."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def load_module(role: str, name: str) -> ModuleType:
    """Import a role's module, its and `host_record`'s shared code first."""
    for folder in (ROLES / "host_record" / "module_utils", ROLES / role / "module_utils"):
        for file in sorted(folder.glob("*.py")):
            load(file, f"ansible.module_utils.{file.stem}")
    return load(ROLES / role / "library" / f"{name}.py", f"lading_modules.{name}")


@contextmanager
def program_of(folder: Path, names: Sequence[str]) -> Iterator[Any]:
    """Yield a program's modules under the plain names by which they import each other, and forget these names again."""
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(folder))
    try:
        modules = {name: importlib.import_module(name) for name in names}
        assert all(Path(str(module.__file__)).parent == folder for module in modules.values())
        yield SimpleNamespace(**modules)
    finally:
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = written
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)


def tree(folder: Path, machine: int | None = None) -> Path:
    """Make a folder that looks like an image, for this machine or for another."""
    own = Path(sys.executable).read_bytes()[:20]
    head = own if machine is None else own[:18] + struct.pack("=H", machine)
    (folder / "usr/bin").mkdir(parents=True)
    (folder / "usr/bin/dash").write_bytes(head)
    (folder / "usr/bin/sh").symlink_to("/usr/bin/dash")
    (folder / "bin").symlink_to("usr/bin")
    return folder
