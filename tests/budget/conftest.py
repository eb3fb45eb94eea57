"""Commands are called as the tests of the command line call them."""

from __future__ import annotations

from tests.orchestra.conftest import call as call
from tests.orchestra.conftest import home as home
