"""The report of a comparison: a Markdown file, an HTML page that stands alone, and figures."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from orchestra_agents.errors import InputError
from orchestra_evals.report.wording import one_line
from orchestra_evals.report.writing import write_report
from tests.report.documents import (
    BASELINE,
    FIVE,
    HOSTILE,
    MANY,
    MODEL,
    OTHER,
    OWN,
    PICK,
    RIVAL,
    document,
    suite_of_two_models,
    without_scores,
)
from tests.report.reading import Page, Tables, markdown_tables, markdown_tokens, shown

Json = Any
KINDS = {
    "five": lambda: document(),
    "two models": suite_of_two_models,
    "no forecast, nothing matched": lambda: document(forecast=None, matched=None, regret=None, survival=None),
    "no scores": without_scores,
    "hostile": lambda: document((BASELINE, PICK, RIVAL, *HOSTILE), suite=HOSTILE[0], command="run `x`\n<b> | \x07"),
    "seventeen": lambda: document(MANY),
    "calls": lambda: document(cap={"calls": 800}, matched=None),
    "two suites": lambda: [document(), document(FIVE, (OTHER,))],
}
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the folders of the reports on all kinds of documents."""
    folder = tmp_path_factory.mktemp("reports")
    for name, made in KINDS.items():
        write_report(made(), folder / name)
    return {name: folder / name for name in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_page_loads_nothing_and_runs_nothing(reports: dict[str, Path], kind: str) -> None:
    """It has no script, no handler and no address; its policy allows nothing but styles."""
    page = Page((reports[kind] / "report.html").read_text("utf-8"))
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "image", "iframe", "object", "embed", "base"}
    for _, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in ("src", "action")
            assert name != "href" or str(value).startswith("#")
            assert "://" not in str(value) or name == "xmlns"
            assert str(value).count("url(") == str(value).count("url(#")
    assert "@import" not in page.style
    assert "url(" not in page.style
    policies = [attributes["content"] for tag, attributes in page.tags if tag == "meta" and "http-equiv" in attributes]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"]
    ids = Counter(attributes["id"] for _, attributes in page.tags if "id" in attributes)
    assert set(ids.values()) <= {1}
    named = [name for tag, attributes in page.tags if tag == "svg" for name in attributes["aria-labelledby"].split()]
    used = [str(attributes["href"])[1:] for _, attributes in page.tags if "href" in attributes]
    assert {*named, *used} <= set(ids)
    scopes = Counter(attributes.get("scope") for tag, attributes in page.tags if tag == "th")
    assert set(scopes) == {"col", "row"}


@pytest.mark.parametrize("kind", KINDS)
def test_page_and_markdown_have_the_same_tables(reports: dict[str, Path], kind: str) -> None:
    """Every cell is the same in both, whatever it holds, and all rows of a table have as many."""
    text = (reports[kind] / "report.md").read_text("utf-8")
    tables, page = markdown_tables(text), Page((reports[kind] / "report.html").read_text("utf-8"))
    assert len(tables.found) >= 2
    assert [rows for _, rows in tables.found] == [rows for _, rows in page.tables.found]
    assert {len({len(row) for row in rows}) for _, rows in tables.found} == {1}
    unescaped = re.compile(r"(?<!\\)\|")
    for block in re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE):
        assert len({len(unescaped.findall(line)) for line in block.splitlines()}) == 1
    evidence = re.compile(r"evidence: (real|SIMULATED|real and SIMULATED)\)?$")
    assert all(evidence.search(caption) for caption, _ in tables.found + page.tables.found)


