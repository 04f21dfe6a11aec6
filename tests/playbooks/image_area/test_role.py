"""What the roles of the image area ask of a host and make of it, and that a check leaves nothing behind."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader  # type: ignore[import-untyped]  # it has no type hints
from ansible.template import Templar, trust_as_template  # type: ignore[import-untyped]  # neither has this

from tests.playbooks.modules import ROLES
from tests.playbooks.test_image_checks import checks


def test_a_check_writes_nothing_where_no_area_is_mounted(tmp_path: Path) -> None:
    client = checks("unpacked-area", "test_client")
    line = client.MOUNTED["write"].replace(client.FOLDER, str(tmp_path))
    assert subprocess.run(["sh", "-c", line], check=False).returncode == 9
    assert list(tmp_path.iterdir()) == []


def values_of(role: str) -> dict[str, Any]:
    """Return a role's variables and defaults, as templates."""
    said: dict[str, Any] = {}
    for file in ("defaults", "vars"):
        said |= yaml.safe_load((ROLES / role / file / "main.yml").read_text())
    return {key: trust_as_template(text) if isinstance(text, str) else text for key, text in said.items()}


def templated(values: dict[str, Any], name: str) -> Any:
    """Return the value of one of them."""
    return Templar(loader=DataLoader(), variables=values).template(values[name])


def answers(script: str, *words: str) -> list[str]:
    """Return what a role's question says on this machine."""
    ran = subprocess.run(["sh", "-c", script, "sh", *words], capture_output=True, encoding="utf-8", check=False)
    return ran.stdout.splitlines()


def test_what_is_put_back_after_the_servers_packages_is_the_sites_and_not_the_roles_own(tmp_path: Path) -> None:
    values = values_of("image_area_server")
    for name in ("site.conf", Path(values["image_area_server_settings"]).name):
        (tmp_path / name).touch()
    script = templated(values, "image_area_server_question_host").replace("/etc/nfs.conf.d", str(tmp_path))
    values["image_area_server_host"] = {"stdout_lines": answers(script, "root")}
    keep = templated(values, "image_area_server_keep")
    assert {"/etc/exports", f"{tmp_path}/site.conf"} <= set(keep)
    assert [path for path in keep if path.startswith(str(tmp_path))] == [f"{tmp_path}/site.conf"]


DESK, HOME = "files -fstype=bind :/export/desk\n", "# of the site\n* home.site.example:/home/&\n"


@pytest.mark.parametrize(
    "goes, text, keeps",
    [
        (["nfs-common"], DESK, []),
        (["nfs-common"], HOME, ["auto.desk"]),
        (["nfs-common"], "files -fstype=nfs4,soft :/export\n", ["auto.desk"]),
        (["nfs-common"], "# home.site.example:/home\n", []),
        (["autofs", "nfs-common"], DESK, ["auto.master.d/desk.autofs"]),
        (["autofs"], "", ["auto.master.d/desk.autofs"]),
    ],
)
def test_packages_stay_for_who_would_miss_them(tmp_path: Path, goes: list[str], text: str, keeps: list[str]) -> None:
    values = {**values_of("image_area_client"), "image_area_client_left": {"remove": goes}}
    maps = tmp_path / "auto.master.d"
    maps.mkdir()
    for file in (maps / "image-area.autofs", maps / "desk.autofs"):
        file.write_text("/desk /etc/auto.desk\n")
    (tmp_path / "auto.image-area").write_text("/images -fstype=nfs4 builder1:/srv/unpacked\n")
    (tmp_path / "auto.net").write_text("opts=-fstype=nfs,hard,intr,nodev,nosuid\n")
    (tmp_path / "auto.desk").write_text(text)
    script = templated(values, "image_area_client_question_host").replace("/etc/auto.", f"{tmp_path}/auto.")
    found = [line for line in answers(script, "localhost", "/images") if str(tmp_path) in line]
    values["image_area_client_host"] = {"stdout_lines": found}
    assert templated(values, "image_area_client_others") == [f"{tmp_path}/{name}" for name in keeps]
