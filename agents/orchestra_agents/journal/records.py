"""Records of runs and subtasks: JSON with no field to spare."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from orchestra_agents.models.contract import Evidence, Json

Status = Literal["ok", "failed", "cancelled", "skipped", "undecided"]
"""How a subtask ended."""
RunStatus = Literal["ok", "failed", "undecided", "budget", "interrupted"]
"""How a run, or an attempt at it, ended."""
How = Literal["atomic", "composed"]
"""How a problem was answered: at once, or from the answers of its parts."""
Failure = Literal[
    "malformed_final",
    "non_independent_subproblems",
    "ambiguous_composition_op",
    "atomic_miscalc",
    "composed_miscalc",
    "unknown",
]
"""What went wrong with a split or an answer (MAKER, appendix F); the two miscalculations only where the truth is known.
"""


class Record(BaseModel):
    """One thing that happened. Subclasses are the registry; `kind` is the name that stands in the journal."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    kind: ClassVar[str]

    def identity(self) -> str | None:
        """Return what makes the record unique within its run and kind, or None where repeats are legal."""
        return None


class CauseRecord(BaseModel):
    """Why a subtask did not end well."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    code: str
    """Stable name of the reason."""
    message: str
    """The reason as one sentence."""
    because: str | None = None
    """Id of the subtask at the root of it, where that is another one."""


class RunStarted(Record):
    """A run was created; stands before its first model call."""

    kind = "run.started"
    what: Literal["graph", "drive", "solve", "calibrate", "sample"]
    """`sample` is a sample of an evaluation that a function answers."""
    manifest: dict[str, Json]
    """What must be the same for a resume to make sense: task, models, prompts, policies."""
    evidence: Evidence
    budget: dict[str, Json] = {}
    """The caps of the run's first attempt."""
    at: str
    """UTC, ISO 8601."""

    def identity(self) -> str | None:
        """A run starts once."""
        return "run"


class RunResumed(Record):
    """A further attempt at the run began."""

    kind = "run.resumed"
    at: str
    evidence: Evidence
    budget: dict[str, Json] = {}
    """The caps of this attempt."""
    changed: dict[str, Json] | None = None
    """The manifest's entries that --accept-change replaced."""
    unknown: int = 0
    """Calls that were perhaps in flight when a chain's attempt before was killed."""
    lost_tokens: int = 0
    """Tokens at most of those calls."""
    lost_usd: float = 0.0


class Decomposed(Record):
    """Text became a task graph."""

    kind = "run.decomposed"
    graph: dict[str, Json]
    reason: str
    repairs: int


class Routed(Record):
    """The router chose, and what the run follows."""

    kind = "run.routed"
    shape: dict[str, Json]
    route: dict[str, Json]
    decision: dict[str, Json]
    ignored_edges: list[list[str]]
    """Edges along which the topology passes no upstream text."""
    reroutes: int = 0
    """Re-routes before this one."""


class EndpointProbed(Record):
    """What a model's server really does, as found by asking it; stands before the model's first call."""

    kind = "endpoint.probed"
    model: str
    base_url: str
    facts: dict[str, Json]
    is_known: bool
    """Whether it was found out earlier, and nothing was asked."""
    attempts: int = 0
    calls: int = 0
    samples: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    estimated: bool = False
    cost_usd: float | None = 0.0
    """None where the price is not known."""
    lost_tokens: int = 0
    """Tokens at most of requests whose tokens nobody told."""
    lost_usd: float = 0.0

    def entry(self) -> dict[str, Json]:
        """Return what a run's manifest says of the model's server: what it does, and where that was seen."""
        return {self.model: self.facts | {"base_url": self.base_url}}


class SubtaskStarted(Record):
    """A subtask's inputs are ready and its team begins."""

    kind = "subtask.started"
    node: str
    team: str


