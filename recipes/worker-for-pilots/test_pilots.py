"""What a pilot that brings its own Apptainer must find on a node, tried as the pilot's account, with containers."""

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

# What Apptainer keeps goes where it vanishes with the batch, so that the account's home stays as it is.
PRIVATE = 'export APPTAINER_CONFIGDIR="$BATCH_TMP/settings"\n'
APART = "--contain --ipc --pid --cleanenv"
MOUNTS = "cut -d' ' -f5 /proc/self/mountinfo"

NAMESPACES = {
    "user": "unshare --user --map-root-user echo made",
    "network": "unshare --user --map-root-user --net echo made",
    "apptainer": '"$APPTAINER" exec --net --network none "$IMAGE" echo made',
}

ALONE = {
    "image": '"$APPTAINER" exec --cleanenv "$IMAGE" id -u; id -u',
    "settings": '"$APPTAINER" buildcfg APPTAINER_CONF_FILE',
    "apart": f"""
        "$APPTAINER" exec {APART} "$IMAGE" sh -c '
        test -e "$1" && echo "sees the folder of the pilot"; echo "in home [$(ls -A ~)]"; echo "in tmp [$(ls -A /tmp)]"
        ps -e -o args=' sh "$BATCH_TMP"
        """,
    "together": """
        "$APPTAINER" exec --cleanenv "$IMAGE" sh -c '
        test -e "$1" && echo "sees the folder of the pilot"; echo "first process [$(ps -o args= -p 1)]"' sh "$BATCH_TMP"
        """,
    "host": """
        export LADING_HOST=leaked LD_LIBRARY_PATH=/of/the/host APPTAINERENV_LADING_HANDED=in
        "$APPTAINER" exec "$IMAGE" env
        """,
    "clean": """
        export LADING_HOST=leaked LD_LIBRARY_PATH=/of/the/host APPTAINERENV_LADING_HANDED=in
        "$APPTAINER" exec --cleanenv "$IMAGE" env
        """,
    "bound": f'APPTAINER_BINDPATH="$BINDS" "$APPTAINER" exec {APART} "$IMAGE" {MOUNTS}',
    "not bound": f'"$APPTAINER" exec {APART} "$IMAGE" {MOUNTS}',
    "steps": f"""
        mkdir "$BATCH_TMP/work" && cd "$BATCH_TMP/work"
        step() {{ "$APPTAINER" exec {APART} --bind "$PWD:/srv" --pwd /srv "$IMAGE" sh -c "$1"; }}
        step 'echo staged >input; echo left >/tmp/of-the-first'
        step 'cat input; ls -A /tmp'
        """,
}  # fmt: skip

# The pilot, in a container that its wrapper started, starts a container for the payload with the same Apptainer. What
# the outer container binds is bound inside as well, here the work folder below /tmp: unless two variables go first.
ALONE_INSIDE = "unset APPTAINER_BIND SINGULARITY_BIND"
INSIDE = f'"$1" exec {APART} "$2" {MOUNTS.replace(chr(39), chr(34))}'
NESTED = {
    "payload": f"""
        mkdir "$BATCH_TMP/work" && cd "$BATCH_TMP/work"
        "$APPTAINER" exec --cleanenv --bind /cvmfs --bind "$PWD" --pwd "$PWD" "$IMAGE" sh -c '
        touch /tmp/lading-of-the-pilot; {ALONE_INSIDE}
        "$1" exec {APART} --bind "$PWD:/srv" --pwd /srv "$2" sh -c "
        id -u >result; ls -A /tmp; ps -e -o args="
        rm /tmp/lading-of-the-pilot' sh "$APPTAINER" "$IMAGE"
        echo "made by $(stat --format=%U result), as $(cat result), who is $(id -u)"
        """,
    "bound": f"""
        export APPTAINER_BINDPATH="$BINDS"
        "$APPTAINER" exec --cleanenv --bind /cvmfs --bind "$BATCH_TMP:/of-the-pilot" "$IMAGE" sh -c '
        {INSIDE}; echo alone; {ALONE_INSIDE}; {INSIDE}; true' sh "$APPTAINER" "$IMAGE"
        """,
}

# Each waits until all have said that they run, or gives up: so they run at one time.
SIDE_BY_SIDE = f"""
    mkdir "$BATCH_TMP/here"
    for image in $IMAGES; do
        "$APPTAINER" exec {APART} --bind "$BATCH_TMP/here:/srv" "$image" sh -c '
        . /etc/os-release; mktemp /srv/XXXXXX >/dev/null; tries=0
        until [ "$(ls /srv | wc -l)" -ge "$1" ] || [ $((tries += 1)) -gt 200 ]; do sleep 0.1; done
        [ $tries -le 200 ] && echo "ran $ID $VERSION_ID"' sh "$(echo $IMAGES | wc -w)" &
    done
    wait
    """

