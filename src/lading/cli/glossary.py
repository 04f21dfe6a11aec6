"""`lading glossary`: the vocabulary, enforced, explained and handed on."""

import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from lading.cli.main import Settings
from lading.cli.render import clean, console, examples, print_json, print_table
from lading.errors import ExitCode, UsageError
from lading.glossary.coverage import Coverage, cover
from lading.glossary.export import BASE, as_json, as_jsonld, as_turtle
from lading.glossary.files import files_of, read
from lading.glossary.fix import mended
from lading.glossary.ledger import FILE as LEDGER
from lading.glossary.ledger import publish as publish_ids
from lading.glossary.lint import Finding, check
from lading.glossary.load import load_glossary, read_glossary
from lading.glossary.loaded import LoadedGlossary
from lading.glossary.words import Entry, SenseRef
from lading.project import Catalogue
from lading.recipe.names import did_you_mean

READABLE: Final = 110
"""Columns that a sentence fills at most, however wide the terminal is."""


@click.group(
    epilog=examples(
        "lading glossary check                     every text of the repository",
        "lading glossary explain image             what a word means, where",
        "lading glossary export --format skos-ttl  for other programs",
    )
)
def glossary() -> None:
    """Hold texts to the vocabulary of glossary.yml, and explain it."""


@glossary.command(
    "check",
    epilog=examples(
        "lading glossary check", "lading glossary check docs/index.md", "lading glossary check --json | jq '.[].code'"
    ),
)
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--fix", is_flag=True, help="Swap the words that can be swapped without reading the sentence.")
@click.option("--json", "as_data", is_flag=True, help="Print a list of objects instead of text.")
@click.pass_obj
def check_files(settings: Settings, files: tuple[Path, ...], fix: bool, as_data: bool) -> ExitCode:
    """Check the words of FILEs: of all pages, recipes, playbooks and of the glossary itself, if none is named.

    What a word means depends on the contexts that its page declares. Exit code 1: words were found.
    """
    catalogue = settings.catalogue
    loaded = load_glossary(catalogue)
    chosen = [file.absolute() for file in files] or files_of(catalogue)
    findings = _checked(loaded, catalogue, chosen)
    if fix and _fix(catalogue, findings):
        findings = _checked(load_glossary(catalogue), catalogue, chosen)
    if as_data:
        print_json([_finding_data(finding) for finding in findings])
    else:
        for finding in findings:
            click.echo(clean(_wrapped(str(finding).splitlines())))
        click.echo(_told(findings, len(chosen)), err=bool(findings))
    return ExitCode.FAILED if findings else ExitCode.OK


def _checked(loaded: LoadedGlossary, catalogue: Catalogue, files: Sequence[Path]) -> list[Finding]:
    return [finding for file in files for finding in check(loaded, read(catalogue, file))]


def _told(findings: Sequence[Finding], files: int) -> str:
    where = "1 file" if files == 1 else f"{files} files"
    if not findings:
        return f"The words of {where} are well."
    what = "1 word" if len(findings) == 1 else f"{len(findings)} words"
    return f"{what} to mend in {len({finding.file for finding in findings})} of {where}."


def _fix(catalogue: Catalogue, findings: Sequence[Finding]) -> int:
    """Swap what can be swapped; return how many words that were."""
    total = 0
    for name in dict.fromkeys(finding.file for finding in findings):
        file = catalogue.root / name
        before = file.read_bytes().decode()
        text, count = mended(before, [finding for finding in findings if finding.file == name])
        if count:
            file.write_bytes(text.encode())
            click.echo(clean(f"{name}: {count} {'word' if count == 1 else 'words'} swapped"), err=True)
        total += count
    return total


def _finding_data(finding: Finding) -> dict[str, Any]:
    return {
        "file": finding.file,
        "line": finding.line,
        "column": finding.column,
        "code": finding.code,
        "word": finding.word,
        "sentence": finding.sentence,
        "readings": [
            {"context": context, "term": term, "definition": definition}
            for context, term, definition in finding.readings
        ],
        "say": list(finding.say),
        "fixable": finding.swap is not None and finding.span is not None,
    }


@glossary.command(epilog=examples("lading glossary explain image", "lading glossary explain image --context docker"))
@click.argument("word", nargs=-1, required=True)
@click.option("--context", help="Tell only what the word means in this context.")
@click.option("--json", "as_data", is_flag=True, help="Print a list of objects instead of text.")
@click.pass_obj
def explain(settings: Settings, word: tuple[str, ...], context: str | None, as_data: bool) -> None:
    """Tell what WORD means, in which context, and what to say instead where it is not the right one."""
    loaded = read_glossary(settings.catalogue)
    if context is not None and context not in loaded.glossary.contexts:
        raise UsageError(f"There is no context '{context}'{did_you_mean(context, loaded.glossary.contexts)}")
    said = " ".join(word)
    entries = _entries(loaded, said)
    chosen = [entry for entry in entries if context in (None, entry.ref.context)]
    if not chosen:
        raise UsageError(_unknown(loaded, said, entries, context))
    if as_data:
        senses = {sense["id"]: sense for one in as_json(loaded)["concepts"] for sense in one["senses"]}
        print_json([{"word": said, "status": entry.status, **senses[entry.ref.id]} for entry in chosen])
    else:
        click.echo(clean("\n\n".join(_wrapped(_explained(loaded, said, entry)) for entry in chosen)))


def _entries(loaded: LoadedGlossary, word: str) -> list[Entry]:
    """Return the entries of a word, or of a concept that is called so."""
    by_word = loaded.find(word)
    if by_word:
        return list(by_word)
    return [Entry(ref, ref.sense.preferred, ref.sense.preferred, "preferred") for ref in loaded.named(word)]


