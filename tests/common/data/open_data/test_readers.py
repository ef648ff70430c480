"""What the readers make of folders laid out like the packages."""

import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from antiphon.common.data.manifest import Row
from antiphon.common.data.open_data import eeg, instruments, music, sounds, speech
from antiphon.common.data.open_data.gus_patch import Note

Lay = Callable[[dict[str, bytes | str]], Path]


@pytest.fixture
def lay(tmp_path: Path) -> Lay:
    """Lays files in a folder."""

    def write(files: dict[str, bytes | str]) -> Path:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return write


def by_name(rows: Iterable[Row]) -> dict[str, Row]:
    return {Path(row.path).name: row for row in rows}


def tagged_ogg(**tags: str) -> bytes:
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", 8000, 1, format="OGG") as file:
        for name, value in tags.items():
            setattr(file, name, value)
        file.write(np.zeros(100))
    return out.getvalue()


def test_kajongg_words_are_told_apart_by_language_and_speakers_are_not(lay: Lay) -> None:
    rows = list(speech.read_kajongg(lay({"male1/pung.ogg": b"", "de/male1/pung.ogg": b"", "de/female2/b1.ogg": b""})))
    assert {row.labels for row in rows} == {("default/pung",), ("de/pung",), ("de/b1",)}
    assert {row.speaker for row in rows} == {"kajongg-male1", "kajongg-female2"}


def test_klettres_takes_what_is_said_from_the_description(lay: Lay) -> None:
    xml = '<klettres><language code="de"><alphabet><sound name="Ö" file="de/alpha/oe.ogg" /></alphabet></language></klettres>'
    rows = by_name(speech.read_klettres(lay({"de/sounds.xml": xml, "de/alpha/oe.ogg": b"", "de/syllab/affe.ogg": b""})))
    assert rows["oe.ogg"].labels == ("de/Ö",) and rows["oe.ogg"].extra["kind"] == "letter"
    assert rows["affe.ogg"].labels == ("de/AFFE",) and rows["affe.ogg"].extra["kind"] == "syllable"


def test_ktuberling_lists_a_recording_once(lay: Lay) -> None:
    xml = (
        "<language>"
        + "".join(f'<sound name="{name}" file="uk/{name}.ogg" />' for name in ("tv_man", "egypt_man", "gone"))
        + "</language>"
    )
    rows = list(speech.read_ktuberling(lay({"uk.soundtheme": xml, "uk/tv_man.ogg": b"same", "uk/egypt_man.ogg": b"same"})))
    assert [row.labels for row in rows] == [("uk/egypt man",)]


def test_asterisk_leaves_tones_and_silence_out(lay: Lay) -> None:
    names = (
        "letters/a.wav",
        "phonetic/a_p.wav",
        "digits/h-1.wav",
        "silence/1.wav",
        "beep.wav",
        "ascending-2tone.wav",
        "call-waiting.wav",
    )
    rows = by_name(speech.read_asterisk(lay(dict.fromkeys(names, b""))))
    assert {name: (row.extra["kind"], row.labels[0]) for name, row in rows.items()} == {
        "a.wav": ("letter", "en/A"),
        "a_p.wav": ("phonetic", "en/a"),
        "h-1.wav": ("number", "en/h 1"),
        "call-waiting.wav": ("prompt", "en/call waiting"),
    }


def test_qabcs_noises_have_the_class_of_their_picture(lay: Lay) -> None:
    files = ("all/pics/toys/paper_airplane.png", "all/noises/paper_airplane.ogg", "en/sounds/alpha/A.ogg", "de/sounds/alpha/A.ogg")
    rows = list(sounds.read_qabcs(lay(dict.fromkeys(files, b""))))
    assert [(row.labels, row.text, row.speaker) for row in rows] == [
        (("toys",), "paper airplane", None),
        (("en/A",), None, "qabcs-en"),
    ]