class SampleRecord(Record):
    """A record about one sample, with the identity that tells it from every other."""

    node: str
    input: str
    """Digest of the rendered prompt."""
    model: str
    policy: str
    """Digest of the sampling settings."""
    index: int

    def sample(self) -> str:
        """Return the sample's identity: node, input, model, sampling policy and sample index."""
        return f"{self.node}\n{self.input}\n{self.model}\n{self.policy}\n{self.index}"


class Asked(SampleRecord):
    """A call is about to be made; without a reply after a kill its outcome is unknown."""

    kind = "sample.asked"
    samples: int = 1
    """How many samples one request is for, this one and those of the following indices."""
    worst_tokens: int = 0
    """What it may take at most: what counts as lost after a kill."""
    worst_usd: float = 0.0


class Sampled(SampleRecord):
    """A reply arrived."""

    kind = "sample.replied"
    text: str
    """Hash of the reply's blob."""
    finish_reason: Literal["stop", "length", "content_filter", "other"]
    flag: str | None
    """Why the reply was discarded, or None where it counts."""
    opaque: str | None = None
    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    """Tokens among the input that the server read from its prompt cache."""
    reasoning_tokens: int = 0
    """Tokens among the output that nobody is shown."""
    estimated: bool
    cost_usd: float | None
    """None where the price is not known."""
    attempts: int
    calls: int = 1
    """Requests answered 2xx or of unknown outcome that it took."""
    lost_tokens: int = 0
    """Tokens at most of requests before it that may have been served in vain."""
    lost_usd: float = 0.0
    seconds: float
    """From sending to the reply, without waits for a turn or before a retry."""

    def identity(self) -> str | None:
        """A sample is replied to once."""
        return self.sample()


class CallFailed(SampleRecord):
    """A call ended without a reply, after its retries."""

    kind = "sample.failed"
    code: str
    attempts: int
    calls: int
    """Requests that were answered 2xx, with something unusable."""
    unknown: int
    """Requests that may have been served although no answer arrived."""
    lost_tokens: int = 0
    """Tokens at most of all of them."""
    lost_usd: float = 0.0


class Embedded(SampleRecord):
    """Texts were turned into vectors."""

    kind = "texts.embedded"
    text: str
    """Hash of the blob that holds the vectors, as JSON."""
    input_tokens: int
    estimated: bool
    cost_usd: float | None = 0.0
    attempts: int
    calls: int
    lost_tokens: int = 0
    lost_usd: float = 0.0
    seconds: float

    def identity(self) -> str | None:
        """Texts are embedded once."""
        return self.sample()


class Verified(Record):
    """An answer was checked."""

    kind = "answer.verified"
    node: str
    answer: str
    """Digest of the answer."""
    verify: str
    """The command, or the name of the function."""
    passed: bool
    detail: str
    seconds: float

    def identity(self) -> str | None:
        """An answer is checked once by the same command."""
        return f"{self.node}\n{self.answer}\n{self.verify}"


class ToolCalled(Record):
    """A call of a tool is about to be carried out; without an observation after a kill its effect is unknown."""

    kind = "tool.called"
    node: str
    """Who calls."""
    input: str
    """Digest of the prompt that the action answers."""
    tool: str
    arguments: Json
    effects: Literal["none", "idempotent", "once"]
    key: str
    """What the tool is told the call is called: the same whenever it is repeated."""
    repeats: int = 0
    """How often the same call was begun before and not seen to end."""


class ToolObserved(Record):
    """What came of an action; stands before anybody is shown it."""

    kind = "tool.observed"
    node: str
    input: str
    tool: str
    key: str
    status: Literal["ok", "error", "timeout", "refused"]
    text: str
    """Hash of the observation's blob."""
    size: int
    """Characters that the tool returned, before they were cut."""
    seconds: float

    def identity(self) -> str | None:
        """A call is observed once."""
        return self.key


class MessageSent(Record):
    """An agent of a team told others something."""

    kind = "message.sent"
    node: str
    """The question that the team works on."""
    round: int
    """From 1."""
    sender: str
    receivers: list[str]
    text: str
    """Hash of the message's blob."""

    def identity(self) -> str | None:
        """A text is sent once a round to the same agents."""
        return "\n".join([self.node, str(self.round), self.sender, self.text, *self.receivers])