def test_names_are_shown_and_never_obeyed(reports: dict[str, Path]) -> None:
    """Names that look like markup, in Markdown, HTML and figures, are read as they are written, on one line."""
    tokens = markdown_tokens((reports["hostile"] / "report.md").read_text("utf-8"))
    inner = [child for token in tokens for child in token.children or []]
    kinds = Counter(child.type for child in inner)
    assert not {"html_block", "hr", "fence"} & {token.type for token in tokens}
    assert set(kinds) <= {"text", "text_special", "strong_open", "strong_close", "image"}
    assert kinds["image"] == 3
    headings = [shown(after) for before, after in pairwise(tokens) if before.type == "heading_open"]
    assert headings[:3] == [f"Comparison of systems on {HOSTILE[0]}", "What came out", "Scores and spending"]
    names = {row["system"] for row in markdown_tables((reports["hostile"] / "report.md").read_text("utf-8"))["Scores,"]}
    assert names >= {HOSTILE[0], HOSTILE[1], "two lines # and a heading", HOSTILE[4], HOSTILE[6]}
    page = Page((reports["hostile"] / "report.html").read_text("utf-8"))
    assert {row["system"] for row in page.tables["Scores,"]} == names
    drawn = _texts(next(reports["hostile"].glob("*-spend.svg")))
    assert {HOSTILE[0], HOSTILE[1], one_line(HOSTILE[4], 34)} <= {text.removesuffix(" (best)") for text in drawn}
    assert not any(
        char < " " and char != "\n" for path in reports["hostile"].iterdir() for char in path.read_text("utf-8")
    )


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "two suites"])
def test_scores_in_tables_are_those_of_the_document(reports: dict[str, Path], kind: str) -> None:
    """Score, interval, n, spend and cap of each row are the document's, rounded, the highest score first."""
    said = KINDS[kind]()
    told = _tables(reports, kind)["Scores,"]
    by_model = {model: place for place, model in enumerate(said["models"])}
    ranked = sorted(said["rows"], key=lambda row: (by_model[row["model"]], row["score"] is None, -(row["score"] or 0)))
    assert len(told) == len(ranked)
    assert [cells.get("score") for cells in told] == [_mean(row) for row in ranked] or kind == "no scores"
    for row in ranked:
        cells = _find(told, one_line(row["system"].encode("utf-8", "replace").decode()), row["model"])
        assert cells.get("score") == _mean(row)
        assert int(cells["n"]) == row["n"]
        spent = "not counted" if row["system"] == OWN else f"{row['spent']['tokens']:,} of 480,000 tokens"
        assert cells["spent, of the cap"] == spent
        assert cells.get("unpaid", "-") == (str(row["statuses"]["budget"]) if row["statuses"]["budget"] else "-")
        assert cells.get("asked again", "-") == (str(row["retried"]) if row["retried"] else "-")
        spend = row["spent_a_sample"]["tokens"]
        assert _number(cells.get("tokens a sample", "-")) == (pytest.approx(spend, abs=0.5) if spend else None)


@pytest.mark.parametrize("kind", ["five", "two models", "seventeen"])
def test_other_tables_are_those_of_the_document(reports: dict[str, Path], kind: str) -> None:
    """Differences, equal spend, forecast and survival have the document's figures."""
    said, tables = KINDS[kind](), _tables(reports, kind)
    for found in said["differences"]:
        cells = _find(tables["Each system less"], found["first"], found["model"])
        apart = found["difference"]
        assert _numbers(cells["difference (95 % interval)"]) == _rounded(apart["value"], apart["low"], apart["high"])
        assert (int(cells["pairs"]), int(cells["wins"]), int(cells["losses"])) == (80, 20, 8)
        assert cells["adjusted p"] == f"{found['adjusted_p']:.3f}"
        assert cells["finding"] == found["finding"].partition(";")[0]
    for found in said["matched"]["rows"]:
        cells = _find(tables["Each system beside"], found["system"], found["model"])
        assert _numbers(cells["score"] + " " + cells["self-consistency"]) == _rounded(
            found["score"], found["rival_score"]
        )
        assert _number(cells["spend a sample"]) == pytest.approx(found["spend"], abs=0.5)
        assert cells["interpolated"].startswith("between ")
    for found in [row for row in said["forecast"]["rows"] if row["tokens"]["predicted"]]:
        cells = _find(tables["What the budget model"], found["system"], found["model"])
        ends = found["predicted"]
        assert cells["accuracy foretold"] == (
            "-" if ends is None else f"{ends['pessimistic']:.3f} to {ends['optimistic']:.3f}"
        )
        assert cells["distance"] == (
            "-" if ends is None else f"{found['error']:+.3f}" if round(found["error"], 3) else "0.000"
        )
        assert _number(cells["tokens measured"]) == pytest.approx(found["tokens"]["measured"], abs=0.5)
    for curve in said["survival"]["curves"]:
        cells = _find(tables["Share of samples"], curve["system"], curve["model"])
        for point in curve["points"]:
            told = _numbers(cells[f"{point['steps']} moves"])
            assert told == [*_rounded(point["score"], point["low"], point["high"]), point["n"]]
        assert _numbers(cells["reliability of a step"])[0] == round(curve["per_step"]["value"], 5)


