"""What must be true of a program's images: its users', the one to run it in, and the one to develop it in."""

import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, TypeAlias

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from lading.checks.batch import batch
from lading.checks.site import Site

testinfra_hosts = ["ansible://builders"]

Facts: TypeAlias = dict[str, CommandResult]

AREA = "/srv/container-images"
FORMS = ("", "-runtime", "-developer")
"""What follows the program's name in the names of its three images."""

TOOLS = ("*/bin/gcc", "*/bin/gdb", "*/bin/ld", "*/bin/make", "*/cc1", "*/include/stdio.h")
FIND_TOOLS = " -o ".join(f"-path '{tool}'" for tool in TOOLS)

# What is published is looked at with other programs than the one that built it.
PUBLISHED = {
    "definition": 'cd "/etc/container-images/$NAME" && find * -type f -print0 | xargs -0 sha256sum',
    "programs": 'cd "/etc/container-images/$NAME" && find * -type f -perm /100',
    "status": 'container-image status "/etc/container-images/$NAME"',
    **{f"manifest{form}": f'cat "$NAME{form}/current/manifest.json"' for form in FORMS},
    **{
        f"signature{form}": f"""
        cd "$NAME{form}/current" && gpgv --keyring {AREA}/trusted.gpg manifest.json.asc manifest.json
        """
        for form in FORMS
    },
    **{
        f"size{form}": f"""
        find "$NAME{form}/current/tree/" -type f -printf '%s\\n' | awk '{{ all += $1 }} END {{ printf "%.0f", all }}'
        """
        for form in FORMS
    },
    **{f"tools{form}": f'cd "$NAME{form}/current/tree" && find usr {FIND_TOOLS}' for form in FORMS},
    "code": """
        cd "/etc/container-images/$NAME/src" && find * -name '*.c' -o -name '*.cc' -o -name '*.cpp' -o -name '*.cxx' |
        while read -r file; do find /srv/container-images/"$NAME"*/current/tree/ -name "${file##*/}"; done
        """,
}  # fmt: skip

# By an account that neither builds nor owns anything of it, and that has nothing inside but what is mounted here.
INSIDE = """
    in_image() {
        image=$1; shift; apptainer --silent exec $root --cleanenv --no-mount home,cwd \
        --bind "$BATCH_TMP/code:/usr/src/$NAME" --cwd "/usr/src/$NAME" "$PWD/$NAME$image/current/tree" "$@"
    }
    """
PROBE = r"""
#include <stdio.h>
static int sum(int most)
{
    int all = 0;
    for (int i = 1; i <= most; i++)
        all += i;
    return all;
}
int main(void)
{
    printf("mounted: %d\n", sum(MOST));
    return 0;
}
"""
DEVELOPED = {
    "code": 'cp -r "/etc/container-images/$NAME/src" "$BATCH_TMP/code"',
    "compile": 'in_image -developer make install "DESTDIR=/usr/src/$NAME/installed"',
    "equal": """
        tree=$PWD/$NAME/current/tree; cd "$BATCH_TMP/code/installed" && find . -type f | while read -r file; do
        cmp --silent "$file" "$tree/$file" && echo "same $file" || echo "differs $file"; done
        """,
    "user": 'apptainer --silent run --cleanenv --no-mount home,cwd "$PWD/$NAME/current/tree"',
    "runtime": """
        apptainer --silent exec --cleanenv --no-mount home,cwd --bind "$BATCH_TMP/code/installed/usr/local:/usr/local" \
        "$PWD/$NAME-runtime/current/tree" sh -c "$COMMAND"
        """,
    "probe": 'cat >"$BATCH_TMP/code/probe.c" <<"END"' + PROBE + "END",
    "first": """
        in_image -developer gcc -g -O0 -DMOST=3 -o probe probe.c && in_image -runtime ./probe &&
        in_image -developer stat -c %u probe && id -u
        """,
    # Where the kernel asks for a capability, '--fakeroot' gives it.
    "steps": """
        [ "$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null)" != 2 ] || root=--fakeroot
        in_image -developer gdb -nx --quiet --batch -ex 'break sum' -ex run -ex next -ex next -ex next \
        -ex 'print all' -ex backtrace -ex 'set var all = 100' -ex continue ./probe
        """,
    "edited": r"""
        sed -i 's/mounted/edited/' "$BATCH_TMP/code/probe.c" && in_image -developer gcc -DMOST=4 -o probe probe.c &&
        in_image -runtime ./probe
        """,
}  # fmt: skip


