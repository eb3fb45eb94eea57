"""Where tests find the real embedded model."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from orchestra_agents.errors import ModelUnavailable
from orchestra_agents.models import weights


def weights_or_skip() -> Path:
    """Return the path of the embedded model's weights; skip the test where they or llama.cpp are really missing."""
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip('needs the "embedded" extra')
    cache = os.environ.get("ORCHESTRA_CACHE_DIR")
    try:
        return weights.find(cache=Path(cache) if cache else None)
    except ModelUnavailable as error:
        pytest.skip(str(error))