def _unknown(loaded: LoadedGlossary, word: str, entries: Sequence[Entry], context: str | None) -> str:
    if entries:
        known = sorted({entry.ref.context for entry in entries})
        return f"'{word}' has no meaning of its own in the context '{context}'; it has in {', '.join(known)}."
    if word in loaded.glossary.acronyms:
        return f"'{word}' is {loaded.glossary.acronyms[word]}; the glossary has no more about it."
    return f"The glossary has no '{word}'{did_you_mean(word, loaded.words)}"


def _wrapped(lines: Sequence[str]) -> str:
    """Return lines as they fit a terminal; in a pipe they stay whole, since a program reads them."""
    if not sys.stdout.isatty():
        return "\n".join(lines)
    width = min(shutil.get_terminal_size().columns, READABLE)
    # An address is copied in one piece.
    wrap = textwrap.TextWrapper(width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    return "\n".join(map(wrap.fill, lines))


def _explained(loaded: LoadedGlossary, word: str, entry: Entry) -> list[str]:
    ref, sense = entry.ref, entry.ref.sense
    lines = [f"{word}, in the context '{ref.context}' ({loaded.glossary.contexts[ref.context].label}): {entry.status}"]
    if entry.ban:
        lines.append(f"  Say '{entry.ban.say}': {entry.ban.because.strip()}")
        lines += [f"  Right in: {', '.join(entry.ban.unless)}"] if entry.ban.unless else []
    lines += [f"  {sense.preferred}: {sense.definition.strip()}"]
    lines += [f"  {sense.note.strip()}"] if sense.note else []
    lines += [f"  Also: {', '.join(sense.admitted)}"] if sense.admitted else []
    for term, ban in {**sense.deprecated, **sense.forbidden}.items():
        lines += [f"  Not '{term}', but '{ban.say}': {ban.because.strip()}"] if ban is not entry.ban else []
    lines += [f"  Once called {former.name}: {former.until.strip()}" for former in sense.history]
    lines += [f"  See also: {', '.join(_related(ref))}"] if _related(ref) else []
    lines += [f"  Tried by {one.path}, {one.check}: {one.shows.strip()}" for one in sense.witnesses]
    for name in sense.sources:
        source = loaded.glossary.sources[name]
        lines.append(f"  Source: {source.title.strip()}, <{source.address}>, read {source.read.isoformat()}")
    return lines


def _related(ref: SenseRef) -> list[str]:
    return [*([ref.sense.broader] if ref.sense.broader else []), *ref.sense.related]


EXPORTS = {"skos-ttl": as_turtle, "jsonld": as_jsonld}


@glossary.command(
    epilog=examples("lading glossary export --format json", "lading glossary export --format skos-ttl > glossary.ttl")
)
@click.option(
    "--format", "form", type=click.Choice(["json", *EXPORTS]), default="json", show_default=True, help="What to print."
)
@click.option("--base", default=BASE, show_default=True, help="What the names of concepts begin with in SKOS.")
@click.pass_obj
def export(settings: Settings, form: str, base: str) -> None:
    """Print the glossary as JSON, or as SKOS in Turtle or JSON-LD."""
    loaded = load_glossary(settings.catalogue)
    if form == "json":
        print_json(as_json(loaded))
    else:
        click.echo(EXPORTS[form](loaded, base=base), nl=False)


@glossary.command(epilog=examples("lading glossary coverage", "lading glossary coverage --json | jq .unused"))
@click.option("--json", "as_data", is_flag=True, help="Print an object instead of text.")
@click.pass_obj
def coverage(settings: Settings, as_data: bool) -> None:
    """Tell which acronyms nobody explains, which concepts nobody uses, and which pages have ambiguous words."""
    loaded = load_glossary(settings.catalogue)
    covered = cover(loaded, settings.catalogue)
    if as_data:
        print_json(_coverage_data(covered))
        return
    print_table(console(), ("What", "Count", "Which"), _coverage_rows(loaded, covered))


def _coverage_rows(loaded: LoadedGlossary, covered: Coverage) -> list[tuple[str, str, str]]:
    acronyms = [f"{word} ({places[0][0]}:{places[0][1]})" for word, places in covered.acronyms]
    senses = [f"{len(covered.used)} of {len(loaded.senses)}"]
    pages = [f"{file} ({count})" for file, count in covered.ambiguous]
    return [
        ("Senses in use", str(len(covered.used)), senses[0]),
        ("Acronyms nobody explains", str(len(acronyms)), ", ".join(acronyms)),
        ("Concepts nobody uses", str(len(covered.unused)), ", ".join(covered.unused)),
        ("Senses without a source", str(len(covered.unsourced)), ", ".join(covered.unsourced)),
        ("Texts with words that contexts tell apart", str(len(pages)), ", ".join(pages)),
    ]


def _coverage_data(covered: Coverage) -> dict[str, Any]:
    return {
        "acronyms": [
            {
                "acronym": word,
                "places": [{"file": file, "line": line, "column": column} for file, line, column in places],
            }
            for word, places in covered.acronyms
        ],
        "unused": list(covered.unused),
        "unsourced": list(covered.unsourced),
        "ambiguous": [{"file": file, "words": count} for file, count in covered.ambiguous],
        "used": covered.used,
    }


@glossary.command(epilog=examples("lading glossary publish"))
@click.pass_obj
def publish(settings: Settings) -> None:
    """Put the ids of new concepts into the list of those that are published, which never vanish."""
    added = publish_ids(settings.catalogue, read_glossary(settings.catalogue).glossary)
    for name in added:
        click.echo(name)
    click.echo(f"{len(added)} new in {LEDGER}.", err=True)
