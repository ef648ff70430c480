"""TUH Abnormal: its folders, its reports as text, and the preparation that EEG-CLIP and others use on it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from antiphon.common.data.manifest import Manifest, Row
from antiphon.domains.eeg.data.preparation import Preparation

CHANNELS = (
    *("A1", "A2", "C3", "C4", "Cz", "F3", "F4", "F7", "F8", "Fp1", "Fp2", "Fz", "O1", "O2", "P3", "P4", "Pz"),
    *("T3", "T4", "T5", "T6"),
)
"""The 21 electrodes, sorted by their names in the files ("EEG A1-REF", ...)."""
PREPARATION = Preparation(clip_uv=800.0, reference="average", divide_by=30.0, sample_rate=100.0)
"""Pick channels, microvolts, cut off at +-800, common average reference, divide by 30, 100 Hz; no band-pass."""
SPAN_S = (60.0, 180.0)
"""Of the first three minutes, the first one is left out."""
WINDOW_S, HOP_S = 12.0, 5.19
"""1200 samples, and 519, which is how many predictions Deep4 makes of them."""
FACTS = ("age", "gender", "pathological")
"""Labels that the published texts begin with."""
SECTIONS = (
    "IMPRESSION",
    "DESCRIPTION OF THE RECORD",
    "CLINICAL HISTORY",
    "MEDICATIONS",
    "INTRODUCTION",
    "CLINICAL CORRELATION",
    "HEART RATE",
    "FINDINGS",
    "REASON FOR STUDY",
    "TECHNICAL DIFFICULTIES",
    "EVENTS",
    "CONDITION OF THE RECORDING",
    "PAST MEDICAL HISTORY",
    "TYPE OF STUDY",
    "ACTIVATION PROCEDURES",
    "NOTE",
)
"""The sections of a report, in the published order."""
MEDICINES = ("keppra", "dilantin", "depakote")
_HEADING = re.compile(
    rf"^[ \t]*({'|'.join(map(re.escape, sorted(SECTIONS, key=len, reverse=True)))})[ \t]*:", re.IGNORECASE | re.MULTILINE
)
_NAME = re.compile(r"^(?P<subject>[a-z0-9]+)_(?P<session>s\d+)(?:_(?P<date>\d{4}_\d{2}_\d{2}))?_t\d+$", re.IGNORECASE)
_AGE, _GENDER = re.compile(r"\bAge:\s*(\d{1,3})\b", re.IGNORECASE), re.compile(r"\s([FM])\s")


def tuh_abnormal(
    root: Path, *, labels_in_text: bool = False, sections: Sequence[str] | None = None, reports: str | Path | None = None
) -> Manifest:
    """TUH Abnormal EEG as a manifest: folders train and eval, in them normal and abnormal, in these EDF files at any depth.

    The label is "normal" or "abnormal". Further columns: subject, session, pathological, age, gender, under_50 (these three where
    the EDF header says it; nothing else of it is kept) and medication (the report names keppra, dilantin or depakote; where there
    is a report). `split` is train, or test for eval. The text is the report.

    Args:
        root: the corpus, its edf folder, or one that holds train and eval.
        labels_in_text: begin the texts with age, gender and pathology, as the published ones do. Zero-shot scores on these labels
            then say that no classifier was trained, not that the labels were never seen.
        sections: the sections that the texts have; None: all.
        reports: a table (.csv) with a column for each section and SUBJECT, or SESSION (s001_2010_01_31) and SUBJECT; None: a .txt
            file beside each recording, of its name or of its session's.

    Raises:
        ValueError: no such recordings, or an unknown section.
    """
    chosen = SECTIONS if sections is None else tuple(sections)
    unknown = [name for name in chosen if name not in SECTIONS]
    if unknown:
        raise ValueError(f"no section of the reports is called {', '.join(unknown)}: use {', '.join(SECTIONS)}")
    table = None if reports is None else _read_table(Path(reports))
    found = ((path, _place(path, root)) for path in sorted(root.rglob("*.edf")))
    rows = [_row(path, *place, table, chosen, labels_in_text) for path, place in found if place]
    if not rows:
        raise ValueError(f"{root} holds no recordings in folders like train/normal or eval/abnormal")
    return Manifest(tuple(rows), "tuh_abnormal")


def _place(path: Path, root: Path) -> tuple[str, str] | None:
    """(train or test, normal or abnormal) of a recording."""
    parts = [part.lower() for part in path.relative_to(root).parts[:-1]]
    split = "train" if "train" in parts else "test" if "eval" in parts else None
    label = "abnormal" if "abnormal" in parts else "normal" if "normal" in parts else None
    return (split, label) if split and label else None


def _row(
    path: Path,
    split: str,
    label: str,
    table: Mapping[str, Mapping[str, str]] | None,
    sections: Sequence[str],
    labels_in_text: bool,
) -> Row:
    named = _NAME.match(path.stem)
    subject = named["subject"] if named else path.stem
    facts = {**header_facts(path), "pathological": str(label == "abnormal")}
    report = _beside(path) if table is None else _in_table(table, named, subject)
    extra = {"subject": subject, **({"session": named["session"]} if named else {}), **facts}
    if "age" in facts:
        extra["under_50"] = str(int(facts["age"]) < 50)
    if report:
        extra["medication"] = str(any(word in " ".join(report.values()).lower() for word in MEDICINES))
    text = report_text({**facts, **report}, labels_in_text=labels_in_text, sections=sections)
    return Row(str(path.absolute()), labels=(label,), text=text or None, split=split, group=subject, extra=extra)


def header_facts(path: Path) -> dict[str, str]:
    """Age in years and gender (F, M) from the patient line of an EDF header, where they stand there."""
    with path.open("rb") as file:
        line = file.read(88)[8:].decode("latin-1")
    age, gender = _AGE.search(line), _GENDER.search(line)
    return ({"age": str(int(age[1]))} if age else {}) | ({"gender": gender[1]} if gender else {})


def split_report(report: str) -> dict[str, str]:
    """The sections of a report: a line that begins with a section's name and a colon opens it; white space is made single."""
    found = list(_HEADING.finditer(report))
    ends = [*(one.start() for one in found[1:]), len(report)]
    made = {one[1].upper(): " ".join(report[one.end() : end].split()) for one, end in zip(found, ends, strict=True)}
    return {name: text for name, text in made.items() if text}


