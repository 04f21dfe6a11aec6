"""Recipes, playbooks and the glossary read as running text: which scalars are prose, and where each letter is."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.glossary.prose import Note, Prose
from lading.glossary.yamltext import read_ansible, read_glossary, read_recipe
from lading.recipe.problems import InputError
from tests.glossary.places import misplaced, words_of

WORDS = st.lists(
    st.sampled_from(["image", "a", "it's", "é…", "(b)", "c,", "#d", "e:f", "g-h", "“i”", "100%", "j;"]), min_size=1
)


def titled(text: str) -> Prose:
    return read_recipe(text, "recipe.yml")


def places(prose: Prose) -> list[tuple[str, str]]:
    return list(zip([part.section for part in prose.parts], words_of(prose), strict=True))


@settings(deadline=None, max_examples=300)
@given(WORDS, st.sampled_from([None, "'", '"', ">", "|"]), st.sampled_from([20, 1000]), st.sampled_from(["\n", "\r\n"]))
def test_letters_are_where_they_say_in_every_style(
    words: list[str], style: str | None, width: int, ending: str
) -> None:
    data = {"title": " ".join(words), "summary": "b"}
    text = yaml.safe_dump(data, default_style=style, width=width, allow_unicode=True, sort_keys=False)
    text = f"kind: 𝄞\n{text}".replace("\n", ending)
    prose = titled(text)
    assert " ".join(part.text for part in prose.parts).replace("\ufffc" * 3, "“i”") == f"{data['title']} b"
    assert misplaced(prose, text) == []


@pytest.mark.parametrize(
    "scalar, words",
    [
        ("plain\n  on two lines # no comment of ours", ["plain on two lines"]),
        (">-\n  Folded\n  lines.\n\n  Other.\n", ["Folded lines.", "Other."]),
        ("|2 # why\n   - *one*\n   - two\n", ["- one - two"]),
        ('"a \\"b \\x63\\u0064 \\\n   e\\tf\\n\\ng h\\\\"', ['a \"b cd e f g h\\']),
        ("'it''s `code` **bold**'", ["it's ~ bold"]),
        ("&anchor !unsafe 'a b'", ["a b"]),
        ("''", []),
        (">-\n\nsummary: x", ["x"]),
    ],
)  # fmt: skip
def test_a_scalar_is_read_in_its_own_style(scalar: str, words: list[str]) -> None:
    assert words_of(titled(f"title: {scalar}")) == words


def test_a_word_with_an_escape_in_it_has_no_span() -> None:
    (part,) = titled('title: "an im\\x61ge, an image"').parts
    assert part.text == "an image, an image"
    assert [part.span(3, end) for end in (6, 8)] == [None, None]
    assert part.span(13, 18) == (24, 29)
    assert part.place(13) == (1, 25)


def test_the_texts_of_a_recipe_are_those_for_readers() -> None:
    text = """\
title: A
summary: B
kind: no
advice_because: >-
  C
  D
platforms: {debian13: {}, debian12: {not_verified: E}}
variables:
  image_source: {default: no, lab: no, help: F}
images: {tiny: {setup: [no]}}
true_before: [{check: no, because: G}]
starts:
  dirty: {help: H, setup: no, refused: no}
differences: [{stage: undo, item: no, because: I}]
sources: [{url: no, for: J}]
"""
    prose = titled(text)
    assert "".join(words_of(prose)) == "ABC DEFGHIJ"
    assert {"variables.image_source.help", "true_before[0].because", "sources[0].for"} <= dict(places(prose)).keys()


def test_names_and_messages_of_plays_are_read() -> None:
    text = """\
- name: Play
  hosts: no
  vars: {msg: no, name: no}
  pre_tasks:
    - name: Task {{ no }} of V(no)
      ansible.builtin.apt: {name: no}
  tasks:
    - block:
        - name: Inner
          ansible.builtin.assert:
            that: no
            fail_msg: Fails
            success_msg: >-
              Works
              well
      rescue:
        - name: Rescue
          ansible.builtin.debug: {msg: [One, Two]}
      always:
        - ansible.builtin.fail: {msg: Always}
  handlers:
    - name: Handler
  roles:
    - {role: no, name: no}
