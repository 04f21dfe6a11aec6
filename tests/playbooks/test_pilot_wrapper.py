"""The command `pilot-in-container` with a stand-in for Apptainer, what its role asks, and that its faults bite."""

import getpass
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader  # type: ignore[import-untyped]  # it has no type hints
from ansible.template import Templar, trust_as_template  # type: ignore[import-untyped]  # neither has this

from lading.project import find_catalogue
from lading.recipe.load import load_recipe
from tests.playbooks.modules import ROLES, tree

PROGRAM = ROLES / "pilot_wrapper/files/pilot-in-container.sh"
RECIPE = load_recipe(find_catalogue(start=Path(__file__)), "pilot-in-container").recipe
VARIABLES = yaml.safe_load((ROLES / "pilot_wrapper/vars/main.yml").read_text())
SHELLS = [shell for shell in (["sh"], ["bash", "--posix"], ["dash"], ["busybox", "sh"]) if shutil.which(shell[0])]
LIMIT = 30
"""Seconds for a command that must not hang."""

# It makes links in the place of binds and runs the command there, without any container. Of an image that holds the
# file 'says' it starts none, and says that.
APPTAINER = """#!/bin/sh
while :; do
    case $1 in
    --mount)
        from=${2#*source=} from=${from%%\\"*} to=${2##*destination=}
        ln -sfn "$from" "${to%,ro}"; shift 2 ;;
    --pwd) folder=$2; shift 2 ;;
    --workdir | --bind) shift 2 ;;
    exec | --*) shift ;;
    *) break ;;
    esac
done
[ ! -e "$1/says" ] || { echo "INFO: of no interest" >&2; cat "$1/says" >&2; exit 255; }
shift
cd "${folder:-.}" && exec "$@"
"""