class TeamEnded(Record):
    """A team of several agents came to an end with a question."""

    kind = "team.ended"
    node: str
    """The question."""
    team: str
    agents: int
    """Agents it consists of, those included that are code."""
    rounds: int
    """Rounds it took."""
    redundancy: float | None
    """Mean similarity of the agents' last outputs over all pairs, in [-1, 1]; None with fewer than two."""
    basis: str | None
    """What the similarity is based on."""


class Condensed(Record):
    """What a node reads was made to fit its context window."""

    kind = "input.condensed"
    node: str
    how: Literal["aggregated", "truncated"]
    inputs: int
    """Answers it was to read."""
    tokens: int
    """What its prompt would have taken, in tokens."""
    window: int
    """What the model's context window leaves for a prompt, in tokens."""
    fan_in: int = 0
    """Most answers that one aggregator read; 0 where none was asked."""
    levels: int = 0
    """Levels of aggregators below the node."""
    agents: int = 0
    """Aggregators asked."""
    reason: str


class Synthesised(Record):
    """What one pass over the graph came to, and whether it is accepted (AdaptOrch, Algorithm 2)."""

    kind = "run.synthesised"
    reroutes: int
    """Re-routes before this pass, 0 to 5."""
    topology: str
    coupling: float
    """Mean coupling that the pass was routed with, in [0, 1]."""
    questions: list[dict[str, Json]]
    """For each question with several answers: members, operator, consistency, threshold, conflicts, answer."""
    verdict: Literal["accepted", "rerouted", "forced", "kept", "budget_stopped"]
    """`forced`: the last pass stands without a gate; `kept`: the user chose the topology; `budget_stopped`: too little
    is left for another pass."""


class Approval(Record):
    """A person was asked whether to spend, or answered."""

    kind = "run.approval"
    status: Literal["waiting", "granted", "declined"]


class SubtaskEnded(Record):
    """A subtask's outcome."""

    kind = "subtask.ended"
    node: str
    input: str | None
    """Digest of everything that decides the answer: prompt, answer type, team, sampling, models; None if not asked."""
    status: Status
    answer: Json = None
    voted: bool = False
    votes: int = 0
    samples: int = 0
    k: int | None = None
    margin: int | None = None
    tally: dict[str, int] | None = None
    """Valid votes by canonical answer."""
    cause: CauseRecord | None = None
    covered_by: str | None = None
    selected: dict[str, Json] | None = None
    """Which of several samples was taken, by whom and why."""
    seconds: float


class ProblemSplit(Record):
    """Whether a problem was split, and into what; repeated only where it is not what it was before."""

    kind = "problem.split"
    path: str
    """Place in the tree: 1 is the whole problem, 1.2 its second part."""
    problem: str
    split: dict[str, Json] | None
    """Its parts and how their answers are composed; None where the problem counts as atomic."""
    votes: int = 0
    """Valid votes on the split; 0 also where nobody was asked, at the depth cap."""
    outvoted: int = 0
    """Votes among them for another split."""
    failure: Failure | None = None
    """Why a split that was asked for is not used; None where it is, or where the vote said atomic."""


class ProblemSolved(Record):
    """How the vote on a problem's answer ended."""

    kind = "problem.solved"
    path: str
    answer: Json
    """None where the vote was not decided."""
    how: How
    decided: bool
    votes: int
    """Valid votes on the answer."""
    outvoted: int = 0
    """Votes among them for another answer than the one decided."""
    failure: Failure | None = None
    """Why there is no answer, or, where the truth is known, how it is wrong; None elsewhere."""


class RunEnded(Record):
    """An attempt at the run ended."""

    kind = "run.ended"
    status: RunStatus
    answer: Json = None
    reason: str | None = None
    notes: list[str] = []
    """What the user should know about how the attempt went."""
    seconds: float
