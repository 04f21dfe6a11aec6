"""Words swapped where one can stand for the other without anybody reading the sentence."""

from collections.abc import Iterable

from lading.glossary.lint import Finding


def mended(text: str, findings: Iterable[Finding]) -> tuple[str, int]:
    """Return a file's text with every word swapped that can be, and how many there were.

    A finding without a swap, or whose word is not in one piece in the file, is left to its author.
    """
    swaps = {
        finding.span: finding.swap for finding in findings if finding.swap is not None and finding.span is not None
    }
    for (start, end), swap in sorted(swaps.items(), reverse=True):
        text = text[:start] + swap + text[end:]
    return text, len(swaps)
