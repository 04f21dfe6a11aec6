"""Which proofs are made: by name, and in CI."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from lading.errors import LabError, UsageError
from lading.lab.workspace import opened_workspace
from lading.narrator import quiet
from lading.proof.plan import LAYER_BOOTS_SECONDS, UNKNOWN_SECONDS, ci_jobs, named_jobs
from lading.proof.records import recall, remember
from tests.evidence.proofs import DAY, prove
from tests.workshop import Workshop

TODAY = DAY.date()


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    shop = Workshop(tmp_path / "catalogue")
    for name in ("alpha", "beta", "gamma"):
        shop.path(name)
    shop.commit()
    return shop


def chosen(shop: Workshop, base: str | None = None, today: date = TODAY) -> list[tuple[str, str]]:
    return [(job.loaded.id, job.why) for job in ci_jobs(shop.catalogue, base, today)[0]]


def test_all_paths_are_proven_where_none_is_named(shop: Workshop) -> None:
    jobs, skipped = named_jobs(shop.catalogue, [], None, "full", TODAY)
    assert [job.name for job in jobs] == ["alpha on debian13", "beta on debian13", "gamma on debian13"]
    assert skipped[0].name == "alpha on debian12"
    assert skipped[0].reason == "No package there."
    assert {job.seconds for job in jobs} == {UNKNOWN_SECONDS}


def test_an_unknown_path_or_platform_is_a_usage_error_with_the_nearest_name(shop: Workshop) -> None:
    with pytest.raises(UsageError, match="alpha"):
        named_jobs(shop.catalogue, ["alhpa"], None, "full", TODAY)
    with pytest.raises(UsageError, match=r"'debian31'.*'debian13'"):
        named_jobs(shop.catalogue, ["alpha"], "debian31", "full", TODAY)
    with pytest.raises(UsageError, match="'alpha' is not meant for 'almalinux9'"):
        named_jobs(shop.catalogue, ["alpha"], "almalinux9", "full", TODAY)


def test_a_platform_that_cannot_be_had_is_a_lab_error_if_named_and_listed_if_not(shop: Workshop) -> None:
    with pytest.raises(LabError, match=r"'alpha' can't be proven on 'debian12': No package there."):
        named_jobs(shop.catalogue, ["alpha"], "debian12", "full", TODAY)
    shop.path("delta", platforms={"almalinux9": {}})
    jobs, skipped = named_jobs(shop.catalogue, ["delta"], None, "full", TODAY)
    assert (jobs, [one.reason for one in skipped]) == ([], ["The lab has no image of it."])


def test_ci_proves_everything_in_a_first_commit(shop: Workshop) -> None:
    assert chosen(shop) == [(name, "the push changed it") for name in ("alpha", "beta", "gamma")]


def test_ci_proves_what_the_push_changed_then_one_drawn_then_the_oldest(shop: Workshop) -> None:
    for name, days in (("alpha", 1), ("beta", 20), ("gamma", 9)):
        prove(shop, name, finished=DAY - timedelta(days=days))
    shop.commit()
    shop.write("README.md", "words\n")
    shop.commit()
    reasons = chosen(shop)
    assert sorted(name for name, _ in reasons) == ["alpha", "beta", "gamma"]
    assert [why for _, why in reasons] == ["drawn by this commit's hash", "the oldest first", "the oldest first"]
    left = [name for name, why in reasons if why == "the oldest first"]
    assert left == sorted(left, key=["beta", "gamma", "alpha"].index)

    shop.write("playbooks/roles/gamma/tasks/main.yml", "- name: Other\n  ansible.builtin.debug:\n    msg: x\n")
    prove(shop, "gamma")
    shop.commit()
    assert chosen(shop)[0] == ("gamma", "the push changed it")


def test_ci_proves_evidence_that_was_changed_although_its_inputs_were_not(shop: Workshop) -> None:
    for name in ("alpha", "beta", "gamma"):
        prove(shop, name)
    shop.commit()
    prove(shop, "beta", finished=DAY + timedelta(hours=1))
    shop.commit()
    assert chosen(shop)[0] == ("beta", "the push changed it")


def test_ci_compares_with_the_commit_that_it_is_given(shop: Workshop) -> None:
    for name in ("alpha", "beta", "gamma"):
        prove(shop, name)
    shop.commit()
    first = shop.git("rev-parse", "HEAD").strip()
    prove(shop, "alpha", finished=DAY + timedelta(hours=1))
    shop.commit()
    shop.write("README.md", "words\n")
    shop.commit()
    assert ("alpha", "the push changed it") not in chosen(shop)
    assert chosen(shop, base=first)[0] == ("alpha", "the push changed it")
    with pytest.raises(UsageError, match="The commit 'nonsense' is not in this checkout"):
        chosen(shop, base="nonsense")


def test_ci_counts_the_layers_that_its_cache_lacks(shop: Workshop) -> None:
    """Each host has a layer of its own; a host that no base is for has none."""
    groups = {"worker1": ["workers"], "worker2": ["workers"], "server1": ["servers"]}
    shop.path("gamma", builds_on=["alpha"], hosts={name: {"groups": named} for name, named in groups.items()})
    recorded, applied = prove(shop, "alpha").run, prove(shop, "gamma").run
    took = {job.loaded.id: job.seconds for job in ci_jobs(shop.catalogue, None, TODAY)[0]}
    assert took["alpha"] == recorded.seconds
    stage = next(stage for stage in applied.routes["playbook"].stages if stage.name == "apply")
    assert stage.seconds
    assert took["gamma"] == pytest.approx(applied.seconds + 2 * (LAYER_BOOTS_SECONDS + stage.seconds))
    asked, _ = named_jobs(shop.catalogue, ["gamma"], None, "full", TODAY)
    assert [job.seconds for job in asked] == [applied.seconds]


def test_only_this_machines_own_proof_of_the_same_inputs_is_recalled(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LADING_CACHE", str(tmp_path / "cache"))
    full, quick = prove(shop, "alpha"), prove(shop, "beta", outcomes={"apply": "passed", "green": "passed"})
    with opened_workspace(quiet()) as workspace:
        digest = full.subject[0].digest.sha256
        assert recall(workspace, "alpha", "debian13", digest, "full") is None
        remember(workspace, "alpha", "debian13", full)
        assert recall(workspace, "alpha", "debian13", digest, "full") == full
        assert recall(workspace, "alpha", "debian13", digest, "quick") == full
        assert recall(workspace, "alpha", "debian13", "0" * 64, "full") is None
        other = quick.subject[0].digest.sha256
        remember(workspace, "beta", "debian13", quick)
        assert recall(workspace, "beta", "debian13", other, "quick") == quick
        assert recall(workspace, "beta", "debian13", other, "full") is None


NEEDS = {"not_verified": "No package here.", "needs": ["https://packages.site.example/key"]}


@pytest.mark.parametrize("answers", [True, False])
def test_what_a_path_needs_is_tried_and_decides_whether_it_is_proven(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    asked: list[str] = []

    def unreachable(url: str) -> str | None:
        asked.append(url)
        return None if answers else f"{url} cannot be reached (timed out)"

    monkeypatch.setattr("lading.lab.upstream._unreachable", unreachable)
    shop.path("alpha", platforms={"debian13": NEEDS})
    jobs, skipped = named_jobs(shop.catalogue, ["alpha"], None, "full", TODAY)
    assert asked == NEEDS["needs"]
    assert [job.name for job in jobs] == (["alpha on debian13"] if answers else [])
    if not answers:
        reason = "No package here. Tried now: https://packages.site.example/key cannot be reached (timed out)."
        assert [one.reason for one in skipped] == [reason]
        with pytest.raises(LabError, match="Tried now"):
            named_jobs(shop.catalogue, ["alpha"], "debian13", "full", TODAY)


def test_what_a_base_needs_the_path_above_needs_too(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lading.lab.upstream._unreachable", lambda url: f"{url} answered 404")
    shop.path("alpha", platforms={"debian13": NEEDS})
    shop.path("beta", builds_on=["alpha"], platforms={"debian13": {}})
    jobs, skipped = named_jobs(shop.catalogue, ["beta"], None, "full", TODAY)
    assert (jobs, len(skipped)) == ([], 1)
    assert "answered 404" in skipped[0].reason
