"""The catalogue: which open recordings can be fetched. Every set in it was fetched, listed and counted."""

from __future__ import annotations

import difflib

from antiphon.common.data.open_data.eeg import read_biosig, read_neurokit_erp
from antiphon.common.data.open_data.instruments import read_freepats, read_hydrogen, read_sonic_pi
from antiphon.common.data.open_data.music import read_artist_in_name, read_fretsonfire, read_hyperrogue, read_tagged, read_untagged
from antiphon.common.data.open_data.sounds import read_pykanto, read_qabcs, read_sofa, read_tuxpaint
from antiphon.common.data.open_data.source import Package, Source
from antiphon.common.data.open_data.speech import read_asterisk, read_kajongg, read_klettres, read_ktuberling


def _debian(name: str, version: str, size: int, sha256: str, keep: str) -> Package:
    return Package(name, "debian", version, size, sha256, f"usr/share/{keep}")


SOURCES = (
    Source(
        "kajongg",
        "42 calls of a mahjong game, in German and in the default language, by 4 speakers",
        clips=335,
        duration_s=287.2,
        licence="GPL-2+",
        read=read_kajongg,
        packages=(
            _debian(
                "kajongg",
                "4:22.12.3-1",
                4_713_320,
                "be0a9cc0f9a97064ffa0ab01133f55e021c7c58f9869857431bf1ca951dadbaf",
                "kajongg/voices",
            ),
        ),
    ),
    Source(
        "klettres",
        "letters and syllables of 20 languages, one voice each",
        clips=1_836,
        duration_s=3_076.1,
        licence="GPL-2+",
        read=read_klettres,
        packages=(
            _debian(
                "klettres-data",
                "4:22.12.3-1",
                39_529_084,
                "1186d257a19e84230856baea0b0b1ded8be9195080fcdb2588970b5cd937f5a8",
                "klettres",
            ),
        ),
    ),
    Source(
        "ktuberling",
        "names of things in 23 languages, one voice each",
        clips=1_804,
        duration_s=1_868.2,
        licence="GPL-2+",
        read=read_ktuberling,
        packages=(
            _debian(
                "ktuberling-data",
                "4:22.12.3-1",
                46_661_752,
                "fba44c875bfa31ea488dadd9263e87a4dcaea0bd47d28817f6c0dc6d2af970ed",
                "ktuberling/sounds",
            ),
        ),
    ),
    Source(
        "asterisk-en",
        "letters, numbers and telephone prompts by one American voice, 8 kHz",
        clips=554,
        duration_s=1_472.5,
        licence="CC-BY-SA-3.0",
        read=read_asterisk,
        packages=(
            _debian(
                "asterisk-core-sounds-en-wav",
                "1.6.1-1",
                18_272_864,
                "2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d",
                "asterisk/sounds/en_US_f_Allison",
            ),
        ),
    ),
    Source(
        "qabcs",
        "241 named noises in 4 classes; letters and words in English and Ukrainian",
        clips=576,
        duration_s=946.5,
        licence="GPL-3+",
        read=read_qabcs,
        packages=(
            _debian(
                "qabcs-data",
                "1.0.2-6",
                33_637_556,
                "3484da4cf258e6f3a39a1fc99bbfcaddfd679cff96a8fa792f261ab0a2bf9d86",
                "qabcs/abcs",
            ),
        ),
    ),
    Source(
        "tuxpaint",
        "spoken captions with text in 14 languages; sound effects with captions; letters, digits",
        clips=6_761,
        duration_s=9_765.6,
        licence="GPL-2",
        read=read_tuxpaint,
        packages=(
            _debian(
                "tuxpaint-stamps-default",
                "2022.06.04-1",
                160_880_444,
                "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
                "tuxpaint/stamps",
            ),
        ),
    ),
    Source(
        "freepats",
        "single notes of 72 instruments and 56 drums",
        clips=444,
        duration_s=441.9,
        licence="GPL-2+ with an exception for compositions",
        read=read_freepats,
        packages=(
            _debian(
                "freepats",
                "20060219-4",
                25_089_504,
                "1282628c7ec015f0d39a8b1ee58a2d942220bbad38173d005bbfbaaf36e1d6f1",
                "midi/freepats",
            ),
        ),
    ),
    Source(
        "hydrogen-drumkits",
        "drum hits of 14 kits",
        clips=703,
        duration_s=1_133.3,
        licence="by kit: GPL, CC0, CC-BY, CC-BY-SA",
        read=read_hydrogen,
        packages=(
            _debian(
                "hydrogen-drumkits",
                "2017.09.19~dfsg-1",
                142_675_622,
                "6ea3c6df9a67762e2362f946c695e619859126b19fbccf32a2e8f07dfd03b2f4",
                "hydrogen/data/drumkits",
            ),
        ),
    ),
    Source(
        "sonic-pi-samples",
        "drum hits, loops, tabla, ambient and electronic sounds",
        clips=165,
        duration_s=323.8,
        licence="CC0",
        read=read_sonic_pi,
        packages=(
            _debian(
                "sonic-pi-samples",
                "3.2.2~repack-8",
                21_882_696,
                "25f2312d2fae005e6ad0f4726b8ed3084e776006a5a132083506e960224ac79d",
                "sonic-pi/samples",
            ),
        ),
    ),
    Source(
        "wesnoth-music",
        "orchestral game music by 10 composers",
        clips=40,
        duration_s=7_684.6,
        licence="GPL-2+",
        read=read_tagged,
        packages=(
            _debian(
                "wesnoth-1.16-music",
                "1:1.16.9-1",
                153_244_368,
                "f9bc3cde92b4ab30db5d7b85f89b4bcc3d788dd92602956d0347250850bf59bb",
                "games/wesnoth/1.16/data/core/music",
            ),
        ),
    ),
    Source(
        "hyperrogue-music",
        "17 tracks of game music by 3 artists; game effects",
        clips=101,
        duration_s=1_542.2,
        licence="CC-BY-SA-3.0 (music), CC-BY-SA-4.0, CC0 (effects)",
        read=read_hyperrogue,
        packages=(
            _debian(
                "hyperrogue-music",
                "12.0q-1",
                63_836_788,
                "61ab9f4c2169442d85f42c42d26e80c1a18b93c741f3d44f1b9d83015904e7f7",
                "hyperrogue",
            ),
        ),
    ),
    Source(
        "singularity-music",
        "electronic game music by one artist",
        clips=16,
        duration_s=3_843.1,
        licence="CC-BY-SA-3.0",
        read=read_tagged,
        packages=(
            _debian(
                "singularity-music",
                "007-2",
                51_636_048,
                "139ba1e408eeb0a72f1fff3760ca46558b9f81bed97dc8c0efa108c4007f4845",
                "games/singularity/music",
            ),
        ),
    ),
    Source(
        "drascula-music",
        "music of an adventure game, untagged",
        clips=31,
        duration_s=2_809.9,
        licence="Drascula licence: share and adapt, keep the notices",
        read=read_untagged,
        packages=(
            _debian(
                "drascula-music",
                "1.0+ds4-2",
                36_429_732,
                "340e0beb1bacf005cbabebc07ebdd88adf6aee363d437f8a7d73cb0c77a93e79",
                "scummvm/drascula/audio",
            ),
        ),
    ),
    Source(
        "asterisk-moh",
        "music on hold by 3 artists, 8 kHz",
        clips=5,
        duration_s=1_106.8,
        licence="CC-BY-SA-3.0",
        read=read_artist_in_name,
        packages=(
            _debian(
                "asterisk-moh-opsound-wav",
                "2.03-1.1",
                13_969_212,
                "8f9d808a729d305c2d3343993f21ca5e6829e411682618dc8ea7aa8bc24a566c",
                "asterisk/moh",
            ),
        ),
    ),
    Source(
        "fretsonfire",
        "8 songs of two metal bands, guitar and backing apart",
        clips=16,
        duration_s=3_222.4,
        licence="CC-BY-SA-3.0 (Muldjord), MIT (Sectoid)",
        read=read_fretsonfire,
        packages=(
            _debian(
                "fretsonfire-songs-muldjord",
                "2.dfsg-2.1",
                29_272_812,
                "b37adf8b08b46d4182c283e760e4f40622d83674e05803960ea1e11a92600c7b",
                "games/fretsonfire/data/songs",
            ),
            _debian(
                "fretsonfire-songs-sectoid",
                "1.dfsg-3.1",
                29_087_520,
                "14c1ed3e43c1a6a80eae7698f0469a0825cd1184e441968d62df89ca418aa0b4",
                "games/fretsonfire/data/songs",
            ),
        ),
    ),
    Source(
        "pykanto",
        "bird song: great tits by individual, Bengalese finch, storm petrel",
        clips=24,
        duration_s=131.5,
        licence="MIT; the storm petrels CC-BY-NC-ND",
        read=read_pykanto,
        packages=(
            Package(
                "pykanto",
                "pypi",
                "0.1.8",
                8_361_372,
                "44b0df060e83087950fd5b6780bbc3bc13f3122abdadb1cb7f979e641adc3077",
                "pykanto/data",
            ),
        ),
    ),
    Source(
        "biosig-motor-imagery",
        "EEG of one subject who imagined movements of the left and of the right hand: 40 trials, 4 channels (GDF)",
        clips=1,
        duration_s=0,
        licence="GPL-3+",
        read=read_biosig,
        packages=(
            Package(
                "octave-biosig",
                "debian",
                "2.5.0-1+b1",
                1_193_388,
                "e3f9d4ccdb31574db1de521697f393ce8546589e9090c70acda45972dc813e91",
                "usr/share/octave/site/m/biosig/t310_ERDSMaps",
            ),
        ),
    ),
    Source(
        "neurokit-erp",
        "EEG of one subject who heard tones and saw checkerboards, left or right: 288 trials, 10 channels",
        clips=1,
        duration_s=0,
        licence="MIT",
        read=read_neurokit_erp,
        packages=(
            Package(
                "neurokit2",
                "sdist",
                "0.2.13",
                92_069_588,
                "e0a3831e939444855c8350f01322d3ecece1faf8a290c179d730697930f10046",
                "neurokit2-0.2.13/studies/erp_gam",
            ),
        ),
    ),
    Source(
        "kemar-hrtf",
        "head-related impulse responses of a KEMAR dummy head (SOFA)",
        clips=1,
        duration_s=0,
        licence="free to use with citation (MIT Media Lab)",
        read=read_sofa,
        packages=(
            _debian(
                "libmysofa1",
                "1.3.1~dfsg0-1",
                1_157_800,
                "c4bd2b6d4352be2c0595974e4f62c2d16cfcde83b722be8fc96c0aee3e49c904",
                "libmysofa",
            ),
        ),
    ),
)


def find_source(name: str) -> Source:
    """The set of this name.

    Raises:
        ValueError: there is none.
    """
    by_name = {source.name: source for source in SOURCES}
    if name not in by_name:
        close = difflib.get_close_matches(name, by_name, n=3)
        raise ValueError(
            f"no open recordings are called {name!r}: "
            + (f"did you mean {' or '.join(close)}?" if close else "`antiphon data list` shows them")
        )
    return by_name[name]
