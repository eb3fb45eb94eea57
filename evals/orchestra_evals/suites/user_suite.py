"""`Suite` as users import it: what a suite is, and the ways to make one of a file of theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from orchestra_evals.suites.file_suite import from_file, from_jsonl
from orchestra_evals.suites.suite import Suite as AnySuite

if TYPE_CHECKING:
    from abc import ABCMeta as _ProtocolMeta
else:
    _ProtocolMeta = type(Protocol)


class _FromFiles(_ProtocolMeta):
    """The type of `Suite`: what stands here is found in the class, and nothing that a suite has to have."""

    from_file = staticmethod(from_file)
    from_jsonl = staticmethod(from_jsonl)


class Suite(AnySuite, Protocol, metaclass=_FromFiles):
    """Samples of one kind, made from a seed.

    A class of your own is a suite where it has `name`, `about`, `sample`, `check` and `graph`; it need not inherit from
    this one, and a dataclass had better not, which would take an inherited `name` for the default of its own.

    `Suite.from_jsonl("quiz.jsonl", input="question", target="answer", scorer="exact")` is the suite of a file's rows;
    `Suite.from_file` says more of the columns, of the answers and of the splits.
    """