def test_difficulties_are_told_unless_chains_tell_the_same(reports: dict[str, Path]) -> None:
    """Each cell has the score of one difficulty, with its interval and number of samples."""
    tables = _tables(reports, "no forecast, nothing matched")
    for row in KINDS["no forecast, nothing matched"]()["rows"]:
        cells = _find(tables["Scores by difficulty"], row["system"], row["model"])
        for at in row["by_difficulty"]:
            told = _numbers(cells[f"disks={at['difficulty']['disks']}"])
            assert told == [*_rounded(at["score"], at["interval"]["low"], at["interval"]["high"]), at["n"]]
    assert "## By difficulty" not in (reports["five"] / "report.md").read_text("utf-8")


def test_one_difficulty_and_one_length_have_no_tables(tmp_path: Path) -> None:
    """Nor has what says nothing: costs of 0, confidences of answers that are all right, samples that none lost."""
    made = document()
    for row in made["rows"]:
        row["by_difficulty"], row["spent"] = row["by_difficulty"][:1], row["spent"] | {"cost_usd": 0.0}
        row["confidence"] = row["confidence"] and row["confidence"] | {"auc": None}
    for curve in made["survival"]["curves"]:
        curve["points"] = curve["points"][:1]
    write_report(made, tmp_path)
    text = (tmp_path / "report.md").read_text("utf-8")
    assert not {"## By difficulty", "## Survival of long chains"} & set(text.splitlines())
    assert not any(word in text for word in ("USD", "Confidences", "unpaid"))
    assert sorted(path.name for path in tmp_path.glob("*.svg")) == ["hanoi-forecast.svg", "hanoi-spend.svg"]


def test_equal_rows_are_one_and_hidden_points_are_told(tmp_path: Path) -> None:
    """Two systems that came to the same share their row, and the figure says who stands behind whom."""
    made = document((BASELINE, "tree", "other tree"))
    about = {"system": "other tree"}
    made["rows"][2] = made["rows"][1] | about
    for part in ("forecast", "survival"):
        rows = made[part]["rows" if part == "forecast" else "curves"]
        rows[2] = rows[1] | about
    write_report(made, tmp_path)
    rows = dict(markdown_tables((tmp_path / "report.md").read_text("utf-8")).found)
    names = next([row[0] for row in told] for caption, told in rows.items() if caption.startswith("Scores,"))
    assert sorted(names) == ["single x solo (baseline)", "system", "tree; other tree"]
    for figure in ("spend", "forecast", "survival"):
        texts = _texts(tmp_path / f"hanoi-{figure}.svg")
        assert "behind it: other tree" in texts
        assert "other tree" not in texts


@pytest.mark.parametrize("kind", KINDS)
def test_figures_are_files_beside_and_elements_inside(reports: dict[str, Path], kind: str) -> None:
    """Every figure that Markdown refers to is a well-formed SVG with title and description."""
    files = {path.name for path in reports[kind].iterdir()}
    text = (reports[kind] / "report.md").read_text("utf-8")
    figures = set(re.findall(r"^!\[.*\]\(([a-z0-9-]+\.svg)\)$", text, re.MULTILINE))
    assert files == {"report.md", "report.html", *figures}
    page = Page((reports[kind] / "report.html").read_text("utf-8"))
    assert sum(tag == "svg" for tag, _ in page.tags) == len(figures)
    for name in figures:
        root = ElementTree.parse(reports[kind] / name).getroot()
        assert root.tag == f"{SVG}svg"
        assert [part.tag for part in root][:2] == [f"{SVG}title", f"{SVG}desc"]
        assert "evidence: " in str(root[0].text)
        assert not {part.tag for part in root.iter()} & {f"{SVG}script", f"{SVG}style", f"{SVG}metadata"}


