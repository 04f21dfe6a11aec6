"""Pages are read as they are meant, or refused with all that is wrong."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.page.model import FileBlock, NotRun, Page, Transcript
from lading.page.read import page_of, read_page
from lading.recipe.load import load_recipe
from lading.recipe.problems import InputError
from tests.page.pages import TOP, Built, built_pages, problems, read, transcript
from tests.workshop import REPOSITORY, Workshop

IN = f"{TOP}## Install\n\n"
"""Six lines: a fence that follows begins in line 7."""
PATH_PAGES = sorted((REPOSITORY / "docs" / "paths").rglob("*.md"))


@settings(deadline=None)
@given(built_pages())
def test_a_page_is_read_as_it_was_written(built: Built) -> None:
    assert read(built.text) == built.page


@settings(deadline=None)
@given(built_pages())
def test_every_command_stands_in_the_line_that_its_place_names(built: Built) -> None:
    lines = ["", *built.text.split("\n")]
    for block in read(built.text).run_blocks:
        assert lines[block.place.line].startswith(("```", "~~~"))
        assert lines[block.last] == lines[block.place.line].partition("{")[0].strip()
        for command in block.commands if isinstance(block, Transcript) else ():
            assert lines[command.place.line][2:] == command.text.partition("\n")[0]
            assert len(lines[command.place.line : command.output_line]) == command.text.count("\n") + 1


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from([
    "", "text", "## Install", "## Sources", "```", "~~~", "````", "```{ .console }", "```{ .file path=/etc/x }",
    "```{ .bash not-run='x' }", "    ```", "!!! note", "    # ls", "# ls", "$ ls", "> x", "- a", "> ```",
    "/// proof | demo",
    "---", "<pre>", "<!--", "[^1]: a", "\t", "\r", "\x1b[1m", '=== "a"',
])))  # fmt: skip
def test_whatever_a_page_holds_it_is_read_or_refused_with_lines_that_exist(lines: list[str]) -> None:
    text = "\n".join([TOP, *lines])
    for problem in problems(text):
        line, _, sentence = problem.partition(": ")
        assert 0 < int(line) <= text.count("\n") + 1
        assert sentence.endswith((".", "?"))


def test_ids_count_within_a_section_over_all_platforms() -> None:
    fence = "```{ .console platform=PLATFORM }\n# true\n```\n\n"
    blocks = "".join(fence.replace("PLATFORM", name) for name in ("debian12", "debian13"))
    page = read(f"{IN}{blocks}## Undo\n\n{blocks}### Really\n\n```{{ .sh not-run=x }}\n```\n## Undo\n\n{blocks}")
    assert [block.id for block in page.blocks] == [
        "install-1", "install-2", "undo-1", "undo-2", "block-1", "undo-3", "undo-4",
    ]  # fmt: skip
    assert page.coverage == 600 // 7


def test_all_that_a_transcript_can_say() -> None:
    block = transcript(
        "$ apptainer version",
        "1.4...",
        options="host=worker1 user=pilot01 platform=debian13 exit=3 timeout=2m until=1h30m",
    )
    assert (block.host, block.platform, block.exit, block.timeout, block.until) == ("worker1", "debian13", 3, 120, 5400)
    assert (block.commands[0].user, block.commands[0].expected) == ("pilot01", ("1.4...",))
    assert transcript("# systemctl reboot", options="reboot").reboot
    assert transcript("# cat x", "[0-9]+", options="expect=regex").expect == "regex"


def test_the_root_of_a_transcript_is_root_and_its_user_is_alice_if_nobody_is_named() -> None:
    assert [command.user for command in transcript("# id", "$ id").commands] == ["root", "alice"]


def test_a_command_goes_on_behind_continuations_and_heredocs_keep_their_empty_lines() -> None:
    block = transcript("# cat > /etc/x <<'END' \\", "> && true", "> # a comment", ">", "> END", "", "done")
    (command,) = block.commands
    assert command.text == "cat > /etc/x <<'END' \\\n&& true\n# a comment\n\nEND"
    assert command.expected == ("", "done")


def test_output_that_looks_like_a_prompt_has_a_backslash_that_nobody_sees() -> None:
    block = transcript("# cat x", r"\# one", r"\\$ two", r"\>", r"\n is kept")
    assert block.commands[0].expected == ("# one", r"\$ two", ">", r"\n is kept")
    assert block.text == "# cat x\n# one\n\\$ two\n>\n\\n is kept"


def test_front_matter_is_no_part_of_the_page() -> None:
    page = read(f"---\nhide:\n\n    - toc\n---\n{IN}```{{ .console }}\n# true\n```\n")
    assert [(block.id, block.place.line) for block in page.blocks] == [("install-1", 12)]


def test_a_marker_shown_in_a_block_is_none() -> None:
    text = "```text\n/// proof | demo\n```\n\n```bash\nls\n```\n\n    indented\n\n```{ .bash not-run='why' }\nls\n```\n"
    page = read_page(text, "docs/x.md", root=Path())
    assert page.path is None
    assert [block.id for block in page.blocks] == ["block-1"]


def test_a_file_is_its_body_or_a_rendered_file(tmp_path: Path) -> None:
    made = tmp_path / "recipes/demo/rendered/etc/x.conf"
    made.parent.mkdir(parents=True)
    made.write_text("a = 1\n\n")
    included = "recipes/demo/rendered/etc/x.conf"
    text = (
        f"{IN}```{{ .file path=/etc/y mode=640 }}\nb\n```\n"
        f"## Undo\n~~~{{ .file path=/etc/y host=worker1 include={included} }}\n~~~\n"
    )
    one, two = read(text, root=tmp_path).blocks
    assert isinstance(one, FileBlock)
    assert isinstance(two, FileBlock)
    assert (one.id, one.path, one.content, one.mode, one.include) == ("install-1", "/etc/y", "b\n", "0640", None)
    assert (two.id, two.content, two.mode, two.include) == ("undo-1", "a = 1\n\n", "0644", included)
    assert two.text == "a = 1\n"


@pytest.mark.parametrize(
    "opening",
    ["!!! note", '!!! note "By hand"', "??? tip", "???+ tip", '=== "Debian 13"', "[^1]: A note.", "Term\n:   Meaning."],
)
@pytest.mark.parametrize("between", ["\n", ""])
def test_what_is_not_run_may_stand_wherever_the_site_shows_it(opening: str, between: str) -> None:
    text = f"{IN}{opening}\n{between}    ```{{ .bash not-run='why' }}\n    ls\n\n      -l\n    ```\n\nAfter.\n"
    (block,) = read(text).blocks
    assert isinstance(block, NotRun)
    assert block.text == "ls\n\n  -l"
    assert block.place.line == text[: text.index("    ```{")].count("\n") + 1


@pytest.mark.parametrize(
    "info, sentence",
    [
        ("{ .console hots=worker1 }", "'hots' is not known here; did you mean 'host'?"),
        ("{ .console host=worker2 }", "no host 'worker2'; did you mean 'worker1'?"),
        ("{ .console host }", "'host' is empty"),
        ("{ .console platform=debian31 }", "no platform 'debian31'; did you mean 'debian13'?"),
        ("{ .console user=alcie }", "no user 'alcie'; did you mean 'alice'?"),
        ("{ .console user=root }", "root's commands begin with '# '"),
        ("{ .console user=bob timeout=1m }", "none of its commands begins with '$ '"),
        ("{ .console exit=abc }", "'exit=abc' is not an exit code; write a number from 0 to 255."),
        ("{ .console exit=256 }", "'exit=256' is not an exit code"),
        ("{ .console exit=" + "9" * 5000 + " }", "is not an exit code"),
        ("{ .console expect=contain }", "'expect=contain' is not known; did you mean 'contains'?"),
        ("{ .console timeout=5 }", "'timeout=5' is no length of time; write it like '90s'"),
        ("{ .console until=0s }", "'until=0s' is no length of time"),
        ("{ .console reboot=yes }", "write 'reboot' alone"),
        ("{ .console reboot exit=1 }", "'reboot' ends every shell of the host, so 'exit=1' can't be seen"),
        ("{ .console .wide }", "has the class '.console' alone"),
        ("{ .console #here }", "'id' is not known here"),
        ("{ .console host=worker1 host=worker1 }", "'host' is here twice"),
        ("{ .console user='bob }", "user='bob is not closed; end it with '."),
        ("{ .console exit==1 }", "cannot be read"),
        ("{ .console", "not closed; end the line with '}'"),
        ("{ .file }", "add 'path=/…'"),
        ("{ .file path=etc/x }", "'etc/x' is not absolute"),
        ("{ .file path=/etc/../x }", "not in its shortest form"),
        ("{ .file path=/etc/ }", "not in its shortest form"),
        ("{ .file path=//etc }", "not in its shortest form"),
        ("{ .file path=/x mode=rw }", "'mode=rw' is no file mode"),
        ("{ .file path=/x exit=1 }", "'exit' is not known here"),
        ("{ .file path=/x include=recipes/demo/rendered/x }", "has content besides"),
        ("{ .bash not-run='' }", "gives no reason"),
        ("{ .bash not-run=' ' }", "gives no reason"),
        ("{ .bash not-run }", "gives no reason"),
        ("{ .bash not-run=why host=worker1 }", "'host' means nothing on a block that is not run"),
        ("bash", "neither runs nor says why not"),
        ("", "neither runs nor says why not"),
        ("{ .bash host=worker1 }", "neither runs nor says why not"),
        ("console", "neither runs nor says why not"),
    ],
)
def test_a_fence_that_says_nonsense_is_refused_at_its_line(info: str, sentence: str) -> None:
    (problem,) = problems(f"{IN}```{info}\n# true\n```\n")
    assert problem.startswith("7: ")
    assert sentence in problem


@pytest.mark.parametrize(
    "body, line, sentence",
    [
        ("hello\nworld\n# true", 8, "output before the first prompt"),
        ("> x", 8, "'> ' continues no command"),
        ("# ls\nx\n> y", 10, "'> ' continues no command"),
        ("# ls\n#", 9, r"'#' is a prompt without a command; write one, or '\#' if this is output."),
        ("$  ", 8, "'$' is a prompt without a command"),
        ("# ls \\", 8, "ends in a backslash"),
        ("# ls \\\n> \\\\\\", 9, "ends in a backslash"),
        ("", 7, "has no command"),
        ("# printf 'a\tb'", 8, "has a tab"),
        ("# ls \u202e", 8, "the character U+202E, which nobody can see"),
        ("# ls\n\x1b[31mred", 9, "the character U+001B"),
        ("# a\u00a0b", 8, "the character U+00A0"),
    ],
)
def test_a_transcript_that_cannot_be_typed_is_refused_at_its_line(body: str, line: int, sentence: str) -> None:
    found = problems(f"{IN}```{{ .console }}\n{body}\n```\n")
    assert any(problem.startswith(f"{line}: ") and sentence in problem for problem in found), found


@pytest.mark.parametrize("option", ["exit=1", "expect=contains", "until=1m", "reboot"])
def test_what_is_special_about_a_command_is_said_of_one(option: str) -> None:
    (problem,) = problems(f"{IN}```{{ .console {option} }}\n# true\nx\n# false\nx\n```\n")
    assert problem == f"7: A block with '{option.partition('=1m')[0]}' holds one command, and this has 2; split it."


@pytest.mark.parametrize(
    "option, body, line, sentence",
    [
        ("regex", "[", 9, "no regular expression"),
        ("json-subset", "{", 9, "This is not JSON"),
        ("contains", "", 8, "'expect=contains' expects nothing"),
    ],
)
def test_an_expectation_that_nothing_can_meet_is_refused(option: str, body: str, line: int, sentence: str) -> None:
    (problem,) = problems(f"{IN}```{{ .console expect={option} }}\n# true\n{body}\n```\n")
    assert problem.startswith(f"{line}: ")
    assert sentence in problem


@pytest.mark.parametrize(
    "around, line, sentence",
    [
        ("# Title\n\n{}", 3, "No block runs before the first section"),
        ("## Sources\n\n{}", 3, "No block runs under 'Sources'; move it to one of 'Install', 'Configure'"),
        ("## Install\n\n# Next\n\n{}", 5, "No block runs before the first section"),
        ("## Install\n\n- {}", 3, "begins at column 0"),
        ("## Install\n\n> {}", 3, "begins at column 0"),
        ("## Install\n\n1. a\n\n    {}", 5, "begins at column 0"),
        ("## Install\n\n!!! note\n\n    {}", 5, "begins at column 0"),
        ("## Install\n\n  {}", 3, "begins at column 0"),
    ],
)  # fmt: skip
def test_a_block_runs_where_a_reader_would_type_it(around: str, line: int, sentence: str) -> None:
    before, _, last = around.format("FENCE").rpartition("\n")
    prefix = last.removesuffix("FENCE")
    rest = prefix if prefix == "> " else " " * len(prefix)
    fence = f"{prefix}```{{ .console }}\n{rest}# true\n{rest}```\n"
    (problem, *_) = [problem for problem in problems(f"{TOP}{before}\n{fence}") if "not see a fence" not in problem]
    assert problem.startswith(f"{line + 4}: ")
    assert sentence in problem


@pytest.mark.parametrize(
    "text, line, sentence",
    [
        ("```{ .console }\n# true\n", 7, "never closed"),
        ("```{ .console }\n# true\n~~~\n", 7, "never closed"),
        ("````{ .console }\n# true\n```\n", 7, "never closed"),
        ("```{ .console }\n# true\n````\n", 7, "never closed"),
        ("- a\n\n    ```{ .sh not-run=x }\n    true\n\nNext.", 9, "never closed"),
        ("Text.\n\n    ls\n", 9, "Indented code"),
        ("!!! note\n\n        ls\n", 9, "Indented code"),
        ("<pre>\nls\n</pre>\n", 7, "Code in HTML"),
        ("Text\n    ```bash\n    ls\n    ```\n", 8, "may not see a fence"),
        ("<div>\n```bash\nls\n```\n</div>\n", 8, "may not see a fence"),
        ("- ```{ .bash not-run=x }\n  ls\n  ```\n", 7, "may not see a fence"),
        ("/// proof | other\n", 7, "second marker for evidence, for 'other'"),
        ("Text.\r\n", 7, "carriage return"),
    ],
)
def test_nothing_on_a_path_page_escapes_the_count(text: str, line: int, sentence: str) -> None:
    found = problems(IN + text)
    assert any(problem.startswith(f"{line}: ") and sentence in problem for problem in found), found


def test_a_fence_deeper_than_the_parser_goes_is_no_secret() -> None:
    found = problems(f"{IN}{'> ' * 30}```bash\n{'> ' * 30}```\n")
    assert any("may not see a fence" in problem for problem in found)


@pytest.mark.parametrize(
    "marker, sentence",
    [
        ("/// proof\n\n", "names '', which cannot be"),
        ("/// proof | ../x\n\n", "names '../x'"),
        ("a\n/// proof | demo\n\n", "empty lines"),
    ],
)
def test_a_marker_that_the_site_cannot_use_is_refused(marker: str, sentence: str) -> None:
    (problem,) = problems(f"# A\n\n{marker}")
    assert sentence in problem


def test_a_path_with_several_hosts_names_the_host_of_each_block() -> None:
    (problem,) = problems(f"{IN}```{{ .console }}\n# true\n```\n", hosts=["head1", "worker1"])
    assert problem.endswith("add 'host=' with one of 'head1', 'worker1'.")


def test_without_a_recipe_every_name_goes_through() -> None:
    page = read_page(f"{IN}```{{ .console host=x platform=y }}\n# true\n```\n", "x.md", root=Path())
    assert [(block.host, block.platform) for block in page.run_blocks] == [("x", "y")]


@pytest.mark.parametrize(
    "include, sentence",
    [
        ("recipes/demo/rendered/none.conf", "name it under 'rendered' in recipe.yml and run 'lading page render'."),
        ("recipes/demo/recipe.yml", "is neither in 'recipes/demo/rendered/' nor in 'playbooks/roles/ROLE/files/'"),
        ("recipes/demo/rendered/../recipe.yml", "is neither in 'recipes/demo/rendered/'"),
        ("recipes/demo/rendered", "is neither in"),
        ("recipes/other/rendered/x", "is neither in"),
        ("/etc/passwd", "is neither in"),
        ("recipes/demo/rendered/link", "leads out of"),
        ("recipes/demo/rendered/latin1", "latin1:1: This is not UTF-8"),
        ("recipes/demo/rendered/tabs", "has tabs"),
    ],
)  # fmt: skip
def test_only_rendered_files_are_included(tmp_path: Path, include: str, sentence: str) -> None:
    folder = tmp_path / "recipes/demo/rendered"
    folder.mkdir(parents=True)
    (tmp_path / "recipes/demo/recipe.yml").write_text("x")
    (folder / "link").symlink_to("../recipe.yml")
    (folder / "latin1").write_bytes(b"\xe4\n")
    (folder / "tabs").write_text("a\tb\n")
    (problem,) = problems(f"{IN}```{{ .file path=/etc/x include={include} }}\n```\n", root=tmp_path)
    assert problem.startswith("7: ")
    assert sentence in problem


@pytest.mark.parametrize(
    "include, sentence",
    [
        ("playbooks/roles/demo/files/none.py", "none.py' does not exist; correct its name."),
        ("playbooks/roles/demo/files", "is neither in 'recipes/demo/rendered/' nor in 'playbooks/roles/ROLE/files/'"),
        ("playbooks/roles/demo/files/../tasks/main.yml", "is neither in"),
        ("playbooks/roles/../files/x", "is neither in"),
        ("playbooks/roles/demo/tasks/main.yml", "is neither in"),
        ("playbooks/roles/demo/templates/demo.j2", "is neither in"),
        ("playbooks/roles/files/x", "is neither in"),
        ("/playbooks/roles/demo/files/tool/main.py", "is neither in"),
        ("playbooks/roles/demo/files/tool", "tool' does not exist"),
        ("playbooks/roles/demo/files/link", "leads out of 'playbooks/roles/demo/files/'"),
        ("playbooks/roles/demo/files/latin1", "latin1:1: This is not UTF-8"),
        ("playbooks/roles/demo/files/tabs", "has tabs or letters that nobody can see; take them out of it."),
    ],
)  # fmt: skip
def test_of_a_role_only_its_own_files_are_included(tmp_path: Path, include: str, sentence: str) -> None:
    folder = tmp_path / "playbooks/roles/demo/files"
    for beside in (folder / "tool", tmp_path / "playbooks/roles/demo/tasks", tmp_path / "playbooks/roles/files"):
        beside.mkdir(parents=True)
        (beside / "main.yml").write_text("x")
    (folder / "link").symlink_to("../tasks/main.yml")
    (folder / "latin1").write_bytes(b"\xe4\n")
    (folder / "tabs").write_text("a\tb\n")
    (problem,) = problems(f"{IN}```{{ .file path=/etc/x include={include} }}\n```\n", root=tmp_path)
    assert problem.startswith("7: ")
    assert sentence in problem


def test_every_problem_is_told_at_once_in_the_order_of_the_page() -> None:
    bad = "```{ .console hots=a exit=b }\nx\n# true\n```\n"
    found = problems(f"{IN}{bad}\n```bash\n```\n\n    code\n\n```{{ .file path=x }}\n```\n")
    assert [problem.partition(":")[0] for problem in found] == ["7", "7", "8", "12", "15", "17", "17"]


def test_a_page_without_its_marker_is_no_page_of_a_path(workshop: Workshop) -> None:
    workshop.write("docs/paths/compute/demo.md", "# A\n")
    with pytest.raises(InputError, match=r"has no marker for its evidence; write '/// proof \| demo'"):
        page_of(workshop.catalogue, load_recipe(workshop.catalogue, "demo"))
    workshop.write("docs/paths/compute/demo.md", "# A\n\n/// proof | other\n")
    with pytest.raises(InputError, match="is about 'other'"):
        page_of(workshop.catalogue, load_recipe(workshop.catalogue, "demo"))


def test_an_included_file_is_one_that_the_recipe_renders(workshop: Workshop) -> None:
    workshop.path(rendered={"etc/x.conf": {"template": "roles/demo/templates/demo.conf.j2"}})
    workshop.write("recipes/demo/rendered/etc/y.conf", "a\n")
    block = "```{ .file path=/etc/x include=recipes/demo/rendered/etc/y.conf }\n```\n"
    workshop.write("docs/paths/compute/demo.md", f"{IN}{block}")
    with pytest.raises(InputError, match=r"Nothing renders .*did you mean 'recipes/demo/rendered/etc/x\.conf'"):
        page_of(workshop.catalogue, load_recipe(workshop.catalogue, "demo"))


def including(workshop: Workshop, role: str) -> Page:
    """Return the page of `demo`, which includes a file of a role; another role is there, and its playbook uses it not.

    `demo` depends on `deep`.
    """
    workshop.path()
    workshop.write("playbooks/roles/demo/meta/main.yml", "dependencies: [deep]\n")
    for each in ("demo", "deep", "idle"):
        workshop.write(f"playbooks/roles/{each}/files/tool/main.py", "import os\n\nprint(1)\n\n")
    block = f"```{{ .file path=/opt/x mode=0755 include=playbooks/roles/{role}/files/tool/main.py }}\n```\n"
    workshop.write("docs/paths/compute/demo.md", f"{IN}{block}")
    return page_of(workshop.catalogue, load_recipe(workshop.catalogue, "demo"))


@pytest.mark.parametrize("role", ["demo", "deep"])
def test_a_file_of_a_role_that_the_playbook_uses_is_included_as_it_is(workshop: Workshop, role: str) -> None:
    (block,) = including(workshop, role).run_blocks
    assert isinstance(block, FileBlock)
    assert (block.content, block.mode) == ("import os\n\nprint(1)\n\n", "0755")


def test_a_file_of_a_role_that_the_playbook_does_not_use_is_refused(workshop: Workshop) -> None:
    with pytest.raises(InputError, match=r"demo\.md:7: The playbook of 'demo' does not use the role 'idle'"):
        including(workshop, "idle")


@pytest.mark.parametrize("page", PATH_PAGES, ids=lambda page: page.stem)
def test_the_pages_of_this_repository_know_their_hosts(page: Path) -> None:
    text = page.read_text()
    found = read_page(text, page.name, root=REPOSITORY)
    assert found.path == page.stem
    assert len(found.blocks) == sum(line.strip().startswith(("```{", "~~~{")) for line in text.split("\n"))
