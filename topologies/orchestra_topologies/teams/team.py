"""Which team answers a question: its name, its size, its rounds, and who has which by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import shown
from orchestra_agents.models.contract import Json
from orchestra_agents.voting.ahead import CAP_FACTOR, AheadByK

Select = Literal["judge", "medoid", "verify"]
"""Who picks one of several samples: a model, the sample most like the others, or the check of `verify`."""

TeamName = Literal["solo", "vote", "independent", "centralized", "decentralized", "peers", "tree"]
"""The teams: one agent, votes counted by code, and the reference architectures of the agent-scaling study (`peers` is
its *hybrid*) beside the aggregation tree of the phase transition."""
Joint = Literal["code", "model"]

DEFAULT_K = 3
"""Margin of a vote unless something else is asked."""
SOLO_TRIES = 3
"""Replies of a lone agent that may be flagged before its subtask fails."""
MOST_AGENTS = 2_000
"""Most agents of one team."""
BELIEVED_FROM = 2
"""The first round after which a lead that has enough is believed."""
_NAMES = f"auto, {', '.join(get_args(TeamName)[:-1])} or {get_args(TeamName)[-1]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Option:
    """What one option of a team may be, and what it is where nothing is said."""

    low: int
    high: int
    default: int
    means: str


_AGENTS = _Option(low=2, high=64, default=3, means="agents that work")
_TURNS = _Option(low=1, high=1_000, default=3, means="most turns of an agent a round, where it has tools")
_LONG = replace(_TURNS, default=10, means="most turns of an agent, where it has tools")
_OPTIONS: Mapping[TeamName, Mapping[str, _Option]] = {
    "solo": {"turns": _LONG},
    "vote": {"turns": _LONG},
    "independent": {"agents": _AGENTS, "turns": _LONG},
    "decentralized": {"agents": _AGENTS, "rounds": _Option(low=1, high=20, default=3, means="rounds"), "turns": _TURNS},
    "centralized": {
        "agents": _AGENTS,
        "rounds": _Option(low=1, high=20, default=5, means="most rounds"),
        "turns": _TURNS,
    },
    "peers": {"agents": _AGENTS, "rounds": _Option(low=1, high=20, default=5, means="most rounds"), "turns": _TURNS},
    "tree": {
        "fan_in": _Option(low=2, high=64, default=3, means="agents that report to one"),
        "depth": _Option(low=1, high=10, default=1, means="levels above the leaves"),
        "tokens": _Option(low=1, high=1_000_000, default=0, means="most tokens of a message"),
        "turns": _LONG,
    },
}
"""Options by team; the defaults are the study's: three agents, three rounds of debate, five of coordination, three
turns a round, ten for one alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamSpec:
    """A team as a user asks for it: `vote`, `decentralized:agents=5,rounds=2`, `tree:fan_in=3,join=model`.

    Raises:
        InputError: There is no such team, or it has no such option.
    """

    name: TeamName
    options: tuple[tuple[str, int], ...] = ()
    """What is asked for beside the defaults, by option."""
    join: Joint | None = None
    """Who joins a tree's answers; None lets code count where it can."""

    @classmethod
    def parse(cls, spec: Json, field: str) -> TeamSpec | None:
        """Return the team that a text or a graph file's mapping names; None for `auto`.

        Args:
            spec: `NAME`, `NAME:option=value,...`, or `{NAME: {option: value}}`.
            field: Who says it, for errors.

        Raises:
            InputError: It names no team, or an option that is not this team's or out of its range.
        """
        name, options = _parts(spec, field)
        if name == "auto" and not options:
            return None
        if name not in get_args(TeamName):
            raise InputError(field, f"must be {_NAMES}, got {shown(spec)}")
        team = cast(TeamName, name)
        join = options.pop("join", None) if team == "tree" else None
        if join not in (None, *get_args(Joint)):
            raise InputError(f"{field}.join", f"must be code or model, got {shown(join)}")
        given = tuple((one, _checked(team, one, value, field)) for one, value in options.items())
        made = cls(name=team, options=given, join=cast("Joint | None", join))
        if made.agents > MOST_AGENTS:
            raise InputError(field, f"must have at most {MOST_AGENTS:,} agents, this tree has {made.agents:,}")
        return made

    def option(self, name: str) -> int:
        """Return what an option is, asked for or by default; 0 for one that this team has not."""
        known = _OPTIONS[self.name].get(name)
        return dict(self.options).get(name, known.default if known else 0)

    @property
    def agents(self) -> int:
        """Agents it consists of, those included that are code or lead the others."""
        if self.name == "tree":
            fan_in, depth = self.option("fan_in"), self.option("depth")
            return int(sum(fan_in**level for level in range(depth + 1)))
        led = self.name in ("centralized", "peers")
        return max(1, self.option("agents")) + led

    def __str__(self) -> str:
        said = [f"{name}={value}" for name, value in self.options]
        said += [f"join={self.join}"] if self.join else []
        return f"{self.name}:{','.join(said)}" if said else self.name


