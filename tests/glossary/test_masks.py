"""What is no prose although no markup says so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.glossary.masks import masked
from lading.glossary.prose import MASK


def hidden(text: str, *, ansible: bool = False) -> list[str]:
    """Return what is masked of a text, stretch by stretch."""
    found, last = [""], -2
    for place, letter in enumerate(masked(text, ansible=ansible)):
        if letter == MASK:
            if place != last + 1:
                found.append("")
            found[-1] += text[place]
            last = place
    return found[1:]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("He said «the image» and “an image” or \"some image\".", ["«the image»", "“an image”", '"some image"']),
        ("«outer «inner» outer» text", ["«outer «inner» outer»"]),
        ('A lone " or « or “ masks nothing, nor do 5" disks.', []),
        ("It's the users' 'image', isn’t it", []),
        ('A 19"-rack, 1"x2"', []),
        ("\ufffc-based, ('--net', -x)", ["\ufffc", "--net", "-x"]),
        ("See /etc/hosts, ~/image ./image ../image.", ["/etc/hosts", "~/image", "./image", "../image"]),
        ("site/image/tag, docs/", ["site/image/tag", "docs/"]),
        ("and/or TCP/IP - a dash – here", []),
        ("Edit apptainer.conf. Set user.max_net_namespaces: it", ["apptainer.conf", "user.max_net_namespaces"]),
        ("Mail alice@site.example.", ["alice@site.example"]),
        ("https://site.example/a_b?c=(d). (docker://image)", ["https://site.example/a_b?c=(d", "docker://image"]),
        ("Use -i or --net=host, not pre-built", ["-i", "--net=host"]),
        ("Set PrivateNetwork=yes and apptainer_source", ["PrivateNetwork=yes", "apptainer_source"]),
        ("The .venv of 1.4.5.", [".venv", "1.4.5"]),
        ("{{ image }} {% if image %}", ["{{ image }}", "{% if image %}"]),
        ("{ .image #x } [[ image ]]", ["{ .image #x }", "[[ image ]]"]),
        ("{{ {'a': image} | b }} c", ["{{ {'a': image} | b }}"]),
        ("{{ image", []),
        ("text[^image] [text]", ["[^image]"]),
    ],
)  # fmt: skip
def test_what_is_no_prose_is_masked(text: str, expected: list[str]) -> None:
    assert hidden(text) == expected


def test_ansible_s_markup_is_masked_in_ansible_s_texts() -> None:
    text = "V(present) or O(image=V), see M(ansible.builtin.file); I(image) stays"
    assert hidden(text, ansible=True) == ["V(present)", "O(image=V)", "M(ansible.builtin.file)"]
    assert hidden("V(present)") == []


@given(st.text("a ./-_\"«»“”{}%[]^:@='<>\ufffc"))
def test_a_masked_text_keeps_its_length_and_what_is_left_of_it(text: str) -> None:
    seen = masked(text)
    assert len(seen) == len(text)
    assert all(new in (old, MASK) for new, old in zip(seen, text, strict=True))
