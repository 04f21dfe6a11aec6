"""Lists that come from the recipe and its test files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lading.project import Catalogue
from lading.site.markers import MarkerError
from lading.site.tables import Check, read_checks

Render = Callable[[str], str]


def test_checks_are_read_with_their_docstrings(catalogue: Catalogue) -> None:
    assert read_checks(catalogue.recipes / "kettle" / "test_worker.py") == [
        Check("test_worker.py::test_water_boils", "Water boils within a minute, at sea level.", mutates=False),
        Check("test_worker.py::test_cup_fills", "A cup fills.", mutates=True),
        Check("test_worker.py::TestTea::test_is_hot", "is hot", mutates=False),
    ]


def test_test_files_are_never_imported(tmp_path: Path) -> None:
    file = tmp_path / "test_trap.py"
    file.write_text("raise SystemExit\n\n\ndef test_x():\n    '''X holds.'''\n")
    assert [check.says for check in read_checks(file)] == ["X holds."]


def test_the_page_shows_what_a_check_says(render: Render) -> None:
    html = render("/// checks | kettle")
    assert "<li>Water boils within a minute, at sea level.<code>test_water_boils</code></li>" in html
    assert "<code>TestTea::test_is_hot</code>" in html
    assert html.count("runs in the lab alone") == 1


def test_the_page_shows_what_a_site_may_set(catalogue: Catalogue, render: Render) -> None:
    with (catalogue.recipes / "kettle" / "recipe.yml").open("a") as recipe:
        recipe.write("variables: {kettle_cups: {default: [], lab: [mug], help: Cups to <fill>.}}\n")
    html = render("/// variables | kettle")
    assert "<code>kettle_cups</code>" in html
    assert "<code>[]</code>" in html
    assert 'Cups to &lt;fill&gt;.<span class="table-note"> The lab sets ["mug"].</span>' in html


def test_the_page_shows_hosts_that_are_not_clean(render: Render) -> None:
    html = render("/// starts | kettle")
    assert "<td>A node with an &lt;old&gt; kettle of its own.</td>" in html
    assert "<code>kettle_keep: true</code><br />\n<span>Deploys, and keeps what is the admin's.</span>" in html
    assert "Refuses it, changes nothing, and says: </span><em>Take the cosy off first.</em>" in html


@pytest.mark.parametrize("marker", ["checks", "variables", "starts"])
def test_an_unknown_path_is_an_error_that_names_the_marker(render: Render, marker: str) -> None:
    with pytest.raises(MarkerError, match=rf"The marker '/// {marker} \| teapot' cannot be filled in: No path"):
        render(f"/// {marker} | teapot")
