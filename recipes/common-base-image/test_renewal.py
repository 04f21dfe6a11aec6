"""What must be true of a host that renews published images: today, and over the life of one."""

import configparser
import json
from typing import Any, TypeAlias

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from lading.checks.batch import batch
from lading.checks.site import Site

testinfra_hosts = ["ansible://builders"]

Facts: TypeAlias = dict[str, CommandResult]

# What is published is measured with other programs than the tool's own, so that a mistake of its is not its judge.
FACTS = {
    "timer": "systemctl is-enabled container-image-renew.timer; systemctl is-active container-image-renew.timer",
    "next": "systemctl show --property=NextElapseUSecRealtime container-image-renew.timer",
    "schedule": "systemctl cat container-image-renew.timer",
    "service": "systemctl show --property=LoadState,User,Result,NeedDaemonReload container-image-renew.service",
    "settings": "cat /etc/container-images/renewal.ini",
    "sizes": r"""
        cd /srv/container-images && for name in $NAMES; do
        echo "$name $(find "$name/current/tree/" -type f -printf '%s\n' | awk '{ all += $1 } END { print all }')"; done
        """,
    "outdated": 'runuser -u "$BUILDER" -- container-image-renew outdated --json',
}

# A life of its own beside what the site publishes: another area, other definitions, and a repository whose suite,
# 'site', has two packages: busybox, and the one that gets an update. Everything lies below the one folder that the unit
# may write to, so that the unit itself can do one of the renewals.
LIFE = r"""
    cd /; L=/srv/container-images/.check P=$L/repository APT_CONFIG=$L/apt.conf
    UNIT=/run/systemd/system/renewal-check.service
    as() {
        runuser -u "$BUILDER" -- env -i HOME="$(getent passwd "$BUILDER" | cut -d : -f 6)" PATH="$PATH" LC_ALL=C.UTF-8 \
        APT_CONFIG="$APT_CONFIG" CONTAINER_IMAGES=$L/area "$@"
    }
    renew() { as container-image-renew --settings $L/definitions/renewal.ini "$@"; }
    package() { # VERSION
        made=$BATCH_TMP/$1; mkdir -p "$made/DEBIAN" "$made/etc" "$made/bin"
        printf 'Package: site-grid-base\nVersion: %s\nArchitecture: all\nMaintainer: Site <root@site.example>\n' \
            "$1" >"$made/DEBIAN/control"
        printf 'Installed-Size: 12\nDescription: What a site wants in its images\n' >>"$made/DEBIAN/control"
        echo "release $1" >"$made/etc/site-release"
        for name in cat sh sleep; do ln -s /usr/bin/busybox "$made/bin/$name"; done
        dpkg-deb --root-owner-group --build "$made" $P/pool/site-grid-base_$1_all.deb >&2
    }
    repository() { # the lists of apt's other sources are neither fetched nor read for it
        cd $P; list=dists/site/main/binary-amd64/Packages
        for file in pool/*.deb; do
            dpkg-deb --field "$file"; echo "Filename: $file"
            echo "Size: $(stat -c %s "$file")"; echo "SHA256: $(sha256sum "$file" | cut -d ' ' -f 1)"; echo
        done >$list
        printf 'Suite: site\nCodename: site\nDate: %s\nArchitectures: amd64\nComponents: main\nSHA256:\n %s %s %s\n' \
            "$(date -u '+%a, %d %b %Y %T UTC')" "$(sha256sum <$list | cut -d ' ' -f 1)" "$(stat -c %s $list)" \
            main/binary-amd64/Packages >dists/site/Release
        as gpg --batch --clearsign <dists/site/Release >dists/site/InRelease
        APT_CONFIG=$APT_CONFIG apt-get -q --option=APT::Get::List-Cleanup=0 update >&2
    }
    by_unit() { systemctl start renewal-check; code=$?; cat $L/said; return $code; }
    current() { readlink $L/area/site/current; ls $L/area/site | grep -c '^20'; }
    limits() { printf '[site]\nbudget = %s\nkeep = 2\n' "$1" >$L/definitions/renewal.ini; }
    """
