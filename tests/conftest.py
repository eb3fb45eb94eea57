"""What all tests share: no test reaches a hosted model, and hypothesis does not time slow machines."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

settings.register_profile("orchestra", deadline=None)
settings.load_profile("orchestra")


@pytest.fixture(autouse=True)
def _no_hosted_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every provider's key and address out of the environment."""
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_BASE_URL")):
            monkeypatch.delenv(name)