def test_tuxpaint_captions_effects_and_symbols(lay: Lay) -> None:
    folder = lay(
        {
            "animals/birds/owl.txt": "An owl.\nfr.utf8=Un hibou.\npt_BR.utf8=Uma coruja.\n",
            "animals/birds/owl.ogg": b"hoot",
            "animals/birds/owl_desc.ogg": b"english",
            "animals/birds/owl_desc_fr.ogg": b"french",
            "animals/birds/owl_desc_pt_BR.wav": b"brazil",
            "animals/birds/owl_flying_desc_fr.ogg": b"french",  # the same recording for another picture
            "symbols/alphabets/english/filled/uppercase/A_filled_en_GB.ogg": b"A",
            "symbols/alphabets/german/filled/lowercase/a_with_umlaut_filled.ogg": b"ae",
            "symbols/math/7_zh_tw.ogg": b"7",
            "symbols/faces/happy.ogg": b"ha",
        }
    )
    rows = by_name(sounds.read_tuxpaint(folder))
    told = {name: (row.extra["kind"], row.extra.get("language"), row.text or row.labels[0]) for name, row in rows.items()}
    assert told == {
        "owl.ogg": ("effect", None, "An owl."),
        "owl_desc.ogg": ("caption", "en", "An owl."),
        "owl_desc_fr.ogg": ("caption", "fr", "Un hibou."),
        "owl_desc_pt_BR.wav": ("caption", "pt_BR", "Uma coruja."),
        "A_filled_en_GB.ogg": ("letter", "en_GB", "en_GB/A"),
        "7_zh_tw.ogg": ("digit", "zh_tw", "zh_tw/7"),
        "happy.ogg": ("effect", None, "happy"),
    }
    assert rows["owl.ogg"].labels == ("animals/birds",)
    assert rows["owl.ogg"].extra["picture"] == rows["owl_desc_fr.ogg"].extra["picture"] == "animals/birds/owl"


def test_pykanto_knows_individuals(lay: Lay) -> None:
    great_tit = "segmented/great_tit"
    folder = lay(
        {
            f"{great_tit}/WAV/x.wav": b"",
            f"{great_tit}/JSON/x.JSON": json.dumps({"ID": "B32"}),
            "raw/STORM-PETREL/XC1.wav": b"",
        }
    )
    assert [(row.labels[0], row.extra.get("individual")) for row in sounds.read_pykanto(folder)] == [
        ("great tit", "B32"),
        ("European storm petrel", None),
    ]


def test_freepats_become_notes_and_the_same_note_is_written_once(lay: Lay, monkeypatch: pytest.MonkeyPatch) -> None:
    def note(value: int, root_hz: float) -> Note:
        return Note(np.full(10, value, np.int16), 8000, root_hz)

    patches = {b"violin": [note(1, 440.0), note(2, 440.0), note(3, 880.0)], b"flute": [note(3, 880.0)], b"snare": [note(4, 100.0)]}
    monkeypatch.setattr(instruments, "read_patch", lambda content: patches[content])
    folder = lay({"Tone_000/040_Violin.pat": b"violin", "Tone_000/073_Flute.pat": b"flute", "Drum_000/040_Snare_2.pat": b"snare"})
    rows = list(instruments.read_freepats(folder))
    assert [(row.labels[0], row.extra["family"], row.extra["kind"]) for row in rows] == [
        *[("Violin", "strings", "melodic")] * 3,
        ("Snare 2", "drums", "drum"),
    ]
    assert rows[0].group == rows[1].group != rows[2].group  # one pitch, two recordings
    assert soundfile.info(rows[0].path).samplerate == 8000