# The same program, setuid root, first outside and then inside; and one that came with the image.
# It lies in /var/tmp since many hosts mount /tmp without setuid.
SETUID = """
    folder=$(mktemp -d /var/tmp/lading.XXXXXX) && trap 'rm -rf "$folder"' EXIT
    chmod 755 "$folder" && cd "$folder" && install -m 4755 "$(command -v id)" id
    echo "outside $(runuser -u "$PILOT" -- ./id -u)"
    runuser -u "$PILOT" -- env APPTAINER_CONFIGDIR="$folder/settings" \
    "$APPTAINER" exec --cleanenv --bind "$folder:/mnt" "$IMAGE" sh -c '
    echo "from the host $(/mnt/id -u)"
    echo "from the image $(test -u "$(command -v setuid-id)" && setuid-id -u)"
    grep NoNewPrivs /proc/self/status'
    """

# Settings that let no container start lie over the host's in a mount namespace, so that its own are not touched; and
# that gets the mounts of autofs.
STRICT = {
    "prepare": """
        chmod 711 "$BATCH_TMP" && cd "$BATCH_TMP" && install -d -m 755 over over/apptainer
        install -d -o "$PILOT" user && echo "allow user ns = no" >over/apptainer/apptainer.conf
        cat >as-pilot <<'EOF'
        cd "$BATCH_TMP/user" && exec env APPTAINER_CONFIGDIR="$BATCH_TMP/user/settings" "$@"
        EOF
        """.replace("\n        ", "\n"),
    "named": """
        runuser -u "$PILOT" -- sh "$BATCH_TMP/as-pilot" \
        "$APPTAINER" --config "$BATCH_TMP/over/apptainer/apptainer.conf" exec "$IMAGE" echo ran
        """,
    "of the host": """
        unshare --mount --propagation slave sh -c '
        mount -t overlay -o "lowerdir=$BATCH_TMP/over:/etc" lading /etc && cat /etc/apptainer/apptainer.conf
        runuser -u "$PILOT" -- sh "$BATCH_TMP/as-pilot" "$APPTAINER" exec --cleanenv "$IMAGE" echo ran
        # The shell outlives it: the last process of a mount namespace does not find the files of its Apptainer.
        exit $?'
        """,
}

# A repository that is idle is unmounted; here root does what automount would do some minutes later.
IDLE = """
    repository=$(echo "$LAST" | cut -d/ -f1-3)
    ls "$repository" >/dev/null
    umount "$repository"
    grep " $repository " /proc/self/mountinfo && echo "It is still mounted."
    cd / && runuser -u "$PILOT" -- sh -c '
    export APPTAINER_CONFIGDIR=$(mktemp -d) && trap "rm -rf $APPTAINER_CONFIGDIR" EXIT
    "$APPTAINER" exec --cleanenv --bind /cvmfs "$IMAGE" sh -c "test -e $LAST/etc && echo found"'
    """


@pytest.fixture(scope="module")
def node(host: Host) -> Facts:
    """What root reads."""
    return batch(host, NODE)


@pytest.fixture(scope="module")
def namespaces(host: Host, site: Site) -> Facts:
    return as_pilot(host, site, NAMESPACES)


@pytest.fixture(scope="module")
def alone(host: Host, site: Site) -> Facts:
    """One container at a time."""
    return as_pilot(host, site, ALONE)


@pytest.fixture(scope="module")
def nested(host: Host, site: Site) -> Facts:
    """A container in a container."""
    return as_pilot(host, site, NESTED)


@pytest.fixture(scope="module")
def setuid(host: Host, site: Site) -> CommandResult:
    return batch(host, {"setuid": SETUID}, environment=words(site))["setuid"]


@pytest.fixture(scope="module")
def strict(host: Host, site: Site) -> Facts:
    return batch(host, STRICT, environment=words(site))


def as_pilot(host: Host, site: Site, commands: Mapping[str, str]) -> Facts:
    private = {name: PRIVATE + command for name, command in commands.items()}
    return batch(host, private, user=site.users.pilot, environment=words(site))


def words(site: Site) -> dict[str, str]:
    """Return what the commands find in their environment."""
    named = images(site)
    return {
        "APPTAINER": str(site.variables["pilot_node_apptainer"]),
        "IMAGE": named[0] if named else "",
        "IMAGES": " ".join(named),
        "LAST": named[-1] if named else "",
        "BINDS": ",".join(bind_paths(site)),
        "PILOT": site.users.pilot,
    }