STEPS = {
    "prepare": r"""
        mkdir -p $P/pool $P/dists/site/main/binary-amd64 $L/area $L/definitions/site
        echo "deb [signed-by=/srv/container-images/trusted.gpg] copy:$P site main" >$L/sources.list
        printf 'Dir::Etc::sourcelist "%s";\nDir::Etc::sourceparts "/dev/null";\n' $L/sources.list >$BATCH_TMP/apt.conf
        printf '[image]\nsuite = site\npackages = busybox-static site-grid-base\nwithout = usr/share\n' \
            >$L/definitions/site/image.ini
        printf 'FROM scratch\nADD root.tar /\nCMD ["cat", "/etc/site-release"]\n' >$L/definitions/site/Containerfile
        cp /srv/container-images/trusted.gpg $L/area; limits 10; chown "$BUILDER" $L/area; chmod -R a+rX $L
        cd $P/pool && APT_CONFIG= apt-get -q download busybox-static; chmod a+r $P/pool/*
        cp $BATCH_TMP/apt.conf $L; command -v container-image-renew && package 1.0 && repository
        """,
    "first": "renew run; current",
    "current": "renew outdated",
    "container": r"""
        as setsid --fork apptainer --silent exec "$L/area/site/$(readlink $L/area/site/current)/tree" sleep 600
        for i in $(seq 50); do pgrep -u "$BUILDER" -x sleep && exit; sleep 0.2; done; exit 1
        """,
    "update": "package 1.1 && repository",
    "outdated": "renew outdated",
    "killed": r"""
        command -v container-image-renew || exit 1
        as setsid --fork sh -c 'echo $$ >$0/session; exec container-image-renew --settings $1 run' \
            $L/area $L/definitions/renewal.ini
        for i in $(seq 100); do ls -d $L/area/.work/*/stage/.work/*/context && break; sleep 0.2; done
        pkill -KILL --session "$(cat $L/area/session)"; sleep 0.5; current; as container-image verify \
            --keyring $L/area/trusted.gpg $L/area/site/current
        """,
    "too large": "limits 1; renew run; code=$?; current; limits 10; exit $code",
    "by the unit": r"""
        sed -e "/apt-get/d" -e "s#/container-image-renew #&--settings $L/definitions/renewal.ini #" \
            /etc/systemd/system/container-image-renew.service >$UNIT
        printf '[Service]\nEnvironment=APT_CONFIG=%s CONTAINER_IMAGES=%s\nStandardOutput=truncate:%s\n' \
            $APT_CONFIG $L/area $L/said >>$UNIT
        echo StandardError=inherit >>$UNIT; systemctl daemon-reload; by_unit; code=$?; current; exit $code
        """,
    "left": "ls -A $L/area/.work",
    "inside": r"""
        cat "/proc/$(pgrep -u "$BUILDER" -x sleep)/root"/etc/site-release $L/area/site/current/tree/etc/site-release
        """,
    "changes": "renew changes site",
    "changes as JSON": "renew changes site --json",
    # A version between the two makes the first one superfluous.
    "in use": r"""
        cd $L/area/site && first=$(ls -td 20* | tail -n 1) && cp -a "$first" 2000-01-01-between
        touch -d '1 second' --reference="$first/manifest.json.asc" 2000-01-01-between/manifest.json.asc
        by_unit; ls -d "$first"
        """,
    "unused": r"""
        pkill -KILL -u "$BUILDER" -x sleep; cd $L/area/site; first=$(ls -td 20*-*[0-9a-f] | tail -n 1)
        for i in $(seq 20); do pgrep -u "$BUILDER" -x sleep || break; sleep 0.2; done; by_unit; current
        """,
    "rollback": "renew rollback site; current; cat $L/area/site/current/tree/etc/site-release",
    "held": "renew run; current; renew outdated",
    "tampered": """
        echo '{"packages": []}' >$L/area/site/current/sbom.spdx.json; renew outdated; renew run
        """,
    "clean": r"""
        pkill -KILL -u "$BUILDER" -x sleep; as buildah unshare rm -rf $L/area/.work; rm -rf $L
        systemctl stop renewal-check; rm -f $UNIT; systemctl daemon-reload; systemctl reset-failed renewal-check
        rm -f /var/lib/apt/lists/_srv_container-images_.check_*; ls -A /srv/container-images
        """,
}


