"""Which proofs a command makes: what was named, or what CI has to prove again."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from lading import process
from lading.errors import LabError, UsageError
from lading.evidence.model import Grade
from lading.evidence.status import Status, status
from lading.evidence.store import evidence_file, read_evidence
from lading.lab.upstream import first_unreachable
from lading.project import Catalogue
from lading.recipe.bases import bases_in_order, own_groups, takes
from lading.recipe.load import LoadedRecipe, load_all, load_recipe
from lading.recipe.names import did_you_mean
from lading.recipe.platforms import Platform, load_platforms

# How long a proof is taken to last where none was recorded: the budgets of a path with one host and of one with
# several, doubled.
UNKNOWN_SECONDS = 480.0
UNKNOWN_SECONDS_OF_SEVERAL = 1200.0

LAYER_BOOTS_SECONDS = 90.0
"""What a layer costs beside its playbooks: two boots and a snapshot, as measured under emulation."""


@dataclass(frozen=True)
class Job:
    """One proof to make: `seconds` is what its last one took, `why` the reason in a few words."""

    loaded: LoadedRecipe
    platform: str
    grade: Grade
    why: str
    seconds: float

    @property
    def name(self) -> str:
        return f"{self.loaded.id} on {self.platform}"


@dataclass(frozen=True)
class Skipped:
    """A proof that can't be made here, and why."""

    name: str
    reason: str


def named_jobs(
    catalogue: Catalogue, paths: Sequence[str], platform: str | None, grade: Grade, today: date
) -> tuple[list[Job], list[Skipped]]:
    """Return the proofs for the paths named (all if none), and those that can't be made.

    Raises:
        UsageError: an unknown path or platform.
        LabError: the platform was asked for by name and can't be had.
    """
    known = load_platforms(catalogue)
    if platform is not None and platform not in known:
        raise UsageError(f"No platform is called '{platform}'{did_you_mean(platform, known)}")
    loaded = [load_recipe(catalogue, path) for path in paths] or list(load_all(catalogue).values())
    jobs: list[Job] = []
    skipped: list[Skipped] = []
    for one in loaded:
        for name in one.recipe.platforms:
            if platform not in (None, name):
                continue
            reason = _obstacle(catalogue, one, name, known[name])
            if reason is None:
                found = status(catalogue, one, name, today=today)
                unknown = UNKNOWN_SECONDS_OF_SEVERAL if one.recipe.several else UNKNOWN_SECONDS
                jobs.append(Job(one, name, grade, "asked for", found.seconds or unknown))
            elif platform == name:
                raise LabError(f"'{one.id}' can't be proven on '{name}': {reason}")
            else:
                skipped.append(Skipped(f"{one.id} on {name}", reason))
        if paths and platform is not None and platform not in one.recipe.platforms:
            raise UsageError(f"'{one.id}' is not meant for '{platform}'{did_you_mean(platform, one.recipe.platforms)}")
    return bases_first(catalogue, jobs), skipped


def needs_of(catalogue: Catalogue, loaded: LoadedRecipe, platform: str) -> list[str]:
    """Return the addresses that a proof needs beside Debian's mirror, those of what the path builds on too."""
    bases = (load_recipe(catalogue, base) for base in bases_in_order(catalogue, loaded.id))
    uses = (one.recipe.platforms.get(platform) for one in (*bases, loaded))
    return list(dict.fromkeys(url for use in uses if use for url in use.needs))


def _obstacle(catalogue: Catalogue, loaded: LoadedRecipe, name: str, platform: Platform) -> str | None:
    """Return why a path can't be proven on a platform from here, or nothing. What it needs is tried now."""
    use = loaded.recipe.platforms[name]
    if use.not_verified and not use.needs:
        return use.not_verified
    if not platform.image:
        return "The lab has no image of it."
    missing = first_unreachable(needs_of(catalogue, loaded, name))
    return f"{use.not_verified or 'It needs what is not to be had here.'} Tried now: {missing}." if missing else None


