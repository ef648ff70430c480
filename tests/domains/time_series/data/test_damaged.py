"""A damaged file is named, whatever its format's library says about it."""

from pathlib import Path

import pytest

from antiphon.domains.time_series import read


@pytest.mark.parametrize("name", ["bad.npz", "bad.npy", "bad.parquet", "bad.ts", "bad.tsv"])
def test_damaged_files_are_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04 nonsense\xff\xfe")
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        read(tmp_path / name)