"""
    prose = read_ansible(text, "playbooks/a.yml")
    assert words_of(prose) == [
        "Play", "Task ~ of ~", "Inner", "Fails", "Works well", "Rescue", "One", "Two", "Always", "Handler",
    ]  # fmt: skip
    assert places(prose)[3][0] == "[0].tasks[0].block[0].ansible.builtin.assert.fail_msg"


def test_descriptions_of_a_role_are_read_and_its_options_names_are_not() -> None:
    text = """\
galaxy_info: {author: no, description: Role}
argument_specs:
  main:
    short_description: Short
    description: [One, Two V(no)]
    author: no
    options:
      description:
        description: Option
        default: no
        options: {inner: {description: [Inner]}}
"""
    assert words_of(read_ansible(text, "meta.yml")) == ["Role", "Short", "One", "Two ~", "Option", "Inner"]


def test_a_text_that_an_alias_repeats_is_read_once() -> None:
    text = "- name: &name Once\n- name: *name\n- &task {name: Task}\n- *task\n"
    assert words_of(read_ansible(text, "a.yml")) == ["Once", "Task"]


def test_an_alias_that_leads_back_to_itself_is_read_once() -> None:
    assert words_of(read_ansible("&a [{name: Task, block: *a}] # glossary ok: x | y", "a.yml")) == ["Task"]
    meta = "argument_specs: {main: &main {description: Role, options: {option: *main}}}"
    assert words_of(read_ansible(meta, "a.yml")) == ["Role"]


def test_files_without_tasks_hold_no_prose() -> None:
    for text in ("", "a: {name: no, msg: no}", "- no\n- [no]", "no"):
        assert read_ansible(text, "a.yml").parts == ()


def test_each_sense_of_the_glossary_is_in_its_own_context() -> None:
    text = """\
contexts:
  docker: {label: no, help: Help}
sources: {oci: {title: no}}
acronyms: {OCI: no}
concepts:
  image:
    group: no
    senses:
      docker:
        definition: Defined
        preferred: no
        forbidden: {no: {say: no, because: Forbidden}}
        deprecated: {no: {say: no, because: Deprecated}}
        history: [{name: no, until: Until}]
        witnesses: [{path: no, shows: Shows}]
        note: Note
        good: [no]
        bad: [no]
      vm: {definition: Other}
"""
    prose = read_glossary(text, "glossary.yml")
    found = {part.text: set(part.contexts or ()) for part in prose.parts}
    own = ("Help", "Defined", "Forbidden", "Deprecated", "Until", "Shows", "Note")
    assert found == {**{word: {"docker"} for word in own}, "Other": {"vm"}}


@pytest.mark.parametrize(
    "text, lines",
    [
        ("title: Image # glossary ok: image | why", (1, 1)),
        ("# glossary ok: image | why\ntitle: Image\nsummary: No", (1, 2)),
        ("kind: x\n# glossary ok: image | why\n# another\n# comment\ntitle: >-\n  An\n  image\nsummary: No", (2, 7)),
        ("title: >- # glossary ok: image | why\n  An\n  image\nsummary: No", (1, 3)),
        ("# glossary ok: image | why\nkind: x\ntitle: No", (1, 1)),
        ("# glossary ok: image | why\n\ntitle: No", (1, 1)),
        ("title: An\n  image # glossary ok: image | why\nsummary: No", (1, 2)),
    ],
)
def test_an_exception_holds_for_the_text_on_its_line_or_the_next(text: str, lines: tuple[int, int]) -> None:
    (note,) = titled(text).notes
    assert (note.word, note.reason) == ("image", "why")
    assert (note.first, note.last) == lines
    assert text.split("\n")[note.line - 1][note.column - 1 :].startswith("# glossary ok")


def test_an_exception_without_a_reason_says_so() -> None:
    assert titled("title: Image # glossary ok: the  image").notes == (Note("the image", "", 1, 14, 1, 1),)


@pytest.mark.parametrize(
    "text", ['title: "a # glossary ok: b | c"', "title: |\n  a # glossary ok: b | c\n", "title: x# glossary ok; b"]
)
def test_what_looks_like_an_exception_in_a_text_is_text(text: str) -> None:
    assert titled(text).notes == ()


@pytest.mark.parametrize("read", [read_recipe, read_ansible, read_glossary])
@pytest.mark.parametrize("text", ["a: [", "\x01", "[" * 100])
def test_what_is_no_yaml_is_refused_with_its_file(read: object, text: str) -> None:
    assert callable(read)
    with pytest.raises(InputError, match=r"a\.yml"):
        read(text, "a.yml")
