#!/usr/bin/python
"""Ansible module: what grid pilots with an Apptainer of their own find on this host. It reads and changes nothing."""

from __future__ import annotations

import glob
import os
import pwd
import stat
from collections.abc import Iterable

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # Ansible has no type hints
from ansible.module_utils.host_record import (  # type: ignore[import-untyped]  # Ansible puts it there
    booted,
    read_text,
)
from ansible.module_utils.pilot_account import looks  # type: ignore[import-untyped]  # Ansible puts it there

DOCUMENTATION = r"""
module: pilot_node_survey
short_description: What grid pilots with an Apptainer of their own find on this host
description:
  - Asks for accounts, paths, an Apptainer of the host's own and what AppArmor denies, in one call. Changes nothing.
  - Paths are asked for as each of the accounts, or as root where none is named. In an image build they are not.
options:
  accounts:
    description: The accounts that pilots run as.
    type: list
    elements: str
    default: []
  bind_paths:
    description: What is bound into their containers, as 'source[:destination[:options]]'.
    type: list
    elements: str
    default: []
  apptainer:
    description: The pilots' Apptainer, if a container is to be tried.
    type: str
    default: ""
  images:
    description: Unpacked images from which one is to be tried.
    type: list
    elements: str
    default: []
  seconds:
    description: How long one path may take to answer.
    type: int
    default: 120
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: [lading]
"""

EXAMPLES = r"""
- name: Ask the node what pilots would find
  pilot_node_survey:
    accounts: [pilot01]
    bind_paths: [/etc/grid-security/certificates]
  register: pilot_node_survey
"""

RETURN = r"""
missing_accounts:
  description: Accounts that the host does not have.
  returned: always
  type: list
missing_paths:
  description: Sources of bind paths that the host does not have or that do not answer, and who has asked.
  returned: always
  type: list
missing_trial:
  description: The same of the Apptainer, which has to be executable, and of the images, which have to be readable.
  returned: always
  type: list
commands:
  description: Commands of Apptainer or Singularity in the usual folders, which some pilots take before their own.
  returned: always
  type: list
settings:
  description: Settings files of Apptainer or Singularity on the host.
  returned: always
  type: list
setuid_starters:
  description: Setuid starters on the host, whether from a package or not.
  returned: always
  type: list
userns_restricted:
  description: Whether AppArmor denies user namespaces to programs without a profile. Not asked in an image build.
  returned: always
  type: bool
booted:
  description: Whether systemd runs here; if not, an image is being built and the kernel is another host's.
  returned: always
  type: bool
"""

# The same places in which the role 'apptainer' looks; a test holds the two together.
STARTERS = ("/usr/libexec/*/bin/starter-suid", "/usr/local/libexec/*/bin/starter-suid", "/usr/lib/*/*/bin/starter-suid",
            "/usr/lib/*/bin/starter-suid", "/opt/*/libexec/*/bin/starter-suid")  # fmt: skip
COMMANDS = ("/usr/bin/apptainer", "/usr/local/bin/apptainer", "/usr/bin/singularity", "/usr/local/bin/singularity")
SETTINGS = ("/etc/apptainer/apptainer.conf", "/etc/singularity/singularity.conf",
            "/usr/local/etc/apptainer/apptainer.conf", "/usr/local/etc/singularity/singularity.conf")  # fmt: skip
APPARMOR_RESTRICTS = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"


def missing_accounts(accounts: Iterable[str]) -> list[str]:
    """Return the accounts that nobody knows here, by whatever name service.

    >>> missing_accounts(["root", "no such account"])
    ['no such account']
    """

    def known(account: str) -> bool:
        try:
            pwd.getpwnam(account)
        except KeyError:
            return False
        return True

    return [account for account in accounts if not known(account)]


def missing(accounts: Iterable[str], wanted: Iterable[tuple[str, str]], seconds: float) -> list[str]:
    """Return the paths that fail their test as one of the accounts: the first one to miss a path is named.

    >>> import getpass
    >>> missing([getpass.getuser()], [("-e", "/etc"), ("-x", "/")], 20)
    []
    """
    asking = list(accounts)

    def first(sign: str, path: str) -> str:
        # A path that does not answer one account is not asked again: with many accounts that would take an hour.
        return next(filter(None, (looks(account, sign, path, seconds) for account in asking)), "")

    return [failed for sign, path in wanted if (failed := first(sign, path))]


def sources(bind_paths: Iterable[str]) -> list[tuple[str, str]]:
    """Return the sources of bind paths, each with what it has to be.

    >>> sources(["/etc:/site/etc:ro"])
    [('-e', '/etc')]
    """
    return [("-e", path.split(":")[0]) for path in bind_paths]


def tried(apptainer: str, images: Iterable[str]) -> list[tuple[str, str]]:
    """Return the paths that the trial of a container needs, each with what it has to be.

    >>> tried("/a/bin/apptainer", ["/i"])
    [('-x', '/a/bin/apptainer'), ('-r', '/i')]
    """
    return [("-x", apptainer), *(("-r", image) for image in images)] if apptainer else []


def setuid_starters(patterns: Iterable[str] = STARTERS) -> list[str]:
    """Return the starters that carry the setuid bit."""
    found = sorted({os.path.realpath(path) for pattern in patterns for path in glob.glob(pattern)})
    return [path for path in found if os.path.isfile(path) and os.stat(path).st_mode & stat.S_ISUID]


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "accounts": {"type": "list", "elements": "str", "default": []},
            "bind_paths": {"type": "list", "elements": "str", "default": []},
            "apptainer": {"type": "str", "default": ""},
            "images": {"type": "list", "elements": "str", "default": []},
            "seconds": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    said = module.params
    unknown = missing_accounts(said["accounts"])
    accounts = [account for account in said["accounts"] if account not in unknown]
    accounts = accounts or [pwd.getpwuid(os.geteuid()).pw_name]
    running = booted()  # else an image is being built, which has neither /cvmfs nor the site's file systems
    module.exit_json(
        changed=False,
        missing_accounts=unknown,
        missing_paths=missing(accounts, sources(said["bind_paths"]), said["seconds"]) if running else [],
        missing_trial=missing(accounts, tried(said["apptainer"], said["images"]), said["seconds"]) if running else [],
        commands=[path for path in COMMANDS if os.path.lexists(path)],
        settings=[path for path in SETTINGS if os.path.exists(path)],
        setuid_starters=setuid_starters(),
        userns_restricted=running and read_text(APPARMOR_RESTRICTS).strip() == "1",
        booted=running,
    )


if __name__ == "__main__":
    main()
