"""From a profile to what is reckoned with: once with its measured values, once with the pessimistic ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestra.budget.composition import Abilities, SizeLaw, SizePoint
from orchestra.budget.profile import AnswerProfile, Profile, SizeProfile
from orchestra.budget.teamwork import Skill
from orchestra_agents.answers import AnswerKind

ASSUMED = Skill(p=0.9)
"""What costs are reckoned with where nothing was measured; accuracies are then not given."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a model is able to."""

    middle: Abilities
    """As it was measured."""
    low: Abilities
    """At the pessimistic end of every interval: decisions are made on it."""
    is_known: bool
    """Whether anything about its accuracy was measured."""
    beta: tuple[float, float] | None = None
    """Ends of the interval of its return on compute; None where it was not measured."""


def abilities_of(profile: Profile | None) -> Measured:
    """Return what a profile says, with what it leaves open named; without one accuracies are unknown."""
    if profile is None:
        told = ("every accuracy: there is no profile of the model (orchestra calibrate makes one)",)
        nothing = Abilities(skills={}, default=ASSUMED, assumed=told)
        return Measured(nothing, nothing, is_known=False)
    unit = min((one.sizes[0].size for one in profile.answers), default=1.0)
    smallest = [(one.kind, one.sizes[0]) for one in profile.answers if one.sizes[0].size == unit]
    smallest.sort(key=lambda one: one[1].items)
    known: dict[AnswerKind, SizeProfile] = {kind: size for kind, size in smallest if size.votes is not None}
    if not known:
        told = ("every accuracy: the profile was made without targets",)
        nothing = Abilities(skills={}, default=ASSUMED, assumed=told)
        return Measured(nothing, nothing, is_known=False)
    beta = None
    if profile.compute is not None and "token" in profile.compute.beta.basis:  # votes that code counts are no tokens
        beta = (profile.compute.beta.low, profile.compute.beta.high)
    return Measured(_able(profile, known, is_low=False), _able(profile, known, is_low=True), is_known=True, beta=beta)


def _able(profile: Profile, known: dict[AnswerKind, SizeProfile], *, is_low: bool) -> Abilities:
    skills = {kind: _skill(size, is_low=is_low) for kind, size in known.items()}
    worst = min(skills.values(), key=lambda skill: skill.p)
    assumed = []
    if set(known) != {"choice", "number", "json"}:
        assumed.append(f"answers of other kinds than {', '.join(sorted(known))}: as good as the worst of these")
    gamma, spoil = 1.0, 1.0
    if profile.channels:
        middle = profile.channels[-1].gamma
        gamma = max(1e-6, middle.low if is_low else middle.value)
    else:
        assumed.append("texts are read as they were written (gamma 1)")
    if profile.spoil is not None:
        spoil = profile.spoil.high if is_low else profile.spoil.value
    else:
        assumed.append("a wrong input always spoils (spoil 1)")
    whole = _size_law(profile.answers, is_low=is_low)
    if whole is None:
        assumed.append("errors of one agent on a larger task are independent (one size was measured)")
    return Abilities(skills=skills, default=worst, gamma=gamma, spoil=spoil, whole=whole, assumed=tuple(assumed))


def _skill(size: SizeProfile, *, is_low: bool) -> Skill:
    votes = size.votes
    assert votes is not None
    p, rho, valid = votes.accuracy, votes.shared.rho, size.valid
    pairs = votes.shared.moment
    if pairs is not None and pairs.value > rho.high:  # several wrong answers: votes err together without being copies
        rho = pairs
    return Skill(
        p=p.low if is_low else p.value,
        rho=rho.high if is_low else rho.value,
        valid=max(1e-6, valid.low if is_low else valid.value),
        output_tokens=max(1.0, size.output_tokens),
    )


def _size_law(answers: Sequence[AnswerProfile], *, is_low: bool) -> SizeLaw | None:
    """Return the accuracy of one agent by the size of its task, in the smallest size of any; None from one size.

    The kind of answer that was measured at two sizes first is the one that counts; where none was, the worst at each
    size is, whatever its kind. A size of which no reply could be used is one at which no answer is right.
    """
    usable = [[size for size in one.sizes if size.votes is not None or size.valid.value == 0] for one in answers]
    if (sizes := next((held for held in usable if len(held) > 1), None)) is None:
        best_first = sorted((size for held in usable for size in held), key=_accuracy, reverse=True)
        worst = {size.size: size for size in best_first}
        sizes = [worst[size] for size in sorted(worst)]
    if len(sizes) < 2:
        return None
    unit = min(answer.sizes[0].size for answer in answers)
    points = [_size_point(size, unit, is_low=is_low) for size in sizes]
    return SizeLaw(small=points[0], large=points[-1], between=tuple(points[1:-1]))


def _accuracy(size: SizeProfile) -> float:
    return 0.0 if size.votes is None else size.votes.accuracy.value


def _size_point(size: SizeProfile, unit: float, *, is_low: bool) -> SizePoint:
    if size.votes is None:
        return SizePoint(size=size.size / unit, p=0.0)
    accuracy = size.votes.accuracy
    return SizePoint(size=size.size / unit, p=accuracy.value, low=accuracy.low if is_low else None)