def names(site: Site) -> list[str]:
    """Return the programs that the site defines."""
    definitions = site.variables["developer_image_definitions"]
    assert isinstance(definitions, dict)
    return sorted(definitions)


def of_each(
    host: Host, site: Site, commands: Mapping[str, str], environments: Mapping[str, Mapping[str, str]], begin: str = ""
) -> dict[str, Facts]:
    """Run commands for each program where its images are published, as an ordinary user who does not build them."""
    found = {}
    for name in names(site):
        # Without its definition nobody can say what a published image ought to be.
        there = f'cd "/etc/container-images/$NAME" && cd "{AREA}" || exit 1\n'
        inside = {key: there + begin + command for key, command in commands.items()}
        environment = {"NAME": name, **environments.get(name, {})}
        found[name] = batch(host, inside, user=site.users.other, environment=environment, timeout=300)
    return found


@pytest.fixture(scope="module")
def published(host: Host, site: Site) -> dict[str, Facts]:
    return of_each(host, site, PUBLISHED, {})


@pytest.fixture(scope="module")
def developed(host: Host, site: Site) -> dict[str, Facts]:
    # What the users' image does when it is run: the configuration of an OCI image says it.
    ask = r"""
        cd "$NAME/current" && cat "oci/blobs/sha256/$(sed -n 's/.*"config": "sha256:\(.*\)",/\1/p' manifest.json)"
        """
    asked = of_each(host, site, {"config": ask}, {})
    environments = {name: {"COMMAND": command(facts["config"])} for name, facts in asked.items()}
    return of_each(host, site, DEVELOPED, environments, INSIDE)


def command(config: CommandResult) -> str:
    """Return what an OCI image does when it is run, as a line for a shell; where there is no image, a failing one."""
    if config.rc != 0:
        return "exit 1"
    said = json.loads(config.stdout)["config"]
    return shlex.join([*said.get("Entrypoint", []), *said.get("Cmd", [])])


def of_all(found: dict[str, Facts]) -> dict[str, Facts]:
    """Return what was found of each program; where the site names none, nothing was looked at, and nothing is well."""
    assert found, "The site names no program, so nothing was looked at."
    return found


def said(result: CommandResult) -> str:
    """Return what a command left, for the message of a failed assertion."""
    return f"it ended with {result.rc} and said: {(result.stdout + result.stderr).strip()[-600:] or 'nothing'}"


def manifests(facts: Facts) -> dict[str, dict[str, Any]]:
    """Return what the manifests of a program's images say."""
    for form in FORMS:
        assert facts[f"manifest{form}"].rc == 0, said(facts[f"manifest{form}"])
    return {form: json.loads(facts[f"manifest{form}"].stdout) for form in FORMS}


def test_images_are_of_the_definition_that_is_there(published: dict[str, Facts]) -> None:
    """The three images were built together, from the definition that lies on the host now."""
    for facts in of_all(published).values():
        sums = dict(reversed(line.split("  ", 1)) for line in facts["definition"].stdout.splitlines())
        programs = facts["programs"].stdout.splitlines()
        # As folders are walked: a folder's files come before those of one whose name goes on.
        files = sorted(sums, key=lambda file: file.split("/"))
        text = "".join(f"{file}\0{file in programs}\0{sums[file]}\0" for file in files)
        wanted = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
        found = manifests(facts)
        assert {form: said["definition"] for form, said in found.items()} == dict.fromkeys(FORMS, wanted)
        assert len({said["created"] for said in found.values()}) == 1


def test_images_are_whole_and_signed(published: dict[str, Facts]) -> None:
    """Each image has a manifest with a good signature of a trusted key, and every byte is the one that it names."""
    for name, facts in of_all(published).items():
        assert {form: said["name"] for form, said in manifests(facts).items()} == {form: name + form for form in FORMS}
        for form in FORMS:
            assert facts[f"signature{form}"].rc == 0, said(facts[f"signature{form}"])
        assert facts["status"].rc == 0, said(facts["status"])
        assert len(facts["status"].stdout.splitlines()) == len(FORMS), said(facts["status"])