class Node:
    """A folder with a stand-in for Apptainer, images, a job's folder, and the command with its own places in there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.image, self.job = folder, tree(folder / "image"), folder / "job"
        (folder / "tmp").mkdir()
        (folder / "run").mkdir()
        self.job.mkdir()
        self.apptainer = folder / "apptainer"
        self.apptainer.write_text(APPTAINER)
        self.apptainer.chmod(0o755)
        text = PROGRAM.read_text().replace("/tmp/bt_u", f"{folder}/bt_u").replace("/tmp/x509up_u", f"{folder}/x509up_u")
        for name, value in {
            "INSIDE": f"{folder}/run/inside",
            "CREDENTIALS": f"{folder}/run/credentials",
            "WORK": f"{folder}/srv",
            "EVERY": "1",
            "PATIENCE": "2",
        }.items():
            text, times = re.subn(rf"^{name}=\S+", f"{name}={value}", text, flags=re.MULTILINE)
            assert times == 1
        self.program = folder / "pilot-in-container"
        self.program.write_text(text)
        self.settings = folder / "settings"
        self.settings.write_text(f"# of the site\n\napptainer = {self.apptainer}\n  image={self.image}\n")

    @contextmanager
    def started(self, *words: str, shell: Sequence[str] = ("sh",), **more: str) -> Iterator[subprocess.Popen[str]]:
        """Start the command; whatever a test finds, nothing of it outlives the test or holds it up."""
        # A shell cannot trap what was ignored when it started, as under nohup(1); so none is, whoever runs the tests.
        command = ["env", "--default-signal", *shell, str(self.program), "--settings", str(self.settings), *words]
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TMPDIR": f"{self.folder}/tmp", **more}
        with subprocess.Popen(
            command,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.job,
            start_new_session=True,
        ) as process:
            try:
                yield process
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise

    def ended(self, *words: str, shell: Sequence[str] = ("sh",), **more: str) -> tuple[int, str, str]:
        """Run the command; return exit code, output and log."""
        with self.started(*words, shell=shell, **more) as process:
            out, err = process.communicate(timeout=LIMIT)
        assert list((self.folder / "tmp").iterdir()) == []
        return process.returncode, out, err

    def refused(self, *words: str, **more: str) -> str:
        """Return the last line of a log, of a run that starts no pilot."""
        code, out, err = self.ended(*words, **more)
        assert (code, out) == (125, ""), err
        return err.splitlines()[-1].partition("pilot-in-container: ")[2]

    def wait_for(self, name: str, wanted: str = "") -> str:
        """Return what a pilot has written into a file of its work folder, once it has."""
        file, end = self.job / name, time.monotonic() + LIMIT
        while not (file.exists() and file.read_text().endswith(f"{wanted}\n")):
            assert time.monotonic() < end, f"'{file}' does not come."
            time.sleep(0.02)
        return file.read_text().strip()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_the_pilot_runs_in_the_jobs_folder_and_its_exit_code_comes_back(node: Node, shell: list[str]) -> None:
    code, out, err = node.ended("sh", "-c", 'echo "in $PWD"; touch made; exit 7', shell=shell)
    assert (code, out) == (7, f"in {node.folder}/srv\n"), err
    assert (node.job / "made").exists()
    assert err.splitlines()[-1].endswith("pilot-in-container: the pilot ended with exit code 7")


def test_what_the_pilot_complains_of_goes_where_the_jobs_complaints_go(node: Node) -> None:
    assert "\nof the pilot\n" in node.ended("sh", "-c", "echo of the pilot >&2")[2]


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_nothing_of_the_job_gets_in_but_what_is_named(node: Node, shell: list[str]) -> None:
    odd = 'it\'s $(id) `id`\n"two"  lines\\'
    # Names that this program has for itself, outside or inside.
    own = {"image": "theirs", "binds": "", "INSIDE": "here", "IFS": "x", "WORK": "w\n\n"}
    leaks = {"LEAK": "l", "APPTAINERENV_LEAK": "l", "APPTAINER_BINDPATH": "/l", "PYTHONPATH": "/l", "ENV": "/l"}
    node.settings.write_text(node.settings.read_text() + "pass = FIRST\npass=NOT_SET\n")
    node.settings.write_text(node.settings.read_text() + "".join(f"pass = {name}\n" for name in own))
    look = 'printf "%s" "$ODD" >odd; printf "%s" "$image$binds$INSIDE$WORK" >own; '
    look += 'env -0 | cut -z -d = -f 1 | tr "\\0" "\\n" >names; ls -l /proc/self/fd'
    with (node.folder / "open").open("w") as opened:
        os.set_inheritable(opened.fileno(), True)
        assert opened.fileno() > 2
        code, out, err = node.ended("--pass", "ODD", "sh", "-c", look, shell=shell, ODD=odd, FIRST="1", **own, **leaks)
    assert code == 0, err
    assert set((node.job / "names").read_text().split()) - {"PWD", "OLDPWD", "SHLVL", "_"} == {
        "ODD", "FIRST", *own, "PATH", "HOME", "LC_ALL", "APPTAINER_CONFIGDIR"
    }  # fmt: skip
    assert (node.job / "odd").read_text() == odd
    assert (node.job / "own").read_text() == "theirsherew\n\n"
    assert f"{node.folder}/open" not in out


@pytest.mark.parametrize(
    "given, found",
    [
        ({}, {}),
        ({"X509_USER_PROXY": "proxy"}, {"X509_USER_PROXY": "proxy"}),
        ({"BEARER_TOKEN_FILE": "token"}, {"BEARER_TOKEN_FILE": "token"}),
        ({"BEARER_TOKEN": "itself", "BEARER_TOKEN_FILE": "token"}, {"BEARER_TOKEN_FILE": "itself"}),
        ({"XDG_RUNTIME_DIR": "runtime"}, {"BEARER_TOKEN_FILE": "of the session"}),
        ({"tmp": "yes"}, {"BEARER_TOKEN_FILE": "of tmp", "X509_USER_PROXY": "proxy of tmp"}),
    ],
)
def test_credentials_are_found_as_their_users_do_and_are_files(
    node: Node, given: dict[str, str], found: dict[str, str]
) -> None:
    user = os.geteuid()
    (node.folder / "runtime").mkdir()
    for name, text in {"proxy": "proxy", "token": "token", f"runtime/bt_u{user}": "of the session"}.items():
        (node.folder / name).write_text(f"{text}\n")
    if given.pop("tmp", ""):
        (node.folder / f"bt_u{user}").write_text("of tmp\n")
        (node.folder / f"x509up_u{user}").write_text("proxy of tmp\n")
    paths = {name: value if name == "BEARER_TOKEN" else f"{node.folder}/{value}" for name, value in given.items()}
    look = 'for file in "$1"/*; do [ ! -f "$file" ] || echo "file ${file##*/}=$(cat "$file")"; done; env'
    folder = f"{node.folder}/run/credentials"
    code, out, err = node.ended("sh", "-c", look, "sh", folder, **paths)
    assert code == 0, err
    lines = out.splitlines()
    assert [line for line in lines if line.startswith("file ")] == [f"file {it}={found[it]}" for it in sorted(found)]
    named = {line for line in lines if line.startswith(("BEARER_TOKEN", "X509_USER_PROXY"))}
    assert named == {f"{name}={folder}/{name}" for name in found}


def test_a_renewed_credential_reaches_a_pilot_that_runs(node: Node) -> None:
    (node.folder / "token").write_text("first\n")
    wait = 'cat "$BEARER_TOKEN_FILE" >seen; until grep -q second "$BEARER_TOKEN_FILE"; do sleep 0.1; done'
    with node.started("sh", "-c", wait, BEARER_TOKEN_FILE=f"{node.folder}/token") as process:
        assert node.wait_for("seen") == "first"
        (node.folder / "new").write_text("second\n")
        (node.folder / "new").replace(node.folder / "token")
        assert process.wait(LIMIT) == 0


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize("sent, heard", [("TERM", "TERM"), ("USR1", "USR1"), ("XCPU", "XCPU"), ("INT", "TERM")])
def test_a_signal_is_the_pilots_to_hear(node: Node, shell: list[str], sent: str, heard: str) -> None:
    trap = f"trap 'echo heard; exit 3' {heard}; echo >ready; while :; do sleep 0.05; done"
    with node.started("sh", "-c", trap, shell=shell) as process:
        node.wait_for("ready")
        process.send_signal(getattr(signal, f"SIG{sent}"))
        out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, out) == (3, "heard\n"), err


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_a_signal_to_the_whole_job_leaves_the_pilots_exit_code_and_nothing_else(node: Node, shell: list[str]) -> None:
    """Batch systems send it to each process; a pilot may end before the wrapper has written that down."""
    trap = "trap 'exit 3' TERM; echo >ready; while :; do sleep 0.05; done"
    with node.started("sh", "-c", trap, shell=shell) as process:
        node.wait_for("ready")
        os.killpg(process.pid, signal.SIGTERM)
        _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 3, err
    assert list((node.folder / "tmp").iterdir()) == []
    listed = subprocess.run(["ps", "-e", "-o", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    left = [line for line in listed.splitlines() if line.split()[0] == str(process.pid) and line.split()[1][0] != "Z"]
    assert left == []


def test_a_signal_before_the_pilot_is_told_as_the_reason(node: Node) -> None:
    slow = node.apptainer.read_text().replace("shift\ncd", "shift\necho >ready; sleep 20\ncd")
    node.apptainer.write_text(slow)
    with node.started("--payload-image", "none", "true") as process:
        node.wait_for("ready")
        os.killpg(process.pid, signal.SIGTERM)
        _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 125, err
    assert err.splitlines()[-1].endswith("signal TERM came before the pilot was started.")


def test_what_the_pilot_has_closed_for_itself_is_removed_too(node: Node) -> None:
    code, _, err = node.ended("sh", "-c", f"cd {node.folder}/tmp/*/work && mkdir -p a/b && chmod 0 a")
    assert code == 0, err


@pytest.mark.parametrize("options", ["xtrace", "errexit:noclobber:noglob:nounset"])
def test_options_that_bash_takes_from_its_caller_change_nothing(node: Node, options: str) -> None:
    (code, out, err) = node.ended(
        "sh", "-c", "echo ran; exit 3", shell=["bash", "--posix"], SHELLOPTS=options, BEARER_TOKEN="the-secret"
    )
    assert (code, out) == (3, "ran\n"), err
    assert "the-secret" not in err


@pytest.mark.parametrize("deaf", ["", "trap '' TERM; "])
def test_the_pilot_ends_although_the_wrapper_is_killed(node: Node, deaf: str) -> None:
    with node.started("sh", "-c", f"{deaf}echo $$ >pid; while :; do sleep 0.05; done") as process:
        pid = int(node.wait_for("pid"))
        process.kill()
        process.communicate(timeout=LIMIT)  # which also waits for the pilot, who has its output open
    end = time.monotonic() + LIMIT
    while Path(f"/proc/{pid}/exe").exists() or list((node.folder / "tmp").iterdir()):
        assert time.monotonic() < end, "Something stays."
        time.sleep(0.05)


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_a_caller_that_ignores_its_childrens_end_changes_nothing(node: Node, shell: list[str]) -> None:
    """Some daemons do, and it is inherited."""
    with ExitStack() as stack:
        before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            process = stack.enter_context(node.started("sh", "-c", "exit 3", shell=shell))
        finally:
            signal.signal(signal.SIGCHLD, before)
        assert process.communicate(timeout=LIMIT)[0] == ""
    assert process.returncode == 3


@pytest.mark.parametrize(
    "words, sentence",
    [
        ([], "no pilot is named: "),
        (["--fast", "true"], "there is no option '--fast'."),
        (["--image"], "--image wants a value."),
        (["--image", "image", "true"], "image: 'image' is no absolute path."),
        (["--image", "/a/../b", "true"], "image: '/a/../b' has a comma"),
        (["--bind", "/a,/b", "true"], "bind: '/a,/b' has a comma"),
        (["--bind", "/no/such:/x", "true"], "'/no/such', which is to be bound, cannot be reached: No such file"),
        (["--pass", "1x", "true"], "pass: '1x' is no name of a variable."),
        (["--pass", "LD_PRELOAD", "true"], "pass: 'LD_PRELOAD' is not handed in like this"),
        (["--pass", "BEARER_TOKEN", "true"], "pass: 'BEARER_TOKEN' is not handed in like this"),
        (["--apptainer", "/no/such", "true"], "Apptainer '/no/such' on "),
        (["--apptainer", "/etc/passwd", "true"], "Apptainer '/etc/passwd' on "),
        (["--image", "/no/such", "true"], "the container image '/no/such' on "),
        (["--payload-image", "/no/such", "true"], "the container image '/no/such' on "),
        (["no-such-command"], "there is no command 'no-such-command' for the pilot"),
        (["--inside", "true"], "there is no option '--inside'."),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(node: Node, words: list[str], sentence: str) -> None:
    assert node.refused(*words).startswith(sentence)


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("nonsense\n", "': 'nonsense' is no line KEY = VALUE."),
        ("network = no\n", "there is no setting 'network'"),
        ("apptainer = /x", "no Apptainer or no container image is named."),
    ],
)
def test_wrong_settings_are_told(node: Node, text: str, sentence: str) -> None:
    node.settings.write_text(text)
    assert sentence in node.refused("true")
    node.settings.unlink()
    assert "are not there or cannot be read." in node.refused("true")


def test_a_credential_that_is_not_there_is_told_without_its_name(node: Node) -> None:
    """It may be the secret itself."""
    said = node.refused("true", BEARER_TOKEN_FILE="tiptop")
    assert said.startswith("the file that BEARER_TOKEN_FILE names is not there")
    assert "tiptop" not in said


def test_a_credential_that_is_empty_is_no_credential(node: Node) -> None:
    (node.folder / "token").touch()
    said = node.refused("true", BEARER_TOKEN_FILE=f"{node.folder}/token")
    assert said.startswith("the file that BEARER_TOKEN_FILE names is empty, or ")


def test_the_home_of_the_account_is_no_folder_for_a_pilot(node: Node) -> None:
    for home in (node.job, node.job / "below"):
        home.mkdir(exist_ok=True)
        assert "which is or holds the account's home" in node.refused("true", HOME=str(home))


def test_an_image_for_another_machine_is_named(node: Node) -> None:
    foreign = tree(node.folder / "foreign", 183 if os.uname().machine != "aarch64" else 62)
    for option in ("--image", "--payload-image"):
        said = node.refused(option, str(foreign), "true")
        assert re.match(rf"the container image '{foreign}' is for \S+, and \S+ is {os.uname().machine}\. ", said)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_image_that_cannot_be_read_is_named(node: Node) -> None:
    locked = node.folder / "locked"
    locked.mkdir(0)
    assert node.refused("--image", str(locked), "true").startswith(f"the container image '{locked}' cannot be read on ")


# What Apptainer 1.4.5 says where it could be provoked; else what the page's sources report.
SAID = {
    "ERROR  : Failed to create user namespace: maximum number of user namespaces exceeded, check /proc/sys/user/"
    "max_user_namespaces": "raise user.max_user_namespaces",
    "ERROR  : Could not write info to setgroups: Permission denied\nERROR  : Error while waiting event for user "
    "namespace mappings: no event received": "denied",
    "FATAL:   container creation failed: mount hook function failure: mount proc->/proc error: while mounting proc: "
    "can't mount proc filesystem to /proc: operation not permitted": "'systempaths=unconfined', or 'procMount: Unmas",
    "FATAL:   while mounting /x: destination /dev doesn't exist in container": "does not look like an unpacked image",
    "FATAL:   stat /bin/sh: no such file or directory": "does not look like an unpacked image",
    "FATAL:   failed to resolve session directory /var/lib/apptainer/mnt/session": "does not find its own files",
    "FATAL:   fuse: device not found": "FUSE is not there",
    "WARNING: fuse: of no interest\nFATAL:   connection refused": "FATAL:   connection refused",
    "FATAL:   something new": "FATAL:   something new",
}


@pytest.mark.parametrize("text", SAID)
def test_why_no_container_starts_is_told_outside_and_inside(node: Node, text: str) -> None:
    bad = tree(node.folder / "bad")
    (bad / "says").write_text(f"{text}\n")
    said = node.refused("--image", str(bad), "touch", "ran")
    assert re.match(rf"no container starts from '{bad}' on \S+: .*{re.escape(SAID[text])}", said)
    said = node.refused("--payload-image", str(bad), "touch", "ran")
    assert re.match(rf"in the pilot's container no container starts from '{bad}': .*{re.escape(SAID[text])}", said)
    assert not (node.job / "ran").exists()
    assert node.ended("--payload-image", "none", "true")[0] == 0


def asked(*words: str) -> list[str]:
    """Return what the role's question says."""
    script = VARIABLES["pilot_wrapper_question"].replace('runuser -u "$account" --', "env")
    script = script.replace("[ -d /run/systemd/system ]", "true")
    ran = subprocess.run(["sh", "-c", script, "sh", *words], capture_output=True, text=True, check=False, timeout=LIMIT)
    assert ran.stderr == ""
    return ran.stdout.splitlines()


