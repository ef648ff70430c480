"""Prompt sets: what is written is what is asked, and mistakes in a file are named."""

from pathlib import Path

import pytest

from antiphon.common.text import PromptSet, fill_templates, label_task, read_lines, read_prompts

FILE = """
name: hospital
version: 2
templates: ["this is a {} recording", "{}"]
tasks:
  pathology:
    classes: {normal: [healthy, normal], pathological: }
    background: silence
  sex:
    templates: []
    classes:
      female: The patient is female
      male: [The patient is male, He is a man]
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "prompts.yaml"
    path.write_text(text)
    return path


def test_phrases_go_into_every_template(tmp_path: Path) -> None:
    prompts = read_prompts(write(tmp_path, FILE))
    assert (prompts.name, prompts.version) == ("hospital", "2")
    task = prompts.task("pathology")
    assert task.classes["normal"] == (
        "this is a healthy recording",
        "healthy",
        "this is a normal recording",
        "normal",
    )
    assert task.classes["pathological"] == ("this is a pathological recording", "pathological")
    assert task.background == ("this is a silence recording", "silence")
    assert prompts.task("sex").classes == {"female": ("The patient is female",), "male": ("The patient is male", "He is a man")}


def test_a_set_survives_json(tmp_path: Path) -> None:
    import json

    prompts = read_prompts(write(tmp_path, FILE))
    assert PromptSet.from_dict(json.loads(json.dumps(prompts.to_dict()))) == prompts


def test_tasks_are_asked_by_name(tmp_path: Path) -> None:
    prompts = read_prompts(write(tmp_path, FILE))
    with pytest.raises(ValueError, match="hold 2 tasks"):
        prompts.task(None)
    with pytest.raises(ValueError, match="no task 'age': use one of pathology, sex"):
        prompts.task("age")


def test_shipped_sets_read() -> None:
    sounds = read_prompts("sounds")
    assert all(template.count("{}") == 1 for template in sounds.templates) and sounds.version
    with pytest.raises(FileNotFoundError, match=r"one of .*sounds"):
        read_prompts("nothing")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\ntasks: {}", "needs name, version"),
        ("name: x\nversion: 1", "neither tasks nor templates"),
        ("name: x\nversion: 1\nlabels: [a]", "labels is not known"),
        ("name: x\nversion: 1\ntemplates: [a sound]", r"must hold \{\} once"),
        ("name: x\nversion: 1\ntasks: {t: {classes: [a, b]}}", "task t needs classes"),
        ("name: x\nversion: 1\ntasks: {t: {classes: {a: 1, b: }}}", "'a' must be a phrase or a list"),
        ("name: x\nversion: 1\ntasks: {t: {classes: {a: , b: }, more: 1}}", "more in the task t is not known"),
        ("name: x\nversion: 1\ntasks: {t: {classes: {a: }}}", "nothing to choose between"),
        ("name: [", "is no prompt set"),
    ],
)
def test_mistakes_in_a_file_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_prompts(write(tmp_path, text))


def test_labels_become_a_task() -> None:
    task = label_task([" dog bark", "rain "], templates=["a sound of {}"])
    assert task.classes == {"dog bark": ("a sound of dog bark",), "rain": ("a sound of rain",)} and task.background == ()
    several = label_task(["rain"], templates=["{}", "some {}"], multi_label=True)
    assert several.background == ("something else", "some something else")
    assert label_task(["rain"], background=["silence"], multi_label=True).background == ("silence",)


@pytest.mark.parametrize(
    ("labels", "message"), [(["one"], "at least two labels"), (["a", "a"], "different"), (["a", ""], "different")]
)
def test_labels_must_be_two_and_different(labels: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        label_task(labels)


def test_braces_of_a_label_are_left_alone() -> None:
    assert fill_templates(["{x} {}"], ["a {}!"]) == ("a {x} {}!",)
    with pytest.raises(ValueError, match="once"):
        fill_templates(["x"], ["{} and {}"])


def test_lines(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("# sounds\nrain, heavy\n\n dog \n")
    assert read_lines(tmp_path / "labels.txt") == ["rain, heavy", "dog"]
    (tmp_path / "none.txt").write_text("\n# nothing\n")
    with pytest.raises(ValueError, match="is empty"):
        read_lines(tmp_path / "none.txt")
