"""What autofs mounts has to be in containers, whenever it is mounted; tried as a user, with containers."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from lading.checks.batch import batch
from lading.checks.site import Site

testinfra_hosts = ["ansible://workers"]

Facts: TypeAlias = Mapping[str, CommandResult]

TOO_MANY = "Too many levels of symbolic links"
IDLE_SECONDS = 90

NODE = {
    "look": """
        for name in $NAMES; do
            ls -d "$FOLDER/$name/." >/dev/null && cut -d' ' -f5,6 /proc/self/mountinfo | grep "^$FOLDER/$name "
        done
        true
        """,
    "boot": "systemctl is-enabled autofs",
}

# What Apptainer keeps goes where it vanishes with the batch, so that the account's home stays as it is. The variables
# are set here, and not read from the session's: that is a check of its own.
PRIVATE = 'export APPTAINER_CONFIGDIR="$BATCH_TMP/settings"; exec 2>&1\n'
BOUND = 'export APPTAINER_BINDPATH="$BINDS"\n'
# Settings of one's own, as anybody without setuid may have: here without both layers.
NO_LAYERS = """
    sed 's/^\\(enable overlay\\|enable underlay\\) = .*/\\1 = no/' "$(apptainer buildcfg APPTAINER_CONF_FILE)" \\
        >"$BATCH_TMP/layers.conf"
    """

SESSIONS = {
    "login": """sh -c '. /etc/profile; echo "$APPTAINER_BINDPATH"; echo "$SINGULARITY_BINDPATH"'""",
    "own": """APPTAINER_BINDPATH=/srv/own:/own sh -c '. /etc/profile; . /etc/profile; echo "$APPTAINER_BINDPATH"'""",
}
TRIAL = {"trial": BOUND + "container-binds"}
IDLE = {"idle": BOUND + f'container-binds --idle {IDLE_SECONDS} --image "$IMAGE"'}
TREES = {
    "target": """
        test -e "$LAST/no" && echo "The image has the path."
        apptainer --silent exec --bind "$SOFTWARE:/no/such/place" "$LAST" ls -d /no/such/place/.
        test -e "$LAST/no" && echo "The image has it now."; true
        """,
    "no layers": NO_LAYERS + """
        ls -d "$SOFTWARE/."
        # Without the home: the image lacks that path as well, and would be told of it first.
        cd /
        apptainer --config "$BATCH_TMP/layers.conf" exec --no-home --bind "$SOFTWARE:/no/such/place" "$LAST" true
        echo "ended with $?"
        """,
    "writing": """
        apptainer --silent exec --bind "$SOFTWARE:/bound" "$LAST" sh -c '
        for path in /etc/lading /bound/lading /made-by-nobody; do (: >$path) && echo "wrote $path"; done; echo tried'
        apptainer --silent exec --writable-tmpfs "$LAST" sh -c ': >/etc/lading && echo "wrote in memory"'
        """,
    "source": """
        ls -d "$SOFTWARE/."
        apptainer exec --bind "$FOLDER/no-such-name" "$IMAGE" echo ran; echo "ended with $?"
        """,
}  # fmt: skip

# Unmounted first, as autofs does by itself after some time.
UNMOUNT = """
    for point in $PROBES; do
        for try in 1 2 3 4 5 6 7 8 9 10; do
            grep -q " $point " /proc/self/mountinfo || break
            umount "$point" 2>/dev/null || sleep 1
        done
        if grep -q " $point " /proc/self/mountinfo; then echo "$point is still mounted."; fi
    done
    chmod 711 "$BATCH_TMP"; install -d -o "$ACCOUNT" "$BATCH_TMP/user"; cd "$BATCH_TMP/user"
    private="HOME=$PWD APPTAINER_CONFIGDIR=$PWD APPTAINER_BINDPATH=$BINDS"
    as_user() { runuser -u "$ACCOUNT" -- env $private "$@" 2>&1; }
    """
CUT_OFF = {
    "from inside": UNMOUNT + 'as_user /usr/local/bin/container-binds --image "$IMAGE"',
    "private session": UNMOUNT + """
        unshare --mount --propagation private runuser -u "$ACCOUNT" -- env $private \\
            /usr/local/bin/container-binds --image "$IMAGE" 2>&1
        """,
    "private container": UNMOUNT + """
        sed 's/^mount slave = .*/mount slave = no/' "$(apptainer buildcfg APPTAINER_CONF_FILE)" >settings
        chmod 644 settings
        as_user apptainer --silent --config "$PWD/settings" exec "$IMAGE" ls -d "$SOFTWARE/."
        grep -q " $SOFTWARE " /proc/self/mountinfo && echo "The node has mounted it."
        """,
}  # fmt: skip


@pytest.fixture(scope="module")
def node(host: Host, site: Site) -> Facts:
    """What root reads."""
    return batch(host, NODE, environment=words(site))


@pytest.fixture(scope="module")
def trial(host: Host, site: Site) -> CommandResult:
    """All images, as the command tries them."""
    return as_user(host, site, TRIAL, 180)["trial"]


@pytest.fixture(scope="module")
def trees(host: Host, site: Site) -> Facts:
    """Containers from a read-only tree that has nothing to bind onto."""
    return as_user(host, site, TREES, 60)


@pytest.fixture(scope="module")
def cut_off(host: Host, site: Site) -> Facts:
    """Containers that start while nothing is mounted, with and without mounts of the node."""
    return batch(host, CUT_OFF, environment={**words(site), "ACCOUNT": site.users.user}, timeout=90)


def as_user(host: Host, site: Site, commands: Mapping[str, str], seconds: int) -> Facts:
    private = {name: PRIVATE + command for name, command in commands.items()}
    return batch(host, private, user=site.users.user, environment=words(site), timeout=seconds)


def words(site: Site) -> dict[str, str]:
    """Return what the commands find in their environment."""
    folder, names = str(site.variables["container_binds_folder"]), own(site)
    images = listed(site, "container_binds_images")
    return {
        "FOLDER": folder,
        "NAMES": " ".join(names),
        "SOFTWARE": f"{folder}/{names[0]}" if names else folder,
        "BINDS": ",".join(binds(site)),
        "PROBES": " ".join(probes(site)),
        "IMAGE": images[0] if images else "",
        "LAST": images[-1] if images else "",
    }


def own(site: Site) -> list[str]:
    """Return the names of the site's own file systems."""
    said = site.variables["container_binds_automounts"]
    return list(said) if isinstance(said, dict) else []


