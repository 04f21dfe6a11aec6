"""apptainer.conf: a variable changes its own line and gives it back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.playbooks.modules import load_module

conf = load_module("apptainer", "apptainer_conf")

FILE = """\
# MOUNT DEV: [yes/no/minimal]
# DEFAULT: yes
mount dev = yes

mount devpts = yes
# BIND PATH: [STRING]
#bind path = /scratch
bind path = /etc/localtime
bind path = /etc/hosts

# MOUNT TMP: [BOOL]
mount tmp = yes
#limit container owners = gmk
"""


def test_a_value_changes_its_own_line_only() -> None:
    text, done = conf.put(FILE, {"mount dev": "minimal"})
    assert text == FILE.replace("mount dev = yes", "mount dev = minimal")
    assert done == {"mount dev": {"former": "mount dev = yes", "written": "mount dev = minimal"}}


def test_a_list_adds_missing_lines_behind_the_directives_others() -> None:
    text, _ = conf.put(FILE, {"bind path": ["/etc/hosts", "/cvmfs"]})
    assert text == FILE.replace("bind path = /etc/hosts\n", "bind path = /etc/hosts\nbind path = /cvmfs\n")


def test_a_directive_that_is_only_an_example_gets_a_line_behind_it() -> None:
    text, _ = conf.put(FILE, {"limit container owners": "alice"})
    assert text == FILE + "limit container owners = alice\n"


def test_a_setting_that_holds_already_is_nobodys_change() -> None:
    assert conf.put(FILE, {"mount dev": "yes", "bind path": ["/etc/hosts"]}) == (FILE, {})


def test_a_line_that_somebody_changed_since_stays() -> None:
    text, done = conf.put(FILE, {"mount dev": "minimal"})
    edited = text.replace("mount dev = minimal", "mount dev = no")
    assert conf.take_back(edited, done) == edited


@pytest.mark.parametrize(
    "settings,said",
    [
        ({"mount dve": "yes"}, "'mount dve' is not a directive"),
        ({"mount dev": "maybe"}, "'mount dev' takes yes, no, minimal, not 'maybe'"),
        ({"mount tmp": "perhaps"}, "'mount tmp' takes yes, no, not 'perhaps'"),
        ({"bind path": ["/a\n/b"]}, "'bind path' takes one line"),
    ],
)
def test_a_setting_that_apptainer_would_not_understand_is_refused(
    settings: dict[str, str | list[str]], said: str
) -> None:
    (fault,) = conf.find_faults(FILE, settings)
    assert said in fault


def test_yaml_truth_is_written_as_apptainer_writes_it() -> None:
    assert conf.as_text({"a": True}["a"]) == "yes"
    assert conf.as_text([1, False]) == ["1", "no"]


values = st.text("abc/", min_size=1, max_size=5)
settings_made = st.dictionaries(
    st.sampled_from(["mount dev", "bind path", "mount tmp", "limit container owners"]),
    values | st.lists(values, unique=True),
)


@given(
    settings_made, st.sampled_from([FILE, FILE.rstrip("\n"), FILE.replace("\n", "\r\n"), FILE + "# \x0c \u2028\n\n"])
)
def test_what_was_put_can_be_taken_back_byte_for_byte(settings: dict[str, str | list[str]], file: str) -> None:
    text, done = conf.put(file, settings)
    assert conf.take_back(text, done) == file


@given(settings_made)
def test_putting_twice_changes_nothing_more(settings: dict[str, str | list[str]]) -> None:
    text, _ = conf.put(FILE, settings)
    assert conf.put(text, settings) == (text, {})
