"""A mock model of Inspect that says what it is told, and evaluations with it that leave nothing outside a folder."""

from __future__ import annotations

import asyncio
import gc
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inspect_ai import Task, eval
from inspect_ai.log import EvalLog
from inspect_ai.model import ChatMessage, GenerateConfig, Model, ModelOutput, ModelUsage, StopReason, get_model

USAGE = ModelUsage(input_tokens=7, output_tokens=3, total_tokens=10)


def said(answer: Any, *, stop_reason: StopReason = "stop") -> ModelOutput:
    """A reply: a text as it is, anything else as the JSON that agents are asked for."""
    text = answer if isinstance(answer, str) else json.dumps({"answer": answer["answer"]})
    output = ModelOutput.from_content("mockllm", text, stop_reason=stop_reason)
    output.usage = USAGE.model_copy()
    return output


def typed(answer: Any) -> ModelOutput:
    """A reply with a typed answer."""
    return said({"answer": answer})


class Script:
    """What a mock model answers, and what it was asked."""

    def __init__(self, answer: Callable[[str, GenerateConfig], Any]) -> None:
        self.answer = answer
        self.configs: list[GenerateConfig] = []
        self.prompts: list[str] = []

    async def __call__(
        self, messages: list[ChatMessage], tools: Any, choice: Any, config: GenerateConfig
    ) -> ModelOutput:
        self.configs.append(config)
        self.prompts.append("\n".join(message.text for message in messages))
        found = self.answer(self.prompts[-1], config)
        if asyncio.iscoroutine(found):
            found = await found
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, ModelOutput)
        return found

    def model(self, **settings: Any) -> Model:
        """The model that answers so."""
        return get_model("mockllm/model", custom_outputs=self, config=GenerateConfig(**settings), memoize=False)


def always(output: ModelOutput) -> Script:
    """A script that always gives the same reply."""
    return Script(lambda prompt, config: output.model_copy(deep=True))


def evaluate(task: Task | str, model: Model, folder: Path, **options: Any) -> EvalLog:
    """The log of an evaluation, whose samples may fail."""
    options = {"fail_on_error": False, "log_realtime": False, **options}
    gc.freeze()  # so that collecting looks at what the evaluation made, and at nothing else
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # Inspect leaves streams open, which are collected here
        warnings.filterwarnings("ignore", "The 'initial' parameter is deprecated", DeprecationWarning)
        [log] = eval(task, model=model, display="none", log_dir=str(folder / "logs"), **options)
        gc.collect()
    gc.unfreeze()
    return log