def test_only_the_developers_image_holds_tools(published: dict[str, Facts]) -> None:
    """Compiler, linker, debugger, make and headers are in the developer's image alone."""
    for facts in of_all(published).values():
        found = {form: facts[f"tools{form}"] for form in FORMS}
        there = [PurePath(line) for line in found["-developer"].stdout.splitlines()]
        missing = [tool for tool in TOOLS if not any(path.match(tool) for path in there)]
        assert not missing, said(found["-developer"])
        for form in ("", "-runtime"):
            assert (found[form].rc, found[form].stdout) == (0, ""), said(found[form])


def test_no_image_holds_the_code(published: dict[str, Facts]) -> None:
    """The code is in none of the three: users need it not, and developers mount theirs."""
    for facts in of_all(published).values():
        assert manifests(facts)
        assert (facts["code"].rc, facts["code"].stdout) == (0, ""), said(facts["code"])


def test_image_to_run_in_is_the_smallest(published: dict[str, Facts]) -> None:
    """The image to run in is smaller than the users', and less than a third of the developer's."""
    for facts in of_all(published).values():
        sizes = [int(facts[f"size{form}"].stdout or 0) for form in ("-runtime", "", "-developer")]
        assert 0 < sizes[0] < sizes[1] < sizes[2], sizes
        assert sizes[0] * 3 < sizes[2], sizes


def test_users_image_runs_its_program(developed: dict[str, Facts]) -> None:
    """A user who runs the image gets what the program prints."""
    for facts in of_all(developed).values():
        assert facts["user"].rc == 0, said(facts["user"])
        assert facts["user"].stdout.strip(), "The program printed nothing."


def test_mounted_code_compiles_to_what_users_get(developed: dict[str, Facts]) -> None:
    """Code that a developer mounts is compiled inside, to the very bytes that the users' image holds."""
    for facts in of_all(developed).values():
        assert facts["compile"].rc == 0, said(facts["compile"])
        compared = facts["equal"].stdout.splitlines()
        assert compared, "Nothing was installed, so nothing was compared."
        assert [line for line in compared if not line.startswith("same ")] == []


def test_what_was_compiled_runs_in_the_run_time_image(developed: dict[str, Facts]) -> None:
    """What was compiled in the developer's image runs in the small one, and says what the users' image says."""
    for facts in of_all(developed).values():
        assert facts["runtime"].rc == 0, said(facts["runtime"])
        assert facts["user"].rc == 0, said(facts["user"])
        assert facts["runtime"].stdout == facts["user"].stdout, said(facts["runtime"])


def test_mounted_code_is_the_developers_own(developed: dict[str, Facts]) -> None:
    """What is compiled belongs to the developer, and a change to a file outside counts at the next compilation."""
    for facts in of_all(developed).values():
        first = facts["first"].stdout.splitlines()
        assert first[:1] == ["mounted: 6"], said(facts["first"])
        assert len(first) == 3, said(facts["first"])
        assert first[1] == first[2], f"The file is {first[1]}'s, and the developer is {first[2]}."
        assert facts["edited"].stdout == "edited: 10\n", said(facts["edited"])


def test_debugger_steps_through_mounted_code(developed: dict[str, Facts]) -> None:
    """A debugger inside stops where it is told, goes line by line, shows variables and callers, and changes a value."""
    for facts in of_all(developed).values():
        lines = facts["steps"].stdout.splitlines()
        stops = [int(line.split("\t")[0]) for line in lines if re.match(r"\d+\t", line)]
        # It stops at the first line of the function; from there through the loop, once round.
        assert stops == [4, 5, 6, 5], said(facts["steps"])
        assert "$1 = 1" in lines, said(facts["steps"])
        assert any(line.startswith("#1 ") and "main () at probe.c:11" in line for line in lines), said(facts["steps"])
        assert "mounted: 105" in facts["steps"].stdout, said(facts["steps"])
