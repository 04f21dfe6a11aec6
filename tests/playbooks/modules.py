"""Loads the roles' Ansible modules the way Ansible does: their shared code below `ansible.module_utils`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

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