def test_figures_name_every_system(reports: dict[str, Path]) -> None:
    """All of seventeen systems stand in the legend; the best, baseline and pick are called so."""
    said = KINDS["seventeen"]()
    best = max(said["rows"], key=lambda row: row["score"])["system"]
    names = {*MANY, f"{BASELINE} (baseline)", f"{PICK} (pick)", f"{best} (best)"} - {BASELINE, PICK, best}
    for figure in ("spend", "forecast", "survival"):
        texts = _texts(reports["seventeen"] / f"hanoi-{figure}.svg")
        assert {text.removeprefix("behind it: ") for text in texts} >= names
    assert {"cap: 6,000 a sample", "self-consistency after m votes"} <= _texts(reports["seventeen"] / "hanoi-spend.svg")
    assert {"extrapolated", f"p^n of {BASELINE}", "62", "124"} <= _texts(reports["seventeen"] / "hanoi-survival.svg")


def test_real_and_simulated_are_told_apart(reports: dict[str, Path]) -> None:
    """Each panel says what its model is, tables have a column for it, and a system of one's own is marked."""
    folder = reports["two models"]
    texts = _texts(folder / "hanoi-spend.svg")
    assert {f"{MODEL} (evidence: real)", f"{OTHER} (evidence: real and SIMULATED)"} <= texts
    assert any(text.startswith(f"{OWN}") and text.endswith(", real: spend not counted") for text in texts)
    rows = _tables(reports, "two models")["Scores,"]
    assert {(row["model"], row["evidence"]) for row in rows if row["system"] != OWN} == {
        (MODEL, "real"),
        (OTHER, "SIMULATED"),
    }
    assert {row["evidence"] for row in rows if row["system"] == OWN} == {"real"}
    text = (folder / "report.md").read_text("utf-8")
    assert "> **Evidence: real and SIMULATED. Rows marked SIMULATED" in text
    assert f"Models: {MODEL} (real), {OTHER} (SIMULATED)" in text
    simulated = (reports["two suites"] / "report.md").read_text("utf-8")
    assert simulated.count("> **Evidence: SIMULATED.") == simulated.count("> **Evidence: real.**") == 1


def test_what_was_not_asked_has_no_evidence(tmp_path: Path) -> None:
    """A comparison that was stopped is as SIMULATED as what was measured of it; what a profile took is told."""
    made = document((BASELINE, "tree", "not asked"), (OTHER,), regret=None)
    made["rows"][2] |= {"evidence": "real", "n": 0, "score": None}
    write_report(made, tmp_path)
    text = (tmp_path / "report.md").read_text("utf-8")
    assert "> **Evidence: SIMULATED." in text
    assert "evidence: real and SIMULATED" not in text
    assert "measuring it took 130 calls and 16,690 tokens beside the caps." in text
    made["forecast"]["profile"]["took"] = None
    write_report(made, tmp_path)
    assert "measuring it took" not in (tmp_path / "report.md").read_text("utf-8")


def test_sections_come_in_order_and_only_with_something_in_them(reports: dict[str, Path]) -> None:
    """Headings are those of what the document has."""
    whole = [
        *("What came out", "Scores and spending", "Differences from the baseline", "At equal spend"),
        *(
            "Forecast beside measured",
            "Coordination",
            "Graphs",
            "By difficulty",
            "Survival of long chains",
            "Systems that did not compete",
            "How to read this",
        ),
    ]
    two = reports["two models"] / "report.md"
    assert _headings(two, "## ") == [heading for heading in whole if heading != "By difficulty"]
    assert "Over 2 topologies with one model scores have the variance 0.0042, 0.792 of both" in two.read_text("utf-8")
    assert _headings(reports["no forecast, nothing matched"] / "report.md", "## ") == [
        heading for heading in whole if heading != "Survival of long chains"
    ]
    text = (reports["no forecast, nothing matched"] / "report.md").read_text("utf-8")
    assert "Nothing is compared at equal spend" in text
    assert "Nothing was foretold." in text
    suites = reports["two suites"] / "report.md"
    assert _headings(suites, "## ") == ["Comparison of systems on hanoi"] * 2
    assert _headings(suites, "### ") == [heading for heading in whole if heading != "By difficulty"] * 2


