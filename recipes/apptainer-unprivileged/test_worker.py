"""What must be true of a worker whose users run containers without setuid, tried as an ordinary user."""

import re
from collections.abc import Mapping
from typing import TypeAlias

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from lading.checks.batch import batch
from lading.checks.site import Site

testinfra_hosts = ["ansible://workers"]

Facts: TypeAlias = Mapping[str, CommandResult]

UNITS = "grep -lsE '^PrivateNetwork=(1|yes|true|on)$'"

NODE = {
    "version": "apptainer --version",
    "files": """
        find "$(apptainer buildcfg LIBEXECDIR)/apptainer" "$(command -v apptainer)" -type f -printf '%m %p\\n'
        """,
    "boot": "systemd-analyze cat-config sysctl.d",
    # systemd answers, not the files, so that a forgotten daemon-reload shows. A template is asked for an instance.
    "units": f"""
        find /usr/lib/systemd/system /etc/systemd/system -maxdepth 1 -type f -exec {UNITS} {{}} + |
        sed 's,.*/,,; s,@\\.,@lading.,' |
        xargs -r systemctl show --property=Id,LoadState,PrivateNetwork
        """,
}  # fmt: skip

RESTARTS = f"""
    find /usr/lib/systemd/system -maxdepth 1 -type f -name '*[!@].service' -exec {UNITS} {{}} + | sed 's,.*/,,' |
    while read -r unit; do
        before=$(systemctl is-active "$unit")
        systemctl restart "$unit" && echo "restarted $unit" || echo "failed $unit"
        [ "$before" = active ] && continue
        # One that is stopped while it still starts may call itself failed; it was not before.
        systemctl stop "$unit"
        [ "$before" = failed ] || systemctl reset-failed "$unit" 2>/dev/null || true
    done
    """

NAMESPACES = {
    "user": "unshare --user --map-root-user echo made",
    "network": "unshare --user --map-root-user --net echo made",
    "apptainer": 'apptainer exec --net --network none "$IMAGE" echo made',
}

FIRST = """
    LADING_HOST_VARIABLE=leaked apptainer exec "$IMAGE" sh -c '
    echo "user $(id -u)"
    echo "variable [$LADING_HOST_VARIABLE]"
    echo "first process [$(ps -o args= -p 1)]"
    cut -d" " -f5 /proc/self/mountinfo | while read -r path; do echo "mount $path"; done'
    """

CONTAINERS = {
    # Not compressed: under emulation that takes ten times as long as everything else here.
    "build": 'apptainer build --mksquashfs-args "-noI -noD -noF -noX" "$BATCH_TMP/tiny.sif" "$IMAGE"',
    "sif": 'apptainer exec "$BATCH_TMP/tiny.sif" sh -c \'echo "user $(id -u)"\'',
    "root": """
        apptainer exec --fakeroot --bind /etc:/mnt --bind "$BATCH_TMP:/srv" "$IMAGE" sh -c '
        echo "user $(id -u)"
        cat /mnt/shadow >/dev/null && echo "read /etc/shadow"
        true >>/mnt/hosts && echo "opened /etc/hosts for writing"
        kill -0 1 && echo "may signal process 1"
        true >/srv/made'
        stat --format="made by %U" "$BATCH_TMP/made"
        """,
    "contained": """
        touch "$HOME/.lading-outside" /tmp/lading-outside
        apptainer exec --contain --ipc --pid "$IMAGE" sh -c '
        echo "in home [$(ls -A ~)]"; echo "in tmp [$(ls -A /tmp)]"; ps -e -o args='
        rm "$HOME/.lading-outside" /tmp/lading-outside
        """,
    "bind": """
        mkdir "$BATCH_TMP/data" && echo found >"$BATCH_TMP/data/file"
        test -e "$IMAGE/missing" && echo "The path is not missing in the image."
        apptainer exec --bind "$BATCH_TMP/data:/missing/in/the/image" "$IMAGE" cat /missing/in/the/image/file
        """,
    "cleanenv": """
        LADING_HOST_VARIABLE=leaked apptainer exec --cleanenv "$IMAGE" sh -c 'echo "variable [$LADING_HOST_VARIABLE]"'
        """,
}