@dataclass(frozen=True, slots=True)
class Team:
    """How one question is answered.

    Args:
        name: `solo` takes the first reply without a red flag; `vote` the answer that is first k votes ahead; the others
            are several agents.
        k: Margin of the vote; None for everybody else.
        select: Who picks one of `samples` answers of a lone agent; None takes the first.
        samples: Answers drawn to pick from.
        tries: Replies of a lone agent that may be flagged before it fails.
        spec: What the user asked for, with its options.
        join: Who joins the answers of a tree; None for everybody else.
    """

    name: TeamName
    k: int | None = None
    select: Select | None = None
    samples: int = 1
    tries: int = SOLO_TRIES
    spec: TeamSpec = TeamSpec(name="solo")
    join: Joint | None = None

    @property
    def is_several(self) -> bool:
        """Whether it consists of several agents, that work in rounds."""
        return self.name not in ("solo", "vote")

    @property
    def calls(self) -> int:
        """Calls it makes, where its agents have no tools, no reply is discarded, and a lead stops as soon as it may."""
        match self.name:
            case "independent":
                return self.option("agents")
            case "decentralized":
                return self.option("agents") * self.option("rounds")
            case "centralized" | "peers":
                rounds = min(self.option("rounds"), BELIEVED_FROM)
                reads = rounds if self.option("rounds") > rounds else rounds - 1
                return 1 + rounds * self.option("agents") + reads + 1
            case "tree":
                fan_in, depth = self.option("fan_in"), self.option("depth")
                return self.spec.agents if self.join == "model" else int(fan_in**depth)
            case _:
                return self.k or self.samples

    def option(self, name: str) -> int:
        """Return one of the team's options: agents, rounds, turns, fan_in, depth or tokens (0: no limit of its own)."""
        return self.spec.option(name)

    def rule(self, *, rounds: int = 1) -> AheadByK:
        """Return when a vote of one agent is over; each further round allows as many votes again as the first."""
        if self.k is None:
            return AheadByK(1, max_votes=self.tries * rounds)
        return AheadByK(self.k, max_votes=CAP_FACTOR * self.k * rounds)

    def __str__(self) -> str:
        if self.select is not None:
            return f"solo({self.select} of {self.samples})"
        asked = dict(self.spec.options)  # turns are of no account without tools, so they are told where asked for
        said = [f"k={self.k}"] if self.k is not None else []
        said += [f"{name}={self.option(name)}" for name in _OPTIONS[self.name] if name != "turns" and self.option(name)]
        said += [f"join={self.join}"] if self.join else []
        said += [f"turns={asked['turns']}"] if "turns" in asked else []
        return f"{self.name}({', '.join(said)})" if said else self.name


SOLO = Team("solo")
"""One agent alone."""


def choose_team(
    asked: TeamSpec | None, answer: AnswerType, *, k: int | None, field: str, has_tools: bool = False
) -> Team:
    """Return the team for an answer type: `vote` where equal answers can be counted, `solo` for prose and code.

    Args:
        asked: What the user asked for; None decides by the answer type.
        answer: The question's answer type.
        k: Margin asked for, or None for the default.
        field: Name of the option or key, for errors.
        has_tools: Whether it acts: actions can be counted, whatever the answer.

    Raises:
        InputError: The team cannot answer such a question.
    """
    spec = asked or TeamSpec(name="vote" if answer.votable else "solo")
    if not answer.votable and ((spec.name == "vote" and not has_tools) or spec.join == "code"):
        instead = "solo or auto" if spec.name == "vote" else "join=model"
        raise InputError(field, f"{spec} needs an answer that can be counted, not {answer.kind}; use {instead}")
    match spec.name:
        case "vote":
            return Team("vote", k or DEFAULT_K, spec=spec)
        case "tree":
            return Team("tree", spec=spec, join=spec.join or ("code" if answer.votable else "model"))
        case _:
            return Team(spec.name, spec=spec)


def _parts(spec: Json, field: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the options of a team as they are said."""
    if isinstance(spec, Mapping) and len(spec) == 1:
        [(name, options)] = spec.items()
        if isinstance(options, Mapping) and all(isinstance(key, str) for key in options):
            return str(name), dict(options)
    if not isinstance(spec, str):
        raise InputError(field, f"must be {_NAMES}, alone or with options, got {shown(spec)}")
    name, _, said = spec.partition(":")
    options = {}
    for part in filter(None, said.split(",")):
        key, equals, value = part.partition("=")
        if not equals or key in options:
            raise InputError(field, f"must be written NAME:option=value,option=value, each once, got {shown(spec)}")
        options[key] = int(value) if value.isascii() and value.isdigit() and len(value) < 10 else value
    return name, options


def _checked(team: TeamName, name: str, value: Json, field: str) -> int:
    known = _OPTIONS[team]
    if name not in known:
        names = ", ".join([*known, *(["join"] if team == "tree" else [])])
        raise InputError(field, f"{team} has no option {shown(name)}; it has {names}")
    option = known[name]
    if isinstance(value, bool) or not isinstance(value, int) or not option.low <= value <= option.high:
        allowed = f"an integer from {option.low} to {option.high:,}, {option.means}"
        raise InputError(f"{field}.{name}", f"must be {allowed}, got {shown(value)}")
    return value
