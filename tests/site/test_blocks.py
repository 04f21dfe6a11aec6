"""Blocks of pages, as the site shows them."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lading.errors import ExitCode
from lading.page.model import Transcript
from lading.page.read import read_page
from lading.project import Catalogue
from lading.site.blocks import PageError
from lading.site.markers import MarkerError
from tests.site.shown import ShownBlocks

Render = Callable[[str], str]
HEAD = "# Kettle\n\n/// proof | kettle\n\n## Install\n\n"
EVERYTHING = r"""
```{ .console }
# apt-get install kettle
Reading...
\# that was a comment

# cat > /etc/kettle.d/10-cup.conf <<'EOF'
> cup = <mug> & "saucer"
>
>   # indented
> EOF
$ echo "$HOME" && \
>     whistle | sort
/home/alice
```

```{ .file path=/etc/kettle.yml mode=0600 }
cup: 1


spoon: "<b>2</b>"
```

``` { .console user=bob exit=1 expect=contains until=90s }
$ sip
hot
```
"""


@pytest.fixture
def install(catalogue: Catalogue, render: Render) -> Render:
    """Return what renders blocks below 'Install' on the path's page."""

    def show(blocks: str) -> str:
        (catalogue.docs / "paths/compute/kettle.md").write_text(HEAD + blocks)
        return render(HEAD + blocks)

    return show


def test_a_transcript_shows_prompts_commands_and_outputs_without_escapes(install: Render) -> None:
    first = ShownBlocks.of(install(EVERYTHING))[0]
    assert first.id == "install-1"
    assert first.text.splitlines()[:4] == ["# apt-get install kettle", "Reading...", "# that was a comment", ""]
    assert first.text.splitlines()[4:9] == [
        "# cat > /etc/kettle.d/10-cup.conf <<'EOF'",
        '> cup = <mug> & "saucer"',
        ">",
        ">   # indented",
        "> EOF",
    ]


def test_ids_and_texts_are_those_of_the_runner(install: Render) -> None:
    page = read_page(HEAD + EVERYTHING, "x", root=Path())
    shown = ShownBlocks.of(install(EVERYTHING))
    assert [(block.id, block.text) for block in shown] == [(block.id, block.text) for block in page.run_blocks]
    assert len(shown) == 3


def test_a_copy_button_gives_what_the_route_types_shell_by_shell(install: Render) -> None:
    page = read_page(HEAD + EVERYTHING, "x", root=Path(), hosts=["worker1"])
    block = page.run_blocks[0]
    assert isinstance(block, Transcript)
    root = [command.text for command in block.commands if command.user == "root"]
    alice = [command.text for command in block.commands if command.user == "alice"]
    assert ShownBlocks.of(install(EVERYTHING))[0].copies == ["\n".join(root), "\n".join(alice)]