def binds(site: Site) -> list[str]:
    folder = [str(site.variables["container_binds_folder"])] if own(site) else []
    return folder + listed(site, "container_binds_paths")


def destinations(site: Site) -> list[str]:
    return [bind.split(":")[:2][-1] for bind in binds(site)]


def probes(site: Site) -> list[str]:
    folder = str(site.variables["container_binds_folder"])
    return [f"{folder}/{name}" for name in own(site)] + listed(site, "container_binds_probes")


def seen_inside(site: Site) -> list[str]:
    """Return the same folders where a container has them; one that no bind path brings is not tried."""
    pairs = list(zip((bind.split(":")[0] for bind in binds(site)), destinations(site), strict=True))
    return [
        next(
            destination + probe[len(source) :] for source, destination in pairs if f"{probe}/".startswith(f"{source}/")
        )
        for probe in probes(site)
        if any(f"{probe}/".startswith(f"{source}/") for source, _ in pairs)
    ]


def listed(site: Site, name: str) -> list[str]:
    """Return a variable that is a list of words."""
    said = site.variables[name]
    return [str(each) for each in said] if isinstance(said, list) else []


def said(result: CommandResult) -> str:
    """Return what a command left, for the message of a failed assertion."""
    return f"it ended with {result.rc} and said: {(result.stdout + result.stderr).strip() or 'nothing'}"


def told(result: CommandResult, ending: str) -> Sequence[str]:
    """Return the paths of which the command says that all is well, by how the line ends."""
    lines = [line.strip() for line in result.stdout.splitlines()]
    return [line[len("ok: ") : -len(ending)] for line in lines if line.startswith("ok: ") and line.endswith(ending)]


def test_file_systems_are_mounted_when_somebody_looks(node: Facts, site: Site) -> None:
    """Each file system of the site's own is mounted below the one folder when somebody looks, and after a boot too."""
    mounted = [line.split(" ")[0] for line in node["look"].stdout.splitlines()]
    folder = site.variables["container_binds_folder"]
    assert own(site), "The site has none, so nothing was looked at."
    assert mounted == [f"{folder}/{name}" for name in own(site)], said(node["look"])
    assert node["boot"].stdout == "enabled\n", said(node["boot"])