# The same program, setuid root, first outside and then inside; and one that came with the image.
# It lies in /var/tmp since many hosts mount /tmp without setuid.
SETUID = """
    folder=$(mktemp -d /var/tmp/lading.XXXXXX) && trap 'rm -rf "$folder"' EXIT
    chmod 755 "$folder" && cd "$folder" && install -m 4755 "$(command -v id)" id
    echo "outside $(runuser -u "$LADING_USER" -- ./id -u)"
    runuser -u "$LADING_USER" -- env APPTAINER_CONFIGDIR="$folder/settings" \
    apptainer exec --bind "$folder:/mnt" "$IMAGE" sh -c '
    echo "from the host $(/mnt/id -u)"
    echo "from the image $(setuid-id -u)"
    grep NoNewPrivs /proc/self/status'
    """

# A strict apptainer.conf lies over the host's in a mount namespace, so that the host's own is not touched.
STRICT = """
    chmod 711 "$BATCH_TMP" && cd "$BATCH_TMP" && install -d -o "$LADING_USER" user
    echo "allow container dir = no" >strict.conf
    echo "export APPTAINER_CONFIGDIR=$PWD/user/settings; cd $PWD/user; exec" '"$@"' >as-user
    cat >strict <<EOF
    mount --bind strict.conf "$(apptainer buildcfg APPTAINER_CONF_FILE)" &&
    exec runuser -u "$LADING_USER" -- sh as-user "\\$@"
    EOF
    """.replace("\n    ", "\n")

# Apptainer finds its files relative to where it lies: below the folder that holds its `bin`, or its `lib`.
COPY = """
    libexec=$(apptainer buildcfg LIBEXECDIR) && libexec=${libexec#/usr/}
    mkdir -p "own/$libexec" own/bin own/etc own/var/lib/apptainer/mnt/session
    cp "$(command -v apptainer)" own/bin && cp -r "/usr/$libexec/apptainer" "own/$libexec"
    cp -r /etc/apptainer own/etc && echo "allow container dir = yes" >own/etc/apptainer/apptainer.conf
    case $libexec in */*) ln -s ../etc ../var "own/${libexec%%/*}" ;; esac
    exec own/bin/apptainer exec "$IMAGE" echo ran
    """

BROUGHT = {
    "prepare": STRICT,
    "installed": 'cd "$BATCH_TMP" && unshare --mount sh strict apptainer exec "$IMAGE" echo ran',
    "own settings": """
        cd "$BATCH_TMP" && unshare --mount sh strict sh -c '
        echo "allow container dir = yes" >own.conf; exec apptainer --config own.conf exec "$IMAGE" echo ran'
        """,
    "own copy": f"cd \"$BATCH_TMP\" && unshare --mount sh strict sh -c '{COPY}'",
}


@pytest.fixture(scope="module")
def node(host: Host) -> Facts:
    """What root reads."""
    return batch(host, NODE)


@pytest.fixture(scope="module")
def namespaces(host: Host, site: Site) -> Facts:
    return as_user(host, site, NAMESPACES)


@pytest.fixture(scope="module")
def first(host: Host, site: Site) -> CommandResult:
    """A container from a directory, with no option at all."""
    return as_user(host, site, {"first": FIRST})["first"]


@pytest.fixture(scope="module")
def containers(host: Host, site: Site) -> Facts:
    return as_user(host, site, CONTAINERS)


@pytest.fixture(scope="module")
def setuid(host: Host, site: Site) -> CommandResult:
    return as_root(host, site, {"setuid": SETUID})["setuid"]


@pytest.fixture(scope="module")
def brought(host: Host, site: Site) -> Facts:
    return as_root(host, site, BROUGHT)


def as_user(host: Host, site: Site, commands: Mapping[str, str]) -> Facts:
    # What Apptainer keeps, and what a failed build leaves, goes where it vanishes with the batch.
    private = 'export APPTAINER_CACHEDIR="$BATCH_TMP/cache" APPTAINER_CONFIGDIR="$BATCH_TMP" TMPDIR="$BATCH_TMP"\n'
    private_commands = {name: private + command for name, command in commands.items()}
    return batch(host, private_commands, user=site.users.user, environment={"IMAGE": site.images["tiny"]})


def as_root(host: Host, site: Site, commands: Mapping[str, str]) -> Facts:
    return batch(host, commands, environment={"IMAGE": site.images["tiny"], "LADING_USER": site.users.user})