def images(site: Site) -> dict[str, dict[str, int]]:
    """Return what the site wants of each image."""
    wanted: Any = site.variables["image_renewal_images"]
    assert isinstance(wanted, dict)
    return wanted


def wanted(site: Site) -> dict[str, dict[str, int]]:
    """Return the same; where the site names no image, nothing was looked at, and nothing is well."""
    assert images(site), "The site names no image, so nothing was looked at."
    return images(site)


def builder(site: Site) -> str:
    """Return the account that builds."""
    return str(site.variables["image_renewal_user"])


@pytest.fixture(scope="module")
def facts(host: Host, site: Site) -> Facts:
    environment = {"BUILDER": builder(site), "NAMES": " ".join(sorted(images(site)))}
    return batch(host, FACTS, environment=environment, timeout=120)


@pytest.fixture(scope="module")
def life(host: Host, site: Site) -> Facts:
    steps = {name: f"{LIFE}\n{step}" for name, step in STEPS.items()}
    return batch(host, steps, environment={"BUILDER": builder(site)}, timeout=300)


def said(result: CommandResult) -> str:
    """Return what a command left, for the message of a failed assertion."""
    return f"it ended with {result.rc} and said: {(result.stdout + result.stderr).strip()[-900:] or 'nothing'}"


def version(result: CommandResult) -> str:
    """Return the version that 'current' led to after a step, whose last line counts the versions."""
    lines = result.stdout.splitlines()
    assert len(lines) >= 2, said(result)
    return str(lines[-2])


def test_renewals_are_scheduled(facts: Facts, site: Site) -> None:
    """The timer is switched on, has the site's schedule, and knows when it runs next."""
    assert facts["timer"].stdout.split() == ["enabled", "active"], said(facts["timer"])
    schedule = f"OnCalendar={site.variables['image_renewal_schedule']}"
    assert schedule in facts["schedule"].stdout.splitlines(), said(facts["schedule"])
    assert facts["next"].stdout.strip().partition("=")[2], said(facts["next"])


def test_renewals_are_the_builders_and_have_not_failed(facts: Facts, site: Site) -> None:
    """Renewals run as the account that builds, and the last one of this boot has not failed."""
    shown = dict(line.split("=", 1) for line in facts["service"].stdout.splitlines())
    expected = {"LoadState": "loaded", "User": builder(site), "Result": "success", "NeedDaemonReload": "no"}
    assert shown == expected, said(facts["service"])


def test_limits_are_the_sites(facts: Facts, site: Site) -> None:
    """The settings have each image with its budget and the number of versions that stay, and no other image."""
    assert facts["settings"].rc == 0, said(facts["settings"])
    parser = configparser.ConfigParser()
    parser.read_string(facts["settings"].stdout)
    found = {name: {key: int(value) for key, value in parser[name].items()} for name in parser.sections()}
    assert found == wanted(site)


def test_published_images_are_within_their_budgets(facts: Facts, site: Site) -> None:
    """The unpacked files of each published image are no more than its budget, and the settings hold it to that."""
    sizes = {name: int(size) for name, size in (line.split() for line in facts["sizes"].stdout.splitlines())}
    assert set(sizes) == set(wanted(site)), said(facts["sizes"])
    parser = configparser.ConfigParser()
    parser.read_string(facts["settings"].stdout)
    for name, limits in wanted(site).items():
        assert 0 < sizes[name] <= limits["budget"] * 1_000_000, f"'{name}' has {sizes[name]} bytes."
        assert name in parser.sections(), f"Nothing holds '{name}' to its budget: {said(facts['settings'])}"


def test_nothing_is_outdated(facts: Facts, site: Site) -> None:
    """Each published image is whole, of its definition, and of the packages that the host's lists offer."""
    assert facts["outdated"].rc == 0, said(facts["outdated"])
    assert {found["image"] for found in json.loads(facts["outdated"].stdout)} == set(wanted(site))