def test_hydrogen_reads_the_classes_of_drums_from_their_names(lay: Lay) -> None:
    names = ["Closed HH", "Pearl Snare Rimshot", "Stick", "Ride Bell", "Cowbell", "Sangban1 Bell Hit", "Bongo Hi", "Zap 1"]
    listed = "".join(
        f"<instrument><name>{name}</name><layer><filename>{place}.wav</filename></layer></instrument>"
        for place, name in enumerate(names)
    )
    listed += "<instrument><name>17</name><filename>emptySample.flac</filename></instrument>"
    files: dict[str, bytes | str] = {f"kit/{place}.wav": b"" for place in range(len(names))}
    folder = lay(
        {**files, "kit/emptySample.flac": b"", "kit/drumkit.xml": f'<drumkit_info xmlns="http://x">{listed}</drumkit_info>'}
    )
    rows = list(instruments.read_hydrogen(folder))
    assert [row.labels[0] if row.labels else None for row in rows] == [
        "hi-hat", "snare", "stick", "ride", "cowbell", "bell", "hand drum", None,
    ]  # fmt: skip
    assert {row.group for row in rows} == {"kit"} and rows[0].extra["instrument"] == "Closed HH"


def test_music_takes_artists_from_tags_names_or_folders(lay: Lay) -> None:
    tagged = lay({"a/one.ogg": tagged_ogg(artist="Somebody", title="One"), "a/silence.ogg": tagged_ogg()})
    row = next(iter(music.read_tagged(tagged)))
    assert (row.labels, row.extra, row.group) == (("Somebody",), {"artist": "Somebody", "title": "One"}, "one")
    assert len(list(music.read_tagged(tagged))) == 1  # untagged tracks are left out

    named = lay({"b/reno_project-system.wav": b""}) / "b"
    assert next(iter(music.read_artist_in_name(named))).labels == ("reno project",)

    rogue = lay({"c/music/hr-savino-ocean.ogg": b"", "c/sounds/hit-axe2.ogg": tagged_ogg()}) / "c"
    track, effect = music.read_hyperrogue(rogue)
    assert (track.labels, track.extra["title"]) == (("Will Savino",), "ocean")
    assert (effect.labels, effect.text, effect.extra["kind"]) == ((), "hit axe", "effect")

    frets = lay({"d/sectoid/Feelings/song.ogg": b"", "d/sectoid/Feelings/guitar.ogg": b""}) / "d"
    stems = list(music.read_fretsonfire(frets))
    assert {row.extra["stem"] for row in stems} == {"guitar", "backing"} and len({row.group for row in stems}) == 1


def test_biosig_is_kept_without_the_name_in_its_header(lay: Lay) -> None:
    header = b"GDF 1.25" + b"Sorgenfrei, I".ljust(80) + b"\0" * 168
    folder = lay({"sample.gdf": header + b"samples"})
    (row,) = eeg.read_biosig(folder)
    written = Path(row.path).read_bytes()
    assert b"Sorgenfrei" not in written and written[88:] == header[88:] + b"samples" and row.extra["subject"] == "biosig"
    (folder / "sample.gdf").write_bytes(b"EDF" + header)
    with pytest.raises(ValueError, match="is no GDF 1 file"):
        list(eeg.read_biosig(folder))


def test_neurokit_trials_become_arrays_with_texts(lay: Lay) -> None:
    lines = [
        f"{trial},{word},{time},{trial}e-6,{time}e-6"
        for trial, word in enumerate(("audio/left", "visual/right"))
        for time in (-0.5, 0.0, 0.5)
    ]
    (row,) = eeg.read_neurokit_erp(lay({"data.csv": "\n".join(["Label,Condition,Time,EEG 001,EEG 002", *lines])}))
    with np.load(row.path) as held:
        assert held["signals"].shape == (2, 2, 3) and held["sample_rate"] == 2.0 and held["start_s"] == -0.5
        np.testing.assert_allclose(held["signals"][1], [[1, 1, 1], [-0.5, 0, 0.5]], rtol=1e-6)
        assert held["labels"].tolist() == ["audio/left", "visual/right"] and held["names"].tolist() == ["EEG 001", "EEG 002"]
        assert held["texts"][1] == "a checkerboard in the right half of the visual field"