def images(site: Site) -> list[str]:
    return listed(site, "pilot_node_images")


def bind_paths(site: Site) -> list[str]:
    return listed(site, "pilot_node_bind_paths")


def destinations(site: Site) -> list[str]:
    """Return where in a container the paths are that the site binds."""
    return [path.split(":")[:2][-1] for path in bind_paths(site)]


def listed(site: Site, name: str) -> list[str]:
    """Return a variable that is a list of words."""
    said = site.variables[name]
    return [str(each) for each in said] if isinstance(said, list) else []


def said(result: CommandResult) -> str:
    """Return what a command left, for the message of a failed assertion."""
    return f"it ended with {result.rc} and said: {(result.stdout + result.stderr).strip() or 'nothing'}"


def own_processes(text: str) -> list[str]:
    """Return the names of the programs that `ps -o args=` lists."""
    lines = [line for line in text.splitlines() if not line.startswith(("in ", "sees ", "made "))]
    return [re.split(r"\s", line.strip())[0].rpartition("/")[2] for line in lines]


def require_destinations(site: Site, result: CommandResult) -> None:
    """Fail unless each path that the site binds is mounted in a container."""
    assert bind_paths(site), "The site binds nothing, so nothing was looked at."
    for destination in destinations(site):
        assert destination in result.stdout.splitlines(), f"'{destination}' is not in the container; {said(result)}"


def test_user_namespaces_are_allowed(namespaces: Facts) -> None:
    """The pilot's account can make a user namespace, on which everything below stands."""
    assert namespaces["user"].stdout == "made\n", said(namespaces["user"])


def test_network_namespace_is_refused(namespaces: Facts) -> None:
    """The pilot's account cannot make a network namespace, where most kernel exploits of user namespaces begin."""
    refused = namespaces["network"]
    assert namespaces["user"].rc == 0, f"Even a user namespace is refused: {said(namespaces['user'])}"
    assert refused.rc != 0, "The pilot's account made a network namespace."
    assert "No space left on device" in refused.stderr, said(refused)


def test_container_gets_no_network_namespace(namespaces: Facts) -> None:
    """The pilot's Apptainer cannot give a container a network of its own either, and says which setting forbids it."""
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


def test_pilot_runs_a_container_from_an_unpacked_image(alone: Facts) -> None:
    """The pilot's own Apptainer runs a container from an unpacked image below /cvmfs, as the same user."""
    assert re.fullmatch(r"([1-9]\d*)\n\1\n", alone["image"].stdout), said(alone["image"])


def test_settings_of_the_host_are_not_read(alone: Facts, strict: Facts) -> None:
    """Settings in /etc/apptainer that allow no container stop no pilot: it reads those that lie beside its programs."""
    assert alone["settings"].stdout.startswith("/cvmfs/"), said(alone["settings"])
    assert "not allowed by configuration" in strict["named"].stderr, (
        f"These settings stop nobody, so they prove nothing: {said(strict['named'])}"
    )
    assert strict["of the host"].stdout == "allow user ns = no\nran\n", said(strict["of the host"])


def test_bind_paths_of_the_site_are_read_from_the_environment(alone: Facts, site: Site) -> None:
    """What APPTAINER_BINDPATH names is in a contained container with a clean environment, and is not without it."""
    require_destinations(site, alone["bound"])
    assert alone["not bound"].rc == 0, said(alone["not bound"])
    assert not set(alone["bound"].stdout.split()) <= set(alone["not bound"].stdout.split()), said(alone["not bound"])


def test_contained_container_sees_only_its_own_processes(alone: Facts) -> None:
    """With --pid, --ipc and --contain a container sees its own processes only; without them it sees the host's."""
    assert own_processes(alone["apart"].stdout)[:1] == ["appinit"], said(alone["apart"])
    assert set(own_processes(alone["apart"].stdout)) <= {"appinit", "sh", "ps", "ls"}, said(alone["apart"])
    together = alone["together"]
    assert re.search(r"^first process \[(?!appinit)..*\]$", together.stdout, re.MULTILINE), said(together)


def test_contained_container_sees_no_files_of_the_pilot(alone: Facts) -> None:
    """With --contain home and /tmp are empty ones of the container's own; without it, the pilot's own are seen."""
    assert alone["apart"].stdout.startswith("in home []\nin tmp []\n"), said(alone["apart"])
    assert alone["together"].stdout.startswith("sees the folder of the pilot\n"), said(alone["together"])


