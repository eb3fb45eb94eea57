"""What all tests share: no hosted model is reached, hypothesis does not time slow machines, and Ctrl-C is heard."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

settings.register_profile("orchestra", deadline=None)
settings.load_profile("orchestra")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun in the background: processes of tests would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_hosted_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every provider's key and address out of the environment."""
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_BASE_URL")):
            monkeypatch.delenv(name)