def test_sessions_name_what_is_bound(host: Host, site: Site) -> None:
    """A user's session has all bind paths in both variables of Apptainer; its own stay, and come first."""
    seen = batch(host, SESSIONS, user=site.users.user, environment=words(site))
    everything = ",".join(binds(site))
    assert seen["login"].stdout == f"{everything}\n{everything}\n", said(seen["login"])
    assert seen["own"].stdout == f"/srv/own:/own,{everything}\n", said(seen["own"])


def test_every_path_is_in_a_container_of_every_image(trial: CommandResult, site: Site) -> None:
    """Each path is in a container of each image, though no image has such a folder and none can be made in the tree."""
    images = listed(site, "container_binds_images")
    assert trial.stdout.count("image /") == len(images) > 0, said(trial)
    assert sorted(told(trial, " is in the container")) == sorted(destinations(site) * len(images)), said(trial)


def test_containers_get_what_autofs_mounts_later(trial: CommandResult) -> None:
    """Each automount point in a container gets what autofs mounts there later."""
    assert told(trial, " gets what autofs mounts later"), f"There was no automount point: {said(trial)}"
    assert "gets nothing that autofs mounts later" not in trial.stdout, said(trial)


@pytest.mark.mutates
def test_what_is_unmounted_when_a_container_starts_is_mounted_from_inside(cut_off: Facts, site: Site) -> None:
    """What autofs has unmounted before a container starts is mounted when something inside looks at it."""
    seen = cut_off["from inside"]
    assert "is still mounted" not in seen.stdout, said(seen)
    assert list(told(seen, " answers")) == seen_inside(site), said(seen)


@pytest.mark.mutates
def test_what_autofs_unmounts_meanwhile_comes_back_in_the_same_container(host: Host, site: Site) -> None:
    """A container lives on while autofs unmounts what is idle, and sees it again at its next look."""
    seen = as_user(host, site, IDLE, 240)["idle"]
    assert list(told(seen, " was unmounted meanwhile")) == seen_inside(site), said(seen)
    assert list(told(seen, " answers")) == seen_inside(site) * 2, said(seen)


@pytest.mark.mutates
def test_session_without_mounts_of_the_node_meets_the_trap_and_is_told(cut_off: Facts) -> None:
    """In a session whose mount namespace is private the trap is there, and the command says what the reason is."""
    seen = cut_off["private session"]
    assert TOO_MANY in seen.stdout, said(seen)
    assert "its mount namespace is private; see how your batch system makes it" in seen.stdout, said(seen)
    assert seen.rc == 1, said(seen)


@pytest.mark.mutates
def test_container_without_mounts_of_the_node_meets_the_trap(cut_off: Facts) -> None:
    """With 'mount slave = no' the trap is there: autofs mounts it on the node, and the container does not see it."""
    seen = cut_off["private container"]
    assert TOO_MANY in seen.stdout, said(seen)
    assert "The node has mounted it." in seen.stdout, said(seen)


def test_paths_that_an_image_lacks_are_made_for_a_container_alone(trees: Facts) -> None:
    """What is automounted is bound onto a path that a read-only image has not, and the image has none afterwards."""
    assert trees["target"].stdout == "/no/such/place/.\n", said(trees["target"])


def test_without_layers_a_missing_target_stops_the_container(trees: Facts) -> None:
    """With neither overlay nor underlay no container starts whose image lacks the path, and Apptainer names it."""
    seen = trees["no layers"]
    assert seen.stdout.splitlines()[0].endswith("/."), said(seen)
    assert "destination /no/such/place doesn't exist in container" in seen.stdout, said(seen)
    assert seen.stdout.endswith("ended with 255\n"), said(seen)


def test_trees_and_what_is_bound_from_them_stay_read_only(trees: Facts) -> None:
    """Nobody writes to the tree or to what is mounted read-only; with --writable-tmpfs it goes to memory."""
    seen = trees["writing"]
    assert "tried\n" in seen.stdout, said(seen)
    assert seen.stdout.count("Read-only file system") == 3, said(seen)
    assert "wrote /" not in seen.stdout, said(seen)
    assert "wrote in memory\n" in seen.stdout, said(seen)


def test_missing_source_stops_the_container(trees: Facts) -> None:
    """A path that autofs knows nothing of lets no container start, and Apptainer names it."""
    seen = trees["source"]
    assert seen.stdout.splitlines()[0].endswith("/."), said(seen)
    assert "no-such-name doesn't exist" in seen.stdout, said(seen)
    assert "ran\n" not in seen.stdout, said(seen)
    assert seen.stdout.endswith("ended with 255\n"), said(seen)
