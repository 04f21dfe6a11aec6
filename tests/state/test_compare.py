"""What counts as a difference between two states."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.errors import UsageError
from lading.state.compare import compare, left_by_packages
from lading.state.ignored import IGNORED, RECKONED
from lading.state.model import State
from tests.state.states import state

NAMES = st.from_regex(r"(file|sysctl|package):[a-z/.]{1,9}", fullmatch=True)
FACTS = st.dictionaries(st.sampled_from(["mode", "owner", "version"]), st.text(max_size=5), min_size=1)
STATES = st.builds(state, st.dictionaries(NAMES, st.one_of(FACTS, st.text(max_size=5)), max_size=6))

USER = {"uid": "990", "gid": "990"}
GROUP = {"gid": "990", "members": []}
POSTINST = "/var/lib/dpkg/info/munge.postinst"


@given(STATES)
def test_a_state_is_equal_to_itself_and_survives_its_json(one: State) -> None:
    again = State.from_json(one.to_json())

    assert again == one
    assert compare(one, again) == []


@given(STATES, STATES)
def test_what_came_one_way_went_the_other(one: State, other: State) -> None:
    there, back = compare(one, other), compare(other, one)

    assert [(change.item, change.before, change.after) for change in there] == [
        (change.item, change.after, change.before) for change in back
    ]


def test_a_change_says_in_one_line_what_it_is() -> None:
    before = state({
        "file:/etc/a": {"mode": "0644", "sha256": "a" * 64}, "sysctl:vm.x": "1", "group:adm": {"members": []},
    })  # fmt: skip
    after = state({
        "file:/etc/a": {"mode": "0600", "sha256": "b" * 64}, "group:adm": {"members": ["bob"]},
        "socket:tcp:[::]:22": {"program": "sshd"},
    })  # fmt: skip

    assert list(map(str, compare(before, after))) == [
        "file:/etc/a changed: mode 0644 → 0600, sha256 aaaaaaaaaaaa → bbbbbbbbbbbb",
        "group:adm changed: members '' → bob",
        "socket:tcp:[::]:22 came: program sshd",
        "sysctl:vm.x went: 1",
    ]
    assert compare(before, after)[2].kind == "socket"
    assert compare(before, after)[2].name == "tcp:[::]:22"


def test_a_module_that_the_kernel_has_loaded_is_no_difference_and_neither_are_the_settings_it_brings() -> None:
    before = state({"sysctl:vm.x": "1"})
    after = state({"sysctl:vm.x": "2", "sysctl:fs.fuse.y": "3", "module:fuse": "loaded"})

    assert [change.item for change in compare(before, after)] == ["sysctl:vm.x"]
    assert len(compare(before, after, modules=True)) == 3
    del after.items["module:fuse"]
    assert [change.item for change in compare(before, after)] == ["sysctl:fs.fuse.y", "sysctl:vm.x"]


@pytest.mark.parametrize(
    "item, before, after, same",
    [
        # Seen in a guest: the same kernel, before and after a reboot.
        ("sysctl:net.ipv4.inet_peer_threshold", "51538", "51539", True),
        ("sysctl:user.max_user_namespaces", "3773", "3774", True),
        ("sysctl:user.max_user_namespaces", "3773", "0", False),
        ("sysctl:user.max_user_namespaces", "0", "1", False),
        ("sysctl:user.max_user_namespaces", "3773", "3700", False),
        ("sysctl:net.ipv4.tcp_rmem", "4096\t131072\t6291456", "4096\t131072\t6291000", True),
        ("sysctl:net.ipv4.tcp_rmem", "4096\t131072\t6291456", "8192\t131072\t6291456", False),
        ("sysctl:net.ipv4.tcp_rmem", "4096\t131072\t6291456", "4096\t131072", False),
        ("sysctl:kernel.threads-max", "7546", "many", False),
        ("sysctl:vm.swappiness", "60000", "60001", False),
    ],
)
def test_what_the_kernel_reckons_from_its_memory_may_differ_by_a_few_pages(
    item: str, before: str, after: str, same: bool
) -> None:
    assert (compare(state({item: before}), state({item: after})) == []) is same
    assert [change.sign for change in compare(state({item: before}), state({}))] == ["-"]


def test_users_and_groups_that_a_package_has_made_may_stay() -> None:
    before = state({"group:video": {"gid": "44", "members": ["alice"]}})
    makers = {"user:munge": POSTINST, "group:munge": POSTINST}
    items = {
        "user:munge": USER, "group:munge": GROUP, "group:video": {"gid": "44", "members": ["alice", "munge"]},
        "user:own": USER, "group:own": GROUP, "file:/etc/munge": {"mode": "0700"},
    }  # fmt: skip

    found = compare(before, state(items))

    left = {change.item for change in left_by_packages(found, state(items, makers))}
    assert left == {"user:munge", "group:munge", "group:video"}


@pytest.mark.parametrize("members", [["munge"], ["alice", "bob", "munge"], ["alice"]])
def test_a_group_that_has_changed_otherwise_is_not_left_by_a_package(members: list[str]) -> None:
    before = state({"group:video": {"gid": "44", "members": ["alice"]}})
    after = state(
        {"user:munge": USER, "group:video": {"gid": "45" if members == ["alice"] else "44", "members": members}}
    )

    left = left_by_packages(compare(before, after), state(after.items, {"user:munge": POSTINST}))

    assert [change.item for change in left] == ["user:munge"]


def test_a_packages_user_that_was_there_before_and_changed_is_a_difference() -> None:
    before, after = state({"user:munge": USER}), state({"user:munge": {**USER, "shell": "/bin/sh"}})

    assert left_by_packages(compare(before, after), state(after.items, {"user:munge": POSTINST})) == []


@pytest.mark.parametrize(
    "text, problem",
    [
        ("", "Invalid JSON"),
        ("[1]", "the text"),
        (json.dumps({"format": "lading-state/1"}), "host"),
        (state({}).to_json().replace("state/1", "state/2"), "format"),
    ],
)
def test_what_is_not_a_state_is_refused_with_the_reason(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as refused:
        State.from_json(text)
    assert "lading state" in refused.value.message


def test_json_has_a_line_for_each_item() -> None:
    text = state({"sysctl:vm.x": "1", "file:/etc/ä": {"b": 1, "a": 2}}).to_json()

    assert '  "file:/etc/\\u00e4": {"a": 2, "b": 1},\n  "sysctl:vm.x": "1"\n' in text


def test_each_entry_of_the_ignore_list_has_its_reason_and_is_there_once() -> None:
    patterns = [one.pattern for one in (*IGNORED, *RECKONED)]

    assert len(set(patterns)) == len(patterns)
    assert all(one.because for one in IGNORED)
