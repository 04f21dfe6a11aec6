#!/usr/bin/python
"""Ansible module: which job routes HTCondor-CE has, and what those that are to come do. It changes nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # Ansible has no type hints

DOCUMENTATION = r"""
module: job_routes
short_description: Which job routes HTCondor-CE has, and what those that are to come do with a job
description:
  - Gives routes to HTCondor's own C(condor_job_router_info), with all that HTCondor-CE has been told but the file that
    they are to replace.
  - A route that does not parse is dropped by HTCondor, and only the log of the router says so. A line whose value does
    not parse is left out, and nothing says so. So each route has to be there, and a job of each VO is routed, and what
    comes of it is looked at.
options:
  text:
    description: The file with the routes.
    type: str
    required: true
  names:
    description: The routes that have to be there.
    type: list
    elements: str
    default: []
  trials:
    description:
      - Jobs, each with the attribute that says its VO (C(sign), C(value)), the C(route) that it has to take, and the
        C(image) in which it has to end up. With C(wish) it names a container image of its own; an empty C(image) means
        that it keeps that.
    type: list
    elements: dict
    default: []
  config:
    description: The root of HTCondor-CE's settings. Where there is none, the routes are tried alone.
    type: path
    default: /etc/condor-ce/condor_config
  file:
    description: The file that the routes replace. What it says now does not count.
    type: path
    default: /etc/condor-ce/config.d/90-lading-routes.conf
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: [lading]
"""

EXAMPLES = r"""
- name: Try a route
  job_routes:
    text: "{{ lookup('ansible.builtin.template', 'routes.conf.j2') }}"
    names: [atlas]
    trials:
      - {sign: AuthTokenIssuer, value: "https://atlas-auth.cern.ch/", route: atlas, image: /images/base, wish: true}
"""

RETURN = r"""
tried:
  description: Whether the host has the tool, so that the routes were tried.
  returned: always
  type: bool
wrong:
  description: What is wrong with the routes, as sentences; empty if nothing is.
  returned: always
  type: str
names:
  description: The routes that the site itself has named in its own files.
  returned: always
  type: list
at:
  description: Where it has, as file and line.
  returned: always
  type: str
twice:
  description: Routes that O(text) makes and the site has already, each with file and line.
  returned: always
  type: list
later:
  description: What the site sets after O(file), so that O(text) would be in vain, each with file and line.
  returned: always
  type: list