def test_the_role_asks_for_what_is_missing_and_what_is_strange(tmp_path: Path) -> None:
    (tmp_path / "command").touch()
    record, command, settings = (str(tmp_path / name) for name in ("record", "command", "settings"))
    me = getpass.getuser()
    wanted = ["--", "-x", "/bin/sh", "-r", f"{tmp_path}/gone"]
    said = asked("20", record, command, settings, me, "no such account", *wanted)
    assert said == [f"strange {command}", "no account no such account", f"missing {tmp_path}/gone (asked as {me})"]
    (tmp_path / "record").touch()
    assert asked("20", record, command, settings, me, "--", "-x", "/bin/sh") == []


def variable(name: str, **given: object) -> object:
    """Return what a variable of the role comes to."""
    known = {each: trust_as_template(VARIABLES[each]) for each in ("pilot_wrapper_images",)}
    templar = Templar(loader=DataLoader(), variables={**known, **given})
    return templar.template(trust_as_template(VARIABLES[name]))


@pytest.mark.parametrize(
    "apptainer, payload, bind, odd",
    [
        ("/cvmfs/a b/apptainer", "", ["/etc:/site:ro"], []),
        ("", "none", [], [""]),
        (
            "/a",
            "older",
            ["etc", "/a,b", "/a/../b", "/a\nbind = /b"],
            ["older", "etc", "/a,b", "/a/../b", "/a\nbind = /b"],
        ),
    ],
)
def test_the_role_refuses_what_is_no_path(apptainer: str, payload: str, bind: list[str], odd: list[str]) -> None:
    given = {"pilot_wrapper_apptainer": apptainer, "pilot_wrapper_image": "/i", "pilot_wrapper_bind": bind}
    assert variable("pilot_wrapper_odd", pilot_wrapper_payload_image=payload, **given) == odd