def test_suites_of_one_name_have_figures_of_their_own(reports: dict[str, Path]) -> None:
    """Figures are named by suite, and by place where two suites are called alike."""
    names = {path.name for path in reports["two suites"].glob("*.svg")}
    assert names == {
        f"{slug}-{kind}.svg" for slug in ("hanoi", "hanoi-2") for kind in ("spend", "forecast", "survival")
    }


def test_spending_is_in_the_unit_of_the_cap(reports: dict[str, Path]) -> None:
    """With a cap in calls the figure is drawn, and the table told, in calls."""
    assert {"calls a sample (log scale)", "cap: 10 a sample"} <= _texts(reports["calls"] / "hanoi-spend.svg")
    assert "in calls a sample" in (reports["calls"] / "report.md").read_text("utf-8")


def test_equal_documents_give_equal_files(reports: dict[str, Path], tmp_path: Path) -> None:
    """Written again, and by another process with another order of sets, every file has the same bytes."""
    write_report(json.loads(json.dumps(suite_of_two_models())), tmp_path / "again")
    code = (
        "import sys, pathlib\n"
        "from tests.report.documents import suite_of_two_models\n"
        "from orchestra_evals.report.writing import write_report\n"
        "write_report(suite_of_two_models(), pathlib.Path(sys.argv[1]))\n"
    )
    environ = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.getcwd()}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "there")], check=True, env=environ)
    for path in reports["two models"].iterdir():
        for other in ("again", "there"):
            assert path.read_bytes() == (tmp_path / other / path.name).read_bytes(), path.name


def test_paths_of_the_machine_are_left_out(reports: dict[str, Path]) -> None:
    """Of files only the names are told: a report is handed on."""
    assert not any("/home/" in path.read_text("utf-8") for path in reports["five"].iterdir())
    assert "hanoi-1234.jsonl and journal.db" in (reports["five"] / "report.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({}, r"must be a document of `orchestra eval compare` .* does not say that it is one"),
        ({"document": "orchestra.comparison/2"}, r"it has the form 'orchestra.comparison/2'"),
        ({"document": "orchestra.comparison/1"}, r"^document: \w+: .*required"),
        (document(rows=[{"system": 3}]), r"^document: rows\.0\.\w+: "),
        (document(cap={"tokens": float("nan")}), r"^document: must be plain JSON: "),
        ([], r"at least one document"),
        ([document(), []], r"^document 2: must be a document"),
    ],
)
def test_other_documents_are_refused_in_one_sentence(said: Json, sentence: str, tmp_path: Path) -> None:
    """Nothing is written of what is no comparison."""
    with pytest.raises(InputError, match=sentence) as refused:
        write_report(said, tmp_path / "report")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "report").exists()


def test_without_matplotlib_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named before there is any file."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"install orchestra-mas\[plots\]"):
        write_report(document(), tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    """A file stands where the folder should."""
    (tmp_path / "report").write_text("mine")
    with pytest.raises(InputError, match="cannot be written"):
        write_report(without_scores(), tmp_path / "report")
    assert (tmp_path / "report").read_text() == "mine"


def _tables(reports: dict[str, Path], kind: str) -> Tables:
    return markdown_tables((reports[kind] / "report.md").read_text("utf-8"))


def _texts(path: Path) -> set[str]:
    return {"".join(part.itertext()) for part in ElementTree.parse(path).getroot().iter(f"{SVG}text")}


def _headings(path: Path, begins: str) -> list[str]:
    return [line.removeprefix(begins) for line in path.read_text("utf-8").splitlines() if line.startswith(begins)]


def _find(rows: list[dict[str, str]], system: str, model: str) -> dict[str, str]:
    names = {system, f"{system} (baseline)", f"{system} (pick)"}
    [found] = [row for row in rows if row["system"] in names and row.get("model", model) == model]
    return found


def _mean(row: Json) -> str | None:
    score, interval = row["score"], row["interval"]
    return None if score is None else f"{score:.3f} ({interval['low']:.3f} to {interval['high']:.3f})"


def _number(cell: str) -> float | None:
    return None if cell == "-" else float(cell.replace(",", ""))


def _numbers(cell: str) -> list[float]:
    return [float(one) for one in re.findall(r"[-+]?\d+(?:\.\d+)?", cell)]


def _rounded(*values: float) -> list[float]:
    return [float(f"{value:.3f}") for value in values]