def report_text(fields: Mapping[str, Any], *, labels_in_text: bool = False, sections: Iterable[str] = SECTIONS) -> str:
    """Put "name: value, " for each section that is not empty, in the published order; before them the labels, if asked for."""
    names = [*(FACTS if labels_in_text else ()), *(name for name in SECTIONS if name in set(sections))]
    return "".join(f"{name}: {fields[name]}, " for name in names if str(fields.get(name) or "").strip())


def _beside(path: Path) -> dict[str, str]:
    places = (path.with_suffix(".txt"), path.with_name(f"{path.stem.rsplit('_t', 1)[0]}.txt"))
    found = next((place for place in places if place.is_file()), None)
    return {} if found is None else split_report(found.read_text(encoding="utf-8", errors="replace"))


def _read_table(path: Path) -> dict[str, dict[str, str]]:
    """The reports of a table by session and subject, or by subject alone."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = list(csv.DictReader(file))
    if not lines or "SUBJECT" not in lines[0]:
        raise ValueError(f"{path} is no table of reports: it needs the columns SUBJECT and, where there are several, SESSION")
    return {
        f"{line.get('SESSION') or ''} {line['SUBJECT']}".strip(): {
            name: " ".join(line[name].split()) for name in SECTIONS if (line.get(name) or "").strip()
        }
        for line in lines
    }


def _in_table(table: Mapping[str, Mapping[str, str]], named: re.Match[str] | None, subject: str) -> dict[str, str]:
    session = f"{named['session']}_{named['date']}" if named and named["date"] else named["session"] if named else ""
    return dict(table.get(f"{session} {subject}") or table.get(subject) or {})