def test_job_steps_share_the_work_folder_and_nothing_else(alone: Facts) -> None:
    """Each step of a job runs in a container of its own: it has what the step before left in the work folder alone."""
    assert alone["steps"].stdout == "staged\n", said(alone["steps"])


def test_images_of_several_systems_run_side_by_side(host: Host, site: Site) -> None:
    """From each image that the site names a container runs, all of them at once, and each is its own system."""
    assert images(site), "The site names no image, so nothing was looked at."
    seen = as_pilot(host, site, {"all": SIDE_BY_SIDE})["all"]
    assert len(re.findall(r"^ran \w+ \S+$", seen.stdout, re.MULTILINE)) == len(images(site)), said(seen)
    assert len(set(seen.stdout.splitlines())) > 1 or len(images(site)) == 1, f"All are one system: {said(seen)}"


def test_pilot_in_a_container_runs_the_payload_in_another(nested: Facts, site: Site) -> None:
    """A pilot in a container starts one for the payload: no processes of the pilot and, binds unset, an empty /tmp."""
    lines = nested["payload"].stdout.splitlines()
    assert own_processes("\n".join(lines))[:1] == ["appinit"], said(nested["payload"])
    assert set(own_processes("\n".join(lines))) <= {"appinit", "sh", "ps"}, said(nested["payload"])
    assert re.fullmatch(rf"made by {site.users.pilot}, as (\d+), who is \1", lines[-1]), said(nested["payload"])


def test_binds_of_the_pilots_container_reach_a_payload_in_a_nested_one(nested: Facts, site: Site) -> None:
    """What is bound for the pilot's container, by the site or by --bind, is bound inside unless APPTAINER_BIND goes."""
    inherited, _, alone = nested["bound"].stdout.partition("alone\n")
    assert bind_paths(site), "The site binds nothing, so nothing was looked at."
    for path in ("/cvmfs", "/of-the-pilot", *destinations(site)):
        assert path in inherited.splitlines(), f"'{path}' is not in the payload's container; {said(nested['bound'])}"
        assert path not in alone.splitlines(), f"'{path}' is there without the variables; {said(nested['bound'])}"
    assert "/proc" in alone.splitlines(), f"No container ran without the variables; {said(nested['bound'])}"


def test_setuid_program_gives_nothing_inside(setuid: CommandResult) -> None:
    """A setuid program, of the host or of the image, makes nobody root in a container; outside, the host's does."""
    assert "outside 0\n" in setuid.stdout, (
        f"The program gives nothing even outside, so it proves nothing: {said(setuid)}"
    )
    assert re.search(r"^from the host [1-9]", setuid.stdout, re.MULTILINE), said(setuid)
    assert re.search(r"^from the image [1-9]", setuid.stdout, re.MULTILINE), said(setuid)
    assert re.search(r"^NoNewPrivs:\s+1$", setuid.stdout, re.MULTILINE), said(setuid)


def test_variables_of_the_batch_system_leak_by_default(alone: Facts) -> None:
    """Without --cleanenv a variable of the job and one named APPTAINERENV_ get in; LD_LIBRARY_PATH stays out."""
    assert "LADING_HOST=leaked\n" in alone["host"].stdout, said(alone["host"])
    assert "LADING_HANDED=in\n" in alone["host"].stdout, said(alone["host"])
    assert "LD_LIBRARY_PATH=/of/the/host" not in alone["host"].stdout, said(alone["host"])


def test_cleanenv_lets_in_what_is_handed_in_and_no_more(alone: Facts) -> None:
    """With --cleanenv no variable of the job gets into the container but those whose name begins APPTAINERENV_."""
    assert "LADING_HANDED=in\n" in alone["clean"].stdout, said(alone["clean"])
    assert "leaked" not in alone["clean"].stdout, said(alone["clean"])
    assert "LD_LIBRARY_PATH=/of/the/host" not in alone["clean"].stdout, said(alone["clean"])


@pytest.mark.mutates
def test_repository_that_autofs_has_unmounted_comes_back_in_a_container(host: Host, site: Site) -> None:
    """A repository that is not mounted when a container starts is mounted when something inside asks for it."""
    paths = [str(site.variables["pilot_node_apptainer"]), *images(site)]
    repositories = ["/".join(path.split("/")[:3]) for path in paths]
    assert repositories.count(repositories[-1]) == 1, "The last image shares its repository: nothing was looked at."
    seen = batch(host, {"idle": IDLE}, environment=words(site))["idle"]
    assert seen.stdout == "found\n", said(seen)