def said(result: CommandResult) -> str:
    """Return what a command left, for the message of a failed assertion."""
    return f"it ended with {result.rc} and said: {(result.stdout + result.stderr).strip() or 'nothing'}"


def version_of(text: str) -> tuple[int, ...]:
    """Return the numbers of the first version in a text."""
    found = re.search(r"\d+(\.\d+)+", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def bind_paths(site: Site) -> list[str]:
    """Return where in a container the paths are that the role's variable names (`source` or `source:destination`)."""
    settings = site.variables["apptainer_config"]
    paths = settings.get("bind path", []) if isinstance(settings, dict) else []
    return [str(path).split(":")[:2][-1] for path in (paths if isinstance(paths, list) else [paths])]


def test_apptainer_is_new_enough(node: Facts, site: Site) -> None:
    """Apptainer is installed in at least the version that the site asks for."""
    minimum = str(site.variables["apptainer_minimum_version"])
    assert version_of(node["version"].stdout) >= version_of(minimum), said(node["version"])


def test_nothing_of_apptainer_is_setuid(node: Facts) -> None:
    """No file of Apptainer is setuid or setgid, so none of its code runs with more rights than the user has."""
    files = dict(line.split(" ", 1)[::-1] for line in node["files"].stdout.splitlines())
    assert any(file.endswith("/starter") for file in files), f"Apptainer is not here: {said(node['files'])}"
    privileged = [file for file, mode in files.items() if int(mode, 8) & 0o6000]
    assert not privileged, f"These files are setuid or setgid: {', '.join(privileged)}."


def test_user_namespaces_are_allowed(namespaces: Facts) -> None:
    """An ordinary user can make a user namespace, on which everything below stands."""
    assert namespaces["user"].stdout == "made\n", said(namespaces["user"])


def test_network_namespace_is_refused(namespaces: Facts) -> None:
    """An ordinary user cannot make a network namespace, where most kernel exploits of user namespaces begin."""
    refused = namespaces["network"]
    assert namespaces["user"].rc == 0, f"Even a user namespace is refused: {said(namespaces['user'])}"
    assert refused.rc != 0, "An ordinary user made a network namespace."
    assert "No space left on device" in refused.stderr, said(refused)


def test_container_gets_no_network_namespace(namespaces: Facts) -> None:
    """Apptainer cannot give a container a network of its own either, and says which setting forbids it."""
    refused = namespaces["apptainer"]
    assert "made" not in refused.stdout, said(refused)
    assert "max_net_namespaces" in refused.stderr, said(refused)


def test_network_namespaces_stay_off_at_boot(node: Facts) -> None:
    """The files that systemd reads at boot set user.max_net_namespaces to 0, and no later one takes it back."""
    lines = [line.strip().lstrip("-") for line in node["boot"].stdout.splitlines() if "=" in line]
    settings = {key.strip().replace("/", "."): value.strip() for key, value in (line.split("=", 1) for line in lines)}
    assert settings.get("user.max_net_namespaces") == "0", f"At boot it is {settings.get('user.max_net_namespaces')}."


def test_no_unit_asks_for_a_network_namespace(node: Facts) -> None:
    """Each unit whose vendor gave it a private network is told to do without: it could not start otherwise."""
    assert node["units"].rc == 0, said(node["units"])
    units = [dict(line.split("=", 1) for line in unit.splitlines()) for unit in node["units"].stdout.split("\n\n")]
    asking = [unit["Id"] for unit in units if unit.get("PrivateNetwork") == "yes" and unit["LoadState"] == "loaded"]
    assert not asking, f"These units ask for a network namespace: {', '.join(asking)}."


@pytest.mark.mutates
def test_units_with_a_private_network_restart(host: Host) -> None:
    """Each of these units starts again when it is restarted."""
    seen = batch(host, {"restarts": RESTARTS}, timeout=180)["restarts"]
    assert seen.rc == 0, said(seen)
    assert "failed" not in seen.stdout, said(seen)


def test_directory_image_runs(first: CommandResult) -> None:
    """An ordinary user runs a container from an unpacked image, as on CVMFS, and is the same user in it."""
    assert first.rc == 0, said(first)
    assert re.search(r"^user [1-9]\d*$", first.stdout, re.MULTILINE), said(first)


def test_paths_that_the_site_binds_are_in_a_container(first: CommandResult, site: Site) -> None:
    """Each host path that apptainer.conf binds is in a container, though the image has no such path."""
    assert first.rc == 0, said(first)
    for path in bind_paths(site):
        assert f"mount {path}\n" in first.stdout, f"'{path}' is not in the container; {said(first)}"


def test_sif_image_runs(containers: Facts) -> None:
    """An ordinary user packs the image into a SIF file and runs a container from it."""
    assert containers["build"].rc == 0, said(containers["build"])
    assert re.fullmatch(r"user [1-9]\d*\n", containers["sif"].stdout), said(containers["sif"])


def test_root_outside_is_out_of_reach(containers: Facts) -> None:
    """Root inside a container is the user outside: what is root's can't be read or written, and init not signalled."""
    seen = containers["root"]
    assert "user 0\n" in seen.stdout, f"No container ran as root inside: {said(seen)}"
    assert not {"read", "opened", "may"} & {line.split()[0] for line in seen.stdout.splitlines()}, said(seen)
    assert seen.stderr.count("ermission denied") == 2, said(seen)


def test_files_made_by_root_inside_are_the_users(containers: Facts, site: Site) -> None:
    """What root inside a container makes in a bound folder belongs to the user outside."""
    assert f"made by {site.users.user}\n" in containers["root"].stdout, said(containers["root"])


def test_contained_container_sees_only_its_own_processes(containers: Facts, first: CommandResult) -> None:
    """With --pid, --ipc and --contain a container sees its own processes only; without them it sees the host's."""
    assert re.search(r"^first process \[(?!appinit)..*\]$", first.stdout, re.MULTILINE), said(first)
    own = [line for line in containers["contained"].stdout.splitlines() if not line.startswith("in ")]
    assert own[:1] == ["appinit"], said(containers["contained"])
    assert [re.split(r"[ /]", line.removeprefix("/usr/bin/"))[0] for line in own[1:]] in (["sh", "ps"], ["ps"])


def test_contained_container_sees_no_files_of_the_user(containers: Facts) -> None:
    """With --contain a container's home and /tmp are empty ones of its own."""
    seen = containers["contained"]
    assert "in home []\n" in seen.stdout, said(seen)
    assert "in tmp []\n" in seen.stdout, said(seen)


def test_path_missing_in_the_image_can_be_bound(containers: Facts) -> None:
    """A host folder is bound onto a path that the image does not have."""
    assert containers["bind"].stdout == "found\n", said(containers["bind"])


def test_host_variables_leak_by_default(first: CommandResult) -> None:
    """A variable of the host's environment is seen in a container that is started without options."""
    assert "variable [leaked]\n" in first.stdout, said(first)


def test_cleanenv_keeps_host_variables_out(containers: Facts) -> None:
    """With --cleanenv the batch system's environment does not reach the container."""
    assert "variable []\n" in containers["cleanenv"].stdout, said(containers["cleanenv"])


def test_setuid_program_gives_nothing_inside(setuid: CommandResult) -> None:
    """A setuid program, of the image or of the host, makes nobody root in a container; outside, the same one does."""
    assert "outside 0\n" in setuid.stdout, (
        f"The program gives nothing even outside, so it proves nothing: {said(setuid)}"
    )
    assert re.search(r"^from the host [1-9]", setuid.stdout, re.MULTILINE), said(setuid)
    assert re.search(r"^from the image [1-9]", setuid.stdout, re.MULTILINE), said(setuid)
    assert re.search(r"^NoNewPrivs:\s+1$", setuid.stdout, re.MULTILINE), said(setuid)


def test_limit_in_apptainer_conf_is_passed_by(brought: Facts) -> None:
    """A limit in apptainer.conf stops only those who name no other file: without setuid a user may name one."""
    assert "disallows" in brought["installed"].stderr, f"The limit is not in force: {said(brought['installed'])}"
    assert brought["own settings"].stdout == "ran\n", said(brought["own settings"])


def test_user_can_bring_another_apptainer(brought: Facts) -> None:
    """A user runs another copy of Apptainer, with its own settings: what the site installs limits nobody."""
    assert "disallows" in brought["installed"].stderr, f"The limit is not in force: {said(brought['installed'])}"
    assert brought["own copy"].stdout == "ran\n", said(brought["own copy"])
