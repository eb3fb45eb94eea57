"""A profile of a model as people read it: every figure with its interval, what it means, and what is unknown."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestra.budget.calibration import VoteCalibration
from orchestra.budget.estimates import Estimate
from orchestra.budget.profile import AnswerProfile, Profile, SizeProfile
from orchestra.budget.replay import DISAGREE

_COLUMNS = ("figure", "value", "95 % interval", "n", "means")
_TINY_P = 0.05

Row = tuple[str, str, str, str, str]
"""The cells of one line of the table."""


def profile_view(profile: Profile) -> RenderableType:
    """Return a profile's figures as a table, then its histogram of votes and what stays unknown."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in _COLUMNS:
        table.add_column(column, overflow="fold")
    for row in _rows(profile):
        table.add_row(*map(Text, row))
    head = f"{profile.model}, {profile.date}, evidence {profile.evidence}"
    said = [*_histograms(profile), *(f"unknown: {one}" for one in unknown(profile))]
    return Group(Text(head, style="bold"), table, *([Text()] if said else []), *map(Text, said))


def unknown(profile: Profile) -> list[str]:
    """Return what a profile does not tell, and why."""
    found = []
    sizes = [size for answer in profile.answers for size in answer.sizes]
    if all(size.votes is None for size in sizes):
        found.append(
            "accuracy and rho, as no targets (or no valid votes) are there: agreement mixes both and cannot tell "
            "them apart"
        )
    if all(len(answer.sizes) < 2 for answer in profile.answers):
        found.append("how accuracy falls with the size of a task, as one size was measured")
    if not profile.channels:
        found.append("gamma, as no messages were measured")
    elif any(p * len(profile.channels) < _TINY_P for one in profile.channels if (p := one.asymmetry_p) is not None):
        found.append("whether gamma is what a tree has: the reader does not read true and false reports equally well")
    if profile.compute is None:
        found.append("beta, as fewer than four levels of compute are there (--panel 7, or --thoughts)")
    elif profile.compute.least * 4 > profile.compute.most:
        found.append("beta beyond the few levels that were measured")
    if profile.spoil is None:
        found.append("spoil: how often a wrong input makes a right answer wrong")
    return found


def _rows(profile: Profile) -> Iterator[Row]:
    for answer in profile.answers:
        for size in answer.sizes:
            yield from _size_rows(answer, size)
    for channel in profile.channels:
        p = "" if channel.asymmetry_p is None else f", asymmetry {channel.asymmetry:+.2f} (p {channel.asymmetry_p:.2g})"
        told = f"correlation of a report as read with as sent, in {channel.tokens} tokens{p}"
        yield _row(f"gamma({channel.tokens})", channel.gamma, told)
    if profile.spoil is not None:
        yield _row("spoil", profile.spoil, "right answers that a wrong answer shown before makes wrong")
    if profile.compute is not None:
        axis = profile.compute.beta.basis.partition("; ")[2]
        yield _row("beta", profile.compute.beta, f"exponent of the bias against compute; {axis}")
        yield _row("kappa", profile.compute.kappa, "bias at compute 1")
    for confidence in profile.confidences:
        known = confidence.scaled
        skill = "unknown" if known.skill is None else f"{known.skill:.3f}"
        told = "1 - Brier / Brier of the base rate; 0 means the share of votes tells nothing of an answer"
        yield f"skill ({confidence.source})", skill, "", f"{known.n}", told


def _size_rows(answer: AnswerProfile, size: SizeProfile) -> Iterator[Row]:
    kind = answer.kind if answer.options is None else f"{answer.kind} of {answer.options}"
    yield f"size {size.size:g}", kind, "", f"{size.items}", f"items, each asked {size.panel} times"
    if size.votes is not None:
        yield from _vote_rows(size.votes)
    elif size.agreement is not None:
        yield _row("  agreement", size.agreement, "two votes on an item are equal: accuracy and shared errors mixed")
    for gain in size.panels:
        told = f"majority of {gain.fan_in}, replayed; the rho formula says {gain.mixture:.3f}"
        far = f", {gain.disagreement:+.1f} standard errors off" if abs(gain.disagreement) >= DISAGREE else ""
        yield _row(f"  panel of {gain.fan_in}", gain.replayed, f"{told}{far}")
    yield _row("  valid", size.valid, "replies without a red flag")
    yield "  tokens", f"{size.input_tokens:.0f} + {size.output_tokens:.0f}", "", "", "mean of a request, of a reply"


def _vote_rows(votes: VoteCalibration) -> Iterator[Row]:
    yield _row("  p", votes.accuracy, "accuracy of one vote")
    told = "share of items whose votes are copies of one"
    if votes.shared.moment is not None:
        told += f" (by pairs of votes {votes.shared.moment.value:.3f})"
    yield _row("  rho", votes.shared.rho, told)
    is_spread = votes.spread.p_value < _TINY_P
    better = "better" if votes.spread.log_likelihood > votes.shared.log_likelihood else "worse"
    told = f"items {'differ' if is_spread else 'do not differ'} in difficulty; fits {better} than copies"
    yield _row("  spread", votes.spread.correlation, told)


def _row(name: str, estimate: Estimate, told: str) -> Row:
    basis = f" [{estimate.basis.partition('; ')[0]}]"
    return name, f"{estimate.value:.3f}", f"{estimate.low:.3f} to {estimate.high:.3f}", f"{estimate.n}", told + basis


def _histograms(profile: Profile) -> Iterator[str]:
    for answer in profile.answers:
        for size in answer.sizes:
            if size.votes is not None:
                cells = ", ".join(f"{cell.right}/{cell.votes}: {cell.items}" for cell in size.votes.histogram)
                yield f"items by right votes, size {size.size:g}: {cells}"