def test_the_role_refuses_the_names_that_the_command_refuses(node: Node) -> None:
    names = [
        "HARVESTER_ID",
        "lower_1",
        "1x",
        "a-b",
        "",
        "LD_PRELOAD",
        "APPTAINER_BIND",
        "BEARER_TOKEN",
        "PATH",
        "PATHS",
        "HOME",
    ]
    refused = [name for name in names if node.ended("--pass", name, "true")[0] == 125]
    assert variable("pilot_wrapper_unfit", pilot_wrapper_pass=names) == refused
    assert refused == ["1x", "a-b", "", "LD_PRELOAD", "APPTAINER_BIND", "BEARER_TOKEN", "PATH", "HOME"]


def test_faults_of_the_recipe_change_the_program_in_every_part(tmp_path: Path) -> None:
    """A fault that no longer fits the program would be made, and turn nothing red; and what it makes has to run."""
    copy = tmp_path / "pilot-in-container"
    text = PROGRAM.read_text()
    for fault in RECIPE.sabotage[:-1]:
        words = shlex.split(fault.run)
        assert words[-1] == "/usr/local/bin/pilot-in-container"
        for expression in (words[place + 1] for place, word in enumerate(words) if word == "-e"):
            copy.write_text(text)
            subprocess.run(["sed", "--in-place", "-e", expression, str(copy)], check=True)
            assert copy.read_text() != text, f"'{expression}' changes nothing."
            text = copy.read_text()
    subprocess.run(["sh", "-n", str(copy)], check=True)


def test_the_role_ends_with_a_container_in_a_container() -> None:
    tasks = yaml.safe_load((ROLES / "pilot_wrapper/tasks/main.yml").read_text())
    assert tasks[-1]["name"] == "Run a container with one in it, as each pilot account"