"""

Trial: TypeAlias = "Mapping[str, str | bool]"

TOOL = "condor_job_router_info"
OWN_IMAGE = "/of/the/job"
# What HTCondor leaves out by itself, and the file that is replaced.
LEFT_OUT = r"^((\..*)|(.*~)|(#.*)|(.*\.rpmsave)|(.*\.rpmnew)|(.*\.dpkg-.*)|({file}))$"
ALONE = "LOCAL_DIR = {folder}\nRELEASE_DIR = /usr\nUID_DOMAIN = localhost\nJOB_ROUTER_NAME = htcondor-ce\n"
JOB = """MyType = "Job"
ClusterId = {number}
ProcId = 0
JobUniverse = 5
JobStatus = 1
Owner = "nobody"
Requirements = true
"""
WISH = f'''WantDocker = true
DockerImage = "of/the/job"
ContainerImage = "{OWN_IMAGE}"
'''


def settings(config: str, file: str, folder: str) -> str:
    """Return the root of settings with which the tool reads what HTCondor-CE does, without a file and with a folder."""
    if not os.path.exists(config):
        return ALONE.format(folder=folder) + f"LOCAL_CONFIG_DIR = {folder}/config.d\n"
    left_out = LEFT_OUT.format(file=re.escape(os.path.basename(file)))
    return (
        f"include : {config}\nLOCAL_CONFIG_DIR_EXCLUDE_REGEXP = {left_out}\n"
        f"LOCAL_CONFIG_DIR = $(LOCAL_CONFIG_DIR), {folder}/config.d\n"
    )


def job_ads(trials: Sequence[Trial]) -> str:
    """Return the jobs of trials as the tool reads them, numbered from one."""
    ads = []
    for number, trial in enumerate(trials, 1):
        # The last of two lines about one attribute counts.
        sign = f'{trial["sign"]} = "{trial["value"]}"\n'
        ads.append(JOB.format(number=number) + (WISH if trial["wish"] else "") + sign)
    return "\n".join(ads)


def routed(output: str) -> dict[str, dict[str, str]]:
    """Return what became of each job: its number to the attributes of its routed copy.

    >>> routed('submit_job as x\\nRouteName = "a"\\nRoutedFromJobId = "1.0"\\n\\nRouteName = "b"\\n')
    {'1': {'RouteName': 'a', 'RoutedFromJobId': '1.0'}}
    """
    found: dict[str, dict[str, str]] = {}
    for block in output.split("\n\n"):
        ad = dict(re.findall(r'^(\w+) = "?(.*?)"?$', block, re.MULTILINE))
        if "RoutedFromJobId" in ad:
            found[ad["RoutedFromJobId"].partition(".")[0]] = ad
    return found


def dropped(output: str, names: Sequence[str]) -> list[str]:
    """Return the routes that the tool does not list.

    >>> dropped('Route 1\\nName         : "atlas"\\nUniverse     : 5\\n', ["atlas", "cms"])
    ['cms']
    """
    there = re.findall(r'^Name +: "([^"]+)"$', output.partition("Disabled routes:")[0], re.MULTILINE)
    return [name for name in names if name not in there]


def complaint(trial: Trial, ad: Mapping[str, str] | None) -> str:
    """Return what is wrong with what became of one job, if anything is.

    >>> complaint({"sign": "Owner", "value": "a", "route": "x", "image": "/i", "wish": True}, None)
    "no route would take a job with Owner = 'a', which is for 'x'."
    """
    job = f"a job with {trial['sign']} = '{trial['value']}'"
    if ad is None:
        return f"no route would take {job}, which is for '{trial['route']}'."
    if ad["RouteName"] != trial["route"]:
        return f"the route '{ad['RouteName']}' would take {job}, which is for '{trial['route']}'."
    image, wanted = ad.get("ContainerImage", ""), trial["image"] or OWN_IMAGE
    if image == wanted and (not trial["image"] or ad.get("WantContainer") == "true"):
        return ""
    into = f"into '{image}'" if image and image != wanted else "into no container"
    return (
        f"the route '{trial['route']}' would send {job} {into}, and not into '{wanted}': a value does not parse, "
        "or a line that was added says otherwise."
    )


class Router:
    """HTCondor's tools, with settings of their own."""

    def __init__(self, config: str) -> None:
        """Keep the root of the settings."""
        self.environment = {**os.environ, "CONDOR_CONFIG": config, "LC_ALL": "C"}

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a tool to its end."""
        return subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False, timeout=60)


def reason(router: Router, name: str) -> str:
    """Return why HTCondor drops a route; not the router's own tool says it, but the one that applies a route."""
    said = router.ask("condor_transform_ads", "-jobroute", name, os.devnull).stderr.strip()
    return said.partition(f"{name} : ")[2] or said or "it is not named"


def wrong(router: Router, folder: str, names: Sequence[str], trials: Sequence[Trial]) -> str:
    """Return all that is wrong with the routes, as sentences."""
    listed = router.ask(TOOL, "-config")
    if listed.returncode != 0:
        return f"HTCondor cannot read the routes: {' '.join(listed.stderr.split())}."
    if gone := dropped(listed.stdout, names):
        return f"HTCondor drops these routes: {'; '.join(f'{name} ({reason(router, name)})' for name in gone)}."
    with open(os.path.join(folder, "jobs"), "w", encoding="utf-8") as handle:
        handle.write(job_ads(trials))
    done = router.ask(TOOL, "-route-jobs", "-", "-jobads", os.path.join(folder, "jobs"))
    ads = routed(done.stdout)
    said = [complaint(trial, ads.get(str(number))) for number, trial in enumerate(trials, 1)]
    return " ".join(dict.fromkeys(sentence for sentence in said if sentence))