def test_what_is_copied_runs_as_it_is(install: Render, tmp_path: Path) -> None:
    typed = install(
        "```{ .console }\n$ cat <<'EOF' |\n> a  b\n>\n> $c\n> EOF\n>     tr a x\n$ echo \\\n>   \"d\"\n```\n"
    )
    copied = ShownBlocks.of(typed)[0].copies[0]
    said = subprocess.run(["bash"], input=copied, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert said == "x  b\n\n$c\nd\n"


def test_each_shell_is_named_above_its_commands(install: Render) -> None:
    blocks = ShownBlocks.of(install(EVERYTHING))
    assert blocks[0].captions == ["As root", "As alice, an ordinary user"]
    assert blocks[2].captions == ["As bob, an ordinary user"]


def test_hosts_are_named_where_there_are_several(catalogue: Catalogue, install: Render) -> None:
    recipe = catalogue.recipes / "kettle" / "recipe.yml"
    hosts = "hosts: {worker1: {groups: [workers]}, cache1: {groups: [caches]}}"
    recipe.write_text(recipe.read_text().replace("hosts: {worker1: {groups: [workers]}}", hosts))
    html = install("```{ .console host=cache1 }\n# a\n```\n\n```{ .file path=/etc/a host=worker1 }\na\n```\n")
    assert [block.captions for block in ShownBlocks.of(html)] == [["As root, on cache1"], ["File /etc/a on worker1"]]


def test_a_file_shows_its_path_and_content(install: Render) -> None:
    file = ShownBlocks.of(install(EVERYTHING))[1]
    assert file.captions == ["File /etc/kettle.yml mode 0600"]
    assert file.text == 'cup: 1\n\n\nspoon: "<b>2</b>"'
    assert file.copies == []


def test_an_included_file_is_shown(catalogue: Catalogue, install: Render) -> None:
    rendered = catalogue.recipes / "kettle/rendered/etc/kettle.conf"
    rendered.parent.mkdir(parents=True)
    rendered.write_text("[cup]\nsize = <large>\n\n")
    with (catalogue.recipes / "kettle/recipe.yml").open("a") as recipe:
        recipe.write("rendered: {etc/kettle.conf: {template: roles/kettle/templates/kettle.conf.j2}}\n")
    html = install("```{ .file path=/etc/kettle.conf include=recipes/kettle/rendered/etc/kettle.conf }\n```\n")
    assert ShownBlocks.of(html)[0].text == "[cup]\nsize = <large>\n"


@pytest.mark.parametrize("lines, boxed", [(40, False), (41, True)])
def test_a_long_file_that_is_included_is_shown_whole_in_a_box_for_the_keyboard_too(
    catalogue: Catalogue, install: Render, lines: int, boxed: bool
) -> None:
    tool = catalogue.playbooks / "roles/kettle/files/pour.py"
    tool.parent.mkdir(parents=True)
    (catalogue.playbooks / "kettle.yml").write_text("- {hosts: workers, roles: [kettle]}\n")
    tool.write_text('print("<tea>")\n' * lines)
    html = install("```{ .file path=/opt/pour.py include=playbooks/roles/kettle/files/pour.py }\n```\n")
    box = '<span class="run-scroll" role="region" tabindex="0" aria-label="The content of /opt/pour.py">'
    assert (box in html) == boxed
    assert ShownBlocks.of(html)[0].captions == [f"File /opt/pour.py{f' {lines} lines' if boxed else ''}"]
    assert ShownBlocks.of(html)[0].text == tool.read_text().removesuffix("\n")


def test_a_long_file_that_stands_on_the_page_itself_has_no_box(install: Render) -> None:
    assert "run-scroll" not in install("```{ .file path=/etc/x }\n" + "a\n" * 50 + "```\n")


@pytest.mark.parametrize(
    "options, told",
    [
        ("exit=3", "It ends with exit code 3."),
        ("until=90s", "Repeat it until it says so, for 1 min 30 s at most."),
        ("expect=contains", "Its output has these lines, in this order, perhaps with others between them."),
        ("expect=regex", "Its output matches this regular expression."),
        ("expect=contains exit=1", "perhaps with others between them. It ends with exit code 1."),
    ],
)
def test_options_are_told_in_words(install: Render, options: str, told: str) -> None:
    assert told in install(f"```{{ .console {options} }}\n$ sip\nhot\n```\n")


def test_a_reboot_is_told(install: Render) -> None:
    assert "It reboots the node." in install("```{ .console reboot }\n# systemctl reboot\n```\n")


def test_plain_blocks_are_told_nothing(install: Render) -> None:
    assert "run-note" not in install("```{ .console timeout=5m }\n$ sip\nhot\n```\n")


TABS = """\
```{ .console platform=debian13 }
# apt-get install kettle
```

```{ .file path=/etc/a platform=debian13 }
a
```

```{ .console platform=almalinux9 }
# dnf install kettle
```
"""


def test_adjacent_blocks_for_different_platforms_become_tabs(install: Render) -> None:
    html = install(TABS)
    assert '<label for="__tabbed_1_1">Debian 13 (trixie)</label>' in html
    assert '<label for="__tabbed_1_2">AlmaLinux 9</label>' in html
    assert html.count('<div class="tabbed-block">') == 2
    assert [block.id for block in ShownBlocks.of(html)] == ["install-1", "install-2", "install-3"]
    assert " only" not in html


def test_a_platform_that_comes_again_begins_new_tabs_so_that_the_order_stays(install: Render) -> None:
    html = install(TABS + "\n" + TABS)
    assert html.count('class="tabbed-set') == 2
    assert [block.id for block in ShownBlocks.of(html)] == [f"install-{number}" for number in range(1, 7)]


def test_words_between_blocks_keep_them_apart(install: Render) -> None:
    html = install(TABS.replace("```\n\n```{ .console platform=alma", "```\n\nThen:\n\n```{ .console platform=alma"))
    assert "tabbed-set" not in html
    captions = [block.captions for block in ShownBlocks.of(html)]
    assert captions[0] == ["As root, Debian 13 (trixie) only"]
    assert captions[2] == ["As root, AlmaLinux 9 only"]


def test_a_tab_says_where_the_path_has_never_run(prove: Callable[[], None], install: Render) -> None:
    html = install(TABS)
    assert html.count("<strong>Never run on Debian 13 (trixie).</strong> Nobody has proven this path there yet.") == 1
    never = html.index("<strong>Never run on AlmaLinux 9.</strong> No kettle fits there.")
    assert html.index("install-2") < never < html.index("install-3")
    prove()
    assert install(TABS).count('class="run-never"') == 1


def test_a_tab_says_so_too_where_the_path_needs_what_can_be_had_elsewhere_until_somebody_has_proven_it(
    catalogue: Catalogue, prove: Callable[[], None], install: Render
) -> None:
    recipe = catalogue.recipes / "kettle" / "recipe.yml"
    needs = "debian13: {not_verified: No tap here., needs: ['http://tap.example/']}"
    recipe.write_text(recipe.read_text().replace("debian13: {}", needs))
    assert "<strong>Never run on Debian 13 (trixie).</strong> No tap here." in install(TABS)
    prove()
    assert "No tap here." not in install(TABS)


def test_a_page_of_a_path_that_has_never_run_anywhere_says_so_once_above_its_first_block(
    catalogue: Catalogue, prove: Callable[[], None], install: Render
) -> None:
    blocks = "```{ .console }\n# a\n```\n\nThen:\n\n```{ .console }\n# b\n```\n"
    told = "<strong>Never run on Debian 13 (trixie).</strong> Nobody has proven this path there yet."
    html = install(blocks)
    assert html.count('class="run-never"') == 1
    assert html.index(told) < html.index('id="install-1"')
    assert install(blocks + TABS).count(told) == 2, "each tab says it too"
    recipe = catalogue.recipes / "kettle" / "recipe.yml"
    text = recipe.read_text()
    recipe.write_text(text.replace("debian13: {}", "debian13: {not_verified: No tap here.}"))
    assert "<strong>Never run on Debian 13 (trixie).</strong> No tap here." in install(blocks)
    needs = "almalinux9: {not_verified: No tap there., needs: ['http://tap.example/']}"
    recipe.write_text(recipe.read_text().replace("almalinux9: {not_verified: No kettle fits there.}", needs))
    assert "<strong>Never run on AlmaLinux 9.</strong> No tap there." in install(blocks), "a proof can reach it"
    recipe.write_text(text)
    prove()
    assert "run-never" not in install(blocks)


def test_the_reason_stands_below_a_block_that_is_not_run(render: Render) -> None:
    html = render('```{ .bash not-run="it <reboots> **you**" }\nsystemctl reboot\n```\nAfter.\n')
    assert html.index("systemctl") < html.index("Not run by any route:") < html.index("After.")
    assert "it &lt;reboots&gt; **you**" in html
    assert "not-run=" not in html


@pytest.mark.parametrize(
    "said", [".bash not-run='no way'", '.bash not-run="no way"', "not-run='no way' title='a \"b\"'"]
)
def test_a_block_that_is_not_run_keeps_its_looks(install: Render, said: str) -> None:
    html = install(f"```{{ {said} }}\nls\n```\n")
    assert "<span> no way</span>" in html
    assert 'id="block-1"' in html
    assert "not-run=" not in html
    assert ('<span class="filename">a &quot;b&quot;</span>' in html) == ("title" in said)


@pytest.mark.parametrize(
    "before, indent, around",
    [("1. One:\n\n", "    ", "<li>"), ("!!! note\n\n", "    ", 'class="admonition'), ("", "> ", "<blockquote>")],
)
def test_a_block_that_is_not_run_keeps_its_place(render: Render, before: str, indent: str, around: str) -> None:
    block = "\n".join(indent + line for line in ('```{ .bash not-run="no" }', "ls", "```"))
    html = render(f"{before}{block}\n\nAfter\n")
    end = {"<li>": "</li>", "<blockquote>": "</blockquote>"}.get(around, "</div>\n<p>After")
    assert html.index(around) < html.index("Not run by any route:") < html.index(end)


def test_a_transcript_that_is_not_run_copies_its_commands_too(install: Render) -> None:
    html = install('1. One:\n\n    ```{ .console not-run="no" }\n    # a <b>\n    c\n    $ d\n    ```\n\n2. Two\n')
    assert 'id="block-1-shell-1" data-copy="a &lt;b&gt;"' in html
    assert 'id="block-1-shell-2" data-copy="d"' in html
    assert "As an ordinary user" in html
    assert html.index("data-copy") < html.index("Not run by any route:") < html.index("Two")
    assert html.count("<ol>") == 1
    assert ShownBlocks.of(html) == []


def test_what_looks_like_a_transcript_and_is_none_is_shown_as_it_is(render: Render) -> None:
    html = render('```{ .console not-run="no" }\nno prompt\n```\n')
    assert "no prompt" in html
    assert "data-copy" not in html


def test_other_pages_are_left_alone(render: Render) -> None:
    html = render("```bash\nls\n```\n\n```{ .console }\nno prompt\n```\n")
    assert "Not run" not in html
    assert ShownBlocks.of(html) == []


def test_a_block_shown_inside_a_block_is_text(render: Render) -> None:
    html = render('````text\n```{ .bash not-run="no" }\n```\n````\n')
    assert "Not run by any route:" not in html


def test_a_page_that_holds_what_it_may_not_stops_the_build(install: Render) -> None:
    with pytest.raises(PageError, match=r"^docs/paths/compute/kettle.md:7: ") as caught:
        install("```bash\nls\n```\n")
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_page_of_a_path_that_is_not_there_stops_the_build(render: Render) -> None:
    with pytest.raises(MarkerError, match=r"No path is called 'kettel'; did you"):
        render("/// proof | kettel")
