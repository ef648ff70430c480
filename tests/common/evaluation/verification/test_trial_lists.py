"""Trial lists in the spellings that people publish, and lines that are none."""

from pathlib import Path

import numpy as np
import pytest

from antiphon.common.evaluation.verification import TrialList, read_trials

SPELLINGS = {
    "voxceleb": "1 id1/x/1.wav id1/y/2.wav\n0 id1/x/1.wav id2/z/1.wav\n",
    "voxceleb, tabs, blank lines": "\n1\tid1/x/1.wav\tid1/y/2.wav\n\n0\tid1/x/1.wav\tid2/z/1.wav",
    "kaldi": "id1/x/1.wav id1/y/2.wav target\nid1/x/1.wav id2/z/1.wav nontarget\n",
    "voices": "# key\nid1/x/1.wav id1/y/2.wav tgt\nid1/x/1.wav id2/z/1.wav imp\n",
    "cn-celeb": "id1/x/1.wav id1/y/2.wav 1\nid1/x/1.wav id2/z/1.wav 0\n",
    "header that has a label's word": "enroll test target\nid1/x/1.wav id1/y/2.wav target\nid1/x/1.wav id2/z/1.wav nontarget\n",
    "csv with header": "label,first,second\n1,id1/x/1.wav,id1/y/2.wav\n0, id1/x/1.wav, id2/z/1.wav\n",
    "windows": "\ufeffTrue id1\\x\\1.wav id1\\y\\2.wav\r\nFalse id1\\x\\1.wav id2\\z\\1.wav\r\n",
}
PATHS = ["/data/wav/id2/z/1.wav", "/data/wav/id1/y/2.wav", "/data/wav/id1/y/1.wav", "/data/wav/id1/x/1.wav"]


def trials(tmp_path: Path, text: str) -> TrialList:
    (tmp_path / "list.txt").write_text(text, encoding="utf-8", newline="")
    return read_trials(tmp_path / "list.txt")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spellings(spelling: str, tmp_path: Path) -> None:
    listed = trials(tmp_path, SPELLINGS[spelling])
    rows = listed.rows(PATHS)
    assert len(listed) == 2 and listed.targets.tolist() == [True, False]
    assert rows[listed.first].tolist() == [3, 3] and rows[listed.second].tolist() == [1, 0]


def test_another_ending_will_do_and_the_same_one_comes_first(tmp_path: Path) -> None:
    listed = trials(tmp_path, "1 a/1.m4a a/2.m4a\n0 a/1.m4a b/1\n")
    assert listed.rows(["/d/b/1.flac", "/d/a/2.wav", "/d/a/1.wav", "/d/a/1.m4a"]).tolist() == [3, 1, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 a b\n0 a\n", r"list\.txt, line 2: expected .* got '0 a'"),
        ("1 a b\nx a b\n", "line 2: expected"),
        ("a b c\nd e f\n", "line 2: expected"),
        ("1 a b\na b 1\n", "line 2: expected"),
        ("1 a b c\n", "line 1: expected"),
        ("# nothing\n\n", "lists no trials"),
    ],
)
def test_lines_that_are_no_trials(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        trials(tmp_path, text)


def test_a_missing_file_is_named_with_its_line(tmp_path: Path) -> None:
    listed = trials(tmp_path, "# VoxCeleb\n1 id1/x/1.wav id1/y/2.wav\n0 id1/x/1.wav id9/q/1.wav\n0 id8/a/1.wav id1/x/1.wav\n")
    with pytest.raises(ValueError, match=r"line 3: id9/q/1\.wav is not among the 4 .*, like 1 more of its 4 recordings"):
        listed.rows(PATHS)
    with pytest.raises(ValueError, match=r"line 1: 1\.wav may be /data/wav/id2/z/1\.wav and"):
        trials(tmp_path, "1 1.wav 2.wav\n").rows(PATHS)
    with pytest.raises(FileNotFoundError, match=r"no trial list .*none\.txt"):
        read_trials(tmp_path / "none.txt")


def test_a_long_list_is_read_quickly(tmp_path: Path) -> None:
    names = [f"id{number % 50}/v{number}/00001.wav" for number in range(5000)]
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 5000, (50_000, 2))
    listed = trials(tmp_path, "".join(f"{a % 2} {names[a]} {names[b]}\n" for a, b in pairs))
    rows = listed.rows([f"/data/{name}" for name in names])
    assert np.array_equal(rows[listed.first], pairs[:, 0]) and np.array_equal(rows[listed.second], pairs[:, 1])
