"""The laboratory of the tests that boot."""

from tests.lab.conftest import debian13, image, lab

__all__ = ["debian13", "image", "lab"]