def named(router: Router, macro: str = "JOB_ROUTER_ROUTE_NAMES") -> tuple[list[str], str]:
    """Return the routes that are named so far, and where; or the words of another macro."""
    said = router.ask("condor_config_val", "-verbose", macro)
    value = re.match(r"\S+ = (.*)", said.stdout)
    where = re.search(r"^ # at: ([^<\n,][^,\n]*), line (\d+)", said.stdout, re.MULTILINE)
    return (
        re.split(r"[\s,]+", value.group(1).strip()) if value and value.group(1).strip() else [],
        f"{where.group(1)}:{where.group(2)}" if where else "",
    )


def comes_later(at: str, file: str) -> bool:
    """Say whether a line, as `file:number`, is in the folder of a file and read after it.

    >>> [comes_later(f"/d/{name}:1", "/d/90-a.conf") for name in ("50-b.conf", "99-b.conf")]
    [False, True]
    """
    path = at.rpartition(":")[0]
    return os.path.dirname(path) == os.path.dirname(file) and path > file


def adds_to_itself(at: str, macro: str) -> bool:
    """Say whether a line, as `file:number`, keeps what its macro has said before."""
    path, _, number = at.rpartition(":")
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            line = handle.read().splitlines()[int(number) - 1]
    except (OSError, IndexError):
        return False
    return f"$({macro})" in line.upper()


def in_the_way(router: Router, text: str, file: str) -> tuple[list[str], list[str]]:
    """Return which routes of a text the site has already, and what it says after the text's file."""
    twice = []
    for name in re.findall(r"^JOB_ROUTER_ROUTE_(\w+) @=", text, re.MULTILINE):
        _, at = named(router, f"JOB_ROUTER_ROUTE_{name}")
        if at:
            twice.append(f"{name} ({at})")
    later = []
    for macro in ("JOB_ROUTER_ROUTE_NAMES", "SYSTEM_PERIODIC_HOLD_NAMES"):
        _, at = named(router, macro)
        if f"{macro} = " in text and comes_later(at, file) and not adds_to_itself(at, macro):
            later.append(f"{macro} ({at})")
    return twice, later


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "text": {"type": "str", "required": True},
            "names": {"type": "list", "elements": "str", "default": []},
            "trials": {"type": "list", "elements": "dict", "default": []},
            "config": {"type": "path", "default": "/etc/condor-ce/condor_config"},
            "file": {"type": "path", "default": "/etc/condor-ce/config.d/90-lading-routes.conf"},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    answer = {"changed": False, "tried": False, "wrong": "", "names": [], "at": "", "twice": [], "later": []}
    if not shutil.which(TOOL):
        module.exit_json(**answer)
    folder = tempfile.mkdtemp(dir=module.tmpdir)
    os.mkdir(os.path.join(folder, "config.d"))
    config = os.path.join(folder, "condor_config")
    with open(config, "w", encoding="utf-8") as handle:
        handle.write(settings(wanted["config"], wanted["file"], folder))
    router = Router(config)
    names, at = named(router)
    twice, later = in_the_way(router, wanted["text"], wanted["file"])
    own = os.path.dirname(wanted["file"])
    # What comes with HTCondor-CE lies elsewhere, and gives way.
    if os.path.dirname(at) != own and not at.startswith(wanted["config"]):
        names, at = [], ""
    with open(os.path.join(folder, "config.d", "90-routes.conf"), "w", encoding="utf-8") as handle:
        handle.write(wanted["text"])
    answer.update(
        tried=True,
        names=names,
        at=at,
        twice=twice,
        later=later,
        wrong=wrong(router, folder, wanted["names"], wanted["trials"]),
    )
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