@pytest.mark.mutates
def test_an_update_of_a_package_is_noticed(life: Facts) -> None:
    """An image of the newest packages is not outdated; when one has an update, it is, and the package is named."""
    assert life["first"].rc == 0, said(life["first"])
    assert (life["current"].rc, life["current"].stdout) == (0, ""), said(life["current"])
    assert (life["outdated"].rc, life["outdated"].stdout) == (10, "site: site-grid-base 1.0 -> 1.1\n"), said(
        life["outdated"]
    )


@pytest.mark.mutates
def test_a_killed_renewal_leaves_what_was_published(life: Facts) -> None:
    """Killed in mid-build, a renewal leaves readers the former version, whole, and the next one sweeps its rests."""
    assert life["killed"].rc == 0, said(life["killed"])
    assert f"\n{version(life['first'])}\n1\n" in life["killed"].stdout, said(life["killed"])
    assert "context" in life["killed"].stdout, "It was killed before it built anything."
    assert life["left"].stdout.split() == ["lock"], said(life["left"])


@pytest.mark.mutates
def test_an_image_that_is_too_large_is_not_published(life: Facts) -> None:
    """Over its budget, a new version is refused with its largest packages, and the former one stays."""
    assert life["too large"].rc == 1, said(life["too large"])
    assert version(life["too large"]) == version(life["first"]), said(life["too large"])
    assert "and the budget is 1.0 MB" in life["too large"].stderr, said(life["too large"])
    assert "busybox-static" in life["too large"].stderr, said(life["too large"])


@pytest.mark.mutates
def test_the_unit_publishes_the_update(life: Facts) -> None:
    """Under the unit's restrictions the image is built, tried and published, and differs by that one package."""
    assert life["by the unit"].rc == 0, said(life["by the unit"])
    assert version(life["by the unit"]) != version(life["first"]), said(life["by the unit"])
    head, *lines = life["changes"].stdout.splitlines()
    assert head.startswith(f"{version(life['first'])} -> {version(life['by the unit'])}, "), said(life["changes"])
    assert lines == ["  site-grid-base 1.0 -> 1.1"], said(life["changes"])
    assert json.loads(life["changes as JSON"].stdout)["changed"] == {"site-grid-base": ["1.0", "1.1"]}


@pytest.mark.mutates
def test_what_runs_keeps_its_version(life: Facts) -> None:
    """A container that runs during a renewal keeps its files, and its version stays until it has ended."""
    assert life["container"].rc == 0, said(life["container"])
    assert life["inside"].stdout == "release 1.0\nrelease 1.1\n", said(life["inside"])
    first = version(life["first"])
    assert f"/{first} stays for now: process " in life["in use"].stdout, said(life["in use"])
    assert life["in use"].stdout.endswith(f"\n{first}\n"), said(life["in use"])
    assert f"/{first} is removed" in life["unused"].stdout, said(life["unused"])


@pytest.mark.mutates
def test_the_way_back_leads_to_the_former_version(life: Facts) -> None:
    """A rollback leads back in one step; the version that was left is not published again, and that is told."""
    assert life["rollback"].rc == 0, said(life["rollback"])
    assert life["rollback"].stdout.endswith("\nrelease 1.0\n"), said(life["rollback"])
    assert life["held"].rc == 10, said(life["held"])
    bad = version(life["by the unit"])
    assert life["held"].stdout.count(f"held back: this would be {bad} again, which was refused") == 2, said(
        life["held"]
    )
    assert "2000-01-01-between\n2\n" in life["held"].stdout, said(life["held"])


@pytest.mark.mutates
def test_a_damaged_image_is_not_built_over(life: Facts) -> None:
    """Where what is published is not as it was signed, nothing is believed or built, and that is an error."""
    assert life["tampered"].rc == 1, said(life["tampered"])
    assert life["tampered"].stdout == "", said(life["tampered"])
    assert life["tampered"].stderr.count("sbom: digest is") == 2, said(life["tampered"])


@pytest.mark.mutates
def test_nothing_is_left_of_these_lives(life: Facts) -> None:
    """All of that happened beside what the site publishes, and is gone again."""
    assert life["first"].rc == 0, said(life["first"])
    assert ".check" not in life["clean"].stdout.split(), said(life["clean"])