def bases_first(catalogue: Catalogue, jobs: Sequence[Job]) -> list[Job]:
    """Return the same proofs in the same order, but for those of bases: they come before what builds on them."""
    ordered: dict[str, Job] = {}
    waiting = {job.name: job for job in jobs}
    for job in jobs:
        bases = (f"{base} on {job.platform}" for base in bases_in_order(catalogue, job.loaded.id))
        ordered |= {name: waiting[name] for name in (*bases, job.name) if name in waiting and name not in ordered}
    return list(ordered.values())


def ci_jobs(catalogue: Catalogue, base: str | None, today: date) -> tuple[list[Job], list[Skipped]]:
    """Return what CI proves again, in order: what the push changed, one drawn by HEAD's hash, then the oldest.

    Among what the push changed, and among the oldest, bases come before what builds on them.

    Args:
        catalogue: a git checkout.
        base: the commit before the push; without one, HEAD's parent. With neither, everything counts as changed.
        today: the day on which evidence is judged.
    """
    jobs, skipped = named_jobs(catalogue, [], None, "full", today)
    changed_files = _changed_files(catalogue, base)
    found = {job.name: status(catalogue, job.loaded, job.platform, today=today) for job in jobs}
    changed = [job for job in jobs if _is_changed(catalogue, job, found[job.name], changed_files)]
    rest = sorted((job for job in jobs if job not in changed), key=lambda job: found[job.name].date or date.min)
    drawn = [_draw(catalogue, rest)] if rest else []
    ordered = [
        *((job, "the push changed it") for job in changed),
        *((job, "drawn by this commit's hash") for job in drawn),
        *((job, "the oldest first") for job in bases_first(catalogue, [job for job in rest if job not in drawn])),
    ]
    return [
        Job(job.loaded, job.platform, "full", why, job.seconds + _layers_seconds(catalogue, job))
        for job, why in ordered
    ], skipped


def _layers_seconds(catalogue: Catalogue, job: Job) -> float:
    """Return what the layers take that a path's hosts start from, by what their playbooks last took.

    CI has a cache of its own, and a proof's own time was recorded with its layers there.
    """
    bases = bases_in_order(catalogue, job.loaded.id)
    applied = {base: _apply_seconds(catalogue, base, job.platform) for base in bases}
    groups = {base: own_groups(catalogue, base) for base in bases}
    layers = (
        [applied[base] for base in bases if takes(host, groups[base])] for host in job.loaded.recipe.hosts.values()
    )
    return sum(LAYER_BOOTS_SECONDS + sum(layer) for layer in layers if layer)


def _apply_seconds(catalogue: Catalogue, path_id: str, platform: str) -> float:
    statement = read_evidence(catalogue, path_id, platform)
    run = statement and statement.run.routes.get("playbook")
    return next((stage.seconds or 0.0 for stage in run.stages if stage.name == "apply"), 0.0) if run else 0.0


def _is_changed(catalogue: Catalogue, job: Job, found: Status, changed_files: frozenset[str] | None) -> bool:
    if changed_files is None or found.evidence is None or found.verdict in ("stale", "failed"):
        return True
    evidence = evidence_file(catalogue, job.loaded.id, job.platform).relative_to(catalogue.root)
    inputs = {entry.name for entry in found.evidence.predicate.configuration}
    return bool(changed_files & {*inputs, str(evidence)})


def _changed_files(catalogue: Catalogue, base: str | None) -> frozenset[str] | None:
    ref = base or "HEAD~1"
    diff = _git(catalogue, "diff", "--name-only", f"{ref}..HEAD")
    if diff is None and base is not None:
        raise UsageError(f"The commit '{base}' is not in this checkout.", hint="Fetch it, or name another --base.")
    return None if diff is None else frozenset(diff.splitlines())


def _draw(catalogue: Catalogue, jobs: Sequence[Job]) -> Job:
    head = (_git(catalogue, "rev-parse", "HEAD") or "").strip()
    return min(jobs, key=lambda job: hashlib.sha256(f"{head}{job.name}".encode()).hexdigest())


def _git(catalogue: Catalogue, *words: str) -> str | None:
    done = process.run(["git", "-C", catalogue.root, *words], check=False)
    return done.stdout if done.rc == 0 else None
