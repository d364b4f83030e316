"""What the tests share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared():
    """The optional folder ../shared with real photographs and weights; tests that need it are skipped without it."""
    folder = Path(__file__).resolve().parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs ../shared with the real photographs and weights")
    return folder
